//! Verification of training steps that run many in one dispatch, by a kernel that no single step runs. It knows
//! executors by their trait only.

use std::ops::Range;

use super::{Comparison, JOINED, Report, compare, copy, forget, hold, poison};
use crate::error::Result;
use crate::ops::{Access, Argument, Batch, TensorId};
use crate::plan::{Executor, Phase, Plan, Reference, Role, Values};

/// Verifies the kernel that runs many training steps in one dispatch. Of one step all intermediate results stay on the
/// device, so each op is compared from what the device had when it ran: as sharply as by itself. Several steps in one
/// dispatch, as many as training puts into one, must then leave the very numbers that those steps leave one after the
/// other.
pub(super) fn verify(
    device: &mut dyn Executor,
    reference: &mut dyn Reference,
    batches: &[Batch],
    steps: usize,
    report: &mut Report,
) -> Result<()> {
    if batches.is_empty() {
        return Ok(());
    }
    let kept = kept(device.plan());
    let start = read_all(device, &kept)?;
    for batch in batches {
        one_dispatch(device, reference, batch, report)?;
    }
    // Small steps, lest so many of them end in infinities, which hide what follows.
    let counted = batches.iter().cycle().take(steps.max(2)).zip(0..).map(|(batch, counter)| {
        let learning_rate = batch.learning_rate.min(RATE);
        Batch { counter, learning_rate, ..*batch }
    });
    let placed = place(device.plan(), counted);
    let rows: u32 = placed.iter().map(|batch| batch.count).sum();
    let end = placed.iter().map(|batch| (batch.slot + batch.count) as usize).max().unwrap_or(0);
    let results = device.plan().results;
    let stays: Vec<(TensorId, Range<usize>)> = kept.iter().cloned().chain([(results, 0..end)]).collect();
    let reset = |device: &mut dyn Executor| {
        let nans = vec![f32::NAN; end * device.plan().tensor(results).columns];
        let start = kept.iter().zip(&start).map(|((id, _), values)| (*id, values)).chain([(results, &nans)]);
        start.into_iter().try_for_each(|(id, values)| device.write(id, 0, Values::F32(values)))
    };
    reset(device)?;
    for batch in &placed {
        device.run(Phase::Train, std::slice::from_ref(batch))?;
    }
    let want = read_all(device, &stays)?;
    reset(device)?;
    device.run(Phase::Train, &placed)?;
    for ((id, range), want) in stays.into_iter().zip(want) {
        let plan = device.plan();
        let Some(step) = writer(plan, id) else { continue };
        let label = plan.train[step].label.clone();
        let mut got = device.read(id, range.clone())?;
        let exactly = want.into_iter().enumerate().map(|(i, want)| {
            // What so many steps make infinite or NaN all the same is so both times.
            let same = got.get_mut(i).filter(|got| !want.is_finite() && got.to_bits() == want.to_bits());
            let is_same = same.map(|got| *got = 0.0).is_some();
            (if is_same { 0.0 } else { f64::from(want) }, 0.0)
        });
        let exactly: Vec<(f64, f64)> = exactly.collect();
        report.comparisons.push(hold((JOINED, label, rows), device.plan().tensor(id), range.start, &got, exactly));
    }
    Ok(())
}

/// The highest learning rate of many steps.
const RATE: f32 = 1e-3;

/// The batches with places of their own in the results, as far as there is room.
fn place(plan: &Plan, batches: impl Iterator<Item = Batch>) -> Vec<Batch> {
    let room = plan.tensor(plan.results).rows as u32;
    let mut end = 0;
    let mut placed = Vec::new();
    for batch in batches {
        let slot = if end + batch.count <= room { end } else { 0 };
        placed.push(Batch { slot, ..batch });
        end = slot + batch.count;
    }
    placed
}

/// Whether a tensor's numbers stay from step to step.
fn stays(role: Role) -> bool {
    matches!(role, Role::Parameter | Role::Slot(_) | Role::State)
}

/// What stays from step to step, all its rows.
fn kept(plan: &Plan) -> Vec<(TensorId, Range<usize>)> {
    let ids = plan.ids().filter(|&id| stays(plan.tensor(id).role));
    ids.map(|id| (id, 0..plan.tensor(id).rows)).collect()
}

fn read_all(device: &mut dyn Executor, tensors: &[(TensorId, Range<usize>)]) -> Result<Vec<Vec<f32>>> {
    tensors.iter().map(|(id, rows)| device.read(*id, rows.clone())).collect()
}

/// The training step that writes a tensor last.
fn writer(plan: &Plan, id: TensorId) -> Option<usize> {
    let writes = |argument: &Argument| argument.access != Access::Read && plan.bound(argument.binding).contains(&id);
    plan.train.iter().rposition(|step| step.op.arguments().iter().any(writes))
}

/// One training step in one dispatch, each op compared.
fn one_dispatch(
    device: &mut dyn Executor,
    reference: &mut dyn Reference,
    batch: &Batch,
    report: &mut Report,
) -> Result<()> {
    let steps = device.plan().train.len();
    let arguments = |device: &dyn Executor, step: usize| -> Vec<(TensorId, Access)> {
        let arguments = device.plan().train[step].op.arguments();
        let each = |argument: &Argument| {
            device.plan().bound(argument.binding).into_iter().map(|id| (id, argument.access)).collect::<Vec<_>>()
        };
        arguments.iter().flat_map(each).collect()
    };
    forget(device, Phase::Train)?;
    for step in 0..steps {
        for (id, access) in arguments(device, step) {
            if access == Access::Write {
                poison(device, Phase::Train, step, batch, id)?;
            }
        }
    }
    for (id, _) in kept(device.plan()) {
        copy(device, reference, id)?;
    }
    device.run(Phase::Train, std::slice::from_ref(batch))?;
    for step in 0..steps {
        let arguments = arguments(device, step);
        // What stays is on the reference as it was before the step.
        for &(id, access) in &arguments {
            if access != Access::Write && !stays(device.plan().tensor(id).role) {
                copy(device, reference, id)?;
            }
        }
        reference.run_step(Phase::Train, step, batch)?;
        for (id, _) in arguments.into_iter().filter(|(_, access)| *access != Access::Read) {
            let comparison = compare(device, reference, Phase::Train, step, batch, id)?;
            report.comparisons.push(Comparison { phase: JOINED, ..comparison });
        }
    }
    Ok(())
}
