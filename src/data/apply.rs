//! The same encoding for further data, as `predict` and `eval` need it. Knows no format.

use std::collections::HashMap;

use ndarray::ArrayView2;

use super::images::Images;
use super::memory::{Arrays, Targets};
use super::preprocessing::{self, Coding, ColumnCoding, ImageCoding, Inputs, Preprocessing};
use super::source::{self, Content};
use super::table::{Column, Tabular, Values};
use super::{Dataset, Features, Split, idx, prepare, select, target};
use crate::config::{Missing, Task};
use crate::error::{Error, Result};

/// Rows encoded like the training rows.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// How many.
    pub rows: usize,
    /// Row by row.
    pub features: Features,
    /// Coded as in [`super::Dataset`]; None when not needed and not there.
    pub targets: Option<Vec<f32>>,
    /// What was handled, one sentence each.
    pub warnings: Vec<String>,
}

impl Preprocessing {
    /// Encodes a further table, folder or array file (`-`: CSV from standard input) as the training data was.
    pub fn apply(&self, source: &str, need_targets: bool) -> Result<Encoded> {
        match (source::read(source)?.content, &self.inputs) {
            (Content::Table(table), Inputs::Columns(columns)) => self.apply_table(&*table, columns, need_targets),
            (Content::Images(images), Inputs::Image(coding)) => self.apply_images(images, coding, need_targets),
            (Content::Table(table), Inputs::Image(coding)) => self.apply_pixels(&*table, coding, need_targets),
            (Content::Images(images), Inputs::Columns(columns)) => {
                let names = columns.iter().take(5).map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
                Err(Error::data("holds images, the model was trained on a table").at(&images.place).remedy(format!(
                    "give a table with the columns {names}{}",
                    if columns.len() > 5 { ", …" } else { "" }
                )))
            }
        }
    }

    /// Encodes rows in memory as the training data was: `x` has the raw columns of training in their order, or the
    /// pixels of an image as grey levels from 0 to 255.
    ///
    /// # Errors
    /// [`Error::Data`] for another number of columns, words in training, or targets that do not fit.
    pub fn apply_arrays(&self, x: ArrayView2<f32>, y: Option<Targets>) -> Result<Encoded> {
        let mut names: Vec<String> = match &self.inputs {
            Inputs::Columns(columns) => columns.iter().map(|column| column.name.clone()).collect(),
            Inputs::Image(image) => (0..image.height * image.width).map(|pixel| format!("pixel_{pixel}")).collect(),
        };
        if x.ncols() != names.len() {
            return Err(Error::data(format!("x has {} columns, the model was trained on {}", x.ncols(), names.len()))
                .at("arrays")
                .remedy("give the columns of training in their order"));
        }
        if y.is_some() {
            names.extend(self.targets.iter().map(|target| target.name.clone()));
        }
        let needed = y.is_some();
        let arrays = Arrays::new(names, x, y)?;
        match &self.inputs {
            Inputs::Columns(columns) => self.apply_table(&arrays, columns, needed),
            Inputs::Image(coding) => self.apply_pixels(&arrays, coding, needed),
        }
    }

    /// Encoded rows as a data set that is nothing but a test set; targets that are not there are 0.
    ///
    /// # Errors
    /// [`Error::Data`] if there are more rows than a row number can count.
    pub fn dataset(&self, encoded: Encoded, name: &str) -> Result<Dataset> {
        let rows = u32::try_from(encoded.rows).map_err(|_| prepare::too_many_rows(encoded.rows, name))?;
        Ok(Dataset {
            name: name.into(),
            rows: encoded.rows,
            features: encoded.features,
            targets: encoded.targets.unwrap_or_else(|| vec![0.0; encoded.rows * self.targets.len()]),
            split: Split { test: (0..rows).collect(), ..Split::default() },
            task: self.task,
            feature_names: self.feature_names(),
            target_names: self.targets.iter().map(|target| target.name.clone()).collect(),
            classes: self.classes.clone(),
            preprocessing: self.clone(),
            notes: encoded.warnings,
            checksum: String::new(),
            source: name.into(),
        })
    }

    fn apply_table(&self, table: &dyn Tabular, codings: &[ColumnCoding], need_targets: bool) -> Result<Encoded> {
        let mut warnings = table.notes();
        let named = Named::new(table);
        named.check_columns(codings)?;
        let mut indices = Vec::with_capacity(codings.len());
        let mut columns = Vec::with_capacity(codings.len());
        for coding in codings {
            let index = named.column(&coding.name, "model")?;
            let values = match coding.coding {
                Coding::Number { .. } => Values::Number(table.numbers(index)?),
                Coding::Text { .. } => table.words(index)?,
            };
            columns.push(Column { name: coding.name.clone(), values, float: false });
            indices.push(index);
        }
        let mut targets = self.table_targets(&named, need_targets)?;
        let rows = self.settle_missing(&named, &mut columns, &indices, &mut targets, need_targets, &mut warnings)?;
        let place = |row: usize, number: usize| {
            table.place(rows.as_ref().map_or(row, |rows| rows[row] as usize), indices[number])
        };
        let count = rows.as_ref().map_or(table.rows(), Vec::len);
        let (values, repairs) = preprocessing::encode(codings, &columns, count, &place)?;
        for (coding, repair) in codings.iter().zip(&repairs) {
            warn(&mut warnings, &coding.name, repair, count, self.missing == Missing::Drop && !need_targets);
        }
        let place = |row: usize, number: usize| {
            let row = rows.as_ref().map_or(row, |rows| rows[row] as usize);
            self.place_of_target(&named, row, number)
        };
        let targets = self.encode_targets(targets, need_targets, &place)?;
        let features = Features::F32 { values, columns: self.feature_columns() };
        Ok(Encoded { rows: count, features, targets, warnings })
    }

    /// The target columns as read, None when they are not needed and not whole.
    fn table_targets(&self, named: &Named<'_>, needed: bool) -> Result<Option<Vec<Column>>> {
        let table = named.table;
        let read = |coding: &target::TargetCoding| {
            let index = named.column(&coding.name, "target")?;
            let values = if coding.words { table.words(index)? } else { Values::Number(table.numbers(index)?) };
            Ok(Column { name: coding.name.clone(), values, float: false })
        };
        let columns: Result<Vec<Column>> = self.targets.iter().map(read).collect();
        if needed { columns.map(Some) } else { Ok(columns.ok()) }
    }

    /// Refuses or drops rows where that was asked for; delivers the rows kept, None for all.
    fn settle_missing(
        &self,
        named: &Named<'_>,
        columns: &mut [Column],
        indices: &[usize],
        targets: &mut Option<Vec<Column>>,
        need_targets: bool,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Vec<u32>>> {
        let table = named.table;
        let rows = table.rows();
        let first_gap = |column: &Column| (0..rows).find(|&row| column.values.is_missing(row));
        if self.missing == Missing::Error {
            for (column, &index) in columns.iter().zip(indices) {
                if let Some(row) = first_gap(column) {
                    return Err(Error::data(format!("the value of \"{}\" is missing in this row", column.name))
                        .at(table.place(row, index))
                        .remedy("fill it in, or train with --set data.missing=impute"));
                }
            }
        }
        // Predictions keep the rows of the file, so nothing is dropped there.
        let Some(targets) = targets.as_mut().filter(|_| need_targets) else { return Ok(None) };
        if self.missing == Missing::Drop {
            let whole = |row: &u32| columns.iter().chain(targets.iter()).all(|c| !c.values.is_missing(*row as usize));
            let kept: Vec<u32> = (0..rows as u32).filter(whole).collect();
            if kept.is_empty() {
                return Err(Error::data("every row has a missing value").at(table.file()).remedy("fill some in"));
            }
            if kept.len() < rows {
                warnings.push(format!("{} of {rows} rows are dropped for missing values", rows - kept.len()));
                columns.iter_mut().chain(targets).for_each(|column| column.values.keep(&kept));
                return Ok(Some(kept));
            }
            return Ok(None);
        }
        for target in targets.iter() {
            if let Some(row) = first_gap(target) {
                let index = named.column(&target.name, "target")?;
                return Err(Error::data(format!("the target \"{}\" is missing in this row", target.name))
                    .at(table.place(row, index))
                    .remedy("fill it in, or delete the row"));
            }
        }
        Ok(None)
    }

    fn encode_targets(
        &self,
        columns: Option<Vec<Column>>,
        needed: bool,
        place: target::Place<'_>,
    ) -> Result<Option<Vec<f32>>> {
        let Some(columns) = columns else { return Ok(None) };
        let encoded = match (self.task, &columns[..]) {
            (Task::Regression, _) => preprocessing::encode_targets(&columns, &self.targets, place),
            (_, [column]) => target::encode_classes(column, &self.classes, place)
                .map(|classes| classes.into_iter().map(|class| class as f32).collect()),
            _ => Err(Error::internal("classes in several columns")),
        };
        if needed { encoded.map(Some) } else { Ok(encoded.ok()) }
    }

    fn apply_images(&self, mut images: Images, coding: &ImageCoding, need_targets: bool) -> Result<Encoded> {
        if images.pixels() != coding.height * coding.width {
            return Err(Error::data(format!(
                "the images are {}×{}, the model was trained on {}×{}",
                images.height, images.width, coding.height, coding.width
            ))
            .at(&images.place)
            .remedy("scale the images, or train a model on them"));
        }
        let mut warnings = Vec::new();
        if let Some(first) = images.test_from {
            images.values.drain(..first * images.pixels());
            let rows: Vec<u32> = (first as u32..(first + images.rows()) as u32).collect();
            images.targets.iter_mut().for_each(|column| column.values.keep(&rows));
            warnings.push("the folder has training and test images; the test images (t10k-*) are used".into());
        }
        if need_targets && images.targets.is_empty() {
            return Err(idx::no_labels(&images.place));
        }
        if images.targets.len() != self.targets.len() && need_targets {
            return Err(Error::data(format!("has {} targets, the model {}", images.targets.len(), self.targets.len()))
                .at(&images.place)
                .remedy("give data of the same kind as in training"));
        }
        if need_targets {
            images.check_labels()?;
        }
        let targets = Some(std::mem::take(&mut images.targets)).filter(|found| found.len() == self.targets.len());
        let place = |row: usize, _: usize| format!("{}: label {row}", images.place);
        let targets = self.encode_targets(targets, need_targets, &place)?;
        let rows = images.rows();
        Ok(Encoded { rows, features: pixels(images.values, coding), targets, warnings })
    }

    /// Images may also come as a table of columns `pixel_0`, `pixel_1`, …
    fn apply_pixels(&self, table: &dyn Tabular, coding: &ImageCoding, need_targets: bool) -> Result<Encoded> {
        let columns = coding.height * coding.width;
        if !table.names().iter().any(|name| name.starts_with("pixel_")) {
            return Err(Error::data(format!(
                "holds a table, the model was trained on images of {}×{}",
                coding.height, coding.width
            ))
            .at(table.file())
            .remedy(format!("give IDX files, an NPZ of bytes, or the columns pixel_0 to pixel_{}", columns - 1)));
        }
        let named = Named::new(table);
        let index = |pixel: usize| named.column(&format!("pixel_{pixel}"), "model");
        let indices: Vec<usize> = (0..columns).map(index).collect::<Result<_>>()?;
        let mut values = vec![0_u8; table.rows() * columns];
        for (pixel, &index) in indices.iter().enumerate() {
            for (row, value) in table.numbers(index)?.into_iter().enumerate() {
                if !(0.0..=255.0).contains(&value) || value.fract() != 0.0 {
                    return Err(Error::data("this cell is no grey level")
                        .at(table.place(row, index))
                        .remedy("give whole numbers from 0 to 255"));
                }
                values[row * columns + pixel] = value as u8;
            }
        }
        let mut warnings = table.notes();
        let mut targets = self.table_targets(&named, need_targets)?;
        let kept = self.settle_missing(&named, &mut [], &[], &mut targets, need_targets, &mut warnings)?;
        if let Some(kept) = &kept {
            let row = |&row: &u32| values[row as usize * columns..][..columns].iter().copied();
            values = kept.iter().flat_map(row).collect();
        }
        let place = |row: usize, number: usize| {
            let row = kept.as_ref().map_or(row, |rows| rows[row] as usize);
            self.place_of_target(&named, row, number)
        };
        let targets = self.encode_targets(targets, need_targets, &place)?;
        Ok(Encoded { rows: values.len() / columns.max(1), features: pixels(values, coding), targets, warnings })
    }

    fn place_of_target(&self, named: &Named<'_>, row: usize, number: usize) -> String {
        let at = named.places.get(self.targets[number].name.as_str());
        at.map_or_else(|| named.table.file().into(), |&at| named.table.place(row, at))
    }
}

fn pixels(values: Vec<u8>, coding: &ImageCoding) -> Features {
    let ImageCoding { height, width, scale, shift, .. } = *coding;
    Features::U8 { values, columns: height * width, scale, shift, height, width }
}

/// A table whose columns are found by name, and by name only: their places may differ from the training file's.
struct Named<'a> {
    table: &'a dyn Tabular,
    places: HashMap<&'a str, usize>,
}

impl<'a> Named<'a> {
    fn new(table: &'a dyn Tabular) -> Self {
        let places = table.names().iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        Named { table, places }
    }

    fn column(&self, name: &str, role: &str) -> Result<usize> {
        let found = self.places.get(name).copied();
        found.ok_or_else(|| select::unknown(self.table.names(), self.table.file(), name, role))
    }

    /// Refuses a table that lacks several columns by all their names: it is likely to be the wrong one.
    fn check_columns(&self, codings: &[ColumnCoding]) -> Result<()> {
        const MOST: usize = 10;
        let names = codings.iter().map(|coding| coding.name.as_str());
        let absent: Vec<&str> = names.filter(|name| !self.places.contains_key(name)).collect();
        // A single one is told with the column that may be meant.
        if absent.len() < 2 {
            return Ok(());
        }
        let more = absent.len().saturating_sub(MOST);
        let names = absent.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (count, of) = (absent.len(), codings.len());
        Err(Error::data(format!("{count} of the model's {of} columns are not there: {names}{more}"))
            .at(self.table.file())
            .remedy(select::remedy(self.table.names())))
    }
}

/// `dropped`: training left such rows out, but each row of further data gets its prediction.
fn warn(warnings: &mut Vec<String>, name: &str, repair: &preprocessing::Repairs, rows: usize, dropped: bool) {
    if repair.missing > 0 {
        let how = match dropped {
            true => "with the training rows' usual value; training dropped such rows, so doubt these predictions",
            false => "as in training",
        };
        warnings.push(format!("column \"{name}\": {} of {rows} values are missing and filled {how}", repair.missing));
    }
    if repair.unseen > 0 {
        warnings.push(format!(
            "column \"{name}\": {} of {rows} rows have words that training did not see, such as \"{}\", and count as \
             none of its categories",
            repair.unseen, repair.example
        ));
    }
}
