//! The tensors as a twin sees them: plain row-major vectors without padding. Knows nothing of plans or devices.

use std::cell::{Ref, RefCell, RefMut};

use rayon::prelude::*;

use super::TensorId;
use crate::model::real::{Operand, Real};

/// One tensor's elements.
#[derive(Debug, Clone, PartialEq)]
pub enum Storage<T> {
    /// Numbers that are computed with.
    Real(Vec<T>),
    /// The data set's features: kept as they came, whatever the twin computes with.
    F32(Vec<f32>),
    /// Row numbers.
    U32(Vec<u32>),
    /// Pixels.
    U8(Vec<u8>),
}

/// All tensors of a plan, borrowed at run time so that a twin can hold several at once.
pub struct Cells<T> {
    cells: Vec<RefCell<Storage<T>>>,
    /// Room for a twin's intermediate values, kept between steps.
    scratch: RefCell<Vec<T>>,
    /// Threads for large products.
    pool: rayon::ThreadPool,
}

/// Multiplications from which on a product is worth more than one thread: about 50 µs of work.
const PARALLEL: usize = 1 << 21;

/// Rows of a product that one thread takes at a time: an eighth, and not so few that packing the right operand again
/// for each block costs more than it brings. It depends on the shape alone, and so do the bits of the result.
fn block_rows(rows: usize) -> usize {
    (rows / 8).next_multiple_of(8).max(32)
}

impl<T: Real> Cells<T> {
    /// Cells with these contents; the pool's threads share large products.
    pub fn new(tensors: Vec<Storage<T>>, pool: rayon::ThreadPool) -> Self {
        Cells { cells: tensors.into_iter().map(RefCell::new).collect(), scratch: RefCell::default(), pool }
    }

    /// [`Real::matmul`] on as many threads as there are.
    pub fn matmul(&self, m: usize, k: usize, n: usize, a: Operand<T>, b: Operand<T>, c: &mut [T]) {
        if m * k * n < PARALLEL {
            return T::matmul(m, k, n, a, b, c);
        }
        let rows = block_rows(m);
        self.pool.install(|| {
            c.par_chunks_mut(rows * n).enumerate().for_each(|(block, c)| {
                let values = &a.values[block * rows * a.strides.row..];
                T::matmul(c.len() / n, k, n, Operand { values, ..a }, b, c);
            });
        });
    }

    /// What a tensor holds.
    pub fn storage(&self, id: TensorId) -> Ref<'_, Storage<T>> {
        self.cells[id.0].borrow()
    }

    /// What a tensor holds, to be changed.
    pub fn storage_mut(&self, id: TensorId) -> RefMut<'_, Storage<T>> {
        self.cells[id.0].borrow_mut()
    }

    /// The elements of a tensor of real numbers.
    ///
    /// # Panics
    /// If the tensor holds integers or is being written: a defect of the op that asks.
    pub fn read(&self, id: TensorId) -> Ref<'_, [T]> {
        Ref::map(self.cells[id.0].borrow(), |storage| match storage {
            Storage::Real(values) => values.as_slice(),
            _ => panic!("tensor {} does not hold real numbers", id.0),
        })
    }

    /// As [`Cells::read`], to write.
    pub fn write(&self, id: TensorId) -> RefMut<'_, [T]> {
        RefMut::map(self.cells[id.0].borrow_mut(), |storage| match storage {
            Storage::Real(values) => values.as_mut_slice(),
            _ => panic!("tensor {} does not hold real numbers", id.0),
        })
    }

    /// The elements of a tensor of integers.
    pub fn integers(&self, id: TensorId) -> Ref<'_, [u32]> {
        Ref::map(self.cells[id.0].borrow(), |storage| match storage {
            Storage::U32(values) => values.as_slice(),
            _ => panic!("tensor {} does not hold integers", id.0),
        })
    }

    /// Room for `length` numbers with unknown content.
    pub fn scratch(&self, length: usize) -> RefMut<'_, [T]> {
        let mut scratch = self.scratch.borrow_mut();
        if scratch.len() < length {
            scratch.resize(length, T::zero());
        }
        RefMut::map(scratch, |values| &mut values[..length])
    }
}
