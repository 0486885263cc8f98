//! The golden runs: `wgrad train` from known start weights has to end at the weights that PyTorch ends at, on every
//! device. Each case on each device is a test of its own, named `cpu::opt_adam`; `tests/golden/README.md` says what a
//! case is. Knows the program by its command line and the files it leaves, as a user does.

#[path = "support/require.rs"]
mod require;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

/// The cases that were in the folder when this was written; a listing that finds fewer has lost some.
const OWN_CASES: usize = 56;
/// The same for the cases beside the checkout, which not every checkout has.
const SHARED_CASES: usize = 12;
/// The schedule's formula is computed in f64 on both sides.
const RATE_TOLERANCE: f64 = 1e-6;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // More would only compete with the threads of the runs themselves.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    libtest_mimic::run(&arguments, trials()).exit_code()
}

fn trials() -> Vec<Trial> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = cases(&here.join("tests/golden"));
    let shared = cases(&here.join("../shared/golden"));
    let mut trials = vec![
        listing(&own, &shared),
        Trial::test("comparison::every_fault_is_reported", {
            let case = own.first().cloned();
            move || every_fault_is_reported(&case.ok_or("there is no case")?)
        }),
    ];
    let no_gpu = no_gpu();
    for case in own.into_iter().chain(shared) {
        let (folder, name) = (case.clone(), name(&case));
        trials.push(Trial::test(format!("cpu::{name}"), move || check(&folder, "cpu")));
        trials.push(require::trial(&format!("gpu::{name}"), no_gpu.clone(), move || {
            // One process at a time: software adapters take all cores, and some do not like company.
            static ALONE: Mutex<()> = Mutex::new(());
            let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            check(&case, "gpu")
        }));
    }
    trials
}

/// The case folders, in the order of their names; none if there is no such folder.
fn cases(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|p| p.join("run.toml").is_file()).collect();
    cases.sort();
    cases
}

fn name(case: &Path) -> String {
    case.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// An empty folder would pass every test that it has.
fn listing(own: &[PathBuf], shared: &[PathBuf]) -> Trial {
    let counts = (own.len(), shared.len());
    let names: Vec<String> = own.iter().chain(shared).map(|case| name(case)).collect();
    Trial::test("listing::no_case_is_lost", move || {
        if counts.0 < OWN_CASES {
            return Err(format!("{} cases in tests/golden, there were {OWN_CASES}", counts.0).into());
        }
        if counts.1 != 0 && counts.1 < SHARED_CASES {
            return Err(format!("{} cases in ../shared/golden, there were {SHARED_CASES}", counts.1).into());
        }
        let mut different = names.clone();
        different.sort();
        different.dedup();
        if different.len() != names.len() {
            return Err("two cases have one name, and one of them would hide the other".into());
        }
        Ok(())
    })
}

/// What stands in the way of testing a GPU, by the list that `wgrad devices` prints.
fn no_gpu() -> Option<String> {
    match wgrad::gpu::adapters() {
        Ok(adapters) if adapters.is_empty() => Some("there is no adapter".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// Trains the case on the device and compares all that is known of it.
fn check(case: &Path, device: &str) -> Result<(), Failed> {
    let out = tempfile(&format!("{}-{device}", name(case)));
    let expected = Outcome::expected(case)?;
    let got =
        train(case, device, &out).and_then(|()| was_trained_on(device, &out)).and_then(|()| Outcome::of_run(&out));
    let _ = std::fs::remove_dir_all(&out);
    let faults = faults(&got?, &expected, &meta(case)?);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n").into()) }
}

/// A path for a run's folder, which the program makes itself.
fn tempfile(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wgrad-golden-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn train(case: &Path, device: &str, out: &Path) -> Result<(), Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.arg("train").arg("--config").arg(case.join("run.toml"));
    command.arg("--init").arg(case.join("init.safetensors"));
    command.args(["--device", device, "--quiet", "--out"]).arg(out);
    // The environment is between run file and flag: a WGRAD_EPOCHS of the caller's would train another case.
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("WGRAD_") {
            command.env_remove(variable);
        }
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}\n{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into())
}

/// A run that quietly took the CPU instead would prove nothing of the GPU.
fn was_trained_on(device: &str, out: &Path) -> Result<(), Failed> {
    let metrics: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("metrics.json"))?)?;
    if metrics["device"] == device {
        return Ok(());
    }
    Err(format!("asked for {device}, metrics.json says {}", metrics["device"]).into())
}

/// `meta.json`, as far as it is tested.
#[derive(Debug, Clone, Deserialize)]
struct Meta {
    tolerance: Tolerance,
    tensor_tolerance: BTreeMap<String, f64>,
    learning_rate: Vec<f64>,
    train_loss: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Tolerance {
    weights: f64,
    train_loss: f64,
}

fn meta(case: &Path) -> Result<Meta, Failed> {
    Ok(serde_json::from_slice(&std::fs::read(case.join("meta.json"))?)?)
}

#[derive(Debug, Clone, PartialEq)]
struct Tensor {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// What a training ends with.
#[derive(Debug, Clone)]
struct Outcome {
    tensors: BTreeMap<String, Tensor>,
    learning_rate: Vec<f64>,
    train_loss: Vec<f64>,
}

impl Outcome {
    fn expected(case: &Path) -> Result<Self, Failed> {
        let meta = meta(case)?;
        let tensors = tensors(&case.join("expected.safetensors"))?;
        Ok(Outcome { tensors, learning_rate: meta.learning_rate, train_loss: meta.train_loss })
    }

    fn of_run(out: &Path) -> Result<Self, Failed> {
        Ok(Outcome {
            tensors: tensors(&out.join("model.safetensors"))?,
            learning_rate: history(out, "learning_rate")?,
            train_loss: history(out, "train_loss")?,
        })
    }
}

fn tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, Failed> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = SafeTensors::deserialize(&bytes)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            other => return Err(format!("{}: {name} is {other:?}", path.display()).into()),
        };
        tensors.insert(name, Tensor { shape: view.shape().to_vec(), values });
    }
    Ok(tensors)
}

/// A column of history.csv.
fn history(out: &Path, column: &str) -> Result<Vec<f64>, Failed> {
    let mut reader = csv::Reader::from_path(out.join("history.csv"))?;
    let place = reader.headers()?.iter().position(|header| header == column);
    let place = place.ok_or_else(|| format!("history.csv has no column {column}"))?;
    let mut values = Vec::new();
    for record in reader.records() {
        values.push(record?.get(place).unwrap_or_default().parse()?);
    }
    Ok(values)
}

/// Every way in which the one is not the other, in words; empty if they agree.
fn faults(got: &Outcome, expected: &Outcome, meta: &Meta) -> Vec<String> {
    let mut faults = Vec::new();
    for name in got.tensors.keys().filter(|name| !expected.tensors.contains_key(*name)) {
        faults.push(format!("{name} is in the model and not expected"));
    }
    for (name, want) in &expected.tensors {
        let bound = meta.tensor_tolerance.get(name).copied().unwrap_or(meta.tolerance.weights);
        match got.tensors.get(name) {
            None => faults.push(format!("{name} is not in the model")),
            Some(have) if have.shape != want.shape => {
                faults.push(format!("{name} has the shape {:?}, expected is {:?}", have.shape, want.shape));
            }
            Some(have) => faults.extend(tensor_fault(name, have, want, bound)),
        }
    }
    faults.extend(series_fault("learning_rate", &got.learning_rate, &expected.learning_rate, RATE_TOLERANCE));
    faults.extend(series_fault("train_loss", &got.train_loss, &expected.train_loss, meta.tolerance.train_loss));
    faults
}

fn tensor_fault(name: &str, got: &Tensor, expected: &Tensor, bound: f64) -> Option<String> {
    let scale = rms(expected).max(1e-3);
    let errors = got.values.iter().zip(&expected.values).map(|(got, want)| (got - want).abs() / scale);
    let (place, error) = errors.enumerate().find(|(_, error)| !is_within(*error, bound))?;
    let (have, want) = (got.values[place], expected.values[place]);
    let worst = got.values.iter().zip(&expected.values).map(|(g, w)| (g - w).abs() / scale).fold(0.0, f64::max);
    Some(format!(
        "{name}[{place}] is {have}, expected is {want}: {error:.2e} of the rms; the largest is {worst:.2e}, \
         bound {bound:.0e}"
    ))
}

/// NaN is not: that is why this asks for the error to be small rather than for it not to be large.
fn is_within(error: f64, bound: f64) -> bool {
    error <= bound
}

fn rms(tensor: &Tensor) -> f64 {
    (tensor.values.iter().map(|x| x * x).sum::<f64>() / tensor.values.len() as f64).sqrt()
}

fn series_fault(name: &str, got: &[f64], expected: &[f64], bound: f64) -> Option<String> {
    if got.len() != expected.len() {
        return Some(format!("{name} has {} epochs, expected are {}", got.len(), expected.len()));
    }
    let wrong = got.iter().zip(expected).position(|(got, want)| !is_within((got - want).abs(), bound * want.abs()))?;
    let (have, want) = (got[wrong], expected[wrong]);
    let off = (have - want).abs() / want.abs();
    Some(format!("{name} of epoch {} is {have}, expected is {want}: off by {off:.2e}, bound {bound:.0e}", wrong + 1))
}

type Spoil<'a> = &'a dyn Fn(&mut Outcome);

/// The comparison itself is tested: it accepts the expected outcome and nothing that is off by twice its bound.
fn every_fault_is_reported(case: &Path) -> Result<(), Failed> {
    let (expected, meta) = (Outcome::expected(case)?, meta(case)?);
    assert_eq!(faults(&expected, &expected, &meta), [""; 0]);
    let tensor = "layers.0.weight";
    let last = expected.tensors[tensor].values.len() - 1;
    let spoils: [(&str, Spoil<'_>); 10] = [
        ("2e-3 of the rms", &|o| {
            o.tensors.get_mut(tensor).unwrap().values[last] += 2e-3 * rms(&expected.tensors[tensor])
        }),
        ("2e-3 below", &|o| o.tensors.get_mut(tensor).unwrap().values[0] -= 2e-3 * rms(&expected.tensors[tensor])),
        ("NaN", &|o| o.tensors.get_mut(tensor).unwrap().values[last] = f64::NAN),
        ("infinity", &|o| o.tensors.get_mut(tensor).unwrap().values[last] = f64::INFINITY),
        ("a tensor less", &|o| drop(o.tensors.remove(tensor))),
        ("a tensor more", &|o| drop(o.tensors.insert("layers.9.weight".into(), o.tensors[tensor].clone()))),
        ("another shape", &|o| o.tensors.get_mut(tensor).unwrap().shape.reverse()),
        ("an epoch less", &|o| o.train_loss.truncate(1)),
        ("a loss of NaN", &|o| o.train_loss[0] = f64::NAN),
        ("another rate", &|o| o.learning_rate[1] *= 1.001),
    ];
    for (what, spoil) in spoils {
        let mut got = expected.clone();
        spoil(&mut got);
        let faults = faults(&got, &expected, &meta);
        if faults.len() != 1 {
            return Err(format!("{what}: reported were {faults:?}").into());
        }
    }
    Ok(())
}
