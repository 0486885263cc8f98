//! The learning-rate range test: a short training whose rate rises from step to step, and the rate that its losses
//! suggest (Smith, Cyclical Learning Rates for Training Neural Networks, 2015, arXiv:1506.01186, section 3.3; in the
//! form of fastai's `lr_find`: an exponential sweep, a smoothed loss, an end where it exceeds four times its best).

use std::ops::ControlFlow;

use super::{Open, Trainer};
use crate::error::{Error, Result};
use crate::ops::Batch;
use crate::plan::Phase;

/// The rates that are tried, evenly on a logarithmic scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sweep {
    /// The lowest rate.
    pub first: f64,
    /// The highest rate.
    pub last: f64,
    /// Mini-batches, one a rate.
    pub steps: usize,
}

impl Default for Sweep {
    fn default() -> Self {
        Sweep { first: 1e-7, last: 10.0, steps: 200 }
    }
}

impl Sweep {
    fn rate(&self, step: usize) -> f64 {
        let share = step as f64 / (self.steps - 1).max(1) as f64;
        self.first * libm::pow(self.last / self.first, share)
    }
}

/// One step of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Of this step.
    pub learning_rate: f64,
    /// Mean over the batch's rows, measured before its own update.
    pub loss: f64,
    /// The exponentially weighted mean of the losses so far.
    pub smoothed: f64,
}

/// What a range test found.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeTest {
    /// One a rate, in rising order.
    pub points: Vec<Point>,
    /// With two significant digits. None: at no rate did the loss fall.
    pub suggestion: Option<f64>,
}

/// The weight of the past in the smoothed loss, for a sweep of 100 steps; as fastai's.
const MEMORY: f64 = 0.98;

/// The sweep ends where the smoothed loss exceeds its best so far this many times; as fastai's.
const END: f64 = 4.0;

impl Trainer<'_> {
    /// Trains a batch at each rate of the sweep. Takes the trainer: its weights are spoilt afterwards.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the very first loss is NaN or infinite, [`Error::Device`] if the device fails.
    pub fn range_test(mut self, sweep: &Sweep) -> Result<RangeTest> {
        let mut curve = Curve::new(sweep.steps);
        let in_epoch = self.steps_per_epoch();
        for step in 0..sweep.steps {
            if step % in_epoch == 0 {
                self.shuffle(step / in_epoch, 1)?;
                self.plan_batches(step / in_epoch, 1);
            }
            let rate = sweep.rate(step);
            let loss = self.one_step(Batch { learning_rate: rate as f32, ..self.batches[step % in_epoch] })?;
            if step == 0 && !loss.is_finite() {
                return Err(self.diverged("the loss before the first step"));
            }
            if curve.add(rate, loss).is_break() {
                break;
            }
        }
        let suggestion = valley(&curve.points).map(two_digits);
        Ok(RangeTest { points: curve.points, suggestion })
    }

    fn one_step(&mut self, batch: Batch) -> Result<f64> {
        let results = self.executor.plan().results;
        self.run(Phase::Train, &[batch])?;
        self.step += 1;
        let mut sums = Open::default();
        sums.add(&self.executor.read(results, 0..batch.count as usize)?);
        if sums.rows == 0 {
            return Err(Error::internal("a batch without rows"));
        }
        Ok(sums.loss / sums.rows as f64)
    }
}

/// The losses so far.
struct Curve {
    points: Vec<Point>,
    memory: f64,
    mean: f64,
    best: f64,
}

impl Curve {
    fn new(steps: usize) -> Self {
        // The same share of the sweep is remembered, whatever the number of its steps.
        let memory = libm::pow(MEMORY, 100.0 / steps.max(1) as f64);
        Curve { points: Vec::new(), memory, mean: 0.0, best: f64::INFINITY }
    }

    fn add(&mut self, learning_rate: f64, loss: f64) -> ControlFlow<()> {
        if !loss.is_finite() {
            return ControlFlow::Break(());
        }
        self.mean = self.memory * self.mean + (1.0 - self.memory) * loss;
        // Without this the mean would start at 0 (Kingma & Ba 2015, section 3).
        let smoothed = self.mean / (1.0 - libm::pow(self.memory, (self.points.len() + 1) as f64));
        self.points.push(Point { learning_rate, loss, smoothed });
        self.best = self.best.min(smoothed);
        if smoothed > END * self.best { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Fastai's `valley`, its default (`fastai.callback.schedule`): the longest falling subsequence of the smoothed losses,
/// taken to lie without gaps before its lowest point, and of that stretch the rate in the middle, (1/3 + 1/6) of the
/// way. Like there, the first tenth and the last five points are left out, as the average is still settling or the
/// loss rising already. The steepest descent, Smith's own hint, is a matter of noise on small data.
fn valley(points: &[Point]) -> Option<f64> {
    let points = points.get(points.len() / 10..points.len().saturating_sub(5))?;
    // The points of the longest falling subsequence that ends at each.
    let mut lengths: Vec<usize> = Vec::with_capacity(points.len());
    for (i, point) in points.iter().enumerate() {
        let before = (0..i).filter(|&j| points[j].smoothed > point.smoothed).map(|j| lengths[j]).max();
        lengths.push(before.unwrap_or(0) + 1);
    }
    // Of several the first.
    let (end, &length) = lengths.iter().enumerate().rev().max_by_key(|(_, length)| **length)?;
    let middle = (end + length / 3 + length / 6).saturating_sub(length);
    (length > 1).then(|| points[middle].learning_rate)
}

/// As a person would type it.
fn two_digits(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(losses: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let point = |(i, loss): (usize, f64)| Point { learning_rate: 10f64.powi(i as i32), loss, smoothed: loss };
        losses.into_iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_sweep_goes_from_its_first_rate_to_its_last_by_equal_factors() {
        let sweep = Sweep { first: 1e-4, last: 1.0, steps: 5 };
        for (step, expected) in [1e-4, 1e-3, 1e-2, 1e-1, 1.0].into_iter().enumerate() {
            assert!((sweep.rate(step) / expected - 1.0).abs() < 1e-12, "{step}");
        }
    }

    #[test]
    fn the_suggestion_lies_in_the_middle_of_the_longest_fall() {
        // The first two and the last five are not looked at; six points fall, to the one at 1e10: 1e10 - 6 + 2 + 1.
        let losses =
            [9.0, 9.0, 7.0, 7.0, 7.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 2.5, 3.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0];
        assert_eq!(valley(&points(losses)), Some(1e7));
        // Noise does not cut a fall short: 7 6 5 4 3 are five points, to 1e9; 1e9 - 5 + 1 + 0.
        let losses = [9.0, 7.0, 8.0, 6.0, 6.5, 5.0, 7.0, 4.0, 4.5, 3.0, 8.0, 8.0, 8.0, 8.0, 8.0];
        assert_eq!(valley(&points(losses)), Some(1e5));
        assert_eq!(valley(&points([1.0; 20])), None);
        assert_eq!(valley(&points((0..20).map(f64::from))), None);
        assert_eq!(valley(&points([1.0; 3])), None);
    }

    #[test]
    fn losses_are_smoothed_without_a_start_at_zero_and_four_times_the_best_is_the_end() {
        let mut curve = Curve::new(100);
        assert!(curve.add(1e-3, 2.0).is_continue() && curve.add(2e-3, 2.0).is_continue());
        assert!(curve.points.iter().all(|point| (point.smoothed - 2.0).abs() < 1e-12), "{:?}", curve.points);
        // (0.98² · 2 + 0.98 · 2 + 11) / (0.98² + 0.98 + 1) is 5.06, less than four times 2.
        assert!(curve.add(3e-3, 11.0).is_continue());
        assert!(curve.add(4e-3, 1e3).is_break());
        assert!(curve.add(5e-3, f64::NAN).is_break());
        assert_eq!(curve.points.len(), 4, "what is not finite is no point");
    }

    #[test]
    fn suggestions_have_two_digits() {
        assert_eq!([0.001234, 2.96e-5, 9.99].map(two_digits), [0.0012, 3e-5, 10.0]);
    }
}
