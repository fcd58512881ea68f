//! What verify finds and repair puts in order.

use anole_journal::{Finding, Flaw, Journal, Step, Verified, plan_repair, verify};

use crate::support::{Folder, append_each, assert_reads, group_at, read_all};

fn segments() -> (Folder, Vec<(anole_event::Position, anole_event::Record)>) {
    let mut folder = Folder::new().with(|options| options.segment_bytes = 2048);
    let journal = folder.open();
    let all = append_each(&*journal, 0..30);
    drop(journal);
    (folder, all)
}

fn verified(folder: &Folder) -> Verified {
    let mut last = (0, 0);
    let verified = verify(folder.dir(), &folder.telemetry, &mut |done, total| {
        assert!(done >= last.0 && done <= total, "{done} of {total} after {last:?}");
        last = (done, total);
    });
    verified.expect("it is verified")
}

fn flaws(verified: &Verified) -> Vec<(Flaw, Option<u64>)> {
    verified.findings.iter().map(|Finding { flaw, records, .. }| (*flaw, *records)).collect()
}

fn steps(folder: &Folder) -> Vec<Step> {
    plan_repair(folder.dir(), &folder.telemetry).expect("a plan")
}

fn codes(folder: &Folder) -> Vec<&'static str> {
    steps(folder).iter().map(Step::code).collect()
}

#[test]
fn a_whole_journal_is_whole_and_nothing_is_to_be_repaired() {
    let (folder, all) = segments();
    let verified = verified(&folder);
    assert_eq!(flaws(&verified), []);
    assert!(verified.is_whole());
    assert_eq!((verified.records, verified.erased), (all.len() as u64, 0));
    assert_eq!(verified.segments as usize, folder.files().len());
    assert_eq!(codes(&folder), [""; 0]);
}

#[test]
fn verify_finds_each_kind_of_damage_with_its_exact_cost() {
    let (mut folder, all) = segments();
    let files = folder.files();
    // A flipped byte in the second segment, the third one cut within its last group, the fourth one gone.
    let in_second = all.iter().position(|(position, _)| position.offset > base(&files[1])).expect("a record");
    let place = usize::try_from(all[in_second].0.offset - base(&files[1])).expect("a place") + 9;
    Folder::edit(&files[1], |bytes| bytes[place] ^= 4);
    Folder::edit(&files[2], |bytes| bytes.truncate(bytes.len() - 5));
    let fourth = all.iter().filter(|(at, _)| (base(&files[3])..base(&files[4])).contains(&at.offset)).count() as u64;
    std::fs::remove_file(&files[3]).expect("it is removed");
    std::fs::write(folder.dir().join("notes.txt"), "x").expect("a file");
    let verified = verified(&folder);
    assert!(!verified.is_whole());
    let mut found = flaws(&verified);
    found.sort_by_key(|(flaw, _)| flaw.as_str());
    // The cut group and the missing segment are one stretch behind the third segment's end.
    let expected = [
        (Flaw::DamagedGroup, Some(1)),
        (Flaw::DamagedGroup, Some(1)),
        (Flaw::Foreign, None),
        (Flaw::MissingEnd, Some(fourth)),
    ];
    let lost: u64 = found.iter().filter_map(|(_, records)| *records).sum();
    assert_eq!(lost, 2 + fourth, "{found:?} instead of {expected:?}");
    let seen = read_all(&*folder.open());
    assert_eq!(seen.records.len() as u64 + lost, all.len() as u64);
    assert_eq!(seen.gaps.iter().filter_map(|gap| gap.records).sum::<u64>(), lost, "readers say the same");
}

fn base(path: &std::path::Path) -> u64 {
    path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).expect("a base")
}

#[test]
fn verify_counts_newest_records_that_are_gone() {
    let (folder, all) = segments();
    let last = folder.files().pop().expect("a segment");
    let gone = all.iter().filter(|(position, _)| position.offset > base(&last)).count() as u64;
    std::fs::remove_file(&last).expect("it is removed");
    let verified = verified(&folder);
    assert_eq!(flaws(&verified), [(Flaw::MissingNewest, Some(gone))]);
}

#[test]
fn a_segment_set_aside_or_renamed_by_hand_comes_back_whole() {
    let (mut folder, all) = segments();
    let files = folder.files();
    let mut aside = files[2].clone().into_os_string();
    aside.push(".aside");
    std::fs::rename(&files[2], &aside).expect("it is renamed");
    std::fs::rename(&files[3], folder.dir().join("00000000000000000077.segment")).expect("it is renamed");
    assert!(!verified(&folder).is_whole());
    let steps = steps(&folder);
    assert_eq!(steps.iter().map(Step::code).collect::<Vec<_>>(), ["rename", "rename"]);
    assert!(steps[0].to_string().starts_with("rename 00000000000000000077.segment to "), "{}", steps[0]);
    for step in steps {
        step.run().expect("it is done");
    }
    assert_eq!(codes(&folder), [""; 0]);
    assert_eq!(flaws(&verified(&folder)), []);
    assert_reads(&*folder.open(), &all);
}

#[test]
fn headers_indexes_tails_and_leftovers_are_put_in_order() {
    let (mut folder, all) = segments();
    let files = folder.files();
    Folder::edit(&files[1], |bytes| bytes[20] ^= 1);
    std::fs::remove_file(files[2].with_extension("index")).expect("it is removed");
    std::fs::write(folder.dir().join("00000000000000099999.segment.tmp"), "x").expect("a file");
    let last = files.last().expect("a segment");
    Folder::edit(last, |bytes| bytes.extend_from_slice(&[9; 300]));
    let found = flaws(&verified(&folder));
    assert!(found.contains(&(Flaw::DamagedHeader, None)) && found.contains(&(Flaw::NoIndex, None)), "{found:?}");
    assert!(verified(&folder).is_whole(), "nothing of it costs an event");
    let mut codes = codes(&folder);
    codes.sort_unstable();
    assert_eq!(codes, ["cut_tail", "remove_unfinished", "write_header", "write_index"]);
    for step in steps(&folder) {
        step.run().expect("it is done");
    }
    assert_eq!(flaws(&verified(&folder)), []);
    assert_eq!(self::codes(&folder), [""; 0]);
    let journal = folder.open();
    assert_reads(&*journal, &all);
    let first = group_at(&all[0]);
    assert!(first < journal.ends()[0].offset);
}
