//! Holds what a model file says of itself to what it can be. A file may come from anywhere: nothing here takes memory
//! or time by a number that is only claimed.

use std::collections::HashSet;

use super::Description;
use crate::config::{ClassWeights, MAX_UNITS, Task};
use crate::data::{Coding, Inputs, Preprocessing};
use crate::error::{Error, Result};
use crate::model::activations::Activations;

/// Deeper networks are no networks: the plan's size grows with the number of layers before the weights are seen.
const MOST_LAYERS: usize = 1000;

fn wrong(problem: impl Into<String>) -> Error {
    Error::output(problem).remedy("the file is damaged or was changed: train the model again")
}

/// A fault that the description has by the rules of run files.
pub(super) fn unfit(error: Error) -> Error {
    let fault = error.fault();
    let place = fault.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
    wrong(format!("describes a model that cannot be: {place}{}", fault.problem))
}

/// Checks all that does not need the weights; `bytes` is the file's length.
pub(super) fn description(description: &Description, bytes: usize) -> Result<()> {
    let layers = &description.model.layers;
    if layers.is_empty() || layers.len() > MOST_LAYERS {
        return Err(wrong(format!("describes a model of {} layers, {MOST_LAYERS} at most are possible", layers.len())));
    }
    // The first layer that has weights has some for each feature.
    match features(&description.preprocessing.inputs) {
        Some(features) if (1..=bytes / 4).contains(&features) => {}
        Some(features) => return Err(wrong(format!("claims {features} features, for which it has no weights"))),
        None => return Err(wrong("claims more features than can be counted")),
    }
    if let Some(ClassWeights::List(list)) = &description.loss.class_weights {
        let (weights, classes) = (list.len(), description.preprocessing.classes.len());
        if weights != classes {
            return Err(wrong(format!("has {weights} class weights for {classes} classes")));
        }
    }
    inputs(&description.preprocessing.inputs)?;
    targets(&description.preprocessing)
}

/// Checks that every activation is known: a program may have brought its own to training.
pub(super) fn activations(description: &Description, known: &Activations) -> Result<()> {
    let names = description.model.layers.iter().filter_map(|layer| layer.activation.as_deref());
    match names.into_iter().find(|name| known.find_output(name).is_err()) {
        Some(name) => Err(Error::output(format!("the model has the activation `{name}`, which is not built in"))
            .remedy("load it in the program that brings this activation, with TrainedModel::load_with")),
        None => Ok(()),
    }
}

/// How many columns the encoded features have.
fn features(inputs: &Inputs) -> Option<usize> {
    let count = match inputs {
        Inputs::Image(image) => image.height.checked_mul(image.width)?,
        Inputs::Columns(columns) => columns.iter().map(|column| column.coding.width()).sum(),
    };
    (count <= MAX_UNITS as usize).then_some(count)
}

fn inputs(inputs: &Inputs) -> Result<()> {
    match inputs {
        Inputs::Image(image) => {
            let finite = image.mean.is_finite() && image.deviation.is_finite();
            if !(finite && image.scale.is_finite() && image.shift.is_finite() && image.scale != 0.0) {
                return Err(wrong("scales images by a number that is none"));
            }
            Ok(())
        }
        Inputs::Columns(columns) => {
            let mut names = HashSet::new();
            for column in columns {
                let name = &column.name;
                if !names.insert(name) {
                    return Err(wrong(format!("has two columns \"{name}\"")));
                }
                match &column.coding {
                    Coding::Number { mean, deviation, fill } => {
                        let finite = [mean, deviation, fill].iter().all(|number| number.is_finite());
                        if !(finite && *deviation > 0.0) {
                            return Err(wrong(format!("scales the column \"{name}\" by a number that is none")));
                        }
                    }
                    Coding::Text { categories, .. } => {
                        if categories.iter().collect::<HashSet<_>>().len() != categories.len() {
                            return Err(wrong(format!("has a category of the column \"{name}\" twice")));
                        }
                    }
                }
            }
            Ok(())
        }
    }
}

fn targets(preprocessing: &Preprocessing) -> Result<()> {
    let Preprocessing { task, targets, classes, .. } = preprocessing;
    let names: HashSet<&String> = targets.iter().map(|target| &target.name).collect();
    if targets.is_empty() || names.len() != targets.len() {
        return Err(wrong("has no target, or one twice"));
    }
    let scale = |mean: f64, deviation: f64| mean.is_finite() && deviation.is_finite() && deviation > 0.0;
    if let Some(target) = targets.iter().find(|target| !scale(target.mean, target.deviation)) {
        return Err(wrong(format!("scales the target \"{}\" by a number that is none", target.name)));
    }
    let different = classes.iter().collect::<HashSet<_>>().len() == classes.len();
    let fits = match task {
        Task::Regression => classes.is_empty() && targets.iter().all(|target| !target.words),
        Task::Binary => classes.len() == 2 && targets.len() == 1 && different,
        Task::Classification => classes.len() >= 2 && targets.len() == 1 && different,
    };
    if !fits {
        let (classes, targets) = (classes.len(), targets.len());
        return Err(wrong(format!("has {classes} classes and {targets} targets, which its task cannot have")));
    }
    Ok(())
}

/// A variance below 0 would make NaN of every row.
pub(super) fn variances(weights: &[(String, Vec<f32>)]) -> Result<()> {
    for (name, values) in weights.iter().filter(|(name, _)| name.ends_with(".running_var")) {
        if let Some(value) = values.iter().find(|value| **value < 0.0) {
            return Err(wrong(format!("has the variance {value} in `{name}`")));
        }
    }
    Ok(())
}
