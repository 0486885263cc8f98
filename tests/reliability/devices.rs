//! A device that is lost, or does not answer, at any submit: exit code 5, a good checkpoint, and with
//! `--on-device-lost cpu` a run that goes on. A driver that leaves out a dispatch: `verify` ends with 7.

use std::path::Path;
use std::process::Output;

use libtest_mimic::{Failed, Trial};

use crate::place::{Place, Said};
use crate::{ends_with, ensure, missing_adapter, model, require, writes};

pub fn trials() -> Vec<Trial> {
    let library = writes::library("lost.c");
    let missing = missing_adapter().or(library.as_ref().err().cloned()).or_else(not_vulkan);
    let library = library.unwrap_or_default();
    let trial = |name: &str, test: fn(&Path) -> Result<(), Failed>| {
        let library = library.clone();
        require::trial(name, missing.clone(), move || test(&library))
    };
    vec![
        trial("a_device_lost_at_any_submit_ends_with_5_and_the_run_goes_on_to_the_same_model", lost),
        trial("a_device_lost_while_kernels_are_made_ready_ends_with_5", lost_at_the_start),
        trial("a_run_whose_device_is_lost_can_go_on_on_the_cpu", on_the_cpu),
        trial("a_device_that_does_not_answer_ends_with_5", hangs),
        trial("a_driver_that_leaves_out_a_dispatch_fails_verification_with_7", leaves_out),
    ]
}

/// How many submits the device may have before it is lost; 50 places over a run of some 150.
const PLACES: std::ops::Range<u32> = 0..50;
const SUBMITS_BETWEEN: u32 = 3;

const TRAIN: &str = "train digits --device gpu --epochs 20";

fn sabotaged(place: &Place, library: &Path, submit: u32, hangs: bool, arguments: &str) -> Result<Output, Failed> {
    let mut command = place.command(arguments);
    command.env("LD_PRELOAD", library).env("LOST_SUBMIT", submit.to_string());
    if hangs {
        command.env("LOST_HANGS", "1");
    }
    Ok(command.output()?)
}

/// The faulty driver takes over Vulkan's functions; where there is another backend it changes nothing. Asked without it,
/// lest what these tests look for is what leaves them out.
fn not_vulkan() -> Option<String> {
    let found = Place::new("not-vulkan").run("devices --json").out;
    (!found.contains("\"backend\":\"vulkan\"")).then(|| "the adapter is not driven by Vulkan".to_owned())
}

fn lost(library: &Path) -> Result<(), Failed> {
    let place = Place::new("lost");
    ends_with(&place, 0, &format!("{TRAIN} --quiet --out whole"))?;
    let (mut lost, mut resumed) = (0, 0);
    for i in PLACES {
        let (run, submit) = (format!("run{i}"), 1 + SUBMITS_BETWEEN * i);
        let said = Said::of(&sabotaged(&place, library, submit, false, &format!("{TRAIN} --quiet --out {run}"))?);
        if said.code == 0 {
            break;
        }
        lost += 1;
        ensure(said.code == 5, format!("submit {submit}: it ended with {}: {}", said.code, said.err))?;
        ensure(said.err.contains("lost") && !said.err.contains("panicked"), format!("submit {submit}: {}", said.err))?;
        // Each fifth is enough to be trained to its end.
        if i % 5 == 0 && place.path(&format!("{run}/checkpoint.safetensors")).exists() {
            ends_with(&place, 0, &format!("train --resume {run} --device gpu --quiet"))?;
            ensure(model(&place, &run) == model(&place, "whole"), format!("{run} ends in another model"))?;
            resumed += 1;
        }
    }
    println!("    lost at {lost} places, {resumed} of them resumed");
    ensure(lost >= 20 && resumed >= 3, "the device was hardly ever lost")
}

/// While two devices make kernels ready, with an empty shader cache each time.
fn lost_at_the_start(library: &Path) -> Result<(), Failed> {
    let place = Place::new("lost-at-the-start");
    for submit in 1..=8 {
        let mut command = place.command(&format!("{TRAIN} --quiet --out run{submit}"));
        command.env("LD_PRELOAD", library).env("LOST_SUBMIT", submit.to_string());
        let said = Said::of(&command.env("MESA_SHADER_CACHE_DIR", place.path(&format!("cache{submit}"))).output()?);
        ensure(said.code == 5, format!("submit {submit}: it ended with {}: {}", said.code, said.err))?;
        ensure(said.err.contains("lost") && !said.err.contains("panicked"), format!("submit {submit}: {}", said.err))?;
    }
    Ok(())
}

fn on_the_cpu(library: &Path) -> Result<(), Failed> {
    let place = Place::new("lost-cpu");
    let said = Said::of(&sabotaged(&place, library, 40, false, &format!("{TRAIN} --out run --on-device-lost cpu"))?);
    ensure(said.code == 0, format!("it ended with {}: {}", said.code, said.err))?;
    ensure(said.err.contains("lost") && said.out.contains("on the CPU path"), format!("{}{}", said.out, said.err))?;
    let metrics: serde_json::Value = serde_json::from_slice(&place.read("run/metrics.json"))?;
    ensure(metrics["device"] == "cpu" && metrics["epochs"] == 20, metrics)
}

fn hangs(library: &Path) -> Result<(), Failed> {
    let place = Place::new("hangs");
    for submit in [2, 9, 30] {
        let output = sabotaged(&place, library, submit, true, &format!("{TRAIN} --quiet --out run{submit}"))?;
        let said = Said::of(&output);
        ensure(said.code == 5, format!("submit {submit}: it ended with {}: {}", said.code, said.err))?;
        ensure(said.err.contains("did not answer"), said.err)?;
    }
    Ok(())
}

/// Each dispatch of a verification left out in turn; `train --verify` then leaves no folder.
fn leaves_out(library: &Path) -> Result<(), Failed> {
    let place = Place::new("leaves-out");
    let without = |dispatch: u32, arguments: &str| -> Result<Said, Failed> {
        let mut command = place.command(arguments);
        command.env("LD_PRELOAD", library).env("LOST_DISPATCH", dispatch.to_string());
        Ok(Said::of(&command.output()?))
    };
    let mut failed = 0;
    for dispatch in 1.. {
        let said = without(dispatch, "verify digits --device gpu")?;
        if said.code == 0 {
            ensure(said.out.contains("verified: all "), said.out)?;
            break;
        }
        ensure(said.code == 7, format!("without dispatch {dispatch} it ended with {}: {}", said.code, said.err))?;
        ensure(said.out.contains("WRONG") && said.err.contains("wrong"), format!("{}{}", said.out, said.err))?;
        failed += 1;
    }
    println!("    {failed} dispatches left out in turn");
    // Three dense layers: 8 dispatches of a training step and 4 of an evaluation, for a whole batch and a short one.
    ensure(failed >= 12, "hardly a dispatch was left out")?;
    let said = without(3, "train digits --device gpu --verify --epochs 1 --out run")?;
    ensure(said.code == 7 && !place.path("run").exists(), format!("{}: {}", said.code, said.err))
}
