//! The ops: fused stages of a training step, one file each, with the shader of the same stem and the CPU twin.
//!
//! An op says which tensors it binds in which order, which WGSL files make its kernel, what it tells the kernel in
//! immediates, how many workgroups it takes, and computes the same in Rust for every `Real`. It knows the tables in
//! `model`; it does not know plans, executors or devices.

pub mod batch_norm;
pub mod batch_norm_grad;
pub mod dense;
pub mod dense_grad;
pub mod dropout;
pub mod edge;
pub mod gather;
pub mod input;
pub mod loss;
mod matmul;
pub mod norm;
pub mod tensors;
pub mod update;

use bytemuck::Pod;

use crate::model::tracked::Tracked;
pub use edge::Edge;
pub use input::Input;
pub use matmul::GpuTiles;
pub use tensors::{Cells, Storage};

/// A tensor of a plan, by its place in the plan's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// What a step does with a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is read only.
    Read,
    /// It is written, and not read.
    Write,
    /// Reads and writes.
    Update,
}

/// What one binding of a kernel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A single one.
    Tensor(TensorId),
    /// The tensors of one role from the first to the last, as they lie one after the other in that role's flat buffer.
    Flat(TensorId, TensorId),
}

/// A binding of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// What is bound.
    pub binding: Binding,
    /// What is done with it.
    pub access: Access,
}

impl Argument {
    /// A tensor that is read.
    pub fn read(tensor: TensorId) -> Self {
        Argument { binding: Binding::Tensor(tensor), access: Access::Read }
    }
    /// A tensor that is written.
    pub fn write(tensor: TensorId) -> Self {
        Argument { binding: Binding::Tensor(tensor), access: Access::Write }
    }
    /// A tensor that is read and written.
    pub fn update(tensor: TensorId) -> Self {
        Argument { binding: Binding::Tensor(tensor), access: Access::Update }
    }
}

/// One run of a list of steps: its rows, and the numbers that change from step to step. They travel as immediates, so
/// nothing is written to a buffer between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Batch {
    /// Place of the first row in the row order.
    pub first: u32,
    /// Rows, at most the plan's batch size.
    pub count: u32,
    /// Place of the first row in the results and outputs.
    pub slot: u32,
    /// 1 / Σ weight of the rows; without class weights 1 / count.
    pub scale: f32,
    /// Of this step.
    pub learning_rate: f32,
    /// The optimizer's bias corrections.
    pub correction1: f32,
    /// Of the second moment; 1 where the optimizer has none.
    pub correction2: f32,
    /// Counts training steps; the time of the random functions.
    pub counter: u32,
    /// Number of the dispatch's first workgroup; 0 but where a dispatch is cut.
    pub group: u32,
}

/// Small numbers for one dispatch, laid out as the shader's `Params`.
#[derive(Debug, Clone, Copy)]
pub struct Immediates {
    words: [u32; 32],
    length: usize,
}

impl Immediates {
    /// Takes over a `#[repr(C)]` struct of 32-bit words.
    pub fn of<P: Pod>(params: &P) -> Self {
        let given: &[u32] = bytemuck::cast_slice(std::slice::from_ref(params));
        let mut words = [0; 32];
        words[..given.len()].copy_from_slice(given);
        Immediates { words, length: given.len() }
    }

    /// As the shader reads them.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words[..self.length])
    }
}

/// What kind of processor runs a kernel; tiles, and how numbers lie in memory, are chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A CPU that runs shaders (lavapipe, WARP): registers and cache, no fast shared memory.
    Software,
    /// The same with subgroups of at least 8 invocations and integers of 64 bits.
    SoftwareLanes,
    /// A GPU.
    Hardware,
    /// Any of them, for a network so small that one workgroup runs all of it, many steps in one dispatch.
    Tiny,
}

/// How a kernel cuts its work; read from the shader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Invocations of a workgroup.
    pub threads: u32,
    /// `TILE_ROWS` and `TILE_COLUMNS`, 1 where the shader has none.
    pub rows: u32,
    /// Columns of a workgroup's outputs.
    pub columns: u32,
}

/// A fused stage of a training or evaluation step: one dispatch.
pub trait Op: std::fmt::Debug + Send + Sync {
    /// The stem of its files, also its label and its row in profiles.
    fn name(&self) -> &'static str;

    /// Its bindings 0, 1, … in the shader's order.
    fn arguments(&self) -> Vec<Argument>;

    /// The WGSL files of its kernel, but for how numbers lie in memory.
    fn sources(&self, class: Class) -> Vec<String>;

    /// Its kernel: all of its files.
    fn source(&self, class: Class) -> String {
        let mut sources = self.sources(class);
        sources.push(memory(class));
        sources.join("\n")
    }

    /// The kernel's `Params`.
    fn immediates(&self, batch: &Batch) -> Immediates;

    /// Workgroups for this batch.
    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64;

    /// Floating-point operations for this batch, a multiply-add as two.
    fn flops(&self, batch: &Batch) -> u64;

    /// How often its kernel for a processor ([`Class::Software`], `SoftwareLanes` or `Tiny`) loops: its workgroups in runs
    /// of equals, how many and with how many iterations of all loops of one of their invocations, at most. Ending a loop
    /// counts as one more, also of a loop that is left out.
    fn iterations(&self, class: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)>;

    /// Its workgroups in runs of equals, how many and with how many floating-point operations in all, where its kernel
    /// can begin at any of them ([`Batch::group`]); empty where it cannot.
    fn runs(&self, _batch: &Batch, _tile: Tile) -> Vec<(u64, u64)> {
        Vec::new()
    }

    /// The rows of a written tensor that this batch must have produced.
    fn written(&self, tensor: TensorId, batch: &Batch) -> Region;

    /// The formula in f32, for training.
    fn twin_f32(&self, cells: &Cells<f32>, batch: &Batch);
    /// The formula in f64.
    fn twin_f64(&self, cells: &Cells<f64>, batch: &Batch);
    /// The formula with error bounds, for verification.
    fn twin_tracked(&self, cells: &Cells<Tracked>, batch: &Batch);
}

/// Rows of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Region {
    /// Every row.
    All,
    /// Some of them.
    Rows(std::ops::Range<usize>),
}

/// Implements the three twins of an op by its generic method `twin`.
macro_rules! twins {
    () => {
        fn twin_f32(&self, cells: &crate::ops::Cells<f32>, batch: &crate::ops::Batch) {
            self.twin(cells, batch);
        }
        fn twin_f64(&self, cells: &crate::ops::Cells<f64>, batch: &crate::ops::Batch) {
            self.twin(cells, batch);
        }
        fn twin_tracked(&self, cells: &crate::ops::Cells<crate::model::tracked::Tracked>, batch: &crate::ops::Batch) {
            self.twin(cells, batch);
        }
    };
}
use twins;

/// Elements from one row to the next on a device: rows are padded with zeros to whole `vec4`s.
pub fn pitch(columns: usize) -> usize {
    columns.next_multiple_of(4)
}

/// `pitch` counted in `vec4`s, as kernels do.
fn pitch4(columns: usize) -> u32 {
    (pitch(columns) / 4) as u32
}

/// Iterations of a loop with the one that ends it.
fn passes(count: impl Into<u64>) -> u64 {
    count.into() + 1
}

/// A WGSL file by its path below `shaders/`, embedded in the binary.
macro_rules! wgsl {
    ($path:literal) => {
        include_str!(concat!("../../shaders/", $path)).to_owned()
    };
}
use wgsl;

/// How four numbers lie in memory.
fn memory(class: Class) -> String {
    match class {
        Class::SoftwareLanes => wgsl!("lib/memory_u64.wgsl"),
        _ => wgsl!("lib/memory_f32.wgsl"),
    }
}
