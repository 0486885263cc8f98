//! A training that is broken off goes on, through the bytes of a checkpoint, as if nothing had happened.

use std::ops::ControlFlow;

use libtest_mimic::Failed;
use wgrad::train::checkpoint::Checkpoint;
use wgrad::train::{End, Epoch, State, Trainer};

use crate::subject::{Each, On, Subject, classes, ensure, regression, split};
use crate::trainer;

pub const EACH: &[(&str, Each)] = &[
    ("broken_off_anywhere_and_resumed_it_ends_in_the_same_bits", anywhere),
    ("every_optimizer_and_schedule_resumes_in_the_same_bits", each_setting),
    ("a_longer_training_goes_on_from_a_shorter_one", longer),
    ("an_early_stop_stays_one", early_stop),
    ("the_state_of_another_network_is_refused", another_network),
    ("a_state_is_taken_of_finite_numbers_only", finite),
];

const LAYERS: &str = "[model]\nlayers = [
    { type = \"dense\", units = 6, activation = \"tanh\" }, { type = \"batch_norm\" },
    { type = \"dropout\", rate = 0.3 }, { type = \"dense\" }]";

/// Steps of one row, so that an epoch has several places to stop at.
fn subject(settings: &str) -> Subject {
    Subject::new(&format!("{LAYERS}\n{settings}"), split(classes(700, 5, 3), 6, 1, 0))
}

/// What must be equal to the bit.
type Ending = (Vec<Vec<u32>>, Vec<Epoch>, Option<usize>);

fn ending(trainer: &mut Trainer) -> Result<Ending, Failed> {
    trainer.finish()?;
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    let weights = trainer.model_weights()?.into_iter().map(bits).collect();
    let epochs = trainer.history().iter().map(|epoch| Epoch { seconds: 0.0, ..epoch.clone() }).collect();
    Ok((weights, epochs, trainer.best_epoch()))
}

/// Trains to the end, but stops when `watch` is called for the `stop`-th time, if it is called so often.
fn broken_off<'a>(subject: &'a Subject, on: On, stop: usize) -> Result<(Trainer<'a>, bool), Failed> {
    let mut trainer = trainer(subject, on)?;
    let mut calls = 0;
    while trainer.ended().is_none() {
        let epoch = trainer.advance(&mut |_| {
            calls += 1;
            if calls > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if epoch.is_none() {
            return Ok((trainer, true));
        }
    }
    Ok((trainer, false))
}

/// As it would be after the program ended: through the file's bytes.
fn through_a_file(subject: &Subject, state: &State) -> Result<State, Failed> {
    let checkpoint = Checkpoint {
        config: subject.config.clone(),
        data_sha256: "0".into(),
        device: "auto".into(),
        adapter: "this one".into(),
        state: state.clone(),
    };
    let read = Checkpoint::from_bytes(&checkpoint.to_bytes()?)?;
    ensure(read == checkpoint, || "a checkpoint is read back as another one".into())?;
    Ok(read.state)
}

fn resumed<'a>(subject: &'a Subject, on: On, state: State) -> Result<Trainer<'a>, Failed> {
    Trainer::resume(&subject.config, &subject.data, subject.executor(on)?, state)
        .map_err(|(key, error)| format!("{key}: {error}").into())
}

/// Breaks off at the `stop`-th place, resumes, and compares; false if training ended before.
fn same_after(subject: &Subject, on: On, stop: usize, whole: &Ending) -> Result<bool, Failed> {
    let (mut first, was_broken) = broken_off(subject, on, stop)?;
    let state = through_a_file(subject, first.state()?)?;
    drop(first);
    let mut second = resumed(subject, on, state)?;
    while second.ended().is_none() {
        second.epoch()?;
    }
    let got = ending(&mut second)?;
    ensure(got == *whole, || {
        format!("broken off at place {stop} it ends otherwise: {:?} against {:?}", got.1, whole.1)
    })?;
    Ok(was_broken)
}

fn whole(subject: &Subject, on: On) -> Result<Ending, Failed> {
    let (mut trainer, was_broken) = broken_off(subject, on, usize::MAX)?;
    ensure(!was_broken, || "nobody broke it off".into())?;
    ending(&mut trainer)
}

fn anywhere(on: On) -> Result<(), Failed> {
    let subject = subject("[train]\nepochs = 2\nbatch_size = 1");
    let whole = whole(&subject, on)?;
    let mut places = 0;
    while same_after(&subject, on, places, &whole)? {
        places += 1;
    }
    ensure(places >= 6, || format!("only {places} places to stop at in two epochs of 600 steps"))
}

fn each_setting(on: On) -> Result<(), Failed> {
    let settings = [
        "[optimizer]\nname = \"sgd\"\nmomentum = 0.9\nnesterov = true\n[schedule]\nname = \"step\"\nevery = 1",
        "[optimizer]\nname = \"rmsprop\"\ncentered = true\nmomentum = 0.5\n[schedule]\nname = \"one_cycle\"",
        "[optimizer]\nname = \"adagrad\"\n[schedule]\nname = \"cosine\"\n[regularization]\nclip_norm = 0.5",
        "[optimizer]\nname = \"adamw\"\n[schedule]\nname = \"plateau\"\npatience = 0\nwarmup_steps = 30",
        // So slow that no epoch is better than the first one: the rate is reduced again and again.
        "[optimizer]\nname = \"sgd\"\nlearning_rate = 1e-9\n[schedule]\nname = \"plateau\"\npatience = 1",
        "[optimizer]\nname = \"adam\"\n[loss]\nclass_weights = \"balanced\"\n[schedule]\nname = \"exponential\"\nfactor = 0.8",
    ];
    for text in settings {
        let subject = subject(&format!("[train]\nepochs = 5\nbatch_size = 32\n{text}"));
        let whole = whole(&subject, on)?;
        // Within the first epoch, after it, and later.
        for stop in [0, 1, 3] {
            same_after(&subject, on, stop, &whole)
                .map_err(|failed| format!("{text}: {}", failed.message().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn longer(on: On) -> Result<(), Failed> {
    let settings = |epochs: usize| subject(&format!("[train]\nepochs = {epochs}\n[early_stopping]\npatience = 0"));
    let (short, long) = (settings(2), settings(5));
    let (mut first, _) = broken_off(&short, on, usize::MAX)?;
    let state = first.state()?.clone();
    drop(first);
    let mut second = resumed(&long, on, state)?;
    ensure(second.ended().is_none(), || "three more epochs are to be trained".into())?;
    let end = second.fit(&mut |_| ControlFlow::Continue(()))?;
    ensure(end == End::Finished && ending(&mut second)? == whole(&long, on)?, || "it ends otherwise".into())
}

fn early_stop(on: On) -> Result<(), Failed> {
    // No later epoch can be that much better.
    let subject = subject("[early_stopping]\npatience = 2\nmin_delta = 100.0");
    let (mut first, _) = broken_off(&subject, on, usize::MAX)?;
    ensure(first.ended() == Some(End::StoppedEarly) && first.history().len() == 3, || {
        format!("{:?} after {} epochs", first.ended(), first.history().len())
    })?;
    let state = first.state()?.clone();
    drop(first);
    let second = resumed(&subject, on, through_a_file(&subject, &state)?)?;
    ensure(second.ended() == Some(End::StoppedEarly), || format!("{:?}", second.ended()))
}

fn another_network(on: On) -> Result<(), Failed> {
    let (subject, other) = (subject(""), Subject::new("", split(classes(700, 5, 3), 6, 1, 0)));
    let state = trainer(&other, on)?.state()?.clone();
    let end = Trainer::resume(&subject.config, &subject.data, subject.executor(on)?, state);
    match end {
        Err((_, error)) => ensure(error.exit_code() == 6, || error.to_string()),
        Ok(_) => Err("the state of another network was taken".into()),
    }
}

fn finite(on: On) -> Result<(), Failed> {
    let run = "[optimizer]\nname = \"sgd\"\nlearning_rate = 3e38\n[train]\nepochs = 1\n[regularization]\nl2 = 1e10\n";
    let subject = Subject::new(run, split(regression(40, 3, 1), 1, 0, 0));
    let mut trainer = trainer(&subject, on)?;
    trainer.epoch()?;
    match trainer.state() {
        Err(error) if error.exit_code() == 4 => Ok(()),
        Err(error) => Err(error.to_string().into()),
        Ok(_) => Err("a state with NaN was taken".into()),
    }
}
