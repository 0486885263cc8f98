//! From the layers and the loss of a run file to what they mean: names looked up, defaults filled in, sizes known. Knows
//! the tables of rows; nothing of tensors and steps.

use super::{DataShape, Keyed, batch_norm, dense};
use crate::config::{Config, Task};
use crate::error::{Error, suggestion};
use crate::model::activations::{Activations, IDENTITY, Output};
use crate::model::losses;
use crate::model::random::dropout_key;
use crate::ops::edge::Drop;
use crate::ops::loss::output_of;

/// A layer of the run file with its defaults filled in.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Its place in `model.layers`: the `<i>` of its tensors' names.
    pub index: usize,
    pub features: usize,
    pub units: usize,
    pub kind: Kind,
}

impl Layer {
    /// What it drops, if it is dropout that does anything.
    pub fn drop(&self) -> Option<Drop> {
        match self.kind {
            Kind::Dropout(drop) if drop.rate > 0.0 => Some(drop),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Kind {
    Dense(dense::Settings),
    BatchNorm(batch_norm::Settings),
    Dropout(Drop),
}

/// Looks up names and sizes, layer by layer.
pub(super) fn resolve(config: &Config, shape: &DataShape, activations: &Activations) -> Keyed<Vec<Layer>> {
    let given = &config.model.layers;
    let mut layers: Vec<Layer> = Vec::new();
    let mut features = shape.features;
    for (index, layer) in given.iter().enumerate() {
        let key = |field: &str| format!("model.layers[{index}].{field}");
        let is_last = index + 1 == given.len();
        let (kind, units) = match layer.kind.as_str() {
            "dense" => {
                let units = dense::units(layer, is_last.then_some(shape.outputs)).map_err(|e| (key("units"), e))?;
                let place = dense::Place { index, is_last, features, units };
                (Kind::Dense(dense::resolve(layer, config, place, activations)?), units)
            }
            "batch_norm" => (Kind::BatchNorm(batch_norm::resolve(layer)), features),
            "dropout" => {
                if matches!(layers.last(), Some(Layer { kind: Kind::Dropout(_), .. })) {
                    let error = Error::data("two dropout layers follow each other").remedy("keep one of them");
                    return Err((key("type"), error));
                }
                let drop = Drop { rate: layer.rate.unwrap_or(0.0), key: dropout_key(config.seed, index) };
                (Kind::Dropout(drop), features)
            }
            other => {
                let error = Error::data(format!("unknown layer type `{other}`"));
                let near = suggestion(other, ["dense", "batch_norm", "dropout"]).unwrap_or("dense");
                return Err((key("type"), error.remedy(format!("did you mean `{near}`?"))));
            }
        };
        layers.push(Layer { index, features, units, kind });
        features = units;
    }
    match layers.last() {
        Some(Layer { kind: Kind::Dense(_), .. }) => Ok(layers),
        _ => Err((
            "model.layers".to_owned(),
            Error::data("the last layer must be dense").remedy("end the list with { type = \"dense\" }"),
        )),
    }
}

/// The loss, and what the last layer does to its sums before it.
pub(super) fn resolve_loss(
    config: &Config,
    shape: &DataShape,
    activations: &Activations,
) -> Keyed<(&'static losses::Loss, Output)> {
    let in_key = |key: &str| {
        let key = key.to_owned();
        move |error| (key, error)
    };
    let loss = match &config.loss.name {
        Some(name) => losses::find(name).map_err(in_key("loss.name"))?,
        None => losses::default_for(shape.task),
    };
    if matches!(loss.form, losses::Form::CrossEntropy) && shape.task != Task::Classification {
        let remedy = match shape.task {
            Task::Binary => "use binary_cross_entropy, or task = \"classification\" for one output a class",
            _ => "use mse, mae or huber, or task = \"classification\"",
        };
        let error = Error::data("cross_entropy needs classes").remedy(remedy);
        return Err(in_key("loss.name")(error));
    }
    if loss.name == "binary_cross_entropy" && shape.task != Task::Binary {
        let error = Error::data("binary_cross_entropy needs a target of two classes")
            .remedy("use cross_entropy for classes and mse, mae or huber for numbers");
        return Err(in_key("loss.name")(error));
    }
    if config.loss.delta.is_some() && loss.name != "huber" {
        let error = Error::data(format!("{} has no setting `delta`", loss.name)).remedy("remove it; huber has it");
        return Err(in_key("loss.delta")(error));
    }
    let last = config.model.layers.len() - 1;
    let name = config.model.layers[last].activation.as_deref().unwrap_or("identity");
    let key = format!("model.layers[{last}].activation");
    let output = activations.find_output(name).map_err(in_key(&key))?;
    if matches!(loss.form, losses::Form::CrossEntropy)
        && ![Output::Softmax, Output::Pointwise(&IDENTITY)].contains(&output)
    {
        let error = Error::data(format!("{} has softmax inside, which an output of {name} does not fit", loss.name))
            .remedy("leave the last layer's activation out, or use mse");
        return Err(in_key(&key)(error));
    }
    Ok((loss, output_of(loss, output)))
}
