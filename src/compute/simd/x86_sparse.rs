//! As `x86.rs`, for rows in compressed sparse form.

use std::arch::x86_64::*;

use super::x86::prefetch;
use super::{COLUMNS, LANES};

/// Where vector `vector` of a panel's row lies, and of the panels beside it.
#[inline(always)]
fn sparse_place(row: *const f32, pitch: usize, vector: usize) -> *const f32 {
    let in_panel = COLUMNS / LANES;
    row.wrapping_add(vector / in_panel * pitch + vector % in_panel * LANES)
}

/// Where sums go that are complete.
#[derive(Clone, Copy)]
pub struct Destination {
    /// Those of the first row.
    pub to: *mut f32,
    /// From a row to the next.
    pub pitch: usize,
    /// Whether they are added to what is there.
    pub adds: bool,
}

impl Destination {
    /// That of row `row`, whose vectors will be in the cache when its sums are there.
    #[inline(always)]
    fn row(self, row: usize, vectors: usize) -> Self {
        let to = self.to.wrapping_add(row * self.pitch);
        (0..vectors).for_each(|v| prefetch::<_MM_HINT_T0>(to.wrapping_add(LANES * v)));
        Destination { to, ..self }
    }
}

/// Sums of sparse rows, `16·VECTORS` columns of each in registers: `sums[i] = Σ values·right`, or `+=` if it `adds`. With
/// `last` they go there instead of to `sums`.
///
/// # Safety
/// `values` and `offsets` must be valid for as many reads as all `counts` together, `right` for reads of 16 elements at
/// each place that `VECTORS` and `pitch` give from each offset, in bytes, on, and `sums` and each row of `last` for reads
/// and writes of `16·VECTORS` elements for each of `counts`.
#[target_feature(enable = "avx512f")]
#[allow(clippy::too_many_arguments, reason = "the operands of one instruction sequence")]
pub unsafe fn sparse_avx512<const VECTORS: usize>(
    counts: &[u16],
    mut values: *const f32,
    mut offsets: *const u16,
    right: *const f32,
    pitch: usize,
    mut sums: *mut f32,
    adds: bool,
    last: Option<Destination>,
) {
    for (row, &count) in counts.iter().enumerate() {
        let last = last.map(|last| last.row(row, VECTORS));
        let mut row_sums = [_mm512_setzero_ps(); VECTORS];
        if adds {
            for (v, sum) in row_sums.iter_mut().enumerate() {
                // SAFETY: vector v of the row's sums.
                *sum = unsafe { _mm512_loadu_ps(sums.add(LANES * v)) };
            }
        }
        for i in 0..usize::from(count) {
            // SAFETY: value i of the row.
            let (value, offset) = unsafe { (_mm512_set1_ps(*values.add(i)), *offsets.add(i)) };
            let row = right.wrapping_byte_add(usize::from(offset));
            for (v, sum) in row_sums.iter_mut().enumerate() {
                // SAFETY: a vector of the row at that offset.
                *sum = _mm512_fmadd_ps(value, unsafe { _mm512_loadu_ps(sparse_place(row, pitch, v)) }, *sum);
            }
        }
        for (v, sum) in row_sums.into_iter().enumerate() {
            // SAFETY: vector v of the row, here or there.
            unsafe {
                match last {
                    Some(Destination { to, adds, .. }) => {
                        let to = to.add(LANES * v);
                        let before = if adds { _mm512_loadu_ps(to) } else { _mm512_setzero_ps() };
                        _mm512_storeu_ps(to, _mm512_add_ps(before, sum));
                    }
                    None => _mm512_storeu_ps(sums.add(LANES * v), sum),
                }
            }
        }
        values = values.wrapping_add(usize::from(count));
        offsets = offsets.wrapping_add(usize::from(count));
        sums = sums.wrapping_add(LANES * VECTORS);
    }
}

/// As [`sparse_avx512`], with two vectors of 8 in place of each of 16.
///
/// # Safety
/// As [`sparse_avx512`].
#[target_feature(enable = "avx2,fma")]
#[allow(clippy::too_many_arguments, reason = "the operands of one instruction sequence")]
pub unsafe fn sparse_avx2<const VECTORS: usize>(
    counts: &[u16],
    mut values: *const f32,
    mut offsets: *const u16,
    right: *const f32,
    pitch: usize,
    mut sums: *mut f32,
    adds: bool,
    last: Option<Destination>,
) {
    for (row, &count) in counts.iter().enumerate() {
        let last = last.map(|last| last.row(row, VECTORS));
        let mut row_sums = [[_mm256_setzero_ps(); 2]; VECTORS];
        if adds {
            for (v, sum) in row_sums.iter_mut().enumerate() {
                // SAFETY: vector v of the row's sums.
                *sum = unsafe { [_mm256_loadu_ps(sums.add(LANES * v)), _mm256_loadu_ps(sums.add(LANES * v + 8))] };
            }
        }
        for i in 0..usize::from(count) {
            // SAFETY: value i of the row.
            let (value, offset) = unsafe { (_mm256_set1_ps(*values.add(i)), *offsets.add(i)) };
            let row = right.wrapping_byte_add(usize::from(offset));
            for (v, sum) in row_sums.iter_mut().enumerate() {
                let place = sparse_place(row, pitch, v);
                // SAFETY: a vector of the row at that offset.
                let right = unsafe { [_mm256_loadu_ps(place), _mm256_loadu_ps(place.add(8))] };
                sum[0] = _mm256_fmadd_ps(value, right[0], sum[0]);
                sum[1] = _mm256_fmadd_ps(value, right[1], sum[1]);
            }
        }
        for (v, sum) in row_sums.as_flattened().iter().enumerate() {
            // SAFETY: vector v of the row, here or there.
            unsafe {
                match last {
                    Some(Destination { to, adds, .. }) => {
                        let to = to.add(8 * v);
                        let before = if adds { _mm256_loadu_ps(to) } else { _mm256_setzero_ps() };
                        _mm256_storeu_ps(to, _mm256_add_ps(before, *sum));
                    }
                    None => _mm256_storeu_ps(sums.add(8 * v), *sum),
                }
            }
        }
        values = values.wrapping_add(usize::from(count));
        offsets = offsets.wrapping_add(usize::from(count));
        sums = sums.wrapping_add(LANES * VECTORS);
    }
}

/// The elements of `from` that are not zero, and where each was: `first`, and `step` more for each element before it.
///
/// # Safety
/// `values` and `offsets` must be valid for as many writes as `from` has elements, and 16 more.
#[target_feature(enable = "avx512f")]
pub unsafe fn compress_avx512(from: &[f32], first: usize, step: usize, values: *mut f32, offsets: *mut u16) -> usize {
    let steps = _mm512_mullo_epi32(
        _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
        _mm512_set1_epi32(step as i32),
    );
    let (mut at, mut count) = (_mm512_add_epi32(_mm512_set1_epi32(first as i32), steps), 0);
    for run in from.chunks(LANES) {
        // SAFETY: as many elements as the run has.
        let elements = unsafe { _mm512_maskz_loadu_ps(u16::MAX >> (LANES - run.len()), run.as_ptr()) };
        // NaN is not zero.
        let kept = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(elements, _mm512_setzero_ps());
        // SAFETY: at most 16 beyond those before.
        unsafe {
            _mm512_storeu_ps(values.add(count), _mm512_maskz_compress_ps(kept, elements));
            let places = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(kept, at));
            _mm256_storeu_si256(offsets.add(count).cast(), places);
        }
        count += kept.count_ones() as usize;
        at = _mm512_add_epi32(at, _mm512_set1_epi32((LANES * step) as i32));
    }
    count
}
