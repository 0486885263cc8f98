//! Ctrl-C, termination and `--max-time`: all is saved, the command to go on is printed, and it ends in the same model.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::place::{Place, Said};
use crate::{ends_with, ensure, model};

pub fn trials() -> Vec<Trial> {
    vec![
        #[cfg(unix)]
        Trial::test("ctrl_c_saves_and_exits_130_and_the_printed_command_goes_on", || {
            signalled("INT", 130, "interrupted")
        }),
        #[cfg(unix)]
        Trial::test("termination_saves_and_exits_143", || signalled("TERM", 143, "terminated")),
        #[cfg(unix)]
        Trial::test("a_second_ctrl_c_leaves_at_once_and_loses_no_checkpoint", twice),
        Trial::test("max_time_stops_with_a_whole_run_that_can_go_on", max_time),
    ]
}

const LONG: &str = "train digits --epochs 3000 --batch-size 16 --set early_stopping.patience=0";

/// Until the run has a checkpoint.
fn started(place: &Place, run: &str) -> Result<Child, Failed> {
    let child = place.command(&format!("{LONG} --out {run}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let began = Instant::now();
    while !place.path(&format!("{run}/checkpoint.safetensors")).exists() {
        ensure(began.elapsed() < Duration::from_secs(60), "no checkpoint was written in a minute")?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) -> Result<(), Failed> {
    let status = std::process::Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status()?;
    ensure(status.success(), "the signal could not be sent")
}

/// Both runs are extended to the same end, since nobody wants to wait for 3000 epochs.
fn ends_as_undisturbed(place: &Place, run: &str) -> Result<(), Failed> {
    let history = place.text(&format!("{run}/history.csv"));
    let epochs = history.lines().count() + 4;
    ends_with(place, 0, &format!("train --resume {run} --epochs {epochs} --quiet"))?;
    let settings = "--batch-size 16 --set early_stopping.patience=0 --quiet";
    ends_with(place, 0, &format!("train digits --epochs {epochs} {settings} --out whole"))?;
    ensure(model(place, run) == model(place, "whole"), "it ended in another model")
}

#[cfg(unix)]
fn signalled(name: &str, code: i32, word: &str) -> Result<(), Failed> {
    let place = Place::new(&format!("signal-{name}"));
    let child = started(&place, "run")?;
    signal(&child, name)?;
    let said = Said::of(&child.wait_with_output()?);
    ensure(said.code == code, format!("it ended with {}: {}{}", said.code, said.out, said.err))?;
    for words in [word, "wgrad train --resume run"] {
        ensure(said.out.contains(words), format!("`{words}` is missing: {}", said.out))?;
    }
    ends_as_undisturbed(&place, "run")
}

#[cfg(unix)]
fn twice() -> Result<(), Failed> {
    let place = Place::new("twice");
    let child = started(&place, "run")?;
    signal(&child, "INT")?;
    signal(&child, "INT")?;
    let output = child.wait_with_output()?;
    ensure(output.status.code() == Some(130), format!("it ended with {:?}", output.status))?;
    ends_with(&place, 0, "train --resume run --max-time 100ms --quiet").map(|_| ())
}

fn max_time() -> Result<(), Failed> {
    let place = Place::new("max-time");
    let said = ends_with(&place, 0, &format!("{LONG} --max-time 300ms --out run"))?;
    for words in ["stopped by --max-time", "wgrad train --resume run", "test: accuracy"] {
        ensure(said.out.contains(words), format!("`{words}` is missing: {}", said.out))?;
    }
    ensure(place.path("run/metrics.json").exists(), "a whole run has metrics")?;
    ends_as_undisturbed(&place, "run")
}
