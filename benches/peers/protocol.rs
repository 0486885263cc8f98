//! What the Rust programs of the peer bench have in common: their flags, the rows they train on, how they are timed, and
//! the JSON line they print. The figures are taken as `wgrad bench` and pytorch.py take them. It knows no peer.
//!
//! Flags: `--layers 784-128-64-10 --batch-size 64 --steps 100 --mode NAME --weights FILE --data FILE`; the last two are
//! safetensors files, start weights as wgrad names them and rows (`x` f32, `y` i64), for the check that all train the same.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use serde_json::json;

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// What to train and how to time it.
pub struct Subject {
    pub layers: Vec<usize>,
    pub batch_size: usize,
    pub steps: usize,
    pub mode: String,
    /// Features, row by row.
    pub x: Vec<f32>,
    /// Classes.
    pub y: Vec<i64>,
    weights: Option<PathBuf>,
}

/// A layer's start weights: `[units, features]`, and a bias for each unit.
pub struct Layer {
    pub features: usize,
    pub units: usize,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

impl Layer {
    /// Its weights as `[features, units]`, as both peers keep them.
    pub fn transposed(&self) -> Vec<f32> {
        let at = |i: usize| self.weight[i % self.units * self.features + i / self.units];
        (0..self.weight.len()).map(at).collect()
    }
}

/// A network on its device.
pub trait Training {
    /// Trains so many steps, one batch after the other, and waits until the device is done.
    fn run(&mut self, steps: usize);
    /// Of the last step.
    fn loss(&mut self) -> f32;
}

/// Who is measured.
pub struct Peer<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub backend: &'a str,
}

const REPEATS: usize = 5;
const MOST_REPEATS: usize = 25;
const PATIENCE: Duration = Duration::from_secs(3);

impl Subject {
    /// `mode` where the flags name none.
    pub fn from_flags(mode: &str) -> Outcome<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let flag = |name: &str| words.iter().position(|word| word == name).and_then(|at| words.get(at + 1)).cloned();
        let number = |name: &str, usual: usize| flag(name).map_or(Ok(usual), |text| text.parse::<usize>());
        let layers = flag("--layers").unwrap_or_else(|| "784-128-64-10".to_owned());
        let layers = layers.split('-').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        let batch_size = number("--batch-size", 64)?;
        let (x, y) = match flag("--data") {
            Some(path) => rows_of(Path::new(&path))?,
            None => random_rows(&layers, batch_size),
        };
        let (steps, mode) = (number("--steps", 100)?, flag("--mode").unwrap_or_else(|| mode.to_owned()));
        Ok(Subject { layers, batch_size, steps, mode, x, y, weights: flag("--weights").map(PathBuf::from) })
    }

    /// Given ones, else He's, uniform.
    pub fn start(&self) -> Outcome<Vec<Layer>> {
        let file = self.weights.as_deref().map(std::fs::read).transpose()?;
        let file = file.as_deref().map(SafeTensors::deserialize).transpose()?;
        let mut random = random(1);
        let layer = |(index, sizes): (usize, &[usize])| -> Outcome<Layer> {
            let (features, units) = (sizes[0], sizes[1]);
            let bound = (6.0 / features as f32).sqrt();
            let (weight, bias) = match &file {
                Some(file) => {
                    (floats(file, &format!("layers.{index}.weight"))?, floats(file, &format!("layers.{index}.bias"))?)
                }
                None => ((0..units * features).map(|_| bound * random()).collect(), vec![0.0; units]),
            };
            Ok(Layer { features, units, weight, bias })
        };
        self.layers.windows(2).enumerate().map(layer).collect()
    }
}

fn floats(file: &SafeTensors, name: &str) -> Outcome<Vec<f32>> {
    let bytes = file.tensor(name)?.data().chunks_exact(4);
    Ok(bytes.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect())
}

fn rows_of(path: &Path) -> Outcome<(Vec<f32>, Vec<i64>)> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let targets = file.tensor("y")?;
    let targets = targets.data().chunks_exact(8).map(|bytes| Ok(i64::from_le_bytes(bytes.try_into()?)));
    Ok((floats(&file, "x")?, targets.collect::<Outcome<_>>()?))
}

/// Numbers in -1 … 1, the same each time.
fn random(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// As many rows as wgrad bench takes: four batches, at least a thousand rows, at most 64 MiB. Their deviation is 1.
fn random_rows(layers: &[usize], batch: usize) -> (Vec<f32>, Vec<i64>) {
    let most = ((16 << 20) / layers[0]).max(batch);
    let rows = (4 * batch).max(1024).min(most).div_ceil(batch) * batch;
    let mut random = random(2);
    let x = (0..rows * layers[0]).map(|_| 3_f32.sqrt() * random()).collect();
    let classes = layers[layers.len() - 1];
    (x, (0..rows).map(|_| ((random() + 1.0) / 2.0 * classes as f32) as i64 % classes as i64).collect())
}

/// Times a training and prints its line; `began` is the start of the process.
pub fn measure(peer: &Peer, adapter: &str, subject: &Subject, training: &mut dyn Training, began: Instant) {
    training.run(1);
    let first_loss = training.loss();
    let startup_ms = began.elapsed().as_secs_f64() * 1e3;
    if subject.steps > 1 {
        training.run(subject.steps - 1);
    }
    let loss = training.loss();
    training.run(subject.steps);
    let (mut times, timing) = (Vec::new(), Instant::now());
    while times.len() < REPEATS || (times.len() < MOST_REPEATS && timing.elapsed() < PATIENCE) {
        let start = Instant::now();
        training.run(subject.steps);
        times.push(start.elapsed().as_secs_f64() * 1e3 / subject.steps as f64);
    }
    times.sort_by(f64::total_cmp);
    let layers: Vec<String> = subject.layers.iter().map(usize::to_string).collect();
    let line = json!({
        "peer": peer.name, "version": peer.version, "backend": peer.backend, "mode": subject.mode, "adapter": adapter,
        "layers": layers.join("-"), "batch_size": subject.batch_size, "startup_ms": startup_ms,
        "ms_per_step": times[times.len() / 2], "min_ms_per_step": times[0], "first_loss": first_loss, "loss": loss,
        "steps": subject.steps,
    });
    println!("{line}");
}
