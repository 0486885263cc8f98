//! One NumPy array in the .npy format: header, element type, elements in C order. Knows nothing of archives.

use std::sync::{Arc, Mutex};

use super::stored::Part;
use crate::error::{Error, Result};

/// Element types, little-endian. Each row: NumPy's name, bytes an element, and how to read some of a row.
#[derive(Debug)]
pub(super) struct Kind {
    name: &'static str,
    pub size: usize,
    float: bool,
    read: fn(&[u8], &[usize], &mut [f64]),
}

macro_rules! reads {
    ($type:ty) => {
        |row, columns, values| {
            let (elements, _) = row.as_chunks();
            for (value, &column) in values.iter_mut().zip(columns) {
                *value = <$type>::from_le_bytes(elements[column]) as f64;
            }
        }
    };
}

const KINDS: &[Kind] = &[
    Kind { name: "f4", size: 4, float: true, read: reads!(f32) },
    Kind { name: "f8", size: 8, float: true, read: reads!(f64) },
    Kind { name: "u1", size: 1, float: false, read: reads!(u8) },
    Kind { name: "u2", size: 2, float: false, read: reads!(u16) },
    Kind { name: "u4", size: 4, float: false, read: reads!(u32) },
    Kind { name: "u8", size: 8, float: false, read: reads!(u64) },
    Kind { name: "i1", size: 1, float: false, read: reads!(i8) },
    Kind { name: "i2", size: 2, float: false, read: reads!(i16) },
    Kind { name: "i4", size: 4, float: false, read: reads!(i32) },
    Kind { name: "i8", size: 8, float: false, read: reads!(i64) },
    Kind { name: "b1", size: 1, float: false, read: reads!(u8) },
];

/// As in NumPy.
const MOST_DIMENSIONS: usize = 64;

impl Kind {
    /// The kind that NumPy calls so.
    #[cfg(test)]
    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// Reads the elements at `columns` of a row's bytes into `values`.
    pub fn read(&self, row: &[u8], columns: &[usize], values: &mut [f64]) {
        (self.read)(row, columns, values);
    }

    pub fn is_float(&self) -> bool {
        self.float
    }

    pub fn is_bytes(&self) -> bool {
        self.name == "u1"
    }
}

/// What stands before the elements.
pub(super) struct Header {
    pub kind: &'static Kind,
    pub shape: Vec<usize>,
    /// Column-major.
    pub fortran: bool,
    /// Bytes before the first element, and of all elements.
    pub start: usize,
    /// None where that is beyond all bounds.
    pub length: Option<usize>,
}

impl Header {
    /// Reads the header at the start of `bytes`, of which there need not be more.
    pub fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        let (header, body) = split_header(bytes).ok_or_else(|| damaged("is not a NumPy array", place))?;
        let descr = value(header, "descr").ok_or_else(|| damaged("its header names no element type", place))?;
        let kind = kind_of(descr, place)?;
        let shape = shape_of(header).ok_or_else(|| damaged("its header names no shape", place))?;
        if shape.len() > MOST_DIMENSIONS {
            return Err(damaged(&format!("has {} dimensions", shape.len()), place));
        }
        let count = shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        let length = count.and_then(|count| count.checked_mul(kind.size));
        let fortran = value(header, "fortran_order").is_some_and(|order| order.starts_with("True"));
        Ok(Header { kind, shape, fortran, start: bytes.len() - body.len(), length })
    }
}

fn damaged(what: &str, place: &str) -> Error {
    Error::data(what).at(place).remedy("write the file again with numpy.savez")
}

/// Where an array's elements are.
enum Elements {
    Memory(Vec<u8>),
    /// In C order.
    Stored(Arc<Part>),
}

pub(super) struct Array {
    pub kind: &'static Kind,
    pub shape: Vec<usize>,
    elements: Elements,
}

impl Array {
    pub fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        let Header { kind, shape, fortran, start, length } = Header::parse(bytes, place)?;
        let body = &bytes[start..];
        if length != Some(body.len()) {
            let (held, kind) = (body.len(), kind.name);
            let what = format!("holds {held} bytes of elements, its shape {shape:?} of {kind} promises another number");
            return Err(damaged(&what, place));
        }
        let data = if fortran { to_c_order(body, &shape, kind.size) } else { body.to_vec() };
        Ok(Array { kind, shape, elements: Elements::Memory(data) })
    }

    /// An array whose elements stay in their file; None where they do not lie there as the header promises.
    pub fn stored(file: std::fs::File, place: &str, start: u64, size: u64) -> Result<Option<Self>> {
        let mut part = Part { file: Mutex::new(file), place: place.into(), offset: start, rows: 0 };
        let mut head = Vec::new();
        part.read(0, size.min(HEADER_BYTES) as usize, &mut head)?;
        let Header { kind, shape, fortran, start, length } = Header::parse(&head, place)?;
        if fortran || length.is_none_or(|length| (start + length) as u64 != size) {
            return Ok(None);
        }
        part.offset += start as u64;
        part.rows = shape.first().copied().unwrap_or(0);
        Ok(Some(Array { kind, shape, elements: Elements::Stored(Arc::new(part)) }))
    }

    /// The file that the elements are in, if they are not in memory.
    pub fn part(&self) -> Option<&Arc<Part>> {
        match &self.elements {
            Elements::Memory(_) => None,
            Elements::Stored(part) => Some(part),
        }
    }

    pub fn is_float(&self) -> bool {
        self.kind.is_float()
    }

    pub fn is_bytes(&self) -> bool {
        self.kind.is_bytes()
    }

    /// The first dimension.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// The product of the other dimensions; beyond all bounds where there are no rows to hold it down.
    pub fn columns(&self) -> usize {
        self.shape.iter().skip(1).fold(1, |columns, &size| columns.saturating_mul(size))
    }

    /// One column, read row by row.
    pub fn column(&self, column: usize) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.rows());
        self.each_row(&mut |row| {
            let mut value = [0.0];
            self.kind.read(row, &[column], &mut value);
            values.extend(value);
        })?;
        Ok(values)
    }

    /// Calls `f` with the bytes of every row in turn.
    pub fn each_row(&self, f: &mut dyn FnMut(&[u8])) -> Result<()> {
        let row_bytes = self.columns() * self.kind.size;
        match &self.elements {
            Elements::Memory(data) => data.chunks_exact(row_bytes.max(1)).for_each(f),
            Elements::Stored(part) => {
                let most = (PIECE_BYTES / row_bytes.max(1)).max(1);
                let mut piece = Vec::new();
                for first in (0..part.rows).step_by(most) {
                    let rows = most.min(part.rows - first);
                    part.read((first * row_bytes) as u64, rows * row_bytes, &mut piece)?;
                    piece.chunks_exact(row_bytes).for_each(&mut *f);
                }
            }
        }
        Ok(())
    }

    /// The elements, where they are in memory.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.elements {
            Elements::Memory(data) => data,
            Elements::Stored(_) => Vec::new(),
        }
    }
}

/// More than any header of numbers has.
const HEADER_BYTES: u64 = 1 << 16;

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Header text and elements.
fn split_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (length, at) = match rest.first()? {
        1 => (usize::from(u16::from_le_bytes(rest.get(2..4)?.try_into().ok()?)), 4),
        2 | 3 => (u32::from_le_bytes(rest.get(2..6)?.try_into().ok()?) as usize, 6),
        _ => return None,
    };
    let end = length.checked_add(at)?;
    Some((std::str::from_utf8(rest.get(at..end)?).ok()?, &rest[end..]))
}

/// What follows `'key':` in the header's dictionary.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let after = header.split_once(&format!("'{key}'"))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn kind_of(descr: &str, place: &str) -> Result<&'static Kind> {
    let text = descr.strip_prefix('\'').and_then(|rest| rest.split_once('\'')).map_or(descr, |(text, _)| text);
    let remedy = "convert it with .astype('float32') (or 'int64', or 'uint8' for images) before saving";
    let unknown = |why: &str| {
        let shown: String = text.chars().take(40).collect();
        Err(Error::data(format!("its element type {shown} is {why}")).at(place).remedy(remedy))
    };
    let Some(kind) = text.strip_prefix(['<', '|', '=', '>']).and_then(|name| KINDS.iter().find(|k| k.name == name))
    else {
        return unknown("not one that can be read");
    };
    if text.starts_with('>') && kind.size > 1 {
        return unknown("big-endian");
    }
    Ok(kind)
}

fn shape_of(header: &str) -> Option<Vec<usize>> {
    let inside = value(header, "shape")?.strip_prefix('(')?.split_once(')')?.0;
    inside.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|size| size.parse().ok()).collect()
}

/// Column-major elements in row-major order.
fn to_c_order(body: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(body.len());
    let mut index = vec![0_usize; shape.len()];
    for _ in 0..body.len() / size {
        let from = shape.iter().zip(&index).rev().fold(0, |from, (extent, at)| from * extent + at) * size;
        data.extend_from_slice(&body[from..from + size]);
        for (at, extent) in index.iter_mut().zip(shape).rev() {
            *at += 1;
            if *at < *extent {
                break;
            }
            *at = 0;
        }
    }
    data
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A .npy file as NumPy writes it.
    pub fn file(descr: &str, fortran: bool, shape: &str, body: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(body);
        bytes
    }

    fn failure(bytes: &[u8]) -> String {
        Array::parse(bytes, "a.npz: x").err().expect("must fail").to_string()
    }

    #[test]
    fn elements_of_every_type_are_read() {
        let array = Array::parse(&file("<f4", false, "(2,)", &[0, 0, 192, 63, 0, 0, 0, 192]), "x").unwrap();
        assert_eq!((array.column(0).unwrap(), array.shape.len()), (vec![1.5, -2.0], 1));
        let array = Array::parse(&file("<i2", false, "(1, 2)", &[255, 255, 0, 1]), "x").unwrap();
        assert_eq!((array.column(0).unwrap(), array.column(1).unwrap()), (vec![-1.0], vec![256.0]));
        for kind in KINDS {
            let array = Array::parse(&file(&format!("<{}", kind.name), false, "(1, 1)", &vec![0; kind.size]), "x");
            assert_eq!(array.unwrap().column(0).unwrap(), [0.0], "{}", kind.name);
        }
    }

    #[test]
    fn fortran_order_is_turned() {
        let array = Array::parse(&file("|u1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6]), "x").unwrap();
        assert_eq!(array.into_bytes(), [1, 2, 3, 4, 5, 6]);
        let array = Array::parse(&file("|u1", true, "(2, 2, 2)", &[0, 4, 2, 6, 1, 5, 3, 7]), "x").unwrap();
        assert_eq!(array.into_bytes(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_a_remedy() {
        assert!(failure(b"nothing").contains("a.npz: x: is not a NumPy array; write"));
        assert!(failure(&file(">f4", false, "(1,)", &[0; 4])).contains(">f4 is big-endian; convert it with .astype"));
        assert!(failure(&file("|O", false, "(1,)", &[0; 4])).contains("|O is not one that can be read"));
        assert!(failure(&file("<f4", false, "(2,)", &[0; 4])).contains("holds 4 bytes of elements"));
        let bomb = file("<f8", false, "(18446744073709551615, 8)", &[0; 8]);
        assert!(failure(&bomb).contains("holds 8 bytes of elements"));
    }
}
