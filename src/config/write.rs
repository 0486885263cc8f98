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
