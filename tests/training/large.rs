//! Data sets of the sizes that people have, on a device whose bindings end at 128 MiB.

use std::io::{BufWriter, Write};
use std::path::Path;

use libtest_mimic::Failed;
use wgrad::config::Config;
use wgrad::data::{self, Dataset, Features};
use wgrad::gpu::Device;
use wgrad::model::random::counter_based;

use crate::device::Test;
use crate::subject::{On, Subject, ensure};
use crate::trainer;

pub const GPU: &[(&str, Test)] =
    &[("a_table_of_200_mb_trains_across_two_bindings", table), ("a_folder_of_60000_images_trains", images)];

/// The limit of the smallest devices that wgpu runs on.
const BINDING: u64 = 128 << 20;

/// Trains a few epochs, after the first of which the loss must fall and fall.
fn learns(device: &Device, subject: &Subject, epochs: usize) -> Result<(), Failed> {
    let mut trainer = trainer(subject, On::Gpu(device))?;
    let losses = (0..epochs).map(|_| Ok(trainer.epoch()?.train_loss)).collect::<Result<Vec<f64>, Failed>>()?;
    let falls = losses.windows(2).all(|pair| pair[1] < pair[0]) && losses[epochs - 1] < 0.8 * losses[0];
    println!("    losses {losses:.3?}, peak memory {}", peak_memory());
    ensure(falls, || format!("the loss does not fall: {losses:?}"))
}

/// Linux says it; elsewhere it stays unknown.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or_else(|| "unknown".into(), |kb| kb.trim().into())
}

fn table(device: &Device) -> Result<(), Failed> {
    let (rows, columns, classes) = (500_000, 100, 4);
    let class = |row: usize| row / 3 % classes;
    let mut features = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        // A generator of its own would take longer than the training.
        let mut state = row as u32 * 747_796_405 + 1;
        features.extend((0..columns).map(|column| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0 + f32::from(u8::from(column % classes == class(row)))
        }));
    }
    let targets = (0..rows).map(|row| class(row) as f32).collect();
    let mut data = Dataset::of_classes("large", features, columns, targets, classes)?;
    ensure(rows as u64 * columns as u64 * 4 > BINDING, || "the table fits one binding".into())?;
    // A part of the rows, but of all blocks.
    data.split.train = (0..rows as u32).step_by(50).collect();
    let run = "[model]\nlayers = [{ type = \"dense\", units = 16, activation = \"relu\" }, { type = \"dense\" }]
        [train]\nbatch_size = 256";
    let subject = Subject { max_binding: device.max_binding().min(BINDING), ..Subject::new(run, data) };
    let blocks = subject.plan()?.features.len();
    ensure(blocks == 2, || format!("{blocks} blocks were not expected"))?;
    learns(device, &subject, 3)
}

fn images(device: &Device) -> Result<(), Failed> {
    let folder = std::env::temp_dir().join(format!("wgrad-images-{}", std::process::id()));
    let result = write_images(&folder, 60_000).and_then(|()| {
        let mut config = Config::default();
        config.data.source = Some(folder.display().to_string());
        Ok(data::load(&config.data, config.seed)?)
    });
    // The data are in memory now, or the test has failed.
    let _ = std::fs::remove_dir_all(&folder);
    let data = result?;
    let bytes = matches!(&data.features, Features::U8 { values, .. } if values.len() == 60_000 * 784);
    ensure(bytes && data.rows == 60_000, || format!("{} images were loaded", data.rows))?;
    let run = "[model]\nlayers = [{ type = \"dense\", units = 32, activation = \"relu\" }, { type = \"dense\" }]
        [train]\nbatch_size = 1024";
    let subject = Subject { max_binding: device.max_binding().min(BINDING), ..Subject::new(run, data) };
    let plan = subject.plan()?;
    ensure(plan.find("features").is_some(), || format!("47 MB were cut into blocks:\n{plan}"))?;
    learns(device, &subject, 2)
}

/// Ten patterns under noise, as MNIST's files have them.
fn write_images(folder: &Path, count: usize) -> Result<(), Failed> {
    let (side, classes) = (28, 10);
    std::fs::create_dir_all(folder)?;
    let create = |name: &str| std::fs::File::create(folder.join(name)).map(BufWriter::new);
    let (mut pixels, mut labels) = (create("train-images-idx3-ubyte")?, create("train-labels-idx1-ubyte")?);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    pixels.write_all(&words(&[0x0803, count as u32, side, side]))?;
    labels.write_all(&words(&[0x0801, count as u32]))?;
    for image in 0..count as u32 {
        let class = counter_based(image, 0, 0, 5) % classes;
        let mut state = image + 1;
        let row: Vec<u8> = (0..side * side)
            .map(|pixel| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let is_bright = counter_based(pixel, class, 0, 9) < u32::MAX / 5;
                (state >> 25) as u8 + if is_bright { 120 } else { 0 }
            })
            .collect();
        pixels.write_all(&row)?;
        labels.write_all(&[class as u8])?;
    }
    pixels.flush()?;
    Ok(labels.flush()?)
}
