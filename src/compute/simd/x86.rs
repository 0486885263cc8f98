//! The loops in the instructions of x86-64. What each needs of its pointers stands above it; who calls it asserts that.

use super::{COLUMNS, ROWS};
use std::arch::x86_64::*;

/// Fetches the line at an address, which may be any, without reading it.
#[inline(always)]
pub(super) fn prefetch<const HINT: i32>(address: *const f32) {
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
                let before = if adds { _mm512_loadu_ps(to) } else { _mm512_setzero_ps() };
                let sum = _mm512_add_ps(before, sum);
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
                    let before = if adds { _mm512_loadu_ps(to) } else { _mm512_setzero_ps() };
                    let sum = _mm512_add_ps(before, sum);
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
                        let before = if adds { _mm256_loadu_ps(to) } else { _mm256_setzero_ps() };
                        let sum = _mm256_add_ps(before, sum);
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
