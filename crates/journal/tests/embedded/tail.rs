//! What stands behind the last whole group: cut, and nothing else.

use anole_event::Position;
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Journal};

use crate::support::{Folder, append_each, append_small, append_together, assert_reads, group_at, read_all};

#[test]
fn a_last_group_torn_at_any_byte_is_cut_and_appends_go_on() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let kept = append_each(&*journal, 0..3);
    let torn = append_small(&*journal, 2);
    journal.close();
    let file = folder.file();
    let (start, end) = (group_at(&torn[0]), std::fs::metadata(&file).expect("the file").len());
    assert_eq!(end, journal.ends()[0].offset, "a closed segment has no room left over");
    for length in start..end {
        let mut folder = folder.copy();
        Folder::edit(&folder.file(), |bytes| bytes.truncate(usize::try_from(length).expect("a length")));
        let journal = folder.open();
        assert_reads(&*journal, &kept);
        assert_eq!(journal.ends()[0].offset, start, "torn at {length}");
        let mut all = kept.clone();
        all.extend(append_each(&*journal, 10..11));
        assert_reads(&*journal, &all);
        drop(journal);
        assert_reads(&*folder.open(), &all);
    }
}

#[test]
fn a_torn_tail_is_cut_on_the_disk_before_anything_is_appended() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let kept = append_each(&*journal, 0..2);
    journal.close();
    let file = folder.file();
    let good = std::fs::metadata(&file).expect("the file").len();
    Folder::edit(&file, |bytes| bytes.extend_from_slice(&[7; 700]));
    let journal = folder.open();
    assert_eq!(std::fs::metadata(&file).expect("the file").len(), good, "before, not when it is closed");
    assert_reads(&*journal, &kept);
}

#[test]
fn a_tail_of_zeros_is_no_group() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let kept = append_each(&*journal, 0..3);
    let zeroed = append_together(&*journal, 3..6);
    journal.close();
    let start = usize::try_from(group_at(&zeroed[0])).expect("a place");
    for zeros in [0, 1, 47, 48, 100] {
        let mut folder = folder.copy();
        Folder::edit(&folder.file(), |bytes| {
            bytes.truncate(start + zeros);
            bytes[start..].fill(0);
            bytes.resize(start + 3 * 256 * 1024, 0);
        });
        let journal = folder.open();
        assert_reads(&*journal, &kept);
        let mut all = kept.clone();
        all.extend(append_each(&*journal, 10..11));
        drop(journal);
        assert_reads(&*folder.open(), &all);
    }
}

#[test]
fn bytes_of_another_journal_never_pass() {
    // Two journals whose groups stand at the same places: only the file id tells them apart.
    let (mut ours, mut theirs) = (Folder::new(), Folder::new().seeded(77));
    let (our, their) = (ours.open(), theirs.open());
    let kept = append_each(&*our, 0..3);
    let other = append_each(&*their, 0..6);
    assert_eq!(kept[..], other[..3], "the same records at the same places");
    our.close();
    their.close();
    let recycled = std::fs::read(theirs.file()).expect("the file");
    Folder::edit(&ours.file(), |bytes| {
        let end = bytes.len();
        bytes.extend_from_slice(&recycled[end..]);
    });
    let journal = ours.open();
    assert_reads(&*journal, &kept);
    assert_eq!(journal.ends()[0].offset, group_at(&other[3]));
}

#[test]
fn bytes_of_an_older_segment_never_pass_at_another_place() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let kept = append_each(&*journal, 0..4);
    journal.close();
    Folder::edit(&folder.file(), |bytes| {
        let copy = bytes[64..].to_vec();
        bytes.extend_from_slice(&copy);
    });
    assert_reads(&*folder.open(), &kept);
}

#[test]
fn opening_for_reading_changes_nothing_and_sees_what_a_daemon_has_made_durable() {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 2048);
    let journal = folder.open();
    let mut all = append_each(&*journal, 0..20);
    let before: Vec<_> = folder.files().iter().map(|file| std::fs::read(file).expect("a file")).collect();
    let looked = Embedded::open_read_only(folder.dir(), std::sync::Arc::clone(&folder.telemetry)).expect("it opens");
    assert_reads(&*looked, &all);
    assert!(looked.append(vec![all[0].1.clone()]).wait().is_err());
    assert!(looked.ready().is_err());
    drop(looked);
    let after: Vec<_> = folder.files().iter().map(|file| std::fs::read(file).expect("a file")).collect();
    assert!(before == after, "a file was changed");
    all.extend(append_each(&*journal, 20..21));
    assert_reads(&*journal, &all);
}

#[test]
fn what_was_not_synced_never_gives_its_positions_away_again() {
    let mut folder = Folder::new().at(AckLevel::Write);
    let journal = folder.open();
    let kept = append_each(&*journal, 0..3);
    let lost = append_each(&*journal, 3..6);
    drop(journal);
    // A loss of power takes what was not synced, the end mark too.
    std::fs::remove_file(folder.dir().join("end.mark")).expect("it is removed");
    let length = usize::try_from(group_at(&lost[0])).expect("a length");
    Folder::edit(&folder.file(), |bytes| bytes.truncate(length));
    let journal = folder.open();
    let new = append_each(&*journal, 6..7);
    assert!(new[0].0 > lost[2].0, "a lane that had delivered {} would pass over {}", lost[2].0, new[0].0);
    assert_reads(&*journal, &[kept, new.clone()].concat());
    let from_there = crate::support::read_from(&*journal, lost[2].0);
    assert_eq!((from_there.records, from_there.gaps), (new, Vec::new()));
}

#[test]
fn j_2_an_older_end_mark_gives_no_position_away_again() {
    let mut folder = Folder::new().at(AckLevel::Write);
    let journal = folder.open();
    let first = append_each(&*journal, 0..3);
    let mark = folder.dir().join("end.mark");
    let older = std::fs::read(&mark).expect("the mark");
    let later = append_each(&*journal, 3..9);
    drop(journal);
    // A loss of power takes what was not synced, and leaves a mark that is newer than the segment and older than the end.
    std::fs::write(&mark, older).expect("the mark");
    let length = usize::try_from(group_at(&first[1])).expect("a length");
    Folder::edit(&folder.file(), |bytes| bytes.truncate(length));
    let journal = folder.open();
    let new = append_each(&*journal, 9..10);
    assert!(new[0].0 > later[5].0, "{} was given before", new[0].0);
    let seen = read_all(&*journal);
    assert_eq!(seen.gaps.iter().map(|gap| gap.records).collect::<Vec<_>>(), [Some(2)], "what the mark knows of");
}

#[test]
fn a_journal_younger_than_the_progress_of_lanes_begins_behind_it() {
    let mut folder = Folder::new();
    let before = append_each(&*folder.open(), 0..5);
    let progress = before[4].0;
    for file in folder.files() {
        std::fs::remove_file(file).expect("somebody deletes the journal");
    }
    folder.options.not_before = Position::at(progress.offset + 1);
    let journal = folder.open();
    let new = append_each(&*journal, 5..8);
    assert!(new[0].0 > progress);
    assert_reads(&*journal, &new);
    let lane = crate::support::read_from(&*journal, progress);
    assert_eq!(lane.records, new);
    assert_eq!(lane.gaps.iter().map(|gap| gap.records).collect::<Vec<_>>(), [None], "what was lost is told");
    drop(journal);
    assert_eq!(read_all(&*folder.open()).records, new, "the second time nothing has to be left out");
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let mut folder = Folder::new();
    let journal = folder.open();
    append_each(&*journal, 0..1);
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(folder.dir()), 0o700);
    assert_eq!(mode(&folder.file()), 0o600);
    assert_eq!(EmbeddedOptions::new("x").ack, AckLevel::Fsync);
}
