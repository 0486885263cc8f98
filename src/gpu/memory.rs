//! Where a plan's tensors lie on the device: one flat buffer for parameters, gradients and each optimizer slot, a
//! buffer of its own for every other tensor; behind every tensor a few canary words that no kernel may change.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::ops::{Binding, pitch};
use crate::plan::{Element, Plan, Role, Tensor, flat_elements, grouped};

/// The pattern of a canary word behind a tensor with a buffer of its own: a NaN that no computation makes. The gaps in
/// flat buffers hold zeros instead, because `norm` and `update` walk over them: like padding they stay zero.
const CANARY: u32 = 0x7fca_ca7a;

/// Bytes of the canaries behind a tensor with a buffer of its own.
pub(super) const CANARY_BYTES: u64 = 256;

/// Where one tensor lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub buffer: usize,
    pub offset: u64,
    /// Bytes of its padded rows.
    pub size: u64,
    /// Bytes behind it that hold canaries.
    pub canaries: Range<u64>,
    /// What each word of them holds.
    pub canary: u32,
}

/// All buffers of one plan.
#[derive(Debug)]
pub(super) struct Memory {
    pub buffers: Vec<wgpu::Buffer>,
    pub places: Vec<Place>,
}

impl Memory {
    /// Creates the buffers, canaries written, everything else zero.
    ///
    /// # Errors
    /// [`Error::Device`] with the bytes that were asked for, if the device has not got them.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, plan: &Plan) -> Result<Self> {
        let (places, sizes) = arrange(plan);
        let total: u64 = sizes.iter().sum();
        let limit = device.limits().max_buffer_size;
        if let Some(size) = sizes.iter().find(|&&size| size > limit) {
            return Err(too_much(plan, total, &format!("a buffer of {} bytes is too large", grouped(*size))));
        }
        let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let create = |&size: &u64| {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
            device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let buffers: Vec<wgpu::Buffer> = sizes.iter().map(create).collect();
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(too_much(plan, total, &error.to_string()));
        }
        for place in &places {
            let words = vec![place.canary; ((place.canaries.end - place.canaries.start) / 4) as usize];
            queue.write_buffer(&buffers[place.buffer], place.canaries.start, bytemuck::cast_slice(&words));
        }
        Ok(Memory { buffers, places })
    }

    /// What a kernel is shown of a binding: its tensors and the canaries behind them. Drivers may drop what is written
    /// beyond a binding (lavapipe does), so a write past the end is only seen if the binding reaches further.
    pub fn binding(&self, binding: Binding) -> wgpu::BufferBinding<'_> {
        let (first, last) = match binding {
            Binding::Tensor(id) => (id, id),
            Binding::Flat(first, last) => (first, last),
        };
        let (first, last) = (&self.places[first.0], &self.places[last.0]);
        let size = last.canaries.end - first.offset;
        wgpu::BufferBinding {
            buffer: &self.buffers[first.buffer],
            offset: first.offset,
            size: std::num::NonZeroU64::new(size),
        }
    }
}

fn too_much(plan: &Plan, total: u64, why: &str) -> Error {
    let largest = plan.tensors.iter().max_by_key(|tensor| tensor.bytes());
    let name = largest.map_or_else(String::new, |t| format!(", {} of them for {}", grouped(t.bytes()), t.name));
    Error::device(format!("the device has no room for {} bytes{name}: {why}", grouped(total)))
        .remedy("use --device cpu, fewer units or a smaller batch")
}

/// Offsets of all tensors and sizes of all buffers.
pub(super) fn arrange(plan: &Plan) -> (Vec<Place>, Vec<u64>) {
    let mut flat: BTreeMap<Role, usize> = BTreeMap::new();
    let mut sizes: Vec<u64> = Vec::new();
    let places = plan
        .tensors
        .iter()
        .map(|tensor| {
            let size = tensor.bytes();
            let shared = matches!(tensor.role, Role::Parameter | Role::Gradient | Role::Slot(_));
            let (buffer, room, canary) = if shared {
                let buffer = *flat.entry(tensor.role).or_insert_with(|| {
                    sizes.push(0);
                    sizes.len() - 1
                });
                (buffer, flat_elements(tensor) as u64 * 4, 0)
            } else {
                sizes.push(0);
                (sizes.len() - 1, size + CANARY_BYTES, CANARY)
            };
            let offset = sizes[buffer];
            sizes[buffer] += room;
            Place { buffer, offset, size, canaries: offset + size..offset + room, canary }
        })
        .collect();
    (places, sizes)
}

/// The elements of whole rows with their padding, as they lie on the device.
pub(super) fn pad<E: bytemuck::Pod + Default>(values: &[E], columns: usize) -> Cow<'_, [E]> {
    if columns == pitch(columns) {
        return Cow::Borrowed(values);
    }
    let mut padded = Vec::with_capacity(values.len() / columns * pitch(columns));
    for row in values.chunks(columns) {
        padded.extend_from_slice(row);
        padded.resize(padded.len() + pitch(columns) - columns, E::default());
    }
    Cow::Owned(padded)
}

/// Bytes from the start of one row of a tensor to the next.
pub(super) fn row_bytes(tensor: &Tensor) -> u64 {
    pitch(tensor.columns) as u64 * if tensor.element == Element::U8 { 1 } else { 4 }
}
