//! What an epoch costs: dispatches, submits, allocations and bytes, as the executors count them.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::ops::pitch;
use wgrad::plan::{Counts, Phase};

use crate::device::Test;
use crate::subject::{Each, On, Subject, classes, ensure, split};
use crate::trainer;

pub const EACH: &[(&str, Each)] = &[
    ("an_epoch_costs_its_steps_one_upload_of_the_row_order_and_one_readback_of_the_results", an_epoch),
    ("the_row_order_stays_where_it_is_without_shuffling", no_shuffling),
    ("nothing_but_dispatches_grows_with_the_number_of_steps", many_steps),
    ("three_dense_layers_cost_eight_dispatches_a_step", eight),
];

pub const GPU: &[(&str, Test)] = &[("a_step_is_timed_by_the_adapters_own_clock_in_one_dispatch", clock)];

/// Not a multiple of four, so that the padding counts. The network is not tiny: `joined` counts for those that are.
const ROWS: usize = 1001;
const CLASSES: usize = 5;
const OPTIONS: &str = "[early_stopping]\nrestore_best = false\n";

fn subject(batch_size: usize, shuffle: bool) -> Subject {
    let run = format!(
        "[model]\nlayers = [
            {{ type = \"dense\", units = 90, activation = \"relu\" }},
            {{ type = \"dense\", units = 70, activation = \"tanh\" }},
            {{ type = \"dense\" }}]
        [train]\nbatch_size = {batch_size}\nshuffle = {shuffle}\n{OPTIONS}"
    );
    Subject::new(&run, split(classes(ROWS, 6, CLASSES), 7, 2, 1))
}

/// Within what the host waits for it. A GPU may have no such clock; lavapipe has.
fn clock(device: &Device) -> Result<(), Failed> {
    let subject = subject(200, true);
    let mut executor = subject.executor(On::Gpu(device))?;
    subject.load(executor.as_mut())?;
    let batch = subject.batch(0, 200, 0)?;
    executor.run(Phase::Train, &[batch])?;
    executor.wait()?;
    for step in 0..executor.plan().train.len() {
        let (before, began) = (executor.counts(), Instant::now());
        let time = executor.time_step(Phase::Train, step, &batch)?;
        ensure(time.is_some() || !executor.info().software, || "the software adapter has no clock".into())?;
        let Some(time) = time else { continue };
        let (after, waited) = (executor.counts(), began.elapsed());
        let launched = (after.dispatches - before.dispatches, after.submits - before.submits);
        ensure(launched == (1, 1), || format!("step {step}: {launched:?} dispatches and submits"))?;
        ensure(time > Duration::ZERO && time < waited, || format!("step {step}: {time:?} of {waited:?}"))?;
    }
    Ok(())
}

/// What the third epoch adds: by then nothing is new.
fn third_epoch(subject: &Subject, on: On) -> Result<Counts, Failed> {
    let mut trainer = trainer(subject, on)?;
    trainer.epoch()?;
    let first = trainer.executor().counts();
    trainer.epoch()?;
    let before = trainer.executor().counts();
    trainer.epoch()?;
    let after = trainer.executor().counts();
    ensure(first.allocations == after.allocations, || format!("an epoch allocates: {first:?}, later {after:?}"))?;
    Ok(Counts {
        dispatches: after.dispatches - before.dispatches,
        submits: after.submits - before.submits,
        allocations: after.allocations - before.allocations,
        bytes_written: after.bytes_written - before.bytes_written,
        bytes_read: after.bytes_read - before.bytes_read,
    })
}

/// Columns of a row as the device stores it.
fn stored(on: On, columns: usize) -> u64 {
    match on {
        On::Cpu(_) => columns as u64,
        On::Gpu(_) => pitch(columns) as u64,
    }
}

/// What an epoch must cost.
fn expected(subject: &Subject, on: On, submits: u64) -> Result<Counts, Failed> {
    let plan = subject.plan()?;
    let split = &subject.data.split;
    let (train, validation) = (split.train.len() as u64, split.validation.len() as u64);
    let steps = train.div_ceil(subject.config.train.batch_size as u64);
    let evaluations = validation.div_ceil(plan.evaluation_batch_size as u64);
    Ok(Counts {
        dispatches: steps * plan.train.len() as u64 + evaluations * plan.evaluate.len() as u64,
        submits,
        allocations: 0,
        bytes_written: if subject.config.train.shuffle { 4 * stored(on, ROWS) } else { 0 },
        // Loss and correctness of each row, and each validation row's outputs.
        bytes_read: 4 * (stored(on, 2) * (train + validation) + stored(on, CLASSES) * validation),
    })
}

fn an_epoch(on: On) -> Result<(), Failed> {
    let subject = subject(64, true);
    // One submit for all training steps, one for the validation set.
    let (got, want) = (third_epoch(&subject, on)?, expected(&subject, on, 2)?);
    ensure(got == want, || format!("an epoch costs {got:?}, expected is {want:?}"))
}

fn no_shuffling(on: On) -> Result<(), Failed> {
    let subject = subject(64, false);
    let (got, want) = (third_epoch(&subject, on)?, expected(&subject, on, 2)?);
    ensure(got == want && got.bytes_written == 0, || format!("an epoch costs {got:?}, expected is {want:?}"))
}

fn many_steps(on: On) -> Result<(), Failed> {
    let few = third_epoch(&subject(64, true), on)?;
    let subject = subject(1, true);
    let many = third_epoch(&subject, on)?;
    let steps = subject.data.split.train.len() as u64;
    ensure(steps > 700, || format!("{steps} steps are not many"))?;
    // A hundred dispatches a submit and more, and the validation set.
    ensure(many.submits <= 1 + many.dispatches.div_ceil(100), || format!("{many:?} for {steps} steps"))?;
    let want = Counts { submits: many.submits, ..expected(&subject, on, 0)? };
    ensure(many == want, || format!("{steps} steps cost {many:?}, expected is {want:?}"))?;
    ensure((many.bytes_written, many.bytes_read) == (few.bytes_written, few.bytes_read), || {
        format!("{steps} steps move {many:?}, fewer {few:?}")
    })
}

fn eight(on: On) -> Result<(), Failed> {
    let subject = Subject::new(OPTIONS, split(classes(ROWS, 6, CLASSES), 7, 0, 0));
    let steps = ROWS.div_ceil(subject.config.train.batch_size) as u64;
    let dispatches = third_epoch(&subject, on)?.dispatches;
    ensure(dispatches == 8 * steps, || format!("{dispatches} dispatches for {steps} steps"))
}
