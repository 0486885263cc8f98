//! A run that ends before its epochs do by `--max-time`: it is whole, and goes on to the model of one that was not stopped.

use libtest_mimic::{Failed, Trial};

use crate::place::Place;
use crate::{ends_with, ensure, model};

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("max_time_stops_with_a_whole_run_that_can_go_on", max_time)]
}

pub const LONG: &str = "train digits --epochs 3000 --batch-size 16 --set early_stopping.patience=0";

/// Both runs are extended to the same end, since nobody wants to wait for 3000 epochs.
pub fn ends_as_undisturbed(place: &Place, run: &str) -> Result<(), Failed> {
    let history = place.text(&format!("{run}/history.csv"));
    let epochs = history.lines().count() + 4;
    ends_with(place, 0, &format!("train --resume {run} --epochs {epochs} --quiet"))?;
    let settings = "--batch-size 16 --set early_stopping.patience=0 --quiet";
    ends_with(place, 0, &format!("train digits --epochs {epochs} {settings} --out whole"))?;
    ensure(model(place, run) == model(place, "whole"), "it ended in another model")
}

fn max_time() -> Result<(), Failed> {
    let place = Place::new("max-time");
    let said = ends_with(&place, 0, &format!("{LONG} --max-time 300ms --out run"))?;
    for words in ["stopped by --max-time", "wgrad train --resume run", "test: accuracy"] {
        ensure(said.out.contains(words), format!("`{words}` is missing: {}", said.out))?;
    }
    ensure(place.path("run/metrics.json").exists(), "a whole run has metrics")?;
    ends_as_undisturbed(&place, "run")
}
