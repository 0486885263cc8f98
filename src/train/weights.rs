//! Weights as safetensors files: `layers.<i>.weight` `[out, in]`, `layers.<i>.bias` `[out]`, and batch norm's running
//! statistics. The format: huggingface/safetensors.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::{Error, Result, suggestion};
use crate::ops::TensorId;
use crate::plan::Plan;

/// The shape a tensor has in a file: weight matrices have two dimensions, everything else one.
fn file_shape(plan: &Plan, id: TensorId) -> Vec<usize> {
    let tensor = plan.tensor(id);
    if plan.parameters.iter().any(|p| p.weight == id && p.is_matrix) {
        vec![tensor.rows, tensor.columns]
    } else {
        vec![tensor.columns]
    }
}

/// A model file's bytes. The same weights and description give the same bytes: they hold no time and no path.
pub fn to_bytes(plan: &Plan, weights: &[impl AsRef<[f32]>], description: &serde_json::Value) -> Result<Vec<u8>> {
    let raw: Vec<Vec<u8>> = weights.iter().map(|w| w.as_ref().iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let mut views = Vec::new();
    for (id, raw) in plan.model_tensors().into_iter().zip(&raw) {
        let view = TensorView::new(Dtype::F32, file_shape(plan, id), raw)
            .map_err(|error| Error::internal(format!("{}: {error}", plan.tensor(id).name)))?;
        views.push((plan.tensor(id).name.clone(), view));
    }
    // One key only: the order of several would differ from run to run.
    let metadata = HashMap::from([("wgrad".to_owned(), description.to_string())]);
    safetensors::serialize(views, Some(metadata)).map_err(|error| Error::internal(format!("the model file: {error}")))
}

/// Reads exactly the plan's weights; other metadata is not needed.
///
/// # Errors
/// [`Error::Output`] if the file cannot be read, is no safetensors file, or lacks a tensor, has one too many or one of
/// another shape.
pub fn read(path: &Path, plan: &Plan) -> Result<Vec<(TensorId, Vec<f32>)>> {
    let at = |error: Error| error.at(path.display());
    let bytes = std::fs::read(path).map_err(|error| {
        at(Error::output(format!("cannot be read: {error}")).remedy("check the path of the weights"))
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| {
        at(Error::output(format!("is not a safetensors file: {error}")).remedy("give a file that ends in .safetensors"))
    })?;
    of_file(&file, plan).map_err(at)
}

/// As [`read`], from a file that is open.
pub fn of_file(file: &SafeTensors, plan: &Plan) -> Result<Vec<(TensorId, Vec<f32>)>> {
    let wanted = plan.model_tensors();
    let names: Vec<&str> = wanted.iter().map(|&id| plan.tensor(id).name.as_str()).collect();
    let known: HashSet<&str> = names.iter().copied().collect();
    if let Some(extra) = file.names().into_iter().find(|name| !known.contains(name)) {
        let remedy = match suggestion(extra, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? This model has {}", names.join(", ")),
            None => format!("this model has {}", names.join(", ")),
        };
        return Err(Error::output(format!("has the tensor `{extra}`, which this model has not")).remedy(remedy));
    }
    wanted.into_iter().map(|id| tensor(file, plan, id).map(|values| (id, values))).collect()
}

fn tensor(file: &SafeTensors, plan: &Plan, id: TensorId) -> Result<Vec<f32>> {
    let (name, shape) = (&plan.tensor(id).name, file_shape(plan, id));
    let view = file.tensor(name).map_err(|_| {
        Error::output(format!("lacks the tensor `{name}` {shape:?}"))
            .remedy("use the weights of a model with the same layers")
    })?;
    if view.shape() != shape {
        return Err(Error::output(format!("has `{name}` as {:?}, this model needs {shape:?}", view.shape()))
            .remedy("use the weights of a model with the same layers"));
    }
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F64 => {
            let wide = view.data().chunks_exact(8);
            wide.map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32).collect()
        }
        other => {
            return Err(Error::output(format!("has `{name}` as {other:?}")).remedy("store it as F32 or F64"));
        }
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(i) => {
            Err(Error::output(format!("has a NaN or infinity in `{name}`, element {i}")).remedy("use other weights"))
        }
        None => Ok(values),
    }
}
