//! `wgrad cv`: k-fold cross-validation.

use serde_json::Value;

use crate::{Place, clouds, line, shared_data};

/// cv.csv as numbers: fold, rows, epochs, loss, metrics.
fn folds(place: &Place, folder: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut reader = csv::Reader::from_path(place.path(&format!("{folder}/cv.csv"))).expect("it is there");
    let header = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let numbers = |row: csv::StringRecord| row.iter().map(|cell| cell.parse().expect("a number")).collect();
    (header, reader.records().map(|row| numbers(row.expect("a row"))).collect())
}

#[test]
fn every_fold_is_told_and_the_mean_and_deviation_are_theirs() {
    let place = Place::new("cv");
    place.write("line.csv", line(203));
    let said = place.good("cv line.csv --epochs 20 --out cv");
    let told: Vec<&str> = said.out.lines().filter(|line| line.starts_with("fold ")).collect();
    assert_eq!(told.len(), 5, "{}", said.out);
    assert!(told[0].starts_with("fold 1/5  41 rows tested after "), "{}", told[0]);
    assert!(said.out.contains("mean ± standard deviation over 5 folds:\n"), "{}", said.out);
    assert!(said.out.contains("(always the same answer: "), "{}", said.out);
    assert_eq!(place.names("cv"), ["config.toml", "cv.csv", "cv.json"].map(str::to_owned).into());
    let (header, rows) = folds(&place, "cv");
    assert_eq!(header, ["fold", "rows", "epochs", "loss", "rmse", "mae", "r2"]);
    // As scikit-learn's KFold: 203 = 41 + 41 + 41 + 40 + 40.
    assert_eq!(rows.iter().map(|row| row[1]).collect::<Vec<_>>(), [41.0, 41.0, 41.0, 40.0, 40.0]);
    let json = place.json("cv/cv.json");
    for (column, name) in header.iter().enumerate().skip(3) {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / 5.0;
        let deviation = (rows.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / 5.0).sqrt();
        let stored = |of: &str| json[of][name].as_f64().expect("a number");
        assert!((stored("mean") - mean).abs() < 1e-12, "{name}");
        assert!((stored("deviation") - deviation).abs() < 1e-12, "{name}");
    }
    assert_eq!(place.names(""), ["cv", "line.csv"].map(str::to_owned).into(), "no run is left");
}

#[test]
fn folds_follow_the_seed_and_the_events_say_what_the_words_say() {
    let place = Place::new("cv_seed");
    place.write("clouds.csv", clouds(60));
    let flags = "cv clouds.csv --folds 3 --epochs 2 --hidden 3 --json";
    let first = place.good(flags).out;
    assert_eq!(first, place.good(flags).out, "the same seed, the same folds and figures");
    assert_ne!(first, place.good(&format!("{flags} --seed 1")).out);
    let events: Vec<Value> = first.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["fold", "fold", "fold", "cv"]);
    assert_eq!(events[3]["each"][1]["accuracy"], events[1]["accuracy"]);
    assert!(events[3]["mean"]["accuracy"].is_f64() && events[3]["deviation"]["loss"].is_f64());
}

#[test]
fn folds_that_the_rows_do_not_fill_are_refused_and_small_classes_told_about() {
    let place = Place::new("cv_mistakes");
    place.write("line.csv", line(10));
    // 20 of one class, 3 of the other.
    let rows: String =
        (0..23).map(|i| format!("{},{}\n", i % 7, if i % 8 == 7 || i == 0 { "few" } else { "many" })).collect();
    place.write("few.csv", format!("a,kind\n{rows}"));
    for (arguments, code, expected) in [
        ("cv", 2, "DATA: no data is named; "),
        ("cv line.csv --folds 1", 2, "--folds: `1` is no value for it; give a whole number from 2 "),
        ("cv line.csv --folds 11", 2, "--folds: 10 rows cannot be dealt into 11 folds; give at most 10"),
        ("cv few.csv --folds 22", 2, "--folds: no class has as many rows as there are folds, 22; give at most 20"),
        ("cv line.csv --lr 1e30 --optimizer sgd", 4, "fold 1 of 5: "),
        ("cv line.csv --lr auto", 2, "--lr: optimizer.learning_rate must be a finite number above 0, "),
    ] {
        let said = place.run(arguments);
        assert_eq!(said.code, code, "{arguments}: {}", said.err);
        assert!(said.err.starts_with(&format!("error: {expected}")), "{arguments}: {}", said.err);
    }
    let said = place.good("cv few.csv --epochs 1 --hidden 2");
    assert!(
        said.out.contains("class \"few\" has 3 rows, fewer than the 5 folds, so some folds test none"),
        "{}",
        said.out
    );
    place.good("cv line.csv --folds 10 --epochs 1 --hidden 2");
    place.good("cv line.csv --epochs 1 --hidden 2 --set data.split=[1,0,0]");
    place.write("full/notes.txt", "mine");
    let said = place.run("cv line.csv --out full");
    assert!(said.code == 6 && said.err.contains("full: the folder is not empty; "), "{}", said.err);
}

/// In five stratified folds of it scikit-learn's MLPClassifier of the same layers reaches 0.824 ± 0.013.
#[test]
fn titanic_is_cross_validated_as_well_as_elsewhere() {
    let Some(path) = shared_data("titanic.csv") else { return };
    let place = Place::new("cv_titanic");
    place.good(&format!("cv {path} --target survived --set 'data.ignore=[\"alive\"]' --out cv --quiet"));
    let (header, rows) = folds(&place, "cv");
    assert_eq!(rows.iter().map(|row| row[1]).collect::<Vec<_>>(), [179.0, 178.0, 178.0, 178.0, 178.0]);
    let accuracy = header.iter().position(|name| name == "accuracy").expect("a column");
    let mean = rows.iter().map(|row| row[accuracy]).sum::<f64>() / 5.0;
    assert!((0.79..0.86).contains(&mean), "{mean}");
}
