//! Exports in onnxruntime on raw rows against `wgrad predict`, and model files in NumPy and PyTorch. Knows the program
//! by its command line, as a user does.

#[path = "../support/python.rs"]
mod python;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::model::activations::ACTIVATIONS;

type Test = fn(&Path, &Place) -> Result<(), Failed>;

const TESTS: &[(&str, Test)] = &[
    ("a_regression_on_numbers_and_words_is_unscaled_in_the_graph", regression),
    ("classes_of_a_table_with_gaps_and_unseen_words", classes),
    ("titanic_and_california_as_they_are_published", published),
    ("images_go_in_as_bytes", images),
    ("the_builtin_digits", digits),
    ("an_array_is_one_input_and_several_targets_one_output", several_targets),
    ("every_hidden_activation", hidden_activations),
    ("every_output_activation", output_activations),
    ("answers_that_are_no_probabilities_are_made_such", made_probabilities),
    ("batch_norm_by_its_running_statistics_and_dropout_as_nothing", batch_norm),
    ("a_column_named_as_an_output_gets_another_name", clash),
    ("without_imputation_a_missing_number_stays_missing", not_imputed),
    ("a_wrong_prediction_is_found", sabotage),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let onnx = python::find("onnx, onnxruntime, numpy");
    let mut trials: Vec<Trial> = Vec::new();
    for (name, test) in TESTS {
        trials.push(python::trial(name, &onnx, true, move |python| test(python, &Place::new(name))));
    }
    let numpy = python::find("numpy, safetensors");
    // Gigabytes, which tests/run.sh does not fetch: whoever has it tests it.
    let torch = python::find("torch, safetensors");
    trials.push(python::trial("the_readmes_lines_read_a_model_file_with_numpy", &numpy, true, |python| {
        readme(python, "numpy")
    }));
    trials.push(python::trial("the_readmes_lines_read_a_model_file_with_pytorch", &torch, false, |python| {
        readme(python, "torch")
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A folder of its own for each test.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onnx").join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the target folder is writable");
        Place { path }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path.join(name), text).expect("the target folder is writable");
    }

    /// Runs wgrad there on the CPU path and insists on success.
    fn wgrad(&self, arguments: &[&str]) -> Result<String, Failed> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD_")) {
            command.env_remove(variable);
        }
        let output = command.args(arguments).args(["--device", "cpu"]).current_dir(&self.path).output()?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok(format!("{out}{err}"))
        } else {
            Err(format!("{arguments:?}\n{out}{err}").into())
        }
    }

    fn train(&self, arguments: &str) -> Result<(), Failed> {
        let _ = std::fs::remove_dir_all(self.path.join("run"));
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.wgrad(&[&["train"], &arguments[..], &["--out", "run"]].concat()).map(drop)
    }

    /// Predicts and exports the run, and compares them on these rows; `numbers` are to be compared.
    fn compare(&self, python: &Path, data: &str, rows: &str, numbers: usize) -> Result<(), Failed> {
        self.wgrad(&["predict", "run", data, "-o", "predictions.csv"])?;
        self.wgrad(&["export", "run", "--onnx", "model.onnx"])?;
        let compared = self.script(python, "compare.py", &["model.onnx", rows, "predictions.csv"])?;
        if compared.trim() == numbers.to_string() {
            return Ok(());
        }
        Err(format!("{} numbers were compared, not {numbers}", compared.trim()).into())
    }

    fn script(&self, python: &Path, name: &str, arguments: &[&str]) -> Result<String, Failed> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx").join(name);
        let files = arguments.iter().map(|name| match self.path.join(name) {
            path if path.exists() || name.contains('.') => path.into_os_string(),
            _ => name.into(),
        });
        let all: Vec<_> = std::iter::once(script.into_os_string()).chain(files).collect();
        python::run(python, &all.iter().map(|argument| argument.as_os_str()).collect::<Vec<_>>())
    }
}

/// Houses with gaps in numbers and words; the price is far from 0. From row 300 on there are words never seen before.
fn houses(rows: usize) -> String {
    let mut text = "area,sea,rooms,heating,age,price\n".to_owned();
    for i in 0..rows {
        let (area, rooms) = (40 + i * 37 % 160, 1 + i * 7 % 6);
        let sea = ["near", "far", "far", "island"][i * 13 % 4];
        let heating = if i >= 300 { ["sun", "gas"][i % 2] } else { ["gas", "oil", "wood, or so"][i * 11 % 3] };
        let price = 200_000.0 + 1800.0 * area as f64 - 900.5 * rooms as f64 + if sea == "far" { 0.0 } else { 50_000.0 };
        let gap = |cell: String, at: usize| if i % 17 == at { String::new() } else { cell };
        let quoted = if heating.contains(',') { format!("\"{heating}\"") } else { heating.to_owned() };
        text += &format!(
            "{},{},{rooms},{},{},{price}\n",
            gap(area.to_string(), 3),
            gap(sea.into(), 5),
            gap(quoted, 7),
            i % 90
        );
    }
    text
}

fn regression(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("houses.csv", &houses(300));
    place.write("new.csv", &houses(340));
    place.train("houses.csv --target price --epochs 4 --hidden 16")?;
    place.compare(python, "new.csv", "new.csv", 340)?;
    place.train(
        "houses.csv --target price --epochs 4 --hidden 16 --set data.standardize=false --set data.ignore=[\"age\"]",
    )?;
    place.compare(python, "new.csv", "new.csv", 340)
}

/// As [`houses`], with the sea as what is to be told: words; or whether there are more than 3 rooms: 0 and 1.
fn classes(python: &Path, place: &Place) -> Result<(), Failed> {
    let without_gaps = |text: &str| -> String {
        text.lines()
            .filter(|line| !line.split(',').nth(1).is_some_and(str::is_empty))
            .map(|l| format!("{l}\n"))
            .collect()
    };
    place.write("houses.csv", &without_gaps(&houses(300)));
    let new = without_gaps(&houses(340));
    let rows = new.lines().count() - 1;
    place.write("new.csv", &new);
    place.train("houses.csv --target sea --epochs 4 --hidden 16")?;
    place.compare(python, "new.csv", "new.csv", rows * 4)?;
    place.train("houses.csv --target rooms --task classification --epochs 4 --hidden 16")?;
    place.compare(python, "new.csv", "new.csv", rows * 7)?;
    let mut large = String::new();
    for (i, line) in new.lines().enumerate() {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        let rooms = cells.remove(2);
        cells.push(if i == 0 {
            "large".into()
        } else {
            u8::from(rooms.parse::<u32>().is_ok_and(|r| r > 3)).to_string()
        });
        if cells.len() == 6 {
            large += &(cells.join(",") + "\n");
        }
    }
    place.write("large.csv", &large);
    place.train("large.csv --task binary --epochs 4 --hidden 16 --set loss.class_weights=balanced")?;
    place.compare(python, "large.csv", "large.csv", (large.lines().count() - 1) * 3)
}

/// The tables that lie beside a checkout, where they do.
fn published(python: &Path, place: &Place) -> Result<(), Failed> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    for (name, target, columns) in [("titanic.csv", "survived", 3), ("california_housing.csv", "median_house_value", 1)]
    {
        let Ok(text) = std::fs::read_to_string(shared.join(name)) else { continue };
        let rows = text.lines().count().min(3001);
        place.write("data.csv", &text.lines().take(rows).map(|line| format!("{line}\n")).collect::<String>());
        place.train(&format!("data.csv --target {target} --epochs 3"))?;
        place.compare(python, "data.csv", "data.csv", (rows - 1) * columns)?;
    }
    Ok(())
}

fn images(python: &Path, place: &Place) -> Result<(), Failed> {
    place.script(python, "arrays.py", &["images", "images.npz"])?;
    place.train("images.npz --task classification --epochs 4 --hidden 16")?;
    place.compare(python, "images.npz", "images.npz", 300 * 4)?;
    place.train("images.npz --task classification --epochs 4 --hidden none --set data.standardize=false")?;
    place.compare(python, "images.npz", "images.npz", 300 * 4)
}

/// 8×8 made of the rows that `digits` stands for.
fn digits(python: &Path, place: &Place) -> Result<(), Failed> {
    place.train("digits --epochs 2")?;
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/digits.csv.gz");
    let code = "import sys, numpy; rows = numpy.loadtxt(sys.argv[1], delimiter=',', dtype=numpy.uint8); \
                numpy.savez(sys.argv[2], x=rows[:, :64].reshape(-1, 8, 8))";
    let target = place.path.join("rows.npz");
    python::run(python, &["-c".as_ref(), code.as_ref(), packed.as_os_str(), target.as_os_str()])?;
    place.compare(python, "digits", "rows.npz", 1797 * 11)
}

fn several_targets(python: &Path, place: &Place) -> Result<(), Failed> {
    place.script(python, "arrays.py", &["targets", "rows.npz"])?;
    place.train("rows.npz --epochs 3 --hidden 8")?;
    place.compare(python, "rows.npz", "rows.npz", 400 * 3)
}

/// y = 3a − 2b + 10, and whether that is above 10.
fn points(rows: usize) -> String {
    let mut text = "a,b,high,y\n".to_owned();
    for i in 0..rows {
        let (a, b) = ((i * 7 % 31) as f64 / 3.0, (i * 11 % 23) as f64 / 2.0);
        let y = 3.0 * a - 2.0 * b + 10.0;
        text += &format!("{a},{b},{},{y}\n", u8::from(y > 10.0));
    }
    text
}

fn hidden_activations(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("points.csv", &points(80));
    for row in ACTIVATIONS {
        place.train(&format!("points.csv --target y --epochs 2 --hidden 6,5 --activation {}", row.name))?;
        place.compare(python, "points.csv", "points.csv", 80).map_err(|error| named(row.name, error))?;
    }
    Ok(())
}

fn named(name: &str, error: Failed) -> Failed {
    format!("{name}: {}", error.message().unwrap_or_default()).into()
}

fn output_activations(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("points.csv", &points(80));
    for row in ACTIVATIONS {
        let last = format!("--set model.layers[2].activation={}", row.name);
        place.train(&format!("points.csv --target y --epochs 2 --hidden 6,5 {last}"))?;
        place.compare(python, "points.csv", "points.csv", 80).map_err(|error| named(row.name, error))?;
    }
    Ok(())
}

fn made_probabilities(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("points.csv", &points(80));
    for (task, loss, last) in [
        ("binary", "mse", "tanh"),
        ("binary", "huber", "identity"),
        ("binary", "mse", "sigmoid"),
        ("binary", "binary_cross_entropy", "sigmoid"),
        ("binary", "binary_cross_entropy", "tanh"),
        ("classification", "mse", "sigmoid"),
        ("classification", "mae", "identity"),
        ("classification", "mse", "softmax"),
        ("classification", "cross_entropy", "softmax"),
    ] {
        let last = format!("--set model.layers[1].activation={last}");
        place.train(&format!("points.csv --target high --task {task} --epochs 9 --hidden 6 --loss {loss} {last}"))?;
        place
            .compare(python, "points.csv", "points.csv", 80 * 3)
            .map_err(|error| named(&format!("{loss} {last}"), error))?;
    }
    Ok(())
}

fn batch_norm(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("points.csv", &points(80));
    place.write(
        "run.toml",
        "[model]\nlayers = [\n{ type = \"batch_norm\" },\n{ type = \"dense\", units = 8, activation = \"elu\", bias = false },\n\
         { type = \"batch_norm\", epsilon = 0.01 },\n{ type = \"dropout\", rate = 0.3 },\n\
         { type = \"dense\", units = 4, activation = \"tanh\" },\n{ type = \"dropout\", rate = 0.1 },\n{ type = \"dense\" },\n]\n",
    );
    place.train("points.csv --target y --config run.toml --epochs 3")?;
    place.compare(python, "points.csv", "points.csv", 80)
}

fn clash(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("points.csv", &points(80).replacen("a,b,high", "label,probabilities,high", 1));
    place.train("points.csv --target high --epochs 2 --hidden 4")?;
    place.compare(python, "points.csv", "points.csv", 80 * 3)?;
    let told = place.wgrad(&["export", "run", "--onnx", "again.onnx"])?;
    if told.contains("the column \"label\" is the input `label_`") { Ok(()) } else { Err(told.into()) }
}

fn not_imputed(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("points.csv", &points(40));
    place.train("points.csv --target y --epochs 2 --hidden 4 --activation tanh --set data.missing=error")?;
    place.compare(python, "points.csv", "points.csv", 40)?;
    place.write("gap.csv", "a,b,high,y\n1,,0,1\n");
    // wgrad refuses such a row; the graph can only say that it knows no answer.
    place.write("expected.csv", "prediction\nnan\n");
    place.script(python, "compare.py", &["model.onnx", "gap.csv", "expected.csv"]).map(drop)
}

fn sabotage(python: &Path, place: &Place) -> Result<(), Failed> {
    place.write("points.csv", &points(40));
    place.train("points.csv --target high --epochs 2 --hidden 4")?;
    place.compare(python, "points.csv", "points.csv", 40 * 3)?;
    let good = std::fs::read_to_string(place.path.join("predictions.csv"))?;
    let spoil = |row: usize, column: usize, change: &dyn Fn(&str) -> String| -> Result<(), Failed> {
        let mut lines: Vec<Vec<String>> = good.lines().map(|l| l.split(',').map(str::to_owned).collect()).collect();
        lines[row][column] = change(&lines[row][column]);
        place.write("wrong.csv", &lines.iter().map(|line| line.join(",") + "\n").collect::<String>());
        match place.script(python, "compare.py", &["model.onnx", "points.csv", "wrong.csv"]) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("row {row}, column {column}: nothing was found").into()),
        }
    };
    spoil(40, 2, &|number| (number.parse::<f64>().unwrap_or(0.0) + 2e-4).to_string())?;
    spoil(1, 1, &|_| "nan".into())?;
    spoil(17, 0, &|label| if label == "0" { "1".into() } else { "0".into() })
}

fn readme(python: &Path, package: &str) -> Result<(), Failed> {
    let place = Place::new(&format!("readme_{package}"));
    place.script(python, "arrays.py", &["targets", "rows.npz"])?;
    // The lines show the network, not the preprocessing; the gaps are filled before.
    let code = "import sys, numpy; f = numpy.load(sys.argv[1]); numpy.savez(sys.argv[1], x=numpy.nan_to_num(f['x']), y=f['y'])";
    python::run(python, &["-c".as_ref(), code.as_ref(), place.path.join("rows.npz").as_os_str()])?;
    place.train("rows.npz --epochs 2 --hidden 8 --set data.standardize=false")?;
    place.wgrad(&["predict", "run", "rows.npz", "-o", "predictions.csv"])?;
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = readme.to_string_lossy();
    let compared = place.script(
        python,
        "pytorch.py",
        &[&readme, "run/model.safetensors", "rows.npz", "predictions.csv", package],
    )?;
    if compared.trim() == "1200" { Ok(()) } else { Err(format!("{compared} numbers were compared").into()) }
}
