//! `[search]`: which keys of a run file `wgrad search` varies, and within which ranges. Knows neither how values are
//! drawn nor how trials are compared.

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use super::check::{Complaint, check, found};
use super::key::{Key, Step};
use super::load::set;
use super::schema::number;
use crate::error::{Error, Result};

/// The values that a searched key may take. Bounds are in ascending order and belong to the range.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// `{ log = [1e-4, 1e-1] }`: evenly on a logarithmic scale; both bounds are above 0.
    Log([f64; 2]),
    /// `{ uniform = [0.0, 0.5] }`
    Uniform([f64; 2]),
    /// `{ int = [16, 256] }`: whole numbers.
    Int([i64; 2]),
    /// `{ choice = ["relu", "tanh"] }`: at least one value of whatever kind the key takes.
    Choice(Vec<Value>),
}

/// What a range looks like, in words that go after "must be".
const FORMS: &str = "{ log = [a, b] }, { uniform = [a, b] }, { int = [a, b] } or { choice = [a, b, c] }";

impl Config {
    /// The searched keys, such as `optimizer.learning_rate`, with their ranges, in the order of the run file; none
    /// where there is no `[search]`.
    ///
    /// # Errors
    /// [`Error::Data`] for what [`super::load`] would have refused.
    pub fn search_ranges(&self) -> Result<Vec<(String, Range)>> {
        let range = |(name, value): (&String, &Value)| {
            let read = range(value, &Key::default().key("search").key(name));
            read.map(|range| (name.clone(), range)).map_err(|complaint| Error::data(complaint.problem))
        };
        self.search.iter().map(range).collect()
    }

    /// This configuration with other values at some keys and without its `[search]`: a trial.
    ///
    /// # Errors
    /// [`Error::Data`] if the values do not go together.
    pub fn with_values(&self, values: &[(String, Value)]) -> Result<Config> {
        let plain = Config { search: Table::new(), ..self.clone() };
        let mut table = Table::try_from(&plain).map_err(|error| Error::internal(error.to_string()))?;
        let refuse = |complaint: Complaint| Error::data(complaint.problem).at(complaint.key);
        for (name, value) in values {
            let key = Key::parse(name).ok_or_else(|| Error::internal(format!("{name} is no key")))?;
            table = set(table, &key, value.clone()).map_err(refuse)?;
        }
        check(&table).map_err(refuse)?;
        let mut config = Config::deserialize(table).map_err(|error| Error::internal(error.message().to_owned()))?;
        // Written out and read back it would be a path again, but perhaps not the same bytes.
        config.init_weights.clone_from(&self.init_weights);
        Ok(config)
    }
}

/// The first mistake in `[search]` of a run file that is good otherwise.
pub(super) fn check_search(run_file: &Table) -> Result<(), Complaint> {
    let Some(search) = run_file.get("search").and_then(Value::as_table) else { return Ok(()) };
    let mut rest = run_file.clone();
    rest.remove("search");
    let mut earlier: Vec<Key> = Vec::new();
    for (name, value) in search {
        let here = Key::default().key("search").key(name);
        let range = range(value, &here)?;
        let key = searchable(name, &here, run_file)?;
        if let Some(other) = earlier.iter().find(|other| other.overlaps(&key)) {
            let problem = format!("{key} and {other} cannot both be searched: one lies within the other");
            return Err(Complaint::new(&here, problem, "remove one of them"));
        }
        for (place, value) in samples(&range, &here) {
            let fits = set(rest.clone(), &key, value).and_then(|table| check(&table));
            fits.map_err(|complaint| Complaint { key: place, ..complaint })?;
        }
        earlier.push(key);
    }
    Ok(())
}

/// Reads one range.
fn range(value: &Value, here: &Key) -> Result<Range, Complaint> {
    let refuse = |remedy: String| Complaint::new(here, format!("{here} must be {FORMS}, not {}", found(value)), remedy);
    let example = "for example \"optimizer.learning_rate\" = { log = [1e-4, 1e-1] }";
    let Some(table) = value.as_table() else { return Err(refuse(example.into())) };
    let mut entries = table.iter();
    let (Some((kind, bounds)), None) = (entries.next(), entries.next()) else { return Err(refuse(example.into())) };
    let place = here.key(kind);
    match kind.as_str() {
        "log" => numbers(bounds, &place, |low| low > 0.0, " above 0").map(Range::Log),
        "uniform" => numbers(bounds, &place, |_| true, "").map(Range::Uniform),
        "int" => integers(bounds, &place).map(Range::Int),
        "choice" => match bounds.as_array() {
            Some(list) if !list.is_empty() => Ok(Range::Choice(list.clone())),
            _ => {
                let problem = format!("{place} must be a list of at least one value, not {}", found(bounds));
                Err(Complaint::new(&place, problem, "write for example choice = [32, 64, 128]"))
            }
        },
        // A dot outside quotes makes a table of its own.
        _ if bounds.is_table() => {
            let Some(Step::Key(section)) = here.0.last() else { return Err(refuse(example.into())) };
            Err(refuse(format!("write the whole key in quotes: \"{section}.{kind}\"")))
        }
        _ => Err(refuse(example.into())),
    }
}

fn numbers(value: &Value, here: &Key, test: fn(f64) -> bool, words: &str) -> Result<[f64; 2], Complaint> {
    let bounds: Option<Vec<f64>> = value.as_array().and_then(|list| list.iter().map(number).collect());
    match bounds.as_deref() {
        Some(&[low, high]) if low.is_finite() && high.is_finite() && test(low) && low < high => Ok([low, high]),
        _ => Err(bad_bounds(value, here, &format!("numbers{words}"))),
    }
}

fn integers(value: &Value, here: &Key) -> Result<[i64; 2], Complaint> {
    let bounds: Option<Vec<i64>> = value.as_array().and_then(|list| list.iter().map(Value::as_integer).collect());
    match bounds.as_deref() {
        Some(&[low, high]) if low < high => Ok([low, high]),
        _ => Err(bad_bounds(value, here, "whole numbers")),
    }
}

fn bad_bounds(value: &Value, here: &Key, what: &str) -> Complaint {
    let problem = format!("{here} must be two {what}, the smaller one first, not {}", found(value));
    Complaint::new(here, problem, "write [smallest, largest]")
}

/// The key that a name in `[search]` stands for, if it is one that trials may differ in.
fn searchable(name: &str, here: &Key, run_file: &Table) -> Result<Key, Complaint> {
    let example = "name one such as \"optimizer.learning_rate\" or \"model.layers[0].units\"";
    let key =
        Key::parse(name).ok_or_else(|| Complaint::new(here, format!("{name:?} is no key of a run file"), example))?;
    let (section, field) = match &key.0[..] {
        [Step::Key(section), Step::Key(field), ..] => (section.as_str(), field.as_str()),
        _ => return Err(Complaint::new(here, format!("{key} is no single key that could be searched"), example)),
    };
    let refuse = |why: &str| Err(Complaint::new(here, format!("{key} cannot be searched: {why}"), "remove it"));
    match (section, field) {
        ("data" | "early_stopping" | "search", _) => refuse("trials are compared on the same data by the same measure"),
        ("train", "epochs") => refuse("the rungs of the search decide how many epochs a trial gets"),
        ("loss", _) => {
            let metric = run_file.get("early_stopping").and_then(|section| section.get("metric"));
            let metric = metric.and_then(Value::as_str).unwrap_or("validation_loss");
            if metric.ends_with("_loss") {
                let problem = format!("{key} cannot be searched by {metric}, which it changes the meaning of");
                let remedy = "set early_stopping.metric to another, such as \"validation_rmse\" or \"validation_f1\"";
                return Err(Complaint::new(here, problem, remedy));
            }
            Ok(key)
        }
        _ => Ok(key),
    }
}

/// Values that stand for all of a range, each with its place.
fn samples(range: &Range, here: &Key) -> Vec<(Key, Value)> {
    let list = |name: &str, values: Vec<Value>| {
        let place = here.key(name);
        values.into_iter().enumerate().map(|(i, value)| (place.index(i), value)).collect()
    };
    match range {
        Range::Log(bounds) => list("log", bounds.map(Value::Float).into()),
        Range::Uniform(bounds) => list("uniform", bounds.map(Value::Float).into()),
        Range::Int(bounds) => list("int", bounds.map(Value::Integer).into()),
        Range::Choice(values) => list("choice", values.clone()),
    }
}
