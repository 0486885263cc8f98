//! The library as a Rust program uses it, and the programs of `examples/` with it: they are modules here, so that what
//! is run is what can be read there.

#[path = "support/device.rs"]
mod device;
#[path = "support/require.rs"]
mod require;

#[path = "../examples/csv.rs"]
mod csv;
#[path = "../examples/custom_activation.rs"]
mod custom_activation;
#[path = "../examples/early_stopping.rs"]
mod early_stopping;
#[path = "../examples/images.rs"]
mod images;
#[path = "../examples/quickstart.rs"]
mod quickstart;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use ndarray::{Array2, array};
use wgrad::device::Chosen;
use wgrad::model::activations::{Activation, Activations};
use wgrad::train::setup;
use wgrad::verify::Report;
use wgrad::{Dataset, Device, End, Error, Sequential, Set, Source, TrainedModel, export, layers};

use custom_activation::SOFTSIGN;

type Plain = fn() -> Result<(), Failed>;

const PLAIN: &[(&str, Plain)] = &[
    ("examples::every_program_is_tested_and_in_the_readme", every_program_is_tested),
    ("the_readme_shows_the_tested_quickstart", readme_shows_the_quickstart),
    ("examples::quickstart_learns_xor", quickstart_learns_xor),
    ("examples::csv_predicts_prices", csv_predicts_prices),
    ("examples::images_tells_digits_apart", images_tells_digits_apart),
    ("examples::custom_activation_is_verified_saved_and_loaded", custom_activation_runs),
    ("examples::early_stopping_stops_at_its_goal", early_stopping_stops),
    ("the_library_trains_what_the_command_line_trains", as_the_command_line),
    ("a_saved_model_answers_as_the_fitted_one", saved_answers),
    ("evaluating_the_test_rows_again_gives_the_same", evaluated_again),
    ("a_callback_ends_training_where_it_says", callback_ends),
    ("classes_of_words_and_several_targets_come_back_as_they_went_in", answers_in_their_own_terms),
    ("exporting_columns_and_targets_beyond_32_bit_floats_warns", export_beyond_floats),
    ("mistakes_are_typed_errors_with_their_place", mistakes),
    ("a_model_with_an_own_activation_is_refused_without_it", refused_without_it),
    ("an_own_activation_that_cannot_be_is_refused", bad_activations),
];

const GPU: &[(&str, device::Test)] = &[
    ("gpu::an_own_activation_is_within_its_bounds", own_activation_on_gpu),
    ("gpu::an_own_activation_whose_wgsl_differs_from_its_rust_is_caught", wrong_wgsl_is_caught),
];

fn main() {
    let plain = PLAIN.iter().map(|&(name, test)| Trial::test(name, test)).collect();
    device::main(GPU.iter().map(|&(name, test)| (name.to_owned(), test)).collect(), plain)
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise().into()) }
}

/// A folder of this process that is removed with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Place(std::env::temp_dir().join(format!("wgrad-library-{}-{name}", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// A line with two features.
fn line(rows: usize) -> (Array2<f32>, ndarray::Array1<f32>) {
    let x = Array2::from_shape_fn((rows, 2), |(row, column)| ((row * (3 + 4 * column)) % 17) as f32);
    let y = x.rows().into_iter().map(|row| 100.0 + 5.0 * row[0] - 2.0 * row[1]).collect();
    (x, y)
}

fn every_program_is_tested() -> Result<(), Failed> {
    let readme = std::fs::read_to_string(examples().join("README.md"))?;
    let own = include_str!("library.rs");
    let mut found = 0;
    for entry in std::fs::read_dir(examples())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rs") {
            let is_tested = own.contains(&format!("#[path = \"../examples/{name}\"]"));
            let stem = name.trim_end_matches(".rs");
            let is_told = readme.contains(&format!("--example {stem}"));
            ensure(is_tested && is_told, || format!("{name} is not tested, or not in the README"))?;
            found += 1;
        }
    }
    ensure(found >= 5, || format!("{found} programs"))
}

/// The crate's documentation has it as a tested example; the README must not say otherwise. Where to save differs.
fn readme_shows_the_quickstart() -> Result<(), Failed> {
    let lines = include_str!("../src/lib.rs").lines().map(|line| line.trim_start_matches("//!").trim());
    let code = lines.skip_while(|line| *line != "```").skip(1).take_while(|line| *line != "```");
    let shown = code.filter(|line| !line.starts_with('#') && !line.contains("folder") && !line.starts_with("use "));
    let readme = include_str!("../README.md");
    let mut compared = 0;
    for line in shown.filter(|line| !line.is_empty()) {
        // What follows a statement there may be a remark.
        ensure(readme.contains(line), || format!("the README lacks: {line}"))?;
        compared += 1;
    }
    ensure(compared >= 5, || format!("{compared} lines"))
}

fn quickstart_learns_xor() -> Result<(), Failed> {
    let (fitted, predictions) = quickstart::run()?;
    ensure(predictions.labels == [0, 1, 1, 0], || format!("{predictions:?}"))?;
    ensure(fitted.history().len() == 200 && fitted.end() == End::Finished, || format!("{:?}", fitted.end()))
}

fn csv_predicts_prices() -> Result<(), Failed> {
    let (fitted, evaluation) = csv::run(&examples().join("flats.csv"), "price")?;
    let (_, r2) = evaluation.metrics.headline();
    ensure(r2 > 0.9, || format!("R² {r2}"))?;
    let rows = fitted.predict_file(examples().join("flats.csv"))?.rows();
    ensure(rows == 150, || format!("{rows} rows"))
}

fn images_tells_digits_apart() -> Result<(), Failed> {
    let fitted = images::run("digits")?;
    let accuracy = fitted.evaluation(Set::Test).ok_or("no test rows")?.metrics.headline().1;
    ensure(accuracy > 0.93, || format!("accuracy {accuracy}"))
}

fn custom_activation_runs() -> Result<(), Failed> {
    let place = Place::new("softsign");
    let (report, fitted, model) = custom_activation::run(&place.0, Device::cpu())?;
    report.verdict("cpu")?;
    let accuracy = fitted.evaluation(Set::Test).ok_or("no test rows")?.metrics.headline().1;
    ensure(accuracy > 0.9, || format!("accuracy {accuracy}"))?;
    let (own, loaded) = (fitted.predict_file("digits")?, model.on(&Device::cpu())?.predict_file("digits")?);
    ensure(own == loaded && own.rows() == 1797, || "the loaded model answers otherwise".into())
}

fn early_stopping_stops() -> Result<(), Failed> {
    let mut seen = Vec::new();
    let fitted = early_stopping::run(0.05, |epoch| seen.push(epoch.clone()))?;
    ensure(fitted.end() == End::Interrupted && seen == fitted.history(), || format!("{:?}", fitted.end()))?;
    let losses: Vec<f64> = seen.iter().filter_map(|epoch| epoch.validation_loss).collect();
    let (last, before) = losses.split_last().ok_or("no validation loss")?;
    ensure(*last < 0.05 && before.iter().all(|loss| *loss >= 0.05), || format!("{losses:?}"))
}

fn as_the_command_line() -> Result<(), Failed> {
    let place = Place::new("command-line");
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_wgrad"))
        .args(["train", "digits", "--hidden", "16", "--epochs", "2", "--device", "cpu", "--quiet", "--out"])
        .arg(place.0.join("run"))
        .output()?;
    ensure(run.status.success(), || String::from_utf8_lossy(&run.stderr).into_owned())?;
    let network = Sequential::new().dense(16, "relu").epochs(2).device(Device::Cpu { threads: 1 });
    let fitted = network.fit(&Dataset::load("digits")?)?;
    let file = fitted.save(place.0.join("own.safetensors"))?;
    let (cli, own) = (std::fs::read(place.0.join("run/model.safetensors"))?, std::fs::read(file)?);
    ensure(cli == own, || "the model files differ".into())?;
    let config = std::fs::read_to_string(place.0.join("run/config.toml"))?;
    ensure(config == fitted.config().to_toml(), || format!("{config}\n{}", fitted.config().to_toml()))
}

fn saved_answers() -> Result<(), Failed> {
    let (x, y) = line(60);
    let data = Dataset::from_arrays(&x, &y)?;
    let network = Sequential::new().dense(8, "relu").batch_norm().dropout(0.1).dense(4, "gelu").epochs(5);
    let fitted = network.device(Device::cpu()).fit(&data)?;
    let place = Place::new("saved");
    let file = fitted.save(&place.0)?;
    ensure(file == place.0.join("model.safetensors"), || file.display().to_string())?;
    let loaded = TrainedModel::load(&place.0)?;
    ensure(loaded.to_bytes()? == std::fs::read(&file)?, || "saving it again gives other bytes".into())?;
    let answers = loaded.on(&Device::cpu())?.predict(&x)?;
    ensure(answers == fitted.predict(&x)? && answers.rows() == 60, || "other answers".into())
}

fn evaluated_again() -> Result<(), Failed> {
    let (x, y) = line(60);
    let data = Dataset::from_arrays(&x, &y)?;
    let fitted = Sequential::new().dense(8, "relu").epochs(5).device(Device::cpu()).fit(&data)?;
    let rows: Vec<usize> = data.split.test.iter().map(|&row| row as usize).collect();
    let (x, y) = (x.select(ndarray::Axis(0), &rows), y.select(ndarray::Axis(0), &rows));
    let again = fitted.evaluate(&x, &y)?;
    let first = fitted.evaluation(Set::Test).ok_or("no test rows")?;
    ensure((again.loss - first.loss).abs() <= 1e-6 * first.loss, || format!("{again:?} {first:?}"))?;
    let (again, first) = (again.metrics.headline().1, first.metrics.headline().1);
    ensure((again - first).abs() <= 1e-6, || format!("{again} {first}"))
}

fn callback_ends() -> Result<(), Failed> {
    let (x, y) = line(60);
    let data = Dataset::from_arrays(&x, &y)?;
    let network = Sequential::new().dense(8, "relu").epochs(50).device(Device::cpu());
    let three = network.fit_with(&data, |epoch| match epoch.epoch {
        3 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })?;
    ensure(three.history().len() == 3 && three.end() == End::Interrupted, || format!("{:?}", three.history()))?;
    let whole = network.clone().epochs(3).fit(&data)?;
    ensure(whole.end() == End::Finished && whole.predict(&x)? == three.predict(&x)?, || "other weights".into())
}

fn answers_in_their_own_terms() -> Result<(), Failed> {
    let (x, y) = line(90);
    let words: Vec<&str> = y
        .iter()
        .map(|&y| {
            if y < 110.0 {
                "low"
            } else if y < 150.0 {
                "mid"
            } else {
                "high"
            }
        })
        .collect();
    let network = Sequential::new().dense(16, "relu").learning_rate(0.01).epochs(100).device(Device::cpu());
    let fitted = network.fit(&Dataset::from_arrays(&x, &words)?)?;
    let answers = fitted.predict(&x)?;
    let right = answers.labels.iter().zip(&words).filter(|(label, word)| answers.classes[**label] == **word).count();
    ensure(right > 75, || format!("{right} of 90"))?;
    let error = fitted.evaluate(&x, &["none"; 90]).map(|_| ()).expect_err("an unknown class").to_string();
    ensure(error.starts_with("y[0]: \"none\" in the target \"y\" is none of the trained classes"), || error)?;
    let both = Array2::from_shape_fn((90, 2), |(row, target)| y[row] * (1.0 - 3.0 * target as f32));
    let fitted = network.fit(&Dataset::from_arrays(&x, &both)?)?;
    let answers = fitted.predict(&x)?;
    ensure(answers.columns == ["prediction_y_0", "prediction_y_1"], || format!("{:?}", answers.columns))?;
    let furthest = answers.values.iter().zip(&both).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
    ensure(furthest < 40.0, || format!("an answer is {furthest} off"))
}

fn export_beyond_floats() -> Result<(), Failed> {
    let folder = Place::new("beyond");
    std::fs::create_dir_all(&folder.0)?;
    let path = folder.0.join("far.csv");
    let warned = |unit: f64| -> Result<Vec<String>, Failed> {
        let lines = (0..40).map(|i| format!("{:e},{i},{:e}\n", f64::from(i) * unit, f64::from(i % 7) / unit));
        std::fs::write(&path, format!("a,b,y\n{}", lines.collect::<String>()))?;
        let data = Source::file(&path).load()?;
        let fitted = Sequential::new().dense(3, "relu").epochs(1).device(Device::cpu()).fit(&data)?;
        Ok(export::to_onnx(fitted.model())?.warnings)
    };
    let fine = warned(10.0)?;
    ensure(fine.is_empty(), || format!("{fine:?}"))?;
    for unit in [1e60, 1e-60] {
        let warnings = warned(unit)?;
        let names = ["the column \"a\" lies at ", "the target \"y\" lies at "];
        let is_told =
            warnings.len() == 2 && warnings.iter().zip(names).all(|(warning, name)| warning.starts_with(name));
        ensure(is_told && warnings.iter().all(|warning| warning.contains("beyond the 32-bit floats")), || {
            format!("{warnings:?}")
        })?;
    }
    Ok(())
}

fn mistakes() -> Result<(), Failed> {
    let (x, y) = line(60);
    let data = Dataset::from_arrays(&x, &y)?;
    let network = || Sequential::new().dense(8, "relu").epochs(1).device(Device::cpu());
    type Kind = fn(&Error) -> bool;
    let is_data: Kind = |error| matches!(error, Error::Data(_));
    let failures: [(Sequential, Kind, &str); 6] = [
        (
            network().dense(4, "rellu"),
            is_data,
            "model.layers[1].activation: unknown activation `rellu`; did you mean `relu`?",
        ),
        (network().epochs(0), is_data, "train.epochs: "),
        (network().dropout(1.5), is_data, "model.layers[1].rate: "),
        (network().loss("cross_entropy"), is_data, "loss.name: cross_entropy needs classes"),
        (network().configure(|config| config.optimizer.momentum = Some(2.0)), is_data, "optimizer.momentum: "),
        (network().device(Device::Named("no such adapter".into())), |e| matches!(e, Error::Device(_)), ""),
    ];
    for (network, kind, start) in failures {
        let error = network.fit(&data).map(|_| ()).expect_err(start);
        ensure(kind(&error) && error.to_string().starts_with(start), || format!("{start}\n{error}"))?;
    }
    let wild = network().learning_rate(1e30).optimizer("sgd").epochs(5).fit(&data).map(|_| ()).expect_err("diverges");
    ensure(matches!(wild, Error::Diverged(_)) && wild.to_string().contains("the first is in epoch"), || {
        wild.to_string()
    })?;
    let fitted = network().fit(&data)?;
    let narrow = fitted.predict(&array![[1.0]]).map(|_| ()).expect_err("one column").to_string();
    ensure(narrow.starts_with("arrays: x has 1 columns, the model was trained on 2"), || narrow)?;
    let lost = Source::file("no such table.csv").load().map(|_| ()).expect_err("no file");
    ensure(is_data(&lost) && lost.to_string().starts_with("no such table.csv: "), || lost.to_string())
}

fn refused_without_it() -> Result<(), Failed> {
    let (x, y) = line(60);
    let data = Dataset::from_arrays(&x, &y)?;
    let network = Sequential::new().activation(&SOFTSIGN).dense(8, "softsign").epochs(1).device(Device::cpu());
    let bytes = network.fit(&data)?.into_model().to_bytes()?;
    let error = TrainedModel::from_bytes(&bytes).map(|_| ()).expect_err("it is not built in");
    ensure(matches!(error, Error::Output(_)), || format!("{error:?}"))?;
    let text = error.to_string();
    ensure(text.starts_with("the model has the activation `softsign`") && text.contains("load_with"), || text)?;
    let model = TrainedModel::from_bytes_with(&bytes, Activations::with(&[&SOFTSIGN])?)?;
    ensure(model.activations().own() == [&SOFTSIGN], || format!("{:?}", model.activations()))
}

fn bad_activations() -> Result<(), Failed> {
    static CLASH: Activation = wgrad::activation!("relu", aliases: &[], saves: Output, kinks: &[], wgsl: "",
        value: |z| z,
        derivative: |_y| T::one());
    static NO_WGSL: Activation = wgrad::activation!("half", aliases: &[], saves: Output, kinks: &[],
        wgsl: "fn activate(z: vec4<f32>) -> vec4<f32> { return 0.5 * z; }",
        value: |z| z * T::of(0.5),
        derivative: |_y| T::of(0.5));
    static NO_SENSE: Activation = wgrad::activation!("none", aliases: &[], saves: Output, kinks: &[],
        wgsl: "fn activate(z: vec4<f32>) -> vec4<f32> { return z +; }",
        value: |z| z,
        derivative: |_y| T::one());
    static MEETS_A_KERNEL: Activation = wgrad::activation!("met", aliases: &[], saves: Output, kinks: &[],
        wgsl: "const own_one: f32 = 1.0;
               fn loaded(z: vec4<f32>) -> vec4<f32> { return own_one * z; }
               fn activate(z: vec4<f32>) -> vec4<f32> { return loaded(z); }
               fn activate_derivative(y: vec4<f32>) -> vec4<f32> { return vec4(1.0) + 0.0 * modf(y).fract; }",
        value: |z| z,
        derivative: |_y| T::one());
    static WRONG_DERIVATIVE: Activation = wgrad::activation!("slope", aliases: &[], saves: Output, kinks: &[],
        wgsl: "fn activate(z: vec4<f32>) -> vec4<f32> { return z; }
               fn activate_derivative(y: vec4<f32>) -> vec4<f32> { return vec4(2.0); }",
        value: |z| z,
        derivative: |_y| T::of(2.0));
    let (x, y) = line(60);
    let data = Dataset::from_arrays(&x, &y)?;
    let verify = |activation: &'static Activation| {
        let network = Sequential::new().activation(activation).dense(8, "relu").device(Device::cpu());
        network.verify(&data).map(|_| ()).expect_err(activation.name)
    };
    for (activation, what) in [
        (&CLASH, "activation `relu`: this name is taken"),
        (&NO_WGSL, "activation `half`: its WGSL has no `fn activate_derivative"),
        (&NO_SENSE, "activation `none`: its WGSL does not parse"),
        (&MEETS_A_KERNEL, "activation `met`: its WGSL declares `loaded`, which may be wgrad's own name for something"),
    ] {
        let error = verify(activation);
        ensure(matches!(error, Error::Usage(_)) && error.to_string().starts_with(what), || error.to_string())?;
    }
    let error = verify(&WRONG_DERIVATIVE);
    ensure(matches!(error, Error::Verification(_)), || error.to_string())
}

/// Verifies a network with an activation of its own on an open device.
fn verified(activation: &'static Activation, device: &wgrad::gpu::Device) -> Result<Report, Failed> {
    let data = Dataset::load("digits")?;
    let network = Sequential::new().activation(activation).dense(33, activation.name).dense(16, activation.name);
    let config = network.config();
    let activations = Activations::with(&[activation])?;
    let plan = layers::compile_with(
        &config,
        setup::shape(&data),
        layers::Limits::of_binding(device.max_binding()),
        &activations,
    );
    let plan = Arc::new(plan.map_err(|(_, error)| error)?);
    Ok(Chosen::Gpu(device.clone()).verify(&plan, &config, &data)?)
}

fn own_activation_on_gpu(device: &wgrad::gpu::Device) -> Result<(), Failed> {
    Ok(verified(&SOFTSIGN, device)?.verdict("the adapter")?)
}

fn wrong_wgsl_is_caught(device: &wgrad::gpu::Device) -> Result<(), Failed> {
    static WRONG: Activation = wgrad::activation!("softer", aliases: &[], saves: Output, kinks: &[0.0],
        wgsl: "fn activate(z: vec4<f32>) -> vec4<f32> { return z / (1.001 + abs(z)); }
               fn activate_derivative(y: vec4<f32>) -> vec4<f32> { return (1.0 - abs(y)) * (1.0 - abs(y)); }",
        value: |z| z / (T::one() + z.abs()),
        derivative: |y| (T::one() - y.abs()) * (T::one() - y.abs()));
    let report = verified(&WRONG, device)?;
    let first = report.failures().next().ok_or("the verifier let it pass")?;
    ensure(first.step == "dense layers.0", || format!("{first:?}"))
}
