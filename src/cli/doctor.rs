//! `wgrad doctor`: what a bug report needs to say about a machine. Every device is tested by commands of wgrad's own in
//! processes of their own, because a faulty driver ends a process rather than returning an error.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::flags::Shared;
use super::machine::{self, Privacy};
use super::print::Printer;
use crate::error::{Error, Result};
use crate::plan::grouped;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad doctor             tests every device, for a bug report
  wgrad doctor > bug.md
  wgrad doctor --json      the same for programs";

/// A driver that hangs is a finding too.
const PATIENCE: Duration = Duration::from_secs(120);

/// One self-test.
struct Trial {
    device: String,
    /// As a person would type it.
    command: String,
    seconds: f64,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// What was shown.
    Passed(String),
    /// The exit code, or none where something else ended the process; and what it said.
    Failed(Option<i32>, String),
}

/// What a process left.
struct Ended {
    /// `None`: it had to be ended.
    status: Option<ExitStatus>,
    out: String,
    err: String,
    seconds: f64,
}

pub(super) fn run(shared: &Shared, printer: &Printer) -> Result<()> {
    let privacy = Privacy::of_this_user();
    let scratch = std::env::temp_dir().join(format!("wgrad-doctor-{}", std::process::id()));
    let unusable = |error: std::io::Error| {
        Error::output(format!("cannot be written to: {error}"))
            .at(scratch.display())
            .remedy("set TMPDIR to a folder that can")
    };
    fs::create_dir_all(&scratch).map_err(unusable)?;
    let result = examine(shared, printer, &privacy, &scratch);
    let _ = fs::remove_dir_all(&scratch);
    let trials = result.map_err(unusable)?;
    verdict(&trials)
}

fn examine(shared: &Shared, printer: &Printer, privacy: &Privacy, scratch: &Path) -> std::io::Result<Vec<Trial>> {
    let system = machine::system(shared.threads(), privacy);
    let variables = machine::variables(privacy);
    printer.note("listing the adapters …");
    let (adapters, mut trials) = adapters(privacy, scratch)?;
    let indices = adapters.iter().map(|adapter| adapter["index"].to_string());
    for device in indices.chain(["cpu".to_owned()]) {
        printer.note(format!("testing device {device} …"));
        trials.push(train_and_verify(&device, privacy, scratch)?);
    }
    let map = |pairs: &[(String, String)]| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    printer.event(&json!({
        "event": "doctor",
        "system": map(&system),
        "environment": map(&variables),
        "adapters": adapters,
        "self_tests": trials.iter().map(Trial::json).collect::<Vec<_>>(),
        "passed": trials.iter().all(Trial::passed),
    }));
    if !printer.json {
        printer.result(markdown(&system, &variables, &adapters, &trials));
    }
    Ok(trials)
}

/// What `wgrad devices --json` lists; a trial tells of it only if that failed.
fn adapters(privacy: &Privacy, scratch: &Path) -> std::io::Result<(Vec<Value>, Vec<Trial>)> {
    let ended = wgrad(&["devices", "--json"], scratch)?;
    let adapters: Vec<Value> = ended.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if ended.status.is_some_and(|status| status.success()) {
        return Ok((adapters, Vec::new()));
    }
    let outcome = Outcome::of(&ended, privacy);
    let trial = Trial { device: "adapters".into(), command: "wgrad devices".into(), seconds: ended.seconds, outcome };
    Ok((adapters, vec![trial]))
}

/// Verifies every step of a small network on a device and trains it for an epoch.
fn train_and_verify(device: &str, privacy: &Privacy, scratch: &Path) -> std::io::Result<Trial> {
    let words = ["train", "digits", "--verify", "--device", device, "--epochs", "1", "--hidden", "16"];
    let out = scratch.join(format!("run-{device}"));
    let out = out.to_string_lossy();
    let ended = wgrad(&[&words[..], &["--json", "--out", &out]].concat(), scratch)?;
    let outcome = Outcome::of(&ended, privacy);
    let command = format!("wgrad {}", words.join(" "));
    Ok(Trial { device: device.to_owned(), command, seconds: ended.seconds, outcome })
}

/// Runs this program again. Flags from the environment stay out, drivers' variables count.
fn wgrad(arguments: &[&str], scratch: &Path) -> std::io::Result<Ended> {
    let (out, err) = (scratch.join("out"), scratch.join("err"));
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).stdin(std::process::Stdio::null());
    command.stdout(File::create(&out)?).stderr(File::create(&err)?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD_")) {
        command.env_remove(name);
    }
    let began = Instant::now();
    let mut child = command.spawn()?;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if began.elapsed() > PATIENCE => {
                child.kill()?;
                child.wait()?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Ended { status, out: text(&out)?, err: text(&err)?, seconds })
}

impl Outcome {
    fn of(ended: &Ended, privacy: &Privacy) -> Outcome {
        let last = ended.err.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        let said = privacy.keep(last.trim_start_matches("error: "));
        let Some(status) = ended.status else {
            return Outcome::Failed(None, format!("did not end within {} s; {said}", PATIENCE.as_secs()));
        };
        if !status.success() {
            let how = status.code().map_or_else(|| format!("{status}; "), |_| String::new());
            return Outcome::Failed(status.code(), how + &said);
        }
        let events = || ended.out.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let verification = events().find(|event| event["event"] == "verification");
        // A self-test that compared nothing has shown nothing.
        match verification.and_then(|event| event["compared"].as_u64()).filter(|&compared| compared > 0) {
            Some(compared) => Outcome::Passed(format!("{} numbers verified, one epoch trained", grouped(compared))),
            None => Outcome::Failed(status.code(), "it ended well without having verified anything".into()),
        }
    }
}

impl Trial {
    fn passed(&self) -> bool {
        matches!(self.outcome, Outcome::Passed(_))
    }

    fn json(&self) -> Value {
        let (code, said) = match &self.outcome {
            Outcome::Passed(said) => (Some(0), said),
            Outcome::Failed(code, said) => (*code, said),
        };
        json!({
            "device": self.device,
            "command": self.command,
            "seconds": self.seconds,
            "passed": self.passed(),
            "exit_code": code,
            "said": said,
        })
    }

    fn line(&self) -> String {
        let Trial { device, command, seconds, .. } = self;
        match &self.outcome {
            Outcome::Passed(said) => format!("- device {device}: passed ({said}, {seconds:.1} s)"),
            Outcome::Failed(code, said) => {
                let code = code.map_or_else(String::new, |code| format!(" with exit code {code}"));
                format!("- device {device}: **FAILED**{code} after {seconds:.1} s: {said}\n  (`{command}`)")
            }
        }
    }
}

/// A wrong number is worse than a device that does not work.
fn verdict(trials: &[Trial]) -> Result<()> {
    let failed = |wanted: fn(Option<i32>) -> bool| {
        trials.iter().find_map(|trial| match &trial.outcome {
            Outcome::Failed(code, said) if wanted(*code) => Some((trial, said)),
            _ => None,
        })
    };
    let remedy = "report it with the text above; until then, another --device may help";
    if let Some((trial, said)) = failed(|code| code == Some(7)) {
        return Err(Error::verification(said.clone()).at(format!("device {}", trial.device)).remedy(remedy));
    }
    match failed(|_| true) {
        None => Ok(()),
        Some((trial, said)) => {
            let problem = format!("the self-test failed: {said}");
            Err(Error::device(problem).at(format!("device {}", trial.device)).remedy(remedy))
        }
    }
}

fn markdown(
    system: &[(String, String)],
    variables: &[(String, String)],
    adapters: &[Value],
    trials: &[Trial],
) -> String {
    let mut text = "### wgrad doctor\n\n".to_owned();
    system.iter().for_each(|(name, value)| text += &format!("- {name}: {value}\n"));
    text += "\n#### Environment\n\n";
    variables.iter().for_each(|(name, value)| text += &format!("- `{name}={value}`\n"));
    if variables.is_empty() {
        text += "no variable that matters is set\n";
    }
    text += "\n#### Adapters\n\n";
    if adapters.is_empty() {
        text += "no Vulkan, Metal or DX12 adapter was found\n";
    }
    for adapter in adapters {
        let word = |key: &str| adapter[key].as_str().unwrap_or("?").to_owned();
        text += &format!(
            "- {}: {} ({}, {}, driver {})\n",
            adapter["index"],
            word("name"),
            word("type"),
            word("backend"),
            word("driver")
        );
        let limits = adapter["limits"].as_object().into_iter().flatten();
        let limits: Vec<String> = limits.map(|(name, value)| format!("{name} {value}")).collect();
        text += &format!("  - limits: {}\n", limits.join(", "));
        let features = adapter["features"].as_array().into_iter().flatten().filter_map(Value::as_str);
        text += &format!("  - features: {}\n", features.collect::<Vec<_>>().join(", "));
    }
    text += "\n#### Self-tests\n\n";
    trials.iter().for_each(|trial| text += &format!("{}\n", trial.line()));
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(outcome: Outcome) -> Trial {
        Trial { device: "0".into(), command: "wgrad".into(), seconds: 0.1, outcome }
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_finding() {
        let passed = || trial(Outcome::Passed("fine".into()));
        let failed = |code| trial(Outcome::Failed(code, "broken".into()));
        let code = |trials: &[Trial]| verdict(trials).map_or_else(|error| error.exit_code(), |()| 0);
        assert_eq!(code(&[passed(), passed()]), 0);
        assert_eq!(code(&[passed(), failed(Some(5))]), 5);
        assert_eq!(code(&[failed(None), passed()]), 5, "a crash");
        assert_eq!(code(&[failed(Some(1)), failed(Some(7))]), 7);
    }

    #[test]
    #[cfg(unix)]
    fn a_crash_a_hang_and_an_empty_verification_are_failures() {
        use std::os::unix::process::ExitStatusExt;
        let privacy = Privacy::of_this_user();
        let ended = |status: Option<i32>, out: &str| Ended {
            status: status.map(ExitStatus::from_raw),
            out: out.into(),
            err: "error: something\n".into(),
            seconds: 0.0,
        };
        let verified = r#"{"event":"verification","compared":12}"#;
        assert_eq!(
            Outcome::of(&ended(Some(0), verified), &privacy),
            Outcome::Passed("12 numbers verified, one epoch trained".into())
        );
        let empty = [r#"{"event":"verification","compared":0}"#, ""];
        for (status, out) in [(Some(11), verified), (None, verified), (Some(0), empty[0]), (Some(0), empty[1])] {
            assert!(matches!(Outcome::of(&ended(status, out), &privacy), Outcome::Failed(..)), "{status:?} {out}");
        }
        let seven = Outcome::of(&ended(Some(7 << 8), verified), &privacy);
        assert_eq!(seven, Outcome::Failed(Some(7), "something".into()));
    }
}
