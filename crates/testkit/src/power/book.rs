//! What was appended, what became of it, and whether what can be read agrees with that. It knows nothing of files.

use std::collections::BTreeMap;
use std::fmt;

use anole_event::{Kind, Mono, Position, Record, Timestamp};
use anole_journal::{Gap, GapReason};

/// All records of a life, by number, in the order in which they were handed over.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: Vec<Entry>,
    /// Which record stands at a position. Nothing is ever taken out: no position may stand for two.
    places: BTreeMap<u64, usize>,
    /// The greatest position that a trim has named.
    trimmed: u64,
    /// How often it was compared.
    looks: u64,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    place: Option<u64>,
    state: State,
    erasure: Erasure,
    /// When it was handed over.
    appended: Timestamp,
    /// In which look it was there last.
    seen: u64,
}

/// What may be expected of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It was not acknowledged: it may be there after an opening.
    Asked,
    /// It was not there after an opening: it may not come any more.
    Dead,
    /// It was acknowledged at level `write`, and is to be on the disk 100 ms later.
    Soft(Mono),
    /// It may be lost: its sync failed at level `write`, or it was only read, off a disk that had failed.
    Loose,
    /// It must be there.
    Safe,
    /// It may have gone: retention removed it, or it was lost where that is allowed.
    Gone,
}

/// How far its erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Erasure {
    No,
    Asked,
    Done,
}

/// What a reader found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) records: Vec<(Position, Record)>,
    pub(super) gaps: Vec<Gap>,
    /// Where the journal says that it starts.
    pub(super) start: u64,
    /// Where it was read from.
    pub(super) from: u64,
}

/// What is allowed at this look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether it is the first look after an opening: unacknowledged records may be there.
    pub(super) opened: bool,
    /// Whether the power was lost: what was not synced may be gone.
    pub(super) power_lost: bool,
    /// Whether the disk has failed since it was switched on: what is read need not be on it.
    pub(super) failed: bool,
    /// Whether appends are acknowledged at level `write`.
    pub(super) soft: bool,
    /// Whether there may be gaps.
    pub(super) gaps: bool,
    /// Until when what retention removed was handed over; nothing when it may remove all.
    pub(super) removable: Option<Timestamp>,
}

/// What a look counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) unsynced: u64,
    pub(super) removed: u64,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Lost { number: usize, place: u64 },
    Changed { place: u64, what: &'static str },
    Other(String),
}

// === impl Book ===

impl Book {
    /// Notes a record that is handed over; gives its number.
    pub(super) fn appended(&mut self, record: Record, at: Timestamp) -> usize {
        self.entries.push(Entry {
            record,
            place: None,
            state: State::Asked,
            erasure: Erasure::No,
            appended: at,
            seen: 0,
        });
        self.entries.len() - 1
    }

    /// Notes an acknowledgement; `soft` when it was given at level `write`.
    pub(super) fn acknowledged(&mut self, number: usize, position: Position, soft: Option<Mono>) -> Result<(), Wrong> {
        self.put(number, position.offset)?;
        self.entries[number].state = soft.map_or(State::Safe, State::Soft);
        Ok(())
    }

    fn put(&mut self, number: usize, place: u64) -> Result<(), Wrong> {
        if let Some(other) = self.places.insert(place, number) {
            return Err(Wrong::Other(format!("position {place} stands for records {other} and {number} (J-2)")));
        }
        self.entries[number].place = Some(place);
        Ok(())
    }

    /// What was acknowledged by then, at level `write`, is on the disk now.
    pub(super) fn synced(&mut self, by: Mono) {
        for entry in &mut self.entries {
            if let State::Soft(at) = entry.state
                && at <= by
            {
                entry.state = State::Safe;
            }
        }
    }

    /// A sync failed at level `write`.
    pub(super) fn sync_failed(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| matches!(entry.state, State::Soft(_))) {
            entry.state = State::Loose;
        }
    }

    pub(super) fn trimmed(&mut self, to: u64) {
        self.trimmed = self.trimmed.max(to);
    }

    /// Numbers and places of what has a place, from the newest back.
    pub(super) fn placed(&self) -> impl Iterator<Item = (usize, u64)> {
        self.places.iter().rev().map(|(place, number)| (*number, *place))
    }

    pub(super) fn record(&self, number: usize) -> &Record {
        &self.entries[number].record
    }

    /// Whether it must be there, whole.
    pub(super) fn is_safe(&self, number: usize) -> bool {
        self.entries[number].state == State::Safe && self.entries[number].erasure == Erasure::No
    }

    pub(super) fn erasing(&mut self, numbers: &[usize]) {
        for number in numbers {
            let erasure = &mut self.entries[*number].erasure;
            *erasure = if *erasure == Erasure::Done { Erasure::Done } else { Erasure::Asked };
        }
    }

    pub(super) fn erased(&mut self, numbers: &[usize]) {
        numbers.iter().for_each(|number| self.entries[*number].erasure = Erasure::Done);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Compares what was read with what should be there.
    pub(super) fn look(&mut self, seen: &Seen, rules: Rules) -> Result<Counts, Wrong> {
        self.looks += 1;
        let mut after = 0;
        let mut last = None;
        for (position, record) in &seen.records {
            let place = position.offset;
            if last.is_some_and(|last| last >= place) {
                return Err(Wrong::Other(format!("position {place} comes behind {last:?} (J-2)")));
            }
            last = Some(place);
            let number = match self.places.get(&place) {
                Some(number) => *number,
                None => self.guess(place, record, after, rules)?,
            };
            if number < after {
                return Err(Wrong::Other(format!("record {number} is read behind record {} (J-2)", after - 1)));
            }
            after = number + 1;
            self.compare(number, place, record)?;
        }
        let mut counts = self.missing(seen, rules)?;
        self.gaps(seen, rules)?;
        self.settle(rules, &mut counts);
        Ok(counts)
    }

    /// Which unacknowledged record it is that stands there.
    fn guess(&mut self, place: u64, record: &Record, after: usize, rules: Rules) -> Result<usize, Wrong> {
        let waits = |entry: &Entry| entry.place.is_none() && entry.state == State::Asked && entry.record == *record;
        let behind = self.entries.get(after..).unwrap_or_default().iter().position(waits).map(|found| found + after);
        match behind {
            Some(number) if rules.opened => {
                self.put(number, place)?;
                Ok(number)
            }
            Some(_) => Err(Wrong::Changed { place, what: "it is read although its append was not answered (J-2)" }),
            None => Err(Wrong::Changed { place, what: "nobody appended this, or it was gone before (J-3)" }),
        }
    }

    fn compare(&mut self, number: usize, place: u64, record: &Record) -> Result<(), Wrong> {
        let entry = &mut self.entries[number];
        entry.seen = self.looks;
        let is_erased = record.head().is_ok_and(|head| head.kind == Kind::Erased)
            && record.bytes().len() == entry.record.bytes().len();
        match entry.erasure {
            Erasure::No if entry.record == *record => Ok(()),
            Erasure::Asked if is_erased || entry.record == *record => Ok(()),
            Erasure::Done if is_erased => Ok(()),
            Erasure::No | Erasure::Asked => {
                Err(Wrong::Changed { place, what: "it differs from what was appended (J-3)" })
            }
            Erasure::Done => Err(Wrong::Changed { place, what: "it was erased, and is back (J-8)" }),
        }
    }

    /// What should be there and is not.
    fn missing(&mut self, seen: &Seen, rules: Rules) -> Result<Counts, Wrong> {
        let mut counts = Counts::default();
        for (number, entry) in self.entries.iter_mut().enumerate() {
            let Some(place) = entry.place else { continue };
            let is_read = !(seen.start..seen.from).contains(&place);
            if entry.seen == self.looks || !is_read || entry.state == State::Gone {
                continue;
            }
            let removed = place < seen.start
                && rules.removable.is_none_or(|before| place < self.trimmed && entry.appended <= before);
            let lost = match entry.state {
                State::Soft(_) | State::Loose => rules.power_lost || rules.failed,
                State::Safe | State::Asked | State::Dead | State::Gone => false,
            };
            if !removed && !lost {
                return Err(Wrong::Lost { number, place });
            }
            entry.state = State::Gone;
            *(if removed { &mut counts.removed } else { &mut counts.unsynced }) += 1;
        }
        Ok(counts)
    }

    /// Gaps are where they may be, and count what is missing.
    fn gaps(&self, seen: &Seen, rules: Rules) -> Result<(), Wrong> {
        let never = self.entries.iter().filter(|entry| entry.place.is_none()).count() as u64;
        for gap in &seen.gaps {
            let (from, to) = (gap.from.offset, gap.to.offset);
            let wrong = |what: &str| Err(Wrong::Other(format!("{what}: {gap:?}")));
            if to <= seen.start {
                // Whether that might go was looked at already.
                continue;
            }
            if gap.reason == GapReason::Trimmed {
                return wrong("a gap as of retention lies behind the start");
            }
            if !rules.gaps {
                return wrong("a gap, where nothing may be missing");
            }
            let inside = self.places.range(from..to);
            let missing = inside.filter(|(_, number)| self.entries[**number].seen != self.looks).count() as u64;
            match gap.records {
                // What was lost at the end leaves a trace only up to the end mark, which a loss of power makes older.
                Some(records) if (rules.soft || records >= missing) && records <= missing + never => {}
                _ => return wrong(&format!("{missing} records are missing in this gap")),
            }
        }
        Ok(())
    }

    /// Draws conclusions from the first look after an opening.
    fn settle(&mut self, rules: Rules, _counts: &mut Counts) {
        if !rules.opened {
            return;
        }
        for entry in &mut self.entries {
            let there = entry.seen == self.looks;
            entry.state = match entry.state {
                State::Asked if !there => State::Dead,
                // Opening syncs what it found, so that readers may rely on it.
                State::Asked | State::Soft(_) | State::Loose if rules.failed => State::Loose,
                State::Asked | State::Soft(_) | State::Loose => State::Safe,
                state @ (State::Dead | State::Safe | State::Gone) => state,
            };
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { number, place } => write!(f, "record {number} at {place} is lost (J-3)"),
            Self::Changed { place, what } => write!(f, "the record at {place}: {what}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}
