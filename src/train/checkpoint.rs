//! `checkpoint.safetensors`: a training's state with all that tells whether it may go on. Reading trusts nothing: a file
//! that was cut short, changed or made up is an error, and never costs more memory than the file has bytes.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Epoch, Open, State};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::schedules::Plateau;

/// The file's name in a run's folder.
pub const FILE: &str = "checkpoint.safetensors";

/// What `--resume` needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The whole resolved configuration.
    pub config: Config,
    /// Of the data's source, in hexadecimal.
    pub data_sha256: String,
    /// What was asked for with `--device`, and what that was.
    pub device: String,
    /// Its name.
    pub adapter: String,
    /// All that training goes on from.
    pub state: State,
}

/// A float by its bits: JSON knows neither NaN nor infinity.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Bits(u64);

impl Bits {
    fn of(value: f64) -> Self {
        Bits(value.to_bits())
    }

    fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Everything but tensors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    /// As config.toml.
    config: String,
    data_sha256: String,
    device: String,
    adapter: String,
    step: u64,
    open_steps: usize,
    open_rows: usize,
    open_loss: Bits,
    open_correct: Bits,
    start_loss: Option<Bits>,
    best_epoch: Option<usize>,
    stopping_best: Option<Bits>,
    stopping_waited: usize,
    plateau_best: Bits,
    plateau_bad_epochs: u64,
    plateau_reductions: u32,
    seconds: Bits,
    /// Names of the history's columns after [`FIXED`].
    metrics: Vec<String>,
    /// Of this header, with nothing in this place, and of the tensors in the order of their names.
    sha256: String,
}

const VERSION: u32 = 1;

/// The columns that every history has: learning_rate, train_loss, validation_loss (NaN: none), seconds, is_best.
const FIXED: usize = 5;

/// A tensor as it goes into the file.
struct Named {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Named {
    fn f32(name: String, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Named { name, dtype: Dtype::F32, shape: vec![values.len()], bytes }
    }
}

impl Checkpoint {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let state = &self.state;
        let metrics: Vec<String> = state
            .epochs
            .first()
            .map_or_else(Vec::new, |epoch| epoch.metrics.iter().map(|(name, _)| name.clone()).collect());
        let mut tensors = vec![history(&state.epochs, FIXED + metrics.len())];
        let best = state.best.as_ref().map_or(&[][..], |(_, weights)| weights);
        for (list, values) in [("weights", &state.weights[..]), ("slots", &state.slots), ("best", best)] {
            tensors.extend(values.iter().enumerate().map(|(i, values)| Named::f32(format!("{list}.{i:05}"), values)));
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let header = Header {
            version: VERSION,
            config: self.config.to_toml(),
            data_sha256: self.data_sha256.clone(),
            device: self.device.clone(),
            adapter: self.adapter.clone(),
            step: state.step,
            open_steps: state.open.steps,
            open_rows: state.open.rows,
            open_loss: Bits::of(state.open.loss),
            open_correct: Bits::of(state.open.correct),
            start_loss: state.start_loss.map(Bits::of),
            best_epoch: state.best.as_ref().map(|(epoch, _)| *epoch),
            stopping_best: state.stopping.0.map(Bits::of),
            stopping_waited: state.stopping.1,
            plateau_best: Bits::of(state.plateau.best),
            plateau_bad_epochs: state.plateau.bad_epochs,
            plateau_reductions: state.plateau.reductions,
            seconds: Bits::of(state.seconds),
            metrics,
            sha256: String::new(),
        };
        let internal = |error: &dyn std::fmt::Display| Error::internal(format!("the checkpoint: {error}"));
        let text = serde_json::to_string(&header).map_err(|error| internal(&error))?;
        let parts = tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.bytes.as_slice()));
        let header = Header { sha256: digest(&text, parts), ..header };
        let header = serde_json::to_string(&header).map_err(|error| internal(&error))?;
        let mut views = Vec::new();
        for tensor in &tensors {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes);
            views.push((tensor.name.as_str(), view.map_err(|error| internal(&error))?));
        }
        let metadata = HashMap::from([("wgrad_checkpoint".to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| internal(&error))
    }

    /// Reads the checkpoint of a run's folder.
    ///
    /// # Errors
    /// [`Error::Output`] if there is none, or it cannot be read or trusted.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if !folder.exists() => Error::output("no such folder")
                .at(folder.display())
                .remedy("name the folder of a run, as `wgrad train` printed it"),
            std::io::ErrorKind::NotFound => Error::output(format!("there is no {FILE} to resume from"))
                .at(folder.display())
                .remedy("a run leaves one after its first epoch; train anew"),
            _ => Error::output(format!("cannot be read: {error}")).at(path.display()).remedy("check its permissions"),
        })?;
        Checkpoint::from_bytes(&bytes).map_err(|problem| {
            Error::output(format!("is no checkpoint that can be trusted: {problem}"))
                .at(path.display())
                .remedy("take the file from a backup, or train anew")
        })
    }

    /// Reads a file's bytes; says what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| text(&error))?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get("wgrad_checkpoint"));
        let header = header.ok_or("it was not written by wgrad")?;
        let mut header: Header = serde_json::from_str(header).map_err(|error| text(&error))?;
        let sha256 = std::mem::take(&mut header.sha256);
        if header.version != VERSION {
            return Err(format!("it has version {}, this program reads version {VERSION}", header.version));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| text(&error))?;
        let mut tensors = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let bare = serde_json::to_string(&header).map_err(|error| text(&error))?;
        if digest(&bare, tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.data()))) != sha256 {
            return Err("its checksum is wrong".into());
        }
        let list = |prefix: &str| -> Result<Vec<Vec<f32>>, String> {
            let own = tensors.iter().filter(|(name, _)| name.strip_prefix(prefix).is_some_and(|r| r.starts_with('.')));
            own.map(|(name, tensor)| floats(name, tensor)).collect()
        };
        let (weights, slots, best) = (list("weights")?, list("slots")?, list("best")?);
        let best = match header.best_epoch {
            Some(epoch) if best.len() == weights.len() => Some((epoch, best)),
            None if best.is_empty() => None,
            _ => return Err("its best weights are not complete".into()),
        };
        let epochs = epochs(&file, &header.metrics)?;
        let config = Config::from_toml(&header.config).map_err(|error| text(&error))?;
        let state = State {
            step: header.step,
            epochs,
            open: Open {
                steps: header.open_steps,
                loss: header.open_loss.value(),
                correct: header.open_correct.value(),
                rows: header.open_rows,
            },
            start_loss: header.start_loss.map(Bits::value),
            weights,
            slots,
            best,
            stopping: (header.stopping_best.map(Bits::value), header.stopping_waited),
            plateau: Plateau {
                best: header.plateau_best.value(),
                bad_epochs: header.plateau_bad_epochs,
                reductions: header.plateau_reductions,
            },
            seconds: header.seconds.value(),
        };
        let Header { data_sha256, device, adapter, .. } = header;
        Ok(Checkpoint { config, data_sha256, device, adapter, state })
    }
}

/// SHA-256 over a header, names and bytes, in hexadecimal.
fn digest<'a>(header: &'a str, tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in std::iter::once(("", header.as_bytes())).chain(tensors) {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The epochs as a table of f64: each number as it was.
fn history(epochs: &[Epoch], columns: usize) -> Named {
    let mut bytes = Vec::with_capacity(8 * columns * epochs.len());
    for epoch in epochs {
        let best = f64::from(u8::from(epoch.is_best));
        let fixed =
            [epoch.learning_rate, epoch.train_loss, epoch.validation_loss.unwrap_or(f64::NAN), epoch.seconds, best];
        let metrics = epoch.metrics.iter().map(|(_, value)| *value);
        bytes.extend(fixed.into_iter().chain(metrics).flat_map(f64::to_le_bytes));
    }
    Named { name: "history".into(), dtype: Dtype::F64, shape: vec![epochs.len(), columns], bytes }
}

fn epochs(file: &SafeTensors, metrics: &[String]) -> Result<Vec<Epoch>, String> {
    let tensor = file.tensor("history").map_err(|error| error.to_string())?;
    let columns = FIXED + metrics.len();
    if tensor.dtype() != Dtype::F64 || tensor.shape().len() != 2 || tensor.shape()[1] != columns {
        return Err(format!("its history has the shape {:?}", tensor.shape()));
    }
    let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap_or_default());
    let rows = tensor.data().chunks_exact(8 * columns).enumerate();
    let epoch = |(i, row): (usize, &[u8])| {
        let values: Vec<f64> = row.chunks_exact(8).map(number).collect();
        Epoch {
            epoch: i + 1,
            learning_rate: values[0],
            train_loss: values[1],
            validation_loss: Some(values[2]).filter(|loss| !loss.is_nan()),
            metrics: metrics.iter().cloned().zip(values[FIXED..].iter().copied()).collect(),
            seconds: values[3],
            is_best: values[4] != 0.0,
        }
    };
    Ok(rows.map(epoch).collect())
}

fn floats(name: &str, tensor: &TensorView) -> Result<Vec<f32>, String> {
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("`{name}` is stored as {:?}", tensor.dtype()));
    }
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    match super::state::all_finite(std::slice::from_ref(&values)) {
        true => Ok(values),
        false => Err(format!("`{name}` holds a NaN or an infinity")),
    }
}
