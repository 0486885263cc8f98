//! `dense_grad`: the gradients of a dense layer's weights, biases and input in one dispatch, with the derivative of the
//! layer below in the epilogue. Shader: `shaders/ops/dense_grad.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::edge::{drop_iterations, drop_words};
use super::matmul::{self, Product, Stored, tiles};
use super::{
    Argument, Batch, Cells, Class, Edge, GpuTiles, Immediates, Input, Op, Region, TensorId, Tile, passes, pitch4,
    twins, wgsl,
};
use crate::compute::Operand;
use crate::model::real::Real;

/// dz `[count, units]`, x `[count, features]`, W and dW `[units, features]`, db `[units]`, dx `[count, features]`.
/// dW = dzᵀ·x, db = Σ dz, dx = dz·W · f'(below).
#[derive(Debug, Clone)]
pub struct DenseGrad {
    /// x `[count, features]`.
    pub input: Input,
    /// dz `[count, units]`.
    pub gradient: TensorId,
    /// dW `[units, features]`.
    pub weight_gradient: TensorId,
    /// db `[units]`.
    pub bias_gradient: Option<TensorId>,
    /// What lies below, if anything there is trained.
    pub below: Option<Below>,
    /// Columns of dz.
    pub units: usize,
    /// On a GPU.
    pub tiles: GpuTiles,
}

/// Where the gradient goes on to.
#[derive(Debug, Clone)]
pub struct Below {
    /// W `[units, features]`.
    pub weight: TensorId,
    /// How x was made.
    pub edge: Edge,
    /// Receives the gradient of the sums below.
    pub gradient: TensorId,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    count: u32,
    first: u32,
    counter: u32,
    units: u32,
    features: u32,
    x_pitch: u32,
    z_pitch: u32,
    x_scale: f32,
    x_shift: f32,
    group: u32,
    padding: [u32; 2],
    drop: [u32; 4],
}

impl DenseGrad {
    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let (count, features, units) = (batch.count as usize, self.input.features(), self.units);
        let dz = cells.read(self.gradient);
        let dz = &dz[..count * units];
        self.input.with_rows(cells, batch, |x| {
            let mut dw = cells.write(self.weight_gradient);
            cells.product([units, count, features], Operand::transposed(dz, units), x, &mut dw, &|_, _| {});
        });
        if let Some(bias) = self.bias_gradient {
            T::column_sums(cells.team(), dz, &mut cells.write(bias));
        }
        if let Some(below) = &self.below {
            let mut dx = cells.write(below.gradient);
            let dx = &mut dx[..count * features];
            let (weight, saved) = (cells.read(below.weight), cells.read(below.edge.saved));
            let saved = &*saved;
            let (dz, weight) = (Operand::rows(dz, units), Operand::rows(&weight, features));
            cells.product([count, units, features], dz, weight, dx, &|first, run| {
                below.edge.chain(run, &saved[first..], features, first, batch);
            });
        }
    }
}

impl DenseGrad {
    /// Of one of the two products.
    fn product_flops(&self, batch: &Batch) -> u64 {
        2 * u64::from(batch.count) * self.input.features() as u64 * self.units as u64
    }
}

/// dzᵀ·x.
const WEIGHTS: Product = Product { part: "weights", left: Stored::Across, right: Stored::Across };

/// dz·W.
const BELOW: Product = Product { part: "below", left: Stored::Along, right: Stored::Across };

impl Op for DenseGrad {
    fn name(&self) -> &'static str {
        "dense_grad"
    }

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = self.input.arguments();
        arguments.extend([Argument::read(self.gradient), Argument::write(self.weight_gradient)]);
        arguments.extend(self.bias_gradient.map(Argument::write));
        if let Some(below) = &self.below {
            arguments.extend([Argument::read(below.weight), Argument::read(below.edge.saved)]);
            arguments.push(Argument::write(below.gradient));
        }
        arguments
    }

    fn sources(&self, class: Class) -> Vec<String> {
        let products: &[Product] = if self.below.is_some() { &[WEIGHTS, BELOW] } else { &[WEIGHTS] };
        let mut sources = vec![
            wgsl!("ops/dense_grad.wgsl"),
            wgsl!("lib/columns.wgsl"),
            matmul::sources(class, self.tiles, self.units.min(self.input.features()), products),
            self.input.source(),
        ];
        sources.push(match (self.bias_gradient, class) {
            (Some(_), Class::Hardware) => wgsl!("lib/bias_gradient_shared.wgsl"),
            (Some(_), _) => wgsl!("lib/bias_gradient.wgsl"),
            (None, _) => wgsl!("lib/bias_gradient_none.wgsl"),
        });
        match &self.below {
            Some(below) => {
                sources.push(wgsl!("lib/below.wgsl"));
                sources.extend(below.edge.sources());
            }
            None => sources.push(wgsl!("lib/below_none.wgsl")),
        }
        sources
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        let [x_scale, x_shift] = self.input.scaling();
        Immediates::of(&Params {
            count: batch.count,
            first: batch.first,
            counter: batch.counter,
            units: self.units as u32,
            features: self.input.features() as u32,
            x_pitch: self.input.pitch4(),
            z_pitch: pitch4(self.units),
            x_scale,
            x_shift,
            group: batch.group,
            padding: [0; 2],
            drop: drop_words(self.below.as_ref().and_then(|below| below.edge.drop)),
        })
    }

    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        self.runs(batch, tile).iter().map(|(groups, _)| groups).sum()
    }

    fn flops(&self, batch: &Batch) -> u64 {
        self.product_flops(batch) * (1 + u64::from(self.below.is_some()))
    }

    fn iterations(&self, class: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        // Those of the other products and of the bias that a workgroup leaves out.
        let left_out = 8;
        let (rows, features) = (batch.count, self.input.features());
        let below = self.below.as_ref().map(|below| {
            let iterations = matmul::iterations(class, pitch4(self.units), drop_iterations(below.edge.drop));
            (tiles(rows as usize, features, tile), iterations + left_out)
        });
        // The tiles of the first column sum up the bias's gradient too.
        let first = (self.units as u64).div_ceil(tile.rows.into());
        let weights = matmul::iterations(class, rows.div_ceil(4), 0) + left_out;
        let bias = self.bias_gradient.map_or(0, |_| passes(rows));
        let others = tiles(self.units, features, tile) - first;
        below.into_iter().chain([(first, weights + bias), (others, weights)]).collect()
    }

    fn runs(&self, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        let (features, flops) = (self.input.features(), self.product_flops(batch));
        let below = self.below.as_ref().map(|_| (tiles(batch.count as usize, features, tile), flops));
        below.into_iter().chain([(tiles(self.units, features, tile), flops)]).collect()
    }

    fn written(&self, tensor: TensorId, batch: &Batch) -> Region {
        match &self.below {
            Some(below) if below.gradient == tensor => Region::Rows(0..batch.count as usize),
            _ => Region::All,
        }
    }

    twins!();
}
