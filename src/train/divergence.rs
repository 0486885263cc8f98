//! Finds where training went wrong: repeats the steps since the last good state one by one, and the first bad one op by
//! op, on the same device and then on a reference. It knows executors by their trait only.

use std::fmt;
use std::time::{Duration, Instant};

use super::state::all_finite;
use super::{Epoch, Set, State, Trainer, setup};
use crate::error::{Error, Result};
use crate::ops::{Access, Batch, Region, TensorId};
use crate::plan::{Executor, Phase, Values};

/// The step that first made a NaN or an infinity.
#[derive(Debug, Clone, PartialEq)]
pub struct Culprit {
    /// 1, 2, …; steps count within the epoch. `None` for the evaluation after the epoch's last step.
    pub epoch: usize,
    /// 1, 2, … within the epoch.
    pub step: Option<usize>,
    /// The op and its layer, such as `dense layers.0`, and the tensor it wrote.
    pub place: Place,
    /// What the reference does with the same inputs, where one was at hand.
    pub reference: Option<Option<Place>>,
}

/// An op and a tensor that it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub op: String,
    pub tensor: String,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.step {
            Some(step) => format!("step {step}"),
            None => "the evaluation".to_owned(),
        };
        let Place { op, tensor } = &self.place;
        write!(f, "the first is in epoch {}, {when}: `{op}` wrote it to {tensor}", self.epoch)?;
        match &self.reference {
            None => Ok(()),
            Some(Some(place)) if *place == self.place => f.write_str(", and so does the CPU path"),
            Some(Some(place)) => write!(f, ", on the CPU path `{}` writes the first, to {}", place.op, place.tensor),
            Some(None) => f.write_str(", but the CPU path does not"),
        }
    }
}

/// Longest that a search may take; it reads all weights back after each step.
const PATIENCE: Duration = Duration::from_secs(60);

impl Trainer<'_> {
    /// The error for a number that is NaN or infinite.
    pub fn diverged(&self, what: &str) -> Error {
        // No rate above 0.01 is worth trying next, however far off this one was.
        let lower = short((self.config.optimizer.learning_rate / 10.0).min(0.01));
        let remedy = match self.config.regularization.clip_norm {
            None => format!("try a smaller learning rate, such as --lr {lower}, or --set regularization.clip_norm=1"),
            Some(_) => format!("try a smaller learning rate, such as --lr {lower}"),
        };
        Error::diverged(format!("{what} is not a finite number")).remedy(remedy)
    }

    /// A divergence with the step, layer and tensor that began it. `reference` may be any other executor of the same
    /// plan. The trainer cannot go on afterwards; [`Trainer::good_state`] can be resumed from.
    pub fn explain(&mut self, error: Error, reference: Option<&mut dyn Executor>) -> Error {
        let Error::Diverged(fault) = &error else { return error };
        let (problem, remedy) = (fault.problem.clone(), fault.remedy.clone().unwrap_or_default());
        let (found, remedy) = match self.culprit(reference) {
            Ok(Some(culprit)) if culprit.reference == Some(None) => {
                (culprit.to_string(), "the device may be at fault: try `wgrad verify`, or --device cpu".to_owned())
            }
            Ok(Some(culprit)) => (culprit.to_string(), remedy),
            Ok(None) => (
                "the same steps gave only finite numbers when they were repeated".to_owned(),
                "the device may be at fault: try `wgrad verify`, or --device cpu".to_owned(),
            ),
            // The search is a service; its own failure is not the news.
            Err(_) => return error,
        };
        Error::diverged(format!("{problem}: {found}")).remedy(remedy)
    }

    fn culprit(&mut self, reference: Option<&mut dyn Executor>) -> Result<Option<Culprit>> {
        let deadline = Instant::now() + PATIENCE;
        let (last, epochs) = (self.step, self.epochs.clone());
        let good = match &self.good {
            Some(good) => (**good).clone(),
            None => self.first_state()?,
        };
        self.restore(good)?;
        while self.step < last {
            let number = self.epochs.len();
            self.shuffle(number, 1)?;
            self.plan_batches(number, 1);
            for i in self.open.steps..self.batches.len() {
                if Instant::now() > deadline {
                    return Err(Error::internal("the search takes too long"));
                }
                if let Some(place) = self.repeat(self.batches[i])? {
                    let batch = Batch { slot: 0, ..self.batches[i] };
                    let reference = self.on_reference(reference, Phase::Train, &batch)?;
                    return Ok(Some(Culprit { epoch: number + 1, step: Some(i + 1), place, reference }));
                }
                self.step += 1;
                self.open.steps = i + 1;
                if self.step == last {
                    break;
                }
            }
            let Some(epoch) = epochs.get(number) else { break };
            self.close(epoch);
        }
        self.in_evaluation(reference)
    }

    /// Where a training starts.
    fn first_state(&self) -> Result<State> {
        let plan = self.executor.plan();
        let start = setup::start_weights(plan, self.config)?;
        let of = |id: TensorId| start.iter().find(|(own, _)| *own == id).map(|(_, values)| values.clone());
        let zeros = |id: TensorId| vec![0.0; plan.tensor(id).elements()];
        Ok(State {
            step: 0,
            epochs: Vec::new(),
            open: Default::default(),
            start_loss: None,
            weights: plan.model_tensors().into_iter().map(|id| of(id).unwrap_or_else(|| zeros(id))).collect(),
            slots: setup::slots(plan).into_iter().map(zeros).collect(),
            best: None,
            stopping: (None, 0),
            plateau: Default::default(),
            seconds: 0.0,
        })
    }

    /// What the end of an epoch changes in the steps after it.
    fn close(&mut self, epoch: &Epoch) {
        if let Some(patience) = self.schedule.patience() {
            self.plateau.observe(epoch.validation_loss.unwrap_or(epoch.train_loss), patience);
        }
        self.open = Default::default();
        self.epochs.push(epoch.clone());
    }

    /// One step; if it leaves a number that is not finite, again op by op from the same weights.
    fn repeat(&mut self, batch: Batch) -> Result<Option<Place>> {
        let batch = self.locate(&Batch { slot: 0, ..batch })?;
        let kept = self.kept()?;
        self.executor.run(Phase::Train, &[batch])?;
        let results = self.executor.plan().results;
        let results = self.executor.read(results, 0..batch.count as usize)?;
        if all_finite(&[results]) && all_finite(&self.kept()?.into_iter().map(|(_, v)| v).collect::<Vec<_>>()) {
            return Ok(None);
        }
        for (id, values) in &kept {
            self.executor.write(*id, 0, Values::F32(values))?;
        }
        let place = first_bad(self.executor.as_mut(), Phase::Train, &batch)?;
        // The reference is to start where this step did.
        for (id, values) in &kept {
            self.executor.write(*id, 0, Values::F32(values))?;
        }
        Ok(place)
    }

    /// What stays from step to step: weights, running statistics, slots.
    fn kept(&mut self) -> Result<Vec<(TensorId, Vec<f32>)>> {
        let plan = self.executor.plan();
        let ids: Vec<TensorId> = plan.model_tensors().into_iter().chain(setup::slots(plan)).collect();
        let values = self.read_all(&ids)?;
        Ok(ids.into_iter().zip(values).collect())
    }

    fn in_evaluation(&mut self, reference: Option<&mut dyn Executor>) -> Result<Option<Culprit>> {
        // The epoch that is evaluated is closed afterwards.
        let epoch = self.epochs.len() + 1;
        let plan = self.executor.plan();
        let size = plan.evaluation_batch_size.min(plan.window);
        let places = self.sampler.places(Set::Validation);
        for first in places.clone().step_by(size) {
            let batch = self.sampler.batch(first..places.end.min(first + size));
            let found = self.locate(&batch)?;
            if let Some(place) = first_bad(self.executor.as_mut(), Phase::Evaluate, &found)? {
                let reference = self.on_reference(reference, Phase::Evaluate, &batch)?;
                return Ok(Some(Culprit { epoch, step: None, place, reference }));
            }
        }
        Ok(None)
    }

    /// The first bad place of the same batch on another executor, from the weights that are on the device now.
    fn on_reference(
        &mut self,
        reference: Option<&mut dyn Executor>,
        phase: Phase,
        batch: &Batch,
    ) -> Result<Option<Option<Place>>> {
        let Some(reference) = reference else { return Ok(None) };
        setup::load_data(reference, self.data, &self.sampler.weights)?;
        let mut batch = *batch;
        if reference.plan().is_resident {
            let order = reference.plan().order;
            reference.write(order, 0, Values::U32(self.sampler.order()))?;
        } else {
            let rows = &self.sampler.order()[batch.first as usize..(batch.first + batch.count) as usize];
            self.feed.write(reference, self.data, &self.sampler.weights, rows)?;
            batch.first = 0;
        }
        for (id, values) in self.kept()? {
            reference.write(id, 0, Values::F32(&values))?;
        }
        first_bad(reference, phase, &batch).map(Some)
    }
}

/// Runs a list of steps op by op up to the first that writes a NaN or an infinity.
fn first_bad(executor: &mut dyn Executor, phase: Phase, batch: &Batch) -> Result<Option<Place>> {
    for step in 0..executor.plan().steps(phase).len() {
        executor.run_step(phase, step, batch)?;
        let plan = executor.plan();
        let arguments = plan.steps(phase)[step].op.arguments();
        let written: Vec<TensorId> = (arguments.iter().filter(|argument| argument.access != Access::Read))
            .flat_map(|argument| plan.bound(argument.binding))
            .collect();
        for id in written {
            let plan = executor.plan();
            let rows = match plan.steps(phase)[step].op.written(id, batch) {
                Region::All => 0..plan.tensor(id).rows,
                Region::Rows(rows) => rows,
            };
            let values = executor.read(id, rows)?;
            if !all_finite(&[values]) {
                let plan = executor.plan();
                let (op, tensor) = (plan.steps(phase)[step].label.clone(), plan.tensor(id).name.clone());
                return Ok(Some(Place { op, tensor }));
            }
        }
    }
    Ok(None)
}

/// Two significant digits, the way a person would type them.
fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.1e}").parse().unwrap_or(value);
    if (1e-5..1e5).contains(&rounded) { rounded.to_string() } else { format!("{rounded:e}") }
}
