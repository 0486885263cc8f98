//! `wgrad train`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::FalseyValueParser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use super::flags::{Overrides, RunFlags, Shared};
use super::print::Printer;
use super::project::Project;
use super::verify;
use crate::error::Result;
use crate::train::diagnosis::{Advice, diagnose};
use crate::train::folder::{Folder, history_csv, pretty_json};
use crate::train::metrics::Metrics;
use crate::train::{End, Epoch, Set, Trainer, weights};

pub(super) const EXAMPLES: &str = "Examples:
  wgrad train digits
  wgrad train houses.csv --target price --epochs 100
  wgrad train mnist/ --hidden 128,64 --activation tanh --device gpu --verify
  wgrad train --config run.toml --set optimizer.momentum=0.9 --out runs/first";

#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub run: RunFlags,
    /// The run's folder [default: runs/<UTC time>-<data name>]
    #[arg(long, env = "WGRAD_OUT", hide_env = true, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Verifies every step on this device before training
    #[arg(long, env = "WGRAD_VERIFY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub verify: bool,
}

/// What a finished training leaves for its files and for people.
pub(super) struct Outcome {
    pub end: End,
    pub epochs: Vec<Epoch>,
    pub best_epoch: Option<usize>,
    pub seconds: f64,
    /// Loss, metrics and the baseline's metrics of each set that has rows.
    pub sets: Vec<(Set, f64, Metrics, Metrics)>,
    pub model: Vec<u8>,
    pub advice: Vec<Advice>,
}

pub(super) fn run(flags: &Flags, shared: &Shared, overrides: &Overrides, printer: &Printer) -> Result<()> {
    let project = Project::open(&flags.run, shared, overrides, None)?;
    // Mistakes in flags, run file and data come first; but an unusable folder must not cost a training.
    let folder = match &flags.out {
        Some(path) => Folder::claim(path)?,
        None => Folder::claim_new(&project.data.name)?,
    };
    if flags.verify {
        let report = project.verify()?;
        let adapter = project.device.info().adapter;
        verify::show(&report, &adapter, printer);
        report.verdict(&adapter)?;
    }
    let outcome = train(&project, printer, Told::EveryEpoch)?;
    leave(&project, &outcome, &folder, shared)?;
    conclude(&project, &outcome, &folder, printer);
    Ok(())
}

/// How much is told about the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    EveryEpoch,
    /// The first, the tenth, the twentieth, …
    TenthEpochs,
}

/// Trains, shows progress, and evaluates every set with the chosen weights.
pub(super) fn train(project: &Project, printer: &Printer, told: Told) -> Result<Outcome> {
    let executor = project.device.executor(project.plan.clone())?;
    let config = project.config();
    let mut trainer = Trainer::new(config, &project.data, executor).map_err(|keyed| project.locate(keyed))?;
    project.announce(printer);
    let began = Instant::now();
    let mut progress = Progress::new(config.train.epochs, printer, told);
    let end = trainer.fit(&mut |epoch| {
        progress.show(epoch);
        ControlFlow::Continue(())
    });
    progress.finish();
    let end = end?;
    let seconds = began.elapsed().as_secs_f64();
    let mut sets = Vec::new();
    for set in Set::ALL {
        if let (Some(evaluation), Some(baseline)) = (trainer.evaluate(set)?, trainer.baseline(set)) {
            if !evaluation.loss.is_finite() {
                return Err(trainer.diverged(&format!("the loss on the {} rows", set.name())));
            }
            sets.push((set, evaluation.loss, evaluation.metrics, baseline));
        }
    }
    let description = json!({"model": config.model, "loss": config.loss, "preprocessing": project.data.preprocessing});
    let model = weights::to_bytes(&project.plan, &trainer.model_weights()?, &description)?;
    let best_epoch = trainer.best_epoch();
    let epochs = trainer.history().to_vec();
    let advice = trainer.symptoms(end, &sets)?.map_or_else(Vec::new, |symptoms| diagnose(&symptoms));
    Ok(Outcome { end, epochs, best_epoch, seconds, sets, model, advice })
}

/// One line an epoch; on a terminal also a bar. A training of many quick epochs is told about once a second.
struct Progress<'a> {
    printer: &'a Printer,
    bar: ProgressBar,
    epochs: usize,
    told: Told,
    last: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(epochs: usize, printer: &'a Printer, told: Told) -> Self {
        let visible = !printer.json && !printer.is_quiet();
        let bar = if visible { ProgressBar::new(epochs as u64) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} epoch {pos}/{len}, {eta} left") {
            bar.set_style(style);
        }
        Progress { printer, bar, epochs, told, last: None }
    }

    fn show(&mut self, epoch: &Epoch) {
        self.bar.set_position(epoch.epoch as u64);
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
            Told::EveryEpoch => self.epochs > 100 && recent,
            Told::TenthEpochs => epoch.epoch > 1 && !epoch.epoch.is_multiple_of(10),
        };
        if skipped && epoch.epoch != self.epochs {
            return;
        }
        self.last = Some(Instant::now());
        self.bar.suspend(|| self.printer.say(line(epoch, self.epochs)));
    }

    fn finish(&self) {
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

/// What metrics.json holds.
fn metrics(project: &Project, outcome: &Outcome) -> Map<String, Value> {
    let info = project.device.info();
    let mut metrics = Map::new();
    for (set, loss, own, _) in &outcome.sets {
        let mut entry = Map::from_iter([("loss".to_owned(), json!(loss))]);
        if let Value::Object(own) = json!(own) {
            entry.extend(own);
        }
        metrics.insert(set.name().to_owned(), Value::Object(entry));
    }
    if let Some((_, _, _, baseline)) = outcome.sets.last() {
        let scalars = baseline.scalars().map(|(name, value)| (name.to_owned(), json!(value)));
        metrics.insert("baseline".to_owned(), Value::Object(scalars.collect()));
    }
    metrics.extend([
        ("epochs".to_owned(), json!(outcome.epochs.len())),
        ("best_epoch".to_owned(), json!(outcome.best_epoch)),
        ("stopped_early".to_owned(), json!(outcome.end == End::StoppedEarly)),
        ("seconds".to_owned(), json!(outcome.seconds)),
        ("device".to_owned(), json!(info.device)),
        ("adapter".to_owned(), json!(info.adapter)),
        ("dispatches_per_step".to_owned(), json!(project.plan.train.len())),
        ("advice".to_owned(), json!(outcome.advice)),
    ]);
    metrics
}

fn environment(project: &Project, shared: &Shared) -> Value {
    let info = project.device.info();
    let command: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    json!({
        "wgrad": env!("CARGO_PKG_VERSION"),
        "device": info.device,
        "adapter": info.adapter,
        "driver": info.driver,
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "threads": shared.threads(),
        "seed": project.config().seed,
        "data": project.data.source,
        "data_sha256": project.data.checksum,
        "command": command,
        "written": humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
    })
}

fn leave(project: &Project, outcome: &Outcome, folder: &Folder, shared: &Shared) -> Result<()> {
    let metrics = Value::Object(metrics(project, outcome));
    folder.write_all(&[
        ("config.toml", project.config().to_toml().as_bytes()),
        ("model.safetensors", &outcome.model),
        ("history.csv", history_csv(&outcome.epochs).as_bytes()),
        ("environment.json", pretty_json(&environment(project, shared)).as_bytes()),
        ("metrics.json", pretty_json(&metrics).as_bytes()),
    ])
}

fn conclude(project: &Project, outcome: &Outcome, folder: &Folder, printer: &Printer) {
    let epochs = outcome.epochs.len();
    let s = if epochs == 1 { "" } else { "s" };
    let mut text = format!("trained {epochs} epoch{s} in {:.1} s", outcome.seconds);
    if outcome.end == End::StoppedEarly {
        let settings = &project.config().early_stopping;
        text += &format!(
            ", stopped early: no better {} for {} epochs",
            settings.metric.replace('_', " "),
            settings.patience
        );
    }
    if let Some(best) = outcome.best_epoch.filter(|&best| best != epochs) {
        text += &format!("; the weights of epoch {best} are kept");
    }
    printer.say(text);
    if let Some((set, loss, metrics, baseline)) = outcome.sets.last() {
        printer.say(verdict(*set, *loss, metrics, baseline));
    }
    for advice in &outcome.advice {
        printer.say(format!("advice: {advice}"));
        let mut event = Map::from_iter([("event".to_owned(), json!("advice"))]);
        if let Value::Object(own) = json!(advice) {
            event.extend(own);
        }
        printer.event(&event);
    }
    let path = folder.path().display();
    printer.say(format!("run: {path}"));
    let mut event = Map::from_iter([
        ("event".to_owned(), json!("done")),
        ("run".to_owned(), json!(folder.path().to_string_lossy())),
    ]);
    event.extend(metrics(project, outcome));
    printer.event(&event);
}

/// Metrics, and below them what always giving the same answer would reach.
pub(super) fn verdict(set: Set, loss: f64, metrics: &Metrics, baseline: &Metrics) -> String {
    let set = set.name();
    match (metrics, baseline) {
        (Metrics::Regression { rmse, mae, r2 }, Metrics::Regression { rmse: base, .. }) => format!(
            "{set}: R² {r2:.4}, RMSE {}, MAE {}, loss {loss:.4}\n{:width$}(always answering the mean: RMSE {})",
            significant(*rmse),
            significant(*mae),
            "",
            significant(*base),
            width = set.len() + 2
        ),
        (Metrics::Classes { accuracy, f1, roc_auc, .. }, Metrics::Classes { accuracy: base, .. }) => format!(
            "{set}: accuracy {accuracy:.4}, F1 {f1:.4}{}, loss {loss:.4}\n\
             {:width$}(always answering the most frequent class: accuracy {base:.4})",
            roc_auc.map_or_else(String::new, |auc| format!(", ROC AUC {auc:.4}")),
            "",
            width = set.len() + 2
        ),
        _ => format!("{set}: loss {loss:.4}"),
    }
}

/// Four significant digits.
fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = (3 - value.abs().log10().floor() as i64).clamp(0, 12) as usize;
    format!("{value:.decimals$}")
}
