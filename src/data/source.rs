//! From what the user typed to bytes: built-in, file, folder or standard input; gzip; checksums.
//! One row a format in [`FORMATS`]; knows nothing of what the bytes mean.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::images::Images;
use super::table::Tabular;
use super::unpack::Gunzip;
use super::{csv, digits, idx, npz};
use crate::error::{Error, Result, suggestion};

/// What a reader delivers.
pub(super) struct Raw {
    pub name: String,
    /// Absolute path, or the built-in's name.
    pub source: String,
    pub checksum: String,
    pub content: Content,
}

pub(super) enum Content {
    Table(Box<dyn Tabular>),
    Images(Images),
}

struct BuiltIn {
    name: &'static str,
    read: fn() -> Result<Raw>,
}

struct Format {
    extension: &'static str,
    read: fn(File) -> Result<Content>,
}

const BUILT_INS: &[BuiltIn] = &[BuiltIn { name: "digits", read: digits::read }];

/// Each also with `.gz` behind it.
const FORMATS: &[Format] = &[
    Format { extension: "csv", read: |file| csv::read(file, None) },
    Format { extension: "tsv", read: |file| csv::read(file, Some(b'\t')) },
    Format { extension: "npz", read: npz::read },
];

/// Deflate can expand a thousandfold; data tables do not. Below the floor nobody is harmed: what is made of that many
/// bytes fits into 256 MiB, whatever they hold.
const EXPANSION_LIMIT: usize = 400;
const EXPANSION_FLOOR: usize = 8 << 20;

/// Most bytes that so many packed ones may become.
pub(super) fn expansion_limit(packed: usize) -> usize {
    packed.saturating_mul(EXPANSION_LIMIT).max(EXPANSION_FLOOR)
}

/// Columns of a table: more make a network that no device holds, and names that fill the memory.
pub(super) const MOST_COLUMNS: usize = 200_000;

/// Pixels of an image, 2048×2048.
pub(super) const MOST_PIXELS: usize = 1 << 22;

/// A file's bytes after gzip, with its name for messages.
pub(super) struct File {
    pub place: String,
    pub bytes: Vec<u8>,
}

/// Reads whatever `source` names. A bare built-in name wins over a file of that name.
pub(super) fn read(source: &str) -> Result<Raw> {
    if let Some(built_in) = BUILT_INS.iter().find(|built_in| built_in.name == source) {
        return (built_in.read)();
    }
    if source == "-" {
        return read_stdin();
    }
    let path = Path::new(source);
    let kind = fs::metadata(path).map_err(|error| absent(source, &error))?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if kind.is_dir() {
        let (content, checksum) = idx::read(path)?;
        return Ok(Raw { name: folder_name(&absolute), source: absolute.display().to_string(), checksum, content });
    }
    let (stem, format) = format_of(path)?;
    let bytes = read_bytes(path)?;
    let checksum = checksum(&[&bytes]);
    let bytes = inflate_if_gzip(bytes, source)?;
    let content = (format.read)(File { place: source.into(), bytes })?;
    Ok(Raw { name: stem, source: absolute.display().to_string(), checksum, content })
}

/// As [`read`], but arrays and images of `from` bytes or more stay in their files.
pub(super) fn open(source: &str, from: u64) -> Result<Raw> {
    let is_built_in = BUILT_INS.iter().any(|built_in| built_in.name == source);
    if let Some(raw) = if is_built_in { None } else { open_stored(Path::new(source), from)? } {
        return Ok(raw);
    }
    read(source)
}

fn open_stored(path: &Path, from: u64) -> Result<Option<Raw>> {
    let Ok(kind) = fs::metadata(path) else { return Ok(None) };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let source = absolute.display().to_string();
    if kind.is_dir() {
        let found = idx::open(path, from)?;
        let raw = |(content, checksum)| Raw { name: folder_name(&absolute), source, checksum, content };
        return Ok(found.map(raw));
    }
    let is_archive = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
    if !kind.is_file() || !is_archive {
        return Ok(None);
    }
    let Some(content) = npz::open(path, &path.display().to_string(), from)? else { return Ok(None) };
    let checksum = checksum_of_files(&[path.to_path_buf()])?;
    Ok(Some(Raw { name: format_of(path)?.0, source, checksum, content }))
}

/// Standard input is a CSV table, perhaps gzipped.
fn read_stdin() -> Result<Raw> {
    let mut bytes = Vec::new();
    let place = "standard input";
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| unreadable(place, &error))?;
    let checksum = checksum(&[&bytes]);
    let bytes = inflate_if_gzip(bytes, place)?;
    let content = csv::read(File { place: place.into(), bytes }, None)?;
    Ok(Raw { name: "stdin".into(), source: "-".into(), checksum, content })
}

/// The name without `.gz` and extension, and the format that the extension names.
fn format_of(path: &Path) -> Result<(String, &'static Format)> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let lower = name.to_lowercase();
    let bare = lower.strip_suffix(".gz").unwrap_or(&lower);
    for format in FORMATS {
        if let Some(stem) = bare.strip_suffix(format.extension).and_then(|rest| rest.strip_suffix('.')) {
            // Lower-casing may change a name's length, so the stem is cut from the name itself by characters.
            return Ok((name.chars().take(stem.chars().count()).collect(), format));
        }
    }
    let error = Error::data("this kind of file is unknown").at(path.display());
    Err(if bare.contains("idx") && bare.contains("ubyte") {
        error.remedy("for IDX files give the folder that holds them")
    } else {
        error.remedy("use .csv, .tsv (also .gz), .npz, or a folder of IDX files")
    })
}

fn absent(source: &str, error: &std::io::Error) -> Error {
    if error.kind() != std::io::ErrorKind::NotFound {
        return unreadable(source, error);
    }
    let names = || BUILT_INS.iter().map(|built_in| built_in.name);
    let sentence = Error::data("no such file, folder or built-in data set").at(source);
    // The run file has made it an absolute path.
    let name = Path::new(source).file_name().and_then(|name| name.to_str()).unwrap_or(source);
    if let Some(near) = suggestion(name, names()) {
        return sentence.remedy(format!("did you mean the built-in `{near}`?"));
    }
    if let Some(near) = neighbour(Path::new(source)) {
        return sentence.remedy(format!("did you mean {}?", near.display()));
    }
    sentence.remedy(format!("check the path, or use the built-in {}", names().collect::<Vec<_>>().join(", ")))
}

/// A file in the same folder whose name is a slip of the finger away.
fn neighbour(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let wrong = path.file_name()?.to_str()?;
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let mut names: Vec<String> =
        entries.take(10_000).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    let near = suggestion(wrong, names.iter().map(String::as_str))?;
    Some(folder.map_or_else(|| PathBuf::from(near), |folder| folder.join(near)))
}

pub(super) fn unreadable(place: impl std::fmt::Display, error: &std::io::Error) -> Error {
    Error::data(format!("cannot be read: {error}")).at(place).remedy("check the path and its permissions")
}

fn folder_name(absolute: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    // `.` and `..` have no name of their own.
    name(absolute).or_else(|| name(&fs::canonicalize(absolute).ok()?)).unwrap_or_else(|| "data".into())
}

/// A whole file. A device or a pipe is refused: it may never end.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let kind = fs::metadata(path).map_err(|error| unreadable(path.display(), &error))?;
    if !kind.is_file() {
        let remedy = "save it to a file, or let predict and eval read it from standard input as -";
        return Err(Error::data("is no regular file").at(path.display()).remedy(remedy));
    }
    fs::read(path).map_err(|error| unreadable(path.display(), &error))
}

pub(super) fn open_file(path: &Path) -> Result<fs::File> {
    fs::File::open(path).map_err(|error| unreadable(path.display(), &error))
}

/// As [`checksum`], of files that are not read into memory.
pub(super) fn checksum_of_files(paths: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    for path in paths {
        std::io::copy(&mut open_file(path)?, &mut hash).map_err(|error| unreadable(path.display(), &error))?;
    }
    Ok(hexadecimal(hash))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the parts one after the other, in hexadecimal.
pub(super) fn checksum(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hexadecimal(hash)
}

/// Recognises gzip by its first bytes, whatever the name says.
pub(super) fn inflate_if_gzip(bytes: Vec<u8>, place: &str) -> Result<Vec<u8>> {
    if bytes.starts_with(&[0x1f, 0x8b]) { gunzip(&bytes, place) } else { Ok(bytes) }
}

/// Unpacks gzip, all members, and refuses what grows as no table does.
pub(super) fn gunzip(bytes: &[u8], place: &str) -> Result<Vec<u8>> {
    gunzip_beyond(bytes, place, EXPANSION_FLOOR)
}

fn gunzip_beyond(bytes: &[u8], place: &str, floor: usize) -> Result<Vec<u8>> {
    let left = |decoder: &Gunzip<&[u8]>| decoder.get_ref().map_or(0, |rest| rest.len());
    let unpacked = inflate(Gunzip::new(bytes), |decoder| bytes.len() - left(decoder), floor);
    let unpacked = unpacked.map_err(|error| {
        Error::data(format!("the gzip stream is damaged: {error}")).at(place).remedy("fetch the file again")
    })?;
    unpacked.ok_or_else(|| {
        Error::data("unpacks to far more than its packed size")
            .at(place)
            .remedy("if you trust it, unpack it yourself with gunzip")
    })
}

/// Unpacks raw deflate, as [`gunzip`]; None for what grows too far.
pub(super) fn deflated(bytes: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let decoder = flate2::bufread::DeflateDecoder::new(bytes);
    inflate(decoder, |decoder| bytes.len() - decoder.get_ref().len(), EXPANSION_FLOOR)
}

/// Reads piece by piece, so that memory grows with what arrives; `consumed` tells how many packed bytes have been read.
fn inflate<R: Read>(mut from: R, consumed: impl Fn(&R) -> usize, floor: usize) -> std::io::Result<Option<Vec<u8>>> {
    let mut unpacked = Vec::new();
    let mut piece = [0; 1 << 16];
    loop {
        let length = from.read(&mut piece)?;
        if length == 0 {
            return Ok(Some(unpacked));
        }
        unpacked.extend_from_slice(&piece[..length]);
        if unpacked.len() > floor && unpacked.len() / EXPANSION_LIMIT > consumed(&from) {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn an_absent_name_near_a_built_in_is_suggested() {
        let error = read("digit").err().unwrap().to_string();
        assert!(error.contains("digit:") && error.contains("did you mean the built-in `digits`?"), "{error}");
    }

    #[test]
    fn an_absent_file_says_so_and_lists_the_built_ins() {
        let error = read("/nowhere/housing.csv").err().unwrap();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(
            text.contains("/nowhere/housing.csv: no such file") && text.contains("or use the built-in digits"),
            "{text}"
        );
    }

    #[test]
    fn gzip_that_grows_beyond_the_limit_is_refused() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&vec![0; 1_000_000]).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(gunzip_beyond(&packed, "a.gz", 1_000_000).unwrap().len(), 1_000_000);
        let error = gunzip_beyond(&packed, "a.gz", 900_000).unwrap_err().to_string();
        assert!(
            error.contains("a.gz: unpacks to far more than its packed size") && error.contains("gunzip"),
            "{error}"
        );
    }

    #[test]
    fn gzip_of_several_members_with_zeros_behind_them_is_unpacked_and_other_bytes_are_refused() {
        let member = |text: &[u8]| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text).unwrap();
            packed.finish().unwrap()
        };
        let both = [member(b"a,b\n"), member(b""), member(b"1,2\n")].concat();
        for packed in [both.clone(), [both.clone(), vec![0; 100_000]].concat()] {
            assert_eq!(gunzip(&packed, "a.gz").unwrap(), b"a,b\n1,2\n");
        }
        for rest in [&[0, 0, 7][..], b"more", &[0x1f]] {
            let error = gunzip(&[both.clone(), rest.to_vec()].concat(), "a.gz").unwrap_err().to_string();
            assert!(error.starts_with("a.gz: the gzip stream is damaged: "), "{error}");
        }
    }

    #[test]
    fn the_checksum_is_sha_256() {
        assert_eq!(checksum(&[b"a", b"bc"]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn an_unknown_extension_names_the_known_ones() {
        let error = format_of(Path::new("a.xlsx")).err().unwrap().to_string();
        assert!(error.contains("a.xlsx") && error.contains(".csv"), "{error}");
        assert_eq!(format_of(Path::new("x/My.Data.CSV.gz")).unwrap().0, "My.Data");
    }
}
