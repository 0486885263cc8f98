//! What a run leaves in its folder, and that it can be repeated from there.

use safetensors::SafeTensors;

use crate::{Place, clouds, line};

const FILES: [&str; 8] = [
    "checkpoint.safetensors",
    "config.toml",
    "environment.json",
    "events",
    "history.csv",
    "metrics.json",
    "model.safetensors",
    "report.html",
];

/// history.csv without its last column, which is the time.
fn history(place: &Place, run: &str) -> Vec<Vec<String>> {
    let text = place.text(&format!("{run}/history.csv"));
    let row = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut rows: Vec<Vec<String>> = text.lines().map(row).collect();
    rows.iter_mut().for_each(|row| drop(row.pop()));
    rows
}

#[test]
fn a_run_leaves_exactly_its_files() {
    let place = Place::new("files");
    place.write("clouds.csv", clouds(60));
    place.good("train clouds.csv --epochs 3 --out run");
    assert_eq!(place.names("run"), FILES.map(str::to_owned).into());
    assert_eq!(place.names("run/events"), ["events.out.tfevents.wgrad".to_owned()].into());
    assert_eq!(place.names(""), ["clouds.csv", "run"].map(str::to_owned).into());
}

#[test]
fn without_out_the_folder_is_named_by_time_and_data_and_two_runs_never_share_one() {
    let place = Place::new("named_folder");
    place.write("My clouds 2.csv", clouds(60));
    let runs = 3;
    for _ in 0..runs {
        let said = place.good("train 'My clouds 2.csv' --epochs 1 --hidden 2");
        let told = said.out.lines().find_map(|line| line.strip_prefix("run: ")).expect("the folder is named");
        assert!(place.path(told).join("metrics.json").exists(), "{told}");
    }
    let names = place.names("runs");
    assert_eq!(names.len(), runs);
    for name in names {
        let (stamp, rest) = name.split_at(15);
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        assert!(digits(&stamp[..8]) && &stamp[8..9] == "-" && digits(&stamp[9..]), "{name}");
        assert!(rest.starts_with("-My_clouds_2"), "{name}");
    }
}

#[test]
fn history_has_every_epoch_once_and_the_columns_of_its_task() {
    let place = Place::new("history");
    place.write("line.csv", line(60));
    place.write("clouds.csv", clouds(60));
    place.good("train line.csv --epochs 4 --out regression");
    place.good("train clouds.csv --epochs 4 --lr 0.02 --out binary");
    place.good(
        "train clouds.csv --epochs 4 --task classification --set train.log_gradients=true --hidden 3 --out classes",
    );
    let header = |run: &str| place.text(&format!("{run}/history.csv")).lines().next().unwrap_or_default().to_owned();
    let start = "epoch,learning_rate,train_loss,validation_loss";
    assert_eq!(header("regression"), format!("{start},validation_rmse,validation_mae,validation_r2,seconds"));
    let classes = "train_accuracy,validation_accuracy,validation_f1,validation_roc_auc";
    assert_eq!(header("binary"), format!("{start},{classes},seconds"));
    let norms = "gradient_norm layers.0.weight,gradient_norm layers.1.weight";
    assert_eq!(header("classes"), format!("{start},{classes},{norms},seconds"));
    for (run, rate) in [("regression", 0.001), ("binary", 0.02), ("classes", 0.001)] {
        let rows = &history(&place, run)[1..];
        let epochs: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(epochs, ["1", "2", "3", "4"], "{run}");
        for cell in rows.iter().flatten() {
            assert!(cell.parse::<f64>().is_ok_and(f64::is_finite), "{run}: {cell}");
        }
        assert!(rows.iter().all(|row| row[1].parse() == Ok(rate)), "{run}");
    }
}

#[test]
fn without_validation_rows_the_history_has_an_empty_cell_and_the_last_weights_stay() {
    let place = Place::new("no_validation");
    place.write("line.csv", line(40));
    place.good("train line.csv --epochs 3 --set data.split=[1,0,0] --out run");
    let rows = history(&place, "run");
    assert_eq!(rows[0], ["epoch", "learning_rate", "train_loss", "validation_loss"]);
    assert!(rows[1..].iter().all(|row| row[3].is_empty()) && rows.len() == 4, "{rows:?}");
    let metrics = place.json("run/metrics.json");
    assert_eq!((metrics.get("validation"), metrics.get("test")), (None, None));
    assert!(metrics["train"]["r2"].is_f64() && metrics["best_epoch"].is_null(), "{metrics}");
}

#[test]
fn metrics_are_those_of_the_task_for_each_set() {
    let place = Place::new("metrics");
    place.write("line.csv", line(60));
    place.write("clouds.csv", clouds(60));
    place.good("train line.csv --epochs 2 --out regression");
    place.good("train clouds.csv --epochs 2 --out classes");
    for (run, keys) in [("regression", vec!["loss", "rmse", "mae", "r2"]), ("classes", vec!["loss", "accuracy", "f1"])]
    {
        let metrics = place.json(&format!("{run}/metrics.json"));
        for set in ["train", "validation", "test"] {
            for key in &keys {
                assert!(metrics[set][key].is_f64(), "{run} {set} {key}: {metrics}");
            }
        }
        assert_eq!(metrics["epochs"], 2);
        assert!(metrics["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
        assert_eq!(metrics["device"], "cpu");
        assert!(metrics["adapter"].as_str().is_some_and(|name| !name.is_empty()));
        assert_eq!(metrics["dispatches_per_step"], 8);
    }
    // 60 rows: 42, 9 and 9, counted once each in the confusion matrix.
    let metrics = place.json("classes/metrics.json");
    for (set, rows) in [("train", 42), ("validation", 9), ("test", 9)] {
        let confusion = metrics[set]["confusion"].as_array().expect("a matrix");
        let cells: Vec<u64> =
            confusion.iter().flat_map(|row| row.as_array().expect("a row")).filter_map(|n| n.as_u64()).collect();
        assert_eq!((confusion.len(), cells.len(), cells.iter().sum::<u64>()), (2, 4, rows), "{set}");
    }
}

#[test]
fn the_model_holds_its_layers_by_place_and_nothing_of_time_or_path() {
    let place = Place::new("model");
    place.write("clouds.csv", clouds(60));
    place.write(
        "run.toml",
        "[model]\nlayers = [\n{ type = \"dense\", units = 5, activation = \"relu\" },\n{ type = \"batch_norm\" },\n\
         { type = \"dropout\", rate = 0.1 },\n{ type = \"dense\", bias = false },\n]\n",
    );
    place.good("train clouds.csv --config run.toml --task classification --epochs 2 --out run");
    let bytes = place.read("run/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).expect("it is a safetensors file");
    let mut tensors: Vec<(String, Vec<usize>)> =
        file.tensors().iter().map(|(name, view)| (name.clone(), view.shape().to_vec())).collect();
    tensors.sort();
    let expected = [
        ("layers.0.bias", vec![5]),
        ("layers.0.weight", vec![5, 2]),
        ("layers.1.bias", vec![5]),
        ("layers.1.running_mean", vec![5]),
        ("layers.1.running_var", vec![5]),
        ("layers.1.weight", vec![5]),
        ("layers.3.weight", vec![2, 5]),
    ];
    assert_eq!(tensors, expected.map(|(name, shape)| (name.to_owned(), shape)));
    let (_, head) = SafeTensors::read_metadata(&bytes).expect("it has a head");
    let metadata = format!("{:?}", head.metadata());
    assert!(metadata.contains("preprocessing") && metadata.contains("deviation"), "{metadata}");
    let folder = place.path("").to_string_lossy().into_owned();
    assert!(!metadata.contains(folder.trim_end_matches('/')), "{metadata}");
}

#[test]
fn the_environment_says_what_ran_where_on_which_data() {
    let place = Place::new("environment");
    place.write("clouds.csv", clouds(60));
    place.good("train clouds.csv --epochs 1 --seed 5 --threads 2 --out run");
    let environment = place.json("run/environment.json");
    assert_eq!(environment["wgrad"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&environment["device"], &environment["seed"]), (&"cpu".into(), &5.into()));
    for key in ["adapter", "driver", "os", "architecture", "written"] {
        assert!(environment[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {environment}");
    }
    assert!(environment["data_sha256"].as_str().is_some_and(|sum| sum.len() == 64), "{environment}");
    let command = environment["command"].as_array().expect("the command line");
    assert_eq!(command[1..4], ["train", "clouds.csv", "--epochs"]);
}

#[test]
fn the_resolved_run_file_repeats_the_run_to_the_last_bit_from_any_folder() {
    let place = Place::new("repeat");
    place.write("data/clouds.csv", clouds(90));
    place.good("train data/clouds.csv --target kind --hidden 6,4 --epochs 5 --lr 0.01 --seed 3 --out first");
    std::fs::create_dir(place.path("elsewhere")).expect("it is writable");
    let mut again = place.command("train --config ../first/config.toml --out second");
    let said = again.current_dir(place.path("elsewhere")).output().expect("wgrad starts");
    assert!(said.status.success(), "{said:?}");
    assert_eq!(place.read("first/model.safetensors"), place.read("elsewhere/second/model.safetensors"));
    assert_eq!(place.text("first/config.toml"), place.text("elsewhere/second/config.toml"));
    assert_eq!(history(&place, "first"), history(&place, "elsewhere/second"));
}

#[test]
fn the_seed_decides_the_weights_and_the_number_of_threads_does_not() {
    let place = Place::new("seeds");
    let train = |flags: &str, run: &str| {
        place.good(&format!("train digits --epochs 2 --out {run} {flags}"));
        place.read(&format!("{run}/model.safetensors"))
    };
    let first = train("--seed 1 --threads 1", "a");
    assert!(first == train("--seed 1 --threads 1", "b"), "the same seed gives the same bytes");
    assert!(first == train("--seed 1 --threads 2", "c"), "threads do not change a bit");
    assert!(first != train("--seed 2 --threads 1", "d"), "another seed gives other weights");
}

#[test]
fn start_weights_come_from_a_file_and_the_resolved_run_file_remembers_it() {
    let place = Place::new("start");
    place.write("line.csv", line(60));
    place.good("train line.csv --hidden 4 --epochs 2 --out first");
    place.good("train line.csv --hidden 4 --epochs 1 --lr 1e-12 --init first/model.safetensors --out second");
    let weights = |run: &str| {
        let bytes = place.read(&format!("{run}/model.safetensors"));
        let file = SafeTensors::deserialize(&bytes).expect("it is a safetensors file");
        let view = file.tensor("layers.0.weight").expect("it has a first layer");
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        values.collect::<Vec<f32>>()
    };
    let (first, second) = (weights("first"), weights("second"));
    assert!(first.iter().zip(&second).all(|(a, b)| (a - b).abs() < 1e-6), "{first:?} {second:?}");
    let path = place.config("second")["init_weights"].as_str().expect("it is remembered").to_owned();
    assert!(std::path::Path::new(&path).is_absolute(), "{path}");
}

#[test]
#[cfg(unix)]
fn a_full_disk_leaves_nothing_half_written() {
    let place = Place::new("full_disk");
    place.write("clouds.csv", clouds(60));
    // A limit on the size of a file stands in for the disk: the small files fit, the model does not.
    let wgrad = env!("CARGO_BIN_EXE_wgrad");
    let script =
        format!("trap '' XFSZ; ulimit -f 10; exec '{wgrad}' train clouds.csv --device cpu --epochs 1 --out run");
    let mut command = std::process::Command::new("sh");
    let output = command.arg("-c").arg(script).current_dir(place.path("")).output().expect("sh starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{err}");
    assert!(err.starts_with("error: run/checkpoint.safetensors: cannot be written: "), "{err}");
    assert!(err.contains("bytes are needed there") && err.lines().count() == 1, "{err}");
    assert_eq!(place.names(""), ["clouds.csv"].map(str::to_owned).into());
}

#[test]
fn a_training_ends_with_its_report_and_the_two_commands_to_type_next() {
    let place = Place::new("next commands");
    place.write("line.csv", line(40));
    let said = place.good("train line.csv --epochs 2 --out 'my runs/a'");
    let quote = if cfg!(windows) { '"' } else { '\'' };
    let end = format!(
        "run: my runs/a\nreport: my runs/a/report.html\nnext:\n  wgrad predict {quote}my runs/a{quote} new.csv -o predictions.csv\n  \
         wgrad export {quote}my runs/a{quote} --onnx model.onnx\n"
    );
    assert!(said.out.ends_with(&end), "{}", said.out);
    assert!(place.path("my runs/a/report.html").exists());
    // They work as they stand, with what the reader has for new.csv.
    place.write("new.csv", line(3));
    for command in said.out.lines().filter_map(|line| line.strip_prefix("  wgrad ")) {
        place.good(&command.replace('"', "'"));
    }
    assert!(place.path("predictions.csv").exists() && place.path("model.onnx").exists());
    // On the built-in data its name stands for the file; with --json, words go elsewhere and the last line is the same.
    let said = place.good("train digits --epochs 1 --out digits --json");
    assert!(said.err.contains("\n  wgrad predict digits digits -o predictions.csv\n"), "{}", said.err);
    let last: serde_json::Value = serde_json::from_str(said.out.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["event"], "done");
}
