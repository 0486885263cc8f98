//! Columns of numbers or words, and what every tabular format offers. Knows no format.

use super::npz::Arrays;
use crate::error::{Error, Result};

/// Beyond this, integers that differ by one become the same 64-bit float.
pub(super) const EXACT_INTEGERS: u64 = 1 << 53;

/// The code of a missing word.
pub(super) const MISSING: u32 = u32::MAX;

/// One column's cells, all rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    /// NaN is a missing number.
    Number(Vec<f64>),
    /// `codes` point into `words`; [`MISSING`] is a missing word.
    Text { codes: Vec<u32>, words: Vec<String> },
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub name: String,
    pub values: Values,
    /// Stored as a floating-point type, so never taken for classes unasked.
    pub float: bool,
}

/// A file of named columns, read on demand: a column that nobody asks for may hold anything.
pub(super) trait Tabular {
    /// The file, as the user named it.
    fn file(&self) -> &str;
    fn names(&self) -> &[String];
    fn rows(&self) -> usize;
    /// The target columns when the user names none.
    fn default_targets(&self) -> Vec<usize>;
    /// Decides between numbers and words by looking at the cells. `keep_words`: true/false stay words.
    fn infer(&self, column: usize, keep_words: bool, notes: &mut Vec<String>) -> Result<Column>;
    /// Reads the column as numbers; any other cell is an error.
    fn numbers(&self, column: usize) -> Result<Vec<f64>>;
    /// Reads the column as words.
    fn words(&self, column: usize) -> Result<Values>;
    /// Where a cell is, for a person: `file:line:column` or `file: x[row, column]`.
    fn place(&self, row: usize, column: usize) -> String;
    /// Whether columns without differences may be left out: named columns yes, an array keeps its shape.
    fn drops_constants(&self) -> bool;
    /// The arrays of a table whose rows stay in their file: they are read row by row, not column by column.
    fn stored(&self) -> Option<&Arrays> {
        None
    }
    /// What the reader found out about the file.
    fn notes(&self) -> Vec<String>;
}

/// The names of target columns that have none: y, or y_0, y_1, …
pub(super) fn target_names(columns: usize) -> Vec<String> {
    match columns {
        1 => vec!["y".into()],
        columns => (0..columns).map(|column| format!("y_{column}")).collect(),
    }
}

/// The sentence for a column of an array that is of the other kind than in training.
pub(super) fn other_kind(name: &str, kind: &str, wanted: &str, place: &str) -> Error {
    Error::data(format!("column \"{name}\" holds {kind}, the model was trained on {wanted}"))
        .at(place)
        .remedy("give data of the same kind as in training")
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Values::Number(values) => values.len(),
            Values::Text { codes, .. } => codes.len(),
        }
    }

    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Values::Number(values) => values[row].is_nan(),
            Values::Text { codes, .. } => codes[row] == MISSING,
        }
    }

    pub fn missing(&self) -> usize {
        (0..self.len()).filter(|&row| self.is_missing(row)).count()
    }

    /// Keeps the rows named, in that order.
    pub fn keep(&mut self, rows: &[u32]) {
        match self {
            Values::Number(values) => *values = rows.iter().map(|&row| values[row as usize]).collect(),
            Values::Text { codes, .. } => *codes = rows.iter().map(|&row| codes[row as usize]).collect(),
        }
    }

    /// Builds a text column from optional words, numbering the words as they come.
    pub fn text<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut known = std::collections::HashMap::new();
        let mut words = Vec::new();
        let codes = cells
            .map(|cell| {
                let Some(word) = cell else { return MISSING };
                *known.entry(word).or_insert_with(|| {
                    words.push(word.to_string());
                    (words.len() - 1) as u32
                })
            })
            .collect();
        Values::Text { codes, words }
    }
}
