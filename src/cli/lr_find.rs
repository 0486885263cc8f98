//! `wgrad lr-find`, and `--lr auto` of `train`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::chart;
use super::flags::{Overrides, RunFlags, Shared};
use super::print::Printer;
use super::project::Project;
use crate::error::{Error, Result};
use crate::file;
use crate::train::Trainer;
use crate::train::range_test::{RangeTest, Sweep};

pub(super) const EXAMPLES: &str = "Examples:
  wgrad lr-find digits
  wgrad lr-find houses.csv --target price --optimizer sgd
  wgrad lr-find --config run.toml -o lr_find.csv
  wgrad train houses.csv --lr auto       trains with the suggestion";

#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub run: RunFlags,
    /// The smallest learning rate that is tried [default: 1e-7]
    #[arg(long, env = "WGRAD_MIN_LR", hide_env = true, value_name = "X", value_parser = rate, allow_negative_numbers = true)]
    pub min_lr: Option<f64>,
    /// The largest one [default: 10]
    #[arg(long, env = "WGRAD_MAX_LR", hide_env = true, value_name = "X", value_parser = rate, allow_negative_numbers = true)]
    pub max_lr: Option<f64>,
    /// Mini-batches, one a learning rate [default: 200]
    #[arg(long, env = "WGRAD_STEPS", hide_env = true, value_name = "N", value_parser = steps, allow_negative_numbers = true)]
    pub steps: Option<usize>,
    /// Writes the curve as CSV: learning_rate, loss, smoothed_loss
    #[arg(long, short, env = "WGRAD_OUTPUT", hide_env = true, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or("give a number above 0, such as 1e-7")
}

fn steps(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|steps| (20..=10_000).contains(steps)).ok_or("give a whole number from 20 to 10000")
}

pub(super) fn run(flags: &Flags, shared: &Shared, overrides: &Overrides, printer: &Printer) -> Result<()> {
    let usual = Sweep::default();
    let sweep = Sweep {
        first: flags.min_lr.unwrap_or(usual.first),
        last: flags.max_lr.unwrap_or(usual.last),
        steps: flags.steps.unwrap_or(usual.steps),
    };
    if !(sweep.first < sweep.last) {
        let problem = format!("{} is not below the largest rate, {}", sweep.first, sweep.last);
        return Err(Error::usage(problem).at("--min-lr").remedy("give a smaller --min-lr or a larger --max-lr"));
    }
    let project = Project::open(&flags.run, shared, overrides, None)?;
    project.announce(printer);
    let test = range_test(&project, &sweep)?;
    for (step, point) in test.points.iter().enumerate() {
        printer.event(&json!({
            "event": "point", "step": step, "learning_rate": point.learning_rate, "loss": point.loss,
            "smoothed_loss": point.smoothed,
        }));
    }
    show(&test, printer);
    if let Some(path) = &flags.output {
        file::write(path, csv(&test).as_bytes())?;
        printer.say(format!("the curve is in {}", path.display()));
    }
    match test.suggestion {
        Some(rate) => printer.result(format!("suggestion: --lr {rate}")),
        None => printer.result(NOTHING_FOUND),
    }
    printer.event(&json!({"event": "lr_find", "suggestion": test.suggestion, "steps": test.points.len()}));
    Ok(())
}

const NOTHING_FOUND: &str = "no suggestion: the loss falls at no learning rate; look whether the features can tell the \
                             target, or try another --min-lr and --max-lr";

fn range_test(project: &Project, sweep: &Sweep) -> Result<RangeTest> {
    let executor = project.device.executor(project.plan.clone())?;
    let trainer = Trainer::new(project.config(), &project.data, executor).map_err(|keyed| project.locate(keyed))?;
    trainer.range_test(sweep)
}

fn show(test: &RangeTest, printer: &Printer) {
    let points: Vec<(f64, f64)> = test.points.iter().map(|point| (point.learning_rate, point.smoothed)).collect();
    // What comes after the lowest point would squash the fall.
    let lowest = points.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
    let until = points.iter().position(|(_, loss)| *loss == lowest).unwrap_or(0);
    let top = points[..=until.min(points.len().saturating_sub(1))].iter().map(|(_, loss)| *loss).fold(lowest, f64::max);
    printer.say("\nsmoothed loss over learning rate");
    printer.say(chart::draw(&points, top, test.suggestion));
    printer.say("");
}

fn csv(test: &RangeTest) -> String {
    let mut text = "learning_rate,loss,smoothed_loss\n".to_owned();
    for point in &test.points {
        text += &format!("{},{},{}\n", point.learning_rate, point.loss, point.smoothed);
    }
    text
}

/// Whether `--lr auto` is given; takes it out of the flags, which know numbers only.
///
/// # Errors
/// [`Error::Usage`] for a run that is resumed: it has its learning rate.
pub(super) fn take_auto(flags: &mut RunFlags, is_resumed: bool) -> Result<bool> {
    if flags.lr.as_deref() != Some("auto") {
        return Ok(false);
    }
    if is_resumed {
        return Err(Error::usage("a run that is resumed has its learning rate").at("--lr").remedy("leave it out"));
    }
    flags.lr = None;
    Ok(true)
}

/// Puts the suggestion of a range test into the configuration.
pub(super) fn settle_rate(project: &mut Project, printer: &Printer) -> Result<()> {
    let test = range_test(project, &Sweep::default())?;
    let before = project.config().optimizer.learning_rate;
    match test.suggestion {
        Some(rate) => {
            project.loaded.config.optimizer.learning_rate = rate;
            printer.say(format!("learning rate: {rate} (--lr auto: a range test of {} steps)", test.points.len()));
        }
        None => printer.warn(format!("--lr auto: the loss falls at no learning rate; {before} stays")),
    }
    let rate = project.config().optimizer.learning_rate;
    printer.event(&json!({"event": "learning_rate", "learning_rate": rate, "suggestion": test.suggestion}));
    Ok(())
}
