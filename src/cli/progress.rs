//! What is seen of a training while it runs: one line an epoch and, on a terminal, a live bar.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, json};

use super::print::Printer;
use crate::plan::grouped;
use crate::train::Epoch;

/// How much is told about the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    EveryEpoch,
    /// The first, the tenth, the twentieth, …
    TenthEpochs,
    /// The bar only: whoever runs several trainings tells about each as a whole.
    Nothing,
}

/// How long a training is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    pub epochs: usize,
    pub steps_per_epoch: usize,
    pub rows_per_epoch: usize,
}

/// One line an epoch; on a terminal also a bar. A training of many quick epochs is told about once a second.
pub(super) struct Progress<'a> {
    printer: &'a Printer,
    bar: ProgressBar,
    length: Length,
    told: Told,
    last: Option<Instant>,
    began: Instant,
    /// Steps that were done before this began.
    skipped: usize,
    losses: String,
}

impl<'a> Progress<'a> {
    /// `done` steps are behind a training that goes on.
    pub fn new(length: Length, done: usize, printer: &'a Printer, told: Told) -> Self {
        let visible = !printer.json && !printer.is_quiet();
        let steps = length.epochs * length.steps_per_epoch;
        let bar = if visible { ProgressBar::new(steps as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:20} {msg}, {eta} left") {
            bar.set_style(style);
        }
        bar.set_position(done as u64);
        bar.reset_eta();
        let (last, losses) = (None, String::new());
        Progress { printer, bar, length, told, last, began: Instant::now(), skipped: done, losses }
    }

    /// After steps of an epoch: `epochs` are done, and `steps` of the next one.
    pub fn step(&mut self, epochs: usize, steps: usize) {
        if self.bar.is_hidden() {
            return;
        }
        let Length { epochs: all, steps_per_epoch, rows_per_epoch } = self.length;
        let done = epochs * steps_per_epoch + steps;
        let rows = (done - self.skipped.min(done)) as f64 * rows_per_epoch as f64 / steps_per_epoch as f64;
        let rate = grouped((rows / self.began.elapsed().as_secs_f64().max(1e-3)) as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("epoch {}/{all}{}, {rate} rows/s", (epochs + 1).min(all), self.losses));
    }

    pub fn epoch(&mut self, epoch: &Epoch) {
        let validation = epoch.validation_loss.map_or_else(String::new, |loss| format!(", validation {loss:.4}"));
        self.losses = format!(": loss {:.4}{validation}", epoch.train_loss);
        self.step(epoch.epoch, 0);
        if self.told == Told::Nothing {
            return;
        }
        let mut event = Map::from_iter([
            ("event".to_owned(), json!("epoch")),
            ("epoch".to_owned(), json!(epoch.epoch)),
            ("learning_rate".to_owned(), json!(epoch.learning_rate)),
            ("train_loss".to_owned(), json!(epoch.train_loss)),
            ("validation_loss".to_owned(), json!(epoch.validation_loss)),
        ]);
        event.extend(epoch.metrics.iter().map(|(name, value)| (name.clone(), json!(value))));
        event.extend([("seconds".to_owned(), json!(epoch.seconds)), ("best".to_owned(), json!(epoch.is_best))]);
        self.printer.event(&event);
        let recent = self.last.is_some_and(|last| last.elapsed() < Duration::from_secs(1));
        let skipped = match self.told {
            Told::EveryEpoch => self.length.epochs > 100 && recent,
            Told::TenthEpochs => epoch.epoch > 1 && !epoch.epoch.is_multiple_of(10),
            Told::Nothing => true,
        };
        if skipped && epoch.epoch != self.length.epochs {
            return;
        }
        self.last = Some(Instant::now());
        self.bar.suspend(|| self.printer.say(line(epoch, self.length.epochs)));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn line(epoch: &Epoch, epochs: usize) -> String {
    let mut text = format!(
        "epoch {:>width$}/{epochs}  loss {:.4}",
        epoch.epoch,
        epoch.train_loss,
        width = epochs.to_string().len()
    );
    if let Some(loss) = epoch.validation_loss {
        text += &format!("  validation: loss {loss:.4}");
    }
    let shown = [("validation_accuracy", "accuracy"), ("validation_r2", "R²")];
    for (name, short) in shown {
        if let Some((_, value)) = epoch.metrics.iter().find(|(own, _)| own == name) {
            text += &format!(", {short} {value:.4}");
        }
    }
    if epoch.is_best {
        text += "  best";
    }
    text
}
