//! The learning-rate range test on every device.

use libtest_mimic::Failed;
use wgrad::train::range_test::{RangeTest, Sweep};

use crate::subject::{Each, On, Subject, ensure, regression, split};
use crate::trainer;

pub const EACH: &[(&str, Each)] = &[
    ("a_range_test_repeats_itself_and_begins_with_the_loss_of_the_first_batch", repeats),
    ("a_range_test_ends_where_the_loss_blows_up", ends),
];

const RUN: &str = "[model]\nlayers = [{ type = \"dense\", units = 8, activation = \"tanh\" }, { type = \"dense\" }]
[train]\nbatch_size = 8";

fn run(text: &str, sweep: &Sweep, on: On) -> Result<RangeTest, Failed> {
    let subject = Subject::new(text, split(regression(40, 3, 1), 30, 10, 0));
    Ok(trainer(&subject, on)?.range_test(sweep)?)
}

fn repeats(on: On) -> Result<(), Failed> {
    // Thirty rows are four batches, the last one short: the sweep goes through several epochs.
    let sweep = Sweep { first: 1e-6, last: 1e-2, steps: 41 };
    let test = run(RUN, &sweep, on)?;
    ensure(test == run(RUN, &sweep, on)?, || "another run gave other points".into())?;
    ensure(test.points.len() == 41, || format!("{} points", test.points.len()))?;
    let rates = [0, 10, 40].map(|i| test.points[i].learning_rate);
    let near = rates.iter().zip([1e-6, 1e-5, 1e-2]).all(|(rate, wanted)| (rate / wanted - 1.0).abs() < 1e-9);
    ensure(near, || format!("{rates:?}"))?;
    // The first loss is measured before any update: that of an ordinary training's first batch.
    let subject = Subject::new(RUN, split(regression(40, 3, 1), 30, 10, 0));
    let mut ordinary = trainer(&subject, on)?;
    ordinary.epoch()?;
    let first = ordinary.state()?.start_loss;
    ensure(first == Some(test.points[0].loss), || format!("{first:?} and {}", test.points[0].loss))?;
    // Rates this small change next to nothing at first, and the rising ones bring the loss down.
    let (start, end) = (test.points[4].smoothed, test.points[40].smoothed);
    ensure(end < 0.99 * start, || format!("{start} to {end}"))
}

fn ends(on: On) -> Result<(), Failed> {
    let sweep = Sweep { first: 1e-4, last: 1e6, steps: 100 };
    let test = run(&format!("{RUN}\n[optimizer]\nname = \"sgd\""), &sweep, on)?;
    ensure(test.points.len() < 100, || "it ran to its end".into())?;
    ensure(test.points.iter().all(|point| point.loss.is_finite()), || "a loss is not finite".into())?;
    let best = test.points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
    let early = test
        .points
        .iter()
        .rev()
        .skip(1)
        .all(|point| point.smoothed <= 4.0 * best + 1e-9 || point.smoothed <= 4.0 * test.points[0].smoothed);
    ensure(early, || "it went on after four times the best".into())
}
