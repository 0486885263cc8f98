//! Which executor a `--device` means.

use std::sync::Arc;

use crate::cpu::{self, CpuExecutor};
use crate::error::Result;
use crate::gpu::{self, GpuExecutor, Selector};
use crate::plan::{DeviceInfo, Executor, Plan};

/// A device that plans can be run on.
#[derive(Clone)]
pub(super) enum Chosen {
    Cpu { threads: usize },
    Gpu(gpu::Device),
}

/// Opens what `--device` names; `auto` takes a hardware GPU when there is one, else the CPU path, and adds to `notes`
/// which.
pub(super) fn choose(name: &str, threads: usize, notes: &mut Vec<String>) -> Result<Chosen> {
    let lower = name.to_lowercase();
    match lower.as_str() {
        "cpu" => Ok(Chosen::Cpu { threads }),
        "gpu" => gpu::open(&Selector::Best).map(Chosen::Gpu),
        "auto" => {
            let adapters = gpu::adapters()?;
            let Some(hardware) = adapters.iter().find(|adapter| !adapter.is_software()) else {
                let why = match adapters.first() {
                    Some(adapter) => format!("the only adapter is a software one, {}", adapter.name),
                    None => "no Vulkan, Metal or DX12 adapter was found".to_owned(),
                };
                notes.push(format!(
                    "device: cpu, since {why}{}",
                    if adapters.is_empty() { "" } else { "; override with --device gpu" }
                ));
                return Ok(Chosen::Cpu { threads });
            };
            notes.push(format!("device: {}; override with --device cpu", hardware.info().adapter));
            gpu::Device::open(hardware).map(Chosen::Gpu)
        }
        index if index.parse::<usize>().is_ok() => {
            gpu::open(&Selector::Index(index.parse().unwrap_or(usize::MAX))).map(Chosen::Gpu)
        }
        _ => gpu::open(&Selector::Name(name.to_owned())).map(Chosen::Gpu),
    }
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

    pub fn executor(&self, plan: Arc<Plan>) -> Result<Box<dyn Executor>> {
        Ok(match self {
            Chosen::Cpu { threads } => Box::new(CpuExecutor::<f32>::new(plan, *threads)?),
            Chosen::Gpu(device) => Box::new(GpuExecutor::new(device, plan, gpu::Options::default())?),
        })
    }
}
