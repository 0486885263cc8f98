//! Which of default, run file, environment and flag wins, and what the flags mean.

use toml::Value;

use crate::{Place, clouds, line};

/// The value of `section.key` in the run's resolved run file.
fn resolved(place: &Place, run: &str, section: &str, key: &str) -> Value {
    place.config(run)[section][key].clone()
}

fn layers(place: &Place, run: &str) -> Vec<(i64, String)> {
    let config = place.config(run);
    let layers = config["model"]["layers"].as_array().expect("a list").clone();
    let layer = |layer: &Value| (layer["units"].as_integer(), layer["activation"].as_str().map(str::to_owned));
    layers.iter().map(layer).map(|(units, name)| (units.expect("units"), name.expect("a name"))).collect()
}

fn pairs(expected: &[(i64, &str)]) -> Vec<(i64, String)> {
    expected.iter().map(|(units, name)| (*units, (*name).to_owned())).collect()
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_run_file_and_that_over_the_default() {
    let place = Place::new("precedence");
    place.write("line.csv", line(30));
    place.write("run.toml", "[train]\nepochs = 2\n");
    let epochs = |run: &str| resolved(&place, run, "train", "epochs").as_integer().expect("a number");
    let variables = [("WGRAD_EPOCHS", "3")];
    place.good("train line.csv --out default --hidden 2 --set early_stopping.patience=0");
    place.good("train line.csv --config run.toml --out file");
    let said = place.run_with(&variables, "train line.csv --config run.toml --out environment");
    assert_eq!(said.code, 0, "{}", said.err);
    let said = place.run_with(&variables, "train line.csv --config run.toml --epochs 4 --out flag");
    assert_eq!(said.code, 0, "{}", said.err);
    let said = place.run_with(&variables, "train line.csv --config run.toml --set train.epochs=5 --out set");
    assert_eq!(said.code, 0, "{}", said.err);
    let set = [("WGRAD_SET", "train.epochs=6")];
    let said = place.run_with(&set, "train line.csv --config run.toml --out set_by_environment");
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(epochs("set_by_environment"), 6);
    let said = place.run_with(&set, "train line.csv --config run.toml --epochs 4 --out flag_over_set");
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(epochs("flag_over_set"), 4);
    assert_eq!(["default", "file", "environment", "flag", "set"].map(epochs), [50, 2, 3, 4, 5]);
}

#[test]
fn each_variable_stands_in_for_its_flag() {
    let place = Place::new("variables");
    place.write("line.csv", line(30));
    let variables = [
        ("WGRAD_TARGET", "a"),
        ("WGRAD_TASK", "regression"),
        ("WGRAD_HIDDEN", "3"),
        ("WGRAD_ACTIVATION", "tanh"),
        ("WGRAD_LOSS", "huber"),
        ("WGRAD_OPTIMIZER", "sgd"),
        ("WGRAD_LR", "0.5"),
        ("WGRAD_BATCH_SIZE", "7"),
        ("WGRAD_SEED", "9"),
        ("WGRAD_THREADS", "1"),
        ("WGRAD_EPOCHS", "1"),
        ("WGRAD_SET", "optimizer.momentum=0.25"),
        ("WGRAD_OUT", "run"),
        ("WGRAD_QUIET", "1"),
    ];
    let said = place.run_with(&variables, "train line.csv");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""));
    let text = |section: &str, key: &str| resolved(&place, "run", section, key).to_string();
    assert_eq!(text("data", "target"), "\"a\"");
    assert_eq!(text("loss", "name"), "\"huber\"");
    assert_eq!(text("optimizer", "name"), "\"sgd\"");
    assert_eq!(text("optimizer", "learning_rate"), "0.5");
    assert_eq!(text("optimizer", "momentum"), "0.25");
    assert_eq!(text("train", "batch_size"), "7");
    assert_eq!(place.config("run")["seed"].as_integer(), Some(9));
    assert_eq!(layers(&place, "run"), pairs(&[(3, "tanh"), (1, "identity")]));
    assert_eq!(place.json("run/environment.json")["threads"], 1);
}

#[test]
fn a_variable_that_is_set_but_empty_counts_as_not_set() {
    let place = Place::new("empty_variables");
    place.write("line.csv", line(30));
    let names = ["CONFIG", "TARGET", "HIDDEN", "LR", "EPOCHS", "SEED", "THREADS", "OUT", "DEVICE", "QUIET", "COLOR"];
    let names: Vec<String> = names.iter().map(|name| format!("WGRAD_{name}")).collect();
    let variables: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let said = place.run_with(&variables, "train line.csv --device cpu --epochs 1");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("epoch 1/1"), "{}", said.out);
    let run = place.names("runs").pop_first().expect("a run");
    assert_eq!(place.config(&format!("runs/{run}"))["seed"].as_integer(), Some(42));
}

#[test]
fn set_takes_toml_and_bare_words() {
    let place = Place::new("set");
    place.write("clouds.csv", clouds(40));
    place.good(
        "train clouds.csv --epochs 1 --out run --set data.split=[0.5,0.25,0.25] --set optimizer.name=rmsprop \
         --set loss.class_weights=[1,2.5] --set 'data.ignore=[\"y\"]' --set schedule.name=cosine \
         --set model.layers[1].units=7 --set data.standardize=false",
    );
    let text = |section: &str, key: &str| resolved(&place, "run", section, key).to_string();
    assert_eq!(text("data", "split"), "[0.5, 0.25, 0.25]");
    assert_eq!(text("data", "ignore"), "[\"y\"]");
    assert_eq!(text("data", "standardize"), "false");
    assert_eq!(text("optimizer", "name"), "\"rmsprop\"");
    assert_eq!(text("loss", "class_weights"), "[1.0, 2.5]");
    assert_eq!(text("schedule", "name"), "\"cosine\"");
    assert_eq!(layers(&place, "run"), pairs(&[(128, "relu"), (7, "relu"), (1, "identity")]));
}

#[test]
fn hidden_and_activation_shape_the_hidden_layers_only() {
    let place = Place::new("hidden");
    place.write("line.csv", line(30));
    let shape = |flags: &str, variables: &[(&str, &str)]| {
        let said = place.run_with(variables, &format!("train line.csv --epochs 1 --out run {flags}"));
        assert_eq!(said.code, 0, "{flags}: {}", said.err);
        let shape = layers(&place, "run");
        std::fs::remove_dir_all(place.path("run")).expect("it is there");
        shape
    };
    assert_eq!(shape("--hidden 5,3", &[]), pairs(&[(5, "relu"), (3, "relu"), (1, "identity")]));
    assert_eq!(shape("--hidden 5 --activation tanh", &[]), pairs(&[(5, "tanh"), (1, "identity")]));
    assert_eq!(shape("--activation silu", &[]), pairs(&[(128, "silu"), (64, "silu"), (1, "identity")]));
    assert_eq!(shape("--hidden none", &[]), pairs(&[(1, "identity")]));
    let variables = [("WGRAD_HIDDEN", "2"), ("WGRAD_ACTIVATION", "elu")];
    assert_eq!(shape("", &variables), pairs(&[(2, "elu"), (1, "identity")]));
    assert_eq!(shape("--hidden 4", &variables), pairs(&[(4, "elu"), (1, "identity")]));
    assert_eq!(shape("--activation gelu", &variables), pairs(&[(2, "gelu"), (1, "identity")]));
    assert_eq!(shape("--set model.layers[0].units=6", &variables), pairs(&[(6, "elu"), (1, "identity")]));
}

#[test]
fn the_target_is_named_or_counted_from_zero_and_may_be_several() {
    let place = Place::new("target");
    place.write("line.csv", line(30));
    let target = |flag: &str| {
        place.good(&format!("train line.csv --epochs 1 --hidden 2 --out run --target {flag}"));
        let target = resolved(&place, "run", "data", "target").to_string();
        std::fs::remove_dir_all(place.path("run")).expect("it is there");
        target
    };
    assert_eq!(target("b"), "\"b\"");
    assert_eq!(target("0"), "\"a\"");
    assert_eq!(target("a,y"), "[\"a\", \"y\"]");
    assert_eq!(target("0,b"), "[\"a\", \"b\"]");
}

#[test]
fn a_path_in_the_run_file_starts_there_and_one_on_the_command_line_here() {
    let place = Place::new("paths");
    place.write("inner/line.csv", line(30));
    place.write("inner/run.toml", "[data]\nsource = \"line.csv\"\n[train]\nepochs = 1\n");
    place.write("other.csv", clouds(40));
    place.good("train --config inner/run.toml --out runs/by/file");
    assert!(resolved(&place, "runs/by/file", "data", "source").to_string().ends_with("inner/line.csv\""));
    place.good("train other.csv --config inner/run.toml --out ./flag");
    assert!(resolved(&place, "flag", "data", "source").to_string().ends_with("paths/other.csv\""));
}
