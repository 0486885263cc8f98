//! `batch_norm`: y = weight·(x − mean)/√(variance + epsilon) + bias, column by column (Ioffe & Szegedy 2015), meaning
//! what PyTorch's BatchNorm1d means. Shader: `shaders/ops/batch_norm.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::{Argument, Batch, Cells, Class, Immediates, Op, Region, TensorId, Tile, passes, pitch4, twins, wgsl};
use crate::model::real::Real;

/// x and y `[count, features]`; weight, bias, running mean and running variance `[features]`; statistics
/// `[2, features]`: the mean and 1/√(variance + epsilon) that were used, for the backward pass.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// x `[count, features]`.
    pub input: TensorId,
    /// y `[count, features]`.
    pub output: TensorId,
    /// γ `[features]`.
    pub weight: TensorId,
    /// β `[features]`.
    pub bias: TensorId,
    /// Of past batches, `[features]`.
    pub running_mean: TensorId,
    /// Of past batches, `[features]`.
    pub running_variance: TensorId,
    /// Mean and inverse deviation of this batch, `[2, features]`.
    pub statistics: TensorId,
    /// Columns.
    pub features: usize,
    /// The share of a batch in the running statistics.
    pub momentum: f32,
    /// What is added to the variance.
    pub epsilon: f32,
    /// Training normalises by the batch (more than one row) and moves the running statistics.
    pub training: bool,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    count: u32,
    features: u32,
    x_pitch: u32,
    /// 0: running statistics; 1: the same, in training; 2: the batch's own.
    mode: u32,
    momentum: f32,
    epsilon: f32,
}

impl BatchNorm {
    /// The statistics of a single row say nothing: it is normalised by the running ones, which it leaves alone.
    fn uses_batch(&self, batch: &Batch) -> bool {
        self.training && batch.count > 1
    }

    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let (count, features) = (batch.count as usize, self.features);
        let x = cells.read(self.input);
        let (weight, bias) = (cells.read(self.weight), cells.read(self.bias));
        let mut y = cells.write(self.output);
        let mut statistics = cells.write(self.statistics);
        let mut running_mean = cells.write(self.running_mean);
        let mut running_variance = cells.write(self.running_variance);
        let rows = T::of(count as f64);
        for c in 0..features {
            let column = |m: usize| x[m * features + c];
            let (mut mean, mut variance) = (running_mean[c], running_variance[c]);
            if self.uses_batch(batch) {
                mean = T::sum((0..count).map(column)) / rows;
                let squares = T::sum((0..count).map(|m| (column(m) - mean) * (column(m) - mean)));
                variance = squares / rows;
                let momentum = T::from_f32(self.momentum);
                let keep = T::one() - momentum;
                running_mean[c] = keep * running_mean[c] + momentum * mean;
                running_variance[c] = keep * running_variance[c] + momentum * (squares / (rows - T::one()));
            }
            let inverse = T::one() / (variance + T::from_f32(self.epsilon)).sqrt();
            if self.training {
                (statistics[c], statistics[features + c]) = (mean, inverse);
            }
            for m in 0..count {
                y[m * features + c] = (column(m) - mean) * inverse * weight[c] + bias[c];
            }
        }
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn arguments(&self) -> Vec<Argument> {
        vec![
            Argument::read(self.input),
            Argument::read(self.weight),
            Argument::read(self.bias),
            Argument::update(self.running_mean),
            Argument::update(self.running_variance),
            Argument::update(self.statistics),
            Argument::write(self.output),
        ]
    }

    fn sources(&self, _: Class) -> Vec<String> {
        vec![wgsl!("ops/batch_norm.wgsl"), wgsl!("lib/columns.wgsl")]
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        Immediates::of(&Params {
            count: batch.count,
            features: self.features as u32,
            x_pitch: pitch4(self.features),
            mode: if self.uses_batch(batch) { 2 } else { u32::from(self.training) },
            momentum: self.momentum,
            epsilon: self.epsilon,
        })
    }

    fn workgroups(&self, _: &Batch, tile: Tile) -> u64 {
        u64::from(pitch4(self.features).div_ceil(tile.threads))
    }

    fn flops(&self, batch: &Batch) -> u64 {
        8 * u64::from(batch.count) * self.features as u64
    }

    fn iterations(&self, _: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        vec![(self.workgroups(batch, tile), 3 * passes(batch.count))]
    }

    fn written(&self, tensor: TensorId, batch: &Batch) -> Region {
        if tensor == self.output { Region::Rows(0..batch.count as usize) } else { Region::All }
    }

    twins!();
}
