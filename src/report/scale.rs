//! Axes: from values to places on a page, with ticks that people can read off. Knows numbers only.

use super::text;

/// Maps values onto 0…1.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    pub ticks: Vec<f64>,
}

impl Scale {
    /// A linear axis over the finite ones of `values`, out to ticks on both sides; about `wanted` ticks.
    pub fn linear(values: impl IntoIterator<Item = f64>, wanted: usize) -> Scale {
        let (low, high) = range(values);
        let step = nice_step((high - low) / wanted.max(1) as f64);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks: Vec<f64> = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
        Scale { low: first * step, high: last * step, logarithmic: false, ticks }
    }

    /// A linear axis that ends where its values end, with ticks at whole numbers: for epochs.
    pub fn whole(first: usize, last: usize, wanted: usize) -> Scale {
        let step = nice_step((last.saturating_sub(first)) as f64 / wanted.max(1) as f64).max(1.0);
        let step = if step == 2.5 { 5.0 } else { step };
        let (low, high) = (first as f64, (last as f64).max(first as f64 + 1.0));
        let inner = (1..).map(|i| i as f64 * step).take_while(|&tick| tick <= high);
        let mut ticks: Vec<f64> = inner.filter(|&tick| tick >= low && tick - low >= 0.6 * step).collect();
        ticks.insert(0, low);
        ticks.retain(|&tick| tick <= last.max(first) as f64);
        Scale { low, high, logarithmic: false, ticks }
    }

    /// A logarithmic axis where all values are positive and span more than a factor of 20, else a linear one.
    pub fn by_range(values: &[f64], wanted: usize) -> Scale {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(0.0, f64::max));
        let spans = low > 0.0 && high / low > 20.0 && (high / low).is_finite();
        if !spans {
            return Scale::linear(values.iter().copied(), wanted);
        }
        let decades = (high / low).log10();
        let factors: &[f64] = match decades {
            d if d < 2.0 => &[1.0, 2.0, 5.0],
            d if d < 4.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let mut candidates: Vec<f64> = (low.log10().floor() as i32..=high.log10().ceil() as i32)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
            .collect();
        // Outward to the nearest candidates.
        let first = candidates.iter().rposition(|&tick| tick <= low).unwrap_or(0);
        let last = candidates.iter().position(|&tick| tick >= high).unwrap_or(candidates.len() - 1);
        candidates.truncate(last + 1);
        candidates.drain(..first);
        let (low, high) = (candidates[0], candidates[candidates.len() - 1]);
        let every = candidates.len().div_ceil(8);
        let ticks = candidates.into_iter().step_by(every).collect();
        Scale { low, high, logarithmic: true, ticks }
    }

    /// The ticks as text; very small and very large ones all in the same way.
    pub fn labels(&self) -> Vec<String> {
        let largest = self.ticks.iter().fold(0.0, |largest: f64, tick| largest.max(tick.abs()));
        let is_plain = self.logarithmic || (0.01..1e6).contains(&largest);
        self.ticks.iter().map(|&value| if is_plain { text::tick(value) } else { text::power(value) }).collect()
    }

    pub fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }

    /// Where on the axis a value lies: 0 at its start, 1 at its end.
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

/// The finite values' range, never empty.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return (0.0, 1.0);
    }
    // A part of the numbers' range: differences must be finite.
    let (low, high) = (low.max(-4e307), high.min(4e307));
    // A constant, or numbers that differ in their last bits only.
    if high - low <= 1e-9 * low.abs().max(high.abs()) {
        return match low {
            0.0 => (0.0, 1.0),
            low if low > 0.0 => (0.0, 2.0 * low),
            low => (2.0 * low, 0.0),
        };
    }
    (low, high)
}

/// The next larger one of 1, 2, 2.5 and 5 times a power of ten.
fn nice_step(rough: f64) -> f64 {
    if rough <= 0.0 || !rough.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(Scale::linear([0.13, 0.97], 5).ticks.len(), 6);
        for values in [vec![0.13, 0.97], vec![-1e6, 3.0], vec![5.0], vec![0.0], vec![], vec![f64::NAN, 1.0, 2.0]] {
            let scale = Scale::linear(values.iter().copied(), 5);
            assert!((2..=8).contains(&scale.ticks.len()), "{values:?}: {:?}", scale.ticks);
            for value in values.into_iter().filter(|value| value.is_finite()) {
                assert!((-1e-9..=1.0 + 1e-9).contains(&scale.at(value)), "{value} in {scale:?}");
            }
        }
    }

    #[test]
    fn numbers_at_the_end_of_their_range_still_have_an_axis() {
        for values in [[f64::MIN, f64::MAX], [1e-300, 2e-300], [1.0, 1.0 + f64::EPSILON], [5e-324, 1.0]] {
            for scale in [Scale::linear(values, 5), Scale::by_range(&values, 5)] {
                assert!((2..=60).contains(&scale.ticks.len()), "{values:?}: {:?}", scale.ticks);
                assert!(scale.at(values[1]).is_finite());
            }
        }
    }

    #[test]
    fn epochs_have_whole_ticks_from_the_first_one() {
        assert_eq!(Scale::whole(1, 5, 6).ticks, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(Scale::whole(1, 50, 5).ticks, [1.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(Scale::whole(1, 1, 5).ticks, [1.0]);
    }

    #[test]
    fn a_wide_range_of_positive_numbers_is_logarithmic() {
        let scale = Scale::by_range(&[0.001, 3.0], 5);
        assert!(scale.is_logarithmic());
        assert_eq!((scale.at(scale.ticks[0]), scale.ticks[0]), (0.0, 0.001));
        assert_eq!(Scale::linear([1e-3], 4).labels(), ["0", "5e−4", "1e−3", "1.5e−3", "2e−3"]);
        for linear in [[0.0, 3.0], [1.0, 3.0], [-1.0, 300.0]] {
            assert!(!Scale::by_range(&linear, 5).is_logarithmic());
        }
    }
}
