//! Holds a run file's values to the schema. Serde would find most of these mistakes too, but could not say what
//! a person needs: the whole key, what it accepts, what it got and what to write. Knows neither files nor flags.

use toml::{Table, Value};

use super::Config;
use super::key::{Key, Step};
use super::schema::{Kind, LAYER_TYPES, LayerType, POSITIVE, RUN_FILE, Row, either, number, one_of, row};
use crate::error::suggestion;

/// A mistake, and the key that is to blame; whoever knows where that stands makes an error of it.
#[derive(Debug)]
pub(super) struct Complaint {
    pub key: Key,
    pub problem: String,
    pub remedy: Option<String>,
}

impl Complaint {
    pub fn new(key: &Key, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Complaint { key: key.clone(), problem: problem.into(), remedy: Some(remedy.into()) }
    }
}

/// The first mistake of a run file, in the order of its text.
pub(super) fn check(run_file: &Table) -> Result<(), Complaint> {
    section(run_file, RUN_FILE, &Key::default())?;
    super::search::check_search(run_file)
}

/// The value that a key has where nothing is said.
pub(super) fn default_of(key: &Key) -> Option<Value> {
    let mut value = Value::try_from(Config::default()).ok()?;
    for step in &key.0 {
        value = match (value, step) {
            (Value::Table(mut table), Step::Key(key)) => table.remove(key)?,
            _ => return None,
        };
    }
    Some(value)
}

fn section(table: &Table, rows: &'static [Row], here: &Key) -> Result<(), Complaint> {
    for (name, value) in table {
        let key = here.key(name);
        match row(rows, name) {
            Some(Row(_, kind)) => accept(value, kind, &key)?,
            None if here.0.is_empty() && value.is_table() => return Err(unknown_section(name, &key)),
            None => {
                let known: Vec<&str> = rows.iter().map(|row| row.0).collect();
                return Err(unknown_key(name, &known, here));
            }
        }
    }
    Ok(())
}

fn accept(value: &Value, kind: &Kind, key: &Key) -> Result<(), Complaint> {
    match (kind, value) {
        (Kind::Section(rows), Value::Table(table)) => section(table, rows, key),
        (Kind::Layers, Value::Array(list)) => layers(list, key),
        // Element by element: the mistake is then the element's, not the list's.
        (Kind::Columns, Value::Array(list)) => elements(list, &Kind::Column, key),
        (Kind::Target, Value::Array(list)) if !list.is_empty() => elements(list, &Kind::Column, key),
        (Kind::ClassWeights, Value::Array(list)) if !list.is_empty() => elements(list, &POSITIVE, key),
        _ if kind.fits(value) => Ok(()),
        _ => Err(mismatch(value, kind, key)),
    }
}

fn elements(list: &[Value], kind: &Kind, key: &Key) -> Result<(), Complaint> {
    list.iter().enumerate().try_for_each(|(i, value)| accept(value, kind, &key.index(i)))
}

fn layers(list: &[Value], key: &Key) -> Result<(), Complaint> {
    let Some(last) = list.len().checked_sub(1) else {
        return Err(Complaint::new(key, format!("{key} has no layer"), "write layers = [{ type = \"dense\" }]"));
    };
    let last_type = list[last].get("type").and_then(Value::as_str);
    if let Some(other) = LAYER_TYPES.iter().find(|kind| Some(kind.name) == last_type && kind.name != "dense") {
        let problem = format!("the last layer must be dense, not {}", other.name);
        return Err(Complaint::new(&key.index(last), problem, "add { type = \"dense\" } as the last layer"));
    }
    list.iter().enumerate().try_for_each(|(i, value)| layer(value, &key.index(i), i == last))
}

fn layer(value: &Value, here: &Key, is_last: bool) -> Result<(), Complaint> {
    let Value::Table(table) = value else { return Err(mismatch(value, &Kind::Layer, here)) };
    let kind = layer_type(table, here)?;
    for (name, value) in table.iter().filter(|(name, _)| *name != "type") {
        match row(kind.fields, name) {
            Some(Row(_, expected)) => accept(value, expected, &here.key(name))?,
            None => return Err(unknown_field(name, kind, here)),
        }
    }
    match kind.required {
        // The target says how many outputs there are.
        Some(("units", _)) if is_last => Ok(()),
        Some((field, example)) if !table.contains_key(field) => {
            let remedy = format!("add {example}, or what suits");
            Err(Complaint::new(here, format!("{here} is a {} layer without `{field}`", kind.name), remedy))
        }
        _ => Ok(()),
    }
}

fn layer_type(table: &Table, here: &Key) -> Result<&'static LayerType, Complaint> {
    let names: Vec<&str> = LAYER_TYPES.iter().map(|kind| kind.name).collect();
    let Some(value) = table.get("type") else {
        let problem = format!("{here} has no `type`");
        return Err(Complaint::new(here, problem, format!("add type = {}", one_of(&names))));
    };
    let known = value.as_str().and_then(|name| LAYER_TYPES.iter().find(|kind| kind.name == name));
    known.ok_or_else(|| {
        let problem = format!("{here} has an unknown `type`: {}", found(value));
        let nearest = suggestion(value.as_str().unwrap_or_default(), names.iter().copied());
        let remedy = nearest.map(|name| format!("did you mean \"{name}\"?"));
        Complaint::new(&here.key("type"), problem, remedy.unwrap_or(format!("the types are {}", names.join(", "))))
    })
}

fn unknown_field(name: &str, kind: &LayerType, here: &Key) -> Complaint {
    let fields: Vec<&str> = kind.fields.iter().map(|row| row.0).collect();
    let owner = LAYER_TYPES.iter().find(|other| row(other.fields, name).is_some());
    match owner {
        Some(owner) => Complaint::new(
            &here.key(name),
            format!("{here} is a {} layer, and `{name}` belongs to {}", kind.name, owner.name),
            format!("the keys of {} are type, {}", kind.name, fields.join(", ")),
        ),
        None => unknown_key(name, &[&["type"], fields.as_slice()].concat(), here),
    }
}

fn unknown_section(name: &str, key: &Key) -> Complaint {
    let sections: Vec<&str> = RUN_FILE.iter().filter(|row| !is_scalar(row)).map(|row| row.0).collect();
    let remedy = match suggestion(name, sections.iter().copied()) {
        Some(nearest) => format!("did you mean [{nearest}]?"),
        None => format!("the sections are {}", sections.join(", ")),
    };
    Complaint::new(key, format!("unknown section [{key}]"), remedy)
}

fn unknown_key(name: &str, known: &[&str], here: &Key) -> Complaint {
    let place = match here.0.len() {
        0 => "the run file".to_string(),
        1 => format!("[{here}]"),
        _ => here.to_string(),
    };
    let remedy = match (elsewhere(name), suggestion(name, known.iter().copied())) {
        (Some(elsewhere), _) => format!("it belongs {elsewhere}"),
        (None, Some(nearest)) => format!("did you mean `{nearest}`?"),
        (None, None) => format!("the keys there are {}", known.join(", ")),
    };
    Complaint::new(&here.key(name), format!("unknown key `{name}` in {place}"), remedy)
}

/// Where a key belongs that is right but in the wrong place, which sections make an easy mistake.
fn elsewhere(name: &str) -> Option<String> {
    if row(RUN_FILE, name).is_some_and(is_scalar) {
        return Some("to the top of the file, above the first [section]".into());
    }
    let sections = RUN_FILE.iter().filter_map(|Row(section, kind)| match kind {
        Kind::Section(rows) => row(rows, name).map(|_| format!("[{section}]")),
        _ => None,
    });
    let sections: Vec<String> = sections.collect();
    let layers = LAYER_TYPES.iter().any(|kind| row(kind.fields, name).is_some());
    match (sections.is_empty(), layers) {
        (false, _) => Some(format!("to {}", either(&sections))),
        (true, true) => Some("to a layer, in model.layers".into()),
        (true, false) => None,
    }
}

fn is_scalar(row: &Row) -> bool {
    !matches!(row.1, Kind::Section(_) | Kind::Free)
}

fn mismatch(value: &Value, kind: &Kind, key: &Key) -> Complaint {
    let mut problem = format!("{key} must be {}, not {}", kind.expected(), found(value));
    let shares: Option<Vec<f64>> = value.as_array().and_then(|list| list.iter().map(number).collect());
    if let (Kind::Split, Some([a, b, c])) = (kind, shares.as_deref()) {
        // Nine places are what is compared; more would show the noise of the addition.
        let sum = format!("{:.9}", a + b + c);
        problem += &format!(", whose sum is {}", sum.trim_end_matches('0').trim_end_matches('.'));
    }
    if matches!((kind, number(value)), (Kind::Number(_, test), Some(x)) if x.is_finite() && test(x)) {
        problem += ", which 32-bit floats do not hold: they are 0 or go from 1.2e-38 to 3.4e38";
    }
    Complaint { key: key.clone(), problem, remedy: remedy(value, kind, key) }
}

/// What was found, in words that go after "not".
pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".into(),
        Value::Array(list) if value.to_string().chars().count() > 40 => format!("a list of {}", list.len()),
        Value::String(text) if text.chars().count() > 40 => "a long text".into(),
        Value::String(text) => format!("the text {text:?}"),
        Value::Datetime(date) => format!("the date {date}"),
        // With a power of ten where there would be many zeros.
        Value::Float(x) if x.is_finite() => format!("{x:?}"),
        other => other.to_string(),
    }
}

/// What to write instead, as near as possible to what was meant.
fn remedy(value: &Value, kind: &Kind, key: &Key) -> Option<String> {
    let text = value.as_str().unwrap_or_default();
    let near = |names: &[&str]| suggestion(text, names.iter().copied()).map(|name| format!("did you mean \"{name}\"?"));
    let meant = match kind {
        Kind::Flag | Kind::Count(_) | Kind::Units | Kind::Number(..) => {
            let unquoted = text.parse::<Value>().ok().filter(|value| kind.fits(value));
            unquoted.map(|value| format!("write {value} without the quotes"))
        }
        Kind::OneOf(names) => near(names),
        Kind::ClassWeights => near(&["balanced"]),
        Kind::Section(rows) if value.is_str() && row(rows, "name").is_some() => {
            Some(format!("write {key}.name = {value}"))
        }
        Kind::Section(_) | Kind::Free => Some(format!("write [{key}] on a line of its own, and its keys below")),
        Kind::Layers => Some("write layers = [{ type = \"dense\" }]".into()),
        _ => None,
    };
    meant.or_else(|| default_of(key).map(|default| format!("the default is {default}"))).or_else(|| example(kind, key))
}

/// Something to write where there is no default to name.
fn example(kind: &Kind, key: &Key) -> Option<String> {
    let name = match key.0.last() {
        Some(Step::Key(name)) => name.as_str(),
        Some(Step::Index(_)) if matches!(kind, Kind::Column) => return Some("for example \"area\", or 2".into()),
        Some(Step::Index(_)) => return Some("correct it, or leave the list out for its default".into()),
        None => return None,
    };
    let required = LAYER_TYPES.iter().filter_map(|kind| kind.required).find(|(field, _)| *field == name);
    match (kind, required) {
        (_, Some((_, example))) => Some(format!("for example {example}")),
        (Kind::Column | Kind::Target, _) => Some(format!("for example {name} = \"price\"")),
        (Kind::Columns, _) => Some(format!("for example {name} = [\"area\", \"rooms\"]")),
        (Kind::Path, _) if name == "init_weights" => Some("for example init_weights = \"start.safetensors\"".into()),
        (Kind::Path, _) => Some(format!("for example {name} = \"housing.csv\"")),
        _ => Some("leave it out for its default".into()),
    }
}
