//! Rows in compressed sparse form (CSR), for operands that have passed through ReLU or dropout: what is zero is not
//! multiplied, and each sum has the bits of the one with all zeros. Knows no layer.

use std::ops::Range;

use ndarray::ArrayViewMut2;

use super::operand::Operand;
use super::product::{DEPTH, MOST_ROWS};
use super::simd::{COLUMNS, LANES, Simd, wide};

/// Elements of a row after which it is the next row's turn, so that the panels they meet stay in a first-level cache of
/// 32 kB.
const CHUNK: usize = 48;

const CHUNKS: usize = DEPTH.div_ceil(CHUNK);

/// Bytes from a row of a panel to the next.
const PANEL_ROW: usize = COLUMNS * size_of::<f32>();

const _: () = assert!(CHUNK.is_multiple_of(8), "columns are transposed by eights");
const _: () = assert!(DEPTH * PANEL_ROW <= u16::MAX as usize, "offsets have 16 bits");

/// Every so many rows, or columns of a transposed operand, are looked at for zeros.
const SAMPLE: usize = 8;

/// Tells whether a third of rows `first ..+ rows` of an operand is zero: from a quarter on (with AVX2 from a third)
/// multiplying the rest alone is faster. It looks at some rows or columns only, since the product is the same.
pub fn is_sparse(a: Operand<f32>, first: usize, rows: usize, k: usize) -> bool {
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
    zeros * 3 >= sampled
}

/// Some rows' elements that are not zero. Every offset is that of a row of a panel with `depth` rows.
pub struct SparseRows {
    rows: usize,
    depth: usize,
    /// Elements that are not zero.
    length: usize,
    /// They, chunk by chunk, row by row in each.
    values: [f32; MOST_ROWS * DEPTH + LANES],
    /// Where the row of a panel starts that the value is multiplied with, in bytes.
    offsets: [u16; MOST_ROWS * DEPTH + LANES],
    /// How many values of each row there are in each chunk.
    counts: [[u16; MOST_ROWS]; CHUNKS],
}

impl SparseRows {
    /// No rows.
    pub fn new() -> Self {
        SparseRows {
            rows: 0,
            depth: 0,
            length: 0,
            values: [0.0; MOST_ROWS * DEPTH + LANES],
            offsets: [0; MOST_ROWS * DEPTH + LANES],
            counts: [[0; MOST_ROWS]; CHUNKS],
        }
    }

    /// Takes the elements `depth` of rows `first ..+ rows` in place of what was there.
    ///
    /// # Panics
    /// If these are none or more than [`MOST_ROWS`] or [`DEPTH`], or the operand has neither rows nor columns without
    /// gaps.
    pub fn fill(&mut self, simd: Simd, a: Operand<f32>, first: usize, rows: usize, depth: Range<usize>) {
        assert!((1..=MOST_ROWS).contains(&rows) && (1..=DEPTH).contains(&depth.len()), "there is room for the rows");
        // None until all are there: nobody multiplies by offsets of another depth.
        (self.rows, self.depth, self.length) = (0, 0, 0);
        let chunks = depth.clone().step_by(CHUNK).map(|start| start..(start + CHUNK).min(depth.end)).enumerate();
        if a.strides.column == 1 {
            for (chunk, range) in chunks {
                for row in 0..rows {
                    let run = &a.values[a.start(first + row)..][range.clone()];
                    self.push(simd, run, chunk, row);
                }
            }
        } else {
            assert!(a.is_transposed(), "rows or columns have no gaps");
            let mut transposed = [0.0; MOST_ROWS * CHUNK];
            for (chunk, range) in chunks {
                transpose(simd, a, first..first + rows, range.clone(), &mut transposed);
                for row in 0..rows {
                    self.push(simd, &transposed[row * CHUNK..][..range.len()], chunk, row);
                }
            }
        }
        (self.rows, self.depth) = (rows, depth.len());
    }

    /// Takes what is not zero in a row's part of a chunk.
    fn push(&mut self, simd: Simd, run: &[f32], chunk: usize, row: usize) {
        let (values, offsets) = (&mut self.values[self.length..], &mut self.offsets[self.length..]);
        let count = simd.compress(run, chunk * CHUNK * PANEL_ROW, PANEL_ROW, values, offsets);
        self.counts[chunk][row] = count as u16;
        self.length += count;
    }

    /// `c = 0 + rows·panels`, or `c += rows·panels` if it `adds`. From a panel to the next it is `pitch` elements; `sums` is
    /// room for all sums, in whole vectors. Each is a chain of fused multiply-adds in the order of k.
    ///
    /// # Panics
    /// If `c` has other rows, or the panels are fewer than it needs or not that deep, or there is too little room.
    pub fn multiply(
        &self,
        simd: Simd,
        panels: &[f32],
        pitch: usize,
        sums: &mut [f32],
        c: &mut ArrayViewMut2<f32>,
        adds: bool,
    ) {
        assert!(c.nrows() == self.rows && self.depth > 0, "the product has the rows that are there");
        let columns = c.ncols();
        let width = columns.next_multiple_of(LANES);
        let sums = &mut sums[..self.rows * width];
        let chunks = self.depth.div_ceil(CHUNK);
        let mut done = 0;
        for (chunk, counts) in self.counts[..chunks].iter().enumerate() {
            let counts = &counts[..self.rows];
            let (values, offsets) = (&self.values[done..], &self.offsets[done..]);
            let last = (chunk + 1 == chunks && width == columns).then(|| (c.view_mut(), adds));
            // SAFETY: offsets are those of rows below `depth`.
            unsafe { simd.add_sparse(counts, values, offsets, self.depth, panels, pitch, sums, chunk > 0, last) };
            done += counts.iter().map(|&count| usize::from(count)).sum::<usize>();
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

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::compute::Strides;
    use crate::compute::simd::SPARSE_PANELS;

    /// Rows and columns of what operands are cut from.
    const SIDE: usize = 300;

    /// Numbers of which two thirds are zero, some of them negative. In every tenth row and column the others are too small
    /// to be normal.
    fn numbers() -> Vec<f32> {
        let number = |i: usize| match i * 7919 % 97 {
            33 => -0.0,
            at if at % 3 > 0 => 0.0,
            _ if (i / SIDE).is_multiple_of(10) || (i % SIDE).is_multiple_of(10) => 1e-44,
            at => at as f32 - 45.5,
        };
        (0..SIDE * SIDE).map(number).collect()
    }

    /// An operand of rows, of rows in another order and of columns.
    fn operands<'a>(values: &'a [f32], order: &'a [u32]) -> [Operand<'a, f32>; 3] {
        [Operand::rows(values, SIDE), Operand::listed(values, SIDE, order), Operand::transposed(values, SIDE)]
    }

    fn element(a: Operand<f32>, row: usize, p: usize) -> f32 {
        a.values[a.start(row) + p * a.strides.column]
    }

    /// Calls `check` with an instruction set, sparse rows, the operand they are from, and their rows and elements there, for
    /// each number of columns that are summed up at a time.
    fn each(mut check: impl FnMut(Simd, &SparseRows, Operand<f32>, [Range<usize>; 2], usize)) {
        let (values, order) = (numbers(), (0..SIDE as u32).map(|i| i * 7 % SIDE as u32).collect::<Vec<_>>());
        let mut sparse = SparseRows::new();
        for simd in Simd::available() {
            for columns in 1..=simd.sparse_panels() * COLUMNS {
                let (first, rows) = (columns % 20, 1 + columns * 37 % MOST_ROWS);
                let (start, depth) = (columns % 90, 1 + columns * 61 % DEPTH);
                let a = operands(&values, &order)[columns % 3];
                sparse.fill(simd, a, first, rows, start..start + depth);
                check(simd, &sparse, a, [first..first + rows, start..start + depth], columns);
            }
        }
    }

    #[test]
    fn sums_of_sparse_rows_have_the_bits_of_chains_through_all_elements() {
        const PITCH: usize = 200 * COLUMNS;
        // In every seventh column products with the smallest numbers are rounded to a zero of either sign.
        let panel = |i: usize| {
            let sign = if i.is_multiple_of(5) { -1.0 } else { 1.0 };
            if (i % COLUMNS).is_multiple_of(7) { sign * 1e-10 } else { sign * (i % 89) as f32 }
        };
        let panels: Vec<f32> = (0..SPARSE_PANELS * PITCH).map(panel).collect();
        let mut room = vec![f32::NAN; MOST_ROWS * SPARSE_PANELS * COLUMNS];
        let mut negative_zeros = 0;
        each(|simd, sparse, a, [rows, depth], columns| {
            for adds in [false, true] {
                let mut around = Array2::<f32>::from_elem((rows.len() + 2, columns + 3), 7.0);
                let mut c = around.slice_mut(s![1..=rows.len(), 1..=columns]);
                sparse.multiply(simd, &panels, PITCH, &mut room, &mut c, adds);
                for ((row, column), &sum) in c.indexed_iter() {
                    let panel = &panels[column / COLUMNS * PITCH + column % COLUMNS..];
                    let terms =
                        depth.clone().map(|p| (element(a, rows.start + row, p), panel[(p - depth.start) * COLUMNS]));
                    let (all, kept): (Vec<_>, Vec<_>) =
                        (terms.clone().collect(), terms.filter(|(a, _)| *a != 0.0).collect());
                    let chain = |terms: &[(f32, f32)]| terms.iter().fold(0.0, |sum, (a, b)| f32::mul_add(*a, *b, sum));
                    negative_zeros += usize::from(chain(&all).to_bits() != chain(&kept).to_bits());
                    let right = if adds { 7.0 } else { 0.0 } + chain(&all);
                    assert_eq!(sum.to_bits(), right.to_bits(), "{simd:?} {rows:?} {depth:?} {columns}");
                }
                c.fill(7.0);
                assert!(around.iter().all(|&canary| canary == 7.0), "written beyond the product");
            }
        });
        // What differs between the chains is the sign of zero, which sums do not keep.
        assert!(Simd::detect().is_none() || negative_zeros > 10, "{negative_zeros}");
    }

    #[test]
    fn what_is_kept_is_what_is_not_zero() {
        let mut zeros = 0;
        each(|_, sparse, a, [rows, depth], _| {
            let chunks = depth.len().div_ceil(CHUNK);
            let counts = sparse.counts[..chunks].iter().flat_map(|counts| &counts[..rows.len()]);
            let all = rows.clone().flat_map(|row| depth.clone().map(move |p| element(a, row, p)));
            let kept = all.filter(|&element| element != 0.0).count();
            assert_eq!(counts.map(|&count| usize::from(count)).sum::<usize>(), kept);
            zeros += rows.len() * depth.len() - kept;
        });
        assert!(Simd::detect().is_none() || zeros > 100_000, "{zeros}");
    }

    #[test]
    fn nothing_that_is_not_a_number_is_taken_for_zero() {
        for simd in Simd::available() {
            let (mut values, mut offsets) = ([0.0; 40], [0; 40]);
            let from = [0.0, f32::NAN, -0.0, f32::INFINITY, 1e-45, -f32::NAN, 0.0];
            assert_eq!(simd.compress(&from, 10, 192, &mut values, &mut offsets), 4);
            assert!(values[0].is_nan() && values[3].is_nan());
            assert_eq!((values[1], values[2]), (f32::INFINITY, 1e-45));
            assert_eq!(offsets[..4], [202, 586, 778, 970]);
        }
    }

    #[test]
    fn an_operand_is_sparse_from_a_third_of_zeros_on_however_it_lies() {
        let order: Vec<u32> = (0..SIDE as u32).rev().collect();
        for (every, right) in [(1, true), (2, true), (3, true), (4, false), (100, false)] {
            let zero = |i: usize| (i / SIDE + i).is_multiple_of(every);
            let values: Vec<f32> = (0..SIDE * SIDE).map(|i| if zero(i) { 0.0 } else { 1.0 }).collect();
            for a in operands(&values, &order) {
                assert_eq!(is_sparse(a, 5, 120, 270), right, "every {every}");
            }
        }
        let neither = Operand { strides: Strides { row: 2, column: 600 }, ..Operand::rows(&[0.0; 90_000], 1) };
        assert!(!is_sparse(neither, 0, 100, 100));
    }

    #[test]
    fn there_is_room_for_as_many_rows_as_there_may_be_without_zeros() {
        let values: Vec<f32> = (1..=SIDE * SIDE).map(|i| i as f32).collect();
        let order: Vec<u32> = (0..SIDE as u32).collect();
        for simd in Simd::available() {
            for a in operands(&values, &order) {
                let mut sparse = SparseRows::new();
                sparse.fill(simd, a, 2, MOST_ROWS, 5..5 + DEPTH);
                assert_eq!(sparse.length, MOST_ROWS * DEPTH);
                let last = (element(a, 2 + MOST_ROWS - 1, 5 + DEPTH - 1), ((DEPTH - 1) * PANEL_ROW) as u16);
                assert_eq!((sparse.values[sparse.length - 1], sparse.offsets[sparse.length - 1]), last);
            }
        }
    }
}
