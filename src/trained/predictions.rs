//! What a network's outputs mean: values in the target's own unit, or classes with their probabilities; and both as
//! text. Knows no device.

use std::io::Write;

use serde_json::{Map, Value};

use crate::config::Task;
use crate::data::Preprocessing;

/// An answer for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// `prediction`, or one `prediction_<name>` a target, or `prediction` and one `probability_<class>` a class.
    pub columns: Vec<String>,
    /// Row by row: the targets' values in their own unit, or the probability of each class.
    pub values: Vec<f64>,
    /// The class of each row, a number of `classes`; empty for regression.
    pub labels: Vec<usize>,
    /// In class order; empty for regression.
    pub classes: Vec<String>,
    /// The classes are words rather than integers.
    words: bool,
    /// How far apart values are that differ: the targets' deviations, 1 for probabilities.
    scales: Vec<f64>,
}

impl Predictions {
    /// From outputs `[rows, outputs]`. `probabilities`: those of classes need not be made such.
    pub(super) fn new(preprocessing: &Preprocessing, outputs: &[f32], probabilities: bool) -> Self {
        let (targets, classes) = (&preprocessing.targets, &preprocessing.classes);
        let mut predictions = Predictions {
            columns: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
            classes: classes.clone(),
            words: targets.first().is_some_and(|target| target.words),
            scales: vec![1.0; classes.len()],
        };
        if preprocessing.task == Task::Regression {
            predictions.columns = match &targets[..] {
                [_] => vec!["prediction".into()],
                several => several.iter().map(|target| format!("prediction_{}", target.name)).collect(),
            };
            predictions.scales = targets.iter().map(|target| target.deviation).collect();
            let unscaled = |(i, &output): (usize, &f32)| preprocessing.unscale_target(i % targets.len(), output.into());
            predictions.values = outputs.iter().enumerate().map(unscaled).collect();
            return predictions;
        }
        let named = classes.iter().map(|class| format!("probability_{class}"));
        predictions.columns = std::iter::once("prediction".to_owned()).chain(named).collect();
        let width = if preprocessing.task == Task::Binary { 1 } else { classes.len() };
        for row in outputs.chunks_exact(width) {
            predictions.labels.push(label(row));
            predictions.values.extend(shares(row, probabilities));
        }
        predictions
    }

    /// How many rows were answered.
    pub fn rows(&self) -> usize {
        if self.labels.is_empty() { self.values.len() / self.scales.len().max(1) } else { self.labels.len() }
    }

    /// Rows with an answer that is no finite number: their inputs are beyond what 32-bit floats can hold on the way.
    pub fn overflown(&self) -> usize {
        let rows = self.values.chunks_exact(self.scales.len().max(1));
        rows.filter(|row| row.iter().any(|value| !value.is_finite())).count()
    }

    /// A header and a line for each row.
    pub fn write_csv(&self, into: impl Write) -> std::io::Result<()> {
        let mut writer = csv::Writer::from_writer(into);
        writer.write_record(&self.columns)?;
        for row in 0..self.rows() {
            if let Some(&label) = self.labels.get(row) {
                writer.write_field(&self.classes[label])?;
            }
            self.row(row).try_for_each(|value| writer.write_field(text(value)))?;
            writer.write_record(None::<&[u8]>)?;
        }
        writer.flush()
    }

    /// A JSON object for each row; an answer that is no finite number is null.
    pub fn write_json(&self, mut into: impl Write) -> std::io::Result<()> {
        for row in 0..self.rows() {
            let mut columns = self.columns.iter().cloned();
            let mut object = Map::new();
            if let (Some(&label), Some(name)) = (self.labels.get(row), columns.next()) {
                let class = &self.classes[label];
                let integer = class.parse::<i64>().ok().filter(|_| !self.words);
                object.insert(name, integer.map_or_else(|| Value::from(class.as_str()), Value::from));
            }
            object.extend(columns.zip(self.row(row).map(Value::from)));
            writeln!(into, "{}", Value::Object(object))?;
        }
        into.flush()
    }

    /// A row's values without digits that mean nothing: as 32-bit floats, where that loses next to nothing.
    fn row(&self, row: usize) -> impl Iterator<Item = f64> {
        let width = self.scales.len();
        self.values[row * width..(row + 1) * width].iter().zip(&self.scales).map(|(&value, scale)| {
            let short = value as f32;
            let exact = short.to_string().parse().unwrap_or(value);
            if (exact - value).abs() <= 1e-6 * scale { exact } else { value }
        })
    }
}

/// The class that a row's outputs name: the first of the largest, or the second class from one half on.
fn label(outputs: &[f32]) -> usize {
    match outputs {
        [second] => usize::from(*second >= 0.5),
        several => (1..several.len()).fold(0, |best, j| if several[j] > several[best] { j } else { best }),
    }
}

/// A probability for each class. Outputs that were trained on other losses than the entropies may leave [0, 1] and need
/// not sum to 1: they are held there and divided by their sum.
fn shares(outputs: &[f32], probabilities: bool) -> Vec<f64> {
    let held = |output: f32| if probabilities { f64::from(output) } else { f64::from(output).clamp(0.0, 1.0) };
    if let [second] = outputs {
        return vec![1.0 - held(*second), held(*second)];
    }
    let held: Vec<f64> = outputs.iter().map(|&output| held(output)).collect();
    let sum: f64 = held.iter().sum();
    match (probabilities, sum == 0.0) {
        (true, _) => held,
        (false, true) => vec![1.0 / held.len() as f64; held.len()],
        (false, false) => held.iter().map(|share| share / sum).collect(),
    }
}

/// A number as short as it can be read back.
fn text(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-5..1e15).contains(&value.abs());
    if plain { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_are_no_probabilities_are_held_to_a_sum_of_one() {
        assert_eq!(shares(&[0.5, 1.5, -1.0, 0.5], false), [0.25, 0.5, 0.0, 0.25]);
        assert_eq!(shares(&[-1.0, -2.0], false), [0.5, 0.5]);
        assert_eq!(shares(&[1.25], false), [0.0, 1.0]);
        assert_eq!(shares(&[0.25], true), [0.75, 0.25]);
    }

    #[test]
    fn the_class_is_the_first_of_the_largest_or_the_second_from_one_half_on() {
        assert_eq!([label(&[0.5]), label(&[0.499]), label(&[1.0, 3.0, 3.0])], [1, 0, 1]);
    }

    #[test]
    fn numbers_are_short_but_lose_nothing_that_matters() {
        let mut one = Predictions {
            columns: vec!["prediction".into()],
            values: vec![f64::from(0.1_f32), 1_600_000_000.25, f64::NAN, 1.5e-9],
            labels: Vec::new(),
            classes: Vec::new(),
            words: false,
            scales: vec![1.0],
        };
        let csv = |predictions: &Predictions| {
            let mut text = Vec::new();
            predictions.write_csv(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(csv(&one), "prediction\n0.1\n1600000000.25\nNaN\n1.5e-9\n");
        assert_eq!(one.overflown(), 1);
        one.scales = vec![1e12];
        assert_eq!(csv(&one), "prediction\n0.1\n1600000000\nNaN\n1.5e-9\n", "a unit is nothing there");
    }
}
