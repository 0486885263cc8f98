//! The textbook systems of `examples/`: each run file, on each device, has to show what its comment says. Knows the
//! program by its command line and the files it leaves, as a user does.

#[path = "support/require.rs"]
mod require;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use libtest_mimic::{Arguments, Failed, Trial};
use safetensors::SafeTensors;
use serde_json::Value;

/// What a run left.
struct Run {
    metrics: Value,
    history: Vec<Vec<f64>>,
    columns: Vec<String>,
    words: String,
    weights: Vec<u8>,
}

/// A run file and what it is to show on a device.
struct Example {
    name: &'static str,
    /// Beside the checkout, because it is not ours to publish.
    data: Option<&'static str>,
    /// Fewer epochs where an adapter may be a software one: they show that the device learns, the CPU's how well.
    gpu_epochs: Option<&'static str>,
    shows: fn(&Run, device: &str) -> Result<(), Failed>,
}

const EXAMPLES: [Example; 7] = [
    Example { name: "linear", data: None, gpu_epochs: None, shows: linear },
    Example { name: "mnist_tanh", data: Some("mnist"), gpu_epochs: Some("1"), shows: mnist_tanh },
    Example { name: "random", data: None, gpu_epochs: None, shows: random },
    Example { name: "mnist_sgd", data: Some("mnist"), gpu_epochs: Some("2"), shows: mnist_sgd },
    Example { name: "xor", data: None, gpu_epochs: None, shows: xor },
    Example { name: "xor_without_hidden", data: None, gpu_epochs: None, shows: xor_without_hidden },
    Example { name: "boston", data: Some("boston_housing.csv"), gpu_epochs: None, shows: boston },
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // More would only compete with the threads of the runs themselves.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let no_gpu = match wgrad::gpu::adapters() {
        Ok(adapters) if adapters.is_empty() => Some("there is no adapter".to_owned()),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let mut trials = vec![Trial::test("listing::every_run_file_is_tested", every_run_file_is_tested)];
    for example in EXAMPLES {
        let data = example.data.map(|name| here().join("../shared/data").join(name));
        // Its own reason, which WGRAD_REQUIRE_GPU does not overrule: the data is no matter of devices.
        let no_data = data.as_ref().is_some_and(|path| !path.exists());
        for device in ["cpu", "gpu"] {
            let (name, data) = (format!("{device}::{}", example.name), data.clone());
            let epochs = example.gpu_epochs.filter(|_| device == "gpu");
            let test = move || {
                // One process at a time: software adapters take all cores, and some do not like company.
                static ALONE: Mutex<()> = Mutex::new(());
                let _alone = (device == "gpu").then(|| ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
                (example.shows)(&train(example.name, data.as_deref(), device, epochs)?, device)
            };
            let missing = no_gpu.clone().filter(|_| device == "gpu");
            trials.push(match no_data {
                true => Trial::test(name, || Err("its data is not here".into())).with_ignored_flag(true),
                false => require::trial(&name, missing, test),
            });
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn every_run_file_is_tested() -> Result<(), Failed> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(here().join("examples"))? {
        files.push(entry?.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let table = std::fs::read_to_string(here().join("examples/README.md"))?;
    for file in &files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        if !EXAMPLES.iter().any(|example| example.name == stem) || !table.contains(&format!("{stem}.toml")) {
            return Err(format!("{stem}.toml is not tested, or not in examples/README.md").into());
        }
    }
    if files.len() == EXAMPLES.len() { Ok(()) } else { Err(format!("{} run files", files.len()).into()) }
}

fn train(name: &str, data: Option<&Path>, device: &str, epochs: Option<&str>) -> Result<Run, Failed> {
    let out = std::env::temp_dir().join(format!("wgrad-examples-{}-{name}-{device}", std::process::id()));
    let _ = std::fs::remove_dir_all(&out);
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.arg("train").args(data).arg("--config").arg(here().join(format!("examples/{name}.toml")));
    command.args(["--device", device, "--out"]).arg(&out);
    command.args(epochs.iter().flat_map(|epochs| ["--epochs", epochs]));
    // The environment is between run file and flag: a WGRAD_EPOCHS of the caller's would train another example.
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD_")) {
        command.env_remove(variable);
    }
    let output = command.output()?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("{command:?}\n{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    let metrics: Value = serde_json::from_slice(&std::fs::read(out.join("metrics.json"))?)?;
    let weights = std::fs::read(out.join("model.safetensors"))?;
    let mut reader = csv::Reader::from_path(out.join("history.csv"))?;
    let columns = reader.headers()?.iter().map(str::to_owned).collect();
    let mut history = Vec::new();
    for record in reader.records() {
        history.push(record?.iter().map(|cell| cell.parse().unwrap_or(f64::NAN)).collect());
    }
    let _ = std::fs::remove_dir_all(&out);
    if metrics["device"] != device {
        return Err(format!("asked for {device}, metrics.json says {}", metrics["device"]).into());
    }
    Ok(Run { metrics, history, columns, words, weights })
}

impl Run {
    /// A number of metrics.json.
    fn number(&self, set: &str, name: &str) -> Result<f64, Failed> {
        let number = self.metrics[set][name].as_f64();
        number.ok_or_else(|| format!("metrics.json has no {set}.{name}").into())
    }

    fn column(&self, name: &str) -> Result<Vec<f64>, Failed> {
        let place = self.columns.iter().position(|column| column == name);
        let place = place.ok_or_else(|| format!("history.csv has no column {name}"))?;
        Ok(self.history.iter().map(|row| row[place]).collect())
    }

    fn symptoms(&self) -> Vec<&str> {
        let advice = self.metrics["advice"].as_array();
        advice.into_iter().flatten().filter_map(|one| one["symptom"].as_str()).collect()
    }

    fn tensor(&self, name: &str) -> Result<Vec<f64>, Failed> {
        let file = SafeTensors::deserialize(&self.weights)?;
        let values = file.tensor(name)?.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
        Ok(values.collect())
    }

    /// Says what is wrong with the run where `holds` does not.
    fn expect(&self, holds: bool, what: &str) -> Result<(), Failed> {
        if holds { Ok(()) } else { Err(format!("expected: {what}\n{}\n{}", self.words, self.metrics).into()) }
    }
}

/// Exact on the points it saw; beyond them it goes on rising, ever more slowly, and stays inside tanh's range.
fn linear(run: &Run, _: &str) -> Result<(), Failed> {
    run.expect(run.number("train", "r2")? >= 0.999, "R² of at least 0.999")?;
    let (w0, b0) = (run.tensor("layers.0.weight")?, run.tensor("layers.0.bias")?);
    let (w1, b1) = (run.tensor("layers.1.weight")?, run.tensor("layers.1.bias")?);
    let answer = |x: f64| {
        let hidden = w0.iter().zip(&b0).zip(&w1).map(|((w, b), out)| out * (w * x + b).tanh());
        (hidden.sum::<f64>() + b1[0]).tanh()
    };
    for i in 0..6 {
        let x = f64::from(i) / 10.0;
        run.expect((answer(x) - x).abs() < 0.02, &format!("about {x} at {x}, not {}", answer(x)))?;
    }
    let next: Vec<f64> = (6..10).map(|i| answer(f64::from(i) / 10.0)).collect();
    run.expect(next.windows(2).all(|pair| pair[1] > pair[0]), &format!("a rising line, not {next:?}"))?;
    run.expect((next[0] - 0.6).abs() < 0.03, &format!("nearly 0.6 at 0.6, not {next:?}"))?;
    run.expect(next[3] < 0.9 && next[3] > 0.65, &format!("less than 0.9 at 0.9, and not by much: {next:?}"))
}

fn mnist_tanh(run: &Run, device: &str) -> Result<(), Failed> {
    let bound = if device == "cpu" { 0.93 } else { 0.85 };
    run.expect(run.number("test", "accuracy")? >= bound, &format!("a test accuracy of at least {bound}"))
}

fn random(run: &Run, _: &str) -> Result<(), Failed> {
    let accuracy = run.number("test", "accuracy")?;
    // 150 rows: half a right answer each, plus or minus two and a half standard errors.
    run.expect((accuracy - 0.5).abs() < 0.1, "a test accuracy near one half")?;
    run.expect(run.words.contains("nothing to learn"), "a word about there being nothing to learn")?;
    run.expect(run.history.len() == 10, "ten epochs")
}

fn mnist_sgd(run: &Run, device: &str) -> Result<(), Failed> {
    let losses = run.column("train_loss")?;
    run.expect(losses.windows(2).all(|pair| pair[1] < pair[0]), "a training loss that falls in every epoch")?;
    let bound = if device == "cpu" { 0.92 } else { 0.8 };
    run.expect(run.number("test", "accuracy")? >= bound, &format!("a test accuracy of at least {bound}"))?;
    let tested: u64 = run.metrics["test"]["confusion"].as_array().into_iter().flatten().map(row_sum).sum();
    run.expect(tested == 2000, "2,000 test images")?;
    run.expect(run.words.contains("test: accuracy 0."), "the accuracy in words")
}

fn row_sum(row: &Value) -> u64 {
    row.as_array().into_iter().flatten().filter_map(Value::as_u64).sum()
}

fn xor(run: &Run, _: &str) -> Result<(), Failed> {
    run.expect(run.number("train", "accuracy")? == 1.0, "all four rows right")?;
    run.expect(run.number("train", "loss")? < 0.01, "a loss below 0.01")?;
    run.expect(run.symptoms().is_empty(), "no advice")
}

fn xor_without_hidden(run: &Run, _: &str) -> Result<(), Failed> {
    run.expect(run.number("train", "accuracy")? <= 0.75, "at most three of four rows right")?;
    // The least squared error that any straight line reaches.
    run.expect((run.number("train", "loss")? - 0.25).abs() < 1e-3, "a loss of 1/4")?;
    run.expect(run.symptoms() == ["underfitting"], "underfitting named")
}

fn boston(run: &Run, _: &str) -> Result<(), Failed> {
    run.expect(run.number("test", "r2")? >= 0.7, "a test R² of at least 0.7")?;
    let mse = run.number("test", "rmse")?.powi(2);
    run.expect(mse > 5.0 && mse < 35.0, &format!("a test MSE below 35, not {mse}"))
}
