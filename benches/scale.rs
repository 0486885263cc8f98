//! Long measurements, each on the CPU path and on an adapter: `cargo bench --bench scale -- MODE DEVICE`.
//!
//! - `rows`: time a row and peak memory from 10⁴ to 10⁷ rows of ten numbers, each size in a process of its own;
//! - `overlap`: whether gathering a window and working through one take place at the same time;
//! - `soak`: 100,000 steps, resident, streamed and read from a file, and 100 trainings in one process; it fails if memory
//!   grows by 1 %.
//!
//! DEVICE is `cpu` or `gpu` (the best adapter). Linux only: memory is what /proc tells.

#[path = "../tests/support/archive.rs"]
mod archive;
#[path = "../tests/support/memory.rs"]
mod memory;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use archive::Archive;
use wgrad::config::{Config, Data, Task};
use wgrad::cpu::CpuExecutor;
use wgrad::data::{self, Dataset, Features};
use wgrad::gpu::{self, GpuExecutor, Selector};
use wgrad::layers::{self, Limits};
use wgrad::plan::Executor;
use wgrad::train::feed::Feed;
use wgrad::train::setup::{self, RowWeights};
use wgrad::train::{Set, Trainer};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const COLUMNS: usize = 10;

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["rows", device] => rows(device),
        ["size", device, rows] => size(device, rows.parse()?),
        ["overlap", device] => overlap(device),
        ["soak", device] => soak(device),
        // `cargo bench` without a name runs every bench.
        [] => {
            println!("long measurements: say -- rows, overlap or soak, and cpu or gpu");
            Ok(())
        }
        _ => Err("say rows, overlap or soak, and cpu or gpu".into()),
    }
}

/// Where plans run. The device stays open: one a process.
enum Machine {
    Cpu,
    Gpu(gpu::Device),
}

impl Machine {
    fn open(name: &str) -> Outcome<Self> {
        Ok(if name == "cpu" { Machine::Cpu } else { Machine::Gpu(gpu::open(&Selector::Best)?) })
    }

    /// As the command line does, with `window` bytes in place of a resident data set where they are given.
    fn executor(&self, config: &Config, data: &Dataset, window: Option<u64>) -> Outcome<Box<dyn Executor>> {
        let binding = match self {
            Machine::Cpu => u64::MAX,
            Machine::Gpu(device) => device.max_binding(),
        };
        let limits = Limits { resident: 256 << 20, ..Limits::of_binding(binding) };
        let limits = window.map_or(limits, |window| Limits { resident: 0, window, ..limits });
        let plan = layers::compile_within(config, setup::shape(data), limits).map_err(|(_, error)| error)?;
        let plan = Arc::new(plan);
        Ok(match self {
            Machine::Cpu => Box::new(CpuExecutor::<f32>::new(plan, std::thread::available_parallelism()?.get())?),
            Machine::Gpu(device) => Box::new(GpuExecutor::new(device, plan, gpu::Options::default())?),
        })
    }
}

fn config(units: usize, batch_size: usize) -> Outcome<Config> {
    let run = format!(
        "[model]\nlayers = [{{ type = \"dense\", units = {units}, activation = \"relu\" }}, {{ type = \"dense\" }}]
        [early_stopping]\npatience = 0\nrestore_best = false
        [train]\nepochs = 1000000\nbatch_size = {batch_size}"
    );
    Ok(toml::from_str(&run)?)
}

fn trainer<'a>(config: &'a Config, data: &'a Dataset, executor: Box<dyn Executor>) -> Outcome<Trainer<'a>> {
    Ok(Trainer::new(config, data, executor).map_err(|(_, error)| error)?)
}

/// Numbers in 0 … 1, the same each time.
fn random(mut state: u32) -> impl FnMut() -> f32 {
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    }
}

fn rows(device: &str) -> Outcome {
    println!("| rows | file | load | ms per 1000 rows of an epoch | data | peak memory |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for rows in [10_000, 100_000, 1_000_000, 10_000_000_usize] {
        let status =
            std::process::Command::new(std::env::current_exe()?).args(["size", device, &rows.to_string()]).status()?;
        if !status.success() {
            return Err(format!("{rows} rows failed").into());
        }
    }
    Ok(())
}

/// A file that goes when it is out of scope.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write(path: &Path, rows: usize) -> std::io::Result<()> {
    let mut archive = Archive::create(path, false)?;
    let mut x = random(1);
    archive.add("x", "<f4", &format!("({rows}, {COLUMNS})"), |to: &mut dyn Write| {
        (0..rows * COLUMNS).try_for_each(|_| to.write_all(&x().to_le_bytes()))
    })?;
    let mut x = random(1);
    archive.add("y", "<f4", &format!("({rows},)"), |to: &mut dyn Write| {
        (0..rows).try_for_each(|_| to.write_all(&(0..COLUMNS).map(|_| x()).sum::<f32>().to_le_bytes()))
    })?;
    archive.finish()
}

fn size(device: &str, rows: usize) -> Outcome {
    let path = Temporary(std::env::temp_dir().join(format!("wgrad-scale-{}.npz", std::process::id())));
    write(&path.0, rows)?;
    let mut config = config(32, 1024)?;
    config.data.source = Some(path.0.display().to_string());
    let began = Instant::now();
    let data = data::load(&config.data, config.seed)?;
    let loaded = began.elapsed().as_secs_f64();
    let machine = Machine::open(device)?;
    let mut trainer = trainer(&config, &data, machine.executor(&config, &data, None)?)?;
    trainer.epoch()?;
    let epochs = (1_000_000 / rows).clamp(1, 10);
    let began = Instant::now();
    for _ in 0..epochs {
        trainer.epoch()?;
    }
    let seconds = began.elapsed().as_secs_f64() / epochs as f64;
    let measured = (data.split.train.len() + data.split.validation.len()) as f64;
    let place = if matches!(data.features, Features::Stored(_)) { "in its file, " } else { "in memory, " };
    let resident = if trainer.executor().plan().is_resident { "resident" } else { "streamed" };
    println!(
        "| {rows} | {} MB | {loaded:.2} s | {:.3} | {place}{resident} | {} MB |",
        std::fs::metadata(&path.0)?.len() / 1_000_000,
        1e6 * seconds / measured,
        memory::peak().unwrap_or(0) / 1_000_000
    );
    Ok(())
}

fn made_up(rows: usize, columns: usize) -> Outcome<Dataset> {
    let mut random = random(3);
    let features = (0..rows * columns).map(|_| random()).collect();
    let mut data =
        Dataset::of_classes("made up", features, columns, (0..rows).map(|row| (row % 3) as f32).collect(), 3)?;
    data.task = Task::Classification;
    Ok(data)
}

/// Seconds of the fastest of three.
fn fastest(mut f: impl FnMut() -> Outcome) -> Outcome<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let began = Instant::now();
        f()?;
        least = least.min(began.elapsed().as_secs_f64());
    }
    Ok(least)
}

fn overlap(device: &str) -> Outcome {
    let machine = Machine::open(device)?;
    let data = made_up(200_000, 100)?;
    let config = config(8, 1024)?;
    let mut resident = trainer(&config, &data, machine.executor(&config, &data, None)?)?;
    resident.epoch()?;
    let steps = fastest(|| Ok(resident.epoch().map(|_| ())?))?;
    let mut streamed = trainer(&config, &data, machine.executor(&config, &data, Some(Limits::WINDOW))?)?;
    streamed.epoch()?;
    let both = fastest(|| Ok(streamed.epoch().map(|_| ())?))?;
    let mut executor = machine.executor(&config, &data, Some(Limits::WINDOW))?;
    let (weights, mut feed) = (RowWeights::new(&config, &data)?, Feed::default());
    let mut order = setup::order(&data);
    let mut next = random(7);
    (1..order.len()).rev().for_each(|i| order.swap(i, (next() * i as f32) as usize));
    let windows = fastest(|| {
        for rows in order.chunks(executor.plan().data_rows()) {
            feed.write(executor.as_mut(), &data, &weights, rows)?;
        }
        Ok(executor.wait()?)
    })?;
    println!("an epoch of resident data {steps:.3} s, filling its windows {windows:.3} s, streamed {both:.3} s");
    println!("{:.0} % of the filling is hidden", 100.0 * (steps + windows - both) / windows);
    Ok(())
}

fn flat(what: &str, before: u64, after: u64) -> Outcome {
    let growth = 100.0 * (after as f64 / before as f64 - 1.0);
    println!("{what}: {:.1} MB, then {:.1} MB, {growth:+.2} %", before as f64 / 1e6, after as f64 / 1e6);
    if !(growth < 1.0) { Err(format!("memory grows by {growth:.2} %").into()) } else { Ok(()) }
}

fn soak(device: &str) -> Outcome {
    let machine = Machine::open(device)?;
    let resident = || memory::resident().ok_or("this system does not tell");
    let data = made_up(64_000, 20)?;
    let config = config(32, 64)?;
    let path = Temporary(std::env::temp_dir().join(format!("wgrad-soak-{}.npz", std::process::id())));
    write(&path.0, 80_000)?;
    let options = Data { source: Some(path.0.display().to_string()), ..Data::default() };
    let stored = data::load_beyond(&options, config.seed, 0)?;
    // Of the file so small windows that some are always read ahead.
    let cases = [
        ("resident data", &data, None),
        ("streamed data", &data, Some(1 << 20)),
        ("data in its file", &stored, Some(1 << 16)),
    ];
    for (name, data, window) in cases {
        let mut trainer = trainer(&config, data, machine.executor(&config, data, window)?)?;
        let to = |trainer: &mut Trainer, steps: u64| -> Outcome {
            while trainer.steps() < steps {
                trainer.epoch()?;
            }
            Ok(())
        };
        for steps in [10_000, 40_000, 120_000] {
            to(&mut trainer, steps)?;
            println!("warm-up, {steps} steps: {:.1} MB", resident()? as f64 / 1e6);
        }
        let before = resident()?;
        let began = Instant::now();
        to(&mut trainer, 220_000)?;
        let each = began.elapsed().as_secs_f64() * 1e6 / 1e5;
        flat(&format!("100,000 steps, {name}, {each:.0} µs each"), before, resident()?)?;
        trainer.evaluate(Set::Train)?;
    }
    let training = || -> Outcome {
        let mut trainer = trainer(&config, &data, machine.executor(&config, &data, Some(1 << 20))?)?;
        Ok(trainer.epoch().map(|_| ())?)
    };
    (0..10).try_for_each(|_| training())?;
    let before = resident()?;
    (0..100).try_for_each(|_| training())?;
    flat("100 trainings", before, resident()?)?;
    if let Machine::Gpu(device) = &machine {
        println!("the device holds {:?} bytes after them", device.held_bytes());
    }
    Ok(())
}
