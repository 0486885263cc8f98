//! `wgrad cv`: k-fold cross-validation.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::flags::{Overrides, RunFlags, Shared};
use super::print::Printer;
use super::progress::Told;
use super::project::Project;
use super::session::{Outcome, Session, Stop};
use super::signals::Signals;
use super::train::significant;
use crate::data::Fold;
use crate::error::{Error, Result};
use crate::plan::grouped;
use crate::train::Set;
use crate::train::folder::{Folder, pretty_json};

pub(super) const EXAMPLES: &str = "Examples:
  wgrad cv houses.csv --target price
  wgrad cv titanic.csv --target survived --folds 10 --hidden 32
  wgrad cv --config run.toml --out runs/cv";

pub(super) const AFTER_HELP: &str = "Each row is tested exactly once; folds keep the classes' shares. All that is \
fitted (means, deviations, categories) is fitted on each fold's training rows alone. The rows that a fold does not \
test are dealt to training and validation (for early stopping) by the first two shares of data.split. No model is \
kept: train one with `wgrad train`.

Variables of the environment stand in for flags: WGRAD_DEVICE=cpu is --device cpu.";

#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub run: RunFlags,
    /// Parts that the rows are dealt into [default: 5]
    #[arg(long, env = "WGRAD_FOLDS", hide_env = true, value_name = "N", value_parser = folds, allow_negative_numbers = true)]
    pub folds: Option<usize>,
    /// Writes cv.csv, cv.json and config.toml to this folder
    #[arg(long, env = "WGRAD_OUT", hide_env = true, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn folds(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|&folds| folds >= 2).ok_or("give a whole number from 2 to the number of rows")
}

/// What one fold's test rows say.
struct Tested {
    rows: usize,
    epochs: usize,
    /// The loss, then the metrics.
    scores: Vec<(&'static str, f64)>,
    baseline: Vec<(&'static str, f64)>,
}

pub(super) fn run(flags: &Flags, shared: &Shared, overrides: &Overrides, printer: &Printer) -> Result<ExitCode> {
    let of = flags.folds.unwrap_or(5);
    let folder = flags.out.as_deref().map(Folder::claim).transpose()?;
    let mut project = Project::open_fold(&flags.run, shared, overrides, Fold { number: 0, of })?;
    project.announce(printer);
    let signals = Signals::watch()?;
    let mut tested = Vec::new();
    for number in 0..of {
        if number > 0 {
            project.next_fold(Fold { number, of })?;
        }
        let session = Session::new(&project, printer, Told::Nothing).stopping(signals.clone(), None);
        let outcome = session.run(None).map_err(|error| in_fold(error, number, of))?;
        if let Stop::Requested(request) = outcome.stop {
            let done = tested.len();
            printer.say(format!("{} after {done} of {of} folds; nothing is kept", request.name()));
            printer.event(&json!({"event": request.name(), "folds": done}));
            return Ok(request.exit_code());
        }
        let fold = scores(&project, &outcome)?;
        tell(number, of, &fold, printer);
        tested.push(fold);
    }
    let (mean, deviation) = summary(tested.iter().map(|fold| &fold.scores));
    let (baseline, _) = summary(tested.iter().map(|fold| &fold.baseline));
    conclude(&mean, &deviation, &baseline, of, printer);
    let object = |list: &[(&str, f64)]| {
        Value::Object(list.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>())
    };
    let result = json!({
        "folds": of, "mean": object(&mean), "deviation": object(&deviation), "baseline": object(&baseline),
        "seed": project.config().seed, "data": project.data.source, "data_sha256": project.data.checksum,
        "each": tested.iter().map(|fold| object(&fold.scores)).collect::<Vec<_>>(),
    });
    if let Some(folder) = folder {
        let (csv, json, config) = (csv(&tested), pretty_json(&result), project.config().to_toml());
        folder.write_all(&[
            ("config.toml", config.as_bytes()),
            ("cv.csv", csv.as_bytes()),
            ("cv.json", json.as_bytes()),
        ])?;
        printer.say(format!("written: {}", folder.path().display()));
    }
    let mut event = Map::from_iter([("event".to_owned(), json!("cv"))]);
    if let Value::Object(result) = result {
        event.extend(result);
    }
    printer.event(&event);
    Ok(ExitCode::SUCCESS)
}

/// Says in which fold a training failed.
fn in_fold(error: Error, number: usize, of: usize) -> Error {
    match error.fault().place {
        None => error.at(format!("fold {} of {of}", number + 1)),
        Some(_) => error,
    }
}

fn scores(project: &Project, outcome: &Outcome) -> Result<Tested> {
    let test = outcome.sets.iter().find(|(set, ..)| *set == Set::Test);
    let (_, loss, metrics, baseline) = test.ok_or_else(|| Error::internal("a fold without test rows"))?;
    let scores = std::iter::once(("loss", *loss)).chain(metrics.scalars()).collect();
    let rows = project.data.split.test.len();
    Ok(Tested { rows, epochs: outcome.epochs.len(), scores, baseline: baseline.scalars().collect() })
}

fn tell(number: usize, of: usize, fold: &Tested, printer: &Printer) {
    let scores: Vec<String> =
        fold.scores.iter().map(|(name, value)| format!("{} {}", title(name), significant(*value))).collect();
    let s = if fold.epochs == 1 { "" } else { "s" };
    printer.say(format!(
        "fold {:>width$}/{of}  {} rows tested after {} epoch{s}: {}",
        number + 1,
        grouped(fold.rows as u64),
        fold.epochs,
        scores.join(", "),
        width = of.to_string().len()
    ));
    let mut event = Map::from_iter([
        ("event".to_owned(), json!("fold")),
        ("fold".to_owned(), json!(number + 1)),
        ("rows".to_owned(), json!(fold.rows)),
        ("epochs".to_owned(), json!(fold.epochs)),
    ]);
    event.extend(fold.scores.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    printer.event(&event);
}

fn title(name: &str) -> &str {
    match name {
        "rmse" => "RMSE",
        "mae" => "MAE",
        "r2" => "R²",
        "f1" => "F1",
        "roc_auc" => "ROC AUC",
        other => other,
    }
}

type Scores = Vec<(&'static str, f64)>;

/// Mean and standard deviation over the folds (of the population, as numpy's `std`); of a metric that some fold has
/// not, over the others.
fn summary<'a>(folds: impl Iterator<Item = &'a Scores> + Clone) -> (Scores, Scores) {
    let mut names: Vec<&'static str> = Vec::new();
    for (name, _) in folds.clone().flatten() {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let values = |wanted: &str| -> Vec<f64> {
        folds.clone().flatten().filter(|(name, value)| *name == wanted && !value.is_nan()).map(|(_, x)| *x).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let deviation = |values: &[f64]| {
        let centre = mean(values);
        (values.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    };
    let each = |of: &dyn Fn(&[f64]) -> f64| names.iter().map(|name| (*name, of(&values(name)))).collect();
    (each(&mean), each(&deviation))
}

fn conclude(mean: &Scores, deviation: &Scores, baseline: &Scores, of: usize, printer: &Printer) {
    printer.say(format!("mean ± standard deviation over {of} folds:"));
    for ((name, mean), (_, deviation)) in mean.iter().zip(deviation) {
        // What always giving the same answer would reach; for the others it says nothing.
        let base = baseline.iter().find(|(own, _)| own == name && ["rmse", "accuracy"].contains(own));
        let base = match base {
            Some((_, value)) => format!("  (always the same answer: {})", significant(*value)),
            None => String::new(),
        };
        printer.result(format!("{:<9} {} ± {}{base}", title(name), significant(*mean), significant(*deviation)));
    }
}

fn csv(folds: &[Tested]) -> String {
    let names: Vec<&str> = folds.first().map_or_else(Vec::new, |fold| fold.scores.iter().map(|(n, _)| *n).collect());
    let mut text = format!("fold,rows,epochs,{}\n", names.join(","));
    for (number, fold) in folds.iter().enumerate() {
        let cell = |name: &&str| {
            let value = fold.scores.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
            value.filter(|value| !value.is_nan()).map_or_else(String::new, |value| value.to_string())
        };
        let cells: Vec<String> = names.iter().map(cell).collect();
        text += &format!("{},{},{},{}\n", number + 1, fold.rows, fold.epochs, cells.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_the_population() {
        let folds = [vec![("a", 1.0), ("b", 5.0)], vec![("a", 3.0), ("b", f64::NAN)], vec![("a", 5.0)]];
        let (mean, deviation) = summary(folds.iter());
        assert_eq!(mean, [("a", 3.0), ("b", 5.0)]);
        assert_eq!(deviation, [("a", (8.0_f64 / 3.0).sqrt()), ("b", 0.0)]);
    }
}
