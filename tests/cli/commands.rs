//! The commands besides `train`: help, plan, devices, bench, verify, the tour.

use serde_json::Value;

use crate::{Place, gzip, idx};

/// Made-up images: 28×28, ten classes, each with a bright row of its own, and a test set. Plain or gzipped.
fn images(place: &Place, folder: &str, gzipped: bool) {
    for (part, count) in [("train", 200_usize), ("t10k", 50)] {
        let label = |i: usize| (i * 7 % 10) as u8;
        let pixel = |i: usize, p: usize| {
            let noise = (i * 31 + p * 17) % 60;
            if p / 28 == 4 + 2 * usize::from(label(i)) { 190 + noise } else { noise }
        };
        let pixels: Vec<u8> = (0..count).flat_map(|i| (0..784).map(move |p| pixel(i, p) as u8)).collect();
        let labels: Vec<u8> = (0..count).map(label).collect();
        for (kind, bytes) in [
            ("images-idx3-ubyte", idx(&[count as u32, 28, 28], &pixels)),
            ("labels-idx1-ubyte", idx(&[count as u32], &labels)),
        ] {
            let (name, bytes) = if gzipped { (format!("{kind}.gz"), gzip(&bytes)) } else { (kind.to_owned(), bytes) };
            place.write(&format!("{folder}/{part}-{name}"), bytes);
        }
    }
}

#[test]
fn every_help_begins_with_examples_and_fits_eighty_columns() {
    let place = Place::new("help");
    let commands = [
        "", "train", "predict", "eval", "export", "verify", "plan", "lr-find", "cv", "search", "devices", "doctor",
        "bench",
    ];
    for command in commands {
        for flag in ["--help", "-h"] {
            let said = place.good(&format!("{command} {flag}"));
            assert!(said.out.starts_with("Examples:\n  wgrad"), "{command}: {}", said.out);
            assert!(said.out.contains("Usage: wgrad"), "{command}");
            let examples = said.out.lines().take_while(|line| !line.is_empty());
            examples.for_each(|line| assert!(line.chars().count() <= 80, "{command}: {line}"));
        }
    }
    let version = place.good("--version").out;
    assert_eq!(version, format!("wgrad {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn plan_prints_the_steps_of_the_digits() {
    let place = Place::new("plan");
    let said = place.good("plan digits");
    assert!(said.out.contains("17,226 parameters, batches of 64 rows"), "{}", said.out);
    assert!(said.out.contains("training step: 8 dispatches\n"), "{}", said.out);
    let tensor = said.out.lines().find(|line| line.starts_with("  layers.0.weight ")).expect("a first layer");
    assert!(tensor.contains("[128, 64]") && tensor.contains("32.0 KiB"), "{tensor}");
    let steps: Vec<&str> = said.out.lines().filter(|line| line.starts_with("   7  ")).collect();
    assert!(matches!(steps[..], [step] if step.contains("update adam")), "{steps:?}");
    // Without DATA it is the built-in data, and no folder is made.
    assert_eq!(place.good("plan").out, said.out);
    assert!(place.names("").is_empty());
}

#[test]
fn an_mnist_network_takes_eight_dispatches_and_its_files_may_be_gzipped() {
    let place = Place::new("mnist");
    images(&place, "plain", false);
    images(&place, "packed", true);
    for folder in ["plain", "packed"] {
        let said = place.good(&format!("plan {folder} --hidden 128,64 --json"));
        let plan: Value = serde_json::from_str(&said.out).expect("one line of JSON");
        assert!(plan["dispatches_per_step"].as_u64().is_some_and(|count| count <= 8), "{plan}");
        assert_eq!(plan["parameters"], 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10);
        let said = place.good(&format!("train {folder} --hidden 32 --epochs 8 --lr 0.01 --out runs/{folder}"));
        // The first two shares of 0.7, 0.15 and 0.15 are rescaled; t10k is the test set.
        let rows = format!("{folder}: 165 rows to train on, 35 to validate, 50 to test; 784 features\n");
        assert!(said.out.contains(&rows), "{}", said.out);
        let metrics = place.json(&format!("runs/{folder}/metrics.json"));
        assert!(metrics["test"]["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.9), "{metrics}");
    }
    let model = |folder: &str| place.read(&format!("runs/{folder}/model.safetensors"));
    assert!(model("plain") == model("packed"), "gzip changes nothing");
}

#[test]
fn devices_always_names_the_cpu() {
    let place = Place::new("devices");
    let said = place.good("devices");
    assert!(said.out.lines().any(|line| line.starts_with("cpu  ")), "{}", said.out);
    let lines: Vec<Value> =
        place.good("devices --json").out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &lines {
        for key in ["index", "name", "backend", "driver", "type", "limits", "features"] {
            assert!(!line[key].is_null(), "{key}: {line}");
        }
    }
    assert_eq!(lines.is_empty(), said.out.contains("no Vulkan, Metal or DX12 adapter was found"));
}

#[test]
fn bench_prints_one_json_line_with_all_keys() {
    let place = Place::new("bench");
    let said = place.good("bench --layers 8-4-2 --batch-size 8 --steps 3 --device cpu --json");
    let line: Value = serde_json::from_str(said.out.trim_end()).expect("one line of JSON");
    for key in ["startup_ms", "ms_per_step", "samples_per_second", "gflops", "submits_per_step"] {
        assert!(line[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {line}");
    }
    assert_eq!((&line["device"], &line["layers"]), (&"cpu".into(), &"8-4-2".into()));
    assert_eq!((&line["batch_size"], &line["dispatches_per_step"]), (&8.into(), &6.into()));
    assert!(line["adapter"].is_string() && line["device_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{line}");
    assert_eq!(line["verified"], true);
    let said = place.good("bench --layers 8-4-2 --batch-size 8 --steps 3 --device cpu --verify off --json");
    let line: Value = serde_json::from_str(said.out.trim_end()).expect("one line of JSON");
    assert!(line.get("verified").is_none(), "{line}");
    let said = place.good("bench --layers 8-4-2 --batch-size 8 --steps 3 --device cpu --quiet");
    assert!(said.out.contains("ms a step") && said.out.lines().count() == 1, "a result is not silenced: {}", said.out);
}

#[test]
fn bench_profiles_every_op_by_itself() {
    let place = Place::new("profile");
    let command = "bench --layers 30-24-20-3 --batch-size 64 --steps 3 --device cpu --profile";
    let said = place.good(command);
    let lines: Vec<Vec<&str>> = said.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 1 + 8 + 2, "{}", said.out);
    assert_eq!(lines[0].join(" "), "op by itself device, ms wall, ms MB GFLOP/s share");
    assert!(lines[1][..3] == ["dense", "layers.0", "-"] && lines[9][..2] == ["all", "-"], "{}", said.out);
    let said = place.good(&format!("{command} --json"));
    let rows: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let rows: Vec<&Value> = rows.iter().filter(|row| row["event"] == "profile").map(|row| &row["row"]).collect();
    let sum = |key: &str| rows.iter().map(|row| row[key].as_f64().unwrap_or(f64::NAN)).sum::<f64>();
    assert!(rows.len() == 8 && (sum("share") - 1.0).abs() < 1e-9 && sum("wall_ms") > 0.0, "{rows:?}");
    assert!(rows.iter().all(|row| row["device_ms"].is_null() && row["bytes"].as_u64() > Some(0)), "{rows:?}");
    let first = 4 * (32 * 24 + 24 + 64 * 32 + 64 + 64 * 24);
    assert_eq!(rows[0]["bytes"], first, "rows of 30 numbers are padded to 32: {}", rows[0]);
}

#[test]
fn verify_compares_every_step_and_says_how_many_numbers() {
    let place = Place::new("verify");
    let said = place.good("verify digits");
    let last = said.out.lines().last().unwrap_or_default();
    let count = last.strip_prefix("verified: all ").and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let count: u64 = count.replace(',', "").parse().unwrap_or_else(|_| panic!("{last}"));
    assert!(count > 100_000, "{last}");
    for step in ["dense layers.0", "loss cross_entropy", "dense_grad layers.2", "update adam"] {
        assert!(said.out.contains(step), "{step}: {}", said.out);
    }
    let said = place.good("train digits --epochs 1 --verify --out run");
    assert!(said.out.contains("verified: all "), "{}", said.out);
    assert!(place.path("run/metrics.json").exists());
}

#[test]
fn the_tour_trains_tests_and_says_what_to_type_next() {
    let place = Place::new("tour");
    // No driver: the tour is that of a machine without a GPU.
    let nowhere = [("VK_ICD_FILENAMES", "/nonexistent.json"), ("VK_DRIVER_FILES", "/nonexistent.json")];
    let said = place.run_with(&nowhere, "--device cpu");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("1. Training") && said.out.contains("What to type next"), "{}", said.out);
    let accuracy = said.out.lines().find_map(|line| line.strip_prefix("test: accuracy ")).expect("a test");
    let accuracy: f64 = accuracy.split(',').next().unwrap_or_default().parse().expect("a number");
    assert!(accuracy > 0.95, "{}", said.out);
    assert!(said.out.lines().count() < 30, "a tour is short: {}", said.out);
    assert!(place.names("").is_empty(), "a tour leaves nothing");
    said.out.lines().for_each(|line| assert!(line.chars().count() <= 88, "{line}"));
    // The commands that it recommends are there.
    for line in said.out.lines().filter_map(|line| line.strip_prefix("  wgrad ")) {
        let command = line.split_whitespace().next().unwrap_or_default();
        place.good(&format!("{command} --help"));
    }
}
