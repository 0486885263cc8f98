//! Training through the library, on the CPU path and on this machine's adapter: that it learns, repeats itself to the
//! bit, moves no byte too many, and copes with every size of batch and data set.

#[path = "../support/archive.rs"]
mod archive;
#[path = "../support/device.rs"]
mod device;
#[path = "../support/memory.rs"]
mod memory;
#[path = "../support/require.rs"]
mod require;
#[path = "../support/subject.rs"]
mod subject;

mod blocks;
mod counts;
mod culprit;
mod cuts;
mod digits;
mod diverging;
mod finished;
mod joined;
mod large;
mod random_layers;
mod range_test;
mod ranges;
mod resume;
mod sizes;
mod soak;
mod windows;

use libtest_mimic::Failed;
use wgrad::train::{Epoch, Set, Trainer};

use subject::{On, Subject};

/// What a training ends with.
#[derive(Debug, PartialEq)]
struct Trained {
    /// By tensor, bits rather than numbers: NaN is equal to itself, and 0 is not -0.
    weights: Vec<(String, Vec<u32>)>,
    /// Without the time it took.
    epochs: Vec<Epoch>,
    test_accuracy: Option<f64>,
}

fn train(subject: &Subject, on: On) -> Result<Trained, Failed> {
    let mut trainer = trainer(subject, on)?;
    trainer.fit(&mut |_| std::ops::ControlFlow::Continue(()))?;
    let test_accuracy = trainer.evaluate(Set::Test)?.map(|test| test.metrics.headline().1);
    let epochs = trainer.history().iter().map(|epoch| Epoch { seconds: 0.0, ..epoch.clone() }).collect();
    let values = trainer.model_weights()?;
    let plan = trainer.executor().plan();
    let names = plan.model_tensors().into_iter().map(|id| plan.tensor(id).name.clone());
    let weights = names.zip(values.iter().map(|values| values.iter().map(|x| x.to_bits()).collect())).collect();
    Ok(Trained { weights, epochs, test_accuracy })
}

fn trainer<'a>(subject: &'a Subject, on: On) -> Result<Trainer<'a>, Failed> {
    Trainer::new(&subject.config, &subject.data, subject.executor(on)?)
        .map_err(|(key, error)| format!("{key}: {error}").into())
}

impl Trained {
    /// The largest difference of a weight, as a share of its tensor's root mean square, and the tensor's name.
    fn distance(&self, other: &Trained) -> (f64, String) {
        let mut largest = (0.0, String::new());
        for ((name, a), (_, b)) in self.weights.iter().zip(&other.weights) {
            let number = |bits: &u32| f64::from(f32::from_bits(*bits));
            let rms = (a.iter().map(|x| number(x).powi(2)).sum::<f64>() / a.len() as f64).sqrt().max(1e-3);
            for (a, b) in a.iter().zip(b) {
                let distance = (number(a) - number(b)).abs() / rms;
                // NaN is the largest of all, and stays it.
                if distance.is_nan() || distance > largest.0 {
                    largest = (distance, name.clone());
                }
            }
        }
        largest
    }
}

fn main() {
    let each = [
        counts::EACH,
        culprit::EACH,
        digits::EACH,
        blocks::EACH,
        diverging::EACH,
        finished::EACH,
        joined::EACH,
        random_layers::EACH,
        range_test::EACH,
        resume::EACH,
        windows::EACH,
        ranges::EACH,
        soak::EACH,
    ]
    .concat();
    let gpu = [counts::GPU, digits::GPU, sizes::GPU, random_layers::GPU, large::GPU, soak::GPU, joined::GPU, cuts::GPU]
        .concat();
    subject::main(&each, &gpu, digits::PLAIN)
}
