//! The training list of a tiny network as one kernel: many steps in one dispatch.

use std::sync::Arc;

use super::{GpuExecutor, Prepared};
use crate::error::Result;
use crate::gpu::joined::{self, Joined};
use crate::gpu::ready;
use crate::ops::Batch;
use crate::plan::Phase;

/// The training list of a tiny network as one kernel.
pub(super) struct Whole {
    pub joined: Joined,
    prepared: Prepared,
    /// What changes from batch to batch, for as many batches as one dispatch takes.
    table: wgpu::Buffer,
}

impl GpuExecutor {
    /// The kernel for many steps in one dispatch; `None` if the ops are not made for it or the adapter shows a kernel
    /// too few buffers.
    pub(super) fn join(&mut self) -> Result<Option<Whole>> {
        let threads = joined::threads(self.class(Phase::Train));
        let Some(mut joined) = joined::join(&self.plan, threads)? else { return Ok(None) };
        let device = &self.device;
        if !device.can_bind(&joined) {
            return Ok(None);
        }
        if let Some(spoil) = self.options.spoil {
            joined.source = spoil(&joined.source);
        }
        let kernel = ready::make(device, "joined", &joined.source, self.options.checked)?;
        let table = device.inner.create_buffer(&wgpu::BufferDescriptor {
            label: Some("table"),
            size: joined.table_bytes(),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.counts.allocations += 1;
        let buffers = joined.buffers.iter().map(|&buffer| &self.memory.buffers[buffer]).chain([&table]);
        let entries: Vec<wgpu::BindGroupEntry> = (kernel.layout.bindings.iter().zip(buffers))
            .map(|(&(binding, _), buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() })
            .collect();
        let bind_group = device.inner.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("joined"),
            layout: &kernel.group_layout,
            entries: &entries,
        });
        let prepared = Prepared { kernel: Arc::new(kernel), bind_group };
        device.failure()?;
        Ok(Some(Whole { joined, prepared, table }))
    }

    /// Runs batches of the joined training list, many in one dispatch.
    pub(super) fn run_joined(&mut self, whole: &Whole, batches: &[Batch]) -> Result<()> {
        for batches in batches.chunks(whole.joined.batches) {
            let table = whole.joined.table(&self.plan, batches);
            let raw: &[u8] = bytemuck::cast_slice(&table);
            // It takes its turn behind the dispatches that read what was there before.
            self.device.queue.write_buffer(&whole.table, 0, raw);
            self.counts.bytes_written += raw.len() as u64;
            let flops = self.plan.step_flops() * batches.len() as u64;
            self.submit(flops, |executor, pass| {
                pass.set_pipeline(&whole.prepared.kernel.pipeline);
                pass.set_bind_group(0, &whole.prepared.bind_group, &[]);
                pass.set_immediates(0, &(batches.len() as u32).to_le_bytes());
                pass.dispatch_workgroups(1, 1, 1);
                executor.counts.dispatches += 1;
                Ok(())
            })?;
        }
        Ok(())
    }
}
