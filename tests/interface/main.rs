//! What users were promised, promise by promise: `promises.md` names for each the tests that hold it, and this checks
//! the list. Promises that no other test file has a place for are held here: what keys of the run file do, and what the
//! commands do on an adapter.

#[path = "../support/place.rs"]
mod place;
#[path = "../support/require.rs"]
mod require;

mod adapters;
mod keys;
mod list;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One device a process at a time suits software adapters, and more processes would only compete for the cores.
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let trials = [list::trials(), keys::trials(), adapters::trials()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn ensure(holds: bool, otherwise: impl std::fmt::Display) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.to_string().into()) }
}

/// Runs it and insists on success.
fn good(place: &place::Place, arguments: &str) -> Result<place::Said, Failed> {
    let said = place.run(arguments);
    ensure(said.code == 0, format!("wgrad {arguments}\n{}\n{}", said.out, said.err))?;
    Ok(said)
}

fn json(text: &str) -> Result<serde_json::Value, Failed> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}").into())
}
