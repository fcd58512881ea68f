//! Readers that wait, follow and begin anywhere.

use std::time::Duration;

use anole_event::Position;
use anole_journal::{Journal, Read, ReadError, Reader};

use crate::support::{Folder, append_each, append_together, read_from};

/// Long enough for a stalled machine; a test that waits this long has failed.
const NEVER: Duration = Duration::from_secs(60);

async fn next(reader: &mut dyn Reader) -> Read {
    tokio::time::timeout(NEVER, reader.next()).await.expect("the reader wakes").expect("reading")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_follow_over_segments_while_it_is_written() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 4096);
    let journal = folder.open();
    let follow = |mut reader: Box<dyn Reader>| async move {
        let mut seen = Vec::new();
        while seen.len() < 300 {
            let Read::Block(block) = next(&mut *reader).await else { panic!("a gap without damage") };
            seen.extend(block.records);
        }
        seen
    };
    let readers: Vec<_> = (0..3).map(|_| tokio::spawn(follow(journal.reader(Position::default())))).collect();
    let writer = std::sync::Arc::clone(&journal);
    let all = tokio::task::spawn_blocking(move || append_each(&*writer, 0..300)).await.expect("appends");
    for reader in readers {
        assert!(reader.await.expect("a reader") == all);
    }
}

#[tokio::test]
async fn a_reader_ends_when_the_journal_is_closed_and_all_is_read() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let mut reader = journal.reader(Position::default());
    let record = anole_journal::conformance::record(0);
    let positions = journal.append(vec![record.clone()]).await.expect("an append");
    let all = [(positions[0], record)];
    journal.close();
    let mut seen = Vec::new();
    let end = loop {
        match reader.next().await {
            Ok(Read::Block(block)) => seen.extend(block.records),
            Ok(Read::Gap(gap)) => panic!("{gap:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(end, ReadError::Closed));
    assert!(seen == all);
}

#[test]
fn a_block_is_a_few_whole_groups_in_one_piece_of_memory() {
    let mut folder = Folder::new().with(|options| options.block_bytes = 1000);
    let journal = folder.open();
    append_each(&*journal, 0..50);
    append_together(&*journal, 50..100);
    let mut reader = journal.reader(Position::default());
    let mut sizes = Vec::new();
    while let Some(Read::Block(block)) = reader.try_next().expect("reading") {
        let bytes: usize = block.records.iter().map(|(_, record)| record.bytes().len() + 4).sum();
        let start = block.records[0].1.bytes().as_ptr();
        let end = block.records[block.records.len() - 1].1.bytes().as_ptr();
        assert!(end.addr() - start.addr() <= bytes + 48 * block.records.len(), "records lie one behind the other");
        sizes.push((block.records.len(), bytes));
    }
    let (last, blocks) = sizes.split_last().expect("blocks");
    assert_eq!(last.0, 50, "a group larger than a block is read whole");
    assert!(blocks.len() > 10 && blocks.iter().all(|(_, bytes)| *bytes <= 1000), "{blocks:?}");
}

#[test]
fn a_position_far_into_a_large_segment_is_found() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let mut all = Vec::new();
    for batch in 0..40 {
        all.extend(append_together(&*journal, batch * 200..batch * 200 + 200));
    }
    assert!(journal.ends()[0].offset > 5 * 256 * 1024);
    for at in (0..all.len()).step_by(97) {
        assert!(read_from(&*journal, all[at].0).records == all[at..], "record {at}");
        let behind = Position::at(all[at].0.offset + 1);
        assert!(read_from(&*journal, behind).records == all[at + 1..], "behind record {at}");
    }
}

#[test]
fn a_position_behind_the_end_is_taken_as_the_end() {
    let mut folder = Folder::new();
    let journal = folder.open();
    append_each(&*journal, 0..3);
    let mut reader = journal.reader(Position::at(1 << 50));
    assert_eq!(reader.position(), journal.ends()[0]);
    let new = append_each(&*journal, 3..4);
    let Ok(Some(Read::Block(block))) = reader.try_next() else { panic!("a block") };
    assert_eq!(block.records, new);
}

#[test]
fn a_message_id_is_found_with_and_without_indexes_also_twice_and_only_behind_a_position() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 4096);
    let journal = folder.open();
    let mut all = append_each(&*journal, 0..100);
    all.extend(append_each(&*journal, 7..8));
    drop(journal);
    for has_indexes in [true, false] {
        let mut folder = folder.copy();
        if has_indexes {
            folder.open().close();
        }
        let journal = folder.open();
        for at in [0, 7, 50, 99, 100] {
            let wanted = all[at].1.head().expect("a head").fingerprint;
            let expected: Vec<_> = all.iter().filter(|(_, record)| *record == all[at].1).cloned().collect();
            let found = journal.find(wanted, Position::default(), u64::MAX).expect("reading");
            assert_eq!((found.records, found.next), (expected, journal.ends()[0]));
        }
        let twice = all[7].1.head().expect("a head").fingerprint;
        let behind = journal.find(twice, all[8].0, u64::MAX).expect("reading");
        assert_eq!(behind.records, [all[100].clone()]);
    }
}
