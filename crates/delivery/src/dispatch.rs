//! Which batch is sent next, and when: the machine's way from a line of batches to a request.

use std::sync::Arc;

use anole_event::{Marks, Mono, Now, Outcome, Reason, State};
use anole_pipeline::EndpointKey;

use crate::batcher::{Batch, Item};
use crate::lane::{Command, Outgoing};
use crate::machine::{Flight, Machine, PauseCause};

/// The most sends of a probe.
const PROBE: usize = 10;

// === impl Machine ===

impl Machine {
    /// Batches that have waited long enough for another try stand first in line.
    pub(crate) fn retry_due(&mut self, now: Mono) {
        self.take_retrying(|due, _| due <= now);
    }

    /// The batches of an endpoint whose breaker has opened wait for that, and not by their ladders.
    pub(crate) fn gather(&mut self, endpoint: &EndpointKey) {
        self.take_retrying(|_, batch| batch.address.endpoint == *endpoint);
    }

    fn take_retrying(&mut self, takes: impl Fn(Mono, &Batch) -> bool) {
        let mut at = 0;
        while at < self.retrying.len() {
            let (due, batch) = &self.retrying[at];
            if takes(*due, batch) {
                let batch = self.stop_retrying(at);
                self.endpoints.push_front(batch);
            } else {
                at += 1;
            }
        }
    }

    fn stop_retrying(&mut self, at: usize) -> Batch {
        let (_, batch) = self.retrying.swap_remove(at);
        let endpoint = self.endpoints.of(&batch.address.endpoint);
        endpoint.retrying = endpoint.retrying.saturating_sub(1);
        batch
    }

    /// When the next request may be made, if that is a matter of time.
    pub(crate) fn next_request_at(&self) -> Option<Mono> {
        let now = self.last?.mono;
        match &self.paused {
            _ if self.draining => None,
            None if self.flights.len() >= self.options.inflight_in_all => None,
            None => self.endpoints.next(now, self.options.inflight),
            Some(paused) if paused.cause != PauseCause::Person && self.flights.is_empty() => {
                Some(paused.next_probe.max(self.endpoints.next_probe(now, paused.endpoint.as_ref())?.1))
            }
            Some(_) => None,
        }
    }

    pub(crate) fn dispatch(&mut self, now: Now, commands: &mut Vec<Command>) {
        while !self.draining {
            let probe = self.paused.is_some();
            let next = if probe { self.next_probe(now) } else { self.next_batch(now) };
            let Some(mut batch) = next else { return };
            self.drop_expired(now, &mut batch);
            self.endpoints.take_in(now.mono, &mut self.closed);
            if batch.items.is_empty() {
                if batch.part {
                    self.next_part(&batch.address.endpoint);
                }
                continue;
            }
            if probe {
                self.shorten_probe(now, &mut batch);
            }
            self.send(now, batch, probe, commands);
        }
    }

    fn next_batch(&mut self, now: Now) -> Option<Batch> {
        if self.flights.len() >= self.options.inflight_in_all {
            return None;
        }
        self.endpoints.pop(now.mono, self.options.inflight)
    }

    /// The batch of which a probe is made. While a batch is being split that is its part, even one that would wait longer for
    /// its next try: what is cut off it stays in order behind it, and there is one such row.
    fn next_probe(&mut self, now: Now) -> Option<Batch> {
        let paused = self.paused.as_ref()?;
        let endpoint = paused.endpoint.clone();
        let due = paused.cause != PauseCause::Person && paused.next_probe <= now.mono && self.flights.is_empty();
        let (key, at) = self.endpoints.next_probe(now.mono, endpoint.as_ref())?;
        if !due || at > now.mono {
            return None;
        }
        let key = key.clone();
        let in_ladder = |(_, batch): &(Mono, Batch)| batch.part && batch.address.endpoint == key;
        if self.endpoints.misses_part(&key)
            && let Some(at) = self.retrying.iter().position(in_ladder)
        {
            return Some(self.stop_retrying(at));
        }
        self.endpoints.pop_probe(&key)
    }

    /// A probe is small. The rest of its batch comes behind it as the next part of a batch that is being split does, and not
    /// before the probe has ended: they may hold sends of one order key.
    fn shorten_probe(&mut self, now: Now, batch: &mut Batch) {
        let mut most = PROBE;
        if let Some(paused) = &mut self.paused {
            paused.next_probe = now.mono.after(self.options.probe_every);
            if paused.cause == PauseCause::Refusals {
                most = 1;
            }
        }
        if batch.items.len() > most {
            let rest = batch.split_off(most, true);
            batch.part = true;
            self.endpoints.of(&batch.address.endpoint).split.get_or_insert_default().push(rest);
        }
    }

    fn send(&mut self, now: Now, mut batch: Batch, probe: bool, commands: &mut Vec<Command>) {
        let request = self.next_request;
        self.next_request += 1;
        let items: Vec<_> = batch.items.iter().map(|item| item.send.item.clone()).collect();
        commands.push(Command::Send(Outgoing {
            request,
            address: Arc::clone(&batch.address),
            plan: Arc::clone(&batch.plan),
            body: batch.plan.requests[batch.address.request].assemble(&items),
            sends: items.len(),
        }));
        let paused = self.paused.as_ref().map(|paused| paused.cause);
        let of_refusals = probe && paused == Some(PauseCause::Refusals);
        self.mark_overtaking(&mut batch);
        let endpoint = self.endpoints.of(&batch.address.endpoint);
        if batch.failed == 0 && !batch.part {
            batch.delivered_before = endpoint.delivered;
        }
        endpoint.flying += 1;
        endpoint.pace.sends(now.mono);
        let of_breaker = endpoint.breaker.sends();
        self.flights.insert(request, Flight { batch, probe, of_refusals, sent: now.mono, of_breaker });
    }

    fn drop_expired(&mut self, now: Now, batch: &mut Batch) {
        if self.suspended_until.is_some() {
            return;
        }
        let is_expired = |item: &Item| item.expires_at.is_some_and(|at| at <= now.wall);
        if !batch.items.iter().any(is_expired) {
            return;
        }
        let (expired, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut batch.items).into_iter().partition(is_expired);
        batch.items = kept;
        for item in expired {
            let age = now.wall.since(item.subject.received_at);
            let limit = item.send.expires.unwrap_or_default();
            let outcome = Outcome::new(State::Expired, Reason::TooOld).with_detail(format!(
                "{} s old, of use for {} s",
                age.as_secs(),
                limit.as_secs()
            ));
            self.deferrals.ends(item.origin);
            self.book.item_ended(now, &item, &batch.plan, outcome, Marks::NONE);
            self.batcher.release(now.mono, item.subject.order_key, &mut self.closed);
        }
    }
}
