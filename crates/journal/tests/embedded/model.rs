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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

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
