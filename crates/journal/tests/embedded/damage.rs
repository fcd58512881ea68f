//! What is damaged costs what is damaged, is told, and keeps nothing from opening.

use anole_event::{Position, Record};
use anole_journal::{Gap, GapReason, Journal, OpenError};

use crate::support::{Folder, append_each, append_small, assert_reads, group_at, read_all, read_from};

type Records = Vec<(Position, Record)>;

/// A folder of segments with a few groups each.
fn segments() -> (Folder, Records) {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 2048);
    let journal = folder.open();
    let all = append_each(&*journal, 0..30);
    drop(journal);
    assert!(folder.files().len() > 4);
    (folder, all)
}

/// The records that stand in this file.
fn in_file(folder: &Folder, at: usize, all: &Records) -> (u64, Records) {
    let base = |path: &std::path::Path| -> u64 {
        path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).expect("a base")
    };
    let files = folder.files();
    let start = base(&files[at]);
    let end = files.get(at + 1).map_or(u64::MAX, |file| base(file));
    (start, all.iter().filter(|(position, _)| (start..end).contains(&position.offset)).cloned().collect())
}

fn without(all: &Records, gone: &Records) -> Records {
    all.iter().filter(|record| !gone.contains(record)).cloned().collect()
}

/// Fails unless exactly `gone` are missing, in one gap.
#[track_caller]
fn assert_lost(journal: &dyn Journal, all: &Records, gone: &Records, reason: GapReason) -> Gap {
    let seen = read_all(journal);
    assert!(seen.records == without(all, gone), "{} records are there", seen.records.len());
    let [gap] = seen.gaps[..] else { panic!("one gap instead of {:?}", seen.gaps) };
    assert_eq!((gap.records, gap.reason), (Some(gone.len() as u64), reason));
    assert!(gone.iter().all(|(position, _)| *position >= gap.from && *position < gap.to));
    gap
}

#[test]
fn a_flipped_byte_costs_exactly_its_group() {
    let mut folder = Folder::new();
    let journal = folder.open();
    let before = append_each(&*journal, 0..3);
    let hit = append_small(&*journal, 3);
    let behind = append_each(&*journal, 6..9);
    drop(journal);
    let all = [before, hit.clone(), behind.clone()].concat();
    for place in group_at(&hit[0])..group_at(&behind[0]) {
        let mut folder = folder.copy();
        Folder::edit(&folder.file(), |bytes| bytes[usize::try_from(place).expect("a place")] ^= 0x10);
        let journal = folder.open();
        let gap = assert_lost(&*journal, &all, &hit, GapReason::Damaged);
        assert_eq!((gap.from.offset, gap.to.offset), (group_at(&hit[0]), group_at(&behind[0])), "at {place}");
        assert_eq!(read_all(&*journal).gaps, [gap], "a second reader meets the same");
        assert_eq!(folder.metric("anole_journal_damaged_records_total"), 3, "told once, however many meet it");
        let new = append_each(&*journal, 10..11);
        assert_eq!(read_from(&*journal, behind[0].0).records, [behind.clone(), new].concat());
    }
}

#[test]
fn a_flipped_byte_in_a_sealed_segment_costs_exactly_its_group() {
    let (mut folder, all) = segments();
    let (base, records) = in_file(&folder, 1, &all);
    assert!(records.len() > 2);
    for (at, hit) in records.iter().enumerate() {
        let mut folder = folder.copy();
        let place = usize::try_from(hit.0.offset - base).expect("a place") + 10;
        Folder::edit(&folder.files()[1], |bytes| bytes[place] ^= 1);
        assert_lost(&*folder.open(), &all, &vec![hit.clone()], GapReason::Damaged);
        assert_eq!(folder.metric("anole_journal_damaged_records_total"), 1, "group {at}");
    }
    assert_reads(&*folder.open(), &all);
}

#[test]
fn a_reader_that_begins_within_damage_finds_its_way() {
    let (mut folder, all) = segments();
    let (base, records) = in_file(&folder, 2, &all);
    let hit = &records[1];
    let place = usize::try_from(hit.0.offset - base).expect("a place") + 10;
    Folder::edit(&folder.files()[2], |bytes| bytes[place] ^= 1);
    let journal = folder.open();
    assert!(folder.has_indexes());
    for from in group_at(hit)..group_at(&records[2]) {
        let seen = read_from(&*journal, Position::at(from));
        assert_eq!(seen.records[0], records[2], "from {from}");
        let behind = u64::from(from <= hit.0.offset);
        let told: Vec<_> = seen.gaps.iter().map(|gap| (gap.from.offset, gap.records)).collect();
        assert_eq!(told, [(from, Some(behind))], "the index knows how much of a group lies behind a place in it");
    }
}

#[test]
fn a_sealed_segment_that_was_cut_short_loses_what_was_cut() {
    let (folder, all) = segments();
    let (base, records) = in_file(&folder, 1, &all);
    let gone: Records = records[records.len() - 2..].to_vec();
    let whole = usize::try_from(group_at(&gone[0]) - base).expect("a place");
    for (length, reason) in [(whole, GapReason::Missing), (whole + 20, GapReason::Damaged)] {
        let mut folder = folder.copy();
        Folder::edit(&folder.files()[1], |bytes| bytes.truncate(length));
        assert_lost(&*folder.open(), &all, &gone, reason);
    }
}

#[test]
fn a_missing_segment_is_a_gap_with_the_exact_number() {
    let (folder, all) = segments();
    for at in 1..folder.files().len() - 1 {
        let (_, gone) = in_file(&folder, at, &all);
        let mut folder = folder.copy();
        std::fs::remove_file(&folder.files()[at]).expect("it is removed");
        let gap = assert_lost(&*folder.open(), &all, &gone, GapReason::Missing);
        assert!(read_from(&*folder.open(), gone[0].0).records[0].0 >= gap.to);
    }
}

#[test]
fn missing_first_segments_are_told_to_who_asks_for_them() {
    let (mut folder, all) = segments();
    let (_, gone) = in_file(&folder, 0, &all);
    std::fs::remove_file(&folder.files()[0]).expect("it is removed");
    let journal = folder.open();
    assert_reads(&*journal, &without(&all, &gone));
    let from_zero = read_from(&*journal, Position::default());
    let told: Vec<_> = from_zero.gaps.iter().map(|gap| (gap.to, gap.records, gap.reason)).collect();
    assert_eq!(told, [(journal.starts()[0], Some(gone.len() as u64), GapReason::Missing)]);
    let within = read_from(&*journal, gone[1].0);
    let behind = Some(gone.len() as u64 - 1);
    assert_eq!(within.gaps.iter().map(|gap| gap.records).collect::<Vec<_>>(), [behind], "its index tells");
}

#[test]
fn a_segment_emptied_zeroed_or_overwritten_is_set_aside_and_is_a_gap() {
    let (folder, all) = segments();
    let (_, gone) = in_file(&folder, 2, &all);
    let edits: [fn(&mut Vec<u8>); 3] = [|bytes| bytes.clear(), |bytes| bytes.fill(0), |bytes| bytes.fill_with(|| b'A')];
    for edit in edits {
        let mut folder = folder.copy();
        Folder::edit(&folder.files()[2], edit);
        let journal = folder.open();
        assert_lost(&*journal, &all, &gone, GapReason::Missing);
        let names: Vec<_> =
            folder.files().iter().filter(|file| file.extension().is_some_and(|it| it == "aside")).cloned().collect();
        assert_eq!(names.len(), 1, "the file is kept for a person to look at");
        drop(journal);
        assert_lost(&*folder.open(), &all, &gone, GapReason::Missing);
    }
}

#[test]
fn the_last_segment_emptied_opens_and_its_positions_are_not_given_again() {
    let (folder, all) = segments();
    let last = folder.files().len() - 1;
    let (_, gone) = in_file(&folder, last, &all);
    // A copy has no end mark: what is gone cannot be counted then, but nothing takes its place.
    let mut folder = folder.copy();
    Folder::edit(&folder.files()[last], |bytes| bytes.fill(0));
    let journal = folder.open();
    let new = append_each(&*journal, 50..52);
    assert!(new[0].0 > gone[gone.len() - 1].0);
    assert_reads(&*journal, &[without(&all, &gone), new].concat());
}

#[test]
fn the_newest_records_are_counted_when_the_last_segment_is_cut_removed_or_emptied() {
    type Harm = fn(&std::path::Path, usize);
    let harms: [(&str, Harm); 3] = [
        ("cut", |file, whole| Folder::edit(file, |bytes| bytes.truncate(whole))),
        ("removed", |file, _| std::fs::remove_file(file).expect("it is removed")),
        ("emptied", |file, _| Folder::edit(file, Vec::clear)),
    ];
    for (what, harm) in harms {
        let (mut folder, mut all) = segments();
        let last = folder.files().len() - 1;
        let (base, mut gone) = in_file(&folder, last, &all);
        let mut whole = 0;
        if what == "cut" {
            gone = gone.split_off(1);
            whole = usize::try_from(group_at(&gone[0]) - base).expect("a place");
        }
        harm(&folder.files()[last], whole);
        let journal = folder.open();
        assert_lost(&*journal, &all, &gone, GapReason::Missing);
        assert_eq!(folder.metric("anole_journal_damaged_records_total"), gone.len() as u64, "{what}: told once");
        let new = append_each(&*journal, 50..52);
        assert!(new[0].0 > gone[gone.len() - 1].0);
        all.extend(new);
        drop(journal);
        assert_lost(&*folder.open(), &all, &gone, GapReason::Missing);
    }
}

#[test]
fn a_journal_of_which_nothing_is_left_counts_what_it_held() {
    let (mut folder, all) = segments();
    for file in folder.files() {
        std::fs::remove_file(file).expect("it is removed");
    }
    let journal = folder.open();
    let seen = read_from(&*journal, Position::default());
    assert_eq!(seen.gaps.iter().map(|gap| gap.records).collect::<Vec<_>>(), [Some(all.len() as u64)]);
    assert!(append_each(&*journal, 50..51)[0].0 > all[all.len() - 1].0);
}

#[test]
fn a_damaged_header_costs_nothing_but_the_header() {
    let (folder, all) = segments();
    for at in 0..folder.files().len() {
        for byte in [0, 9, 12, 20, 28, 40, 63] {
            let mut folder = folder.copy();
            Folder::edit(&folder.files()[at], |bytes| bytes[byte] ^= 4);
            let journal = folder.open();
            assert_reads(&*journal, &all);
            let new = append_each(&*journal, 50..52);
            drop(journal);
            assert_reads(&*folder.open(), &[all.clone(), new].concat());
        }
    }
}

#[test]
fn strange_files_and_unfinished_ones_are_no_hindrance() {
    let (mut folder, all) = segments();
    let dir = folder.dir().to_owned();
    let unfinished = dir.join("00000000000000009999.segment.tmp");
    std::fs::write(&unfinished, b"half a header").expect("a file");
    std::fs::write(dir.join("notes.txt"), b"do not delete").expect("a file");
    std::fs::create_dir(dir.join("lost+found")).expect("a folder");
    // A whole segment under a name that is not its own.
    std::fs::copy(&folder.files()[0], dir.join("00000000000000000999.segment")).expect("a copy");
    let journal = folder.open();
    assert_reads(&*journal, &all);
    assert!(!unfinished.exists());
    assert!(dir.join("notes.txt").exists() && dir.join("lost+found").exists());
    assert!(dir.join("00000000000000000999.segment.aside").exists());
}

#[test]
fn a_segment_of_a_later_version_stops_an_older_anole() {
    let (mut folder, _) = segments();
    Folder::edit(&folder.files()[1], |bytes| {
        bytes[8] = 2;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..64]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    });
    let error = folder.try_open().expect_err("it refuses");
    assert!(matches!(error, OpenError::Version { version: 2, .. }), "{error}");
    assert!(error.to_string().contains(".segment has journal format 2"), "{error}");
}

#[test]
fn a_segment_that_vanishes_while_it_is_read_is_a_gap() {
    let (mut folder, all) = segments();
    let journal = folder.open();
    let (_, gone) = in_file(&folder, 2, &all);
    std::fs::remove_file(&folder.files()[2]).expect("it is removed");
    assert_lost(&*journal, &all, &gone, GapReason::Missing);
}
