//! A plan: the tensors of one network, data set and batch size, and the steps that train and evaluate it, as data.
//!
//! No device is needed to make, print, check or test a plan. It knows the ops by their trait only; executors run it.

mod check;
mod display;
mod executor;

pub use check::MAX_BINDINGS;
pub use display::{bytes, grouped};
pub use executor::{Counts, DeviceInfo, Executor, Reference, Values};

use crate::model::initializers::Distribution;
use crate::ops::{Access, Argument, Batch, Op, TensorId, pitch};

/// What a tensor is for. Parameters, gradients and optimizer slots each lie in one flat buffer of the same layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A weight matrix or vector that is trained.
    Parameter,
    /// Of a parameter, of the same shape.
    Gradient,
    /// The n-th slot of the optimizer.
    Slot(usize),
    /// Kept between steps, but not trained: running statistics.
    State,
    /// A block of rows of the resident data set, or a window of a streamed one.
    Features,
    /// The answers of every row, and its weight.
    Targets,
    /// Which data row comes when.
    Order,
    /// Made anew by each step.
    Activation,
    /// Loss and correctness of each row of an epoch or evaluation.
    Results,
    /// The network's outputs for the rows of a window.
    Predictions,
}

/// What a tensor's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 32-bit whole numbers.
    U32,
    /// Bytes.
    U8,
}

/// `[rows, columns]`; a vector has one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Such as `layers.0.weight`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// What its numbers are.
    pub element: Element,
    /// Of the matrix; 1 for a vector.
    pub rows: usize,
    /// Of the matrix.
    pub columns: usize,
}

impl Tensor {
    /// Rows times columns.
    pub fn elements(&self) -> usize {
        self.rows * self.columns
    }

    /// Elements it takes on a device: each row is padded to a whole `vec4` (of bytes: a word).
    pub fn padded(&self) -> usize {
        self.rows * pitch(self.columns)
    }

    /// Bytes it takes on a device.
    pub fn bytes(&self) -> u64 {
        let element = if self.element == Element::U8 { 1 } else { 4 };
        self.padded() as u64 * element
    }
}

/// Every tensor in a flat buffer starts at a multiple of this many elements: 256 bytes, the largest alignment that
/// any adapter asks for.
pub const FLAT_ALIGNMENT: usize = 64;

/// Elements a tensor takes in a flat buffer: its rows, then a gap that stays zero.
pub fn flat_elements(tensor: &Tensor) -> usize {
    (tensor.padded() + 1).next_multiple_of(FLAT_ALIGNMENT)
}

/// A parameter with what belongs to it.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// The tensor that is trained.
    pub weight: TensorId,
    /// Of the same shape.
    pub gradient: TensorId,
    /// What the optimizer remembers, of the same shape each.
    pub slots: Vec<TensorId>,
    /// Weight matrices are penalised; vectors are not.
    pub is_matrix: bool,
    /// What start weights are drawn from.
    pub start: Distribution,
    /// Start value that is added to the draw: 1 for batch norm's weight.
    pub offset: f32,
}

/// One op on its tensors: one dispatch.
#[derive(Debug)]
pub struct Step {
    /// The op's name and its layer, such as `dense layers.0`.
    pub label: String,
    /// What it computes.
    pub op: Box<dyn Op>,
}

/// Operations of a training step up to which one workgroup is done sooner than the step's dispatches are started: on a
/// software adapter that takes 20 to 40 µs for each of them, and a workgroup does 0.5 GFLOP/s.
pub const TINY_FLOPS: u64 = 50_000;

/// Which list of steps is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Forward, backward, update.
    Train,
    /// Forward only.
    Evaluate,
}

/// Everything an executor needs to know.
#[derive(Debug)]
pub struct Plan {
    /// By their [`TensorId`].
    pub tensors: Vec<Tensor>,
    /// Weight matrices first, in the order of the flat buffers.
    pub parameters: Vec<Parameter>,
    /// Running statistics and their start values.
    pub states: Vec<(TensorId, f32)>,
    /// Steps of a training batch.
    pub train: Vec<Step>,
    /// Steps of an evaluation batch.
    pub evaluate: Vec<Step>,
    /// Most rows of one training step and of one evaluation step.
    pub batch_size: usize,
    /// Rows of an evaluation step, at most.
    pub evaluation_batch_size: usize,
    /// Rows that results and predictions have room for; longer sets are run in parts. Of a tiny network, results have
    /// room for the rows of several epochs.
    pub window: usize,
    /// Whether the data set lies on the device as a whole. Else features and targets have room for a window of it, a
    /// row of the window in each place of the row order, and the trainer fills it again and again.
    pub is_resident: bool,
    /// The blocks of the data set with their first rows.
    pub features: Vec<(TensorId, usize)>,
    /// Of every row, with its weight, `[rows, target_columns + 1]`.
    pub targets: TensorId,
    /// Data rows in the order of batches; of a tiny network followed by room for the orders of further epochs.
    pub order: TensorId,
    /// Loss and correctness of each row, `[window, 2]`.
    pub results: TensorId,
    /// Outputs of each row, `[window, outputs]`.
    pub predictions: TensorId,
}

impl Plan {
    /// Its name, role and shape.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The list of a phase.
    pub fn steps(&self, phase: Phase) -> &[Step] {
        match phase {
            Phase::Train => &self.train,
            Phase::Evaluate => &self.evaluate,
        }
    }

    /// The tensor of that name.
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.tensors.iter().position(|tensor| tensor.name == name).map(TensorId)
    }

    /// Tensors by id.
    pub fn ids(&self) -> impl Iterator<Item = TensorId> + use<> {
        (0..self.tensors.len()).map(TensorId)
    }

    /// Floating-point operations of a training step on a whole batch.
    pub fn step_flops(&self) -> u64 {
        let count = self.batch_size as u32;
        let batch = Batch { count, ..Batch::default() };
        self.train.iter().map(|step| step.op.flops(&batch)).sum()
    }

    /// Bytes that a step reads and writes on a device at least: once what it is shown, of what has a row for each row of
    /// the batch or the data only that of the batch (of each block of the data, as if it held them all), and twice what it
    /// updates.
    pub fn step_bytes(&self, step: &Step, batch: &Batch) -> u64 {
        let bytes = |id: TensorId| {
            let tensor = self.tensor(id);
            let (all, rows) = (tensor.bytes(), tensor.rows as u64);
            match tensor.role {
                Role::Parameter | Role::Gradient | Role::Slot(_) | Role::State => all,
                Role::Order => 4 * u64::from(batch.count),
                _ => all / rows.max(1) * rows.min(batch.count.into()),
            }
        };
        let arguments = step.op.arguments();
        let of_one = |argument: &Argument| {
            let times = if argument.access == Access::Update { 2 } else { 1 };
            times * self.bound(argument.binding).into_iter().map(bytes).sum::<u64>()
        };
        arguments.iter().map(of_one).sum()
    }

    /// Whether a training step is so little work that a device spends more time on starting its ops than on them.
    pub fn is_tiny(&self) -> bool {
        self.step_flops() <= TINY_FLOPS
    }

    /// Epochs of `train` rows each that the row order and the results have room for at a time.
    pub fn epochs_at_a_time(&self, train: usize) -> usize {
        let orders = 1 + (self.tensor(self.order).columns - self.data_rows()) / train.max(1);
        (self.tensor(self.results).rows / train.max(1)).clamp(1, orders)
    }

    /// Rows of the data set that there is room for.
    pub fn data_rows(&self) -> usize {
        self.tensor(self.targets).rows
    }

    /// All weights and running statistics: what a model file holds.
    pub fn model_tensors(&self) -> Vec<TensorId> {
        self.ids().filter(|&id| matches!(self.tensor(id).role, Role::Parameter | Role::State)).collect()
    }

    /// Trained numbers.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| self.tensor(p.weight).elements()).sum()
    }

    /// Bytes of all tensors on a device.
    pub fn device_bytes(&self) -> u64 {
        self.tensors.iter().map(Tensor::bytes).sum()
    }
}
