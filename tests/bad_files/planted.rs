//! Readers that break each promise: the harness must name every one of them.

use std::path::Path;
use std::time::Duration;

use wgrad::error::{Error, Result};

use crate::formats::Format;
use crate::harness::attack;

/// A reader that answers well until a byte of 0xff comes.
fn planted(fault: fn(&Path, &[u8], u64) -> Result<()>) -> Result<crate::harness::Tally, String> {
    let seeds = || vec![b"some bytes".to_vec()];
    let format = Format { name: "planted", exit_code: 3, seeds, tokens: &[b"\xff"], read: fault };
    attack(&format, 1000, Duration::from_millis(500))
}

fn is_bad(bytes: &[u8]) -> bool {
    bytes.contains(&0xff)
}

fn named(problem: &Result<crate::harness::Tally, String>, what: &str) {
    let Err(problem) = problem else { panic!("the fault went unnoticed: {problem:?}") };
    assert!(problem.starts_with("planted case ") && problem.contains(what), "{problem}");
}

#[test]
fn a_sound_reader_is_not_blamed() {
    let tally =
        planted(|_, bytes, _| if is_bad(bytes) { Err(Error::data("bad").at("x").remedy("mend it")) } else { Ok(()) });
    let tally = tally.unwrap_or_else(|problem| panic!("{problem}"));
    assert!(tally.cases == 1000 && tally.accepted < 1000, "{tally:?}");
}

#[test]
fn a_reader_that_panics_is_named() {
    named(&planted(|_, bytes, _| if is_bad(bytes) { panic!("planted") } else { Ok(()) }), "panicked");
}

#[test]
fn a_reader_that_allocates_wildly_is_named() {
    let greedy = |_: &Path, bytes: &[u8], _: u64| {
        let size = if is_bad(bytes) { 100 << 20 } else { 100 };
        drop(std::hint::black_box(Vec::<u8>::with_capacity(size)));
        Ok(())
    };
    named(&planted(greedy), "bytes were held");
}

#[test]
fn a_reader_that_hangs_is_named() {
    let hang = |_: &Path, bytes: &[u8], _: u64| {
        while is_bad(bytes) {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    };
    named(&planted(hang), "no answer");
}

#[test]
fn an_error_of_the_wrong_kind_or_without_a_remedy_is_named() {
    named(
        &planted(|_, bytes, _| if is_bad(bytes) { Err(Error::internal("x").at("x").remedy("x")) } else { Ok(()) }),
        "exit code 1",
    );
    named(
        &planted(|_, bytes, _| if is_bad(bytes) { Err(Error::data("x").at("x")) } else { Ok(()) }),
        "without place or remedy",
    );
}

/// The variable under which [`an_abort_fails_the_test_run`] runs itself again.
const AGAIN: &str = "WGRAD_PLANTED_ABORT";

#[test]
fn an_abort_fails_the_test_run() {
    let name = "planted::an_abort_fails_the_test_run";
    if std::env::var_os(AGAIN).is_some() {
        let deep = |_: &Path, bytes: &[u8], _: u64| if is_bad(bytes) { std::process::abort() } else { Ok(()) };
        drop(planted(deep));
        return;
    }
    let program = std::env::current_exe().expect("a program knows itself");
    let output = std::process::Command::new(program).args(["--exact", name]).env(AGAIN, "1").output();
    let status = output.expect("it starts").status;
    assert!(!status.success(), "an abort passed for success: {status}");
}
