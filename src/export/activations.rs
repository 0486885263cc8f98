//! The activations in terms of ONNX ops, by the names of their rows.

use super::graph::{Builder, Setting};
use crate::error::{Error, Result};
use crate::model::activations::Output;

/// Appends the activation to `z`.
///
/// # Errors
/// [`Error::Output`] for an activation that was added without a form here.
pub(super) fn apply(graph: &mut Builder, output: Output, z: &str) -> Result<String> {
    let constant = |graph: &mut Builder, value: f32| graph.floats("wgrad/constant", &[], &[value]);
    Ok(match output.name() {
        "identity" => z.to_owned(),
        "exp" => {
            let limit = constant(graph, 88.0);
            let held = graph.node("Min", &[z, &limit], &[]);
            graph.node("Exp", &[&held], &[])
        }
        "sigmoid" => graph.node("Sigmoid", &[z], &[]),
        "tanh" => graph.node("Tanh", &[z], &[]),
        "relu" => graph.node("Relu", &[z], &[]),
        "leaky_relu" => graph.node("LeakyRelu", &[z], &[("alpha", Setting::Float(0.01))]),
        "elu" => graph.node("Elu", &[z], &[("alpha", Setting::Float(1.0))]),
        "gelu" => {
            // Gelu itself came with opset 20.
            let (root, one, half) =
                (constant(graph, std::f32::consts::FRAC_1_SQRT_2), constant(graph, 1.0), constant(graph, 0.5));
            let scaled = graph.node("Mul", &[z, &root], &[]);
            let erf = graph.node("Erf", &[&scaled], &[]);
            let shifted = graph.node("Add", &[&erf, &one], &[]);
            let product = graph.node("Mul", &[z, &shifted], &[]);
            graph.node("Mul", &[&product, &half], &[])
        }
        "silu" => {
            let sigmoid = graph.node("Sigmoid", &[z], &[]);
            graph.node("Mul", &[z, &sigmoid], &[])
        }
        "softplus" => graph.node("Softplus", &[z], &[]),
        "softmax" => graph.node("Softmax", &[z], &[("axis", Setting::Int(1))]),
        other => {
            return Err(Error::output(format!("the activation `{other}` has no ONNX form yet"))
                .remedy("train with another activation, or add it to src/export/activations.rs"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::activations::ACTIVATIONS;

    #[test]
    fn every_activation_has_an_onnx_form() {
        let rows = ACTIVATIONS.iter().map(|row| Output::Pointwise(row)).chain([Output::Softmax]);
        for output in rows {
            assert!(apply(&mut Builder::default(), output, "z").is_ok(), "{}", output.name());
        }
    }

    #[test]
    fn an_activation_without_one_is_refused_by_name() {
        static SOFTSIGN: crate::model::activations::Activation = crate::activation!("softsign", aliases: &[], saves: Output, kinks: &[], wgsl: "",
            value: |z| z / (T::one() + z.abs()),
            derivative: |y| y);
        let error = apply(&mut Builder::default(), Output::Pointwise(&SOFTSIGN), "z").unwrap_err();
        assert!(error.to_string().starts_with("the activation `softsign` has no ONNX form yet; "), "{error}");
    }
}
