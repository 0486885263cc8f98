//! The columns of a table that are in use, and what happens to those that carry nothing and to missing values.
//! Knows no format.

use super::select::{self, Selection};
use super::table::{Column, Tabular, Values};
use crate::config::{self, Missing, Task};
use crate::error::{Error, Result};

/// A text column of more different words than this would only be learnt by heart: names, tickets, ids.
const MOST_CATEGORIES: usize = 100;
/// So would one of fewer, when most rows have a word of their own.
const FEW_CATEGORIES: usize = 10;

/// The columns in use, with the table's numbers of their rows and columns for messages.
pub(super) struct Frame<'a> {
    pub table: &'a dyn Tabular,
    pub features: Vec<Column>,
    pub targets: Vec<Column>,
    pub selection: Selection,
    /// None: all rows are there.
    pub kept: Option<Vec<u32>>,
}

impl Frame<'_> {
    pub fn rows(&self) -> usize {
        self.targets[0].values.len()
    }

    pub fn place(&self, row: usize, column: usize) -> String {
        self.table.place(self.kept.as_ref().map_or(row, |kept| kept[row] as usize), column)
    }

    pub fn place_of_target(&self, row: usize, number: usize) -> String {
        self.place(row, self.selection.targets[number])
    }
}

/// Reads the columns in use and leaves out those that carry nothing.
pub(super) fn read_frame<'a>(
    table: &'a dyn Tabular,
    options: &config::Data,
    notes: &mut Vec<String>,
) -> Result<Frame<'a>> {
    let mut selection = select::select(table, options, notes)?;
    let keep_words = options.task != Some(Task::Regression);
    let targets: Vec<Column> =
        selection.targets.iter().map(|&column| table.infer(column, keep_words, notes)).collect::<Result<_>>()?;
    let mut features = Vec::new();
    let mut used = Vec::new();
    for &index in &selection.features {
        let column = table.infer(index, false, notes)?;
        match unusable(&column, table.rows()) {
            Some(why) if !selection.listed => {
                notes.push(left_out(&column.name, &why));
            }
            _ => {
                features.push(column);
                used.push(index);
            }
        }
    }
    selection.features = used;
    Ok(Frame { table, features, targets, selection, kept: None })
}

/// The note on a column that is not used; `why` follows "it".
pub(super) fn left_out(name: &str, why: &str) -> String {
    format!("column \"{name}\" is left out: it {why}; override by listing it in `features`")
}

/// The sentence for a table of which every column was left out.
pub(super) fn nothing_left(file: &str) -> Error {
    Error::data("no feature column is left that could be learnt from")
        .at(file)
        .remedy("list the columns to use in `features`")
}

/// The sentence for a gap where none is allowed.
pub(super) fn missing_value(name: &str, place: String) -> Error {
    Error::data(format!("the value of \"{name}\" is missing in this row"))
        .at(place)
        .remedy("fill it in, or use --set data.missing=impute (or drop)")
}

/// Why a column should not become features, told from all its rows.
fn unusable(column: &Column, rows: usize) -> Option<String> {
    let present = rows - column.values.missing();
    if present == 0 {
        return Some("is empty".into());
    }
    match &column.values {
        Values::Text { words, .. } => {
            let different = words.len();
            let many = different > MOST_CATEGORIES || (different > FEW_CATEGORIES && different * 2 > present);
            many.then(|| format!("is text with {different} different words in {present} rows"))
        }
        Values::Number(values) => {
            let counts_rows =
                || (0..2).any(|from| values.iter().enumerate().all(|(row, &value)| value == (row + from) as f64));
            (rows > 1 && column.name.starts_with("unnamed_") && counts_rows())
                .then(|| "has no name and counts the rows".into())
        }
    }
}

/// Leaves no missing target, and no missing feature unless it will be filled.
pub(super) fn settle_missing(frame: &mut Frame<'_>, missing: Missing, notes: &mut Vec<String>) -> Result<()> {
    let rows = frame.rows();
    if missing == Missing::Drop {
        return drop_rows(frame, notes);
    }
    for (number, column) in frame.targets.iter().enumerate() {
        if column.values.missing() == rows {
            return Err(Error::data(format!("the target \"{}\" has no value in any row", column.name))
                .at(frame.table.file())
                .remedy("name another with --target NAME"));
        }
        if let Some(row) = (0..rows).find(|&row| column.values.is_missing(row)) {
            return Err(Error::data(format!("the target \"{}\" is missing in this row", column.name))
                .at(frame.place_of_target(row, number))
                .remedy("fill it in, delete the row, or drop such rows with --set data.missing=drop"));
        }
    }
    if missing == Missing::Error {
        for (number, column) in frame.features.iter().enumerate() {
            if let Some(row) = (0..rows).find(|&row| column.values.is_missing(row)) {
                return Err(missing_value(&column.name, frame.place(row, frame.selection.features[number])));
            }
        }
    }
    Ok(())
}

fn drop_rows(frame: &mut Frame<'_>, notes: &mut Vec<String>) -> Result<()> {
    let rows = frame.rows();
    let columns = || frame.features.iter().chain(&frame.targets);
    let whole = |row: &u32| columns().all(|column| !column.values.is_missing(*row as usize));
    let kept: Vec<u32> = (0..rows as u32).filter(whole).collect();
    if kept.len() == rows {
        return Ok(());
    }
    let emptiest = columns().max_by_key(|column| column.values.missing()).map_or("", |column| &column.name);
    let emptiest = emptiest.to_owned();
    keep(frame, kept, rows, &emptiest, notes)
}

/// Keeps those of `rows` rows that have every value; `emptiest` is the column that lacks the most.
pub(super) fn keep(
    frame: &mut Frame<'_>,
    kept: Vec<u32>,
    rows: usize,
    emptiest: &str,
    notes: &mut Vec<String>,
) -> Result<()> {
    let dropped = rows - kept.len();
    if kept.is_empty() {
        return Err(Error::data(format!("every row has a missing value, most of them in \"{emptiest}\""))
            .at(frame.table.file())
            .remedy(format!("use --set data.missing=impute, or list \"{emptiest}\" in `ignore`")));
    }
    notes.push(format!(
        "{dropped} of {rows} rows are dropped for missing values, most of them in \"{emptiest}\"; override with --set \
         data.missing=impute"
    ));
    frame.features.iter_mut().chain(&mut frame.targets).for_each(|column| column.values.keep(&kept));
    frame.kept = Some(kept);
    Ok(())
}
