//! The commands and flags that users were promised, by the names they were promised under: what is here may not go away
//! or be renamed. More may be there.

use std::collections::BTreeSet;

use crate::Place;

/// Flags of every command.
const SHARED: &[&str] = &["--device", "--threads", "--seed", "--quiet", "--json", "--color", "--help"];

/// Flags of the commands that take a run file.
const RUN_FILE: &[&str] = &[
    "--config",
    "--target",
    "--task",
    "--hidden",
    "--activation",
    "--loss",
    "--optimizer",
    "--lr",
    "--epochs",
    "--batch-size",
    "--set",
];

/// A command, whether it takes a run file, its own flags, and its arguments.
const COMMANDS: &[(&str, bool, &[&str], &[&str])] = &[
    (
        "train",
        true,
        &["--out", "--init", "--resume", "--verify", "--max-time", "--dry-run", "--overfit", "--on-device-lost"],
        &["[DATA]"],
    ),
    ("predict", false, &["--output"], &["<RUN>", "<DATA>"]),
    ("eval", false, &[], &["<RUN>", "<DATA>"]),
    ("verify", true, &[], &["[DATA]"]),
    ("bench", false, &["--layers", "--batch-size", "--steps", "--verify"], &[]),
    ("plan", true, &[], &["[DATA]"]),
    ("devices", false, &[], &[]),
    ("export", false, &["--onnx"], &["<RUN>"]),
    ("lr-find", true, &[], &["[DATA]"]),
    ("cv", true, &["--folds"], &["[DATA]"]),
    ("search", true, &["--trials", "--max-time", "--resume", "--out"], &["[DATA]"]),
    ("doctor", false, &[], &[]),
    ("completions", false, &[], &["<SHELL>"]),
    ("man", false, &[], &["[DIR]"]),
];

/// The commands that `wgrad --help` lists.
pub fn commands(place: &Place) -> Vec<String> {
    let help = place.good("--help").out;
    let (_, list) = help.split_once("\nCommands:\n").expect("a list of commands");
    let lines = list.lines().take_while(|line| !line.is_empty());
    lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().map(str::to_owned)).collect()
}

/// The long flags that a command's help lists, `""` for the program itself.
pub fn flags(place: &Place, command: &str) -> BTreeSet<String> {
    let help = place.good(&format!("{command} --help")).out;
    let flag = |line: &str| {
        let start = line.trim_start();
        let start = if start.starts_with('-') && !start.starts_with("--") { start.get(4..)? } else { start };
        let word = start.split_whitespace().next()?;
        (word.starts_with("--") && word.len() > 2).then(|| word.to_owned())
    };
    help.lines().filter_map(flag).collect()
}

/// What was promised of a command and is not in its help.
fn missing(place: &Place, (command, takes_run_file, own, arguments): (&str, bool, &[&str], &[&str])) -> Vec<String> {
    let found = flags(place, command);
    let run_file = if takes_run_file { RUN_FILE } else { &[] };
    let wanted = SHARED.iter().chain(run_file).chain(own);
    let mut missing: Vec<String> =
        wanted.filter(|flag| !found.contains(**flag)).map(|flag| format!("{command} {flag}")).collect();
    let help = place.good(&format!("{command} --help")).out;
    let usage = help.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default().to_owned();
    missing.extend(arguments.iter().filter(|name| !usage.contains(**name)).map(|name| format!("{command} {name}")));
    missing
}

#[test]
fn every_promised_command_and_flag_is_in_its_help() {
    let place = Place::new("promised");
    let listed = commands(&place);
    for row in COMMANDS {
        assert!(listed.iter().any(|command| command == row.0), "{} is not in {listed:?}", row.0);
        assert_eq!(missing(&place, *row), Vec::<String>::new());
    }
}

#[test]
fn a_promise_that_is_not_kept_is_found() {
    let place = Place::new("unkept");
    let found = missing(&place, ("eval", true, &["--out"], &["<RUN>", "<DIR>"]));
    assert_eq!(found.len(), RUN_FILE.len() + 2, "{found:?}");
    assert!(found.contains(&"eval --out".into()) && found.contains(&"eval <DIR>".into()), "{found:?}");
    assert!(!commands(&place).contains(&"help".to_owned()) && flags(&place, "train").contains("--on-device-lost"));
}
