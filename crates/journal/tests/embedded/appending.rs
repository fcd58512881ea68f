//! Group commit, rolling, limits, closing.

use anole_event::Record;
use anole_journal::conformance::record;
use anole_journal::{AckLevel, AppendError, GapReason, Journal};
use bytes::Bytes;

use crate::support::{Folder, append_each, append_together, assert_reads, group_at, read_all};

fn raw(bytes: usize) -> Record {
    Record::from_bytes(Bytes::from(vec![b'x'; bytes]))
}

#[test]
fn appends_that_arrive_during_a_sync_share_the_next_one() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let appends: Vec<_> = (0..2000).map(|number| journal.append(vec![record(number)])).collect();
    let positions: Vec<_> = appends.into_iter().map(|append| append.wait().expect("an append")[0]).collect();
    assert!(positions.is_sorted());
    assert_eq!(read_all(&*journal).records.len(), 2000);
    let syncs = folder.metric("anole_journal_sync_seconds_count");
    assert!((1..1000).contains(&syncs), "{syncs} syncs for 2000 appends that did not wait for each other");
    assert_eq!(folder.metric("anole_journal_records"), 2000);
    assert_eq!(folder.metric("anole_journal_bytes"), journal.stat().bytes);
}

#[test]
fn records_of_one_call_share_a_group_where_they_fit() {
    let mut folder = Folder::new();
    let journal = folder.open();
    append_each(&*journal, 0..1);
    let together = append_together(&*journal, 1..500);
    append_each(&*journal, 500..501);
    drop(journal);
    // All or nothing: one flipped byte takes all of them.
    let place = usize::try_from(together[250].0.offset).expect("a place") + 20;
    Folder::edit(&folder.file(), |bytes| bytes[place] ^= 1);
    let seen = read_all(&*folder.open());
    assert_eq!(seen.records.len(), 2);
    assert_eq!(seen.gaps[0].records, Some(499));
    assert_eq!(seen.gaps[0].from.offset, group_at(&together[0]));
}

#[test]
fn segments_roll_at_their_size_and_say_what_they_hold() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 4096);
    let journal = folder.open();
    let all = append_each(&*journal, 0..100);
    assert_reads(&*journal, &all);
    let stat = journal.stat();
    assert_eq!(stat.segments.len(), folder.files().len());
    assert!(stat.segments.len() > 5);
    assert!(stat.segments.iter().all(|segment| segment.bytes <= 4096), "{stat:?}");
    assert_eq!(stat.segments.iter().map(|segment| segment.records.expect("known")).sum::<u64>(), 100);
    assert_eq!(stat.records, Some(100));
    assert!(stat.segments.iter().all(|segment| segment.created.is_some()));
    drop(journal);
    for (file, row) in folder.files().iter().zip(&stat.segments) {
        assert_eq!(file.file_name().expect("a name"), row.file.as_str());
        assert_eq!(std::fs::metadata(file).expect("a file").len(), row.bytes, "sealed files keep no room");
    }
    let again = folder.open().stat();
    assert_eq!((again.bytes, again.records), (stat.bytes, stat.records));
}

#[test]
fn an_append_larger_than_a_segment_or_a_group_is_taken_whole() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 4096);
    let journal = folder.open();
    append_each(&*journal, 0..3);
    let large: Vec<_> = (0..40).map(|_| raw(1024 * 1024)).collect();
    let positions = journal.append(large).wait().expect("an append of 40 MiB");
    assert_eq!(positions.len(), 40);
    append_each(&*journal, 3..4);
    assert_eq!(read_all(&*journal).records.len(), 44);
    drop(journal);
    let seen = read_all(&*folder.open());
    assert_eq!((seen.records.len(), seen.gaps.len()), (44, 0));
    assert_eq!(seen.records[3..43].iter().map(|(position, _)| *position).collect::<Vec<_>>(), positions);
}

#[test]
fn a_record_too_large_for_the_format_is_refused_and_an_empty_one_is_not() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let most = 16 * 1024 * 1024 - 4;
    let error = journal.append(vec![raw(most + 1)]).wait().expect_err("too large");
    assert_eq!(error.code().as_str(), "too_large");
    journal.append(vec![raw(most), raw(0)]).wait().expect("the largest and the smallest");
    let lengths: Vec<_> = read_all(&*journal).records.iter().map(|(_, record)| record.bytes().len()).collect();
    assert_eq!(lengths, [most, 0]);
}

#[test]
fn what_the_queue_cannot_hold_is_refused_and_the_rest_is_kept() {
    let mut folder = Folder::new().with(|options| options.queue_bytes = 2 * 1024 * 1024);
    let journal = folder.open();
    // Each takes a while to write, so that those behind it wait.
    let appends: Vec<_> = (0..200).map(|_| journal.append(vec![raw(700_000)])).collect();
    let results: Vec<_> = appends.into_iter().map(anole_journal::Append::wait).collect();
    let refused: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() < 200);
    for error in &refused {
        assert!(matches!(error, AppendError::Busy { waiting, limit: 2_097_152 } if *waiting > 1_000_000), "{error}");
        assert_eq!((error.code().as_str(), error.retry_after().as_secs()), ("busy", 1));
    }
    assert_eq!(read_all(&*journal).records.len(), 200 - refused.len());
}

#[test]
fn a_full_journal_refuses_and_says_so() {
    let mut folder = Folder::new().with(|options| options.max_bytes = Some(200_000));
    let journal = folder.open();
    assert!(journal.ready().is_ok());
    let mut taken = 0;
    let error = loop {
        match journal.append(vec![raw(10_000)]).wait() {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(taken, 19);
    assert!(matches!(error, AppendError::Full { limit: 200_000, .. }), "{error}");
    assert!(error.to_string().contains("its limit is 200000 bytes"), "{error}");
    assert_eq!(journal.ready().expect_err("not ready").code().as_str(), "full");
    assert_eq!(read_all(&*journal).records.len(), 19);
}

#[test]
fn closing_writes_what_waits_and_takes_nothing_more() {
    for ack in [AckLevel::Fsync, AckLevel::Write, AckLevel::Memory] {
        let mut folder = Folder::new().at(ack);
        let journal = folder.open();
        let appends: Vec<_> = (0..500).map(|number| journal.append(vec![record(number)])).collect();
        journal.close();
        assert!(matches!(journal.append(vec![record(0)]).wait(), Err(AppendError::Closed)));
        assert!(appends.into_iter().all(|append| append.wait().is_ok()));
        assert_eq!(read_all(&*journal).records.len(), 500, "what is there can still be read");
        drop(journal);
        assert_eq!(read_all(&*folder.open()).records.len(), 500);
    }
}

#[test]
fn trimming_is_noted_and_takes_nothing_yet() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let all = append_each(&*journal, 0..3);
    journal.trim(&journal.ends());
    assert_reads(&*journal, &all);
    assert_eq!(GapReason::Trimmed.as_str(), "trimmed");
}
