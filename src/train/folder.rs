//! What a run leaves in its folder. Nothing stays there before training has something to write; then every file
//! appears whole, and all of them or none: written under other names, flushed, renamed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Epoch;
use crate::error::{Error, Result};
use crate::file::write_flushed;

/// A run's folder, made when the first file is written; one that got its name by itself is made at once, so that no
/// other run takes it, and goes again if nothing is ever written.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// What was made to hold the name, the innermost first.
    made: Vec<PathBuf>,
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.made);
    }
}

impl Folder {
    /// Claims a folder for a new run.
    ///
    /// # Errors
    /// [`Error::Output`] if it is there and not empty, or is a file, or cannot be read or written to.
    pub fn claim(path: &Path) -> Result<Self> {
        let at = |problem: String| Error::output(problem).at(path.display());
        match fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(at("the folder is not empty".into()).remedy("choose another --out, or empty it"));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(format!("cannot be a folder: {error}")).remedy("choose another --out")),
        }
        // A training whose result has no place to go would be lost.
        probe(path).map_err(|error| at(format!("cannot be written to: {error}")).remedy("choose another --out"))?;
        Ok(Folder { path: path.to_owned(), made: Vec::new() })
    }

    /// Claims `runs/<UTC time>-<name>`, numbered if that is taken.
    pub fn claim_new(name: &str) -> Result<Self> {
        // 2026-01-31T12:34:56Z
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        let stamp = now.replace(['-', ':', 'Z'], "").replace('T', "-");
        Folder::claim_in(Path::new("runs"), &format!("{stamp}-{}", safe(name)))
    }

    /// Claims `parent/name`, or the first of `parent/name-2`, `parent/name-3`, … that is not there.
    fn claim_in(parent: &Path, name: &str) -> Result<Self> {
        for number in 1_u64.. {
            let path = parent.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
            let refuse = |error: std::io::Error| {
                Error::output(format!("cannot be made: {error}")).at(path.display()).remedy("choose another --out")
            };
            let mut made = make(parent).map_err(refuse)?;
            match fs::create_dir(&path) {
                Ok(()) => {
                    made.insert(0, path.clone());
                    return Ok(Folder { path, made });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    remove(&made);
                    return Err(refuse(error));
                }
            }
        }
        Err(Error::internal("every name is taken"))
    }

    /// The folder of a run that goes on; what a killed process left half-written is removed.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be read or written to.
    pub fn reopen(path: &Path) -> Result<Self> {
        let refuse = |error: std::io::Error| {
            Error::output(format!("cannot be written to: {error}")).at(path.display()).remedy("check its permissions")
        };
        for entry in fs::read_dir(path).map_err(refuse)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') && name.ends_with(".tmp") {
                // Should it stay, it only takes up room.
                let _ = fs::remove_file(entry.path());
            }
        }
        probe(path).map_err(refuse)?;
        Ok(Folder { path: path.to_owned(), made: Vec::new() })
    }

    /// As it was claimed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder inside this one, for files that belong together.
    pub fn inner(&self, name: &str) -> Folder {
        Folder { path: self.path.join(name), made: Vec::new() }
    }

    /// Removes files, as far as they are there.
    ///
    /// # Errors
    /// [`Error::Output`] naming the file and the system's reason.
    pub fn remove(&self, names: &[&str]) -> Result<()> {
        names.iter().map(|name| self.path.join(name)).try_for_each(|path| match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::output(format!("cannot be removed: {error}"))
                    .at(path.display())
                    .remedy("check its permissions"))
            }
            _ => Ok(()),
        })
    }

    /// Writes files, all of them or none.
    ///
    /// # Errors
    /// [`Error::Output`] naming the file and the system's reason. Whatever was made until then is removed; a file that was there before is left.
    pub fn write_all(&self, files: &[(&str, &[u8])]) -> Result<()> {
        let refuse = |target: &Path, error: std::io::Error| {
            let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
            let remedy = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    // Asked of the nearest folder that is there.
                    let named =
                        self.path.ancestors().map(|f| if f.as_os_str().is_empty() { Path::new(".") } else { f });
                    let there = { named }.find(|folder| folder.is_dir());
                    let free = there.and_then(|folder| fs4::available_space(folder).ok());
                    let free = free.map_or_else(String::new, |free| format!(", {free} are free"));
                    format!("{bytes} bytes are needed there{free}; free some space")
                }
                _ => "check its permissions".into(),
            };
            Error::output(format!("cannot be written: {error}")).at(target.display()).remedy(remedy)
        };
        let made = make(&self.path).map_err(|error| refuse(&self.path, error))?;
        let paths = files
            .iter()
            .map(|(name, _)| (self.path.join(format!(".{name}.{}.tmp", std::process::id())), self.path.join(name)));
        let paths: Vec<(PathBuf, PathBuf)> = paths.collect();
        let older: Vec<PathBuf> =
            paths.iter().map(|(_, target)| target).filter(|path| path.exists()).cloned().collect();
        let stage = paths.iter().zip(files).try_for_each(|((staged, target), (_, bytes))| {
            write_flushed(staged, bytes).map_err(|error| refuse(target, error))
        });
        let all = stage.and_then(|()| {
            let rename = |(staged, target): &(PathBuf, PathBuf)| {
                fs::rename(staged, target).map_err(|error| refuse(target, error))
            };
            paths.iter().try_for_each(rename)?;
            flush_folder(&self.path).map_err(|error| refuse(&self.path, error))
        });
        if all.is_err() {
            // Halves would only mislead; that one cannot be removed is not the news.
            for (staged, target) in &paths {
                let _ = fs::remove_file(staged);
                if !older.contains(target) {
                    let _ = fs::remove_file(target);
                }
            }
            remove(&made);
        }
        all
    }
}

/// A name that every file system takes.
fn safe(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

/// Makes a folder and whatever is missing above it; returns what was made, the innermost first.
fn make(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let named = path.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty());
    let missing: Vec<PathBuf> = named.take_while(|ancestor| !ancestor.exists()).map(Path::to_owned).collect();
    fs::create_dir_all(path).inspect_err(|_| remove(&missing))?;
    Ok(missing)
}

/// Removes folders, the innermost first, as far as they are empty.
fn remove(made: &[PathBuf]) {
    for folder in made {
        let _ = fs::remove_dir(folder);
    }
}

/// Tries to write there, and leaves nothing.
fn probe(path: &Path) -> std::io::Result<()> {
    let made = make(path)?;
    let file = path.join(format!(".probe.{}.tmp", std::process::id()));
    let result = File::create(&file).and_then(|_| fs::remove_file(&file));
    remove(&made);
    result
}

/// A rename must survive a crash too; on Windows a folder cannot be opened for that.
fn flush_folder(path: &Path) -> std::io::Result<()> {
    match File::open(path) {
        Ok(folder) if cfg!(unix) => folder.sync_all(),
        _ => Ok(()),
    }
}

/// JSON for people too: a line for each key, but a row of numbers on one.
pub fn pretty_json(value: &Value) -> String {
    let mut text = String::new();
    pretty(value, 0, &mut text);
    text + "\n"
}

fn pretty(value: &Value, depth: usize, text: &mut String) {
    let is_nested = |value: &Value| value.is_object() || value.is_array();
    let (open, close, items): (_, _, Vec<(String, &Value)>) = match value {
        Value::Object(map) if !map.is_empty() => {
            ('{', '}', map.iter().map(|(key, value)| (format!("{}: ", Value::from(key.as_str())), value)).collect())
        }
        Value::Array(list) if list.iter().any(is_nested) => {
            ('[', ']', list.iter().map(|value| (String::new(), value)).collect())
        }
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(Value::to_string).collect();
            return *text += &format!("[{}]", items.join(", "));
        }
        _ => return *text += &value.to_string(),
    };
    text.push(open);
    for (i, (key, value)) in items.iter().enumerate() {
        *text += &format!("{}\n{:indent$}{key}", if i == 0 { "" } else { "," }, "", indent = 2 * depth + 2);
        pretty(value, depth + 1, text);
    }
    *text += &format!("\n{:indent$}{close}", "", indent = 2 * depth);
}

/// history.csv: one row an epoch.
pub fn history_csv(epochs: &[Epoch]) -> String {
    let names: Vec<&str> =
        epochs.first().map_or_else(Vec::new, |e| e.metrics.iter().map(|(name, _)| name.as_str()).collect());
    let mut text = format!(
        "epoch,learning_rate,train_loss,validation_loss,{}seconds\n",
        names.iter().map(|n| format!("{n},")).collect::<String>()
    );
    for epoch in epochs {
        let validation = epoch.validation_loss.map_or_else(String::new, |loss| loss.to_string());
        let metrics: String = epoch.metrics.iter().map(|(_, value)| format!("{value},")).collect();
        text += &format!(
            "{},{},{},{validation},{metrics}{:.3}\n",
            epoch.epoch, epoch.learning_rate, epoch.train_loss, epoch.seconds
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let path = std::env::temp_dir().join(format!("wgrad-folder-{}", std::process::id()));
        let folder = Folder::claim(&path).unwrap();
        assert!(!path.exists(), "claiming creates nothing");
        folder.write_all(&[("a.txt", b"1")]).unwrap();
        let message = Folder::claim(&path).unwrap_err().to_string();
        assert!(message.ends_with("the folder is not empty; choose another --out, or empty it"), "{message}");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no temporary file stays");
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn when_one_file_cannot_be_written_none_stays_and_no_folder() {
        let path = std::env::temp_dir().join(format!("wgrad-whole-{}", std::process::id()));
        let folder = Folder::claim(&path.join("runs/a")).unwrap();
        // The second name is in a folder that is not there.
        let error = folder.write_all(&[("model.safetensors", b"1234"), ("no/such", b"1")]).unwrap_err();
        assert_eq!(error.exit_code(), 6);
        assert!(error.to_string().contains("no/such: cannot be written: "), "{error}");
        assert!(!path.exists(), "what was made for the run is removed");
    }

    #[test]
    fn a_taken_name_is_numbered_and_an_unused_one_given_back() {
        let parent = std::env::temp_dir().join(format!("wgrad-numbers-{}", std::process::id()));
        fs::create_dir_all(parent.join("x-2")).unwrap();
        let claim = || Folder::claim_in(&parent, "x").unwrap();
        let (first, second) = (claim(), claim());
        assert_eq!((first.path(), second.path()), (&*parent.join("x"), &*parent.join("x-3")));
        first.write_all(&[("a.txt", b"1")]).unwrap();
        drop((first, second));
        assert!(parent.join("x/a.txt").exists() && !parent.join("x-3").exists());
        fs::remove_dir_all(&parent).unwrap();
        drop(claim());
        assert!(!parent.exists(), "what was made to hold the name is removed");
        assert_eq!(safe("Häuser 2.0/a"), "Häuser_2_0_a");
    }

    #[test]
    fn json_has_a_line_for_each_key_and_one_for_each_row_of_numbers() {
        let value = serde_json::json!({"a": {"m": [[1, 2], [3, 4]], "x": 0.5}, "e": {}, "l": []});
        let text = pretty_json(&value);
        assert_eq!(
            text,
            "{\n  \"a\": {\n    \"m\": [\n      [1, 2],\n      [3, 4]\n    ],\n    \"x\": 0.5\n  },\n  \
             \"e\": {},\n  \"l\": []\n}\n"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
