//! What was dropped for want of room, segment by segment: how many records of which pipeline.
//!
//! A lane that comes upon the gap is to be told exactly what it lost, perhaps days and restarts later, and the segments are
//! gone. Their indexes could tell, but in a long outage those would take the room that was to be made; these tallies are
//! some tens of bytes each. Only of the segment in which the lane furthest behind stands is the index kept, as a tally
//! says nothing of a part. They are kept until every lane has passed them, in one small file that is written anew each
//! time, unsynced: after a loss of power a few of the newest may be missing, and then only their indexes can tell.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::index::Entry;
use crate::disk::{self, File};

/// The file's name in the journal's folder.
pub(crate) const NAME: &str = "dropped.tally";

const MAGIC: [u8; 8] = *b"ANOLEDRP";
const VERSION: u16 = 1;
const HEAD: usize = 16;

/// What a dropped segment held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The position behind its last group.
    pub(crate) end: u64,
    /// How many records of each pipeline.
    pub(crate) pipelines: BTreeMap<u32, u64>,
}

/// The tallies of all dropped segments that some lane has not passed yet, by base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped(BTreeMap<u64, Tally>);

// === impl Tally ===

impl Tally {
    /// The tally of a segment with these records.
    pub(crate) fn of(end: u64, entries: &[Entry]) -> Self {
        let mut pipelines = BTreeMap::new();
        for entry in entries {
            *pipelines.entry(entry.pipeline).or_default() += 1;
        }
        Self { end, pipelines }
    }

    /// How many records it counts: of this pipeline, or of all.
    pub(crate) fn records(&self, pipeline: Option<u32>) -> u64 {
        match pipeline {
            Some(pipeline) => self.pipelines.get(&pipeline).copied().unwrap_or(0),
            None => self.pipelines.values().sum(),
        }
    }
}

// === impl Dropped ===

impl Dropped {
    /// The tallies of a folder; none where the file is not there or is damaged.
    pub(crate) fn read(dir: &Path) -> Self {
        let bytes = File::read(&dir.join(NAME)).and_then(|file| {
            let length = usize::try_from(file.len()?).unwrap_or(0);
            file.read_at(0, length)
        });
        bytes.ok().and_then(|bytes| Self::decode(&bytes)).unwrap_or_default()
    }

    /// Writes them.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        let path = dir.join(NAME);
        let unfinished = disk::unfinished(&path);
        let written = File::create(&unfinished).and_then(|file| file.write_all_at(&self.encode(), 0));
        written.and_then(|()| disk::rename(&unfinished, &path))
    }

    /// Adds the tally of the segment with this base.
    pub(crate) fn add(&mut self, base: u64, tally: Tally) {
        self.0.insert(base, tally);
    }

    /// Forgets what every lane has passed; whether there was any.
    pub(crate) fn forget(&mut self, keep_from: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|_, tally| tally.end > keep_from);
        self.0.len() < before
    }

    /// The tally of the segment with this base.
    pub(crate) fn get(&self, base: u64) -> Option<&Tally> {
        self.0.get(&base)
    }

    /// The bases of all dropped segments.
    pub(crate) fn bases(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEAD];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[12..14].copy_from_slice(&VERSION.to_le_bytes());
        for (base, tally) in &self.0 {
            bytes.extend_from_slice(&base.to_le_bytes());
            bytes.extend_from_slice(&tally.end.to_le_bytes());
            bytes.extend_from_slice(&(tally.pipelines.len() as u64).to_le_bytes());
            for (pipeline, records) in &tally.pipelines {
                bytes.extend_from_slice(&u64::from(*pipeline).to_le_bytes());
                bytes.extend_from_slice(&records.to_le_bytes());
            }
        }
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let good = bytes.len() >= HEAD
            && bytes[..8] == MAGIC
            && bytes[8..12] == crc32c::crc32c(&bytes[12..]).to_le_bytes()
            && bytes[12..14] == VERSION.to_le_bytes();
        if !good {
            return None;
        }
        let mut numbers = bytes[HEAD..].chunks_exact(8).map(|eight| eight.try_into().map_or(0, u64::from_le_bytes));
        let mut dropped = Self::default();
        while let Some(base) = numbers.next() {
            let (end, count) = (numbers.next()?, numbers.next()?);
            let mut tally = Tally { end, ..Tally::default() };
            for _ in 0..count {
                tally.pipelines.insert(u32::try_from(numbers.next()?).ok()?, numbers.next()?);
            }
            dropped.add(base, tally);
        }
        Some(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_read_back_until_every_lane_has_passed_them() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Dropped::read(dir.path()), Dropped::default());
        let entry = |pipeline| Entry { pipeline, ..Entry::default() };
        let mut dropped = Dropped::default();
        dropped.add(0, Tally::of(100, &[entry(1), entry(2), entry(1)]));
        dropped.add(100, Tally::of(200, &[]));
        dropped.write(dir.path()).unwrap();
        let mut again = Dropped::read(dir.path());
        assert_eq!(again, dropped);
        let first = again.get(0).unwrap();
        assert_eq!((first.records(Some(1)), first.records(Some(9)), first.records(None)), (2, 0, 3));
        assert!(!again.forget(99));
        assert!(again.forget(100));
        assert_eq!(again.bases().collect::<Vec<_>>(), [100]);
        let path = dir.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Dropped::read(dir.path()), Dropped::default());
    }
}
