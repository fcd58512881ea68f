//! Sends that are sent again, parked ones or others: what the machine does with them.
//!
//! A replayed send goes the way of every send, by the same batches, ladders and order keys, but for three things:
//!
//! - It is not of the window: its event was finished when it was parked, and progress has nothing to say of it. Its row stays
//!   parked until the delivery log has how it ended; the commit after that takes the row away, or puts the new reason in its
//!   place. A crash in between leaves it parked: it may be sent once more when it is replayed again, with the same nonce.
//!   Of an event that is replayed from the journal there is no row; what is refused is parked as ever.
//! - It shares no request with live sends. One that is refused again costs requests to find, and live sends are not to pay.
//! - Refusals of replays are counted apart. Eight in a row say that the mapping is still wrong: then the replay is to stop, and
//!   not the lane, whose live sends may be well.

use std::sync::Arc;

use anole_event::Now;
use anole_pipeline::LanePlan;

use crate::batcher::Batch;
use crate::lane::{Again, Answered, Command, Replayed, RequestId, SetAside};
use crate::machine::Machine;
use crate::window::Seq;

/// The most replayed sends that a lane has in hand.
pub(crate) const MOST: usize = 64;

/// Where a send came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the journal: its event is in the window.
    Read(Seq),
    /// It is sent again.
    Again(Again),
}

/// What is in hand. A parked row mostly is one send; one that was parked before it was mapped, and an event, may be several.
#[derive(Debug)]
pub(crate) struct InHand {
    ordinal: u16,
    open: usize,
    parked: Vec<SetAside>,
}

// === impl Origin ===

impl Origin {
    /// What is sent again, if it is.
    pub(crate) const fn again(self) -> Option<Again> {
        match self {
            Self::Read(_) => None,
            Self::Again(again) => Some(again),
        }
    }
}

// === impl InHand ===

impl InHand {
    /// One of its sends is in the log; whether that was the last.
    pub(crate) fn finish_one(&mut self) -> bool {
        self.open = self.open.saturating_sub(1);
        self.open == 0
    }

    /// It is parked again.
    pub(crate) fn park(&mut self, park: SetAside) {
        self.parked.push(park);
    }

    /// What is set aside again, and whether that takes the place of a parked row.
    pub(crate) fn into_aside(self) -> (Vec<SetAside>, bool) {
        let replaced = self.parked.iter().any(|park| park.ordinal == self.ordinal);
        (self.parked, replaced)
    }
}

// === impl Batch ===

impl Batch {
    /// Whether a person asked for its sends: they share no request with others.
    pub(crate) fn is_replay(&self) -> bool {
        let origin = self.items.first().map(|item| item.origin);
        matches!(origin, Some(Origin::Again(Again::Parked(_) | Again::Read(_))))
    }
}

// === impl Machine ===

impl Machine {
    /// Whether something may be given to it now to be sent again.
    #[must_use]
    pub fn takes_replays(&self) -> bool {
        !self.is_draining() && self.paused.is_none() && self.replaying() < MOST
    }

    /// How many parked rows or events are in hand.
    #[must_use]
    pub fn replaying(&self) -> usize {
        self.book.in_hand.keys().filter(|again| !matches!(again, Again::Deferred(_))).count()
    }

    /// Whether so many replayed sends were refused in a row that it is the mapping.
    #[must_use]
    pub const fn replay_is_refused(&self) -> bool {
        self.replay_is_refused
    }

    /// Whether live sends wait for their turn.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.window.is_full() || self.endpoints.ready().any(|batch| !batch.is_replay())
    }

    /// A new replay begins: what was refused before is forgotten.
    pub const fn begin_replay(&mut self) {
        self.replay_refused_in_a_row = 0;
        self.replay_is_refused = false;
    }

    /// Takes what is to be sent again. What is in hand already is passed over.
    pub(crate) fn replay(&mut self, now: Now, replayed: Replayed) {
        let Replayed { of, ordinal, subject, made, plan } = replayed;
        if self.book.in_hand.contains_key(&of) {
            return;
        }
        if made.is_empty() {
            if let Again::Deferred(key) = of {
                self.deferrals.forget(key);
            }
            return;
        }
        self.book.in_hand.insert(of, InHand { ordinal, open: made.len(), parked: Vec::new() });
        let plan: &Arc<LanePlan> = &plan;
        self.place(now, Origin::Again(of), &subject, made, plan);
    }

    /// An answer came: to a replay, or to live sends.
    pub(crate) fn hear(&mut self, now: Now, request: RequestId, answered: Answered, commands: &mut Vec<Command>) {
        self.hears_replay = self.flights.get(&request).is_some_and(|flight| flight.batch.is_replay());
        if self.hears_replay {
            std::mem::swap(&mut self.refused_in_a_row, &mut self.replay_refused_in_a_row);
        }
        self.answer(now, request, answered, commands);
        if self.hears_replay {
            std::mem::swap(&mut self.refused_in_a_row, &mut self.replay_refused_in_a_row);
        }
        self.hears_replay = false;
    }
}
