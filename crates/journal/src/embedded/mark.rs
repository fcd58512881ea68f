//! The end mark: a small file that says how far the journal had been acknowledged.
//!
//! A segment cannot tell that its own end, or the whole last file, is missing: what is not there leaves no trace. The mark
//! is written after each round, when the round is as durable as the ack level says and before anybody has his answer. It
//! is never synced: a process that is killed leaves it right, and a loss of power leaves an older one, which claims less
//! than there is. So at opening a mark ahead of the last segment proves that records which were acknowledged are gone,
//! says how many, and keeps their positions from being given again. Rejected: the count in the state, which is written
//! seldom, and a sync for it, which would double the price of an append.
//!
//! Two slots are written in turn, in sectors of their own, so that a torn write spoils one of them only.

use std::io;
use std::path::Path;

use super::log::Tail;
use crate::disk::File;

/// The file's name in the journal's folder.
pub(crate) const NAME: &str = "end.mark";

const MAGIC: [u8; 8] = *b"ANOLEEND";
const VERSION: u16 = 1;
const BYTES: usize = 40;
/// How far apart the slots are: what a disk writes at once at most.
const APART: u64 = 4096;

/// The open mark.
#[derive(Debug)]
pub(crate) struct EndMark {
    file: File,
    sequence: u64,
}

// === impl EndMark ===

impl EndMark {
    /// Opens the mark of a folder for writing, or begins one.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        match File::write(&path) {
            Ok(file) => {
                let sequence = newest(&file).map_or(0, |(sequence, _)| sequence);
                Ok(Self { file, sequence })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { file: File::create(&path)?, sequence: 0 })
            }
            Err(error) => Err(error),
        }
    }

    /// Notes how far the journal is acknowledged.
    pub(crate) fn set(&mut self, tail: Tail) -> io::Result<()> {
        self.sequence += 1;
        self.file.write_all_at(&encode(self.sequence, tail), (self.sequence % 2) * APART)
    }

    /// What the mark of a folder says; nothing where there is none that can be read.
    pub(crate) fn read(dir: &Path) -> Option<Tail> {
        let file = File::read(&dir.join(NAME)).ok()?;
        newest(&file).map(|(_, tail)| tail)
    }
}

fn newest(file: &File) -> Option<(u64, Tail)> {
    let slot = |slot| file.read_at(slot * APART, BYTES).ok().and_then(|bytes| decode(&bytes));
    [slot(0), slot(1)].into_iter().flatten().max_by_key(|(sequence, _)| *sequence)
}

fn encode(sequence: u64, tail: Tail) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[12..14].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&sequence.to_le_bytes());
    bytes[24..32].copy_from_slice(&tail.end.to_le_bytes());
    bytes[32..40].copy_from_slice(&tail.running.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<(u64, Tail)> {
    let bytes: &[u8; BYTES] = bytes.first_chunk()?;
    let number = |at: usize| bytes[at..].first_chunk().map(|eight| u64::from_le_bytes(*eight));
    let checksum = u32::from_le_bytes(*bytes[8..].first_chunk()?);
    let version = u16::from_le_bytes(*bytes[12..].first_chunk()?);
    let good = bytes[..8] == MAGIC && checksum == crc32c::crc32c(&bytes[12..]) && version == VERSION;
    let found = (number(16)?, Tail { end: number(24)?, running: number(32)? });
    good.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_slot_that_can_be_read_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(EndMark::read(dir.path()), None);
        let tails = [1, 2, 3].map(|number| Tail { end: number * 100, running: number });
        {
            let mut mark = EndMark::open(dir.path()).unwrap();
            mark.set(tails[0]).unwrap();
            mark.set(tails[1]).unwrap();
        }
        EndMark::open(dir.path()).unwrap().set(tails[2]).unwrap();
        assert_eq!(EndMark::read(dir.path()), Some(tails[2]));
        let path = dir.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        // The third one went to the second slot.
        bytes[4096 + 30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(EndMark::read(dir.path()), Some(tails[1]));
        bytes[30] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(EndMark::read(dir.path()), None);
    }
}
