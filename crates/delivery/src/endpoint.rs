//! The endpoints that a lane calls, each with the batches that wait for it and what is known of how it does.
//!
//! A lane mostly has one, or one per region or site. What is learnt of an endpoint is its own: one that hangs, asks for silence
//! or for less does not slow down the others of the lane, as long as the lane's window has room.
//!
//! A batch is let through when its endpoint has not asked for silence, the breaker ([`crate::breaker`]) and the pace
//! ([`crate::pace`]) allow it, and fewer than the allowed number of its batches are under way or wait for another try. Endpoints
//! take turns.

use std::collections::{BTreeMap, VecDeque};

use anole_event::{Mono, Random};
use anole_pipeline::EndpointKey;

use crate::batcher::Batch;
use crate::breaker::{Admits, Breaker, Health};
use crate::lane::{EndpointStatus, Silences};
use crate::pace::Pace;

/// With more endpoints than this, those that nothing is known of are forgotten.
const KNOWN: usize = 64;

/// One endpoint of a lane.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    /// Closed batches, next first.
    pub(crate) ready: VecDeque<Batch>,
    /// Parts of the batch that is being split, next last; `None` while none is.
    pub(crate) split: Option<Vec<Batch>>,
    /// Batches that wait for their turn to be split.
    pub(crate) to_split: VecDeque<Batch>,
    /// Requests under way.
    pub(crate) flying: usize,
    /// Batches that wait for another try.
    pub(crate) retrying: usize,
    /// No request before this.
    pub(crate) silent_until: Mono,
    pub(crate) breaker: Breaker,
    pub(crate) pace: Pace,
    /// Requests of which something was delivered.
    pub(crate) delivered: u64,
}

/// All endpoints of a lane.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    all: BTreeMap<EndpointKey, Endpoint>,
    /// The one whose turn it was.
    last: Option<EndpointKey>,
}

// === impl Endpoint ===

impl Endpoint {
    /// When the next of its batches may be sent; nothing when that is after an answer.
    fn next(&self, now: Mono, inflight: usize) -> Option<Mono> {
        let allowed = match self.breaker.admits(now) {
            Admits::All if self.flying + self.retrying >= inflight => return None,
            Admits::AfterProbe => return None,
            Admits::ProbeAt(at) => at,
            Admits::All | Admits::Probe => Mono::default(),
        };
        Some(allowed.max(self.silent_until).max(self.pace.next()))
    }

    /// The next batch. While the breaker wants to know, that is the one that has failed least, and a deferred send comes last.
    fn pop(&mut self) -> Option<Batch> {
        if !self.breaker.is_open() {
            return self.ready.pop_front();
        }
        let (at, _) = self.ready.iter().enumerate().min_by_key(|(_, batch)| (batch.is_deferred(), batch.failed))?;
        self.ready.remove(at)
    }

    /// Where a part of a batch that is being split stands.
    fn part(&self) -> Option<usize> {
        self.ready.iter().position(|batch| batch.part)
    }

    /// Whether one that is made anew would know as much.
    fn is_new(&self, now: Mono) -> bool {
        self.ready.is_empty()
            && self.split.is_none()
            && self.flying + self.retrying == 0
            && self.silent_until <= now
            && self.breaker.is_new()
            && self.pace.is_free()
    }
}

// === impl Endpoints ===

impl Endpoints {
    /// The endpoint of a batch.
    pub(crate) fn of(&mut self, key: &EndpointKey) -> &mut Endpoint {
        if !self.all.contains_key(key) {
            self.all.insert(key.clone(), Endpoint::default());
        }
        // It was put there just now.
        self.all.entry(key.clone()).or_default()
    }

    /// Batches that were closed wait in their order.
    pub(crate) fn take_in(&mut self, now: Mono, closed: &mut VecDeque<Batch>) {
        for batch in closed.drain(..) {
            if self.all.len() >= KNOWN && !self.all.contains_key(&batch.address.endpoint) {
                self.all.retain(|_, endpoint| !endpoint.is_new(now));
            }
            let key = batch.address.endpoint.clone();
            self.of(&key).ready.push_back(batch);
        }
    }

    /// A batch comes before all others of its endpoint.
    pub(crate) fn push_front(&mut self, batch: Batch) {
        let key = batch.address.endpoint.clone();
        self.of(&key).ready.push_front(batch);
    }

    /// The next batch that may be sent now, of the next endpoint in turn that has one.
    pub(crate) fn pop(&mut self, now: Mono, inflight: usize) -> Option<Batch> {
        let may = |endpoint: &Endpoint| {
            !endpoint.ready.is_empty() && endpoint.next(now, inflight).is_some_and(|next| next <= now)
        };
        let turn = self.in_turn().find(|(_, endpoint)| may(endpoint)).map(|(key, _)| key.clone())?;
        let batch = self.all.get_mut(&turn)?.pop();
        self.last = Some(turn);
        batch
    }

    /// When the next batch may be sent; nothing when there is none, or that is after an answer.
    pub(crate) fn next(&self, now: Mono, inflight: usize) -> Option<Mono> {
        let waiting = self.all.values().filter(|endpoint| !endpoint.ready.is_empty());
        waiting.filter_map(|endpoint| endpoint.next(now, inflight)).min()
    }

    /// Where a paused lane's probe goes, and when it may: where a part of a batch that is being split waits, at the endpoint for
    /// which the lane is paused, or where there is something to be sent, in this order.
    pub(crate) fn next_probe(&self, now: Mono, at: Option<&EndpointKey>) -> Option<(&EndpointKey, Mono)> {
        let waiting = || self.all.iter().filter(|(_, endpoint)| !endpoint.ready.is_empty());
        let with_part = waiting().find(|(_, endpoint)| endpoint.part().is_some());
        let chosen = with_part.or_else(|| waiting().find(|(key, _)| Some(*key) == at));
        match chosen {
            Some((key, endpoint)) => Some((key, endpoint.next(now, usize::MAX)?)),
            None => {
                let next = |(key, endpoint): (_, &Endpoint)| Some((key, endpoint.next(now, usize::MAX)?));
                waiting().filter_map(next).min_by_key(|(_, next)| *next)
            }
        }
    }

    /// The batch of which a probe is made there.
    pub(crate) fn pop_probe(&mut self, key: &EndpointKey) -> Option<Batch> {
        let endpoint = self.all.get_mut(key)?;
        match endpoint.part() {
            Some(at) => endpoint.ready.remove(at),
            None => endpoint.pop(),
        }
    }

    /// Whether a batch is being split there no part of which can be sent now.
    pub(crate) fn misses_part(&self, key: &EndpointKey) -> bool {
        self.all.get(key).is_some_and(|endpoint| endpoint.split.is_some() && endpoint.part().is_none())
    }

    /// Batches that wait to be sent.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Batch> {
        self.all.values().flat_map(|endpoint| &endpoint.ready)
    }

    /// Which endpoints have asked for silence, and until when.
    pub(crate) fn silences(&self) -> Silences {
        let silent = self.all.iter().filter(|(_, endpoint)| endpoint.silent_until > Mono::default());
        silent.map(|(key, endpoint)| (key.clone(), endpoint.silent_until)).collect()
    }

    /// What there is to be said of them.
    pub(crate) fn status(&self, now: Mono) -> Vec<EndpointStatus> {
        let status = |(key, endpoint): (&EndpointKey, &Endpoint)| EndpointStatus {
            endpoint: key.clone(),
            open: endpoint.breaker.is_open(),
            rate: endpoint.pace.rate(),
            silent: endpoint.silent_until.since(now),
            waiting: endpoint.ready.len() + endpoint.retrying,
        };
        self.all.iter().map(status).collect()
    }

    fn in_turn(&self) -> impl Iterator<Item = (&EndpointKey, &Endpoint)> {
        let is_later = |key: &EndpointKey| self.last.as_ref().is_none_or(|last| key > last);
        let later = self.all.iter().filter(move |(key, _)| is_later(key));
        later.chain(self.all.iter().filter(move |(key, _)| !is_later(key)))
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// An answer came to a request that was made at `sent`. Whether the breaker opened or closed with it.
    pub(crate) fn hears(
        &mut self,
        now: Mono,
        (health, is_429): (Health, bool),
        (sent, probe): (Mono, bool),
        random: &mut dyn Random,
    ) -> Option<bool> {
        if is_429 {
            self.pace.is_too_much(now, sent);
        } else if health == Health::Alive {
            self.pace.is_taken(now);
        }
        let was_open = self.breaker.is_open();
        self.breaker.hears(now, health, probe, random);
        let is_open = self.breaker.is_open();
        (was_open != is_open).then_some(is_open)
    }
}
