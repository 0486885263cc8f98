//! `batch_norm_grad`: the gradients of batch norm's weight, bias and input, with the derivative of the layer below in
//! the epilogue. Shader: `shaders/ops/batch_norm_grad.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::edge::{drop_iterations, drop_words};
use super::{Argument, Batch, Cells, Class, Edge, Immediates, Op, Region, TensorId, Tile, passes, pitch4, twins, wgsl};
use crate::model::real::Real;

/// x, dy and dx `[count, features]`; x̂ = (x − mean)·inverse with the statistics that the forward pass used.
/// dw = Σ dy·x̂, db = Σ dy, dx = w·inverse·(dy − db/count − x̂·dw/count) · f'(below); the two means are left out where
/// the running statistics were used, which do not depend on x.
#[derive(Debug, Clone)]
pub struct BatchNormGrad {
    /// x `[count, features]`.
    pub input: TensorId,
    /// dy `[count, features]`.
    pub gradient: TensorId,
    /// γ `[features]`.
    pub weight: TensorId,
    /// Mean and inverse deviation of the batch, `[2, features]`.
    pub statistics: TensorId,
    /// dγ `[features]`.
    pub weight_gradient: TensorId,
    /// dβ `[features]`.
    pub bias_gradient: TensorId,
    /// What lies below, if anything there is trained, and the tensor for its gradient.
    pub below: Option<(Edge, TensorId)>,
    /// Columns.
    pub features: usize,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    count: u32,
    features: u32,
    x_pitch: u32,
    counter: u32,
    drop: [u32; 4],
}

impl BatchNormGrad {
    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let (count, features) = (batch.count as usize, self.features);
        let (x, dy) = (cells.read(self.input), cells.read(self.gradient));
        let (weight, statistics) = (cells.read(self.weight), cells.read(self.statistics));
        let (mut dw, mut db) = (cells.write(self.weight_gradient), cells.write(self.bias_gradient));
        let mut dx = self.below.map(|(_, tensor)| cells.write(tensor));
        let rows = T::of(count as f64);
        for c in 0..features {
            let (mean, inverse) = (statistics[c], statistics[features + c]);
            let normalized = |m: usize| (x[m * features + c] - mean) * inverse;
            let dy = |m: usize| dy[m * features + c];
            dw[c] = T::sum((0..count).map(|m| dy(m) * normalized(m)));
            db[c] = T::sum((0..count).map(dy));
            let Some(dx) = &mut dx else { continue };
            for m in 0..count {
                let centred = if count > 1 { dy(m) - db[c] / rows - normalized(m) * (dw[c] / rows) } else { dy(m) };
                dx[m * features + c] = weight[c] * inverse * centred;
            }
        }
        if let (Some(mut dx), Some((edge, _))) = (dx, &self.below) {
            edge.chain(&mut dx[..count * features], &cells.read(edge.saved), features, 0, batch);
        }
    }
}

impl Op for BatchNormGrad {
    fn name(&self) -> &'static str {
        "batch_norm_grad"
    }

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = vec![
            Argument::read(self.input),
            Argument::read(self.gradient),
            Argument::read(self.weight),
            Argument::read(self.statistics),
            Argument::write(self.weight_gradient),
            Argument::write(self.bias_gradient),
        ];
        if let Some((edge, gradient)) = &self.below {
            arguments.extend([Argument::read(edge.saved), Argument::write(*gradient)]);
        }
        arguments
    }

    fn sources(&self, _: Class) -> Vec<String> {
        let mut sources = vec![wgsl!("ops/batch_norm_grad.wgsl"), wgsl!("lib/columns.wgsl")];
        match &self.below {
            Some((edge, _)) => {
                sources.push(wgsl!("lib/below_columns.wgsl"));
                sources.extend(edge.sources());
            }
            None => sources.push(wgsl!("lib/below_columns_none.wgsl")),
        }
        sources
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        Immediates::of(&Params {
            count: batch.count,
            features: self.features as u32,
            x_pitch: pitch4(self.features),
            counter: batch.counter,
            drop: drop_words(self.below.and_then(|(edge, _)| edge.drop)),
        })
    }

    fn workgroups(&self, _: &Batch, tile: Tile) -> u64 {
        u64::from(pitch4(self.features).div_ceil(tile.threads))
    }

    fn flops(&self, batch: &Batch) -> u64 {
        16 * u64::from(batch.count) * self.features as u64
    }

    fn iterations(&self, _: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        let a_row = 2 + drop_iterations(self.below.and_then(|(edge, _)| edge.drop));
        vec![(self.workgroups(batch, tile), a_row * passes(batch.count))]
    }

    fn written(&self, tensor: TensorId, batch: &Batch) -> Region {
        match self.below {
            Some((_, gradient)) if gradient == tensor => Region::Rows(0..batch.count as usize),
            _ => Region::All,
        }
    }

    twins!();
}
