//! What a crash leaves at the end of a log file, told apart from damage (rule 3), before the engine opens it.
//!
//! By itself the engine would cut a file at the first record that it cannot read, and with it whatever this member
//! acknowledged behind it, votes included. Here only what a write that never finished can have left is cut: a record
//! that the file ends within, or one whose rest is zeros from a sector on (files are made longer in advance). A whole
//! record with a bad checksum stops the member, even where a power cut may have kept a sector in its middle from the
//! disk: nobody can tell that from damage to what was synced. The engine is then opened so that it cuts nothing.
//!
//! The engine's files: a header (magic text, version 2, alignment 0), then records of
//! `len << 8 | compression, offset of the footer` (two big-endian u64, 16 bytes), entries with their crc32, footer
//! with its crc32 (little-endian; the footer's is XORed with the file's number).

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

pub(super) const MAGIC: &[u8] = b"RAFT-LOG-FILE-HEADER-9986AB3E47F320B394C8E84916EB0ED5";
const VERSION: u64 = 2;
const ALIGNMENT: u64 = 0;
/// Magic, version, alignment.
pub(super) const FILE_HEADER_BYTES: usize = MAGIC.len() + 16;
const RECORD_HEADER_BYTES: usize = 16;
const CRC_BYTES: usize = 4;
/// The smallest piece of a file that reaches the disk as one: a write is torn only between these.
const SECTOR_BYTES: usize = 512;
/// Files of entries as they were written, and of entries gathered from old files.
const SUFFIXES: [&str; 2] = [".raftlog", ".rewrite"];
/// Digits of a file's number, with which its name begins.
const NUMBER_DIGITS: usize = 16;

/// Checks the newest file of each kind in `dir` and cuts what an unfinished write left at its end.
pub(super) fn mend(dir: &Path) -> Result<()> {
    mend_files(dir).map_err(|error| match error {
        Error::Io(error) => Error::Folder { dir: dir.display().to_string(), reason: error.to_string() },
        error @ (Error::Folder { .. }
        | Error::Damaged { .. }
        | Error::GroupExists(_)
        | Error::NoGroup(_)
        | Error::Stopped
        | Error::Inconsistent { .. }) => error,
    })
}

fn mend_files(dir: &Path) -> Result<()> {
    // While another process has the folder open its newest record may be half written: the engine names that case.
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("LOCK"))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    for suffix in SUFFIXES {
        if let Some((number, path)) = newest(dir, suffix)? {
            mend_file(&path, number)?;
        }
    }
    Ok(())
}

fn newest(dir: &Path, suffix: &str) -> Result<Option<(u64, PathBuf)>> {
    let mut newest = None;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let number = name.strip_suffix(suffix).filter(|number| number.len() == NUMBER_DIGITS);
        if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest)
}

fn mend_file(path: &Path, number: u64) -> Result<()> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    match examine(&bytes, number) {
        Tail::Whole => Ok(()),
        Tail::Unfinished { offset } => {
            let cut = bytes.len() - offset;
            tracing::warn!(file = %path.display(), offset, cut, "the end of the raft log was never finished: cut");
            if offset < FILE_HEADER_BYTES {
                // The engine takes no file without a header.
                std::fs::remove_file(path)?;
                File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            } else {
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(offset as u64)?;
                file.sync_all()?;
            }
            Ok(())
        }
        Tail::Damaged { offset } => Err(Error::Damaged { file: path.display().to_string(), offset }),
    }
}

/// How a file ends.
#[derive(Debug, PartialEq)]
pub(super) enum Tail {
    Whole,
    /// From here on a write did not finish.
    Unfinished {
        offset: usize,
    },
    /// What begins here was written and is not what it was.
    Damaged {
        offset: usize,
    },
}

pub(super) fn examine(bytes: &[u8], number: u64) -> Tail {
    // Behind the last byte that is not zero.
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    if bytes.len() < FILE_HEADER_BYTES || used == 0 {
        return Tail::Unfinished { offset: 0 };
    }
    let header = bytes.get(MAGIC.len()..).and_then(two_numbers);
    if !bytes.starts_with(MAGIC) || header != Some((VERSION, ALIGNMENT)) {
        return Tail::Damaged { offset: 0 };
    }
    // The signature is the number's lower half.
    let records = Records { bytes, used, signature: number as u32 };
    let mut offset = FILE_HEADER_BYTES;
    while offset < bytes.len() {
        match records.whole_at(offset) {
            Some(end) => offset = end,
            None if records.unfinished_at(offset) => return Tail::Unfinished { offset },
            None => return Tail::Damaged { offset },
        }
    }
    Tail::Whole
}

struct Records<'a> {
    bytes: &'a [u8],
    used: usize,
    signature: u32,
}

/// What a record's header says, if it can be one of ours.
struct Header {
    /// Where the footer begins and where the record ends, in the file.
    footer: usize,
    end: usize,
}

impl Records<'_> {
    /// The end of the record that begins here, if it is whole and sound.
    fn whole_at(&self, offset: usize) -> Option<usize> {
        let header = self.header_at(offset)?;
        let entries = self.bytes.get(offset + RECORD_HEADER_BYTES..header.footer)?;
        let sound =
            self.footer_is_sound(header.footer, header.end) && (entries.is_empty() || is_sound(entries, 0));
        sound.then_some(header.end)
    }

    /// Whether a write that did not finish can have left what stands here, as the last in its file.
    fn unfinished_at(&self, offset: usize) -> bool {
        if self.used <= offset || self.bytes.len() - offset < RECORD_HEADER_BYTES {
            return true;
        }
        // Nothing was written behind an unfinished record; so a sound one there means that this one's length is wrong.
        if (offset + 1..self.used).any(|later| self.whole_at(later).is_some()) {
            return false;
        }
        let Some(header) = self.header_at(offset) else {
            return self.is_torn(offset + RECORD_HEADER_BYTES);
        };
        // A sound footer that ends where the data does: only the length is wrong. The checksum may end in zeros.
        if (self.used..=self.used + CRC_BYTES).any(|end| self.footer_is_sound(header.footer, end)) {
            return false;
        }
        header.end > self.bytes.len() || self.is_torn(header.end)
    }

    /// Whether what should reach to `end` stops at or before the last sector boundary before it.
    fn is_torn(&self, end: usize) -> bool {
        self.used <= (end - 1) / SECTOR_BYTES * SECTOR_BYTES
    }

    fn header_at(&self, offset: usize) -> Option<Header> {
        let (len_and_compression, footer) = two_numbers(self.bytes.get(offset..)?)?;
        // This log never compresses.
        if len_and_compression & 0xff != 0 {
            return None;
        }
        let len = usize::try_from(len_and_compression >> 8).ok()?;
        let footer = usize::try_from(footer).ok()?;
        (RECORD_HEADER_BYTES <= footer && footer < len)
            .then_some(Header { footer: offset.checked_add(footer)?, end: offset.checked_add(len)? })
    }

    fn footer_is_sound(&self, footer: usize, end: usize) -> bool {
        self.bytes.get(footer..end).is_some_and(|part| is_sound(part, self.signature))
    }
}

/// Whether a part ends with its checksum.
fn is_sound(part: &[u8], signature: u32) -> bool {
    match part.split_last_chunk::<CRC_BYTES>() {
        Some((data, crc)) if !data.is_empty() => {
            crc32fast::hash(data) == u32::from_le_bytes(*crc) ^ signature
        }
        Some(_) | None => false,
    }
}

fn two_numbers(bytes: &[u8]) -> Option<(u64, u64)> {
    let (first, rest) = bytes.split_first_chunk::<8>()?;
    let second = rest.first_chunk::<8>()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(*second)))
}

#[cfg(test)]
mod tests;
