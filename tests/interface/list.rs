//! The list itself: each promise has a test, and each test that it names is there.

use std::collections::BTreeSet;
use std::path::Path;

use libtest_mimic::{Failed, Trial};

use crate::ensure;

const LIST: &str = include_str!("promises.md");

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("list::every_promise_has_a_test_that_is_there", || faults(LIST)),
        Trial::test("list::no_promise_of_the_interface_is_missing", nothing_is_missing),
        Trial::test("list::planted_mistakes_are_found", planted),
    ]
}

/// A promise in the words of the interface, and the tests that hold it, as `file: name of the test`.
struct Promise {
    words: String,
    tests: Vec<(String, String)>,
}

/// Promises begin with `> `; tests, with `- `, follow them.
fn promises(list: &str) -> Vec<Promise> {
    let mut promises: Vec<Promise> = Vec::new();
    for line in list.lines() {
        if let Some(words) = line.strip_prefix("> ") {
            promises.push(Promise { words: words.to_owned(), tests: Vec::new() });
        } else if let (Some(test), Some(promise)) = (line.strip_prefix("- "), promises.last_mut()) {
            let (file, name) = test.split_once(": ").unwrap_or((test, ""));
            promise.tests.push((file.to_owned(), name.to_owned()));
        }
    }
    promises
}

/// A file below the root has this name in it: of a function, of a test that is given its name as text, or of a folder.
fn is_there(file: &str, name: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if path.is_dir() {
        return path.join(name).is_dir() || file == "tests/golden" && is_there("../shared/golden", name);
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = |text: &str| {
        text.match_indices(name).any(|(at, _)| {
            let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !is_part(text[..at].chars().next_back()) && !is_part(text[at + name.len()..].chars().next())
        })
    };
    !name.is_empty() && whole(&text)
}

fn faults(list: &str) -> Result<(), Failed> {
    let promises = promises(list);
    let mut faults = Vec::new();
    for promise in &promises {
        if promise.tests.is_empty() {
            faults.push(format!("no test holds: {}", promise.words));
        }
        // The golden cases beside the checkout are not in every checkout.
        let beside = |name: &str| SHARED.contains(&name);
        let absent = promise.tests.iter().filter(|(file, name)| !is_there(file, name) && !beside(name));
        faults.extend(absent.map(|(file, name)| format!("{file} has no test {name}")));
    }
    ensure(promises.len() >= 88, format!("only {} promises are left", promises.len()))?;
    ensure(faults.is_empty(), faults.join("\n"))
}

/// Golden cases that are kept beside the checkout.
const SHARED: [&str; 12] = [
    "batch_norm",
    "loss_binary_cross_entropy",
    "loss_cross_entropy_k3",
    "loss_huber",
    "loss_mae",
    "opt_adam",
    "opt_adamw",
    "opt_rmsprop",
    "opt_sgd_momentum",
    "reg_clip_norm",
    "reg_l2",
    "schedule_step",
];

/// Words alone: lines may be broken and set apart as anyone likes.
fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| c.is_whitespace() || c == '|').filter(|word| !word.is_empty() && *word != "---").collect()
}

/// Where the page of promises lies beside the checkout, each of its lines is in the list.
fn nothing_is_missing() -> Result<(), Failed> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/design/interface.md");
    let Ok(page) = std::fs::read_to_string(page) else { return Ok(()) };
    missing(&page, LIST)
}

/// Runs of words of the page that the list has not.
fn missing(page: &str, list: &str) -> Result<(), Failed> {
    // Heads of tables, fences and titles promise nothing.
    let is_head = |line: &str| line.starts_with('#') || line.starts_with("```") || HEADS.contains(&line);
    let page: String = page.lines().filter(|line| !is_head(line)).collect::<Vec<_>>().join("\n");
    let promises = promises(list);
    let listed: Vec<&str> = promises.iter().flat_map(|promise| words(&promise.words)).collect();
    // Five words in a row are as good as a sentence.
    let known: BTreeSet<&[&str]> = listed.windows(5).collect();
    let page = words(&page);
    let absent: Vec<String> = page.windows(5).filter(|run| !known.contains(run)).map(|run| run.join(" ")).collect();
    ensure(absent.is_empty(), format!("not in the list: {}", absent.join(" / ")))
}

const HEADS: [&str; 2] = ["| command | does |", "| file | content |"];

fn planted() -> Result<(), Failed> {
    ensure(faults(&format!("{LIST}\n> Something else is promised.\n")).is_err(), "a promise without a test")?;
    let list = format!("{LIST}\n- tests/data.rs: a_test_that_nobody_wrote\n");
    ensure(faults(&list).is_err(), "a test that is not there")?;
    let list = format!("{LIST}\n- tests/golden: opt_of_nobody\n");
    ensure(faults(&list).is_err(), "a golden case that is not there")?;
    let page = "`wgrad` does all that it does, and makes coffee.";
    ensure(missing(page, LIST).is_err(), "a line of the page that is not in the list")
}
