//! What goes, when, and what is said of it (J-5).

use std::time::Duration;

use anole_event::{Fingerprint, Position, Record};
use anole_journal::conformance;
use anole_journal::{AppendError, GapReason, Journal, OnFull};

use crate::support::{Folder, append_each, assert_reads, read_from};

const HOUR: Duration = Duration::from_secs(3600);

/// Waits until the keeper has done what it must do.
fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}

/// Appends together, and again when the keeper had not made room yet.
fn append_with_room(journal: &dyn Journal, numbers: std::ops::Range<u64>) -> Vec<(Position, Record)> {
    loop {
        let records: Vec<_> = numbers.clone().map(conformance::record).collect();
        match journal.append(records.clone()).wait() {
            Ok(positions) => return positions.into_iter().zip(records).collect(),
            Err(AppendError::Full { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn j_5_what_every_lane_has_behind_it_goes_when_it_is_old_and_nothing_else() {
    let mut folder = Folder::new().with(|options| {
        options.segment_bytes = 2048;
        options.keep = 8 * HOUR;
    });
    let journal = folder.open();
    let all = append_each(&*journal, 0..30);
    let segments = journal.stat().segments;
    let third = segments[2].base;
    journal.trim(&[third]);
    folder.clock.advance(7 * HOUR);
    journal.trim(&[third]);
    // An erasure of nothing is answered by the keeper, so what was nudged before it has been done.
    journal.erase(std::sync::Arc::new(|_, _| false)).wait().expect("an erasure");
    assert_eq!(journal.starts()[0], segments[0].base, "too young");
    folder.clock.advance(2 * HOUR);
    journal.trim(&[third]);
    until(|| journal.starts()[0] == third);
    journal.erase(std::sync::Arc::new(|_, _| false)).wait().expect("an erasure");
    assert_eq!(journal.starts()[0], third, "a lane needs the rest");
    let kept: Vec<_> = all.iter().filter(|(position, _)| *position >= third).cloned().collect();
    assert_reads(&*journal, &kept);
    let gone = (all.len() - kept.len()) as u64;
    let seen = read_from(&*journal, Position::default());
    let told: Vec<_> = seen.gaps.iter().map(|gap| (gap.to, gap.records, gap.reason)).collect();
    assert_eq!(told, [(third, Some(gone), GapReason::Trimmed)]);
    assert_eq!(folder.metric("anole_journal_segments_removed_total{why=\"old\"}"), 2);
    drop(journal);
    let journal = folder.open();
    assert_eq!(journal.starts()[0], third);
    assert_reads(&*journal, &kept);
}

#[test]
fn j_5_a_full_journal_refuses_appends_until_retention_makes_room() {
    let mut folder = Folder::new().with(|options| {
        options.keep = HOUR;
        *options = options.clone().limited(1 << 20);
    });
    let journal = folder.open();
    let record = Record::from_bytes(vec![b'x'; 9_000].into());
    let mut taken = 0;
    let refused = loop {
        match journal.append(vec![record.clone()]).wait() {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::Full { limit: 0x0010_0000, .. }), "{refused}");
    assert!((90..=116).contains(&taken), "{taken} of 9,000 bytes fit");
    assert!(journal.stat().bytes <= 1 << 20);
    assert!(journal.ready().is_err());
    folder.clock.advance(2 * HOUR);
    journal.trim(&journal.ends());
    until(|| journal.append(vec![record.clone()]).wait().is_ok());
}

#[test]
fn j_5_drop_oldest_makes_room_and_each_reader_can_count_what_that_cost() {
    let mut folder = Folder::new().with(|options| {
        *options = options.clone().limited(1 << 20);
        options.on_full = OnFull::DropOldest;
    });
    let journal = folder.open();
    let all: Vec<_> = (0..500).flat_map(|batch| append_with_room(&*journal, batch * 10..batch * 10 + 10)).collect();
    let start = journal.starts()[0];
    assert!(start > all[100].0, "it holds 1 MiB: {start}");
    assert!(journal.stat().bytes <= 1 << 20);
    let dropped = folder.metric("anole_journal_segments_removed_total{why=\"dropped\"}");
    assert!(dropped > 0, "{dropped}");
    // Its index outlives the newest dropped segment, so a lane that was within it can be told exactly.
    let newest_gone = all.iter().rposition(|(position, _)| *position < start).expect("some are gone");
    for (from, records) in [(all[newest_gone].0, 1), (all[newest_gone - 1].0, 2)] {
        let seen = read_from(&*journal, from);
        assert_eq!(seen.gaps.iter().map(|gap| gap.records).collect::<Vec<_>>(), [Some(records)]);
        assert_eq!(seen.records.len(), all.len() - newest_gone - 1);
        assert_eq!(journal.lost(&seen.gaps[0], "shop"), Some(records));
        assert_eq!(journal.lost(&seen.gaps[0], "another"), Some(0));
    }
}

#[test]
fn j_5_a_lane_that_is_far_behind_is_told_exactly_what_it_lost_also_after_restarts() {
    let mut folder = Folder::new().with(|options| {
        *options = options.clone().limited(256 * 1024);
        options.on_full = OnFull::DropOldest;
    });
    let mut all = Vec::new();
    let mut behind = Position::default();
    for round in 0..3 {
        let journal = folder.open();
        for batch in round * 100..round * 100 + 100 {
            all.extend(append_with_room(&*journal, batch * 10..batch * 10 + 10));
        }
        if round == 0 {
            behind = all[5].0;
        }
        journal.trim(&[behind]);
    }
    let journal = folder.open();
    journal.trim(&[behind]);
    let start = journal.starts()[0];
    let gone = all.iter().filter(|(position, _)| (behind..start).contains(position)).count() as u64;
    assert!(gone > 2000, "{gone}");
    let seen = read_from(&*journal, behind);
    let told: Vec<_> = seen.gaps.iter().map(|gap| (gap.records, gap.reason)).collect();
    assert_eq!(told, [(Some(gone), GapReason::Trimmed)]);
    assert_eq!(journal.lost(&seen.gaps[0], "shop"), Some(gone));
    assert_eq!(journal.lost(&seen.gaps[0], "another"), Some(0));
    assert!(journal.stat().bytes <= 256 * 1024);
    // When it has passed them, nothing is kept of them.
    journal.trim(&journal.ends());
    let left = || {
        let names = std::fs::read_dir(folder.dir()).expect("the folder").map(|entry| entry.expect("an entry").path());
        names.filter(|path| path.extension().is_some_and(|it| it == "index")).count()
    };
    until(|| left() < journal.stat().segments.len());
    let tally = std::fs::read(folder.dir().join("dropped.tally")).expect("the tallies");
    assert_eq!(tally.len(), 16);
}

#[test]
fn a_segment_does_not_hold_old_events_for_ever_because_little_comes() {
    let mut folder = Folder::new().with(|options| options.keep = 8 * HOUR);
    let journal = folder.open();
    append_each(&*journal, 0..3);
    folder.clock.advance(2 * HOUR);
    journal.trim(&[Position::default()]);
    until(|| journal.stat().segments.len() == 2);
    let new = append_each(&*journal, 3..4);
    journal.trim(&[new[0].0]);
    folder.clock.advance(9 * HOUR);
    journal.trim(&[new[0].0]);
    until(|| journal.stat().records == Some(1));
    assert_reads(&*journal, &new);
}

#[test]
fn a_disk_that_is_nearly_full_is_left_alone() {
    // No disk has this much: a twentieth of it stays free at most, so all of it would have to be free.
    let mut folder = Folder::new().with(|options| options.reserve = u64::MAX);
    let journal = folder.open();
    append_each(&*journal, 0..1);
    assert!(journal.ready().is_ok(), "less than a twentieth of this machine's disk is free");
}

#[test]
fn what_came_lately_is_told_with_and_without_indexes() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 4096);
    let journal = folder.open();
    let all: Vec<_> = (0..100)
        .flat_map(|number| {
            folder.clock.advance(Duration::from_millis(300));
            append_each(&*journal, number..number + 1)
        })
        .collect();
    drop(journal);
    let heads: Vec<_> = all.iter().map(|(_, record)| record.head().expect("a head")).collect();
    let middle = heads[50].received_at;
    let second = |at: anole_event::Timestamp| at.micros() / 1_000_000;
    for has_indexes in [true, false] {
        let mut folder = folder.copy();
        if has_indexes {
            folder.open().close();
        }
        let journal = folder.open();
        let mut told: Vec<(Fingerprint, i64)> = Vec::new();
        journal
            .recent(middle, usize::MAX, &mut |fingerprint, at| told.push((fingerprint, second(at))))
            .expect("reading");
        let expected: Vec<_> = heads
            .iter()
            .filter(|head| second(head.received_at) * 1_000_000 >= middle.micros())
            .map(|head| (head.fingerprint, second(head.received_at)))
            .collect();
        assert_eq!(told, expected, "with indexes: {has_indexes}");
        let mut newest = Vec::new();
        journal.recent(middle, 5, &mut |fingerprint, _| newest.push(fingerprint)).expect("reading");
        let tail: Vec<_> =
            expected.iter().rev().take(newest.len()).rev().map(|(fingerprint, _)| *fingerprint).collect();
        assert_eq!(newest, tail);
        assert!(newest.len() >= 5 && newest.len() < expected.len(), "{}", newest.len());
    }
}
