//! Packed files that are too large for memory are unpacked to a temporary file, which has no name and so is gone when
//! it is closed, however the process ends.

use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::source;
use crate::error::{Error, Result};

/// Unpacks gzip, member after member, from a reader that stands at the first. As gzip and Python do, it takes zeros behind
/// a member for padding, as tapes and block devices leave it.
pub(super) struct Gunzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Gunzip<R> {
    pub fn new(packed: R) -> Self {
        Gunzip(Some(GzDecoder::new(packed)))
    }

    /// What it reads from; None at the end.
    pub fn get_ref(&self) -> Option<&R> {
        self.0.as_ref().map(GzDecoder::get_ref)
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            let length = decoder.read(into)?;
            if length > 0 || into.is_empty() {
                return Ok(length);
            }
            let Some(mut packed) = self.0.take().map(GzDecoder::into_inner) else { break };
            if skip_zeros(&mut packed)? {
                self.0 = Some(GzDecoder::new(packed));
            }
        }
        Ok(0)
    }
}

/// Whether there is something behind them.
fn skip_zeros(from: &mut impl BufRead) -> std::io::Result<bool> {
    loop {
        let bytes = from.fill_buf()?;
        let (zeros, length) = (bytes.iter().take_while(|&&byte| byte == 0).count(), bytes.len());
        from.consume(zeros);
        if zeros < length || length == 0 {
            return Ok(length > 0);
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub length: u64,
    /// CRC-32.
    pub crc: u32,
}

/// Bytes of a file after gzip. For a packed one that is what its last four bytes say: the length modulo 4 GiB.
pub(super) fn size(path: &Path) -> Result<u64> {
    let mut file = source::open_file(path)?;
    gzip_size(&mut file).map_err(|error| source::unreadable(path.display(), &error))
}

fn gzip_size(file: &mut File) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    if !is_gzip(file)? || length < 18 {
        return Ok(length);
    }
    let mut last = [0; 4];
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut last)?;
    file.rewind()?;
    Ok(length.max(u64::from(u32::from_le_bytes(last))))
}

fn is_gzip(file: &mut File) -> std::io::Result<bool> {
    let mut first = Vec::new();
    file.rewind()?;
    file.take(2).read_to_end(&mut first)?;
    file.rewind()?;
    Ok(first == [0x1f, 0x8b])
}

/// Opens a file; a gzipped one is unpacked first.
///
/// # Errors
/// A file that cannot be read, is damaged, or for which there is no room.
pub(super) fn open(path: &Path) -> Result<File> {
    let unreadable = |error| source::unreadable(path.display(), &error);
    let mut file = source::open_file(path)?;
    if !is_gzip(&mut file).map_err(unreadable)? {
        return Ok(file);
    }
    let packed = file.metadata().map_err(unreadable)?.len();
    let size = gzip_size(&mut file).map_err(unreadable)?;
    let decoder = Gunzip::new(std::io::BufReader::new(file));
    to_file(decoder, size, packed, &path.display().to_string()).map(|(_, file)| file)
}

/// Reads to the end.
pub(super) fn count(from: impl Read) -> std::io::Result<Unpacked> {
    copy(from, std::io::sink(), u64::MAX).map_err(|(error, _)| error)
}

/// Unpacks to a temporary file. `needed`: bytes that it takes, as far as is known; `packed`: bytes that they come from.
///
/// # Errors
/// [`Error::Output`] with the bytes needed and free where there is no room, [`Error::Data`] for a damaged stream and
/// one that grows as no data does.
pub(super) fn to_file(from: impl Read, needed: u64, packed: u64, place: &str) -> Result<(Unpacked, File)> {
    let folder = std::env::temp_dir();
    let free = |folder: &Path| fs4::available_space(folder).unwrap_or(u64::MAX);
    to_folder(from, needed, packed, place, &folder, &free)
}

fn to_folder(
    from: impl Read,
    needed: u64,
    packed: u64,
    place: &str,
    folder: &Path,
    free: &dyn Fn(&Path) -> u64,
) -> Result<(Unpacked, File)> {
    let no_room = |why: &str| {
        Error::output(format!("unpacking takes {needed} bytes in {}, {} are free{why}", folder.display(), free(folder)))
            .at(place)
            .remedy("point TMPDIR to a folder with room, or unpack the file yourself")
    };
    let limit = source::expansion_limit(usize::try_from(packed).unwrap_or(usize::MAX)) as u64;
    let bomb = || {
        Error::data("unpacks to far more than its packed size").at(place).remedy("if you trust it, unpack it yourself")
    };
    if needed > limit {
        return Err(bomb());
    }
    if needed > free(folder) {
        return Err(no_room(""));
    }
    let mut file = tempfile::tempfile_in(folder).map_err(|error| no_room(&format!(" ({error})")))?;
    let unpacked = copy(from, &mut file, limit).map_err(|(error, is_reading)| match is_reading {
        true => Error::data(format!("the packed data are damaged: {error}")).at(place).remedy("fetch the file again"),
        false => no_room(&format!(" ({error})")),
    })?;
    if unpacked.length > limit {
        return Err(bomb());
    }
    file.rewind().map_err(|error| no_room(&format!(" ({error})")))?;
    Ok((unpacked, file))
}

/// Copies no more than `limit` bytes and a piece. An error comes with whether it was one of reading.
fn copy(mut from: impl Read, mut to: impl Write, limit: u64) -> Result<Unpacked, (std::io::Error, bool)> {
    let mut crc = flate2::Crc::new();
    let mut length = 0;
    let mut piece = vec![0; 1 << 18];
    while length <= limit {
        let read = from.read(&mut piece).map_err(|error| (error, true))?;
        if read == 0 {
            break;
        }
        crc.update(&piece[..read]);
        to.write_all(&piece[..read]).map_err(|error| (error, false))?;
        length += read as u64;
    }
    Ok(Unpacked { length, crc: crc.sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_behind_a_packed_file_are_padding() {
        let path = std::env::temp_dir().join(format!("wgrad-padded-{}.gz", std::process::id()));
        // More than a reader's buffer, and not a multiple of it.
        std::fs::write(&path, [gzip(b"abc"), gzip(b"def"), vec![0; 20_001]].concat()).unwrap();
        let mut unpacked = Vec::new();
        open(&path).unwrap().read_to_end(&mut unpacked).unwrap();
        std::fs::write(&path, [gzip(b"abc"), vec![0; 20_001], vec![7, 0, 0, 0]].concat()).unwrap();
        let error = open(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(unpacked, b"abcdef");
        assert!(error.contains("the packed data are damaged"), "{error}");
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn unpack(packed: &[u8], needed: u64, free: u64) -> Result<(Unpacked, File)> {
        let from = flate2::read::GzDecoder::new(packed);
        to_folder(from, needed, packed.len() as u64, "a.gz", &std::env::temp_dir(), &|_| free)
    }

    #[test]
    fn a_packed_file_is_unpacked_to_a_file_without_a_name() {
        let (unpacked, mut file) = unpack(&gzip(b"rows"), 4, 4).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), unpacked.length), ("rows", 4));
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
            assert!(!link.exists(), "{}", link.display());
        }
    }

    #[test]
    fn too_little_room_is_told_with_the_bytes_needed_and_free() {
        let error = unpack(&gzip(b"rows"), 1000, 999).unwrap_err();
        assert_eq!(error.exit_code(), 6);
        let text = error.to_string();
        assert!(text.starts_with("a.gz: unpacking takes 1000 bytes in ") && text.contains(", 999 are free"), "{text}");
        assert!(text.contains("TMPDIR"), "{text}");
    }

    #[test]
    fn a_damaged_stream_and_a_promise_beyond_belief_are_errors_of_the_data() {
        let whole = gzip(&[7; 100_000]);
        let error = unpack(&whole[..whole.len() / 2], 4, 1 << 40).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("a.gz: the packed data are damaged"), "{error}");
        let error = unpack(&whole, 1 << 40, u64::MAX).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("far more than its packed size"), "{error}");
    }
}
