//! The GPU executor and everything that names wgpu or naga. It knows the plan and the op trait, never a concrete op.

mod adapters;
mod clock;
mod device;
mod executor;
mod joined;
mod kernel;
mod memory;
mod ready;
mod submits;

pub use adapters::{Adapter, Selector, adapters, open};
pub use device::Device;
pub use executor::{GpuExecutor, Options};
pub use joined::{GPU_THREADS, Joined, VECTOR, join};
pub use kernel::{Kernel, check_functions, layout_of};
pub use submits::{Cut, ITERATIONS, cut, grid};
