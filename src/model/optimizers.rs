//! The optimizers: one row each, with its WGSL file, the same formula in Rust, and its settings with their defaults.
//! All mean what PyTorch's of the same name mean. Knows nothing of layers, plans or devices.

use super::activations::unknown;
use super::real::{Each, Family, Real};
use crate::compute::wide;
use crate::config;
use crate::error::{Error, Result};

/// The most constants an optimizer's formula may use.
pub const CONSTANTS: usize = 8;

/// A row of the table.
pub struct Rule {
    /// Its name in run files; the shader is `shaders/optimizers/<name>.wgsl`.
    pub name: &'static str,
    /// WGSL with the same formula.
    pub wgsl: &'static str,
    /// One buffer each of the parameters' size, all zeros at the start.
    pub slots: &'static [&'static str],
    /// The settings it takes from `[optimizer]` and their defaults.
    pub settings: &'static [(&'static str, f64)],
    /// The formula's constants, in the shader's order, from the settings in the order of `settings`.
    pub constants: fn(&[f64]) -> [f64; CONSTANTS],
    /// Bias corrections of step t = 1, 2, …: the factors the formula calls `correction1` and `correction2`.
    pub corrections: fn(&[f64; CONSTANTS], t: u64) -> [f64; 2],
    /// The same formula in Rust.
    pub twin: Each<Twin>,
}

/// The family of an optimizer's functions for each number type.
pub struct Twin;

impl Family for Twin {
    type Of<T: Real> = Update<T>;
}

/// Updates `weights` and `slots`, all of one length, in place.
pub type Update<T> = fn(weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]], at: &At<T>);

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub struct At<T> {
    /// Of this step.
    pub learning_rate: T,
    /// Of the first moment: 1 / (1 − β₁ᵗ), or 1.
    pub correction1: T,
    /// Of the second moment's root: 1 / √(1 − β₂ᵗ), or 1.
    pub correction2: T,
    /// The rule's settings, in its own order.
    pub constants: [T; CONSTANTS],
    /// Weight matrices decay, biases and batch norm do not.
    pub is_matrix: bool,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! formula {
    (|$w:ident, $g:ident, [$($slot:ident),*], $at:ident| $body:expr) => {{
        /// The weight's new value; the slots are changed in place.
        #[inline(always)]
        fn one<T: Real>($w: T, $g: T, $($slot: &mut T,)* $at: &At<T>) -> T {
            $body
        }
        fn update<T: Real>(weights: &mut [T], gradients: &[T], slots: &mut [&mut [T]], at: &At<T>) {
            let length = weights.len();
            // Slices of one known length: the loop below is then free of checks and can be vectorised.
            let gradients = &gradients[..length];
            let [$($slot),*] = slots else { unreachable!("the plan gives each rule its slots") };
            $(let $slot = &mut $slot[..length];)*
            wide(|| {
                for i in 0..length {
                    weights[i] = one(weights[i], gradients[i], $(&mut $slot[i],)* at);
                    // A moment whose gradient stays zero shrinks to where a processor takes a hundred times as long.
                    $($slot[i] = $slot[i].flushed();)*
                }
            });
        }
        Each { f32: update::<f32>, f64: update::<f64>, tracked: update::<super::tracked::Tracked> }
    }};
}

macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!("../../shaders/optimizers/", $name, ".wgsl"))
    };
}

fn constants<const N: usize>(values: [f64; N]) -> [f64; CONSTANTS] {
    std::array::from_fn(|i| values.get(i).copied().unwrap_or(0.0))
}

fn no_corrections(_: &[f64; CONSTANTS], _: u64) -> [f64; 2] {
    [1.0, 1.0]
}

fn adam_corrections(constants: &[f64; CONSTANTS], t: u64) -> [f64; 2] {
    let t = t.min(i32::MAX as u64) as i32;
    [1.0 / (1.0 - constants[0].powi(t)), 1.0 / (1.0 - constants[2].powi(t)).sqrt()]
}

/// Gradient descent with (Nesterov) momentum: Sutskever et al. 2013, in PyTorch's form.
pub static SGD: Rule = Rule {
    name: "sgd",
    wgsl: shader!("sgd"),
    slots: &["velocity"],
    settings: &[("momentum", 0.0), ("nesterov", 0.0)],
    constants: |s| constants([s[0], s[1]]),
    corrections: no_corrections,
    twin: formula!(|w, g, [velocity], at| {
        let v = at.constants[0] * *velocity + g;
        *velocity = v;
        let direction = if at.constants[1] > T::zero() { g + at.constants[0] * v } else { v };
        w - at.learning_rate * direction
    }),
};
/// Duchi, Hazan & Singer 2011.
pub static ADAGRAD: Rule = Rule {
    name: "adagrad",
    wgsl: shader!("adagrad"),
    slots: &["squares"],
    settings: &[("epsilon", 1e-10)],
    constants: |s| constants([s[0]]),
    corrections: no_corrections,
    twin: formula!(|w, g, [squares], at| {
        let q = *squares + g * g;
        *squares = q;
        w - at.learning_rate * g / (q.sqrt() + at.constants[0])
    }),
};
/// Hinton 2012; centered: Graves 2013.
pub static RMSPROP: Rule = Rule {
    name: "rmsprop",
    wgsl: shader!("rmsprop"),
    slots: &["squares", "means", "velocity"],
    settings: &[("alpha", 0.99), ("epsilon", 1e-8), ("momentum", 0.0), ("centered", 0.0)],
    constants: |s| constants([s[0], 1.0 - s[0], s[1], s[2], s[3]]),
    corrections: no_corrections,
    twin: formula!(|w, g, [squares, means, velocity], at| {
        let [alpha, rest, epsilon, momentum, centered, ..] = at.constants;
        let q = alpha * *squares + rest * g * g;
        *squares = q;
        let a = alpha * *means + rest * g;
        *means = a;
        let spread = (q - centered * a * a).maximum(T::zero()).sqrt() + epsilon;
        let v = momentum * *velocity + g / spread;
        *velocity = v;
        w - at.learning_rate * v
    }),
};
/// Kingma & Ba 2015.
pub static ADAM: Rule = Rule {
    name: "adam",
    wgsl: shader!("adam"),
    slots: &["means", "squares"],
    settings: &[("beta1", 0.9), ("beta2", 0.999), ("epsilon", 1e-8)],
    constants: |s| constants([s[0], 1.0 - s[0], s[1], 1.0 - s[1], s[2]]),
    corrections: adam_corrections,
    twin: formula!(|w, g, [means, squares], at| w - adam_step(g, means, squares, at)),
};
/// Adam with decoupled weight decay: Loshchilov & Hutter 2019.
pub static ADAMW: Rule = Rule {
    name: "adamw",
    wgsl: shader!("adamw"),
    slots: &["means", "squares"],
    settings: &[("beta1", 0.9), ("beta2", 0.999), ("epsilon", 1e-8), ("weight_decay", 0.01)],
    constants: |s| constants([s[0], 1.0 - s[0], s[1], 1.0 - s[1], s[2], s[3]]),
    corrections: adam_corrections,
    twin: formula!(|w, g, [means, squares], at| {
        let shrink = if at.is_matrix { T::one() - at.learning_rate * at.constants[5] } else { T::one() };
        w * shrink - adam_step(g, means, squares, at)
    }),
};

#[inline(always)]
fn adam_step<T: Real>(g: T, means: &mut T, squares: &mut T, at: &At<T>) -> T {
    let [b1, rest1, b2, rest2, epsilon, ..] = at.constants;
    let m = b1 * *means + rest1 * g;
    *means = m;
    let q = b2 * *squares + rest2 * g * g;
    *squares = q;
    at.learning_rate * at.correction1 * m / (q.sqrt() * at.correction2 + epsilon)
}

/// Every optimizer.
pub static OPTIMIZERS: &[&Rule] = &[&SGD, &ADAGRAD, &RMSPROP, &ADAM, &ADAMW];

/// An optimizer with its settings filled in.
#[derive(Debug, Clone, Copy)]
pub struct Optimizer {
    /// Its row.
    pub rule: &'static Rule,
    /// Its settings, in the row's order.
    pub constants: [f64; CONSTANTS],
}

impl Optimizer {
    /// Looks the name up and fills in defaults. Errors: an unknown name, a setting that this optimizer has not.
    /// The second part of an error is the run file's key.
    pub fn from_config(config: &config::Optimizer) -> Result<Self, (String, Error)> {
        let names: Vec<&'static str> = OPTIMIZERS.iter().map(|row| row.name).collect();
        let rule = OPTIMIZERS
            .iter()
            .copied()
            .find(|row| row.name == config.name)
            .ok_or_else(|| ("optimizer.name".to_owned(), unknown("optimizer", &config.name, &names)))?;
        let flag = |value: Option<bool>| value.map(|on| f64::from(u8::from(on)));
        let given = [
            ("momentum", config.momentum),
            ("nesterov", flag(config.nesterov)),
            ("alpha", config.alpha),
            ("centered", flag(config.centered)),
            ("beta1", config.beta1),
            ("beta2", config.beta2),
            ("epsilon", config.epsilon),
            ("weight_decay", config.weight_decay),
        ];
        for (key, value) in given {
            if value.is_some() && !rule.settings.iter().any(|(name, _)| *name == key) {
                let known: Vec<&str> = rule.settings.iter().map(|(name, _)| *name).collect();
                let error = Error::data(format!("{} has no setting `{key}`", rule.name)).remedy(format!(
                    "remove it; {} has learning_rate, {}",
                    rule.name,
                    known.join(", ")
                ));
                return Err((format!("optimizer.{key}"), error));
            }
        }
        if config.nesterov == Some(true) && config.momentum.unwrap_or(0.0) == 0.0 {
            let error = Error::data("nesterov needs a momentum").remedy("add for instance momentum = 0.9");
            return Err(("optimizer.nesterov".to_owned(), error));
        }
        let setting = |(name, default): &(&str, f64)| {
            given.iter().find(|(key, _)| key == name).and_then(|(_, value)| *value).unwrap_or(*default)
        };
        let settings: Vec<f64> = rule.settings.iter().map(setting).collect();
        Ok(Optimizer { rule, constants: (rule.constants)(&settings) })
    }

    /// The bias corrections of step t = 1, 2, ….
    pub fn corrections(&self, t: u64) -> [f64; 2] {
        (self.rule.corrections)(&self.constants, t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `steps` steps on one weight with gradients 0.5, -0.25, 0.125, … and returns the weight.
    fn run(config: config::Optimizer, steps: u64) -> f64 {
        let optimizer = Optimizer::from_config(&config).unwrap();
        let mut weight = [1.0f64];
        let mut slots = vec![[0.0f64]; optimizer.rule.slots.len()];
        for t in 1..=steps {
            let [correction1, correction2] = optimizer.corrections(t);
            let at =
                At { learning_rate: 0.1, correction1, correction2, constants: optimizer.constants, is_matrix: true };
            let g = -(-0.5f64).powi(t as i32);
            let mut views: Vec<&mut [f64]> = slots.iter_mut().map(|s| &mut s[..]).collect();
            (optimizer.rule.twin.f64)(&mut weight, &[g], &mut views, &at);
        }
        weight[0]
    }

    fn named(name: &str) -> config::Optimizer {
        config::Optimizer { name: name.into(), ..config::Optimizer::default() }
    }

    #[test]
    fn three_steps_by_hand() {
        // w - 0.1·(0.5 - 0.25 + 0.125)
        assert!((run(named("sgd"), 3) - 0.9625).abs() < 1e-12);
        // v: 0.5, 0.2, 0.305
        let momentum = config::Optimizer { momentum: Some(0.9), ..named("sgd") };
        assert!((run(momentum, 3) - (1.0 - 0.1 * (0.5 + 0.2 + 0.305))).abs() < 1e-12);
        // The first step of adam has the size of the learning rate.
        assert!((run(named("adam"), 1) - 0.9).abs() < 1e-7);
        // adamw shrinks first: 1·(1 - 0.1·0.01) - 0.1
        assert!((run(named("adamw"), 1) - 0.899).abs() < 1e-7);
        // The first step of adagrad too.
        assert!((run(named("adagrad"), 1) - 0.9).abs() < 1e-8);
        // rmsprop: g / √(0.01 g²) = 10
        assert!((run(named("rmsprop"), 1) - 0.0).abs() < 1e-6);
    }

    #[test]
    fn moments_that_die_away_become_zero_rather_than_subnormal() {
        for rule in OPTIMIZERS {
            let config = match rule.name {
                "sgd" | "rmsprop" => config::Optimizer { momentum: Some(0.9), ..named(rule.name) },
                name => named(name),
            };
            let constants = Optimizer::from_config(&config).unwrap().constants.map(|c| c as f32);
            let at = At { learning_rate: 0.1, correction1: 1.0, correction2: 1.0, constants, is_matrix: true };
            let mut weight = [1.0f32];
            let mut slots = vec![[0.0f32]; rule.slots.len()];
            for t in 0..12_000 {
                let mut views: Vec<&mut [f32]> = slots.iter_mut().map(|s| &mut s[..]).collect();
                (rule.twin.f32)(&mut weight, &[if t == 0 { 1.0 } else { 0.0 }], &mut views, &at);
                assert!(slots.iter().all(|[x]| !x.is_subnormal()), "{} in step {t}: {slots:?}", rule.name);
            }
            assert!(rule.name == "adagrad" || slots.iter().any(|[x]| *x == 0.0), "{}: {slots:?}", rule.name);
        }
    }

    #[test]
    fn a_setting_of_another_optimizer_is_an_error() {
        let config = config::Optimizer { beta1: Some(0.9), ..named("sgd") };
        let (key, error) = Optimizer::from_config(&config).unwrap_err();
        assert_eq!(key, "optimizer.beta1");
        assert_eq!(
            error.to_string(),
            "sgd has no setting `beta1`; remove it; sgd has learning_rate, momentum, nesterov"
        );
    }
}
