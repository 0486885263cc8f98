//! The dense layer: y = f(x·Wᵀ + b).

use super::Keyed;
use super::builder::{Builder, Current, EVALUATION_BATCH, Wanted};
use super::resolve::Layer;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::model::activations::{Activation, Activations, IDENTITY, Output};
use crate::model::initializers::{self, DEFAULT_SCALE, Distribution, Shape};
use crate::ops::GpuTiles;
use crate::ops::dense::{Dense, needs_input};
use crate::ops::dense_grad::{Below, DenseGrad};
use crate::ops::edge::Drop;
use crate::ops::{Edge, Input};

/// What the run file says about one dense layer.
#[derive(Debug)]
pub(crate) struct Settings {
    pub activation: &'static Activation,
    pub weight: Distribution,
    pub bias: Option<Distribution>,
}

/// Where a layer is, and its sizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub index: usize,
    pub is_last: bool,
    pub features: usize,
    pub units: usize,
}

/// Units of the layer; `needed` is what the target needs of the last one.
pub(super) fn units(layer: &config::Layer, needed: Option<usize>) -> Result<usize> {
    match (layer.units, needed) {
        (Some(units), Some(needed)) if units != needed => {
            let error = Error::data(format!("the last layer has {units} units, the target needs {needed}"));
            Err(error.remedy(format!("write units = {needed}, or leave `units` of the last layer out")))
        }
        (Some(units), _) | (None, Some(units)) => Ok(units),
        (None, None) => Err(Error::data("a hidden dense layer needs `units`").remedy("add for instance units = 64")),
    }
}

/// Looks the names up. The loss applies the last layer's activation, so the layer itself has none.
pub(super) fn resolve(
    layer: &config::Layer,
    config: &Config,
    place: Place,
    activations: &Activations,
) -> Keyed<Settings> {
    let Place { index, is_last, features, units } = place;
    let key = |field: &str| format!("model.layers[{index}].{field}");
    let name = layer.activation.as_deref().unwrap_or("identity");
    let activation = if is_last { activations.find_output(name).map(|_| &IDENTITY) } else { activations.find(name) };
    let activation = activation.map_err(|error| (key("activation"), error))?;
    let shape = Shape { fan_in: features, fan_out: units, scale: layer.scale.unwrap_or(DEFAULT_SCALE) };
    let (init, init_key) = match &layer.init {
        Some(name) => (name.as_str(), key("init")),
        None => (config.model.init.as_str(), "model.init".to_owned()),
    };
    let own = match activations.find_output(name) {
        Ok(Output::Pointwise(row)) => row.name,
        _ => "softmax",
    };
    let weight = initializers::find(init, own).map_err(|error| (init_key, error))?;
    let bias_init = layer.bias_init.as_deref().unwrap_or("zeros");
    let bias = initializers::find(bias_init, own).map_err(|error| (key("bias_init"), error))?;
    let has_bias = layer.bias.unwrap_or(true);
    Ok(Settings {
        activation,
        weight: (weight.distribution)(shape),
        bias: has_bias.then(|| (bias.distribution)(shape)),
    })
}

pub(super) fn parameters(layer: &Layer, settings: &Settings) -> Vec<Wanted> {
    let wanted = |field: &str, rows, columns, start, is_matrix| Wanted {
        name: format!("layers.{}.{field}", layer.index),
        rows,
        columns,
        is_matrix,
        start,
        offset: 0.0,
    };
    let weight = wanted("weight", layer.units, layer.features, settings.weight, true);
    let bias = settings.bias.map(|start| wanted("bias", 1, layer.units, start, false));
    std::iter::once(weight).chain(bias).collect()
}

pub(super) fn emit(
    builder: &mut Builder,
    layer: &Layer,
    settings: &Settings,
    drop: Option<Drop>,
    current: Current,
) -> Current {
    let name = format!("layers.{}", layer.index);
    let units = layer.units;
    let weight = builder.parameter(&format!("{name}.weight")).expect("every dense layer has a weight").clone();
    let bias = builder.parameter(&format!("{name}.bias")).cloned();
    let output = builder.activation(format!("{name}.output"), units);
    let saved = needs_input(settings.activation).then(|| builder.activation(format!("{name}.sum"), units));
    let gradient = builder.batch_gradient(&format!("{name}.sum"), units);
    let forward = Dense {
        input: current.evaluate,
        weight: weight.weight,
        bias: bias.as_ref().map(|bias| bias.weight),
        output,
        saved: None,
        units,
        // What a row gives may not depend on how many are evaluated together.
        tiles: GpuTiles::choose(&[[EVALUATION_BATCH, units]]),
        activation: settings.activation,
        drop: None,
    };
    builder.evaluate(&name, forward.clone());
    let (rows, features) = (builder.batch_size, layer.features);
    let tiles = GpuTiles::choose(&[[rows, units]]);
    builder.forward(&name, Dense { input: current.train, saved, tiles, drop, ..forward });
    let below = current.below.map(|(edge, gradient)| Below { weight: weight.weight, edge, gradient });
    let outputs = [[units, features], [rows, features]];
    builder.backward(
        &name,
        DenseGrad {
            input: current.train,
            gradient,
            weight_gradient: weight.gradient,
            bias_gradient: bias.as_ref().map(|bias| bias.gradient),
            tiles: GpuTiles::choose(if below.is_some() { &outputs } else { &outputs[..1] }),
            below,
            units,
        },
    );
    let edge = Edge { activation: settings.activation, saved: saved.unwrap_or(output), drop };
    let next = Input::Batch { tensor: output, features: units };
    Current { train: next, evaluate: next, below: Some((edge, gradient)) }
}
