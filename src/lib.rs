//! wgrad trains neural networks with WGSL compute shaders and proves the results against a CPU reference.

pub mod bench;
pub mod cli;
pub mod compute;
pub mod config;
pub mod cpu;
pub mod data;
pub mod error;
pub mod events;
pub mod export;
pub mod file;
pub mod gpu;
pub mod layers;
pub mod model;
pub mod ops;
pub mod plan;
pub mod report;
pub mod train;
pub mod trained;
pub mod verify;

pub use error::{Error, Result};
