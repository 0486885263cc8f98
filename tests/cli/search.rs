//! `wgrad search`: random search with successive halving.

use std::io::Read;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::{Place, clouds, line};

/// Nine trials on a small table: 9 to 2 epochs, 3 to 6, 1 to 18.
const SMALL: &str = "search line.csv --trials 9 --epochs 18 --hidden 8,8";

fn place(test: &str) -> Place {
    let place = Place::new(test);
    place.write("line.csv", line(120));
    place.write("clouds.csv", clouds(60));
    place
}

/// leaderboard.csv: header and cells.
fn leaderboard(place: &Place, folder: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_path(place.path(&format!("{folder}/leaderboard.csv"))).expect("it is there");
    let cells = |row: &csv::StringRecord| row.iter().map(str::to_owned).collect::<Vec<_>>();
    let header = cells(reader.headers().expect("a header"));
    (header, reader.records().map(|row| cells(&row.expect("a row"))).collect())
}

/// Everything that a search has found, without times.
fn found(place: &Place, folder: &str) -> (String, Vec<u8>) {
    (place.text(&format!("{folder}/leaderboard.csv")), place.read(&format!("{folder}/best/model.safetensors")))
}

#[test]
fn a_search_leaves_a_leaderboard_and_a_winner_that_train_repeats() {
    let place = place("search");
    let said = place.good(&format!("{SMALL} --out s"));
    assert!(
        said.out.contains("trials to epochs: 9 to 2, 3 to 6, 1 to 18; the lowest validation loss wins\n"),
        "{}",
        said.out
    );
    let told = |rung: &str| said.out.lines().filter(|line| line.starts_with(rung)).count();
    assert_eq!(["rung 1/3", "rung 2/3", "rung 3/3"].map(told), [9, 3, 1], "{}", said.out);
    let entries = ["best", "config.toml", "leaderboard.csv", "search.json", "trials"];
    assert_eq!(place.names("s"), entries.map(str::to_owned).into());
    let (header, rows) = leaderboard(&place, "s");
    let keys = ["optimizer.learning_rate", "regularization.l2", "train.batch_size"];
    assert_eq!(header, [&["rank", "trial", "validation_loss", "epochs", "diverged"][..], &keys].concat());
    assert_eq!(
        rows.iter().map(|row| row[0].parse().expect("a rank")).collect::<Vec<usize>>(),
        (1..=9).collect::<Vec<_>>()
    );
    let mut epochs: Vec<usize> = rows.iter().map(|row| row[3].parse().expect("epochs")).collect();
    assert_eq!(epochs, [18, 6, 6, 2, 2, 2, 2, 2, 2]);
    epochs.dedup();
    for epochs in epochs {
        let scores: Vec<f64> =
            rows.iter().filter(|row| row[3] == epochs.to_string()).map(|row| row[2].parse().expect("a loss")).collect();
        assert!(scores.is_sorted(), "{scores:?}");
    }
    for row in &rows {
        let rate: f64 = row[5].parse().expect("a rate");
        assert!((1e-4..=1e-1).contains(&rate) && ["32", "64", "128"].contains(&row[7].as_str()), "{row:?}");
    }
    // The winner is an ordinary run, and its run file repeats it to the bit.
    let config = place.config("s/best");
    assert_eq!(config["optimizer"]["learning_rate"].as_float(), rows[0][5].parse().ok());
    assert!(!config.contains_key("search"));
    assert!(place.json("s/best/metrics.json")["test"]["r2"].is_f64());
    place.good("train --config s/best/config.toml --out again");
    assert!(place.read("again/model.safetensors") == place.read("s/best/model.safetensors"));
    // The winner's loss is what the leaderboard says of it.
    let loss = place.json("s/best/metrics.json")["validation"]["loss"].as_f64().expect("a loss");
    assert!((loss - rows[0][2].parse::<f64>().expect("a loss")).abs() < 1e-9, "{loss} {:?}", rows[0]);
    // Of the other trials there is no more than what goes on: nobody has seen their test rows.
    assert_eq!(place.names("s/trials").len(), 9);
    for trial in place.names("s/trials") {
        let files = ["checkpoint.safetensors", "config.toml"];
        assert_eq!(place.names(&format!("s/trials/{trial}")), files.map(str::to_owned).into());
    }
}

#[test]
fn the_same_seed_finds_the_same_and_another_seed_draws_others() {
    let place = place("search_seed");
    for (out, flags) in [("a", ""), ("b", ""), ("c", "--seed 7")] {
        place.good(&format!("{SMALL} --out {out} {flags}"));
    }
    assert!(found(&place, "a") == found(&place, "b"));
    assert_ne!(leaderboard(&place, "a"), leaderboard(&place, "c"));
    // A finished search that is resumed finds it all done.
    let before = found(&place, "a");
    place.good("search --resume a");
    assert!(found(&place, "a") == before);
    // Its own run file starts the same search.
    place.good("search --config a/config.toml --trials 9 --out d");
    assert!(found(&place, "d") == before);
}

#[test]
fn a_killed_search_goes_on_to_the_results_of_one_that_was_left_alone() {
    let place = place("search_killed");
    let flags = "search line.csv --trials 9 --epochs 3000 --hidden 16,16 --set early_stopping.patience=0";
    place.good(&format!("{flags} --out whole"));
    // In the first rung, and where one has gone on to the second.
    for (out, said) in [("early", "rung 1/3  trial   2"), ("late", "rung 2/3")] {
        let mut search = start(&place, &format!("{flags} --out broken"));
        wait_for(said, &mut search);
        search.kill().expect("it is running");
        search.wait().expect("it is ours");
        assert!(!place.path("broken/best").exists(), "{out}: it was killed too late");
        place.good("search --resume broken");
        assert!(found(&place, "broken") == found(&place, "whole"), "{out}");
        std::fs::rename(place.path("broken"), place.path(out)).expect("it is ours");
    }
}

#[cfg(unix)]
#[test]
fn the_first_interruption_saves_and_says_how_to_go_on() {
    let place = place("search_interrupted");
    let flags = "search line.csv --trials 9 --epochs 3000 --hidden 16,16 --set early_stopping.patience=0";
    let mut search = start(&place, &format!("{flags} --out broken"));
    wait_for("rung 1/3  trial   2", &mut search);
    let kill = format!("kill -INT {}", search.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().expect("sh runs").success());
    let mut said = String::new();
    search.stdout.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    assert_eq!(search.wait().expect("it is ours").code(), Some(130), "{said}");
    assert!(said.ends_with("interrupted; all of it is saved, go on with\n  wgrad search --resume broken\n"), "{said}");
    place.good("search --resume broken --quiet");
    place.good(&format!("{flags} --out whole --quiet"));
    assert!(found(&place, "broken") == found(&place, "whole"));
}

#[test]
fn max_time_ends_with_the_best_so_far_and_leaves_the_rest_for_later() {
    let place = place("search_time");
    let said = place.good(&format!("{SMALL} --out s --max-time 1ms"));
    assert!(
        said.out.contains("stopped by --max-time; go on searching with\n  wgrad search --resume s\n"),
        "{}",
        said.out
    );
    let flags = "search line.csv --trials 9 --epochs 9000 --hidden 64,64 --set early_stopping.patience=0";
    let said = place.good(&format!("{flags} --out long --max-time 2s"));
    assert!(said.out.contains("stopped by --max-time; go on searching with\n"), "{}", said.out);
    place.good("search --resume s");
    place.good(&format!("{SMALL} --out whole"));
    assert!(found(&place, "s") == found(&place, "whole"));
}

#[test]
fn trials_that_diverge_come_last_and_end_nothing() {
    let place = place("search_diverging");
    place.write(
        "run.toml",
        "[optimizer]\nname = \"sgd\"\n[search]\n\"optimizer.learning_rate\" = { choice = [1e-2, 1e30] }\n",
    );
    let said = place.good("search line.csv --config run.toml --trials 9 --epochs 9 --hidden 4 --out s");
    assert!(said.out.contains(": diverged after "), "{}", said.out);
    let (_, rows) = leaderboard(&place, "s");
    let diverged: Vec<bool> = rows.iter().map(|row| row[4] == "true").collect();
    assert!(!diverged[0] && diverged[8] && diverged.is_sorted(), "{rows:?}");
    assert!(
        rows.iter()
            .all(|row| (row[4] == "true") == (row[5].parse::<f64>() == Ok(1e30))
                && (row[4] == "true") == row[2].is_empty()),
        "{rows:?}"
    );
    let before = found(&place, "s");
    place.good("search --resume s");
    assert!(found(&place, "s") == before);
    place.write(
        "run.toml",
        "[optimizer]\nname = \"sgd\"\n[search]\n\"optimizer.learning_rate\" = { uniform = [1e30, 2e30] }\n",
    );
    let said = place.run("search line.csv --config run.toml --trials 2 --epochs 2 --out all");
    assert!(said.code == 4 && said.err.contains("error: every trial diverged; "), "{}", said.err);
}

#[test]
fn every_kind_of_range_reaches_its_key() {
    let place = place("search_ranges");
    place.write(
        "run.toml",
        "[model]\nlayers = [{ type = \"dense\", units = 4 }, { type = \"dropout\", rate = 0.1 }, { type = \"dense\" }]\n\
         [early_stopping]\nmetric = \"validation_f1\"\n\
         [search]\n\"optimizer.learning_rate\" = { log = [1e-3, 1e-1] }\n\"model.layers[1].rate\" = { uniform = [0, 0.5] }\n\
         \"model.layers[0].units\" = { int = [2, 9] }\n\"optimizer.name\" = { choice = [\"adam\", \"sgd\"] }\n",
    );
    let said = place.good("search clouds.csv --config run.toml --trials 6 --epochs 3 --out s --json");
    let events: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let trials: Vec<&Value> = events.iter().filter(|event| event["event"] == "trial").collect();
    assert_eq!((trials.len(), &events[events.len() - 1]["event"]), (8, &Value::from("search")));
    for trial in &trials {
        let values = &trial["values"];
        let number = |key: &str| values[key].as_f64().expect("a number");
        assert!((1e-3..=1e-1).contains(&number("optimizer.learning_rate")), "{trial}");
        assert!((0.0..=0.5).contains(&number("model.layers[1].rate")), "{trial}");
        assert!(values["model.layers[0].units"].as_i64().is_some_and(|units| (2..=9).contains(&units)), "{trial}");
        assert!(["adam", "sgd"].map(Value::from).contains(&values["optimizer.name"]), "{trial}");
    }
    // More of F1 is better.
    let (header, rows) = leaderboard(&place, "s");
    assert_eq!(header[2], "validation_f1");
    let best: f64 = rows[0][2].parse().expect("a score");
    assert!(rows[1..2].iter().all(|row| row[2].parse::<f64>().expect("a score") <= best), "{rows:?}");
    let trial: usize = rows[0][1].parse().expect("a number");
    let config = place.config(&format!("s/trials/{trial:03}"));
    assert_eq!(config["model"]["layers"][0]["units"].to_string(), rows[0][7]);
}

#[test]
fn mistakes_of_a_search_are_answered_before_any_trial() {
    let place = place("search_mistakes");
    place.good("search line.csv --trials 2 --epochs 2 --hidden 2 --out s");
    let refused = |arguments: &str, code: i32, expected: &str| {
        let said = place.run(arguments);
        assert_eq!(said.code, code, "{arguments}: {}{}", said.out, said.err);
        assert!(said.err.starts_with(&format!("error: {expected}")), "{arguments}: {}", said.err);
        assert_eq!(said.out, "", "{arguments}");
    };
    refused("search", 2, "DATA: no data is named; ");
    refused("search line.csv --trials 0", 2, "--trials: `0` is no value for it; ");
    refused("search line.csv --max-time soon", 2, "--max-time: `soon` is no value for it; ");
    let again = "s: a search is in this folder already; go on with `wgrad search --resume s`, or choose another --out";
    refused("search line.csv --out s", 6, again);
    refused("search --resume none", 6, "none: there is no search to resume: ");
    refused("search --resume s --trials 5", 2, "--trials: the search has 2 trials; ");
    refused(
        "search --resume s --lr 0.5",
        2,
        "--lr: the search cannot go on with other settings: optimizer.learning_rate was 0.001, now 0.5; ",
    );
    let by_heart =
        "--set early_stopping.metric: trainings cannot be compared by train_loss, which rewards learning by heart; ";
    refused("search line.csv --set early_stopping.metric=train_loss", 2, by_heart);
    refused("search line.csv --set data.split=[0.5,0,0.5]", 3, "early_stopping.metric: there are no validation rows ");
    // What a name means only the network knows; it is asked before the first trial.
    place.write("run.toml", "[search]\n\"optimizer.name\" = { choice = [\"adam\", \"adamm\"] }\n");
    refused("search line.csv --config run.toml", 3, "run.toml:2:1: unknown optimizer `adamm`; did you mean `adam`?");
    // The section is checked whoever reads the file.
    place.write("run.toml", "[search]\n\"optimizer.learning_rat\" = { log = [1e-4, 1e-1] }\n");
    let expected = "run.toml:2:37: unknown key `learning_rat` in [optimizer]; did you mean `learning_rate`?";
    for command in ["search", "train", "plan"] {
        refused(&format!("{command} line.csv --config run.toml"), 3, expected);
    }
    place.write("line.csv", line(121));
    refused(
        "search --resume s",
        3,
        &format!("{}: the data has changed since this search began; ", place.path("line.csv").display()),
    );
}

fn start(place: &Place, arguments: &str) -> Child {
    place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("wgrad starts")
}

/// Reads what a search says until a line begins like this. Byte by byte: what comes after is left for others.
fn wait_for(start: &str, search: &mut Child) {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while search.stdout.as_mut().expect("a pipe").read(&mut byte).expect("it can be read") == 1 {
        line.push(byte[0]);
        if line.starts_with(start.as_bytes()) {
            return;
        }
        if byte[0] == b'\n' {
            line.clear();
        }
    }
    panic!("no line begins with {start}");
}
