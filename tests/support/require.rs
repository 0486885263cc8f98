//! Tests that need something this machine may not have: without it they are ignored, never passed, and under
//! `WGRAD_REQUIRE_GPU=1` they fail.

use libtest_mimic::{Failed, Trial};

/// A test that needs what `missing` says is missing, if anything is.
pub fn trial(name: &str, missing: Option<String>, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    match missing {
        None => Trial::test(name, test),
        // If someone asks for ignored tests, this one fails with the reason.
        Some(why) => Trial::test(name, move || Err(why.into())).with_ignored_flag(!required()),
    }
}

fn required() -> bool {
    std::env::var("WGRAD_REQUIRE_GPU").is_ok_and(|value| value == "1")
}
