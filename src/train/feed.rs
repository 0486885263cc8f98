//! What of the data set lies on the device: all of it, or the window that the next steps read. A window holds its rows
//! in the order in which steps take them, so a batch finds its own one after the other, and the results are those of a
//! resident data set to the bit. It knows executors by their trait only.

use std::mem;
use std::ops::Range;
use std::panic;
use std::thread::{self, JoinHandle};

use super::Trainer;
use super::setup::RowWeights;
use crate::compute;
use crate::data::{Dataset, Features, Rows, Stored};
use crate::error::Result;
use crate::ops::Batch;
use crate::plan::{Executor, Phase, Plan, Values};

/// Fills windows of a data set.
#[derive(Debug, Default)]
pub struct Feed {
    /// The places of the row order whose rows are on the device, in their order; none for a resident data set.
    loaded: Range<usize>,
    /// The places whose rows are in `rows`.
    read: Range<usize>,
    rows: Rows,
    ahead: Option<Ahead>,
    targets: Vec<f32>,
}

/// Windows whose rows are read from a file at a time, at most: each time the file is gone through from front to back.
pub const WINDOWS: usize = 8;

/// Bytes of rows that are read at a time, where a window is not more.
const READ_BYTES: usize = 64 << 20;

/// Rows that are read from a file on a thread of their own, while the steps before them run. When they are not wanted
/// any more, nobody waits for them.
#[derive(Debug)]
struct Ahead {
    places: Range<usize>,
    thread: JoinHandle<Result<Rows>>,
}

impl Ahead {
    /// Starts to read the rows of places `places`; None where there is no thread to be had.
    fn start(stored: &Stored, order: &[u32], places: Range<usize>, mut room: Rows) -> Option<Self> {
        let (stored, rows) = (stored.clone(), order[places.clone()].to_vec());
        let read = move || stored.copy(&rows, &mut room).map(|()| room);
        let thread = thread::Builder::new().name("wgrad read".into()).spawn(read).ok()?;
        Some(Ahead { places, thread })
    }

    /// Waits for the rows.
    fn finish(self) -> Result<Rows> {
        self.thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

impl Feed {
    /// Writes the named rows of a data set to the device, one after the other from row 0 on. The device may still be
    /// at work with those before them: writes take their turn behind the steps that were submitted, so the host
    /// gathers one window while the device works through another.
    ///
    /// # Errors
    /// [`crate::Error::Data`] if the data set's file cannot be read, [`crate::Error::Device`] if the device fails.
    pub fn write(
        &mut self,
        executor: &mut dyn Executor,
        data: &Dataset,
        weights: &RowWeights,
        rows: &[u32],
    ) -> Result<()> {
        (self.read, self.ahead) = (0..0, None);
        data.features.copy(rows, &mut self.rows)?;
        self.send(executor, data, weights, rows, 0)
    }

    /// Reads the rows of the window at `places`. Where they come from a file, those of the windows behind it are read
    /// too, up to place `end`, and then those behind them ahead.
    fn fetch(&mut self, data: &Dataset, order: &[u32], places: &Range<usize>, end: usize) -> Result<()> {
        if self.read.start <= places.start && places.end <= self.read.end {
            return Ok(());
        }
        self.read = 0..0;
        let Features::Stored(stored) = &data.features else {
            data.features.copy(&order[places.clone()], &mut self.rows)?;
            self.read = places.clone();
            return Ok(());
        };
        let row_bytes = data.feature_columns() * if data.features.scaling().is_some() { 1 } else { 4 };
        let most = (READ_BYTES / (places.len() * row_bytes).max(1)).clamp(1, WINDOWS);
        let windows = |count: usize, start: usize| start..(start + count * places.len()).min(end);
        let has = |ahead: &Ahead| ahead.places.start == places.start && places.end <= ahead.places.end;
        let start = |first: usize, room: Rows| {
            let next = windows(most, first);
            if next.is_empty() { None } else { Ahead::start(stored, order, next, room) }
        };
        match self.ahead.take().filter(has) {
            Some(ahead) => {
                let read = ahead.places.clone();
                let room = mem::replace(&mut self.rows, ahead.finish()?);
                self.ahead = start(read.end, room);
                self.read = read;
            }
            None => {
                // The device waits for them: fewer, and the others at the same time.
                let read = windows((most / 2).max(1), places.start);
                self.ahead = start(read.end, Rows::default());
                stored.copy(&order[read.clone()], &mut self.rows)?;
                self.read = read;
            }
        }
        Ok(())
    }

    /// Writes rows whose features are in `self.rows` from its row `first` on.
    fn send(
        &mut self,
        executor: &mut dyn Executor,
        data: &Dataset,
        weights: &RowWeights,
        rows: &[u32],
        first: usize,
    ) -> Result<()> {
        self.targets.clear();
        let width = data.target_columns();
        for (i, &row) in rows.iter().enumerate() {
            if let Some(&later) = rows.get(i + compute::AHEAD) {
                compute::fetch(&data.targets[later as usize * width]);
            }
            self.targets.extend_from_slice(&data.targets[row as usize * width..][..width]);
            self.targets.push(weights.of(data, row) as f32);
        }
        let plan = executor.plan();
        let (features, targets) = (plan.features[0].0, plan.targets);
        let columns = data.feature_columns();
        let range = first * columns..(first + rows.len()) * columns;
        match &self.rows {
            Rows::F32(values) => executor.write(features, 0, Values::F32(&values[range]))?,
            Rows::U8(values) => executor.write(features, 0, Values::U8(&values[range]))?,
        }
        executor.write(targets, 0, Values::F32(&self.targets))
    }

    /// Forgets what is loaded: the row order has changed.
    pub fn reset(&mut self) {
        (self.loaded, self.read, self.ahead) = (0..0, 0..0, None);
    }

    /// The batch as the device finds it, if its rows are there.
    fn find(&self, batch: &Batch) -> Option<Batch> {
        let (first, end) = (batch.first as usize, (batch.first + batch.count) as usize);
        let is_there = first >= self.loaded.start && end <= self.loaded.end;
        is_there.then(|| Batch { first: (first - self.loaded.start) as u32, ..*batch })
    }
}

/// The places of a window that starts with `batch`: as many batches of its size as there is room for before `end`.
fn window(plan: &Plan, batch: &Batch, end: usize) -> Range<usize> {
    let (first, count) = (batch.first as usize, batch.count as usize);
    let rows = (plan.data_rows() / count).max(1) * count;
    first..(first + rows).min(end)
}

impl Trainer<'_> {
    /// Runs batches, whose first rows are places of the row order, window by window.
    pub(super) fn run(&mut self, phase: Phase, batches: &[Batch]) -> Result<()> {
        if self.executor.plan().is_resident {
            return self.executor.run(phase, batches);
        }
        let mut rest = batches;
        while let Some(first) = rest.first() {
            self.locate(first)?;
            let found: Vec<Batch> = rest.iter().map_while(|batch| self.feed.find(batch)).collect();
            self.executor.run(phase, &found)?;
            rest = &rest[found.len().max(1)..];
        }
        Ok(())
    }

    /// The batch as the device finds it, its rows being there.
    pub(super) fn locate(&mut self, batch: &Batch) -> Result<Batch> {
        if self.executor.plan().is_resident {
            return Ok(*batch);
        }
        if let Some(found) = self.feed.find(batch) {
            return Ok(found);
        }
        let first = batch.first as usize;
        let sets = super::Set::ALL.map(|set| self.sampler.places(set));
        let end =
            sets.iter().find(|places| places.contains(&first)).map_or(self.sampler.order().len(), |places| places.end);
        let places = window(self.executor.plan(), batch, end);
        self.feed.loaded = 0..0;
        self.feed.fetch(self.data, self.sampler.order(), &places, end)?;
        let (rows, first) = (&self.sampler.order()[places.clone()], places.start - self.feed.read.start);
        self.feed.send(self.executor.as_mut(), self.data, &self.sampler.weights, rows, first)?;
        self.feed.loaded = places;
        Ok(Batch { first: 0, ..*batch })
    }
}
