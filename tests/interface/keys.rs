//! What keys of the run file do to a run, seen in what it leaves.

use std::process::Stdio;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use safetensors::SafeTensors;

use crate::place::Place;
use crate::{ensure, good};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("keys::init_scale_and_bias_init_decide_the_start_weights", start_weights),
        Trial::test("keys::min_delta_and_patience_end_a_run_and_restore_best_chooses_its_weights", early_stopping),
        Trial::test("keys::the_metric_of_early_stopping_decides_which_epoch_is_best", metric),
        Trial::test("keys::checkpoint_minutes_saves_more_seldom", checkpoint_minutes),
        Trial::test("keys::shuffling_gives_each_epoch_an_order_of_its_own", shuffle),
    ]
}

pub fn tensor(place: &Place, run: &str, name: &str) -> Result<Vec<f32>, Failed> {
    let bytes = place.read(&format!("{run}/model.safetensors"));
    let file = SafeTensors::deserialize(&bytes)?;
    Ok(file.tensor(name)?.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// The 64 × 128 weights of a first layer that no step has moved far enough to matter, and its biases.
fn start(settings: &str) -> Result<(Vec<f32>, Vec<f32>), Failed> {
    let place = Place::new("start");
    let set = format!("--set '{settings}' --set early_stopping.patience=0");
    good(&place, &format!("train digits --epochs 1 --lr 1e-12 --quiet --out run {set}"))?;
    Ok((tensor(&place, "run", "layers.0.weight")?, tensor(&place, "run", "layers.0.bias")?))
}

fn rms(values: &[f32]) -> f64 {
    (values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Glorot and Bengio 2010, He et al. 2015, LeCun et al. 1998, for 64 inputs and 128 units.
fn start_weights() -> Result<(), Failed> {
    let (glorot, he, lecun) = ((2.0 / 192.0_f64).sqrt(), (2.0 / 64.0_f64).sqrt(), (1.0 / 64.0_f64).sqrt());
    // The deviation, and the limit of a uniform distribution: its deviation times √3.
    let cases = [
        ("model.init=\"auto\"", he, true),
        ("model.init=\"glorot_uniform\"", glorot, true),
        ("model.init=\"glorot_normal\"", glorot, false),
        ("model.init=\"he_uniform\"", he, true),
        ("model.init=\"he_normal\"", he, false),
        ("model.init=\"lecun_normal\"", lecun, false),
        ("model.init=\"normal\"", 0.05, false),
        ("model.init=\"uniform\"", 0.05 / 3_f64.sqrt(), true),
        ("model.layers=[{type=\"dense\",units=128,init=\"normal\",scale=0.3},{type=\"dense\"}]", 0.3, false),
        ("model.layers=[{type=\"dense\",units=128,activation=\"tanh\"},{type=\"dense\"}]", glorot, true),
    ];
    for (settings, deviation, is_uniform) in cases {
        let (weights, biases) = start(settings)?;
        let (found, limit) = (rms(&weights), weights.iter().fold(0.0, |m: f32, w| m.max(w.abs())));
        // 8192 draws: the deviation of their root mean square is below 0.8 % of it.
        ensure((found - deviation).abs() <= 0.04 * deviation, format!("{settings}: {found} against {deviation}"))?;
        let ends = f64::from(limit) <= deviation * 3_f64.sqrt() * 1.0001;
        ensure(ends == is_uniform, format!("{settings}: the largest weight is {limit}"))?;
        ensure(rms(&biases) < 1e-9, format!("{settings}: biases start at 0"))?;
    }
    let (weights, _) = start("model.init=\"zeros\"")?;
    ensure(rms(&weights) < 1e-9, "zeros are none")?;
    let (_, biases) =
        start("model.layers=[{type=\"dense\",units=128,bias_init=\"normal\",scale=0.3},{type=\"dense\"}]")?;
    ensure((0.2..0.4).contains(&rms(&biases)), format!("biases have the deviation {}", rms(&biases)))
}

const TRAIN: &str = "train digits --quiet --hidden 16 --epochs";

fn epochs(place: &Place, run: &str) -> usize {
    place.text(&format!("{run}/history.csv")).lines().count() - 1
}

fn early_stopping() -> Result<(), Failed> {
    let place = Place::new("stopping");
    // No epoch is better than the first one by so much.
    let set = "--set early_stopping.min_delta=1e9 --set early_stopping.patience=3";
    good(&place, &format!("{TRAIN} 20 --out best {set}"))?;
    good(&place, &format!("{TRAIN} 20 --out last {set} --set early_stopping.restore_best=false"))?;
    good(&place, &format!("{TRAIN} 1 --out one --set early_stopping.patience=0"))?;
    good(&place, &format!("{TRAIN} 4 --out four --set early_stopping.patience=0"))?;
    for run in ["best", "last"] {
        ensure(epochs(&place, run) == 4, format!("{run}: {} epochs", epochs(&place, run)))?;
    }
    let weights = |run: &str| tensor(&place, run, "layers.0.weight");
    ensure(weights("best")? == weights("one")?, "restore_best keeps the weights of the best epoch")?;
    ensure(weights("last")? == weights("four")?, "without it the last ones stay")?;
    ensure(weights("one")? != weights("four")?, "the two would not be told apart")
}

fn metric() -> Result<(), Failed> {
    let place = Place::new("metric");
    // All rows are told apart after few epochs, while the loss falls on.
    let rows = (0..90).map(|i| format!("{},{}\n", if i % 2 == 0 { -3 - i % 3 } else { 3 + i % 3 }, i % 2));
    place.write("sides.csv", format!("x,y\n{}", rows.collect::<String>()));
    let flags = "--quiet --epochs 40 --task binary --set early_stopping.patience=5";
    good(&place, &format!("train sides.csv --out loss {flags}"))?;
    let set = "--set early_stopping.metric=validation_accuracy";
    good(&place, &format!("train sides.csv --out accuracy {flags} {set}"))?;
    let (loss, accuracy) = (epochs(&place, "loss"), epochs(&place, "accuracy"));
    ensure(loss == 40, format!("by its loss it improved for {loss} epochs"))?;
    ensure(accuracy < 20, format!("by its accuracy it improved for {accuracy} epochs"))
}

/// Killed after some seconds, a run has saved its first epoch only; as a rule it saves every 0.2 s.
fn checkpoint_minutes() -> Result<(), Failed> {
    let place = Place::new("seldom");
    let mut done = Vec::new();
    for (run, set) in [("seldom", "--set train.checkpoint_minutes=60"), ("often", "")] {
        let arguments = format!("{TRAIN} 100000 --set early_stopping.patience=0 --out {run} {set}");
        let mut child = place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let checkpoint = place.path(&format!("{run}/checkpoint.safetensors"));
        while !checkpoint.exists() && child.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_secs(2));
        child.kill()?;
        child.wait()?;
        let said = good(&place, &format!("train --resume {run} --max-time 1ms"))?;
        let told = said.out.lines().find_map(|line| line.strip_prefix(&format!("resuming {run} after ")));
        let count = told.and_then(|rest| rest.split(' ').next()).ok_or(format!("{}{}", said.out, said.err))?;
        done.push(count.replace(',', "").parse::<u64>()?);
    }
    ensure(done[0] == 1 && done[1] > 1, format!("saved after {done:?} epochs"))
}

fn shuffle() -> Result<(), Failed> {
    let place = Place::new("shuffle");
    let weights = |run: &str, flags: &str| {
        good(&place, &format!("{TRAIN} 2 --out {run} --set early_stopping.patience=0 {flags}"))?;
        tensor(&place, run, "layers.0.weight")
    };
    let shuffled = weights("shuffled", "")?;
    ensure(shuffled != weights("ordered", "--set train.shuffle=false")?, "shuffling changes nothing")?;
    // In one batch the order is of no account but for rounding.
    let full = |run: &str, flags: &str| weights(run, &format!("--batch-size 5000 {flags}"));
    let (a, b) = (full("full", "")?, full("full_ordered", "--set train.shuffle=false")?);
    let largest = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    ensure(largest < 1e-4, format!("one batch of all rows differs by {largest}"))
}
