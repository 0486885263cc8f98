//! The run file: its sections as types, with the defaults of what is left out. Knows nothing of the rest:
//! names of activations, losses, optimizers, schedules and initialisers are plain strings here and are looked up
//! in `model`. [`load`] is the way in; it answers mistakes with the line and column, or the flag, that made them.

mod check;
mod key;
mod load;
mod schema;
mod search;
mod text;
mod write;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use load::{Loaded, Override, load};
pub(crate) use schema::MAX_UNITS;
pub use search::Range;
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
    /// The rows.
    pub data: Data,
    /// The network.
    pub model: Model,
    /// What is minimised.
    pub loss: Loss,
    /// How the weights follow the gradients.
    pub optimizer: Optimizer,
    /// Penalties and gradient clipping.
    pub regularization: Regularization,
    /// The learning rate over time.
    pub schedule: Schedule,
    /// How long, and in which portions.
    pub train: Train,
    /// When training ends before its last epoch.
    pub early_stopping: EarlyStopping,
    /// Ranges for `wgrad search`, as written; [`Config::search_ranges`] reads them.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub search: toml::Table,
}

/// What kind of answer the targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Numbers.
    Regression,
    /// One of two classes: one output, the probability of the second.
    Binary,
    /// One of several classes: a probability for each.
    Classification,
}

impl Task {
    /// Outputs of a network for this many classes or target columns.
    pub fn outputs(self, classes: usize, targets: usize) -> usize {
        match self {
            Task::Classification => classes,
            Task::Binary => 1,
            Task::Regression => targets,
        }
    }
}

/// What happens to rows with missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Mean or most frequent value of the training rows.
    Impute,
    /// They are left out.
    Drop,
    /// They are an error.
    Error,
}

/// A column by name or by 0-based index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column's name or 0-based index")]
pub enum Column {
    /// 0-based.
    Index(usize),
    /// As in the header.
    Name(String),
}

/// One target column, or several for regression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a column's name or 0-based index, or a list of them")]
pub enum Target {
    /// A single one.
    One(Column),
    /// Several, for regression.
    Many(Vec<Column>),
}

/// `[data]`: where the rows come from, and what is made of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// A built-in name, a file or a folder; relative paths are made absolute when the run file is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The last column where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Inferred from the target where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// All columns but the targets where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<Column>>,
    /// Columns to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Column>,
    /// Shares of training, validation and test rows; they sum to 1.
    pub split: [f64; 3],
    /// Brings features, and the targets of regression, to mean 0 and deviation 1 of the training rows.
    pub standardize: bool,
    /// What happens to rows with missing values.
    pub missing: Missing,
}

/// `[model]`: the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// The layers' initialiser where they name none: a row of [`crate::model::initializers`], or `auto`.
    pub init: String,
    /// From input to output; the last one is dense.
    pub layers: Vec<Layer>,
}

/// One layer as written: `type` says which of the other fields make sense, and [`load`] holds it to that.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// `dense`, `batch_norm` or `dropout`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Outputs of a dense layer; what the target needs in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
    /// Of a dense layer: a row of [`crate::model::activations`], `softmax` in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<String>,
    /// Whether a dense layer adds one; true where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<bool>,
    /// Of a dense layer's weights; the model's where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Of the initialisers `normal` (deviation) and `uniform` (half width).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Of a dense layer's bias; `zeros` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_init: Option<String>,
    /// Of batch norm's running statistics, above 0 and at most 1; 0.1 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// What batch norm adds to the variance; 10⁻⁵ where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// The share of units that dropout drops, from 0 to below 1.
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
    /// Where huber turns from squares to absolute values; 1 where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// How much each class counts; all the same where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
}

/// `[optimizer]`; what is `None` takes the named optimizer's own default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// `sgd`, `adagrad`, `rmsprop`, `adam` or `adamw`.
    pub name: String,
    /// Above 0.
    pub learning_rate: f64,
    /// Of sgd and rmsprop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Nesterov's variant of sgd's momentum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesterov: Option<bool>,
    /// What rmsprop keeps of its mean of squares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Whether rmsprop subtracts the mean gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centered: Option<bool>,
    /// What adam keeps of its mean of gradients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// What adam keeps of its mean of squares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// What keeps divisions finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Of adamw: the share that weights lose, times the learning rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
}

/// `[regularization]`: penalties and gradient clipping, all off unless given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Regularization {
    /// Adds l1·Σ|w| over the weight matrices.
    pub l1: f64,
    /// Adds (l2/2)·Σw² over the weight matrices.
    pub l2: f64,
    /// Largest norm of all gradients together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Largest absolute value of a gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
}

/// `[schedule]`: the learning rate over time; what is `None` takes the named schedule's own default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// `constant`, `step`, `exponential`, `cosine`, `plateau` or `one_cycle`.
    pub name: String,
    /// Epochs between two reductions of `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<usize>,
    /// What the rate is multiplied by at a reduction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Epochs until `cosine` reaches its minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// The lowest rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Epochs without a better validation loss until `plateau` reduces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Steps in which the rate rises to its start.
    pub warmup_steps: usize,
}

/// `[train]`: how long, and in which portions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// How often the training rows are gone through at most.
    pub epochs: usize,
    /// Rows of a step.
    pub batch_size: usize,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// Whether the norm of each weight matrix' gradient is kept, once an epoch.
    pub log_gradients: bool,
    /// Least time between two checkpoints, in minutes; 0 is at every epoch that is 0.2 s from the last one.
    pub checkpoint_minutes: f64,
}

/// `[early_stopping]`: when training ends before its last epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// A column of history.csv, such as `validation_loss` or `validation_accuracy`.
    pub metric: String,
    /// Epochs without a gain of `min_delta` before training stops; 0 is off.
    pub patience: usize,
    /// The least gain that counts.
    pub min_delta: f64,
    /// Whether the best epoch's weights are kept rather than the last one's.
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
