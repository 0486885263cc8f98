//! `wgrad lr-find` and `--lr auto`.

use serde_json::Value;

use crate::{Place, clouds, line};

fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn a_range_test_shows_a_curve_and_a_suggestion_that_can_be_typed() {
    let place = Place::new("lr_find");
    place.write("line.csv", line(200));
    let said = place.good("lr-find line.csv -o curve.csv");
    assert!(said.out.contains("smoothed loss over learning rate\n") && said.out.contains(" |*"), "{}", said.out);
    let rate = said.out.lines().last().and_then(|line| line.strip_prefix("suggestion: --lr ")).expect("a suggestion");
    let number: f64 = rate.parse().expect("a number");
    assert!((1e-5..1.0).contains(&number), "{rate}");
    assert!(said.out.contains(&format!("^ {rate}\n")), "{}", said.out);
    // The curve: the same points as --json, rates from the first to the last by equal factors, losses that are finite.
    let mut reader = csv::Reader::from_path(place.path("curve.csv")).expect("it is there");
    assert_eq!(reader.headers().expect("a header"), vec!["learning_rate", "loss", "smoothed_loss"]);
    let points: Vec<Vec<f64>> = reader
        .records()
        .map(|row| row.expect("a row").iter().map(|cell| cell.parse().expect("a number")).collect())
        .collect();
    assert!(points.len() > 100 && points.iter().flatten().all(|x| x.is_finite()), "{}", points.len());
    assert_eq!(points[0][0], 1e-7);
    let factor = points[1][0] / points[0][0];
    assert!(points.windows(2).all(|pair| (pair[1][0] / pair[0][0] / factor - 1.0).abs() < 1e-9));
    let events = events(&place.good("lr-find line.csv --json").out);
    let (last, own) = events.split_last().expect("events");
    assert_eq!((&last["event"], &last["suggestion"]), (&Value::from("lr_find"), &Value::from(number)));
    assert_eq!(own.len(), points.len());
    for (event, point) in own.iter().zip(&points) {
        assert_eq!(
            [&event["learning_rate"], &event["loss"], &event["smoothed_loss"]],
            [&point[0], &point[1], &point[2]]
        );
    }
    assert_eq!(place.names(""), ["curve.csv", "line.csv"].map(str::to_owned).into(), "nothing else is left");
}

#[test]
fn the_test_ends_where_the_loss_blows_up_and_can_be_narrowed() {
    let place = Place::new("lr_find_ends");
    place.write("line.csv", line(200));
    let steps = |flags: &str| {
        let said = place.good(&format!("lr-find line.csv --json {flags}"));
        events(&said.out).iter().filter(|event| event["event"] == "point").count()
    };
    assert!(steps("--optimizer sgd") < 200, "at a rate of 10 plain descent blows up");
    assert_eq!(steps("--max-lr 1e-4 --steps 50"), 50);
}

#[test]
fn lr_auto_trains_with_the_suggestion_as_if_it_had_been_typed() {
    let place = Place::new("lr_auto");
    place.write("line.csv", line(200));
    let said = place.good("train line.csv --lr auto --epochs 3 --out auto");
    let told = said.out.lines().find_map(|line| line.strip_prefix("learning rate: ")).expect("it is said");
    let rate = told.split_whitespace().next().expect("a number");
    assert_eq!(place.config("auto")["optimizer"]["learning_rate"].as_float(), rate.parse().ok());
    let found = place.good("lr-find line.csv").out;
    assert!(found.ends_with(&format!("suggestion: --lr {rate}\n")), "{found}");
    place.good(&format!("train line.csv --lr {rate} --epochs 3 --out typed"));
    place.good("train line.csv --epochs 3 --out usual");
    let model = |run: &str| place.read(&format!("{run}/model.safetensors"));
    assert!(model("auto") == model("typed"), "the range test leaves no trace in the weights");
    assert!(model("auto") != model("usual"));
    place.good("train --config auto/config.toml --out again");
    assert!(model("again") == model("auto"));
}

#[test]
fn where_the_loss_never_falls_there_is_no_suggestion_and_auto_keeps_the_rate() {
    let place = Place::new("lr_none");
    // Zero weights give zero, which is what the standardised constant is: the loss is 0 from the start.
    let rows: String = (0..40).map(|i| format!("{i},3.5\n")).collect();
    place.write("constant.csv", format!("a,y\n{rows}"));
    let flags = "constant.csv --task regression --hidden none --set model.init=zeros";
    let said = place.good(&format!("lr-find {flags}"));
    assert!(said.out.contains("no suggestion: the loss falls at no learning rate; "), "{}", said.out);
    let said = place.good(&format!("train {flags} --lr auto --epochs 1 --out run"));
    assert!(said.err.contains("--lr auto: the loss falls at no learning rate; 0.001 stays"), "{}", said.err);
}

#[test]
fn mistakes_of_lr_find_are_answered_with_the_flag() {
    let place = Place::new("lr_mistakes");
    place.write("clouds.csv", clouds(40));
    place.good("train clouds.csv --epochs 1 --hidden 2 --out run");
    let cases = [
        ("lr-find", 2, "DATA: no data is named; "),
        ("lr-find clouds.csv --min-lr 1 --max-lr 0.1", 2, "--min-lr: 1 is not below the largest rate, 0.1; "),
        ("lr-find clouds.csv --steps 3", 2, "--steps: `3` is no value for it; give a whole number from 20 to 10000"),
        ("lr-find clouds.csv --min-lr 0", 2, "--min-lr: `0` is no value for it; give a number above 0"),
        ("lr-find clouds.csv -o none/curve.csv", 6, "none/curve.csv: cannot be written: "),
        ("train --resume run --lr auto", 2, "--lr: a run that is resumed has its learning rate; leave it out"),
        ("train clouds.csv --lr automatic", 2, "--lr: optimizer.learning_rate must be a finite number above 0, "),
        ("lr-find clouds.csv --set data.split=[2,0,0]", 2, "--set data.split: "),
    ];
    for (arguments, code, expected) in cases {
        let said = place.run(arguments);
        assert_eq!(said.code, code, "{arguments}: {}", said.err);
        assert!(said.err.contains(&format!("error: {expected}")), "{arguments}: {}", said.err);
    }
}
