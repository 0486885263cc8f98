//! Writes what `numpy.savez` and `savez_compressed` write, of any size, without holding it.

use std::fs::File;
use std::io::{BufWriter, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// An archive under construction.
pub struct Archive {
    file: BufWriter<File>,
    deflated: bool,
    directory: Vec<u8>,
    members: u16,
}

/// Counts and sums up what is written.
struct Counted<W> {
    to: W,
    length: u32,
    crc: flate2::Crc,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.to.write(bytes)?;
        self.length += written as u32;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> Result<()> {
        self.to.flush()
    }
}

impl Archive {
    pub fn create(path: &Path, deflated: bool) -> Result<Self> {
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        Ok(Archive { file, deflated, directory: Vec::new(), members: 0 })
    }

    /// Adds an array; `elements` writes its bytes.
    pub fn add(
        &mut self,
        name: &str,
        descr: &str,
        shape: &str,
        elements: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let name = format!("{name}.npy");
        let offset = self.file.stream_position()?;
        self.file.write_all(&[0; 30])?;
        self.file.write_all(name.as_bytes())?;
        let start = self.file.stream_position()?;
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n").into_bytes();
        header.splice(0..0, (header.len() as u16).to_le_bytes());
        header.splice(0..0, *b"\x93NUMPY\x01\x00");
        let (length, crc) = if self.deflated {
            let packed = flate2::write::DeflateEncoder::new(&mut self.file, flate2::Compression::fast());
            let mut to = Counted { to: packed, length: 0, crc: flate2::Crc::new() };
            to.write_all(&header).and_then(|()| elements(&mut to))?;
            to.to.finish()?;
            (to.length, to.crc.sum())
        } else {
            let mut to = Counted { to: &mut self.file, length: 0, crc: flate2::Crc::new() };
            to.write_all(&header).and_then(|()| elements(&mut to))?;
            (to.length, to.crc.sum())
        };
        let end = self.file.stream_position()?;
        let mut facts = vec![20, 0, 0, 0, if self.deflated { 8 } else { 0 }, 0, 0, 0, 0, 0];
        for word in [crc, (end - start) as u32, length] {
            facts.extend(word.to_le_bytes());
        }
        facts.extend((name.len() as u16).to_le_bytes());
        facts.extend([0, 0]);
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(b"PK\x03\x04")?;
        self.file.write_all(&facts)?;
        self.file.seek(SeekFrom::Start(end))?;
        self.directory.extend(b"PK\x01\x02\x14\x00");
        self.directory.extend(facts);
        self.directory.extend([0; 10]);
        self.directory.extend((offset as u32).to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.members += 1;
        Ok(())
    }

    pub fn finish(mut self) -> Result<()> {
        let start = self.file.stream_position()? as u32;
        self.file.write_all(&self.directory)?;
        self.file.write_all(b"PK\x05\x06\0\0\0\0")?;
        for count in [self.members, self.members] {
            self.file.write_all(&count.to_le_bytes())?;
        }
        for number in [self.directory.len() as u32, start] {
            self.file.write_all(&number.to_le_bytes())?;
        }
        self.file.write_all(&[0, 0])?;
        self.file.flush()
    }
}
