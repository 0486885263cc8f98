//! Benchmarks: milliseconds a training step of a ReLU network with softmax cross-entropy and Adam on random resident
//! data. It knows executors by their trait only; whoever calls it opens the device.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::{Config, Layer};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::layers;
use crate::model::optimizers::Optimizer;
use crate::model::random::{self, Stream};
use crate::ops::Batch;
use crate::plan::{Executor, Phase, Plan, Step};
use crate::train::setup::{self, RowWeights};

/// A network and batch to time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Features, hidden units, classes.
    pub layers: Vec<usize>,
    /// Rows of a step.
    pub batch_size: usize,
    /// Of weights and data.
    pub seed: u64,
}

/// What was measured on one device: one line of `wgrad bench --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// `cpu` or `gpu`.
    pub device: String,
    /// Its name.
    pub adapter: String,
    /// Their sizes, such as `784-128-64-10`.
    pub layers: String,
    /// Rows of a step.
    pub batch_size: usize,
    /// From opening the device to the first step's loss on the host.
    pub startup_ms: f64,
    /// Median of the repeats.
    pub ms_per_step: f64,
    /// Rows that one second trains.
    pub samples_per_second: f64,
    /// 10⁹ multiplications and additions a second, of the matrix products. The zeros that the CPU path skips count.
    pub gflops: f64,
    /// Kernels run; below 1 where a dispatch runs many steps.
    #[serde(serialize_with = "whole")]
    pub dispatches_per_step: f64,
    /// Command buffers handed to the device.
    pub submits_per_step: f64,
    /// What the plan allocates.
    pub device_bytes: u64,
    /// One step checked against the reference, after timing; without it the key is left out too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
}

/// Repeats whose median is reported, at least; more while they are quick.
const REPEATS: usize = 5;
const MOST_REPEATS: usize = 25;
const PATIENCE: Duration = Duration::from_secs(3);

/// The widest layer and the most numbers of one batch: sizes beyond are slips, and would overflow or fill the memory
/// with random numbers before any device is asked.
const MAX_UNITS: usize = 1 << 24;
const MAX_INPUTS: usize = 1 << 28;

impl Subject {
    /// Reads `784-128-64-10`.
    ///
    /// # Errors
    /// [`Error::Usage`] for fewer than two sizes, a size of 0, or sizes that no device holds.
    pub fn parse(layers: &str, batch_size: usize, seed: u64) -> Result<Self> {
        let sizes: Option<Vec<usize>> = layers.split('-').map(|size| size.trim().parse().ok()).collect();
        if let Some(sizes) = &sizes
            && (sizes.iter().any(|&size| size > MAX_UNITS) || sizes[0].saturating_mul(batch_size) > MAX_INPUTS)
        {
            return Err(Error::usage(format!("{layers} at a batch of {batch_size} is beyond any device"))
                .at("--layers")
                .remedy(format!("use at most {MAX_UNITS} units a layer and {MAX_INPUTS} inputs a batch")));
        }
        match sizes {
            Some(layers) if layers.len() >= 2 && layers.iter().all(|&size| size > 0) && batch_size > 0 => {
                Ok(Subject { layers, batch_size, seed })
            }
            _ => Err(Error::usage(format!("`{layers}` is no list of layer sizes"))
                .at("--layers")
                .remedy("write features, hidden units and classes, such as 784-128-64-10")),
        }
    }

    /// Its sizes, such as `784-128-64-10`.
    pub fn name(&self) -> String {
        self.layers.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
    }

    /// The run file of the network.
    pub fn config(&self) -> Config {
        let mut config = Config { seed: self.seed, ..Config::default() };
        let hidden = &self.layers[1..self.layers.len() - 1];
        config.model.layers = hidden.iter().map(|&units| Layer::dense(Some(units), "relu")).collect();
        config.model.layers.push(Layer::dense(None, "identity"));
        config.train.batch_size = self.batch_size;
        config
    }

    /// Random rows: four batches, at least a thousand rows, at most what keeps the data below 64 MiB.
    pub fn data(&self) -> Result<Dataset> {
        let (columns, classes) = (self.layers[0], self.layers[self.layers.len() - 1]);
        let most = ((16 << 20) / columns).max(self.batch_size);
        let batches = (4 * self.batch_size).max(1024).min(most).div_ceil(self.batch_size);
        let rows = batches * self.batch_size;
        let generator = &mut random::generator(self.seed, Stream::Synthetic);
        let features = (0..rows * columns).map(|_| random::normal(generator) as f32).collect();
        let targets = (0..rows).map(|_| (random::uniform(generator) * classes as f64).floor() as f32).collect();
        Dataset::of_classes("random", features, columns, targets, classes)
    }

    /// Compiles it for bindings of `max_binding` bytes.
    pub fn plan(&self, data: &Dataset, max_binding: u64) -> Result<Arc<Plan>> {
        layers::compile(&self.config(), setup::shape(data), max_binding).map(Arc::new).map_err(|(_, error)| error)
    }
}

/// Trains on for `steps` steps again and again and reports the median; `began` is when opening the device began.
pub fn measure(
    subject: &Subject,
    data: &Dataset,
    executor: &mut dyn Executor,
    steps: usize,
    began: Instant,
) -> Result<Measurement> {
    let config = subject.config();
    setup::load_data(executor, data, &RowWeights::new(&config, data)?)?;
    let start = setup::start_weights(executor.plan(), &config)?;
    setup::write_weights(executor, &start)?;
    let mut trained = 0;
    let mut next = |steps: usize| {
        trained += steps;
        batches(subject, data, trained - steps..trained)
    };
    let first = next(1)?;
    executor.run(Phase::Train, &first)?;
    let results = executor.plan().results;
    let loss = executor.read(results, 0..1)?;
    let startup_ms = began.elapsed().as_secs_f64() * 1e3;
    if !loss[0].is_finite() {
        return Err(Error::diverged("the loss of the first step is not a finite number"));
    }
    executor.run(Phase::Train, &next(steps)?)?;
    executor.wait()?;
    let before = executor.counts();
    let mut times = Vec::new();
    let timing = Instant::now();
    while times.len() < REPEATS || (times.len() < MOST_REPEATS && timing.elapsed() < PATIENCE) {
        let batches = next(steps)?;
        let start = Instant::now();
        executor.run(Phase::Train, &batches)?;
        executor.wait()?;
        times.push(start.elapsed().as_secs_f64() * 1e3 / steps as f64);
    }
    let count = times.len();
    let after = executor.counts();
    let ms_per_step = median(times).unwrap_or_default();
    let plan = executor.plan();
    let flops: u64 = plan.train.iter().map(|step| step.op.flops(&first[0])).sum();
    Ok(Measurement {
        device: executor.info().device.to_owned(),
        adapter: executor.info().adapter.clone(),
        layers: subject.name(),
        batch_size: subject.batch_size,
        startup_ms,
        ms_per_step,
        samples_per_second: subject.batch_size as f64 / ms_per_step * 1e3,
        gflops: flops as f64 / ms_per_step / 1e6,
        dispatches_per_step: (after.dispatches - before.dispatches) as f64 / (steps * count) as f64,
        submits_per_step: (after.submits - before.submits) as f64 / (steps * count) as f64,
        device_bytes: plan.device_bytes(),
        verified: None,
    })
}

/// Writes a whole number without a point.
fn whole<S: serde::Serializer>(number: &f64, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    if number.fract() == 0.0 { serializer.serialize_u64(*number as u64) } else { serializer.serialize_f64(*number) }
}

/// One step of the training list in a profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProfileRow {
    /// Its label in the plan.
    pub step: String,
    /// By the device's clock, or else by the wall's; all rows of a profile by the same.
    pub ms: f64,
    /// Wall clock of one dispatch with nothing else on the device, launch included.
    pub wall_ms: f64,
    /// The same by the device's own clock, without the launch, where it has one that runs.
    pub device_ms: Option<f64>,
    /// Bytes that it reads and writes at least.
    pub bytes: u64,
    /// As [`Measurement::gflops`], of [`ProfileRow::ms`].
    pub gflops: f64,
    /// Of the sum over all steps.
    pub share: f64,
}

/// From the wall's and the device's milliseconds for each training step.
fn profile_rows(plan: &Plan, batch: &Batch, times: &[(f64, Option<f64>)]) -> Vec<ProfileRow> {
    // One clock for all: shares of two would compare what cannot be compared.
    let has_clock = times.iter().all(|(_, device_ms)| device_ms.is_some());
    let row = |(step, &(wall_ms, device_ms)): (&Step, &(f64, Option<f64>))| {
        let device_ms = device_ms.filter(|_| has_clock);
        let ms = device_ms.unwrap_or(wall_ms);
        let (bytes, gflops) = (plan.step_bytes(step, batch), step.op.flops(batch) as f64 / ms / 1e6);
        ProfileRow { step: step.label.clone(), ms, wall_ms, device_ms, bytes, gflops, share: 0.0 }
    };
    let mut rows: Vec<ProfileRow> = plan.train.iter().zip(times).map(row).collect();
    let total: f64 = rows.iter().map(|row| row.ms).sum();
    rows.iter_mut().for_each(|row| row.share = row.ms / total);
    rows
}

/// Times each training step by itself: the median over repeats of several dispatches, and the median of the times that the
/// device tells of single ones.
pub fn profile(executor: &mut dyn Executor, batch: &Batch) -> Result<Vec<ProfileRow>> {
    profile_within(executor, batch, Duration::MAX)
}

/// As [`profile`], with fewer dispatches where they would take longer than `budget` in all; each step runs once at
/// least.
pub fn profile_within(executor: &mut dyn Executor, batch: &Batch, budget: Duration) -> Result<Vec<ProfileRow>> {
    const DISPATCHES: usize = 8;
    let steps = executor.plan().train.len();
    let share = budget / steps.max(1) as u32;
    // The other half is for the device's clock.
    let half = share / 2;
    let mut all = Vec::new();
    for step in 0..steps {
        let began = Instant::now();
        let mut time = |dispatches: usize| -> Result<f64> {
            let start = Instant::now();
            for _ in 0..dispatches {
                executor.run_step(Phase::Train, step, batch)?;
            }
            executor.wait()?;
            Ok(start.elapsed().as_secs_f64() * 1e3 / dispatches as f64)
        };
        // The first dispatch warms caches up, and counts only where there is no time for more.
        let mut times = vec![time(1)?];
        let quick = began.elapsed() * DISPATCHES as u32 <= half / REPEATS as u32;
        let dispatches = if quick { DISPATCHES } else { 1 };
        while times.len() <= REPEATS && began.elapsed() < half {
            times.push(time(dispatches)?);
        }
        let times = if times.len() > 1 { times.split_off(1) } else { times };
        let mut on_device = Vec::new();
        for _ in 0..=REPEATS {
            on_device.extend(executor.time_step(Phase::Train, step, batch)?.map(|time| time.as_secs_f64() * 1e3));
            if began.elapsed() >= share {
                break;
            }
        }
        all.push((median(times).unwrap_or_default(), median(on_device)));
    }
    Ok(profile_rows(executor.plan(), batch, &all))
}

/// The one in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Times training steps in one dispatch, where an executor joins them, as a single row; nothing has to be compiled.
pub fn profile_joined(executor: &mut dyn Executor, batch: &Batch) -> Result<Vec<ProfileRow>> {
    const STEPS: usize = 64;
    let batches = [*batch; STEPS];
    let mut times = Vec::new();
    for _ in 0..=REPEATS {
        let start = Instant::now();
        executor.run(Phase::Train, &batches)?;
        executor.wait()?;
        times.push(start.elapsed().as_secs_f64() * 1e3 / STEPS as f64);
    }
    let (wall_ms, plan) = (median(times).unwrap_or_default(), executor.plan());
    let step = format!("all {} ops in one dispatch", plan.train.len());
    let bytes = plan.train.iter().map(|step| plan.step_bytes(step, batch)).sum();
    let flops: u64 = plan.train.iter().map(|step| step.op.flops(batch)).sum();
    let gflops = flops as f64 / wall_ms / 1e6;
    Ok(vec![ProfileRow { step, ms: wall_ms, wall_ms, device_ms: None, bytes, gflops, share: 1.0 }])
}

/// The batches of some steps of a training, numbered from 0: full ones that walk through the data again and again, with
/// the optimizer's corrections of their steps.
///
/// # Errors
/// None for a subject's optimizer, Adam.
pub fn batches(subject: &Subject, data: &Dataset, steps: Range<usize>) -> Result<Vec<Batch>> {
    let optimizer = Optimizer::from_config(&subject.config().optimizer).map_err(|(_, error)| error)?;
    let in_data = data.rows / subject.batch_size;
    let batch = |step: usize| {
        let [correction1, correction2] = optimizer.corrections(step as u64 + 1).map(|factor| factor as f32);
        let first = (step % in_data * subject.batch_size) as u32;
        Batch { first, counter: step as u32, correction1, correction2, ..full_batch(subject.batch_size) }
    };
    Ok(steps.map(batch).collect())
}

/// The first rows, for an optimizer without corrections.
fn full_batch(size: usize) -> Batch {
    Batch {
        first: 0,
        count: size as u32,
        slot: 0,
        scale: 1.0 / size as f32,
        learning_rate: 1e-3,
        correction1: 1.0,
        correction2: 1.0,
        counter: 0,
        group: 0,
    }
}

/// The batch that verification and profiles run: the first one, with Adam's corrections of a late step.
pub fn first_batch(subject: &Subject) -> Batch {
    full_batch(subject.batch_size)
}

/// The grid that `wgrad bench` walks through when no layers are given: widths of two hidden layers, and batches.
pub const GRID: (&[usize], &[usize]) = (&[16, 64, 256, 1024], &[16, 64, 256, 1024]);

/// A network of the grid: 64 features, two hidden layers of `width`, 10 classes.
pub fn grid_subject(width: usize, batch_size: usize, seed: u64) -> Subject {
    Subject { layers: vec![64, width, width, 10], batch_size, seed }
}

/// What a dispatch costs on a hardware GPU before it computes anything. An estimate, until one has been measured
/// (benches/NOTES.md).
const LAUNCH_SECONDS: f64 = 10e-6;

/// Multiplications and additions that a core of the CPU path does in a second of a small network's step: 784-128-64-10
/// at batch 64 in benches/RESULTS.md.
const CORE_FLOPS: f64 = 25e9;

/// Cores beyond these gain a small network nothing.
const MOST_CORES: usize = 8;

/// How much a training step computes, and from how much on a hardware GPU is estimated to be faster than the CPU path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossover {
    /// Multiplications and additions of a full batch.
    pub flops: u64,
    /// What the CPU path computes while a GPU launches the dispatches of one step.
    pub gpu_from: u64,
}

impl Crossover {
    /// For training by `plan` with so many threads on the CPU path.
    pub fn estimate(plan: &Plan, threads: usize) -> Self {
        let batch = full_batch(plan.batch_size);
        let launches = plan.train.len() as f64 * LAUNCH_SECONDS;
        Crossover {
            flops: plan.train.iter().map(|step| step.op.flops(&batch)).sum(),
            gpu_from: (launches * CORE_FLOPS * threads.clamp(1, MOST_CORES) as f64) as u64,
        }
    }

    /// Whether the CPU path is estimated to be faster.
    pub fn favours_cpu(&self) -> bool {
        self.flops < self.gpu_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_keeps_to_one_clock_and_its_shares_are_of_that() {
        let plan = crate::layers::tests::plan(&[8], crate::layers::tests::shape(64, 5, 3));
        let batch = Batch { count: 64, ..Batch::default() };
        let times: Vec<(f64, Option<f64>)> = (0..plan.train.len()).map(|i| (4.0, Some(1.0 + i as f64))).collect();
        let rows = profile_rows(&plan, &batch, &times);
        let total: f64 = times.iter().map(|(_, device_ms)| device_ms.unwrap_or_default()).sum();
        assert_eq!((rows[1].ms, rows[1].wall_ms, rows[1].device_ms), (2.0, 4.0, Some(2.0)));
        assert!((rows[1].share - 2.0 / total).abs() < 1e-12 && rows[0].gflops == (2 * 64 * 5 * 8) as f64 / 1e6);
        let mut times = times;
        times[3].1 = None;
        let rows = profile_rows(&plan, &batch, &times);
        assert!(rows.iter().all(|row| row.ms == 4.0 && row.device_ms.is_none()), "{rows:?}");
        assert!((rows[1].share - 1.0 / rows.len() as f64).abs() < 1e-12, "{rows:?}");
    }

    #[test]
    fn sizes_that_no_device_holds_are_refused_before_any_memory_is_asked_for() {
        for layers in ["9223372036854775807-3-3", "99999999-99999999-3", "3", "3-0-2", "3-x"] {
            let error = Subject::parse(layers, 256, 1).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{layers}");
        }
        assert_eq!(Subject::parse("784-128-64-10", 64, 1).unwrap().name(), "784-128-64-10");
    }

    #[test]
    fn batches_go_on_where_the_last_ones_ended_with_the_corrections_of_their_steps() {
        let subject = Subject::parse("5-4-3", 300, 1).unwrap();
        let data = subject.data().unwrap();
        let all = batches(&subject, &data, 0..9).unwrap();
        assert_eq!(batches(&subject, &data, 4..9).unwrap(), all[4..]);
        assert_eq!(data.rows, 4 * 300);
        let firsts: Vec<u32> = all.iter().map(|batch| batch.first).collect();
        assert_eq!(firsts, [0, 300, 600, 900, 0, 300, 600, 900, 0]);
        // Of Adam: 1 / (1 - 0.9) and √(1 - 0.999)⁻¹ in the first step (Kingma & Ba 2015), nearly 1 in a late one.
        let correction = |step: usize| batches(&subject, &data, step..step + 1).unwrap()[0].correction1;
        assert!((correction(0) - 10.0).abs() < 1e-4 && (correction(1) - 1.0 / 0.19).abs() < 1e-4);
        assert!((correction(100_000) - 1.0).abs() < 1e-6);
    }

    fn crossover(layers: &str, batch_size: usize, threads: usize) -> Crossover {
        let subject = Subject::parse(layers, batch_size, 1).unwrap();
        let plan = subject.plan(&subject.data().unwrap(), u64::MAX).unwrap();
        Crossover::estimate(&plan, threads)
    }

    #[test]
    fn small_networks_favour_the_cpu_and_large_ones_a_gpu() {
        assert!(crossover("4-16-3", 16, 2).favours_cpu());
        assert!(!crossover("784-512-512-10", 256, 2).favours_cpu());
        assert!(!crossover("784-512-512-10", 256, 1000).favours_cpu(), "a thousand cores do not help a small network");
    }

    #[test]
    fn a_gpu_pays_from_what_the_cpu_computes_during_its_launches_on() {
        let found = crossover("784-128-64-10", 64, 2);
        // Forward and the weights' gradients of all layers, the input's gradient of all but the first; and a little more.
        let products = 2 * 64 * (3 * (784 * 128 + 128 * 64 + 64 * 10) - 784 * 128);
        assert!((products..products * 11 / 10).contains(&found.flops), "{}", found.flops);
        assert_eq!(crossover("784-128-64-10", 64, 4).gpu_from, 2 * found.gpu_from);
        let at = |flops| Crossover { flops, gpu_from: 1000 }.favours_cpu();
        assert_eq!([at(999), at(1000)], [true, false]);
    }
}
