//! Tiny networks: several epochs in one run and, on an adapter, many steps in one dispatch. It changes nothing but the
//! time that they take.

use std::ops::ControlFlow;

use libtest_mimic::Failed;
use wgrad::data::Dataset;
use wgrad::gpu::{Device, Options};
use wgrad::ops::Class;
use wgrad::plan::Counts;
use wgrad::train::{Epoch, State, Trainer};

use crate::device::Test;
use crate::subject::{Each, On, Subject, classes, ensure, regression, split};
use crate::trainer;

pub const EACH: &[(&str, Each)] = &[
    ("epochs_that_share_a_run_are_those_that_do_not_to_the_bit", shared),
    ("broken_off_within_a_run_of_many_epochs_it_resumes_in_the_same_bits", resumed),
    ("epochs_after_which_something_is_decided_have_a_run_of_their_own", decided),
    ("a_stop_is_asked_for_every_256_steps", watched),
    ("a_divergence_among_many_epochs_is_found_at_its_epoch_and_step", diverges),
    ("the_epochs_of_a_run_share_its_time", seconds),
];

pub const GPU: &[(&str, Test)] = &[
    ("ten_thousand_epochs_of_xor_take_fifty_submits", xor),
    ("joined_steps_train_to_the_bits_of_single_kernels", single),
];

const GO_ON: ControlFlow<()> = ControlFlow::Continue(());

fn xor_subject(epochs: usize) -> Subject {
    let run = format!(
        "[model]\nlayers = [
            {{ type = \"dense\", units = 4, activation = \"sigmoid\" }}, {{ type = \"dense\", activation = \"sigmoid\" }}]
        [loss]\nname = \"mse\"\n[optimizer]\nname = \"sgd\"\nlearning_rate = 4.0\n[train]\nepochs = {epochs}\nbatch_size = 4"
    );
    let features = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
    let data = Dataset::of_classes("xor", features, 2, vec![0.0, 1.0, 1.0, 0.0], 2).expect("four rows are a table");
    Subject::new(&run, Dataset { task: wgrad::config::Task::Binary, ..data })
}

/// Several batches an epoch, the last one short; dropout and a schedule, which count steps.
fn busy(settings: &str) -> Subject {
    let run = format!(
        "[model]\nlayers = [
            {{ type = \"dense\", units = 6, activation = \"tanh\" }}, {{ type = \"dropout\", rate = 0.2 }},
            {{ type = \"dense\" }}]
        [schedule]\nname = \"cosine\"\n{settings}"
    );
    Subject::new(&run, split(classes(50, 5, 3), 9, 0, 1))
}

/// All that must be equal to the bit.
type Ending = (Vec<Vec<u32>>, Vec<Epoch>, Option<f64>, String);

/// Trains with at most so many epochs in a run; it is broken off when `watch` was called `stop` times.
fn train(trainer: &mut Trainer, most: usize, stop: usize) -> Result<(), Failed> {
    let mut calls = 0;
    while trainer.ended().is_none() && calls <= stop {
        trainer.advance_by(most, &mut |_| {
            calls += 1;
            if calls > stop { ControlFlow::Break(()) } else { GO_ON }
        })?;
    }
    Ok(())
}

fn ending(trainer: &mut Trainer) -> Result<Ending, Failed> {
    let State { weights, slots, epochs, start_loss, .. } = trainer.state()?.clone();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    let epochs = epochs.into_iter().map(|epoch| Epoch { seconds: 0.0, ..epoch }).collect();
    // The order in which the rows lie decides how its sums are rounded.
    let evaluation = format!("{:?}", trainer.evaluate(wgrad::train::Set::Train)?);
    Ok((weights.into_iter().chain(slots).map(bits).collect(), epochs, start_loss, evaluation))
}

fn shared(on: On) -> Result<(), Failed> {
    for subject in [
        xor_subject(3000),
        busy("[train]\nepochs = 400\nbatch_size = 16"),
        busy("[train]\nepochs = 400\nbatch_size = 16\nshuffle = false\n[loss]\nclass_weights = \"balanced\""),
    ] {
        let mut apart = trainer(&subject, on)?;
        train(&mut apart, 1, usize::MAX)?;
        let mut together = trainer(&subject, on)?;
        let done = together.advance_by(usize::MAX, &mut |_| GO_ON)?.len();
        ensure(done > 300, || format!("{done} epochs in a run"))?;
        train(&mut together, usize::MAX, usize::MAX)?;
        ensure(ending(&mut apart)? == ending(&mut together)?, || "epochs in one run end otherwise".to_owned())?;
    }
    Ok(())
}

fn resumed(on: On) -> Result<(), Failed> {
    let subject = busy("[train]\nepochs = 400\nbatch_size = 16");
    let mut whole = trainer(&subject, on)?;
    train(&mut whole, usize::MAX, usize::MAX)?;
    let want = ending(&mut whole)?;
    let mut open = 0;
    for stop in [0, 1, 2, 4] {
        let mut first = trainer(&subject, on)?;
        train(&mut first, usize::MAX, stop)?;
        let state = first.state()?.clone();
        ensure(state.step == 256 * stop as u64, || format!("{} steps after {stop} portions", state.step))?;
        open += usize::from(state.open.steps > 0);
        drop(first);
        let mut second = Trainer::resume(&subject.config, &subject.data, subject.executor(on)?, state)
            .map_err(|(_, error)| error)?;
        train(&mut second, usize::MAX, usize::MAX)?;
        ensure(ending(&mut second)? == want, || format!("broken off after {stop} portions it ends otherwise"))?;
    }
    // 3 steps an epoch do not divide 256.
    ensure(open == 3, || format!("{open} epochs were open"))
}

fn decided(on: On) -> Result<(), Failed> {
    let quiet = "[train]\nepochs = 9\nbatch_size = 16";
    let run = |settings: &str, data: Dataset| -> Result<usize, Failed> {
        let layers =
            "[model]\nlayers = [{ type = \"dense\", units = 4, activation = \"tanh\" }, { type = \"dense\" }]\n";
        let subject = Subject::new(&format!("{layers}{settings}"), data);
        let mut trainer = trainer(&subject, on)?;
        Ok(trainer.advance_by(usize::MAX, &mut |_| GO_ON)?.len())
    };
    let rows = || split(regression(40, 3, 1), 1, 0, 0);
    let on_train = "[early_stopping]\nmetric = \"train_loss\"\npatience = 3\n";
    for (settings, data, want) in [
        (quiet.to_owned(), rows(), 9),
        (quiet.to_owned(), split(regression(40, 3, 1), 3, 1, 0), 1),
        (format!("{on_train}{quiet}"), rows(), 1),
        (format!("[schedule]\nname = \"plateau\"\n{quiet}"), rows(), 1),
        (format!("{quiet}\nlog_gradients = true"), rows(), 1),
    ] {
        let done = run(&settings, data)?;
        ensure(done == want, || format!("{done} epochs in a run, {want} expected: {settings}"))?;
    }
    Ok(())
}

fn watched(on: On) -> Result<(), Failed> {
    let subject = xor_subject(2000);
    let mut trainer = trainer(&subject, on)?;
    let mut asked = Vec::new();
    while trainer.ended().is_none() {
        let before = trainer.steps() as usize;
        trainer.advance_by(usize::MAX, &mut |steps| {
            asked.push(before + steps);
            GO_ON
        })?;
    }
    let gaps = asked.windows(2).map(|pair| pair[1] - pair[0]).max();
    ensure(gaps.is_some_and(|gap| gap <= 256) && asked.len() >= 8, || format!("asked at steps {asked:?}"))
}

fn diverges(on: On) -> Result<(), Failed> {
    let run = "[model]\nlayers = [{ type = \"dense\", units = 4, activation = \"relu\" }, { type = \"dense\" }]
        [optimizer]\nname = \"sgd\"\nlearning_rate = 3.0\n[train]\nepochs = 200\nbatch_size = 16";
    let subject = Subject::new(run, split(regression(40, 3, 1), 1, 0, 0));
    let mut said = Vec::new();
    for most in [1, usize::MAX] {
        let mut trainer = trainer(&subject, on)?;
        let error = loop {
            match trainer.advance_by(most, &mut |_| GO_ON) {
                Err(error) => break error,
                Ok(_) if trainer.ended().is_some() => return Err("a rate of 3 does not diverge".into()),
                Ok(_) => {}
            }
        };
        ensure(error.exit_code() == 4, || error.to_string())?;
        said.push((trainer.history().len(), trainer.explain(error, None).to_string()));
    }
    let (epochs, message) = &said[1];
    ensure(said[0] == said[1] && *epochs > 0 && message.contains(": the first is in epoch "), || format!("{said:?}"))
}

fn seconds(on: On) -> Result<(), Failed> {
    let subject = xor_subject(500);
    let mut trainer = trainer(&subject, on)?;
    let epochs = trainer.advance_by(usize::MAX, &mut |_| GO_ON)?;
    let rising = epochs.windows(2).all(|pair| pair[0].seconds < pair[1].seconds);
    ensure(rising && epochs.len() == 500 && epochs[0].seconds > 0.0, || "the time does not go on".to_owned())?;
    ensure(epochs[499].seconds <= trainer.seconds(), || format!("{} s", trainer.seconds()))
}

fn cost(subject: &Subject, device: &Device) -> Result<(Counts, Option<f64>), Failed> {
    let mut trainer = trainer(subject, On::Gpu(device))?;
    let before = trainer.executor().counts();
    train(&mut trainer, usize::MAX, usize::MAX)?;
    let after = trainer.executor().counts();
    let counts = Counts {
        dispatches: after.dispatches - before.dispatches,
        submits: after.submits - before.submits,
        allocations: after.allocations - before.allocations,
        bytes_written: after.bytes_written - before.bytes_written,
        bytes_read: after.bytes_read - before.bytes_read,
    };
    Ok((counts, trainer.dispatches_per_step()))
}

fn xor(device: &Device) -> Result<(), Failed> {
    let (counts, a_step) = cost(&xor_subject(10_000), device)?;
    ensure(counts.submits <= 50 && counts.dispatches == counts.submits && counts.allocations <= 1, || {
        format!("10,000 epochs cost {counts:?}")
    })?;
    ensure(a_step.is_some_and(|a_step| a_step == counts.dispatches as f64 / 1e4), || format!("{a_step:?} a step"))?;
    // Two numbers of each row, padded to four.
    ensure(counts.bytes_read == 10_000 * 4 * 16, || format!("10,000 epochs cost {counts:?}"))?;
    // The row orders, and a row of the table for each step, which has no more than the ops' `Params`.
    let orders = 10_000 * 4 * 4;
    ensure(counts.bytes_written > orders && counts.bytes_written < orders + 10_000 * 6 * 128, || {
        format!("10,000 epochs cost {counts:?}")
    })
}

fn single(device: &Device) -> Result<(), Failed> {
    for mut subject in [xor_subject(700), busy("[train]\nepochs = 40\nbatch_size = 16")] {
        let mut ends = Vec::new();
        for options in [Options::default(), Options { single: true, class: Some(Class::Tiny), ..Options::default() }] {
            subject.options = options;
            let mut trainer = trainer(&subject, On::Gpu(device))?;
            ensure(trainer.executor().joined_steps().is_some() != options.single, || {
                "steps are not joined".to_owned()
            })?;
            train(&mut trainer, usize::MAX, usize::MAX)?;
            ends.push(ending(&mut trainer)?);
        }
        ensure(ends[0].0 == ends[1].0 && ends[0].1 == ends[1].1, || "joined steps end otherwise".to_owned())?;
    }
    Ok(())
}
