//! Finite differences in f64: the gradients that a plan's steps compute are those of the loss it computes, for every
//! activation, loss, output and layer.

use std::sync::Arc;

use wgrad::config::{Config, Layer, Task};
use wgrad::cpu::CpuExecutor;
use wgrad::layers::{self, DataShape};
use wgrad::model::activations::ACTIVATIONS;
use wgrad::ops::Batch;
use wgrad::ops::input::Encoding;
use wgrad::plan::{Executor, Phase, Plan, Values};

const ROWS: usize = 7;
const FEATURES: usize = 5;

/// A network on a small made-up data set, ready to be differentiated.
struct Subject {
    plan: Arc<Plan>,
    executor: CpuExecutor<f64>,
    batch: Batch,
}

fn noise(i: usize) -> f64 {
    // Spread over ±1.3 without a pattern that a network could share.
    ((i as f64 * 0.754_877_666 + 0.37).fract() - 0.5) * 2.6
}

impl Subject {
    fn new(config: &Config, task: Task, outputs: usize, target_columns: usize) -> Self {
        let shape = DataShape {
            rows: ROWS,
            features: FEATURES,
            encoding: Encoding::F32,
            task,
            target_columns,
            outputs,
            train_rows: ROWS,
            largest_set: ROWS,
        };
        let plan = Arc::new(layers::compile(config, shape, u64::MAX).unwrap());
        let mut executor = CpuExecutor::<f64>::new(plan.clone(), 1).unwrap();
        let features: Vec<f32> = (0..ROWS * FEATURES).map(|i| noise(i) as f32).collect();
        executor.write(plan.features[0].0, 0, Values::F32(&features)).unwrap();
        let target = |row: usize, column: usize| match task {
            Task::Regression => noise(900 + 3 * row + column) as f32,
            _ => ((row * 5 + 2) % outputs.max(2)) as f32,
        };
        // The last column is the row's weight; unequal ones are what class weights come to.
        let targets: Vec<f32> = (0..ROWS)
            .flat_map(|row| (0..target_columns).map(move |c| target(row, c)).chain([1.0 + 0.25 * (row % 3) as f32]))
            .collect();
        let weight: f32 = (0..ROWS).map(|row| 1.0 + 0.25 * (row % 3) as f32).sum();
        executor.write(plan.targets, 0, Values::F32(&targets)).unwrap();
        let order: Vec<u32> = (0..ROWS as u32).rev().collect();
        executor.write(plan.order, 0, Values::U32(&order)).unwrap();
        for (p, parameter) in plan.parameters.iter().enumerate() {
            for i in 0..plan.tensor(parameter.weight).elements() {
                executor.set(parameter.weight, i, 0.7 * noise(57 * p + i + 11) + f64::from(parameter.offset));
            }
        }
        for &(state, start) in &plan.states {
            (0..plan.tensor(state).elements()).for_each(|i| executor.set(state, i, f64::from(start)));
        }
        let batch = Batch {
            first: 0,
            count: ROWS as u32,
            slot: 0,
            scale: 1.0 / weight,
            learning_rate: 0.0,
            correction1: 1.0,
            correction2: 1.0,
            counter: 3,
            group: 0,
        };
        Subject { plan, executor, batch }
    }

    /// Runs everything up to the update; returns the batch's mean loss.
    fn loss(&mut self) -> f64 {
        for step in 0..self.plan.train.len() {
            if !["update", "norm"].contains(&self.plan.train[step].op.name()) {
                self.executor.run_step(Phase::Train, step, &self.batch).unwrap();
            }
        }
        let results = self.executor.elements(self.plan.results, 0..ROWS);
        results.iter().step_by(2).sum::<f64>() / ROWS as f64
    }

    /// Compares every gradient with central differences; returns the largest error relative to the gradients' size.
    fn largest_error(&mut self) -> f64 {
        self.error_of(&|gradient| gradient)
    }

    /// The same after something was done to the gradients.
    fn error_of(&mut self, sabotage: &dyn Fn(f64) -> f64) -> f64 {
        self.loss();
        let parameters = self.plan.parameters.clone();
        let gradients: Vec<Vec<f64>> = (parameters.iter())
            .map(|p| self.executor.elements(p.gradient, 0..self.plan.tensor(p.gradient).rows))
            .collect();
        let size = gradients.iter().flatten().fold(0.0f64, |most, g| most.max(g.abs()));
        assert!(size > 1e-4, "gradients that are all zero prove nothing");
        let mut worst = 0.0f64;
        for (parameter, gradient) in parameters.iter().zip(&gradients) {
            let rows = self.plan.tensor(parameter.weight).rows;
            let weights = self.executor.elements(parameter.weight, 0..rows);
            for (i, (&weight, &gradient)) in weights.iter().zip(gradient).enumerate() {
                let h = 1e-5;
                let mut at = |w: f64| {
                    self.executor.set(parameter.weight, i, w);
                    self.loss()
                };
                let difference = (at(weight + h) - at(weight - h)) / (2.0 * h);
                at(weight);
                let error = (difference - sabotage(gradient)).abs() / size;
                // NaN must come through: f64::max would swallow it.
                worst = if error > worst || error.is_nan() { error } else { worst };
            }
        }
        worst
    }
}

fn hidden(units: usize, activation: &str) -> Layer {
    Layer::dense(Some(units), activation)
}

fn of_kind(kind: &str) -> Layer {
    Layer { kind: kind.into(), ..Layer::default() }
}

fn config(layers: Vec<Layer>, loss: &str) -> Config {
    let mut config = Config::default();
    config.model.layers = layers;
    config.loss.name = Some(loss.into());
    config
}

#[track_caller]
fn assert_gradients(config: &Config, task: Task, outputs: usize, target_columns: usize, what: &str) {
    let error = Subject::new(config, task, outputs, target_columns).largest_error();
    assert!(error <= 1e-6, "{what}: {error:e}");
}

#[test]
fn every_hidden_activation() {
    for row in ACTIVATIONS {
        let layers = vec![hidden(6, row.name), hidden(4, row.name), Layer::dense(None, "identity")];
        assert_gradients(&config(layers, "mse"), Task::Regression, 2, 2, row.name);
    }
}

#[test]
fn every_output_activation_with_every_pointwise_loss() {
    let names = ACTIVATIONS.iter().map(|row| row.name).chain(["softmax"]);
    let mut checked = 0;
    for output in names {
        for loss in ["mse", "mae", "huber"] {
            let layers = vec![hidden(4, "tanh"), Layer::dense(None, output)];
            let mut config = config(layers, loss);
            if loss == "huber" {
                config.loss.delta = Some(0.3);
            }
            assert_gradients(&config, Task::Regression, 3, 3, &format!("{output} with {loss}"));
            assert_gradients(&config, Task::Classification, 3, 1, &format!("{output} with {loss} on classes"));
            checked += 2;
        }
    }
    assert_eq!(checked, (ACTIVATIONS.len() + 1) * 6);
}

#[test]
fn the_cross_entropies() {
    let layers = || vec![hidden(4, "tanh"), Layer::dense(None, "identity")];
    assert_gradients(&config(layers(), "cross_entropy"), Task::Classification, 4, 1, "cross_entropy");
    assert_gradients(&config(layers(), "binary_cross_entropy"), Task::Binary, 1, 1, "binary_cross_entropy");
    let softmax = vec![hidden(4, "tanh"), Layer::dense(None, "softmax")];
    assert_gradients(&config(softmax, "cross_entropy"), Task::Classification, 4, 1, "softmax before cross_entropy");
    let sigmoid = vec![hidden(4, "tanh"), Layer::dense(None, "sigmoid")];
    assert_gradients(
        &config(sigmoid, "binary_cross_entropy"),
        Task::Binary,
        1,
        1,
        "sigmoid before binary_cross_entropy",
    );
}

#[test]
fn batch_norm_between_before_and_behind_activations() {
    for layers in [
        vec![hidden(6, "identity"), of_kind("batch_norm"), hidden(4, "tanh"), Layer::dense(None, "identity")],
        vec![
            hidden(6, "gelu"),
            of_kind("batch_norm"),
            hidden(4, "sigmoid"),
            of_kind("batch_norm"),
            Layer::dense(None, "identity"),
        ],
        vec![of_kind("batch_norm"), hidden(4, "tanh"), Layer::dense(None, "identity")],
    ] {
        let what = format!("{:?}", layers.iter().map(|layer| layer.kind.as_str()).collect::<Vec<_>>());
        assert_gradients(&config(layers, "mse"), Task::Regression, 2, 2, &what);
    }
}

#[test]
fn dropout_behind_dense_behind_batch_norm_and_first() {
    let drop = || Layer { rate: Some(0.4), ..of_kind("dropout") };
    for layers in [
        vec![hidden(8, "tanh"), drop(), hidden(6, "gelu"), drop(), Layer::dense(None, "identity")],
        vec![hidden(8, "sigmoid"), of_kind("batch_norm"), drop(), Layer::dense(None, "identity")],
        vec![hidden(8, "sigmoid"), drop(), of_kind("batch_norm"), Layer::dense(None, "identity")],
        vec![drop(), hidden(8, "tanh"), Layer::dense(None, "identity")],
    ] {
        let what = format!("{:?}", layers.iter().map(|layer| layer.kind.as_str()).collect::<Vec<_>>());
        assert_gradients(&config(layers, "mse"), Task::Regression, 2, 2, &what);
    }
}

#[test]
fn a_layer_without_bias() {
    let mut first = hidden(6, "tanh");
    first.bias = Some(false);
    let mut last = Layer::dense(None, "identity");
    last.bias = Some(false);
    assert_gradients(&config(vec![first, last], "mse"), Task::Regression, 2, 2, "no bias");
}

#[test]
fn a_gradient_that_is_off_by_a_ten_thousandth_is_found() {
    let config = config(vec![hidden(4, "tanh"), Layer::dense(None, "identity")], "mse");
    let mut subject = Subject::new(&config, Task::Regression, 1, 1);
    assert!(subject.largest_error() <= 1e-6);
    assert!(subject.error_of(&|gradient| gradient * 1.0001) > 1e-6);
    assert!(subject.error_of(&|_| f64::NAN).is_nan());
}
