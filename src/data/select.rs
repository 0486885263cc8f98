//! Which columns are targets and which are features. Knows names and indices, not what the cells hold.

use super::table::Tabular;
use crate::config;
use crate::error::{Error, Result, suggestion};

/// Column numbers of the table.
pub(super) struct Selection {
    pub targets: Vec<usize>,
    pub features: Vec<usize>,
    /// The features were named by the user, so none of them is left out unasked.
    pub listed: bool,
}

pub(super) fn select(table: &dyn Tabular, options: &config::Data, notes: &mut Vec<String>) -> Result<Selection> {
    let file = table.file();
    let find = |column: &config::Column, role: &str| find(table.names(), file, column, role);
    let ignored: Vec<usize> =
        options.ignore.iter().map(|column| find(column, "column to ignore")).collect::<Result<_>>()?;
    let targets = match &options.target {
        Some(config::Target::One(column)) => vec![find(column, "target")?],
        Some(config::Target::Many(columns)) => {
            columns.iter().map(|column| find(column, "target")).collect::<Result<_>>()?
        }
        None => {
            let mut targets = table.default_targets();
            if targets.is_empty() {
                return Err(Error::data("has no array `y`, which holds the targets")
                    .at(file)
                    .remedy("write it with numpy.savez(file, x=…, y=…), or name a column of x with --target"));
            }
            targets.retain(|column| !ignored.contains(column));
            if targets.is_empty() {
                // The last column is ignored, so the last of the others is meant.
                targets.extend((0..table.names().len()).rev().find(|column| !ignored.contains(column)));
            }
            if let [target] = targets[..] {
                let name = &table.names()[target];
                notes.push(format!("target \"{name}\": the last column; override with --target NAME"));
            }
            targets
        }
    };
    check_targets(table, &targets, &ignored)?;
    let features: Vec<usize> = match &options.features {
        Some(columns) => {
            let mut features = Vec::new();
            for column in columns {
                let index = find(column, "feature")?;
                if targets.contains(&index) {
                    return Err(Error::data(format!("\"{}\" is both target and feature", table.names()[index]))
                        .at(file)
                        .remedy("take it out of `features`"));
                }
                if !features.contains(&index) && !ignored.contains(&index) {
                    features.push(index);
                }
            }
            features
        }
        None => (0..table.names().len()).filter(|index| !targets.contains(index) && !ignored.contains(index)).collect(),
    };
    if features.is_empty() {
        return Err(Error::data("no feature column is left").at(file).remedy("see `features`, `ignore` and `target`"));
    }
    Ok(Selection { targets, features, listed: options.features.is_some() })
}

fn check_targets(table: &dyn Tabular, targets: &[usize], ignored: &[usize]) -> Result<()> {
    let at = |error: Error| Err(error.at(table.file()));
    if targets.is_empty() {
        return at(Error::data("no target column is named").remedy("name one with --target NAME"));
    }
    for (place, target) in targets.iter().enumerate() {
        let name = &table.names()[*target];
        if ignored.contains(target) {
            return at(Error::data(format!("the target \"{name}\" is ignored")).remedy("take it out of `ignore`"));
        }
        if targets[..place].contains(target) {
            return at(Error::data(format!("the target \"{name}\" is named twice")).remedy("name it once"));
        }
    }
    Ok(())
}

/// A column by name or by index; a name that is a number and no column's name is an index.
fn find(names: &[String], file: &str, column: &config::Column, role: &str) -> Result<usize> {
    let index = match column {
        config::Column::Index(index) => *index,
        config::Column::Name(name) => match names.iter().position(|other| other == name) {
            Some(index) => return Ok(index),
            None => name.trim().parse().map_err(|_| unknown(names, file, name, role))?,
        },
    };
    if index < names.len() {
        return Ok(index);
    }
    Err(Error::data(format!("there is no column {index} (from 0) for the {role}: there are {}", names.len()))
        .at(file)
        .remedy(format!("choose one of {}", list(names))))
}

/// An unknown name, with the nearest one and the list.
pub(super) fn unknown(names: &[String], file: &str, name: &str, role: &str) -> Error {
    let error = Error::data(format!("there is no column \"{name}\" for the {role}")).at(file);
    match suggestion(name, names.iter().map(String::as_str)) {
        Some(near) => error.remedy(format!("did you mean \"{near}\"? The columns are {}", list(names))),
        None => error.remedy(remedy(names)),
    }
}

/// What is there instead.
pub(super) fn remedy(names: &[String]) -> String {
    format!("the columns are {}", list(names))
}

fn list(names: &[String]) -> String {
    const MOST: usize = 30;
    let mut text = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}
