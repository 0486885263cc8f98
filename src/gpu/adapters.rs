//! The adapters of this machine, and the one that a `--device` names.

use crate::error::{Error, Result, suggestion};
use crate::ops::Class;
use crate::plan::DeviceInfo;

use super::device::Device;

/// An adapter as `wgrad devices` lists it.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub(super) inner: wgpu::Adapter,
    /// In the list of all, from 0.
    pub index: usize,
    /// As its driver gives it.
    pub name: String,
    /// vulkan, metal or dx12.
    pub backend: String,
    /// The driver's name and version.
    pub driver: String,
    /// discrete gpu, integrated gpu, virtual gpu, cpu or other.
    pub kind: &'static str,
    /// Which kernels it runs.
    pub class: Class,
    /// Whether its memory is the host's.
    pub shares_memory: bool,
}

/// Which adapter is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The best one, a software one too.
    Best,
    /// By its number in the list.
    Index(usize),
    /// Part of a name, in any case.
    Name(String),
}

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    // Validation layers and debug names cost start-up time and are for people who ask by wgpu's own variables.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    wgpu::Instance::new(descriptor.with_env())
}

/// Every adapter, the best first: discrete, integrated and virtual GPUs, then software.
///
/// # Errors
/// [`Error::Device`] if `WGPU_ADAPTER_NAME` names none of them.
pub fn adapters() -> Result<Vec<Adapter>> {
    let found = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()));
    let low_power = std::env::var("WGPU_POWER_PREF").is_ok_and(|value| value.eq_ignore_ascii_case("low"));
    let mut found: Vec<wgpu::Adapter> =
        found.into_iter().filter(|adapter| adapter.features().contains(wgpu::Features::IMMEDIATES)).collect();
    found.sort_by_key(|adapter| rank(adapter.get_info().device_type, low_power));
    let mut adapters: Vec<Adapter> = found.into_iter().map(describe).collect();
    if let Ok(wanted) = std::env::var("WGPU_ADAPTER_NAME") {
        adapters.retain(|adapter| adapter.name.to_lowercase().contains(&wanted.to_lowercase()));
        if adapters.is_empty() {
            return Err(Error::device(format!("no adapter's name contains `{wanted}`"))
                .at("WGPU_ADAPTER_NAME")
                .remedy("unset it and see `wgrad devices`"));
        }
    }
    for (index, adapter) in adapters.iter_mut().enumerate() {
        adapter.index = index;
    }
    Ok(adapters)
}

/// The place of a kind of device in the list: the fastest first, or the most frugal.
fn rank(kind: wgpu::DeviceType, low_power: bool) -> usize {
    match kind {
        wgpu::DeviceType::DiscreteGpu => usize::from(low_power),
        wgpu::DeviceType::IntegratedGpu => usize::from(!low_power),
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// What the faster kernels for software adapters need: subgroups that hold a whole workgroup, integers of 64 bits.
fn has_lanes(adapter: &wgpu::Adapter) -> bool {
    let features = wgpu::Features::SUBGROUP | wgpu::Features::SHADER_INT64;
    adapter.features().contains(features) && adapter.get_info().subgroup_min_size >= 8
}

/// Whether a kind of device has no memory of its own. A virtual GPU is mostly a part of a discrete one.
fn shares_memory(kind: wgpu::DeviceType) -> bool {
    matches!(kind, wgpu::DeviceType::IntegratedGpu | wgpu::DeviceType::Cpu)
}

fn describe(inner: wgpu::Adapter) -> Adapter {
    let info = inner.get_info();
    let (kind, class) = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => ("discrete gpu", Class::Hardware),
        wgpu::DeviceType::IntegratedGpu => ("integrated gpu", Class::Hardware),
        wgpu::DeviceType::VirtualGpu => ("virtual gpu", Class::Hardware),
        wgpu::DeviceType::Cpu if has_lanes(&inner) => ("software", Class::SoftwareLanes),
        wgpu::DeviceType::Cpu => ("software", Class::Software),
        wgpu::DeviceType::Other => ("other", Class::Hardware),
    };
    let driver = format!("{} {}", info.driver, info.driver_info).trim().to_owned();
    let (name, backend) = (info.name.clone(), info.backend.to_string());
    Adapter { inner, index: 0, name, backend, driver, kind, class, shares_memory: shares_memory(info.device_type) }
}

impl Adapter {
    /// Whether it is a processor that stands in for a GPU.
    pub fn is_software(&self) -> bool {
        self.class != Class::Hardware
    }

    /// What results say about where they come from.
    pub fn info(&self) -> DeviceInfo {
        DeviceInfo {
            device: "gpu",
            adapter: format!("{} ({})", self.name, self.backend),
            driver: self.driver.clone(),
            software: self.is_software(),
            shares_memory: self.shares_memory,
        }
    }

    /// The limits that decide what fits, by name.
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let limits = self.inner.limits();
        vec![
            ("max_buffer_size", limits.max_buffer_size),
            ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
            ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
            ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
            ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
            ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
            ("max_immediate_size", limits.max_immediate_size.into()),
        ]
    }

    /// The features that wgrad has a use for.
    pub fn features(&self) -> Vec<&'static str> {
        let features = self.inner.features();
        let known = [
            ("immediates", wgpu::Features::IMMEDIATES),
            ("timestamp_query", wgpu::Features::TIMESTAMP_QUERY),
            ("subgroup", wgpu::Features::SUBGROUP),
            ("shader_int64", wgpu::Features::SHADER_INT64),
            ("shader_f16", wgpu::Features::SHADER_F16),
            ("pipeline_cache", wgpu::Features::PIPELINE_CACHE),
        ];
        known.into_iter().filter(|(_, feature)| features.contains(*feature)).map(|(name, _)| name).collect()
    }
}

/// Opens the selected adapter.
///
/// # Errors
/// [`Error::Device`] if there is none, or none of that name or index.
pub fn open(selector: &Selector) -> Result<Device> {
    let adapters = adapters()?;
    if adapters.is_empty() {
        return Err(Error::device("no Vulkan, Metal or DX12 adapter was found")
            .remedy("use --device cpu, or install a driver (Debian and Ubuntu: mesa-vulkan-drivers)"));
    }
    let names: Vec<&str> = adapters.iter().map(|adapter| adapter.name.as_str()).collect();
    let chosen = match selector {
        Selector::Best => adapters.first(),
        Selector::Index(index) => adapters.get(*index),
        Selector::Name(part) => {
            adapters.iter().find(|adapter| adapter.name.to_lowercase().contains(&part.to_lowercase()))
        }
    };
    match (chosen, selector) {
        (Some(adapter), _) => Device::open(adapter),
        (None, Selector::Index(index)) => Err(Error::device(format!("there is no adapter {index}"))
            .at("--device")
            .remedy(format!("the adapters are 0 to {}: see `wgrad devices`", adapters.len() - 1))),
        (None, Selector::Name(part)) => {
            let near = suggestion(part, ["auto", "cpu", "gpu"]);
            let hint = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            Err(Error::device(format!("no adapter's name contains `{part}`"))
                .at("--device")
                .remedy(format!("{hint}found: {}", names.join(", "))))
        }
        (None, Selector::Best) => unreachable!("the list is not empty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_adapter_is_the_best_and_with_low_power_the_most_frugal() {
        use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, Other, VirtualGpu};
        let sorted = |low_power| {
            let mut kinds = [Cpu, Other, IntegratedGpu, VirtualGpu, DiscreteGpu];
            kinds.sort_by_key(|kind| rank(*kind, low_power));
            kinds
        };
        assert_eq!(sorted(false), [DiscreteGpu, IntegratedGpu, VirtualGpu, Other, Cpu]);
        assert_eq!(sorted(true), [IntegratedGpu, DiscreteGpu, VirtualGpu, Other, Cpu]);
    }

    #[test]
    fn integrated_and_software_adapters_take_part_in_the_hosts_memory() {
        use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, VirtualGpu};
        assert_eq!([Cpu, IntegratedGpu, DiscreteGpu, VirtualGpu].map(shares_memory), [true, true, false, false]);
    }
}
