//! A data set that is larger than one binding lies on the device in blocks; the network must not notice.

use libtest_mimic::Failed;
use wgrad::data::Dataset;
use wgrad::model::tracked::UNIT_ROUNDOFF;
use wgrad::plan::Phase;

use crate::subject::{Each, On, Subject, as_bytes, classes, ensure, split};
use crate::train;

pub const EACH: &[(&str, Each)] = &[
    ("blocks_of_numbers_train_to_the_bits_of_one_block", |on| same_bits(on, split(classes(700, 20, 10), 6, 1, 0), 4)),
    ("blocks_of_bytes_train_to_the_bits_of_one_block", |on| {
        same_bits(on, as_bytes(split(classes(700, 61, 10), 6, 1, 0)), 3)
    }),
];

/// Bytes of one binding: also too few for the results of all training rows, so that an epoch comes in parts.
const SMALL: u64 = 16 << 10;

fn same_bits(on: On, data: Dataset, blocks: usize) -> Result<(), Failed> {
    let run = r#"
        [model]
        layers = [{ type = "dense", units = 21, activation = "relu" }, { type = "dense" }]
        [train]
        epochs = 3
        batch_size = 32"#;
    let mut subject = Subject::new(run, data);
    let whole = train(&subject, on)?;
    subject.max_binding = SMALL;
    let plan = subject.plan()?;
    let gathers = |phase| plan.steps(phase).iter().filter(|step| step.op.name() == "gather").count();
    let named = (0..blocks).all(|block| plan.find(&format!("features.{block}")).is_some());
    ensure(named && [plan.features.len(), gathers(Phase::Train), gathers(Phase::Evaluate)] == [blocks; 3], || {
        format!("{blocks} blocks were expected:\n{plan}")
    })?;
    ensure(plan.window < subject.data.split.train.len(), || format!("{} results fit one binding", plan.window))?;
    let blocks = train(&subject, on)?;
    ensure(blocks.weights == whole.weights, || "blocks train to other weights".into())?;
    for (a, b) in blocks.epochs.iter().zip(&whole.epochs) {
        ensure((a.train_loss, &a.metrics) == (b.train_loss, &b.metrics), || format!("{a:?} is not {b:?}"))?;
        // Evaluation takes smaller batches here, and 1/rows, times the rows, is 1 to two roundings only.
        let (a, b) = (a.validation_loss.unwrap_or(f64::NAN), b.validation_loss.unwrap_or(f64::NAN));
        ensure((a - b).abs() <= 2.0 * UNIT_ROUNDOFF * b, || format!("the validation loss is {a}, in one block {b}"))?;
    }
    ensure(blocks.epochs.len() == 3 && whole.epochs.len() == 3, || "an epoch is missing".into())
}
