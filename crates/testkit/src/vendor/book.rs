//! What a vendor got and what it did about it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::socket::Read;

/// A request that came whole.
#[derive(Debug)]
pub struct Request {
    /// When it was there.
    pub at: Instant,
    /// Method and target.
    pub target: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// How long its body was.
    pub bytes: usize,
    /// The events in it, in order.
    pub events: Vec<Event>,
    /// How many of their nonces had not been seen before.
    pub new: usize,
    /// Whether the vendor kept the events.
    pub is_taken_in: bool,
    /// The status that it was answered with, or was to be.
    pub status: Option<u16>,
    answered: AtomicBool,
}

/// An event of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its nonce.
    pub nonce: String,
    /// Its visitor.
    pub visitor: String,
}

/// What a vendor has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests that came whole.
    pub requests: u64,
    /// Of these, how many were taken in.
    pub taken_in: u64,
    /// Events that were taken in, each time counted.
    pub events: u64,
    /// Different nonces of these.
    pub distinct: u64,
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) requests: Vec<Arc<Request>>,
    seen: HashSet<String>,
    taken_in: HashSet<String>,
}

// === impl Request ===

impl Request {
    /// Whether the whole answer was written. A caller that did not get it cannot know what became of the request.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst)
    }

    /// One that was taken in, for tests of who judges.
    #[cfg(test)]
    pub(crate) fn of(
        target: &str,
        at: Instant,
        events: impl Iterator<Item = (String, String)>,
        answered: bool,
    ) -> Self {
        let events: Vec<_> = events.map(|(nonce, visitor)| Event { nonce, visitor }).collect();
        Self {
            at,
            target: target.to_owned(),
            headers: Vec::new(),
            bytes: 0,
            new: events.len(),
            events,
            is_taken_in: true,
            status: Some(204),
            answered: AtomicBool::new(answered),
        }
    }

    pub(super) fn answered(&self) {
        self.answered.store(true, Ordering::SeqCst);
    }
}

// === impl Book ===

impl Book {
    /// Writes a request down, and counts it.
    pub(super) fn write(
        &mut self,
        read: Read,
        status: Option<u16>,
        is_taken_in: bool,
        counts: &mut Counts,
    ) -> Arc<Request> {
        let new = read.events.iter().filter(|event| self.seen.insert(event.nonce.clone())).count();
        counts.requests += 1;
        if is_taken_in {
            counts.taken_in += 1;
            counts.events += read.events.len() as u64;
            let distinct = read.events.iter().filter(|event| self.taken_in.insert(event.nonce.clone())).count();
            counts.distinct += distinct as u64;
        }
        let request = Arc::new(Request {
            at: Instant::now(),
            target: read.target,
            headers: read.headers,
            bytes: read.bytes,
            events: read.events,
            new,
            is_taken_in,
            status,
            answered: AtomicBool::new(false),
        });
        self.requests.push(Arc::clone(&request));
        request
    }
}
