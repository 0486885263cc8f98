//! The number types a CPU twin can be run with. Knows nothing of the rest.
//!
//! Every op's twin is written once, generic over [`Real`]. With `f32` it trains on a machine without a GPU, with `f64`
//! it is the exact formula, and with [`Tracked`] it is the reference that judges a device.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

use super::tracked::Tracked;
use crate::compute::product::{Finish, block_rows, product};
use crate::compute::{Operand, Packed, Simd, Team, wide};

/// Terms from which on sums of columns are worth more than one thread: about 10 µs of work.
const PARALLEL_SUM: usize = 1 << 16;

/// Most columns that are summed up together, away from the sums of other threads: storing into the same line of the
/// caches, they would wait for each other at every row.
const SUM_COLUMNS: usize = 256;

/// One value for each number type, picked by [`Real::pick`]; how rows keep functions that are generic over `Real`.
pub struct Each<F: Family> {
    /// For training on the CPU.
    pub f32: F::Of<f32>,
    /// For the exact formula.
    pub f64: F::Of<f64>,
    /// For the reference.
    pub tracked: F::Of<Tracked>,
}

/// A type that exists for every number type, such as a struct of function pointers.
pub trait Family {
    /// The type for numbers `T`.
    type Of<T: Real>: 'static;
}

/// A sum of which one term after the other is known.
pub trait Accumulator<T>: Copy + Default {
    /// Adds one term.
    fn add(&mut self, term: T);
    /// The sum so far.
    fn total(self) -> T;
}

/// A number that a twin computes with.
pub trait Real:
    Copy
    + Debug
    + Default
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// A number that is exact in f32, as all data, weights and constants are.
    fn of(value: f64) -> Self;
    /// The value without its error.
    fn value(self) -> f64;
    /// eˣ.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// ln(1 + x), for x ≥ 0.
    fn ln_1p(self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// The larger one.
    fn maximum(self, other: Self) -> Self;
    /// The smaller one.
    fn minimum(self, other: Self) -> Self;
    /// -1, 0 or 1.
    fn sign(self) -> Self;
    /// 1 where the number is not below `threshold`, else 0.
    fn at_least(self, threshold: f64) -> Self {
        Self::of(f64::from(u8::from(self.value() >= threshold)))
    }
    /// A sum on its way.
    type Sum: Accumulator<Self>;
    /// A sum that adds the terms one after the other or in any other order.
    fn sum(terms: impl Iterator<Item = Self>) -> Self {
        let mut sum = Self::Sum::default();
        terms.for_each(|term| sum.add(term));
        sum.total()
    }
    /// The sum of each column of `rows`, which has as many columns as `sums` has elements.
    fn column_sums(_team: &Team, rows: &[Self], sums: &mut [Self]) {
        let columns = sums.len();
        for (column, sum) in sums.iter_mut().enumerate() {
            *sum = Self::sum(rows.iter().skip(column).step_by(columns).copied());
        }
    }
    /// `c = a·b` with `a` [m, k], `b` [k, n] and `c` [m, n] row-major without gaps.
    fn matmul(m: usize, k: usize, n: usize, a: Operand<Self>, b: Operand<Self>, c: &mut [Self]);
    /// [`Real::matmul`] on a team, `[m, k, n]` being the sizes, and `finish` for each run of elements. `packed` is room
    /// kept between products.
    fn product(
        team: &Team,
        _packed: &mut Packed,
        [m, k, n]: [usize; 3],
        a: Operand<Self>,
        b: Operand<Self>,
        c: &mut [Self],
        finish: Finish<Self>,
    ) {
        blocks(team, [m, k, n], a, b, c, finish);
    }
    /// `values` as they are, if this is what numbers of this type are.
    fn borrow_f32(_values: &[f32]) -> Option<&[Self]> {
        None
    }
    /// The member for this type.
    fn pick<F: Family>(each: &Each<F>) -> &F::Of<Self>;

    /// The same number.
    fn from_f32(value: f32) -> Self {
        Self::of(f64::from(value))
    }
    /// 0.
    fn zero() -> Self {
        Self::default()
    }
    /// 1.
    fn one() -> Self {
        Self::of(1.0)
    }
    /// Zero for an f32 too small to be normal, as WGSL lets a device have it; all else as it is, but for the sign of zero.
    fn flushed(self) -> Self {
        self
    }
    /// Tells whether the number is neither NaN nor infinite.
    fn is_finite(self) -> bool {
        self.value().is_finite()
    }
}

macro_rules! impl_real {
    ($float:ident, $field:ident, $erf:path, { $($own:item)* }) => {
        impl Accumulator<$float> for $float {
            fn add(&mut self, term: $float) {
                *self += term;
            }
            fn total(self) -> $float {
                self
            }
        }

        impl Real for $float {
            type Sum = $float;
            $($own)*
            fn of(value: f64) -> Self {
                value as $float
            }
            fn value(self) -> f64 {
                self as f64
            }
            fn exp(self) -> Self {
                $float::exp(self)
            }
            fn ln(self) -> Self {
                $float::ln(self)
            }
            fn sqrt(self) -> Self {
                $float::sqrt(self)
            }
            fn tanh(self) -> Self {
                $float::tanh(self)
            }
            fn erf(self) -> Self {
                $erf(self)
            }
            fn ln_1p(self) -> Self {
                $float::ln_1p(self)
            }
            fn abs(self) -> Self {
                $float::abs(self)
            }
            fn maximum(self, other: Self) -> Self {
                if self < other { other } else { self }
            }
            fn minimum(self, other: Self) -> Self {
                if other < self { other } else { self }
            }
            fn sign(self) -> Self {
                (if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self * 0.0
                })
            }
            fn column_sums(team: &Team, rows: &[Self], sums: &mut [Self]) {
                let columns = sums.len();
                let parallel = rows.len() >= PARALLEL_SUM;
                let width = if parallel { columns.div_ceil(team.threads()).clamp(1, SUM_COLUMNS) } else { SUM_COLUMNS };
                let sum = |part: usize, sums: &mut [Self]| {
                    wide(|| {
                        let mut own = [0.0; SUM_COLUMNS];
                        let own = &mut own[..sums.len()];
                        for row in rows.chunks_exact(columns) {
                            own.iter_mut().zip(&row[part * width..]).for_each(|(sum, term)| *sum += term);
                        }
                        sums.copy_from_slice(own);
                    });
                };
                if parallel {
                    team.chunks([sums], width, |part, [sums]| sum(part, sums));
                } else {
                    sums.chunks_mut(width).enumerate().for_each(|(part, sums)| sum(part, sums));
                }
            }
            fn matmul(m: usize, k: usize, n: usize, a: Operand<Self>, b: Operand<Self>, c: &mut [Self]) {
                let mut c = ArrayViewMut2::from_shape((m, n), c).expect("the product is [m, n] without gaps");
                general_mat_mul(1.0, &view(a, m, k), &view(b, k, n), 0.0, &mut c);
            }
            fn pick<F: Family>(each: &Each<F>) -> &F::Of<Self> {
                &each.$field
            }
        }
    };
}

impl_real!(f32, f32, libm::erff, {
    fn flushed(self) -> Self {
        if self.abs() < f32::MIN_POSITIVE { 0.0 } else { self }
    }
    fn product(
        team: &Team,
        packed: &mut Packed,
        [m, k, n]: [usize; 3],
        a: Operand<Self>,
        b: Operand<Self>,
        c: &mut [Self],
        finish: Finish<Self>,
    ) {
        match Simd::detect() {
            Some(simd) => product(simd, team, packed, [m, k, n], a, b, c, finish),
            None => blocks(team, [m, k, n], a, b, c, finish),
        }
    }
    fn borrow_f32(values: &[f32]) -> Option<&[Self]> {
        // `matrixmultiply` takes no list of rows.
        Simd::detect().map(|_| values)
    }
});
impl_real!(f64, f64, libm::erf, {});

/// [`Real::matmul`] block by block.
fn blocks<T: Real>(team: &Team, [m, k, n]: [usize; 3], a: Operand<T>, b: Operand<T>, c: &mut [T], finish: Finish<T>) {
    let rows = block_rows(m, team.threads());
    team.chunks([c], (rows * n).max(1), |block, [c]| {
        let values = &a.values[block * rows * a.strides.row..];
        T::matmul(c.len() / n, k, n, Operand { values, ..a }, b, c);
        finish(block * rows * n, c);
    });
}

fn view<T>(operand: Operand<T>, rows: usize, columns: usize) -> ArrayView2<T> {
    assert!(operand.order.is_none(), "only `product` takes a list of rows");
    let strides = (operand.strides.row, operand.strides.column);
    ArrayView2::from_shape((rows, columns).strides(strides), operand.values).expect("an operand covers its matrix")
}
