//! `update`: one optimizer step on a flat range of parameters, with l1 and l2 penalties and clipping.
//! Shader: `shaders/ops/update.wgsl` with one of `shaders/optimizers`.

use bytemuck::{Pod, Zeroable};

use super::{
    Access, Argument, Batch, Binding, Cells, Class, Immediates, Op, Region, TensorId, Tile, passes, twins, wgsl,
};
use crate::model::optimizers::{At, Optimizer};
use crate::model::real::Real;

/// The most slots an optimizer has.
const SLOTS: usize = 3;

/// Parameters that one thread takes at least: some 4 µs of work.
const CHUNK: usize = 4096;

/// A parameter with the tensors of the same shape that belong to it.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The weights themselves.
    pub weight: TensorId,
    /// Their gradient, of the same shape.
    pub gradient: TensorId,
    /// What the optimizer remembers of them, of the same shape each.
    pub slots: Vec<TensorId>,
    /// Penalties and weight decay concern weight matrices only.
    pub is_matrix: bool,
    /// Where its padded rows start within the range, in `vec4`s, and how long a row is without padding.
    pub offset4: u32,
    /// Numbers of a row.
    pub columns: usize,
}

/// l1·Σ|w| + (l2/2)·Σw² over weight matrices.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Penalty {
    /// Of Σ|w|.
    pub l1: f32,
    /// Of Σw²/2.
    pub l2: f32,
}

impl Penalty {
    /// The gradient with the penalty's own.
    pub(super) fn add<T: Real>(&self, g: T, w: T, is_matrix: bool) -> T {
        if !is_matrix || *self == Penalty::default() {
            return g;
        }
        g + T::from_f32(self.l2) * w + T::from_f32(self.l1) * w.sign()
    }
}

/// A limit for the norm of all gradients together.
#[derive(Debug, Clone, Copy)]
pub struct ClipNorm {
    /// The largest norm.
    pub limit: f32,
    /// The sums of squares that `norm` left, `[count, 1]`.
    pub partials: TensorId,
    /// How many.
    pub count: usize,
}

/// Parameters that lie one after the other, weight matrices first.
#[derive(Debug, Clone)]
pub struct Update {
    /// The rule with its settings.
    pub optimizer: Optimizer,
    /// One range of neighbours.
    pub parameters: Vec<Parameter>,
    /// `vec4`s of the whole range and of its weight matrices, padding included.
    pub length4: u32,
    /// The length of its weight matrices, which come first, likewise.
    pub matrices4: u32,
    /// What is added to the gradients of weight matrices.
    pub penalty: Penalty,
    /// Largest absolute value of a gradient.
    pub clip_value: Option<f32>,
    /// Largest norm of all gradients together.
    pub clip_norm: Option<ClipNorm>,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    length: u32,
    matrices: u32,
    partials: u32,
    clip_norm: f32,
    clip_value: f32,
    l1: f32,
    l2: f32,
    learning_rate: f32,
    correction1: f32,
    correction2: f32,
    padding: [u32; 2],
    constants: [f32; 8],
}

impl Update {
    /// What the gradient is multiplied by to bring the global norm down to the limit, as torch.nn.utils.clip_grad_norm_.
    fn shrink<T: Real>(&self, cells: &Cells<T>) -> T {
        let Some(ClipNorm { limit, partials, .. }) = self.clip_norm else { return T::one() };
        let norm = T::sum(cells.read(partials).iter().copied()).sqrt();
        (T::from_f32(limit) / (norm + T::from_f32(1e-6))).minimum(T::one())
    }

    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let shrink = self.shrink(cells);
        let plain = self.penalty == Penalty::default() && self.clip_norm.is_none() && self.clip_value.is_none();
        let rule = T::pick(&self.optimizer.rule.twin);
        for parameter in &self.parameters {
            let at = At {
                learning_rate: T::from_f32(batch.learning_rate),
                correction1: T::from_f32(batch.correction1),
                correction2: T::from_f32(batch.correction2),
                constants: self.optimizer.constants.map(|c| T::from_f32(c as f32)),
                is_matrix: parameter.is_matrix,
            };
            let mut weights = cells.write(parameter.weight);
            let gradient = &*cells.read(parameter.gradient);
            let slot = |slot: usize| parameter.slots.get(slot).map(|&slot| cells.write(slot));
            let mut slots: [_; SLOTS] = std::array::from_fn(slot);
            let [slot0, slot1, slot2] = slots.each_mut().map(|slot| slot.as_deref_mut().unwrap_or_default());
            let arrays = [&mut *weights, slot0, slot1, slot2];
            // Long ranges: what a processor fetches ahead of a loop is then read by the thread that it was fetched for.
            let length = gradient.len().div_ceil(4 * cells.team().threads()).next_multiple_of(CHUNK);
            cells.team().chunks(arrays, length, |range, [weights, mut slots @ ..]| {
                let used = parameter.slots.len();
                let gradient = &gradient[range * length..][..weights.len()];
                if plain {
                    return rule(weights, gradient, &mut slots[..used], &at);
                }
                let mut clipped = [T::zero(); CHUNK];
                for start in (0..weights.len()).step_by(CHUNK) {
                    let part = start..weights.len().min(start + CHUNK);
                    let (weights, clipped) = (&mut weights[part.clone()], &mut clipped[..part.len()]);
                    for ((to, &g), &w) in clipped.iter_mut().zip(&gradient[part.clone()]).zip(weights.iter()) {
                        *to = self.clip(self.penalty.add(g, w, parameter.is_matrix), shrink);
                    }
                    let mut slots = slots.each_mut().map(|slot| slot.get_mut(part.clone()).unwrap_or_default());
                    rule(weights, clipped, &mut slots[..used], &at);
                }
            });
        }
    }

    /// A gradient within its limits.
    fn clip<T: Real>(&self, g: T, shrink: T) -> T {
        let g = if self.clip_norm.is_some() { g * shrink } else { g };
        match self.clip_value {
            Some(limit) => g.maximum(T::from_f32(-limit)).minimum(T::from_f32(limit)),
            None => g,
        }
    }

    /// The range in one of the flat buffers.
    fn flat(&self, of: impl Fn(&Parameter) -> TensorId, access: Access) -> Argument {
        let first = self.parameters.first().map(&of).expect("a range has parameters");
        let last = self.parameters.last().map(&of).expect("a range has parameters");
        Argument { binding: Binding::Flat(first, last), access }
    }
}

impl Op for Update {
    fn name(&self) -> &'static str {
        "update"
    }

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = vec![self.flat(|p| p.weight, Access::Update), self.flat(|p| p.gradient, Access::Read)];
        arguments.extend(self.clip_norm.map(|clip| Argument::read(clip.partials)));
        arguments.extend((0..self.optimizer.rule.slots.len()).map(|slot| self.flat(|p| p.slots[slot], Access::Update)));
        arguments
    }

    fn sources(&self, _: Class) -> Vec<String> {
        let mut sources =
            vec![wgsl!("ops/update.wgsl"), wgsl!("lib/penalty.wgsl"), self.optimizer.rule.wgsl.to_owned()];
        match self.clip_norm {
            Some(_) => sources.extend([wgsl!("lib/clip_norm.wgsl"), wgsl!("lib/finite.wgsl")]),
            None => sources.push(wgsl!("lib/clip_none.wgsl")),
        }
        sources
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        Immediates::of(&Params {
            length: self.length4,
            matrices: self.matrices4,
            partials: self.clip_norm.map_or(0, |clip| clip.count as u32),
            clip_norm: self.clip_norm.map_or(0.0, |clip| clip.limit),
            // 0 stands for no limit.
            clip_value: self.clip_value.unwrap_or(0.0),
            l1: self.penalty.l1,
            l2: self.penalty.l2,
            learning_rate: batch.learning_rate,
            correction1: batch.correction1,
            correction2: batch.correction2,
            padding: [0; 2],
            constants: self.optimizer.constants.map(|c| c as f32),
        })
    }

    fn workgroups(&self, _: &Batch, tile: Tile) -> u64 {
        u64::from(self.length4.div_ceil(tile.threads))
    }

    fn flops(&self, _: &Batch) -> u64 {
        // An estimate: a dozen operations for each parameter.
        48 * u64::from(self.length4)
    }

    fn iterations(&self, _: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        vec![(self.workgroups(batch, tile), self.clip_norm.map_or(0, |clip| passes(clip.count as u64)))]
    }

    fn written(&self, _: TensorId, _: &Batch) -> Region {
        Region::All
    }

    twins!();
}
