//! kill -9 at any moment: the newest checkpoint loads, and the resumed run ends in the same model.

use std::process::Stdio;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::place::Place;
use crate::{ends_with, ensure, missing_adapter, model, require, temporary};

/// `TEST_KILLS=500` kills more often.
fn kills() -> u32 {
    std::env::var("TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("cpu::killed_at_random_moments_a_run_ends_as_if_it_had_not_been", || killed("cpu", kills())),
        require::trial("gpu::killed_at_random_moments_a_run_ends_as_if_it_had_not_been", missing_adapter(), || {
            killed("gpu", kills().div_ceil(4))
        }),
        Trial::test("a_checkpoint_that_was_cut_short_or_changed_is_refused", spoilt),
    ]
}

/// Small steps and a checkpoint as often as there can be one.
fn settings(device: &str) -> String {
    let layers =
        "model.layers=[{type=\"dense\",units=64,activation=\"relu\"},{type=\"dropout\",rate=0.2},{type=\"dense\"}]";
    format!("--device {device} --quiet --epochs 120 --batch-size 16 --set early_stopping.patience=0 --set '{layers}'")
}

/// The next of a row of numbers in 0..1 that looks random (Knuth's MMIX generator), the same in each run of the test.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 11) as f64 / (1u64 << 53) as f64
}

fn killed(device: &str, kills: u32) -> Result<(), Failed> {
    let place = Place::new(&format!("kills-{device}"));
    let began = Instant::now();
    ends_with(&place, 0, &format!("train digits {} --out whole", settings(device)))?;
    let time = began.elapsed();
    let (mut number, mut mid_run, mut run) = (1, 0, 0);
    for _ in 0..kills {
        let name = format!("run{run}");
        let has_checkpoint = place.path(&format!("{name}/checkpoint.safetensors")).exists();
        let arguments = if has_checkpoint {
            format!("train --resume {name} --quiet --device {device}")
        } else {
            let _ = std::fs::remove_dir_all(place.path(&name));
            format!("train digits {} --out {name}", settings(device))
        };
        let mut child = place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        // Late enough that something is saved, early enough that something is left.
        std::thread::sleep(time.mul_f64(0.1 + 0.5 * random(&mut number)).max(Duration::from_millis(10)));
        child.kill()?;
        let output = child.wait_with_output()?;
        if output.status.code() == Some(0) {
            run += 1;
            continue;
        }
        ensure(output.status.code().is_none(), String::from_utf8_lossy(&output.stderr))?;
        mid_run += u32::from(has_checkpoint);
    }
    // Whatever stands there now must go on, and end, as the run that nobody disturbed.
    let names = (0..=run).map(|run| format!("run{run}")).filter(|name| !place.names(name).is_empty());
    let mut compared = 0;
    for name in names.filter(|name| place.path(&format!("{name}/checkpoint.safetensors")).exists()) {
        ends_with(&place, 0, &format!("train --resume {name} --quiet --device {device}"))?;
        ensure(model(&place, &name) == model(&place, "whole"), format!("{name} ended in another model"))?;
        ensure(temporary(&place, &name).is_empty(), format!("{name} holds {:?}", temporary(&place, &name)))?;
        compared += 1;
    }
    println!("    {kills} kills, {mid_run} of them of resumed runs; {compared} runs compared");
    ensure(compared > 0 && mid_run > 0, "no run was killed while it was worth something")
}

fn spoilt() -> Result<(), Failed> {
    let place = Place::new("spoilt");
    ends_with(&place, 0, "train digits --epochs 1 --quiet --out run")?;
    let whole = place.read("run/checkpoint.safetensors");
    let middle = whole.len() / 2;
    let mut changed = whole.clone();
    changed[middle] ^= 1;
    for (bytes, word) in [(&whole[..middle], "no checkpoint"), (&changed, "checksum"), (&[][..], "no checkpoint")] {
        place.write("run/checkpoint.safetensors", bytes);
        let said = ends_with(&place, 6, "train --resume run")?;
        ensure(said.err.contains(word), format!("{word} is missing: {}", said.err))?;
    }
    place.write("run/checkpoint.safetensors", &whole);
    ends_with(&place, 0, "train --resume run").map(|_| ())
}
