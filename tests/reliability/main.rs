//! What a run survives: being killed, being told to stop, and a disk that fails at any moment. And that equal runs are
//! equal, whatever else the machine does. The figures stand in docs/reliability.md.

#[path = "../support/place.rs"]
mod place;
#[path = "../support/require.rs"]
mod require;

#[cfg(target_os = "linux")]
mod devices;
mod equal_runs;
mod kills;
#[cfg(unix)]
mod signals;
mod stops;
#[cfg(target_os = "linux")]
mod writes;

use std::fmt::Display;

use libtest_mimic::{Arguments, Failed, Trial};
use sha2::{Digest, Sha256};

use place::{Place, Said};

/// SHA-256 of a run's model, which holds no time and no path.
fn model(place: &Place, run: &str) -> String {
    Sha256::digest(place.read(&format!("{run}/model.safetensors"))).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ensure(holds: bool, otherwise: impl Display) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.to_string().into()) }
}

/// Runs it and insists on an exit code.
fn ends_with(place: &Place, code: i32, arguments: &str) -> Result<Said, Failed> {
    let said = place.run(arguments);
    ensure(said.code == code, format!("wgrad {arguments} ended with {}: {}{}", said.code, said.out, said.err))?;
    Ok(said)
}

/// Names of files that were not finished.
fn temporary(place: &Place, run: &str) -> Vec<String> {
    place.names(run).into_iter().filter(|name| name.ends_with(".tmp")).collect()
}

/// Why nothing can be tried on an adapter, if so.
fn missing_adapter() -> Option<String> {
    let found = Place::new("devices").run_with(&[("WGRAD_DEVICE", "auto")], "devices --json");
    (!found.out.contains("backend")).then(|| "no adapter was found".to_owned())
}

fn main() {
    let mut arguments = Arguments::from_args();
    // Each test starts processes of its own, which share two cores at most.
    arguments.test_threads = Some(1);
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(equal_runs::trials());
    trials.extend(kills::trials());
    trials.extend(stops::trials());
    #[cfg(unix)]
    trials.extend(signals::trials());
    #[cfg(target_os = "linux")]
    trials.extend(writes::trials().into_iter().chain(devices::trials()));
    libtest_mimic::run(&arguments, trials).exit()
}
