//! A resolved configuration as the text of a run file. Knows nothing of how one is read.

use std::path::PathBuf;

use serde::Serializer;
use toml::{Table, Value};

use super::Config;

impl Config {
    /// The whole resolved run file, every default spelled out; it loads back to an equal `Config`.
    pub fn to_toml(&self) -> String {
        match Table::try_from(self) {
            Ok(table) => text(table),
            // Only integers past i64::MAX come here. No run file can hold them, but to show them is better than to fail.
            Err(_) => toml::to_string(self).unwrap_or_default(),
        }
    }
}

/// Scalars first, since a section reaches to the next one; then section by section.
fn text(table: Table) -> String {
    let (sections, scalars): (Table, Table) = table.into_iter().partition(|(_, value)| value.is_table());
    let mut text = scalars.to_string();
    for (name, mut section) in sections {
        // The TOML crate would give each layer a section of its own; one line a layer is easier to read and to edit.
        let model = section.as_table_mut().filter(|_| name == "model");
        let layers = model.and_then(|model| model.remove("layers"));
        text += &format!("\n{}", Table::from_iter([(name, section)]));
        if let Some(Value::Array(layers)) = layers {
            text += "layers = [\n";
            layers.iter().for_each(|layer| text += &format!("  {layer},\n"));
            text += "]\n";
        }
    }
    text
}

/// TOML is UTF-8, so a path that is not is shown as well as can be; `load` refuses such a path.
pub(super) fn path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.serialize_some(&path.to_string_lossy()),
        None => serializer.serialize_none(),
    }
}

impl Config {
    /// The keys in which two configurations differ, such as `train.epochs`, each with both values as TOML; `None` where
    /// one has no such key.
    pub fn differences(&self, other: &Config) -> Vec<Difference> {
        let table = |config: &Config| Value::try_from(config).unwrap_or(Value::Boolean(false));
        let mut found = Vec::new();
        compare(String::new(), Some(&table(self)), Some(&table(other)), &mut found);
        found
    }
}

/// One key with its two values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its whole name.
    pub key: String,
    /// In the one and in the other, as TOML; `None` where it is absent.
    pub values: [Option<String>; 2],
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [before, now] = self.values.each_ref().map(|value| value.as_deref().unwrap_or("left out"));
        write!(f, "{} was {before}, now {now}", self.key)
    }
}

fn compare(key: String, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<Difference>) {
    if a == b {
        return;
    }
    let (Some(Value::Table(a)), Some(Value::Table(b))) = (a, b) else {
        found.push(Difference { key, values: [a, b].map(|value| value.map(Value::to_string)) });
        return;
    };
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        compare(key, a.get(name), b.get(name), found);
    }
}
