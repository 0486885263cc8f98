//! The layers that behave differently in training and in evaluation: dropout and batch norm.

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::ops::{Batch, TensorId};
use wgrad::plan::{Executor, Phase};

use crate::device::Test;
use crate::subject::{Each, On, Subject, classes, ensure, split};

pub const EACH: &[(&str, Each)] = &[
    ("dropout_leaves_evaluation_alone", evaluation_without_dropout),
    ("dropout_drops_each_unit_at_its_rate_and_scales_the_others", rate),
    ("batch_norm_averages_the_statistics_of_its_batches_and_evaluates_with_them", running_statistics),
];

pub const GPU: &[(&str, Test)] = &[("dropout_drops_the_units_that_the_cpu_drops", same_mask)];

/// A network whose units are never 0 by themselves.
fn with_dropout(rate: f64) -> Subject {
    let run = format!(
        "[model]\nlayers = [
            {{ type = \"dense\", units = 19, activation = \"sigmoid\" }},
            {{ type = \"dropout\", rate = {rate} }},
            {{ type = \"dense\" }}]"
    );
    Subject::new(&run, split(classes(64, 5, 3), 1, 0, 0))
}

fn loaded(subject: &Subject, on: On) -> Result<Box<dyn Executor>, Failed> {
    let mut executor = subject.executor(on)?;
    subject.load(executor.as_mut())?;
    Ok(executor)
}

fn find(executor: &dyn Executor, name: &str) -> Result<TensorId, Failed> {
    executor.plan().find(name).ok_or_else(|| format!("there is no {name}").into())
}

fn run_all(executor: &mut dyn Executor, phase: Phase, batch: &Batch) -> Result<(), Failed> {
    Ok(executor.run(phase, std::slice::from_ref(batch))?)
}

fn evaluation_without_dropout(on: On) -> Result<(), Failed> {
    let mut answers = Vec::new();
    for rate in [0.0, 0.5, 0.5] {
        let subject = with_dropout(rate);
        let mut executor = loaded(&subject, on)?;
        // Another counter each time: what is not random does not depend on it.
        run_all(executor.as_mut(), Phase::Evaluate, &subject.batch(0, 64, answers.len() as u32)?)?;
        let predictions = executor.plan().predictions;
        answers.push(executor.read(predictions, 0..64)?);
    }
    ensure(answers[0].iter().all(|p| (0.0..1.0).contains(p)), || "these are no probabilities".into())?;
    ensure(answers[0] == answers[1] && answers[1] == answers[2], || "evaluation depends on dropout".into())
}

/// What the first layer gives in training, for several steps.
fn dropped(subject: &Subject, on: On, steps: u32) -> Result<Vec<Vec<f32>>, Failed> {
    let mut executor = loaded(subject, on)?;
    let output = find(executor.as_ref(), "layers.0.output")?;
    let mut outputs = Vec::new();
    for step in 0..steps {
        executor.run_step(Phase::Train, 0, &subject.batch(0, 64, step)?)?;
        outputs.push(executor.read(output, 0..64)?);
    }
    Ok(outputs)
}

fn rate(on: On) -> Result<(), Failed> {
    let (steps, rate) = (50, 0.3);
    let plain = dropped(&with_dropout(0.0), on, 1)?.remove(0);
    let outputs = dropped(&with_dropout(rate), on, steps)?;
    for unit in 0..19 {
        let values = outputs.iter().flat_map(|output| output.iter().skip(unit).step_by(19));
        let share = values.filter(|&&y| y == 0.0).count() as f64 / f64::from(64 * steps);
        // Five standard deviations of 3200 draws.
        ensure((share - rate).abs() < 0.041, || format!("{share} of unit {unit} are dropped, {rate} should be"))?;
    }
    for (i, (&y, &plain)) in outputs.iter().flat_map(|output| output.iter().zip(&plain)).enumerate() {
        let kept = plain / (1.0 - rate as f32);
        ensure(y == 0.0 || (y - kept).abs() <= 1e-6 * kept, || format!("unit {i} is {y}, without dropout {plain}"))?;
    }
    ensure(outputs[0] != outputs[1], || "two steps drop the same units".into())
}

fn same_mask(device: &Device) -> Result<(), Failed> {
    let mask = |on| -> Result<Vec<bool>, Failed> {
        Ok(dropped(&with_dropout(0.3), on, 10)?.concat().iter().map(|&y| y == 0.0).collect())
    };
    let (cpu, gpu) = (mask(On::Cpu(1))?, mask(On::Gpu(device))?);
    ensure(cpu.contains(&true) && cpu.contains(&false), || "nothing is dropped, or everything".into())?;
    ensure(cpu == gpu, || "the device drops other units than the CPU".into())
}

const UNITS: usize = 6;
const MOMENTUM: f64 = 0.2;

fn running_statistics(on: On) -> Result<(), Failed> {
    let run = format!(
        "[model]\nlayers = [
            {{ type = \"dense\", units = {UNITS}, activation = \"tanh\" }},
            {{ type = \"batch_norm\", momentum = {MOMENTUM}, epsilon = 1e-3 }},
            {{ type = \"dense\" }}]"
    );
    let subject = Subject::new(&run, split(classes(25, 4, 3), 1, 0, 0));
    let mut executor = loaded(&subject, on)?;
    let id = |name: &str| find(executor.as_ref(), name);
    let (input, output) = (id("layers.0.output")?, id("layers.1.output")?);
    let (running_mean, running_variance) = (id("layers.1.running_mean")?, id("layers.1.running_var")?);
    let (weight, bias) = (id("layers.1.weight")?, id("layers.1.bias")?);
    let (mut mean, mut variance) = ([0.0; UNITS], [1.0; UNITS]);
    for (step, first) in (0..25).step_by(8).enumerate() {
        let count = 8.min(25 - first);
        run_all(executor.as_mut(), Phase::Train, &subject.batch(first, count, step as u32)?)?;
        let x = executor.read(input, 0..count)?;
        // A batch of one row has no variance and leaves the statistics as they are.
        for unit in (0..UNITS).filter(|_| count > 1) {
            let column: Vec<f64> = x.iter().skip(unit).step_by(UNITS).map(|&x| f64::from(x)).collect();
            let average = column.iter().sum::<f64>() / count as f64;
            let squares = column.iter().map(|x| (x - average).powi(2)).sum::<f64>();
            mean[unit] += MOMENTUM * (average - mean[unit]);
            variance[unit] += MOMENTUM * (squares / (count - 1) as f64 - variance[unit]);
        }
    }
    let close = |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-5 * want.abs().max(0.1);
    let (got_mean, got_variance) = (executor.read(running_mean, 0..1)?, executor.read(running_variance, 0..1)?);
    for unit in 0..UNITS {
        let (m, v) = (got_mean[unit], got_variance[unit]);
        ensure(close(m, mean[unit]), || format!("the running mean of {unit} is {m}, by hand {}", mean[unit]))?;
        ensure(close(v, variance[unit]), || format!("the variance of {unit} is {v}, by hand {}", variance[unit]))?;
    }
    run_all(executor.as_mut(), Phase::Evaluate, &subject.batch(3, 20, 9)?)?;
    let (x, y) = (executor.read(input, 0..20)?, executor.read(output, 0..20)?);
    let (weight, bias) = (executor.read(weight, 0..1)?, executor.read(bias, 0..1)?);
    for (i, (&x, &y)) in x.iter().zip(&y).enumerate() {
        let unit = i % UNITS;
        let normalised = (f64::from(x) - mean[unit]) / (variance[unit] + 1e-3).sqrt();
        let want = normalised * f64::from(weight[unit]) + f64::from(bias[unit]);
        ensure(close(y, want), || format!("evaluation gives {y} for {x}, by hand {want}"))?;
    }
    ensure(executor.read(running_mean, 0..1)? == got_mean, || "evaluation changes the running mean".into())
}
