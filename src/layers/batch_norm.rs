//! Batch normalisation.

use super::builder::{Builder, Current, Wanted};
use super::resolve::Layer;
use crate::config;
use crate::model::activations::IDENTITY;
use crate::model::initializers::Distribution;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::batch_norm_grad::BatchNormGrad;
use crate::ops::{Edge, Input};

#[derive(Debug)]
pub(crate) struct Settings {
    momentum: f32,
    epsilon: f32,
}

pub(super) fn resolve(layer: &config::Layer) -> Settings {
    Settings { momentum: layer.momentum.unwrap_or(0.1) as f32, epsilon: layer.epsilon.unwrap_or(1e-5) as f32 }
}

pub(super) fn parameters(layer: &Layer) -> Vec<Wanted> {
    let wanted = |field: &str, offset| Wanted {
        name: format!("layers.{}.{field}", layer.index),
        rows: 1,
        columns: layer.units,
        is_matrix: false,
        start: Distribution::Zeros,
        offset,
    };
    vec![wanted("weight", 1.0), wanted("bias", 0.0)]
}

pub(super) fn emit(builder: &mut Builder, layer: &Layer, settings: &Settings, current: Current) -> Current {
    let name = format!("layers.{}", layer.index);
    let features = layer.units;
    let (Input::Batch { tensor: train_input, .. }, Input::Batch { tensor: evaluate_input, .. }) =
        (current.train, current.evaluate)
    else {
        unreachable!("only a dense layer reads the data set itself")
    };
    let weight = builder.parameter(&format!("{name}.weight")).expect("batch norm has a weight").clone();
    let bias = builder.parameter(&format!("{name}.bias")).expect("batch norm has a bias").clone();
    let forward = BatchNorm {
        input: evaluate_input,
        output: builder.activation(format!("{name}.output"), features),
        weight: weight.weight,
        bias: bias.weight,
        running_mean: builder.state(format!("{name}.running_mean"), features, 0.0),
        running_variance: builder.state(format!("{name}.running_var"), features, 1.0),
        statistics: builder.workspace(format!("{name}.statistics"), 2, features),
        features,
        momentum: settings.momentum,
        epsilon: settings.epsilon,
        training: false,
    };
    let (output, statistics) = (forward.output, forward.statistics);
    builder.evaluate(&name, forward.clone());
    builder.forward(&name, BatchNorm { input: train_input, training: true, ..forward });
    let gradient = builder.batch_gradient(&format!("{name}.output"), features);
    builder.backward(
        &name,
        BatchNormGrad {
            input: train_input,
            gradient,
            weight: weight.weight,
            statistics,
            weight_gradient: weight.gradient,
            bias_gradient: bias.gradient,
            below: current.below,
            features,
        },
    );
    let next = Input::Batch { tensor: output, features };
    let edge = Edge { activation: &IDENTITY, saved: output, drop: None };
    Current { train: next, evaluate: next, below: Some((edge, gradient)) }
}
