//! What every target does: it reads the bytes as a file of its format, which must be an answer or an error of that
//! format's kind.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::formats::{FORMATS, Format};

pub fn read(name: &str, bytes: &[u8]) {
    static PLACE: OnceLock<(PathBuf, &'static Format)> = OnceLock::new();
    let (place, format) = PLACE.get_or_init(|| {
        let format = FORMATS.iter().find(|format| format.name == name).expect("a row of the table");
        let place = std::env::temp_dir().join(format!("wgrad-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&place).expect("a temporary folder can be made");
        // libFuzzer starts from these: SEEDS names the folder to write them to.
        if let Some(folder) = std::env::var_os("SEEDS") {
            for (number, seed) in (format.seeds)().iter().enumerate() {
                let path = PathBuf::from(&folder).join(format!("seed-{number}"));
                std::fs::write(path, seed).expect("the seeds' folder is there");
            }
        }
        (place, format)
    });
    // The number chooses among options: the bytes decide it, so that an input means the same every time.
    let number = bytes.iter().fold(0_u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    judge(format, (format.read)(place, bytes, number % 48));
}

/// Panics, which libFuzzer takes for a finding, where an error is not in the form that the format promises.
pub fn judge(format: &Format, answer: wgrad::Result<()>) {
    if let Err(error) = answer {
        assert_eq!(error.exit_code(), format.exit_code, "{error}");
        assert!(error.fault().place.is_some() && error.fault().remedy.is_some(), "{error}");
    }
}
