//! What the file system does when it fails, and what the queue does when much waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anole_event::{ManualClock, Position, Seeded};
use anole_telemetry::Telemetry;

use super::queue::{Pending, Queue, Taken};
use super::*;
use crate::Read;
use crate::conformance::record;
use crate::disk::faults::{self, Op};

const EIO: Option<i32> = Some(5);
const ENOSPC: Option<i32> = Some(28);

struct Test {
    _keep: tempfile::TempDir,
    dir: PathBuf,
    telemetry: Arc<Telemetry>,
    clock: Arc<ManualClock>,
    ack: AckLevel,
}

impl Test {
    fn new(ack: AckLevel) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let telemetry = Telemetry::new(clock.clone());
        Self { dir: keep.path().join("journal"), _keep: keep, telemetry, clock, ack }
    }

    fn open(&self) -> Arc<Embedded> {
        let options = EmbeddedOptions { ack: self.ack, segment_bytes: 1 << 20, ..EmbeddedOptions::new(&self.dir) };
        Embedded::open(options, Arc::clone(&self.telemetry), self.clock.clone(), Box::new(Seeded::new(1))).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let mut files = disk::list(&self.dir).unwrap();
        files.retain(|name| name.contains(".segment"));
        files
    }

    fn metric(&self, line: &str) -> bool {
        self.telemetry.render().contains(line)
    }
}

fn append(journal: &Embedded, number: u64) -> Result<Position, AppendError> {
    journal.append(vec![record(number)]).wait().map(|positions| positions[0])
}

/// The numbers of the records that can be read, as their bodies tell them.
fn numbers(journal: &Embedded) -> Vec<u64> {
    let mut reader = journal.reader(Position::default());
    let mut numbers = Vec::new();
    while let Some(read) = reader.try_next().unwrap() {
        let Read::Block(block) = read else { panic!("{read:?}") };
        let found = block.records.iter().map(|(_, found)| (0..100).find(|number| record(*number) == *found).unwrap());
        numbers.extend(found);
    }
    numbers
}

#[test]
fn a_failed_sync_fails_what_waited_and_goes_on_in_a_new_segment() {
    let test = Test::new(AckLevel::Fsync);
    let journal = test.open();
    append(&journal, 0).unwrap();
    let failed = journal.ends()[0].offset + 48;
    faults::plan(&test.dir, Op::Sync, vec![EIO]);
    let error = append(&journal, 1).unwrap_err();
    assert_eq!(error.code().as_str(), "sync_failed");
    assert_eq!(error.retry_after(), Duration::from_secs(5));
    assert_eq!(numbers(&journal), [0], "what was not acknowledged is not read");
    assert!(journal.ready().is_ok(), "a new segment was begun");
    let second = append(&journal, 2).unwrap();
    assert!(second.offset > failed + record(1).bytes().len() as u64, "no position stands for two records");
    assert_eq!(numbers(&journal), [0, 2]);
    assert_eq!(test.files().len(), 2);
    assert!(test.metric("anole_journal_append_errors_total{code=\"sync_failed\"} 1"));
    drop(journal);
    let journal = test.open();
    assert_eq!(numbers(&journal), [0, 2]);
    assert_eq!(journal.stat().records, Some(2));
}

/// The bytes of a first segment in which both record 0 and record 1 are whole, as a cut that never reached the disk leaves
/// it. The seed is that of `Test::open`, so the file id is the same.
fn as_if_never_cut() -> Vec<u8> {
    let test = Test::new(AckLevel::Fsync);
    let journal = test.open();
    append(&journal, 0).unwrap();
    append(&journal, 1).unwrap();
    journal.close();
    std::fs::read(test.dir.join(&test.files()[0])).unwrap()
}

#[test]
fn what_a_failed_sync_left_in_the_file_is_not_read_although_it_is_whole() {
    let test = Test::new(AckLevel::Fsync);
    let journal = test.open();
    append(&journal, 0).unwrap();
    faults::plan(&test.dir, Op::Sync, vec![EIO]);
    append(&journal, 1).unwrap_err();
    append(&journal, 2).unwrap();
    drop(journal);
    std::fs::write(test.dir.join(&test.files()[0]), as_if_never_cut()).unwrap();
    assert_eq!(numbers(&test.open()), [0, 2]);
}

#[test]
fn a_failed_first_sync_leaves_no_empty_segment_behind() {
    let test = Test::new(AckLevel::Fsync);
    let journal = test.open();
    faults::plan(&test.dir, Op::Sync, vec![EIO]);
    append(&journal, 0).unwrap_err();
    assert_eq!(test.files().len(), 1);
    append(&journal, 1).unwrap();
    assert_eq!(numbers(&journal), [1]);
    drop(journal);
    assert_eq!(numbers(&test.open()), [1]);
}

#[test]
fn an_empty_segment_that_could_not_be_removed_does_no_harm() {
    let test = Test::new(AckLevel::Fsync);
    let journal = test.open();
    append(&journal, 0).unwrap();
    faults::plan(&test.dir, Op::Sync, vec![EIO]);
    append(&journal, 1).unwrap_err();
    let empty = test.dir.join(&test.files()[1]);
    let bytes = std::fs::read(&empty).unwrap();
    faults::plan(&test.dir, Op::Sync, vec![EIO]);
    append(&journal, 2).unwrap_err();
    append(&journal, 3).unwrap();
    drop(journal);
    assert!(!empty.exists());
    std::fs::write(test.dir.join(&test.files()[0]), as_if_never_cut()).unwrap();
    assert_eq!(numbers(&test.open()), [0, 3]);
    std::fs::write(&empty, bytes).unwrap();
    let journal = test.open();
    assert_eq!(numbers(&journal), [0, 3]);
    assert_eq!(journal.stat().records, Some(2));
}

#[test]
fn a_full_disk_is_called_so_and_appends_go_on_when_there_is_room() {
    let test = Test::new(AckLevel::Fsync);
    let journal = test.open();
    append(&journal, 0).unwrap();
    // The write fails, and so does the header of the next segment, twice.
    faults::plan(&test.dir, Op::Write, vec![ENOSPC, ENOSPC, ENOSPC]);
    assert_eq!(append(&journal, 1).unwrap_err().code().as_str(), "disk_full");
    let unready = journal.ready().unwrap_err();
    assert_eq!((unready.code().as_str(), unready.retry_after().as_secs()), ("disk_full", 30));
    assert_eq!(append(&journal, 2).unwrap_err().code().as_str(), "disk_full");
    append(&journal, 3).unwrap();
    assert!(journal.ready().is_ok());
    assert_eq!(numbers(&journal), [0, 3]);
    assert!(test.files().iter().all(|name| name.ends_with(".segment")), "{:?}", test.files());
    drop(journal);
    assert_eq!(numbers(&test.open()), [0, 3]);
}

#[test]
fn a_journal_that_cannot_begin_a_segment_opens_and_becomes_ready_by_itself() {
    let test = Test::new(AckLevel::Fsync);
    disk::create_dir(&test.dir).unwrap();
    faults::plan(&test.dir, Op::Create, vec![ENOSPC]);
    let journal = test.open();
    // Nobody appends to one that is not ready, so it has to try again of its own accord.
    while journal.ready().is_err() {
        std::thread::yield_now();
    }
    append(&journal, 0).unwrap();
    assert_eq!(numbers(&journal), [0]);
}

#[test]
fn a_failed_sync_at_level_write_keeps_what_was_acknowledged() {
    let test = Test::new(AckLevel::Write);
    let journal = test.open();
    faults::plan(&test.dir, Op::Sync, vec![EIO]);
    append(&journal, 0).unwrap();
    while !test.metric("anole_journal_append_errors_total{code=\"sync_failed\"} 1") {
        test.clock.advance(Duration::from_millis(100));
        std::thread::yield_now();
    }
    append(&journal, 1).unwrap();
    assert_eq!(numbers(&journal), [0, 1]);
    assert_eq!(test.files().len(), 2);
    drop(journal);
    assert_eq!(numbers(&test.open()), [0, 1]);
}

#[test]
fn level_memory_never_syncs() {
    let test = Test::new(AckLevel::Memory);
    disk::create_dir(&test.dir).unwrap();
    faults::plan(&test.dir, Op::Sync, vec![EIO]);
    let journal = test.open();
    append(&journal, 0).unwrap();
    journal.close();
    assert!(!test.metric("append_errors_total{"));
}

#[test]
fn a_page_that_cannot_be_read_costs_its_groups_and_no_more() {
    let test = Test::new(AckLevel::Fsync);
    let journal = test.open();
    let positions: Vec<_> = (0..90).map(|number| append(&journal, number).unwrap()).collect();
    let file: &Path = &test.dir.join(&test.files()[0]);
    faults::unreadable(file, 5000..5001);
    let mut reader = journal.reader(Position::default());
    let (mut read, mut lost) = (Vec::new(), Vec::new());
    while let Some(found) = reader.try_next().unwrap() {
        match found {
            Read::Block(block) => read.extend(block.records.iter().map(|(position, _)| *position)),
            Read::Gap(gap) => lost.push(gap),
        }
    }
    let [gap] = lost[..] else { panic!("{lost:?}") };
    assert_eq!(gap.records, Some(90 - read.len() as u64));
    assert!(gap.from.offset < 4096 + 48 && gap.to.offset > 8192 - 48 && gap.to.offset < 9000, "{gap:?}");
    let there = |position: &&Position| **position < gap.from || **position >= gap.to;
    assert_eq!(read, positions.iter().filter(there).copied().collect::<Vec<_>>());
}

#[test]
fn what_waits_is_taken_together_up_to_a_limit_and_never_nothing() {
    let queue = Queue::new(10_000);
    let push =
        |count: u64| queue.push(Pending::new((0..count).map(|_| small()).collect(), Append::pending().0)).is_ok();
    for _ in 0..5 {
        assert!(push(1));
    }
    let take = |most| match queue.take(most, None) {
        Taken::Batch(batch) => batch.len(),
        Taken::Roll | Taken::Idle | Taken::Closed => 0,
    };
    let each = queue.cost() / 5;
    assert_eq!(take(2 * each), 2);
    assert_eq!(take(1), 1, "one alone is taken however large it is");
    assert_eq!(take(u64::MAX), 2);
    assert_eq!(queue.cost(), 0);
    assert!(matches!(queue.take(1, Some(Duration::ZERO)), Taken::Idle));
    assert!(push(500), "one alone fits however large it is");
    assert!(!push(1));
    queue.close();
    assert!(!push(1));
    assert_eq!(take(1), 1, "what waits when it is closed is still taken");
    assert!(matches!(queue.take(1, None), Taken::Closed));
}

fn small() -> Record {
    record(0)
}
