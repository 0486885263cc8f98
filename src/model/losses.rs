//! The losses: one row each, with its WGSL file and the same formula in Rust. Each is the mean over the rows of a
//! batch (and over the outputs where it is pointwise). Knows nothing of layers, plans or devices.

use super::activations::{Output, SIGMOID, unknown};
use super::real::{Each, Family, Real};
use crate::config::Task;
use crate::error::Result;

/// A row of the table.
pub struct Loss {
    /// Its name in run files; the shader is `shaders/losses/<name>.wgsl`.
    pub name: &'static str,
    /// Which inputs it takes.
    pub form: Form,
    /// WGSL with the same formulas.
    pub wgsl: &'static str,
    /// The output activation that is part of this loss, applied once even if the last layer names it too.
    pub inside: Option<Output>,
    /// The task whose default loss this is.
    pub default_for: Option<Task>,
    /// Differences y − t at which the derivative jumps, in units of `delta`.
    pub kinks: &'static [f64],
}

/// How a loss looks at a row's outputs.
pub enum Form {
    /// Each output by itself: l(y, t), then the mean over the outputs.
    Pointwise(Each<Twin>),
    /// −log softmax(z)_t of the row's class t.
    CrossEntropy,
}

/// The family of a loss's functions for each number type.
pub struct Twin;

impl Family for Twin {
    type Of<T: Real> = Functions<T>;
}

/// A pointwise loss of the network's output `y`, the target `t` and the run file's `delta`.
pub struct Functions<T> {
    /// The loss of one number; `delta` is huber's.
    pub value: fn(y: T, t: T, delta: T) -> T,
    /// dl/dy.
    pub derivative: fn(y: T, t: T, delta: T) -> T,
    /// What the network predicts when the loss is given `y`.
    pub prediction: fn(y: T) -> T,
}

impl std::fmt::Debug for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! pointwise {
    (|$y:ident, $t:ident, $delta:ident| $value:expr, $derivative:expr, |$p:ident| $prediction:expr) => {{
        fn value<T: Real>($y: T, $t: T, $delta: T) -> T {
            $value
        }
        fn derivative<T: Real>($y: T, $t: T, $delta: T) -> T {
            $derivative
        }
        fn prediction<T: Real>($p: T) -> T {
            $prediction
        }
        const fn functions<T: Real>() -> Functions<T> {
            Functions { value, derivative, prediction }
        }
        Form::Pointwise(Each { f32: functions(), f64: functions(), tracked: functions() })
    }};
}

macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!("../../shaders/losses/", $name, ".wgsl"))
    };
}

/// Squared error (y − t)².
pub static MSE: Loss = Loss {
    name: "mse",
    form: pointwise!(|y, t, _delta| (y - t) * (y - t), T::of(2.0) * (y - t), |y| y),
    wgsl: shader!("mse"),
    inside: None,
    default_for: Some(Task::Regression),
    kinks: &[],
};
/// Absolute error |y − t|.
pub static MAE: Loss = Loss {
    name: "mae",
    form: pointwise!(|y, t, _delta| (y - t).abs(), (y - t).sign(), |y| y),
    wgsl: shader!("mae"),
    inside: None,
    default_for: None,
    kinks: &[0.0],
};
/// Quadratic up to `delta`, linear beyond (Huber 1964).
pub static HUBER: Loss = Loss {
    name: "huber",
    form: pointwise!(
        |y, t, delta| {
            let r = (y - t).abs();
            if r <= delta { T::of(0.5) * r * r } else { delta * (r - T::of(0.5) * delta) }
        },
        (y - t).maximum(-delta).minimum(delta),
        |y| y
    ),
    wgsl: shader!("huber"),
    inside: None,
    default_for: None,
    kinks: &[],
};
/// −log softmax(z)_t, in the stable form log Σ e^(z_j − max) − (z_t − max).
pub static CROSS_ENTROPY: Loss = Loss {
    name: "cross_entropy",
    form: Form::CrossEntropy,
    wgsl: shader!("cross_entropy"),
    inside: Some(Output::Softmax),
    default_for: Some(Task::Classification),
    kinks: &[],
};
/// −t·log s(y) − (1 − t)·log(1 − s(y)) with the sigmoid s, in the stable form max(y, 0) − y·t + log(1 + e^−|y|).
pub static BINARY_CROSS_ENTROPY: Loss = Loss {
    name: "binary_cross_entropy",
    form: pointwise!(
        |y, t, _delta| y.maximum(T::zero()) - y * t + (-y.abs()).exp().ln_1p(),
        T::one() / (T::one() + (-y).exp()) - t,
        |y| T::one() / (T::one() + (-y).exp())
    ),
    wgsl: shader!("binary_cross_entropy"),
    inside: Some(Output::Pointwise(&SIGMOID)),
    default_for: Some(Task::Binary),
    kinks: &[],
};

/// Every loss.
pub static LOSSES: &[&Loss] = &[&MSE, &MAE, &HUBER, &CROSS_ENTROPY, &BINARY_CROSS_ENTROPY];

/// The loss of that name; errors name the nearest row.
pub fn find(name: &str) -> Result<&'static Loss> {
    let names: Vec<&'static str> = LOSSES.iter().map(|row| row.name).collect();
    LOSSES.iter().copied().find(|row| row.name == name).ok_or_else(|| unknown("loss", name, &names))
}

/// The loss a task has when the run file names none.
pub fn default_for(task: Task) -> &'static Loss {
    LOSSES.iter().copied().find(|row| row.default_for == Some(task)).expect("every task has a default loss")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pointwise_derivative_agrees_with_central_differences() {
        let h = 1e-6;
        for row in LOSSES {
            let Form::Pointwise(twin) = &row.form else { continue };
            let twin = &twin.f64;
            let mut compared = 0;
            for i in -60..=60 {
                for target in [0.0, 1.0, -0.7] {
                    let y = f64::from(i) * 0.0931 + 0.003;
                    if row.kinks.iter().any(|kink| (y - target - kink).abs() < 2.0 * h) {
                        continue;
                    }
                    let delta = 1.5;
                    let difference =
                        ((twin.value)(y + h, target, delta) - (twin.value)(y - h, target, delta)) / (2.0 * h);
                    let error = (difference - (twin.derivative)(y, target, delta)).abs() / difference.abs().max(1.0);
                    assert!(error <= 1e-6, "{} at {y}, {target}: {error}", row.name);
                    compared += 1;
                }
            }
            assert!(compared > 350);
        }
    }

    #[test]
    fn every_task_has_a_default_loss() {
        for task in [Task::Regression, Task::Binary, Task::Classification] {
            assert_eq!(default_for(task).default_for, Some(task));
        }
    }
}
