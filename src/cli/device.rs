//! Which executor a `--device` means.

use std::sync::Arc;

use crate::cpu::{self, CpuExecutor};
use crate::error::{Error, Result};
use crate::gpu::{self, GpuExecutor, Selector};
use crate::layers::{DataShape, Limits};
use crate::plan::{self, DeviceInfo, Executor, Plan};

/// A device that plans can be run on.
#[derive(Clone)]
pub(super) enum Chosen {
    Cpu { threads: usize },
    Gpu(gpu::Device),
}

/// Bytes of a data set that may lie in the memory of the host a second time.
const SHARED_MEMORY: u64 = 256 << 20;

/// Opens what `--device` names; `auto` takes a hardware GPU when there is one, else the CPU path. Also says why, where
/// it was not named: words that go behind its name.
pub(super) fn choose(name: &str, threads: usize) -> Result<(Chosen, String)> {
    let selector = match name.to_lowercase().as_str() {
        "cpu" => return Ok((Chosen::Cpu { threads }, String::new())),
        "auto" => return automatic(threads),
        "gpu" => Selector::Best,
        index if index.parse::<usize>().is_ok() => Selector::Index(index.parse().unwrap_or(usize::MAX)),
        _ => Selector::Name(name.to_owned()),
    };
    Ok((Chosen::Gpu(gpu::open(&selector)?), String::new()))
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
            Chosen::Gpu(device) if !device.info().software && device.has_room(2 * shape.bytes()) => u64::MAX,
            _ => SHARED_MEMORY,
        };
        Limits { resident, ..limits }
    }

    pub fn executor(&self, plan: Arc<Plan>) -> Result<Box<dyn Executor>> {
        Ok(match self {
            Chosen::Cpu { threads } => {
                check_memory(&plan)?;
                Box::new(CpuExecutor::<f32>::new(plan, *threads)?)
            }
            Chosen::Gpu(device) => Box::new(GpuExecutor::new(device, plan, gpu::Options::default())?),
        })
    }
}

/// Asks for the memory of a plan once, in one piece: a tensor that cannot be had would end the process in the middle.
fn check_memory(plan: &Plan) -> Result<()> {
    let bytes = plan.device_bytes();
    let is_there = usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    if is_there {
        return Ok(());
    }
    let problem = format!("this network and data need {} of memory, more than there is", plan::bytes(bytes));
    Err(Error::device(problem).remedy("use fewer units or a smaller batch"))
}
