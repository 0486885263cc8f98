//! Losses with every output activation, for every goal.

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::model::activations::{ACTIVATIONS, EXP, IDENTITY, Output};
use wgrad::model::losses::{self, Form, LOSSES, MSE};
use wgrad::ops::Batch;
use wgrad::ops::loss::{Destination, Goal, Loss};

use crate::bench::{Bench, batch};
use crate::device::Test;
use crate::one_tile;

pub const TESTS: &[(&str, Test)] = &[
    ("loss_agrees_with_its_twin_for_every_output_goal_and_magnitude", every_loss),
    ("loss_agrees_with_its_twin_in_every_shape_and_place", every_shape),
];

/// Outputs and targets of one step.
struct Rows {
    loss: &'static losses::Loss,
    output: Output,
    goal: Goal,
    predict: bool,
    count: usize,
    outputs: usize,
    /// Largest magnitude of z.
    reach: f64,
}

impl Rows {
    fn step(&self, bench: &mut Bench) {
        let &Rows { loss, output, goal, predict, count, outputs, reach } = self;
        let (rows, data_rows, first, slot) = (count + 2, count + 7, 4, 3);
        let logits = bench.batch_input(rows, outputs, count, -reach..reach);
        let order = bench.order(first + rows, data_rows);
        let target_columns = if goal == Goal::Numbers { outputs } else { 1 };
        let mut targets = Vec::new();
        for _ in 0..data_rows {
            match goal {
                Goal::Numbers => targets.extend(bench.numbers(outputs, -2.0..2.0)),
                Goal::Binary => targets.extend(bench.whole(1, 2).iter().map(|&t| t as f32)),
                Goal::Class => targets.extend(bench.whole(1, outputs).iter().map(|&t| t as f32)),
            }
            targets.extend(bench.numbers(1, 0.5..2.0));
        }
        let targets = bench.input(data_rows, target_columns + 1, targets);
        let results = bench.output(slot + rows, 2);
        let destination = if predict {
            Destination::Predictions(bench.output(slot + rows, outputs))
        } else {
            Destination::Gradient(bench.output(rows, outputs))
        };
        let op = Loss {
            loss,
            output,
            goal,
            delta: 1.5,
            logits,
            order,
            targets,
            target_columns,
            results,
            destination,
            outputs,
        };
        let batch = Batch { first: first as u32, slot: slot as u32, ..batch(count) };
        bench.step(op, batch, count * (outputs + 2));
    }
}

/// Goals that a loss of so many outputs can have.
fn goals(loss: &losses::Loss, outputs: usize) -> Vec<Goal> {
    match loss.form {
        Form::CrossEntropy => vec![Goal::Class],
        Form::Pointwise(_) if outputs == 1 => vec![Goal::Numbers, Goal::Binary],
        Form::Pointwise(_) => vec![Goal::Numbers, Goal::Class],
    }
}

fn every_loss(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(21);
        let outputs = ACTIVATIONS.iter().map(|row| Output::Pointwise(row)).chain([Output::Softmax]);
        for output in size.choose(outputs.collect()) {
            for loss in LOSSES.iter().copied() {
                if matches!(loss.form, Form::CrossEntropy) && output != Output::Pointwise(&IDENTITY) {
                    continue;
                }
                for outputs in [1, 3] {
                    for goal in goals(loss, outputs) {
                        for (predict, reach) in [(false, 3.0f64), (false, 150.0), (true, 150.0)] {
                            // (e^z)² has to stay within f32.
                            let reach = if output == Output::Pointwise(&EXP) { reach.min(30.0) } else { reach };
                            Rows { loss, output, goal, predict, count: 23, outputs, reach }.step(&mut bench);
                        }
                    }
                }
            }
        }
        bench
    })
}

fn every_shape(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(22);
        let mut all = Vec::new();
        for count in [1, 2, 3, 63, 64, 65, 200] {
            for outputs in [1, 2, 4, 5, 33] {
                all.extend([(count, outputs, false), (count, outputs, true)]);
            }
        }
        for (count, outputs, predict) in size.choose(all) {
            for loss in [&MSE, &losses::CROSS_ENTROPY] {
                let goal = if matches!(loss.form, Form::CrossEntropy) { Goal::Class } else { Goal::Numbers };
                let output = Output::Pointwise(&IDENTITY);
                Rows { loss, output, goal, predict, count, outputs, reach: 4.0 }.step(&mut bench);
            }
        }
        bench
    })
}
