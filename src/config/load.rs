//! From a file and flags to a [`Config`] that remembers where each key came from. Knows files, flags and their
//! precedence; what a key may hold is the business of `check` and `schema`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::check::{Complaint, check, default_of};
use super::key::{Key, Step};
use super::text::{self, Places, line_and_column};
use super::{BUILT_IN, Config};
use crate::error::{Error, Result};

/// A resolved configuration, with the knowledge of where each key came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the run does; whatever was not given has its default.
    pub config: Config,
    sources: Sources,
}

/// One `path.to.key = value` given outside the run file; of two for one key the later one counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// For example `train.epochs` or `model.layers[0].units`.
    pub key: String,
    /// As in the run file.
    pub value: Value,
    /// What the user typed: `--epochs`, `--set train.epochs`, `WGRAD_EPOCHS`.
    pub origin: String,
}

impl Override {
    /// Parses the `path.to.key=VALUE` of a `--set`: VALUE is TOML, and a bare word is a string.
    pub fn parse_set(text: &str) -> Result<Override> {
        const FORM: &str = "write --set path.to.key=VALUE, for example --set train.epochs=10";
        let Some((name, value)) = text.split_once('=') else {
            return Err(Error::usage("there is no `=`").at(format!("--set {text}")).remedy(FORM));
        };
        let (name, value) = (name.trim(), value.trim());
        let origin = format!("--set {name}");
        let Some(key) = Key::parse(name) else {
            let problem = if name.is_empty() { "there is no key before the `=`".into() } else { no_key(name) };
            return Err(Error::usage(problem).at(format!("--set {text}")).remedy(FORM));
        };
        let value = match text::parse_value(value, &key) {
            Ok(value) => value,
            Err(text::Fault::Syntax(..)) if !value.starts_with(['[', '{', '"', '\'']) => Value::String(value.into()),
            Err(text::Fault::Syntax(_, message)) => {
                let problem = format!("{value} is no TOML value: {message}");
                return Err(Error::usage(problem).at(origin).remedy("close it, or quote it for your shell"));
            }
            Err(text::Fault::Value(complaint)) => return Err(error(Error::usage, complaint).at(origin)),
        };
        Ok(Override { key: name.into(), value, origin })
    }
}

/// Default < run file < overrides, which are in rising precedence already: environment, then flags.
pub fn load(file: Option<&Path>, overrides: &[Override]) -> Result<Loaded> {
    let mut sources = Sources::default();
    let mut table = Table::new();
    if let Some(path) = file {
        let text = read(path)?;
        sources.file = Some(File { path: path.into(), text, places: Places::new() });
        table = sources.parse_file()?;
        // The file by itself first: whatever is wrong from here on, an override did.
        check(&table).map_err(|complaint| sources.blame_file(complaint))?;
    }
    for change in overrides {
        let refuse = |complaint| error(Error::usage, complaint).at(&change.origin);
        let remedy = "write path.to.key, for example train.epochs or model.layers[0].units";
        let key = Key::parse(&change.key)
            .ok_or_else(|| refuse(Complaint::new(&Key::default(), no_key(&change.key), remedy)))?;
        table = set(table, &key, change.value.clone()).map_err(refuse)?;
        sources.overrides.push((key, change.origin.clone()));
    }
    check(&table).map_err(|complaint| sources.blame_override(complaint))?;
    let mut config = Config::deserialize(table).map_err(|error| {
        let message = error.message().to_string();
        Error::internal(format!("a checked run file does not fit its types: {message}"))
    })?;
    sources.make_absolute(&mut config)?;
    Ok(Loaded { config, sources })
}

impl Config {
    /// Holds a configuration that comes from elsewhere, such as a model file, to the rules of a run file.
    ///
    /// # Errors
    /// [`Error::Data`] with the key that breaks them.
    pub fn check(&self) -> Result<()> {
        let table =
            Table::try_from(self).map_err(|_| Error::data("a number is larger than a run file can hold").at("seed"))?;
        check(&table).map_err(|complaint| {
            let place = complaint.key.to_string();
            error(Error::data, complaint).at(place)
        })
    }

    /// Reads back what [`Config::to_toml`] wrote: paths stay as they are.
    pub fn from_toml(text: &str) -> Result<Self> {
        let file = File { path: "configuration".into(), text: text.to_owned(), places: Places::new() };
        let mut sources = Sources { file: Some(file), ..Sources::default() };
        let table = sources.parse_file()?;
        check(&table).map_err(|complaint| sources.blame_file(complaint))?;
        Config::deserialize(table).map_err(|error| Error::data(error.message().to_owned()))
    }
}

impl Loaded {
    /// Puts the place onto an error found later about the value at `key`, such as `model.layers[0].activation`:
    /// `file:line:column` where the key stands in the run file (an [`Error::Data`] then), the flag that set it
    /// (an [`Error::Usage`]), or the key itself where it was left out. The key of a layer that was left out in the
    /// file stands where the layer does. Errors that are not about input come back as they are.
    pub fn locate(&self, key: &str, error: Error) -> Error {
        if !matches!(error, Error::Data(_) | Error::Usage(_)) {
            return error;
        }
        let Some(parsed) = Key::parse(key) else { return error.at(key) };
        let fault = error.fault().clone();
        if let Some(origin) = self.sources.override_of(&parsed) {
            Error::Usage(fault).at(origin)
        } else if let Some(place) = self.sources.place(&parsed) {
            Error::Data(fault).at(place)
        } else {
            error.at(parsed)
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Sources {
    file: Option<File>,
    /// What was set, and by what, in rising precedence.
    overrides: Vec<(Key, String)>,
}

#[derive(Debug, Clone)]
struct File {
    path: PathBuf,
    text: String,
    places: Places,
}

impl File {
    fn at(&self, byte: usize) -> String {
        let (line, column) = line_and_column(&self.text, byte);
        format!("{}:{line}:{column}", self.path.display())
    }
}

impl Sources {
    fn parse_file(&mut self) -> Result<Table> {
        let Some(file) = &mut self.file else { return Ok(Table::new()) };
        match text::parse(&file.text, &mut file.places) {
            Ok(table) => Ok(table),
            Err(text::Fault::Value(complaint)) => Err(self.blame_file(complaint)),
            Err(text::Fault::Syntax(byte, message)) => {
                let place = byte.map_or(file.path.display().to_string(), |byte| file.at(byte));
                let remedy = "a line is key = value or [section], and text stands in quotes";
                Err(Error::data(format!("this is not TOML: {message}")).at(place).remedy(remedy))
            }
        }
    }

    /// The last override that set `key`, a part of it, or something that it is a part of.
    fn override_of(&self, key: &Key) -> Option<&str> {
        self.overrides.iter().rev().find(|(set, _)| set.overlaps(key)).map(|(_, origin)| origin.as_str())
    }

    /// Where `key` stands in the run file. What was left out of an element of a list is missed there: an element
    /// is written as a whole, unlike a section.
    fn place(&self, key: &Key) -> Option<String> {
        let file = self.file.as_ref()?;
        let is_element = |key: &Key| matches!(key.0.last(), Some(Step::Index(_)));
        let nearest = (1..=key.0.len()).rev().map(|length| key.prefix(length));
        let stands = |candidate: Key| {
            let byte = file.places.get(&candidate)?;
            (candidate == *key || is_element(&candidate)).then(|| file.at(*byte))
        };
        nearest.into_iter().find_map(stands)
    }

    fn blame_file(&self, complaint: Complaint) -> Error {
        let path = self.file.as_ref().map(|file| file.path.display().to_string());
        let place = self.place(&complaint.key).or(path).unwrap_or_else(|| complaint.key.to_string());
        error(Error::data, complaint).at(place)
    }

    /// The override nearest to the complaint: it may have made something else wrong, as a layer's new type does
    /// with the layer's old fields.
    fn blame_override(&self, complaint: Complaint) -> Error {
        let nearest = (0..=complaint.key.0.len()).rev().map(|length| complaint.key.prefix(length));
        let origin = nearest.into_iter().find_map(|key| self.override_of(&key));
        match origin {
            Some(origin) => error(Error::usage, complaint).at(origin),
            None => self.blame_file(complaint),
        }
    }

    /// Paths of the run file start at its folder, those of overrides at the current one.
    fn make_absolute(&self, config: &mut Config) -> Result<()> {
        let data_set = |source: &str| source != "-" && !BUILT_IN.contains(&source);
        if let Some(source) = config.data.source.take_if(|source| data_set(source)) {
            config.data.source = Some(self.absolute("data.source", Path::new(&source))?);
        }
        if let Some(path) = config.init_weights.take() {
            config.init_weights = Some(self.absolute("init_weights", &path)?.into());
        }
        Ok(())
    }

    fn absolute(&self, name: &str, path: &Path) -> Result<String> {
        let key = Key::parse(name).unwrap_or_default();
        let origin = self.override_of(&key);
        let folder = self.file.as_ref().filter(|_| origin.is_none()).and_then(|file| file.path.parent());
        let problem = match std::path::absolute(folder.unwrap_or(Path::new("")).join(path)) {
            Ok(absolute) => match absolute.into_os_string().into_string() {
                Ok(absolute) => return Ok(absolute),
                Err(_) => format!("{name} is in a folder whose name is not UTF-8"),
            },
            Err(error) => format!("{name} cannot be made an absolute path: {error}"),
        };
        let complaint = Complaint::new(&key, problem, "give an absolute path, in UTF-8");
        Err(match origin {
            Some(origin) => error(Error::usage, complaint).at(origin),
            None => self.blame_file(complaint),
        })
    }
}

fn error(kind: fn(String) -> Error, complaint: Complaint) -> Error {
    let error = kind(complaint.problem);
    match complaint.remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

fn no_key(text: &str) -> String {
    format!("{text:?} is no key of a run file")
}

/// The text of the run file.
fn read(path: &Path) -> Result<String> {
    let refuse = |problem: String, remedy: &str| Err(Error::data(problem).at(path.display()).remedy(remedy));
    if path.is_dir() {
        return refuse("this is a folder, not a run file".into(), "give the file in it, for example its config.toml");
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return refuse("there is no such run file".into(), "check the path, which starts at the current folder");
        }
        Err(error) => return refuse(format!("the run file cannot be read: {error}"), "check who may read it"),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let (line, column) = line_and_column(&String::from_utf8_lossy(error.as_bytes()), valid);
        let place = format!("{}:{line}:{column}", path.display());
        Error::data("the run file is not UTF-8 from here on").at(place).remedy("save it as UTF-8 text")
    })?;
    // A byte order mark is invisible: it must not count as a column.
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// `table` with the value at `key` replaced; what is missing on the way there is made, a list from its default.
pub(super) fn set(table: Table, key: &Key, value: Value) -> Result<Table, Complaint> {
    let mut root = Value::Table(table);
    set_within(&mut root, key, 0, value)?;
    match root {
        Value::Table(table) => Ok(table),
        _ => Ok(Table::new()),
    }
}

fn set_within(node: &mut Value, key: &Key, depth: usize, value: Value) -> Result<(), Complaint> {
    let Some(step) = key.0.get(depth) else {
        *node = value;
        return Ok(());
    };
    let (here, child) = (key.prefix(depth), key.prefix(depth + 1));
    let next = match (node, step) {
        (Value::Table(table), Step::Key(name)) => {
            let missing = || match key.0.get(depth + 1) {
                Some(Step::Index(_)) => default_of(&child).unwrap_or(Value::Array(Vec::new())),
                _ => Value::Table(Table::new()),
            };
            table.entry(name.clone()).or_insert_with(missing)
        }
        (Value::Array(list), Step::Index(index)) => {
            let count = list.len();
            list.get_mut(*index).ok_or_else(|| past_the_end(&here, &child, count))?
        }
        (Value::Array(_), Step::Key(name)) => {
            let remedy = format!("say which element, for example {here}[0].{name}");
            return Err(Complaint::new(&here, format!("{here} is a list and has no `{name}`"), remedy));
        }
        (Value::Table(_), Step::Index(_)) => {
            return Err(Complaint::new(&here, format!("{here} is a section, not a list"), "name one of its keys"));
        }
        _ => return Err(Complaint::new(&here, format!("{here} is a value and has no {child}"), format!("set {here}"))),
    };
    set_within(next, key, depth + 1, value)
}

fn past_the_end(list: &Key, element: &Key, count: usize) -> Complaint {
    let remedy = match count.checked_sub(1) {
        Some(last) => format!("the last is {list}[{last}]"),
        None => format!("set {list} as a whole"),
    };
    let s = if count == 1 { "" } else { "s" };
    Complaint::new(list, format!("{list} has {count} element{s}, so there is no {element}"), remedy)
}
