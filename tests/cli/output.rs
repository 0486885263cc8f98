//! Where words, numbers and colours go.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::{Place, Said, clouds};

const ESCAPE: char = '\u{1b}';

fn json_lines(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn with_json_every_line_on_stdout_is_json_and_the_words_are_on_stderr() {
    let place = Place::new("json");
    place.write("clouds.csv", clouds(40));
    let said = place.good("train clouds.csv --epochs 3 --json --out run");
    let mut lines = json_lines(&said);
    // So few epochs are not enough, and that is said between the last of them and the end.
    assert_eq!((lines.len(), &lines[3]["event"]), (5, &"advice".into()));
    lines.remove(3);
    for (i, line) in lines[..3].iter().enumerate() {
        assert_eq!((&line["event"], &line["epoch"]), (&"epoch".into(), &(i + 1).into()));
        assert!(line["train_loss"].is_f64() && line["validation_loss"].is_f64() && line["learning_rate"].is_f64());
    }
    assert_eq!((&lines[3]["event"], &lines[3]["run"], &lines[3]["epochs"]), (&"done".into(), &"run".into(), &3.into()));
    assert_eq!(lines[3]["test"], place.json("run/metrics.json")["test"]);
    assert!(said.err.contains("epoch 1/3") && said.err.contains("run: run"), "{}", said.err);
    let lines = json_lines(&place.good("verify clouds.csv --json"));
    let last = lines.last().expect("a verdict");
    assert_eq!((&last["event"], &last["passed"]), (&"verification".into(), &true.into()));
    assert!(last["compared"].as_u64().is_some_and(|count| count > 1000), "{last}");
    let lines = json_lines(&place.good("plan clouds.csv --json"));
    assert_eq!((lines.len(), &lines[0]["dispatches_per_step"]), (1, &8.into()));
    json_lines(&place.good("devices --json"));
}

#[test]
fn quiet_prints_nothing_on_success_but_leaves_the_run() {
    let place = Place::new("quiet");
    place.write("clouds.csv", clouds(40));
    let said = place.good("train clouds.csv --epochs 2 --quiet --out run");
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    assert!(place.path("run/metrics.json").exists());
    let said = place.good("-q train clouds.csv --epochs 2 --json --out other");
    assert_eq!((json_lines(&said).len(), said.err.as_str()), (4, ""), "epochs, advice, the end");
    let said = place.run("train clouds.csv --quiet --target none");
    assert_eq!(said.code, 3);
    assert!(said.err.starts_with("error: "), "errors are not silenced: {}", said.err);
}

#[test]
fn off_a_terminal_nothing_is_coloured_unless_asked_for() {
    let place = Place::new("colors");
    place.write("clouds.csv", clouds(40));
    for command in
        ["train clouds.csv --epochs 2", "train --help", "--help", "train none.csv", "--banana", "verify clouds.csv"]
    {
        for (flags, variables) in [("", &[][..]), ("--color never", &[]), ("", &[("NO_COLOR", "1")])] {
            let said = place.run_with(variables, &format!("{command} {flags}"));
            assert!(!said.out.contains(ESCAPE) && !said.err.contains(ESCAPE), "{command} {flags}: {}", said.err);
        }
    }
    for command in ["train none.csv --color always", "--banana --color=always", "--color always tarin"] {
        let said = place.run(command);
        assert!(said.err.starts_with("\u{1b}[1;31merror:\u{1b}[0m "), "{command}: {}", said.err);
    }
    assert!(place.run("--color always --help").out.contains(ESCAPE));
    // A flag is more than a variable.
    let said = place.run_with(&[("NO_COLOR", "1")], "train none.csv --color always");
    assert!(said.err.contains(ESCAPE), "{}", said.err);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let place = Place::new("closed_stdout");
    place.write("clouds.csv", clouds(40));
    for command in ["plan digits", "train clouds.csv --epochs 300 --set early_stopping.patience=0", "--help"] {
        let mut child =
            place.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
        // The pipe is closed by now.
        let output = child.wait_with_output().expect("it ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!first.is_empty() && output.status.code() == Some(0), "{command}: {err}");
        assert_eq!(err, "", "{command}");
    }
}

#[test]
fn what_was_inferred_is_said_with_the_way_to_override_it() {
    let place = Place::new("notes");
    place.write("clouds.csv", clouds(40));
    let said = place.good("train clouds.csv --epochs 1");
    assert!(said.out.contains("target \"kind\": the last column; override with --target NAME\n"), "{}", said.out);
    let task = "target \"kind\": binary (2 different words); override with --task classification\n";
    assert!(said.out.contains(task), "{}", said.out);
    // What one note says to type must work.
    place.good("train clouds.csv --epochs 1 --task classification");
    let said = place.good("train clouds.csv --epochs 1 --target kind");
    assert!(!said.out.contains("the last column"), "{}", said.out);
}
