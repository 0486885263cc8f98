//! Batch norm, forwards and backwards.

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::model::activations::TANH;
use wgrad::ops::Edge;
use wgrad::ops::batch_norm::BatchNorm;
use wgrad::ops::batch_norm_grad::BatchNormGrad;

use crate::bench::{Bench, batch};
use crate::dense_grad::saved;
use crate::device::Test;
use crate::{activations, one_tile};

pub const TESTS: &[(&str, Test)] = &[
    ("batch_norm_agrees_with_its_twin_in_training_and_evaluation", forward),
    ("batch_norm_grad_agrees_with_its_twin_in_every_shape", backward),
    ("batch_norm_grad_applies_the_derivative_of_every_activation_below_and_its_dropout", every_activation),
];

const COUNTS: [usize; 6] = [1, 2, 3, 7, 64, 300];
/// 32 columns make a workgroup.
const FEATURES: [usize; 9] = [1, 2, 3, 4, 5, 31, 32, 33, 65];

fn sizes() -> Vec<(usize, usize)> {
    COUNTS.iter().flat_map(|&count| FEATURES.iter().map(move |&features| (count, features))).collect()
}

fn forward(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(41);
        for (count, features) in size.choose(sizes()) {
            for training in [false, true] {
                let rows = count + 2;
                let mut state = |from: f64, to: f64| {
                    let values = bench.numbers(features, from..to);
                    bench.input(1, features, values)
                };
                let (weight, bias) = (state(-2.0, 2.0), state(-1.0, 1.0));
                let (running_mean, running_variance) = (state(-1.0, 1.0), state(0.5, 2.0));
                let kept = bench.numbers(2 * features, -1.0..1.0);
                // Evaluation leaves the statistics of the last training step alone.
                let statistics = if training { bench.output(2, features) } else { bench.input(2, features, kept) };
                let op = BatchNorm {
                    input: bench.batch_input(rows, features, count, -1.0..3.0),
                    output: bench.output(rows, features),
                    weight,
                    bias,
                    running_mean,
                    running_variance,
                    statistics,
                    features,
                    momentum: 0.1,
                    epsilon: 1e-5,
                    training,
                };
                bench.step(op, batch(count), (count + 4) * features);
            }
        }
        bench
    })
}

fn backward_step(bench: &mut Bench, count: usize, features: usize, below: impl FnOnce(&mut Bench) -> Option<Edge>) {
    let rows = count + 2;
    let weight = bench.numbers(features, -2.0..2.0);
    let mut statistics = bench.numbers(features, -1.0..1.0);
    statistics.extend(bench.numbers(features, 0.5..2.0));
    let below = below(bench).map(|edge| (edge, bench.output(rows, features)));
    let op = BatchNormGrad {
        input: bench.batch_input(rows, features, count, -1.0..3.0),
        gradient: bench.batch_input(rows, features, count, -1.0..1.0),
        weight: bench.input(1, features, weight),
        statistics: bench.input(2, features, statistics),
        weight_gradient: bench.output(1, features),
        bias_gradient: bench.output(1, features),
        below,
        features,
    };
    bench.step(op, batch(count), (2 + if below.is_some() { count } else { 0 }) * features);
}

fn backward(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(42);
        for (count, features) in size.choose(sizes()) {
            backward_step(&mut bench, count, features, |_| None);
            backward_step(&mut bench, count, features, |bench| {
                let saved = saved(bench, &TANH, None, count + 2, count, features);
                Some(Edge { activation: &TANH, saved, drop: None })
            });
        }
        bench
    })
}

fn every_activation(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(43);
        for (activation, drop) in activations(size) {
            backward_step(&mut bench, 19, 37, |bench| {
                let saved = saved(bench, activation, drop, 21, 19, 37);
                Some(Edge { activation, saved, drop })
            });
        }
        bench
    })
}
