//! The three stores as models: what is certain, and what a cut may take.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use anole_delivery::WindowProgress;
use anole_event::{AttemptId, Entry, LaneId, Position, Random, Seeded, State};

use super::plan::{Event, STEP};

/// Which send of which lane: lane, position, ordinal.
pub(crate) type SendOf = (LaneId, u64, u16);

/// The journal. Readers see what is acknowledged and not let go.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// All events ever, by number; the position is the number times [`STEP`].
    pub(crate) events: Vec<Event>,
    /// How many of them are synced, and so acknowledged.
    pub(crate) synced: usize,
    /// Positions before this are let go.
    pub(crate) start: u64,
}

/// The delivery log.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Appends in their order: each is there or not as a whole.
    appends: Vec<Vec<Entry>>,
    ids: HashSet<(LaneId, AttemptId)>,
    synced: usize,
    /// Sends whose end a power cut took from the log.
    pub(crate) taken: BTreeSet<SendOf>,
}

/// What the state holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) progress: BTreeMap<LaneId, WindowProgress>,
    pub(crate) parked: BTreeSet<SendOf>,
}

/// One transaction of state.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) lane: LaneId,
    pub(crate) progress: Option<WindowProgress>,
    pub(crate) parked: Vec<(u64, u16)>,
}

/// The state, with its backup.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) held: Held,
    pub(crate) backup: Option<Held>,
}

// === impl Journal ===

impl Journal {
    pub(crate) fn append(&mut self, key: u64, sends: Vec<super::plan::Fate>) {
        let position = self.events.len() as u64 * STEP;
        self.events.push(Event { position, key, sends });
    }

    /// The first event at this position or behind it that a reader sees.
    pub(crate) fn read(&self, from: u64) -> Option<&Event> {
        let number = usize::try_from(from.max(self.start).div_ceil(STEP)).expect("few events");
        self.acknowledged().get(number)
    }

    pub(crate) fn acknowledged(&self) -> &[Event] {
        &self.events[..self.synced]
    }

    pub(crate) fn end(&self) -> u64 {
        self.synced as u64 * STEP
    }

    pub(crate) fn cut_power(&mut self, random: &mut Seeded) {
        let kept = random.below((self.events.len() - self.synced) as u64 + 1);
        self.events.truncate(self.synced + usize::try_from(kept).expect("few events"));
        self.recovered();
    }

    /// What is there when the journal is opened is synced then.
    pub(crate) fn recovered(&mut self) {
        self.synced = self.events.len();
    }
}

// === impl History ===

impl History {
    /// Idempotent by (lane, id), as the contract says.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let new: Vec<_> =
            entries.iter().filter(|entry| self.ids.insert((entry.lane.clone(), entry.id))).cloned().collect();
        self.appends.push(new);
    }

    pub(crate) fn sync(&mut self) {
        self.synced = self.appends.len();
    }

    pub(crate) fn cut_power(&mut self, random: &mut Seeded) {
        let kept = random.below((self.appends.len() - self.synced) as u64 + 1);
        let kept = self.synced + usize::try_from(kept).expect("few appends");
        for entry in self.appends.drain(kept..).flatten() {
            self.ids.remove(&(entry.lane.clone(), entry.id));
            let ended = entry.sends.iter().filter(|send| send.outcome.is_some());
            self.taken.extend(ended.map(|send| (entry.lane.clone(), send.position.offset, send.ordinal)));
        }
        self.sync();
    }

    /// How each send ended last.
    pub(crate) fn ends(&self) -> BTreeMap<SendOf, State> {
        let mut ends = BTreeMap::new();
        for entry in self.appends.iter().flatten() {
            for send in &entry.sends {
                if let Some(outcome) = &send.outcome {
                    ends.insert((entry.lane.clone(), send.position.offset, send.ordinal), outcome.state);
                }
            }
        }
        ends
    }
}

// === impl Held ===

impl Held {
    /// Whether the event is behind the lane's progress.
    pub(crate) fn is_behind(&self, lane: &LaneId, position: u64) -> bool {
        self.progress
            .get(lane)
            .is_some_and(|progress| position < progress.watermark.offset || covers(&progress.finished, position))
    }

    pub(crate) fn take(&mut self, change: &Change) {
        if let Some(progress) = &change.progress {
            self.progress.insert(change.lane.clone(), progress.clone());
        }
        for (position, ordinal) in &change.parked {
            self.parked.insert((change.lane.clone(), *position, *ordinal));
        }
    }

    /// Up to where every lane is done.
    pub(crate) fn everyone_passed(&self) -> u64 {
        self.progress.values().map(|progress| progress.watermark.offset).min().unwrap_or(0)
    }
}

// === impl Store ===

impl Store {
    /// Lanes that the state does not know begin at the journal's end, or at its start when the state knows none at all:
    /// as `Delivery::start` does it.
    pub(crate) fn register(&mut self, lanes: &[LaneId], journal: &Journal) {
        let from = if self.held.progress.is_empty() { journal.start } else { journal.end() };
        for lane in lanes {
            let start = WindowProgress { watermark: Position::at(from), finished: Vec::new() };
            self.held.progress.entry(lane.clone()).or_insert(start);
        }
    }
}

pub(crate) fn covers(ranges: &[Range<u64>], position: u64) -> bool {
    ranges.iter().any(|range| range.contains(&position))
}
