//! Rows as lists of their elements that are not zero, for operands that have passed through ReLU or dropout: what is zero
//! is not multiplied, and each sum has the bits of the one with all zeros. Knows no layer.

use std::ops::Range;

use ndarray::ArrayViewMut2;

use super::operand::Operand;
use super::simd::{COLUMNS, LANES, Simd, wide};

/// Most rows that are listed together.
pub const MOST_ROWS: usize = 128;

/// Most elements of a row.
pub const DEPTH: usize = 176;

/// Elements of a row after which it is the next row's turn, so that the panels they meet stay in a first-level cache of
/// 32 kB. A multiple of 8, for what is transposed.
const CHUNK: usize = 48;

const CHUNKS: usize = DEPTH.div_ceil(CHUNK);

/// Every so many rows, or columns of a transposed operand, are looked at for zeros.
const SAMPLE: usize = 8;

/// Bytes from a row of a panel to the next.
const PANEL_ROW: usize = COLUMNS * size_of::<f32>();

/// Tells whether rows `first ..+ rows` of an operand have so many zeros that listing the others pays. It may look at
/// some only: the product is the same.
pub fn pays(a: Operand<f32>, first: usize, rows: usize, k: usize) -> bool {
    let zeros = |run: &[f32]| wide(|| run.iter().map(|&element| u32::from(element == 0.0)).sum::<u32>() as usize);
    let (zeros, sampled): (usize, usize) = if a.strides.column == 1 {
        let rows = (0..rows).step_by(SAMPLE);
        (rows.clone().map(|row| zeros(&a.values[a.start(first + row)..][..k])).sum(), rows.len() * k)
    } else if a.is_transposed() {
        let columns = (0..k).step_by(SAMPLE);
        let column = |p| &a.values[first + p * a.strides.column..][..rows];
        (columns.clone().map(|p| zeros(column(p))).sum(), columns.len() * rows)
    } else {
        return false;
    };
    // From here on at least a tenth is gained, more with each zero.
    zeros * 3 >= sampled
}

/// Some rows' elements that are not zero. Every offset is that of a row of a panel with `depth` rows.
pub struct Listed {
    rows: usize,
    depth: usize,
    /// Chunk by chunk, row by row in each.
    values: [f32; MOST_ROWS * DEPTH + LANES],
    /// Where the row of a panel starts that the value is multiplied with, in bytes.
    offsets: [u16; MOST_ROWS * DEPTH + LANES],
    /// How many values of each row there are in each chunk.
    counts: [[u16; MOST_ROWS]; CHUNKS],
}

impl Listed {
    /// No rows.
    pub fn new() -> Self {
        Listed {
            rows: 0,
            depth: 0,
            values: [0.0; MOST_ROWS * DEPTH + LANES],
            offsets: [0; MOST_ROWS * DEPTH + LANES],
            counts: [[0; MOST_ROWS]; CHUNKS],
        }
    }

    /// Lists the elements `depth` of rows `first ..+ rows` in place of what was listed.
    ///
    /// # Panics
    /// If these are more than [`MOST_ROWS`] or [`DEPTH`], or the operand has neither rows nor columns without gaps.
    pub fn fill(&mut self, simd: Simd, a: Operand<f32>, first: usize, rows: usize, depth: Range<usize>) {
        assert!(rows <= MOST_ROWS && depth.len() <= DEPTH, "there is room for the rows");
        assert!(a.strides.column == 1 || a.is_transposed(), "rows or columns have no gaps");
        (self.rows, self.depth) = (rows, depth.len());
        let mut transposed = [0.0; MOST_ROWS * CHUNK];
        let mut listed = 0;
        for (chunk, start) in depth.clone().step_by(CHUNK).enumerate() {
            let length = CHUNK.min(depth.end - start);
            if a.strides.column != 1 {
                transpose(simd, a, first..first + rows, start..start + length, &mut transposed);
            }
            for row in 0..rows {
                let run = if a.strides.column == 1 {
                    &a.values[a.start(first + row) + start..][..length]
                } else {
                    &transposed[row * CHUNK..][..length]
                };
                let offset = (start - depth.start) * PANEL_ROW;
                let (values, offsets) = (&mut self.values[listed..], &mut self.offsets[listed..]);
                let count = simd.list(run, offset, PANEL_ROW, values, offsets);
                self.counts[chunk][row] = count as u16;
                listed += count;
            }
        }
    }

    /// `c = rows·panels`, or `c += ` if it `adds`. From a panel to the next it is `pitch` elements; `sums` is room for all
    /// sums, in whole vectors. Each is a chain of fused multiply-adds in the order of k.
    ///
    /// # Panics
    /// If the panels are fewer than `c` needs or not that deep, or there is too little room.
    pub fn multiply(
        &self,
        simd: Simd,
        panels: &[f32],
        pitch: usize,
        sums: &mut [f32],
        c: &mut ArrayViewMut2<f32>,
        adds: bool,
    ) {
        let columns = c.ncols();
        let width = columns.next_multiple_of(LANES);
        let sums = &mut sums[..self.rows * width];
        let chunks = self.depth.div_ceil(CHUNK);
        let mut listed = 0;
        for (chunk, counts) in self.counts[..chunks].iter().enumerate() {
            let counts = &counts[..self.rows];
            let (values, offsets) = (&self.values[listed..], &self.offsets[listed..]);
            let whole = (chunk + 1 == chunks && width == columns).then(|| (c.view_mut(), adds));
            // SAFETY: offsets are those of rows below `depth`.
            unsafe { simd.add_listed(counts, values, offsets, self.depth, panels, pitch, sums, chunk > 0, whole) };
            listed += counts.iter().map(|&count| usize::from(count)).sum::<usize>();
        }
        if width == columns {
            return;
        }
        for (c, sums) in c.rows_mut().into_iter().zip(sums.chunks_exact(width)) {
            let c = c.into_slice().expect("rows have no gaps");
            c.iter_mut().zip(sums).for_each(|(c, sum)| *c = if adds { *c } else { 0.0 } + sum);
        }
    }
}

/// Some rows and columns of a transposed operand, from a row to the next [`CHUNK`] elements.
fn transpose(simd: Simd, a: Operand<f32>, rows: Range<usize>, depth: Range<usize>, to: &mut [f32]) {
    let (whole_rows, whole_depth) = (rows.len() & !7, depth.len() & !7);
    let column = |p: usize| rows.start + (depth.start + p) * a.strides.column;
    if whole_rows > 0 && whole_depth > 0 {
        let columns: [usize; CHUNK] = std::array::from_fn(|p| column(p.min(whole_depth - 1)));
        simd.transpose(a.values, &columns[..whole_depth], whole_rows, to, CHUNK);
    }
    for p in 0..depth.len() {
        let done = if p < whole_depth { whole_rows } else { 0 };
        for row in done..rows.len() {
            to[row * CHUNK + p] = a.values[column(p) + row];
        }
    }
}
