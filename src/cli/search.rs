//! `wgrad search`: random search with successive halving. A search's folder holds a folder for each trial with the
//! checkpoint of its training, and all that has happened so far follows from those: a search that goes on runs
//! through its rungs from the first, and finds most of the work done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use toml::{Table, Value};

use super::flags::{Overrides, RunFlags, Shared, count};
use super::leaderboard::{self, Row};
use super::print::Printer;
use super::progress::Told;
use super::project::Project;
use super::session::{Session, Stop};
use super::signals::{Request, Signals};
use super::train;
use super::trials::{Climb, Trials};
use crate::config::{Config, Range};
use crate::error::{Error, Result};
use crate::layers::Keyed;
use crate::model::optimizers::Optimizer;
use crate::model::schedules::Schedule;
use crate::train::checkpoint::Checkpoint;
use crate::train::folder::{Folder, pretty_json};
use crate::train::halving::{self, ETA, Rung, Standing};
use crate::train::stopping::Objective;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad search houses.csv --target price
  wgrad search digits --trials 60 --max-time 30m --out runs/search
  wgrad search --config run.toml         its [search] says what is tried
  wgrad search --resume runs/search      goes on where it was stopped";

pub(super) const AFTER_HELP: &str = "A run file says what is searched:

  [search]
  \"optimizer.learning_rate\" = { log = [1e-4, 1e-1] }
  \"model.layers[0].units\" = { int = [16, 256] }
  \"model.layers[1].rate\" = { uniform = [0.0, 0.5] }
  \"optimizer.name\" = { choice = [\"adam\", \"rmsprop\"] }

Without it: optimizer.learning_rate, regularization.l2, train.batch_size and, unless there are layers of your own, the \
hidden layers with and without dropout. All trials train some epochs, the best third goes on for three times as many, \
and so on to train.epochs. They are compared by the metric of [early_stopping] on the validation rows; only the winner \
meets the test rows, once. DIR/best is the winner's run folder, DIR/leaderboard.csv has all trials.

Variables of the environment stand in for flags: WGRAD_DEVICE=cpu is --device cpu.";

/// Trials where nothing is said.
const TRIALS: u32 = 27;

#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub run: RunFlags,
    /// Settings that are tried [default: 27]
    #[arg(long, env = "WGRAD_TRIALS", hide_env = true, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    pub trials: Option<u32>,
    /// Stops after this time, such as 90s, 10m or 2h, with the best so far; the search can be resumed
    #[arg(long, env = "WGRAD_MAX_TIME", hide_env = true, value_name = "TIME", value_parser = train::max_time)]
    pub max_time: Option<Duration>,
    /// The search's folder [default: runs/<UTC time>-search-<data name>]
    #[arg(long, env = "WGRAD_OUT", hide_env = true, value_name = "DIR", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Goes on with a search in its folder, with the same results as without a break
    #[arg(long, env = "WGRAD_RESUME", hide_env = true, value_name = "DIR")]
    pub resume: Option<PathBuf>,
}

/// The file of a search, beside its config.toml.
const FILE: &str = "search.json";

/// What it holds.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    trials: u32,
    data_sha256: String,
    device: String,
    adapter: String,
}

pub(super) fn run(flags: &Flags, shared: &Shared, overrides: &Overrides, printer: &Printer) -> Result<ExitCode> {
    let (mut run_flags, mut shared) = (flags.run.clone(), shared.clone());
    let resumed = flags.resume.as_deref().map(read).transpose()?;
    if let (Some(path), Some((record, _))) = (&flags.resume, &resumed) {
        run_flags.config.get_or_insert_with(|| path.join("config.toml"));
        if !overrides.is_given("device") {
            shared.device.clone_from(&record.device);
        }
        if flags.trials.is_some_and(|trials| trials != record.trials) {
            let problem = format!("the search has {} trials", record.trials);
            return Err(Error::usage(problem).at("--trials").remedy("leave it out, or start another search"));
        }
    }
    let mut project = Project::open(&run_flags, &shared, overrides, None)?;
    let objective = Objective::new(&project.config().early_stopping, &project.data)
        .map_err(|error| project.locate(("early_stopping.metric".into(), error)))?;
    if let Some((record, before)) = &resumed {
        check_resumed(record, before, &project, printer)?;
    }
    let ranges = settle_ranges(&mut project)?;
    let base = project.config().clone();
    let number = resumed.as_ref().map_or(flags.trials.unwrap_or(TRIALS), |(record, _)| record.trials);
    let values: Vec<_> = (0..number).map(|i| halving::draw(&ranges, base.seed, i)).collect();
    let configs = values.iter().map(|values| configure(&mut project, &base, values)).collect::<Result<Vec<_>>>()?;
    let folder = match &flags.resume {
        Some(path) => Folder::reopen(path)?,
        None => claim(flags.out.as_deref(), &project.data.name)?,
    };
    project.reconfigure(base.clone()).map_err(|keyed| project.locate(keyed))?;
    project.announce(printer);
    let rungs = halving::rungs(configs.len(), base.train.epochs);
    announce(&ranges, &rungs, &objective, resumed.is_some(), printer);
    if resumed.is_none() {
        begin(&folder, &project, &shared, number, &rungs, &objective)?;
    }
    let trials = Trials::new(&folder, configs, &shared.device, objective);
    Search { project, printer, shared, folder, values, trials, objective }.run(&rungs, flags.max_time)
}

/// The record of a search, and its configuration.
fn read(path: &Path) -> Result<(Record, Config)> {
    let text = |name: &str| {
        std::fs::read_to_string(path.join(name)).map_err(|error| {
            let problem = format!("there is no search to resume: {name} cannot be read: {error}");
            Error::output(problem).at(path.display()).remedy("name the folder that `wgrad search` printed")
        })
    };
    let record = serde_json::from_str(&text(FILE)?).map_err(|error| {
        let problem = format!("is not what `wgrad search` wrote: {error}");
        Error::output(problem).at(path.join(FILE).display()).remedy("start another search")
    })?;
    let config = Config::from_toml(&text("config.toml")?).map_err(|error| {
        Error::output(error.fault().problem.clone())
            .at(path.join("config.toml").display())
            .remedy("start another search")
    })?;
    Ok((record, config))
}

/// Refuses to go on with other settings or other data.
fn check_resumed(record: &Record, before: &Config, project: &Project, printer: &Printer) -> Result<()> {
    let differences = before.differences(project.config());
    if let Some(first) = differences.first() {
        let list: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let problem = format!("the search cannot go on with other settings: {}", list.join("; "));
        let remedy = "resume without them, or start another search";
        return Err(project.locate((first.key.clone(), Error::data(problem).remedy(remedy))));
    }
    if record.data_sha256 != project.data.checksum {
        return Err(Error::data("the data has changed since this search began")
            .at(&project.data.source)
            .remedy("bring the old data back, or start another search"));
    }
    let adapter = project.device.info().adapter;
    if adapter != record.adapter {
        printer.warn(format!("the search was on {}; on {adapter} its results may differ", record.adapter));
    }
    Ok(())
}

/// The ranges of the run file, or those that are usual; then they are written into the configuration.
fn settle_ranges(project: &mut Project) -> Result<Vec<(String, Range)>> {
    let ranges = project.config().search_ranges()?;
    if !ranges.is_empty() {
        return Ok(ranges);
    }
    let ranges = halving::default_ranges(project.config());
    project.loaded.config.search = ranges.iter().map(|(key, range)| (key.clone(), written(range))).collect();
    Ok(ranges)
}

/// A range as it stands in a run file.
fn written(range: &Range) -> Value {
    let floats = |bounds: &[f64; 2]| Value::Array(bounds.map(Value::Float).into());
    let (name, value) = match range {
        Range::Log(bounds) => ("log", floats(bounds)),
        Range::Uniform(bounds) => ("uniform", floats(bounds)),
        Range::Int(bounds) => ("int", Value::Array(bounds.map(Value::Integer).into())),
        Range::Choice(values) => ("choice", Value::Array(values.clone())),
    };
    Value::Table(Table::from_iter([(name.to_owned(), value)]))
}

/// The whole configuration of a trial, before any has begun: a mistake in the last one should not cost hours.
fn configure(project: &mut Project, base: &Config, values: &[(String, Value)]) -> Result<Config> {
    let whole = |project: &mut Project| -> Keyed<Config> {
        project.reconfigure(base.with_values(values).map_err(|error| (String::new(), error))?)?;
        let config = project.config().clone();
        Optimizer::from_config(&config.optimizer)?;
        Schedule::from_config(&config.schedule, config.optimizer.learning_rate, config.train.epochs)?;
        Ok(config)
    };
    whole(project).map_err(|(key, error)| {
        let within = |name: &str| !key.is_empty() && (key.starts_with(name) || name.starts_with(&key));
        match values.iter().find(|(name, _)| within(name)) {
            Some((name, _)) => project.locate((format!("search.{name:?}"), error)),
            None => project.locate((key, error)),
        }
    })
}

fn claim(out: Option<&Path>, name: &str) -> Result<Folder> {
    let Some(path) = out else { return Folder::claim_new(&format!("search-{name}")) };
    if path.join(FILE).exists() {
        let error = Error::output("a search is in this folder already").at(path.display());
        return Err(error.remedy(format!("go on with `{}`, or choose another --out", resume_command(path))));
    }
    Folder::claim(path)
}

fn announce(ranges: &[(String, Range)], rungs: &[Rung], objective: &Objective, is_resumed: bool, printer: &Printer) {
    for (key, range) in ranges {
        let text = match range {
            Range::Log([a, b]) => format!("{a} to {b}, logarithmic"),
            Range::Uniform([a, b]) => format!("{a} to {b}"),
            Range::Int([a, b]) => format!("{a} to {b}, whole"),
            Range::Choice(values) => values.iter().map(leaderboard::short).collect::<Vec<_>>().join(" | "),
        };
        printer.say(format!("search {key}: {text}"));
    }
    let rungs: Vec<String> = rungs.iter().map(|rung| format!("{} to {}", rung.trials, rung.epochs)).collect();
    let better = if objective.higher_is_better { "highest" } else { "lowest" };
    printer.say(format!(
        "{}trials to epochs: {}; the {better} {} wins",
        if is_resumed { "resuming; " } else { "" },
        rungs.join(", "),
        objective.metric.replace('_', " ")
    ));
}

/// Writes what a resumed search starts from.
fn begin(
    folder: &Folder,
    project: &Project,
    shared: &Shared,
    trials: u32,
    rungs: &[Rung],
    objective: &Objective,
) -> Result<()> {
    let rungs: Vec<_> = rungs.iter().map(|rung| json!({"epochs": rung.epochs, "trials": rung.trials})).collect();
    let record = json!({
        "trials": trials, "data_sha256": project.data.checksum, "device": shared.device,
        "adapter": project.device.info().adapter, "seed": project.config().seed, "eta": ETA, "rungs": rungs,
        "metric": objective.metric, "wgrad": env!("CARGO_PKG_VERSION"),
    });
    let (config, record) = (project.config().to_toml(), pretty_json(&record));
    folder.write_all(&[("config.toml", config.as_bytes()), (FILE, record.as_bytes())])
}

/// A search that is under way.
struct Search<'a> {
    project: Project,
    printer: &'a Printer,
    shared: Shared,
    folder: Folder,
    /// What was drawn for each trial.
    values: Vec<Vec<(String, Value)>>,
    trials: Trials,
    objective: Objective,
}

impl Search<'_> {
    fn run(mut self, rungs: &[Rung], max_time: Option<Duration>) -> Result<ExitCode> {
        let signals = Signals::watch()?;
        let stop = self.climb_all(rungs, &signals, max_time)?;
        let mut standings = self.trials.standings().to_vec();
        halving::rank(&mut standings, &self.objective);
        let rows: Vec<Row> =
            standings.iter().map(|standing| Row { standing, values: &self.values[standing.trial] }).collect();
        self.folder.write_all(&[("leaderboard.csv", leaderboard::csv(&rows, &self.objective).as_bytes())])?;
        let resume = resume_command(self.folder.path());
        if let Some(Stop::Requested(request)) = stop {
            return Ok(self.interrupted(request, &resume));
        }
        leaderboard::show(&rows, &self.objective, self.printer);
        let standings_diverged = standings.iter().all(|standing| standing.diverged);
        let winner = standings.into_iter().next().filter(|best| best.score.is_some());
        match &winner {
            Some(best) => {
                if let Some(request) = self.leave_winner(best, &signals, stop.is_some())? {
                    return Ok(self.interrupted(request, &resume));
                }
            }
            None if stop.is_some() => self.printer.say("no trial has come to its first rung yet"),
            None if !standings_diverged => {
                let error = Error::data(format!("no trial has a value of {}", self.objective.metric));
                return Err(error.remedy("set early_stopping.metric to one that these validation rows have"));
            }
            None => {
                let error = Error::diverged("every trial diverged");
                return Err(error.remedy("search smaller learning rates, or set regularization.clip_norm=1"));
            }
        }
        self.printer.say(format!("search: {}", self.folder.path().display()));
        if stop.is_some() {
            self.printer.say(format!("stopped by --max-time; go on searching with\n  {resume}"));
        }
        self.printer.event(&json!({
            "event": "search", "run": self.folder.path().to_string_lossy(), "metric": self.objective.metric,
            "trial": winner.as_ref().map(|best| best.trial + 1), "score": winner.as_ref().and_then(|best| best.score),
            "stopped": stop.is_some(),
        }));
        Ok(ExitCode::SUCCESS)
    }

    fn interrupted(&self, request: Request, resume: &str) -> ExitCode {
        self.printer.say(format!("{}; all of it is saved, go on with\n  {resume}", request.name()));
        let run = self.folder.path().to_string_lossy();
        self.printer.event(&json!({"event": request.name(), "run": run, "resume": resume}));
        request.exit_code()
    }

    /// Takes all trials up the rungs; tells why it stopped before the end.
    fn climb_all(&mut self, rungs: &[Rung], signals: &Signals, max_time: Option<Duration>) -> Result<Option<Stop>> {
        let deadline = max_time.and_then(|time| std::time::Instant::now().checked_add(time));
        let mut climbing: Vec<usize> = (0..self.values.len()).collect();
        for (number, rung) in rungs.iter().enumerate() {
            // Those that diverged have no place to give away.
            climbing.truncate(rung.trials);
            for &trial in &climbing {
                let climb = Climb { epochs: rung.epochs, signals, deadline };
                if let Some(stop) = self.trials.climb(trial, &climb, &mut self.project)? {
                    return Ok(Some(stop));
                }
                self.tell(number + 1, rungs.len(), trial);
            }
            let mut standings: Vec<Standing> =
                climbing.iter().map(|&trial| self.trials.standings()[trial].clone()).collect();
            halving::rank(&mut standings, &self.objective);
            climbing = standings.iter().filter(|standing| !standing.diverged).map(|standing| standing.trial).collect();
        }
        Ok(None)
    }

    fn tell(&self, rung: usize, of: usize, trial: usize) {
        let standing = &self.trials.standings()[trial];
        let values: Vec<String> = self.values[trial]
            .iter()
            .map(|(key, value)| format!("{} {}", leaderboard::brief(key), leaderboard::short(value)))
            .collect();
        let score = match standing.score {
            _ if standing.diverged => "diverged".into(),
            Some(score) => format!("{} {score:.4}", self.objective.metric.replace('_', " ")),
            None => "no score".into(),
        };
        let (number, epochs) = (trial + 1, standing.epochs);
        let s = if epochs == 1 { "" } else { "s" };
        self.printer.say(format!(
            "rung {rung}/{of}  trial {number:>3}: {score} after {epochs} epoch{s}; {}",
            values.join(", ")
        ));
        let values: BTreeMap<&str, &Value> = self.values[trial].iter().map(|(key, v)| (key.as_str(), v)).collect();
        self.printer.event(&json!({
            "event": "trial", "trial": number, "rung": rung, "epochs": standing.epochs, "score": standing.score,
            "diverged": standing.diverged, "values": values,
        }));
    }

    /// Leaves the best trial as an ordinary run, tested on the rows that no trial has seen. What asked it to stop on the
    /// way, if anything did: the folder is left for the search that goes on.
    fn leave_winner(&mut self, best: &Standing, signals: &Signals, is_early: bool) -> Result<Option<Request>> {
        let trial = self.trials.config(best.trial).clone();
        let Checkpoint { state, .. } = Checkpoint::read(&self.trials.path(best.trial))?;
        self.project.reconfigure(trial).map_err(|keyed| self.project.locate(keyed))?;
        let path = self.folder.path().join("best");
        let folder = if path.exists() { Folder::reopen(&path)? } else { Folder::claim(&path)? };
        let session = Session::new(&self.project, self.printer, Told::Nothing)
            .saving(&folder, &self.shared.device)
            // A trial that the time cut short trains no more.
            .stopping(signals.clone(), is_early.then_some(Duration::ZERO));
        let outcome = session.run(Some(state))?;
        if let Stop::Requested(request) = outcome.stop {
            return Ok(Some(request));
        }
        train::leave(&self.project, &outcome, None, &folder, &self.shared, true)?;
        self.printer.say(format!("\nthe best is trial {}:", best.trial + 1));
        for (key, value) in &self.values[best.trial] {
            self.printer.say(format!("  {key} = {}", leaderboard::short(value)));
        }
        train::conclude(&self.project, &outcome, &folder, self.printer);
        Ok(None)
    }
}

/// What to type to go on.
fn resume_command(path: &Path) -> String {
    super::session::resume_command("search", path)
}
