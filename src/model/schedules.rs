//! The learning-rate schedules: one row each, meaning what PyTorch's schedulers of the same name mean.
//! Knows nothing of layers, plans or devices.

use super::activations::unknown;
use crate::config;
use crate::error::{Error, Result};

/// Where training stands when a learning rate is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Epochs finished.
    pub epoch: u64,
    /// Steps finished.
    pub step: u64,
    /// Steps of the whole training.
    pub total_steps: u64,
    /// Reductions that `plateau` has made.
    pub reductions: u32,
}

/// A row of the table.
pub struct Rule {
    /// As in run files.
    pub name: &'static str,
    /// The settings it takes and their defaults; `None` must be given.
    pub settings: &'static [(&'static str, Option<f64>)],
    /// The learning rate at a moment, from the base rate and the settings in the order of `settings`.
    pub rate: fn(base: f64, settings: &[f64], at: Moment) -> f64,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// From `from` to `to` along half a cosine, `share` in [0, 1].
fn half_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Smith & Topin 2019, in PyTorch's two phases: 30 % of the steps up from rate/25, then down to a 10,000th of that.
fn one_cycle(base: f64, _: &[f64], at: Moment) -> f64 {
    let (initial, total) = (base / 25.0, at.total_steps as f64);
    let (top, last, step) = (0.3 * total - 1.0, total - 1.0, at.step as f64);
    if step <= top {
        half_cosine(initial, base, if top > 0.0 { step / top } else { 1.0 })
    } else {
        half_cosine(base, initial / 1e4, ((step - top) / (last - top)).min(1.0))
    }
}

/// Every schedule.
pub static SCHEDULES: &[Rule] = &[
    Rule { name: "constant", settings: &[], rate: |base, _, _| base },
    Rule {
        name: "step",
        settings: &[("every", None), ("factor", Some(0.1))],
        rate: |base, s, at| base * s[1].powi((at.epoch / s[0] as u64).min(i32::MAX as u64) as i32),
    },
    Rule {
        name: "exponential",
        settings: &[("factor", None)],
        rate: |base, s, at| base * s[0].powi(at.epoch.min(i32::MAX as u64) as i32),
    },
    // Loshchilov & Hutter 2017, one half-wave over `epochs` (0: the whole training).
    Rule {
        name: "cosine",
        settings: &[("epochs", Some(0.0)), ("minimum", Some(0.0))],
        rate: |base, s, at| half_cosine(base, s[1], at.epoch as f64 / s[0]),
    },
    Rule {
        name: "plateau",
        settings: &[("factor", Some(0.1)), ("patience", Some(10.0))],
        rate: |base, s, at| base * s[0].powi(at.reductions as i32),
    },
    Rule { name: "one_cycle", settings: &[], rate: one_cycle },
];

/// A schedule with its settings filled in.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its row.
    pub rule: &'static Rule,
    settings: Vec<f64>,
    base: f64,
    warmup_steps: u64,
}

impl Schedule {
    /// Looks the name up and fills in defaults; `epochs` is the length of the training. The second part of an error
    /// is the run file's key.
    pub fn from_config(config: &config::Schedule, base: f64, epochs: usize) -> Result<Self, (String, Error)> {
        let names: Vec<&'static str> = SCHEDULES.iter().map(|row| row.name).collect();
        let rule = SCHEDULES
            .iter()
            .find(|row| row.name == config.name)
            .ok_or_else(|| ("schedule.name".to_owned(), unknown("schedule", &config.name, &names)))?;
        let given = [
            ("every", config.every.map(|n| n as f64)),
            ("factor", config.factor),
            ("epochs", config.epochs.map(|n| n as f64)),
            ("minimum", config.minimum),
            ("patience", config.patience.map(|n| n as f64)),
        ];
        for (key, value) in given {
            if value.is_some() && !rule.settings.iter().any(|(name, _)| *name == key) {
                let known: Vec<&str> = rule.settings.iter().map(|(name, _)| *name).chain(["warmup_steps"]).collect();
                let error = Error::data(format!("the schedule {} has no setting `{key}`", rule.name)).remedy(format!(
                    "remove it; {} has {}",
                    rule.name,
                    known.join(", ")
                ));
                return Err((format!("schedule.{key}"), error));
            }
        }
        let mut settings = Vec::new();
        for (key, default) in rule.settings {
            let value = given.iter().find(|(name, _)| name == key).and_then(|(_, value)| *value).or(*default);
            let value = value.ok_or_else(|| {
                let error = Error::data(format!("the schedule {} needs `{key}`", rule.name)).remedy(format!(
                    "add it to [schedule], for instance {key} = {}",
                    if *key == "every" { "10" } else { "0.95" }
                ));
                ("schedule.name".to_owned(), error)
            })?;
            settings.push(if rule.name == "cosine" && *key == "epochs" && value == 0.0 {
                epochs as f64
            } else {
                value
            });
        }
        Ok(Schedule { rule, settings, base, warmup_steps: config.warmup_steps as u64 })
    }

    /// The learning rate of the step that comes next.
    pub fn rate(&self, at: Moment) -> f64 {
        let warmup =
            if self.warmup_steps == 0 { 1.0 } else { ((at.step + 1) as f64 / self.warmup_steps as f64).min(1.0) };
        (self.rule.rate)(self.base, &self.settings, at) * warmup
    }

    /// Epochs without a gain that `plateau` bears, `None` for every other schedule.
    pub fn patience(&self) -> Option<u64> {
        (self.rule.name == "plateau").then(|| self.settings[1] as u64)
    }
}

/// The counters of `plateau` (PyTorch's ReduceLROnPlateau: mode min, relative threshold 10⁻⁴, no cooldown).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    /// The lowest loss so far.
    pub best: f64,
    /// Epochs since then, or since the last reduction.
    pub bad_epochs: u64,
    /// How often the rate was reduced.
    pub reductions: u32,
}

impl Default for Plateau {
    fn default() -> Self {
        Plateau { best: f64::INFINITY, bad_epochs: 0, reductions: 0 }
    }
}

impl Plateau {
    /// Takes note of an epoch's loss.
    pub fn observe(&mut self, loss: f64, patience: u64) {
        if loss < self.best * (1.0 - 1e-4) {
            (self.best, self.bad_epochs) = (loss, 0);
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs > patience {
            (self.reductions, self.bad_epochs) = (self.reductions + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(config: config::Schedule, epochs: usize, steps_per_epoch: u64) -> Vec<f64> {
        let schedule = Schedule::from_config(&config, 0.2, epochs).unwrap();
        let total_steps = epochs as u64 * steps_per_epoch;
        (0..total_steps)
            .map(|step| schedule.rate(Moment { epoch: step / steps_per_epoch, step, total_steps, reductions: 0 }))
            .collect()
    }

    fn named(name: &str) -> config::Schedule {
        config::Schedule { name: name.into(), ..config::Schedule::default() }
    }

    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9), "{a:?} against {b:?}");
    }

    #[test]
    fn rates_are_those_of_pytorch() {
        let step = config::Schedule { every: Some(2), factor: Some(0.5), ..named("step") };
        close(&rates(step, 5, 1), &[0.2, 0.2, 0.1, 0.1, 0.05]);
        let exponential = config::Schedule { factor: Some(0.9), ..named("exponential") };
        close(&rates(exponential, 3, 1), &[0.2, 0.18, 0.162]);
        close(&rates(named("cosine"), 4, 1), &[0.2, 0.170_710_678_118_654_76, 0.1, 0.029_289_321_881_345_254]);
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.2, total_steps=10)
        let one_cycle = rates(named("one_cycle"), 10, 1);
        close(&one_cycle[..4], &[0.008, 0.104, 0.2, 0.190_096_926_402_694_7]);
        close(&one_cycle[9..], &[8e-7]);
    }

    #[test]
    fn warm_up_multiplies() {
        let warm = config::Schedule { warmup_steps: 4, ..named("constant") };
        close(&rates(warm, 3, 2), &[0.05, 0.1, 0.15, 0.2, 0.2, 0.2]);
    }

    #[test]
    fn plateau_reduces_after_its_patience() {
        let mut plateau = Plateau::default();
        for (loss, reductions) in [(1.0, 0), (0.99999, 0), (1.0, 0), (1.0, 1), (0.5, 1), (0.6, 1), (0.6, 1), (0.6, 2)] {
            plateau.observe(loss, 2);
            assert_eq!(plateau.reductions, reductions, "at {loss}");
        }
    }

    #[test]
    fn settings_of_another_schedule_and_missing_ones_are_errors() {
        let stray = config::Schedule { every: Some(2), ..named("cosine") };
        assert_eq!(Schedule::from_config(&stray, 0.1, 5).unwrap_err().0, "schedule.every");
        let missing = Schedule::from_config(&named("exponential"), 0.1, 5).unwrap_err().1;
        assert_eq!(
            missing.to_string(),
            "the schedule exponential needs `factor`; add it to [schedule], for instance factor = 0.95"
        );
    }
}
