//! A data set that is streamed window by window; the network must not notice.

use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use libtest_mimic::Failed;
use wgrad::Result;
use wgrad::config::Data;
use wgrad::data::{self, Dataset};
use wgrad::ops::{Batch, TensorId};
use wgrad::plan::{Counts, DeviceInfo, Executor, Phase, Plan, Role, Values};
use wgrad::train::feed::WINDOWS;
use wgrad::train::range_test::Sweep;
use wgrad::train::{Epoch, Set, Trainer};

use crate::subject::{Each, On, Subject, as_bytes, classes, ensure, regression, split};
use crate::{Trained, soak, train, trainer};

pub const EACH: &[(&str, Each)] = &[
    ("windows_of_numbers_train_to_the_bits_of_resident_data", |on| same_bits(on, DENSE, numbers(), true)),
    ("windows_of_bytes_train_to_the_bits_of_resident_data", |on| same_bits(on, DENSE, as_bytes(numbers()), true)),
    ("windows_of_several_targets_train_to_the_bits_of_resident_data", |on| {
        same_bits(on, DENSE, split(regression(ROWS, 5, 3), 3, 2, 1), true)
    }),
    ("windows_below_dropout_train_to_the_bits_of_resident_data", |on| same_bits(on, DROPOUT, numbers(), true)),
    ("windows_in_the_order_of_the_file_train_to_the_bits_of_resident_data", |on| {
        same_bits(on, DENSE, numbers(), false)
    }),
    ("rows_that_are_read_ahead_from_a_file_train_to_the_bits_of_resident_data", read_ahead),
    ("a_set_is_evaluated_and_a_training_resumed_while_rows_are_read_ahead", interrupted),
    ("a_file_that_shrinks_while_it_is_read_ahead_ends_the_training_where_its_rows_are_missing", shrinks),
    ("a_streamed_training_that_is_resumed_within_an_epoch_ends_in_the_same_bits", resumed),
    ("each_row_of_a_streamed_epoch_is_written_once", cost),
    ("a_range_test_on_windows_has_the_losses_of_resident_data", range_test),
    ("a_window_that_does_not_arrive_changes_the_weights", lost_window),
];

const DENSE: &str = r#"{ type = "dense", units = 9, activation = "relu" }, { type = "dense" }"#;
const DROPOUT: &str =
    r#"{ type = "dropout", rate = 0.2 }, { type = "dense", units = 9, activation = "relu" }, { type = "dense" }"#;

/// Rows of which half are trained on: neither batches nor windows come out even.
const ROWS: usize = 5_999;
const BATCH: usize = 7;

fn numbers() -> Dataset {
    split(classes(ROWS, 5, 4), 3, 2, 1)
}

fn subject(layers: &str, data: Dataset, shuffle: bool) -> Subject {
    let run = format!("[model]\nlayers = [{layers}]\n[train]\nepochs = 3\nbatch_size = {BATCH}\nshuffle = {shuffle}");
    Subject::new(&run, data)
}

/// The same with windows as small as they may be: an evaluation batch.
fn streamed(subject: Subject) -> Result<Subject, Failed> {
    let subject = Subject { window: Some(1), ..subject };
    let plan = subject.plan()?;
    let split = &subject.data.split;
    ensure(
        !plan.is_resident && plan.data_rows() < split.validation.len() && 2 * plan.data_rows() < split.train.len(),
        || format!("windows of {} rows are none:\n{plan}", plan.data_rows()),
    )?;
    Ok(subject)
}

fn range_test(on: On) -> Result<(), Failed> {
    let subject = || subject(DENSE, numbers(), true);
    // Steps enough to leave the first window.
    let sweep = Sweep { first: 1e-6, last: 1e-3, steps: 420 };
    let resident = trainer(&subject(), on)?.range_test(&sweep)?;
    let streamed = trainer(&streamed(subject())?, on)?.range_test(&sweep)?;
    ensure(resident == streamed && resident.points.len() == 420, || "other losses where rows are streamed".into())
}

fn same_bits(on: On, layers: &str, data: Dataset, shuffle: bool) -> Result<(), Failed> {
    let subject = subject(layers, data, shuffle);
    let whole = train(&subject, on)?;
    let windows = train(&streamed(subject)?, on)?;
    ensure(whole.epochs.len() == 3 && whole.epochs.iter().all(|epoch| epoch.validation_loss.is_some()), || {
        "an epoch or its validation is missing".into()
    })?;
    ensure(windows == whole, || format!("windows: {:?}\nresident: {:?}", windows.epochs, whole.epochs))
}

/// Rows of two numbers in a file, of which half are trained on, and in memory.
fn in_a_file(name: &str) -> Result<(NamedFile, Dataset, Dataset), Failed> {
    let file = NamedFile::new(name);
    soak::write(&file.0, 40_000, 2)?;
    let options = Data { source: Some(file.0.display().to_string()), split: [0.5, 0.3, 0.2], ..Data::default() };
    let [stored, memory] = [0, u64::MAX].map(|from| data::load_beyond(&options, 1, from));
    Ok((file, stored?, memory?))
}

/// A file that goes when the test ends.
struct NamedFile(PathBuf);

impl NamedFile {
    fn new(name: &str) -> Self {
        NamedFile(std::env::temp_dir().join(format!("wgrad-windows-{}-{name}.npz", std::process::id())))
    }
}

impl Drop for NamedFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Training and validation take more windows than are read at a time.
fn of_several_reads(data: Dataset, batch_size: usize, shuffle: bool) -> Result<Subject, Failed> {
    let run =
        format!("[model]\nlayers = [{DENSE}]\n[train]\nepochs = 2\nbatch_size = {batch_size}\nshuffle = {shuffle}");
    let subject = streamed(Subject::new(&run, data))?;
    let (rows, split) = (subject.plan()?.data_rows(), &subject.data.split);
    ensure(2 * WINDOWS * rows < split.train.len() && WINDOWS * rows < split.validation.len(), || {
        format!("windows of {rows} rows are read at once")
    })?;
    Ok(subject)
}

fn read_ahead(on: On) -> Result<(), Failed> {
    let (_file, stored, memory) = in_a_file("ahead")?;
    for shuffle in [true, false] {
        let in_file = train(&of_several_reads(stored.clone(), 100, shuffle)?, on)?;
        let in_memory = train(&Subject { window: None, ..of_several_reads(memory.clone(), 100, shuffle)? }, on)?;
        ensure(in_file == in_memory, || format!("in a file: {:?}\nin memory: {:?}", in_file.epochs, in_memory.epochs))?;
    }
    Ok(())
}

/// Stops within an epoch, has the other sets evaluated and goes on, or has a trainer of its own resume.
fn interrupted(on: On) -> Result<(), Failed> {
    let (_file, stored, memory) = in_a_file("interrupted")?;
    let wanted = finish(trainer(&Subject { window: None, ..of_several_reads(memory, 10, true)? }, on)?)?;
    let subject = of_several_reads(stored, 10, true)?;
    let stop =
        |steps: usize| move |done: usize| if done < steps { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let mut first = trainer(&subject, on)?;
    for steps in [256, 1024] {
        let stopped = first.advance(&mut stop(steps))?;
        ensure(stopped.is_none(), || "it did not stop".into())?;
        for set in Set::ALL {
            first.evaluate(set)?;
        }
    }
    let state = first.state()?.clone();
    ensure(state.open.rows > 10_000, || format!("it stopped after {} rows", state.open.rows))?;
    ensure(finish(first)? == wanted, || "the training that was interrupted ends in other bits".into())?;
    let second = Trainer::resume(&subject.config, &subject.data, subject.executor(on)?, state)
        .map_err(|(key, error)| format!("{key}: {error}"))?;
    ensure(finish(second)? == wanted, || "the resumed training ends in other bits".into())
}

fn shrinks(on: On) -> Result<(), Failed> {
    let (file, stored, _) = in_a_file("shrinks")?;
    let subject = of_several_reads(stored, 10, false)?;
    let mut trainer = trainer(&subject, on)?;
    let rows = std::fs::OpenOptions::new().write(true).open(&file.0)?;
    rows.set_len(40_000 * 8 * 3 / 4)?;
    let mut done = 0;
    let ended = trainer.advance(&mut |steps| {
        done = steps;
        ControlFlow::Continue(())
    });
    let Err(error) = ended else { return Err("rows that are missing were trained on".into()) };
    let text = error.to_string();
    ensure(
        error.exit_code() == 3 && text.contains("cannot be read any more") && text.contains("-shrinks.npz"),
        || text,
    )?;
    // Of the 2000 steps a quarter has no rows, and those before it that were to be read at the same time.
    ensure((256..1500).contains(&done), || format!("it ends after {done} steps"))
}

/// What a trainer ends with.
fn finish(mut trainer: Trainer) -> Result<Trained, Failed> {
    trainer.fit(&mut |_| ControlFlow::Continue(()))?;
    let test_accuracy = trainer.evaluate(Set::Test)?.map(|test| test.metrics.headline().1);
    let epochs = trainer.history().iter().map(|epoch| Epoch { seconds: 0.0, ..epoch.clone() }).collect();
    let bits = |values: &Vec<f32>| values.iter().map(|x| x.to_bits()).collect();
    let weights = trainer.model_weights()?.iter().map(|values| (String::new(), bits(values))).collect();
    Ok(Trained { weights, epochs, test_accuracy })
}

fn resumed(on: On) -> Result<(), Failed> {
    let resident = subject(DENSE, numbers(), true);
    let wanted = finish(trainer(&resident, on)?)?;
    let subject = streamed(resident)?;
    let mut first = trainer(&subject, on)?;
    first.epoch()?;
    let stopped =
        first.advance(&mut |steps| if steps == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })?;
    let state = first.state()?.clone();
    let rows = state.open.rows;
    let window = subject.plan()?.data_rows() / BATCH * BATCH;
    ensure(stopped.is_none() && rows > 0 && !rows.is_multiple_of(window), || format!("it stopped after {rows} rows"))?;
    let second = Trainer::resume(&subject.config, &subject.data, subject.executor(on)?, state)
        .map_err(|(key, error)| format!("{key}: {error}"))?;
    ensure(finish(second)? == wanted, || "the resumed training ends in other bits".into())
}

fn cost(on: On) -> Result<(), Failed> {
    let mut subject = streamed(subject(DENSE, numbers(), true))?;
    // Joined steps would read what changes from one to the next from a table.
    subject.options.single = true;
    let mut trainer = trainer(&subject, on)?;
    trainer.epoch()?;
    let before = trainer.executor().counts();
    trainer.epoch()?;
    let after = trainer.executor().counts();
    let rows = (subject.data.split.train.len() + subject.data.split.validation.len()) as u64;
    // Five features and a target with its weight; on a device rows are padded to whole vec4s.
    let row = if matches!(on, On::Cpu(_)) { 4 * (5 + 2) } else { 4 * (8 + 4) };
    let (written, allocations) = (after.bytes_written - before.bytes_written, after.allocations - before.allocations);
    ensure(written == rows * row, || format!("{written} bytes are written for {rows} rows of {row}"))?;
    ensure(allocations == 0, || format!("an epoch allocates {allocations} times"))
}

/// Loses what is written to the features after the first window.
struct Lossy {
    inner: Box<dyn Executor>,
    windows: usize,
}

impl Executor for Lossy {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }
    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> Result<()> {
        if self.plan().tensor(tensor).role == Role::Features {
            self.windows += 1;
            if self.windows > 2 {
                return Ok(());
            }
        }
        self.inner.write(tensor, first, values)
    }
    fn read_into(&mut self, tensor: TensorId, rows: Range<usize>, values: &mut Vec<f32>) -> Result<()> {
        self.inner.read_into(tensor, rows, values)
    }
    fn run(&mut self, phase: Phase, batches: &[Batch]) -> Result<()> {
        self.inner.run(phase, batches)
    }
    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> Result<()> {
        self.inner.run_step(phase, step, batch)
    }
    fn wait(&mut self) -> Result<()> {
        self.inner.wait()
    }
    fn counts(&self) -> Counts {
        self.inner.counts()
    }
}

/// The check above can fail.
fn lost_window(on: On) -> Result<(), Failed> {
    let subject = streamed(subject(DENSE, numbers(), true))?;
    let whole = finish(trainer(&subject, on)?)?;
    let lossy = Box::new(Lossy { inner: subject.executor(on)?, windows: 0 });
    let lost = Trainer::new(&subject.config, &subject.data, lossy).map_err(|(key, error)| format!("{key}: {error}"))?;
    ensure(finish(lost)? != whole, || "a lost window goes unnoticed".into())
}
