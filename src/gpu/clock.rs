//! A device's own clock: how long a compute pass took there, without being started and waited for.

use std::time::Duration;

use super::device::Device;

/// Two timestamps, of the beginning and the end of a pass.
#[derive(Debug)]
pub struct Clock {
    queries: wgpu::QuerySet,
    /// Where they are read from, as ticks.
    pub ticks: wgpu::Buffer,
    /// Nanoseconds of a tick.
    period: f64,
}

/// Bytes of two timestamps.
pub const TICKS_BYTES: u64 = 16;

impl Clock {
    /// `None` where the device has none.
    pub fn new(device: &Device) -> Option<Self> {
        if !device.inner.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let queries = device.inner.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("clock"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let ticks = device.inner.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ticks"),
            size: TICKS_BYTES,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Some(Clock { queries, ticks, period: device.queue.get_timestamp_period().into() })
    }

    /// For the pass that is timed.
    pub fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// After the pass.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.ticks, 0);
    }

    /// From the ticks' bytes; `None` where the clock stands still, as some drivers' do.
    pub fn time(&self, raw: &[u8]) -> Option<Duration> {
        elapsed(bytemuck::pod_collect_to_vec::<u8, u64>(raw).try_into().ok()?, self.period)
    }
}

fn elapsed([began, ended]: [u64; 2], period: f64) -> Option<Duration> {
    let ticks = ended.checked_sub(began).filter(|&ticks| ticks > 0)?;
    Some(Duration::from_nanos((ticks as f64 * period) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds_and_a_clock_that_stands_still_tells_nothing() {
        assert_eq!(elapsed([1000, 3000], 41.7), Some(Duration::from_nanos(83_400)));
        assert_eq!((elapsed([0, 0], 1.0), elapsed([7, 7], 1.0), elapsed([9, 7], 1.0)), (None, None, None));
    }
}
