//! The few pages of the ZIP format that `numpy.savez` uses: stored and deflated members, zip64 where it is needed.
//! Trusts no size before the bytes have arrived. Knows nothing of arrays.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{source, unpack};
use crate::error::{Error, Result};

const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";
/// The end record's own length, and the longest comment behind it.
const END_LENGTH: usize = 22;
const COMMENT_LIMIT: usize = 65_535;
/// More than any archive of arrays has.
const MOST_MEMBERS: usize = 10_000;

/// One member as the directory describes it.
#[derive(Clone)]
pub(super) struct Member {
    pub name: String,
    method: u16,
    encrypted: bool,
    crc: u32,
    packed: u64,
    pub size: u64,
    offset: u64,
}

fn bytes<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(file: &[u8], at: usize) -> Option<usize> {
    bytes(file, at).map(|b| usize::from(u16::from_le_bytes(b)))
}

fn u32_at(file: &[u8], at: usize) -> Option<u64> {
    bytes(file, at).map(|b| u64::from(u32::from_le_bytes(b)))
}

fn u64_at(file: &[u8], at: usize) -> Option<u64> {
    bytes(file, at).map(u64::from_le_bytes)
}

fn damaged(place: &str, what: &str) -> Error {
    Error::data(format!("is no sound .npz file: {what}")).at(place).remedy("write it again with numpy.savez")
}

/// The directory's members, in its order.
pub(super) fn members(file: &[u8], place: &str) -> Result<Vec<Member>> {
    members_of(file, 0, place)
}

/// As [`members`], from the end of a file that starts at byte `base`.
fn members_of(file: &[u8], base: u64, place: &str) -> Result<Vec<Member>> {
    let (mut at, count) =
        directory(file, base).ok_or_else(|| damaged(place, "it has no directory (cut off, or not a ZIP file)"))?;
    let mut members = Vec::new();
    for _ in 0..count.min(MOST_MEMBERS) {
        let (member, next) = entry(file, at).ok_or_else(|| damaged(place, "its directory is cut off"))?;
        members.push(member);
        at = next;
    }
    Ok(members)
}

/// Where the directory starts, and how many entries it claims.
fn directory(file: &[u8], base: u64) -> Option<(usize, usize)> {
    let last = file.len().checked_sub(END_LENGTH)?;
    let first = last.saturating_sub(COMMENT_LIMIT);
    let end = (first..=last).rev().find(|&at| file[at..].starts_with(&END))?;
    let (count, start) = (u16_at(file, end + 10)?, u32_at(file, end + 16)?);
    if count < 0xffff && start < 0xffff_ffff {
        return Some((usize::try_from(start.checked_sub(base)?).ok()?, count));
    }
    // The zip64 locator lies just before the end record and points to the zip64 end record.
    let record = usize::try_from(u64_at(file, end.checked_sub(12)?)?.checked_sub(base)?).ok()?;
    if bytes(file, record)? != END_64 {
        return None;
    }
    let count = usize::try_from(u64_at(file, record.checked_add(32)?)?).ok()?;
    Some((usize::try_from(u64_at(file, record.checked_add(48)?)?.checked_sub(base)?).ok()?, count))
}

/// The entry at `at`, and where the next one starts.
fn entry(file: &[u8], at: usize) -> Option<(Member, usize)> {
    if bytes(file, at)? != ENTRY {
        return None;
    }
    let (name_length, extra_length) = (u16_at(file, at + 28)?, u16_at(file, at + 30)?);
    let name_at = at + 46;
    let extra_at = name_at + name_length;
    let name = String::from_utf8_lossy(file.get(name_at..extra_at)?).into_owned();
    let mut member = Member {
        name,
        method: u16_at(file, at + 10)? as u16,
        encrypted: u16_at(file, at + 8)? & 1 == 1,
        crc: u32_at(file, at + 16)? as u32,
        packed: u32_at(file, at + 20)?,
        size: u32_at(file, at + 24)?,
        offset: u32_at(file, at + 42)?,
    };
    widen(&mut member, file.get(extra_at..extra_at + extra_length)?);
    Some((member, extra_at + extra_length + u16_at(file, at + 32)?))
}

/// Takes sizes that do not fit into 32 bits from the zip64 extra field, in its fixed order.
fn widen(member: &mut Member, mut extra: &[u8]) {
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(body) = extra.get(4..4 + length) else { return };
        if id == 1 {
            let mut at = 0;
            for field in [&mut member.size, &mut member.packed, &mut member.offset] {
                if *field == 0xffff_ffff {
                    *field = u64_at(body, at).unwrap_or(*field);
                    at += 8;
                }
            }
        }
        extra = &extra[4 + length..];
    }
}

/// A member's bytes, unpacked and checked.
pub(super) fn unpack(file: &[u8], member: &Member, place: &str) -> Result<Vec<u8>> {
    let failed = |what: &str| damaged(place, &format!("member {} {what}", member.name));
    if member.encrypted {
        return Err(failed("is encrypted"));
    }
    let packed = packed_bytes(file, member).ok_or_else(|| failed("lies beyond the end of the file"))?;
    let unpacked = match member.method {
        0 => packed.to_vec(),
        8 => {
            let unpacked = source::deflated(packed);
            let unpacked = unpacked.map_err(|error| failed(&format!("cannot be unpacked: {error}")))?;
            unpacked.ok_or_else(|| bomb(place, member))?
        }
        method => return Err(failed(&format!("is packed by method {method}, only stored and deflated are read"))),
    };
    let mut crc = flate2::Crc::new();
    crc.update(&unpacked);
    if unpacked.len() as u64 != member.size || crc.sum() != member.crc {
        return Err(failed("does not match its checksum"));
    }
    Ok(unpacked)
}

fn bomb(place: &str, member: &Member) -> Error {
    Error::data(format!("member {} unpacks to far more than its packed size", member.name))
        .at(place)
        .remedy("if you trust it, save it with numpy.savez instead of savez_compressed")
}

fn packed_bytes<'a>(file: &'a [u8], member: &Member) -> Option<&'a [u8]> {
    let local = usize::try_from(member.offset).ok()?;
    if bytes(file, local)? != LOCAL {
        return None;
    }
    let start = local + 30 + u16_at(file, local + 26)? + u16_at(file, local + 28)?;
    file.get(start..start.checked_add(usize::try_from(member.packed).ok()?)?)
}

/// An archive that stays on disk.
pub(super) struct Archive {
    file: File,
    members: Vec<Member>,
}

/// Bytes at the end of an archive that hold its directory, unless it has thousands of members.
const TAIL: u64 = 1 << 20;

impl Archive {
    /// None where the file cannot be opened or its directory not be read.
    pub fn open(path: &Path, place: &str) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let base = length.saturating_sub(TAIL);
        let tail = read_at(&mut file, base, length - base).ok()?;
        let members = members_of(&tail, base, place).ok()?;
        Some(Archive { file, members })
    }

    /// The array of that name.
    pub fn find(&self, name: &str) -> Option<Member> {
        self.members.iter().find(|member| member.name.strip_suffix(".npy") == Some(name)).cloned()
    }

    /// A member's bytes, unpacked and checked.
    pub fn unpack(&mut self, member: &Member, place: &str) -> Result<Vec<u8>> {
        // A local header ends in a name and extra fields of 64 KiB at most.
        let most = member.packed.saturating_add(30 + 2 * 0xffff);
        let bytes = read_at(&mut self.file, member.offset, most).map_err(|error| unreadable(place, &error))?;
        unpack(&bytes, &Member { offset: 0, ..member.clone() }, place)
    }

    /// A file with a member's bytes, checked, and where in it they start: the archive itself where they are stored, a
    /// temporary one where they are packed. None where they cannot be read in this way.
    ///
    /// # Errors
    /// Bytes that do not match their checksum, or too little room for the temporary file.
    pub fn into_member(mut self, member: &Member, place: &str) -> Result<Option<(File, u64)>> {
        let local = read_at(&mut self.file, member.offset, 30).map_err(|error| unreadable(place, &error))?;
        let lengths = u16_at(&local, 26).zip(u16_at(&local, 28)).filter(|_| bytes(&local, 0) == Some(LOCAL));
        let Some((name, extra)) = lengths.filter(|_| !member.encrypted) else { return Ok(None) };
        let start = member.offset + 30 + (name + extra) as u64;
        let length = self.file.metadata().map_or(0, |data| data.len());
        if start.checked_add(member.packed).is_none_or(|end| end > length) {
            return Ok(None);
        }
        let seek = self.file.seek(SeekFrom::Start(start));
        seek.map_err(|error| unreadable(place, &error))?;
        let packed = (&self.file).take(member.packed);
        let (unpacked, file) = match member.method {
            0 => (unpack::count(packed).map_err(|error| unreadable(place, &error))?, None),
            8 => {
                let from = flate2::read::DeflateDecoder::new(packed);
                let (unpacked, file) = unpack::to_file(from, member.size, member.packed, place)?;
                (unpacked, Some(file))
            }
            _ => return Ok(None),
        };
        if (unpacked.length, unpacked.crc) != (member.size, member.crc) {
            return Err(damaged(place, &format!("member {} does not match its checksum", member.name)));
        }
        Ok(Some(file.map_or((self.file, start), |file| (file, 0))))
    }
}

fn read_at(file: &mut File, at: u64, length: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(place: &str, error: &std::io::Error) -> Error {
    damaged(place, &error.to_string())
}
