//! Permutation importance (Breiman 2001; Fisher, Rudin & Dominici 2019): how far the score falls when the values of one
//! column are dealt out anew among the rows, as scikit-learn's `permutation_importance` measures it.

use crate::data::{ColumnCoding, Dataset};
use crate::error::{Error, Result};
use crate::model::random::{self, Stream};
use crate::ops::{Batch, TensorId};
use crate::plan::{Executor, Phase, Values};
use crate::train::metrics::Truth;

/// As scikit-learn's default.
const REPEATS: usize = 5;
const MOST_COLUMNS: usize = 50;
const MOST_ROWS: usize = 1000;
const FEWEST_ROWS: usize = 200;
/// Multiplications and numbers moved that all repeats together may take: well below a second.
const MOST_WORK: usize = 2_000_000_000;

/// What the columns of a table are worth to a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// `accuracy` or `R²`, and what it is with all columns as they are.
    pub metric: &'static str,
    /// The metric without any column shuffled.
    pub score: f64,
    /// Rows it was measured on, out of how many.
    pub rows: usize,
    /// The rows that there are.
    pub of_rows: usize,
    /// Shuffles of each column.
    pub repeats: usize,
    /// The most important first.
    pub columns: Vec<ColumnImportance>,
    /// Columns that were not measured: those with the smallest weights in the first layer.
    pub left_out: usize,
}

/// How far the score falls without one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnImportance {
    /// The column of the data; all its one-hot columns are permuted together.
    pub name: String,
    /// Mean and deviation over the repeats.
    pub drop: f64,
    /// Of that over the repeats.
    pub deviation: f64,
}

/// `most` of `0..count`, evenly spread, or all.
pub fn sample(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |i| i * count / taken.max(1))
}

/// Permutes one column after the other of the data rows `rows`. It overwrites the executor's row order and first data
/// rows; depends on the seed and the network alone.
///
/// # Errors
/// [`Error::Device`] if the device fails.
pub fn measure(
    executor: &mut dyn Executor,
    columns: &[ColumnCoding],
    data: &Dataset,
    rows: &[u32],
    seed: u64,
) -> Result<Importance> {
    let mut spans = Vec::with_capacity(columns.len());
    let mut first = 0;
    for (number, column) in columns.iter().enumerate() {
        spans.push((number, first..first + column.coding.width()));
        first += column.coding.width();
    }
    let (taken, measured) = affordable(executor, spans.len(), first, rows.len());
    let chosen: Vec<u32> = sample(rows.len(), taken).map(|i| rows[i]).collect();
    if measured < spans.len() {
        let weights = first_layer(executor, first)?;
        let weight = |span: &(usize, std::ops::Range<usize>)| weights[span.1.clone()].iter().sum::<f64>();
        spans.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        spans.truncate(measured);
    }
    let mut bench = Bench::new(executor, data, &chosen)?;
    let (metric, score) = bench.score()?;
    let mut found = Vec::with_capacity(spans.len());
    for (number, span) in spans {
        let generator = &mut random::generator(seed, Stream::Importance(number as u32));
        let mut drops = Vec::with_capacity(REPEATS);
        for _ in 0..REPEATS {
            let mut order: Vec<usize> = (0..chosen.len()).collect();
            random::shuffle(&mut order, generator);
            bench.permute(span.clone(), &order);
            drops.push(score - bench.score()?.1);
        }
        bench.restore(span);
        let mean = drops.iter().sum::<f64>() / REPEATS as f64;
        let variance = drops.iter().map(|drop| (drop - mean).powi(2)).sum::<f64>() / REPEATS as f64;
        let name = columns[number].name.clone();
        found.push(ColumnImportance { name, drop: mean, deviation: variance.sqrt() });
    }
    found.sort_by(|a, b| b.drop.total_cmp(&a.drop));
    let left_out = columns.len() - found.len();
    let (rows, of_rows) = (chosen.len(), rows.len());
    Ok(Importance { metric, score, rows, of_rows, repeats: REPEATS, columns: found, left_out })
}

/// How many rows and columns the work allows: fewer rows before fewer columns.
fn affordable(executor: &dyn Executor, columns: usize, width: usize, rows: usize) -> (usize, usize) {
    let plan = executor.plan();
    let room = plan.features.first().map_or(0, |&(block, _)| plan.tensor(block).rows);
    let most = rows.min(MOST_ROWS).min(plan.window).min(room);
    let a_row = plan.parameter_count() + width;
    let columns = columns.min(MOST_COLUMNS);
    let evaluations = (columns * REPEATS).max(1);
    let taken = (MOST_WORK / (a_row * evaluations).max(1)).clamp(FEWEST_ROWS.min(most), most);
    let columns = (MOST_WORK / (a_row * taken * REPEATS).max(1)).clamp(1.min(columns), columns);
    (taken, columns)
}

/// Σ|w| of each encoded column in the first layer, if that is a dense one.
fn first_layer(executor: &mut dyn Executor, width: usize) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; width];
    let plan = executor.plan();
    let first = plan.find("layers.0.weight").filter(|&id| plan.tensor(id).columns == width && plan.tensor(id).rows > 1);
    if let Some(id) = first {
        let rows = plan.tensor(id).rows;
        for row in executor.read(id, 0..rows)?.chunks_exact(width) {
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += f64::from(weight.abs()));
        }
    }
    Ok(sums)
}

/// Some rows at the start of the device's data set, to be scored again and again.
struct Bench<'a> {
    executor: &'a mut dyn Executor,
    data: &'a Dataset,
    rows: &'a [u32],
    block: TensorId,
    width: usize,
    original: Vec<f32>,
    permuted: Vec<f32>,
}

impl<'a> Bench<'a> {
    fn new(executor: &'a mut dyn Executor, data: &'a Dataset, rows: &'a [u32]) -> Result<Self> {
        let (None, Some(&(block, _))) = (data.features.scaling(), executor.plan().features.first()) else {
            return Err(Error::internal("only columns of numbers can be permuted"));
        };
        let width = data.feature_columns();
        let tensor = executor.plan().order;
        let order: Vec<u32> = (0..executor.plan().tensor(tensor).elements() as u32).collect();
        executor.write(tensor, 0, Values::U32(&order))?;
        let mut original = Vec::with_capacity(rows.len() * width);
        rows.iter().for_each(|&row| data.features.extend_row(row as usize, &mut original));
        Ok(Bench { executor, data, rows, block, width, permuted: original.clone(), original })
    }

    /// Gives each row the columns `span` of another.
    fn permute(&mut self, span: std::ops::Range<usize>, order: &[usize]) {
        for (row, &from) in order.iter().enumerate() {
            let source = &self.original[from * self.width..][span.clone()];
            self.permuted[row * self.width..][span.clone()].copy_from_slice(source);
        }
    }

    fn restore(&mut self, span: std::ops::Range<usize>) {
        let order: Vec<usize> = (0..self.rows.len()).collect();
        self.permute(span, &order);
    }

    fn score(&mut self) -> Result<(&'static str, f64)> {
        self.executor.write(self.block, 0, Values::F32(&self.permuted))?;
        let (size, predictions) = (self.executor.plan().evaluation_batch_size, self.executor.plan().predictions);
        let batch = |first: usize| {
            let count = size.min(self.rows.len() - first) as u32;
            let (first, scale) = (first as u32, 1.0 / count as f32);
            Batch {
                first,
                count,
                slot: first,
                scale,
                learning_rate: 0.0,
                correction1: 1.0,
                correction2: 1.0,
                counter: 0,
                group: 0,
            }
        };
        let batches: Vec<Batch> = (0..self.rows.len()).step_by(size).map(batch).collect();
        self.executor.run(Phase::Evaluate, &batches)?;
        let outputs = self.executor.read(predictions, 0..self.rows.len())?;
        Ok(Truth { data: self.data, rows: self.rows }.metrics(&outputs).headline())
    }
}
