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
mod large;
mod memory;
mod npy;
mod npz;
mod open;
mod prepare;
mod preprocessing;
mod select;
mod source;
mod split;
mod stored;
mod table;
mod target;
mod unpack;
mod zip;

pub use apply::Encoded;
pub use memory::Targets;
pub use open::Source;
pub use prepare::{STORED_FROM, load, load_beyond, load_fold};
pub use preprocessing::{Coding, ColumnCoding, ImageCoding, Inputs, Preprocessing};
pub use split::{Fold, Split};
pub use stored::Stored;
pub use target::TargetCoding;

use crate::config::Task;
use crate::error::Result;

/// Rows ready for training: split, filled, encoded, scaled.
#[derive(Debug, Clone, PartialEq)]
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
    /// Rows that stay in their file, because there are too many for the memory.
    Stored(Stored),
}

/// Rows copied out of a data set, one after the other: numbers, or bytes that are not scaled yet.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Numbers.
    F32(Vec<f32>),
    /// Bytes of images.
    U8(Vec<u8>),
}

impl Default for Rows {
    fn default() -> Self {
        Rows::F32(Vec::new())
    }
}

impl Rows {
    /// Room for `length` bytes, of any value.
    fn bytes(&mut self, length: usize) -> &mut [u8] {
        if let Rows::F32(_) = self {
            *self = Rows::U8(Vec::new());
        }
        let Rows::U8(values) = self else { unreachable!("just made") };
        values.resize(length, 0);
        values
    }

    /// Room for `length` numbers, of any value.
    fn numbers(&mut self, length: usize) -> &mut [f32] {
        if let Rows::U8(_) = self {
            *self = Rows::F32(Vec::new());
        }
        let Rows::F32(values) = self else { unreachable!("just made") };
        values.resize(length, 0.0);
        values
    }
}

impl Features {
    /// How many numbers a row has.
    pub fn columns(&self) -> usize {
        match self {
            Features::F32 { columns, .. } | Features::U8 { columns, .. } => *columns,
            Features::Stored(stored) => stored.columns(),
        }
    }

    /// Scale and shift of bytes; None where rows are numbers, scaled already.
    pub fn scaling(&self) -> Option<[f32; 2]> {
        match self {
            Features::F32 { .. } => None,
            Features::U8 { scale, shift, .. } => Some([*scale, *shift]),
            Features::Stored(stored) => stored.scaling(),
        }
    }

    /// Copies the named rows one after the other.
    ///
    /// # Errors
    /// [`crate::Error::Data`] if they lie in a file that cannot be read any more.
    pub fn copy(&self, rows: &[u32], into: &mut Rows) -> Result<()> {
        fn copy<E: Copy>(values: &[E], columns: usize, rows: &[u32], into: &mut [E]) {
            for (to, &row) in into.chunks_exact_mut(columns).zip(rows) {
                to.copy_from_slice(&values[row as usize * columns..][..columns]);
            }
        }
        let length = rows.len() * self.columns();
        match self {
            Features::F32 { values, columns } => copy(values, *columns, rows, into.numbers(length)),
            Features::U8 { values, columns, .. } => copy(values, *columns, rows, into.bytes(length)),
            Features::Stored(stored) => stored.copy(rows, into)?,
        }
        Ok(())
    }

    /// One row as the model sees it, appended to `into`; NaN where a file cannot be read any more.
    pub fn extend_row(&self, row: usize, into: &mut Vec<f32>) {
        match self {
            Features::F32 { values, columns } => into.extend_from_slice(&values[row * columns..(row + 1) * columns]),
            Features::U8 { values, columns, scale, shift, .. } => {
                into.extend(values[row * columns..(row + 1) * columns].iter().map(|&v| f32::from(v) * scale + shift));
            }
            Features::Stored(stored) => {
                let mut rows = Rows::default();
                let [scale, shift] = stored.scaling().unwrap_or([1.0, 0.0]);
                match (stored.copy(&[row as u32], &mut rows), rows) {
                    (Ok(()), Rows::F32(values)) => into.extend(values),
                    (Ok(()), Rows::U8(values)) => into.extend(values.iter().map(|&v| f32::from(v) * scale + shift)),
                    (Err(_), _) => into.extend(std::iter::repeat_n(f32::NAN, stored.columns())),
                }
            }
        }
    }
}

impl Dataset {
    /// How many outputs a model of this data has.
    pub fn outputs(&self) -> usize {
        self.task.outputs(self.classes.len(), self.target_columns())
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
