//! Training: epochs of mini-batches on any executor, evaluation, early stopping, and what a run leaves behind.
//! It knows executors by their trait only and prints nothing.

pub mod diagnosis;
pub mod folder;
pub mod metrics;
pub mod setup;
pub mod stopping;
mod symptoms;
pub mod weights;

use std::ops::{ControlFlow, Range};
use std::time::Instant;

use crate::config::{Config, Task};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::layers::Keyed;
use crate::model::optimizers::Optimizer;
use crate::model::random::{self, Stream};
use crate::model::schedules::{Moment, Plateau, Schedule};
use crate::ops::{Batch, TensorId};
use crate::plan::{Executor, Phase, Values};
use metrics::{Metrics, Truth};
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
    pub validation_loss: Option<f64>,
    /// By name, in the order of history.csv's columns.
    pub metrics: Vec<(String, f64)>,
    /// Since training began.
    pub seconds: f64,
    /// The best so far by the metric of early stopping.
    pub is_best: bool,
}

/// One of the three sets of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Train,
    Validation,
    Test,
}

impl Set {
    pub const ALL: [Set; 3] = [Set::Train, Set::Validation, Set::Test];

    pub fn name(self) -> &'static str {
        match self {
            Set::Train => "train",
            Set::Validation => "validation",
            Set::Test => "test",
        }
    }
}

/// Loss and metrics of a set, in evaluation mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    pub loss: f64,
    pub metrics: Metrics,
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
    weights: RowWeights,
    /// Data rows: the training set as shuffled, then validation, then test.
    order: Vec<u32>,
    batches: Vec<Batch>,
    stopping: Stopping,
    plateau: Plateau,
    /// Steps taken.
    step: u64,
    epochs: Vec<Epoch>,
    /// Of the first batch, before any step.
    start_loss: Option<f64>,
    best: Option<(usize, Vec<Vec<f32>>)>,
    seconds: f64,
}

impl<'a> Trainer<'a> {
    /// Puts data and start weights on the executor's device. The executor's plan must be the one that
    /// [`crate::layers::compile`] made of `config` and the data's shape.
    pub fn new(config: &'a Config, data: &'a Dataset, mut executor: Box<dyn Executor + 'a>) -> Keyed<Self> {
        let optimizer = Optimizer::from_config(&config.optimizer)?;
        let schedule = Schedule::from_config(&config.schedule, config.optimizer.learning_rate, config.train.epochs)?;
        let weights = RowWeights::new(config, data).map_err(|error| ("loss.class_weights".to_owned(), error))?;
        let stopping =
            Stopping::new(&config.early_stopping, data).map_err(|e| ("early_stopping.metric".to_owned(), e))?;
        let on_device = |error| (String::new(), error);
        setup::load_data(executor.as_mut(), data, &weights).map_err(on_device)?;
        let start =
            setup::start_weights(executor.plan(), config).map_err(|error| ("init_weights".to_owned(), error))?;
        setup::write_weights(executor.as_mut(), &start).map_err(on_device)?;
        let order = setup::order(data);
        let trainer = Trainer {
            config,
            data,
            executor,
            optimizer,
            schedule,
            weights,
            order,
            batches: Vec::new(),
            stopping,
            plateau: Plateau::default(),
            step: 0,
            epochs: Vec::new(),
            start_loss: None,
            best: None,
            seconds: 0.0,
        };
        Ok(trainer)
    }

    pub fn executor(&mut self) -> &mut dyn Executor {
        self.executor.as_mut()
    }

    /// The epochs so far.
    pub fn history(&self) -> &[Epoch] {
        &self.epochs
    }

    /// The epoch whose weights are kept, if the metric of early stopping chose one.
    pub fn best_epoch(&self) -> Option<usize> {
        self.best.as_ref().map(|(epoch, _)| *epoch)
    }

    /// Training steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.data.split.train.len().div_ceil(self.executor.plan().batch_size)
    }

    /// Trains to the end of the configured epochs, calling `each` after every one; it may break off.
    ///
    /// # Errors
    /// [`Error::Diverged`] on NaN or infinity in a loss or the weights, [`Error::Device`] if the device fails.
    pub fn fit(&mut self, each: &mut dyn FnMut(&Epoch) -> ControlFlow<()>) -> Result<End> {
        let mut end = End::Finished;
        while self.epochs.len() < self.config.train.epochs {
            let epoch = self.epoch()?;
            if each(&epoch).is_break() {
                end = End::Interrupted;
                break;
            }
            if self.stopping.is_exhausted() {
                end = End::StoppedEarly;
                break;
            }
        }
        if let Some((_, weights)) = &self.best {
            let plan = self.executor.plan();
            let restored: Vec<(TensorId, Vec<f32>)> = plan.model_tensors().into_iter().zip(weights.clone()).collect();
            setup::write_weights(self.executor.as_mut(), &restored)?;
        }
        // The last update comes after the last loss.
        if self.model_weights()?.iter().flatten().any(|weight| !weight.is_finite()) {
            return Err(self.diverged("a weight after the last step"));
        }
        Ok(end)
    }

    /// Trains one epoch and evaluates the validation set.
    pub fn epoch(&mut self) -> Result<Epoch> {
        let began = Instant::now();
        let number = self.epochs.len();
        self.shuffle(number)?;
        let learning_rate = self.plan_batches(number);
        let results = self.train_batches()?;
        let train_rows = results.len() / 2;
        let mean = |column: usize| {
            results.iter().skip(column).step_by(2).map(|&x| f64::from(x)).sum::<f64>() / train_rows as f64
        };
        let train_loss = mean(0);
        if !train_loss.is_finite() {
            return Err(self.diverged(&format!("the training loss of epoch {}", number + 1)));
        }
        if number == 0 {
            let rows = self.batches.first().map_or(1, |batch| batch.count as usize);
            self.start_loss =
                Some(results.iter().take(2 * rows).step_by(2).map(|&x| f64::from(x)).sum::<f64>() / rows as f64);
        }
        let mut metrics = Vec::new();
        if self.data.task != Task::Regression {
            metrics.push(("train_accuracy".to_owned(), mean(1)));
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
        self.seconds += began.elapsed().as_secs_f64();
        let mut epoch = Epoch {
            epoch: number + 1,
            learning_rate,
            train_loss,
            validation_loss: validation.map(|validation| validation.loss),
            metrics,
            seconds: self.seconds,
            is_best: false,
        };
        if let Some(patience) = self.schedule.patience() {
            self.plateau.observe(epoch.validation_loss.unwrap_or(train_loss), patience);
        }
        epoch.is_best = self.stopping.observe(&epoch);
        if epoch.is_best && self.config.early_stopping.restore_best {
            self.best = Some((epoch.epoch, self.model_weights()?));
        }
        self.epochs.push(epoch.clone());
        Ok(epoch)
    }

    /// Every weight and running statistic, in the order of the plan's model tensors.
    pub fn model_weights(&mut self) -> Result<Vec<Vec<f32>>> {
        let ids = self.executor.plan().model_tensors();
        let read = |id: TensorId| {
            let rows = self.executor.plan().tensor(id).rows;
            self.executor.read(id, 0..rows)
        };
        ids.into_iter().map(read).collect()
    }

    /// Loss and metrics of a set in evaluation mode; `None` if the set is empty.
    pub fn evaluate(&mut self, set: Set) -> Result<Option<Evaluation>> {
        let places = self.places(set);
        if places.is_empty() {
            return Ok(None);
        }
        let (loss, predictions) = self.predict(places.clone())?;
        let truth = Truth { data: self.data, rows: &self.order[places] };
        Ok(Some(Evaluation { loss, metrics: truth.metrics(&predictions) }))
    }

    /// The data rows of a set and the network's outputs for them, `[rows, outputs]`, in evaluation mode.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn outputs(&mut self, set: Set) -> Result<(Vec<u32>, Vec<f32>)> {
        let places = self.places(set);
        let rows = self.order[places.clone()].to_vec();
        Ok((rows, if places.is_empty() { Vec::new() } else { self.predict(places)?.1 }))
    }

    /// Metrics of always answering with the training set's mean or most frequent class.
    pub fn baseline(&self, set: Set) -> Option<Metrics> {
        let places = self.places(set);
        let truth = Truth { data: self.data, rows: &self.order[places.clone()] };
        (!places.is_empty()).then(|| truth.baseline(&self.data.split.train))
    }

    /// Mean loss and the network's outputs for places `places` of the row order.
    fn predict(&mut self, places: Range<usize>) -> Result<(f64, Vec<f32>)> {
        let plan = self.executor.plan();
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
                    Batch { slot: (first - part.start) as u32, ..self.batch(rows) }
                })
                .collect();
            self.executor.run(Phase::Evaluate, &batches)?;
            let values = self.executor.read(results, 0..part.len())?;
            loss += values.iter().step_by(2).map(|&x| f64::from(x)).sum::<f64>();
            predictions.extend(self.executor.read(outputs, 0..part.len())?);
        }
        Ok((loss / places.len() as f64, predictions))
    }

    /// Where a set lies in the row order.
    fn places(&self, set: Set) -> Range<usize> {
        let split = &self.data.split;
        let (train, validation) = (split.train.len(), split.validation.len());
        match set {
            Set::Train => 0..train,
            Set::Validation => train..train + validation,
            Set::Test => train + validation..train + validation + split.test.len(),
        }
    }

    fn shuffle(&mut self, epoch: usize) -> Result<()> {
        if !self.config.train.shuffle {
            return Ok(());
        }
        let train = self.data.split.train.len();
        // From the split's own order, so that an epoch's order does not depend on the epochs before it.
        self.order[..train].copy_from_slice(&self.data.split.train);
        let generator = &mut random::generator(self.config.seed, Stream::Shuffle(epoch as u32));
        random::shuffle(&mut self.order[..train], generator);
        let order = self.executor.plan().order;
        self.executor.write(order, 0, Values::U32(&self.order))
    }

    /// A batch of places `rows` with its share of the loss.
    fn batch(&self, rows: Range<usize>) -> Batch {
        let weight: f64 = self.order[rows.clone()].iter().map(|&row| self.weights.of(self.data, row)).sum();
        Batch {
            first: rows.start as u32,
            count: rows.len() as u32,
            slot: 0,
            scale: (1.0 / weight) as f32,
            learning_rate: 0.0,
            correction1: 1.0,
            correction2: 1.0,
            counter: 0,
        }
    }

    /// Fills `batches` for an epoch and returns the learning rate of its last step.
    fn plan_batches(&mut self, epoch: usize) -> f64 {
        let (train, size) = (self.data.split.train.len(), self.executor.plan().batch_size);
        let total_steps = (self.steps_per_epoch() * self.config.train.epochs) as u64;
        let mut rate = 0.0;
        let mut batches = std::mem::take(&mut self.batches);
        batches.clear();
        for (i, first) in (0..train).step_by(size).enumerate() {
            let step = self.step + i as u64;
            let at = Moment { epoch: epoch as u64, step, total_steps, reductions: self.plateau.reductions };
            rate = self.schedule.rate(at);
            let [correction1, correction2] = self.optimizer.corrections(step + 1);
            batches.push(Batch {
                learning_rate: rate as f32,
                correction1: correction1 as f32,
                correction2: correction2 as f32,
                counter: step as u32,
                ..self.batch(first..train.min(first + size))
            });
        }
        self.batches = batches;
        rate
    }

    /// Runs the epoch's steps; returns loss and correctness of each row.
    fn train_batches(&mut self) -> Result<Vec<f32>> {
        let plan = self.executor.plan();
        let (rows, results) = (self.data.split.train.len(), plan.results);
        // Where there is room for all rows, the short last batch is no reason to wait in between.
        let in_window = if rows <= plan.window { self.batches.len() } else { plan.window / plan.batch_size };
        let mut values = Vec::with_capacity(2 * rows);
        for batches in self.batches.chunks_mut(in_window.max(1)) {
            let mut rows = 0;
            for batch in batches.iter_mut() {
                batch.slot = rows;
                rows += batch.count;
            }
            self.executor.run(Phase::Train, batches)?;
            values.extend(self.executor.read(results, 0..rows as usize)?);
        }
        self.step += self.batches.len() as u64;
        Ok(values)
    }

    /// ‖g‖ of each weight matrix in the last step.
    fn gradient_norms(&mut self) -> Result<Vec<(String, f64)>> {
        let parameters = self.executor.plan().parameters.clone();
        let mut norms = Vec::new();
        for parameter in parameters.iter().filter(|parameter| parameter.is_matrix) {
            let tensor = self.executor.plan().tensor(parameter.weight);
            let (name, rows) = (tensor.name.clone(), tensor.rows);
            let gradient = self.executor.read(parameter.gradient, 0..rows)?;
            let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            norms.push((format!("gradient_norm {name}"), norm));
        }
        norms.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(norms)
    }

    /// The error for a number that is NaN or infinite.
    pub fn diverged(&self, what: &str) -> Error {
        // No rate above 0.01 is worth trying next, however far off this one was.
        let lower = short((self.config.optimizer.learning_rate / 10.0).min(0.01));
        let remedy = match self.config.regularization.clip_norm {
            None => format!("try a smaller learning rate, such as --lr {lower}, or --set regularization.clip_norm=1"),
            Some(_) => format!("try a smaller learning rate, such as --lr {lower}"),
        };
        Error::diverged(format!("{what} is not a finite number")).remedy(remedy)
    }
}

/// Two significant digits, the way a person would type them.
fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    if (1e-5..1e5).contains(&rounded) { rounded.to_string() } else { format!("{rounded:e}") }
}
