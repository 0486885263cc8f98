//! Optimizer steps on flat ranges of parameters, and the norm that clips them.

use libtest_mimic::Failed;
use wgrad::gpu::{Device, Options};
use wgrad::model::optimizers::{ADAGRAD, ADAM, ADAMW, OPTIMIZERS, Optimizer, RMSPROP, Rule, SGD};
use wgrad::ops::TensorId;
use wgrad::ops::norm::{Norm, PARTIALS};
use wgrad::ops::update::{ClipNorm, Parameter, Penalty, Update};
use wgrad::plan::{Role, flat_elements};

use crate::bench::{Bench, Content, batch};
use crate::device::Test;
use crate::{Size, one_tile, run};
use wgrad::ops::Class;

pub const TESTS: &[(&str, Test)] = &[
    ("update_agrees_with_its_twin_for_every_optimizer_penalty_and_clip", every_optimizer),
    ("update_agrees_with_its_twin_in_every_shape", every_shape),
    ("infinite_gradients_are_clipped_and_nan_is_kept", strange_gradients),
    ("every_optimizer_has_settings_here", every_rule_is_covered),
    ("norm_agrees_with_its_twin_and_leaves_other_partial_sums_alone", every_norm),
];

/// Each rule with settings that reach every branch of its formula.
fn optimizers() -> Vec<(&'static Rule, Vec<Vec<f64>>)> {
    vec![
        (&SGD, vec![vec![0.0, 0.0], vec![0.9, 0.0], vec![0.9, 1.0]]),
        (&ADAGRAD, vec![vec![1e-10]]),
        (&RMSPROP, vec![vec![0.99, 1e-8, 0.0, 0.0], vec![0.9, 1e-8, 0.5, 1.0]]),
        (&ADAM, vec![vec![0.9, 0.999, 1e-8]]),
        (&ADAMW, vec![vec![0.9, 0.999, 1e-8, 0.1]]),
    ]
}

fn every_rule_is_covered(_: &Device) -> Result<(), Failed> {
    let covered: Vec<&str> = optimizers().iter().map(|(rule, _)| rule.name).collect();
    let all: Vec<&str> = OPTIMIZERS.iter().map(|rule| rule.name).collect();
    if covered == all { Ok(()) } else { Err(format!("{covered:?} are tested of {all:?}").into()) }
}

/// Parameters that lie one after the other, matrices (more than one row) first.
pub struct Range {
    pub parameters: Vec<Parameter>,
    pub length4: u32,
    pub matrices4: u32,
    pub elements: usize,
}

/// The gradients of a range have a slot's role: it lies flat too, and counts as filled by the host.
const GRADIENTS: Role = Role::Slot(100);

pub fn range(bench: &mut Bench, shapes: &[(usize, usize)], slots: &[&str]) -> Range {
    let mut add = |role: Role, from: f64, to: f64| -> Vec<TensorId> {
        let one = |&(rows, columns): &(usize, usize)| {
            let values = bench.numbers(rows * columns, from..to);
            bench.tensor(role, rows, columns, Content::F32(values))
        };
        shapes.iter().map(one).collect()
    };
    let weights = add(Role::Parameter, -1.0, 1.0);
    let gradients = add(GRADIENTS, -1.0, 1.0);
    let slots: Vec<Vec<TensorId>> = (slots.iter().enumerate())
        .map(|(n, &slot)| if slot == "squares" { add(Role::Slot(n), 0.5, 1.5) } else { add(Role::Slot(n), -0.5, 0.5) })
        .collect();
    let (mut parameters, mut used, mut length4, mut matrices4) = (Vec::new(), 0, 0, 0);
    for (i, &(rows, columns)) in shapes.iter().enumerate() {
        let tensor = wgrad::plan::Tensor {
            name: String::new(),
            role: Role::Parameter,
            element: wgrad::plan::Element::F32,
            rows,
            columns,
        };
        let is_matrix = rows > 1;
        parameters.push(Parameter {
            weight: weights[i],
            gradient: gradients[i],
            slots: slots.iter().map(|slot| slot[i]).collect(),
            is_matrix,
            offset4: (used / 4) as u32,
            columns,
        });
        length4 = ((used + tensor.padded()) / 4) as u32;
        matrices4 = if is_matrix { length4 } else { matrices4 };
        used += flat_elements(&tensor);
    }
    let elements = shapes.iter().map(|(rows, columns)| rows * columns).sum();
    Range { parameters, length4, matrices4, elements }
}

struct Settings {
    optimizer: Optimizer,
    penalty: Penalty,
    clip_value: Option<f32>,
    clip_norm: Option<f32>,
}

impl Settings {
    /// Adds the step; delivers the gradients that it reads.
    fn step(&self, bench: &mut Bench, shapes: &[(usize, usize)]) -> Vec<TensorId> {
        let rule = self.optimizer.rule;
        let Range { parameters, length4, matrices4, elements } = range(bench, shapes, rule.slots);
        let clip_norm = self.clip_norm.map(|limit| {
            let count = 2 * PARTIALS;
            let sums = bench.numbers(count, 0.0..0.1);
            ClipNorm { limit, partials: bench.input(count, 1, sums), count }
        });
        let (optimizer, penalty, clip_value) = (self.optimizer, self.penalty, self.clip_value);
        let op = Update { optimizer, parameters, length4, matrices4, penalty, clip_value, clip_norm };
        let gradients = op.parameters.iter().map(|parameter| parameter.gradient).collect();
        bench.step(op, batch(1), elements * (1 + rule.slots.len()));
        gradients
    }
}

const SOME: Penalty = Penalty { l1: 0.02, l2: 0.1 };

fn every_optimizer(device: &Device) -> Result<(), Failed> {
    one_tile(device, |size| {
        let mut bench = Bench::new(31);
        for (rule, settings) in optimizers() {
            let least = if size == Size::Full { settings.len() } else { 1 };
            for setting in settings.into_iter().take(least) {
                let optimizer = Optimizer { rule, constants: (rule.constants)(&setting) };
                for penalty in [Penalty::default(), SOME] {
                    for clip_value in [None, Some(0.4)] {
                        // The partial sums add up to a norm near 2.5: one limit shrinks, one does not.
                        for clip_norm in [None, Some(1.0), Some(5.0)] {
                            let shapes = [(5, 7), (3, 130), (1, 5), (1, 1)];
                            Settings { optimizer, penalty, clip_value, clip_norm }.step(&mut bench, &shapes);
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
        let mut bench = Bench::new(32);
        let optimizer = Optimizer { rule: &ADAMW, constants: (ADAMW.constants)(&[0.9, 0.999, 1e-8, 0.1]) };
        let settings = Settings { optimizer, penalty: SOME, clip_value: None, clip_norm: None };
        // 64 vec4s make a workgroup.
        let mut all = vec![vec![(1, 1)], vec![(1, 3)], vec![(2, 1)], vec![(3, 2)], vec![(2, 3), (1, 2)]];
        for columns in [252, 255, 256, 257, 260, 1000] {
            all.extend([
                vec![(1, columns)],
                vec![(2, columns), (1, 7)],
                vec![(7, 5), (3, columns), (1, 3), (1, columns)],
            ]);
        }
        for shapes in size.choose(all) {
            settings.step(&mut bench, &shapes);
        }
        bench
    })
}

fn strange_gradients(device: &Device) -> Result<(), Failed> {
    let optimizer = Optimizer { rule: &SGD, constants: (SGD.constants)(&[0.0, 0.0]) };
    let strange = [f32::INFINITY, f32::NEG_INFINITY, -f32::NAN, f32::NAN, 2.0, 0.1];
    // Infinity is clipped by value as any other large number; a norm alone leaves it infinite.
    for (clip_value, clip_norm, expected) in [(Some(0.4), None, 2), (Some(0.4), Some(1.0), 2), (None, Some(1.0), 4)] {
        let mut bench = Bench::new(34);
        let settings = Settings { optimizer, penalty: Penalty::default(), clip_value, clip_norm };
        let gradients = settings.step(&mut bench, &[(1, strange.len())]);
        bench.replace(gradients[0], strange.to_vec());
        let found = bench.run_strange(device, Options::default())?;
        // The weights and the one slot of the optimizer.
        if found != 2 * expected {
            return Err(format!("{found} results are not finite after {clip_value:?}, {clip_norm:?}").into());
        }
        // The reference has no bounds for what was infinite times the factor of a norm.
        if clip_norm.is_none() {
            let (mut large, mut whole) = (Bench::new(34), strange);
            whole[2..4].copy_from_slice(&[-3.0, 3.0]);
            let gradients = settings.step(&mut large, &[(1, whole.len())]);
            large.replace(gradients[0], whole.to_vec());
            run(device, large, Class::Software, false)?;
        }
    }
    Ok(())
}

fn every_norm(device: &Device) -> Result<(), Failed> {
    for checked in [false, true] {
        let mut bench = Bench::new(33);
        // The last is more than 64 workgroups of 64 vec4s: they go round.
        let all: [&[(usize, usize)]; 5] =
            [&[(1, 1)], &[(2, 3), (1, 3)], &[(17, 15), (1, 17)], &[(64, 64), (3, 5)], &[(129, 130), (70, 5), (1, 129)]];
        for shapes in all {
            for penalty in [Penalty::default(), SOME] {
                for offset in [0, PARTIALS] {
                    let Range { parameters, length4, matrices4, .. } = range(&mut bench, shapes, &[]);
                    let partials = bench.output(2 * PARTIALS, 1);
                    let op = Norm { parameters, length4, matrices4, penalty, partials, offset };
                    bench.step(op, batch(1), PARTIALS);
                }
            }
        }
        run(device, bench, Class::Software, checked)?;
    }
    Ok(())
}
