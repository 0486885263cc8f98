//! Tests that need something this machine may not have: without it they are ignored, never passed, and under
//! `WGRAD_REQUIRE_GPU=1` (or another variable of the kind) they fail.

use libtest_mimic::{Failed, Trial};

/// A test that needs the adapter that `missing` says is missing, if it is.
#[allow(dead_code, reason = "each test file takes what it needs")]
pub fn trial(name: &str, missing: Option<String>, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    trial_where("WGRAD_REQUIRE_GPU", name, missing, test)
}

/// The same for what `variable` requires by being 1.
pub fn trial_where(
    variable: &str,
    name: &str,
    missing: Option<String>,
    test: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let required = std::env::var(variable).is_ok_and(|value| value == "1");
    match missing {
        None => Trial::test(name, test),
        // If someone asks for ignored tests, this one fails with the reason.
        Some(why) => Trial::test(name, move || Err(why.into())).with_ignored_flag(!required),
    }
}
