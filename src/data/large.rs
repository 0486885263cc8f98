//! A table of numbers that is too large for memory: fitted row by row in a few passes over its file, to the bits of what
//! `prepare` makes of the same table in memory. Targets and row numbers are in memory all the same.

use super::frame::{self, Frame};
use super::npz::Arrays;
use super::prepare::{self, Head, Ready, Wanted};
use super::preprocessing::{self, Coding, ColumnCoding, Inputs, Repairs};
use super::stored::{self, Number};
use super::table::{Tabular, Values};
use super::{Dataset, Features, Stored, select, target};
use crate::config::Missing;
use crate::error::{Error, Result};

/// What passes over the file find out about one column.
#[derive(Debug, Clone, Default)]
struct Survey {
    missing: usize,
    first_missing: Option<usize>,
    /// Of all rows.
    range: Range,
    /// Of the training rows, as everything that follows.
    train_range: Range,
    first: Option<f64>,
    count: usize,
    is_constant: bool,
    mean: f64,
    /// In units of the largest deviation.
    squares: f64,
}

/// Least and greatest value.
#[derive(Debug, Clone, Copy)]
struct Range(f64, f64);

impl Default for Range {
    fn default() -> Self {
        Range(f64::INFINITY, f64::NEG_INFINITY)
    }
}

impl Range {
    fn add(&mut self, value: f64) {
        *self = Range(self.0.min(value), self.1.max(value));
    }
}

impl Survey {
    /// The largest distance from the mean: rounding keeps the order, so it is that of the least or greatest value.
    fn largest(&self) -> f64 {
        (self.train_range.0 - self.mean).abs().max((self.train_range.1 - self.mean).abs())
    }

    /// As `preprocessing::fit` for numbers of `rows` training rows.
    fn coding(&self, rows: usize, standardize: bool) -> Coding {
        if self.count == 0 || self.is_constant {
            let only = Values::Number(vec![self.first.unwrap_or(f64::NAN)]);
            return preprocessing::fit_useless(&only, &[0], standardize);
        }
        let deviation = self.largest() * (self.squares / rows as f64).sqrt();
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        let (mean, deviation) = if standardize { (self.mean, deviation) } else { (0.0, 1.0) };
        Coding::Number { mean, deviation, fill: self.mean }
    }
}

/// Calls `f` with the number of each row of the data set and its chosen columns.
fn scan(
    arrays: &Arrays,
    columns: &[usize],
    kept: Option<&[u32]>,
    f: &mut dyn FnMut(usize, &[f64]) -> Result<()>,
) -> Result<()> {
    let mut values = vec![0.0; columns.len()];
    let (mut in_file, mut row, mut result) = (0, 0, Ok(()));
    arrays.x.each_row(&mut |bytes| {
        let is_kept = kept.is_none_or(|kept| kept.get(row).is_some_and(|&kept| kept as usize == in_file));
        in_file += 1;
        if is_kept && result.is_ok() {
            arrays.x.kind.read(bytes, columns, &mut values);
            result = f(row, &values);
            row += 1;
        }
    })?;
    result
}

/// As [`scan`], of the training rows, which ascend.
fn scan_train(
    arrays: &Arrays,
    columns: &[usize],
    kept: Option<&[u32]>,
    train: &[u32],
    f: &mut dyn FnMut(&mut [Survey], &[f64]),
    surveys: &mut [Survey],
) -> Result<()> {
    let mut next = 0;
    scan(arrays, columns, kept, &mut |row, values| {
        if train.get(next).is_some_and(|&train| train as usize == row) {
            next += 1;
            f(surveys, values);
        }
        Ok(())
    })
}

/// As `prepare`'s `from_table`, for arrays whose rows stay in their file.
pub(super) fn from_arrays(arrays: &Arrays, head: Head, wanted: Wanted<'_>) -> Result<Dataset> {
    let options = wanted.options;
    let (Some(part), Ok(_)) = (arrays.x.part(), u32::try_from(arrays.rows())) else {
        return Err(prepare::too_many_rows(arrays.rows(), arrays.file()));
    };
    let mut notes = arrays.notes();
    let mut selection = select::select(arrays, options, &mut notes)?;
    if let Some(&other) = selection.features.iter().find(|&&column| column >= arrays.x.columns()) {
        let error =
            Error::data(format!("\"{}\" is no column of x, which is read from its file", arrays.names()[other]));
        return Err(error.at(arrays.file()).remedy("save it as a column of x, or list it in `ignore`"));
    }
    let targets = selection.targets.iter().map(|&column| arrays.infer(column, true, &mut notes));
    let targets = targets.collect::<Result<Vec<_>>>()?;
    let mut surveys = look(arrays, &mut selection, &mut notes)?;
    let mut frame = Frame { table: arrays, features: Vec::new(), targets, selection, kept: None };
    settle_missing(arrays, &mut frame, &mut surveys, options.missing, &mut notes)?;
    let place = |row: usize, number: usize| frame.place_of_target(row, number);
    let decision = target::decide(&frame.targets, options.task, arrays.file(), &place, &mut notes)?;
    let rows = frame.rows();
    let split = prepare::split_rows(rows, &frame.targets, &decision, None, wanted, &place, &mut notes)?;
    let columns = &frame.selection.features;
    fit(arrays, columns, frame.kept.as_deref(), &split.train, &mut surveys)?;
    let (mut codings, mut features) = (Vec::new(), Vec::new());
    for (survey, &column) in surveys.iter().zip(columns) {
        let coding = survey.coding(split.train.len(), options.standardize);
        let Coding::Number { mean, deviation, fill } = coding else {
            return Err(Error::internal("a column of numbers was coded as words"));
        };
        features.push(Number { column, mean, deviation, fill });
        let coding = ColumnCoding { name: arrays.names()[column].clone(), coding };
        let repairs = Repairs { missing: survey.missing, ..Repairs::default() };
        prepare::note_repair(&coding, &repairs, rows, &mut notes);
        codings.push(coding);
    }
    check_range(arrays, &frame, &features, &surveys)?;
    let content = stored::Content::Numbers { kind: arrays.x.kind, stride: arrays.x.columns(), features };
    let features = Features::Stored(Stored::new(vec![part.clone()], frame.kept.clone(), content));
    let ready = Ready { head, features, inputs: Inputs::Columns(codings), rows, split, decision, notes };
    prepare::finish(ready, &frame.targets, options, &place)
}

/// The first pass: missing values and ranges. Leaves out columns that are empty, unless the user listed them.
fn look(arrays: &Arrays, selection: &mut select::Selection, notes: &mut Vec<String>) -> Result<Vec<Survey>> {
    let columns = &selection.features;
    let mut surveys = vec![Survey::default(); columns.len()];
    scan(arrays, columns, None, &mut |row, values| {
        for ((survey, &value), &column) in surveys.iter_mut().zip(values).zip(columns) {
            if value.is_nan() {
                survey.missing += 1;
                survey.first_missing.get_or_insert(row);
            } else if value.is_infinite() {
                return Err(arrays.infinite(row, column, value));
            } else {
                survey.range.add(value);
            }
        }
        Ok(())
    })?;
    for (survey, &column) in surveys.iter().zip(columns) {
        arrays.note_rounding(column, survey.range.0.abs().max(survey.range.1.abs()), notes);
    }
    let is_left_out = |survey: &Survey| survey.missing == arrays.rows() && !selection.listed;
    for (_, &column) in surveys.iter().zip(columns).filter(|(survey, _)| is_left_out(survey)) {
        notes.push(frame::left_out(&arrays.names()[column], "is empty"));
    }
    let used = surveys.iter().zip(columns).filter(|(survey, _)| !is_left_out(survey)).map(|(_, &column)| column);
    selection.features = used.collect();
    surveys.retain(|survey| survey.missing < arrays.rows() || selection.listed);
    if surveys.is_empty() {
        return Err(frame::nothing_left(arrays.file()));
    }
    Ok(surveys)
}

/// As `frame::settle_missing`, which sees the targets only.
fn settle_missing(
    arrays: &Arrays,
    frame: &mut Frame<'_>,
    surveys: &mut [Survey],
    missing: Missing,
    notes: &mut Vec<String>,
) -> Result<()> {
    let has_gaps = surveys.iter().any(|survey| survey.missing > 0);
    if missing != Missing::Drop || !has_gaps {
        frame::settle_missing(frame, missing, notes)?;
    }
    if !has_gaps || missing == Missing::Impute {
        return Ok(());
    }
    if missing == Missing::Error {
        let gap = |(survey, &column): (&Survey, &usize)| survey.first_missing.map(|row| (row, column));
        let Some((row, column)) = surveys.iter().zip(&frame.selection.features).find_map(gap) else { return Ok(()) };
        return Err(frame::missing_value(&arrays.names()[column], arrays.place(row, column)));
    }
    let mut kept = Vec::new();
    let columns = frame.selection.features.clone();
    for survey in surveys.iter_mut() {
        survey.range = Range::default();
    }
    scan(arrays, &columns, None, &mut |row, values| {
        let is_whole = |values: &[f64]| !values.iter().any(|value| value.is_nan());
        if is_whole(values) && !frame.targets.iter().any(|target| target.values.is_missing(row)) {
            kept.push(row as u32);
            surveys.iter_mut().zip(values).for_each(|(survey, &value)| survey.range.add(value));
        }
        Ok(())
    })?;
    let emptiest =
        surveys.iter().zip(&columns).max_by_key(|(survey, _)| survey.missing).map_or(0, |(_, &column)| column);
    let (emptiest, rows) = (&arrays.names()[emptiest], arrays.rows());
    surveys.iter_mut().for_each(|survey| survey.missing = 0);
    frame::keep(frame, kept, rows, emptiest, notes)
}

/// The passes over the training rows: counts and means, then deviations.
fn fit(arrays: &Arrays, columns: &[usize], kept: Option<&[u32]>, train: &[u32], surveys: &mut [Survey]) -> Result<()> {
    let present = |surveys: &mut [Survey], values: &[f64], f: &dyn Fn(&mut Survey, f64)| {
        let both = surveys.iter_mut().zip(values).filter(|(_, value)| !value.is_nan());
        both.for_each(|(survey, &value)| f(survey, value));
    };
    let mut count = |surveys: &mut [Survey], values: &[f64]| {
        present(surveys, values, &|survey, value| {
            survey.count += 1;
            let first = *survey.first.get_or_insert(value);
            survey.is_constant = value == first && (survey.count == 1 || survey.is_constant);
            survey.train_range.add(value);
        });
    };
    scan_train(arrays, columns, kept, train, &mut count, surveys)?;
    // Shares are summed instead of values, so that the sum of large numbers stays finite.
    let mut mean = |surveys: &mut [Survey], values: &[f64]| {
        present(surveys, values, &|survey, value| survey.mean += value / survey.count as f64);
    };
    surveys.iter_mut().for_each(|survey| survey.mean = NO_VALUES);
    scan_train(arrays, columns, kept, train, &mut mean, surveys)?;
    let mut squares = |surveys: &mut [Survey], values: &[f64]| {
        present(surveys, values, &|survey, value| survey.squares += ((value - survey.mean) / survey.largest()).powi(2));
    };
    surveys.iter_mut().for_each(|survey| survey.squares = NO_VALUES);
    scan_train(arrays, columns, kept, train, &mut squares, surveys)
}

/// What the standard library's sums of floats begin with.
const NO_VALUES: f64 = -0.0;

/// Refuses numbers that scaling does not bring into the range of 32-bit floats. Scaling keeps their order, so the least
/// and the greatest tell.
fn check_range(arrays: &Arrays, frame: &Frame<'_>, features: &[Number], surveys: &[Survey]) -> Result<()> {
    let is_finite = |number: &Number, value: f64| (((value - number.mean) / number.deviation) as f32).is_finite();
    for (number, survey) in features.iter().zip(surveys) {
        let Range(least, greatest) = survey.range;
        if survey.range.0 > survey.range.1 || (is_finite(number, least) && is_finite(number, greatest)) {
            continue;
        }
        scan(arrays, &[number.column], frame.kept.as_deref(), &mut |row, values| {
            if values[0].is_nan() || is_finite(number, values[0]) {
                return Ok(());
            }
            let name = &arrays.names()[number.column];
            Err(preprocessing::too_large(name, values[0]).at(frame.place(row, number.column)))
        })?;
    }
    Ok(())
}
