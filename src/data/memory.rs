//! Rows that are in memory already, seen as a table of columns or as images, so that all that is done to a file is done
//! to them. Knows no format.

use std::collections::{BTreeSet, HashSet};

use ndarray::{Array2, ArrayBase, ArrayView1, ArrayView2, ArrayView3, Axis, Data, Ix1, Ix2};

use super::images::Images;
use super::table::{Column, EXACT_INTEGERS, Tabular, Values, other_kind, target_names};
use crate::config::Task;
use crate::error::{Error, Result};

/// The right answers of rows in memory, as a copy. Whatever turns into it can be given in its place: see its `From`s.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Numbers to predict, `[rows, targets]`. From arrays, slices and vectors of `f32`.
    Numbers(Array2<f32>),
    /// One class a row, as an integer; which integers is free. From slices and vectors of integers and `bool`s.
    Classes(Vec<i64>),
    /// One class a row, as a word. From slices and vectors of `&str` and `String`.
    Labels(Vec<String>),
}

impl<S: Data<Elem = f32>> From<&ArrayBase<S, Ix2>> for Targets {
    fn from(values: &ArrayBase<S, Ix2>) -> Self {
        Targets::Numbers(values.to_owned())
    }
}

impl<S: Data<Elem = f32>> From<&ArrayBase<S, Ix1>> for Targets {
    fn from(values: &ArrayBase<S, Ix1>) -> Self {
        Targets::Numbers(values.to_owned().insert_axis(Axis(1)))
    }
}

impl From<ArrayView2<'_, f32>> for Targets {
    fn from(values: ArrayView2<'_, f32>) -> Self {
        (&values).into()
    }
}

impl From<ArrayView1<'_, f32>> for Targets {
    fn from(values: ArrayView1<'_, f32>) -> Self {
        (&values).into()
    }
}

macro_rules! from_slices {
    ($($element:ty => |$values:ident| $targets:expr),* $(,)?) => {
        $(impl From<&[$element]> for Targets {
            fn from($values: &[$element]) -> Self {
                $targets
            }
        }
        impl From<&Vec<$element>> for Targets {
            fn from(values: &Vec<$element>) -> Self {
                values.as_slice().into()
            }
        }
        impl<const N: usize> From<&[$element; N]> for Targets {
            fn from(values: &[$element; N]) -> Self {
                values.as_slice().into()
            }
        })*
    };
}

from_slices! {
    f32 => |values| ArrayView1::from(values).into(),
    bool => |values| Targets::Classes(values.iter().map(|&value| i64::from(value)).collect()),
    u8 => |values| Targets::Classes(values.iter().map(|&value| i64::from(value)).collect()),
    u32 => |values| Targets::Classes(values.iter().map(|&value| i64::from(value)).collect()),
    i32 => |values| Targets::Classes(values.iter().map(|&value| i64::from(value)).collect()),
    i64 => |values| Targets::Classes(values.to_vec()),
    usize => |values| Targets::Classes(values.iter().map(|&value| i64::try_from(value).unwrap_or(i64::MAX)).collect()),
    &str => |values| Targets::Labels(values.iter().map(|word| (*word).to_owned()).collect()),
    String => |values| Targets::Labels(values.to_vec()),
}

impl Targets {
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

    /// One for each column.
    pub(super) fn names(&self) -> Vec<String> {
        target_names(self.columns())
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
            Targets::Labels(words) => Values::text(words.iter().map(|word| Some(word.as_str()))),
        }
    }
}

/// `x` and, where it is there, `y`: one name for each of their columns.
pub(super) struct Arrays<'a> {
    pub names: Vec<String>,
    pub x: ArrayView2<'a, f32>,
    pub y: Option<Targets>,
}

/// Where faults of no single number are.
const PLACE: &str = "arrays";

impl<'a> Arrays<'a> {
    /// # Errors
    /// Arrays without rows or columns, or of different lengths, another number of names, or one name for two columns.
    pub fn new(names: Vec<String>, x: ArrayView2<'a, f32>, y: Option<Targets>) -> Result<Self> {
        if x.is_empty() {
            return Err(Error::data(format!("x is empty, its shape is {:?}", x.shape())).at(PLACE));
        }
        check_rows(x.nrows(), y.as_ref())?;
        let columns = x.ncols() + y.as_ref().map_or(0, Targets::columns);
        if names.len() != columns {
            return Err(Error::data(format!("{} names for {columns} columns", names.len())).at(PLACE));
        }
        let mut taken = HashSet::new();
        if let Some(name) = names.iter().find(|name| !taken.insert(name.as_str())) {
            return Err(Error::data(format!("two columns are named \"{name}\""))
                .at(PLACE)
                .remedy("give each feature another name with `columns`; the targets are y, or y_0, y_1, …"));
        }
        Ok(Arrays { names, x, y })
    }
}

fn check_rows(rows: usize, y: Option<&Targets>) -> Result<()> {
    let Some(y) = y else { return Ok(()) };
    if y.rows() != rows || y.columns() == 0 {
        let problem = format!("y is {} rows of {}, x has {rows} rows", y.rows(), y.columns());
        return Err(Error::data(problem).at(PLACE).remedy("give both the same rows"));
    }
    let Targets::Classes(classes) = y else { return Ok(()) };
    match classes.iter().position(|class| class.unsigned_abs() > EXACT_INTEGERS) {
        Some(row) => Err(Error::data(format!("class {} is beyond 2^53, where integers are rounded", classes[row]))
            .at(format!("y[{row}]"))
            .remedy("number the classes otherwise, or give them as words")),
        None => Ok(()),
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
    Ok(Images {
        place: PLACE.into(),
        values,
        stored: Vec::new(),
        height,
        width,
        brightest: u8::MAX,
        targets,
        test_from: None,
    })
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
            return Err(other_kind(&self.names[column], "words", "numbers", PLACE));
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
            _ => Err(other_kind(&self.names[column], "numbers", "words", PLACE)),
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
