//! What is erased is hidden at once and then gone, and nothing else changes (J-8).

use std::sync::Arc;

use anole_event::{Kind, Position, Record};
use anole_journal::{EraseError, Erased, Journal, Which};

use crate::support::{Folder, append_each, append_together, read_all, read_from};

fn named(all: &[(Position, Record)], every: usize) -> Which {
    let wanted: Vec<_> =
        all.iter().step_by(every).map(|(_, record)| record.head().expect("a head").fingerprint).collect();
    Arc::new(move |head, _| wanted.contains(&head.fingerprint))
}

/// Fails unless every record is there at its place, those named by `every` as erased ones.
#[track_caller]
fn assert_erased(journal: &dyn Journal, all: &[(Position, Record)], every: usize) {
    let seen = read_all(journal);
    assert_eq!(seen.gaps, []);
    assert_eq!(seen.records.len(), all.len());
    for (at, ((position, record), (expected_at, expected))) in seen.records.iter().zip(all).enumerate() {
        assert_eq!(position, expected_at);
        if at % every == 0 {
            let head = record.head().expect("a head");
            assert_eq!((head.kind, head.name, head.fingerprint.0), (Kind::Erased, "", 0));
            assert_eq!(head.received_at, expected.head().expect("a head").received_at);
            assert_eq!(record.bytes().len(), expected.bytes().len());
        } else {
            assert_eq!(record, expected, "record {at}");
        }
    }
}

fn holds(folder: &Folder, needle: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder.dir()).expect("the folder");
    entries
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file"))
        .any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

#[test]
fn j_8_what_is_named_is_erased_in_every_segment_at_equal_positions() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 2048);
    let journal = folder.open();
    let mut all = append_each(&*journal, 0..20);
    all.extend(append_together(&*journal, 20..30));
    assert!(holds(&folder, b"\"m-21\""));
    let erased = journal.erase(named(&all, 7)).wait().expect("an erasure");
    assert_eq!(erased.records, 5);
    assert!(erased.segments >= 3);
    assert_erased(&*journal, &all, 7);
    for number in [0, 7, 14, 21, 28] {
        assert!(!holds(&folder, format!("\"m-{number}\"").as_bytes()), "m-{number} is in a file");
    }
    let gone = all[7].1.head().expect("a head").fingerprint;
    assert_eq!(journal.find(gone, Position::default(), u64::MAX).expect("reading").records, []);
    // Appends go on, and it is so after a restart.
    all.extend(append_each(&*journal, 30..33));
    drop(journal);
    let journal = folder.open();
    let again = journal.erase(named(&all[..30], 7)).wait().expect("an erasure");
    assert_eq!(again, Erased::default(), "what is erased is not erased again");
    assert_eq!(read_from(&*journal, all[30].0).records, all[30..]);
}

#[test]
fn j_8_a_reader_sees_nothing_of_it_from_the_moment_the_call_returns() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let all = append_each(&*journal, 0..10);
    let mut reader = journal.reader(Position::default());
    let erasing = journal.erase(Arc::new(|_, _| true));
    while let Some(anole_journal::Read::Block(block)) = reader.try_next().expect("reading") {
        for (_, record) in block.records {
            assert_eq!(record.head().expect("a head").kind, Kind::Erased);
        }
    }
    let later = append_each(&*journal, 10..12);
    assert_eq!(erasing.wait().expect("an erasure").records, 10);
    assert_eq!(read_from(&*journal, later[0].0).records, later, "what came later stays");
    assert_eq!(all.len(), 10);
}

#[test]
fn j_8_damage_stays_the_gap_that_it_was_and_its_bytes_become_zeros() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 2048);
    let journal = folder.open();
    let all = append_each(&*journal, 0..20);
    drop(journal);
    let hit = &all[2];
    let place = usize::try_from(hit.0.offset).expect("a place") + 60;
    Folder::edit(&folder.files()[0], |bytes| bytes[place] ^= 1);
    let journal = folder.open();
    let before = read_all(&*journal);
    assert_eq!(before.gaps.iter().map(|gap| gap.records).collect::<Vec<_>>(), [Some(1)]);
    let third = all[3].1.head().expect("a head").fingerprint;
    let erased = journal.erase(Arc::new(move |head, _| head.fingerprint == third)).wait().expect("an erasure");
    assert_eq!(erased.records, 1);
    let after = read_all(&*journal);
    assert_eq!((after.gaps, after.records.len()), (before.gaps, before.records.len()));
    assert!(!holds(&folder, b"\"m-2\""));
}

#[test]
fn an_erasure_of_a_journal_that_is_closed_or_only_read_is_refused() {
    let mut folder = Folder::new();
    let journal = folder.open();
    journal.close();
    assert!(matches!(journal.erase(Arc::new(|_, _| true)).wait(), Err(EraseError::Closed)));
}
