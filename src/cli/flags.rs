//! Flags that several commands share, and how they override the run file.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use toml::Value;

use crate::config::{self, Config, Loaded, Override};
use crate::error::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(super) struct Shared {
    /// auto (a hardware GPU, else the CPU path), cpu, gpu (the best adapter, a software one too), an adapter's index or part of its name
    #[arg(long, global = true, env = "WGRAD_DEVICE", default_value = "auto", value_name = "DEVICE")]
    pub device: String,
    /// Threads of the CPU path; results do not depend on it [default: all cores]
    #[arg(long, global = true, env = "WGRAD_THREADS", value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    pub threads: Option<u16>,
    /// Seed of every random choice [default: 42]
    #[arg(long, global = true, env = "WGRAD_SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64), value_name = "N")]
    pub seed: Option<u64>,
    /// Says nothing but results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// JSON Lines on stdout, words for people on stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

impl Shared {
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
    }

    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(42)
    }
}

/// Flags of the commands that take a run file.
#[derive(Debug, Args)]
pub(super) struct RunFlags {
    /// A built-in name (digits), a .csv or .tsv (also .gz), an .npz, or a folder of MNIST-style IDX files
    #[arg(value_name = "DATA")]
    pub data: Option<String>,
    /// The run file
    #[arg(long, env = "WGRAD_CONFIG", value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// The column to predict, by name or 0-based index; several for regression: a,b [default: the last one]
    #[arg(long, env = "WGRAD_TARGET", value_name = "COLUMN")]
    pub target: Option<String>,
    /// regression, binary or classification [default: inferred]
    #[arg(long, env = "WGRAD_TASK", value_name = "TASK")]
    pub task: Option<String>,
    /// Units of the hidden dense layers, such as 128,64; none for no hidden layer
    #[arg(long, env = "WGRAD_HIDDEN", value_name = "UNITS")]
    pub hidden: Option<String>,
    /// Activation of the hidden layers
    #[arg(long, env = "WGRAD_ACTIVATION", value_name = "NAME")]
    pub activation: Option<String>,
    /// mse, mae, huber, cross_entropy or binary_cross_entropy [default: by task]
    #[arg(long, env = "WGRAD_LOSS", value_name = "NAME")]
    pub loss: Option<String>,
    /// sgd, adagrad, rmsprop, adam or adamw [default: adam]
    #[arg(long, env = "WGRAD_OPTIMIZER", value_name = "NAME")]
    pub optimizer: Option<String>,
    /// Learning rate [default: 0.001]
    #[arg(long, env = "WGRAD_LR", value_name = "X", allow_hyphen_values = true)]
    pub lr: Option<String>,
    /// Epochs [default: 50]
    #[arg(long, env = "WGRAD_EPOCHS", value_name = "N", allow_hyphen_values = true)]
    pub epochs: Option<String>,
    /// Rows of a mini-batch [default: 64]
    #[arg(long, env = "WGRAD_BATCH_SIZE", value_name = "N", allow_hyphen_values = true)]
    pub batch_size: Option<String>,
    /// Start weights
    #[arg(long, env = "WGRAD_INIT", value_name = "FILE.safetensors")]
    pub init: Option<String>,
    /// Any other setting of the run file, such as data.split=[0.8,0.1,0.1]
    #[arg(long, value_name = "path.to.key=VALUE")]
    pub set: Vec<String>,
}

impl RunFlags {
    /// The flags of a command that names only its data.
    pub fn of(data: &str) -> Self {
        RunFlags {
            data: Some(data.to_owned()),
            config: None,
            target: None,
            task: None,
            hidden: None,
            activation: None,
            loss: None,
            optimizer: None,
            lr: None,
            epochs: None,
            batch_size: None,
            init: None,
            set: Vec::new(),
        }
    }
}

/// Which flags came from the environment.
pub(super) struct Overrides {
    from_environment: Vec<String>,
}

impl Overrides {
    pub fn none() -> Self {
        Overrides { from_environment: Vec::new() }
    }

    pub fn new(matches: &ArgMatches) -> Self {
        let mut from_environment = Vec::new();
        let mut note = |matches: &ArgMatches| {
            let ids = matches.ids().map(clap::Id::as_str).filter(|id| matches.try_get_raw(id).is_ok());
            from_environment
                .extend(ids.filter(|id| matches.value_source(id) == Some(ValueSource::EnvVariable)).map(str::to_owned));
        };
        note(matches);
        if let Some((_, matches)) = matches.subcommand() {
            note(matches);
        }
        Overrides { from_environment }
    }

    /// What the user typed for a flag.
    fn origin(&self, id: &str) -> String {
        if self.from_environment.iter().any(|own| own == id) {
            format!("WGRAD_{}", id.to_uppercase())
        } else {
            format!("--{}", id.replace('_', "-"))
        }
    }

    /// Loads the run file with everything that overrides it.
    pub fn load(&self, flags: &RunFlags, shared: &Shared) -> Result<Loaded> {
        let mut changes = self.plain(flags, shared);
        // What --hidden and --activation change depends on the layers that are there.
        if flags.hidden.is_some() || flags.activation.is_some() {
            let before = config::load(flags.config.as_deref(), &changes)?;
            changes.extend(self.layers(flags, &before.config)?);
        }
        for text in &flags.set {
            changes.push(Override::parse_set(text)?);
        }
        // A variable of the environment gives way to every flag.
        changes.sort_by_key(|change| !change.origin.starts_with("WGRAD_"));
        config::load(flags.config.as_deref(), &changes)
    }

    /// One override for each flag that stands for one key.
    fn plain(&self, flags: &RunFlags, shared: &Shared) -> Vec<Override> {
        let mut changes = Vec::new();
        let mut add = |key: &str, origin: String, value: Value| {
            changes.push(Override { key: key.into(), value, origin });
        };
        let word = |text: &String| Value::String(text.clone());
        if let Some(data) = &flags.data {
            add("data.source", "DATA".into(), word(data));
        }
        if let Some(target) = &flags.target {
            add("data.target", self.origin("target"), columns(target));
        }
        for (id, key, value) in [
            ("task", "data.task", &flags.task),
            ("loss", "loss.name", &flags.loss),
            ("optimizer", "optimizer.name", &flags.optimizer),
            ("init", "init_weights", &flags.init),
        ] {
            if let Some(text) = value {
                add(key, self.origin(id), word(text));
            }
        }
        for (id, key, value) in [
            ("lr", "optimizer.learning_rate", &flags.lr),
            ("epochs", "train.epochs", &flags.epochs),
            ("batch_size", "train.batch_size", &flags.batch_size),
        ] {
            if let Some(text) = value {
                add(key, self.origin(id), number(text));
            }
        }
        if let Some(seed) = shared.seed {
            add("seed", self.origin("seed"), Value::Integer(seed as i64));
        }
        changes
    }

    fn layers(&self, flags: &RunFlags, config: &Config) -> Result<Vec<Override>> {
        let activation = flags.activation.as_deref();
        let Some(hidden) = &flags.hidden else {
            let hidden =
                config.model.layers.iter().enumerate().rev().skip(1).filter(|(_, layer)| layer.kind == "dense");
            let origin = self.origin("activation");
            return Ok(hidden
                .map(|(i, _)| Override {
                    key: format!("model.layers[{i}].activation"),
                    value: Value::String(activation.unwrap_or_default().into()),
                    origin: origin.clone(),
                })
                .collect());
        };
        let origin = self.origin("hidden");
        let sizes: Option<Vec<i64>> = match hidden.as_str() {
            "" | "none" | "0" => Some(Vec::new()),
            list => list.split(',').map(|size| size.trim().parse().ok().filter(|&size: &i64| size > 0)).collect(),
        };
        let sizes = sizes.ok_or_else(|| {
            crate::error::Error::usage(format!("`{hidden}` is no list of unit counts"))
                .at(&origin)
                .remedy("write for instance --hidden 128,64, or --hidden none")
        })?;
        let mut layers: Vec<Value> = sizes
            .into_iter()
            .map(|units| {
                let mut layer = toml::Table::new();
                layer.insert("type".into(), Value::String("dense".into()));
                layer.insert("units".into(), Value::Integer(units));
                layer.insert("activation".into(), Value::String(activation.unwrap_or("relu").into()));
                Value::Table(layer)
            })
            .collect();
        if let Some(last) = config.model.layers.last().and_then(|last| Value::try_from(last).ok()) {
            layers.push(last);
        }
        Ok(vec![Override { key: "model.layers".into(), value: Value::Array(layers), origin }])
    }
}

/// A number if it is one; anything else is left for the run file's check to refuse by name.
fn number(text: &str) -> Value {
    let integer = text.parse().map(Value::Integer);
    integer.or_else(|_| text.parse().map(Value::Float)).unwrap_or_else(|_| Value::String(text.into()))
}

/// One column, or several between commas; digits are an index.
fn columns(text: &str) -> Value {
    let one = |text: &str| text.parse().map_or_else(|_| Value::String(text.into()), Value::Integer);
    match text.split_once(',') {
        None => one(text),
        Some(_) => Value::Array(text.split(',').map(|part| one(part.trim())).collect()),
    }
}
