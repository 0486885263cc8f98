//! Where a network runs: from a wish to an opened device, and from there to executors. The one place that knows both
//! kinds of executor.

use std::sync::Arc;

use crate::config::Config;
use crate::cpu::{self, CpuExecutor};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::gpu::{self, GpuExecutor, Selector};
use crate::layers::{DataShape, Limits};
use crate::model::tracked::Tracked;
use crate::plan::{DeviceInfo, Executor, Plan};
use crate::train::Trainer;
use crate::verify::{self, Report};

/// Bytes of a data set that may lie in the memory of the host a second time.
const SHARED_MEMORY: u64 = 256 << 20;

/// Where a network is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Device {
    /// A hardware GPU when there is one, else the CPU path on all cores: a software adapter is slower.
    #[default]
    Auto,
    /// The CPU path. The number of threads changes no result.
    Cpu {
        /// At least 1.
        threads: usize,
    },
    /// The best adapter, a software one too.
    Gpu,
    /// The adapter of that number in the list of `wgrad devices`, from 0.
    Index(usize),
    /// The first adapter whose name contains this, in any case.
    Named(String),
}

impl Device {
    /// The CPU path on all cores.
    pub fn cpu() -> Self {
        Device::Cpu { threads: all_cores() }
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such device or its driver refuses.
    pub fn open(&self) -> Result<Chosen> {
        let selector = match self {
            Device::Auto => return Ok(automatic(all_cores())?.0),
            Device::Cpu { threads } => return Ok(Chosen::Cpu { threads: (*threads).max(1) }),
            Device::Gpu => Selector::Best,
            Device::Index(index) => Selector::Index(*index),
            Device::Named(name) => Selector::Name(name.clone()),
        };
        Ok(Chosen::Gpu(gpu::open(&selector)?))
    }
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// An opened device that plans can be run on. Clones share it.
#[derive(Clone)]
pub enum Chosen {
    /// The CPU path.
    Cpu {
        /// Threads that share large products.
        threads: usize,
    },
    /// An adapter.
    Gpu(gpu::Device),
}

impl std::fmt::Debug for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.info().adapter)
    }
}

/// Opens what `--device` names. Also says why, where it was not named: words that go behind its name.
pub(crate) fn choose(name: &str, threads: usize) -> Result<(Chosen, String)> {
    let device = match name.to_lowercase().as_str() {
        "cpu" => Device::Cpu { threads },
        "auto" => return automatic(threads),
        "gpu" => Device::Gpu,
        index if index.parse::<usize>().is_ok() => Device::Index(index.parse().unwrap_or(usize::MAX)),
        _ => Device::Named(name.to_owned()),
    };
    Ok((device.open()?, String::new()))
}

fn automatic(threads: usize) -> Result<(Chosen, String)> {
    let adapters = gpu::adapters()?;
    if let Some(hardware) = adapters.iter().find(|adapter| !adapter.is_software()) {
        return Ok((Chosen::Gpu(gpu::Device::open(hardware)?), " (auto; override with --device cpu)".into()));
    }
    // A software adapter is slower than the CPU path.
    let why =
        if adapters.is_empty() { " (no GPU was found)" } else { " (no hardware GPU; override with --device gpu)" };
    Ok((Chosen::Cpu { threads }, why.into()))
}

impl Chosen {
    /// Its kind, its name and its driver.
    pub fn info(&self) -> DeviceInfo {
        match self {
            Chosen::Cpu { .. } => cpu::processor(),
            Chosen::Gpu(device) => device.info().clone(),
        }
    }

    /// The largest tensor, in bytes.
    pub fn max_binding(&self) -> u64 {
        match self {
            Chosen::Cpu { .. } => u64::MAX,
            Chosen::Gpu(device) => device.max_binding(),
        }
    }

    /// What of a data set of that shape and its network it has room for. Where host and device share the memory, a
    /// large data set is streamed; on a GPU of its own memory only one that does not fit there.
    pub fn limits(&self, shape: &DataShape) -> Limits {
        let limits = Limits::of_binding(self.max_binding());
        let resident = match self {
            Chosen::Gpu(device) if !device.info().shares_memory && device.has_room(2 * shape.bytes()) => u64::MAX,
            _ => SHARED_MEMORY,
        };
        Limits { resident, ..limits }
    }

    /// Whether it trains a plan many steps in one dispatch.
    pub fn joins(&self, plan: &Plan) -> bool {
        matches!(self, Chosen::Gpu(device) if device.joins(plan))
    }

    /// Allocates all that a plan needs.
    ///
    /// # Errors
    /// [`Error::Device`] if there is not enough memory or the device refuses a kernel.
    pub fn executor(&self, plan: Arc<Plan>) -> Result<Box<dyn Executor>> {
        Ok(match self {
            Chosen::Cpu { threads } => Box::new(CpuExecutor::<f32>::new(plan, *threads)?),
            Chosen::Gpu(device) => Box::new(GpuExecutor::new(device, plan, gpu::Options::default())?),
        })
    }

    /// Names the step and tensor where a training of this plan met NaN or infinity first: see [`Trainer::explain`].
    pub(crate) fn explain(&self, plan: &Arc<Plan>, trainer: &mut Trainer, error: Error) -> Error {
        if !matches!(error, Error::Diverged(_)) {
            return error;
        }
        match self {
            Chosen::Cpu { .. } => trainer.explain(error, None),
            Chosen::Gpu(_) => match CpuExecutor::<f32>::new(plan.clone(), 1) {
                Ok(mut reference) => trainer.explain(error, Some(&mut reference)),
                Err(_) => error,
            },
        }
    }

    /// Checks every step of a network with its start weights against the f64 reference, on a full batch and on the
    /// short last one. `plan` must have been compiled for `config`, `data` and this device.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails; a wrong number is no error here but in [`Report::verdict`].
    pub fn verify(&self, plan: &Arc<Plan>, config: &Config, data: &Dataset) -> Result<Report> {
        // The device first: it says so where the network does not fit.
        let mut executor = self.executor(plan.clone())?;
        let mut reference = CpuExecutor::<Tracked>::new(plan.clone(), 1)?;
        let batches = verify::batches(plan, config, data)?;
        verify::network(executor.as_mut(), &mut reference, config, data, &batches)
    }
}
