//! `wgrad train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use serde_json::{Map, Value, json};

use super::flags::{Overrides, RunFlags, Shared, count};
use super::print::Printer;
use super::progress::Told;
use super::project::Project;
use super::resume::Resumed;
use super::session::{OnDeviceLost, Outcome, Session, Stop, quoted, resume_command};
use super::signals::{Request, Signals};
use super::{lr_find, page, trial, verify};
use crate::config::BUILT_IN;
use crate::error::{Error, Result};
use crate::events;
use crate::train::End;
use crate::train::checkpoint;
use crate::train::folder::{Folder, history_csv, pretty_json};
use crate::train::metrics::Metrics;
use crate::verify::Report;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad train digits
  wgrad train houses.csv --target price --epochs 100
  wgrad train mnist/ --hidden 128,64 --activation tanh --device gpu --verify
  wgrad train houses.csv --lr auto           the rate that lr-find suggests
  wgrad train --config run.toml --set optimizer.momentum=0.9 --out runs/first
  wgrad train --resume runs/first --epochs 200";

#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub run: RunFlags,
    /// The run's folder [default: runs/<UTC time>-<data name>]
    #[arg(long, env = "WGRAD_OUT", hide_env = true, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Goes on with a run in its folder, bit for bit on the same device; --epochs may extend it
    #[arg(long, env = "WGRAD_RESUME", hide_env = true, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Verifies every step on this device before training
    #[arg(long, env = "WGRAD_VERIFY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub verify: bool,
    /// Stops after this time, such as 90s, 10m or 2h; the run can be resumed
    #[arg(long, env = "WGRAD_MAX_TIME", hide_env = true, value_name = "TIME", value_parser = max_time)]
    pub max_time: Option<Duration>,
    /// Runs one batch of everything, shows shapes and memory, keeps nothing
    #[arg(long, env = "WGRAD_DRY_RUN", hide_env = true, value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
    /// Tells whether the network can learn N batches by heart; keeps nothing
    #[arg(long, env = "WGRAD_OVERFIT", hide_env = true, value_name = "N", value_parser = count, allow_negative_numbers = true, conflicts_with_all = ["resume", "dry_run"])]
    pub overfit: Option<u32>,
    /// When the device is lost: stop (exit code 5; --resume goes on), or go on on the CPU path
    #[arg(long, env = "WGRAD_ON_DEVICE_LOST", hide_env = true, value_enum, default_value_t = OnDeviceLost::Stop, value_name = "WHAT")]
    pub on_device_lost: OnDeviceLost,
}

pub(super) fn max_time(text: &str) -> Result<Duration, &'static str> {
    let time = humantime::parse_duration(text).ok().filter(|time| !time.is_zero());
    time.ok_or("give a time with its unit, such as 90s, 10m or 1h30m")
}

pub(super) fn run(flags: &Flags, shared: &Shared, overrides: &Overrides, printer: &Printer) -> Result<ExitCode> {
    // Not the parser's: to it a variable of the environment is as good as a flag.
    if flags.resume.is_some() && overrides.is_typed("out") {
        return Err(Error::usage("it does not go with --resume, which goes on in the run's own folder")
            .at("--out")
            .remedy("leave it out"));
    }
    // Before the data, and before any work is done: a run that cannot go on is the first thing to know.
    let resumed = flags.resume.as_deref().map(Resumed::read).transpose()?;
    let (mut run_flags, mut shared) = (flags.run.clone(), shared.clone());
    if let Some(resumed) = &resumed {
        resumed.complete(&mut run_flags, &mut shared, overrides)?;
    }
    let finds_rate = lr_find::take_auto(&mut run_flags, flags.resume.is_some())?;
    let mut project = Project::open(&run_flags, &shared, overrides, None)?;
    if let Some(resumed) = &resumed {
        resumed.check(&project, printer)?;
    }
    if flags.dry_run {
        return trial::dry_run(&project, printer).map(|()| ExitCode::SUCCESS);
    }
    if finds_rate {
        lr_find::settle_rate(&mut project, printer)?;
    }
    if let Some(batches) = flags.overfit {
        return trial::overfit(&project, batches as usize, printer).map(|()| ExitCode::SUCCESS);
    }
    let (folder, state, epochs_before) = match resumed {
        Some(Resumed { folder, checkpoint }) => (folder, Some(checkpoint.state), checkpoint.config.train.epochs),
        None => {
            let folder = flags.out.as_deref().map_or_else(|| Folder::claim_new(&project.data.name), Folder::claim)?;
            (folder, None, project.config().train.epochs)
        }
    };
    let verification = flags.verify.then(|| project.verify()).transpose()?;
    if let Some(report) = &verification {
        let adapter = project.device.info().adapter;
        verify::show(report, &adapter, printer);
        report.verdict(&adapter)?;
    }
    let began = state.as_ref().map_or(0, |state| state.step);
    let session = Session::new(&project, printer, Told::EveryEpoch)
        .saving(&folder, &shared.device)
        .stopping(Signals::watch()?, flags.max_time)
        .on_device_lost(flags.on_device_lost);
    let outcome = session.run(state)?;
    // A finished run that is resumed has everything already, unless something was deleted or a kill left it older than
    // the checkpoint.
    let is_new = began == 0
        || outcome.steps > began
        || epochs_before != project.config().train.epochs
        || is_outdated(&folder, &outcome);
    leave(&project, &outcome, verification.as_ref(), &folder, &shared, is_new)?;
    if let Stop::Requested(request) = outcome.stop {
        return Ok(stopped(request, &outcome, &folder, printer));
    }
    conclude(&project, &outcome, &folder, printer);
    Ok(ExitCode::SUCCESS)
}

/// Whether the history is not that of the checkpoint: a run that was killed after it.
fn is_outdated(folder: &Folder, outcome: &Outcome) -> bool {
    let history = std::fs::read_to_string(folder.path().join(HISTORY));
    history.is_ok_and(|text| text != history_csv(&outcome.epochs))
}

/// The last but one file that is written: once it is new, the others are.
const HISTORY: &str = "history.csv";

/// Files that only a training which came to its end has.
const OF_THE_END: [&str; 2] = ["metrics.json", "report.html"];

/// What metrics.json holds.
fn metrics(outcome: &Outcome) -> Map<String, Value> {
    let info = &outcome.info;
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
        ("stopped_early".to_owned(), json!(outcome.stop == Stop::Ended(End::StoppedEarly))),
        ("seconds".to_owned(), json!(outcome.seconds)),
        ("device".to_owned(), json!(info.device)),
        ("adapter".to_owned(), json!(info.adapter)),
        ("dispatches_per_step".to_owned(), whole(outcome.dispatches_per_step)),
        ("advice".to_owned(), json!(outcome.advice)),
    ]);
    metrics
}

/// A number that is written without a point where it is a whole one.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as u64) } else { json!(number) }
}

fn environment(project: &Project, outcome: &Outcome, shared: &Shared) -> Value {
    let info = &outcome.info;
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

/// Writes the run's files, the history and the checkpoint last: once they are of the same epochs, the others are too. Of
/// a run that was finished before, only what is missing.
pub(super) fn leave(
    project: &Project,
    outcome: &Outcome,
    verification: Option<&Report>,
    folder: &Folder,
    shared: &Shared,
    is_new: bool,
) -> Result<()> {
    let environment = environment(project, outcome, shared);
    let page = page::html(project, outcome, verification, &environment);
    let texts = [("config.toml", project.config().to_toml()), ("environment.json", pretty_json(&environment))];
    let history = history_csv(&outcome.epochs);
    let metrics = pretty_json(&Value::Object(metrics(outcome)));
    let mut files: Vec<(&str, &[u8])> = texts.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    files.push(("model.safetensors", &outcome.model));
    files.extend(page.as_ref().map(|page| ("report.html", page.as_bytes())));
    let is_stopped = matches!(outcome.stop, Stop::Requested(_));
    if !is_stopped {
        files.push(("metrics.json", metrics.as_bytes()));
    }
    files.push((HISTORY, history.as_bytes()));
    if let Some(checkpoint) = &outcome.checkpoint {
        files.push((checkpoint::FILE, checkpoint));
    }
    files.retain(|(name, _)| is_new || !folder.path().join(name).exists());
    if is_new && is_stopped {
        // Those of an earlier end would contradict the model.
        folder.remove(&OF_THE_END)?;
    }
    if !files.is_empty() {
        folder.write_all(&files)?;
    }
    // After the others, so that a run that cannot be written leaves nothing.
    let inner = folder.inner("events");
    let is_older = || Some(modified(&inner.path().join(events::FILE))? < modified(&folder.path().join(HISTORY))?);
    if is_new || is_older().unwrap_or(true) {
        inner.write_all(&[(events::FILE, &events::to_bytes(&outcome.epochs, std::time::SystemTime::now()))])?;
    }
    Ok(())
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|data| data.modified()).ok()
}

/// What is said when the user, or the system, stopped a training.
fn stopped(request: Request, outcome: &Outcome, folder: &Folder, printer: &Printer) -> ExitCode {
    let (epochs, command) = (outcome.epochs.len(), resume_command("train", folder.path()));
    let s = if epochs == 1 { "" } else { "s" };
    printer
        .say(format!("{} after {epochs} whole epoch{s}; all of it is saved, go on with\n  {command}", request.name()));
    printer.event(&json!({
        "event": request.name(), "epochs": epochs, "run": folder.path().to_string_lossy(), "resume": command,
    }));
    request.exit_code()
}

pub(super) fn conclude(project: &Project, outcome: &Outcome, folder: &Folder, printer: &Printer) {
    let epochs = outcome.epochs.len();
    let s = if epochs == 1 { "" } else { "s" };
    let mut text = format!("trained {epochs} epoch{s} in {:.1} s", outcome.seconds);
    if outcome.stop == Stop::TimeUp {
        text += ", stopped by --max-time";
    }
    if outcome.stop == Stop::Ended(End::StoppedEarly) {
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
        printer.say(verdict(set.name(), *loss, metrics, baseline));
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
    if outcome.stop == Stop::TimeUp {
        printer.say(format!("go on with\n  {}", resume_command("train", folder.path())));
    }
    printer.say(next(&project.data.source, folder));
    let mut event = Map::from_iter([
        ("event".to_owned(), json!("done")),
        ("run".to_owned(), json!(folder.path().to_string_lossy())),
    ]);
    event.extend(metrics(outcome));
    printer.event(&event);
}

/// What to look at and what to type when a training has ended.
fn next(data: &str, folder: &Folder) -> String {
    let run = quoted(folder.path());
    let page = folder.path().join("report.html");
    let report = if page.exists() { format!("report: {}\n", page.display()) } else { String::new() };
    let data = match Path::new(data) {
        _ if BUILT_IN.contains(&data) => data,
        folder if folder.is_dir() => "new/",
        arrays if arrays.extension().is_some_and(|extension| extension == "npz") => "new.npz",
        _ => "new.csv",
    };
    format!("{report}next:\n  wgrad predict {run} {data} -o predictions.csv\n  wgrad export {run} --onnx model.onnx")
}

/// Metrics, and below them what always giving the same answer would reach.
pub(super) fn verdict(set: &str, loss: f64, metrics: &Metrics, baseline: &Metrics) -> String {
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
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = (3 - value.abs().log10().floor() as i64).clamp(0, 12) as usize;
    format!("{value:.decimals$}")
}
