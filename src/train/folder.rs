//! What a run leaves in its folder. Nothing is created before training has something to write, and every file appears
//! whole: written under another name, flushed, renamed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Epoch;
use crate::error::{Error, Result};

/// A run's folder, made when the first file is written.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Claims a folder for a new run.
    ///
    /// # Errors
    /// [`Error::Output`] if it is there and not empty, or is a file, or cannot be read.
    pub fn claim(path: &Path) -> Result<Self> {
        let at = |problem: String| Error::output(problem).at(path.display());
        match fs::read_dir(path) {
            Ok(mut entries) => match entries.next() {
                None => Ok(Folder { path: path.to_owned() }),
                Some(_) => Err(at("the folder is not empty".into()).remedy("choose another --out, or empty it")),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Folder { path: path.to_owned() }),
            Err(error) => Err(at(format!("cannot be used as a folder: {error}")).remedy("choose another --out")),
        }
    }

    /// Claims `runs/<UTC time>-<name>`, numbered if that is taken.
    pub fn claim_new(name: &str) -> Result<Self> {
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string();
        let stamp: String = now.chars().filter(|c| c.is_ascii_digit() || *c == 'T').collect();
        let safe: String =
            name.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
        let base = Path::new("runs").join(format!("{}-{safe}", stamp.replace('T', "-")));
        let numbered = (2..1000).map(|n| base.with_file_name(format!("{}-{n}", base.display()).replace("runs/", "")));
        let free = std::iter::once(base.clone()).chain(numbered).find(|path| !path.exists());
        Folder::claim(&free.unwrap_or(base))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] naming the file and the system's reason.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let target = self.path.join(name);
        let temporary = self.path.join(format!(".{name}.{}.tmp", std::process::id()));
        let result = fs::create_dir_all(&self.path).and_then(|()| replace(&temporary, &target, bytes));
        result.map_err(|error| {
            // A left-over half would only mislead; that it cannot be removed is not the news.
            let _ = fs::remove_file(&temporary);
            Error::output(format!("cannot be written: {error}"))
                .at(target.display())
                .remedy(format!("{} bytes are needed there; free some space or choose another --out", bytes.len()))
        })
    }
}

fn replace(temporary: &Path, target: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, target)?;
    // The rename itself must survive a crash too; on Windows a folder cannot be opened for that.
    match target.parent().map(File::open) {
        Some(Ok(folder)) if cfg!(unix) => folder.sync_all(),
        _ => Ok(()),
    }
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
        folder.write("a.txt", b"1").unwrap();
        let message = Folder::claim(&path).unwrap_err().to_string();
        assert!(message.ends_with("the folder is not empty; choose another --out, or empty it"), "{message}");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no temporary file stays");
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_with_its_size() {
        let file = std::env::temp_dir().join(format!("wgrad-file-{}", std::process::id()));
        fs::write(&file, b"x").unwrap();
        let error = Folder { path: file.clone() }.write("model.safetensors", b"1234").unwrap_err();
        assert_eq!(error.exit_code(), 6);
        assert!(error.to_string().contains("4 bytes are needed there"), "{error}");
        fs::remove_file(&file).unwrap();
    }
}
