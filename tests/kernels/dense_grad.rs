//! The backward pass of dense layers.

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::model::activations::{Activation, IDENTITY, Saves, TANH};
use wgrad::ops::GpuTiles;
use wgrad::ops::dense_grad::{Below, DenseGrad};
use wgrad::ops::edge::Drop;
use wgrad::ops::{Edge, TensorId};

use crate::bench::Bench;
use crate::dense::{KINDS, Kind, input};
use crate::device::Test;
use crate::{Size, activations, all_classes, shapes};

pub const TESTS: &[(&str, Test)] = &[
    ("dense_grad_agrees_with_its_twin_in_every_shape", every_shape),
    ("dense_grad_reads_resident_rows_of_numbers_and_bytes_from_any_place", every_input),
    ("dense_grad_applies_the_derivative_of_every_activation_below_and_its_dropout", every_activation),
];

/// What the layer below saved: f(z) after dropout or z, for z in ±80 (e^80 times a sum stays within f32).
pub fn saved(
    bench: &mut Bench,
    activation: &Activation,
    drop: Option<Drop>,
    rows: usize,
    filled: usize,
    features: usize,
) -> TensorId {
    let sums = bench.numbers(filled * features, -80.0..80.0);
    let small = bench.numbers(filled * features, -3.0..3.0);
    let scale = drop.map_or(1.0, |drop| drop.scale());
    let kept = |(i, (large, small)): (usize, (f32, f32))| {
        let z = if i % 2 == 0 { large } else { small };
        match activation.saves {
            Saves::Output => (activation.twin.f32.value)(z) * scale,
            Saves::Input => z,
        }
    };
    let mut values: Vec<f32> = sums.into_iter().zip(small).enumerate().map(kept).collect();
    values.resize(rows * features, f32::NAN);
    bench.input(rows, features, values)
}

struct Layer {
    rows: usize,
    count: usize,
    features: usize,
    units: usize,
    tiles: GpuTiles,
    bias: bool,
    below: Option<(&'static Activation, Option<Drop>)>,
}

impl Layer {
    fn step(&self, bench: &mut Bench, kind: Kind) {
        let &Layer { rows, count, features, units, tiles, bias, below } = self;
        let (input, batch) = input(bench, kind, rows, count, features);
        let gradient = bench.batch_input(rows, units, count, -1.0..1.0);
        let weight_gradient = bench.output(units, features);
        let bias_gradient = bias.then(|| bench.output(1, units));
        let below = below.map(|(activation, drop)| {
            let values = bench.numbers(units * features, -1.0..1.0);
            let weight = bench.input(units, features, values);
            let saved = saved(bench, activation, drop, rows, count, features);
            Below { weight, edge: Edge { activation, saved, drop }, gradient: bench.output(rows, features) }
        });
        let made_below = if below.is_some() { count * features } else { 0 };
        let elements = units * features + if bias { units } else { 0 } + made_below;
        bench.step(DenseGrad { input, gradient, weight_gradient, bias_gradient, below, units, tiles }, batch, elements);
    }
}

fn every_shape(device: &Device) -> Result<(), Failed> {
    all_classes(device, |size, tiles| {
        let mut bench = Bench::new(11);
        let all = shapes(&[1, 2, 3, 15, 16, 17, 33], &[1, 2, 3, 5, 31, 32, 33, 65], &[1, 2, 3, 15, 16, 17, 33]);
        for (i, (count, features, units)) in size.choose(all).into_iter().enumerate() {
            let rows = count + i % 2 * 3;
            let below = (i % 5 > 0).then_some((&TANH, None));
            Layer { rows, count, features, units, tiles, bias: i % 3 > 0, below }.step(&mut bench, Kind::Batch);
        }
        let below = Some((&IDENTITY, None));
        // Wide layers, which have larger tiles.
        for (count, features, units) in [(31, 128, 129), (32, 129, 128), (33, 131, 160)] {
            Layer { rows: count + 1, count, features, units, tiles, bias: true, below }.step(&mut bench, Kind::Batch);
        }
        Layer { rows: 67, count: 67, features: 257, units: 260, tiles, bias: true, below }
            .step(&mut bench, Kind::Batch);
        Layer { rows: 3, count: 3, features: 1030, units: 1027, tiles, bias: true, below }
            .step(&mut bench, Kind::Batch);
        // A long sum over rows, and one over units.
        Layer { rows: 4096, count: 4096, features: 5, units: 3, tiles, bias: true, below }
            .step(&mut bench, Kind::Batch);
        Layer { rows: 3, count: 3, features: 5, units: 4096, tiles, bias: true, below }.step(&mut bench, Kind::Batch);
        bench
    })
}

fn every_input(device: &Device) -> Result<(), Failed> {
    all_classes(device, |size, tiles| {
        let mut bench = Bench::new(12);
        let counts: &[usize] = if size == Size::Full { &[1, 4, 19] } else { &[19] };
        for kind in KINDS {
            for bias in [false, true] {
                for &count in counts {
                    Layer { rows: count + 2, count, features: 35, units: 18, tiles, bias, below: None }
                        .step(&mut bench, kind);
                }
                // It has larger tiles.
                Layer { rows: 35, count: 33, features: 131, units: 130, tiles, bias, below: None }
                    .step(&mut bench, kind);
            }
        }
        bench
    })
}

fn every_activation(device: &Device) -> Result<(), Failed> {
    all_classes(device, |size, tiles| {
        let mut bench = Bench::new(13);
        for (activation, drop) in activations(size) {
            let below = Some((activation, drop));
            Layer { rows: 21, count: 18, features: 37, units: 6, tiles, bias: true, below }
                .step(&mut bench, Kind::Batch);
        }
        bench
    })
}
