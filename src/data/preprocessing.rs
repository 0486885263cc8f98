//! How raw columns become a network's inputs: filled, one-hot encoded, scaled. Fitted on training rows only, and
//! stored with the model, so that it holds nothing that differs between two equal runs. Knows columns, not files.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::table::{Column, MISSING, Values};
use super::target::TargetCoding;
use crate::config::{Missing, Task};
use crate::error::{Error, Result};

/// Everything that has to be done again to further data before the model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// What the targets are.
    pub task: Task,
    /// What happens to missing values in further data.
    pub missing: Missing,
    /// Of the features.
    pub inputs: Inputs,
    /// One for each target.
    pub targets: Vec<TargetCoding>,
    /// In output order; empty for regression.
    pub classes: Vec<String>,
}

/// How features are encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inputs {
    /// A table: one for each raw column.
    Columns(Vec<ColumnCoding>),
    /// Grey images.
    Image(ImageCoding),
}

/// One raw column that the model uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnCoding {
    /// Of the raw column.
    pub name: String,
    /// What becomes of it.
    pub coding: Coding,
}

/// What a raw column becomes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Coding {
    /// x = (value − mean) / deviation, a missing value being `fill`.
    Number {
        /// Of the training rows; 0 where nothing is standardised.
        mean: f64,
        /// Of the training rows; 1 where nothing is standardised.
        deviation: f64,
        /// In the column's own unit.
        fill: f64,
    },
    /// One 0/1 column for each category; all are 0 for a word that training did not see.
    Text {
        /// In the order of the encoded columns.
        categories: Vec<String>,
        /// What stands for a missing word.
        fill: String,
    },
}

/// x = value · scale + shift, the same for all pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageCoding {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
    /// In units of the pixel's byte.
    pub mean: f64,
    /// In units of the pixel's byte.
    pub deviation: f64,
    /// 1 / deviation.
    pub scale: f32,
    /// −mean / deviation.
    pub shift: f32,
}

impl Coding {
    /// How many columns this one becomes.
    pub fn width(&self) -> usize {
        match self {
            Coding::Number { .. } => 1,
            Coding::Text { categories, .. } => categories.len(),
        }
    }
}

impl Preprocessing {
    /// Back to the target's own unit.
    pub fn unscale_target(&self, column: usize, value: f64) -> f64 {
        self.targets.get(column).map_or(value, |target| value * target.deviation + target.mean)
    }

    /// How many outputs a model of such data has.
    pub fn outputs(&self) -> usize {
        self.task.outputs(self.classes.len(), self.targets.len())
    }

    /// How many columns the encoded features have.
    pub fn feature_columns(&self) -> usize {
        match &self.inputs {
            Inputs::Columns(columns) => columns.iter().map(|column| column.coding.width()).sum(),
            Inputs::Image(image) => image.height * image.width,
        }
    }

    /// One name for each encoded column.
    pub fn feature_names(&self) -> Vec<String> {
        match &self.inputs {
            Inputs::Image(image) => (0..image.height * image.width).map(|pixel| format!("pixel_{pixel}")).collect(),
            Inputs::Columns(columns) => columns
                .iter()
                .flat_map(|column| match &column.coding {
                    Coding::Number { .. } => vec![column.name.clone()],
                    Coding::Text { categories, .. } => {
                        categories.iter().map(|category| format!("{}={category}", column.name)).collect()
                    }
                })
                .collect(),
        }
    }
}

/// What fitting a column found.
pub(super) enum Fit {
    Coding(Coding),
    /// Nothing can be learnt from the column; why, in words that follow its name.
    Useless(String),
}

/// Fits one column on the training rows.
pub(super) fn fit(values: &Values, train: &[u32], standardize: bool) -> Fit {
    match values {
        Values::Number(values) => fit_numbers(values, train, standardize),
        Values::Text { codes, words } => fit_words(codes, words, train),
    }
}

/// Mean of the values that are there; deviation (÷ n) after the others were filled with it.
fn fit_numbers(values: &[f64], train: &[u32], standardize: bool) -> Fit {
    let present = || train.iter().map(|&row| values[row as usize]).filter(|value| !value.is_nan());
    let count = present().count();
    if count == 0 {
        return Fit::Useless("has no value in the training rows".into());
    }
    if let Some(value) = constant(present()) {
        return Fit::Useless(format!("is {value} in all training rows"));
    }
    let (mean, deviation) = moments(present(), count, train.len());
    let (center, scale) = if standardize { (mean, deviation) } else { (0.0, 1.0) };
    Fit::Coding(Coding::Number { mean: center, deviation: scale, fill: mean })
}

/// The value that all of them are.
fn constant(mut values: impl Iterator<Item = f64>) -> Option<f64> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Mean, and the population's deviation with 1 in place of 0; `rows` counts values that will be filled with the mean.
pub(super) fn moments(values: impl Iterator<Item = f64> + Clone, count: usize, rows: usize) -> (f64, f64) {
    // The mean of equal values may be a rounding away from them, and then so would the deviation be from 0.
    if let Some(value) = constant(values.clone()) {
        return (value, 1.0);
    }
    // Shares are summed instead of values, so that the sum of large numbers stays finite.
    let mean: f64 = values.clone().map(|value| value / count as f64).sum();
    // In units of the largest deviation, so that squares of large numbers stay finite too.
    let largest = values.clone().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    let variance: f64 = values.map(|value| ((value - mean) / largest).powi(2)).sum::<f64>() / rows as f64;
    let deviation = largest * variance.sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}

fn fit_words(codes: &[u32], words: &[String], train: &[u32]) -> Fit {
    let mut counts = vec![0_usize; words.len()];
    for &row in train {
        if let Some(count) = counts.get_mut(codes[row as usize] as usize) {
            *count += 1;
        }
    }
    let mut seen: Vec<(&String, usize)> = words.iter().zip(counts).filter(|(_, count)| *count > 0).collect();
    seen.sort();
    // The first in the alphabet among the most frequent.
    let Some((fill, _)) = seen.iter().rev().max_by_key(|(_, count)| *count) else {
        return Fit::Useless("has no value in the training rows".into());
    };
    if let [(word, _)] = seen[..] {
        return Fit::Useless(format!("is \"{word}\" in all training rows"));
    }
    Fit::Coding(Coding::Text {
        fill: fill.to_string(),
        categories: seen.iter().map(|(word, _)| word.to_string()).collect(),
    })
}

/// A coding for a column that the user insists on though nothing can be learnt from it.
pub(super) fn fit_useless(values: &Values, train: &[u32], standardize: bool) -> Coding {
    let first = |row: &&u32| !values.is_missing(**row as usize);
    let row = train.iter().find(first).map(|&row| row as usize);
    match values {
        Values::Number(values) => {
            let fill = row.map_or(0.0, |row| values[row]);
            Coding::Number { mean: if standardize { fill } else { 0.0 }, deviation: 1.0, fill }
        }
        Values::Text { codes, words } => {
            let fill = row.map_or_else(String::new, |row| words[codes[row] as usize].clone());
            Coding::Text { categories: vec![fill.clone()], fill }
        }
    }
}

/// Cells that the coding had to make up for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Repairs {
    pub missing: usize,
    pub unseen: usize,
    /// One of the unseen words.
    pub example: String,
}

/// Encodes all columns row by row. `columns` are the raw ones, in the order of the codings.
pub(super) fn encode(
    codings: &[ColumnCoding],
    columns: &[Column],
    rows: usize,
    place: &dyn Fn(usize, usize) -> String,
) -> Result<(Vec<f32>, Vec<Repairs>)> {
    let width: usize = codings.iter().map(|column| column.coding.width()).sum();
    let mut encoded = zeros(rows, width)?;
    let mut repairs = Vec::with_capacity(codings.len());
    let mut offset = 0;
    for (number, (coding, column)) in codings.iter().zip(columns).enumerate() {
        let mut repair = Repairs { missing: column.values.missing(), ..Repairs::default() };
        match (&coding.coding, &column.values) {
            (Coding::Number { mean, deviation, fill }, Values::Number(values)) => {
                for (row, &value) in values.iter().enumerate() {
                    let value = if value.is_nan() { *fill } else { value };
                    let scaled = ((value - mean) / deviation) as f32;
                    if !scaled.is_finite() {
                        return Err(too_large(&coding.name, value).at(place(row, number)));
                    }
                    encoded[row * width + offset] = scaled;
                }
            }
            (Coding::Text { categories, fill }, Values::Text { codes, words }) => {
                let index: HashMap<&str, usize> =
                    categories.iter().enumerate().map(|(at, category)| (category.as_str(), at)).collect();
                let places: Vec<Option<usize>> = words.iter().map(|word| index.get(word.as_str()).copied()).collect();
                let filled = index.get(fill.as_str()).copied();
                for (row, &code) in codes.iter().enumerate() {
                    let at = if code == MISSING { filled } else { places[code as usize] };
                    match at {
                        Some(at) => encoded[row * width + offset + at] = 1.0,
                        None if code != MISSING => {
                            repair.unseen += 1;
                            repair.example.clone_from(&words[code as usize]);
                        }
                        None => {}
                    }
                }
            }
            _ => return Err(Error::internal(format!("column \"{}\" was read as another kind", coding.name))),
        }
        repairs.push(repair);
        offset += coding.coding.width();
    }
    Ok((encoded, repairs))
}

pub(super) fn too_large(name: &str, value: f64) -> Error {
    Error::data(format!("{value} in column \"{name}\" is too large for 32-bit floats"))
        .remedy("give the column in a larger unit, or list it in `ignore`")
}

/// Room for all values, or an error where there is not enough memory for them.
fn zeros(rows: usize, columns: usize) -> Result<Vec<f32>> {
    let mut values: Vec<f32> = Vec::new();
    let size = rows.checked_mul(columns).filter(|size| values.try_reserve_exact(*size).is_ok()).ok_or_else(|| {
        Error::data(format!("{rows} rows of {columns} encoded columns do not fit into memory"))
            .remedy("list text columns of many different words in `ignore`")
    })?;
    values.resize(size, 0.0);
    Ok(values)
}

/// Fits a regression target and scales it: row-major over all targets.
pub(super) fn encode_targets(
    columns: &[Column],
    codings: &[TargetCoding],
    place: &dyn Fn(usize, usize) -> String,
) -> Result<Vec<f32>> {
    let rows = columns.first().map_or(0, |column| column.values.len());
    let mut encoded = zeros(rows, columns.len())?;
    for (number, (column, coding)) in columns.iter().zip(codings).enumerate() {
        let Values::Number(values) = &column.values else {
            return Err(Error::internal("a regression target was read as words"));
        };
        for (row, value) in values.iter().enumerate() {
            let scaled = ((value - coding.mean) / coding.deviation) as f32;
            if !scaled.is_finite() {
                return Err(too_large(&column.name, *value).at(place(row, number)));
            }
            encoded[row * columns.len() + number] = scaled;
        }
    }
    Ok(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(fit: Fit) -> (f64, f64, f64) {
        let Fit::Coding(Coding::Number { mean, deviation, fill }) = fit else { panic!("a number") };
        (mean, deviation, fill)
    }

    #[test]
    fn numbers_are_fitted_on_training_rows_only_and_by_the_populations_deviation() {
        let values = Values::Number(vec![1.0, 3.0, f64::NAN, 1e6]);
        let (mean, deviation, fill) = number(fit(&values, &[0, 1], true));
        assert_eq!((mean, deviation, fill), (2.0, 1.0, 2.0));
        // The filled value counts as a row without deviation, as after scikit-learn's SimpleImputer.
        let (mean, deviation, _) = number(fit(&values, &[0, 1, 2], true));
        assert_eq!(mean, 2.0);
        assert!((deviation - (2.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(number(fit(&values, &[0, 1], false)), (0.0, 1.0, 2.0));
    }

    #[test]
    fn words_are_fitted_on_training_rows_and_the_most_frequent_fills() {
        let cells = ["b", "a", "b", "z", "a"];
        let values = Values::text(cells.iter().map(|cell| Some(*cell)).chain([None]));
        let Fit::Coding(coding) = fit(&values, &[0, 1, 2, 4, 5], true) else { panic!("a coding") };
        assert_eq!(coding, Coding::Text { categories: vec!["a".into(), "b".into()], fill: "a".into() });
        let column = Column { name: "c".into(), values, float: false };
        let codings = [ColumnCoding { name: "c".into(), coding }];
        let (encoded, repairs) = encode(&codings, &[column], 6, &|_, _| String::new()).unwrap();
        assert_eq!(encoded, [0., 1., 1., 0., 0., 1., 0., 0., 1., 0., 1., 0.]);
        assert_eq!(repairs, [Repairs { missing: 1, unseen: 1, example: "z".into() }]);
    }

    #[test]
    fn a_column_without_differences_is_useless() {
        for values in [
            Values::Number(vec![4.0, 4.0, 9.0]),
            Values::Number(vec![f64::NAN, f64::NAN, 1.0]),
            Values::text([Some("a"), Some("a"), Some("b")].into_iter()),
            Values::text([None, None, Some("b")].into_iter()),
        ] {
            assert!(matches!(fit(&values, &[0, 1], true), Fit::Useless(_)));
        }
    }

    #[test]
    fn equal_values_have_themselves_as_mean_and_no_deviation_of_rounding() {
        let values = [0.1; 70];
        assert_eq!(moments(values.iter().copied(), 70, 70), (0.1, 1.0));
        assert_ne!(values.iter().map(|value| value / 70.0).sum::<f64>(), 0.1, "the sum is rounded");
    }

    #[test]
    fn numbers_beyond_32_bits_are_an_error_only_where_scaling_does_not_help() {
        let column = Column { name: "c".into(), values: Values::Number(vec![1e300, -1e300]), float: false };
        let encoded = |standardize| {
            let Fit::Coding(coding) = fit(&column.values, &[0, 1], standardize) else { panic!("a coding") };
            let codings = [ColumnCoding { name: "c".into(), coding }];
            encode(&codings, std::slice::from_ref(&column), 2, &|row, _| format!("a.csv:{}:1", row + 2))
        };
        assert_eq!(encoded(true).unwrap().0, [1.0, -1.0]);
        let error = encoded(false).unwrap_err().to_string();
        assert!(error.starts_with("a.csv:2:1: ") && error.contains("32-bit") && error.contains("ignore"), "{error}");
    }
}
