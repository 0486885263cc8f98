//! Flags that several commands share, and how they override the run file.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use toml::Value;

use crate::config::{self, Config, Loaded, Override};
use crate::error::{Error, Result};
use crate::model::{activations, losses, optimizers};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub fn for_help(self) -> clap::ColorChoice {
        match self {
            Color::Auto => clap::ColorChoice::Auto,
            Color::Always => clap::ColorChoice::Always,
            Color::Never => clap::ColorChoice::Never,
        }
    }
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Shared {
    /// auto (a hardware GPU, else the CPU path), cpu, gpu (the best adapter, a software one too), an adapter's index or part of its name
    #[arg(
        long,
        global = true,
        env = "WGRAD_DEVICE",
        hide_env = true,
        default_value = "auto",
        value_name = "DEVICE",
        display_order = 101
    )]
    pub device: String,
    /// Threads of the CPU path; results do not depend on it [default: all cores]
    #[arg(long, global = true, env = "WGRAD_THREADS", hide_env = true, allow_negative_numbers = true, display_order = 102, value_parser = threads, value_name = "N")]
    pub threads: Option<usize>,
    /// Seed of every random choice [default: 42]
    #[arg(long, global = true, env = "WGRAD_SEED", hide_env = true, allow_negative_numbers = true, display_order = 103, value_parser = seed, value_name = "N")]
    pub seed: Option<u64>,
    /// Says nothing but results and errors
    #[arg(long, short, global = true, env = "WGRAD_QUIET", hide_env = true, value_parser = FalseyValueParser::new(), display_order = 104)]
    pub quiet: bool,
    /// JSON Lines on stdout, words for people on stderr
    #[arg(long, global = true, env = "WGRAD_JSON", hide_env = true, value_parser = FalseyValueParser::new(), display_order = 105)]
    pub json: bool,
    /// Colours; NO_COLOR is honoured
    #[arg(long, global = true, env = "WGRAD_COLOR", hide_env = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", display_order = 106)]
    pub color: Color,
}

impl Shared {
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(42)
    }
}

/// Flags of the commands that take a run file.
#[derive(Debug, Clone, Args)]
pub(super) struct RunFlags {
    /// A built-in name (digits), a .csv or .tsv (also .gz), an .npz, or a folder of MNIST-style IDX files
    #[arg(value_name = "DATA")]
    pub data: Option<String>,
    /// The run file (TOML)
    #[arg(long, env = "WGRAD_CONFIG", hide_env = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The column to predict, by name or 0-based index; several for regression: a,b [default: the last one]
    #[arg(long, env = "WGRAD_TARGET", hide_env = true, value_name = "COLUMN")]
    pub target: Option<String>,
    /// regression, binary or classification [default: inferred]
    #[arg(long, env = "WGRAD_TASK", hide_env = true, value_name = "TASK")]
    pub task: Option<String>,
    /// Units of the hidden dense layers, such as 128,64; none for no hidden layer
    #[arg(long, env = "WGRAD_HIDDEN", hide_env = true, value_name = "UNITS")]
    pub hidden: Option<String>,
    #[arg(long, env = "WGRAD_ACTIVATION", hide_env = true, value_name = "NAME", help = activation_help())]
    pub activation: Option<String>,
    #[arg(long, env = "WGRAD_LOSS", hide_env = true, value_name = "NAME", help = loss_help())]
    pub loss: Option<String>,
    #[arg(long, env = "WGRAD_OPTIMIZER", hide_env = true, value_name = "NAME", help = optimizer_help())]
    pub optimizer: Option<String>,
    /// Learning rate; with train also auto, what lr-find suggests [default: 0.001]
    #[arg(long, env = "WGRAD_LR", hide_env = true, value_name = "X", allow_negative_numbers = true)]
    pub lr: Option<String>,
    /// Epochs [default: 50]
    #[arg(long, env = "WGRAD_EPOCHS", hide_env = true, value_name = "N", allow_negative_numbers = true)]
    pub epochs: Option<String>,
    /// Rows of a mini-batch [default: 64]
    #[arg(long, env = "WGRAD_BATCH_SIZE", hide_env = true, value_name = "N", allow_negative_numbers = true)]
    pub batch_size: Option<String>,
    /// Start weights, such as another run's model.safetensors
    #[arg(long, env = "WGRAD_INIT", hide_env = true, value_name = "FILE")]
    pub init: Option<String>,
    /// Any other setting of the run file, such as data.split=[0.8,0.1,0.1]
    #[arg(long, env = "WGRAD_SET", hide_env = true, value_name = "KEY=VALUE")]
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
    /// Everything that was given, on the command line or in the environment.
    given: Vec<String>,
}

impl Overrides {
    pub fn none() -> Self {
        Overrides { from_environment: Vec::new(), given: Vec::new() }
    }

    pub fn new(matches: &ArgMatches) -> Self {
        let (mut from_environment, mut given) = (Vec::new(), Vec::new());
        let mut note = |matches: &ArgMatches| {
            for id in matches.ids().map(clap::Id::as_str).filter(|id| matches.try_get_raw(id).is_ok()) {
                match matches.value_source(id) {
                    Some(ValueSource::EnvVariable) => {
                        from_environment.push(id.to_owned());
                        given.push(id.to_owned());
                    }
                    Some(ValueSource::CommandLine) => given.push(id.to_owned()),
                    _ => {}
                }
            }
        };
        note(matches);
        if let Some((_, matches)) = matches.subcommand() {
            note(matches);
        }
        Overrides { from_environment, given }
    }

    /// Whether a flag has another value than its default by the user's will.
    pub fn is_given(&self, id: &str) -> bool {
        self.given.iter().any(|own| own == id)
    }

    /// Whether it stands on the command line itself.
    pub fn is_typed(&self, id: &str) -> bool {
        self.is_given(id) && !self.is_from_environment(id)
    }

    fn is_from_environment(&self, id: &str) -> bool {
        self.from_environment.iter().any(|own| own == id)
    }

    /// What the user typed for a flag.
    fn origin(&self, id: &str) -> String {
        if self.is_from_environment(id) {
            format!("WGRAD_{}", id.to_uppercase())
        } else {
            format!("--{}", id.replace('_', "-"))
        }
    }

    /// Loads the run file with everything that overrides it: variables of the environment first, since they give way
    /// to every flag.
    pub fn load(&self, flags: &RunFlags, shared: &Shared) -> Result<Loaded> {
        let (from_environment, from_flags): (Vec<_>, Vec<_>) =
            self.plain(flags, shared).into_iter().partition(|change| change.origin.starts_with("WGRAD_"));
        let (set_by_environment, set_by_flags) =
            flags.set.split_at(if self.is_from_environment("set") { flags.set.len() } else { 0 });
        let mut changes = from_environment;
        if flags.hidden.is_some() && self.is_from_environment("hidden") {
            changes.extend(self.hidden(flags)?);
        }
        for text in set_by_environment {
            let change = Override::parse_set(text).map_err(|error| error.at("WGRAD_SET"))?;
            changes.push(Override { origin: self.origin("set"), ..change });
        }
        changes.extend(from_flags);
        if flags.hidden.is_some() && !self.is_from_environment("hidden") {
            changes.extend(self.hidden(flags)?);
        }
        // Which layers --activation changes depends on the layers that are there.
        if let Some(activation) = &flags.activation {
            let before = config::load(flags.config.as_deref(), &changes)?;
            changes.extend(self.activation(activation, &before.config));
        }
        for text in set_by_flags {
            changes.push(Override::parse_set(text)?);
        }
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

    fn activation(&self, name: &str, config: &Config) -> Vec<Override> {
        let hidden = config.model.layers.iter().enumerate().rev().skip(1).filter(|(_, layer)| layer.kind == "dense");
        let change = |(i, _)| Override {
            key: format!("model.layers[{i}].activation"),
            value: Value::String(name.into()),
            origin: self.origin("activation"),
        };
        hidden.map(change).collect()
    }

    /// New hidden layers before the last layer that is there.
    fn hidden(&self, flags: &RunFlags) -> Result<Option<Override>> {
        let Some(hidden) = &flags.hidden else { return Ok(None) };
        let origin = self.origin("hidden");
        let sizes: Option<Vec<i64>> = match hidden.as_str() {
            "" | "none" | "0" => Some(Vec::new()),
            list => list.split(',').map(|size| size.trim().parse().ok().filter(|&size: &i64| size > 0)).collect(),
        };
        let sizes = sizes.ok_or_else(|| {
            Error::usage(format!("`{hidden}` is no list of unit counts"))
                .at(&origin)
                .remedy("write for instance --hidden 128,64, or --hidden none")
        })?;
        let mut layers: Vec<Value> = sizes
            .into_iter()
            .map(|units| {
                let mut layer = toml::Table::new();
                layer.insert("type".into(), Value::String("dense".into()));
                layer.insert("units".into(), Value::Integer(units));
                layer.insert("activation".into(), Value::String("relu".into()));
                Value::Table(layer)
            })
            .collect();
        let file = config::load(flags.config.as_deref(), &[])?;
        if let Some(last) = file.config.model.layers.last().and_then(|last| Value::try_from(last).ok()) {
            layers.push(last);
        }
        Ok(Some(Override { key: "model.layers".into(), value: Value::Array(layers), origin }))
    }
}

/// How many of something; what clap says of a bad value is the remedy.
pub(super) fn count(text: &str) -> Result<u32, &'static str> {
    text.parse().ok().filter(|&count| count > 0).ok_or("give a whole number from 1 to 4294967295")
}

fn threads(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| (1..=1024).contains(count)).ok_or("give a whole number from 1 to 1024")
}

fn seed(text: &str) -> Result<u64, &'static str> {
    // A run file's integers end at i64::MAX.
    text.parse()
        .ok()
        .filter(|&seed| i64::try_from(seed).is_ok())
        .ok_or("give a whole number from 0 to 9223372036854775807")
}

fn activation_help() -> String {
    let names: Vec<&str> = activations::ACTIVATIONS.iter().map(|row| row.name).collect();
    format!("Activation of the hidden layers: {} [default: relu]", names.join(", "))
}

fn loss_help() -> String {
    let names: Vec<&str> = losses::LOSSES.iter().map(|row| row.name).collect();
    format!("What is minimised: {} [default: by task]", names.join(", "))
}

fn optimizer_help() -> String {
    let names: Vec<&str> = optimizers::OPTIMIZERS.iter().map(|row| row.name).collect();
    format!("The optimizer: {} [default: adam]", names.join(", "))
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
