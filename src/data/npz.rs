//! A NumPy archive with the arrays `x` and `y`. Bytes in `x` are images, other numbers a table of unnamed columns.

use std::path::Path;

use super::images::{self, Images};
use super::npy::Array;
use super::source::{self, Content, File};
use super::table::{Column, EXACT_INTEGERS, Tabular, Values, other_kind, target_names};
use super::zip;
use crate::error::{Error, Result};

/// `x` and, where it is there, `y`, seen as a table of columns `x_0`, `x_1`, …, `y`.
pub(super) struct Arrays {
    file: String,
    names: Vec<String>,
    pub x: Array,
    y: Option<Array>,
}

pub(super) fn read(file: File) -> Result<Content> {
    let File { place, bytes } = file;
    let members = zip::members(&bytes, &place)?;
    let array = |name: &str| -> Result<Option<Array>> {
        let Some(member) = members.iter().find(|member| member.name.strip_suffix(".npy") == Some(name)) else {
            return Ok(None);
        };
        let unpacked = zip::unpack(&bytes, member, &place)?;
        Array::parse(&unpacked, &format!("{place}: {name}")).map(Some)
    };
    let Some(x) = array("x")? else {
        let found: Vec<&str> = members.iter().take(20).map(|m| m.name.trim_end_matches(".npy")).collect();
        return Err(Error::data("has no array `x`").at(&place).remedy(format!(
            "write it with numpy.savez(file, x=…, y=…), it holds {}",
            if found.is_empty() { "nothing".into() } else { found.join(", ") }
        )));
    };
    let y = array("y")?;
    check_shapes(&x, y.as_ref(), &place)?;
    Arrays { names: names(&x, y.as_ref()), file: place, x, y }.into_content()
}

/// An archive whose `x` has `from` bytes or more, which stay in the file, or in a temporary one where they are packed.
/// None for any other archive, a damaged one included: [`read`] says what is wrong with it.
pub(super) fn open(path: &Path, place: &str, from: u64) -> Result<Option<Content>> {
    let Some(mut archive) = zip::Archive::open(path, place) else { return Ok(None) };
    let (Some(x), y) = (archive.find("x"), archive.find("y")) else { return Ok(None) };
    if x.size < from {
        return Ok(None);
    }
    let y_bytes = y.map(|y| archive.unpack(&y, place)).transpose()?;
    let y = y_bytes.map(|bytes| Array::parse(&bytes, &format!("{place}: y"))).transpose()?;
    let size = x.size;
    let Some((file, start)) = archive.into_member(&x, place)? else { return Ok(None) };
    let Some(x) = Array::stored(file, &format!("{place}: x"), start, size)? else { return Ok(None) };
    check_shapes(&x, y.as_ref(), place)?;
    Arrays { names: names(&x, y.as_ref()), file: place.into(), x, y }.into_content().map(Some)
}

fn check_shapes(x: &Array, y: Option<&Array>, place: &str) -> Result<()> {
    let failed = |name: &str, problem: String, remedy: &str| {
        Err(Error::data(problem).at(format!("{place}: {name}")).remedy(remedy))
    };
    if !(1..=4).contains(&x.shape.len()) {
        let problem = format!("has {} dimensions", x.shape.len());
        return failed("x", problem, "reshape it to (rows, columns), or for images to (rows, height, width)");
    }
    if x.rows() == 0 || x.columns() == 0 {
        return failed("x", format!("is empty, its shape is {:?}", x.shape), "save at least one row");
    }
    if x.is_bytes() && x.columns() > source::MOST_PIXELS {
        return Err(images::too_large(x.columns(), &format!("{place}: x")));
    }
    let of_x = if x.is_bytes() { 0 } else { x.columns() };
    let columns = y.map_or(0, Array::columns).saturating_add(of_x);
    if columns > source::MOST_COLUMNS {
        let problem = format!("there are {columns} columns, {} are the most", source::MOST_COLUMNS);
        return failed("x", problem, "save fewer columns (rows come first in an array's shape)");
    }
    let Some(y) = y else { return Ok(()) };
    if !(1..=2).contains(&y.shape.len()) || y.columns() == 0 {
        return failed("y", format!("has the shape {:?}", y.shape), "reshape it to (rows,) or (rows, targets)");
    }
    if y.rows() != x.rows() {
        return failed("y", format!("has {} rows, x has {}", y.rows(), x.rows()), "give both the same rows");
    }
    Ok(())
}

/// x_0, x_1, …, then y, or y_0, y_1, …
fn names(x: &Array, y: Option<&Array>) -> Vec<String> {
    let features = (0..x.columns()).map(|column| format!("x_{column}"));
    features.chain(y.map_or_else(Vec::new, |y| target_names(y.columns()))).collect()
}

impl Arrays {
    /// The array that a column is in, its name and the column's number there.
    fn part(&self, column: usize) -> (&Array, &'static str, usize) {
        match &self.y {
            Some(y) if column >= self.x.columns() => (y, "y", column - self.x.columns()),
            _ => (&self.x, "x", column),
        }
    }

    /// The sentence for an element that no network takes.
    pub fn infinite(&self, row: usize, column: usize, value: f64) -> Error {
        Error::data(format!("{value} is not a finite number"))
            .at(self.place(row, column))
            .remedy("write a finite number, or NaN for a missing value")
    }

    /// Tells of a column of integers whose largest, without its sign, is so large that neighbours become one.
    pub fn note_rounding(&self, column: usize, largest: f64, notes: &mut Vec<String>) {
        if !self.part(column).0.is_float() && largest >= EXACT_INTEGERS as f64 {
            let name = &self.names[column];
            notes.push(format!(
                "column \"{name}\": integers beyond 2^53 are rounded, so some become one; override by saving smaller numbers"
            ));
        }
    }

    fn into_content(self) -> Result<Content> {
        if self.x.is_bytes() { self.into_images().map(Content::Images) } else { Ok(Content::Table(Box::new(self))) }
    }

    fn into_images(self) -> Result<Images> {
        let mut notes = Vec::new();
        let targets: Vec<Column> = (self.x.columns()..self.names.len())
            .map(|column| self.infer(column, true, &mut notes))
            .collect::<Result<_>>()?;
        // Images have nobody to tell of it, and two classes that become one are no small matter.
        if !notes.is_empty() {
            return Err(Error::data("integers beyond 2^53 are rounded, so some become one")
                .at(format!("{}: y", self.file))
                .remedy("number the classes otherwise, or save smaller numbers"));
        }
        let (height, width) = match self.x.shape[..] {
            [_, height, ref others @ ..] if !others.is_empty() => (height, others.iter().product()),
            _ => (1, self.x.columns()),
        };
        Ok(Images {
            place: self.file,
            stored: self.x.part().cloned().into_iter().collect(),
            values: self.x.into_bytes(),
            height,
            width,
            brightest: u8::MAX,
            targets,
            test_from: None,
        })
    }
}

impl Tabular for Arrays {
    fn file(&self) -> &str {
        &self.file
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn rows(&self) -> usize {
        self.x.rows()
    }

    fn default_targets(&self) -> Vec<usize> {
        (self.x.columns()..self.names.len()).collect()
    }

    fn infer(&self, column: usize, _keep_words: bool, notes: &mut Vec<String>) -> Result<Column> {
        let float = self.part(column).0.is_float();
        let values = self.numbers(column)?;
        self.note_rounding(column, values.iter().fold(0.0, |largest, value| value.abs().max(largest)), notes);
        Ok(Column { name: self.names[column].clone(), values: Values::Number(values), float })
    }

    fn numbers(&self, column: usize) -> Result<Vec<f64>> {
        let (array, _, at) = self.part(column);
        let values = array.column(at)?;
        match values.iter().position(|value| value.is_infinite()) {
            Some(row) => Err(self.infinite(row, column, values[row])),
            None => Ok(values),
        }
    }

    fn words(&self, column: usize) -> Result<Values> {
        Err(other_kind(&self.names[column], "numbers", "words", &self.file))
    }

    fn place(&self, row: usize, column: usize) -> String {
        let (array, name, at) = self.part(column);
        if array.shape.len() == 1 {
            format!("{}: {name}[{row}]", self.file)
        } else {
            format!("{}: {name}[{row}, {at}]", self.file)
        }
    }

    fn drops_constants(&self) -> bool {
        false
    }

    fn stored(&self) -> Option<&Arrays> {
        self.x.part().map(|_| self)
    }

    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}
