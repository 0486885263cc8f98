//! Where a layer's rows come from: the tensor the layer below wrote, or the resident data set through the row order.
//! Its shaders are `shaders/lib/input_*.wgsl`. Knows nothing of plans or devices.

use super::{Argument, Batch, Cells, Storage, TensorId, pitch4, wgsl};
use crate::compute::{Operand, wide};
use crate::model::real::Real;

/// How the resident data set stores a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    /// As numbers.
    F32,
    /// x = scale·byte + shift.
    U8 {
        /// 1 / deviation.
        scale: f32,
        /// −mean / deviation.
        shift: f32,
    },
}

/// The rows a layer reads, `[count, features]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input {
    /// Row m is row m of a tensor.
    Batch {
        /// `[count, features]`.
        tensor: TensorId,
        /// Columns.
        features: usize,
    },
    /// Row m is row `order[first + m]` of the data set.
    Resident {
        /// `[rows, features]`.
        data: TensorId,
        /// Data rows in the order of batches.
        order: TensorId,
        /// Columns.
        features: usize,
        /// How they lie there.
        encoding: Encoding,
    },
}

impl Input {
    /// Numbers of a row.
    pub fn features(&self) -> usize {
        match *self {
            Input::Batch { features, .. } | Input::Resident { features, .. } => features,
        }
    }

    /// Bindings 0 and, for a resident data set, 1. A kernel's own bindings start at 2.
    pub(super) fn arguments(&self) -> Vec<Argument> {
        match *self {
            Input::Batch { tensor, .. } => vec![Argument::read(tensor)],
            Input::Resident { data, order, .. } => vec![Argument::read(data), Argument::read(order)],
        }
    }

    pub(super) fn source(&self) -> String {
        match self {
            Input::Batch { .. } => wgsl!("lib/input_batch.wgsl"),
            Input::Resident { encoding: Encoding::F32, .. } => wgsl!("lib/input_f32.wgsl"),
            Input::Resident { encoding: Encoding::U8 { .. }, .. } => wgsl!("lib/input_u8.wgsl"),
        }
    }

    /// `vec4`s (of bytes: words) a row.
    pub(super) fn pitch4(&self) -> u32 {
        pitch4(self.features())
    }

    /// Scale and shift; 1 and 0 where nothing is scaled.
    pub(super) fn scaling(&self) -> [f32; 2] {
        match *self {
            Input::Resident { encoding: Encoding::U8 { scale, shift }, .. } => [scale, shift],
            _ => [1.0, 0.0],
        }
    }

    /// Calls `f` with the batch's rows, `[count, features]`, gathered first where they cannot be read where they lie.
    pub(super) fn with_rows<T: Real, R>(&self, cells: &Cells<T>, batch: &Batch, f: impl FnOnce(Operand<T>) -> R) -> R {
        let length = batch.count as usize * self.features();
        match *self {
            Input::Batch { tensor, features } => f(Operand::rows(&cells.read(tensor)[..length], features)),
            Input::Resident { data, order, features, encoding } => {
                let order = cells.integers(order);
                let order = &order[batch.first as usize..][..batch.count as usize];
                let data = cells.storage(data);
                if let Storage::F32(values) = &*data
                    && let Some(values) = T::borrow_f32(values)
                {
                    return f(Operand::listed(values, features, order));
                }
                let mut rows = cells.scratch(length);
                gather(&data, order, features, encoding, &mut rows);
                f(Operand::rows(&rows, features))
            }
        }
    }
}

/// Copies the named rows of a data set one after the other into `rows`.
pub(super) fn gather<T: Real>(data: &Storage<T>, order: &[u32], features: usize, encoding: Encoding, rows: &mut [T]) {
    for (target, &row) in rows.chunks_exact_mut(features).zip(order) {
        let source = row as usize * features..(row as usize + 1) * features;
        match (data, encoding) {
            (Storage::Real(values), _) => target.copy_from_slice(&values[source]),
            (Storage::F32(values), _) => {
                target.iter_mut().zip(&values[source]).for_each(|(x, &value)| *x = T::from_f32(value));
            }
            (Storage::U8(bytes), Encoding::U8 { scale, shift }) => {
                let (scale, shift) = (T::from_f32(scale), T::from_f32(shift));
                wide(|| {
                    for (x, &byte) in target.iter_mut().zip(&bytes[source]) {
                        *x = T::from_f32(f32::from(byte)) * scale + shift;
                    }
                });
            }
            _ => unreachable!("the plan's check matches a data set's storage with its encoding"),
        }
    }
}
