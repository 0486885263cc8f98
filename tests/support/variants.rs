//! One op for every kernel that a plan can ask for, with made-up tensors: for tests that look at shaders only.

use wgrad::model::activations::{ACTIVATIONS, IDENTITY, Output};
use wgrad::model::losses::{Form, LOSSES};
use wgrad::model::optimizers::{CONSTANTS, OPTIMIZERS, Optimizer};
use wgrad::ops::GpuTiles;
use wgrad::ops::batch_norm::BatchNorm;
use wgrad::ops::batch_norm_grad::BatchNormGrad;
use wgrad::ops::dense::{Dense, needs_input};
use wgrad::ops::dense_grad::{Below, DenseGrad};
use wgrad::ops::dropout::Dropout;
use wgrad::ops::edge::Drop;
use wgrad::ops::gather::Gather;
use wgrad::ops::input::Encoding;
use wgrad::ops::loss::{Destination, Goal, Loss};
use wgrad::ops::norm::Norm;
use wgrad::ops::update::{ClipNorm, Parameter, Penalty, Update};
use wgrad::ops::{Edge, Input, Op, TensorId};

const DROP: Drop = Drop { rate: 0.25, key: 7 };

/// Every op in every variant that changes its shader.
pub fn variants() -> Vec<Box<dyn Op>> {
    let mut all: Vec<Box<dyn Op>> = Vec::new();
    for input in inputs() {
        for flag in [false, true] {
            for drop in [None, Some(DROP)] {
                for tiles in GpuTiles::ALL {
                    all.extend(dense_of(3, tiles, input, flag, drop));
                    all.extend(dense_grad_of(3, tiles, input, flag, drop));
                }
            }
        }
    }
    // Wide layers have larger tiles on a software adapter.
    let (input, tiles) = (Input::Batch { tensor: TensorId(0), features: 256 }, GpuTiles::Slices);
    all.extend(dense_of(256, tiles, input, true, None).into_iter().chain(dense_grad_of(256, tiles, input, true, None)));
    all.extend(losses());
    all.extend(updates());
    all.extend(batch_norms());
    for encoding in [Encoding::F32, Encoding::U8 { scale: 1.0, shift: 0.0 }] {
        let (data, order, output) = (TensorId(0), TensorId(1), TensorId(2));
        all.push(Box::new(Gather { data, encoding, order, output, features: 3, rows: 0..9 }));
    }
    all.push(Box::new(Dropout { input: TensorId(0), output: TensorId(1), features: 3, drop: DROP }));
    all
}

/// The three ways to read a layer's rows.
fn inputs() -> [Input; 3] {
    let (data, order, features) = (TensorId(0), TensorId(1), 5);
    [
        Input::Batch { tensor: data, features },
        Input::Resident { data, order, features, encoding: Encoding::F32 },
        Input::Resident { data, order, features, encoding: Encoding::U8 { scale: 0.5, shift: -1.0 } },
    ]
}

fn dense_of(units: usize, tiles: GpuTiles, input: Input, bias: bool, drop: Option<Drop>) -> Vec<Box<dyn Op>> {
    let mut all: Vec<Box<dyn Op>> = Vec::new();
    for activation in ACTIVATIONS.iter().copied() {
        // Evaluation saves nothing, whatever the derivative needs.
        for saves in [false, true] {
            all.push(Box::new(Dense {
                input,
                weight: TensorId(2),
                bias: bias.then_some(TensorId(3)),
                output: TensorId(4),
                saved: (saves && needs_input(activation)).then_some(TensorId(5)),
                units,
                tiles,
                activation,
                drop,
            }));
        }
    }
    all
}

fn dense_grad_of(units: usize, tiles: GpuTiles, input: Input, bias: bool, drop: Option<Drop>) -> Vec<Box<dyn Op>> {
    let op = DenseGrad {
        input,
        gradient: TensorId(2),
        weight_gradient: TensorId(3),
        bias_gradient: bias.then_some(TensorId(4)),
        below: None,
        units,
        tiles,
    };
    let below = |activation| Below {
        weight: TensorId(5),
        edge: Edge { activation, saved: TensorId(6), drop },
        gradient: TensorId(7),
    };
    let mut all: Vec<Box<dyn Op>> = vec![Box::new(op.clone())];
    // What reads the data set has nothing trained below, and would need nine bindings.
    if matches!(input, Input::Batch { .. }) {
        for activation in ACTIVATIONS.iter().copied() {
            all.push(Box::new(DenseGrad { below: Some(below(activation)), ..op.clone() }));
        }
    }
    all
}

fn losses() -> Vec<Box<dyn Op>> {
    let mut all: Vec<Box<dyn Op>> = Vec::new();
    let outputs = ACTIVATIONS.iter().map(|row| Output::Pointwise(row)).chain([Output::Softmax]);
    for output in outputs {
        for loss in LOSSES.iter().copied() {
            if matches!(loss.form, Form::CrossEntropy) && output != Output::Pointwise(&IDENTITY) {
                continue;
            }
            for destination in [Destination::Gradient(TensorId(3)), Destination::Predictions(TensorId(3))] {
                all.push(Box::new(Loss {
                    loss,
                    output,
                    goal: Goal::Class,
                    delta: 1.0,
                    logits: TensorId(0),
                    order: TensorId(1),
                    targets: TensorId(2),
                    target_columns: 1,
                    results: TensorId(4),
                    destination,
                    outputs: 3,
                }));
            }
        }
    }
    all
}

fn updates() -> Vec<Box<dyn Op>> {
    let partials = TensorId(9);
    let mut all: Vec<Box<dyn Op>> = Vec::new();
    for rule in OPTIMIZERS.iter().copied() {
        let slots = (0..rule.slots.len()).map(|slot| TensorId(2 + slot)).collect();
        let (weight, gradient) = (TensorId(0), TensorId(1));
        let parameters = vec![Parameter { weight, gradient, slots, is_matrix: true, offset4: 0, columns: 4 }];
        for clip_norm in [None, Some(ClipNorm { limit: 1.0, partials, count: 64 })] {
            all.push(Box::new(Update {
                optimizer: Optimizer { rule, constants: [0.5; CONSTANTS] },
                parameters: parameters.clone(),
                length4: 1,
                matrices4: 1,
                penalty: Penalty::default(),
                clip_value: None,
                clip_norm,
            }));
        }
        let penalty = Penalty::default();
        all.push(Box::new(Norm { parameters, length4: 1, matrices4: 1, penalty, partials, offset: 0 }));
    }
    all
}

fn batch_norms() -> Vec<Box<dyn Op>> {
    let mut all: Vec<Box<dyn Op>> = vec![Box::new(BatchNorm {
        input: TensorId(0),
        weight: TensorId(1),
        bias: TensorId(2),
        running_mean: TensorId(3),
        running_variance: TensorId(4),
        statistics: TensorId(5),
        output: TensorId(6),
        features: 3,
        momentum: 0.1,
        epsilon: 1e-5,
        training: true,
    })];
    let op = BatchNormGrad {
        input: TensorId(0),
        gradient: TensorId(1),
        weight: TensorId(2),
        statistics: TensorId(3),
        weight_gradient: TensorId(4),
        bias_gradient: TensorId(5),
        below: None,
        features: 3,
    };
    all.push(Box::new(op.clone()));
    for activation in ACTIVATIONS.iter().copied() {
        for drop in [None, Some(DROP)] {
            let edge = Edge { activation, saved: TensorId(6), drop };
            all.push(Box::new(BatchNormGrad { below: Some((edge, TensorId(7))), ..op.clone() }));
        }
    }
    all
}
