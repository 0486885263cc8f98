//! `gather`: copies a batch's rows out of the resident data set. Used where a data set is larger than one binding, once
//! for each of its blocks, and where the first layer is not a dense one. Shader: `shaders/ops/gather.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::input::{self, Encoding};
use super::{Argument, Batch, Cells, Class, Immediates, Input, Op, Region, TensorId, Tile, pitch4, twins, wgsl};
use crate::model::real::Real;

/// `output[m] = data[order[first + m] − start]` for those rows that this block holds.
#[derive(Debug, Clone)]
pub struct Gather {
    /// A block of the data set.
    pub data: TensorId,
    /// How the rows lie there.
    pub encoding: Encoding,
    /// Data rows in the order of batches.
    pub order: TensorId,
    /// x `[count, features]`.
    pub output: TensorId,
    /// Columns.
    pub features: usize,
    /// Data rows that this block holds.
    pub rows: std::ops::Range<usize>,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    count: u32,
    first: u32,
    x_pitch: u32,
    x_scale: f32,
    x_shift: f32,
    start: u32,
    end: u32,
    features: u32,
}

impl Gather {
    fn input(&self) -> Input {
        Input::Resident { data: self.data, order: self.order, features: self.features, encoding: self.encoding }
    }

    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let order = cells.integers(self.order);
        let data = cells.storage(self.data);
        let mut output = cells.write(self.output);
        for m in 0..batch.count as usize {
            let row = order[batch.first as usize + m] as usize;
            if self.rows.contains(&row) {
                let target = &mut output[m * self.features..(m + 1) * self.features];
                input::gather(&data, &[(row - self.rows.start) as u32], self.features, self.encoding, target);
            }
        }
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = self.input().arguments();
        // Other blocks' rows stay as they are.
        arguments.push(Argument::update(self.output));
        arguments
    }

    fn sources(&self, _: Class) -> Vec<String> {
        vec![wgsl!("ops/gather.wgsl"), wgsl!("lib/columns.wgsl"), self.input().source()]
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        let [x_scale, x_shift] = self.input().scaling();
        Immediates::of(&Params {
            count: batch.count,
            first: batch.first,
            x_pitch: pitch4(self.features),
            x_scale,
            x_shift,
            start: self.rows.start as u32,
            end: self.rows.end as u32,
            features: self.features as u32,
        })
    }

    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        (u64::from(batch.count) * u64::from(pitch4(self.features))).div_ceil(tile.threads.into())
    }

    fn flops(&self, batch: &Batch) -> u64 {
        2 * u64::from(batch.count) * self.features as u64
    }

    fn iterations(&self, _: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        vec![(self.workgroups(batch, tile), 0)]
    }

    fn written(&self, _: TensorId, batch: &Batch) -> Region {
        Region::Rows(0..batch.count as usize)
    }

    twins!();
}
