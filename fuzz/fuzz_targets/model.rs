//! Format "model" of tests/bad_files/formats.rs, as libFuzzer damages it.

#![no_main]

#[path = "../../tests/support/files.rs"]
mod files;
#[path = "../../tests/bad_files/formats.rs"]
mod formats;
#[path = "../target.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| target::read("model", bytes));
