//! Each file operation of a run made to fail in turn, and a disk that is full: exit code 6, the last good state kept,
//! nothing half-written left.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::place::{Place, Said};
use crate::{ends_with, ensure, model, require, temporary};

pub fn trials() -> Vec<Trial> {
    let library = library("faults.c");
    let missing = library.as_ref().err().cloned();
    let library = library.unwrap_or_default();
    let mut trials = Vec::new();
    for operation in ["open", "write", "fsync", "rename", "mkdir"] {
        let name = format!("each_{operation}_that_fails_ends_with_6_and_keeps_the_last_good_state");
        let library = library.clone();
        trials.push(require::trial(&name, missing.clone(), move || each(&library, operation)));
    }
    trials.push(require::trial("a_full_disk_is_named_with_needed_and_free_bytes", no_mount(), full_disk));
    trials
}

/// A library that makes something fail, compiled from its C source beside this file.
pub fn library(name: &str) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reliability").join(name);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.so"));
    let command =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&target).arg(source).arg("-ldl").output();
    match command {
        Ok(output) if output.status.success() => Ok(target),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("no C compiler: {error}")),
    }
}

const TRAIN: &str = "train digits --epochs 3 --quiet";

/// Errors of a disk: no space, broken.
const ERRORS: [i32; 2] = [28, 5];

fn each(library: &Path, operation: &str) -> Result<(), Failed> {
    let place = Place::new(&format!("faults-{operation}"));
    ends_with(&place, 0, &format!("{TRAIN} --out whole"))?;
    let mut failed = 0;
    for number in 1.. {
        let run = format!("run{number}");
        let (folder, told) = (place.path(&run), place.path(&format!("told{number}")));
        // Relative names would not be found below the folder.
        let mut command = place.command(&format!("{TRAIN} --out '{}'", folder.display()));
        command.env("LD_PRELOAD", library).env("FAULT_FOLDER", &folder).env("FAULT_OPERATION", operation);
        command.env("FAULT_NUMBER", number.to_string()).env("FAULT_TOLD", &told);
        command.env("FAULT_ERRNO", ERRORS[number % ERRORS.len()].to_string());
        let said = Said::of(&command.output()?);
        if !told.exists() {
            ensure(said.code == 0, format!("without a fault it ended with {}: {}", said.code, said.err))?;
            break;
        }
        failed += 1;
        ensure(said.code == 6, format!("{operation} {number}: it ended with {}: {}", said.code, said.err))?;
        let named = said.err.contains(&*folder.to_string_lossy());
        ensure(named, format!("{operation} {number} does not say where: {}", said.err))?;
        let stale = temporary(&place, &run);
        ensure(stale.is_empty(), format!("{operation} {number} leaves {stale:?}"))?;
        if place.path(&format!("{run}/checkpoint.safetensors")).exists() {
            ends_with(&place, 0, &format!("train --resume {run} --quiet"))?;
            ensure(
                model(&place, &run) == model(&place, "whole"),
                format!("{operation} {number} ends in another model"),
            )?;
        }
    }
    println!("    {failed} operations failed in turn");
    ensure(failed > 0, "nothing was made to fail")
}

fn no_mount() -> Option<String> {
    let folder = Place::new("mount");
    let mounted = Mounted::new(&folder.path("disk"), 64);
    mounted.is_none().then(|| "a small file system cannot be mounted by this user".to_owned())
}

/// A file system of its own, unmounted in the end.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: &Path, kilobytes: usize) -> Option<Self> {
        std::fs::create_dir_all(path).ok()?;
        let size = format!("size={kilobytes}k");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(path).output().ok()?.status;
        status.success().then(|| Mounted(path.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Room for the first checkpoint, but not for all that comes later.
fn full_disk() -> Result<(), Failed> {
    let place = Place::new("full");
    let mounted = Mounted::new(&place.path("disk"), 400).ok_or("it cannot be mounted")?;
    let said = ends_with(&place, 6, "train digits --epochs 50 --quiet --out disk/run")?;
    for words in ["disk/run", "bytes are needed there", "are free"] {
        ensure(said.err.contains(words), format!("`{words}` is missing: {}", said.err))?;
    }
    ensure(temporary(&place, "disk/run").is_empty(), format!("{:?} is left", place.names("disk/run")))?;
    let checkpoint = place.path("disk/run/checkpoint.safetensors");
    ensure(checkpoint.exists(), "the first checkpoint is lost")?;
    drop(std::fs::create_dir_all(place.path("elsewhere")));
    std::fs::copy(checkpoint, place.path("elsewhere/checkpoint.safetensors"))?;
    ends_with(&place, 0, "train --resume elsewhere --quiet")?;
    drop(mounted);
    Ok(())
}
