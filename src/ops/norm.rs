//! `norm`: partial sums of the squared gradients, penalties included, in a fixed order. `update` adds them up.
//! Shader: `shaders/ops/norm.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::update::{Parameter, Penalty};
use super::{
    Access, Argument, Batch, Binding, Cells, Class, Immediates, Op, Region, TensorId, Tile, passes, pitch4, twins, wgsl,
};
use crate::model::real::{Accumulator, Real};

/// Workgroups, and so partial sums, of one `norm`.
pub const PARTIALS: usize = 64;

/// Neighbouring `vec4`s that go into the same partial sum: the kernel's workgroup size.
const THREADS: usize = 64;

/// Writes `PARTIALS` sums to `partials[offset ..]`.
#[derive(Debug, Clone)]
pub struct Norm {
    /// One range of neighbours.
    pub parameters: Vec<Parameter>,
    /// Its length in groups of four numbers.
    pub length4: u32,
    /// The length of its weight matrices, which come first, likewise.
    pub matrices4: u32,
    /// What is added to the gradients beforehand.
    pub penalty: Penalty,
    /// Sums of squares, one a workgroup, of all ranges.
    pub partials: TensorId,
    /// Where this range's sums begin there.
    pub offset: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    length: u32,
    matrices: u32,
    offset: u32,
    l1: f32,
    l2: f32,
}

impl Norm {
    fn twin<T: Real>(&self, cells: &Cells<T>, _: &Batch) {
        let mut sums = [T::Sum::default(); PARTIALS];
        for parameter in &self.parameters {
            let (weights, gradients) = (cells.read(parameter.weight), cells.read(parameter.gradient));
            let (columns, row4) = (parameter.columns, pitch4(parameter.columns) as usize);
            let rows = weights.chunks_exact(columns).zip(gradients.chunks_exact(columns));
            for (row, (weights, gradients)) in rows.enumerate() {
                let fours = weights.chunks(4).zip(gradients.chunks(4));
                for (column4, (weights, gradients)) in fours.enumerate() {
                    let place4 = parameter.offset4 as usize + row * row4 + column4;
                    let sum = &mut sums[place4 / THREADS % PARTIALS];
                    for (&w, &g) in weights.iter().zip(gradients) {
                        let g = self.penalty.add(g, w, parameter.is_matrix);
                        sum.add(g * g);
                    }
                }
            }
        }
        let mut partials = cells.write(self.partials);
        for (partial, sum) in partials[self.offset..].iter_mut().zip(sums) {
            *partial = sum.total();
        }
    }

    fn flat(&self, of: impl Fn(&Parameter) -> TensorId) -> Argument {
        let first = self.parameters.first().map(&of).expect("a range has parameters");
        let last = self.parameters.last().map(&of).expect("a range has parameters");
        Argument { binding: Binding::Flat(first, last), access: Access::Read }
    }
}

impl Op for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn arguments(&self) -> Vec<Argument> {
        vec![self.flat(|p| p.weight), self.flat(|p| p.gradient), Argument::write(self.partials)]
    }

    fn sources(&self, _: Class) -> Vec<String> {
        vec![wgsl!("ops/norm.wgsl"), wgsl!("lib/penalty.wgsl")]
    }

    fn immediates(&self, _: &Batch) -> Immediates {
        Immediates::of(&Params {
            length: self.length4,
            matrices: self.matrices4,
            offset: self.offset as u32,
            l1: self.penalty.l1,
            l2: self.penalty.l2,
        })
    }

    fn workgroups(&self, _: &Batch, _: Tile) -> u64 {
        PARTIALS as u64
    }

    fn flops(&self, _: &Batch) -> u64 {
        16 * u64::from(self.length4)
    }

    fn iterations(&self, _: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        let own = (self.length4 as usize).div_ceil(THREADS * PARTIALS) as u64;
        vec![(self.workgroups(batch, tile), passes(own) + passes(THREADS.ilog2()))]
    }

    fn written(&self, _: TensorId, _: &Batch) -> Region {
        Region::Rows(self.offset..self.offset + PARTIALS)
    }

    twins!();
}
