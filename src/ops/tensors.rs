//! The tensors as a twin sees them: plain row-major vectors without padding. Knows nothing of plans or devices.

use std::cell::{Ref, RefCell, RefMut};

use super::TensorId;
use crate::compute::product::Finish;
use crate::compute::{Operand, Packed, Team};
use crate::model::real::Real;

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
    /// Room for a product's right operand, kept between steps.
    packed: RefCell<Packed>,
    team: Team,
}

impl<T: Real> Cells<T> {
    /// Cells with these contents; the team's threads share large products.
    pub fn new(tensors: Vec<Storage<T>>, team: Team) -> Self {
        let cells = tensors.into_iter().map(RefCell::new).collect();
        Cells { cells, scratch: RefCell::default(), packed: RefCell::default(), team }
    }

    /// The threads that twins share.
    pub fn team(&self) -> &Team {
        &self.team
    }

    /// [`Real::product`] on the team.
    pub fn product(&self, sizes: [usize; 3], a: Operand<T>, b: Operand<T>, c: &mut [T], finish: Finish<T>) {
        T::product(&self.team, &mut self.packed.borrow_mut(), sizes, a, b, c, finish);
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
