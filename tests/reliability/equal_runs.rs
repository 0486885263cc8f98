//! Equal runs leave equal models, to the bit.

use std::collections::BTreeSet;

use libtest_mimic::{Failed, Trial};

use crate::place::Place;
use crate::{ends_with, ensure, missing_adapter, model, require};

const RUNS: usize = 20;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("cpu::twenty_runs_of_one_seed_leave_one_model", || runs("cpu")),
        require::trial("gpu::twenty_runs_of_one_seed_leave_one_model", missing_adapter(), || runs("gpu")),
        Trial::test("the_number_of_threads_changes_nothing", threads),
        Trial::test("cpu::a_run_beside_another_leaves_the_same_model", || beside("cpu")),
        require::trial("gpu::a_run_beside_another_leaves_the_same_model", missing_adapter(), || beside("gpu")),
        require::trial("gpu::an_empty_a_filled_and_no_shader_cache_leave_one_model", missing_adapter(), caches),
        Trial::test("another_seed_leaves_another_model", seeds),
    ]
}

/// Dropout and shuffling draw random numbers at every step.
fn settings(device: &str) -> String {
    let layers =
        "model.layers=[{type=\"dense\",units=16,activation=\"relu\"},{type=\"dropout\",rate=0.2},{type=\"dense\"}]";
    format!("train digits --epochs 3 --device {device} --quiet --set '{layers}'")
}

fn distinct(place: &Place, runs: impl Iterator<Item = String>) -> BTreeSet<String> {
    runs.map(|run| model(place, &run)).collect()
}

fn runs(device: &str) -> Result<(), Failed> {
    let place = Place::new(&format!("equal-{device}"));
    for run in 0..RUNS {
        ends_with(&place, 0, &format!("{} --out r{run}", settings(device)))?;
    }
    let models = distinct(&place, (0..RUNS).map(|run| format!("r{run}")));
    ensure(models.len() == 1, format!("{RUNS} runs left {} models", models.len()))
}

fn threads() -> Result<(), Failed> {
    let place = Place::new("threads");
    for threads in 1..=4 {
        ends_with(&place, 0, &format!("{} --threads {threads} --batch-size 256 --out r{threads}", settings("cpu")))?;
    }
    let models = distinct(&place, (1..=4).map(|threads| format!("r{threads}")));
    ensure(models.len() == 1, format!("1 to 4 threads left {} models", models.len()))
}

fn beside(device: &str) -> Result<(), Failed> {
    let place = Place::new(&format!("beside-{device}"));
    ends_with(&place, 0, &format!("{} --out alone", settings(device)))?;
    let start = |run: &str| place.command(&format!("{} --out {run}", settings(device))).spawn();
    let mut both = [start("first")?, start("second")?];
    for child in &mut both {
        ensure(child.wait()?.success(), "a run beside another failed")?;
    }
    let models = distinct(&place, ["alone", "first", "second"].into_iter().map(str::to_owned));
    ensure(models.len() == 1, format!("three runs left {} models", models.len()))
}

/// With an empty cache two devices make the kernels' machine code, with a filled or without one a single device does.
fn caches() -> Result<(), Failed> {
    let place = Place::new("caches");
    let runs = [("empty", "0"), ("filled", "0"), ("none", "1")];
    for (run, disabled) in runs {
        let mut command = place.command(&format!("{} --out {run}", settings("gpu")));
        command.env("MESA_SHADER_CACHE_DIR", place.path("cache")).env("MESA_SHADER_CACHE_DISABLE", disabled);
        ensure(command.status()?.success(), format!("the run with the cache {run} failed"))?;
    }
    let models = distinct(&place, runs.into_iter().map(|(run, _)| run.to_owned()));
    ensure(models.len() == 1, format!("{} runs left {} models", runs.len(), models.len()))
}

/// What would stay unseen if models were compared that are always equal.
fn seeds() -> Result<(), Failed> {
    let place = Place::new("seeds");
    for seed in 1..=2 {
        ends_with(&place, 0, &format!("{} --seed {seed} --out r{seed}", settings("cpu")))?;
    }
    ensure(model(&place, "r1") != model(&place, "r2"), "two seeds left one model")
}
