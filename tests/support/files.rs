//! Files of every format as other programs write them, made in memory.

#![allow(dead_code, reason = "each test uses some of them")]

use std::io::Write;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// An IDX file: sizes, then bytes.
pub fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    [magic].into_iter().chain(sizes.iter().copied()).flat_map(u32::to_be_bytes).chain(body.iter().copied()).collect()
}

/// An array as numpy.save writes it.
pub fn npy(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes
}

/// A ZIP archive as numpy.savez (stored) or savez_compressed (deflated) writes it, zip64 extra field included.
pub fn npz(members: &[(&str, Vec<u8>)], deflated: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let packed = if deflated {
            let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            packed.write_all(bytes).unwrap();
            packed.finish().unwrap()
        } else {
            bytes.clone()
        };
        let offset = file.len() as u32;
        let mut common = vec![45, 0, 0, 0, if deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
        common.extend(crc.sum().to_le_bytes());
        let sizes = [packed.len() as u32, bytes.len() as u32].map(u32::to_le_bytes).concat();
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend([0xff; 8]);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend(20_u16.to_le_bytes());
        file.extend(name.as_bytes());
        file.extend([1, 0, 16, 0]);
        file.extend((bytes.len() as u64).to_le_bytes());
        file.extend((packed.len() as u64).to_le_bytes());
        file.extend(packed);
        directory.extend(b"PK\x01\x02\x2d\x03");
        directory.extend(common);
        directory.extend(sizes);
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([(members.len() as u16).to_le_bytes(); 2].concat());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}
