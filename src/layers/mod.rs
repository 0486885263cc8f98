//! From a run file and the shape of its data to a plan. One file a kind of layer emits its forward and backward steps
//! side by side. Knows the ops and the plan; nothing of devices.

mod batch_norm;
mod builder;
mod dense;
mod dropout;
mod resolve;

use crate::config::{Config, Task};
use crate::error::{Error, Result};
use crate::model::activations::Activations;
use crate::model::optimizers::Optimizer;
use crate::ops::input::Encoding;
use crate::ops::pitch;
use crate::plan::Plan;
use builder::Builder;
use resolve::{Kind, Layer, resolve, resolve_loss};

/// A fault with the run file's key it is about.
pub type Keyed<T> = Result<T, (String, Error)>;

/// What a plan has to know about the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataShape {
    /// Of all sets together.
    pub rows: usize,
    /// Numbers of a row.
    pub features: usize,
    /// How they lie on the device.
    pub encoding: Encoding,
    /// What the targets are.
    pub task: Task,
    /// Numbers of a row's target.
    pub target_columns: usize,
    /// What the network has to give for a row.
    pub outputs: usize,
    /// Rows of the training set and of the largest set.
    pub train_rows: usize,
    /// Rows.
    pub largest_set: usize,
}

impl DataShape {
    /// Bytes of all rows on a device: features, targets and their place in the order.
    pub fn bytes(&self) -> u64 {
        self.row_bytes().iter().sum::<u64>().saturating_mul(self.rows as u64)
    }

    /// Bytes of a row of features, of targets and of the order, padding included.
    fn row_bytes(&self) -> [u64; 3] {
        let element = if self.encoding == Encoding::F32 { 4 } else { 1 };
        [element * pitch(self.features) as u64, 4 * pitch(self.target_columns + 1) as u64, 4]
    }
}

/// What a device has room for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest tensor.
    pub binding: u64,
    /// Of a data set that lies on the device as a whole. A larger one is streamed, window by window.
    pub resident: u64,
    /// Of one window, where a batch does not need more.
    pub window: u64,
}

impl Limits {
    /// Long enough that filling it pays, and short enough that a few that wait for the device are no burden.
    pub const WINDOW: u64 = 8 << 20;

    /// Keeps a data set on the device as long as its bindings allow it.
    pub fn of_binding(binding: u64) -> Self {
        Limits { binding, resident: u64::MAX, window: Limits::WINDOW }
    }
}

/// Compiles a configuration for a device whose bindings hold `max_binding` bytes.
///
/// # Errors
/// A name that is unknown, sizes that do not fit each other or the device; with the key that is to blame.
pub fn compile(config: &Config, shape: DataShape, max_binding: u64) -> Keyed<Plan> {
    compile_within(config, shape, Limits::of_binding(max_binding))
}

/// Compiles a configuration for a device.
///
/// # Errors
/// As [`compile`].
pub fn compile_within(config: &Config, shape: DataShape, limits: Limits) -> Keyed<Plan> {
    compile_with(config, shape, limits, &Activations::default())
}

/// As [`compile_within`], with activations that the program brings along.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(config: &Config, shape: DataShape, limits: Limits, activations: &Activations) -> Keyed<Plan> {
    let layers = resolve(config, &shape, activations)?;
    let optimizer = Optimizer::from_config(&config.optimizer)?;
    let (loss, output) = resolve_loss(config, &shape, activations)?;
    let widest = layers.iter().map(|layer| layer.features.max(layer.units)).max().unwrap_or(1);
    let mut builder = Builder::new(config, shape, widest, limits);
    builder.add_parameters(&layers, optimizer.rule.slots.len());
    let mut current = builder.start(&layers);
    for (i, layer) in layers.iter().enumerate() {
        current = match &layer.kind {
            Kind::Dense(dense) => {
                let drop = layers.get(i + 1).and_then(Layer::drop);
                dense::emit(&mut builder, layer, dense, drop, current)
            }
            Kind::BatchNorm(norm) => batch_norm::emit(&mut builder, layer, norm, current),
            // A dense layer has taken it into its epilogue.
            Kind::Dropout(_) if i > 0 && matches!(layers[i - 1].kind, Kind::Dense(_)) => current,
            Kind::Dropout(drop) => dropout::emit(&mut builder, layer, *drop, current),
        };
    }
    builder.emit_loss(loss, output, config.loss.delta.unwrap_or(1.0) as f32, &current);
    builder.emit_update(&config.regularization, optimizer);
    let plan = builder.finish();
    plan.check(limits.binding).map_err(|error| ("model.layers".to_owned(), error))?;
    Ok(plan)
}

#[cfg(test)]
pub(crate) mod tests;
