//! Sends that fail whenever they are sent, while others go through.
//!
//! A vendor's own bug can make it fail on one event (a 500 for one odd product name) for as long as the event is tried. Such a
//! send is not refused, so nobody is to blame for it, and it may well be taken next week; but it must not hold a place, its
//! order key and the lane's progress until it expires.
//!
//! # When
//!
//! A failure counts against a batch when, since its last failure, its endpoint has delivered something else, and the endpoint's
//! breaker is closed. A 429 never counts. With the fifth that counts, the batch is halved, one half after the other, as a refused
//! one is; a part that fails too is halved again at once. A single send isolated so, that fails while the endpoint delivers others (its
//! sister, mostly), is *deferred*: finding one bad send of `n` costs at most `2*ceil(log2 n)+1` requests, if no failure of the endpoint
//! itself comes between, beside those with which the whole batch failed before.
//!
//! # What then
//!
//! It is told in the delivery log as `deferred`, `fails_alone`, copied to the state with the time when it is due, and progress passes
//! its event. It is tried again after 5 minutes, then 10, 20, 40 and each hour, alone in its request and mapped by the plan that is in
//! force then, until it is taken, refused (and parked), or too old. A failure defers it again, and says nothing of the endpoint. While
//! the endpoint's breaker is open others are its probes, and a paused lane takes none of them.
//!
//! Later sends of its order key go on meanwhile. They are marked `reordered`, as they may have overtaken it.
//!
//! A lane defers a thousand sends at most: beyond that it is not a few odd events, and batches wait by their ladders as they did.
//! Of a replay nothing is deferred: a parked send that fails alone is parked again, for the person who had it replayed.
//!
//! Rejected: deferring at the first failure (a flaky vendor would reorder everything), and parking instead (a person would have
//! to replay what time mends).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anole_event::{Mono, Now, OrderKey, Outcome, Reason, State};
use anole_state::SendKey;

use crate::batcher::{Batch, Item};
use crate::lane::{Again, Command, Deferral, Deferred};
use crate::machine::Machine;
use crate::replaying::Origin;

/// Failures that count, after which a batch is halved.
const FAILURES: u32 = 5;
/// The most sends that a lane defers.
pub(crate) const MOST: usize = 1_000;
/// The most of them that are in hand at a time.
const IN_HAND: usize = 8;
/// The first wait.
const FIRST: Duration = Duration::from_secs(5 * 60);
/// The last wait, repeated from then on.
pub(crate) const LAST: Duration = Duration::from_secs(60 * 60);

/// After this a send that the state could not give is asked for again.
const UNREAD: Duration = Duration::from_secs(60);

/// The deferred sends of a lane, without their events.
#[derive(Debug, Default)]
pub(crate) struct Deferrals {
    all: BTreeMap<SendKey, Waits>,
    /// How many there are of each order key.
    keys: HashMap<OrderKey, u32>,
    in_hand: usize,
}

#[derive(Debug)]
struct Waits {
    order_key: OrderKey,
    /// How often it was deferred.
    times: u32,
    /// When it is due; nothing while it is in hand.
    due: Option<Mono>,
    /// Whether the state has it. It does not before all of its event has ended: until then it is not asked for.
    kept: bool,
}

// === impl Deferrals ===

impl Deferrals {
    /// Takes one that the state has.
    pub(crate) fn know(&mut self, deferred: &Deferred) {
        let Deferred { key, order_key, times, due } = *deferred;
        if self.all.insert(key, Waits { order_key, times, due: Some(due), kept: true }).is_none() {
            *self.keys.entry(order_key).or_default() += 1;
        }
    }

    /// The state takes it.
    pub(crate) fn keep(&mut self, key: SendKey) {
        if let Some(waits) = self.all.get_mut(&key) {
            waits.kept = true;
        }
    }

    /// A send is set aside, for the first time or again. When it is due.
    fn put(&mut self, now: Now, key: SendKey, order_key: OrderKey) -> Deferral {
        let kept = self.all.get(&key).is_some_and(|waits| waits.kept);
        let times = self.all.get(&key).map_or(0, |waits| waits.times) + 1;
        let wait = FIRST.saturating_mul(1 << (times - 1).min(4)).min(LAST);
        self.in_hand -= usize::from(self.all.get(&key).is_some_and(|waits| waits.due.is_none()));
        self.know(&Deferred { key, order_key, times, due: now.mono.after(wait) });
        if let Some(waits) = self.all.get_mut(&key) {
            waits.kept = kept;
        }
        Deferral { due_at: now.wall.after(wait), times }
    }

    /// It could not be read: it is due again in a while.
    pub(crate) fn postpone(&mut self, now: Mono, key: SendKey) {
        if let Some(waits) = self.all.get_mut(&key) {
            self.in_hand -= usize::from(waits.due.is_none());
            waits.due = Some(now.after(UNREAD));
        }
    }

    /// It has ended otherwise, or is gone.
    pub(crate) fn forget(&mut self, key: SendKey) {
        let Some(waits) = self.all.remove(&key) else { return };
        self.in_hand -= usize::from(waits.due.is_none());
        if let Some(count) = self.keys.get_mut(&waits.order_key) {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(&waits.order_key);
            }
        }
    }

    /// A send that was in hand came to its end, whether that is written yet or not.
    pub(crate) fn ends(&mut self, origin: Origin) {
        if let Origin::Again(Again::Deferred(key)) = origin {
            self.forget(key);
        }
    }

    /// Whether a send may overtake one that is deferred.
    fn may_be_overtaken_by(&self, item: &Item) -> bool {
        let is_live = matches!(item.origin, Origin::Read(_));
        is_live && self.keys.contains_key(&item.subject.order_key)
    }

    /// When the next one is due, as long as more may be in hand.
    pub(crate) fn next_due(&self) -> Option<Mono> {
        let may = self.in_hand < IN_HAND;
        self.all.values().filter(|waits| waits.kept).filter_map(|waits| waits.due).min().filter(|_| may)
    }

    fn take_due(&mut self, now: Mono) -> Option<SendKey> {
        if self.in_hand >= IN_HAND {
            return None;
        }
        let is_due = |waits: &Waits| waits.kept && waits.due.is_some_and(|due| due <= now);
        let due = self.all.iter_mut().filter(|(_, waits)| is_due(waits));
        let (key, waits) = due.min_by_key(|(_, waits)| waits.due)?;
        waits.due = None;
        self.in_hand += 1;
        Some(*key)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

// === impl Batch ===

impl Batch {
    /// Whether it is a deferred send, which travels alone.
    pub(crate) fn is_deferred(&self) -> bool {
        matches!(self.items.first().map(|item| item.origin), Some(Origin::Again(Again::Deferred(_))))
    }
}

// === impl Machine ===

impl Machine {
    /// Counts a failure of a batch that was no 429. Whether its sends are to be set aside, or found by halving.
    pub(crate) fn fails_alone(&mut self, batch: &mut Batch) -> bool {
        if batch.is_deferred() {
            return true;
        }
        let endpoint = self.endpoints.of(&batch.address.endpoint);
        if endpoint.breaker.is_open() {
            return false;
        }
        let counts = endpoint.delivered > batch.delivered_before;
        batch.delivered_before = endpoint.delivered;
        batch.failed_alone += u32::from(counts);
        let is_halved = batch.part && batch.items.len() > 1;
        batch.failed_alone >= FAILURES && (counts || is_halved) && self.deferrals.len() + batch.items.len() <= MOST
    }

    /// How a send ends that fails alone.
    pub(crate) fn fails_alone_as(batch: &Batch, detail: &str) -> Outcome {
        let is_replay = batch.is_replay();
        let state = if is_replay { State::Parked } else { State::Deferred };
        let what = if batch.is_deferred() {
            "it fails again".to_owned()
        } else {
            format!("it has failed {FAILURES} times or more while others were delivered")
        };
        let then = if is_replay { "" } else { "; it is tried again later, by itself" };
        Outcome::new(state, Reason::FailsAlone).with_detail(format!("{what}: {detail}{then}"))
    }

    /// A send is deferred: when it is due.
    pub(crate) fn defer(&mut self, now: Now, item: &Item) -> Deferral {
        let key = SendKey { position: item.subject.position, ordinal: item.send.ordinal };
        self.deferrals.put(now, key, item.subject.order_key)
    }

    /// Asks for the deferred sends that are due.
    pub(crate) fn undefer(&mut self, now: Mono, commands: &mut Vec<Command>) {
        if self.is_draining() || self.paused.is_some() {
            return;
        }
        while let Some(key) = self.deferrals.take_due(now) {
            commands.push(Command::Undefer(key));
        }
    }

    /// Marks what may overtake a deferred send.
    pub(crate) fn mark_overtaking(&self, batch: &mut Batch) {
        if self.deferrals.len() == 0 {
            return;
        }
        for item in batch.items.iter_mut().filter(|item| self.deferrals.may_be_overtaken_by(item)) {
            item.send.marks = item.send.marks.with(anole_event::Marks::REORDERED);
        }
    }
}
