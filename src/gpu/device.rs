//! An opened adapter: what it can hold, and what has gone wrong with it. Knows nothing of what runs on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::adapters::Adapter;
use super::joined::{self, Joined};
use super::memory::CANARY_BYTES;
use crate::error::{Error, Result};
use crate::ops::Class;
use crate::plan::{DeviceInfo, Plan};

/// How long a wait may take before the device counts as hung.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// An opened adapter. Clones share it.
#[derive(Clone)]
pub struct Device {
    pub(super) inner: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) info: DeviceInfo,
    pub(super) class: Class,
    adapter: Arc<Adapter>,
    /// The first error that no call returned: lost device, failed validation, memory.
    failure: Arc<Mutex<Option<String>>>,
}

impl Device {
    /// Opens an adapter with its own limits.
    ///
    /// # Errors
    /// [`Error::Device`] if the driver refuses.
    pub fn open(adapter: &Adapter) -> Result<Self> {
        let mut required_features = wgpu::Features::IMMEDIATES;
        if adapter.class == Class::SoftwareLanes {
            required_features |= wgpu::Features::SUBGROUP | wgpu::Features::SHADER_INT64;
        }
        // For profiles.
        required_features |= adapter.inner.features() & wgpu::Features::TIMESTAMP_QUERY;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features,
            required_limits: adapter.inner.limits(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (inner, queue) = pollster::block_on(adapter.inner.request_device(&descriptor)).map_err(|error| {
            Error::device(format!("{} could not be opened: {error}", adapter.name)).remedy("use --device cpu")
        })?;
        let failure = Arc::new(Mutex::new(None));
        let note = |failure: &Arc<Mutex<Option<String>>>, what: String| {
            failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(what);
        };
        let uncaptured = failure.clone();
        inner.on_uncaptured_error(Arc::new(move |error| note(&uncaptured, error.to_string())));
        let lost = failure.clone();
        inner.set_device_lost_callback(move |reason, message| {
            note(&lost, format!("the device was lost ({reason:?}) {message}"))
        });
        Ok(Device {
            inner,
            queue,
            info: adapter.info(),
            class: adapter.class,
            adapter: Arc::new(adapter.clone()),
            failure,
        })
    }

    /// The largest tensor a kernel can be shown, in bytes.
    pub fn max_binding(&self) -> u64 {
        let limits = self.inner.limits();
        // Bindings end at 2 GiB whatever the adapter says, and reach over the canaries behind their tensors.
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size).min((1 << 31) - 256);
        most / 256 * 256 - CANARY_BYTES
    }

    /// Whether there is room for so many bytes now: they are asked for and given back. On a device that shares the
    /// host's memory the answer may be better than the truth.
    pub fn has_room(&self, bytes: u64) -> bool {
        let most = self.inner.limits().max_buffer_size.min(1 << 30);
        let scope = self.inner.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = |i: u64| {
            let (size, usage) = ((bytes - i * most).min(most).max(4), wgpu::BufferUsages::STORAGE);
            self.inner.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
        };
        let buffers: Vec<wgpu::Buffer> = (0..bytes.div_ceil(most)).map(buffer).collect();
        let has_room = pollster::block_on(scope.pop()).is_none();
        buffers.iter().for_each(wgpu::Buffer::destroy);
        has_room
    }

    /// Bytes that are allocated on the device now, waiting for it first; None where the backend does not tell.
    pub fn held_bytes(&self) -> Option<u64> {
        self.inner.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(PATIENCE) }).ok()?;
        self.inner.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// Whether it runs many training steps of a plan in one dispatch.
    pub fn joins(&self, plan: &Plan) -> bool {
        plan.is_tiny()
            && matches!(joined::join(plan, joined::threads(self.class)), Ok(Some(joined)) if self.can_bind(&joined))
    }

    /// Whether a kernel can be shown all that the joined one is.
    pub(super) fn can_bind(&self, joined: &Joined) -> bool {
        joined.buffers.len() < self.inner.limits().max_storage_buffers_per_shader_stage as usize
    }

    /// Its kind, its name and its driver.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Which kernels it runs.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The same adapter, opened once more.
    ///
    /// # Errors
    /// [`Error::Device`] if the driver refuses.
    pub(super) fn again(&self) -> Result<Self> {
        Device::open(&self.adapter)
    }

    /// Whether all that was submitted is done, after waiting so long.
    pub(super) fn is_done_within(&self, timeout: Duration) -> bool {
        self.wait(None, timeout).is_ok()
    }

    /// Waits for a submit, or for all.
    ///
    /// # Errors
    /// [`Error::Device`] if it is not done by then, or the device is lost.
    pub(super) fn wait(&self, submission: Option<wgpu::SubmissionIndex>, timeout: Duration) -> Result<()> {
        self.poll(wgpu::PollType::Wait { submission_index: submission, timeout: Some(timeout) })
    }

    /// wgpu panics where it finds in the middle of a poll that the device is lost; that is an error like others.
    pub(super) fn poll(&self, kind: wgpu::PollType) -> Result<()> {
        self.failure()?;
        let polled = catch_unwind(AssertUnwindSafe(|| self.inner.poll(kind)));
        self.failure()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.hung(&error)),
            Err(_) => Err(Error::device("the device was lost")
                .at(&self.info.adapter)
                .remedy("use --device cpu, or try again")),
        }
    }

    fn hung(&self, error: &wgpu::PollError) -> Error {
        Error::device(format!("the device did not answer within {} s: {error}", PATIENCE.as_secs()))
            .at(&self.info.adapter)
            .remedy("use --device cpu, or smaller layers and batches")
    }

    /// The first error that happened behind a call's back.
    pub(super) fn failure(&self) -> Result<()> {
        match self.failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_deref() {
            Some(what) => Err(Error::device(what.lines().map(str::trim).collect::<Vec<_>>().join(" "))
                .at(&self.info.adapter)
                .remedy("use --device cpu, or try again")),
            None => Ok(()),
        }
    }
}
