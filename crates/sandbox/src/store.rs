//! What arrived, within a budget; and the counters, which are exact whatever was forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anole_http::Timestamp;
use bytes::Bytes;
use serde::Serialize;

use crate::ledger::Ledger;
use crate::reason::{Reason, Verdict};

/// Sites that are counted by name; a test that makes up site codes should not fill the memory.
const SITES: usize = 1000;

/// What a record costs beside its body: measured roughly, and rounded up.
const REQUEST_COST: usize = 512;
const EVENT_COST: usize = 128;

/// A request to the events endpoint, as it came and as it was answered.
#[derive(Debug)]
pub struct Received {
    /// Its number, from 1.
    pub number: u64,
    /// When its head came.
    pub at: Timestamp,
    /// Method, path and query.
    pub target: String,
    /// The site code of the query.
    pub site: Option<String>,
    /// The visitor code of the query, which holds for all its events.
    pub visitor: Option<String>,
    /// Whether the body is a JSON array rather than lines.
    pub json: bool,
    /// The headers, in order; credentials are masked.
    pub headers: Vec<(String, String)>,
    /// The body, exactly.
    pub body: Bytes,
    /// The status of the answer; `None` when none was given.
    pub status: Option<u16>,
    /// Why it was refused, or which fault decided.
    pub why: Option<String>,
    /// The number of its first event, when its events were taken in.
    pub first: u64,
    /// Its events, when they were taken in.
    pub events: Vec<Judged>,
}

/// An event that was taken in.
#[derive(Debug)]
pub struct Judged {
    /// Its bytes, exactly: a slice of the request's body.
    pub raw: Bytes,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Box<[Reason]>,
}

/// The counters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests to the events endpoint.
    pub requests: u64,
    /// Requests by the status of their answer; `none` where the connection was closed or left hanging.
    pub answers: BTreeMap<String, u64>,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// Events that were taken in: in requests that were answered with success, and in those whose answer a fault
    /// swallowed afterwards.
    pub events: u64,
    /// Events by verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Reasons by code.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Different nonces among the events, counted per site.
    pub distinct_nonces: u64,
    /// Whether that number is exact: false after four million.
    pub nonces_exact: bool,
    /// Events by site code.
    pub sites: BTreeMap<String, u64>,
    /// Tokens that were issued.
    pub tokens: u64,
    /// Requests that are kept.
    pub kept_requests: u64,
    /// Events that are kept.
    pub kept_events: u64,
}

/// What arrived.
#[derive(Debug)]
pub(crate) struct Store {
    requests: VecDeque<Arc<Received>>,
    pub(crate) ledger: Ledger,
    stats: Stats,
    next_event: u64,
    generation: u64,
    bytes: usize,
    events: usize,
    keep_bytes: usize,
    keep_events: usize,
}

// === impl Store ===

impl Store {
    pub(crate) fn new(keep_bytes: usize, keep_events: usize) -> Self {
        Self {
            requests: VecDeque::new(),
            ledger: Ledger::default(),
            stats: Stats::default(),
            next_event: 1,
            generation: 0,
            bytes: 0,
            events: 0,
            keep_bytes,
            keep_events,
        }
    }

    /// Forgets everything, counters too. Numbers go on, so that none is given twice.
    pub(crate) fn reset(&mut self) {
        let tokens = self.stats.tokens;
        let (next_event, generation) = (self.next_event, self.generation + 1);
        *self = Self { next_event, generation, ..Self::new(self.keep_bytes, self.keep_events) };
        self.stats.tokens = tokens;
    }

    /// Counts a request and keeps it.
    pub(crate) fn record(&mut self, mut request: Received) {
        self.count_request(request.status, request.body.len());
        request.first = self.next_event;
        self.next_event += request.events.len() as u64;
        self.count_events(request.site.as_deref(), request.events.len() as u64);
        for event in &request.events {
            *self.stats.verdicts.entry(event.verdict).or_default() += 1;
            for reason in &event.reasons {
                *self.stats.reasons.entry(reason.code).or_default() += 1;
            }
        }
        self.bytes += cost(&request);
        self.events += request.events.len();
        self.requests.push_back(Arc::new(request));
        while self.bytes > self.keep_bytes || self.events > self.keep_events {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.bytes -= cost(&oldest);
            self.events -= oldest.events.len();
        }
    }

    /// Counts a request and its answer.
    pub(crate) fn count_request(&mut self, status: Option<u16>, bytes: usize) {
        self.stats.requests += 1;
        self.stats.bytes += bytes as u64;
        let answer = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *self.stats.answers.entry(answer).or_default() += 1;
    }

    /// Counts events without a look at them.
    pub(crate) fn count_events(&mut self, site: Option<&str>, events: u64) {
        self.stats.events += events;
        let Some(site) = site.filter(|_| events > 0) else { return };
        if let Some(count) = self.stats.sites.get_mut(site) {
            *count += events;
        } else if self.stats.sites.len() < SITES {
            self.stats.sites.insert(site.to_owned(), events);
        }
    }

    pub(crate) fn count_token(&mut self) {
        self.stats.tokens += 1;
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            distinct_nonces: self.ledger.distinct(),
            nonces_exact: !self.ledger.is_full(),
            kept_requests: self.requests.len() as u64,
            kept_events: self.events as u64,
            ..self.stats.clone()
        }
    }

    /// The number of the newest event; 0 before the first.
    pub(crate) const fn newest(&self) -> u64 {
        self.next_event - 1
    }

    /// How often everything was forgotten.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// What is kept, oldest first. The records are shared, so they can be looked through without the lock.
    pub(crate) fn kept(&self) -> Vec<Arc<Received>> {
        self.requests.iter().map(Arc::clone).collect()
    }

    /// The kept requests of which an event, or which themselves, are newer than these numbers; oldest first.
    pub(crate) fn newer(&self, event: u64, request: u64) -> Vec<Arc<Received>> {
        let mut found: Vec<_> = self
            .requests
            .iter()
            .rev()
            .take_while(|received| {
                received.number > request || received.first + received.events.len() as u64 > event + 1
            })
            .map(Arc::clone)
            .collect();
        found.reverse();
        found
    }
}

fn cost(request: &Received) -> usize {
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    request.body.len() + headers + REQUEST_COST + request.events.len() * EVENT_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: u64, events: usize) -> Received {
        let body = Bytes::from(vec![b'x'; 1000]);
        let judged = |_| Judged { raw: body.slice(..10), verdict: Verdict::Accepted, reasons: Box::default() };
        Received {
            number,
            at: Timestamp::default(),
            target: String::new(),
            site: Some("f17c21u1ag".to_owned()),
            visitor: None,
            json: true,
            headers: Vec::new(),
            body: body.clone(),
            status: Some(204),
            why: None,
            first: 0,
            events: (0..events).map(judged).collect(),
        }
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_counters_stay_exact() {
        let mut store = Store::new(1 << 20, 10);
        for number in 1..=5 {
            store.record(request(number, 4));
        }
        let kept: Vec<_> = store.kept().iter().map(|request| (request.number, request.first)).collect();
        assert_eq!(kept, [(4, 13), (5, 17)]);
        let stats = store.stats();
        assert_eq!((stats.requests, stats.events, stats.kept_events), (5, 20, 8));
        assert_eq!(stats.verdicts[&Verdict::Accepted], 20);
        assert_eq!(stats.sites["f17c21u1ag"], 20);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut store = Store::new(5_000, 1_000);
        for number in 1..=100 {
            store.record(request(number, 1));
        }
        assert_eq!(store.stats().kept_requests, 3);
    }

    #[test]
    fn newer_ones_are_found_by_event_and_by_request() {
        let mut store = Store::new(1 << 20, 100);
        store.record(request(1, 2));
        store.record(request(2, 0));
        store.record(request(3, 2));
        let numbers = |found: Vec<Arc<Received>>| found.iter().map(|request| request.number).collect::<Vec<_>>();
        assert_eq!(numbers(store.newer(2, 1)), [2, 3]);
        assert_eq!(numbers(store.newer(2, 3)), [3]);
        assert_eq!(numbers(store.newer(4, 3)), [0; 0]);
    }
}
