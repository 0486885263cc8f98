//! The keys of a run file as a table of rows, and what each accepts. Knows neither files nor flags, and of a
//! value only what it can tell without the values around it.

use toml::Value;

/// What a key accepts.
pub(super) enum Kind {
    Section(&'static [Row]),
    Layers,
    Layer,
    /// A section whose keys name other keys: `search` checks them.
    Free,
    Flag,
    Text,
    Path,
    OneOf(&'static [&'static str]),
    /// A whole number, this or more.
    Count(i64),
    /// Units of a layer: 1 to [`MAX_UNITS`].
    Units,
    /// A finite number that 32-bit floats hold, and that also passes the test, in words and as code.
    Number(&'static str, fn(f64) -> bool),
    Column,
    Columns,
    Target,
    Split,
    ClassWeights,
}

/// The widest layer: far above what any device holds, far below where sizes in bytes would overflow.
pub(crate) const MAX_UNITS: i64 = 1 << 24;

/// A key and what it accepts.
pub(super) struct Row(pub &'static str, pub Kind);

/// A type of layer: its fields besides `type`, and the one it cannot do without, with an example.
pub(super) struct LayerType {
    pub name: &'static str,
    pub fields: &'static [Row],
    pub required: Option<(&'static str, &'static str)>,
}

pub(super) const POSITIVE: Kind = Kind::Number("above 0", |x| x > 0.0);
const NOT_NEGATIVE: Kind = Kind::Number("of at least 0", |x| x >= 0.0);
const BELOW_ONE: Kind = Kind::Number("of at least 0 and below 1", |x| (0.0..1.0).contains(&x));
const UP_TO_ONE: Kind = Kind::Number("above 0 and at most 1", |x| x > 0.0 && x <= 1.0);

pub(super) const RUN_FILE: &[Row] = &[
    Row("seed", Kind::Count(0)),
    Row("init_weights", Kind::Path),
    Row("data", Kind::Section(DATA)),
    Row("model", Kind::Section(MODEL)),
    Row("loss", Kind::Section(LOSS)),
    Row("optimizer", Kind::Section(OPTIMIZER)),
    Row("regularization", Kind::Section(REGULARIZATION)),
    Row("schedule", Kind::Section(SCHEDULE)),
    Row("train", Kind::Section(TRAIN)),
    Row("early_stopping", Kind::Section(EARLY_STOPPING)),
    Row("search", Kind::Free),
];

const DATA: &[Row] = &[
    Row("source", Kind::Path),
    Row("target", Kind::Target),
    Row("task", Kind::OneOf(&["regression", "binary", "classification"])),
    Row("features", Kind::Columns),
    Row("ignore", Kind::Columns),
    Row("split", Kind::Split),
    Row("standardize", Kind::Flag),
    Row("missing", Kind::OneOf(&["impute", "drop", "error"])),
];

const MODEL: &[Row] = &[Row("init", Kind::Text), Row("layers", Kind::Layers)];

pub(super) const LAYER_TYPES: &[LayerType] = &[
    LayerType {
        name: "dense",
        fields: &[
            Row("units", Kind::Units),
            Row("activation", Kind::Text),
            Row("bias", Kind::Flag),
            Row("init", Kind::Text),
            Row("scale", POSITIVE),
            Row("bias_init", Kind::Text),
        ],
        required: Some(("units", "units = 64")),
    },
    LayerType { name: "batch_norm", fields: &[Row("momentum", UP_TO_ONE), Row("epsilon", POSITIVE)], required: None },
    LayerType { name: "dropout", fields: &[Row("rate", BELOW_ONE)], required: Some(("rate", "rate = 0.2")) },
];

const LOSS: &[Row] = &[Row("name", Kind::Text), Row("delta", POSITIVE), Row("class_weights", Kind::ClassWeights)];

const OPTIMIZER: &[Row] = &[
    Row("name", Kind::Text),
    Row("learning_rate", POSITIVE),
    Row("momentum", BELOW_ONE),
    Row("nesterov", Kind::Flag),
    Row("alpha", BELOW_ONE),
    Row("centered", Kind::Flag),
    Row("beta1", BELOW_ONE),
    Row("beta2", BELOW_ONE),
    Row("epsilon", POSITIVE),
    Row("weight_decay", NOT_NEGATIVE),
];

const REGULARIZATION: &[Row] =
    &[Row("l1", NOT_NEGATIVE), Row("l2", NOT_NEGATIVE), Row("clip_norm", POSITIVE), Row("clip_value", POSITIVE)];

const SCHEDULE: &[Row] = &[
    Row("name", Kind::Text),
    Row("every", Kind::Count(1)),
    Row("factor", POSITIVE),
    Row("epochs", Kind::Count(1)),
    Row("minimum", NOT_NEGATIVE),
    Row("patience", Kind::Count(0)),
    Row("warmup_steps", Kind::Count(0)),
];

const TRAIN: &[Row] = &[
    Row("epochs", Kind::Count(1)),
    Row("batch_size", Kind::Count(1)),
    Row("shuffle", Kind::Flag),
    Row("log_gradients", Kind::Flag),
    Row("checkpoint_minutes", NOT_NEGATIVE),
];

const EARLY_STOPPING: &[Row] = &[
    Row("metric", Kind::Text),
    Row("patience", Kind::Count(0)),
    Row("min_delta", NOT_NEGATIVE),
    Row("restore_best", Kind::Flag),
];

/// The row of a key, if there is one.
pub(super) fn row<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.0 == name)
}

/// A number of either kind: `1` is as good as `1.0` wherever a number is asked for.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// Whether 32-bit floats, which devices compute with, hold a number with all their digits.
fn is_in_f32(x: f64) -> bool {
    x == 0.0 || (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&x.abs())
}

impl Kind {
    /// Whether a value is accepted that is to be judged as a whole; tables and lists with parts of their own are not.
    pub fn fits(&self, value: &Value) -> bool {
        match self {
            Kind::Free => value.is_table(),
            Kind::Section(_) | Kind::Layers | Kind::Layer | Kind::Columns => false,
            Kind::Flag => value.is_bool(),
            Kind::Text => value.is_str(),
            Kind::Path => value.as_str().is_some_and(|path| !path.is_empty()),
            Kind::OneOf(names) => value.as_str().is_some_and(|name| names.contains(&name)),
            Kind::Count(least) => value.as_integer().is_some_and(|count| count >= *least),
            Kind::Units => value.as_integer().is_some_and(|units| (1..=MAX_UNITS).contains(&units)),
            Kind::Number(_, test) => number(value).is_some_and(|x| test(x) && is_in_f32(x)),
            Kind::Column | Kind::Target => value.is_str() || value.as_integer().is_some_and(|index| index >= 0),
            Kind::Split => value.as_array().is_some_and(|shares| is_split(shares)),
            Kind::ClassWeights => value.as_str() == Some("balanced"),
        }
    }

    /// What is accepted, in words that go after "must be".
    pub fn expected(&self) -> String {
        match self {
            Kind::Section(_) | Kind::Free => "a section".into(),
            Kind::Layers => "a list of layers".into(),
            Kind::Layer => "a table such as { type = \"dense\", units = 64 }".into(),
            Kind::Flag => "true or false".into(),
            Kind::Text => "a name in quotes".into(),
            Kind::Path => "a path in quotes".into(),
            Kind::OneOf(names) => one_of(names),
            Kind::Count(least) => format!("a whole number of at least {least}"),
            Kind::Units => format!("a whole number from 1 to {MAX_UNITS}"),
            Kind::Number(words, _) => format!("a finite number {words}"),
            Kind::Column => "a column's name or 0-based index".into(),
            Kind::Columns => "a list of columns (names or 0-based indexes)".into(),
            Kind::Target => "a column's name or 0-based index, or a list of them".into(),
            Kind::Split => "three numbers of at least 0 that sum to 1".into(),
            Kind::ClassWeights => "\"balanced\" or a list of numbers above 0".into(),
        }
    }
}

fn is_split(shares: &[Value]) -> bool {
    let shares: Option<Vec<f64>> = shares.iter().map(number).collect();
    shares.is_some_and(|shares| {
        let sum: f64 = shares.iter().sum();
        // An infinite or absent number makes this difference fail too.
        shares.len() == 3 && shares.iter().all(|share| *share >= 0.0) && (sum - 1.0).abs() <= 1e-9
    })
}

/// `"a", "b" or "c"`.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    either(&quoted)
}

/// `a, b or c`.
pub(super) fn either(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test of the full file holds it to the types; this one holds the schema to it, and so to the types.
    #[test]
    fn every_key_of_the_schema_is_in_the_full_run_file() {
        let full: toml::Table = include_str!("../../tests/config/full.toml").parse().expect("TOML");
        let keys = |table: &Value| table.as_table().expect("a table").keys().cloned().collect::<Vec<_>>();
        let mut compared = 0;
        let mut compare = |rows: &[Row], keys: Vec<String>| {
            rows.iter().for_each(|row| assert!(keys.iter().any(|key| key == row.0), "{}", row.0));
            compared += rows.len();
        };
        compare(RUN_FILE, keys(&Value::Table(full.clone())));
        for Row(name, kind) in RUN_FILE {
            if let Kind::Section(rows) = kind {
                compare(rows, keys(&full[*name]));
            }
        }
        let layers = full["model"]["layers"].as_array().expect("layers");
        for kind in LAYER_TYPES {
            let layer = layers.iter().find(|layer| layer["type"].as_str() == Some(kind.name));
            compare(kind.fields, keys(layer.expect(kind.name)));
        }
        assert!(compared > 50, "{compared}");
    }
}
