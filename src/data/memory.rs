//! Rows that are in memory already, seen as a table of columns or as images, so that all that is done to a file is done
//! to them. Knows no format.

use std::collections::BTreeSet;

use ndarray::{ArrayView1, ArrayView2, ArrayView3, Axis};

use super::images::Images;
use super::table::{Column, Tabular, Values};
use crate::config::Task;
use crate::error::{Error, Result};

/// The right answers of rows in memory. Whatever turns into it can be given in its place: see its `From`s.
#[derive(Debug, Clone)]
pub enum Targets<'a> {
    /// Numbers to predict, `[rows, targets]`. From arrays, slices and vectors of `f32`.
    Numbers(ArrayView2<'a, f32>),
    /// One class a row, as an integer; which integers is free. From slices and vectors of integers and `bool`s.
    Classes(Vec<i64>),
    /// One class a row, as a word. From slices and vectors of `&str` and `String`.
    Labels(Vec<&'a str>),
}

impl<'a> From<ArrayView2<'a, f32>> for Targets<'a> {
    fn from(values: ArrayView2<'a, f32>) -> Self {
        Targets::Numbers(values)
    }
}

impl<'a> From<&'a ndarray::Array2<f32>> for Targets<'a> {
    fn from(values: &'a ndarray::Array2<f32>) -> Self {
        Targets::Numbers(values.view())
    }
}

impl<'a> From<ArrayView1<'a, f32>> for Targets<'a> {
    fn from(values: ArrayView1<'a, f32>) -> Self {
        Targets::Numbers(values.insert_axis(Axis(1)))
    }
}

impl<'a> From<&'a ndarray::Array1<f32>> for Targets<'a> {
    fn from(values: &'a ndarray::Array1<f32>) -> Self {
        values.view().into()
    }
}

impl<'a> From<&'a [f32]> for Targets<'a> {
    fn from(values: &'a [f32]) -> Self {
        ArrayView1::from(values).into()
    }
}

macro_rules! from_slices {
    ($($element:ty => $values:ident $variant:ident $each:expr),* $(,)?) => {
        $(impl<'a> From<&'a [$element]> for Targets<'a> {
            fn from($values: &'a [$element]) -> Self {
                Targets::$variant($values.iter().map($each).collect())
            }
        })*
    };
}

from_slices! {
    bool => values Classes |&value| i64::from(value),
    u8 => values Classes |&value| i64::from(value),
    u32 => values Classes |&value| i64::from(value),
    i32 => values Classes |&value| i64::from(value),
    i64 => values Classes |&value| value,
    usize => values Classes |&value| value as i64,
    &'a str => values Labels |value| *value,
    String => values Labels |value| value.as_str(),
}

macro_rules! from_vectors {
    ($($element:ty),*) => {
        $(impl<'a> From<&'a Vec<$element>> for Targets<'a> {
            fn from(values: &'a Vec<$element>) -> Self {
                values.as_slice().into()
            }
        }
        impl<'a, const N: usize> From<&'a [$element; N]> for Targets<'a> {
            fn from(values: &'a [$element; N]) -> Self {
                values.as_slice().into()
            }
        })*
    };
}

from_vectors!(f32, bool, u8, u32, i32, i64, usize, &'a str, String);

impl Targets<'_> {
    fn rows(&self) -> usize {
        match self {
            Targets::Numbers(values) => values.nrows(),
            Targets::Classes(classes) => classes.len(),
            Targets::Labels(words) => words.len(),
        }
    }

    fn columns(&self) -> usize {
        if let Targets::Numbers(values) = self { values.ncols() } else { 1 }
    }

    /// y, or y_0, y_1, …
    pub(super) fn names(&self) -> Vec<String> {
        match self.columns() {
            1 => vec!["y".into()],
            columns => (0..columns).map(|column| format!("y_{column}")).collect(),
        }
    }

    /// What they are: whoever gives classes means classes.
    pub(super) fn task(&self) -> Task {
        let classes = match self {
            Targets::Numbers(_) => return Task::Regression,
            Targets::Classes(classes) => classes.iter().collect::<BTreeSet<_>>().len(),
            Targets::Labels(words) => words.iter().collect::<BTreeSet<_>>().len(),
        };
        if classes == 2 { Task::Binary } else { Task::Classification }
    }

    fn values(&self, column: usize) -> Values {
        match self {
            Targets::Numbers(values) => Values::Number(values.column(column).iter().map(|&v| f64::from(v)).collect()),
            Targets::Classes(classes) => Values::Number(classes.iter().map(|&class| class as f64).collect()),
            Targets::Labels(words) => Values::text(words.iter().map(|word| Some(*word))),
        }
    }
}

/// `x` and, where it is there, `y`: one name for each of their columns.
pub(super) struct Arrays<'a> {
    pub names: Vec<String>,
    pub x: ArrayView2<'a, f32>,
    pub y: Option<Targets<'a>>,
}

/// Where faults of no single number are.
const PLACE: &str = "arrays";

impl<'a> Arrays<'a> {
    /// # Errors
    /// Arrays without rows or columns, or of different lengths, or another number of names.
    pub fn new(names: Vec<String>, x: ArrayView2<'a, f32>, y: Option<Targets<'a>>) -> Result<Self> {
        if x.is_empty() {
            return Err(Error::data(format!("x is empty, its shape is {:?}", x.shape())).at(PLACE));
        }
        check_rows(x.nrows(), y.as_ref())?;
        let columns = x.ncols() + y.as_ref().map_or(0, Targets::columns);
        if names.len() != columns {
            return Err(Error::data(format!("{} names for {columns} columns", names.len())).at(PLACE));
        }
        Ok(Arrays { names, x, y })
    }
}

fn check_rows(rows: usize, y: Option<&Targets>) -> Result<()> {
    match y {
        Some(y) if y.rows() != rows || y.columns() == 0 => {
            let problem = format!("y is {} rows of {}, x has {rows} rows", y.rows(), y.columns());
            Err(Error::data(problem).at(PLACE).remedy("give both the same rows"))
        }
        _ => Ok(()),
    }
}

/// Grey images `[rows, height, width]`, and their targets.
pub(super) fn images(x: ArrayView3<u8>, y: &Targets) -> Result<Images> {
    let (rows, height, width) = x.dim();
    if x.is_empty() {
        return Err(Error::data(format!("x is empty, its shape is {:?}", x.shape())).at(PLACE));
    }
    if height * width > super::source::MOST_PIXELS {
        return Err(super::images::too_large(height * width, PLACE));
    }
    check_rows(rows, Some(y))?;
    let names = y.names().into_iter().enumerate();
    let targets = names.map(|(i, name)| Column { name, values: y.values(i), float: is_float(y) }).collect();
    let values = x.iter().copied().collect();
    Ok(Images { place: PLACE.into(), values, height, width, brightest: u8::MAX, targets, test_from: None })
}

fn is_float(y: &Targets) -> bool {
    matches!(y, Targets::Numbers(_))
}

impl Tabular for Arrays<'_> {
    fn file(&self) -> &str {
        PLACE
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn rows(&self) -> usize {
        self.x.nrows()
    }

    fn default_targets(&self) -> Vec<usize> {
        (self.x.ncols()..self.names.len()).collect()
    }

    fn infer(&self, column: usize, _keep_words: bool, _notes: &mut Vec<String>) -> Result<Column> {
        let name = self.names[column].clone();
        match &self.y {
            Some(Targets::Labels(_)) if column >= self.x.ncols() => {
                Ok(Column { name, values: self.words(column)?, float: false })
            }
            y => {
                let float = column < self.x.ncols() || y.as_ref().is_none_or(is_float);
                Ok(Column { name, values: Values::Number(self.numbers(column)?), float })
            }
        }
    }

    fn numbers(&self, column: usize) -> Result<Vec<f64>> {
        let values = match &self.y {
            Some(y) if column >= self.x.ncols() => y.values(column - self.x.ncols()),
            _ => Values::Number(self.x.column(column).iter().map(|&value| f64::from(value)).collect()),
        };
        let Values::Number(values) = values else {
            return Err(Error::data(format!("\"{}\" is words, the model was trained on numbers", self.names[column]))
                .at(PLACE)
                .remedy("give data of the same kind as in training"));
        };
        match values.iter().position(|value| value.is_infinite()) {
            Some(row) => Err(Error::data(format!("{} is not a finite number", values[row]))
                .at(self.place(row, column))
                .remedy("give a finite number, or NaN for a missing value")),
            None => Ok(values),
        }
    }

    fn words(&self, column: usize) -> Result<Values> {
        match &self.y {
            Some(y @ Targets::Labels(_)) if column >= self.x.ncols() => Ok(y.values(0)),
            _ => Err(Error::data(format!("\"{}\" is numbers, the model was trained on words", self.names[column]))
                .at(PLACE)
                .remedy("give data of the same kind as in training")),
        }
    }

    fn place(&self, row: usize, column: usize) -> String {
        match column.checked_sub(self.x.ncols()) {
            None => format!("x[{row}, {column}]"),
            Some(0) if self.names.len() == self.x.ncols() + 1 => format!("y[{row}]"),
            Some(target) => format!("y[{row}, {target}]"),
        }
    }

    fn drops_constants(&self) -> bool {
        false
    }

    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
