//! Random search with successive halving: what each trial's settings are, how many epochs each gets before it is
//! compared, and how trials rank (Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
//! Optimization, AISTATS 2016, arXiv:1502.07943; eta as in Li et al., Hyperband, 2018). It trains nothing itself.

use std::cmp::Ordering;

use rand::Rng;
use toml::Value;

use super::stopping::Objective;
use crate::config::{Config, Model, Range};
use crate::model::random::{self, Stream, uniform};

/// One trial in so many goes on to the next rung, which has so many times the epochs.
pub const ETA: usize = 3;

/// A point where trials are compared and most of them end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Epochs that a trial has behind it here.
    pub epochs: usize,
    /// Trials that get so far.
    pub trials: usize,
}

/// The rungs of `trials` trials of which the best get `epochs` epochs: as many rungs as leave one trial and one epoch.
pub fn rungs(trials: usize, epochs: usize) -> Vec<Rung> {
    let mut last = 0;
    let (mut fewer_trials, mut fewer_epochs) = (trials / ETA, epochs / ETA);
    while fewer_trials >= 1 && fewer_epochs >= 1 {
        last += 1;
        (fewer_trials, fewer_epochs) = (fewer_trials / ETA, fewer_epochs / ETA);
    }
    let rung = |i: u32| {
        let share = ETA.pow(last - i) as f64;
        Rung { epochs: ((epochs as f64 / share).round() as usize).max(1), trials: trials / ETA.pow(i) }
    };
    (0..=last).map(rung).collect()
}

/// The settings of trial `number`, from 0: a value for each range, whatever the number of trials.
pub fn draw(ranges: &[(String, Range)], seed: u64, number: u32) -> Vec<(String, Value)> {
    let mut generator = random::generator(seed, Stream::Trial(number));
    ranges.iter().map(|(key, range)| (key.clone(), one(range, &mut generator))).collect()
}

fn one(range: &Range, generator: &mut impl Rng) -> Value {
    // Four digits are enough to tell trials apart, and short enough to type.
    let short = |value: f64, [low, high]: [f64; 2]| {
        let value: f64 = format!("{value:.3e}").parse().unwrap_or(value);
        Value::Float(value.clamp(low, high))
    };
    let share = uniform(generator);
    match range {
        Range::Log(bounds) => {
            let [low, high] = bounds.map(libm::log);
            short(libm::exp(low + share * (high - low)), *bounds)
        }
        Range::Uniform(bounds) => short(bounds[0] + share * (bounds[1] - bounds[0]), *bounds),
        Range::Int([low, high]) => {
            let count = (*high as f64 - *low as f64) + 1.0;
            Value::Integer(low.saturating_add((share * count) as i64).min(*high))
        }
        Range::Choice(values) => {
            let at = (share * values.len() as f64) as usize;
            values.get(at).or(values.last()).cloned().unwrap_or(Value::Boolean(false))
        }
    }
}

/// What is searched where the run file does not say: the learning rate, the l2 penalty, the batch size and, unless the
/// configuration has layers of its own, the hidden layers' units and dropout.
pub fn default_ranges(config: &Config) -> Vec<(String, Range)> {
    let mut ranges = vec![
        ("optimizer.learning_rate".to_owned(), Range::Log([1e-4, 1e-1])),
        ("regularization.l2".to_owned(), Range::Log([1e-6, 1e-2])),
        ("train.batch_size".to_owned(), Range::Choice([32, 64, 128].map(Value::Integer).into())),
    ];
    let units = |model: &Model| {
        let hidden = model.layers.split_last().map_or(&[][..], |(_, hidden)| hidden);
        hidden.to_vec()
    };
    if units(&config.model) == units(&Model::default()) {
        ranges.push(("model.layers".to_owned(), Range::Choice(networks())));
    }
    ranges
}

/// Hidden layers of several sizes, each without and with dropout.
fn networks() -> Vec<Value> {
    let layer = |kind: &str, field: &str, value: Value| {
        let mut layer = toml::Table::new();
        layer.insert("type".into(), Value::String(kind.into()));
        layer.insert(field.into(), value);
        layer
    };
    let mut networks = Vec::new();
    for sizes in [&[64][..], &[128, 64], &[256, 128], &[128, 128, 128]] {
        for rate in [0.0, 0.2] {
            let mut layers = Vec::new();
            for &units in sizes {
                layers.push(Value::Table(layer("dense", "units", Value::Integer(units))));
                if let Some(Value::Table(dense)) = layers.last_mut() {
                    dense.insert("activation".into(), Value::String("relu".into()));
                }
                if rate > 0.0 {
                    layers.push(Value::Table(layer("dropout", "rate", Value::Float(rate))));
                }
            }
            layers.push(Value::Table(toml::Table::from_iter([("type".to_owned(), Value::String("dense".into()))])));
            networks.push(Value::Array(layers));
        }
    }
    networks
}

/// How far a trial came, and how good it was there.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// From 0.
    pub trial: usize,
    /// Rungs that it has behind it.
    pub rungs: usize,
    /// Epochs that it was trained.
    pub epochs: usize,
    /// The objective; none if it diverged, or has not come to a rung yet.
    pub score: Option<f64>,
    /// Training it met NaN or infinity.
    pub diverged: bool,
}

/// Sorts the best to the front: who came farther, then who was better there, then who was drawn earlier. Trials that
/// diverged come last.
pub fn rank(standings: &mut [Standing], objective: &Objective) {
    let key = |standing: &Standing| {
        let score = standing.score.map(|score| if objective.higher_is_better { score } else { -score });
        (!standing.diverged, standing.rungs, score)
    };
    standings.sort_by(|a, b| {
        let (a_key, b_key) = (key(a), key(b));
        // Scores are never NaN.
        b_key.partial_cmp(&a_key).unwrap_or(Ordering::Equal).then(a.trial.cmp(&b.trial))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_have_thrice_the_epochs_and_a_third_of_the_trials() {
        let pairs = |trials, epochs| -> Vec<(usize, usize)> {
            rungs(trials, epochs).into_iter().map(|rung| (rung.epochs, rung.trials)).collect()
        };
        assert_eq!(pairs(27, 81), [(3, 27), (9, 9), (27, 3), (81, 1)]);
        assert_eq!(pairs(20, 50), [(6, 20), (17, 6), (50, 2)]);
        assert_eq!(pairs(27, 3), [(1, 27), (3, 9)]);
        assert_eq!(pairs(2, 50), [(50, 2)]);
        assert_eq!(pairs(1, 1), [(1, 1)]);
        assert_eq!(pairs(1000, 1), [(1, 1000)]);
    }

    #[test]
    fn draws_fill_their_range_and_follow_seed_and_number_only() {
        let ranges: Vec<(String, Range)> = [
            Range::Log([1e-4, 1e-1]),
            Range::Uniform([-1.0, 3.0]),
            Range::Int([2, 5]),
            Range::Choice(vec![Value::from("a"), Value::from("b")]),
        ]
        .into_iter()
        .enumerate()
        .map(|(i, range)| (format!("key{i}"), range))
        .collect();
        let draws: Vec<Vec<Value>> =
            (0..400).map(|i| draw(&ranges, 7, i).into_iter().map(|(_, value)| value).collect()).collect();
        let below = |column: usize, bound: f64| {
            draws.iter().filter(|draw| draw[column].as_float().expect("a float") < bound).count()
        };
        // The middle of the logarithmic scale is the geometric mean: half of 400, give or take five deviations of 10.
        assert!((150..250).contains(&below(0, 1e-4 * 1000f64.sqrt())), "{}", below(0, 1e-4 * 1000f64.sqrt()));
        assert!((150..250).contains(&below(1, 1.0)));
        assert_eq!((below(0, 1e-4), below(0, 0.1000001), below(1, -1.0), below(1, 3.0000001)), (0, 400, 0, 400));
        for whole in 2..=5 {
            let count = draws.iter().filter(|draw| draw[2].as_integer() == Some(whole)).count();
            assert!((50..150).contains(&count), "{whole}: {count}");
        }
        let chosen = draws.iter().filter(|draw| draw[3].as_str() == Some("a")).count();
        assert!((150..250).contains(&chosen), "{chosen}");
        assert_eq!(draw(&ranges, 7, 3), draw(&ranges, 7, 3));
        assert_ne!(draw(&ranges, 7, 3), draw(&ranges, 8, 3));
        assert_ne!(draw(&ranges, 7, 3), draw(&ranges, 7, 4));
    }

    #[test]
    fn the_default_ranges_leave_layers_of_ones_own_alone_and_give_trials_that_are_run_files() {
        let config = Config::default();
        let ranges = default_ranges(&config);
        for i in 0..50 {
            let trial = config.with_values(&draw(&ranges, 1, i)).expect("a run file");
            assert!(trial.model.layers.len() >= 2 && trial.optimizer.learning_rate <= 0.1);
        }
        let mut own = config;
        own.model.layers[0].units = Some(7);
        assert!(default_ranges(&own).iter().all(|(key, _)| key != "model.layers"));
    }

    #[test]
    fn who_came_farther_ranks_higher_and_who_diverged_last() {
        let standing =
            |trial, rungs, score: Option<f64>, diverged| Standing { trial, rungs, epochs: 1, score, diverged };
        let mut standings = [
            standing(0, 1, Some(0.1), false),
            standing(1, 2, None, true),
            standing(2, 2, Some(0.5), false),
            standing(3, 2, Some(0.4), false),
            standing(4, 1, None, false),
            standing(5, 2, Some(0.5), false),
        ];
        let order = |standings: &[Standing]| standings.iter().map(|s| s.trial).collect::<Vec<_>>();
        rank(&mut standings, &Objective { metric: "validation_loss", higher_is_better: false });
        assert_eq!(order(&standings), [3, 2, 5, 0, 4, 1]);
        rank(&mut standings, &Objective { metric: "validation_r2", higher_is_better: true });
        assert_eq!(order(&standings), [2, 5, 3, 0, 4, 1]);
    }
}
