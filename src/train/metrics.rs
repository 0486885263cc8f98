//! Metrics of a set, computed in f64 on the host from outputs that are read back once: they mean what scikit-learn's
//! of the same name mean.

use serde::Serialize;

use crate::config::Task;
use crate::data::Dataset;

/// What is known of a set's answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Metrics {
    /// In the target's own unit; the mean over several targets.
    Regression {
        /// Root of the mean squared error.
        rmse: f64,
        /// Mean absolute error.
        mae: f64,
        /// 1 − the sum of squared errors / that of always answering the rows' mean.
        r2: f64,
    },
    /// Of answers that are classes.
    Classes {
        /// The share of right answers.
        accuracy: f64,
        /// Means over the classes.
        precision: f64,
        /// The mean share of a class's rows that were found.
        recall: f64,
        /// The mean harmonic mean of precision and recall.
        f1: f64,
        /// Area under the ROC curve, for two classes.
        #[serde(skip_serializing_if = "Option::is_none")]
        roc_auc: Option<f64>,
        /// `confusion[true class][predicted class]`.
        confusion: Vec<Vec<usize>>,
    },
}

impl Metrics {
    /// The single numbers worth a column in history.csv.
    pub fn scalars(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let list: Vec<(&'static str, f64)> = match *self {
            Metrics::Regression { rmse, mae, r2 } => vec![("rmse", rmse), ("mae", mae), ("r2", r2)],
            Metrics::Classes { accuracy, f1, roc_auc, .. } => {
                let auc = roc_auc.map(|auc| ("roc_auc", auc));
                [("accuracy", accuracy), ("f1", f1)].into_iter().chain(auc).collect()
            }
        };
        list.into_iter()
    }

    /// Accuracy, or R² for regression.
    pub fn headline(&self) -> (&'static str, f64) {
        match *self {
            Metrics::Regression { r2, .. } => ("R²", r2),
            Metrics::Classes { accuracy, .. } => ("accuracy", accuracy),
        }
    }
}

/// The right answers of some rows of a data set.
pub struct Truth<'a> {
    /// Where the answers are.
    pub data: &'a Dataset,
    /// Which rows.
    pub rows: &'a [u32],
}

impl Truth<'_> {
    /// Metrics of the network's outputs, `[rows, outputs]`.
    pub fn metrics(&self, outputs: &[f32]) -> Metrics {
        let width = self.data.outputs();
        match self.data.task {
            Task::Regression => self.regression(|i, column| f64::from(outputs[i * width + column])),
            Task::Binary => {
                let scores: Vec<f64> = outputs.iter().map(|&p| f64::from(p)).collect();
                let predicted: Vec<usize> = scores.iter().map(|&p| usize::from(p >= 0.5)).collect();
                self.classes(&predicted, Some(&scores))
            }
            Task::Classification => {
                let best = |row: &[f32]| (1..width).fold(0, |best, j| if row[j] > row[best] { j } else { best });
                let predicted: Vec<usize> = outputs.chunks_exact(width).map(best).collect();
                let scores: Option<Vec<f64>> =
                    (width == 2).then(|| outputs.chunks_exact(2).map(|row| f64::from(row[1])).collect());
                self.classes(&predicted, scores.as_deref())
            }
        }
    }

    /// Metrics of always giving the training rows' mean or most frequent class.
    pub fn baseline(&self, train: &[u32]) -> Metrics {
        let (targets, width) = (&self.data.targets, self.data.target_columns());
        if self.data.task == Task::Regression {
            let mean = |column: usize| {
                train.iter().map(|&row| f64::from(targets[row as usize * width + column])).sum::<f64>()
                    / train.len() as f64
            };
            let means: Vec<f64> = (0..width).map(mean).collect();
            return self.regression(|_, column| means[column]);
        }
        let mut counts = vec![0usize; self.data.classes.len()];
        train.iter().for_each(|&row| counts[targets[row as usize] as usize] += 1);
        let majority = (0..counts.len()).fold(0, |best, c| if counts[c] > counts[best] { c } else { best });
        self.classes(&vec![majority; self.rows.len()], None)
    }

    fn regression(&self, predicted: impl Fn(usize, usize) -> f64) -> Metrics {
        let width = self.data.target_columns();
        let rows = self.rows.len() as f64;
        let (mut squares, mut absolute, mut r2) = (0.0, 0.0, 0.0);
        for column in 0..width {
            let unscale = |value: f64| self.data.preprocessing.unscale_target(column, value);
            let truth: Vec<f64> = self
                .rows
                .iter()
                .map(|&row| unscale(f64::from(self.data.targets[row as usize * width + column])))
                .collect();
            let mean = truth.iter().sum::<f64>() / rows;
            let errors = truth.iter().enumerate().map(|(i, t)| unscale(predicted(i, column)) - t);
            let (residual, total_absolute) = errors.fold((0.0, 0.0), |(s, a), e| (s + e * e, a + e.abs()));
            let spread: f64 = truth.iter().map(|t| (t - mean) * (t - mean)).sum();
            squares += residual;
            absolute += total_absolute;
            // As scikit-learn: a constant target is matched perfectly or not at all.
            r2 += if spread > 0.0 { 1.0 - residual / spread } else { f64::from(u8::from(residual == 0.0)) };
        }
        let count = rows * width as f64;
        Metrics::Regression { rmse: (squares / count).sqrt(), mae: absolute / count, r2: r2 / width as f64 }
    }

    fn classes(&self, predicted: &[usize], scores: Option<&[f64]>) -> Metrics {
        let count = self.data.classes.len();
        let truth: Vec<usize> = self.rows.iter().map(|&row| self.data.targets[row as usize] as usize).collect();
        let mut confusion = vec![vec![0usize; count]; count];
        truth.iter().zip(predicted).for_each(|(&t, &p)| confusion[t][p] += 1);
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let mut sums = [0.0; 3];
        let mut present = 0;
        for class in 0..count {
            let right = confusion[class][class];
            let actual: usize = confusion[class].iter().sum();
            let answered: usize = confusion.iter().map(|row| row[class]).sum();
            if actual + answered == 0 {
                continue;
            }
            present += 1;
            let both = [share(right, answered), share(right, actual), share(2 * right, actual + answered)];
            sums.iter_mut().zip(both).for_each(|(sum, x)| *sum += x);
        }
        let [precision, recall, f1] = sums.map(|sum| sum / f64::from(present.max(1)));
        let right = (0..count).map(|class| confusion[class][class]).sum();
        let roc_auc = scores.and_then(|scores| roc_auc(scores, &truth));
        Metrics::Classes { accuracy: share(right, truth.len()), precision, recall, f1, roc_auc, confusion }
    }
}

/// The probability that a row of class 1 scores above one of class 0, ties half (Mann & Whitney 1947).
fn roc_auc(scores: &[f64], truth: &[usize]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let positives = truth.iter().filter(|&&t| t == 1).count();
    let negatives = truth.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    let mut rank_sum = 0.0;
    let mut start = 0;
    while start < order.len() {
        let tied = order[start..].iter().take_while(|&&i| scores[i] == scores[order[start]]).count();
        let rank = start as f64 + (tied as f64 + 1.0) / 2.0;
        rank_sum += rank * order[start..start + tied].iter().filter(|&&i| truth[i] == 1).count() as f64;
        start += tied;
    }
    let positives = positives as f64;
    Some((rank_sum - positives * (positives + 1.0) / 2.0) / (positives * negatives as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_under_the_curve_counts_ties_half() {
        // sklearn.metrics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) is 0.75
        assert_eq!(roc_auc(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1]), Some(0.75));
        assert_eq!(roc_auc(&[0.5, 0.5], &[0, 1]), Some(0.5));
        assert_eq!(roc_auc(&[0.5, 0.6], &[1, 1]), None);
    }
}
