//! The built-in digits with the defaults: what everyone's first run is.

use std::sync::OnceLock;

use libtest_mimic::Failed;
use wgrad::config::Config;
use wgrad::data;
use wgrad::gpu::Device;

use crate::device::Test;
use crate::subject::{Each, On, Plain, Subject, ensure};
use crate::{Trained, train};

pub const EACH: &[(&str, Each)] = &[("the_same_seed_gives_the_same_bits_and_another_seed_gives_others", repeats)];

pub const GPU: &[(&str, Test)] = &[("digits_are_learnt_as_well_as_on_the_cpu", learns_as_the_cpu)];

pub const PLAIN: &[(&str, Plain)] =
    &[("cpu::digits_are_learnt", learns_on_the_cpu), ("cpu::the_number_of_threads_changes_no_bit", threads)];

/// Digits with a seed; everything else by default.
fn digits(seed: u64) -> Result<Subject, Failed> {
    let mut config = Config { seed, ..Config::default() };
    config.data.source = Some("digits".into());
    let data = data::load(&config.data, seed)?;
    Ok(Subject { config, data, max_binding: 1 << 27, window: None, options: Default::default() })
}

/// The mean test accuracy of seeds 1, 2 and 3.
fn accuracy(on: On) -> Result<f64, Failed> {
    let mut sum = 0.0;
    for seed in 1..=3 {
        sum += train(&digits(seed)?, on)?.test_accuracy.ok_or("digits have a test set")?;
    }
    Ok(sum / 3.0)
}

fn is_learnt(accuracy: f64) -> Result<(), Failed> {
    ensure((0.96..=1.0).contains(&accuracy), || format!("the mean test accuracy is {accuracy}"))
}

/// Computed once for both tests that look at it.
fn accuracy_on_the_cpu() -> Result<f64, Failed> {
    static ACCURACY: OnceLock<f64> = OnceLock::new();
    if ACCURACY.get().is_none() {
        // Tests run one after the other.
        let _ = ACCURACY.set(accuracy(On::Cpu(2))?);
    }
    Ok(*ACCURACY.get().ok_or("it was just computed")?)
}

fn learns_on_the_cpu() -> Result<(), Failed> {
    is_learnt(accuracy_on_the_cpu()?)
}

fn learns_as_the_cpu(device: &Device) -> Result<(), Failed> {
    let (cpu, gpu) = (accuracy_on_the_cpu()?, accuracy(On::Gpu(device))?);
    is_learnt(gpu)?;
    ensure((cpu - gpu).abs() < 0.01, || format!("the CPU reaches {cpu}, the device {gpu}"))
}

/// A few epochs of a seed.
fn short(seed: u64, on: On) -> Result<Trained, Failed> {
    let mut subject = digits(seed)?;
    subject.config.train.epochs = 4;
    train(&subject, on)
}

fn repeats(on: On) -> Result<(), Failed> {
    let (first, again, other) = (short(5, on)?, short(5, on)?, short(6, on)?);
    ensure(first.epochs.len() == 4 && first.weights.len() == 6, || "too little was trained to compare".into())?;
    ensure(first == again, || "two runs with one seed differ".into())?;
    for ((name, a), (_, b)) in first.weights.iter().zip(&other.weights) {
        ensure(a != b, || format!("{name} does not depend on the seed"))?;
    }
    ensure(first.epochs != other.epochs, || "the history does not depend on the seed".into())
}

fn threads() -> Result<(), Failed> {
    // Wide enough that the products are worth more than one thread.
    let mut subject = digits(5)?;
    subject.config.model.layers[0].units = Some(300);
    subject.config.model.layers[1].units = Some(200);
    subject.config.train.batch_size = 500;
    subject.config.train.epochs = 3;
    let one = train(&subject, On::Cpu(1))?;
    for threads in [2, 4] {
        let more = train(&subject, On::Cpu(threads))?;
        ensure(one == more, || format!("{threads} threads give other bits than one"))?;
    }
    Ok(())
}
