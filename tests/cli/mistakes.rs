//! Each mistake is answered by its exit code and one sentence on stderr: place, problem, remedy. Nothing is on stdout,
//! nothing is left on disk.

use crate::{Place, clouds, idx, line};

/// A folder with good data in it.
fn place(test: &str) -> Place {
    let place = Place::new(test);
    place.write("line.csv", line(30));
    place.write("clouds.csv", clouds(40));
    place
}

/// Runs it and holds the answer to the form that all answers have.
fn refused_with(place: &Place, variables: &[(&str, &str)], arguments: &str, code: i32, expected: &str) {
    let before = place.names("");
    let said = place.run_with(variables, arguments);
    let context = format!("wgrad {arguments}\nstdout: {}\nstderr: {}", said.out, said.err);
    assert_eq!(said.code, code, "{context}");
    assert_eq!(said.out, "", "{context}");
    assert_eq!(said.err.lines().count(), 1, "{context}");
    assert!(said.err.starts_with(&format!("error: {expected}")), "expected: {expected}\n{context}");
    assert!(!said.err.contains("panicked"), "{context}");
    // A place, what is wrong, and one remedy.
    assert_eq!(said.err.matches("; ").count(), 1, "{context}");
    assert_eq!(place.names(""), before, "{context}");
}

fn refused(place: &Place, arguments: &str, code: i32, expected: &str) {
    refused_with(place, &[], arguments, code, expected);
}

#[test]
fn data_that_is_not_there_or_no_data() {
    let place = place("no_data");
    refused(&place, "train", 2, "DATA: no data is named; try `wgrad train digits`");
    refused(&place, "train nothing.csv", 3, "nothing.csv: no such file, folder or built-in data set; ");
    refused(&place, "train lime.csv", 3, "lime.csv: no such file, folder or built-in data set; did you mean ");
    refused(
        &place,
        "train digit",
        3,
        "digit: no such file, folder or built-in data set; did you mean the built-in `digits`?",
    );
    refused(&place, "train line.xlsx", 3, "line.xlsx: no such file");
    std::fs::create_dir(place.path("empty")).expect("it is writable");
    refused(&place, "train empty", 3, "empty: holds no IDX images; ");
    place.write("images/train-images-idx3-ubyte", idx(&[2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]));
    refused(&place, "train images", 3, "images");
    refused(&place, "train --config none.toml", 3, "none.toml: there is no such run file; ");
}

#[test]
fn tables_that_do_not_hold_together() {
    let place = place("bad_tables");
    place.write("ragged.csv", "a,b,y\n1,2,3\n4,5\n");
    refused(&place, "train ragged.csv", 3, "ragged.csv:3:3: this row has 2 fields, the header has 3; ");
    place.write("nan.csv", "a,y\n1,2.5\n2,NaN\n3,4.5\n4,1.5\n");
    refused(&place, "train nan.csv", 3, "nan.csv:3:3: the target \"y\" is missing in this row; ");
    place.write("twice.csv", "a,a,y\n1,2,3\n");
    refused(&place, "train twice.csv", 3, "twice.csv:");
    place.write("empty.csv", "");
    refused(&place, "train empty.csv", 3, "empty.csv");
    place.write("header.csv", "a,b,y\n");
    refused(&place, "train header.csv", 3, "header.csv");
    place.write("one.csv", "a,y\n1,x\n2,x\n3,x\n4,x\n");
    refused(&place, "train one.csv", 3, "one.csv: the target \"y\" has one class only, x; ");
    place.write("constant.csv", "a,y\n1,0.5\n1,1.5\n1,2.5\n1,3.5\n");
    refused(&place, "train constant.csv", 3, "constant.csv: no feature column is left");
}

#[test]
fn targets_and_tasks_that_do_not_fit() {
    let place = place("bad_targets");
    let there_is_none = "clouds.csv: there is no column \"kin\" for the target; did you mean \"kind\"?";
    refused(&place, "train clouds.csv --target kin", 3, there_is_none);
    refused(&place, "train clouds.csv --target 3", 3, "clouds.csv: there is no column 3 ");
    refused(&place, "train clouds.csv --task regression", 3, "clouds.csv:2:");
    refused(&place, "train line.csv --loss cross_entropy", 2, "--loss: cross_entropy needs classes; ");
    let unknown =
        "--task: data.task must be \"regression\", \"binary\" or \"classification\", not the text \"banana\"; ";
    refused(&place, "train line.csv --task banana", 2, unknown);
    let counts = "--set loss.class_weights: 3 class weights for 2 classes; ";
    refused(&place, "train clouds.csv --set loss.class_weights=[1,2,3]", 2, counts);
    let metric = "--set early_stopping.metric: unknown metric `validation_los`; did you mean `validation_loss`?";
    refused(&place, "train clouds.csv --set early_stopping.metric=validation_los", 2, metric);
    place.write("run.toml", "[loss]\nname = \"mse\"\nclass_weights = [1.0]\n");
    refused(&place, "train line.csv --config run.toml", 3, "run.toml:3:1: class weights need a target of classes; ");
}

#[test]
fn run_files_with_mistakes_name_line_and_column() {
    let place = place("bad_run_files");
    let cases = [
        ("[train]\nepohcs = 3\n", "2:1: unknown key `epohcs` in [train]; did you mean `epochs`?"),
        ("seed = 1\n[train]\nepochs = \"many\"\n", "3:1: train.epochs must be a whole number"),
        ("[train]\nepochs = \n", "2:10: this is not TOML"),
        ("[optimizer]\n  name = \"adamm\"\n", "2:3: unknown optimizer `adamm`; did you mean `adam`?"),
        ("[loss]\nname = \"msee\"\n", "2:1: unknown loss `msee`; did you mean `mse`?"),
        (
            "[model]\nlayers = [\n  { type = \"dense\", units = 3, activation = \"rellu\" },\n  { type = \"dense\" },\n]\n",
            "3:32: unknown activation `rellu`; did you mean `relu`?",
        ),
    ];
    for (text, expected) in cases {
        place.write("run.toml", text);
        refused(&place, "train line.csv --config run.toml", 3, &format!("run.toml:{expected}"));
    }
}

#[test]
fn flags_with_bad_values_name_the_flag() {
    let place = place("bad_flags");
    let cases = [
        ("--lr abc", "--lr: optimizer.learning_rate must be a finite number above 0, not the text \"abc\"; "),
        ("--lr -1", "--lr: optimizer.learning_rate must be a finite number above 0, not -1; "),
        ("--lr nan", "--lr: optimizer.learning_rate must be a finite number above 0, not nan; "),
        ("--lr 0", "--lr: optimizer.learning_rate must be a finite number above 0, not 0; "),
        ("--epochs 0", "--epochs: train.epochs must be a whole number of at least 1, not 0; "),
        ("--epochs 2.5", "--epochs: train.epochs must be a whole number of at least 1, not 2.5; "),
        ("--batch-size 0", "--batch-size: train.batch_size must be a whole number of at least 1, not 0; "),
        ("--batch-size -3", "--batch-size: train.batch_size must be a whole number of at least 1, not -3; "),
        ("--set train.epochs", "--set train.epochs: there is no `=`; "),
        ("--set train.epohcs=3", "--set train.epohcs: unknown key `epohcs` in [train]; did you mean `epochs`?"),
        ("--set data.split=[1,1,1]", "--set data.split: "),
        ("--hidden 8,x", "--hidden: `8,x` is no list of unit counts; "),
        ("--hidden 8,0", "--hidden: `8,0` is no list of unit counts; "),
        ("--hidden 9223372036854775807", "--hidden: model.layers[0].units must be a whole number from 1 to 16777216, "),
        ("--activation rellu", "--activation: unknown activation `rellu`; did you mean `relu`?"),
        ("--hidden 8 --activation rellu", "--activation: unknown activation `rellu`; did you mean `relu`?"),
        ("--activation softmax", "--activation: softmax is for the output layer; "),
        ("--optimizer adamm", "--optimizer: unknown optimizer `adamm`; did you mean `adam`?"),
        ("--loss msee", "--loss: unknown loss `msee`; did you mean `mse`?"),
        ("--threads 0", "--threads: `0` is no value for it; give a whole number "),
        ("--seed x", "--seed: `x` is no value for it; give a whole number "),
        (
            "--seed 9999999999999999999",
            "--seed: `9999999999999999999` is no value for it; give a whole number from 0 to ",
        ),
        ("--seed -1", "--seed: `-1` is no value for it; give a whole number "),
        ("--color blue", "--color: `blue` is no value for it; give auto, always, never"),
        ("--epochs", "--epochs: a value is missing; write --epochs <N>"),
        ("--epochs --quiet", "--epochs: a value is missing; write --epochs <N>"),
        ("--lr 1 --lr 2", "--lr: it is given twice; "),
        ("--targe y", "--targe: there is no such flag; did you mean --target?"),
        ("--banana", "--banana: there is no such flag; see --help"),
        ("more.csv", "more.csv: one argument too many; "),
    ];
    for (flags, expected) in cases {
        refused(&place, &format!("train line.csv {flags}"), 2, expected);
    }
}

#[test]
fn variables_with_bad_values_name_the_variable() {
    let place = place("bad_variables");
    let cases = [
        ("WGRAD_SEED", "x", "WGRAD_SEED: `x` is no value for it; give a whole number "),
        ("WGRAD_LR", "fast", "WGRAD_LR: optimizer.learning_rate must be a finite number above 0, "),
        ("WGRAD_ACTIVATION", "rellu", "WGRAD_ACTIVATION: unknown activation `rellu`; did you mean `relu`?"),
        ("WGRAD_SET", "train.epohcs=3", "WGRAD_SET: unknown key `epohcs` in [train]; did you mean `epochs`?"),
        ("WGRAD_SET", "train.epochs", "WGRAD_SET: there is no `=`; "),
        ("WGRAD_HIDDEN", "x", "WGRAD_HIDDEN: `x` is no list of unit counts; "),
    ];
    for (name, value, expected) in cases {
        refused_with(&place, &[(name, value)], "train line.csv", 2, expected);
    }
}

#[test]
fn misspelt_variables_are_warned_of_and_real_ones_are_not() {
    let place = place("misspelt_variables");
    let run = |name: &str, flags: &str| place.run_with(&[(name, "3")], &format!("plan line.csv {flags}"));
    let said = run("WGRAD_EPOCH", "");
    assert_eq!(said.code, 0, "{}", said.err);
    let warning = "warning: WGRAD_EPOCH: there is no such variable, it is ignored; did you mean WGRAD_EPOCHS?\n";
    assert_eq!(said.err, warning);
    assert_eq!(run("WGRAD_EPOCHS", "").err, "");
    assert_eq!(run("WGRAD_REQUIRE_GPU", "").err, "");
    assert_eq!(run("WGRAD_EPOCH", "--quiet").err, "");
}

#[test]
fn tables_whose_target_was_not_meant_are_refused() {
    let place = place("not_meant");
    let ignored = "line.csv: \"y\" is in `ignore`, but is the target where none is named; name the target ";
    refused(&place, "train line.csv --set 'data.ignore=[\"y\"]'", 3, ignored);
    place.write("headless.csv", "5.1,3.5,0.2\n4.9,3.0,0.4\n4.7,3.2,0.1\n");
    refused(&place, "train headless.csv", 3, "headless.csv:1:1: the first line holds only numbers (5.1, 3.5, 0.2); ");
    place.write("one.csv", "a,y\n1,2.5\n");
    refused(&place, "train one.csv", 3, "one.csv: there is one row only; add rows");
}

#[test]
fn commands_that_are_not_there_suggest_the_nearest_or_train() {
    let place = place("bad_commands");
    refused(&place, "tarin line.csv", 2, "tarin: there is no such command; did you mean `wgrad train`?");
    refused(&place, "line.csv", 2, "line.csv: there is no such command; did you mean `wgrad train line.csv`?");
    refused(&place, "banana", 2, "banana: there is no such command; see `wgrad --help`");
    refused(&place, "bench --layers 8", 2, "--layers: `8` is no list of layer sizes; ");
    refused(&place, "bench --layers 8-0-2", 2, "--layers: `8-0-2` is no list of layer sizes; ");
    refused(&place, "bench --steps 0", 2, "--steps: `0` is no value for it; give a whole number ");
}

#[test]
fn networks_that_outgrow_the_memory_are_refused_before_any_work() {
    let place = place("no_memory");
    let wide = "line.csv --device cpu --quiet --hidden 16777216,16777216";
    for command in ["train", "verify"] {
        refused(&place, &format!("{command} {wide}"), 5, "this network and data need ");
    }
}

#[test]
fn devices_that_are_not_there() {
    let place = place("bad_devices");
    for device in ["nvidiaa", "987"] {
        let said = place.run(&format!("train line.csv --device {device}"));
        assert_eq!((said.code, said.out.as_str()), (5, ""), "{}", said.err);
        assert!(said.err.starts_with("error: --device: "), "{}", said.err);
        assert_eq!((said.err.lines().count(), said.err.matches("; ").count()), (1, 1), "{}", said.err);
    }
    assert!(place.names("runs").is_empty());
}

#[test]
fn flags_that_do_not_go_together_are_both_named() {
    let place = place("conflicts");
    let refused = |arguments: &str, variables: &[(&str, &str)], words: &str| {
        let said = place.run_with(variables, arguments);
        assert!(said.code == 2 && said.err.contains(words), "{arguments}: {} {}", said.code, said.err);
    };
    refused("train clouds.csv --out a --resume b", &[], "--out: it does not go with --resume");
    refused("train clouds.csv --overfit 1 --dry-run", &[], "it does not go with --");
    refused("train clouds.csv --epochs 1 --epochs 2", &[], "--epochs: it is given twice; give it once");
    // A variable that stands for a flag of every run is no wish of this one.
    place.good("train clouds.csv --epochs 1 --out a --quiet");
    let said = place.run_with(&[("WGRAD_OUT", "elsewhere")], "train --resume a --epochs 2 --quiet");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[test]
fn output_folders_that_cannot_be_used_are_refused_before_training() {
    let place = place("bad_folders");
    place.write("full/notes.txt", "mine");
    refused(&place, "train line.csv --out full", 6, "full: the folder is not empty; choose another --out, or empty it");
    assert_eq!(place.text("full/notes.txt"), "mine");
    refused(&place, "train line.csv --out line.csv", 6, "line.csv: cannot be a folder: ");
    refused(&place, "train line.csv --out line.csv/run", 6, "line.csv/run: cannot be a folder: ");
    // Even for root, nothing can be made there.
    if cfg!(target_os = "linux") {
        refused(&place, "train line.csv --out /proc/wgrad", 6, "/proc/wgrad: cannot be written to: ");
    }
    // Mistakes in flags and data are told first: mending them must not wait for the folder.
    refused(&place, "train nothing.csv --out full", 3, "nothing.csv: no such file");
    refused(&place, "train line.csv --out full --epochs x", 2, "--epochs: train.epochs must be ");
}

#[test]
fn start_weights_that_do_not_fit() {
    let place = place("bad_weights");
    refused(&place, "train line.csv --init none.safetensors", 6, &at(&place, "none.safetensors: cannot be read: "));
    place.write("garbage.safetensors", "this is no such file");
    let garbage = at(&place, "garbage.safetensors: is not a safetensors file");
    refused(&place, "train line.csv --init garbage.safetensors", 6, &garbage);
    place.good("train line.csv --hidden 3 --epochs 1 --out run");
    let wrong = at(&place, "run/model.safetensors: has `layers.0.");
    refused(&place, "train line.csv --hidden 4 --init run/model.safetensors --out other", 6, &wrong);
    let more = at(&place, "run/model.safetensors: lacks the tensor `layers.2.");
    refused(&place, "train line.csv --hidden 3,1 --init run/model.safetensors --out other", 6, &more);
}

/// Start weights are named by their absolute path, as the run file will have it.
fn at(place: &Place, name: &str) -> String {
    place.path(name).to_string_lossy().into_owned()
}

#[test]
fn a_run_that_diverges_leaves_no_model_and_says_what_to_try() {
    let place = place("diverged");
    for flags in ["", "--epochs 1", "--epochs 1 --set data.split=[1,0,0]", "--epochs 1 --batch-size 1000"] {
        let said = place.run(&format!("train line.csv --lr 1e30 --optimizer sgd {flags}"));
        assert_eq!(said.code, 4, "{flags}: {}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains("is not a finite number"), "{}", said.err);
        assert!(said.err.contains("such as --lr 0.01"), "{}", said.err);
        assert_eq!((said.err.lines().count(), said.err.matches("; ").count()), (1, 1), "{}", said.err);
        // Weights that are finite are kept, if there were any after an epoch; no model and no metrics are.
        for run in place.names("runs") {
            assert_eq!(
                place.names(&format!("runs/{run}")),
                ["checkpoint.safetensors", "config.toml"].map(str::to_owned).into()
            );
        }
    }
}
