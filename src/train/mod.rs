//! Training: epochs of mini-batches on any executor, evaluation, early stopping, and what a run leaves behind.
//! It knows executors by their trait only and prints nothing.

pub mod checkpoint;
pub mod diagnosis;
mod divergence;
mod evaluation;
pub mod feed;
pub mod folder;
pub mod halving;
pub mod inference;
pub mod metrics;
pub mod range_test;
mod sampler;
pub mod setup;
mod state;
pub mod stopping;
mod symptoms;
pub mod weights;

pub use divergence::Culprit;
pub use evaluation::Evaluation;
pub use sampler::Set;
pub use state::State;

use std::ops::ControlFlow;
use std::time::Instant;

use crate::config::{Config, Task};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::layers::Keyed;
use crate::model::optimizers::Optimizer;
use crate::model::schedules::{Moment, Plateau, Schedule};
use crate::ops::{Batch, TensorId};
use crate::plan::{Executor, Phase, Values};
use feed::Feed;
use sampler::Sampler;
use setup::RowWeights;
use stopping::Stopping;

/// What one epoch left.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// 1, 2, ….
    pub epoch: usize,
    /// Of its last step.
    pub learning_rate: f64,
    /// Mean over the rows seen, each batch measured before its own update, without penalties.
    pub train_loss: f64,
    /// Mean over the validation rows in evaluation mode; `None` without such rows.
    pub validation_loss: Option<f64>,
    /// By name, in the order of history.csv's columns.
    pub metrics: Vec<(String, f64)>,
    /// Since training began.
    pub seconds: f64,
    /// The best so far by the metric of early stopping.
    pub is_best: bool,
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Finished,
    /// The metric of early stopping did not improve for its patience.
    StoppedEarly,
    /// The caller asked for it.
    Interrupted,
}

/// Trains one network on one data set with one executor.
pub struct Trainer<'a> {
    config: &'a Config,
    data: &'a Dataset,
    executor: Box<dyn Executor + 'a>,
    optimizer: Optimizer,
    schedule: Schedule,
    sampler: Sampler<'a>,
    feed: Feed,
    batches: Vec<Batch>,
    /// What was read of the last steps' results; kept for its room.
    results: Vec<f32>,
    stopping: Stopping,
    plateau: Plateau,
    /// Steps taken.
    step: u64,
    epochs: Vec<Epoch>,
    /// Of the first batch, before any step.
    start_loss: Option<f64>,
    best: Option<(usize, Vec<Vec<f32>>)>,
    open: Open,
    seconds: f64,
    /// The last state whose every number was finite.
    good: Option<Box<State>>,
    /// Dispatches of training and the steps that they ran, since this trainer was made.
    launched: (u64, u64),
}

/// What the steps of the open epoch have left so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Open {
    /// Steps done.
    pub steps: usize,
    /// Sums over the rows seen, in the order in which they were seen.
    pub loss: f64,
    /// Right answers.
    pub correct: f64,
    /// Rows seen.
    pub rows: usize,
}

impl Open {
    /// Adds loss and correctness of each row.
    fn add(&mut self, results: &[f32]) {
        for row in results.chunks_exact(2) {
            self.loss += f64::from(row[0]);
            self.correct += f64::from(row[1]);
            self.rows += 1;
        }
    }
}

/// Work that is handed to a device between two looks at whether to stop: some 20 ms on a CPU, 0.2 s on lavapipe.
const PORTION_FLOPS: u64 = 2_000_000_000;

/// Steps of one such portion, where they are small.
const PORTION_STEPS: u64 = 256;

impl<'a> Trainer<'a> {
    /// Puts data and start weights on the executor's device. The executor's plan must be the one that
    /// [`crate::layers::compile`] made of `config` and the data's shape.
    pub fn new(config: &'a Config, data: &'a Dataset, executor: Box<dyn Executor + 'a>) -> Keyed<Self> {
        let start =
            setup::start_weights(executor.plan(), config).map_err(|error| ("init_weights".to_owned(), error))?;
        let mut trainer = Trainer::without_weights(config, data, executor)?;
        setup::write_weights(trainer.executor.as_mut(), &start).map_err(|error| (String::new(), error))?;
        Ok(trainer)
    }

    /// Goes on from where a state was taken, of the same configuration and data, on whatever device: bit for bit on
    /// the one it was taken on.
    pub fn resume(
        config: &'a Config,
        data: &'a Dataset,
        executor: Box<dyn Executor + 'a>,
        state: State,
    ) -> Keyed<Self> {
        let mut trainer = Trainer::without_weights(config, data, executor)?;
        trainer.restore(state).map_err(|error| (String::new(), error))?;
        Ok(trainer)
    }

    fn without_weights(config: &'a Config, data: &'a Dataset, mut executor: Box<dyn Executor + 'a>) -> Keyed<Self> {
        let optimizer = Optimizer::from_config(&config.optimizer)?;
        let schedule = Schedule::from_config(&config.schedule, config.optimizer.learning_rate, config.train.epochs)?;
        let weights = RowWeights::new(config, data).map_err(|error| ("loss.class_weights".to_owned(), error))?;
        let stopping =
            Stopping::new(&config.early_stopping, data).map_err(|e| ("early_stopping.metric".to_owned(), e))?;
        setup::load_data(executor.as_mut(), data, &weights).map_err(|error| (String::new(), error))?;
        Ok(Trainer {
            config,
            data,
            executor,
            optimizer,
            schedule,
            sampler: Sampler::new(config, data, weights),
            feed: Feed::default(),
            batches: Vec::new(),
            results: Vec::new(),
            stopping,
            plateau: Plateau::default(),
            step: 0,
            epochs: Vec::new(),
            start_loss: None,
            best: None,
            open: Open::default(),
            seconds: 0.0,
            good: None,
            launched: (0, 0),
        })
    }

    /// The device that it trains on.
    pub fn executor(&mut self) -> &mut dyn Executor {
        self.executor.as_mut()
    }

    /// What each row's loss is multiplied by.
    pub fn weights(&self) -> &RowWeights {
        &self.sampler.weights
    }

    /// The epochs so far.
    pub fn history(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The epoch whose weights are kept, if the metric of early stopping chose one.
    pub fn best_epoch(&self) -> Option<usize> {
        self.best.as_ref().map(|(epoch, _)| *epoch)
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Kernels that a training step took so far, on average: less than one where a dispatch runs many steps. `None`
    /// before the first step.
    pub fn dispatches_per_step(&self) -> Option<f64> {
        let (dispatches, steps) = self.launched;
        (steps > 0).then(|| dispatches as f64 / steps as f64)
    }

    /// Training so far, in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Training steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.data.split.train.len().div_ceil(self.executor.plan().batch_size)
    }

    /// Why there is nothing left to train, if so.
    pub fn ended(&self) -> Option<End> {
        if self.open.steps > 0 {
            None
        } else if self.stopping.is_exhausted() {
            Some(End::StoppedEarly)
        } else {
            (self.epochs.len() >= self.config.train.epochs).then_some(End::Finished)
        }
    }

    /// Trains to the end of the configured epochs, calling `each` after every one; it may break off.
    ///
    /// # Errors
    /// [`Error::Diverged`] on NaN or infinity in a loss or the weights, [`Error::Device`] if the device fails.
    pub fn fit(&mut self, each: &mut dyn FnMut(&Epoch) -> ControlFlow<()>) -> Result<End> {
        let mut end = self.ended();
        while end.is_none() {
            let epoch = self.epoch()?;
            end = if each(&epoch).is_break() { Some(End::Interrupted) } else { self.ended() };
        }
        self.finish()?;
        Ok(end.unwrap_or(End::Finished))
    }

    /// As [`Trainer::fit`] with nobody who wants to know of each epoch: those between which nothing has to happen share
    /// a run.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn fit_all(&mut self) -> Result<End> {
        while self.ended().is_none() {
            self.advance_by(usize::MAX, &mut |_| ControlFlow::Continue(()))?;
        }
        self.finish()?;
        Ok(self.ended().unwrap_or(End::Finished))
    }

    /// Puts the weights that are kept, the best epoch's if there is one, on the device. To go on after that takes
    /// [`Trainer::resume`] with a state from before.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a weight is NaN or infinite, [`Error::Device`] if the device fails.
    pub fn finish(&mut self) -> Result<()> {
        // The last update comes after the last loss.
        if !state::all_finite(&self.model_weights()?) {
            return Err(self.diverged("a weight after the last step"));
        }
        if let Some((_, weights)) = &self.best {
            let plan = self.executor.plan();
            let restored: Vec<(TensorId, Vec<f32>)> = plan.model_tensors().into_iter().zip(weights.clone()).collect();
            setup::write_weights(self.executor.as_mut(), &restored)?;
        }
        Ok(())
    }

    /// Trains one epoch, or what is left of an open one, and evaluates the validation set.
    pub fn epoch(&mut self) -> Result<Epoch> {
        let epoch = self.advance(&mut |_| ControlFlow::Continue(()))?;
        epoch.ok_or_else(|| Error::internal("an epoch ended before its end"))
    }

    /// As [`Trainer::epoch`], but asks `watch` between steps, with the number of the epoch's steps that are done,
    /// whether to go on. `None` if it was told to stop: the epoch stays open, and the next call goes on with it.
    pub fn advance(&mut self, watch: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Option<Epoch>> {
        self.advance_by(1, watch).map(|mut epochs| epochs.pop())
    }

    /// As [`Trainer::advance`], but up to `most` epochs at a time where nothing has to happen between them, and counts
    /// the steps of all of them to `watch`. The epochs that are done; the last one stays open if it was told to stop.
    pub fn advance_by(&mut self, most: usize, watch: &mut dyn FnMut(usize) -> ControlFlow<()>) -> Result<Vec<Epoch>> {
        let began = (Instant::now(), self.seconds);
        let first = self.epochs.len();
        let left = self.config.train.epochs.saturating_sub(first);
        let count = most.min(self.epochs_at_a_time()).min(left).max(1);
        self.shuffle(first, count)?;
        let rates = self.plan_batches(first, count);
        let done = self.train_batches(&rates, began, watch);
        self.seconds = began.1 + began.0.elapsed().as_secs_f64();
        let done = done?;
        if done < count && count > 1 {
            // Not that of an epoch that never began.
            self.shuffle(first + done, 1)?;
        }
        Ok(self.epochs[first..].to_vec())
    }

    /// Epochs after which nothing but their losses is wanted, and that the device has room for.
    fn epochs_at_a_time(&self) -> usize {
        let plan = self.executor.plan();
        let decides = self.schedule.patience().is_some() || self.stopping.is_on();
        let evaluates = !self.data.split.validation.is_empty() || self.config.train.log_gradients;
        if decides || evaluates || !plan.is_resident { 1 } else { plan.epochs_at_a_time(self.data.split.train.len()) }
    }

    /// Ends the open epoch, whose last learning rate is given; `seconds` tells when, since training began.
    fn close_epoch(&mut self, learning_rate: f64, seconds: impl Fn() -> f64) -> Result<()> {
        let number = self.epochs.len();
        let Open { loss, correct, rows, .. } = std::mem::take(&mut self.open);
        let train_loss = loss / rows as f64;
        if !train_loss.is_finite() {
            return Err(self.diverged(&format!("the training loss of epoch {}", number + 1)));
        }
        let mut metrics = Vec::new();
        if self.data.task != Task::Regression {
            metrics.push(("train_accuracy".to_owned(), correct / rows as f64));
        }
        let validation = self.evaluate(Set::Validation)?;
        if let Some(validation) = &validation {
            if !validation.loss.is_finite() {
                return Err(self.diverged(&format!("the validation loss of epoch {}", number + 1)));
            }
            metrics.extend(validation.metrics.scalars().map(|(name, value)| (format!("validation_{name}"), value)));
        }
        if self.config.train.log_gradients {
            metrics.extend(self.gradient_norms()?);
        }
        let mut epoch = Epoch {
            epoch: number + 1,
            learning_rate,
            train_loss,
            validation_loss: validation.map(|validation| validation.loss),
            metrics,
            seconds: seconds(),
            is_best: false,
        };
        if let Some(patience) = self.schedule.patience() {
            self.plateau.observe(epoch.validation_loss.unwrap_or(train_loss), patience);
        }
        epoch.is_best = self.stopping.observe(&epoch);
        if epoch.is_best && self.config.early_stopping.restore_best {
            self.best = Some((epoch.epoch, self.model_weights()?));
        }
        self.epochs.push(epoch);
        Ok(())
    }

    /// Every weight and running statistic, in the order of the plan's model tensors.
    pub fn model_weights(&mut self) -> Result<Vec<Vec<f32>>> {
        let ids = self.executor.plan().model_tensors();
        self.read_all(&ids)
    }

    /// The row orders of `count` epochs from epoch `first` on, on the device too.
    fn shuffle(&mut self, first: usize, count: usize) -> Result<()> {
        if !self.sampler.shuffle(first, count) {
            return Ok(());
        }
        self.feed.reset();
        if !self.executor.plan().is_resident {
            return Ok(());
        }
        let order = self.executor.plan().order;
        self.executor.write(order, 0, Values::U32(self.sampler.order()))
    }

    /// Fills `batches` for `count` epochs from epoch `first` on and returns the learning rates of their last steps.
    fn plan_batches(&mut self, first: usize, count: usize) -> Vec<f64> {
        let size = self.executor.plan().batch_size;
        let total_steps = (self.steps_per_epoch() * self.config.train.epochs) as u64;
        let mut step = self.step - self.open.steps as u64;
        let mut rates = vec![0.0; count];
        self.batches.clear();
        for (epoch, rate) in rates.iter_mut().enumerate() {
            for batch in self.sampler.batches(epoch, count, size) {
                let at =
                    Moment { epoch: (first + epoch) as u64, step, total_steps, reductions: self.plateau.reductions };
                *rate = self.schedule.rate(at);
                let [correction1, correction2] = self.optimizer.corrections(step + 1);
                self.batches.push(Batch {
                    learning_rate: *rate as f32,
                    correction1: correction1 as f32,
                    correction2: correction2 as f32,
                    counter: step as u32,
                    ..batch
                });
                step += 1;
            }
        }
        rates
    }

    /// Runs what is left of the planned steps and ends their epochs, whose last learning rates are given; how many
    /// ended, fewer if `watch` broke it off. `began` is when, and how long training had taken by then.
    fn train_batches(
        &mut self,
        rates: &[f64],
        began: (Instant, f64),
        watch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<usize> {
        let plan = self.executor.plan();
        let (rows, results) = (rates.len() * self.data.split.train.len(), plan.results);
        // Where there is room for all rows, the short last batch is no reason to wait in between.
        let room = plan.tensor(results).rows;
        let in_window = if rows <= room { self.batches.len() } else { room / plan.batch_size };
        let flops: u64 = plan.train.iter().map(|step| step.op.flops(&self.batches[0])).sum();
        let in_portion = (PORTION_FLOPS / flops.max(1)).clamp(1, PORTION_STEPS) as usize;
        let (mut taken, mut closed) = (self.open.steps, 0);
        while taken < self.batches.len() {
            let window = taken..self.batches.len().min(taken + in_window.max(1));
            let mut rows = 0;
            let mut done = window.start;
            while done < window.end && watch(done).is_continue() {
                let end = window.end.min(done + in_portion);
                for batch in &mut self.batches[done..end] {
                    batch.slot = rows;
                    rows += batch.count;
                }
                let portion = self.batches[done..end].to_vec();
                let before = self.executor.counts().dispatches;
                self.run(Phase::Train, &portion)?;
                self.launched.0 += self.executor.counts().dispatches - before;
                self.launched.1 += portion.len() as u64;
                done = end;
            }
            let is_broken = done < window.end;
            let mut values = std::mem::take(&mut self.results);
            values.clear();
            if rows > 0 {
                self.executor.read_into(results, 0..rows as usize, &mut values)?;
            }
            let elapsed = began.0.elapsed().as_secs_f64();
            let mut rest = &values[..];
            for i in taken..done {
                let (own, others) = rest.split_at(2 * self.batches[i].count as usize);
                rest = others;
                self.open.add(own);
                if self.step == 0 {
                    self.start_loss = Some(self.open.loss / self.open.rows as f64);
                }
                self.step += 1;
                self.open.steps += 1;
                if self.open.steps == self.batches.len() / rates.len() {
                    // The epochs of one run share its time.
                    let share = elapsed * ((i + 1) as f64 / done as f64);
                    let seconds = || began.1 + if i + 1 == done { began.0.elapsed().as_secs_f64() } else { share };
                    self.close_epoch(rates[closed], seconds)?;
                    closed += 1;
                }
            }
            self.results = values;
            taken = done;
            if is_broken {
                break;
            }
        }
        Ok(closed)
    }

    /// ‖g‖ of each weight matrix in the last step.
    fn gradient_norms(&mut self) -> Result<Vec<(String, f64)>> {
        let parameters = self.executor.plan().parameters.clone();
        let mut norms = Vec::new();
        for parameter in parameters.iter().filter(|parameter| parameter.is_matrix) {
            let name = self.executor.plan().tensor(parameter.weight).name.clone();
            norms.push((format!("gradient_norm {name}"), self.norm(parameter.gradient)?));
        }
        norms.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(norms)
    }
}
