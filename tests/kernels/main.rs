//! Every kernel against the CPU reference: all rows of the tables, all shapes, both classes of device, with and without
//! the device's own bounds checks. `sabotage` proves that the comparison can fail.

#[path = "../support/bench.rs"]
mod bench;
#[path = "../support/device.rs"]
mod device;
#[path = "../support/require.rs"]
mod require;

mod batch_norm;
mod dense;
mod dense_grad;
mod large;
mod loss;
mod rows;
mod sabotage;
mod update;

use libtest_mimic::Failed;
use wgrad::gpu::{Device, Options};
use wgrad::model::activations::{ACTIVATIONS, Activation};
use wgrad::ops::Class;
use wgrad::ops::GpuTiles;
use wgrad::ops::edge::Drop;

use bench::{Bench, Tally};
use device::Test;

/// How many of the shapes a bench holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Full,
    /// Every ninth.
    Small,
}

impl Size {
    /// The chosen ones of all shapes.
    fn choose<S>(self, all: Vec<S>) -> Vec<S> {
        let step = if self == Size::Full { 1 } else { 9 };
        all.into_iter().step_by(step).collect()
    }
}

/// Every activation without and with dropout; of the small size three that differ in all that changes a kernel.
fn activations(size: Size) -> Vec<(&'static Activation, Option<Drop>)> {
    let all = ACTIVATIONS.iter().flat_map(|&row| [(row, None), (row, Some(dense::DROP))]);
    // Compiling takes most of the time here: identity, tanh with dropout and gelu are enough twice.
    all.step_by(if size == Size::Full { 1 } else { 7 }).collect()
}

/// Every combination of three sizes.
fn shapes(a: &[usize], b: &[usize], c: &[usize]) -> Vec<(usize, usize, usize)> {
    let pairs = a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b)));
    pairs.flat_map(|(a, b)| c.iter().map(move |&c| (a, b, c))).collect()
}

/// Runs a bench for every class of device and all tiles of GPUs, checked and unchecked: all of it on what this machine's
/// adapter runs in earnest, a part of it elsewhere.
fn all_classes(device: &Device, build: impl Fn(Size, GpuTiles) -> Bench) -> Result<(), Failed> {
    let of_class = |class| if class == Class::Hardware { &GpuTiles::ALL[..] } else { &GpuTiles::ALL[..1] };
    let all = |size, class, checked| {
        of_class(class).iter().try_for_each(|&tiles| run(device, build(size, tiles), class, checked).map(|_| ()))
    };
    all(Size::Full, device.class(), false)?;
    all(Size::Small, device.class(), true)?;
    for class in [Class::Software, Class::Hardware, Class::Tiny].into_iter().filter(|&class| class != device.class()) {
        all(Size::Small, class, false)?;
    }
    all(Size::Small, Class::Hardware, true)?;
    all(Size::Small, Class::Tiny, true)
}

/// As [`all_classes`] for an op without products: its kernels differ only in how numbers lie in memory.
fn one_tile(device: &Device, build: impl Fn(Size) -> Bench) -> Result<(), Failed> {
    run(device, build(Size::Full), device.class(), false)?;
    run(device, build(Size::Small), device.class(), true)?;
    if device.class() != Class::Hardware {
        run(device, build(Size::Small), Class::Hardware, false)?;
    }
    Ok(())
}

fn run(device: &Device, bench: Bench, class: Class, checked: bool) -> Result<Tally, Failed> {
    let tally = bench.run(device, Options { checked, class: Some(class), ..Options::default() })?;
    if tally.steps == 0 || tally.steps != bench.steps() {
        return Err(format!("{} of {} steps ran", tally.steps, bench.steps()).into());
    }
    // Bounds that let everything pass would prove nothing.
    if tally.sharp * 2 < tally.elements {
        return Err(format!("an error of a thousandth could hide in too many elements: {tally:?}").into());
    }
    Ok(tally)
}

fn main() {
    let tests: [&[(&str, Test)]; 8] = [
        dense::TESTS,
        dense_grad::TESTS,
        loss::TESTS,
        update::TESTS,
        batch_norm::TESTS,
        rows::TESTS,
        large::TESTS,
        sabotage::TESTS,
    ];
    device::main(tests.concat().into_iter().map(|(name, test)| (name.to_owned(), test)).collect(), Vec::new())
}
