//! Tables of every kind through the whole program, the odd ones first.

use crate::{Place, clouds, line, shared_data};

/// Trains on a table with quick settings and returns what was said.
fn train(place: &Place, table: &str, flags: &str) -> String {
    place.write("table.csv", table);
    let said = place.good(&format!("train table.csv --epochs 2 --hidden 4 --out run {flags}"));
    let metrics = place.json("run/metrics.json");
    for set in ["train", "validation", "test"] {
        assert!(metrics.get(set).is_none_or(|set| set["loss"].is_f64()), "{metrics}");
    }
    std::fs::remove_dir_all(place.path("run")).expect("it is there");
    said.out
}

#[test]
fn columns_that_carry_nothing_are_left_out_and_told_about() {
    let place = Place::new("useless_columns");
    let rows: String = (0..40).map(|i| format!("{},7,,{}\n", i % 9, i * 3 % 11)).collect();
    let said = train(&place, &format!("a,same,nothing,y\n{rows}"), "--task regression");
    assert!(said.contains("column \"same\" is left out: "), "{said}");
    assert!(said.contains("column \"nothing\" is left out: "), "{said}");
    assert!(said.contains("; 1 feature\n"), "{said}");
}

#[test]
fn words_are_one_hot_encoded_and_missing_ones_filled() {
    let place = Place::new("words");
    let colors = ["red", "green", "blue", ""];
    let rows: String = (0..40).map(|i| format!("{},{},{}.5\n", colors[i % 4], i % 9, i * 3 % 11)).collect();
    let said = train(&place, &format!("color,a,y\n{rows}"), "");
    assert!(said.contains("; 4 features\n"), "{said}");
    assert!(said.contains("column \"color\": 10 of 40 values are missing"), "{said}");
    let said = train(&place, &format!("color,a,y\n{rows}"), "--set data.missing=drop");
    assert!(said.contains("10 of 40 rows are dropped") && said.contains("21 rows to train on"), "{said}");
}

#[test]
fn semicolons_byte_order_marks_and_windows_line_ends_make_no_difference() {
    let place = Place::new("dialects");
    let plain = clouds(40);
    let model = |table: &str| {
        place.write("table.csv", table);
        place.good("train table.csv --epochs 1 --hidden 4 --quiet --out run");
        let bytes = place.read("run/model.safetensors");
        std::fs::remove_dir_all(place.path("run")).expect("it is there");
        bytes
    };
    let expected = model(&plain);
    for (what, table) in [
        ("semicolons", plain.replace(',', ";")),
        ("byte order mark", format!("\u{feff}{plain}")),
        ("Windows", plain.replace('\n', "\r\n")),
        ("quotes", plain.replace("left", "\"left\"")),
        ("no last line end", plain.trim_end().to_owned()),
    ] {
        assert!(model(&table) == expected, "{what}");
    }
}

#[test]
fn tiny_wide_and_constant_tables_train() {
    let place = Place::new("tiny");
    let said = train(&place, "a,y\n1,2.5\n2,4.5\n3,6.5\n", "");
    assert!(said.contains("rows are too few for a"), "{said}");
    let wide: Vec<String> = (0..50).map(|i| format!("c{i}")).collect();
    let row = |r: usize| (0..50).map(|i| format!("{},", ((i + 1) * r * 7) % 101)).collect::<String>();
    let rows: String = (0..10).map(|r| format!("{}{r}.5\n", row(r + 1))).collect();
    let said = train(&place, &format!("{},y\n{rows}", wide.join(",")), "");
    assert!(said.contains("; 50 features\n"), "{said}");
    let constant: String = (0..20).map(|i| format!("{i},3.5\n")).collect();
    let said = train(&place, &format!("a,y\n{constant}"), "");
    assert!(said.contains("regression"), "{said}");
}

#[test]
fn splits_and_batches_beyond_the_rows_train() {
    let place = Place::new("splits");
    let said = train(&place, &line(40), "--set data.split=[1,0,0]");
    assert!(said.contains("40 rows to train on, 0 to validate, 0 to test"), "{said}");
    train(&place, &line(40), "--set data.split=[0.5,0.5,0]");
    train(&place, &line(40), "--batch-size 100000");
    train(&place, &line(40), "--batch-size 27");
    train(&place, &line(40), "--batch-size 1");
}

#[test]
fn several_targets_are_learnt_at_once() {
    let place = Place::new("targets");
    let rows: String = (0..60).map(|i| (i % 13) as f64).map(|a| format!("{a},{},{}\n", 2.0 * a, 5.0 - a)).collect();
    place.write("table.csv", format!("a,p,q\n{rows}"));
    place.good("train table.csv --target p,q --hidden 16 --epochs 100 --lr 0.01 --batch-size 8 --out run");
    let metrics = place.json("run/metrics.json");
    assert!(metrics["test"]["r2"].as_f64().is_some_and(|r2| r2 > 0.95), "{metrics}");
}

#[test]
fn small_tables_are_learnt_by_the_defaults() {
    let place = Place::new("learnt");
    place.write("clouds.csv", clouds(200));
    place.write("line.csv", line(200));
    place.good("train clouds.csv --out clouds");
    place.good("train line.csv --out line");
    let value = |run: &str, key: &str| place.json(&format!("{run}/metrics.json"))["test"][key].as_f64();
    assert!(value("clouds", "accuracy").is_some_and(|accuracy| accuracy > 0.95));
    assert!(value("line", "r2").is_some_and(|r2| r2 > 0.95));
}

/// Trains a well-known table by the defaults; returns a metric of the test rows and what the baseline reaches.
fn known(file: &str, flags: &str, key: &str) -> Option<(f64, f64)> {
    let path = shared_data(file)?;
    let place = Place::new(file);
    place.good(&format!("train {path} {flags} --out run --quiet"));
    let metrics = place.json("run/metrics.json");
    let value = |set: &str| metrics[set][key].as_f64().expect("a number");
    Some((value("test"), value("baseline")))
}

#[test]
fn titanic_is_learnt_by_the_defaults() {
    let flags = "--target survived --set 'data.ignore=[\"alive\"]'";
    let Some((accuracy, baseline)) = known("titanic.csv", flags, "accuracy") else { return };
    assert!(accuracy > 0.78 && accuracy > baseline + 0.1, "{accuracy} {baseline}");
}

#[test]
fn boston_is_learnt_by_the_defaults() {
    let Some((rmse, baseline)) = known("boston_housing.csv", "--target medv", "rmse") else { return };
    assert!(rmse < 0.6 * baseline, "{rmse} {baseline}");
}

#[test]
fn california_is_learnt_by_the_defaults() {
    let Some((rmse, baseline)) = known("california_housing.csv", "--target median_house_value", "rmse") else { return };
    assert!(rmse < 0.6 * baseline, "{rmse} {baseline}");
}
