//! A number that goes wrong is found: the step, the layer and the tensor where it began, on the device and on the CPU.

use std::ops::{ControlFlow, Range};

use libtest_mimic::Failed;
use wgrad::cpu::CpuExecutor;
use wgrad::ops::{Access, Batch, Region, TensorId};
use wgrad::plan::{Counts, DeviceInfo, Executor, Phase, Plan, Values};
use wgrad::train::Trainer;

use crate::subject::{Each, On, Subject, classes, ensure, regression, split};

pub const EACH: &[(&str, Each)] = &[
    ("a_nan_is_named_with_its_step_wherever_it_begins", |on| everywhere(on, f32::NAN)),
    ("an_infinity_is_named_with_its_step_wherever_it_begins", |on| everywhere(on, f32::NEG_INFINITY)),
    ("what_a_repetition_does_not_show_is_said_to_be_the_devices", transient),
    ("networks_that_overflow_by_themselves_are_told_from_faulty_devices", by_themselves),
    ("the_last_good_state_is_kept_and_finite", kept),
];

/// A device that puts a number into a tensor after one op of one training step.
struct Spoiler<'a> {
    inner: Box<dyn Executor + 'a>,
    value: f32,
    step: usize,
    tensor: TensorId,
    counter: u32,
    /// How often still.
    left: usize,
}

impl Spoiler<'_> {
    fn op(&mut self, phase: Phase, step: usize, batch: &Batch) -> wgrad::Result<()> {
        self.inner.run_step(phase, step, batch)?;
        if phase != Phase::Train || step != self.step || batch.counter != self.counter || self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let tensor = self.inner.plan().tensor(self.tensor);
        let (columns, all) = (tensor.columns, tensor.rows);
        let rows = match self.inner.plan().train[step].op.written(self.tensor, batch) {
            Region::All => 0..all,
            Region::Rows(rows) => rows,
        };
        self.inner.write(self.tensor, rows.start, Values::F32(&vec![self.value; rows.len() * columns]))
    }
}

impl Executor for Spoiler<'_> {
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
        self.inner.read_into(tensor, rows, values)
    }
    fn run(&mut self, phase: Phase, batches: &[Batch]) -> wgrad::Result<()> {
        for batch in batches {
            (0..self.inner.plan().steps(phase).len()).try_for_each(|step| self.op(phase, step, batch))?;
        }
        Ok(())
    }
    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> wgrad::Result<()> {
        self.op(phase, step, batch)
    }
    fn wait(&mut self) -> wgrad::Result<()> {
        self.inner.wait()
    }
    fn counts(&self) -> Counts {
        self.inner.counts()
    }
}

/// Four steps an epoch.
fn subject() -> Subject {
    let layers = "[model]\nlayers = [{ type = \"dense\", units = 6, activation = \"tanh\" }, { type = \"batch_norm\" },
        { type = \"dropout\", rate = 0.1 }, { type = \"dense\", units = 5, activation = \"sigmoid\" }, { type = \"dense\" }]
        [train]\nepochs = 4\nbatch_size = 32\n[regularization]\nclip_norm = 1.0\n";
    Subject::new(layers, split(classes(128, 5, 3), 1, 0, 0))
}

/// The sixth step is the second of the second epoch.
const COUNTER: u32 = 5;

/// Trains with the fault and gives what is said of it.
fn said(subject: &Subject, on: On, fault: (usize, TensorId, f32), often: usize, save: bool) -> Result<String, Failed> {
    let (step, tensor, value) = fault;
    let spoiler = Spoiler { inner: subject.executor(on)?, value, step, tensor, counter: COUNTER, left: often };
    let mut trainer = Trainer::new(&subject.config, &subject.data, Box::new(spoiler)).map_err(|(_, error)| error)?;
    if save {
        trainer.epoch()?;
        trainer.state()?;
    }
    let error = match trainer.fit(&mut |_| ControlFlow::Continue(())) {
        Err(error) => error,
        Ok(_) => return Err(format!("{value} in {} was not noticed", subject.plan()?.tensor(tensor).name).into()),
    };
    ensure(error.exit_code() == 4, || error.to_string())?;
    let mut reference = CpuExecutor::<f32>::new(subject.plan()?, 1)?;
    Ok(trainer.explain(error, Some(&mut reference)).to_string())
}

fn everywhere(on: On, value: f32) -> Result<(), Failed> {
    let subject = subject();
    let plan = subject.plan()?;
    let mut causes = 0;
    for (i, step) in plan.train.iter().enumerate() {
        let written = step.op.arguments().into_iter().filter(|argument| argument.access != Access::Read);
        for tensor in written.flat_map(|argument| plan.bound(argument.binding)) {
            // From the start, and from a state that was taken after the first epoch.
            let message = said(&subject, on, (i, tensor, value), usize::MAX, causes % 2 == 0)?;
            let name = &plan.tensor(tensor).name;
            let expected = format!(
                "the first is in epoch 2, step 2: `{}` wrote it to {name}, but the CPU path does not",
                step.label
            );
            ensure(message.contains(&expected), || format!("{message}\nlacks: {expected}"))?;
            causes += 1;
        }
    }
    println!("    {causes} places");
    ensure(causes >= 20, || format!("only {causes} places"))
}

fn transient(on: On) -> Result<(), Failed> {
    let subject = subject();
    let plan = subject.plan()?;
    let tensor = plan.find("layers.0.weight").ok_or("there is no such tensor")?;
    let message = said(&subject, on, (plan.train.len() - 1, tensor, f32::NAN), 1, false)?;
    ensure(message.contains("finite numbers when they were repeated") && message.contains("wgrad verify"), || message)
}

/// Each with the words that must be in what is said.
fn by_themselves(on: On) -> Result<(), Failed> {
    let dense = "{ type = \"dense\" }]";
    let causes = [
        ("lr", format!("[model]\nlayers = [{dense}\n[optimizer]\nname = \"sgd\"\nlearning_rate = 1e30"), "loss mse"),
        (
            "momentum",
            format!("[model]\nlayers = [{dense}\n[optimizer]\nname = \"sgd\"\nlearning_rate = 1e19\nmomentum = 0.99"),
            "loss mse",
        ),
        (
            "exp",
            format!(
                "[model]\nlayers = [{{ type = \"dense\", units = 4, activation = \"exp\", init = \"normal\", scale = 500.0 }}, {dense}"
            ),
            "loss mse",
        ),
        (
            "weights",
            "[model]\nlayers = [{ type = \"dense\", units = 4, init = \"normal\", scale = 1e30 }, { type = \"dense\", init = \"normal\", scale = 1e30 }]".to_owned(),
            "dense layers.1",
        ),
        (
            "penalty",
            format!(
                "[model]\nlayers = [{dense}\n[regularization]\nl2 = 1e38\n[optimizer]\nname = \"sgd\"\nlearning_rate = 1e20"
            ),
            "update",
        ),
    ];
    for (name, run, op) in causes {
        let run = format!("{run}\n[train]\nepochs = 20\nbatch_size = 16");
        let subject = Subject::new(&run, split(regression(64, 3, 1), 3, 1, 0));
        let mut trainer = crate::trainer(&subject, on)?;
        let error = match trainer.fit(&mut |_| ControlFlow::Continue(())) {
            Err(error) => error,
            Ok(end) => return Err(format!("{name}: it ended with {end:?}").into()),
        };
        let mut reference = CpuExecutor::<f32>::new(subject.plan()?, 1)?;
        let message = trainer.explain(error, Some(&mut reference)).to_string();
        let words = ["the first is in epoch ", op, "so does the CPU path", "; try "];
        let has = words.iter().all(|word| message.contains(word));
        ensure(has, || format!("{name}: {message}"))?;
    }
    Ok(())
}

fn kept(on: On) -> Result<(), Failed> {
    let subject = subject();
    let plan = subject.plan()?;
    let tensor = plan.find("layers.0.weight").ok_or("there is no such tensor")?;
    let spoiler = Spoiler {
        inner: subject.executor(on)?,
        value: f32::NAN,
        step: plan.train.len() - 1,
        tensor,
        counter: COUNTER,
        left: usize::MAX,
    };
    let mut trainer = Trainer::new(&subject.config, &subject.data, Box::new(spoiler)).map_err(|(_, error)| error)?;
    trainer.epoch()?;
    let good = trainer.state()?.clone();
    let _ = trainer.epoch();
    ensure(trainer.state().is_err(), || "a state with NaN was taken".into())?;
    ensure(trainer.good_state() == Some(&good), || "the last good state is lost".into())
}
