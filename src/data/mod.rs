//! Data sets: one file a format, a seeded split, and preprocessing fitted on the training rows only.
//! Knows `config` (what was asked for) and `error`, nothing else.

mod apply;
mod arrays;
mod cells;
mod csv;
mod dialect;
mod digits;
mod frame;
mod idx;
mod images;
mod memory;
mod npy;
mod npz;
mod open;
mod prepare;
mod preprocessing;
mod select;
mod source;
mod split;
mod table;
mod target;
mod zip;

pub use apply::Encoded;
pub use memory::Targets;
pub use open::Source;
pub use prepare::{load, load_fold};
pub use preprocessing::{Coding, ColumnCoding, ImageCoding, Inputs, Preprocessing};
pub use split::{Fold, Split};
pub use target::TargetCoding;

use crate::config::Task;

/// Rows ready for training: split, filled, encoded, scaled.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// File stem, folder name or the built-in's name.
    pub name: String,
    /// Rows of all sets together.
    pub rows: usize,
    /// Of all rows.
    pub features: Features,
    /// Row-major, rows × [`Dataset::target_columns`]: the class index, or the (standardised) value.
    pub targets: Vec<f32>,
    /// Which row is in which set.
    pub split: Split,
    /// What the targets are.
    pub task: Task,
    /// One for each encoded column.
    pub feature_names: Vec<String>,
    /// One for each target column.
    pub target_names: Vec<String>,
    /// In output order; empty for regression.
    pub classes: Vec<String>,
    /// How the rows were encoded, to be done again to further ones.
    pub preprocessing: Preprocessing,
    /// What was inferred or handled, one sentence each, with the way to override it.
    pub notes: Vec<String>,
    /// SHA-256 of the source's bytes as they lie on disk, in hexadecimal; empty for arrays in memory.
    pub checksum: String,
    /// Absolute path, the built-in's name, or `arrays`.
    pub source: String,
}

/// Row-major values of all rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Features {
    /// Scaled already.
    F32 {
        /// Rows × columns.
        values: Vec<f32>,
        /// Numbers of a row.
        columns: usize,
    },
    /// Images: x = value · scale + shift.
    U8 {
        /// Rows × columns.
        values: Vec<u8>,
        /// Pixels of an image: height × width.
        columns: usize,
        /// 1 / deviation.
        scale: f32,
        /// −mean / deviation.
        shift: f32,
        /// In pixels.
        height: usize,
        /// In pixels.
        width: usize,
    },
}

impl Features {
    /// How many numbers a row has.
    pub fn columns(&self) -> usize {
        match self {
            Features::F32 { columns, .. } | Features::U8 { columns, .. } => *columns,
        }
    }

    /// One row as the model sees it, appended to `into`.
    pub fn extend_row(&self, row: usize, into: &mut Vec<f32>) {
        match self {
            Features::F32 { values, columns } => into.extend_from_slice(&values[row * columns..(row + 1) * columns]),
            Features::U8 { values, columns, scale, shift, .. } => {
                into.extend(values[row * columns..(row + 1) * columns].iter().map(|&v| f32::from(v) * scale + shift));
            }
        }
    }
}

impl Dataset {
    /// How many outputs a model of this data has.
    pub fn outputs(&self) -> usize {
        match self.task {
            Task::Classification => self.classes.len(),
            Task::Binary => 1,
            Task::Regression => self.target_names.len(),
        }
    }

    /// How many numbers a row of `targets` has.
    pub fn target_columns(&self) -> usize {
        self.target_names.len()
    }

    /// How many numbers a row of `features` has.
    pub fn feature_columns(&self) -> usize {
        self.features.columns()
    }
}
