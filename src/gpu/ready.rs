//! Compiles a list of kernels, for a software adapter on two cores.
//!
//! llvmpipe makes a kernel's machine code when it first runs, on the one thread of its device, and a submit waits for the one
//! before it. But what is made lies in Mesa's cache on disk, for every device. So where the cache turns out to be empty, a
//! second device walks through the list from its end while the first one comes from the front, and when they have met, the
//! first finds in the cache what the second has made.

use std::sync::Mutex;
use std::time::Duration;

use super::device::{Device, PATIENCE};
use super::kernel::Kernel;
use crate::error::Result;

/// How long the machine code of one kernel may take if it is in the cache.
const FILLED: Duration = Duration::from_millis(15);

/// Fewer kernels than this are not worth a second device.
const FEW: usize = 4;

/// The kernels of joined shaders, given as name and text.
///
/// # Errors
/// [`Error::Device`] if the device fails or refuses one.
pub(super) fn compile(device: &Device, sources: &[(&str, String)], checked: bool) -> Result<Vec<Kernel>> {
    let make = |device: &Device, i: usize| make(device, sources[i].0, &sources[i].1, checked);
    let mut kernels: Vec<Option<Kernel>> = sources.iter().map(|_| None).collect();
    if sources.len() >= FEW && keeps_machine_code(device) {
        kernels[0] = Some(make(device, 0)?);
        if !device.is_done_within(FILLED) {
            let open = Mutex::new(1..sources.len());
            let claim = || open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            std::thread::scope(|scope| {
                let second = scope.spawn(|| {
                    let second = device.again()?;
                    std::iter::from_fn(|| claim().next_back()).try_for_each(|i| {
                        make(&second, i)?;
                        second.wait(None, PATIENCE)
                    })
                });
                let first = std::iter::from_fn(|| claim().next()).try_for_each(|i| {
                    kernels[i] = Some(make(device, i)?);
                    device.wait(None, PATIENCE)
                });
                // What fails over there fails on the first device too, which says so.
                let _ = second.join();
                first
            })?;
        }
    }
    // The kernel that the second device has just made comes last: Mesa writes behind its back.
    for (i, kernel) in kernels.iter_mut().enumerate().rev().filter(|(_, kernel)| kernel.is_none()) {
        *kernel = Some(make(device, i)?);
    }
    device.failure()?;
    Ok(kernels.into_iter().flatten().collect())
}

/// Whether the device is llvmpipe, and Mesa has not been told to do without its cache.
fn keeps_machine_code(device: &Device) -> bool {
    let disabled = std::env::var("MESA_SHADER_CACHE_DISABLE").unwrap_or_default();
    device.info.driver.starts_with("llvmpipe") && matches!(disabled.as_str(), "" | "0" | "false")
}

/// Compiles a kernel and, on a software adapter, runs no workgroup of it, so that its machine code is made while the host
/// goes on.
pub(super) fn make(device: &Device, name: &str, source: &str, checked: bool) -> Result<Kernel> {
    let kernel = Kernel::compile(&device.inner, name, source, checked)?;
    if !device.info.software {
        return Ok(kernel);
    }
    let buffer = |&bytes: &u64| {
        let (size, usage) = (bytes.next_multiple_of(16), wgpu::BufferUsages::STORAGE);
        device.inner.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let buffers: Vec<wgpu::Buffer> = kernel.layout.least_bytes.iter().map(buffer).collect();
    let entries: Vec<wgpu::BindGroupEntry> = (kernel.layout.bindings.iter().zip(&buffers))
        .map(|(&(binding, _), buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
        .collect();
    let bind_group = device.inner.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(name),
        layout: &kernel.group_layout,
        entries: &entries,
    });
    let mut encoder = device.inner.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&kernel.pipeline);
    pass.set_bind_group(0, &bind_group, &[]);
    pass.set_immediates(0, &vec![0; kernel.layout.immediates as usize]);
    pass.dispatch_workgroups(0, 1, 1);
    drop(pass);
    device.queue.submit([encoder.finish()]);
    Ok(kernel)
}
