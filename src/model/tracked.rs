//! [`Tracked`]: the number type that judges a device. Each number carries a bound on the error that WGSL's accuracy rules
//! allow for the very same formula (running error analysis, Wilkinson 1963; Higham, Accuracy and Stability of Numerical
//! Algorithms, 2nd ed., section 3.3). Knows nothing of the rest.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use super::real::{Accumulator, Each, Family, Real};
use crate::compute::{Operand, Strides};

/// Unit roundoff of f32: the relative error of one correctly rounded operation.
pub const UNIT_ROUNDOFF: f64 = 1.0 / (1u64 << 24) as f64;

/// The smallest normal f32. WGSL lets a device flush anything below to zero.
const FLUSHED: f64 = f32::MIN_POSITIVE as f64;

/// λ of the probabilistic bound λ·√n·u for a sum of n terms (Higham & Mary, SIAM J. Sci. Comput. 41(5), 2019,
/// theorems 2.4 and 3.1): one term's rounding errors exceed it with probability below 2·exp(−λ²/2) = 5·10⁻¹¹, those of
/// any of n terms below n times that. docs/verification.md derives all of this.
const LAMBDA: f64 = 7.0;

/// A reference value together with a bound on the error a device may make in computing it in f32.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tracked {
    /// The number itself.
    pub value: f64,
    /// Absolute; NaN and infinity mean that nothing can be said.
    pub error: f64,
}

impl Tracked {
    /// `value`, whose operands contribute `inherited`, after an operation that is accurate to `roundoffs` units roundoff.
    fn rounded(value: f64, inherited: f64, roundoffs: f64) -> Self {
        Tracked { value, error: inherited + roundoffs * UNIT_ROUNDOFF * (value.abs() + inherited) + FLUSHED }
    }

    /// The factor by which a sum of `terms` products may be off, relative to the sum of their magnitudes:
    /// the smaller of the worst case and the probabilistic bound, plus one rounding each for product and final sum.
    fn summation(terms: usize) -> f64 {
        let terms = terms as f64;
        (terms.min(LAMBDA * terms.sqrt()) + 2.0) * UNIT_ROUNDOFF
    }
}

impl PartialEq for Tracked {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialOrd for Tracked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl Add for Tracked {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Tracked::rounded(self.value + other.value, self.error + other.error, 1.0)
    }
}

impl Sub for Tracked {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Tracked::rounded(self.value - other.value, self.error + other.error, 1.0)
    }
}

impl Mul for Tracked {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let inherited = self.value.abs() * other.error + self.error * other.value.abs() + self.error * other.error;
        Tracked::rounded(self.value * other.value, inherited, 1.0)
    }
}

impl Div for Tracked {
    type Output = Self;
    /// WGSL: 2.5 ULP, that is, 5 units roundoff.
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let least = other.value.abs() - other.error;
        let inherited = if least > 0.0 { (self.error + value.abs() * other.error) / least } else { f64::INFINITY };
        Tracked::rounded(value, inherited, 5.0)
    }
}

impl Neg for Tracked {
    type Output = Self;
    fn neg(self) -> Self {
        Tracked { value: -self.value, error: self.error }
    }
}

impl AddAssign for Tracked {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// A sum of [`Tracked`] numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrackedSum {
    value: f64,
    magnitude: f64,
    error: f64,
    terms: usize,
}

impl Accumulator<Tracked> for TrackedSum {
    fn add(&mut self, term: Tracked) {
        self.value += term.value;
        self.magnitude += term.value.abs() + term.error;
        self.error += term.error;
        self.terms += 1;
    }
    fn total(self) -> Tracked {
        // Each product and each partial sum may be flushed.
        let flushed = 2.0 * (self.terms + 1) as f64 * FLUSHED;
        let error = self.error + Tracked::summation(self.terms) * self.magnitude + flushed;
        Tracked { value: self.value, error }
    }
}

impl Real for Tracked {
    type Sum = TrackedSum;
    fn of(value: f64) -> Self {
        Tracked { value, error: 0.0 }
    }
    fn value(self) -> f64 {
        self.value
    }
    /// WGSL: 3 + 2·|x| ULP.
    fn exp(self) -> Self {
        let value = self.value.exp();
        // e^(x+e) − e^x; the first form is exact for small e, the second does not overflow where x + e is far below 0.
        let inherited = if self.error < 1.0 { value * self.error.exp_m1() } else { (self.value + self.error).exp() };
        Tracked::rounded(value, inherited, 6.0 + 4.0 * self.value.abs())
    }
    /// WGSL: absolute error 2⁻²¹ in [0.5, 2], else 3 ULP.
    fn ln(self) -> Self {
        let value = self.value.ln();
        let least = self.value - self.error;
        let inherited = if least > 0.0 { self.error / least } else { f64::INFINITY };
        let near_one = self.value + self.error >= 0.5 && least <= 2.0;
        let own = if near_one { 2f64.powi(-21) } else { 0.0 };
        Tracked::rounded(value, inherited + own, 6.0)
    }
    /// WGSL: as 1/inverseSqrt(x), that is, 2 ULP and the 2.5 of the division.
    fn sqrt(self) -> Self {
        let value = self.value.sqrt();
        // |√(x+e) − √x| is at most e/√x, and at most √e.
        let inherited = if self.value > 0.0 { (self.error / value).min(self.error.sqrt()) } else { self.error.sqrt() };
        Tracked::rounded(value, inherited, 9.0)
    }
    /// The kernels compute (1 − e)/(1 + e) with e = exp(−2|x|): exp's error times e(≤ 1), |x|·e ≤ 1/(2·2.718), two sums, a division.
    fn tanh(self) -> Self {
        let value = self.value.tanh();
        let e = (-2.0 * self.value.abs()).exp();
        let own = 2.0 * (6.0 + 8.0 * self.value.abs()) * e + 2.0 + 5.0 * value.abs();
        Tracked { value, error: self.error + own * UNIT_ROUNDOFF + FLUSHED }
    }
    /// The kernels' rational approximation (shaders/lib/erf.wgsl) is good to 1.5·10⁻⁷, its evaluation to 24 roundoffs.
    fn erf(self) -> Self {
        let slope = std::f64::consts::FRAC_2_SQRT_PI;
        Tracked { value: libm::erf(self.value), error: slope * self.error + 1.5e-7 + 24.0 * UNIT_ROUNDOFF }
    }
    /// The kernels compute log(1 + x).
    fn ln_1p(self) -> Self {
        (Tracked::one() + self).ln()
    }
    fn abs(self) -> Self {
        Tracked { value: self.value.abs(), error: self.error }
    }
    fn maximum(self, other: Self) -> Self {
        Tracked { value: <f64 as Real>::maximum(self.value, other.value), error: self.error.max(other.error) }
    }
    fn minimum(self, other: Self) -> Self {
        Tracked { value: <f64 as Real>::minimum(self.value, other.value), error: self.error.max(other.error) }
    }
    /// An operand that may lie on either side of 0 may have either sign.
    fn sign(self) -> Self {
        let unsure = self.error > 0.0 && self.value.abs() <= self.error;
        Tracked { value: <f64 as Real>::sign(self.value), error: if unsure { 2.0 } else { 0.0 } }
    }
    /// An operand that may lie on either side may give either.
    fn at_least(self, threshold: f64) -> Self {
        let unsure = self.error > 0.0 && (self.value - threshold).abs() <= self.error;
        let value = f64::from(u8::from(self.value >= threshold));
        Tracked { value, error: if unsure { 1.0 } else { 0.0 } }
    }
    fn matmul(m: usize, k: usize, n: usize, a: Operand<Self>, b: Operand<Self>, c: &mut [Self]) {
        let part = |operand: Operand<Self>, rows: usize, columns: usize, of: fn(&Tracked) -> f64| -> Vec<f64> {
            let Strides { row, column } = operand.strides;
            (0..rows * columns).map(|i| of(&operand.values[i / columns * row + i % columns * column])).collect()
        };
        let product = |a: &[f64], b: &[f64]| {
            let mut product = vec![0.0; m * n];
            f64::matmul(m, k, n, Operand::rows(a, k), Operand::rows(b, n), &mut product);
            product
        };
        let value = product(&part(a, m, k, |x| x.value), &part(b, k, n, |x| x.value));
        let (a_abs, b_abs) = (part(a, m, k, |x| x.value.abs()), part(b, k, n, |x| x.value.abs()));
        let (a_error, b_error) = (part(a, m, k, |x| x.error), part(b, k, n, |x| x.error));
        let magnitude = product(&a_abs, &b_abs);
        let exact = |error: &[f64]| error.iter().all(|&e| e == 0.0);
        let mut inherited = vec![0.0; m * n];
        if !exact(&a_error) || !exact(&b_error) {
            let b_upper: Vec<f64> = b_abs.iter().zip(&b_error).map(|(b, e)| b + e).collect();
            for (sum, (x, y)) in
                inherited.iter_mut().zip(product(&a_error, &b_upper).iter().zip(product(&a_abs, &b_error)))
            {
                *sum = x + y;
            }
        }
        for i in 0..m * n {
            let rounding = Tracked::summation(k) * (magnitude[i] + inherited[i]);
            let error = inherited[i] + rounding + 2.0 * (k + 1) as f64 * FLUSHED;
            c[i] = Tracked { value: value[i], error };
        }
    }
    fn pick<F: Family>(each: &Each<F>) -> &F::Of<Self> {
        &each.tracked
    }
    fn is_finite(self) -> bool {
        self.value.is_finite() && self.error.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_of_a_product_holds_for_f32_and_catches_a_relative_error_of_a_thousandth() {
        let (m, k, n) = (3, 4096, 5);
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
            f64::from((state >> 8) as f32 / (1 << 24) as f32 - 0.5)
        };
        let a: Vec<f64> = (0..m * k).map(|_| next()).collect();
        let b: Vec<f64> = (0..k * n).map(|_| next()).collect();
        let narrow = |v: &[f64]| v.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let track = |v: &[f64]| v.iter().map(|&x| Tracked::of(f64::from(x as f32))).collect::<Vec<Tracked>>();
        let mut single = vec![0f32; m * n];
        let mut reference = vec![Tracked::default(); m * n];
        f32::matmul(m, k, n, Operand::rows(&narrow(&a), k), Operand::rows(&narrow(&b), n), &mut single);
        Tracked::matmul(m, k, n, Operand::rows(&track(&a), k), Operand::rows(&track(&b), n), &mut reference);
        let off = |scale: f64| {
            single.iter().zip(&reference).any(|(&x, r)| {
                let is_within = (f64::from(x) * scale - r.value).abs() <= r.error;
                !is_within
            })
        };
        assert!(!off(1.0));
        assert!(off(1.001));
    }

    #[test]
    fn an_uncertain_sign_is_bounded_by_two() {
        let near_zero = Tracked { value: 1e-9, error: 1e-8 };
        assert_eq!(near_zero.sign().error, 2.0);
        assert_eq!(Tracked::of(1e-9).sign().error, 0.0);
    }

    #[test]
    fn an_uncertain_side_of_a_threshold_is_bounded_by_one() {
        assert_eq!(Tracked { value: 0.5 - 1e-9, error: 1e-8 }.at_least(0.5).error, 1.0);
        assert_eq!(Tracked { value: 0.4, error: 1e-8 }.at_least(0.5).error, 0.0);
    }

    #[test]
    fn dividing_by_what_may_be_zero_bounds_nothing() {
        let quotient = Tracked::of(1.0) / Tracked { value: 1e-9, error: 1e-8 };
        assert!(quotient.error.is_infinite());
    }
}
