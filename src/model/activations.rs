//! The activations: one row each, with its WGSL file, the same formula in Rust and the places where it has kinks.
//! Knows nothing of layers, plans or devices.

use super::real::{Each, Family, Real};
use super::tracked::Tracked;
use crate::error::{Error, Result, suggestion};

/// What the forward pass keeps for the derivative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saves {
    /// f' can be had from f(z): nothing more is stored.
    Output,
    /// f' needs z itself.
    Input,
}

/// A row of the table: an element-wise function and its derivative.
pub struct Activation {
    /// Its name in run files; the shader is `shaders/activations/<name>.wgsl`.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// What the derivative is computed from.
    pub saves: Saves,
    /// WGSL with `activate(z)` and `activate_derivative(saved)`, both on `vec4<f32>`.
    pub wgsl: &'static str,
    /// Inputs at which the derivative jumps; finite differences stay away from them.
    pub kinks: &'static [f64],
    /// The same formulas in Rust.
    pub twin: Each<Twin>,
}

/// The family of an activation's functions for each number type.
pub struct Twin;

impl Family for Twin {
    type Of<T: Real> = Functions<T>;
}

/// The formula in Rust, for one number and for many.
pub struct Functions<T> {
    /// f(z).
    pub value: fn(T) -> T,
    /// f' from what was saved.
    pub derivative: fn(T) -> T,
    /// f in place.
    pub apply: fn(&mut [T]),
    /// Multiplies each gradient by f' of the saved value at its place.
    pub chain: fn(&mut [T], &[T]),
}

impl std::fmt::Debug for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Activation {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Activation {
    /// Compares the derivative with central differences of the function, in f64, at 801 places in ±17.5 away from the
    /// kinks. The verifier holds the WGSL to the Rust formula; this holds the Rust formula to itself.
    ///
    /// # Errors
    /// [`Error::Verification`] with the first place where they are further apart than 10⁻⁶ of the derivative, or 10⁻⁶.
    pub fn check_derivative(&self) -> Result<()> {
        let (twin, h) = (&self.twin.f64, 1e-5);
        let places = (-400..=400).map(|i| f64::from(i) * 0.0437);
        let smooth = places.filter(|z| !self.kinks.iter().any(|kink| (z - kink).abs() < 2.0 * h));
        let mut compared = 0;
        for z in smooth {
            let saved = if self.saves == Saves::Output { (twin.value)(z) } else { z };
            let difference = ((twin.value)(z + h) - (twin.value)(z - h)) / (2.0 * h);
            let derivative = (twin.derivative)(saved);
            let error = (difference - derivative).abs() / derivative.abs().max(1.0);
            if !(error <= 1e-6) {
                return Err(Error::verification(format!(
                    "its derivative at {z} is {derivative}, but differences give {difference}"
                ))
                .at(format!("activation `{}`", self.name))
                .remedy("correct the derivative, name the kink, or choose what it saves"));
            }
            compared += 1;
        }
        if compared == 0 { Err(Error::verification("nothing was compared")) } else { Ok(()) }
    }
}

/// Makes one row from the formula written once for every [`Real`]. A program may make rows of its own with it and
/// hand them to [`Activations::with`] or `Sequential::activation`; nothing of wgrad has to be changed.
///
/// `value` is f(z); `derivative` is f' from what `saves` keeps, f(z) or z. In both, `T` is the number type and
/// [`Real`] has the functions; numbers are `T::of(0.5)`, which f32 must hold exactly. `wgsl` has the same two formulas
/// as `activate` and `activate_derivative` on `vec4<f32>`; other names in it begin with `own_`, lest they meet those of
/// the kernels that it is joined to. They must be finite for |z| up to 150, where the reference
/// is. `wgrad verify` and `Sequential::verify` compare the two with the bound that follows from the Rust formula.
#[macro_export]
macro_rules! activation {
    ($name:literal, aliases: $aliases:expr, saves: $saves:ident, kinks: $kinks:expr, wgsl: $wgsl:expr,
     value: |$z:ident| $value:expr, derivative: |$saved:ident| $derivative:expr $(,)?) => {{
        fn value<T: $crate::model::real::Real>($z: T) -> T {
            $value
        }
        fn derivative<T: $crate::model::real::Real>($saved: T) -> T {
            $derivative
        }
        fn apply<T: $crate::model::real::Real>(values: &mut [T]) {
            $crate::compute::wide(|| values.iter_mut().for_each(|v| *v = value(*v)));
        }
        fn chain<T: $crate::model::real::Real>(gradients: &mut [T], saved: &[T]) {
            $crate::compute::wide(|| gradients.iter_mut().zip(saved).for_each(|(g, s)| *g = *g * derivative(*s)));
        }
        const fn functions<T: $crate::model::real::Real>() -> $crate::model::activations::Functions<T> {
            $crate::model::activations::Functions { value, derivative, apply, chain }
        }
        $crate::model::activations::Activation {
            name: $name,
            aliases: $aliases,
            saves: $crate::model::activations::Saves::$saves,
            kinks: $kinks,
            wgsl: $wgsl,
            twin: $crate::model::real::Each { f32: functions(), f64: functions(), tracked: functions() },
        }
    }};
}

macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!("../../shaders/activations/", $name, ".wgsl"))
    };
}

/// f(z) = z.
pub static IDENTITY: Activation = activation!("identity", aliases: &["linear"], saves: Output, kinks: &[], wgsl: shader!("identity"),
    value: |z| z,
    derivative: |_y| T::one());
/// f(z) = eᶻ, held at e⁸⁸ beyond, where f32 ends.
pub static EXP: Activation = activation!("exp", aliases: &[], saves: Output, kinks: &[88.0], wgsl: shader!("exp"),
    value: |z| z.minimum(T::of(88.0)).exp(),
    derivative: |y| y);
/// f(z) = 1/(1 + e⁻ᶻ).
pub static SIGMOID: Activation = activation!("sigmoid", aliases: &[], saves: Output, kinks: &[], wgsl: shader!("sigmoid"),
    value: |z| T::one() / (T::one() + (-z).exp()),
    derivative: |y| y * (T::one() - y));
/// f(z) = tanh z.
pub static TANH: Activation = activation!("tanh", aliases: &[], saves: Output, kinks: &[], wgsl: shader!("tanh"),
    value: |z| z.tanh(),
    derivative: |y| T::one() - y * y);
/// f(z) = max(z, 0), with f'(0) = 0 as in PyTorch.
pub static RELU: Activation = activation!("relu", aliases: &[], saves: Output, kinks: &[0.0], wgsl: shader!("relu"),
    value: |z| z.maximum(T::zero()),
    derivative: |y| if y > T::zero() { T::one() } else { T::zero() });
/// f(z) = z above 0, 0.01 z below.
pub static LEAKY_RELU: Activation = activation!("leaky_relu", aliases: &[], saves: Output, kinks: &[0.0], wgsl: shader!("leaky_relu"),
    value: |z| if z > T::zero() { z } else { z * T::from_f32(0.01) },
    derivative: |y| if y > T::zero() { T::one() } else { T::from_f32(0.01) });
/// f(z) = z above 0, eᶻ − 1 below (Clevert, Unterthiner & Hochreiter 2016, α = 1).
pub static ELU: Activation = activation!("elu", aliases: &[], saves: Output, kinks: &[0.0], wgsl: shader!("elu"),
    value: |z| if z > T::zero() { z } else { z.exp() - T::one() },
    derivative: |y| if y > T::zero() { T::one() } else { y + T::one() });
/// f(z) = z·Φ(z) with the normal distribution function, exact (Hendrycks & Gimpel 2016).
pub static GELU: Activation = activation!("gelu", aliases: &[], saves: Input, kinks: &[], wgsl: concat!(shader!("gelu"), include_str!("../../shaders/lib/erf.wgsl")),
value: |z| T::of(0.5) * z * (T::one() + (z * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf()),
derivative: |z| {
    let density = T::of(0.398_942_280_401_432_7) * (T::of(-0.5) * z * z).exp();
    T::of(0.5) * (T::one() + (z * T::of(std::f64::consts::FRAC_1_SQRT_2)).erf()) + z * density
});
/// f(z) = z·sigmoid(z) (Elfwing, Uchibe & Doya 2018), with e = e^−|z| so that nothing overflows.
pub static SILU: Activation = activation!("silu", aliases: &["swish"], saves: Input, kinks: &[], wgsl: shader!("silu"),
value: |z| {
    let e = (-z.abs()).exp();
    z * if z > T::zero() { T::one() } else { e } / (T::one() + e)
},
derivative: |z| {
    let e = (-z.abs()).exp();
    let s = if z > T::zero() { T::one() } else { e } / (T::one() + e);
    s * (T::one() + z * (T::one() - s))
});
/// f(z) = ln(1 + eᶻ).
pub static SOFTPLUS: Activation = activation!("softplus", aliases: &[], saves: Output, kinks: &[], wgsl: shader!("softplus"),
    value: |z| z.maximum(T::zero()) + (-z.abs()).exp().ln_1p(),
    derivative: |y| T::one() - (-y).exp());

/// Every element-wise activation. `softmax` mixes a row's elements and belongs to the loss: see [`Output`].
pub static ACTIVATIONS: &[&Activation] =
    &[&IDENTITY, &EXP, &SIGMOID, &TANH, &RELU, &LEAKY_RELU, &ELU, &GELU, &SILU, &SOFTPLUS];

/// What the last layer does to its sums z before the loss sees them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output {
    /// y = f(z), element by element.
    Pointwise(&'static Activation),
    /// y_j = e^(z_j) / Σ_i e^(z_i).
    Softmax,
}

impl Output {
    /// As in run files.
    pub fn name(&self) -> &'static str {
        match self {
            Output::Pointwise(row) => row.name,
            Output::Softmax => "softmax",
        }
    }
}

/// The activations that a network may name: the built-in ones, and those that a program brings along. It is handed
/// to whoever looks names up; there is no registry.
///
/// ```
/// use wgrad::model::activations::{Activation, Activations};
///
/// static SOFTSIGN: Activation = wgrad::activation!("softsign", aliases: &[], saves: Output, kinks: &[0.0],
///     wgsl: "fn activate(z: vec4<f32>) -> vec4<f32> { return z / (1.0 + abs(z)); }
///            fn activate_derivative(y: vec4<f32>) -> vec4<f32> { let rest = 1.0 - abs(y); return rest * rest; }",
///     value: |z| z / (T::one() + z.abs()),
///     derivative: |y| (T::one() - y.abs()) * (T::one() - y.abs()));
///
/// let activations = Activations::with(&[&SOFTSIGN])?;
/// assert_eq!(activations.find("softsign")?.name, "softsign");
/// assert!(Activations::default().find("softsign").is_err());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activations {
    own: Vec<&'static Activation>,
}

impl Activations {
    /// The built-in ones and `own`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name or alias that is empty or taken, by a built-in one or among `own`.
    pub fn with(own: &[&'static Activation]) -> Result<Self> {
        let mut taken = names();
        for row in own {
            for name in std::iter::once(row.name).chain(row.aliases.iter().copied()) {
                if name.trim() != name || name.is_empty() || taken.contains(&name) {
                    let problem = if taken.contains(&name) { "this name is taken" } else { "this is no name" };
                    return Err(Error::usage(problem)
                        .at(format!("activation `{name}`"))
                        .remedy(format!("give it another name than {}", taken.join(", "))));
                }
                taken.push(name);
            }
        }
        Ok(Activations { own: own.to_vec() })
    }

    /// Those that the program brought along.
    pub fn own(&self) -> &[&'static Activation] {
        &self.own
    }

    /// All names, aliases and `softmax` included.
    pub fn names(&self) -> Vec<&'static str> {
        let rows = ACTIVATIONS.iter().chain(&self.own);
        let rows = rows.flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied()));
        rows.chain(["softmax"]).collect()
    }

    /// The activation of a hidden layer.
    ///
    /// # Errors
    /// [`Error::Data`] naming the nearest one for an unknown name, and for `softmax`.
    pub fn find(&self, name: &str) -> Result<&'static Activation> {
        match self.find_output(name)? {
            Output::Pointwise(row) => Ok(row),
            Output::Softmax => Err(Error::data("softmax is for the output layer")
                .remedy("use another activation here, such as relu, or put it on the last dense layer")),
        }
    }

    /// The activation of the output layer, `softmax` included.
    ///
    /// # Errors
    /// [`Error::Data`] naming the nearest one for an unknown name.
    pub fn find_output(&self, name: &str) -> Result<Output> {
        if name == "softmax" {
            return Ok(Output::Softmax);
        }
        let mut rows = ACTIVATIONS.iter().chain(&self.own);
        let row = rows.find(|row| row.name == name || row.aliases.contains(&name));
        row.map(|row| Output::Pointwise(row)).ok_or_else(|| unknown("activation", name, &self.names()))
    }
}

/// All names a run file may use, aliases and `softmax` included.
pub fn names() -> Vec<&'static str> {
    Activations::default().names()
}

/// The error for a name that is not in a table.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&'static str]) -> Error {
    let error = Error::data(format!("unknown {kind} `{name}`"));
    match suggestion(name, known.iter().copied()) {
        Some(near) => error.remedy(format!("did you mean `{near}`?")),
        None => error.remedy(format!("known are {}", known.join(", "))),
    }
}

// The reference must be instantiable for every row: a row whose formula does not compile for `Tracked` fails here.
const _: fn(&Activation) -> &Functions<Tracked> = |row| &row.twin.tracked;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_derivative_agrees_with_central_differences() {
        assert!(ACTIVATIONS.len() >= 10);
        ACTIVATIONS.iter().for_each(|row| row.check_derivative().unwrap());
    }

    #[test]
    fn a_wrong_derivative_and_one_that_is_nan_are_caught() {
        static WRONG: Activation = activation!("wrong", aliases: &[], saves: Output, kinks: &[], wgsl: "",
            value: |z| z.tanh(),
            derivative: |y| T::one() - y);
        static NAN: Activation = activation!("nan", aliases: &[], saves: Output, kinks: &[], wgsl: "",
            value: |z| z,
            derivative: |_y| T::zero() / T::zero());
        for row in [&WRONG, &NAN] {
            assert!(matches!(row.check_derivative(), Err(Error::Verification(_))), "{row:?}");
        }
    }

    #[test]
    fn large_inputs_stay_finite_in_f32() {
        for row in ACTIVATIONS {
            for z in [-150.0f32, -89.0, 0.0, 89.0, 150.0] {
                let y = (row.twin.f32.value)(z);
                let saved = if row.saves == Saves::Output { y } else { z };
                assert!(y.is_finite() && (row.twin.f32.derivative)(saved).is_finite(), "{} at {z}", row.name);
            }
        }
    }

    #[test]
    fn a_name_that_is_taken_is_refused_and_an_own_one_is_found_and_suggested() {
        static MINE: Activation = activation!("cube", aliases: &["third"], saves: Input, kinks: &[], wgsl: "",
            value: |z| z * z * z,
            derivative: |z| T::of(3.0) * z * z);
        static CLASH: Activation = activation!("tanh2", aliases: &["swish"], saves: Input, kinks: &[], wgsl: "",
            value: |z| z,
            derivative: |_z| T::one());
        let own = Activations::with(&[&MINE]).unwrap();
        assert_eq!(own.find("third").unwrap().name, "cube");
        assert!(own.find("cub").unwrap_err().to_string().ends_with("did you mean `cube`?"));
        for clash in [vec![&CLASH], vec![&MINE, &MINE]] {
            let error = Activations::with(&clash).unwrap_err();
            assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("this name is taken"), "{error}");
        }
    }

    #[test]
    fn names_and_aliases_are_found_and_slips_are_answered() {
        let built_in = Activations::default();
        assert_eq!(built_in.find("linear").unwrap().name, "identity");
        let slip = built_in.find("rellu").unwrap_err().to_string();
        assert_eq!(slip, "unknown activation `rellu`; did you mean `relu`?");
        assert!(built_in.find("softmax").is_err());
        assert_eq!(built_in.find_output("softmax").unwrap(), Output::Softmax);
    }
}
