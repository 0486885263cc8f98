//! Writing a file whole or not at all. Knows nothing of what is in it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `bytes` under another name, flushes, renames: whatever is at `path` stays until the new file is complete. A
/// link is followed, and what is no file (a pipe, `/dev/null`) is written to as it is.
///
/// # Errors
/// [`Error::Output`] with the system's reason.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let refuse = |error: std::io::Error| {
        let remedy = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                format!("{} bytes are needed there, free some space", bytes.len())
            }
            ErrorKind::NotFound => "make its folder first, or name another file".into(),
            _ => "name another file".into(),
        };
        Error::output(format!("cannot be written: {error}")).at(path.display()).remedy(remedy)
    };
    match fs::metadata(path) {
        Ok(kind) if kind.is_dir() => {
            return Err(Error::output("is a folder").at(path.display()).remedy("name a file in it"));
        }
        Ok(kind) if !kind.is_file() => return fs::write(path, bytes).map_err(refuse),
        _ => {}
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let staged = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    write_flushed(&staged, bytes).and_then(|()| fs::rename(&staged, &target)).map_err(|error| {
        let _ = fs::remove_file(&staged);
        refuse(error)
    })
}

/// Writes a new file and waits until it is on the disk.
pub(crate) fn write_flushed(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_completed_leaves_the_old_one_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("wgrad-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.csv");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let error = write(&folder.join("none/a.csv"), b"1").unwrap_err();
        assert_eq!(error.exit_code(), 6);
        assert!(error.to_string().ends_with("; make its folder first, or name another file"), "{error}");
        assert!(write(&folder, b"1").unwrap_err().to_string().ends_with("is a folder; name a file in it"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link_and_what_is_no_file_stays_what_it_is() {
        let folder = std::env::temp_dir().join(format!("wgrad-link-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("real"), b"old").unwrap();
        std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
        write(&folder.join("link"), b"new").unwrap();
        assert_eq!(fs::read(folder.join("real")).unwrap(), b"new");
        assert!(fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
        std::os::unix::fs::symlink("/dev/null", folder.join("null")).unwrap();
        write(&folder.join("null"), b"new").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        fs::remove_dir_all(&folder).unwrap();
    }
}
