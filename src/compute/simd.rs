//! What is written for an instruction set: the inner loop of a matrix product, the transposition of a block, and a way
//! to compile a plain loop for wider vectors. The `unsafe` inside is for intrinsics on pointers, whose ranges are asserted
//! before. Only the offsets of sparse rows are a caller's word, so that function is unsafe to call.

use ndarray::ArrayViewMut2;

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_sparse;

/// Rows of one tile of a product.
pub const ROWS: usize = 8;
/// Columns of one tile of a product.
pub const COLUMNS: usize = 48;
/// A tile may be narrower, in steps of this.
pub const LANES: usize = 16;
/// Panels of [`COLUMNS`] columns whose sums of a sparse row are in registers together, at most.
pub const SPARSE_PANELS: usize = 3;

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

    /// One tile of `c = 0 + a·b`, or of `c += a·b` if it `adds`. Each element is a chain of fused multiply-adds in the
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

    /// Most panels whose columns of one row [`Simd::add_sparse`] sums up in registers.
    pub(crate) fn sparse_panels(self) -> usize {
        match self.0 {
            Set::Avx2 => 2,
            Set::Avx512 => SPARSE_PANELS,
        }
    }

    /// Copies the elements that are not zero to the front of `values`, and for each to `offsets` where it was: `first`,
    /// and `step` more for each element before it. Tells how many there are; behind them, anything may be written.
    ///
    /// # Panics
    /// If there is not room for all and a vector more, or an offset is beyond 16 bits.
    pub(crate) fn compress(
        self,
        from: &[f32],
        first: usize,
        step: usize,
        values: &mut [f32],
        offsets: &mut [u16],
    ) -> usize {
        let room = from.len() + LANES;
        let (values, offsets) = (&mut values[..room], &mut offsets[..room]);
        assert!(first + from.len() * step <= usize::from(u16::MAX), "offsets have 16 bits");
        #[cfg(target_arch = "x86_64")]
        if self.0 == Set::Avx512 {
            // SAFETY: the processor has the instruction set, and there is the room that the function asks for.
            return unsafe {
                x86_sparse::compress_avx512(from, first, step, values.as_mut_ptr(), offsets.as_mut_ptr())
            };
        }
        let mut count = 0;
        for (i, &element) in from.iter().enumerate() {
            // Without a branch, which nobody could predict.
            values[count] = element;
            offsets[count] = (first + i * step) as u16;
            count += usize::from(element != 0.0);
        }
        count
    }

    /// Sums of sparse rows, which have `counts` values each, one row's after the other's: a value times the row of the panels
    /// at its offset, in bytes, added up in the order of the values, from zero or, if it `adds`, from what `sums` has.
    /// Panels lie `pitch` elements apart; `sums` has for each row as many columns as are summed up, in whole vectors, of at
    /// most [`Simd::sparse_panels`]. The sums go there or, with `last`, to its matrix: in place of what is there or, with
    /// true, added to that.
    ///
    /// # Safety
    /// Every offset must be that of one of the first `depth` rows of a panel.
    ///
    /// # Panics
    /// If an operand is too small.
    #[allow(clippy::too_many_arguments, reason = "the operands of one instruction sequence")]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub(crate) unsafe fn add_sparse(
        self,
        counts: &[u16],
        values: &[f32],
        offsets: &[u16],
        depth: usize,
        panels: &[f32],
        pitch: usize,
        sums: &mut [f32],
        adds: bool,
        last: Option<(ArrayViewMut2<f32>, bool)>,
    ) {
        let length = counts.iter().map(|&count| usize::from(count)).sum::<usize>();
        assert!(length <= values.len().min(offsets.len()), "as many values as are counted");
        let vectors = sums.len() / counts.len().max(1) / LANES;
        assert!(sums.len() == counts.len() * vectors * LANES, "sums in whole vectors");
        if vectors == 0 {
            return;
        }
        let others = (vectors * LANES - 1) / COLUMNS;
        let end = others.checked_mul(pitch).and_then(|start| start.checked_add(depth * COLUMNS));
        assert!(others < self.sparse_panels() && end.is_some_and(|end| end <= panels.len()), "panels cover the sums");
        #[cfg(target_arch = "x86_64")]
        let last = last.map(|(mut c, adds)| x86_sparse::Destination {
            pitch: self::pitch(&c, [0, 0], [counts.len(), vectors * LANES]),
            to: c.as_mut_ptr(),
            adds,
        });
        #[cfg(target_arch = "x86_64")]
        macro_rules! rows {
            ($function:ident: $($vectors:literal)*) => {
                match vectors {
                    $($vectors => x86_sparse::$function::<$vectors>(
                        counts, values.as_ptr(), offsets.as_ptr(), panels.as_ptr(), pitch, sums.as_mut_ptr(), adds, last,
                    ),)*
                    _ => unreachable!("no more vectors than panels have"),
                }
            };
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the instruction set; the assertions above and the caller's word for the offsets are
        // what the functions ask for.
        unsafe {
            match self.0 {
                Set::Avx2 => rows!(sparse_avx2: 1 2 3 4 5 6),
                Set::Avx512 => rows!(sparse_avx512: 1 2 3 4 5 6 7 8 9),
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
    // A matrix of one row has any distance to the next.
    assert!(step == 1 && (pitch > 0 || c.nrows() == 1), "rows have no gaps");
    pitch.unsigned_abs()
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

/// Elements of a list between the one at hand and the one to [`fetch`], where places follow each other at random and
/// no processor foresees them.
pub const AHEAD: usize = 16;

/// Brings an element that will be read soon into the cache, without waiting for it.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
pub fn fetch<T>(element: &T) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(element).cast());
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
