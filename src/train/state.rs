//! Where a training stands: all that it takes to go on bit for bit. It knows nothing of files.

use super::{Epoch, Open, Trainer, setup};
use crate::error::{Error, Result};
use crate::model::schedules::Plateau;
use crate::ops::TensorId;
use crate::plan::Values;

/// A training between two steps. Row orders and dropout follow from the seed, the epoch and the step, so these stand
/// for the state of every random generator.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps taken.
    pub step: u64,
    /// The epochs that are done.
    pub epochs: Vec<Epoch>,
    /// The epoch that was not finished, if any.
    pub open: Open,
    /// Mean loss of the first batch, before any step.
    pub start_loss: Option<f64>,
    /// Weights and running statistics, in the order of [`crate::plan::Plan::model_tensors`].
    pub weights: Vec<Vec<f32>>,
    /// The optimizer's slots, one after the other in the order of the plan's parameters.
    pub slots: Vec<Vec<f32>>,
    /// The best epoch by early stopping, with its weights.
    pub best: Option<(usize, Vec<Vec<f32>>)>,
    /// The metric of early stopping at its best (larger is better), and the epochs since.
    pub stopping: (Option<f64>, usize),
    /// Of the schedule that watches the loss.
    pub plateau: Plateau,
    /// Training so far, in seconds.
    pub seconds: f64,
}

/// Looks at bits: a comparison of floats might be compiled away where NaN is assumed not to occur.
pub(super) fn all_finite(tensors: &[Vec<f32>]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    tensors.iter().flatten().all(|value| value.to_bits() & EXPONENT != EXPONENT)
}

impl Trainer<'_> {
    /// The state after the last step, every number of it finite.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a weight or a slot of the optimizer is NaN or infinite, [`Error::Device`] if the device
    /// fails.
    pub fn state(&mut self) -> Result<&State> {
        let weights = self.model_weights()?;
        let slots = self.read_all(&setup::slots(self.executor.plan()))?;
        for (what, tensors) in [("a weight", &weights), ("the optimizer's state", &slots)] {
            if !all_finite(tensors) {
                return Err(self.diverged(&format!("{what} after step {}", self.step)));
            }
        }
        if !(self.open.loss.is_finite()) {
            return Err(self.diverged(&format!("the training loss of epoch {}", self.epochs.len() + 1)));
        }
        let state = State {
            step: self.step,
            epochs: self.epochs.clone(),
            open: self.open,
            start_loss: self.start_loss,
            weights,
            slots,
            best: self.best.clone(),
            stopping: self.stopping.counters(),
            plateau: self.plateau,
            seconds: self.seconds,
        };
        Ok(self.good.insert(Box::new(state)))
    }

    /// The last state that was taken or resumed from; all its numbers are finite.
    pub fn good_state(&self) -> Option<&State> {
        self.good.as_deref()
    }

    pub(super) fn read_all(&mut self, tensors: &[TensorId]) -> Result<Vec<Vec<f32>>> {
        let read = |&id: &TensorId| {
            let rows = self.executor.plan().tensor(id).rows;
            self.executor.read(id, 0..rows)
        };
        tensors.iter().map(read).collect()
    }

    /// Makes this training stand where `state` was taken.
    pub(super) fn restore(&mut self, state: State) -> Result<()> {
        let plan = self.executor.plan();
        let steps = (self.data.split.train.len()).div_ceil(plan.batch_size);
        let places = [(plan.model_tensors(), &state.weights), (setup::slots(plan), &state.slots)];
        let fits = |(ids, values): &(Vec<TensorId>, &Vec<Vec<f32>>)| {
            ids.len() == values.len()
                && ids.iter().zip(values.iter()).all(|(&id, values)| plan.tensor(id).elements() == values.len())
        };
        let best = state.best.iter().map(|(_, weights)| (plan.model_tensors(), weights));
        let begun = state.open.steps;
        let is_whole = places.iter().cloned().chain(best).all(|place| fits(&place));
        if !is_whole || begun >= steps.max(1) || begun as u64 > state.step {
            return Err(Error::output("the state is that of another network"));
        }
        let written: Vec<(TensorId, &Vec<f32>)> =
            places.into_iter().flat_map(|(ids, values)| ids.into_iter().zip(values)).collect();
        for (id, values) in written {
            self.executor.write(id, 0, Values::F32(values))?;
        }
        self.step = state.step;
        self.epochs.clone_from(&state.epochs);
        self.open = state.open;
        self.start_loss = state.start_loss;
        self.best.clone_from(&state.best);
        self.stopping.set_counters(state.stopping);
        self.plateau = state.plateau;
        self.seconds = state.seconds;
        self.sampler.reset();
        self.feed.reset();
        self.good = Some(Box::new(state));
        Ok(())
    }
}
