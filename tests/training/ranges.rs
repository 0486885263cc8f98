//! Parameters that are more than one binding shows are updated range by range; a single tensor beyond it is refused.

use libtest_mimic::Failed;

use crate::subject::{Each, On, Subject, classes, ensure};
use crate::train;

pub const EACH: &[(&str, Each)] = &[
    ("parameters_beyond_one_binding_train_to_the_same_bits", |on| agree(on, "", 0.0)),
    // The norm's sums are grouped by ranges, so they round elsewhere.
    ("a_norm_that_is_clipped_over_several_ranges_is_one_norm", |on| agree(on, "clip_norm = 0.05", 1e-5)),
    ("a_tensor_beyond_one_binding_is_refused_with_its_size_and_the_limit", refused),
];

/// Bytes of one binding: room for one weight matrix of 40 × 40, not for two.
const SMALL: u64 = 8 << 10;

fn subject(clipping: &str) -> Subject {
    let run = format!(
        "[model]\nlayers = [
            {{ type = \"dense\", units = 40, activation = \"tanh\" }},
            {{ type = \"dense\", units = 40, activation = \"tanh\" }},
            {{ type = \"dense\", units = 40, activation = \"tanh\" }},
            {{ type = \"dense\" }}]
        [regularization]\nl2 = 1e-3\n{clipping}\n[train]\nepochs = 3\nbatch_size = 32"
    );
    Subject::new(&run, classes(330, 5, 3))
}

fn agree(on: On, clipping: &str, most: f64) -> Result<(), Failed> {
    let mut subject = subject(clipping);
    let whole = train(&subject, on)?;
    subject.max_binding = SMALL;
    let plan = subject.plan()?;
    let count = |name: &str| plan.train.iter().filter(|step| step.op.name() == name).count();
    let norms = if clipping.is_empty() { 0 } else { count("update") };
    ensure(count("update") >= 2 && count("norm") == norms, || format!("several ranges were expected:\n{plan}"))?;
    let ranges = train(&subject, on)?;
    let (distance, tensor) = ranges.distance(&whole);
    ensure(distance <= most, || format!("{tensor} is {distance:.1e} of its rms away from that of one range"))?;
    ensure(whole.epochs.len() == 3 && whole.weights.len() == 8, || "an epoch or a tensor is missing".into())
}

fn refused(_: On) -> Result<(), Failed> {
    let mut subject = subject("");
    subject.max_binding = 6_399;
    let error = subject.plan().err().ok_or("a tensor of 6400 bytes fits 6399")?;
    let words = ["layers.1.weight needs one binding of 6400 bytes (40 × 40 numbers), the device allows 6399"];
    let text = error.message().unwrap_or_default();
    ensure(words.iter().all(|word| text.contains(word)), || text.to_owned())?;
    subject.max_binding = 6_400;
    subject.plan().map(|_| ())
}
