//! The recorder of a lane as a model: one write under way to history and one to the state, the rest in line.

use std::collections::VecDeque;

use anole_delivery::{Moved, SetAside, Settlement};
use anole_event::Entry;
use anole_state::SendKey;

/// What waits for the stores, and what is on its way into them.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) settlements: VecDeque<Settlement>,
    pub(crate) writing: Option<(u64, Vec<Entry>)>,
    pub(crate) commits: VecDeque<Moved>,
    pub(crate) committing: Option<Moved>,
    /// How many commits go as that one.
    pub(crate) joined: u64,
}

// === impl Recorder ===

impl Recorder {
    /// Takes all that waits for history as one write; whether there is one that was not under way before.
    pub(crate) fn begin_write(&mut self) -> bool {
        if self.writing.is_some() {
            return false;
        }
        let Some(first) = self.settlements.pop_front() else { return false };
        let (mut number, mut entries) = (first.number, first.entries);
        for more in self.settlements.drain(..) {
            number = more.number;
            entries.extend(more.entries);
        }
        self.writing = Some((number, entries));
        true
    }

    /// The same for the state.
    pub(crate) fn begin_commit(&mut self) -> bool {
        if self.committing.is_some() {
            return false;
        }
        let Some(mut moved) = self.commits.pop_front() else { return false };
        self.joined = 1;
        for more in self.commits.drain(..) {
            self.joined += 1;
            moved.progress = more.progress;
            moved.parked.extend(more.parked);
            let ends = |row: &SetAside| {
                let key = SendKey { position: row.subject.position, ordinal: row.ordinal };
                more.undeferred.contains(&key)
            };
            moved.deferred.retain(|row| !ends(row));
            moved.deferred.extend(more.deferred);
            moved.undeferred.extend(more.undeferred);
        }
        self.committing = Some(moved);
        true
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.settlements.is_empty() && self.writing.is_none() && self.commits.is_empty() && self.committing.is_none()
    }
}
