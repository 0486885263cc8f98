//! A training with everything around it: progress, checkpoints, signals, a time limit, a device that is lost.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::print::Printer;
use super::progress::{Length, Progress, Told};
use super::project::Project;
use super::signals::{Request, Signals};
use crate::error::{Error, Result};
use crate::model::activations::Activations;
use crate::plan::{DeviceInfo, Executor};
use crate::report::{self, Evidence};
use crate::train::checkpoint::{self, Checkpoint};
use crate::train::diagnosis::{Advice, diagnose};
use crate::train::folder::Folder;
use crate::train::metrics::Metrics;
use crate::train::{End, Epoch, Set, State, Trainer};
use crate::trained::TrainedModel;

/// What to do when the device is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnDeviceLost {
    /// End with exit code 5; the run can be resumed
    Stop,
    /// Go on from the last good state on the CPU path
    Cpu,
}

/// Why a training came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Ended(End),
    Requested(Request),
    /// `--max-time` is over.
    TimeUp,
}

/// What a training leaves for its files and for people.
pub(super) struct Outcome {
    pub stop: Stop,
    /// Steps taken, in all sessions of the run.
    pub steps: u64,
    /// Kernels a training step, on average.
    pub dispatches_per_step: f64,
    pub epochs: Vec<Epoch>,
    pub best_epoch: Option<usize>,
    pub seconds: f64,
    /// Where it ended: not where it began, if that device was lost.
    pub info: DeviceInfo,
    /// Loss, metrics and the baseline's metrics of each set that has rows; none if it was interrupted.
    pub sets: Vec<(Set, f64, Metrics, Metrics)>,
    pub model: Vec<u8>,
    /// The last checkpoint's bytes, where one is wanted.
    pub checkpoint: Option<Vec<u8>>,
    pub advice: Vec<Advice>,
    /// For report.html, where a run is left that was not interrupted.
    pub evidence: Option<Evidence>,
}

/// How a training is run, beside what its configuration says.
pub(super) struct Session<'a> {
    project: &'a Project,
    printer: &'a Printer,
    told: Told,
    saver: Option<Saver<'a>>,
    signals: Option<Signals>,
    deadline: Option<Instant>,
    on_device_lost: OnDeviceLost,
}

impl<'a> Session<'a> {
    /// Leaves nothing and runs to its end.
    pub fn new(project: &'a Project, printer: &'a Printer, told: Told) -> Self {
        let on_device_lost = OnDeviceLost::Stop;
        Session { project, printer, told, saver: None, signals: None, deadline: None, on_device_lost }
    }

    /// Writes checkpoints to a folder; `device` is what `--device` named.
    pub fn saving(mut self, folder: &'a Folder, device: &'a str) -> Self {
        let (last, cost) = (None, Duration::ZERO);
        self.saver = Some(Saver { project: self.project, folder, device, last, cost, has_config: false });
        self
    }

    /// Stops for signals and after `max_time`.
    pub fn stopping(mut self, signals: Signals, max_time: Option<Duration>) -> Self {
        self.signals = Some(signals);
        self.deadline = max_time.and_then(|time| Instant::now().checked_add(time));
        self
    }

    pub fn on_device_lost(mut self, what: OnDeviceLost) -> Self {
        self.on_device_lost = what;
        self
    }

    /// Trains, from `state` on where one is given, and evaluates every set with the weights that are kept.
    pub fn run(mut self, state: Option<State>) -> Result<Outcome> {
        let project = self.project;
        let mut trainer = self.trainer(project.device.executor(project.plan.clone())?, state)?;
        // Only now: until all is checked, an error is the only thing worth reading.
        project.announce(self.printer);
        if let (Some(saver), Some(_)) = (&self.saver, trainer.good_state()) {
            let (done, all) = (trainer.history().len(), project.config().train.epochs);
            let s = if all == 1 { "" } else { "s" };
            self.printer.say(format!("resuming {} after {done} of {all} epoch{s}", saver.folder.path().display()));
        }
        if let Some(saver) = &mut self.saver {
            // A folder that holds a checkpoint already needs no first one.
            saver.last = trainer.good_state().map(|_| Instant::now());
        }
        let stop = loop {
            let error = match self.epochs(&mut trainer) {
                Ok(stop) => break stop,
                Err(error) => error,
            };
            let was_lost = matches!(error, Error::Device(_)) && trainer.executor().info().device != "cpu";
            if !was_lost || self.on_device_lost == OnDeviceLost::Stop {
                return Err(self.explain(&mut trainer, error));
            }
            let state = trainer.good_state().cloned();
            let epochs = state.as_ref().map_or(0, |state| state.epochs.len());
            self.printer.warn(format!("{error}"));
            self.printer.say(format!("going on after epoch {epochs} on the CPU path (--on-device-lost cpu)"));
            trainer = self.trainer(project.cpu_executor()?, state)?;
        };
        self.outcome(trainer, stop)
    }

    fn trainer(&self, executor: Box<dyn Executor + 'a>, state: Option<State>) -> Result<Trainer<'a>> {
        let (config, data) = (self.project.config(), &self.project.data);
        let trainer = match state {
            Some(state) => Trainer::resume(config, data, executor, state),
            None => Trainer::new(config, data, executor),
        };
        trainer.map_err(|keyed| self.project.locate(keyed))
    }

    fn epochs(&mut self, trainer: &mut Trainer) -> Result<Stop> {
        let length = Length {
            epochs: self.project.config().train.epochs,
            steps_per_epoch: trainer.steps_per_epoch(),
            rows_per_epoch: self.project.data.split.train.len(),
        };
        let mut progress = Progress::new(length, trainer.steps() as usize, self.printer, self.told);
        let stop = self.until_stop(trainer, &mut progress);
        progress.finish();
        stop
    }

    fn until_stop(&mut self, trainer: &mut Trainer, progress: &mut Progress) -> Result<Stop> {
        loop {
            if let Some(end) = trainer.ended() {
                return Ok(Stop::Ended(end));
            }
            let (epochs, mut stop) = (trainer.history().len(), None);
            let done = trainer.advance_by(usize::MAX, &mut |steps| {
                progress.step(epochs, steps);
                stop = self.why_stop();
                if stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            done.iter().for_each(|epoch| progress.epoch(epoch));
            if let Some(stop) = stop {
                return Ok(stop);
            }
            if done.is_empty() {
                return Err(Error::internal("training stopped for no reason"));
            }
            if let Some(saver) = &mut self.saver {
                saver.after_epoch(trainer)?;
            }
        }
    }

    fn why_stop(&self) -> Option<Stop> {
        let requested = self.signals.as_ref().and_then(Signals::request).map(Stop::Requested);
        requested.or_else(|| self.deadline.is_some_and(|at| Instant::now() >= at).then_some(Stop::TimeUp))
    }

    /// Names the place where NaN or infinity began.
    fn explain(&self, trainer: &mut Trainer, error: Error) -> Error {
        if !matches!(error, Error::Diverged(_)) {
            return error;
        }
        let error = self.project.device.explain(&self.project.plan, trainer, error);
        let kept = self.saver.as_ref().filter(|saver| saver.folder.path().join(checkpoint::FILE).exists());
        if let Some(saver) = kept {
            let path = saver.folder.path().display();
            self.printer.say(format!("the last checkpoint, from before that, is kept in {path}"));
        }
        error
    }

    fn outcome(&mut self, mut trainer: Trainer, stop: Stop) -> Result<Outcome> {
        // Before the best weights replace the last ones.
        let checkpoint = match &self.saver {
            Some(saver) => match saver.bytes(&mut trainer) {
                Ok(bytes) => Some(bytes),
                Err(error) => return Err(self.explain(&mut trainer, error)),
            },
            None => None,
        };
        if let Err(error) = trainer.finish() {
            return Err(self.explain(&mut trainer, error));
        }
        let mut sets = Vec::new();
        for set in Set::ALL.into_iter().filter(|_| !matches!(stop, Stop::Requested(_))) {
            if let (Some(evaluation), Some(baseline)) = (trainer.evaluate(set)?, trainer.baseline(set)) {
                if !evaluation.loss.is_finite() {
                    let error = trainer.diverged(&format!("the loss on the {} rows", set.name()));
                    // The loss on the training rows was finite: it is these rows.
                    return Err(match set {
                        Set::Train => error,
                        _ => error.remedy("look for absurd values in them, or train again with a smaller --lr"),
                    });
                }
                sets.push((set, evaluation.loss, evaluation.metrics, baseline));
            }
        }
        let (project, config) = (self.project, self.project.config());
        let model = TrainedModel::from_trainer(&mut trainer, config, &self.project.data, Activations::default())?;
        let model = model.to_bytes()?;
        let end = if let Stop::Ended(end) = stop { end } else { End::Interrupted };
        let advice = trainer.symptoms(end, &sets)?.map_or_else(Vec::new, |symptoms| diagnose(&symptoms));
        let mut outcome = Outcome {
            stop,
            steps: trainer.steps(),
            dispatches_per_step: trainer.dispatches_per_step().unwrap_or(project.plan.train.len() as f64),
            best_epoch: trainer.best_epoch(),
            epochs: trainer.history().to_vec(),
            seconds: trainer.seconds(),
            info: trainer.executor().info().clone(),
            sets,
            model,
            checkpoint,
            advice,
            evidence: None,
        };
        // The last thing, since it spoils the trainer.
        if self.saver.is_some() && !matches!(stop, Stop::Requested(_)) {
            outcome.evidence = Some(report::gather(trainer, config, &self.project.data));
        }
        Ok(outcome)
    }
}

/// Least time between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(200);

/// Writing them may take a tenth of the time.
const COST: u32 = 10;

/// Writes checkpoints: after the first epoch, then as often as the configuration says and their cost allows.
struct Saver<'a> {
    project: &'a Project,
    folder: &'a Folder,
    device: &'a str,
    last: Option<Instant>,
    cost: Duration,
    has_config: bool,
}

impl Saver<'_> {
    fn after_epoch(&mut self, trainer: &mut Trainer) -> Result<()> {
        let asked = Duration::try_from_secs_f64(60.0 * self.project.config().train.checkpoint_minutes);
        let interval = INTERVAL.max(asked.unwrap_or(Duration::MAX)).max(COST * self.cost);
        if self.last.is_some_and(|last| last.elapsed() < interval) {
            return Ok(());
        }
        let began = Instant::now();
        let bytes = self.bytes(trainer)?;
        let config = self.project.config().to_toml();
        let mut files: Vec<(&str, &[u8])> = vec![(checkpoint::FILE, &bytes)];
        // --epochs may have changed it.
        if !self.has_config {
            files.insert(0, ("config.toml", config.as_bytes()));
        }
        self.folder.write_all(&files)?;
        (self.last, self.cost, self.has_config) = (Some(Instant::now()), began.elapsed(), true);
        Ok(())
    }

    fn bytes(&self, trainer: &mut Trainer) -> Result<Vec<u8>> {
        let adapter = trainer.executor().info().adapter.clone();
        let checkpoint = Checkpoint {
            config: self.project.config().clone(),
            data_sha256: self.project.data.checksum.clone(),
            device: self.device.to_owned(),
            adapter,
            state: trainer.state()?.clone(),
        };
        checkpoint.to_bytes()
    }
}

/// What to type to go on with `train` or `search`.
pub(super) fn resume_command(command: &str, run: &Path) -> String {
    format!("wgrad {command} --resume {}", quoted(run))
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = path.chars().all(|c| c.is_alphanumeric() || "-_./\\:".contains(c));
    match plain {
        true => path,
        // Windows' shells know double quotes only, and its paths have none.
        false if cfg!(windows) => format!("\"{path}\""),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}
