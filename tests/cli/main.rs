//! The program as its users meet it: what it prints, what it leaves, what it answers to mistakes.

#[path = "../support/place.rs"]
mod place;

mod commands;
mod cv;
mod doctor;
mod finished;
mod flags;
mod lr_find;
mod mistakes;
mod output;
mod promised;
mod resume;
mod run_folder;
mod search;
mod shell;
mod tables;

use std::io::Write;
use std::path::Path;

pub use place::{Place, Said};

impl Place {
    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(name)).expect("it is JSON")
    }

    /// Runs it and insists on success.
    pub fn good(&self, arguments: &str) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "wgrad {arguments}\n{}\n{}", said.out, said.err);
        said
    }

    /// The resolved run file of a run.
    pub fn config(&self, run: &str) -> toml::Table {
        self.text(&format!("{run}/config.toml")).parse().expect("it is TOML")
    }
}

/// A table that a small network learns in no time: two clouds of points, a class each.
pub fn clouds(rows: usize) -> String {
    let mut text = "x,y,kind\n".to_owned();
    for i in 0..rows {
        let (kind, centre) = if i % 2 == 0 { ("left", -2.0) } else { ("right", 2.0) };
        let wobble = |k: usize| (i * k % 17) as f64 / 8.0 - 1.0;
        text += &format!("{},{},{kind}\n", centre + wobble(7), wobble(5));
    }
    text
}

/// A table with a number to predict: y = 3a − 2b + 10.
pub fn line(rows: usize) -> String {
    let mut text = "a,b,y\n".to_owned();
    for i in 0..rows {
        let (a, b) = ((i * 7 % 31) as f64 / 3.0, (i * 11 % 23) as f64 / 2.0);
        text += &format!("{a},{b},{}\n", 3.0 * a - 2.0 * b + 10.0);
    }
    text
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("memory takes it");
    packed.finish().expect("memory takes it")
}

/// An IDX file of bytes: magic number, sizes, values.
pub fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Data sets that come beside a checkout, not inside it.
pub fn shared_data(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    path.exists().then(|| path.to_string_lossy().into_owned())
}
