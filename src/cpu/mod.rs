//! The CPU executor: runs a plan by the ops' twins. With f32 it trains where there is no GPU, with f64 it is exact, with
//! [`Tracked`] it is the reference of verification. It knows the plan and the op trait, never a concrete op.

use std::ops::Range;
use std::sync::Arc;

use crate::compute::Team;
use crate::error::{Error, Result};
use crate::host;
use crate::model::real::Real;
use crate::model::tracked::Tracked;
use crate::ops::{Batch, Cells, Op, Storage, TensorId};
use crate::plan::{Counts, DeviceInfo, Element, Executor, Phase, Plan, Reference, Role, Tensor, Values};

/// Runs an op's twin for one number type.
pub trait Twin: Real {
    /// Runs the op's twin for this number type.
    fn run(op: &dyn Op, cells: &Cells<Self>, batch: &Batch);
}

impl Twin for f32 {
    fn run(op: &dyn Op, cells: &Cells<Self>, batch: &Batch) {
        op.twin_f32(cells, batch);
    }
}

impl Twin for f64 {
    fn run(op: &dyn Op, cells: &Cells<Self>, batch: &Batch) {
        op.twin_f64(cells, batch);
    }
}

impl Twin for Tracked {
    fn run(op: &dyn Op, cells: &Cells<Self>, batch: &Batch) {
        op.twin_tracked(cells, batch);
    }
}

/// Holds every tensor of a plan without padding and runs its steps in order.
pub struct CpuExecutor<T: Twin> {
    plan: Arc<Plan>,
    cells: Cells<T>,
    info: DeviceInfo,
    counts: Counts,
}

impl<T: Twin> CpuExecutor<T> {
    /// Allocates every tensor of the plan, zeroed. Results do not depend on the number of threads.
    ///
    /// # Errors
    /// [`Error::Device`] if there is not enough memory or the threads cannot be started.
    pub fn new(plan: Arc<Plan>, threads: usize) -> Result<Self> {
        check_memory::<T>(&plan)?;
        let team = Team::new(threads).map_err(|error| {
            Error::device(format!("{threads} threads could not be started: {error}")).remedy("use a smaller --threads")
        })?;
        let storage = |tensor: &Tensor| match tensor.element {
            Element::F32 if tensor.role == Role::Features => Storage::F32(vec![0.0; tensor.elements()]),
            Element::F32 => Storage::Real(vec![T::zero(); tensor.elements()]),
            Element::U32 => Storage::U32(vec![0; tensor.elements()]),
            Element::U8 => Storage::U8(vec![0; tensor.elements()]),
        };
        let cells = Cells::new(plan.tensors.iter().map(storage).collect(), team);
        let counts = Counts { allocations: plan.tensors.len() as u64, ..Counts::default() };
        Ok(CpuExecutor { plan, cells, info: processor(), counts })
    }

    /// The elements of rows `rows` in the executor's own numbers.
    pub fn elements(&self, tensor: TensorId, rows: Range<usize>) -> Vec<T> {
        let columns = self.plan.tensor(tensor).columns;
        self.cells.read(tensor)[rows.start * columns..rows.end * columns].to_vec()
    }

    /// Overwrites one element; finite differences move weights with it.
    pub fn set(&mut self, tensor: TensorId, element: usize, value: T) {
        self.cells.write(tensor)[element] = value;
    }
}

/// A tensor that cannot be had would end the process in the middle of allocating.
fn check_memory<T>(plan: &Plan) -> Result<()> {
    let bytes = |tensor: &Tensor| {
        let element = match tensor.element {
            Element::F32 if tensor.role != Role::Features => size_of::<T>() as u64,
            Element::F32 | Element::U32 => 4,
            Element::U8 => 1,
        };
        tensor.elements() as u64 * element
    };
    host::check_room(plan.tensors.iter().map(bytes).sum())
}

/// This machine's processor.
pub fn processor() -> DeviceInfo {
    let adapter = host::processor().to_owned();
    DeviceInfo { device: "cpu", adapter, driver: "ndarray".into(), software: false, shares_memory: true }
}

impl<T: Twin> Executor for CpuExecutor<T> {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> Result<()> {
        let start = first * self.plan.tensor(tensor).columns;
        match (&mut *self.cells.storage_mut(tensor), values) {
            (Storage::Real(own), Values::F32(given)) => {
                own[start..start + given.len()]
                    .iter_mut()
                    .zip(given)
                    .for_each(|(own, &given)| *own = T::from_f32(given));
            }
            (Storage::F32(own), Values::F32(given)) => own[start..start + given.len()].copy_from_slice(given),
            (Storage::U32(own), Values::U32(given)) => own[start..start + given.len()].copy_from_slice(given),
            (Storage::U8(own), Values::U8(given)) => own[start..start + given.len()].copy_from_slice(given),
            _ => return Err(Error::internal(format!("{} holds other elements", self.plan.tensor(tensor).name))),
        }
        self.counts.bytes_written += match values {
            Values::F32(given) => 4 * given.len() as u64,
            Values::U32(given) => 4 * given.len() as u64,
            Values::U8(given) => given.len() as u64,
        };
        Ok(())
    }

    fn read_into(&mut self, tensor: TensorId, rows: Range<usize>, values: &mut Vec<f32>) -> Result<()> {
        let columns = self.plan.tensor(tensor).columns;
        let range = rows.start * columns..rows.end * columns;
        self.counts.bytes_read += 4 * range.len() as u64;
        values.clear();
        match &*self.cells.storage(tensor) {
            Storage::Real(own) => values.extend(own[range].iter().map(|x| x.value() as f32)),
            Storage::F32(own) => values.extend_from_slice(&own[range]),
            Storage::U32(own) => values.extend(own[range].iter().map(|&x| x as f32)),
            Storage::U8(own) => values.extend(own[range].iter().map(|&x| f32::from(x))),
        }
        Ok(())
    }

    fn run(&mut self, phase: Phase, batches: &[Batch]) -> Result<()> {
        let steps = self.plan.steps(phase);
        for batch in batches {
            steps.iter().for_each(|step| T::run(step.op.as_ref(), &self.cells, batch));
        }
        self.counts.dispatches += (steps.len() * batches.len()) as u64;
        self.counts.submits += 1;
        Ok(())
    }

    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> Result<()> {
        T::run(self.plan.steps(phase)[step].op.as_ref(), &self.cells, batch);
        self.counts.dispatches += 1;
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

impl Reference for CpuExecutor<Tracked> {
    fn bounded(&self, tensor: TensorId, rows: Range<usize>) -> Vec<(f64, f64)> {
        self.elements(tensor, rows).into_iter().map(|x| (x.value, x.error)).collect()
    }
}
