//! `--resume` and what it refuses; `--dry-run` and `--overfit`, which keep nothing.

use crate::{Place, clouds};

fn place(test: &str) -> Place {
    let place = Place::new(test);
    place.write("clouds.csv", clouds(60));
    place
}

#[test]
fn a_finished_run_is_extended_and_what_is_missing_is_written_again() {
    let place = place("resume-longer");
    let flags = "--set early_stopping.patience=0 --quiet";
    place.good(&format!("train clouds.csv --epochs 3 --out run {flags}"));
    place.good(&format!("train clouds.csv --epochs 7 --out whole {flags}"));
    place.good("train --resume run --epochs 7 --quiet");
    assert_eq!(place.read("run/model.safetensors"), place.read("whole/model.safetensors"));
    assert_eq!(place.text("run/history.csv").lines().count(), 8);
    assert_eq!(place.config("run")["train"]["epochs"].as_integer(), Some(7));
    for name in ["metrics.json", "report.html", "config.toml", "model.safetensors"] {
        let before = place.read(&format!("run/{name}"));
        std::fs::remove_file(place.path(&format!("run/{name}"))).expect("it is there");
        place.good("train --resume run --quiet");
        let after = place.read(&format!("run/{name}"));
        assert!(!after.is_empty() && (name != "model.safetensors" || after == before), "{name}");
    }
}

/// A kill between a run's last checkpoint and its other files, and an extension that was stopped.
#[test]
fn files_that_are_older_than_the_checkpoint_are_written_again() {
    let place = place("resume-outdated");
    let flags = "--set early_stopping.patience=0 --quiet";
    place.good(&format!("train clouds.csv --epochs 3 --out run {flags}"));
    place.good(&format!("train clouds.csv --epochs 6 --out whole {flags}"));
    // The checkpoint of six epochs beside files of three.
    place.write("run/checkpoint.safetensors", place.read("whole/checkpoint.safetensors"));
    place.good("train --resume run --epochs 6 --quiet");
    assert_eq!(place.read("run/model.safetensors"), place.read("whole/model.safetensors"));
    assert_eq!(place.json("run/metrics.json")["epochs"], 6);
    assert_eq!(place.config("run")["train"]["epochs"].as_integer(), Some(6));
    place.write("run/history.csv", place.read("whole/history.csv").split_last().expect("bytes").1);
    std::fs::write(place.path("run/model.safetensors"), "old").expect("it can be written");
    place.good("train --resume run --quiet");
    assert_eq!(place.read("run/model.safetensors"), place.read("whole/model.safetensors"));
}

#[test]
fn an_extension_without_a_step_is_remembered() {
    let place = place("resume-shorter");
    let flags = "--set early_stopping.patience=0 --quiet";
    place.good(&format!("train clouds.csv --epochs 4 --out run {flags}"));
    place.good("train --resume run --epochs 9 --max-time 1ms --quiet");
    let epochs = || place.config("run")["train"]["epochs"].as_integer();
    assert_eq!(epochs(), Some(9), "the printed command goes on to the same end");
    place.good("train --resume run --quiet");
    assert_eq!((place.json("run/metrics.json")["epochs"].as_i64(), epochs()), (Some(9), Some(9)));
}

#[test]
fn other_settings_other_data_and_too_few_epochs_are_refused_with_what_differs() {
    let place = place("resume-refused");
    place.good("train clouds.csv --epochs 3 --out run --quiet");
    place.good("train clouds.csv --epochs 3 --out cycle --quiet --set schedule.name=one_cycle");
    let cases = [
        (
            "--resume run --lr 0.5 --batch-size 7",
            2,
            "optimizer.learning_rate was 0.001, now 0.5; train.batch_size was 64, now 7",
        ),
        ("--resume run --epochs 2", 2, "3 epochs are done already or begun"),
        ("--resume cycle --epochs 9", 2, "the one_cycle schedule was laid out for 3 epochs"),
        ("--resume nowhere", 6, "nowhere: no such folder"),
        ("--resume .", 6, "there is no checkpoint.safetensors to resume from"),
    ];
    for (flags, code, words) in cases {
        let said = place.run(&format!("train {flags}"));
        assert!(said.code == code && said.err.contains(words), "{flags}: {} {}", said.code, said.err);
    }
    place.write("clouds.csv", clouds(62));
    let said = place.run("train --resume run");
    assert!(said.code == 3 && said.err.contains("the data has changed since this run began"), "{}", said.err);
    // The checkpoint is read first: where it is bad, bad data is no news.
    std::fs::remove_file(place.path("clouds.csv")).expect("it is there");
    place.write("run/checkpoint.safetensors", "no checkpoint");
    assert_eq!(place.run("train --resume run").code, 6);
}

#[test]
fn a_dry_run_shows_shapes_and_memory_and_keeps_nothing() {
    let place = place("dry-run");
    let said = place.good("train clouds.csv --dry-run");
    for words in
        ["layers.0.weight", "on the device", "one train batch: loss", "one test batch: loss", "nothing was kept"]
    {
        assert!(said.out.contains(words), "{words} is missing: {}", said.out);
    }
    assert_eq!(place.names(""), ["clouds.csv"].map(str::to_owned).into());
}

#[test]
fn overfit_tells_a_network_that_can_learn_from_one_that_cannot() {
    let place = place("overfit");
    let said = place.good("train clouds.csv --overfit 1 --json");
    let yes: serde_json::Value = serde_json::from_str(said.out.lines().last().expect("a line")).expect("JSON");
    assert!(yes["learnt"] == true && said.err.contains("yes: accuracy"), "{}", said.err);
    // Sorted by classes that cannot be told apart: the first rows alone would be learnt, being all of one class.
    let rows = |kind: &str| (0..40).map(|i| format!("{},{kind}\n", i % 3)).collect::<String>();
    place.write("sorted.csv", format!("x,kind\n{}{}", rows("left"), rows("right")));
    let said = place.good("train sorted.csv --overfit 1 --batch-size 16 --set data.split=[1,0,0]");
    assert!(said.out.contains("no: accuracy"), "{}", said.out);
    // Exclusive or is beyond a network without a hidden layer.
    place.write("xor.csv", "a,b,y\n0,0,no\n0,1,yes\n1,0,yes\n1,1,no\n");
    let said = place.good("train xor.csv --hidden none --overfit 1 --set data.split=[1,0,0]");
    assert!(said.out.contains("no: accuracy") && said.out.contains("try more --hidden units"), "{}", said.out);
    assert_eq!(place.names(""), ["clouds.csv", "sorted.csv", "xor.csv"].map(str::to_owned).into());
}
