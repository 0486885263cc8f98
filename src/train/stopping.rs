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

impl Stopping {
    /// # Errors
    /// A metric that this task has not.
    pub fn new(config: &EarlyStopping, data: &Dataset) -> Result<Self> {
        let known = known(data.task);
        let Some(&(metric, higher_is_better)) = known.iter().find(|(name, _)| *name == config.metric) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let error = Error::data(format!("unknown metric `{}`", config.metric));
            return Err(match suggestion(&config.metric, names.iter().copied()) {
                Some(near) => error.remedy(format!("did you mean `{near}`?")),
                None => error.remedy(format!("this task has {}", names.join(", "))),
            });
        };
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
        let value = match metric.as_str() {
            "validation_loss" => epoch.validation_loss,
            "train_loss" => Some(epoch.train_loss),
            name => epoch.metrics.iter().find(|(own, _)| own == name).map(|(_, value)| *value),
        };
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

    /// Whether its patience is over.
    pub fn is_exhausted(&self) -> bool {
        self.metric.is_some() && self.waited >= self.patience
    }
}
