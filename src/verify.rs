//! Verification in lockstep: each step of a plan runs on a device and on the reference from the same inputs, and every
//! number the device wrote must lie within the reference's error bound.
//!
//! The first wrong step is thereby named, and rounding that piled up in earlier steps blames nobody. It knows executors
//! by their trait only.

mod joined;

use std::ops::Range;

use serde::Serialize;

use crate::config::Config;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ops::{Access, Argument, Batch, Region, TensorId};
use crate::plan::{Executor, Phase, Plan, Reference, Role, Tensor, Values};
use crate::train::inference;
use crate::train::setup::{self, RowWeights};

/// One tensor that one step wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// `train` or `evaluate`, each op by itself; `joined`: whole training steps, many of them in one dispatch.
    pub phase: &'static str,
    /// Its label in the plan.
    pub step: String,
    /// Its name.
    pub tensor: String,
    /// Rows of the batch.
    pub rows: u32,
    /// Numbers compared.
    pub compared: usize,
    /// The largest |device − reference| and the largest share of its bound that an error took up.
    pub largest_error: f64,
    /// 1 would be the bound itself.
    pub share_of_bound: f64,
    /// If anything was outside its bound.
    pub failure: Option<Failure>,
}

/// The number that is furthest outside its bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Of the tensor.
    pub row: usize,
    /// Of the tensor.
    pub column: usize,
    /// What the device wrote.
    pub device: f64,
    /// What the reference computed.
    pub reference: f64,
    /// How far apart they may be.
    pub bound: f64,
    /// Numbers of this tensor outside their bounds.
    pub count: usize,
}

/// Everything that was compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// In the order of steps.
    pub comparisons: Vec<Comparison>,
    /// Tensors past whose end something was written.
    pub overwritten: Vec<String>,
}

impl Report {
    /// Numbers compared in all.
    pub fn compared(&self) -> usize {
        self.comparisons.iter().map(|c| c.compared).sum()
    }

    /// Comparisons with a number outside its bound.
    pub fn failures(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons.iter().filter(|c| c.failure.is_some())
    }

    /// Nothing was wrong, and something was compared.
    pub fn passed(&self) -> bool {
        self.compared() > 0 && self.failures().next().is_none() && self.overwritten.is_empty()
    }

    /// The report as a result.
    ///
    /// # Errors
    /// [`Error::Verification`] naming the first wrong step.
    pub fn verdict(&self, device: &str) -> Result<()> {
        let problem = if let Some(wrong) = self.failures().next() {
            let worst = wrong.failure.as_ref().map_or_else(String::new, |f| {
                format!(
                    ": {} of {} numbers are outside their bound, [{}, {}] is {:e} instead of {:e} ± {:.1e}",
                    f.count, wrong.compared, f.row, f.column, f.device, f.reference, f.bound
                )
            });
            let joined = if wrong.phase == JOINED { ", joined with others," } else { "" };
            format!("`{}`{joined} wrote wrong numbers to {}{worst}", wrong.step, wrong.tensor)
        } else if let Some(tensor) = self.overwritten.first() {
            format!("something was written past the end of {tensor}")
        } else if self.compared() == 0 {
            "nothing was compared".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::verification(problem)
            .at(device)
            .remedy("train with --device cpu, and report this with what `wgrad doctor` prints"))
    }
}

/// The batches that a network is verified on: the first of the training rows, and the last where that is another one,
/// which may be short.
///
/// # Errors
/// Class weights that do not fit the data.
pub fn batches(plan: &Plan, config: &Config, data: &Dataset) -> Result<Vec<Batch>> {
    let (rows, size) = (data.split.train.len(), plan.batch_size);
    let last = rows.saturating_sub(1) / size * size;
    let starts = if last == 0 { vec![0] } else { vec![0, last] };
    let weights = RowWeights::new(config, data)?;
    let order = setup::order(data);
    // Of a data set that is streamed, the first window is on the device.
    let held = if plan.is_resident { rows } else { rows.min(plan.data_rows()) };
    let batch = |(counter, first): (usize, usize)| {
        let count = size.min(rows - first);
        let first = first.min(held - count);
        Batch {
            learning_rate: config.optimizer.learning_rate as f32,
            counter: counter as u32,
            ..inference::batch(data, &weights, &order, first..first + count)
        }
    };
    Ok(starts.into_iter().enumerate().map(batch).collect())
}

/// Puts a network's data and start weights on both executors and verifies it there.
///
/// # Errors
/// [`Error::Device`] if the device fails, [`Error::Output`] for bad start weights.
pub fn network(
    device: &mut dyn Executor,
    reference: &mut dyn Reference,
    config: &Config,
    data: &Dataset,
    batches: &[Batch],
) -> Result<Report> {
    let weights = RowWeights::new(config, data)?;
    let start = setup::start_weights(device.plan(), config)?;
    setup::load_data(device, data, &weights)?;
    setup::load_data(reference, data, &weights)?;
    setup::write_weights(device, &start)?;
    setup::write_weights(reference, &start)?;
    verify(device, reference, batches)
}

/// Runs every step of both lists for each batch on both executors, which hold the same data and weights.
pub fn verify(device: &mut dyn Executor, reference: &mut dyn Reference, batches: &[Batch]) -> Result<Report> {
    let mut report = Report::default();
    for phase in [Phase::Train, Phase::Evaluate] {
        for batch in batches {
            forget(device, phase)?;
            for step in 0..device.plan().steps(phase).len() {
                lockstep(device, reference, phase, step, batch, &mut report)?;
            }
        }
    }
    if let Some(steps) = device.joined_steps() {
        joined::verify(device, reference, batches, steps, &mut report)?;
    }
    report.overwritten = device.overwritten()?;
    Ok(report)
}

/// The phase of comparisons of whole training steps.
const JOINED: &str = "joined";

fn lockstep(
    device: &mut dyn Executor,
    reference: &mut dyn Reference,
    phase: Phase,
    step: usize,
    batch: &Batch,
    report: &mut Report,
) -> Result<()> {
    let arguments = device.plan().steps(phase)[step].op.arguments();
    let mut written = Vec::new();
    for argument in &arguments {
        for id in device.plan().bound(argument.binding) {
            if argument.access == Access::Write {
                poison(device, phase, step, batch, id)?;
            } else {
                copy(device, reference, id)?;
            }
            if argument.access != Access::Read {
                written.push(id);
            }
        }
    }
    device.run_step(phase, step, batch)?;
    reference.run_step(phase, step, batch)?;
    for id in written {
        report.comparisons.push(compare(device, reference, phase, step, batch, id)?);
    }
    Ok(())
}

/// A number that no step makes by itself.
const STALE: f32 = 1e30;

/// Overwrites what steps left in the tensors that several steps fill together: after a step that does nothing they
/// would still hold the right numbers of the same batch. NaN would not do, because each step leaves some rows alone.
fn forget(device: &mut dyn Executor, phase: Phase) -> Result<()> {
    let arguments: Vec<Argument> = device.plan().steps(phase).iter().flat_map(|step| step.op.arguments()).collect();
    for argument in arguments.iter().filter(|argument| argument.access == Access::Update) {
        for id in device.plan().bound(argument.binding) {
            let tensor = device.plan().tensor(id);
            if tensor.role == Role::Activation {
                let stale = vec![STALE; tensor.elements()];
                device.write(id, 0, Values::F32(&stale))?;
            }
        }
    }
    Ok(())
}

/// The rows of a tensor that a step has to write.
fn written(device: &dyn Executor, phase: Phase, step: usize, batch: &Batch, id: TensorId) -> Range<usize> {
    match device.plan().steps(phase)[step].op.written(id, batch) {
        Region::All => 0..device.plan().tensor(id).rows,
        Region::Rows(rows) => rows,
    }
}

/// Fills the rows that a step has to write with NaN, so that what it leaves unwritten is found. Other rows may hold
/// what earlier steps wrote for later ones.
fn poison(device: &mut dyn Executor, phase: Phase, step: usize, batch: &Batch, id: TensorId) -> Result<()> {
    let rows = written(device, phase, step, batch, id);
    let nans = vec![f32::NAN; rows.len() * device.plan().tensor(id).columns];
    device.write(id, rows.start, Values::F32(&nans))
}

/// Gives the reference what the device has. The data set is on both already.
fn copy(device: &mut dyn Executor, reference: &mut dyn Reference, id: TensorId) -> Result<()> {
    let tensor = device.plan().tensor(id);
    if matches!(tensor.role, Role::Features | Role::Targets | Role::Order) {
        return Ok(());
    }
    let rows = tensor.rows;
    let values = device.read(id, 0..rows)?;
    reference.write(id, 0, Values::F32(&values))
}

fn compare(
    device: &mut dyn Executor,
    reference: &mut dyn Reference,
    phase: Phase,
    step: usize,
    batch: &Batch,
    id: TensorId,
) -> Result<Comparison> {
    let rows = written(device, phase, step, batch, id);
    let label = device.plan().steps(phase)[step].label.clone();
    let phase = if phase == Phase::Train { "train" } else { "evaluate" };
    let got = device.read(id, rows.clone())?;
    let want = reference.bounded(id, rows.clone());
    Ok(hold((phase, label, batch.count), device.plan().tensor(id), rows.start, &got, want))
}

/// Compares rows of a tensor, the first of them being `first`, with values and how far apart they may be. The phase,
/// the step's label and its rows are told.
fn hold(
    (phase, step, rows): (&'static str, String, u32),
    tensor: &Tensor,
    first: usize,
    got: &[f32],
    want: impl IntoIterator<Item = (f64, f64)>,
) -> Comparison {
    let mut comparison = Comparison {
        phase,
        step,
        tensor: tensor.name.clone(),
        rows,
        compared: 0,
        largest_error: 0.0,
        share_of_bound: 0.0,
        failure: None,
    };
    for (i, (want, bound)) in want.into_iter().enumerate() {
        // A number that the device does not give is as wrong as a number can be.
        let got = got.get(i).copied().unwrap_or(f32::NAN);
        let error = (f64::from(got) - want).abs();
        comparison.compared += 1;
        if error <= bound && bound.is_finite() {
            comparison.largest_error = comparison.largest_error.max(error);
            comparison.share_of_bound = comparison.share_of_bound.max(error / bound);
            continue;
        }
        let count = comparison.failure.as_ref().map_or(0, |failure| failure.count) + 1;
        // The first NaN is worse than anything.
        let excess = |f: &Failure| (f.device - f.reference).abs() / f.bound;
        let worse = comparison.failure.as_ref().is_none_or(|f| {
            let (own, other) = (error / bound, excess(f));
            !other.is_nan() && (own.is_nan() || own > other)
        });
        if worse {
            let (row, column) = (first + i / tensor.columns, i % tensor.columns);
            comparison.failure = Some(Failure { row, column, device: got.into(), reference: want, bound, count });
        }
        if let Some(failure) = &mut comparison.failure {
            failure.count = count;
        }
    }
    comparison
}
