//! The run file: its sections as types, with the defaults of what is left out. Knows nothing of the rest:
//! names of activations, losses, optimizers, schedules and initialisers are plain strings here and are looked up
//! in `model`. [`load`] is the way in; it answers mistakes with the line and column, or the flag, that made them.

mod check;
mod key;
mod load;
mod schema;
mod text;
mod write;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::{Loaded, Override, load};
pub(crate) use schema::MAX_UNITS;
pub use write::Difference;

/// The data sets that need no file: as `data.source` such a name is never taken for a path.
pub const BUILT_IN: &[&str] = &["digits"];

/// A whole run file. Every field has a default; an unknown key is an error.
///
/// Deserialising one directly checks names and types only; [`load`] also checks ranges and what goes with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// At most `i64::MAX`, which is where the integers of TOML end.
    pub seed: u64,
    /// Start weights; a relative path is made absolute when the run file is read.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "write::path")]
    pub init_weights: Option<PathBuf>,
    pub data: Data,
    pub model: Model,
    pub loss: Loss,
    pub optimizer: Optimizer,
    pub regularization: Regularization,
    pub schedule: Schedule,
    pub train: Train,
    pub early_stopping: EarlyStopping,
    /// Ranges for `wgrad search`, which is the one to read and check them.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub search: toml::Table,
}

/// What kind of answer the targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Regression,
    Binary,
    Classification,
}

/// What happens to rows with missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Mean or most frequent value of the training rows.
    Impute,
    Drop,
    Error,
}

/// A column by name or by 0-based index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column's name or 0-based index")]
pub enum Column {
    Index(usize),
    Name(String),
}

/// One target column, or several for regression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column's name or 0-based index, or a list of them")]
pub enum Target {
    One(Column),
    Many(Vec<Column>),
}

/// `[data]`: where the rows come from, and what is made of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// A built-in name, a file or a folder; relative paths are made absolute when the run file is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<Column>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Column>,
    /// Shares of training, validation and test rows; they sum to 1.
    pub split: [f64; 3],
    pub standardize: bool,
    pub missing: Missing,
}

/// `[model]`: the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    pub init: String,
    pub layers: Vec<Layer>,
}

/// One layer as written: `type` says which of the other fields make sense, and [`load`] holds it to that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_init: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

/// How much the rows of each class count in the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"balanced\" or a list of numbers above 0")]
pub enum ClassWeights {
    /// Only `"balanced"`: rows / (classes · rows of the class), over the training rows.
    Named(String),
    /// One weight a class, in class order.
    List(Vec<f64>),
}

/// `[loss]`: what is minimised.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Chosen by the task where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

/// `[optimizer]`; what is `None` takes the named optimizer's own default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    pub name: String,
    pub learning_rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesterov: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// `[regularization]`: penalties and gradient clipping, all off unless given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Regularization {
    pub l1: f64,
    pub l2: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
}

/// `[schedule]`: the learning rate over time; what is `None` takes the named schedule's own default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    pub warmup_steps: usize,
}

/// `[train]`: how long, and in which portions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    pub epochs: usize,
    pub batch_size: usize,
    pub shuffle: bool,
    pub log_gradients: bool,
    /// Least time between two checkpoints, in minutes; 0 is at every epoch that is 0.2 s from the last one.
    pub checkpoint_minutes: f64,
}

/// `[early_stopping]`: when training ends before its last epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    pub metric: String,
    /// Epochs without a gain of `min_delta` before training stops; 0 is off.
    pub patience: usize,
    pub min_delta: f64,
    pub restore_best: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            seed: 42,
            init_weights: None,
            data: Data::default(),
            model: Model::default(),
            loss: Loss::default(),
            optimizer: Optimizer::default(),
            regularization: Regularization::default(),
            schedule: Schedule::default(),
            train: Train::default(),
            early_stopping: EarlyStopping::default(),
            search: toml::Table::new(),
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Data {
            source: None,
            target: None,
            task: None,
            features: None,
            ignore: Vec::new(),
            split: [0.7, 0.15, 0.15],
            standardize: true,
            missing: Missing::Impute,
        }
    }
}

impl Layer {
    /// A dense layer; `None` units are what the target needs.
    pub fn dense(units: Option<usize>, activation: &str) -> Self {
        Layer { kind: "dense".into(), units, activation: Some(activation.into()), ..Layer::default() }
    }
}

impl Default for Model {
    fn default() -> Self {
        let layers =
            vec![Layer::dense(Some(128), "relu"), Layer::dense(Some(64), "relu"), Layer::dense(None, "identity")];
        Model { init: "auto".into(), layers }
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer {
            name: "adam".into(),
            learning_rate: 1e-3,
            momentum: None,
            nesterov: None,
            alpha: None,
            centered: None,
            beta1: None,
            beta2: None,
            epsilon: None,
            weight_decay: None,
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            name: "constant".into(),
            every: None,
            factor: None,
            epochs: None,
            minimum: None,
            patience: None,
            warmup_steps: 0,
        }
    }
}

impl Default for Train {
    fn default() -> Self {
        Train { epochs: 50, batch_size: 64, shuffle: true, log_gradients: false, checkpoint_minutes: 0.0 }
    }
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping { metric: "validation_loss".into(), patience: 10, min_delta: 0.0, restore_best: true }
    }
}
