//! TOML text as plain values, with the place of every key. Knows nothing of which keys a run file has.

use std::collections::BTreeMap;

use toml::de::{DeInteger, DeTable, DeValue};
use toml::{Table, Value};

use super::check::Complaint;
use super::key::Key;

/// What can be wrong with a text.
pub(super) enum Fault {
    /// It is no TOML, from this byte on.
    Syntax(Option<usize>, String),
    /// It is TOML, but a value cannot be represented.
    Value(Complaint),
}

/// The byte at which each key stands; an element of a list has no key and stands where its value begins.
pub(super) type Places = BTreeMap<Key, usize>;

/// Reads a whole run file. The places of the keys read so far are there even when it fails.
pub(super) fn parse(text: &str, places: &mut Places) -> Result<Table, Fault> {
    let tree = DeTable::parse(text).map_err(|error| syntax(&error))?;
    table(tree.get_ref(), &Key::default(), places).map_err(Fault::Value)
}

/// Reads a single value; `key` is the one it is meant for.
pub(super) fn parse_value(text: &str, key: &Key) -> Result<Value, Fault> {
    let tree = DeValue::parse(text).map_err(|error| syntax(&error))?;
    value(tree.get_ref(), key, &mut Places::new()).map_err(Fault::Value)
}

fn syntax(error: &toml::de::Error) -> Fault {
    // One semicolon parts a problem from its remedy.
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ").replace("; ", ", ");
    Fault::Syntax(error.span().map(|span| span.start), message)
}

fn table(tree: &DeTable<'_>, here: &Key, places: &mut Places) -> Result<Table, Complaint> {
    let mut table = Table::new();
    for (name, child) in tree {
        let key = here.key(name.get_ref());
        places.insert(key.clone(), name.span().start);
        table.insert(name.get_ref().to_string(), value(child.get_ref(), &key, places)?);
    }
    Ok(table)
}

fn value(tree: &DeValue<'_>, here: &Key, places: &mut Places) -> Result<Value, Complaint> {
    Ok(match tree {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::Integer(integer(number, here)?),
        // Beyond the range of f64 this is infinite, which no key accepts.
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(date) => Value::Datetime(*date),
        DeValue::Table(tree) => Value::Table(table(tree, here, places)?),
        DeValue::Array(list) => {
            let mut values = Vec::with_capacity(list.len());
            for (i, element) in list.iter().enumerate() {
                let key = here.index(i);
                places.insert(key.clone(), element.span().start);
                values.push(value(element.get_ref(), &key, places)?);
            }
            Value::Array(values)
        }
    })
}

fn integer(number: &DeInteger<'_>, here: &Key) -> Result<i64, Complaint> {
    i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| Complaint {
        key: here.clone(),
        problem: format!("{here} is {number}, which is no 64-bit integer"),
        remedy: Some(format!("the largest is {}", i64::MAX)),
    })
}

/// The 1-based line and column (in characters) of a byte of `text`.
pub(super) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let mut end = byte.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
