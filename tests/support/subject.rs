//! A network with its data, made up in memory, ready to be put on any device: what the command line puts together from
//! a run file, through the library.

use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use wgrad::config::{Config, Task};
use wgrad::cpu::CpuExecutor;
use wgrad::data::{Dataset, Features};
use wgrad::gpu::{Device, GpuExecutor, Options};
use wgrad::layers::{self, Limits};
use wgrad::model::random::counter_based;
use wgrad::ops::Batch;
use wgrad::plan::{Executor, Plan};
use wgrad::train::inference;
use wgrad::train::setup::{self, RowWeights};

use crate::device::{self, Test};

/// Where a test runs.
#[derive(Clone, Copy)]
pub enum On<'a> {
    /// With that many threads.
    Cpu(usize),
    Gpu(&'a Device),
}

/// A test that holds on every device.
pub type Each = fn(On) -> Result<(), Failed>;

/// A test that needs no device of its own.
pub type Plain = fn() -> Result<(), Failed>;

/// Runs each test of the first kind as `cpu::name` and as `gpu::name`, and the others once, and exits.
pub fn main(each: &[(&'static str, Each)], gpu: &[(&'static str, Test)], plain: &[(&'static str, Plain)]) -> ! {
    type Boxed = Box<dyn FnOnce(&Device) -> Result<(), Failed> + Send>;
    let mut others: Vec<Trial> = plain.iter().map(|&(name, test)| Trial::test(name, test)).collect();
    let mut tests: Vec<(String, Boxed)> = Vec::new();
    for &(name, test) in each {
        others.push(Trial::test(format!("cpu::{name}"), move || test(On::Cpu(2))));
        tests.push((format!("gpu::{name}"), Box::new(move |device| test(On::Gpu(device)))));
    }
    tests.extend(gpu.iter().map(|&(name, test)| (format!("gpu::{name}"), Box::new(test) as Boxed)));
    device::main(tests, others)
}

/// An error with the sentence unless the condition holds.
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// A made-up number in ±1, the same on every machine.
pub fn noise(i: usize) -> f32 {
    (counter_based(i as u32, 1, 2, 3) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// A table of classes that can be told apart, but not without mistakes.
pub fn classes(rows: usize, columns: usize, classes: usize) -> Dataset {
    let class = |row: usize| counter_based(row as u32, 0, 0, 7) as usize % classes;
    let feature =
        |row: usize, column: usize| noise(row * columns + column) + f32::from(u8::from(column % classes == class(row)));
    let features = (0..rows * columns).map(|i| feature(i / columns, i % columns)).collect();
    let targets = (0..rows).map(|row| class(row) as f32).collect();
    Dataset::of_classes("made up", features, columns, targets, classes).expect("the made-up table is well formed")
}

/// Two classes, one output.
pub fn binary(rows: usize, columns: usize) -> Dataset {
    Dataset { task: Task::Binary, ..classes(rows, columns, 2) }
}

/// Target `t` is the sum of two features.
pub fn regression(rows: usize, columns: usize, targets: usize) -> Dataset {
    let mut data = classes(rows, columns, 1);
    let Features::F32 { values, .. } = &data.features else { unreachable!("made-up tables are f32") };
    let target = |row: usize, t: usize| values[row * columns + t % columns] + values[row * columns + (t + 1) % columns];
    data.targets = (0..rows * targets).map(|i| target(i / targets, i % targets)).collect();
    data.task = Task::Regression;
    data.target_names = (0..targets).map(|t| format!("y{t}")).collect();
    let coding = data.preprocessing.targets[0].clone();
    data.preprocessing.targets = vec![coding; targets];
    data.preprocessing.task = Task::Regression;
    (data.classes, data.preprocessing.classes) = (Vec::new(), Vec::new());
    data
}

/// The same features as bytes.
pub fn as_bytes(mut data: Dataset) -> Dataset {
    let Features::F32 { values, columns } = &data.features else { unreachable!("made-up tables are f32") };
    let values = values.iter().map(|x| ((x + 1.0) * 85.0).clamp(0.0, 255.0) as u8).collect();
    data.features = Features::U8 { values, columns: *columns, scale: 0.013, shift: -1.3, height: 1, width: *columns };
    data
}

/// Rows in turn: of each `train + validation + test`.
pub fn split(mut data: Dataset, train: usize, validation: usize, test: usize) -> Dataset {
    let place = |row: u32| row as usize % (train + validation + test);
    let rows = |from: usize, to: usize| (0..data.rows as u32).filter(|&row| (from..to).contains(&place(row))).collect();
    data.split.train = rows(0, train);
    data.split.validation = rows(train, train + validation);
    data.split.test = rows(train + validation, train + validation + test);
    data
}

pub struct Subject {
    pub config: Config,
    pub data: Dataset,
    /// The largest tensor that the plan may have, in bytes.
    pub max_binding: u64,
    /// Bytes of a window, where the data set is to be streamed.
    pub window: Option<u64>,
    /// How it runs on an adapter.
    pub options: Options,
}

impl Subject {
    /// A run file's text and data.
    pub fn new(run: &str, data: Dataset) -> Self {
        let config = toml::from_str(run).unwrap_or_else(|error| panic!("{run}\n{error}"));
        Subject { config, data, max_binding: 1 << 27, window: None, options: Options::default() }
    }

    pub fn plan(&self) -> Result<Arc<Plan>, Failed> {
        let limits = Limits::of_binding(self.max_binding);
        let limits = self.window.map_or(limits, |window| Limits { resident: 0, window, ..limits });
        let plan = layers::compile_within(&self.config, setup::shape(&self.data), limits);
        plan.map(Arc::new).map_err(|(key, error)| format!("{key}: {error}").into())
    }

    /// Empty yet: the trainer loads it, or [`Subject::load`].
    pub fn executor(&self, on: On) -> Result<Box<dyn Executor>, Failed> {
        let plan = self.plan()?;
        Ok(match on {
            On::Cpu(threads) => Box::new(CpuExecutor::<f32>::new(plan, threads)?),
            On::Gpu(device) => Box::new(GpuExecutor::new(device, plan, self.options)?),
        })
    }

    /// Puts data and start weights on a device.
    pub fn load(&self, executor: &mut dyn Executor) -> Result<(), Failed> {
        setup::load_data(executor, &self.data, &RowWeights::new(&self.config, &self.data)?)?;
        let start = setup::start_weights(executor.plan(), &self.config)?;
        Ok(setup::write_weights(executor, &start)?)
    }

    #[allow(dead_code, reason = "each test file takes what it needs")]
    /// Training rows `first .. first + count` in the order in which they lie, as step `counter`.
    pub fn batch(&self, first: usize, count: usize, counter: u32) -> Result<Batch, Failed> {
        let weights = RowWeights::new(&self.config, &self.data)?;
        let order = setup::order(&self.data);
        let learning_rate = self.config.optimizer.learning_rate as f32;
        Ok(Batch { learning_rate, counter, ..inference::batch(&self.data, &weights, &order, first..first + count) })
    }
}
