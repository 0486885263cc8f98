//! What every executor can do, whatever drives it. The trainer and verification know executors by this alone.

use std::time::Duration;

use super::{Phase, Plan};
use crate::error::Result;
use crate::ops::{Batch, TensorId};

/// Which device an executor runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// `cpu` or `gpu`.
    pub device: &'static str,
    /// The adapter's or processor's name, with its backend.
    pub adapter: String,
    /// The driver's name and version; `ndarray` for a processor.
    pub driver: String,
    /// True for a CPU that runs shaders.
    pub software: bool,
    /// True where the device has no memory of its own but takes part in the host's.
    pub shares_memory: bool,
}

/// Elements to write to a tensor.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Numbers.
    F32(&'a [f32]),
    /// Row numbers.
    U32(&'a [u32]),
    /// Pixels.
    U8(&'a [u8]),
}

/// What an executor has done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Kernels run.
    pub dispatches: u64,
    /// Command buffers handed over.
    pub submits: u64,
    /// Buffers or vectors created.
    pub allocations: u64,
    /// Bytes written to and read from tensors by the host.
    pub bytes_written: u64,
    /// From the device.
    pub bytes_read: u64,
}

/// Runs the steps of one plan. Everything the plan needs is allocated when the executor is made.
pub trait Executor {
    /// What it runs on.
    fn info(&self) -> &DeviceInfo;
    /// What it runs.
    fn plan(&self) -> &Plan;

    /// Writes whole rows without padding, from row `first` on.
    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> Result<()>;

    /// Reads rows `rows` without padding; integers as numbers. They take the place of what `values` holds.
    fn read_into(&mut self, tensor: TensorId, rows: std::ops::Range<usize>, values: &mut Vec<f32>) -> Result<()>;

    /// [`Executor::read_into`] a vector of its own.
    fn read(&mut self, tensor: TensorId, rows: std::ops::Range<usize>) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        self.read_into(tensor, rows, &mut values)?;
        Ok(values)
    }

    /// Runs a list of steps once for each batch, in order. It may return before the device is done; reads wait.
    fn run(&mut self, phase: Phase, batches: &[Batch]) -> Result<()>;

    /// How many training steps [`Executor::run`] takes in one dispatch, by a kernel that [`Executor::run_step`] does not
    /// run; `None` where it runs the steps of a list one by one.
    fn joined_steps(&self) -> Option<usize> {
        None
    }

    /// Runs one step of a list.
    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> Result<()>;

    /// Runs one step of a list and tells how long it took by the device's own clock; `None`, and it may not have run, where
    /// there is no such clock or it stands still.
    fn time_step(&mut self, _phase: Phase, _step: usize, _batch: &Batch) -> Result<Option<Duration>> {
        Ok(None)
    }

    /// Waits until everything submitted is done.
    fn wait(&mut self) -> Result<()>;

    /// Since it was made.
    fn counts(&self) -> Counts;

    /// Names what lies beyond the tensors' elements and was overwritten; an executor without such places has nothing to name.
    fn overwritten(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// An executor that knows, for each number, how far a device may be from it.
pub trait Reference: Executor {
    /// Values and absolute error bounds of rows `rows`.
    fn bounded(&self, tensor: TensorId, rows: std::ops::Range<usize>) -> Vec<(f64, f64)>;
}
