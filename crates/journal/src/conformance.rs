//! What every journal must pass: J-1 to J-3 of the contract, and what of J-5 and J-8 is not about files. Crashes that lose
//! power are tried elsewhere, on simulated disks and by killing the process.
//!
//! [`all`] runs everything; each part can be run alone. It knows a journal only by its contract and by a [`Subject`] that
//! opens it. A journal of several partitions passes too: nothing is assumed about which partition a record goes to.
//!
//! The functions panic where a promise is broken, as tests do; they are no use to a running program.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use anole_event::{EventType, Fingerprint, Head, Kind, OrderKey, Partition, Position, Record, Timestamp};

use crate::{Append, Block, EraseError, Journal, Read, Reader};

/// A store that can be opened again and again.
pub trait Subject {
    /// Opens it. Nothing else has it open: what was opened before has been dropped.
    fn open(&mut self) -> Arc<dyn Journal>;
}

/// Every part of the suite, each on a subject of its own.
pub fn all<S: Subject>(mut fresh: impl FnMut() -> S) {
    j_1_an_append_gives_one_position_per_record_and_an_empty_one_none(&mut fresh());
    j_2_readers_yield_in_order_what_was_appended(&mut fresh());
    j_2_a_reader_begins_at_any_position(&mut fresh());
    j_3_what_was_acknowledged_is_there_after_opening_again(&mut fresh());
    j_2_positions_are_never_given_twice(&mut fresh());
    j_2_a_reader_waits_at_the_tail_and_wakes(&mut fresh());
    j_2_a_dropped_read_loses_nothing(&mut fresh());
    j_2_appends_of_many_threads_keep_each_threads_order(&mut fresh());
    a_record_is_found_by_position_and_by_fingerprint(&mut fresh());
    the_end_is_where_new_records_come(&mut fresh());
    j_2_records_of_one_order_key_share_a_partition_and_keep_their_order(&mut fresh());
    j_5_trimming_takes_nothing_that_is_needed(&mut fresh());
    j_8_what_is_erased_stays_erased_and_nothing_else_changes(&mut fresh());
    what_came_lately_is_told_in_order(&mut fresh());
}

/// J-1, J-2: positions come one per record, and grow within a partition in the order of the records.
pub fn j_1_an_append_gives_one_position_per_record_and_an_empty_one_none(subject: &mut impl Subject) {
    let journal = subject.open();
    assert_eq!(done(journal.append(Vec::new())), Vec::<Position>::new());
    let positions = done(journal.append(records(0..20)));
    assert_eq!(positions.len(), 20);
    assert_grows(&positions);
    assert!(read_all(&*journal).len() == 20, "what was acknowledged can be read at once");
}

/// J-2, J-3: what comes out is what went in, byte for byte, at the positions that were given.
pub fn j_2_readers_yield_in_order_what_was_appended(subject: &mut impl Subject) {
    let journal = subject.open();
    let mut expected = BTreeMap::new();
    for batch in 0..30 {
        append(&*journal, records(batch * 7..batch * 7 + 1 + batch % 7), &mut expected);
    }
    assert_same(&read_all(&*journal), &expected);
    for start in journal.starts() {
        let mut reader = journal.reader(start);
        let mut at = reader.position();
        while let Some(block) = next_block(&mut *reader) {
            assert!(block.records.iter().all(|(position, _)| *position >= at && *position < block.next));
            assert!(!block.records.is_empty(), "a block without records is no block");
            at = block.next;
            assert_eq!(reader.position(), at);
        }
    }
}

/// J-2: a position leads to its record, and the number behind it to the one behind it.
pub fn j_2_a_reader_begins_at_any_position(subject: &mut impl Subject) {
    let journal = subject.open();
    let mut expected = BTreeMap::new();
    for batch in 0..10 {
        append(&*journal, records(batch * 5..batch * 5 + 5), &mut expected);
    }
    for position in expected.keys() {
        let from_there: Vec<_> =
            expected.range(position..).filter(|(at, _)| at.partition == position.partition).collect();
        let first = next_block(&mut *journal.reader(*position)).map(|block| block.records);
        assert_eq!(first.and_then(|records| records.into_iter().next()).as_ref().map(pair), Some(from_there[0]));
        let behind = Position { offset: position.offset + 1, ..*position };
        let first = next_block(&mut *journal.reader(behind)).map(|block| block.records);
        assert_eq!(first.and_then(|records| records.into_iter().next()).as_ref().map(pair), from_there.get(1).copied());
    }
}

/// J-1, J-3: closing and opening again changes nothing that was acknowledged.
pub fn j_3_what_was_acknowledged_is_there_after_opening_again(subject: &mut impl Subject) {
    let mut expected = BTreeMap::new();
    for round in 0..4 {
        let journal = subject.open();
        assert_same(&read_all(&*journal), &expected);
        append(&*journal, records(round * 10..round * 10 + 10), &mut expected);
        assert_same(&read_all(&*journal), &expected);
    }
    assert_same(&read_all(&*subject.open()), &expected);
}

/// J-2: a position stands for one record, also over several openings.
pub fn j_2_positions_are_never_given_twice(subject: &mut impl Subject) {
    let mut last = BTreeMap::<Partition, u64>::new();
    for round in 0..5 {
        let journal = subject.open();
        for position in done(journal.append(records(round * 9..round * 9 + 9))) {
            let before = last.insert(position.partition, position.offset);
            assert!(before.is_none_or(|before| before < position.offset), "{position} is not behind {before:?}");
        }
    }
}

/// J-2: at the tail a reader waits, and an append wakes it. It never yields before the append is durable.
pub fn j_2_a_reader_waits_at_the_tail_and_wakes(subject: &mut impl Subject) {
    let journal = subject.open();
    in_runtime(async {
        for round in 0..20 {
            let ends = journal.ends();
            let mut readers: Vec<_> = ends.iter().map(|end| journal.reader(*end)).collect();
            for reader in &mut readers {
                assert!(must(reader.try_next(), "reading").is_none(), "nothing is behind the end");
                assert!(is_pending(reader.next()), "a reader at the tail waits");
            }
            let positions = must(journal.append(records(round..round + 1)).await, "appending");
            let Some(position) = positions.first() else { panic!("a position per record") };
            let at = ends.iter().position(|end| end.partition == position.partition);
            let Some(reader) = at.and_then(|at| readers.get_mut(at)) else { panic!("{position} is in no partition") };
            let Read::Block(block) = must(reader.next().await, "reading") else { panic!("a gap without damage") };
            assert_eq!(block.records.iter().map(pair).next(), Some((position, &record(round))));
        }
    });
}

/// A read that is dropped half way has handed nothing out and lost nothing.
pub fn j_2_a_dropped_read_loses_nothing(subject: &mut impl Subject) {
    let journal = subject.open();
    let mut expected = BTreeMap::new();
    for batch in 0..20 {
        append(&*journal, records(batch * 3..batch * 3 + 3), &mut expected);
    }
    let mut found = BTreeMap::new();
    in_runtime(async {
        for start in journal.starts() {
            let mut reader = journal.reader(start);
            loop {
                let before = reader.position();
                let Some(read) = poll_once(reader.next()) else {
                    assert_eq!(reader.position(), before, "a dropped read moves nothing");
                    if journal.ends().contains(&before) || reader.position() >= end_of(&*journal, start.partition) {
                        break;
                    }
                    let Read::Block(block) = must(reader.next().await, "reading") else { panic!("a gap") };
                    found.extend(block.records);
                    continue;
                };
                let Read::Block(block) = must(read, "reading") else { panic!("a gap without damage") };
                found.extend(block.records);
            }
        }
    });
    assert_same(&found, &expected);
}

/// J-2: who appends one after the other finds it so, whatever others do meanwhile; and nobody's position is another's.
pub fn j_2_appends_of_many_threads_keep_each_threads_order(subject: &mut impl Subject) {
    let journal = subject.open();
    let append_some = |thread: u64| {
        let mut given = Vec::new();
        for step in 0..25 {
            let number = thread * 1000 + step * 2;
            let positions = done(journal.append(records(number..number + 2)));
            given.extend(positions.into_iter().zip(records(number..number + 2)));
        }
        given
    };
    let given: Vec<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || append_some(thread))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mut expected = BTreeMap::new();
    for thread in given {
        let positions: Vec<_> = thread.iter().map(|(position, _)| *position).collect();
        assert_grows(&positions);
        expected.extend(thread);
    }
    assert_eq!(expected.len(), 8 * 50, "a position was given twice, or a thread failed");
    assert_same(&read_all(&*journal), &expected);
}

/// The look-ups of the contract.
pub fn a_record_is_found_by_position_and_by_fingerprint(subject: &mut impl Subject) {
    let journal = subject.open();
    let mut expected = BTreeMap::new();
    for batch in 0..10 {
        append(&*journal, records(batch * 10..batch * 10 + 10), &mut expected);
    }
    for (position, record) in &expected {
        assert_eq!(must(journal.read_one(*position), "reading").as_ref(), Some(record));
        let between = Position { offset: position.offset + 1, ..*position };
        if !expected.contains_key(&between) {
            assert_eq!(must(journal.read_one(between), "reading"), None, "{between} is no record's position");
        }
        let fingerprint = must(record.head(), "a head").fingerprint;
        let starts = journal.starts().into_iter();
        let found = starts.flat_map(|from| must(journal.find(fingerprint, from, u64::MAX), "reading").records);
        assert_eq!(found.collect::<Vec<_>>(), [(*position, record.clone())]);
    }
}

/// `ends` is where a new lane starts: it sees what comes, and nothing of what was.
pub fn the_end_is_where_new_records_come(subject: &mut impl Subject) {
    let journal = subject.open();
    append(&*journal, records(0..10), &mut BTreeMap::new());
    let ends = journal.ends();
    let mut expected = BTreeMap::new();
    append(&*journal, records(10..30), &mut expected);
    let mut found = BTreeMap::new();
    for end in ends {
        let mut reader = journal.reader(end);
        while let Some(block) = next_block(&mut *reader) {
            found.extend(block.records);
        }
    }
    assert_same(&found, &expected);
    let stat = journal.stat();
    assert_eq!((stat.ack, stat.starts, stat.ends), (journal.ack(), journal.starts(), journal.ends()));
    assert!(stat.records.is_none_or(|records| records == 30), "{:?} records instead of 30", stat.records);
}

/// J-2: an order key has one partition, also after opening again.
pub fn j_2_records_of_one_order_key_share_a_partition_and_keep_their_order(subject: &mut impl Subject) {
    let mut positions = Vec::new();
    for round in 0..2_u64 {
        let journal = subject.open();
        for number in 0..10 {
            let key = OrderKey(7);
            positions.extend(done(journal.append(vec![with_key(round * 10 + number, key)])));
        }
    }
    assert!(positions.iter().all(|position| position.partition == positions[0].partition), "{positions:?}");
    assert_grows(&positions);
}

/// J-5: what stands at a position that trim was given, and behind it, is there; now and after opening again.
pub fn j_5_trimming_takes_nothing_that_is_needed(subject: &mut impl Subject) {
    let journal = subject.open();
    append(&*journal, records(0..40), &mut BTreeMap::new());
    let ends = journal.ends();
    let mut kept = BTreeMap::new();
    append(&*journal, records(40..60), &mut kept);
    journal.trim(&ends);
    let mut reader_sees = BTreeMap::new();
    for end in &ends {
        let mut reader = journal.reader(*end);
        while let Some(block) = next_block(&mut *reader) {
            reader_sees.extend(block.records);
        }
    }
    assert_same(&reader_sees, &kept);
    drop(journal);
    let there = read_all(&*subject.open());
    assert!(kept.iter().all(|kept| there.get_key_value(kept.0) == Some(kept)), "something that is needed is gone");
}

/// J-8: erased records keep their positions; the others are as they were. A journal that cannot erase says so.
pub fn j_8_what_is_erased_stays_erased_and_nothing_else_changes(subject: &mut impl Subject) {
    let journal = subject.open();
    let mut expected = BTreeMap::new();
    append(&*journal, records(0..30), &mut expected);
    let is_third =
        |head: &Head<'_>| (0..10).any(|third| Fingerprint::of("shop", &format!("m-{}", third * 3)) == head.fingerprint);
    match journal.erase(Arc::new(move |head, _| is_third(head))).wait() {
        Err(EraseError::Unsupported) => return,
        erased => assert_eq!(must(erased, "an erasure").records, 10),
    }
    drop(journal);
    let journal = subject.open();
    let found = read_all(&*journal);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (number, (found, expected)) in found.values().zip(expected.values()).enumerate() {
        if number % 3 == 0 {
            let head = must(found.head(), "a head");
            assert_eq!((head.kind, head.fingerprint, head.name), (Kind::Erased, Fingerprint(0), ""));
        } else {
            assert_eq!(found, expected);
        }
    }
}

/// What refills the window of de-duplication: everything since a time, in the order of each partition.
pub fn what_came_lately_is_told_in_order(subject: &mut impl Subject) {
    let journal = subject.open();
    append(&*journal, records(0..50), &mut BTreeMap::new());
    let since = must(record(20).head(), "a head").received_at;
    let mut told = Vec::new();
    must(journal.recent(since, usize::MAX, &mut |fingerprint, _| told.push(fingerprint)), "reading");
    let all: Vec<_> = (0..50).map(|number| Fingerprint::of("shop", &format!("m-{number}"))).collect();
    // To the second: a record of the same second may be told although it came before.
    assert!(all[24..].iter().all(|wanted| told.contains(wanted)), "some are not told");
    assert!(all[..16].iter().all(|old| !told.contains(old)), "some are told that are older");
}

fn with_key(number: u64, order_key: OrderKey) -> Record {
    let record = record(number);
    let head = must(record.head(), "a head");
    Record::new(&Head { order_key, ..head }, &must(record.body(), "a body"))
}

/// The record of this number: an event of its own visitor, with a body whose length varies.
#[must_use]
pub fn record(number: u64) -> Record {
    let id = format!("m-{number}");
    let name = if number.is_multiple_of(3) { "" } else { "Order Completed" };
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Track,
        protocol: "segment",
        received_at: Timestamp::from_micros(1_790_000_000_000_000 + number.cast_signed() * 300_000),
        order_key: OrderKey::of(None, None, &id),
        fingerprint: Fingerprint::of("shop", &id),
        pipeline: "shop",
        name,
        source_name: name,
    };
    let length = usize::try_from(number * 37 % 300).unwrap_or(0);
    Record::new(&head, format!("{{\"message_id\":\"{id}\",\"pad\":\"{}\"}}", "x".repeat(length)).as_bytes())
}

fn records(numbers: std::ops::Range<u64>) -> Vec<Record> {
    numbers.map(record).collect()
}

fn append(journal: &dyn Journal, records: Vec<Record>, expected: &mut BTreeMap<Position, Record>) {
    let positions = done(journal.append(records.clone()));
    assert_eq!(positions.len(), records.len());
    expected.extend(positions.into_iter().zip(records));
}

/// Everything that is kept, by position. Fails on a gap: nothing has been damaged.
fn read_all(journal: &dyn Journal) -> BTreeMap<Position, Record> {
    let mut found = BTreeMap::new();
    for start in journal.starts() {
        let mut reader = journal.reader(start);
        let mut last = None;
        while let Some(block) = next_block(&mut *reader) {
            for (position, record) in block.records {
                assert!(last < Some(position), "{position} comes after {last:?}");
                last = Some(position);
                found.insert(position, record);
            }
        }
    }
    found
}

fn next_block(reader: &mut dyn Reader) -> Option<Block> {
    match must(reader.try_next(), "reading") {
        Some(Read::Block(block)) => Some(block),
        Some(Read::Gap(gap)) => panic!("a gap without damage: {gap:?}"),
        None => None,
    }
}

fn end_of(journal: &dyn Journal, partition: Partition) -> Position {
    journal.ends().into_iter().find(|end| end.partition == partition).unwrap_or_default()
}

fn assert_same(found: &BTreeMap<Position, Record>, expected: &BTreeMap<Position, Record>) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "positions");
    assert!(found == expected, "a record differs from what was appended");
}

fn assert_grows(positions: &[Position]) {
    let mut last = BTreeMap::new();
    for position in positions {
        let before = last.insert(position.partition, position.offset);
        assert!(before.is_none_or(|before| before < position.offset), "{position} is not behind {before:?}");
    }
}

const fn pair((position, record): &(Position, Record)) -> (&Position, &Record) {
    (position, record)
}

fn done(append: Append) -> Vec<Position> {
    must(append.wait(), "appending")
}

fn must<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn in_runtime(test: impl Future<Output = ()>) {
    must(tokio::runtime::Builder::new_current_thread().enable_all().build(), "a runtime").block_on(test);
}

fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

fn is_pending<T>(future: impl Future<Output = T>) -> bool {
    poll_once(future).is_none()
}
