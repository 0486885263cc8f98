//! Feeds damaged files to a reader and holds it to its promise: an answer or an error with exit code, place and remedy;
//! no panic, no hang, no memory out of proportion. What it finds it names by format and case number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use wgrad::error::Error;

use crate::formats::Format;
use crate::memory::peak_of;
use crate::mutation::damaged;

/// Memory that reading a damaged file of at most 16 KiB may take.
const MOST_MEMORY: usize = 64 << 20;

/// Longest sentence of an error, in bytes: names from a file are quoted in it.
const LONGEST_SENTENCE: usize = 16 << 10;

/// What a reader answered in all cases.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub cases: u64,
    pub accepted: u64,
    /// Bytes held at most in any case.
    pub peak: usize,
}

/// A folder on memory where there is one: hundreds of thousands of files are written.
pub fn folder(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let path = parent.join(format!("wgrad-bad-files-{}-{}", std::process::id(), name.replace(' ', "-")));
    std::fs::create_dir_all(&path).expect("a temporary folder can be made");
    path
}

/// Runs `cases` cases.
///
/// # Errors
/// The first case that breaks the promise; `patience` is the time after which a case counts as hung.
pub fn attack(format: &Format, cases: u64, patience: Duration) -> Result<Tally, String> {
    let started = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = channel();
    let (format, worker_started) = (*format, started.clone());
    std::thread::spawn(move || {
        let place = folder(format.name);
        // The receiver is gone only when the watch has given up on this thread.
        let _ = sender.send(run(&format, cases, &place, &worker_started));
        let _ = std::fs::remove_dir_all(place);
    });
    watch(&receiver, &started, patience).unwrap_or_else(|case| {
        Err(format!("{} case {case}: no answer after {} s", format.name, patience.as_secs_f64()))
    })
}

/// Waits for the result; the number of the case that takes longer than `patience`.
fn watch<T>(receiver: &Receiver<T>, started: &AtomicU64, patience: Duration) -> Result<T, u64> {
    let (mut case, mut since) = (0, Instant::now());
    loop {
        match receiver.recv_timeout(Duration::from_millis(50).min(patience)) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Disconnected) => return Err(started.load(Ordering::Relaxed)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = started.load(Ordering::Relaxed);
        if now != case {
            (case, since) = (now, Instant::now());
        } else if since.elapsed() > patience {
            return Err(case);
        }
    }
}

fn run(format: &Format, cases: u64, place: &Path, started: &AtomicU64) -> Result<Tally, String> {
    let seeds = (format.seeds)();
    let mut tally = Tally::default();
    for (number, seed) in seeds.iter().enumerate() {
        let good = (format.read)(place, seed, 0);
        good.map_err(|error| format!("{}: its good file {number} is refused: {error}", format.name))?;
    }
    for case in 0..cases {
        started.store(case, Ordering::Relaxed);
        let bytes = damaged(&seeds, format.tokens, case);
        let read = || catch_unwind(AssertUnwindSafe(|| (format.read)(place, &bytes, case)));
        let (answer, peak) = peak_of(read);
        let problem = match &answer {
            Err(_) => Some("the reader panicked".to_owned()),
            Ok(Err(error)) => complaint(error, format.exit_code),
            Ok(Ok(())) => None,
        };
        let greedy = (peak > MOST_MEMORY).then(|| format!("{peak} bytes were held for a file of {}", bytes.len()));
        if let Some(problem) = problem.or(greedy) {
            let shown = String::from_utf8_lossy(&bytes);
            return Err(format!("{} case {case}: {problem}\n--- the file:\n{shown}", format.name));
        }
        tally.cases += 1;
        tally.accepted += u64::from(matches!(answer, Ok(Ok(()))));
        tally.peak = tally.peak.max(peak);
    }
    Ok(tally)
}

/// What is wrong with an error's form.
fn complaint(error: &Error, exit_code: u8) -> Option<String> {
    let sentence = error.to_string();
    if error.exit_code() != exit_code {
        return Some(format!("exit code {} instead of {exit_code}: {sentence}", error.exit_code()));
    }
    if error.fault().place.is_none() || error.fault().remedy.is_none() {
        return Some(format!("an error without place or remedy: {sentence}"));
    }
    (sentence.len() > LONGEST_SENTENCE).then(|| format!("an error of {} bytes", sentence.len()))
}
