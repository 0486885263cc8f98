//! The trials of a search, each with its training in a folder of its own. Knows what a rung is, not how many there are
//! or who gets to which.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::project::Project;
use super::session::Stop;
use super::signals::Signals;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::train::checkpoint::{self, Checkpoint};
use crate::train::folder::Folder;
use crate::train::halving::Standing;
use crate::train::stopping::Objective;
use crate::train::{State, Trainer};

/// Left in the folder of a trial that diverged.
const DIVERGED: &str = "diverged.txt";

/// Least time between two checkpoints within a rung.
const INTERVAL: Duration = Duration::from_secs(5);

/// All trials of a search.
pub(super) struct Trials {
    folder: PathBuf,
    configs: Vec<Config>,
    device: String,
    objective: Objective,
    standings: Vec<Standing>,
}

/// How far a trial is to be trained.
pub(super) struct Climb<'a> {
    pub epochs: usize,
    pub signals: &'a Signals,
    pub deadline: Option<Instant>,
}

impl Climb<'_> {
    fn why_stop(&self) -> Option<Stop> {
        let requested = self.signals.request().map(Stop::Requested);
        requested.or_else(|| self.deadline.is_some_and(|at| Instant::now() >= at).then_some(Stop::TimeUp))
    }
}

impl Trials {
    /// `device` is what `--device` named.
    pub fn new(folder: &Folder, configs: Vec<Config>, device: &str, objective: Objective) -> Self {
        let standing = |trial| Standing { trial, rungs: 0, epochs: 0, score: None, diverged: false };
        let standings = (0..configs.len()).map(standing).collect();
        let folder = folder.path().join("trials");
        Trials { folder, configs, device: device.to_owned(), objective, standings }
    }

    /// By trial, as far as the rungs of this session have come.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    pub fn config(&self, trial: usize) -> &Config {
        &self.configs[trial]
    }

    /// A trial's folder.
    pub fn path(&self, trial: usize) -> PathBuf {
        self.folder.join(format!("{:03}", trial + 1))
    }

    /// Takes a trial to its next rung, from wherever it was left. Tells why it did not get there, if so; what was
    /// trained is kept then too.
    pub fn climb(&mut self, trial: usize, climb: &Climb, project: &mut Project) -> Result<Option<Stop>> {
        let path = self.path(trial);
        let mut state = self.read(trial)?;
        if state.as_ref().is_none_or(|state| state.epochs.len() < climb.epochs) {
            // Not before: a trial may have passed this rung and diverged on a later one.
            if path.join(DIVERGED).exists() {
                self.standings[trial].diverged = true;
                return Ok(None);
            }
            // A search that is stopped before a trial begins leaves no folder for it.
            if let Some(stop) = climb.why_stop() {
                return Ok(Some(stop));
            }
            project.reconfigure(self.configs[trial].clone()).map_err(|keyed| project.locate(keyed))?;
            let folder = if path.exists() { Folder::reopen(&path)? } else { Folder::claim(&path)? };
            let mut training = Training { project, folder, device: &self.device };
            match training.train(state, climb) {
                Ok((_, Some(stop))) => return Ok(Some(stop)),
                Ok((trained, None)) => state = Some(trained),
                Err(error @ Error::Diverged(_)) => {
                    let text = format!("{error}\n");
                    training.folder.write_all(&[(DIVERGED, text.as_bytes())])?;
                    self.standings[trial].diverged = true;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let epochs = state.as_ref().map_or(&[][..], |state| &state.epochs);
        // One that goes on may have come farther than this rung before.
        let epochs = &epochs[..epochs.len().min(climb.epochs)];
        let score = self.objective.of(epochs, &self.configs[trial].early_stopping);
        let standing = &mut self.standings[trial];
        (standing.rungs, standing.epochs, standing.score) = (standing.rungs + 1, epochs.len(), score);
        Ok(None)
    }

    /// Where a trial's training stands, if it has begun.
    fn read(&self, trial: usize) -> Result<Option<State>> {
        let path = self.path(trial);
        if !path.join(checkpoint::FILE).exists() {
            return Ok(None);
        }
        let found = Checkpoint::read(&path)?;
        if found.config != self.configs[trial] {
            return Err(Error::output("the checkpoint is that of another search")
                .at(path.display())
                .remedy("remove this folder, and the trial starts anew"));
        }
        Ok(Some(found.state))
    }
}

/// The training of one trial.
struct Training<'a> {
    project: &'a Project,
    folder: Folder,
    device: &'a str,
}

impl Training<'_> {
    /// Trains up to the rung and saves; the state, and why it is not there yet, if so.
    fn train(&mut self, state: Option<State>, climb: &Climb) -> Result<(State, Option<Stop>)> {
        let project = self.project;
        let executor = project.device.executor(project.plan.clone())?;
        let trainer = match state {
            Some(state) => Trainer::resume(project.config(), &project.data, executor, state),
            None => Trainer::new(project.config(), &project.data, executor),
        };
        let mut trainer = trainer.map_err(|keyed| project.locate(keyed))?;
        let mut saved = Instant::now();
        let mut stop = None;
        while trainer.ended().is_none() && trainer.history().len() < climb.epochs {
            let epoch = trainer.advance(&mut |_| {
                stop = climb.why_stop();
                if stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if epoch.is_none() {
                break;
            }
            if saved.elapsed() >= INTERVAL {
                self.save(&mut trainer)?;
                saved = Instant::now();
            }
        }
        self.save(&mut trainer).map(|state| (state, stop))
    }

    fn save(&self, trainer: &mut Trainer) -> Result<State> {
        let adapter = trainer.executor().info().adapter.clone();
        let state = trainer.state()?.clone();
        let (config, data_sha256) = (self.project.config().clone(), self.project.data.checksum.clone());
        let text = config.to_toml();
        let checkpoint = Checkpoint { config, data_sha256, device: self.device.to_owned(), adapter, state };
        self.folder.write_all(&[("config.toml", text.as_bytes()), (checkpoint::FILE, &checkpoint.to_bytes()?)])?;
        Ok(checkpoint.state)
    }
}
