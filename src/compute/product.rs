//! A product of two f32 matrices in tiles: the right operand is packed once into panels; the left one is packed block by
//! block where that pays, or freed of its zeros where it has many; and what follows a product (a bias, an activation) is
//! done while its block is in the cache. Knows no layer.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::{ArrayViewMut2, Axis, s};

use super::operand::Operand;
use super::simd::{COLUMNS, LANES, ROWS, SPARSE_PANELS, Simd, fetch, wide};
use super::sparse::{SparseRows, is_sparse};
use super::team::Team;

/// Multiplications from which on a product is worth more than one thread: about 10 µs of work.
const PARALLEL: usize = 1 << 19;

/// Most rows of the right operand in one pass: a panel of so many stays in the first-level cache. A multiple of 8.
pub(super) const DEPTH: usize = 176;

/// Most rows of one block, which read the panels together from an outer cache.
pub(super) const MOST_ROWS: usize = 128;

/// Most panels that are packed together, row by row of all of them.
const MOST_PANELS: usize = 4;

/// Columns of a product, or of a thread's part of one, from which on the left operand is worth packing too.
const PACKED_COLUMNS: usize = 256;

/// Multiplications of a block from which on zeros are worth skipping: four times what the room for sparse rows costs.
const SKIPPING: usize = 1 << 20;

/// A line of the processor's caches.
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

/// Room for packed operands, kept between products. It starts where a cache line does: vectors that lie across two lines
/// take two reads.
#[derive(Debug, Default)]
pub struct Packed(Vec<Line>);

impl Packed {
    /// Room for so many elements, in whole lines. What is there is what the last product left.
    fn room(&mut self, elements: usize) -> &mut [f32] {
        let lines = elements.div_ceil(LANES);
        if self.0.len() < lines {
            self.0.resize(lines, Line::default());
        }
        &mut bytemuck::cast_slice_mut(&mut self.0[..lines])[..elements]
    }
}

/// What follows a product, for a run of its elements, whole rows or a part of one: the number of the run's first element
/// in `c`, and the elements.
pub type Finish<'a, T> = &'a (dyn Fn(usize, &mut [T]) + Sync);

/// `c = a·b` with `a` [m, k], `b` [k, n] and `c` [m, n] row-major without gaps, then `finish` once for every element.
/// The bits of the result do not depend on the team: each element is summed in passes over k that depend on k alone, and
/// zeros of `a` that are skipped leave them as they are. No element is a negative zero, which the sums would keep or not.
///
/// `packed` is room that the caller keeps between products.
#[allow(clippy::too_many_arguments, reason = "a matrix product has three sizes and three matrices")]
pub fn product(
    simd: Simd,
    team: &Team,
    packed: &mut Packed,
    [m, k, n]: [usize; 3],
    a: Operand<f32>,
    b: Operand<f32>,
    c: &mut [f32],
    finish: Finish<f32>,
) {
    let mut c = ArrayViewMut2::from_shape((m, n), c).expect("the product is [m, n] without gaps");
    if m == 0 || n == 0 {
        return;
    }
    let panels = n.div_ceil(COLUMNS);
    let packed = packed.room(panels * k * COLUMNS);
    // Of columns `first_column ..` and rows `first ..`, as many as `c` has.
    let multiply = |packed: &[f32], skips: bool, first: usize, first_column: usize, mut c: ArrayViewMut2<f32>| {
        block(simd, k, a, packed, skips, first, &mut c);
        match c.as_slice_mut() {
            Some(run) => finish(first * n + first_column, run),
            None => c.rows_mut().into_iter().enumerate().for_each(|(i, row)| {
                finish((first + i) * n + first_column, row.into_slice().expect("rows have no gaps"));
            }),
        }
    };
    match Share::of([m, k, n], team.threads()) {
        Share::Columns(width) => team.columns(c, width, packed, width * k, |part, mut c, packed| {
            pack(simd, k, n, part * width, b, packed);
            let skips = c.ncols() >= PACKED_COLUMNS && is_finite(packed);
            for (i, c) in c.axis_chunks_iter_mut(Axis(0), MOST_ROWS).enumerate() {
                multiply(packed, skips, i * MOST_ROWS, part * width, c);
            }
        }),
        Share::Rows(rows) => {
            let together = panels.div_ceil(2 * team.threads()).min(MOST_PANELS) * COLUMNS;
            let skips = AtomicBool::new(n >= PACKED_COLUMNS);
            team.chunks([&mut *packed], (together * k).max(1), |i, [panels]| {
                pack(simd, k, n, i * together, b, panels);
                if n >= PACKED_COLUMNS && !is_finite(panels) {
                    skips.store(false, Ordering::Relaxed);
                }
            });
            let (packed, skips) = (&*packed, skips.into_inner());
            team.chunks([c.as_slice_mut().expect("the product has no gaps")], rows * n, |i, [c]| {
                let c = ArrayViewMut2::from_shape((c.len() / n, n), c).expect("chunks are whole rows");
                multiply(packed, skips, i * rows, 0, c);
            });
        }
    }
}

/// How threads share a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// In blocks of so many rows; the right operand is packed once, by all.
    Rows(usize),
    /// In parts of so many columns; each packs the panels of its own.
    Columns(usize),
}

impl Share {
    /// Of a product [m, n] over k: by rows, or by columns where that leaves the busiest thread less to do. What is not worth
    /// a second thread is one part.
    pub fn of([m, k, n]: [usize; 3], threads: usize) -> Self {
        let panels = n.div_ceil(COLUMNS);
        if threads == 1 || m * k * n < PARALLEL {
            return Share::Columns(panels * COLUMNS);
        }
        let (rows, width) = (block_rows(m, threads), panels.div_ceil(2 * threads) * COLUMNS);
        let by_rows = m.div_ceil(rows).div_ceil(threads) * rows.min(m) * n;
        let by_columns = n.div_ceil(width).div_ceil(threads) * width.min(n) * m;
        if by_columns < by_rows { Share::Columns(width) } else { Share::Rows(rows) }
    }
}

/// Rows of a block: two blocks a thread, so that one that started late does less.
pub fn block_rows(m: usize, threads: usize) -> usize {
    m.div_ceil(2 * threads).next_multiple_of(ROWS).clamp(2 * ROWS, MOST_ROWS)
}

/// Columns `first ..` of `b`, as many panels of k rows of [`COLUMNS`] as there is room for; the last columns are zero where
/// `b` has fewer.
fn pack(simd: Simd, k: usize, n: usize, first: usize, b: Operand<f32>, panels: &mut [f32]) {
    let together = MOST_PANELS * COLUMNS;
    for (i, panels) in panels.chunks_mut((together * k).max(1)).enumerate() {
        pack_together(simd, k, n, first + i * together, b, panels);
    }
}

/// Tells whether there is neither NaN nor infinity, whose products with zero are not zero.
fn is_finite(panels: &[f32]) -> bool {
    let magnitude = |element: &f32| element.to_bits() & !(1 << 31);
    let largest = |run: &[f32]| wide(|| run.iter().map(magnitude).max());
    panels.chunks(1024).all(|run| largest(run) < Some(f32::INFINITY.to_bits()))
}

/// As [`pack`], row by row through all panels.
fn pack_together(simd: Simd, k: usize, n: usize, first: usize, b: Operand<f32>, panels: &mut [f32]) {
    let columns = (n - first).min(panels.len() / k.max(1));
    if !columns.is_multiple_of(COLUMNS) {
        panels.fill(0.0);
    }
    if b.strides.column == 1 {
        // Row by row through all panels, because rows may lie a page apart.
        wide(|| {
            for p in 0..k {
                let row = &b.values[b.start(p) + first..][..columns];
                for (panel, from) in panels.chunks_exact_mut(k * COLUMNS).zip(row.chunks(COLUMNS)) {
                    let to = &mut panel[p * COLUMNS..][..COLUMNS];
                    match <&[f32; COLUMNS]>::try_from(from) {
                        // Vectors of a length known to the compiler are cheaper than a call that copies.
                        Ok(from) => {
                            to.chunks_exact_mut(LANES).zip(from.as_chunks::<LANES>().0).for_each(|(to, from)| {
                                to.copy_from_slice(from);
                            })
                        }
                        Err(_) => to[..from.len()].copy_from_slice(from),
                    }
                }
            }
        });
        return;
    }
    let (whole_columns, whole_k) = if b.is_transposed() { (columns & !7, k & !7) } else { (0, 0) };
    // Where column j of row 0 is, and where it goes.
    let from = |j: usize| (first + j) * b.strides.column;
    let to = |j: usize| j / COLUMNS * k * COLUMNS + j % COLUMNS;
    if whole_k > 0 {
        for j in (0..whole_columns).step_by(COLUMNS) {
            let rows: [usize; COLUMNS] = std::array::from_fn(|i| from(j + i));
            let rows = &rows[..COLUMNS.min(whole_columns - j)];
            simd.transpose(b.values, rows, whole_k, &mut panels[to(j)..], COLUMNS);
        }
    }
    for p in 0..k {
        let done = if p < whole_k { whole_columns } else { 0 };
        for j in done..columns {
            panels[to(j) + p * COLUMNS] = b.values[b.start(p) + from(j)];
        }
    }
}

/// What a block does with the left operand. The product is the same.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// Reads it as it lies.
    Plain,
    /// Packs it.
    Packed,
    /// Leaves its zeros out.
    Sparse,
}

impl Left {
    /// For a block of rows `first ..`, which may skip zeros if it `skips`.
    fn of(a: Operand<f32>, skips: bool, first: usize, [rows, k, n]: [usize; 3]) -> Self {
        match n < PACKED_COLUMNS {
            true => Left::Plain,
            false if skips && rows * k * n >= SKIPPING && is_sparse(a, first, rows, k) => Left::Sparse,
            false => Left::Packed,
        }
    }
}

/// Rows `first ..` of the product, as many as `c` has, and as many columns of the packed ones. Zeros are left out where it
/// `skips` them.
fn block(simd: Simd, k: usize, a: Operand<f32>, packed: &[f32], skips: bool, first: usize, c: &mut ArrayViewMut2<f32>) {
    let passes = k.div_ceil(DEPTH);
    if passes == 0 {
        c.fill(0.0);
    }
    // Passes start at multiples of 8, so that all blocks to transpose are whole. Rounded up, since DEPTH is one too: rounded
    // down, the last pass may be deeper than that.
    let start = |pass: usize| (k * pass / passes).next_multiple_of(8).min(k);
    let passes = (0..passes).map(|pass| Right { simd, packed, k, depth: start(pass)..start(pass + 1) });
    match Left::of(a, skips, first, [c.nrows(), k, c.ncols()]) {
        Left::Plain => passes.for_each(|right| {
            let start = right.depth.start * a.strides.column;
            right.multiply(a.values, |row| a.start(first + row) + start, a.strides.column, c);
        }),
        Left::Packed => block_packed(passes, a, first, c),
        Left::Sparse => block_sparse(passes, a, first, c),
    }
}

/// [`block`] with room for the packed left operand. Not inlined, so that only who needs the room has it on the stack.
#[inline(never)]
fn block_packed<'a>(
    passes: impl Iterator<Item = Right<'a>>,
    a: Operand<f32>,
    first: usize,
    c: &mut ArrayViewMut2<f32>,
) {
    let mut left = [Line::default(); MOST_ROWS * DEPTH / LANES];
    passes.for_each(|right| right.multiply_packed(a, first, bytemuck::cast_slice_mut(&mut left), c));
}

/// [`block`] with room for sparse rows and their sums.
#[inline(never)]
fn block_sparse<'a>(
    passes: impl Iterator<Item = Right<'a>>,
    a: Operand<f32>,
    first: usize,
    c: &mut ArrayViewMut2<f32>,
) {
    let mut sums = [Line::default(); MOST_ROWS * SPARSE_PANELS * COLUMNS / LANES];
    let mut rows = SparseRows::new();
    passes.for_each(|right| right.multiply_sparse(a, first, &mut rows, bytemuck::cast_slice_mut(&mut sums), c));
}

/// The right operand in panels, and the part of k that a pass is about.
struct Right<'a> {
    simd: Simd,
    packed: &'a [f32],
    k: usize,
    depth: Range<usize>,
}

impl Right<'_> {
    /// As [`Right::multiply`], with the left operand packed first: what a tile reads then lies together, whatever the
    /// strides. Rows a power of two apart would all fall into the same few places of the first-level cache.
    fn multiply_packed(&self, a: Operand<f32>, first: usize, packed: &mut [f32], c: &mut ArrayViewMut2<f32>) {
        let ((rows, n), depth, adds) = (c.dim(), self.depth.len(), self.depth.start > 0);
        let packed = &mut packed[..rows.div_ceil(ROWS) * depth * ROWS];
        self.pack_left(a, first, rows, packed);
        for j in (0..n).step_by(COLUMNS) {
            let columns = COLUMNS.min(n - j);
            let whole = if columns.is_multiple_of(LANES) { rows / ROWS } else { 0 };
            let (tiles, rest) = packed.split_at(whole * depth * ROWS);
            if whole > 0 {
                let next = if j + COLUMNS < n { self.panel(j + COLUMNS) } else { self.panel(0) };
                self.simd.tiles(tiles, self.panel(j), next, c, j, columns, adds);
            }
            for (i, left) in rest.chunks_exact(depth * ROWS).enumerate() {
                self.edge(left, &std::array::from_fn(|r| r), ROWS, c, [(whole + i) * ROWS, j]);
            }
        }
    }

    /// As [`Right::multiply`], without what is zero in the left operand.
    fn multiply_sparse(
        &self,
        a: Operand<f32>,
        first: usize,
        sparse: &mut SparseRows,
        sums: &mut [f32],
        c: &mut ArrayViewMut2<f32>,
    ) {
        let (rows, n) = c.dim();
        sparse.fill(self.simd, a, first, rows, self.depth.clone());
        // As many panels at a time as there are registers for, or one fewer, so that none is left over at the end.
        let panels = n.div_ceil(COLUMNS);
        let groups = panels.div_ceil(self.simd.sparse_panels());
        for group in 0..groups {
            let j = group * panels / groups * COLUMNS;
            let columns = ((group + 1) * panels / groups * COLUMNS).min(n) - j;
            let panels = &self.packed[j * self.k + self.depth.start * COLUMNS..];
            let mut c = c.slice_mut(s![.., j..j + columns]);
            sparse.multiply(self.simd, panels, self.k * COLUMNS, sums, &mut c, self.depth.start > 0);
        }
    }

    /// This pass's part of the panel that starts with column `j`.
    fn panel(&self, j: usize) -> &[f32] {
        &self.packed[j * self.k..][self.depth.start * COLUMNS..self.depth.end * COLUMNS]
    }

    /// A tile that is cut by the end of the product: computed whole, as much of it copied as there is.
    fn edge(&self, left: &[f32], starts: &[usize; ROWS], step: usize, c: &mut ArrayViewMut2<f32>, [i, j]: [usize; 2]) {
        let (rows, columns) = (ROWS.min(c.nrows() - i), COLUMNS.min(c.ncols() - j));
        let mut tile = [[0.0; COLUMNS]; ROWS];
        let padded = columns.next_multiple_of(LANES);
        self.simd.tile(left, starts, step, self.panel(j), &mut ArrayViewMut2::from(&mut tile), [0, 0], padded, false);
        let mut c = c.slice_mut(s![i..i + rows, j..j + columns]);
        for (c, tile) in c.rows_mut().into_iter().zip(&tile) {
            let c = c.into_slice().expect("rows have no gaps");
            // The tile has no negative zeros any more, and nothing here makes one.
            if self.depth.start > 0 {
                c.iter_mut().zip(tile).for_each(|(c, t)| *c += t);
            } else {
                c.copy_from_slice(&tile[..columns]);
            }
        }
    }

    /// Rows `first ..+ rows` of the left operand, tile after tile, each column after column; rows that the last tile has
    /// not are a copy of its last one.
    fn pack_left(&self, a: Operand<f32>, first: usize, rows: usize, packed: &mut [f32]) {
        let (depth, first_depth) = (self.depth.len(), self.depth.start);
        // A transposed operand is read along its columns, all tiles at once: its rows may lie a page apart.
        let read = if a.is_transposed() { rows / ROWS } else { 0 };
        for p in 0..depth {
            let column = &a.values[first + (first_depth + p) * a.strides.column..][..read * ROWS];
            for (tile, from) in column.as_chunks::<ROWS>().0.iter().enumerate() {
                packed[(tile * depth + p) * ROWS..][..ROWS].copy_from_slice(from);
            }
        }
        for (tile, packed) in packed.chunks_exact_mut(depth * ROWS).enumerate().skip(read) {
            let last = rows - tile * ROWS - 1;
            let starts: [usize; ROWS] = std::array::from_fn(|r| a.start(first + tile * ROWS + r.min(last)));
            let whole = if a.strides.column == 1 { depth & !7 } else { 0 };
            if whole > 0 {
                self.simd.transpose(a.values, &starts.map(|start| start + first_depth), whole, packed, ROWS);
            }
            for p in whole..depth {
                let at = (first_depth + p) * a.strides.column;
                let to = &mut packed[p * ROWS..][..ROWS];
                to.iter_mut().zip(starts).for_each(|(to, start)| *to = a.values[start + at]);
            }
        }
    }

    /// Adds this pass to `c`, or starts it with the first one. Element (i, p) of the left operand is
    /// `left[start(i) + p·step]`.
    fn multiply(&self, left: &[f32], start: impl Fn(usize) -> usize, step: usize, c: &mut ArrayViewMut2<f32>) {
        let ((rows, n), adds) = (c.dim(), self.depth.start > 0);
        for j in (0..n).step_by(COLUMNS) {
            let columns = COLUMNS.min(n - j);
            for i in (0..rows).step_by(ROWS) {
                // Rows of a data set in another order lie anywhere: the next tile's come while this one is multiplied.
                if j == 0 {
                    (i + ROWS..(i + 2 * ROWS).min(rows)).for_each(|row| fetch(&left[start(row)]));
                }
                let starts = std::array::from_fn(|r| start((i + r).min(rows - 1)));
                if i + ROWS <= rows && columns.is_multiple_of(LANES) {
                    self.simd.tile(left, &starts, step, self.panel(j), c, [i, j], columns, adds);
                } else {
                    self.edge(left, &starts, step, c, [i, j]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out_where_they_may_be_and_are_worth_it() {
        let half: Vec<f32> = (0..128 * 300).map(|i| (i % 2) as f32).collect();
        let few: Vec<f32> = (0..128 * 300).map(|i| (i % 9) as f32).collect();
        let left =
            |values: &[f32], skips: bool, sizes: [usize; 3]| Left::of(Operand::rows(values, 300), skips, 0, sizes);
        assert_eq!(left(&half, true, [128, 300, 256]), Left::Sparse);
        assert_eq!(left(&half, true, [14, 300, 256]), Left::Sparse);
        assert_eq!(left(&half, true, [13, 300, 256]), Left::Packed);
        assert_eq!(left(&half, false, [128, 300, 256]), Left::Packed);
        assert_eq!(left(&few, true, [128, 300, 256]), Left::Packed);
        assert_eq!(left(&half, true, [128, 300, 255]), Left::Plain);
    }
}
