//! More than 65,535 workgroups: the grid folds into two dimensions. One column takes a whole `vec4` on the device and
//! one number in the reference, which keeps these cheap.

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::model::activations::{IDENTITY, Output};
use wgrad::model::losses::MSE;
use wgrad::model::optimizers::{Optimizer, SGD};
use wgrad::ops::GpuTiles;
use wgrad::ops::dense::Dense;
use wgrad::ops::dropout::Dropout;
use wgrad::ops::gather::Gather;
use wgrad::ops::input::Encoding;
use wgrad::ops::loss::{Destination, Goal, Loss};
use wgrad::ops::update::{Penalty, Update};
use wgrad::ops::{Class, Input};

use crate::bench::{Bench, batch};
use crate::dense::DROP;
use crate::device::Test;
use crate::run;
use crate::update::{Range, range};

pub const TESTS: &[(&str, Test)] = &[
    ("dropout_folds_a_grid_beyond_65535_workgroups", dropout),
    ("gather_folds_a_grid_beyond_65535_workgroups", gather),
    ("loss_folds_a_grid_beyond_65535_workgroups", loss),
    ("update_folds_a_grid_beyond_65535_workgroups", update),
    ("dense_folds_a_grid_beyond_65535_workgroups", dense),
];

/// Rows that take 65,538 workgroups of 64.
const ROWS: usize = 65_537 * 64 + 5;

fn dropout(device: &Device) -> Result<(), Failed> {
    let mut bench = Bench::new(61);
    let input = bench.batch_input(ROWS, 1, ROWS, -1.0..1.0);
    let output = bench.output(ROWS, 1);
    bench.step(Dropout { input, output, features: 1, drop: DROP }, batch(ROWS), ROWS);
    run(device, bench, Class::Software, false).map(|_| ())
}

fn gather(device: &Device) -> Result<(), Failed> {
    let mut bench = Bench::new(62);
    let data = bench.batch_input(9, 1, 9, -1.0..1.0);
    let order = bench.order(ROWS, 9);
    let output = bench.output(ROWS, 1);
    let op = Gather { data, encoding: Encoding::F32, order, output, features: 1, rows: 0..9 };
    bench.step(op, batch(ROWS), ROWS);
    run(device, bench, Class::Software, false).map(|_| ())
}

fn loss(device: &Device) -> Result<(), Failed> {
    let mut bench = Bench::new(63);
    let op = Loss {
        loss: &MSE,
        output: Output::Pointwise(&IDENTITY),
        goal: Goal::Numbers,
        delta: 1.0,
        logits: bench.batch_input(ROWS, 1, ROWS, 1.0..2.0),
        order: bench.order(ROWS, 9),
        targets: bench.batch_input(9, 2, 9, 0.1..0.9),
        target_columns: 1,
        results: bench.output(ROWS, 2),
        destination: Destination::Gradient(bench.output(ROWS, 1)),
        outputs: 1,
    };
    bench.step(op, batch(ROWS), ROWS * 3);
    run(device, bench, Class::Software, false).map(|_| ())
}

fn update(device: &Device) -> Result<(), Failed> {
    let mut bench = Bench::new(64);
    let Range { parameters, length4, matrices4, elements } = range(&mut bench, &[(ROWS, 1), (1, 3)], SGD.slots);
    let optimizer = Optimizer { rule: &SGD, constants: (SGD.constants)(&[0.9, 0.0]) };
    let penalty = Penalty::default();
    let op = Update { optimizer, parameters, length4, matrices4, penalty, clip_value: None, clip_norm: None };
    bench.step(op, batch(1), elements * 2);
    run(device, bench, Class::Software, false).map(|_| ())
}

fn dense(device: &Device) -> Result<(), Failed> {
    for (class, tile_rows) in [(Class::Software, 16), (Class::Hardware, 32)] {
        let mut bench = Bench::new(65);
        let rows = 65_537 * tile_rows + 3;
        let op = Dense {
            input: Input::Batch { tensor: bench.batch_input(rows, 1, rows, -1.0..1.0), features: 1 },
            weight: bench.batch_input(1, 1, 1, 0.5..1.0),
            bias: None,
            output: bench.output(rows, 1),
            saved: None,
            units: 1,
            tiles: GpuTiles::Shared32,
            activation: &IDENTITY,
            drop: None,
        };
        bench.step(op, batch(rows), rows);
        run(device, bench, class, false)?;
    }
    Ok(())
}
