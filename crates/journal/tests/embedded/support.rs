//! A folder with a journal, and how its files are read and broken.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anole_event::{Clock, ManualClock, Position, Record, Seeded, Timestamp};
use anole_journal::conformance::{self, Subject};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Gap, Journal, OpenError, Read};
use anole_telemetry::Telemetry;

/// A folder of its own that is gone when the test ends.
pub(crate) struct Folder {
    keep: Arc<tempfile::TempDir>,
    pub(crate) options: EmbeddedOptions,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Arc<ManualClock>,
    seed: u64,
}

/// What a reader found from a position on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) records: Vec<(Position, Record)>,
    pub(crate) gaps: Vec<Gap>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let keep = Arc::new(tempfile::tempdir().expect("a folder"));
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
        let options = EmbeddedOptions::new(keep.path().join("journal"));
        Self { keep, options, telemetry: Telemetry::new(Arc::clone(&clock) as Arc<dyn Clock>), clock, seed: 1 }
    }

    pub(crate) fn at(self, ack: AckLevel) -> Self {
        self.with(|options| options.ack = ack)
    }

    pub(crate) const fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn with(mut self, set: impl FnOnce(&mut EmbeddedOptions)) -> Self {
        set(&mut self.options);
        self
    }

    /// Another folder with the same files and settings, and counters of its own.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        std::fs::create_dir(&copy.options.dir).expect("a folder");
        for file in self.files() {
            std::fs::copy(&file, copy.options.dir.join(file.file_name().expect("a name"))).expect("a copy");
        }
        Self {
            options: EmbeddedOptions { dir: copy.options.dir, ..self.options.clone() },
            seed: self.seed + 100,
            ..copy
        }
    }

    pub(crate) fn try_open(&mut self) -> Result<Arc<Embedded>, OpenError> {
        self.seed += 1;
        let random = Box::new(Seeded::new(self.seed));
        Embedded::open(self.options.clone(), Arc::clone(&self.telemetry), self.clock.clone(), random)
    }

    pub(crate) fn open(&mut self) -> Arc<Embedded> {
        self.try_open().expect("the journal opens")
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// All files but the end mark and the indexes, by name. So a copy is as a loss of power leaves a folder: what was appended last may be
    /// torn, and the mark is older.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir()).expect("the folder");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|file| !file.ends_with("end.mark") && !file.to_string_lossy().contains(".index"));
        files.sort();
        assert!(self.keep.path().exists());
        files
    }

    /// Whether every segment but the last has its index.
    pub(crate) fn has_indexes(&self) -> bool {
        let files = self.files();
        files[..files.len() - 1].iter().all(|file| file.with_extension("index").exists())
    }

    /// The only segment.
    pub(crate) fn file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    /// Changes the bytes of a file.
    pub(crate) fn edit(file: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(file).expect("the file");
        edit(&mut bytes);
        std::fs::write(file, bytes).expect("the file");
    }

    /// The value of a metric without labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.telemetry.render();
        let line = text.lines().find_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')));
        line.map_or(0, |value| value.parse().expect("a whole number"))
    }
}

impl Subject for Folder {
    fn open(&mut self) -> Arc<dyn Journal> {
        Self::open(self)
    }
}

/// Appends each record alone, so that each has a group of its own.
pub(crate) fn append_each(journal: &dyn Journal, numbers: std::ops::Range<u64>) -> Vec<(Position, Record)> {
    let one = |number| append_together(journal, number..number + 1).remove(0);
    numbers.map(one).collect()
}

/// Appends records with one call.
pub(crate) fn append_together(journal: &dyn Journal, numbers: std::ops::Range<u64>) -> Vec<(Position, Record)> {
    let records: Vec<_> = numbers.map(conformance::record).collect();
    let positions = journal.append(records.clone()).wait().expect("an append");
    positions.into_iter().zip(records).collect()
}

/// Appends records of two bytes with one call: for tests that go through a group byte by byte.
pub(crate) fn append_small(journal: &dyn Journal, count: u8) -> Vec<(Position, Record)> {
    let records: Vec<_> = (0..count).map(|number| Record::from_bytes(vec![b'r', number].into())).collect();
    let positions = journal.append(records.clone()).wait().expect("an append");
    positions.into_iter().zip(records).collect()
}

/// Everything from a position on, up to the durable end.
pub(crate) fn read_from(journal: &dyn Journal, from: Position) -> Seen {
    let mut reader = journal.reader(from);
    let mut seen = Seen::default();
    while let Some(read) = reader.try_next().expect("reading") {
        match read {
            Read::Block(block) => seen.records.extend(block.records),
            Read::Gap(gap) => seen.gaps.push(gap),
        }
    }
    seen
}

/// Everything that is kept.
pub(crate) fn read_all(journal: &dyn Journal) -> Seen {
    read_from(journal, journal.starts()[0])
}

/// Fails unless exactly these records, and no gap, are there.
#[track_caller]
pub(crate) fn assert_reads(journal: &dyn Journal, records: &[(Position, Record)]) {
    let seen = read_all(journal);
    assert_eq!(seen.gaps, []);
    assert!(seen.records == records, "{} records instead of {}, or others", seen.records.len(), records.len());
}

/// Where the group begins that holds this record as its first.
pub(crate) fn group_at(record: &(Position, Record)) -> u64 {
    record.0.offset - 48
}
