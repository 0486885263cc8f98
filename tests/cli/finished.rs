//! `predict`, `eval` and `export` on finished runs: what they print, and what they answer to data that does not fit.

use serde_json::Value;

use crate::{Place, Said, clouds, line};

/// A run on `clouds.csv` (words) and one on `line.csv` (a number), each on all its rows.
fn place(test: &str) -> Place {
    let place = Place::new(test);
    place.write("clouds.csv", clouds(60));
    place.write("line.csv", line(60));
    place.good("train clouds.csv --epochs 5 --hidden 4 --set data.split=[1,0,0] --out runs/clouds");
    place.good("train line.csv --epochs 5 --hidden 4 --set data.split=[1,0,0] --out runs/line");
    place
}

fn rows(said: &Said) -> Vec<Vec<String>> {
    said.out.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn refused(place: &Place, arguments: &str, code: i32, expected: &str) {
    let said = place.run(arguments);
    assert_eq!((said.code, said.out.as_str()), (code, ""), "wgrad {arguments}\n{}", said.err);
    assert!(
        said.err.starts_with(&format!("error: {expected}")),
        "wgrad {arguments}\nexpected {expected}\n{}",
        said.err
    );
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    assert_eq!(said.err.matches("; ").count(), 1, "{}", said.err);
}

/// wgrad with this on standard input.
fn fed(place: &Place, arguments: &str, input: &str) -> Said {
    use std::io::Write;
    use std::process::Stdio;
    let mut command = place.command(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("it has one").write_all(input.as_bytes()).expect("it reads");
    Said::of(&child.wait_with_output().expect("it ends"))
}

#[test]
fn a_prediction_for_each_row_with_a_probability_for_each_class() {
    let place = place("predict");
    let said = place.good("predict runs/clouds clouds.csv");
    assert_eq!(said.err, "");
    let rows = rows(&said);
    assert_eq!(rows[0], ["prediction", "probability_left", "probability_right"]);
    assert_eq!(rows.len(), 61);
    for row in &rows[1..] {
        let shares: Vec<f64> = row[1..].iter().map(|cell| cell.parse().expect("a number")).collect();
        assert!((shares[0] + shares[1] - 1.0).abs() < 1e-6, "{row:?}");
        assert_eq!(row[0], if shares[1] >= 0.5 { "right" } else { "left" });
    }
    let said = place.good("predict runs/clouds clouds.csv --json");
    let first: Value = serde_json::from_str(said.out.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["prediction"], rows[1][0]);
    assert_eq!(first["probability_left"].as_f64(), rows[1][1].parse().ok());
    assert_eq!(said.out.lines().count(), 60);
}

#[test]
fn a_number_is_predicted_in_its_own_unit() {
    let place = Place::new("predict_unit");
    place.write("line.csv", line(200));
    place.good("train line.csv --epochs 80 --lr 0.01 --out run");
    let said = place.good("predict run line.csv");
    let truth = line(200);
    for (row, truth) in said.out.lines().zip(truth.lines()).skip(1) {
        let (predicted, truth): (f64, f64) =
            (row.parse().expect("a number"), truth.rsplit(',').next().expect("y").parse().expect("a number"));
        assert!((predicted - truth).abs() < 1.5, "{predicted} for {truth}");
    }
    // Two targets, neither of which has to be there.
    place.good("train line.csv --target y,a --epochs 2 --out both");
    place.write("b.csv", "b\n1\n2\n");
    let said = place.good("predict both b.csv");
    assert_eq!(said.out.lines().next(), Some("prediction_y,prediction_a"));
    assert_eq!(said.out.lines().count(), 3);
}

#[test]
fn the_textbook_line_goes_on_and_falls_behind() {
    let place = Place::new("predict_linear");
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    place.good(&format!("train --config '{examples}/linear.toml' --out run -q"));
    let said = place.good(&format!("predict run '{examples}/linear_next.csv'"));
    let next: Vec<f64> = said.out.lines().skip(1).map(|row| row.parse().expect("a number")).collect();
    assert!(next.len() == 4 && next.windows(2).all(|pair| pair[1] > pair[0]), "{next:?}");
    assert!((next[0] - 0.6).abs() < 0.03 && next[3] > 0.65 && next[3] < 0.9, "{next:?}");
}

#[test]
fn columns_are_found_by_name_and_others_do_not_matter() {
    let place = place("predict_columns");
    let expected = place.good("predict runs/clouds clouds.csv").out;
    let text = clouds(60);
    let swapped: String = text
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{},any thing,{}\n", cells[1], cells[0])
        })
        .collect();
    place.write("swapped.csv", swapped.replacen("any thing", "note", 1));
    assert_eq!(place.good("predict runs/clouds swapped.csv").out, expected);
    // The file by itself is all that is needed.
    std::fs::copy(place.path("runs/clouds/model.safetensors"), place.path("alone.safetensors")).expect("it is there");
    assert_eq!(place.good("predict alone.safetensors clouds.csv").out, expected);
    assert_eq!(fed(&place, "predict runs/clouds -", &text).out, expected);
    assert_eq!(place.good("predict runs/clouds clouds.csv --threads 1").out, expected);
}

#[test]
fn output_goes_to_a_file_that_is_replaced_when_it_is_complete() {
    let place = place("predict_output");
    let expected = place.good("predict runs/clouds clouds.csv").out;
    place.write("answers.csv", "old");
    let said = place.good("predict runs/clouds clouds.csv -o answers.csv");
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "60 predictions: answers.csv\n"));
    assert_eq!(place.text("answers.csv"), expected);
    assert_eq!(place.good("predict runs/clouds clouds.csv -o -").out, expected);
    place.good("predict runs/clouds clouds.csv --json --quiet -o answers.jsonl");
    assert_eq!(place.text("answers.jsonl").lines().count(), 60);
    refused(&place, "predict runs/clouds clouds.csv -o clouds.csv", 2, "--output: this is the data itself; ");
    refused(&place, "predict runs/clouds clouds.csv -o no/such.csv", 6, "no/such.csv: cannot be written: ");
    refused(&place, "predict runs/clouds clouds.csv -o runs", 6, "runs: is a folder; ");
    assert!(place.names("").iter().all(|name| !name.ends_with(".tmp")), "{:?}", place.names(""));
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_is_no_error_and_a_full_disk_is_one() {
    let place = place("predict_pipe");
    place.write("many.csv", clouds(20_000));
    let wgrad = env!("CARGO_BIN_EXE_wgrad");
    let shell = |script: String| {
        let mut command = std::process::Command::new("bash");
        Said::of(&command.arg("-c").arg(script).current_dir(place.path("")).output().expect("bash starts"))
    };
    let said = shell(format!("'{wgrad}' predict runs/clouds many.csv --device cpu | head -2; exit ${{PIPESTATUS[0]}}"));
    assert_eq!((said.code, said.err.as_str(), said.out.lines().count()), (0, "", 2));
    if std::path::Path::new("/dev/full").exists() {
        let said = shell(format!("'{wgrad}' predict runs/clouds many.csv --device cpu > /dev/full"));
        assert!(said.code == 6 && said.err.starts_with("error: standard output: cannot be written: "), "{}", said.err);
    }
}

#[test]
fn what_the_data_lacks_is_named() {
    let place = place("predict_lacks");
    place.write("near.csv", "x,z\n1,2\n");
    refused(
        &place,
        "predict runs/clouds near.csv",
        3,
        "near.csv: there is no column \"y\" for the model; did you mean",
    );
    place.write("other.csv", "a,b\n1,2\n");
    refused(
        &place,
        "predict runs/clouds other.csv",
        3,
        "other.csv: 2 of the model's 2 columns are not there: x, y; the columns are a, b",
    );
    place.write("empty.csv", "");
    refused(&place, "predict runs/clouds empty.csv", 3, "empty.csv: is empty; ");
    place.write("header.csv", "x,y\n");
    refused(&place, "predict runs/clouds header.csv", 3, "header.csv: has a header but no rows; ");
    place.write("word.csv", "x,y\n1,2\n1,two\n");
    refused(&place, "predict runs/clouds word.csv", 3, "word.csv:3:3: \"two\" in column \"y\" is not a number; ");
    refused(&place, "predict runs/clouds digits", 3, "digits: holds images, the model was trained on a table; ");
    refused(&place, "predict runs/clouds none.csv", 3, "none.csv: no such file, folder or built-in data set; ");
    refused(&place, "eval runs/clouds near.csv", 3, "near.csv: there is no column \"y\"");
    place.write("untold.csv", "x,y\n1,2\n");
    refused(&place, "eval runs/clouds untold.csv", 3, "untold.csv: there is no column \"kind\" for the target; ");
    place.write("new.csv", "x,y,kind\n1,2,left\n1,2,above\n");
    let unseen =
        "new.csv:3:5: \"above\" in the target \"kind\" is none of the trained classes; the classes are left, right";
    refused(&place, "eval runs/clouds new.csv", 3, unseen);
    // For a prediction the target does not matter.
    assert_eq!(place.good("predict runs/clouds new.csv").out.lines().count(), 3);
    refused(&place, "predict", 2, "<RUN> and <DATA> are missing; ");
    refused(&place, "export runs/clouds", 2, "--onnx <FILE> is missing; ");
}

#[test]
fn unseen_words_and_missing_values_are_counted_in_warnings() {
    let place = Place::new("predict_unseen");
    let table = |words: &[&str]| -> String {
        let row = |i: usize| format!("{},{},{}\n", words[i % words.len()], i % 7, i % 2);
        "word,n,y\n".to_owned() + &(0..40).map(row).collect::<String>()
    };
    place.write("train.csv", table(&["a", "b", "c"]));
    place.good("train train.csv --epochs 1 --out run");
    place.write("new.csv", "word,n\na,1\nz,2\n,3\nz,\n");
    let said = place.good("predict run new.csv");
    assert_eq!(said.out.lines().count(), 5);
    assert!(
        said.err.contains("column \"word\": 2 of 4 rows have words that training did not see, such as \"z\""),
        "{}",
        said.err
    );
    assert!(said.err.contains("column \"n\": 1 of 4 values are missing and filled as in training"), "{}", said.err);
    assert!(said.err.lines().all(|line| line.starts_with("warning: ")), "{}", said.err);
    assert_eq!(place.good("predict run new.csv --quiet").err, "");
    place.write("slip.csv", "wrod,n\na,1\n");
    let near = "slip.csv: there is no column \"word\" for the model; did you mean \"wrod\"? The columns are wrod, n";
    refused(&place, "predict run slip.csv", 3, near);
    // A training that dropped such rows still answers each one, and says what to think of it.
    place.good("train train.csv --epochs 1 --set data.missing=drop --out drops");
    let said = place.good("predict drops new.csv");
    assert_eq!(said.out.lines().count(), 5);
    assert!(said.err.contains("training dropped such rows, so doubt these predictions"), "{}", said.err);
    place.good("train train.csv --epochs 1 --set data.missing=error --out refuses");
    refused(&place, "predict refuses new.csv", 3, "new.csv:4:1: the value of \"word\" is missing in this row; ");
}

/// metrics.json's numbers, where all rows are the training rows.
#[test]
fn eval_on_the_training_rows_gives_the_numbers_of_the_training() {
    let place = place("eval");
    place.good("train clouds.csv --epochs 2 --hidden 4 --set data.split=[1,0,0] --set loss.class_weights=[1,3] --out runs/listed");
    place.write(
        "uneven.csv",
        clouds(60).lines().filter(|l| !l.ends_with(".5,right")).map(|l| format!("{l}\n")).collect::<String>(),
    );
    place.good("train uneven.csv --epochs 2 --hidden 4 --set data.split=[1,0,0] --set loss.class_weights=balanced --out runs/balanced");
    for (run, data) in
        [("clouds", "clouds.csv"), ("line", "line.csv"), ("listed", "clouds.csv"), ("balanced", "uneven.csv")]
    {
        let said = place.good(&format!("eval runs/{run} {data} --json"));
        assert_eq!(said.out.lines().count(), 1, "{}", said.out);
        let told: Value = serde_json::from_str(&said.out).expect("JSON");
        let metrics = place.json(&format!("runs/{run}/metrics.json"));
        let own = metrics["train"].as_object().expect("the training rows");
        assert!(own.len() >= 4);
        for (name, value) in own {
            match value.as_f64() {
                Some(value) => {
                    let other = told[name].as_f64().unwrap_or(f64::NAN);
                    assert!((other - value).abs() <= 1e-6 * value.abs().max(1e-3), "{run} {name}: {other}, {value}");
                }
                None => assert_eq!(&told[name], value, "{run} {name}"),
            }
        }
        for (name, value) in metrics["baseline"].as_object().expect("a baseline") {
            let (a, b) = (told["baseline"][name].as_f64(), value.as_f64());
            assert!(
                a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= 1e-9 * b.abs().max(1.0)),
                "{run} {name}: {a:?}, {b:?}"
            );
        }
    }
    let said = place.good("eval runs/line line.csv");
    assert!(
        said.out.starts_with("60 rows: R² ") && said.out.contains("(always answering the mean: RMSE "),
        "{}",
        said.out
    );
    assert_eq!(said.out.lines().count(), 2);
    let said = fed(&place, "eval runs/clouds -", "x,y,kind\n-2,0,left\n");
    assert!(said.code == 0 && said.out.starts_with("1 row: accuracy "), "{} {}", said.out, said.err);
}

#[test]
fn predictions_of_images_and_their_tables_agree() {
    let place = Place::new("predict_images");
    place.good("train digits --epochs 2 --set data.split=[1,0,0] --out run");
    let said = place.good("predict run digits");
    let rows = rows(&said);
    assert_eq!((rows.len(), rows[0].len()), (1798, 11));
    let told: Value = serde_json::from_str(&place.good("eval run digits --json").out).expect("JSON");
    assert!(told["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.8), "{told}");
    // The first digit as a row of its pixels, as the data set has them.
    let zero = "0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0,0,5,8,0,0,9,8,0,0,4,11,0,1,12,7,0,0,\
                2,14,5,10,12,0,0,0,0,6,13,10,0,0,0";
    let names: Vec<String> = (0..64).map(|pixel| format!("pixel_{pixel}")).collect();
    place.write("zero.csv", format!("{}\n{zero}\n", names.join(",")));
    assert_eq!(place.good("predict run zero.csv").out.lines().nth(1), said.out.lines().nth(1));
    place.write("table.csv", line(10));
    refused(&place, "predict run table.csv", 3, "table.csv: holds a table, the model was trained on images of 8×8; ");
}

#[test]
fn an_export_says_what_goes_in_and_out_and_is_the_same_twice() {
    let place = place("export");
    let said = place.good("export runs/clouds --onnx model.onnx");
    let expected =
        "in:  x float [N, 1], y float [N, 1]\nout: label string [N], probabilities float [N, 2]\nmodel: model.onnx\n";
    assert_eq!((said.out.as_str(), said.err.as_str()), (expected, ""));
    place.good("export runs/clouds/model.safetensors --onnx again.onnx");
    assert!(place.read("model.onnx") == place.read("again.onnx"), "no time and no path is in it");
    let said = place.good("export runs/line --onnx line.onnx --json");
    let told: Value = serde_json::from_str(&said.out).expect("one line of JSON");
    assert_eq!(told["outputs"], serde_json::json!(["prediction float [N, 1]"]));
    refused(&place, "export runs/clouds --onnx no/such.onnx", 6, "no/such.onnx: cannot be written: ");
    // A year's seconds as 32-bit floats: the last digits are gone, and the user is told.
    let seconds = |i: usize| 1_700_000_000 + i * 3600;
    let rows: String = (0..60).map(|i| format!("{},{}\n", seconds(i), i % 13)).collect();
    place.write("times.csv", format!("time,y\n{rows}"));
    place.good("train times.csv --task regression --epochs 1 --out runs/times");
    let said = place.good("export runs/times --onnx times.onnx");
    assert!(said.err.contains("the column \"time\" lies at 1.7") && said.err.contains("32-bit floats"), "{}", said.err);
}

#[test]
fn a_run_that_is_none_is_refused_with_what_may_be_meant() {
    let place = place("no_run");
    refused(&place, "predict runs/cloud clouds.csv", 6, "runs/cloud: there is no such run; did you mean runs/clouds?");
    refused(&place, "eval elsewhere clouds.csv", 6, "elsewhere: there is no such run; give a run's folder");
    refused(
        &place,
        "predict runs clouds.csv",
        6,
        "runs: there is no model.safetensors in this folder; did you mean runs/line?",
    );
    refused(&place, "predict clouds.csv clouds.csv", 6, "clouds.csv: is not a safetensors file, or not a whole one: ");
    let model = place.read("runs/clouds/model.safetensors");
    place.write("cut.safetensors", &model[..model.len() - 9]);
    refused(
        &place,
        "export cut.safetensors --onnx a.onnx",
        6,
        "cut.safetensors: is not a safetensors file, or not a whole one",
    );
    assert!(!place.path("a.onnx").exists());
}
