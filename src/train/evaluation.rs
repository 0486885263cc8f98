//! What the network is worth so far: loss, metrics and outputs of a set in evaluation mode, and a trial of one batch of each.

use std::ops::Range;

use super::metrics::{Metrics, Truth};
use super::{Open, Set, Trainer, inference};
use crate::error::Result;
use crate::ops::Batch;
use crate::plan::{Executor, Phase};

/// Loss and metrics of a set, in evaluation mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean over the rows, without penalties.
    pub loss: f64,
    /// What the outputs are worth.
    pub metrics: Metrics,
}

impl Trainer<'_> {
    /// Loss and metrics of a set in evaluation mode; `None` if the set is empty.
    pub fn evaluate(&mut self, set: Set) -> Result<Option<Evaluation>> {
        let places = self.sampler.places(set);
        if places.is_empty() {
            return Ok(None);
        }
        let (loss, predictions) = inference::run(self, places.clone())?;
        let truth = Truth { data: self.data, rows: &self.sampler.order()[places] };
        Ok(Some(Evaluation { loss, metrics: truth.metrics(&predictions) }))
    }

    /// The data rows of a set and the network's outputs for them, `[rows, outputs]`, in evaluation mode.
    ///
    /// # Errors
    /// [`crate::Error::Device`] if the device fails.
    pub fn outputs(&mut self, set: Set) -> Result<(Vec<u32>, Vec<f32>)> {
        let places = self.sampler.places(set);
        let rows = self.sampler.order()[places.clone()].to_vec();
        Ok((rows, if places.is_empty() { Vec::new() } else { inference::run(self, places)?.1 }))
    }

    /// Trains on one batch and evaluates one of each set; their losses. For a trial: it leaves the weights changed.
    pub fn try_out(&mut self) -> Result<Vec<(Set, f64)>> {
        self.shuffle(0, 1)?;
        self.plan_batches(0, 1);
        let (results, size) = (self.executor.plan().results, self.executor.plan().evaluation_batch_size);
        let mut losses = Vec::new();
        for set in Set::ALL {
            let places = self.sampler.places(set);
            let (phase, batch) = match set {
                Set::Train => (Phase::Train, self.batches[0]),
                _ if places.is_empty() => continue,
                _ => (Phase::Evaluate, self.sampler.batch(places.start..places.end.min(places.start + size))),
            };
            self.run(phase, &[batch])?;
            let mut sums = Open::default();
            sums.add(&self.executor.read(results, 0..batch.count as usize)?);
            losses.push((set, sums.loss / sums.rows as f64));
        }
        Ok(losses)
    }

    /// Metrics of always answering with the training set's mean or most frequent class.
    pub fn baseline(&self, set: Set) -> Option<Metrics> {
        let places = self.sampler.places(set);
        let truth = Truth { data: self.data, rows: &self.sampler.order()[places.clone()] };
        (!places.is_empty()).then(|| truth.baseline(&self.data.split.train))
    }
}

impl inference::Network for Trainer<'_> {
    fn device(&mut self) -> &mut dyn Executor {
        self.executor.as_mut()
    }

    fn batch(&self, rows: Range<usize>) -> Batch {
        self.sampler.batch(rows)
    }

    fn evaluate(&mut self, batches: &[Batch]) -> Result<()> {
        self.run(Phase::Evaluate, batches)
    }
}
