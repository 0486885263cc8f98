//! `dropout`: drops units of a tensor that no dense layer made. Behind a dense layer, dropout is in that layer's
//! epilogue. Shader: `shaders/ops/dropout.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::edge::{Drop, drop_iterations, drop_source, drop_units, drop_words};
use super::{Argument, Batch, Cells, Class, Immediates, Op, Region, TensorId, Tile, pitch4, twins, wgsl};
use crate::model::real::Real;

/// y = x · (0 or 1/(1 − rate)), both `[count, features]`.
#[derive(Debug, Clone)]
pub struct Dropout {
    /// x `[count, features]`.
    pub input: TensorId,
    /// y `[count, features]`.
    pub output: TensorId,
    /// Columns.
    pub features: usize,
    /// What is dropped.
    pub drop: Drop,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    count: u32,
    counter: u32,
    x_pitch: u32,
    padding: u32,
    drop: [u32; 4],
}

impl Dropout {
    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let length = batch.count as usize * self.features;
        let mut output = cells.write(self.output);
        output[..length].copy_from_slice(&cells.read(self.input)[..length]);
        drop_units(self.drop, &mut output[..length], self.features, 0, batch);
    }
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn arguments(&self) -> Vec<Argument> {
        vec![Argument::read(self.input), Argument::write(self.output)]
    }

    fn sources(&self, _: Class) -> Vec<String> {
        vec![wgsl!("ops/dropout.wgsl"), drop_source(Some(self.drop))]
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        Immediates::of(&Params {
            count: batch.count,
            counter: batch.counter,
            x_pitch: pitch4(self.features),
            padding: 0,
            drop: drop_words(Some(self.drop)),
        })
    }

    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        (u64::from(batch.count) * u64::from(pitch4(self.features))).div_ceil(tile.threads.into())
    }

    fn flops(&self, batch: &Batch) -> u64 {
        u64::from(batch.count) * self.features as u64
    }

    fn iterations(&self, _: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        vec![(self.workgroups(batch, tile), drop_iterations(Some(self.drop)))]
    }

    fn written(&self, _: TensorId, batch: &Batch) -> Region {
        Region::Rows(0..batch.count as usize)
    }

    twins!();
}
