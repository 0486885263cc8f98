//! What is written for an instruction set: the inner loop of a matrix product, the transposition of a block, and a way
//! to compile a plain loop for wider vectors. All functions here are safe to call; the `unsafe` inside is for
//! intrinsics on pointers, whose ranges are asserted before.

use ndarray::ArrayViewMut2;

/// Rows of one tile of a product.
pub const ROWS: usize = 8;
/// Columns of one tile of a product.
pub const COLUMNS: usize = 48;
/// A tile may be narrower, in steps of this.
pub const LANES: usize = 16;

/// An instruction set that this file knows and this processor has: only [`Simd::available`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Simd(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    /// AVX2 with fused multiply-add: 8 lanes, 16 registers.
    Avx2,
    /// AVX-512: 16 lanes, 32 registers.
    Avx512,
}

impl Simd {
    /// All that this processor has, the widest last.
    pub fn available() -> impl Iterator<Item = Simd> {
        [Set::Avx2, Set::Avx512].into_iter().filter(|set| set.is_available()).map(Simd)
    }

    /// The widest; `None` on other processors, which compute products with `matrixmultiply`.
    pub fn detect() -> Option<Simd> {
        Simd::available().last()
    }

    /// One tile of `c = a·b`, or of `c += a·b` if it `adds`. Each element is a chain of fused multiply-adds in the
    /// order of k, whatever the instruction set and wherever in a tile the element lies.
    ///
    /// Element (i, p) of `a` is `left[rows[i] + p·step]`; `right` holds k rows of [`COLUMNS`]; the tile starts with element
    /// (i, j) of `c`, whose rows have no gaps, and has `columns` columns.
    ///
    /// # Panics
    /// If an operand is too small.
    #[allow(clippy::too_many_arguments, reason = "the operands of one instruction sequence")]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    #[inline]
    pub(crate) fn tile(
        self,
        left: &[f32],
        rows: &[usize; ROWS],
        step: usize,
        right: &[f32],
        c: &mut ArrayViewMut2<f32>,
        [i, j]: [usize; 2],
        columns: usize,
        adds: bool,
    ) {
        let k = right.len() / COLUMNS;
        assert!(columns.is_multiple_of(LANES) && (LANES..=COLUMNS).contains(&columns), "a tile has whole vectors");
        assert!(k > 0 && right.len() == k * COLUMNS, "the right operand has whole rows");
        let last = |row: usize| (k - 1).checked_mul(step)?.checked_add(row);
        assert!(rows.iter().all(|&row| last(row) < Some(left.len())), "the left operand covers its tile");
        let pitch = pitch(c, [i, j], [ROWS, columns]);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set, and the assertions above are what the functions ask for.
        unsafe {
            let (right, c) = (right.as_ptr(), c.as_mut_ptr().add(i * pitch + j));
            let left = rows.map(|row| left.as_ptr().add(row));
            match (self.0, columns / LANES) {
                (Set::Avx2, _) => x86::tile_avx2(k, left, step, right, c, pitch, columns, adds),
                (Set::Avx512, 1) => x86::tile_avx512::<1>(k, left, step, right, c, pitch, adds),
                (Set::Avx512, 2) => x86::tile_avx512::<2>(k, left, step, right, c, pitch, adds),
                (Set::Avx512, _) => x86::tile_avx512::<3>(k, left, step, right, c, pitch, adds),
            }
        }
    }

    /// Tiles one below the other, as [`Simd::tile`] one by one: `left` holds, tile by tile, k columns of [`ROWS`] elements.
    /// The first one starts with element (0, j) of `c`. `next` is what will be read afterwards; it comes nearer meanwhile.
    ///
    /// # Panics
    /// If an operand is too small.
    #[allow(clippy::too_many_arguments, reason = "the operands of one instruction sequence")]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub(crate) fn tiles(
        self,
        left: &[f32],
        right: &[f32],
        next: &[f32],
        c: &mut ArrayViewMut2<f32>,
        j: usize,
        columns: usize,
        adds: bool,
    ) {
        let k = right.len() / COLUMNS;
        assert!(columns.is_multiple_of(LANES) && (LANES..=COLUMNS).contains(&columns), "a tile has whole vectors");
        assert!(k > 0 && right.len() == k * COLUMNS, "the right operand has whole rows");
        assert!(left.len().is_multiple_of(k * ROWS), "the left operand has whole tiles");
        let tiles = left.len() / (k * ROWS);
        let pitch = pitch(c, [0, j], [tiles * ROWS, columns]);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set, and the assertions above are what the functions ask for.
        unsafe {
            let (left, right, next) = (left.as_ptr(), right.as_ptr(), next.as_ptr());
            let c = c.as_mut_ptr().add(j);
            match (self.0, columns / LANES) {
                (Set::Avx2, _) => (0..tiles).for_each(|tile| {
                    let left = std::array::from_fn(|row| left.add(tile * k * ROWS + row));
                    x86::tile_avx2(k, left, ROWS, right, c.add(tile * ROWS * pitch), pitch, columns, adds);
                }),
                (Set::Avx512, 1) => x86::tiles_avx512::<1>(tiles, k, left, right, next, c, pitch, adds),
                (Set::Avx512, 2) => x86::tiles_avx512::<2>(tiles, k, left, right, next, c, pitch, adds),
                (Set::Avx512, _) => x86::tiles_avx512::<3>(tiles, k, left, right, next, c, pitch, adds),
            }
        }
    }

    /// Transposes rows of `length` elements, both multiples of 8: `to[j·pitch + i] = from[rows[i] + j]`.
    ///
    /// # Panics
    /// If a slice is too short.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub(crate) fn transpose(self, from: &[f32], rows: &[usize], length: usize, to: &mut [f32], pitch: usize) {
        assert!(length > 0 && length.is_multiple_of(8) && rows.len().is_multiple_of(8), "blocks are 8 × 8");
        assert!(rows.iter().all(|row| row + length <= from.len()), "the rows lie in the matrix");
        assert!((length - 1) * pitch + rows.len() <= to.len(), "there is room for the columns");
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set, and the assertions above are what the functions ask for.
        unsafe {
            let (sixteens, rest) = if self.0 == Set::Avx512 { rows.as_chunks::<16>() } else { (&[][..], rows) };
            for (i, rows) in sixteens.iter().enumerate() {
                let to = to.as_mut_ptr().add(16 * i);
                x86::transpose_avx512(rows.map(|row| from.as_ptr().add(row)), length, to, pitch);
            }
            for (i, rows) in rest.as_chunks::<8>().0.iter().enumerate() {
                let to = to.as_mut_ptr().add(16 * sixteens.len() + 8 * i);
                x86::transpose_avx2(rows.map(|row| from.as_ptr().add(row)), length, to, pitch);
            }
        }
    }
}

/// From a row of `c` to the next, in elements.
///
/// # Panics
/// If `c` has not so many rows and columns from element (i, j) on, or gaps in its rows.
fn pitch(c: &ArrayViewMut2<f32>, [i, j]: [usize; 2], [rows, columns]: [usize; 2]) -> usize {
    let (below, beside) = (c.nrows().saturating_sub(i), c.ncols().saturating_sub(j));
    assert!(rows <= below && columns <= beside, "the product covers its tiles");
    let [pitch, step] = *c.strides() else { unreachable!("a matrix has two axes") };
    assert!(step == 1 && pitch > 0, "rows have no gaps");
    pitch as usize
}

impl Set {
    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        match self {
            Set::Avx2 => avx2,
            Set::Avx512 => avx2 && is_x86_feature_detected!("avx512f"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        false
    }
}

/// Calls `f` compiled for vectors as wide as the processor has, up to 8 lanes. The results are those of `f()`: nothing
/// is contracted or reordered.
#[inline(always)]
pub fn wide<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { x86::wide(f) };
    }
    f()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{COLUMNS, ROWS};
    use std::arch::x86_64::*;

    /// Fetches the line at an address, which may be any, without reading it.
    #[inline(always)]
    fn prefetch<const HINT: i32>(address: *const f32) {
        #[allow(unused_unsafe, reason = "the oldest compilers that Cargo.toml promises call it unsafe")]
        // SAFETY: a prefetch never faults, and SSE is part of x86-64.
        unsafe {
            _mm_prefetch::<HINT>(address.cast())
        }
    }

    #[target_feature(enable = "avx2")]
    pub fn wide<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    /// `VECTORS` vectors of 16 lanes a row: with three, 24 sums, 3 of `right` and one of `left` in 28 of 32 registers.
    ///
    /// # Safety
    /// `left[i]` must be valid for reads at `0, step, …, (k − 1)·step`, `right` for `k·COLUMNS` reads, `c` for reads
    /// and writes of `16·VECTORS` elements at each of `i·pitch`.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn tile_avx512<const VECTORS: usize>(
        k: usize,
        left: [*const f32; ROWS],
        step: usize,
        right: *const f32,
        c: *mut f32,
        pitch: usize,
        adds: bool,
    ) {
        for i in 0..ROWS {
            for v in 0..VECTORS {
                // Where the sums go will be in the cache when they are there.
                prefetch::<_MM_HINT_T0>(c.wrapping_add(i * pitch + 16 * v));
            }
        }
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let (mut at, mut right) = (0, right);
        for _ in 0..k {
            let mut b = [_mm512_setzero_ps(); VECTORS];
            for (v, b) in b.iter_mut().enumerate() {
                // SAFETY: column 16·v of row p.
                *b = unsafe { _mm512_loadu_ps(right.add(16 * v)) };
            }
            for (sums, left) in sums.iter_mut().zip(left) {
                // SAFETY: `at` is p·step.
                let a = _mm512_set1_ps(unsafe { *left.add(at) });
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_fmadd_ps(a, b, *sum);
                }
            }
            at += step;
            right = right.wrapping_add(COLUMNS);
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                // SAFETY: column 16·v of row i of `c`.
                unsafe {
                    let to = c.add(i * pitch + 16 * v);
                    let sum = if adds { _mm512_add_ps(_mm512_loadu_ps(to), sum) } else { sum };
                    _mm512_storeu_ps(to, sum);
                }
            }
        }
    }

    /// `sums += left·right`: a column of [`ROWS`] elements times a row of `16·VECTORS`.
    ///
    /// # Safety
    /// Both must be valid for as many reads.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn multiply_add<const VECTORS: usize>(
        sums: &mut [[__m512; VECTORS]; ROWS],
        left: *const f32,
        right: *const f32,
    ) {
        // SAFETY: the vectors of a row.
        let right: [__m512; VECTORS] = std::array::from_fn(|v| unsafe { _mm512_loadu_ps(right.add(16 * v)) });
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: element i of a column.
            let left = _mm512_set1_ps(unsafe { *left.add(i) });
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = _mm512_fmadd_ps(left, right, *sum);
            }
        }
    }

    /// Tiles one below the other, whose rows of `left` lie together. Eight steps of k at a time, and with each eight two
    /// lines of `next`, which are not read but fetched: the next panel is in the second cache when its turn comes.
    ///
    /// # Safety
    /// `left` must be valid for `tiles·k·ROWS` reads, `right` for `k·COLUMNS` reads, `c` for reads and writes of
    /// `16·VECTORS` elements at each of the `tiles·ROWS` multiples of `pitch`. `next` may be any address.
    #[target_feature(enable = "avx512f")]
    #[allow(clippy::too_many_arguments, reason = "the operands of one instruction sequence")]
    pub unsafe fn tiles_avx512<const VECTORS: usize>(
        tiles: usize,
        k: usize,
        mut left: *const f32,
        right: *const f32,
        mut next: *const f32,
        mut c: *mut f32,
        pitch: usize,
        adds: bool,
    ) {
        for _ in 0..tiles {
            for i in 0..ROWS {
                for v in 0..VECTORS {
                    prefetch::<_MM_HINT_T0>(c.wrapping_add(i * pitch + 16 * v));
                }
            }
            let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
            let mut right = right;
            for _ in 0..k / 8 {
                prefetch::<_MM_HINT_T1>(next);
                prefetch::<_MM_HINT_T1>(next.wrapping_add(16));
                next = next.wrapping_add(32);
                for p in 0..8 {
                    // SAFETY: eight columns of the tile, eight rows of the panel.
                    unsafe { multiply_add(&mut sums, left.add(p * ROWS), right.add(p * COLUMNS)) };
                }
                left = left.wrapping_add(8 * ROWS);
                right = right.wrapping_add(8 * COLUMNS);
            }
            for _ in 0..k % 8 {
                // SAFETY: one column of the tile, one row of the panel.
                unsafe { multiply_add(&mut sums, left, right) };
                left = left.wrapping_add(ROWS);
                right = right.wrapping_add(COLUMNS);
            }
            for (i, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    // SAFETY: column 16·v of row i of the tile's part of `c`.
                    unsafe {
                        let to = c.add(i * pitch + 16 * v);
                        let sum = if adds { _mm512_add_ps(_mm512_loadu_ps(to), sum) } else { sum };
                        _mm512_storeu_ps(to, sum);
                    }
                }
            }
            c = c.wrapping_add(ROWS * pitch);
        }
    }

    /// Parts of 4 × 16 one after the other: 8 sums, 2 of `right` and one of `left` in 11 of 16 registers.
    ///
    /// # Safety
    /// As [`tile_avx512`], with `columns`, a multiple of 16, in place of `16·VECTORS`.
    #[target_feature(enable = "avx2,fma")]
    #[allow(clippy::too_many_arguments, reason = "the operands of one instruction sequence")]
    pub unsafe fn tile_avx2(
        k: usize,
        left: [*const f32; ROWS],
        step: usize,
        right: *const f32,
        c: *mut f32,
        pitch: usize,
        columns: usize,
        adds: bool,
    ) {
        for first_column in (0..columns).step_by(16) {
            for first_row in (0..ROWS).step_by(4) {
                let mut sums = [[_mm256_setzero_ps(); 2]; 4];
                let left: [*const f32; 4] = std::array::from_fn(|i| left[first_row + i]);
                let (mut at, mut right) = (0, right.wrapping_add(first_column));
                for _ in 0..k {
                    // SAFETY: columns `first_column ..+ 16` of row p.
                    let b = unsafe { [_mm256_loadu_ps(right), _mm256_loadu_ps(right.add(8))] };
                    for (sums, left) in sums.iter_mut().zip(left) {
                        // SAFETY: `at` is p·step.
                        let a = _mm256_set1_ps(unsafe { *left.add(at) });
                        sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                        sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
                    }
                    at += step;
                    right = right.wrapping_add(COLUMNS);
                }
                for (i, sums) in sums.into_iter().enumerate() {
                    for (v, sum) in sums.into_iter().enumerate() {
                        // SAFETY: within row `first_row + i` of `c`.
                        unsafe {
                            let to = c.add((first_row + i) * pitch + first_column + 8 * v);
                            let sum = if adds { _mm256_add_ps(_mm256_loadu_ps(to), sum) } else { sum };
                            _mm256_storeu_ps(to, sum);
                        }
                    }
                }
            }
        }
    }

    /// Four columns of 8 rows at a time. Quarters of rows come together by loads, so only two shuffles a vector are left.
    ///
    /// # Safety
    /// Each of `rows` must be valid for `length` reads, a multiple of 4, `to` for 8 writes at each of `length` multiples
    /// of `pitch`.
    #[target_feature(enable = "avx2")]
    pub unsafe fn transpose_avx2(rows: [*const f32; 8], length: usize, to: *mut f32, pitch: usize) {
        for first in (0..length).step_by(4) {
            // SAFETY: 4 elements of a row.
            let quarter = |row: usize| unsafe { _mm_loadu_ps(rows[row].add(first)) };
            // Columns `first ..+ 4` of rows i and i + 4.
            let pick = |i| _mm256_set_m128(quarter(i + 4), quarter(i));
            let (r0, r1, r2, r3) = (pick(0), pick(1), pick(2), pick(3));
            let (low01, high01) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
            let (low23, high23) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
            // SAFETY: columns `first ..+ 4`.
            unsafe {
                let to = to.add(first * pitch);
                _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(low01, low23));
                _mm256_storeu_ps(to.add(pitch), _mm256_shuffle_ps::<0xee>(low01, low23));
                _mm256_storeu_ps(to.add(2 * pitch), _mm256_shuffle_ps::<0x44>(high01, high23));
                _mm256_storeu_ps(to.add(3 * pitch), _mm256_shuffle_ps::<0xee>(high01, high23));
            }
        }
    }

    /// As [`transpose_avx2`] with 16 rows: what is written are whole lines of the cache.
    ///
    /// # Safety
    /// As [`transpose_avx2`], for 16 writes.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn transpose_avx512(rows: [*const f32; 16], length: usize, to: *mut f32, pitch: usize) {
        for first in (0..length).step_by(4) {
            // SAFETY: 4 elements of a row.
            let quarter = |row: usize| unsafe { _mm_loadu_ps(rows[row].add(first)) };
            // Columns `first ..+ 4` of rows i, i + 4, i + 8 and i + 12.
            let pick = |i| {
                let picked = _mm512_castps128_ps512(quarter(i));
                let picked = _mm512_mask_broadcast_f32x4(picked, 0x00f0, quarter(i + 4));
                let picked = _mm512_mask_broadcast_f32x4(picked, 0x0f00, quarter(i + 8));
                _mm512_mask_broadcast_f32x4(picked, 0xf000, quarter(i + 12))
            };
            let (r0, r1, r2, r3) = (pick(0), pick(1), pick(2), pick(3));
            let (low01, high01) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
            let (low23, high23) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
            // SAFETY: columns `first ..+ 4`.
            unsafe {
                let to = to.add(first * pitch);
                _mm512_storeu_ps(to, _mm512_shuffle_ps::<0x44>(low01, low23));
                _mm512_storeu_ps(to.add(pitch), _mm512_shuffle_ps::<0xee>(low01, low23));
                _mm512_storeu_ps(to.add(2 * pitch), _mm512_shuffle_ps::<0x44>(high01, high23));
                _mm512_storeu_ps(to.add(3 * pitch), _mm512_shuffle_ps::<0xee>(high01, high23));
            }
        }
    }
}
