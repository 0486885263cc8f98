//! Early stopping: which epoch is the best, and when to give up.

use super::Epoch;
use crate::config::{EarlyStopping, Task};
use crate::data::Dataset;
use crate::error::{Error, Result, suggestion};

/// Watches one metric. It is off without patience, and without validation rows if it watches those.
#[derive(Debug, Clone, PartialEq)]
pub struct Stopping {
    metric: Option<String>,
    higher_is_better: bool,
    patience: usize,
    min_delta: f64,
    best: Option<f64>,
    /// Epochs since the best one.
    waited: usize,
}

/// The metrics that can be watched, and whether more of them is better.
fn known(task: Task) -> Vec<(&'static str, bool)> {
    let mut known = vec![("validation_loss", false), ("train_loss", false)];
    known.extend(match task {
        Task::Regression => vec![("validation_rmse", false), ("validation_mae", false), ("validation_r2", true)],
        Task::Classification => vec![("train_accuracy", true), ("validation_accuracy", true), ("validation_f1", true)],
        Task::Binary => {
            vec![
                ("train_accuracy", true),
                ("validation_accuracy", true),
                ("validation_f1", true),
                ("validation_roc_auc", true),
            ]
        }
    });
    known
}

/// The metric that is to be watched, and whether more of it is better.
fn watched(config: &EarlyStopping, task: Task) -> Result<(&'static str, bool)> {
    let known = known(task);
    known.iter().find(|(name, _)| *name == config.metric).copied().ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let error = Error::data(format!("unknown metric `{}`", config.metric));
        match suggestion(&config.metric, names.iter().copied()) {
            Some(near) => error.remedy(format!("did you mean `{near}`?")),
            None => error.remedy(format!("this task has {}", names.join(", "))),
        }
    })
}

/// What an epoch has of a metric.
fn value(metric: &str, epoch: &Epoch) -> Option<f64> {
    match metric {
        "validation_loss" => epoch.validation_loss,
        "train_loss" => Some(epoch.train_loss),
        name => epoch.metrics.iter().find(|(own, _)| own == name).map(|(_, value)| *value),
    }
}

/// How good the weights are that a training would keep: the metric of early stopping on the validation rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// A column of history.csv.
    pub metric: &'static str,
    /// Of the metric.
    pub higher_is_better: bool,
}

impl Objective {
    /// # Errors
    /// A metric that this task has not or that is not of the validation rows; no such rows.
    pub fn new(config: &EarlyStopping, data: &Dataset) -> Result<Self> {
        let (metric, higher_is_better) = watched(config, data.task)?;
        if !metric.starts_with("validation") {
            let problem = format!("trainings cannot be compared by {metric}, which rewards learning by heart");
            return Err(Error::data(problem).remedy("set early_stopping.metric to one of the validation rows"));
        }
        if data.split.validation.is_empty() {
            let error = Error::data("there are no validation rows to compare trainings by");
            return Err(error.remedy("give validation a share, such as --set data.split=[0.7,0.15,0.15]"));
        }
        Ok(Objective { metric, higher_is_better })
    }

    /// Its value at the epoch whose weights are kept: the best one, or the last. `None` where there is none, or it is
    /// NaN.
    pub fn of(&self, epochs: &[Epoch], config: &EarlyStopping) -> Option<f64> {
        let best = epochs.iter().rev().find(|epoch| epoch.is_best && config.restore_best);
        best.or(epochs.last()).and_then(|epoch| value(self.metric, epoch)).filter(|value| !value.is_nan())
    }
}

impl Stopping {
    /// # Errors
    /// A metric that this task has not.
    pub fn new(config: &EarlyStopping, data: &Dataset) -> Result<Self> {
        let (metric, higher_is_better) = watched(config, data.task)?;
        let available = !metric.starts_with("validation") || !data.split.validation.is_empty();
        Ok(Stopping {
            metric: (config.patience > 0 && available).then(|| metric.to_owned()),
            higher_is_better,
            patience: config.patience,
            min_delta: config.min_delta,
            best: None,
            waited: 0,
        })
    }

    /// Takes note of an epoch; tells whether it is the best so far.
    pub fn observe(&mut self, epoch: &Epoch) -> bool {
        let Some(metric) = &self.metric else { return false };
        let value = value(metric, epoch);
        let Some(value) = value.map(|value| if self.higher_is_better { value } else { -value }) else { return false };
        // The first epoch is the best so far whatever it is; NaN never is.
        let better = self.best.is_none_or(|best| value > best + self.min_delta);
        if better {
            (self.best, self.waited) = (Some(value), 0);
        } else {
            self.waited += 1;
        }
        better
    }

    /// The best value so far, larger is better, and the epochs since.
    pub(super) fn counters(&self) -> (Option<f64>, usize) {
        (self.best, self.waited)
    }

    pub(super) fn set_counters(&mut self, (best, waited): (Option<f64>, usize)) {
        (self.best, self.waited) = (best, waited);
    }

    /// Whether it watches anything.
    pub fn is_on(&self) -> bool {
        self.metric.is_some()
    }

    /// Whether its patience is over.
    pub fn is_exhausted(&self) -> bool {
        self.metric.is_some() && self.waited >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trainings_are_compared_by_the_epoch_whose_weights_are_kept() {
        let epoch = |epoch, f1: f64, is_best| Epoch {
            epoch,
            learning_rate: 0.1,
            train_loss: 1.0,
            validation_loss: Some(2.0),
            metrics: vec![("validation_f1".into(), f1)],
            seconds: 0.0,
            is_best,
        };
        let epochs = [epoch(1, 0.5, true), epoch(2, 0.8, true), epoch(3, 0.6, false)];
        let objective = Objective { metric: "validation_f1", higher_is_better: true };
        let mut config = EarlyStopping::default();
        assert_eq!(objective.of(&epochs, &config), Some(0.8));
        assert_eq!(objective.of(&epochs[..1], &config), Some(0.5));
        assert_eq!(objective.of(&[], &config), None);
        config.restore_best = false;
        assert_eq!(objective.of(&epochs, &config), Some(0.6));
        assert_eq!(objective.of(&[epoch(1, f64::NAN, true)], &config), None);
        let loss = Objective { metric: "validation_loss", higher_is_better: false };
        assert_eq!(loss.of(&epochs, &config), Some(2.0));
    }
}
