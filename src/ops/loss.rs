//! `loss`: each row's loss, whether the row is answered correctly, and either the gradient of the last layer's sums or
//! the network's predictions. Shader: `shaders/ops/loss.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::{Argument, Batch, Cells, Class, Immediates, Op, Region, TensorId, Tile, passes, pitch4, twins, wgsl};
use crate::compute::{AHEAD, fetch};
use crate::model::activations::{IDENTITY, Output, Saves};
use crate::model::losses::{self, Form};
use crate::model::real::Real;

/// What a row's targets mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// A number for each output.
    Numbers,
    /// 0 or 1; right when the prediction is on the same side of 0.5.
    Binary,
    /// The number of the class; right when its output is the largest.
    Class,
}

/// z, dz and outputs `[rows, outputs]`; targets `[data rows, target columns + 1]`, the last column being the row's
/// weight; results `[rows, 2]`: the row's share of the mean loss times the batch's rows, and 1 if it is right.
#[derive(Debug, Clone)]
pub struct Loss {
    /// Its row of the table.
    pub loss: &'static losses::Loss,
    /// What turns sums into answers.
    pub output: Output,
    /// What the targets are.
    pub goal: Goal,
    /// Huber's.
    pub delta: f32,
    /// The last layer's sums, `[count, outputs]`.
    pub logits: TensorId,
    /// Data rows in the order of batches.
    pub order: TensorId,
    /// Targets and the row's weight, `[rows, target_columns + 1]`.
    pub targets: TensorId,
    /// Numbers of a row's target.
    pub target_columns: usize,
    /// Loss and correctness of each row, `[window, 2]`.
    pub results: TensorId,
    /// What else is written.
    pub destination: Destination,
    /// Columns of the logits.
    pub outputs: usize,
}

/// What a loss writes besides each row's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Training: the gradient of the batch's mean loss with respect to z.
    Gradient(TensorId),
    /// Evaluation: what the network answers.
    Predictions(TensorId),
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    count: u32,
    first: u32,
    slot: u32,
    outputs: u32,
    z_pitch: u32,
    t_pitch: u32,
    target_columns: u32,
    goal: u32,
    predict: u32,
    scale: f32,
    delta: f32,
}

impl Loss {
    fn target_pitch(&self) -> usize {
        self.target_columns + 1
    }

    fn predicts(&self) -> bool {
        matches!(self.destination, Destination::Predictions(_))
    }

    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let z = cells.read(self.logits);
        let (order, targets) = (cells.integers(self.order), cells.read(self.targets));
        let mut results = cells.write(self.results);
        let (destination, offset) = match self.destination {
            Destination::Gradient(tensor) => (tensor, 0),
            Destination::Predictions(tensor) => (tensor, batch.slot as usize),
        };
        let mut destination = cells.write(destination);
        // What lies beyond the batch's own may be rows of other data.
        let order = &order[batch.first as usize..][..batch.count as usize];
        for (m, &row) in order.iter().enumerate() {
            if let Some(&ahead) = order.get(m + AHEAD) {
                fetch(&targets[ahead as usize * self.target_pitch()]);
            }
            let row = row as usize;
            let target = &targets[row * self.target_pitch()..(row + 1) * self.target_pitch()];
            let z = &z[m * self.outputs..(m + 1) * self.outputs];
            let out = &mut destination[(offset + m) * self.outputs..(offset + m + 1) * self.outputs];
            let weight = target[self.target_columns] * T::from_f32(batch.scale);
            let value = match &self.loss.form {
                Form::CrossEntropy => cross_entropy(z, target[0].value() as usize, weight, self.predicts(), out),
                Form::Pointwise(twin) => self.pointwise(T::pick(twin), z, target, weight, out),
            };
            let slot = 2 * (batch.slot as usize + m);
            results[slot] = value * weight * T::from_f32(batch.count as f32);
            results[slot + 1] = self.score(z, target[0]);
        }
    }

    /// The row's mean loss over its outputs; writes gradients or predictions to `out`.
    fn pointwise<T: Real>(&self, l: &losses::Functions<T>, z: &[T], t: &[T], weight: T, out: &mut [T]) -> T {
        let delta = T::from_f32(self.delta);
        let share = T::one() / T::of(self.outputs as f64);
        let target = |j: usize| match self.goal {
            Goal::Class => T::of(f64::from(u8::from(t[0].value() as usize == j))),
            _ => t[j],
        };
        let y = self.activated(z);
        let value = T::sum((0..z.len()).map(|j| (l.value)(y(j), target(j), delta))) * share;
        if self.predicts() {
            (0..z.len()).for_each(|j| out[j] = (l.prediction)(y(j)));
            return value;
        }
        let dy = |j: usize| (l.derivative)(y(j), target(j), delta) * weight * share;
        match self.output {
            Output::Pointwise(row) => {
                let derivative = T::pick(&row.twin).derivative;
                for j in 0..z.len() {
                    out[j] = dy(j) * derivative(if row.saves == Saves::Output { y(j) } else { z[j] });
                }
            }
            Output::Softmax => {
                let inner = T::sum((0..z.len()).map(|i| dy(i) * y(i)));
                (0..z.len()).for_each(|j| out[j] = y(j) * (dy(j) - inner));
            }
        }
        value
    }

    /// The network's answer before the loss, by output.
    fn activated<T: Real>(&self, z: &[T]) -> impl Fn(usize) -> T {
        let (value, (greatest, sum)) = match self.output {
            Output::Pointwise(row) => (Some(T::pick(&row.twin).value), (T::zero(), T::one())),
            Output::Softmax => (None, softmax_parts(z)),
        };
        move |j| match value {
            Some(value) => value(z[j]),
            None => (z[j] - greatest).exp() / sum,
        }
    }

    /// 1 where the row is answered correctly. Output activations rise with z, but not all are 0.5 at 0.
    fn score<T: Real>(&self, z: &[T], target: T) -> T {
        match self.goal {
            Goal::Numbers => T::zero(),
            Goal::Binary => {
                let Form::Pointwise(twin) = &self.loss.form else { unreachable!("cross entropy has classes") };
                let above = (T::pick(twin).prediction)(self.activated(z)(0)).at_least(0.5);
                if target > T::of(0.5) { above } else { T::one() - above }
            }
            Goal::Class => {
                let best = (1..z.len()).fold(0, |best, j| if z[j] > z[best] { j } else { best });
                T::of(f64::from(u8::from(best == target.value() as usize)))
            }
        }
    }
}

fn softmax_parts<T: Real>(z: &[T]) -> (T, T) {
    let greatest = z.iter().copied().fold(z[0], T::maximum);
    (greatest, T::sum(z.iter().map(|&z| (z - greatest).exp())))
}

fn cross_entropy<T: Real>(z: &[T], class: usize, weight: T, predict: bool, out: &mut [T]) -> T {
    let greatest = z.iter().copied().fold(z[0], T::maximum);
    out.iter_mut().zip(z).for_each(|(out, &z)| *out = (z - greatest).exp());
    let sum = T::sum(out.iter().copied());
    for (j, out) in out.iter_mut().enumerate() {
        let p = *out / sum;
        let t = T::of(f64::from(u8::from(j == class)));
        *out = if predict { p } else { (p - t) * weight };
    }
    sum.ln() - (z[class] - greatest)
}

impl Op for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn arguments(&self) -> Vec<Argument> {
        let (Destination::Gradient(destination) | Destination::Predictions(destination)) = self.destination;
        vec![
            Argument::read(self.logits),
            Argument::read(self.order),
            Argument::read(self.targets),
            Argument::write(destination),
            Argument::write(self.results),
        ]
    }

    fn sources(&self, _: Class) -> Vec<String> {
        let mut sources = vec![wgsl!("ops/loss.wgsl"), self.loss.wgsl.to_owned()];
        if matches!(self.loss.form, Form::CrossEntropy) {
            return sources;
        }
        sources.push(match self.output {
            Output::Pointwise(_) => wgsl!("lib/output_pointwise.wgsl"),
            Output::Softmax => wgsl!("lib/output_softmax.wgsl"),
        });
        if let Output::Pointwise(row) = self.output {
            sources.push(row.wgsl.to_owned());
            sources.push(match row.saves {
                Saves::Output => wgsl!("lib/saved_output.wgsl"),
                Saves::Input => wgsl!("lib/saved_input.wgsl"),
            });
        }
        sources
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        Immediates::of(&Params {
            count: batch.count,
            first: batch.first,
            slot: batch.slot,
            outputs: self.outputs as u32,
            z_pitch: pitch4(self.outputs) * 4,
            t_pitch: pitch4(self.target_pitch()) * 4,
            target_columns: self.target_columns as u32,
            goal: self.goal as u32,
            predict: u32::from(self.predicts()),
            scale: batch.scale,
            delta: self.delta,
        })
    }

    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        u64::from(batch.count.div_ceil(tile.threads))
    }

    fn flops(&self, batch: &Batch) -> u64 {
        // An estimate: a dozen operations for each output.
        12 * u64::from(batch.count) * self.outputs as u64
    }

    fn iterations(&self, _: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        let over_outputs = match (&self.loss.form, self.output) {
            (Form::CrossEntropy, _) => 3,
            (_, Output::Pointwise(_)) => 1,
            (_, Output::Softmax) => 4,
        };
        // The greatest output, for the accuracy, and what fills up a vec4.
        let outputs = self.outputs as u64;
        let greatest = passes(if self.goal == Goal::Class { outputs } else { 0 });
        vec![(self.workgroups(batch, tile), over_outputs * passes(outputs) + greatest + passes(3_u64))]
    }

    fn written(&self, tensor: TensorId, batch: &Batch) -> Region {
        match self.destination {
            Destination::Gradient(gradient) if gradient == tensor => Region::Rows(0..batch.count as usize),
            _ => Region::Rows(batch.slot as usize..(batch.slot + batch.count) as usize),
        }
    }

    twins!();
}

/// The output activation that `loss` applies: what is inside the loss is applied once even if the layer names it too.
pub fn output_of(loss: &losses::Loss, layer: Output) -> Output {
    match loss.inside {
        Some(inside) if inside == layer => Output::Pointwise(&IDENTITY),
        _ => layer,
    }
}
