//! Each diagnosis fires on its fault and keeps quiet short of it.

use super::*;

/// A training that went well: three ReLU layers, a loss that has levelled out.
fn healthy() -> Symptoms {
    let layer = |name: &str, dead| Layer {
        name: name.into(),
        activation: "relu".into(),
        units: 100,
        dead,
        gradient: Some(0.05),
    };
    Symptoms {
        start_loss: Some(1.2),
        train_loss: (0..50).map(|epoch| 0.1 + 0.9 * (-f64::from(epoch) / 5.0).exp()).collect(),
        validation_loss: (0..50).map(|epoch| 0.2 + 0.8 * (-f64::from(epoch) / 5.0).exp()).collect(),
        learning_rate: 1e-3,
        was_cut_short: false,
        keeps_best: true,
        layers: vec![layer("layers.0", Some(10)), layer("layers.1", Some(5)), layer("layers.2", None)],
        rows_watched: 700,
        train: score("train", 700, 0.95, 0.1),
        held_out: Some(score("validation", 150, 0.9, 0.2)),
    }
}

fn score(set: &'static str, rows: usize, value: f64, loss: f64) -> Score {
    Score { set, rows, metric: "accuracy", value, baseline: 0.5, loss, baseline_loss: 0.693 }
}

/// The symptoms named after the change to a healthy training.
fn named(change: impl FnOnce(&mut Symptoms)) -> Vec<&'static str> {
    let mut symptoms = healthy();
    change(&mut symptoms);
    let advice = diagnose(&symptoms);
    for one in &advice {
        let text = one.to_string();
        assert!(!one.finding.is_empty() && !one.remedy.is_empty() && !text.contains("NaN"), "{text}");
    }
    advice.into_iter().map(|advice| advice.symptom).collect()
}

#[test]
fn a_healthy_training_gets_no_advice() {
    assert_eq!(named(|_| ()), [""; 0]);
}

#[test]
fn a_layer_is_called_dead_from_a_quarter_of_its_units_on() {
    assert_eq!(named(|s| s.layers[1].dead = Some(25)), ["dead_relu"]);
    assert_eq!(named(|s| s.layers[1].dead = Some(24)), [""; 0]);
    assert_eq!(named(|s| s.layers.iter_mut().for_each(|l| l.dead = None)), [""; 0]);
}

#[test]
fn gradients_vanish_when_the_first_layer_gets_less_than_a_thousandth_of_the_last() {
    assert_eq!(named(|s| s.layers[0].gradient = Some(0.04e-3)), ["vanishing_gradients"]);
    assert_eq!(named(|s| s.layers[0].gradient = Some(0.0)), ["vanishing_gradients"]);
    assert_eq!(named(|s| s.layers[0].gradient = Some(0.06e-3)), [""; 0]);
    assert_eq!(named(|s| s.layers.iter_mut().for_each(|l| l.gradient = Some(0.0))), [""; 0], "all learned");
    assert_eq!(named(|s| s.layers.iter_mut().for_each(|l| l.gradient = None)), [""; 0], "no step was taken");
}

#[test]
fn dead_and_saturated_layers_are_not_blamed_on_depth() {
    let both = named(|s| {
        s.layers[1].dead = Some(100);
        s.layers[0].gradient = Some(0.0);
    });
    assert_eq!(both, ["dead_relu"]);
    let saturated = named(|s| {
        s.train_loss[0] = 50.0;
        s.layers[0].gradient = Some(0.0);
    });
    assert_eq!(saturated, ["learning_rate_too_high"]);
}

#[test]
fn gradients_explode_when_they_are_a_hundred_times_the_weights() {
    assert_eq!(named(|s| s.layers[2].gradient = Some(101.0)), ["vanishing_gradients", "exploding_gradients"]);
    assert_eq!(named(|s| s.layers.iter_mut().for_each(|l| l.gradient = Some(101.0))), ["exploding_gradients"]);
    assert_eq!(named(|s| s.layers.iter_mut().for_each(|l| l.gradient = Some(99.0))), [""; 0]);
}

#[test]
fn a_loss_that_rises_or_jumps_points_at_the_learning_rate() {
    assert_eq!(named(|s| s.train_loss = vec![1.0, 1.1, 1.3]), ["learning_rate_too_high"]);
    let zigzag = |low: f64, high: f64| (0..50).map(|i| if i % 4 == 3 { high } else { low }).collect::<Vec<f64>>();
    assert_eq!(named(|s| s.train_loss = zigzag(0.5, 0.7)), ["learning_rate_too_high"]);
    assert_eq!(named(|s| s.train_loss = zigzag(0.5, 0.55)), [""; 0], "noise");
    assert_eq!(named(|s| s.train_loss = zigzag(0.01, 0.02)), [""; 0], "next to nothing, twice");
    assert_eq!(named(|s| s.train_loss[2] *= 2.0), [""; 0], "once is chance");
    assert_eq!(named(|s| s.train_loss[0] = 12.1), ["learning_rate_too_high"], "the first steps threw it far off");
    assert_eq!(named(|s| s.train_loss[0] = 11.9), [""; 0]);
    assert_eq!(named(|s| (s.train_loss[0], s.start_loss) = (12.1, Some(12.0))), [""; 0], "the start was no better");
    assert_eq!(named(|s| (s.train_loss[0], s.start_loss) = (12.1, None)), [""; 0], "the start is not known");
}

#[test]
fn a_loss_that_falls_in_a_straight_line_asks_for_a_larger_learning_rate() {
    let line = |slope: f64| (0..20).map(|i| 1.0 - slope * f64::from(i)).collect::<Vec<f64>>();
    assert_eq!(named(|s| s.validation_loss = line(1e-4)), ["learning_rate_too_low"]);
    assert_eq!(named(|s| s.validation_loss = line(0.02)), ["learning_rate_too_low"]);
    assert_eq!(named(|s| s.validation_loss = line(0.05)), ["not_converged"], "it has come far");
    let noisy = |s: &mut Symptoms| {
        s.validation_loss = line(1e-4);
        s.validation_loss[7] += 1e-3;
    };
    assert_eq!(named(noisy), [""; 0]);
    let without_validation = |s: &mut Symptoms| (s.validation_loss, s.train_loss) = (Vec::new(), line(1e-4));
    assert_eq!(named(without_validation), ["learning_rate_too_low"]);
}

#[test]
fn a_loss_that_still_falls_asks_for_more_epochs_unless_training_was_cut_short() {
    assert_eq!(named(|s| s.validation_loss.truncate(2)), ["not_converged"]);
    assert_eq!(named(|s| s.validation_loss.truncate(8)), ["not_converged"]);
    assert_eq!(named(|s| s.validation_loss.truncate(1)), [""; 0], "one epoch shows no trend");
    let stopped = |s: &mut Symptoms| {
        s.validation_loss.truncate(8);
        s.was_cut_short = true;
    };
    assert_eq!(named(stopped), [""; 0]);
    let nearly_nothing = |s: &mut Symptoms| s.validation_loss = (0..50).map(|i| 0.7f64.powi(i)).collect();
    assert_eq!(named(nearly_nothing), [""; 0]);
}

#[test]
fn nothing_learned_is_said_of_scores_at_the_baseline() {
    let poor = |value, loss| {
        named(|s| {
            (s.train, s.held_out) = (score("train", 700, value, loss), Some(score("validation", 150, value, loss)))
        })
    };
    assert_eq!(poor(0.51, 0.69), ["underfitting"]);
    assert_eq!(poor(0.65, 0.69), [""; 0], "right more often than by chance");
    assert_eq!(poor(0.51, 0.5), [""; 0], "its probabilities know more than the most frequent class");
    let xor = |value| named(|s| (s.train, s.held_out) = (score("train", 4, value, 0.69), None));
    assert_eq!(xor(0.75), ["underfitting"]);
    assert_eq!(xor(1.0), [""; 0], "four of four are no chance");
}

#[test]
fn a_model_without_a_hidden_layer_is_told_to_get_one() {
    let mut symptoms = healthy();
    symptoms.layers.truncate(1);
    symptoms.train = score("train", 4, 0.5, 0.69);
    symptoms.held_out = None;
    let advice = diagnose(&symptoms);
    assert!(
        advice[0].finding.contains("nothing to learn") && advice[0].remedy.contains("a hidden layer"),
        "{advice:?}"
    );
}

#[test]
fn a_cause_is_named_instead_of_its_effect() {
    let named = named(|s| {
        (s.train, s.held_out) = (score("train", 700, 0.5, 0.69), Some(score("validation", 150, 0.5, 0.69)));
        s.layers[1].dead = Some(100);
    });
    assert_eq!(named, ["dead_relu"]);
}

#[test]
fn overfitting_is_a_gap_between_the_training_rows_and_others() {
    let gap = |held_out| named(|s| (s.train.value, s.held_out) = (1.0, Some(held_out)));
    assert_eq!(gap(score("validation", 150, 0.8, 0.5)), ["overfitting"]);
    assert_eq!(gap(score("validation", 150, 0.9, 0.5)), [""; 0]);
    assert_eq!(gap(score("validation", 150, 0.52, 0.9)), ["overfitting"], "nothing of it carries over");
    assert_eq!(named(|s| s.held_out = None), [""; 0]);
    assert_eq!(named(|s| (s.train.value, s.held_out) = (0.2, Some(score("test", 150, 0.0, 9.0)))), [""; 0]);
}

#[test]
fn a_validation_loss_that_has_risen_matters_only_if_its_best_weights_are_gone() {
    let risen = |keeps_best| {
        named(|s| {
            s.keeps_best = keeps_best;
            s.validation_loss[30..].iter_mut().enumerate().for_each(|(i, loss)| *loss += 0.01 * i as f64);
        })
    };
    assert_eq!(risen(false), ["overfitting"]);
    assert_eq!(risen(true), [""; 0]);
}

#[test]
fn numbers_are_told_with_three_digits_and_rates_as_one_types_them() {
    assert_eq!([1e-5 / 10.0, 1e-6 * 10.0, 0.3 / 10.0, 2.0].map(rate), ["1e-6", "1e-5", "0.03", "2"]);
    assert_eq!([1234.5, 0.01234, 1.5e-7, 0.0].map(rounded), ["1234", "0.0123", "1.50e-7", "0"]);
}
