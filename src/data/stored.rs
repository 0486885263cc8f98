//! Rows that stay in their file and are read when they are asked for: of images or of an array of numbers. It knows
//! where they lie and how they are scaled, not which format the file has.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use super::Rows;
use super::npy::Kind;
use crate::compute::{AHEAD, fetch};
use crate::error::{Error, Result};

/// Rows that lie further apart than this are read one by one: as far as reading on costs what another read does.
const GAP: u64 = 4 << 10;
/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;

/// Rows one after the other in a file.
#[derive(Debug)]
pub(super) struct Part {
    pub file: Mutex<File>,
    /// The file, for messages.
    pub place: String,
    /// Where row 0 starts.
    pub offset: u64,
    pub rows: usize,
}

/// Which column of the file one of the data set's is, and x = (value − mean) / deviation, `fill` standing for NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    pub column: usize,
    pub mean: f64,
    pub deviation: f64,
    pub fill: f64,
}

/// What a row is made of.
#[derive(Debug)]
pub(super) enum Content {
    /// x = byte · scale + shift.
    Bytes { columns: usize, scale: f32, shift: f32 },
    /// `stride` elements in the file, of which some are features.
    Numbers { kind: &'static Kind, stride: usize, features: Vec<Number> },
}

#[derive(Debug)]
struct Inner {
    parts: Vec<Arc<Part>>,
    /// The file's rows that the data set has; None for all.
    kept: Option<Vec<u32>>,
    content: Content,
}

/// The features of a data set that is larger than memory should be. Clones share the file.
#[derive(Debug, Clone)]
pub struct Stored(Arc<Inner>);

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Stored {
    pub(super) fn new(parts: Vec<Arc<Part>>, kept: Option<Vec<u32>>, content: Content) -> Self {
        Stored(Arc::new(Inner { parts, kept, content }))
    }

    /// How many numbers a row has.
    pub fn columns(&self) -> usize {
        match &self.0.content {
            Content::Bytes { columns, .. } => *columns,
            Content::Numbers { features, .. } => features.len(),
        }
    }

    /// Scale and shift of bytes; None where rows are numbers, scaled already.
    pub fn scaling(&self) -> Option<[f32; 2]> {
        match self.0.content {
            Content::Bytes { scale, shift, .. } => Some([scale, shift]),
            Content::Numbers { .. } => None,
        }
    }

    /// Copies the named rows one after the other, reading the file from front to back.
    ///
    /// # Errors
    /// [`Error::Data`] if the file cannot be read any more.
    pub fn copy(&self, rows: &[u32], into: &mut Rows) -> Result<()> {
        let Inner { parts, kept, content } = &*self.0;
        let columns = self.columns();
        match content {
            Content::Bytes { .. } => {
                let target = into.bytes(rows.len() * columns);
                each(parts, kept.as_deref(), columns, rows, target, |row, to| to.copy_from_slice(row))
            }
            Content::Numbers { kind, stride, features } => {
                let target = into.numbers(rows.len() * columns);
                let places: Vec<usize> = features.iter().map(|number| number.column).collect();
                let mut values = vec![0.0; columns];
                each(parts, kept.as_deref(), kind.size * stride, rows, target, |row, to| {
                    kind.read(row, &places, &mut values);
                    for ((to, number), &value) in to.iter_mut().zip(features).zip(&values) {
                        let value = if value.is_nan() { number.fill } else { value };
                        *to = ((value - number.mean) / number.deviation) as f32;
                    }
                })
            }
        }
    }
}

/// A row of the file and its place among those that are wanted, in one word, which is sorted faster than a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named(u64);

impl Named {
    fn new(row: u32, at: u32) -> Self {
        Named(u64::from(row) << 32 | u64::from(at))
    }

    fn row(self) -> usize {
        (self.0 >> 32) as usize
    }

    fn at(self) -> usize {
        self.0 as u32 as usize
    }
}

/// Converts the named rows, each from its bytes to its place in `target`, in the file's order.
fn each<E>(
    parts: &[Arc<Part>],
    kept: Option<&[u32]>,
    row_bytes: usize,
    rows: &[u32],
    target: &mut [E],
    mut convert: impl FnMut(&[u8], &mut [E]),
) -> Result<()> {
    let columns = target.len() / rows.len().max(1);
    let in_file = |row: u32| kept.map_or(row, |kept| kept[row as usize]);
    let mut order: Vec<Named> = rows.iter().zip(0..).map(|(&row, at)| Named::new(in_file(row), at)).collect();
    order.sort_unstable();
    let (mut rest, mut first) = (&order[..], 0);
    for part in parts {
        let end = first + part.rows;
        let (own, others) = rest.split_at(rest.partition_point(|named| named.row() < end));
        part.each(own, first, row_bytes, |row, at, later| {
            if let Some(later) = later {
                let to = &target[later * columns..(later + 1) * columns];
                [to.first(), to.last()].into_iter().flatten().for_each(fetch);
            }
            convert(row, &mut target[at * columns..(at + 1) * columns]);
        })?;
        (rest, first) = (others, end);
    }
    Ok(())
}

impl Part {
    /// Calls `f` with the bytes and the place of rows `order`, ascending and counted from `first` on, and the place of
    /// one that comes later.
    fn each(
        &self,
        order: &[Named],
        first: usize,
        row_bytes: usize,
        mut f: impl FnMut(&[u8], usize, Option<usize>),
    ) -> Result<()> {
        let start = |named: Named| (named.row() - first) as u64 * row_bytes as u64;
        let row_bytes = row_bytes as u64;
        let mut buffer = Vec::new();
        let mut rest = order;
        while let Some(&named) = rest.first() {
            let begin = start(named);
            let (mut count, mut end) = (1, begin + row_bytes);
            while let Some(&next) = rest.get(count)
                && start(next) <= end + GAP
                && start(next) + row_bytes <= begin + PIECE
            {
                (count, end) = (count + 1, start(next) + row_bytes);
            }
            self.read(begin, (end - begin) as usize, &mut buffer)?;
            for (i, &named) in rest[..count].iter().enumerate() {
                let from = (start(named) - begin) as usize;
                let later = rest.get(i + AHEAD).map(|named| named.at());
                f(&buffer[from..from + row_bytes as usize], named.at(), later);
            }
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Reads `length` bytes, `begin` bytes behind the start of row 0.
    pub fn read(&self, begin: u64, length: usize, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.resize(length, 0);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(self.offset + begin)).and_then(|_| file.read_exact(buffer));
        read.map_err(|error| {
            Error::data(format!("cannot be read any more: {error}"))
                .at(&self.place)
                .remedy("leave the file as it is while it is trained on")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// `rows` rows of `columns` numbers that tell their place, in two files.
    fn stored(rows: usize, columns: usize, kept: Option<Vec<u32>>) -> Stored {
        let mut parts = Vec::new();
        for range in [0..rows / 3, rows / 3..rows] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"head").unwrap();
            for i in range.start * columns..range.end * columns {
                file.write_all(&(i as f32).to_le_bytes()).unwrap();
            }
            parts.push(Arc::new(Part { file: Mutex::new(file), place: "a".into(), offset: 4, rows: range.len() }));
        }
        let number = |column| Number { column, mean: 1.0, deviation: 2.0, fill: 0.0 };
        let kind = Kind::named("f4").unwrap();
        Stored::new(
            parts,
            kept,
            Content::Numbers { kind, stride: columns, features: vec![number(columns - 1), number(0)] },
        )
    }

    #[test]
    fn rows_come_in_the_order_in_which_they_are_named_from_wherever_they_lie() {
        let (rows, columns) = (5000, 7);
        let x = |row: usize, column: usize| ((row * columns + column) as f32 - 1.0) / 2.0;
        let mut named: Vec<u32> = (0..rows as u32).map(|i| i * 1471 % rows as u32).collect();
        named.extend([4, 4, 0, rows as u32 - 1]);
        let mut into = Rows::default();
        for count in [1, 3, named.len()] {
            let named = &named[named.len() - count..];
            stored(rows, columns, None).copy(named, &mut into).unwrap();
            let wanted: Vec<f32> =
                named.iter().flat_map(|&row| [x(row as usize, columns - 1), x(row as usize, 0)]).collect();
            assert_eq!(into, Rows::F32(wanted));
        }
        let kept: Vec<u32> = (0..rows as u32).step_by(50).collect();
        stored(rows, columns, Some(kept)).copy(&[99, 1], &mut into).unwrap();
        assert_eq!(into, Rows::F32(vec![x(4950, 6), x(4950, 0), x(50, 6), x(50, 0)]));
    }

    #[test]
    fn a_file_that_has_shrunk_is_an_error_with_its_name() {
        let stored = stored(10, 2, None);
        stored.0.parts[1].file.lock().unwrap().set_len(20).unwrap();
        let error = stored.copy(&[9], &mut Rows::default()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("a: cannot be read any more: "), "{error}");
    }
}
