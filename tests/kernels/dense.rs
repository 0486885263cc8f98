//! The forward pass of dense layers.

use libtest_mimic::Failed;
use wgrad::gpu::{Device, Options};
use wgrad::model::activations::{ACTIVATIONS, Activation, IDENTITY};
use wgrad::ops::GpuTiles;
use wgrad::ops::dense::{Dense, needs_input};
use wgrad::ops::edge::Drop;
use wgrad::ops::input::Encoding;
use wgrad::ops::{Batch, Class, Input, TensorId};
use wgrad::plan::Role;

use crate::bench::{Bench, Content, batch};
use crate::device::Test;
use crate::{Size, activations, all_classes, shapes};

pub const TESTS: &[(&str, Test)] = &[
    ("dense_agrees_with_its_twin_in_every_shape", every_shape),
    ("dense_reads_resident_rows_of_numbers_and_bytes_from_any_place", every_input),
    ("dense_applies_every_activation_up_to_150_and_drops_the_same_units", every_activation),
    ("nan_stays_nan_in_every_activation", every_nan),
];

pub const DROP: Drop = Drop { rate: 0.3, key: 0x1234_5678 };

/// Ways to read a layer's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Batch,
    ResidentF32,
    ResidentU8,
}

pub const KINDS: [Kind; 3] = [Kind::Batch, Kind::ResidentF32, Kind::ResidentU8];

/// A layer's rows of that kind: a batch of `count` in tensors with room for `rows`, and the batch that finds them.
pub fn input(bench: &mut Bench, kind: Kind, rows: usize, count: usize, features: usize) -> (Input, Batch) {
    let here = batch(count);
    if kind == Kind::Batch {
        return (Input::Batch { tensor: bench.batch_input(rows, features, count, -1.0..1.0), features }, here);
    }
    let (data_rows, first) = (rows + 5, 3);
    let order = bench.order(first + rows, data_rows);
    let (content, encoding) = if kind == Kind::ResidentU8 {
        let bytes = bench.whole(data_rows * features, 256).into_iter().map(|byte| byte as u8).collect();
        (Content::U8(bytes), Encoding::U8 { scale: 1.0 / 128.0, shift: -0.75 })
    } else {
        (Content::F32(bench.numbers(data_rows * features, -1.0..1.0)), Encoding::F32)
    };
    let data = bench.tensor(Role::Features, data_rows, features, content);
    (Input::Resident { data, order, features, encoding }, Batch { first: first as u32, ..here })
}

/// A layer of `units` on `input`.
struct Layer {
    units: usize,
    rows: usize,
    tiles: GpuTiles,
    bias: bool,
    saves: bool,
    activation: &'static Activation,
    drop: Option<Drop>,
}

impl Layer {
    fn step(&self, bench: &mut Bench, input: Input, weight: TensorId, batch: Batch) {
        let (units, rows, tiles) = (self.units, self.rows, self.tiles);
        let bias = self.bias.then(|| {
            let values = bench.numbers(units, -1.0..1.0);
            bench.input(1, units, values)
        });
        let saved = self.saves.then(|| bench.output(rows, units));
        let output = bench.output(rows, units);
        let (activation, drop) = (self.activation, self.drop);
        let elements = batch.count as usize * units * (1 + usize::from(self.saves));
        bench.step(Dense { input, weight, bias, output, saved, units, tiles, activation, drop }, batch, elements);
    }
}

fn weight(bench: &mut Bench, units: usize, features: usize) -> TensorId {
    let values = bench.numbers(units * features, -1.0..1.0);
    bench.input(units, features, values)
}

fn every_shape(device: &Device) -> Result<(), Failed> {
    all_classes(device, |size, tiles| {
        let mut bench = Bench::new(1);
        let all = shapes(&[1, 2, 3, 15, 16, 17, 32, 33], &[1, 2, 3, 5, 15, 16, 17, 65], &[1, 2, 3, 31, 32, 33, 65]);
        for (i, (count, features, units)) in size.choose(all).into_iter().enumerate() {
            // Now a full batch, now one that ends before its tensors do.
            let rows = count + i % 2 * 4;
            let (input, batch) = input(&mut bench, Kind::Batch, rows, count, features);
            let weight = weight(&mut bench, units, features);
            let layer = Layer { units, rows, tiles, bias: i % 3 > 0, saves: false, activation: &IDENTITY, drop: None };
            layer.step(&mut bench, input, weight, batch);
        }
        // Wide layers, which have larger tiles.
        let edges = [(31, 128, 129), (32, 129, 128), (33, 131, 160), (130, 20, 131)];
        for (count, features, units) in edges.into_iter().chain([(67, 257, 260), (3, 1030, 1027)]) {
            let (input, batch) = input(&mut bench, Kind::Batch, count, count, features);
            let weight = weight(&mut bench, units, features);
            let layer =
                Layer { units, rows: count, tiles, bias: true, saves: false, activation: &IDENTITY, drop: None };
            layer.step(&mut bench, input, weight, batch);
        }
        // Deep enough for every iteration of the inner loops.
        let (input, batch) = input(&mut bench, Kind::Batch, 20, 20, 4096);
        let weight = weight(&mut bench, 36, 4096);
        let layer = Layer { units: 36, rows: 20, tiles, bias: true, saves: false, activation: &IDENTITY, drop: None };
        layer.step(&mut bench, input, weight, batch);
        bench
    })
}

fn every_input(device: &Device) -> Result<(), Failed> {
    all_classes(device, |size, tiles| {
        let mut bench = Bench::new(2);
        let counts: &[usize] = if size == Size::Full { &[1, 16, 19] } else { &[19] };
        for kind in KINDS {
            for (bias, saves) in [(false, false), (true, false), (false, true), (true, true)] {
                // The last one has larger tiles.
                let narrow = counts.iter().map(|&count| (count, 13, 34));
                for (count, features, units) in narrow.chain([(33, 131, 130)]) {
                    let rows = count + 2;
                    let (input, batch) = input(&mut bench, kind, rows, count, features);
                    let weight = weight(&mut bench, units, features);
                    let layer = Layer { units, rows, tiles, bias, saves, activation: &IDENTITY, drop: None };
                    layer.step(&mut bench, input, weight, batch);
                }
            }
        }
        bench
    })
}

/// Sums of exactly these values, and of a few random products.
fn every_activation(device: &Device) -> Result<(), Failed> {
    all_classes(device, |size, tiles| {
        let mut bench = Bench::new(3);
        for (activation, drop) in activations(size) {
            let saves = needs_input(activation);
            let mut sums: Vec<f32> = (-150..=150).map(|z| z as f32).collect();
            sums.extend([-1e-3, 1e-3, -1e-7, 1e-7, 87.9, 88.1, -87.9, -88.1]);
            sums.extend(bench.numbers(64, -8.0..8.0));
            sums.extend(bench.numbers(64, -150.0..150.0));
            let (rows, units) = (3, sums.len());
            let ones = bench.input(rows, 1, vec![1.0; rows]);
            let weight = bench.input(units, 1, sums);
            let layer = Layer { units, rows, tiles, bias: false, saves, activation, drop };
            layer.step(&mut bench, Input::Batch { tensor: ones, features: 1 }, weight, batch(rows));
        }
        bench
    })
}

fn every_nan(device: &Device) -> Result<(), Failed> {
    for tiles in GpuTiles::ALL {
        let mut bench = Bench::new(4);
        for activation in ACTIVATIONS {
            let sums = vec![f32::NAN, -100.0, -1.0, -0.0, 0.0, 1.0, 100.0, f32::NAN];
            let units = sums.len();
            let one = bench.input(1, 1, vec![1.0]);
            let weight = bench.input(units, 1, sums);
            let layer = Layer { units, rows: 1, tiles, bias: false, saves: false, activation, drop: None };
            layer.step(&mut bench, Input::Batch { tensor: one, features: 1 }, weight, batch(1));
        }
        for class in [device.class(), Class::Hardware] {
            let strange = bench.run_strange(device, Options { class: Some(class), ..Options::default() })?;
            if strange != 2 * ACTIVATIONS.len() {
                return Err(format!("{strange} results are not finite").into());
            }
        }
    }
    Ok(())
}
