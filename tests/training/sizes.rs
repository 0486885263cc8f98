//! Awkward numbers of rows and every kind of layer: a device trains them to the weights of the CPU path.

use libtest_mimic::Failed;
use wgrad::data::Dataset;
use wgrad::gpu::Device;

use crate::device::Test;
use crate::subject::{On, Subject, as_bytes, binary, classes, ensure, regression};
use crate::train;

pub const GPU: &[(&str, Test)] = &[
    ("a_short_last_batch_trains_as_on_the_cpu", |device| agree(device, 8, classes(37, 5, 3))),
    ("a_last_batch_of_one_row_trains_as_on_the_cpu", |device| agree(device, 9, classes(37, 5, 3))),
    ("a_batch_larger_than_the_rows_trains_as_on_the_cpu", |device| agree(device, 4096, classes(37, 5, 3))),
    ("batches_of_one_row_train_as_on_the_cpu", |device| agree(device, 1, classes(37, 5, 3))),
    ("a_single_row_trains_as_on_the_cpu", |device| agree(device, 64, classes(1, 5, 3))),
    ("a_single_column_and_two_classes_train_as_on_the_cpu", |device| agree(device, 8, binary(37, 1))),
    ("several_targets_train_as_on_the_cpu", |device| agree(device, 8, regression(37, 5, 3))),
    ("bytes_train_as_on_the_cpu", |device| agree(device, 8, as_bytes(classes(37, 5, 3)))),
];

/// Smooth activations and a plain optimizer: a kink, or Adam's division by a gradient that is all rounding, would
/// make more of a difference than there is.
const NETWORKS: [(&str, &str); 4] = [
    ("dense", r#"{ type = "dense", units = 13, activation = "tanh" }, { type = "dense" }"#),
    (
        "batch norm",
        r#"{ type = "dense", units = 13, activation = "silu" }, { type = "batch_norm" },
           { type = "dense", units = 6, activation = "sigmoid" }, { type = "dense" }"#,
    ),
    (
        "dropout",
        r#"{ type = "dropout", rate = 0.1 }, { type = "dense", units = 13, activation = "tanh" },
           { type = "dropout", rate = 0.4 }, { type = "dense" }"#,
    ),
    (
        "dropout behind batch norm",
        r#"{ type = "dense", units = 13, activation = "gelu", bias = false }, { type = "batch_norm" },
           { type = "dropout", rate = 0.4 }, { type = "dense" }"#,
    ),
];

fn agree(device: &Device, batch_size: usize, data: Dataset) -> Result<(), Failed> {
    for (name, layers) in NETWORKS {
        let run = format!(
            "[model]\nlayers = [{layers}]
            [optimizer]\nname = \"sgd\"\nlearning_rate = 0.05\nmomentum = 0.5
            [train]\nepochs = 6\nbatch_size = {batch_size}"
        );
        let subject = Subject::new(&run, data.clone());
        let (cpu, gpu) = (train(&subject, On::Cpu(1))?, train(&subject, On::Gpu(device))?);
        let (distance, tensor) = gpu.distance(&cpu);
        ensure(distance <= 1e-3, || format!("{name}: {tensor} is {distance:.1e} of its rms away from the CPU's"))?;
        for (cpu, gpu) in cpu.epochs.iter().zip(&gpu.epochs) {
            let off = (cpu.train_loss - gpu.train_loss).abs() / cpu.train_loss;
            ensure(off <= 1e-3, || format!("{name}: the loss is {} on the CPU, {}", cpu.train_loss, gpu.train_loss))?;
        }
        ensure(cpu.epochs.len() == 6 && gpu.epochs.len() == 6, || format!("{name}: an epoch is missing"))?;
        let moved = untrained(&subject)?;
        ensure(moved > 0.05, || format!("{name}: training moved the weights by {moved} only"))?;
    }
    Ok(())
}

/// How far training moves the weights: if nowhere, that two devices agree says nothing.
fn untrained(subject: &Subject) -> Result<f64, Failed> {
    let first = Subject { config: subject.config.clone(), data: subject.data.clone(), ..*subject };
    let mut still = first;
    still.config.optimizer.learning_rate = 1e-30;
    Ok(train(subject, On::Cpu(1))?.distance(&train(&still, On::Cpu(1))?).0)
}
