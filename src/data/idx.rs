//! A folder of MNIST-style IDX files, plain or gzipped. Trusts no size in a header before the bytes have arrived.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::images::{self, Images};
use super::source::{self, Content};
use super::table::{Column, Values};
use super::{stored, unpack};
use crate::error::{Error, Result};

/// Unsigned bytes in three dimensions, and in one.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;

/// One pair of files.
struct Part {
    values: Vec<u8>,
    /// Where the pixels are instead, if they stay in their file.
    stored: Option<Arc<stored::Part>>,
    count: usize,
    height: usize,
    width: usize,
    labels: Option<Vec<u8>>,
    place: String,
}

/// The folder's images and the checksum of its files: training images and labels, then the test set's.
pub(super) fn read(folder: &Path) -> Result<(Content, String)> {
    let mut files = Vec::new();
    let train = read_part(folder, "train", &mut files)?;
    let test = read_part(folder, "t10k", &mut files)?;
    let parts: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let checksum = source::checksum(&parts);
    let Some(images) = both(train, test, folder)? else {
        return Err(Error::data("holds no IDX images").at(folder.display()).remedy(
            "put train-images-idx3-ubyte and train-labels-idx1-ubyte into it (also t10k-…, also .gz), or name a file",
        ));
    };
    Ok((Content::Images(images), checksum))
}

/// A folder with `from` bytes of images or more, which stay in their files, or in temporary ones where they are packed;
/// and its checksum. None for any other folder.
pub(super) fn open(folder: &Path, from: u64) -> Result<Option<(Content, String)>> {
    let images = |part: &str| find(folder, &format!("{part}-images"), "idx3-ubyte");
    let paths: Vec<PathBuf> = ["train", "t10k"].iter().filter_map(|part| images(part)).collect();
    let sizes: Vec<u64> = paths.iter().map(|path| unpack::size(path)).collect::<Result<_>>()?;
    if sizes.iter().sum::<u64>() < from {
        return Ok(None);
    }
    let mut files = Vec::new();
    let mut part = |part: &str| pair(folder, part)?.map(|pair| open_part(pair, &mut files)).transpose();
    let (train, test) = (part("train")?, part("t10k")?);
    let checksum = source::checksum_of_files(&files)?;
    Ok(both(train, test, folder)?.map(|images| (Content::Images(images), checksum)))
}

fn both(train: Option<Part>, test: Option<Part>, folder: &Path) -> Result<Option<Images>> {
    match (train, test) {
        (Some(train), Some(test)) => join(train, test, folder).map(Some),
        (Some(part), None) | (None, Some(part)) => Ok(Some(part.into_images(folder))),
        (None, None) => Ok(None),
    }
}

fn open_part((path, labels): Pair, files: &mut Vec<PathBuf>) -> Result<Part> {
    const HEADER: u64 = 16;
    let place = path.display().to_string();
    let file = unpack::open(&path)?;
    let length = file.metadata().map_or(0, |data| data.len());
    let mut images = stored::Part { file: Mutex::new(file), place: place.clone(), offset: 0, rows: 0 };
    let mut header = Vec::new();
    images.read(0, length.min(HEADER) as usize, &mut header)?;
    let [count, height, width] = sizes::<3>(&header, length, &place, IMAGES)?;
    (images.offset, images.rows) = (HEADER, count);
    files.push(path);
    let labels = labels.map(|path| {
        files.push(path.clone());
        read_labels(&path, count).map(|(labels, _)| labels)
    });
    Ok(Part {
        values: Vec::new(),
        stored: Some(Arc::new(images)),
        count,
        height,
        width,
        labels: labels.transpose()?,
        place,
    })
}

impl Part {
    fn into_images(self, folder: &Path) -> Images {
        Images {
            place: folder.display().to_string(),
            values: self.values,
            stored: self.stored.into_iter().collect(),
            height: self.height,
            width: self.width,
            brightest: u8::MAX,
            targets: self.labels.map(label_column).into_iter().collect(),
            test_from: None,
        }
    }
}

fn label_column(labels: Vec<u8>) -> Column {
    let values = Values::Number(labels.into_iter().map(f64::from).collect());
    Column { name: "label".into(), values, float: false }
}

/// The test images behind the training images.
fn join(train: Part, test: Part, folder: &Path) -> Result<Images> {
    if (train.height, train.width) != (test.height, test.width) {
        return Err(Error::data(format!(
            "the images are {}×{}, those of the training files {}×{}",
            test.height, test.width, train.height, train.width
        ))
        .at(test.place)
        .remedy("keep files of one data set in a folder"));
    }
    let missing_labels = |part: &Part| no_labels(&part.place);
    let (Some(mut labels), Some(more)) = (train.labels.clone(), test.labels.clone()) else {
        return Err(missing_labels(if train.labels.is_none() { &train } else { &test }));
    };
    labels.extend(more);
    let first_test = train.count;
    let mut images = train.into_images(folder);
    images.values.extend(test.values);
    images.stored.extend(test.stored);
    images.targets = vec![label_column(labels)];
    images.test_from = Some(first_test);
    Ok(images)
}

/// The sentence for images that came alone.
pub(super) fn no_labels(place: &str) -> Error {
    Error::data("there are images without labels")
        .at(place)
        .remedy("put the file of labels (…-labels-idx1-ubyte) beside")
}

/// A file of images and the one of their labels, if it is there.
type Pair = (PathBuf, Option<PathBuf>);

/// The files of one part, if it is there at all.
fn pair(folder: &Path, part: &str) -> Result<Option<Pair>> {
    let images = find(folder, &format!("{part}-images"), "idx3-ubyte");
    let labels = find(folder, &format!("{part}-labels"), "idx1-ubyte");
    match (images, labels) {
        (Some(images), labels) => Ok(Some((images, labels))),
        (None, Some(labels)) => Err(Error::data("there are labels without images")
            .at(labels.display())
            .remedy(format!("put {part}-images-idx3-ubyte beside"))),
        (None, None) => Ok(None),
    }
}

fn read_part(folder: &Path, part: &str, files: &mut Vec<Vec<u8>>) -> Result<Option<Part>> {
    let Some((path, labels_path)) = pair(folder, part)? else { return Ok(None) };
    let place = path.display().to_string();
    let bytes = source::read_bytes(&path)?;
    let (values, [count, height, width]) = parse::<3>(&bytes, &place, IMAGES)?;
    files.push(bytes);
    let labels = match &labels_path {
        None => None,
        Some(path) => {
            let (labels, bytes) = read_labels(path, count)?;
            files.push(bytes);
            Some(labels)
        }
    };
    Ok(Some(Part { values, stored: None, count, height, width, labels, place }))
}

/// As many labels as there are images, and the file's bytes.
fn read_labels(path: &Path, count: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let place = path.display().to_string();
    let bytes = source::read_bytes(path)?;
    let (labels, [labelled]) = parse::<1>(&bytes, &place, LABELS)?;
    if labelled != count {
        return Err(Error::data(format!("{labelled} labels for {count} images"))
            .at(place)
            .remedy("fetch both files again: they belong to different sets"));
    }
    Ok((labels, bytes))
}

/// `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, plain before gzipped.
fn find(folder: &Path, stem: &str, kind: &str) -> Option<PathBuf> {
    ["", ".gz"]
        .iter()
        .flat_map(|packed| ["-", "."].map(|mark| folder.join(format!("{stem}{mark}{kind}{packed}"))))
        .find(|path| path.is_file())
}

/// Checks magic and sizes, and delivers exactly the bytes that the header promises.
fn parse<const D: usize>(bytes: &[u8], place: &str, magic: u32) -> Result<(Vec<u8>, [usize; D])> {
    let unpacked;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        unpacked = source::gunzip(bytes, place)?;
        &unpacked[..]
    } else {
        bytes
    };
    let sizes = sizes(bytes, bytes.len() as u64, place, magic)?;
    Ok((bytes[4 + 4 * D..].to_vec(), sizes))
}

/// Checks the header at the start of `bytes` against the file's length.
fn sizes<const D: usize>(bytes: &[u8], length: u64, place: &str, magic: u32) -> Result<[usize; D]> {
    let failed = |problem: String| Error::data(problem).at(place).remedy("fetch the file again");
    let header_length = 4 + 4 * D;
    if bytes.len() < header_length {
        return Err(failed(format!("is {} bytes long, shorter than an IDX header", bytes.len())));
    }
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if word(0) != magic {
        let problem = format!("starts with 0x{:08x}, IDX {} start with 0x{magic:08x}", word(0), kind(magic));
        return Err(failed(problem));
    }
    let mut sizes = [0; D];
    let mut promised = 1_u64;
    for (at, size) in sizes.iter_mut().enumerate() {
        *size = word(4 + 4 * at) as usize;
        promised = promised.saturating_mul(*size as u64);
    }
    let held = length - header_length as u64;
    if promised != held {
        return Err(failed(format!("holds {held} bytes of {}, its header promises {promised}", kind(magic))));
    }
    if promised == 0 {
        return Err(failed(format!("holds no {}", kind(magic))));
    }
    let pixels = promised / sizes[0] as u64;
    if pixels > source::MOST_PIXELS as u64 {
        return Err(images::too_large(pixels as usize, place));
    }
    Ok(sizes)
}

fn kind(magic: u32) -> &'static str {
    if magic == IMAGES { "images" } else { "labels" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let words = [magic].into_iter().chain(sizes.iter().copied());
        words.flat_map(u32::to_be_bytes).chain(body.iter().copied()).collect()
    }

    fn failure(bytes: &[u8]) -> String {
        let error = parse::<3>(bytes, "i", IMAGES).unwrap_err().to_string();
        assert!(error.starts_with("i: ") && error.ends_with("; fetch the file again"), "{error}");
        error
    }

    #[test]
    fn a_good_file_delivers_its_bytes_and_sizes() {
        let bytes = file(IMAGES, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(parse::<3>(&bytes, "i", IMAGES).unwrap(), (vec![1, 2, 3, 4, 5, 6], [2, 1, 3]));
    }

    #[test]
    fn wrong_magic_and_wrong_lengths_are_errors() {
        assert!(failure(&file(LABELS, &[2, 1, 3], &[0; 6])).contains("0x00000801"));
        assert!(failure(&file(IMAGES, &[2, 1, 3], &[0; 5])).contains("holds 5 bytes of images, its header promises 6"));
        assert!(failure(&file(IMAGES, &[2, 1, 3], &[0; 7])).contains("promises 6"));
        assert!(failure(&file(IMAGES, &[0, 1, 3], &[])).contains("holds no images"));
        assert!(failure(&[0, 0, 8]).contains("is 3 bytes long"));
    }

    #[test]
    fn a_size_bomb_is_an_error_and_not_an_allocation() {
        assert!(failure(&file(IMAGES, &[u32::MAX, u32::MAX, u32::MAX], &[0; 6])).contains("header promises"));
    }
}
