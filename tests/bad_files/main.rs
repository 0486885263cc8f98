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
#[path = "../../fuzz/target.rs"]
mod target;

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
    damaged_weights_are_read_or_refused "safetensors",
    damaged_models_are_read_or_refused "model",
    damaged_checkpoints_are_read_or_refused "checkpoint"
);

/// The fuzz targets are built by hand and in CI only; what they share with each other is built and run here.
#[test]
fn every_format_has_a_fuzz_target_and_the_targets_read_good_and_bad_files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let read =
        |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (manifest, script) = (read("Cargo.toml"), read("run.sh"));
    for format in FORMATS {
        let stem = format.name.replace(' ', "_");
        let target = read(&format!("fuzz_targets/{stem}.rs"));
        assert!(target.contains(&format!("target::read(\"{}\", bytes)", format.name)), "{target}");
        assert!(manifest.contains(&format!("name = \"{stem}\"")) && script.contains(&stem), "{stem}");
    }
    let toml = FORMATS.iter().find(|format| format.name == "toml").expect("a row of the table");
    (toml.seeds)().iter().for_each(|seed| target::read("toml", seed));
    target::read("toml", b"[train]\nepochs = none");
    // A reader that answers with another exit code than its format's is a finding.
    let found = std::panic::catch_unwind(|| target::judge(toml, Err(wgrad::Error::internal("x").at("x").remedy("x"))));
    assert!(found.is_err());
}
