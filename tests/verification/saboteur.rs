//! A device that spoils its own results, in every way and at every step: each must be found, at its step.

use std::ops::Range;

use libtest_mimic::Failed;
use wgrad::cpu::CpuExecutor;
use wgrad::model::tracked::Tracked;
use wgrad::ops::{Access, Batch, Region, TensorId};
use wgrad::plan::{Counts, DeviceInfo, Executor, Phase, Plan, Values};
use wgrad::verify::{self, Report};

use crate::subject::{Each, On, Subject, as_bytes, classes, ensure};
use crate::{batches, reference};

pub const EACH: &[(&str, Each)] = &[
    ("a_tensor_off_by_a_thousandth_is_found_at_its_step", |on| everywhere(on, Fault::Scale(1.001))),
    ("a_tensor_too_small_by_a_thousandth_is_found_at_its_step", |on| everywhere(on, Fault::Scale(0.999))),
    ("a_single_nan_is_found_at_its_step", |on| everywhere(on, Fault::Put(f32::NAN))),
    ("a_single_infinity_is_found_at_its_step", |on| everywhere(on, Fault::Put(f32::NEG_INFINITY))),
    ("a_step_that_does_not_run_is_found", |on| everywhere(on, Fault::Skip)),
    ("a_thousandth_is_found_in_sums_of_4096_terms", long_sums),
    ("a_skipped_copy_is_found_where_the_same_rows_were_copied_before", stale_rows),
    ("numbers_that_the_device_does_not_give_are_wrong", short_reads),
    ("a_device_that_does_nothing_fails_at_its_first_step", idle),
    ("overwritten_places_behind_a_tensor_are_reported", overwritten),
    ("without_a_batch_nothing_is_compared_and_nothing_passes", no_batch),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// What the step wrote to the tensor, times this.
    Scale(f32),
    /// In the last place that the step wrote.
    Put(f32),
    /// The step does not run.
    Skip,
    /// No step runs.
    Idle,
    /// Reads of the tensor lack their last number.
    ShortRead,
}

/// Where the fault is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    phase: Phase,
    step: usize,
    tensor: TensorId,
}

/// A device with a fault, the first time that the step runs.
struct Saboteur<'a> {
    inner: &'a mut dyn Executor,
    fault: Fault,
    place: Place,
    done: bool,
}

impl Saboteur<'_> {
    fn spoil(&mut self, batch: &Batch) -> wgrad::Result<()> {
        let Place { phase, step, tensor } = self.place;
        let rows = match self.plan().steps(phase)[step].op.written(tensor, batch) {
            Region::All => 0..self.plan().tensor(tensor).rows,
            Region::Rows(rows) => rows,
        };
        let mut values = self.inner.read(tensor, rows.clone())?;
        match self.fault {
            Fault::Scale(factor) => values.iter_mut().for_each(|x| *x *= factor),
            Fault::Put(number) => *values.last_mut().expect("a step writes something") = number,
            _ => {}
        }
        self.inner.write(tensor, rows.start, Values::F32(&values))
    }
}

impl Executor for Saboteur<'_> {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }
    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> wgrad::Result<()> {
        self.inner.write(tensor, first, values)
    }
    fn read_into(&mut self, tensor: TensorId, rows: Range<usize>, values: &mut Vec<f32>) -> wgrad::Result<()> {
        self.inner.read_into(tensor, rows, values)?;
        if self.fault == Fault::ShortRead && tensor == self.place.tensor {
            values.pop();
        }
        Ok(())
    }
    fn run(&mut self, phase: Phase, batches: &[Batch]) -> wgrad::Result<()> {
        self.inner.run(phase, batches)
    }
    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> wgrad::Result<()> {
        if self.fault == Fault::Idle {
            return Ok(());
        }
        if self.done || (phase, step) != (self.place.phase, self.place.step) {
            return self.inner.run_step(phase, step, batch);
        }
        self.done = true;
        if self.fault == Fault::Skip {
            return Ok(());
        }
        self.inner.run_step(phase, step, batch)?;
        self.spoil(batch)
    }
    fn wait(&mut self) -> wgrad::Result<()> {
        self.inner.wait()
    }
    fn counts(&self) -> Counts {
        self.inner.counts()
    }
    fn overwritten(&mut self) -> wgrad::Result<Vec<String>> {
        self.inner.overwritten()
    }
}

/// A subject on a device and on the reference, to be spoilt again and again.
struct Scene {
    subject: Subject,
    executor: Box<dyn Executor>,
    reference: CpuExecutor<Tracked>,
    batches: Vec<Batch>,
}

impl Scene {
    fn new(subject: Subject, on: On) -> Result<Self, Failed> {
        let (reference, batches) = (reference(&subject)?, batches(&subject)?);
        Ok(Scene { executor: subject.executor(on)?, subject, reference, batches })
    }

    fn report(&mut self, fault: Fault, place: Place) -> Result<Report, Failed> {
        self.subject.load(self.executor.as_mut())?;
        let mut device = Saboteur { inner: self.executor.as_mut(), fault, place, done: false };
        Ok(verify::verify(&mut device, &mut self.reference, &self.batches)?)
    }

    /// Every tensor that a step writes.
    fn places(&self) -> Vec<Place> {
        let plan = self.executor.plan();
        let mut places = Vec::new();
        for phase in [Phase::Train, Phase::Evaluate] {
            for (step, each) in plan.steps(phase).iter().enumerate() {
                let arguments = each.op.arguments();
                let written = arguments.iter().filter(|argument| argument.access != Access::Read);
                let tensors = written.flat_map(|argument| plan.bound(argument.binding));
                places.extend(tensors.map(|tensor| Place { phase, step, tensor }));
            }
        }
        places
    }

    /// The place of a tensor that a training step of that label writes.
    fn place(&self, label: &str, tensor: &str) -> Place {
        let named = |place: &Place| {
            let plan = self.executor.plan();
            plan.train[place.step].label == label && plan.tensor(place.tensor).name == tensor
        };
        let place = self.places().into_iter().find(|place| place.phase == Phase::Train && named(place));
        place.unwrap_or_else(|| panic!("no step {label} writes {tensor}"))
    }

    /// Spoils the place and wants to be told of it: the phase, the step and the tensor, and by exit code 7.
    fn must_find(&mut self, fault: Fault, place: Place) -> Result<(), Failed> {
        let report = self.report(fault, place)?;
        let plan = self.executor.plan();
        let phase = if place.phase == Phase::Train { "train" } else { "evaluate" };
        let (label, tensor) = (&plan.steps(place.phase)[place.step].label, &plan.tensor(place.tensor).name);
        let what = || format!("{fault:?} of {tensor} in `{label}` ({phase})");
        let Some(first) = report.failures().next() else { return Err(format!("{} was not found", what()).into()) };
        // A step that does not run leaves several tensors unwritten, of which any may be the first.
        let is_tensor = fault == Fault::Skip || first.tensor == *tensor;
        let is_first = first.rows == self.batches[0].count;
        ensure((first.phase, &first.step) == (phase, label) && is_tensor && is_first, || {
            format!("{} was found as {first:?}", what())
        })?;
        // In lockstep, a small error in one step is no error in the next.
        let alone = report.failures().count() == 1;
        ensure(alone || !matches!(fault, Fault::Scale(_)), || format!("{} blames others too", what()))?;
        let failure = first.failure.as_ref().ok_or("a failure has its numbers")?;
        let counted = failure.count == 1 || !matches!(fault, Fault::Put(_));
        ensure(counted, || format!("{} are {} numbers", what(), failure.count))?;
        let error = report.verdict("this device").err().ok_or_else(|| format!("{} passed", what()))?;
        let sentence = format!("this device: `{label}` wrote wrong numbers to {}: {} of", first.tensor, failure.count);
        ensure(error.exit_code() == 7 && error.to_string().starts_with(&sentence), || error.to_string())
    }
}

/// Every op but `gather` and `dropout`, each bound for each role once at least.
fn dense() -> Subject {
    let run = r#"
        model.layers = [
            { type = "dense", units = 9, activation = "gelu" }, { type = "batch_norm" },
            { type = "dense", units = 5, activation = "tanh" }, { type = "dense" }]
        regularization.clip_norm = 0.1
        train.batch_size = 16"#;
    Subject::new(run, as_bytes(classes(25, 7, 3)))
}

/// `gather` from two blocks, and `dropout`.
fn gathered() -> Subject {
    let run = r#"
        model.layers = [
            { type = "dropout", rate = 0.4 }, { type = "dense", units = 6, activation = "relu" }, { type = "dense" }]
        optimizer = { name = "sgd", momentum = 0.9 }
        train.batch_size = 16"#;
    let mut data = classes(100, 13, 3);
    // Every batch has rows of both blocks.
    data.split.train = (0..36).flat_map(|row| [row, 64 + row]).collect();
    Subject { max_binding: 4 << 10, ..Subject::new(run, data) }
}

fn everywhere(on: On, fault: Fault) -> Result<(), Failed> {
    for (subject, least) in [(dense(), 50), (gathered(), 20)] {
        let mut scene = Scene::new(subject, on)?;
        scene.report(Fault::Scale(1.0), scene.places()[0])?.verdict("without a fault")?;
        let mut places = scene.places();
        ensure(places.len() >= least, || format!("{} places to spoil", places.len()))?;
        if fault == Fault::Skip {
            places.dedup_by_key(|place| (place.phase, place.step));
        }
        for place in places {
            scene.must_find(fault, place)?;
        }
    }
    Ok(())
}

fn long_sums(on: On) -> Result<(), Failed> {
    let run = r#"
        model.layers = [{ type = "dense", units = 8, activation = "identity" }, { type = "dense" }]
        train.batch_size = 4096"#;
    let mut features = Scene::new(Subject::new(run, classes(20, 4096, 3)), on)?;
    let mut rows = Scene::new(Subject::new(run, classes(4096, 5, 3)), on)?;
    for factor in [1.001, 0.999] {
        features.must_find(Fault::Scale(factor), features.place("dense layers.0", "layers.0.output"))?;
        rows.must_find(Fault::Scale(factor), rows.place("dense_grad layers.0", "dlayers.0.weight"))?;
        rows.must_find(Fault::Scale(factor), rows.place("dense_grad layers.1", "dlayers.1.bias"))?;
    }
    Ok(())
}

fn stale_rows(on: On) -> Result<(), Failed> {
    let mut scene = Scene::new(gathered(), on)?;
    // With one batch, the training phase leaves exactly the rows that the evaluation phase has to copy.
    scene.batches.truncate(1);
    let copies: Vec<Place> =
        scene.places().into_iter().filter(|place| place.phase == Phase::Evaluate).take(2).collect();
    for place in copies {
        scene.must_find(Fault::Skip, place)?;
    }
    Ok(())
}

fn short_reads(on: On) -> Result<(), Failed> {
    let mut scene = Scene::new(dense(), on)?;
    let place = scene.place("loss cross_entropy", "dlayers.3.sum");
    let report = scene.report(Fault::ShortRead, place);
    // It is also an input of the next step; that it cannot be copied may end everything.
    let Ok(report) = report else { return Ok(()) };
    let first = report.failures().next().ok_or("a missing number passed")?;
    ensure(first.tensor == "dlayers.3.sum" && first.failure.as_ref().is_some_and(|f| f.device.is_nan()), || {
        format!("the missing number is found as {first:?}")
    })
}

fn idle(on: On) -> Result<(), Failed> {
    let mut scene = Scene::new(dense(), on)?;
    let place = scene.places()[0];
    let report = scene.report(Fault::Idle, place)?;
    let message = report.verdict("this device").err().ok_or("a device that does nothing passed")?.to_string();
    let want = "this device: `dense layers.0` wrote wrong numbers to layers.0.output: 144 of 144 numbers are outside";
    ensure(message.starts_with(want), || message.clone())?;
    // What a step leaves as it is, idleness leaves right: in evaluation, the statistics.
    let right = report.comparisons.iter().filter(|c| c.failure.is_none());
    let missed: Vec<_> = right.filter(|c| c.phase == "train" || !c.step.starts_with("batch_norm")).collect();
    ensure(missed.is_empty(), || format!("what was not done passed: {missed:?}"))
}

/// As an executor reports it; that the executors find it is tested beside them.
struct Overwritten<'a>(Saboteur<'a>);

impl Executor for Overwritten<'_> {
    fn info(&self) -> &DeviceInfo {
        self.0.info()
    }
    fn plan(&self) -> &Plan {
        self.0.plan()
    }
    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> wgrad::Result<()> {
        self.0.write(tensor, first, values)
    }
    fn read_into(&mut self, tensor: TensorId, rows: Range<usize>, values: &mut Vec<f32>) -> wgrad::Result<()> {
        self.0.read_into(tensor, rows, values)
    }
    fn run(&mut self, phase: Phase, batches: &[Batch]) -> wgrad::Result<()> {
        self.0.run(phase, batches)
    }
    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> wgrad::Result<()> {
        self.0.run_step(phase, step, batch)
    }
    fn wait(&mut self) -> wgrad::Result<()> {
        self.0.wait()
    }
    fn counts(&self) -> Counts {
        self.0.counts()
    }
    fn overwritten(&mut self) -> wgrad::Result<Vec<String>> {
        Ok(vec!["layers.2.output".to_owned()])
    }
}

fn overwritten(on: On) -> Result<(), Failed> {
    let mut scene = Scene::new(dense(), on)?;
    scene.subject.load(scene.executor.as_mut())?;
    let place = scene.places()[0];
    let harmless = Saboteur { inner: scene.executor.as_mut(), fault: Fault::Scale(1.0), place, done: false };
    let report = verify::verify(&mut Overwritten(harmless), &mut scene.reference, &scene.batches)?;
    ensure(report.failures().next().is_none() && !report.passed(), || "an overwritten place passed".into())?;
    let error = report.verdict("this device").err().ok_or("an overwritten place passed")?;
    let want = "this device: something was written past the end of layers.2.output; ";
    ensure(error.exit_code() == 7 && error.to_string().starts_with(want), || error.to_string())
}

fn no_batch(on: On) -> Result<(), Failed> {
    let mut scene = Scene::new(dense(), on)?;
    scene.batches.clear();
    let report = scene.report(Fault::Idle, scene.places()[0])?;
    let error = report.verdict("this device").err().ok_or("nothing passed as something")?;
    ensure(error.exit_code() == 7 && error.to_string().starts_with("this device: nothing was compared; "), || {
        error.to_string()
    })
}
