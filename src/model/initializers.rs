//! The initialisers: one row each. Knows nothing of layers, plans or devices.

use rand::Rng;

use super::activations::unknown;
use super::random;
use crate::error::Result;

/// What a weight tensor is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Inputs of a unit.
    pub fan_in: usize,
    /// Units.
    pub fan_out: usize,
    /// For `normal` (deviation) and `uniform` (half width).
    pub scale: f64,
}

/// A row of the table.
pub struct Initializer {
    /// As in run files.
    pub name: &'static str,
    /// What it draws from for a shape.
    pub distribution: fn(Shape) -> Distribution,
}

/// What numbers are drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Distribution {
    /// None: all are 0.
    Zeros,
    /// Uniform in ±limit.
    Uniform(f64),
    /// Normal with mean 0 and this deviation.
    Normal(f64),
}

impl std::fmt::Debug for Initializer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The scale of `normal` and `uniform` where the run file gives none.
pub const DEFAULT_SCALE: f64 = 0.05;

/// Glorot & Bengio 2010; He et al. 2015; LeCun et al. 1998.
pub static INITIALIZERS: &[Initializer] = &[
    Initializer {
        name: "glorot_uniform",
        distribution: |s| Distribution::Uniform((6.0 / (s.fan_in + s.fan_out) as f64).sqrt()),
    },
    Initializer {
        name: "glorot_normal",
        distribution: |s| Distribution::Normal((2.0 / (s.fan_in + s.fan_out) as f64).sqrt()),
    },
    Initializer { name: "he_uniform", distribution: |s| Distribution::Uniform((6.0 / s.fan_in as f64).sqrt()) },
    Initializer { name: "he_normal", distribution: |s| Distribution::Normal((2.0 / s.fan_in as f64).sqrt()) },
    Initializer { name: "lecun_normal", distribution: |s| Distribution::Normal((1.0 / s.fan_in as f64).sqrt()) },
    Initializer { name: "normal", distribution: |s| Distribution::Normal(s.scale) },
    Initializer { name: "uniform", distribution: |s| Distribution::Uniform(s.scale) },
    Initializer { name: "zeros", distribution: |_| Distribution::Zeros },
];

/// The initialiser of that name. `auto` is He's for activations that cut one side off and Glorot's for the others.
pub fn find(name: &str, activation: &str) -> Result<&'static Initializer> {
    let one_sided = ["relu", "leaky_relu", "elu", "gelu", "silu", "softplus"].contains(&activation);
    let wanted = match name {
        "auto" if one_sided => "he_uniform",
        "auto" => "glorot_uniform",
        other => other,
    };
    let names: Vec<&'static str> = std::iter::once("auto").chain(INITIALIZERS.iter().map(|row| row.name)).collect();
    INITIALIZERS.iter().find(|row| row.name == wanted).ok_or_else(|| unknown("initialiser", name, &names))
}

impl Distribution {
    /// Draws `count` numbers, rounded to f32.
    pub fn draw(self, count: usize, generator: &mut impl Rng) -> Vec<f32> {
        (0..count)
            .map(|_| match self {
                Distribution::Zeros => 0.0,
                Distribution::Uniform(limit) => ((2.0 * random::uniform(generator) - 1.0) * limit) as f32,
                Distribution::Normal(deviation) => (random::normal(generator) * deviation) as f32,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use random::{Stream, generator};

    #[test]
    fn draws_have_the_deviation_of_their_paper() {
        let shape = Shape { fan_in: 300, fan_out: 100, scale: 0.05 };
        let expected = [
            ("glorot_uniform", (2.0f64 / 400.0).sqrt()),
            ("glorot_normal", (2.0f64 / 400.0).sqrt()),
            ("he_uniform", (2.0f64 / 300.0).sqrt()),
            ("he_normal", (2.0f64 / 300.0).sqrt()),
            ("lecun_normal", (1.0f64 / 300.0).sqrt()),
            ("normal", 0.05),
            ("uniform", 0.05 / 3f64.sqrt()),
            ("zeros", 0.0),
        ];
        assert_eq!(expected.len(), INITIALIZERS.len());
        for (name, deviation) in expected {
            let drawn =
                (find(name, "tanh").unwrap().distribution)(shape).draw(30_000, &mut generator(1, Stream::Weights(0)));
            let rms = (drawn.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 30_000.0).sqrt();
            assert!((rms - deviation).abs() <= 0.02 * deviation, "{name}: {rms} against {deviation}");
        }
    }

    #[test]
    fn auto_follows_the_activation() {
        assert_eq!(find("auto", "relu").unwrap().name, "he_uniform");
        assert_eq!(find("auto", "tanh").unwrap().name, "glorot_uniform");
        assert!(find("he_unifrom", "relu").unwrap_err().to_string().contains("did you mean `he_uniform`"));
    }
}
