//! `wgrad eval`.

use serde_json::{Map, Value, json};

use super::finished::{Finished, RunAndData};
use super::flags::Shared;
use super::print::Printer;
use super::train::verdict;
use crate::error::{Error, Result};
use crate::plan::grouped;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad eval runs/first test.csv
  wgrad eval runs/first test.csv --json
  wgrad eval runs/first t10k/ --device gpu";

pub(super) fn run(arguments: &RunAndData, shared: &Shared, printer: &Printer) -> Result<()> {
    let mut finished = Finished::open(arguments, shared, true)?;
    let (evaluation, baseline) = finished.model.evaluate(finished.executor.as_mut(), &finished.data)?;
    finished.data.notes.iter().for_each(|note| printer.caution(note));
    if !evaluation.loss.is_finite() {
        return Err(Error::diverged("the loss is not a finite number")
            .at(&arguments.data)
            .remedy("look for values far outside those of the training rows"));
    }
    let mut entry = Map::from_iter([("loss".to_owned(), json!(evaluation.loss))]);
    if let Value::Object(own) = json!(evaluation.metrics) {
        entry.extend(own);
    }
    let scalars = baseline.scalars().map(|(name, value)| (name.to_owned(), json!(value)));
    entry.extend([
        ("baseline".to_owned(), Value::Object(scalars.collect())),
        ("rows".to_owned(), json!(finished.data.rows)),
        ("device".to_owned(), json!(finished.info.device)),
        ("adapter".to_owned(), json!(finished.info.adapter)),
    ]);
    printer.event(&entry);
    if !printer.json {
        let s = if finished.data.rows == 1 { "" } else { "s" };
        let name = format!("{} row{s}", grouped(finished.data.rows as u64));
        printer.result(verdict(&name, evaluation.loss, &evaluation.metrics, &baseline));
    }
    Ok(())
}
