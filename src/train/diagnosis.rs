//! What a finished training suffers from: the failure modes that textbooks teach, one sentence each, with what to try.
//! Pure functions over measured numbers; knows nothing of executors, data sets or files.

use std::fmt;

use serde::Serialize;

/// What a training left to judge it by; [`super::Trainer::symptoms`] measures it.
#[derive(Debug, Clone, PartialEq)]
pub struct Symptoms {
    /// Of the first batch, before any step.
    pub start_loss: Option<f64>,
    /// Of each epoch.
    pub train_loss: Vec<f64>,
    /// Of each epoch; empty without validation rows.
    pub validation_loss: Vec<f64>,
    /// The configured one.
    pub learning_rate: f64,
    /// Early stopping or the user ended it before its last epoch.
    pub was_cut_short: bool,
    /// The weights of the best epoch are the ones that stay.
    pub keeps_best: bool,
    /// From the first to the last.
    pub layers: Vec<Layer>,
    /// Training rows over which units were watched.
    pub rows_watched: usize,
    /// On the training rows.
    pub train: Score,
    /// The validation rows, or without those the test rows.
    pub held_out: Option<Score>,
}

/// A dense layer at the end of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// As its tensors are named: `layers.0`.
    pub name: String,
    /// Its name.
    pub activation: String,
    /// How many.
    pub units: usize,
    /// ReLU units that are 0 for every row watched; `None` if they are no ReLUs.
    pub dead: Option<usize>,
    /// ‖dW‖ / ‖W‖ of the last step; `None` if no step was taken.
    pub gradient: Option<f64>,
}

/// How well a set is answered, beside always giving the training rows' mean or most frequent class.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// `train`, `validation`, `test`.
    pub set: &'static str,
    /// In the set.
    pub rows: usize,
    /// `accuracy` or `R²`.
    pub metric: &'static str,
    /// Accuracy or R².
    pub value: f64,
    /// The same metric of always answering the mean or the most frequent class.
    pub baseline: f64,
    /// Mean over the rows.
    pub loss: f64,
    /// The loss of such answers.
    pub baseline_loss: f64,
}

/// A fault and what to try.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// What textbooks call it, such as `dead_relu`.
    pub symptom: &'static str,
    /// One sentence.
    pub finding: String,
    /// What to try.
    pub remedy: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: try {}", self.finding, self.remedy)
    }
}

/// Every fault that the numbers show, causes before effects; none for a healthy training.
pub fn diagnose(symptoms: &Symptoms) -> Vec<Advice> {
    let dead = dead_relu(symptoms);
    let mut advice = Vec::new();
    let high = learning_rate_too_high(symptoms);
    // A dead layer passes no gradient on, nor do units that large steps drove into saturation: that is no fault of depth.
    let vanishing = if dead.is_none() && high.is_none() { vanishing_gradients(symptoms) } else { None };
    // A loss that jumps may end on a way down, and any of the others explains that nothing was learned.
    let slow = if high.is_some() { None } else { learning_rate_too_low(symptoms).or_else(|| not_converged(symptoms)) };
    advice.extend(dead);
    advice.extend(vanishing);
    advice.extend(exploding_gradients(symptoms));
    advice.extend(high);
    advice.extend(slow);
    if advice.is_empty() {
        advice.extend(underfitting(symptoms));
    }
    advice.extend(overfitting(symptoms));
    advice
}

/// A few units that never fire are usual and do no harm; from a quarter on, the layer is narrower than it was meant.
const DEAD_SHARE: f64 = 0.25;

fn dead_relu(symptoms: &Symptoms) -> Option<Advice> {
    let is_sick = |layer: &&Layer| layer.dead.is_some_and(|dead| dead as f64 >= DEAD_SHARE * layer.units as f64);
    let told = |layer: &Layer| format!("{} of {} in {}", layer.dead.unwrap_or(0), layer.units, layer.name);
    let sick: Vec<String> = symptoms.layers.iter().filter(is_sick).map(told).collect();
    (!sick.is_empty()).then(|| Advice {
        symptom: "dead_relu",
        finding: format!(
            "dead ReLU units, 0 for each of {} training rows and so without a gradient to learn by: {}",
            symptoms.rows_watched,
            sick.join(", ")
        ),
        remedy: format!(
            "a smaller learning rate (--lr {}) or --activation leaky_relu",
            rate(symptoms.learning_rate / 10.0)
        ),
    })
}

/// In networks that learn, layers' gradients differ by a factor of up to 100 or so, relative to their weights. A
/// sigmoid passes on at most a quarter, so five or six of them lose a factor of 1,000: there the lower layers hardly move.
const VANISHING: f64 = 1e-3;

fn vanishing_gradients(symptoms: &Symptoms) -> Option<Advice> {
    let (first, last) = (symptoms.layers.first()?, symptoms.layers.last()?);
    let (low, high) = (first.gradient?, last.gradient?);
    // No gradient above either: it is not on the way down that it got lost.
    if !(high > 0.0 && low < VANISHING * high) {
        return None;
    }
    let lost = if low > 0.0 { format!("{} times smaller than", rounded(high / low)) } else { "0 beside".to_owned() };
    let remedy = if symptoms.layers.iter().any(|layer| ["sigmoid", "tanh"].contains(&layer.activation.as_str())) {
        "--activation relu, init = \"auto\", batch_norm between the layers, or fewer layers"
    } else {
        "init = \"auto\", batch_norm between the layers, or fewer layers"
    };
    Some(Advice {
        symptom: "vanishing_gradients",
        finding: format!(
            "the gradients vanish on their way down: relative to its weights, that of {} is {lost} that of {}",
            first.name, last.name
        ),
        remedy: remedy.to_owned(),
    })
}

/// A step of plain gradient descent at the default learning rate of 1e-3 would then change a layer by a tenth of itself.
const EXPLODING: f64 = 100.0;

fn exploding_gradients(symptoms: &Symptoms) -> Option<Advice> {
    let of = |layer: &Layer| layer.gradient.unwrap_or(0.0);
    let worst = symptoms.layers.iter().max_by(|a, b| of(a).total_cmp(&of(b)))?;
    (of(worst) > EXPLODING).then(|| Advice {
        symptom: "exploding_gradients",
        finding: format!(
            "the gradients explode: that of {} is {} times as large as its weights",
            worst.name,
            rounded(of(worst))
        ),
        remedy: "[regularization] clip_norm = 1.0, init = \"auto\", or standardize = true".to_owned(),
    })
}

/// Epochs of mini-batches differ by a few per cent anyhow; a fifth more is a jump.
const JUMP: f64 = 1.2;
/// Below a tenth of what always giving the same answer costs, jumps are those of a loss that is nearly 0.
const NEGLIGIBLE: f64 = 0.1;
/// Batches may differ by a factor of 2 or 3; ten times the loss of the start weights is the work of the first steps.
const OVERSHOT: f64 = 10.0;
/// One jump may be chance; in one epoch of ten they are a habit.
const JUMPING_SHARE: f64 = 0.1;

fn learning_rate_too_high(symptoms: &Symptoms) -> Option<Advice> {
    let (losses, scale) = (&symptoms.train_loss, symptoms.train.baseline_loss);
    let (first, last) = (*losses.first()?, *losses.last()?);
    let jumps = losses.windows(2).filter(|pair| pair[1] > JUMP * pair[0] && pair[1] > NEGLIGIBLE * scale).count();
    let start = symptoms.start_loss.unwrap_or(f64::INFINITY);
    let highest = losses.iter().copied().fold(0.0, f64::max);
    let finding = if highest > OVERSHOT * start && highest > scale {
        format!("the training loss rose from {} at the start to {}", rounded(start), rounded(highest))
    } else if losses.len() >= 3 && last > JUMP * first {
        format!("the training loss rose from {} to {}", rounded(first), rounded(last))
    } else if jumps >= 2 && jumps as f64 >= JUMPING_SHARE * losses.len() as f64 {
        format!("the training loss jumps: in {jumps} of {} epochs it rose by more than a fifth", losses.len())
    } else {
        return None;
    };
    let remedy = format!("a smaller learning rate, such as --lr {}", rate(symptoms.learning_rate / 10.0));
    Some(Advice {
        symptom: "learning_rate_too_high",
        finding: format!("{finding}; the learning rate of {} may be too high", rate(symptoms.learning_rate)),
        remedy,
    })
}

/// The loss to watch for whether training is at its end: on rows that cannot be learned by heart, where there are any.
fn watched(symptoms: &Symptoms) -> &[f64] {
    if symptoms.validation_loss.is_empty() { &symptoms.train_loss } else { &symptoms.validation_loss }
}

/// Trends are told by fifths of a training.
const FIFTHS: usize = 5;
/// Fewer epochs are the beginning of any curve, and that is straight.
const CURVE: usize = 10;
/// The end of a training curve falls far more slowly than its start; half as fast is nearly a straight line.
const STRAIGHT: f64 = 0.5;

fn learning_rate_too_low(symptoms: &Symptoms) -> Option<Advice> {
    let losses = watched(symptoms);
    let (first, last) = (*losses.first()?, *losses.last()?);
    // Chance goes up and down; a rate that is too low goes down in every epoch.
    let falls = losses.windows(2).all(|pair| pair[1] < pair[0]);
    let fifth = losses.len() / FIFTHS;
    if symptoms.was_cut_short || losses.len() < CURVE || !falls {
        return None;
    }
    let (early, late) = (first - losses[fifth], losses[losses.len() - 1 - fifth] - last);
    // With less than half of the loss gone: a line that ends near 0 has arrived.
    (late > STRAIGHT * early && last > 0.5 * first).then(|| Advice {
        symptom: "learning_rate_too_low",
        finding: format!(
            "the loss fell from {} to {} in an almost straight line; the learning rate of {} may be too low",
            rounded(first),
            rounded(last),
            rate(symptoms.learning_rate)
        ),
        remedy: format!("--lr {}, or more epochs", rate(symptoms.learning_rate * 10.0)),
    })
}

/// The last fifth of the epochs brought this share of all that was gained, …
const STILL_GAINING: f64 = 0.05;
/// … and this share of the loss that is left.
const STILL_FALLING: f64 = 0.02;

fn not_converged(symptoms: &Symptoms) -> Option<Advice> {
    let losses = watched(symptoms);
    if symptoms.was_cut_short || losses.len() < 2 {
        return None;
    }
    // Means over several epochs, so that one lucky epoch decides nothing.
    let width = (losses.len() / FIFTHS).max(1);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let last = mean(&losses[losses.len() - width..]);
    let before = mean(&losses[losses.len() - 2 * width..losses.len() - width]);
    let (fall, gained) = (before - last, losses[0] - last);
    // Where next to nothing is left, there is nothing to wait for.
    let matters = last > 0.01 * symptoms.train.baseline_loss;
    (fall > STILL_GAINING * gained && fall > STILL_FALLING * before && matters).then(|| Advice {
        symptom: "not_converged",
        finding: format!(
            "the {} loss was still falling when training ended after {} epochs",
            if symptoms.validation_loss.is_empty() { "training" } else { "validation" },
            losses.len()
        ),
        remedy: format!("--epochs {}", 3 * losses.len()),
    })
}

/// A model that explains less than this much of the loss has learned nothing that is worth having.
const LEARNED: f64 = 0.05;

impl Score {
    /// The way from the baseline (0) to perfection (1).
    fn skill(&self) -> f64 {
        if self.baseline < 1.0 { (self.value - self.baseline) / (1.0 - self.baseline) } else { 0.0 }
    }

    /// What the metric may differ by chance: two standard errors of a share, half the way to 1 at most.
    fn chance(&self) -> f64 {
        if self.metric != "accuracy" {
            return 0.0;
        }
        let share = self.baseline.clamp(0.0, 1.0);
        (2.0 * (share * (1.0 - share) / self.rows.max(1) as f64).sqrt()).min(0.5 * (1.0 - share))
    }

    /// Neither its answers nor its certainty beat always giving the same answer.
    fn is_no_better_than_baseline(&self) -> bool {
        let lost = self.loss > (1.0 - LEARNED) * self.baseline_loss;
        lost && self.value <= self.baseline + self.chance().max(LEARNED * (1.0 - self.baseline))
    }

    fn against_baseline(&self) -> String {
        let same = if self.metric == "accuracy" { "the most frequent class" } else { "the mean" };
        let set = if self.set == "train" { "training" } else { self.set };
        format!("{} {:.2} on the {set} rows (always {same}: {:.2})", self.metric, self.value, self.baseline)
    }
}

fn underfitting(symptoms: &Symptoms) -> Option<Advice> {
    let train = &symptoms.train;
    let held_out_too = symptoms.held_out.as_ref().is_none_or(Score::is_no_better_than_baseline);
    if !(train.is_no_better_than_baseline() && held_out_too) {
        return None;
    }
    let shown = symptoms.held_out.as_ref().unwrap_or(train);
    let linear = symptoms.layers.len() < 2;
    let (cause, remedy) = if linear {
        ("there may be nothing to learn, or more than a straight line can separate", "a hidden layer (--hidden 64)")
    } else {
        (
            "there may be nothing to learn in these columns, or the network underfits",
            "other columns, or a larger --hidden",
        )
    };
    Some(Advice {
        symptom: "underfitting",
        finding: format!("hardly better than always giving one answer: {}; {cause}", shown.against_baseline()),
        // What stopped for want of progress will not make any in more epochs.
        remedy: match symptoms.was_cut_short {
            true => format!("{remedy}, or another --lr"),
            false => format!("{remedy}, --epochs {}, or another --lr", 3 * symptoms.train_loss.len()),
        },
    })
}

/// The training rows may be known better than others by this share of the way from the baseline to perfection: that
/// is what good models of small tables show.
const GAP: f64 = 0.25;
/// A validation loss that far above its best is no longer noise.
const RISEN: f64 = 1.2;

fn overfitting(symptoms: &Symptoms) -> Option<Advice> {
    let (train, held_out) = (&symptoms.train, symptoms.held_out.as_ref()?);
    // What was not learned at all was not learned by heart either.
    if train.skill() <= 0.0 {
        return None;
    }
    let nothing_carries_over = held_out.is_no_better_than_baseline() && !train.is_no_better_than_baseline();
    let gap = train.value - held_out.value;
    let (finding, remedy) = if nothing_carries_over {
        let finding = format!(
            "overfitting: {} {:.2} on the training rows, but hardly better than always giving one answer elsewhere, {}; \
             there may be nothing to learn in these columns",
            train.metric,
            train.value,
            held_out.against_baseline()
        );
        (finding, "more rows, or other columns: a larger network would only learn more by heart")
    } else if train.skill() - held_out.skill() >= GAP && gap > held_out.chance() {
        let finding = format!(
            "overfitting: {} {:.2} on the training rows and {:.2} on the {} rows",
            train.metric, train.value, held_out.value, held_out.set
        );
        (finding, "more rows, a smaller --hidden, dropout, or --set regularization.l2=1e-3")
    } else {
        return forgotten_best(symptoms);
    };
    Some(Advice { symptom: "overfitting", finding, remedy: remedy.to_owned() })
}

/// The validation loss has passed its best, and the weights of then are gone.
fn forgotten_best(symptoms: &Symptoms) -> Option<Advice> {
    let losses = &symptoms.validation_loss;
    let (best, lowest) = losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1))?;
    let last = *losses.last()?;
    let falls = symptoms.train_loss.last()? < symptoms.train_loss.get(best)?;
    (!symptoms.keeps_best && falls && last > RISEN * lowest).then(|| Advice {
        symptom: "overfitting",
        finding: format!(
            "overfitting: the validation loss was best after epoch {} ({}) and has risen to {} while the training loss fell",
            best + 1,
            rounded(*lowest),
            rounded(last)
        ),
        remedy: "--set early_stopping.patience=10, which keeps the best weights".to_owned(),
    })
}

/// Three significant digits, for people.
fn rounded(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = 2 - value.abs().log10().floor() as i64;
    if decimals > 6 { format!("{value:.2e}") } else { format!("{value:.*}", decimals.max(0) as usize) }
}

/// A learning rate as one would type it: a tenth of 1e-5 is 1e-6 here and not 0.0000010000000000000002.
fn rate(value: f64) -> String {
    let clean: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if clean < 1e-3 { format!("{clean:e}") } else { clean.to_string() }
}

#[cfg(test)]
#[path = "diagnosis_tests.rs"]
mod tests;
