//! Bytes between the host and the device's buffers.

use std::ops::Range;

use super::GpuExecutor;
use crate::error::{Error, Result};
use crate::gpu::device::PATIENCE;
use crate::gpu::memory::{pad, row_bytes};
use crate::ops::TensorId;

/// Bytes written in one piece, which bounds the driver's staging memory.
const WRITE_BYTES: u64 = 16 << 20;

impl GpuExecutor {
    /// Copies bytes of a buffer to the host.
    pub(super) fn download(&mut self, buffer: &wgpu::Buffer, range: Range<u64>) -> Result<Vec<u8>> {
        let size = range.end - range.start;
        if self.staging.as_ref().is_none_or(|staging| staging.size() < size) {
            self.staging = Some(self.device.inner.create_buffer(&wgpu::BufferDescriptor {
                label: Some("staging"),
                size: size.next_power_of_two(),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            }));
            self.counts.allocations += 1;
        }
        let staging = self.staging.clone().ok_or_else(|| Error::internal("the staging buffer was just made"))?;
        let mut encoder = self.device.inner.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, range.start, &staging, 0, size);
        self.device.queue.submit([encoder.finish()]);
        let slice = staging.slice(..size);
        let (sender, receiver) = std::sync::mpsc::channel();
        slice.map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone only if the wait below has failed.
            let _ = sender.send(result);
        });
        self.drain()?;
        let mapped = receiver.try_recv().is_ok_and(|result| result.is_ok());
        let view = slice.get_mapped_range().ok().filter(|_| mapped);
        let bytes = view.map(|view| view.to_vec()).ok_or_else(|| {
            Error::device("the results could not be read back").at(&self.device.info.adapter).remedy("use --device cpu")
        })?;
        staging.unmap();
        self.counts.bytes_read += size;
        Ok(bytes)
    }

    /// Writes padded rows piece by piece.
    pub(super) fn upload<E: bytemuck::Pod + Default>(
        &mut self,
        tensor: TensorId,
        first: usize,
        values: &[E],
    ) -> Result<()> {
        let (columns, row_bytes) = (self.plan.tensor(tensor).columns, row_bytes(self.plan.tensor(tensor)));
        let place = self.memory.places[tensor.0].clone();
        let rows_a_piece = (WRITE_BYTES / row_bytes).max(1) as usize;
        let mut offset = place.offset + first as u64 * row_bytes;
        for piece in values.chunks(rows_a_piece * columns) {
            let padded = pad(piece, columns);
            let raw: &[u8] = bytemuck::cast_slice(&padded[..]);
            if offset + raw.len() as u64 > place.offset + place.size {
                return Err(Error::internal(format!("{} is written past its end", self.plan.tensor(tensor).name)));
            }
            self.device.queue.write_buffer(&self.memory.buffers[place.buffer], offset, raw);
            offset += raw.len() as u64;
            self.counts.bytes_written += raw.len() as u64;
            if values.len() > rows_a_piece * columns {
                // A large data set goes up piece by piece: the next piece may reuse this one's staging memory.
                self.device.queue.submit([]);
                self.device.wait(None, PATIENCE)?;
            }
        }
        self.device.failure()
    }
}
