//! A folder of its own for each test, and the program run in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own for each test, gone when the test has passed.
pub struct Place {
    path: PathBuf,
}

/// What a command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(test);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the target folder is writable");
        Place { path }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the target folder is writable");
        std::fs::write(path, bytes).expect("the target folder is writable");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("it is text")
    }

    /// The names in a folder, hidden ones too; none where there is no folder.
    pub fn names(&self, folder: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.path(folder)).into_iter().flatten();
        entries.map(|entry| entry.expect("it is readable").file_name().to_string_lossy().into_owned()).collect()
    }

    /// wgrad in this folder on the CPU path, with no variable of the environment but what is given.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["WGRAD_", "WGPU_", "NO_COLOR", "CLICOLOR"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.args(words(arguments)).current_dir(&self.path).env("WGRAD_DEVICE", "cpu");
        // Mesa wants a folder of its own and says so on stderr.
        command.env("XDG_RUNTIME_DIR", &self.path);
        command
    }

    pub fn run(&self, arguments: &str) -> Said {
        Said::of(&self.command(arguments).output().expect("wgrad starts"))
    }

    pub fn run_with(&self, variables: &[(&str, &str)], arguments: &str) -> Said {
        Said::of(&self.command(arguments).envs(variables.iter().copied()).output().expect("wgrad starts"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Said {
    pub fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what is printed is UTF-8");
        let code = output.status.code().expect("it ended by itself");
        Said { code, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Splits at spaces, but not between single quotes, as a shell does.
fn words(arguments: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    for c in arguments.chars() {
        match c {
            '\'' => (quoted, any) = (!quoted, true),
            ' ' if !quoted => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            c => word.push(c),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}
