//! Running a network over rows without training it: for the trainer's own sets and for finished models. Knows
//! executors by their trait only.

use std::ops::Range;

use super::setup::RowWeights;
use crate::data::Dataset;
use crate::error::Result;
use crate::ops::Batch;
use crate::plan::{Executor, Phase};

/// Places `rows` of the row order as one batch, with its share of the loss.
pub fn batch(data: &Dataset, weights: &RowWeights, order: &[u32], rows: Range<usize>) -> Batch {
    let weight: f64 = order[rows.clone()].iter().map(|&row| weights.of(data, row)).sum();
    Batch {
        first: rows.start as u32,
        count: rows.len() as u32,
        slot: 0,
        scale: (1.0 / weight) as f32,
        learning_rate: 0.0,
        correction1: 1.0,
        correction2: 1.0,
        counter: 0,
        group: 0,
    }
}

/// A network with its weights and rows on a device.
pub trait Network {
    /// Where it runs.
    fn device(&mut self) -> &mut dyn Executor;

    /// Places `rows` of the row order as one batch.
    fn batch(&self, rows: Range<usize>) -> Batch;

    /// Runs batches in evaluation mode.
    fn evaluate(&mut self, batches: &[Batch]) -> Result<()> {
        self.device().run(Phase::Evaluate, batches)
    }
}

/// Mean loss and the network's outputs `[places, outputs]` for places of the row order, in evaluation mode.
pub fn run(network: &mut dyn Network, places: Range<usize>) -> Result<(f64, Vec<f32>)> {
    let plan = network.device().plan();
    let (window, size) = (plan.window, plan.evaluation_batch_size);
    let (results, outputs) = (plan.results, plan.predictions);
    let (mut loss, mut predictions) = (0.0, Vec::new());
    for start in places.clone().step_by(window) {
        let part = start..places.end.min(start + window);
        let batches: Vec<Batch> = part
            .clone()
            .step_by(size)
            .map(|first| {
                let rows = first..part.end.min(first + size);
                Batch { slot: (first - part.start) as u32, ..network.batch(rows) }
            })
            .collect();
        network.evaluate(&batches)?;
        let values = network.device().read(results, 0..part.len())?;
        // One after the other, so that parts of any size give the same sum.
        values.iter().step_by(2).for_each(|&x| loss += f64::from(x));
        predictions.extend(network.device().read(outputs, 0..part.len())?);
    }
    Ok((loss / places.len() as f64, predictions))
}

/// Rows that all lie on the device.
pub struct Resident<'a> {
    /// Whose plan is that of the data.
    pub executor: &'a mut dyn Executor,
    /// The rows.
    pub data: &'a Dataset,
    /// How much each row counts.
    pub weights: &'a RowWeights,
    /// Data rows by place.
    pub order: Vec<u32>,
}

impl Network for Resident<'_> {
    /// Where it runs.
    fn device(&mut self) -> &mut dyn Executor {
        self.executor
    }

    fn batch(&self, rows: Range<usize>) -> Batch {
        batch(self.data, self.weights, &self.order, rows)
    }
}
