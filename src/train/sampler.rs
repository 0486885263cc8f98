//! Which rows each step takes: the row orders of the epochs and the batches cut out of them. Knows no device.

use std::ops::Range;

use super::inference;
use super::setup::{self, RowWeights};
use crate::config::Config;
use crate::data::Dataset;
use crate::model::random::{self, Stream};
use crate::ops::Batch;

/// One of the three sets of a split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// To learn from.
    Train,
    /// To judge epochs by.
    Validation,
    /// To judge the result by.
    Test,
}

impl Set {
    /// In the order of a split.
    pub const ALL: [Set; 3] = [Set::Train, Set::Validation, Set::Test];

    /// As in history.csv and metrics.json.
    pub fn name(self) -> &'static str {
        match self {
            Set::Train => "train",
            Set::Validation => "validation",
            Set::Test => "test",
        }
    }
}

/// The row orders of the epochs that are run at a time.
pub(super) struct Sampler<'a> {
    data: &'a Dataset,
    /// What each row's loss is multiplied by.
    pub weights: RowWeights,
    seed: u64,
    shuffles: bool,
    /// Data rows: the training set as shuffled for the last epoch, then validation, then test; behind them the training
    /// sets of the epochs before the last, one after the other.
    order: Vec<u32>,
}

impl<'a> Sampler<'a> {
    /// In the split's own order.
    pub fn new(config: &Config, data: &'a Dataset, weights: RowWeights) -> Self {
        Sampler { data, weights, seed: config.seed, shuffles: config.train.shuffle, order: setup::order(data) }
    }

    /// Data rows by place.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Back to the split's own order.
    pub fn reset(&mut self) {
        self.order = setup::order(self.data);
    }

    /// Where a set lies in the row order.
    pub fn places(&self, set: Set) -> Range<usize> {
        let split = &self.data.split;
        let (train, validation) = (split.train.len(), split.validation.len());
        match set {
            Set::Train => 0..train,
            Set::Validation => train..train + validation,
            Set::Test => train + validation..train + validation + split.test.len(),
        }
    }

    /// Makes the row orders of `count` epochs from epoch `first` on; whether there is anything new.
    pub fn shuffle(&mut self, first: usize, count: usize) -> bool {
        if !self.shuffles {
            return false;
        }
        let train = self.data.split.train.len();
        self.order.resize(self.data.rows + (count - 1) * train, 0);
        for epoch in 0..count {
            let place = self.place(epoch, count);
            let order = &mut self.order[place..place + train];
            // From the split's own order, so that an epoch's order does not depend on the epochs before it.
            order.copy_from_slice(&self.data.split.train);
            random::shuffle(order, &mut random::generator(self.seed, Stream::Shuffle((first + epoch) as u32)));
        }
        true
    }

    /// Where the row order of one of `count` epochs begins that are run at a time.
    fn place(&self, epoch: usize, count: usize) -> usize {
        let is_last = epoch + 1 == count;
        if is_last || !self.shuffles { 0 } else { self.data.rows + epoch * self.data.split.train.len() }
    }

    /// The batches of one of `count` epochs that are run at a time, of `size` rows but for the last one.
    pub fn batches(&self, epoch: usize, count: usize, size: usize) -> impl Iterator<Item = Batch> {
        let (place, train) = (self.place(epoch, count), self.data.split.train.len());
        (0..train).step_by(size).map(move |start| self.batch(place + start..place + train.min(start + size)))
    }

    /// A batch of places `rows` with its share of the loss.
    pub fn batch(&self, rows: Range<usize>) -> Batch {
        inference::batch(self.data, &self.weights, &self.order, rows)
    }
}
