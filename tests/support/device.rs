//! The one device of a test process. A software adapter crashes when devices are opened at the same time, so tests that
//! use it run one after the other.

use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::gpu::{self, Device, Selector};

use crate::require;

/// A test on the device.
pub type Test = fn(&Device) -> Result<(), Failed>;

/// Runs the tests on the best adapter of this machine, and the others, and exits. Without an adapter the former are
/// ignored.
pub fn main<F>(tests: Vec<(String, F)>, others: Vec<Trial>) -> !
where
    F: FnOnce(&Device) -> Result<(), Failed> + Send + 'static,
{
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let (device, missing) = match gpu::open(&Selector::Best) {
        Ok(device) => (Some(Arc::new(device)), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let trial = |(name, test): (String, F)| -> Trial {
        let device = device.clone();
        require::trial(&name, missing.clone(), move || match device {
            Some(device) => test(&device),
            None => Err("there is no device".into()),
        })
    };
    let trials = others.into_iter().chain(tests.into_iter().map(trial)).collect();
    libtest_mimic::run(&arguments, trials).exit()
}
