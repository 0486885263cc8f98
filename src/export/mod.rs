//! A finished model as one ONNX graph, its preprocessing inside: raw columns in, answers out. Knows no device.

mod activations;
mod graph;
mod inputs;
mod onnx;

use prost::Message;

use crate::config::{Layer, Task};
use crate::data::TargetCoding;
use crate::error::{Error, Result};
use crate::model::activations::{IDENTITY, Output};
use crate::trained::TrainedModel;
use graph::{Builder, ML, Setting};
use onnx::Element;

/// The oldest opset in which all ops mean what is meant here (Softmax along one axis, ReduceSum with its axes as an
/// input), so that as many runtimes as possible read it: onnxruntime does since 1.7.
const OPSET: i64 = 13;
/// Its companions of the same release.
const ML_OPSET: i64 = 2;
const IR_VERSION: i64 = 7;

/// Where protobuf ends.
const MOST_BYTES: usize = i32::MAX as usize;

/// An ONNX file.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// By name, with their types and shapes, for people.
    pub inputs: Vec<String>,
    /// By name, with their types and shapes, for people.
    pub outputs: Vec<String>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

/// The ONNX file of a model. The same model gives the same bytes.
///
/// # Errors
/// [`Error::Output`] for a model of more than 2 GiB, which ONNX cannot hold in one file, or with an activation that has
/// no ONNX form.
pub fn to_onnx(model: &TrainedModel) -> Result<Export> {
    let mut graph = Builder::default();
    let task = model.preprocessing().task;
    let names: &[&str] = if task == Task::Regression { &["prediction"] } else { &["label", "probabilities"] };
    names.iter().for_each(|name| graph.reserve(name));
    let (features, mut warnings) = inputs::append(&mut graph, model.preprocessing());
    let outputs = append_layers(&mut graph, model, features)?;
    match task {
        Task::Regression => {
            let targets = &model.preprocessing().targets;
            let beyond = |target: &TargetCoding| {
                inputs::beyond(&format!("target \"{}\"", target.name), target.mean, target.deviation)
            };
            warnings.extend(targets.iter().filter_map(beyond));
            append_values(&mut graph, model, &outputs);
        }
        _ => append_classes(&mut graph, model, &outputs)?,
    }
    let graph = graph.finish("wgrad");
    let told = |values: &[onnx::ValueInfo]| values.iter().map(describe).collect();
    let (inputs, outputs) = (told(&graph.input), told(&graph.output));
    let opset = |domain: &str, version| onnx::OperatorSet { domain: Some(domain.into()), version: Some(version) };
    let file = onnx::Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("wgrad".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        domain: None,
        model_version: Some(1),
        doc_string: Some("Takes raw columns: its preprocessing is inside.".into()),
        graph: Some(graph),
        opset_import: vec![opset("", OPSET), opset(ML, ML_OPSET)],
    };
    let size = file.encoded_len();
    if size > MOST_BYTES {
        return Err(Error::output(format!("the model takes {size} bytes, an ONNX file holds {MOST_BYTES}"))
            .remedy("train a smaller network"));
    }
    Ok(Export { bytes: file.encode_to_vec(), inputs, outputs, warnings })
}

/// `age float [N, 1]`
fn describe(value: &onnx::ValueInfo) -> String {
    let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let element = match tensor.and_then(|tensor| tensor.elem_type) {
        Some(e) if e == Element::Float as i32 => "float",
        Some(e) if e == Element::Uint8 as i32 => "uint8",
        Some(e) if e == Element::Int64 as i32 => "int64",
        _ => "string",
    };
    let sizes = tensor.and_then(|tensor| tensor.shape.as_ref()).map_or(&[][..], |shape| &shape.dim[..]);
    let size = |dimension: &onnx::Dimension| match &dimension.size {
        Some(onnx::Size::Value(value)) => value.to_string(),
        _ => "N".into(),
    };
    let sizes: Vec<String> = sizes.iter().map(size).collect();
    format!("{} {element} [{}]", value.name.as_deref().unwrap_or_default(), sizes.join(", "))
}

/// The network up to its answers before unscaling, `[N, outputs]`.
fn append_layers(graph: &mut Builder, model: &TrainedModel, features: String) -> Result<String> {
    let layers = model.layers();
    let mut x = features;
    let mut width = model.preprocessing().feature_columns();
    for (i, layer) in layers.iter().enumerate() {
        match layer.kind.as_str() {
            "dense" => {
                (x, width) = append_dense(graph, model, i, &x, width)?;
                if i + 1 < layers.len() {
                    let row = model.activations().find(layer.activation.as_deref().unwrap_or(IDENTITY.name))?;
                    x = activations::apply(graph, Output::Pointwise(row), &x)?;
                }
            }
            "batch_norm" => x = append_batch_norm(graph, model, layer, i, &x)?,
            // Dropout drops nothing here.
            _ => {}
        }
    }
    for output in model.output()? {
        x = activations::apply(graph, output, &x)?;
    }
    Ok(x)
}

fn weight<'a>(model: &'a TrainedModel, name: &str) -> Result<&'a [f32]> {
    model.weight(name).ok_or_else(|| Error::internal(format!("the model has no `{name}`")))
}

/// y = x·Wᵀ + b; returns its name and how many columns it has.
fn append_dense(
    graph: &mut Builder,
    model: &TrainedModel,
    index: usize,
    x: &str,
    features: usize,
) -> Result<(String, usize)> {
    let (name, bias_name) = (format!("layers.{index}.weight"), format!("layers.{index}.bias"));
    let values = weight(model, &name)?;
    let units = values.len() / features.max(1);
    let matrix = graph.floats(&name, &[units, features], values);
    let mut inputs = vec![x.to_owned(), matrix];
    inputs.extend(model.weight(&bias_name).map(|bias| graph.floats(&bias_name, &[units], bias)));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Ok((graph.node("Gemm", &inputs, &[("transB", Setting::Int(1))]), units))
}

fn append_batch_norm(
    graph: &mut Builder,
    model: &TrainedModel,
    layer: &Layer,
    index: usize,
    x: &str,
) -> Result<String> {
    let mut inputs = vec![x.to_owned()];
    for field in ["weight", "bias", "running_mean", "running_var"] {
        let name = format!("layers.{index}.{field}");
        let values = weight(model, &name)?;
        inputs.push(graph.floats(&name, &[values.len()], values));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let epsilon = layer.epsilon.unwrap_or(1e-5) as f32;
    Ok(graph.node("BatchNormalization", &inputs, &[("epsilon", Setting::Float(epsilon))]))
}

/// Back to the targets' own units.
fn append_values(graph: &mut Builder, model: &TrainedModel, outputs: &str) {
    let targets = &model.preprocessing().targets;
    let mut x = outputs.to_owned();
    if targets.iter().any(|target| target.mean != 0.0 || target.deviation != 1.0) {
        let row = [1, targets.len()];
        let column =
            |of: fn(&TargetCoding) -> f64| -> Vec<f32> { targets.iter().map(|target| of(target) as f32).collect() };
        let deviation = graph.floats("wgrad/target_deviation", &row, &column(|target| target.deviation));
        let mean = graph.floats("wgrad/target_mean", &row, &column(|target| target.mean));
        x = graph.node("Mul", &[&x, &deviation], &[]);
        x = graph.node("Add", &[&x, &mean], &[]);
    }
    graph.output("prediction", &x, Element::Float, &[targets.len()]);
}

/// `label` `[N]` and `probabilities` `[N, classes]`, in class order.
fn append_classes(graph: &mut Builder, model: &TrainedModel, outputs: &str) -> Result<()> {
    let preprocessing = model.preprocessing();
    let index = match preprocessing.task {
        Task::Binary => {
            let half = graph.floats("wgrad/half", &[], &[0.5]);
            let is_second = graph.node("GreaterOrEqual", &[outputs, &half], &[]);
            let number = graph.node("Cast", &[&is_second], &[("to", Setting::Int(Element::Int64 as i64))]);
            let axes = graph.integers("wgrad/axes", &[1]);
            graph.node("Squeeze", &[&number, &axes], &[])
        }
        _ => graph.node("ArgMax", &[outputs], &[("axis", Setting::Int(1)), ("keepdims", Setting::Int(0))]),
    };
    let words = preprocessing.targets.first().is_some_and(|target| target.words);
    let integers: Option<Vec<i64>> = preprocessing.classes.iter().map(|class| class.parse().ok()).collect();
    let (classes, element) = match integers.filter(|_| !words) {
        Some(integers) => (graph.integers("wgrad/classes", &integers), Element::Int64),
        None => (graph.strings("wgrad/classes", &preprocessing.classes), Element::String),
    };
    let label = graph.node("Gather", &[&classes, &index], &[("axis", Setting::Int(0))]);
    graph.output("label", &label, element, &[]);
    let probabilities = append_probabilities(graph, model, outputs)?;
    graph.output("probabilities", &probabilities, Element::Float, &[preprocessing.classes.len()]);
    Ok(())
}

/// What [`crate::trained::Predictions`] makes of outputs: probabilities as they are; other answers are held in [0, 1]
/// and divided by their sum.
fn append_probabilities(graph: &mut Builder, model: &TrainedModel, outputs: &str) -> Result<String> {
    let as_they_are = model.gives_probabilities()?;
    let is_binary = model.preprocessing().task == Task::Binary;
    if as_they_are && !is_binary {
        return Ok(outputs.to_owned());
    }
    let (zero, one) = (graph.floats("wgrad/zero", &[], &[0.0]), graph.floats("wgrad/one", &[], &[1.0]));
    let x = graph.node("Clip", &[outputs, &zero, &one], &[]);
    if is_binary {
        let first = graph.node("Sub", &[&one, &x], &[]);
        return Ok(graph.node("Concat", &[&first, &x], &[("axis", Setting::Int(1))]));
    }
    let axes = graph.integers("wgrad/axes", &[1]);
    let sum = graph.node("ReduceSum", &[&x, &axes], &[("keepdims", Setting::Int(1))]);
    let nothing = graph.node("Equal", &[&sum, &zero], &[]);
    let even = graph.floats("wgrad/even", &[], &[1.0 / model.outputs() as f32]);
    let share = graph.node("Div", &[&x, &sum], &[]);
    Ok(graph.node("Where", &[&nothing, &even, &share], &[]))
}
