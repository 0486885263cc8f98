//! The Python that tests compare with: `TEST_PYTHON`, or the one that `tests/run.sh` keeps in `target/python`. A test
//! that needs it is ignored where it or a package is not there; under `TEST_REQUIRE_PYTHON=1` it fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

/// A Python that has these packages, or what is missing.
pub fn find(packages: &str) -> Result<PathBuf, String> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let python = std::env::var_os("TEST_PYTHON").map_or(kept, PathBuf::from);
    let output = Command::new(&python).args(["-c", &format!("import {packages}")]).output();
    match output {
        Err(error) => Err(format!("{} cannot be started: {error}", python.display())),
        Ok(output) if output.status.success() => Ok(python),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(format!("{}: {}", python.display(), words.trim().lines().last().unwrap_or_default()))
        }
    }
}

/// A test with the Python that `found` is. `required`: without one it fails if `TEST_REQUIRE_PYTHON=1`.
pub fn trial(
    name: &str,
    found: &Result<PathBuf, String>,
    required: bool,
    test: impl FnOnce(&Path) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let is_required = required && std::env::var("TEST_REQUIRE_PYTHON").is_ok_and(|value| value == "1");
    match found.clone() {
        Ok(python) => Trial::test(name, move || test(&python)),
        Err(why) => Trial::test(name, move || Err(why.into())).with_ignored_flag(!is_required),
    }
}

/// Runs a script and returns what it printed.
pub fn run(python: &Path, arguments: &[&std::ffi::OsStr]) -> Result<String, Failed> {
    let output = Command::new(python).args(arguments).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{arguments:?}\n{}", String::from_utf8_lossy(&output.stderr)).into())
}
