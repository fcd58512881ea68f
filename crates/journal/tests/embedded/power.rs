//! What is left after a loss of power or an error of the disk, case by case. `cargo xtask torture` looks for further ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anole_event::{Clock, ManualClock, Position, Record, Seeded};
use anole_journal::conformance::record;
use anole_journal::simulation::{Call, Cut, Disk, DiskOptions};
use anole_journal::{AckLevel, Append, AppendError, Embedded, EmbeddedOptions, Gap, GapReason, Journal};
use anole_telemetry::Telemetry;

use crate::support::{Seen, group_at, read_all};

const EIO: Option<i32> = Some(5);
const HOUR: Duration = Duration::from_secs(3600);

/// A machine with a journal.
struct Machine {
    disk: Disk,
    clock: ManualClock,
    options: EmbeddedOptions,
}

impl Machine {
    fn new(seed: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let root = format!("/simulated/journal-tests/{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let options = EmbeddedOptions { keep: HOUR, reserve: 0, ..EmbeddedOptions::new(format!("{root}/journal")) };
        Self { disk: Disk::new(root, seed, DiskOptions::default()), clock: ManualClock::default(), options }
    }

    fn open(&self) -> Arc<Embedded> {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let telemetry = Telemetry::new(Arc::clone(&clock));
        Embedded::open_stepped(self.options.clone(), telemetry, clock, Box::new(Seeded::new(1))).expect("it opens")
    }

    fn segments(&self) -> Vec<String> {
        let names = self.disk.names(&self.options.dir).expect("the folder");
        names.into_iter().filter(|name| name.ends_with(".segment")).collect()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.options.dir.join(name)
    }
}

fn answer(journal: &Embedded, append: Append) -> Result<Vec<Position>, AppendError> {
    journal.step();
    append.wait()
}

fn append(journal: &Embedded, number: u64) -> Result<(Position, Record), AppendError> {
    answer(journal, journal.append(vec![record(number)])).map(|positions| (positions[0], record(number)))
}

fn append_each(journal: &Embedded, numbers: std::ops::Range<u64>) -> Vec<(Position, Record)> {
    numbers.map(|number| append(journal, number).expect("an append")).collect()
}

/// A round of one large record and two small ones, in groups of their own. Gives its positions.
fn append_groups(journal: &Embedded) -> Vec<(Position, Record)> {
    let records = [300_000, 30, 40].map(|length| Record::from_bytes(vec![b'r'; length].into()));
    let appends = records.clone().map(|record| journal.append(vec![record]));
    journal.step();
    appends.into_iter().map(|append| append.wait().expect("an append")[0]).zip(records).collect()
}

/// Spoils the first group of such a round, which is the only segment's second group, and opens again: after so many more
/// rounds, and with the end mark or without it.
fn with_a_spoiled_round(more: u64, has_mark: bool) -> (Vec<(Position, Record)>, Seen) {
    let machine = Machine::new(1);
    let journal = machine.open();
    let mut all = vec![append(&journal, 0).expect("an append")];
    all.extend(append_groups(&journal));
    all.extend(append_each(&journal, 1..1 + more));
    drop(journal);
    if !has_mark {
        machine.disk.put(machine.file("end.mark"), b"").expect("the mark");
    }
    let file = machine.file(&machine.segments()[0]);
    let mut bytes = machine.disk.bytes(&file).expect("the segment");
    bytes[1000] ^= 1;
    machine.disk.put(&file, &bytes).expect("the segment");
    (all, read_all(&*machine.open()))
}

#[test]
fn j_4_a_round_that_was_cut_off_is_a_torn_tail_although_later_groups_of_it_are_whole() {
    let (all, seen) = with_a_spoiled_round(0, false);
    assert_eq!(seen, Seen { records: all[..1].to_vec(), gaps: Vec::new() });
}

#[test]
fn j_4_a_round_that_was_acknowledged_is_damaged_and_not_torn() {
    for (more, has_mark, proof) in [(0, true, "the mark says so"), (1, false, "a round behind it says so")] {
        let (all, seen) = with_a_spoiled_round(more, has_mark);
        let from = Position::at(all[0].0.offset + 4 + all[0].1.bytes().len() as u64);
        let gap = Gap { from, to: Position::at(group_at(&all[2])), records: Some(1), reason: GapReason::Damaged };
        assert_eq!(seen.gaps, [gap], "{proof}");
        assert_eq!(seen.records, [&all[..1], &all[2..]].concat(), "{proof}");
    }
}

#[test]
fn j_1_a_failed_write_at_level_write_leaves_what_was_acknowledged_before_on_the_disk() {
    for seed in 0..50 {
        let mut machine = Machine::new(seed);
        machine.options.ack = AckLevel::Write;
        let journal = machine.open();
        let kept = append(&journal, 0).expect("an append");
        machine.disk.fail(Call::Write, [EIO]);
        append(&journal, 1).expect_err("a failed write");
        machine.clock.advance(Duration::from_millis(100));
        journal.step();
        machine.disk.switch_off(Cut::Power);
        drop(journal);
        machine.disk.switch_on();
        assert_eq!(read_all(&*machine.open()).records.first(), Some(&kept), "seed {seed}");
    }
}

/// Three segments of which the first two may go.
fn with_old_segments() -> (Machine, Arc<Embedded>, Vec<(Position, Record)>) {
    let mut machine = Machine::new(1);
    machine.options.segment_bytes = 64;
    let journal = machine.open();
    let all = append_each(&journal, 0..3);
    machine.clock.advance(3 * HOUR);
    (machine, journal, all)
}

#[test]
fn j_5_a_segment_that_cannot_be_removed_stays_until_it_can_and_holds_back_younger_ones() {
    let (machine, journal, all) = with_old_segments();
    machine.disk.fail(Call::Remove, [EIO]);
    journal.trim(&[all[2].0]);
    journal.step();
    assert_eq!(read_all(&*journal), Seen { records: all.clone(), gaps: Vec::new() });
    journal.step();
    assert_eq!(journal.starts()[0].offset, all[2].0.offset - 112);
    assert_eq!(read_all(&*journal).records, all[2..]);
    drop(journal);
    assert_eq!(read_all(&*machine.open()).records, all[2..]);
}

#[test]
fn j_5_a_removal_is_on_the_disk_before_the_next_one() {
    let (machine, journal, all) = with_old_segments();
    machine.disk.fail(Call::SyncFolder, [EIO]);
    journal.trim(&[all[2].0]);
    journal.step();
    assert_eq!(journal.starts()[0].offset, all[1].0.offset - 112);
    journal.step();
    assert_eq!(journal.starts()[0].offset, all[2].0.offset - 112);
}

#[test]
fn an_empty_segment_that_stayed_behind_goes_before_the_one_in_its_place() {
    let mut machine = Machine::new(1);
    machine.options.segment_bytes = 64;
    let journal = machine.open();
    let mut all = vec![append(&journal, 0).expect("an append")];
    // The end of the first segment, the header of the second, and what is appended there.
    machine.disk.fail(Call::Sync, [None, None, EIO]);
    machine.disk.fail(Call::Remove, [EIO, EIO]);
    append(&journal, 1).expect_err("a failed sync");
    println!("{:?}", machine.segments());
    all.extend(append_each(&journal, 2..5));
    machine.clock.advance(3 * HOUR);
    journal.trim(&[all[3].0]);
    journal.step();
    assert_eq!(read_all(&*journal).records, all[3..]);
    drop(journal);
    let journal = machine.open();
    let seen = read_all(&*journal);
    assert_eq!(seen, Seen { records: all[3..].to_vec(), gaps: Vec::new() }, "{:?}", machine.segments());
}

#[test]
fn j_8_an_erasure_gets_the_segment_that_it_waits_for_although_the_last_one_failed() {
    let machine = Machine::new(1);
    let journal = machine.open();
    append(&journal, 0).expect("an append");
    // The write fails, and so do the headers of the next segment.
    machine.disk.fail(Call::Write, [EIO, EIO, EIO]);
    append(&journal, 1).expect_err("a failed write");
    let erase = journal.erase(Arc::new(|_, _| true));
    for _ in 0..6 {
        journal.step();
    }
    assert_eq!(erase.wait().expect("an erasure").records, 1);
    append(&journal, 2).expect("an append");
}
