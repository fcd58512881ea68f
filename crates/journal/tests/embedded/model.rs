//! The journal against a vector in memory.

use anole_event::{Position, Record};
use anole_journal::conformance::record;
use anole_journal::{AckLevel, Journal};
use proptest::prelude::*;

use crate::support::{Folder, read_from};

#[derive(Clone, Debug)]
enum Step {
    /// Appends so many records with one call and waits.
    Append(u64),
    /// Appends so many records one by one, and waits for all at the end.
    Burst(u64),
    /// Opens the journal again.
    Reopen,
    /// Opens it again after bytes that nobody wrote have come behind its end.
    Torn(usize, u8),
    /// Reads from the record with this number, or from so many bytes behind it.
    Read(usize, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u64..12).prop_map(Step::Append),
        2 => (1_u64..40).prop_map(Step::Burst),
        1 => Just(Step::Reopen),
        1 => (1_usize..400, any::<u8>()).prop_map(|(length, byte)| Step::Torn(length, byte)),
        3 => (any::<usize>(), 0_u64..600).prop_map(|(at, behind)| Step::Read(at, behind)),
    ];
    prop::collection::vec(step, 1..40)
}

struct Model {
    folder: Folder,
    journal: Option<std::sync::Arc<anole_journal::Embedded>>,
    all: Vec<(Position, Record)>,
    next: u64,
}

impl Model {
    fn take(&mut self, step: &Step) {
        let journal = self.journal.as_ref().expect("it is open");
        match *step {
            Step::Append(count) => {
                let records: Vec<_> = (self.next..self.next + count).map(record).collect();
                let positions = journal.append(records.clone()).wait().expect("an append");
                self.all.extend(positions.into_iter().zip(records));
                self.next += count;
            }
            Step::Burst(count) => {
                let records: Vec<_> = (self.next..self.next + count).map(record).collect();
                let appends: Vec<_> = records.iter().map(|record| journal.append(vec![record.clone()])).collect();
                let positions = appends.into_iter().map(|append| append.wait().expect("an append")[0]);
                self.all.extend(positions.zip(records));
                self.next += count;
            }
            Step::Reopen => self.reopen(|_| {}),
            Step::Torn(length, byte) => self.reopen(|bytes| bytes.resize(bytes.len() + length, byte)),
            Step::Read(at, behind) => {
                let from = self.all.get(at % (self.all.len() + 1)).map_or(journal.ends()[0].offset, |it| it.0.offset);
                let from = Position::at(from + behind);
                let expected: Vec<_> = self.all.iter().filter(|(position, _)| *position >= from).cloned().collect();
                let seen = read_from(&**journal, from);
                assert_eq!(seen.gaps, []);
                assert!(seen.records == expected, "from {from}");
            }
        }
    }

    fn reopen(&mut self, edit: impl FnOnce(&mut Vec<u8>)) {
        self.journal = None;
        let last = self.folder.files().pop().expect("a segment");
        Folder::edit(&last, edit);
        let journal = self.folder.open();
        let seen = read_from(&*journal, Position::default());
        assert_eq!(seen.gaps, []);
        assert!(seen.records == self.all, "after opening again");
        assert_eq!(journal.stat().records, Some(self.all.len() as u64));
        self.journal = Some(journal);
    }
}

/// What somebody does to a file of a closed journal.
#[derive(Clone, Debug)]
enum Harm {
    Overwrite(usize, Vec<u8>),
    Truncate(usize),
    /// Copies bytes to another place in the same file.
    Move(usize, usize, usize),
    Remove,
}

fn harms() -> impl Strategy<Value = Vec<(usize, Harm)>> {
    let harm = prop_oneof![
        4 => (any::<usize>(), prop::collection::vec(any::<u8>(), 1..200)).prop_map(|(at, bytes)| Harm::Overwrite(at, bytes)),
        1 => any::<usize>().prop_map(Harm::Truncate),
        2 => (any::<usize>(), any::<usize>(), 1_usize..2000).prop_map(|(from, to, length)| Harm::Move(from, to, length)),
        1 => Just(Harm::Remove),
    ];
    prop::collection::vec((any::<usize>(), harm), 1..6)
}

fn harm(folder: &Folder, file: usize, harm: &Harm) {
    let files = folder.files();
    let Some(path) = files.get(file % files.len().max(1)) else { return };
    match harm {
        Harm::Remove => std::fs::remove_file(path).expect("it is removed"),
        Harm::Truncate(at) => Folder::edit(path, |bytes| bytes.truncate(at % (bytes.len() + 1))),
        Harm::Overwrite(at, with) => Folder::edit(path, |bytes| {
            let at = at % (bytes.len() + 1);
            let length = with.len().min(bytes.len() - at);
            bytes[at..at + length].copy_from_slice(&with[..length]);
        }),
        Harm::Move(from, to, length) => Folder::edit(path, |bytes| {
            let (from, to) = (from % (bytes.len() + 1), to % (bytes.len() + 1));
            let length = (*length).min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + length, to);
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_the_files_it_opens_and_shows_only_what_was_appended(
        harms in harms(),
        segment_bytes in prop::sample::select(vec![3000_u64, 1 << 20]),
        block_bytes in prop::sample::select(vec![200_usize, 5000]),
    ) {
        let mut folder = Folder::new().at(AckLevel::Memory);
        (folder.options.segment_bytes, folder.options.block_bytes) = (segment_bytes, block_bytes);
        let journal = folder.open();
        let all = crate::support::append_each(&*journal, 0..60);
        drop(journal);
        for (file, what) in &harms {
            harm(&folder, *file, what);
        }
        let journal = folder.open();
        let seen = crate::support::read_all(&*journal);
        prop_assert!(seen.records.iter().all(|record| all.contains(record)), "a record that nobody appended");
        prop_assert!(seen.records.is_sorted_by_key(|(position, _)| *position));
        let lost: u64 = seen.gaps.iter().filter_map(|gap| gap.records).sum();
        prop_assert!(seen.records.len() as u64 + lost <= 60, "{} read, {lost} lost", seen.records.len());
        for gap in &seen.gaps {
            prop_assert!(gap.from < gap.to);
            prop_assert!(seen.records.iter().all(|(position, _)| *position < gap.from || *position >= gap.to));
        }
        for (position, _) in all.iter().step_by(7) {
            let from_there: Vec<_> = seen.records.iter().filter(|(at, _)| at >= position).cloned().collect();
            prop_assert_eq!(read_from(&*journal, *position).records, from_there);
        }
        let new = crate::support::append_each(&*journal, 60..63);
        drop(journal);
        let again = crate::support::read_all(&*folder.open());
        prop_assert_eq!(again.records, [seen.records, new].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_journal_is_a_vector_that_survives(
        steps in steps(),
        ack in prop::sample::select(vec![AckLevel::Fsync, AckLevel::Write, AckLevel::Memory]),
        segment_bytes in prop::sample::select(vec![500_u64, 3000, 1 << 20]),
        block_bytes in prop::sample::select(vec![1_usize, 200, 5000]),
    ) {
        let mut folder = Folder::new().at(ack);
        (folder.options.segment_bytes, folder.options.block_bytes) = (segment_bytes, block_bytes);
        let journal = Some(folder.open());
        let mut model = Model { folder, journal, all: Vec::new(), next: 0 };
        for step in &steps {
            model.take(step);
        }
        model.reopen(|_| {});
    }
}
