//! Appends on their way to the committer: bounded by bytes, never by time.
//!
//! There is no timer that waits for more appends to come. Those that arrive while a sync is under way are taken together
//! when it ends, so the sync itself is the window; and an append that comes while nothing is under way waits for nothing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use anole_event::Record;

use super::log::lock;
use crate::{AppendError, AppendReply};

/// What a record costs beside its bytes: its length and its share of a head in the file, its handle and its reply in
/// memory, its entry in the index.
const OVERHEAD: usize = 96;

/// One call of `append`.
#[derive(Debug)]
pub(crate) struct Pending {
    /// At least one.
    pub(crate) records: Vec<Record>,
    /// Who waits.
    pub(crate) reply: AppendReply,
    cost: u64,
}

/// What the committer finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Work.
    Batch(Vec<Pending>),
    /// The segment that is appended to is to be ended.
    Roll,
    /// The time it wanted to wait at most has passed.
    Idle,
    /// The queue is closed, and everything that was in it has been taken.
    Closed,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: u64,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Pending>,
    cost: u64,
    closed: bool,
    roll: bool,
    /// Whether the committer sleeps: waking one that does not costs a system call for nothing.
    asleep: bool,
}

// === impl Pending ===

impl Pending {
    /// An append of these records.
    pub(crate) fn new(records: Vec<Record>, reply: AppendReply) -> Self {
        let cost = records.iter().map(Self::cost_of).sum();
        Self { records, reply, cost }
    }

    /// What a record takes, in bytes.
    pub(crate) fn cost_of(record: &Record) -> u64 {
        (record.bytes().len() + OVERHEAD) as u64
    }
}

// === impl Queue ===

impl Queue {
    /// A queue for this many bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), limit }
    }

    /// Puts an append at the end. One alone is always taken, however large: it could never be written otherwise.
    pub(crate) fn push(&self, pending: Pending) -> Result<(), (AppendError, AppendReply)> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err((AppendError::Closed, pending.reply));
        }
        if state.cost > 0 && state.cost + pending.cost > self.limit {
            return Err((AppendError::Busy { waiting: state.cost, limit: self.limit }, pending.reply));
        }
        state.cost += pending.cost;
        state.waiting.push_back(pending);
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes appends up to `most` bytes, but at least one. Waits for the first one, or for this long.
    pub(crate) fn take(&self, most: u64, wait: Option<Duration>) -> Taken {
        let mut state = lock(&self.state);
        while state.waiting.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            if std::mem::take(&mut state.roll) {
                return Taken::Roll;
            }
            state.asleep = true;
            let idle;
            (state, idle) = match wait {
                None => (self.filled.wait(state).unwrap_or_else(PoisonError::into_inner), false),
                Some(wait) => {
                    let woken = self.filled.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
                    (woken.0, woken.1.timed_out())
                }
            };
            state.asleep = false;
            if idle && state.waiting.is_empty() && !state.closed && !state.roll {
                return Taken::Idle;
            }
        }
        if std::mem::take(&mut state.roll) {
            return Taken::Roll;
        }
        let mut cost = 0;
        let fits = |pending: &Pending| {
            let first = cost == 0;
            cost += pending.cost;
            first || cost <= most
        };
        let many = state.waiting.iter().map(fits).take_while(|fits| *fits).count();
        let batch: Vec<_> = state.waiting.drain(..many).collect();
        state.cost -= batch.iter().map(|pending| pending.cost).sum::<u64>();
        Taken::Batch(batch)
    }

    /// Asks for the segment to be ended that is appended to. Once is enough, however often it is asked.
    pub(crate) fn ask_to_roll(&self) {
        let mut state = lock(&self.state);
        state.roll = true;
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    /// How many bytes wait.
    pub(crate) fn cost(&self) -> u64 {
        lock(&self.state).cost
    }

    /// Whether nothing is taken any more.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Takes nothing more. What waits is still written.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_all();
    }

    /// Takes nothing more, and gives up what waits: the committer is gone.
    pub(crate) fn abandon(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.cost = 0;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for pending in waiting {
            pending.reply.send(Err(AppendError::Closed));
        }
    }
}
