//! No file, however bad, makes wgrad panic, hang or take memory without measure: a hundred thousand damaged files of
//! every format, and headers that promise what no memory holds.

mod bombs;
#[path = "../support/files.rs"]
mod files;
mod formats;
mod harness;
mod memory;
mod mutation;
mod planted;

use std::time::Duration;

use formats::FORMATS;
use harness::attack;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Damaged files of each format.
const CASES: u64 = 100_000;

/// A case takes some tens of microseconds; this leaves room for the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn survives(name: &str) {
    let format = FORMATS.iter().find(|format| format.name == name).expect("a row of the table");
    let tally = attack(format, CASES, PATIENCE).unwrap_or_else(|problem| panic!("{problem}"));
    println!("{name}: {tally:?}");
    assert_eq!(tally.cases, CASES);
    // Damage that always or never shows would have tried nothing.
    assert!(tally.accepted > 0 && tally.accepted < CASES, "{tally:?}");
}

macro_rules! survives {
    ($($test:ident $name:literal),*) => {
        $(#[test] fn $test() { survives($name); })*
        #[test]
        fn every_format_has_its_test() {
            let tested = [$($name),*];
            let all: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
            assert_eq!(all, tested);
        }
    };
}

survives!(
    damaged_tables_are_read_or_refused "csv",
    damaged_gzipped_tables_are_read_or_refused "csv gz",
    damaged_images_are_read_or_refused "idx",
    damaged_archives_are_read_or_refused "npz",
    damaged_arrays_are_read_or_refused "npy",
    damaged_run_files_are_read_or_refused "toml",
    damaged_weights_are_read_or_refused "safetensors"
);
