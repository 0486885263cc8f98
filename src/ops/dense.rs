//! `dense`: y = f(x·Wᵀ + b), with dropout in the epilogue. Shader: `shaders/ops/dense.wgsl`.

use bytemuck::{Pod, Zeroable};

use super::edge::{Drop, drop_iterations, drop_source, drop_units, drop_words};
use super::matmul::{self, Product, Stored, tiles};
use super::{
    Argument, Batch, Cells, Class, GpuTiles, Immediates, Input, Op, Region, TensorId, Tile, pitch4, twins, wgsl,
};
use crate::compute::{Operand, wide};
use crate::model::activations::{Activation, Saves};
use crate::model::real::Real;

/// x `[count, features]`, W `[units, features]`, b `[units]`, y `[count, units]`.
#[derive(Debug, Clone)]
pub struct Dense {
    /// x `[count, features]`.
    pub input: Input,
    /// W `[units, features]`.
    pub weight: TensorId,
    /// b `[units]`.
    pub bias: Option<TensorId>,
    /// y `[count, units]`.
    pub output: TensorId,
    /// z, where the activation's derivative needs it later.
    pub saved: Option<TensorId>,
    /// Columns of y.
    pub units: usize,
    /// On a GPU.
    pub tiles: GpuTiles,
    /// f.
    pub activation: &'static Activation,
    /// Dropout of y, while training.
    pub drop: Option<Drop>,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Params {
    count: u32,
    first: u32,
    counter: u32,
    units: u32,
    x_pitch: u32,
    y_pitch: u32,
    x_scale: f32,
    x_shift: f32,
    drop: [u32; 4],
    group: u32,
    padding: [u32; 3],
}

impl Dense {
    fn twin<T: Real>(&self, cells: &Cells<T>, batch: &Batch) {
        let (count, features, units) = (batch.count as usize, self.input.features(), self.units);
        let weight = cells.read(self.weight);
        let bias = self.bias.map(|bias| cells.read(bias));
        let bias = bias.as_deref();
        let mut y = cells.write(self.output);
        let y = &mut y[..count * units];
        let mut saved = self.saved.map(|saved| cells.write(saved));
        // Of whole rows or a part of one, from element `first` on.
        let add_bias = |first: usize, z: &mut [T]| {
            let Some(bias) = bias.map(|bias| &bias[first % units..]) else { return };
            wide(|| z.chunks_mut(units).for_each(|row| row.iter_mut().zip(bias).for_each(|(z, b)| *z += *b)));
        };
        let activate = |first: usize, y: &mut [T]| {
            (T::pick(&self.activation.twin).apply)(y);
            if let Some(drop) = self.drop {
                drop_units(drop, y, units, first, batch);
            }
        };
        let sizes = [count, features, units];
        self.input.with_rows(cells, batch, |x| {
            let weight = Operand::transposed(&weight, features);
            let Some(z) = &mut saved else {
                cells.product(sizes, x, weight, y, &|first, run| {
                    add_bias(first, run);
                    activate(first, run);
                });
                return;
            };
            let z = &mut z[..count * units];
            cells.product(sizes, x, weight, z, &add_bias);
            y.copy_from_slice(z);
            activate(0, y);
        });
    }
}

/// x·Wᵀ.
const PRODUCT: Product = Product { part: "part", left: Stored::Along, right: Stored::Along };

impl Op for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = self.input.arguments();
        arguments.extend([Argument::read(self.weight), Argument::write(self.output)]);
        arguments.extend(self.bias.map(Argument::read));
        arguments.extend(self.saved.map(Argument::write));
        arguments
    }

    fn sources(&self, class: Class) -> Vec<String> {
        vec![
            wgsl!("ops/dense.wgsl"),
            wgsl!("lib/columns.wgsl"),
            matmul::sources(class, self.tiles, self.units.min(self.input.features()), &[PRODUCT]),
            self.input.source(),
            if self.bias.is_some() { wgsl!("lib/bias.wgsl") } else { wgsl!("lib/bias_none.wgsl") },
            if self.saved.is_some() { wgsl!("lib/save_input.wgsl") } else { wgsl!("lib/save_nothing.wgsl") },
            self.activation.wgsl.to_owned(),
            drop_source(self.drop),
        ]
    }

    fn immediates(&self, batch: &Batch) -> Immediates {
        let [x_scale, x_shift] = self.input.scaling();
        Immediates::of(&Params {
            count: batch.count,
            first: batch.first,
            counter: batch.counter,
            units: self.units as u32,
            x_pitch: self.input.pitch4(),
            y_pitch: pitch4(self.units),
            x_scale,
            x_shift,
            drop: drop_words(self.drop),
            group: batch.group,
            padding: [0; 3],
        })
    }

    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        tiles(batch.count as usize, self.units, tile)
    }

    fn flops(&self, batch: &Batch) -> u64 {
        2 * u64::from(batch.count) * self.input.features() as u64 * self.units as u64
    }

    fn iterations(&self, class: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        let iterations = matmul::iterations(class, self.input.pitch4(), drop_iterations(self.drop));
        vec![(self.workgroups(batch, tile), iterations)]
    }

    fn runs(&self, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        vec![(self.workgroups(batch, tile), self.flops(batch))]
    }

    fn written(&self, _: TensorId, batch: &Batch) -> Region {
        Region::Rows(0..batch.count as usize)
    }

    twins!();
}

/// Tells whether a forward pass that is differentiated later must keep z.
pub fn needs_input(activation: &Activation) -> bool {
    activation.saves == Saves::Input
}
