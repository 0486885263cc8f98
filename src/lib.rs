//! wgrad trains neural networks with WGSL compute shaders and proves the results against a CPU reference.

pub mod config;
pub mod data;
pub mod error;

pub use error::{Error, Result};
