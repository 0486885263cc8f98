//! What the report shows of a trained network beyond its metrics: answers to single rows, mistakes, what matters to it,
//! how long its steps take. Gathered from a trainer that nobody needs any more; knows no HTML.

use std::time::Duration;

use super::importance::{self, Importance};
use super::text;
use crate::bench::{self, ProfileRow};
use crate::config::{Config, Task};
use crate::data::{Coding, ColumnCoding, Dataset, Features, Inputs};
use crate::error::Result;
use crate::ops::Batch;
use crate::plan::Executor;
use crate::train::{Set, Trainer};

/// Mistakes and residuals worth a look.
const WORST: usize = 24;
/// Points of a scatter plot.
const MOST_POINTS: usize = 2000;
/// Columns of a table whose values are told with a mistake.
const TOLD_COLUMNS: usize = 4;
/// Targets of a regression that are shown one by one.
const MOST_TARGETS: usize = 6;
/// For measuring single steps.
const PROFILE: Duration = Duration::from_secs(1);

/// What was measured after training. Nothing of it changes the run's results.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The set that was looked at: test, or without that validation, or without both the training rows.
    pub set: Set,
    /// Of the set that was looked at.
    pub rows: usize,
    /// Or why there are none.
    pub answers: Result<Answers, String>,
    /// `None` for images; or why it could not be measured.
    pub importance: Option<Result<Importance, String>>,
    /// Time of each training step; or why it could not be measured.
    pub profile: Result<Vec<ProfileRow>, String>,
}

/// The network's answers to single rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Answers {
    /// Which rows were taken for another class.
    Classes {
        /// How many.
        wrong: usize,
        /// Those that gave the right class the least probability, the worst first.
        mistakes: Vec<Mistake>,
    },
    /// How far off the answers are.
    Regression {
        /// One for each target.
        targets: Vec<Residuals>,
        /// Targets beyond those shown.
        left_out: usize,
    },
}

/// A row that was put into the wrong class.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// 1 for the first row of the data.
    pub row: usize,
    /// The class that it is.
    pub actual: String,
    /// The class that it was taken for.
    pub predicted: String,
    /// What the network gave the class that it chose, and the right one.
    pub probability: f64,
    /// That the network gave the right class.
    pub actual_probability: f64,
    /// A picture as PNG, for image data.
    pub image: Option<Vec<u8>>,
    /// Names and values of the columns that matter most, for tables.
    pub columns: Vec<(String, String)>,
}

/// Predictions of one target in its own unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Residuals {
    /// Its name.
    pub target: String,
    /// (actual, predicted), a sample of the rows if there are many.
    pub points: Vec<(f64, f64)>,
    /// Predicted − actual of every row.
    pub errors: Vec<f64>,
    /// The furthest off, the worst first.
    pub worst: Vec<Miss>,
}

/// A row that was predicted badly.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// 1 for the first row of the data.
    pub row: usize,
    /// In the target's own unit.
    pub actual: f64,
    /// In the target's own unit.
    pub predicted: f64,
    /// Name and value of its raw columns.
    pub columns: Vec<(String, String)>,
}

/// Looks at the set that judges the network. It takes the trainer, because measuring single steps spoils its weights
/// and resident data; whatever fails here is told in the report and fails nothing else.
pub fn gather(mut trainer: Trainer<'_>, config: &Config, data: &Dataset) -> Evidence {
    let split = &data.split;
    let set = match (split.test.is_empty(), split.validation.is_empty()) {
        (false, _) => Set::Test,
        (true, false) => Set::Validation,
        (true, true) => Set::Train,
    };
    let outputs = trainer.outputs(set).map_err(|error| error.to_string());
    let executor = trainer.executor();
    let importance = match (&data.preprocessing.inputs, &outputs) {
        (Inputs::Columns(columns), Ok((rows, _))) => {
            Some(importance::measure(executor, columns, data, rows, config.seed).map_err(|error| error.to_string()))
        }
        (Inputs::Columns(_), Err(error)) => Some(Err(error.clone())),
        (Inputs::Image(_), _) => None,
    };
    let batch = batch(executor, config, data);
    let profile = match executor.joined_steps().is_some() {
        true => bench::profile_joined(executor, &batch),
        false => bench::profile_within(executor, &batch, PROFILE),
    };
    let profile = profile.map_err(|error| error.to_string());
    let told = told_columns(data, importance.as_ref());
    let rows = outputs.as_ref().map_or(0, |(rows, _)| rows.len());
    let answers = outputs.map(|(rows, outputs)| match data.task {
        Task::Regression => residuals(data, &rows, &outputs, &told),
        Task::Binary | Task::Classification => mistakes(data, &rows, &outputs, &told),
    });
    Evidence { set, rows, answers, importance, profile }
}

/// A full training batch at the start of the row order.
fn batch(executor: &dyn Executor, config: &Config, data: &Dataset) -> Batch {
    let count = executor.plan().batch_size.min(data.split.train.len());
    Batch {
        first: 0,
        count: count as u32,
        slot: 0,
        scale: 1.0 / count as f32,
        learning_rate: config.optimizer.learning_rate as f32,
        correction1: 1.0,
        correction2: 1.0,
        counter: 0,
        group: 0,
    }
}

/// A raw column and where its encoded ones begin.
struct Told<'a> {
    column: &'a ColumnCoding,
    first: usize,
}

impl Told<'_> {
    /// The value as it was in the data, as far as the network can know it, of an encoded row.
    fn value(&self, row: &[f32]) -> String {
        let cell = |offset: usize| row[self.first + offset];
        match &self.column.coding {
            Coding::Number { mean, deviation, .. } => {
                let value = f64::from(cell(0)) * deviation + mean;
                // What f32 leaves of a zero.
                text::cell(if value.abs() < 1e-6 * (mean.abs() + deviation) { 0.0 } else { value })
            }
            Coding::Text { categories, .. } => {
                let hit = (0..categories.len()).find(|&i| cell(i) != 0.0);
                hit.map_or_else(|| "(another)".to_owned(), |i| categories[i].clone())
            }
        }
    }
}

/// The columns that matter most, or the first ones where that is not known.
fn told_columns<'a>(data: &'a Dataset, importance: Option<&Result<Importance, String>>) -> Vec<Told<'a>> {
    let Inputs::Columns(columns) = &data.preprocessing.inputs else { return Vec::new() };
    let mut first = 0;
    let mut all = Vec::with_capacity(columns.len());
    for column in columns {
        all.push(Told { column, first });
        first += column.coding.width();
    }
    if let Some(Ok(importance)) = importance {
        let rank = |told: &Told<'_>| importance.columns.iter().position(|own| own.name == told.column.name);
        all.sort_by_key(|told| rank(told).unwrap_or(usize::MAX));
    }
    all.truncate(TOLD_COLUMNS);
    all
}

fn told_values(data: &Dataset, row: u32, told: &[Told<'_>]) -> Vec<(String, String)> {
    let mut values = Vec::new();
    if !told.is_empty() {
        data.features.extend_row(row as usize, &mut values);
    }
    told.iter().map(|told| (told.column.name.clone(), told.value(&values))).collect()
}

fn mistakes(data: &Dataset, rows: &[u32], outputs: &[f32], told: &[Told<'_>]) -> Answers {
    let width = data.outputs();
    // (place, actual, predicted, its probability, that of the actual class)
    let mut wrong: Vec<(usize, usize, usize, f64, f64)> = Vec::new();
    for (place, (&row, outputs)) in rows.iter().zip(outputs.chunks_exact(width)).enumerate() {
        let actual = data.targets[row as usize] as usize;
        let probability = |class: usize| match data.task {
            Task::Binary if class == 0 => 1.0 - f64::from(outputs[0]),
            Task::Binary => f64::from(outputs[0]),
            _ => f64::from(outputs[class]),
        };
        let predicted = match data.task {
            Task::Binary => usize::from(outputs[0] >= 0.5),
            _ => (1..width).fold(0, |best, class| if outputs[class] > outputs[best] { class } else { best }),
        };
        if predicted != actual {
            wrong.push((place, actual, predicted, probability(predicted), probability(actual)));
        }
    }
    let count = wrong.len();
    wrong.sort_by(|a, b| a.4.total_cmp(&b.4));
    wrong.truncate(WORST);
    let brightest = match &data.features {
        Features::U8 { values, .. } => values.iter().copied().max().unwrap_or(255).max(1),
        // Pictures of rows that lie in a file are not shown.
        Features::F32 { .. } | Features::Stored(_) => 255,
    };
    let tell = |&(place, actual, predicted, probability, actual_probability): &(usize, usize, usize, f64, f64)| {
        let row = rows[place];
        Mistake {
            row: row as usize + 1,
            actual: data.classes[actual].clone(),
            predicted: data.classes[predicted].clone(),
            probability,
            actual_probability,
            image: super::picture::of_row(&data.features, row as usize, brightest),
            columns: told_values(data, row, told),
        }
    };
    Answers::Classes { wrong: count, mistakes: wrong.iter().map(tell).collect() }
}

fn residuals(data: &Dataset, rows: &[u32], outputs: &[f32], told: &[Told<'_>]) -> Answers {
    let width = data.target_columns();
    let one = |column: usize| {
        let unscale = |value: f32| data.preprocessing.unscale_target(column, f64::from(value));
        let pairs: Vec<(f64, f64)> = rows
            .iter()
            .enumerate()
            .map(|(i, &row)| {
                (unscale(data.targets[row as usize * width + column]), unscale(outputs[i * width + column]))
            })
            .collect();
        let errors: Vec<f64> = pairs.iter().map(|(actual, predicted)| predicted - actual).collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| errors[b].abs().total_cmp(&errors[a].abs()));
        order.truncate(WORST / 2);
        let miss = |&i: &usize| Miss {
            row: rows[i] as usize + 1,
            actual: pairs[i].0,
            predicted: pairs[i].1,
            columns: told_values(data, rows[i], told),
        };
        let worst = order.iter().map(miss).collect();
        let points = importance::sample(pairs.len(), MOST_POINTS).map(|i| pairs[i]).collect();
        Residuals { target: data.target_names[column].clone(), points, errors, worst }
    };
    let shown = width.min(MOST_TARGETS);
    Answers::Regression { targets: (0..shown).map(one).collect(), left_out: width - shown }
}
