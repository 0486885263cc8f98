//! Ctrl-C and termination: all is saved, the command to go on is printed, and it ends in the same model.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::ensure;
use crate::place::{Place, Said};
use crate::stops::{LONG, ends_as_undisturbed};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("ctrl_c_saves_and_exits_130_and_the_printed_command_goes_on", || {
            signalled("INT", 130, "interrupted")
        }),
        Trial::test("termination_saves_and_exits_143", || signalled("TERM", 143, "terminated")),
        #[cfg(target_os = "linux")]
        {
            let faults = crate::writes::library("faults.c");
            let (missing, faults) = (faults.as_ref().err().cloned(), faults.unwrap_or_default());
            let name = "a_second_ctrl_c_leaves_at_once_and_loses_no_checkpoint";
            crate::require::trial(name, missing, move || twice(&faults))
        },
    ]
}

/// Waits for a file that the run is to write.
fn appears(path: &Path, child: &mut Child) -> Result<(), Failed> {
    let began = Instant::now();
    while !path.exists() {
        ensure(child.try_wait()?.is_none(), format!("the run ended without {}", path.display()))?;
        ensure(began.elapsed() < Duration::from_secs(60), format!("no {} in a minute", path.display()))?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Until the run has a checkpoint.
fn started(place: &Place, run: &str) -> Result<Child, Failed> {
    let mut child =
        place.command(&format!("{LONG} --out {run}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    appears(&place.path(&format!("{run}/checkpoint.safetensors")), &mut child)?;
    Ok(child)
}

fn signal(child: &Child, name: &str) -> Result<(), Failed> {
    let status = std::process::Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status()?;
    ensure(status.success(), "the signal could not be sent")
}

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

/// The save that the first signal begins is made to take longer than anyone waits.
#[cfg(target_os = "linux")]
fn twice(library: &Path) -> Result<(), Failed> {
    const SECONDS: u64 = 120;
    let place = Place::new("twice");
    let (folder, slow, told) = (place.path("run"), place.path("slow"), place.path("told"));
    let mut command = place.command(&format!("{LONG} --set train.checkpoint_minutes=60 --out '{}'", folder.display()));
    command.env("LD_PRELOAD", library).env("FAULT_FOLDER", &folder).env("FAULT_OPERATION", "fsync");
    command.env("FAULT_SLOW_IF", &slow).env("FAULT_SECONDS", SECONDS.to_string()).env("FAULT_TOLD", &told);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let checkpoint = place.path("run/checkpoint.safetensors");
    appears(&checkpoint, &mut child)?;
    let first = place.read("run/checkpoint.safetensors");
    std::fs::write(&slow, "")?;
    signal(&child, "INT")?;
    appears(&told, &mut child)?;
    let began = Instant::now();
    signal(&child, "INT")?;
    let status = child.wait()?;
    ensure(status.code() == Some(130), format!("it ended with {status:?}"))?;
    ensure(began.elapsed() < Duration::from_secs(SECONDS / 2), "it waited until all was saved")?;
    ensure(place.read("run/checkpoint.safetensors") == first, "the checkpoint that was there is another one")?;
    crate::ends_with(&place, 0, "train --resume run --max-time 100ms --quiet").map(|_| ())
}
