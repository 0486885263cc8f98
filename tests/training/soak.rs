//! Memory stays where it is: over many steps, over many trainings, and whatever the data set's size. The long version
//! of this is `cargo bench --bench scale -- soak`.

use std::io::Write;
use std::ops::Range;

use libtest_mimic::Failed;
use wgrad::Result;
use wgrad::config::Data;
use wgrad::data::{self, Features};
use wgrad::gpu::Device;
use wgrad::ops::{Batch, TensorId};
use wgrad::plan::{Counts, DeviceInfo, Executor, Phase, Plan, Values};
use wgrad::train::Trainer;

use crate::archive::Archive;
use crate::device::Test;
use crate::memory;
use crate::subject::{Each, On, Subject, classes, ensure, split};
use crate::{train, trainer};

pub const EACH: &[(&str, Each)] = &[
    ("thousands_of_steps_leave_memory_flat", |on| ensure_flat(steps(on, false, false)?)),
    ("thousands_of_streamed_steps_leave_memory_flat", |on| ensure_flat(steps(on, true, false)?)),
    ("a_leak_of_each_step_is_seen", |on| ensure_grows(steps(on, false, true)?)),
    ("many_trainings_leave_memory_flat", |on| ensure_flat(trainings(on, false)?)),
    ("a_leak_of_each_training_is_seen", |on| ensure_grows(trainings(on, true)?)),
    ("an_array_in_a_file_trains_to_the_bits_of_memory_and_stays_there", stays_in_its_file),
];

pub const GPU: &[(&str, Test)] = &[("a_training_gives_back_all_that_it_allocated_on_the_device", gives_back)];

/// What allocators and drivers may still take after so short a time. The planted leaks lose five times as much.
const SLACK: u64 = 2 << 20;

/// Resident bytes before and after.
type Growth = Option<(u64, u64)>;

fn ensure_flat(growth: Growth) -> Result<(), Failed> {
    let Some((before, after)) = growth else { return Ok(()) };
    ensure(after <= before + SLACK, || format!("memory grows from {before} to {after} bytes"))
}

fn ensure_grows(growth: Growth) -> Result<(), Failed> {
    let Some((before, after)) = growth else { return Ok(()) };
    ensure(after > before + SLACK, || format!("a leak goes unnoticed: {before}, later {after} bytes"))
}

fn subject(streamed: bool) -> Subject {
    let run = "[model]\nlayers = [{ type = \"dense\", units = 9, activation = \"relu\" }, { type = \"dense\" }]
        [train]\nepochs = 100\nbatch_size = 8";
    let subject = Subject::new(run, split(classes(5_000, 6, 3), 3, 1, 0));
    Subject { window: streamed.then_some(1), ..subject }
}

/// Some 470 steps an epoch.
fn steps(on: On, streamed: bool, leaks: bool) -> Result<Growth, Failed> {
    let subject = subject(streamed);
    let inner = subject.executor(on)?;
    let executor: Box<dyn Executor> = if leaks { Box::new(Leaky { inner }) } else { inner };
    let mut trainer =
        Trainer::new(&subject.config, &subject.data, executor).map_err(|(key, error)| format!("{key}: {error}"))?;
    let mut resident = |epochs| -> Result<Option<u64>, Failed> {
        for _ in 0..epochs {
            trainer.epoch()?;
        }
        Ok(memory::resident())
    };
    // Twice, because what is freed last may be used again first.
    let warm = resident(4)?.max(resident(2)?);
    Ok(warm.zip(resident(8)?))
}

fn trainings(on: On, leaks: bool) -> Result<Growth, Failed> {
    let mut subject = subject(false);
    subject.config.train.epochs = 1;
    let resident = |count| -> Result<Option<u64>, Failed> {
        for _ in 0..count {
            train(&subject, on)?;
            if leaks {
                std::mem::forget(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        Ok(memory::resident())
    };
    let warm = resident(6)?.max(resident(2)?);
    Ok(warm.zip(resident(12)?))
}

fn gives_back(device: &Device) -> Result<(), Failed> {
    let Some(before) = device.held_bytes() else { return Ok(()) };
    let subject = subject(true);
    let mut during = trainer(&subject, On::Gpu(device))?;
    during.epoch()?;
    let held = device.held_bytes().unwrap_or(0);
    ensure(held > before, || format!("a training holds {held} bytes, before it there were {before}"))?;
    drop(during);
    let after = device.held_bytes().unwrap_or(u64::MAX);
    ensure(after == before, || format!("{after} bytes are held after a training, before it {before}"))
}

/// Loses some memory with each batch.
struct Leaky {
    inner: Box<dyn Executor>,
}

impl Executor for Leaky {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }
    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> Result<()> {
        self.inner.write(tensor, first, values)
    }
    fn read_into(&mut self, tensor: TensorId, rows: Range<usize>, values: &mut Vec<f32>) -> Result<()> {
        self.inner.read_into(tensor, rows, values)
    }
    fn run(&mut self, phase: Phase, batches: &[Batch]) -> Result<()> {
        std::mem::forget(std::hint::black_box(vec![1_u8; 4096 * batches.len()]));
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

/// 48 MB of numbers, trained on from their file and from memory.
fn stays_in_its_file(on: On) -> Result<(), Failed> {
    let (rows, columns) = (60_000, 200);
    let path = std::env::temp_dir().join(format!("wgrad-soak-{}.npz", std::process::id()));
    let written = write(&path, rows, columns);
    let options = Data { source: Some(path.display().to_string()), split: [0.05, 0.05, 0.9], ..Data::default() };
    let load = |from| written.as_ref().ok().map(|()| data::load_beyond(&options, 1, from));
    let before = memory::resident();
    let stored = load(0);
    let after = memory::resident();
    let whole = load(u64::MAX);
    let _ = std::fs::remove_file(&path);
    written?;
    let (stored, whole) = (stored.ok_or("not written")??, whole.ok_or("not written")??);
    ensure(matches!(stored.features, Features::Stored(_)), || "the array is in memory".into())?;
    if let (Some(before), Some(after)) = (before, after) {
        let (grown, whole) = (after.saturating_sub(before), (rows * columns * 4) as u64);
        ensure(grown < whole / 4, || format!("{grown} bytes are taken for an array of {whole} in a file"))?;
    }
    let run = "[model]\nlayers = [{ type = \"dense\", units = 8, activation = \"relu\" }, { type = \"dense\" }]
        [train]\nepochs = 2\nbatch_size = 64";
    // The file has no name any more, but it is still open.
    let in_file = train(&Subject { window: Some(1 << 20), ..Subject::new(run, stored) }, on)?;
    let in_memory = train(&Subject::new(run, whole), on)?;
    ensure(in_file.epochs.len() == 2 && in_file == in_memory, || {
        format!("in its file: {:?}\nin memory: {:?}", in_file.epochs, in_memory.epochs)
    })
}

/// An archive of numbers in 0 … 1 and a target of 17 numbers in turn.
pub fn write(path: &std::path::Path, rows: usize, columns: usize) -> std::io::Result<()> {
    let mut archive = Archive::create(path, false)?;
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    archive.add("x", "<f4", &format!("({rows}, {columns})"), |to: &mut dyn Write| {
        (0..rows * columns).try_for_each(|_| to.write_all(&random().to_le_bytes()))
    })?;
    archive.add("y", "<f4", &format!("({rows},)"), |to: &mut dyn Write| {
        (0..rows).try_for_each(|row| to.write_all(&((row % 17) as f32).to_le_bytes()))
    })?;
    archive.finish()
}
