//! From a training's outcome to report.html.

use serde_json::Value;

use super::project::Project;
use super::session::{Outcome, Stop};
use crate::report::{self, Report};
use crate::train::End;
use crate::train::diagnosis::Advice;
use crate::verify;

/// The page about a run that was looked at closely enough for one: not of one that was interrupted.
pub(super) fn html(
    project: &Project,
    outcome: &Outcome,
    verification: Option<&verify::Report>,
    environment: &Value,
) -> Option<String> {
    let (data, config) = (&project.data, project.config());
    let evidence = outcome.evidence.as_ref()?;
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    let pairs = environment.as_object().into_iter().flatten();
    let environment: Vec<(String, String)> = pairs
        .map(|(name, value)| (name.replace('_', " "), text(value)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let advice: Vec<String> = outcome.advice.iter().map(Advice::to_string).collect();
    Some(report::html(&Report {
        name: &data.name,
        task: data.task,
        targets: &data.target_names,
        classes: &data.classes,
        rows: [data.split.train.len(), data.split.validation.len(), data.split.test.len()],
        features: data.feature_columns(),
        notes: &data.notes,
        model: &project.model(),
        history: &outcome.epochs,
        best_epoch: outcome.best_epoch,
        end: if let Stop::Ended(end) = outcome.stop { end } else { End::Interrupted },
        sets: &outcome.sets,
        advice: &advice,
        evidence,
        verification,
        config: &config.to_toml(),
        environment: &environment,
    }))
}
