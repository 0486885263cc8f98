//! Measures what a training is to be judged by: units that are always 0, gradients, scores beside the baseline's.

use super::diagnosis::{Layer, Score, Symptoms};
use super::metrics::Metrics;
use super::setup::RowWeights;
use super::{End, Set, Trainer};
use crate::config::{self, Task};
use crate::data::Dataset;
use crate::error::Result;
use crate::model::losses::{self, Form};
use crate::ops::TensorId;
use crate::plan::{Phase, Role};

/// Rows to watch units over: a unit that is 0 for so many different rows is 0 for all, as far as training goes.
const WATCHED_ROWS: usize = 4096;

impl Trainer<'_> {
    /// To be called after training; `sets` are loss, metrics and the baseline's metrics of each set that has rows.
    pub fn symptoms(&mut self, end: End, sets: &[(Set, f64, Metrics, Metrics)]) -> Result<Option<Symptoms>> {
        let score = |wanted: Set| {
            let (set, loss, metrics, baseline) = sets.iter().find(|(set, ..)| *set == wanted)?;
            let rows = &self.sampler.order()[self.sampler.places(*set)];
            let ((metric, value), (_, baseline)) = (metrics.headline(), baseline.headline());
            let baseline_loss = constant_loss(self.config, self.data, &self.sampler.weights, rows);
            Some(Score { set: set.name(), rows: rows.len(), metric, value, baseline, loss: *loss, baseline_loss })
        };
        let held_out = score(Set::Validation).or_else(|| score(Set::Test));
        let Some(train) = score(Set::Train) else { return Ok(None) };
        let gradients = self.relative_gradients()?;
        let rows_watched = self.data.split.train.len().min(WATCHED_ROWS);
        let dead = self.dead_units(rows_watched)?;
        let mut layers = Vec::new();
        for (i, layer) in self.config.model.layers.iter().enumerate().filter(|(_, layer)| layer.kind == "dense") {
            layers.push(Layer {
                name: format!("layers.{i}"),
                activation: layer.activation.clone().unwrap_or_default(),
                units: layer.units.unwrap_or_else(|| self.data.outputs()),
                dead: dead.iter().find(|(at, _)| *at == i).map(|(_, dead)| *dead),
                gradient: gradients.iter().find(|(name, _)| *name == format!("layers.{i}.weight")).map(|(_, g)| *g),
            });
        }
        Ok(Some(Symptoms {
            start_loss: self.start_loss,
            train_loss: self.epochs.iter().map(|epoch| epoch.train_loss).collect(),
            validation_loss: self.epochs.iter().filter_map(|epoch| epoch.validation_loss).collect(),
            learning_rate: self.config.optimizer.learning_rate,
            was_cut_short: end != End::Finished,
            keeps_best: self.best.is_some(),
            layers,
            rows_watched,
            train,
            held_out,
        }))
    }

    /// ‖dW‖ / ‖W‖ of each weight matrix, by name; none if no step was taken.
    fn relative_gradients(&mut self) -> Result<Vec<(String, f64)>> {
        if self.step == 0 {
            return Ok(Vec::new());
        }
        let parameters = self.executor.plan().parameters.clone();
        let mut found = Vec::new();
        for parameter in parameters.iter().filter(|parameter| parameter.is_matrix) {
            let name = self.executor.plan().tensor(parameter.weight).name.clone();
            let (gradient, weight) = (self.norm(parameter.gradient)?, self.norm(parameter.weight)?);
            if weight > 0.0 {
                found.push((name, gradient / weight));
            }
        }
        Ok(found)
    }

    pub(super) fn norm(&mut self, tensor: TensorId) -> Result<f64> {
        let rows = self.executor.plan().tensor(tensor).rows;
        let values = self.executor.read(tensor, 0..rows)?;
        Ok(values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt())
    }

    /// How many units of each ReLU layer are 0 for the first `rows` training rows, in evaluation mode.
    fn dead_units(&mut self, rows: usize) -> Result<Vec<(usize, usize)>> {
        let plan = self.executor.plan();
        let relu = |layer: &config::Layer| layer.kind == "dense" && layer.activation.as_deref() == Some("relu");
        let mut alive: Vec<(usize, TensorId, Vec<bool>)> = Vec::new();
        for (i, _) in self.config.model.layers.iter().enumerate().filter(|(_, layer)| relu(layer)) {
            if let Some(id) = plan.find(&format!("layers.{i}.output")) {
                debug_assert_eq!(plan.tensor(id).role, Role::Activation);
                alive.push((i, id, vec![false; plan.tensor(id).columns]));
            }
        }
        let size = plan.evaluation_batch_size.min(plan.window);
        for first in (0..if alive.is_empty() { 0 } else { rows }).step_by(size) {
            let batch = self.sampler.batch(first..rows.min(first + size));
            self.run(Phase::Evaluate, &[batch])?;
            for (_, id, alive) in &mut alive {
                let values = self.executor.read(*id, 0..batch.count as usize)?;
                for row in values.chunks_exact(alive.len()) {
                    // The last layer's tensor holds its sums: below 0 they are 0 to the loss.
                    alive.iter_mut().zip(row).for_each(|(alive, &value)| *alive |= value > 0.0);
                }
            }
        }
        Ok(alive.into_iter().map(|(i, _, alive)| (i, alive.iter().filter(|alive| !**alive).count())).collect())
    }
}

/// The loss, on `rows`, of always giving the training rows' mean, or the shares of their classes.
fn constant_loss(config: &config::Config, data: &Dataset, weights: &RowWeights, rows: &[u32]) -> f64 {
    let name = config.loss.name.as_deref();
    let loss = name.and_then(|name| losses::find(name).ok()).unwrap_or_else(|| losses::default_for(data.task));
    let delta = config.loss.delta.unwrap_or(1.0);
    let width = if data.task == Task::Regression { data.target_columns() } else { data.classes.len() };
    // A class is a number for each class: 1 for its own.
    let target = |row: u32, column: usize| match data.task {
        Task::Regression => f64::from(data.targets[row as usize * width + column]),
        _ => f64::from(u8::from(data.targets[row as usize] as usize == column)),
    };
    let mean = |rows: &[u32], value: &dyn Fn(u32) -> f64| {
        let total: f64 = rows.iter().map(|&row| weights.of(data, row)).sum();
        rows.iter().map(|&row| weights.of(data, row) * value(row)).sum::<f64>() / total
    };
    let answer: Vec<f64> = (0..width).map(|column| mean(&data.split.train, &|row| target(row, column))).collect();
    let row_loss = |row: u32| {
        let each = (0..width).map(|column| {
            let (y, t) = (answer[column], target(row, column));
            match &loss.form {
                Form::Pointwise(twin) if loss.inside.is_none() => (twin.f64.value)(y, t, delta) / width as f64,
                // Both entropies are −log of the probability of the row's class.
                _ if t > 0.5 => -y.max(f64::MIN_POSITIVE).ln(),
                _ => 0.0,
            }
        });
        each.sum::<f64>()
    };
    mean(rows, &row_loss)
}
