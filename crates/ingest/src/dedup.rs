//! The window in which a repeated event is recognised.
//!
//! Clients repeat a request when they did not see its answer, with the same message ids. What is kept is a 128-bit
//! fingerprint of (pipeline, message id) and nothing else. An event is in one of two places:
//!
//! - **in flight** from the moment its request is about to append it. A repetition that comes meanwhile waits for the
//!   [`Flight`] of the original: its 200 may not come before the original is safe, and when the original fails, so does
//!   the repetition, and the client tries both again.
//! - **in the window** from the moment its append was acknowledged, for an hour of the monotonic clock, or until the bytes
//!   of the window run out. A failed append never enters it.
//!
//! The window is a set and a ring of the fingerprints in the order in which they came, with a mark for each second. A
//! map from fingerprint to time was rejected: it costs 48 bytes per event where this costs 35, and the length of the
//! window is what the bytes buy. One lock guards it; it is held for some tens of nanoseconds per event, never over a wait.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_event::{Fingerprint, Mono, Now, Timestamp};
use tokio::sync::Notify;

use crate::landing::Due;

/// What an entry costs: 16 bytes in the ring, and in the set 16 and one for control, at a load of 7/8 at most and half of
/// that after it has grown.
const ENTRY_BYTES: usize = 16 + 19;

/// How large the window may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupOptions {
    /// How many bytes it may take, about. 64 MiB, which is 1.9 million events.
    pub bytes: usize,
    /// How long an event is recognised. 1 h.
    pub window: Duration,
}

/// The window.
#[derive(Debug)]
pub(crate) struct Dedup {
    most: usize,
    /// In seconds.
    window: i64,
    inner: Mutex<Inner>,
    due: Due,
}

#[derive(Debug, Default)]
struct Inner {
    flying: HashMap<u128, Arc<Flight>, BuildHasherDefault<Ready>>,
    known: HashSet<u128, BuildHasherDefault<Ready>>,
    ring: VecDeque<u128>,
    /// How many of the ring came in which second of the monotonic clock, the oldest at the front.
    marks: VecDeque<(i64, usize)>,
}

/// An append that others may be waiting for.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    state: AtomicU8,
    landed: Notify,
}

/// What the window knows of an event.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Nothing: it now flies with the flight that was handed in.
    New,
    /// It is in the journal.
    Known,
    /// It is being appended by this flight.
    Flying(Arc<Flight>),
}

/// How long the window is in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DedupLength {
    /// How many events are in it.
    pub(crate) events: usize,
    /// How long ago the oldest of them came.
    pub(crate) length: Duration,
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct Ready(u64);

const FLYING: u8 = 0;
const SAFE: u8 = 1;
const FAILED: u8 = 2;

// === impl DedupOptions ===

impl Default for DedupOptions {
    fn default() -> Self {
        Self { bytes: 64 << 20, window: Duration::from_secs(60 * 60) }
    }
}

// === impl Dedup ===

impl Dedup {
    /// An empty window.
    #[must_use]
    pub(crate) fn new(options: &DedupOptions) -> Self {
        Self {
            most: (options.bytes / ENTRY_BYTES).max(1),
            window: i64::try_from(options.window.as_secs()).unwrap_or(i64::MAX),
            inner: Mutex::new(Inner::default()),
            due: Due::default(),
        }
    }

    /// How many events it can hold.
    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// Since when it can know events, by the wall clock.
    pub(crate) fn since(&self, now: Now) -> Timestamp {
        Timestamp::from_micros(now.wall.micros().saturating_sub(self.window.saturating_mul(1_000_000)))
    }

    /// Whether its length should be told again.
    pub(crate) fn is_due(&self, mono: Mono) -> bool {
        self.due.now(mono)
    }

    /// Fills the window with what the newest part of the journal holds, oldest first. For the start: what it finds by the
    /// wall clock may be off by as much as that clock has jumped.
    pub(crate) fn refill(&self, events: impl IntoIterator<Item = (Fingerprint, Timestamp)>, now: Now) {
        let here = seconds(now);
        let mut newest = i64::MIN;
        for (fingerprint, received_at) in events {
            let age = i64::try_from(now.wall.since(received_at).as_secs()).unwrap_or(i64::MAX);
            if age >= self.window {
                continue;
            }
            // Marks must not go back in time; one that does is younger than it says, which keeps it longer.
            newest = newest.max(here - age);
            self.with(|inner| inner.keep(fingerprint.0, newest, self.most));
        }
    }

    /// How long the window is in truth: shorter than asked for when its bytes run out.
    pub(crate) fn length(&self, now: Now) -> DedupLength {
        self.with(|inner| {
            let oldest = inner.marks.front().map_or(seconds(now), |(second, _)| *second);
            let length = u64::try_from(seconds(now) - oldest).unwrap_or(0);
            DedupLength { events: inner.ring.len(), length: Duration::from_secs(length) }
        })
    }

    /// Asks for each fingerprint what is known, and books those that are new on `flight`.
    pub(crate) fn board(&self, fingerprints: &[u128], flight: &Arc<Flight>, now: Now) -> Vec<Seen> {
        self.with(|inner| {
            inner.expire(seconds(now) - self.window);
            let mut board = |fingerprint: &u128| {
                if inner.known.contains(fingerprint) {
                    return Seen::Known;
                }
                if let Some(flying) = inner.flying.get(fingerprint) {
                    return Seen::Flying(Arc::clone(flying));
                }
                inner.flying.insert(*fingerprint, Arc::clone(flight));
                Seen::New
            };
            fingerprints.iter().map(&mut board).collect()
        })
    }

    /// The flight with these fingerprints is over: they are in the journal, or were never there.
    pub(crate) fn land(&self, fingerprints: &[u128], flight: &Flight, safe: bool, now: Now) {
        self.with(|inner| {
            for fingerprint in fingerprints {
                inner.flying.remove(fingerprint);
                if safe {
                    inner.keep(*fingerprint, seconds(now), self.most);
                }
            }
        });
        flight.state.store(if safe { SAFE } else { FAILED }, Ordering::Release);
        flight.landed.notify_waiters();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn seconds(now: Now) -> i64 {
    i64::try_from(now.mono.micros() / 1_000_000).unwrap_or(i64::MAX)
}

// === impl Inner ===

impl Inner {
    fn keep(&mut self, fingerprint: u128, second: i64, most: usize) {
        if !self.known.insert(fingerprint) {
            return;
        }
        if self.ring.len() >= most {
            self.drop_oldest();
        }
        self.ring.push_back(fingerprint);
        match self.marks.back_mut() {
            // A second that lies before the last mark cannot come from a monotonic clock, only from a refill.
            Some((last, count)) if *last >= second => *count += 1,
            _ => self.marks.push_back((second, 1)),
        }
    }

    fn expire(&mut self, until: i64) {
        while self.marks.front().is_some_and(|(second, _)| *second <= until) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.ring.pop_front() {
            self.known.remove(&oldest);
        }
        if let Some((_, count)) = self.marks.front_mut() {
            *count -= 1;
            if *count == 0 {
                self.marks.pop_front();
            }
        }
    }
}

// === impl Flight ===

impl Flight {
    /// Waits until the append is over; whether its events are in the journal.
    pub(crate) async fn landed(&self) -> bool {
        let mut landed = std::pin::pin!(self.landed.notified());
        loop {
            // Registered before the look, so that a landing in between is not missed.
            landed.as_mut().enable();
            match self.state.load(Ordering::Acquire) {
                FLYING => landed.as_mut().await,
                state => return state == SAFE,
            }
            landed.set(self.landed.notified());
        }
    }
}

// === impl Ready ===

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used by `u128`; kept right for whatever calls it.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, fingerprint: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        let half = fingerprint as u64;
        self.0 = half;
    }
}

#[cfg(test)]
mod tests {
    use anole_event::{Clock, ManualClock};

    use super::*;

    fn new(bytes: usize) -> (Dedup, ManualClock) {
        let options = DedupOptions { bytes, ..DedupOptions::default() };
        (Dedup::new(&options), ManualClock::at(Timestamp::from_millis(1_000_000_000)))
    }

    /// Boards one and says what was known: `n`ew, `k`nown, `f`lying.
    fn board(dedup: &Dedup, clock: &ManualClock, fingerprint: u128, flight: &Arc<Flight>) -> char {
        match dedup.board(&[fingerprint], flight, clock.now())[..] {
            [Seen::New] => 'n',
            [Seen::Known] => 'k',
            _ => 'f',
        }
    }

    fn fly(dedup: &Dedup, clock: &ManualClock, fingerprint: u128) -> char {
        let flight = Arc::new(Flight::default());
        let seen = board(dedup, clock, fingerprint, &flight);
        if seen == 'n' {
            dedup.land(&[fingerprint], &flight, true, clock.now());
        }
        seen
    }

    #[test]
    fn an_event_is_known_for_the_length_of_the_window() {
        let (dedup, clock) = new(64 << 20);
        assert_eq!(fly(&dedup, &clock, 1), 'n');
        clock.advance(Duration::from_secs(3599));
        assert_eq!(fly(&dedup, &clock, 1), 'k');
        clock.jump_wall(Timestamp::from_millis(0));
        assert_eq!(fly(&dedup, &clock, 1), 'k', "the wall clock is of no matter");
        clock.advance(Duration::from_secs(1));
        assert_eq!(fly(&dedup, &clock, 1), 'n');
    }

    #[test]
    fn a_failed_append_is_forgotten() {
        let (dedup, clock) = new(64 << 20);
        let flight = Arc::new(Flight::default());
        assert_eq!(board(&dedup, &clock, 1, &flight), 'n');
        dedup.land(&[1], &flight, false, clock.now());
        assert_eq!(board(&dedup, &clock, 1, &flight), 'n');
    }

    #[tokio::test]
    async fn a_repetition_waits_for_the_originals_landing() {
        for safe in [true, false] {
            let (dedup, clock) = new(64 << 20);
            let original = Arc::new(Flight::default());
            assert_eq!(board(&dedup, &clock, 1, &original), 'n');
            let Some(Seen::Flying(flight)) = dedup.board(&[1], &Arc::default(), clock.now()).pop() else {
                panic!("it is in flight")
            };
            let waiter = tokio::spawn(async move { flight.landed().await });
            tokio::task::yield_now().await;
            assert!(!waiter.is_finished());
            dedup.land(&[1], &original, safe, clock.now());
            assert_eq!(waiter.await.expect("it ends"), safe);
        }
    }

    #[test]
    fn the_oldest_go_when_the_bytes_run_out_and_the_true_length_says_so() {
        let (dedup, clock) = new(10 * ENTRY_BYTES);
        for fingerprint in 0..15 {
            fly(&dedup, &clock, fingerprint);
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(dedup.length(clock.now()), DedupLength { events: 10, length: Duration::from_secs(10) });
        assert_eq!(fly(&dedup, &clock, 5), 'k');
        assert_eq!(fly(&dedup, &clock, 4), 'n');
    }

    #[test]
    fn a_refilled_window_knows_what_came_before_the_start_as_long_as_it_is_young_enough() {
        let (dedup, clock) = new(64 << 20);
        let now = clock.now();
        let ago = |seconds: i64| Timestamp::from_micros(now.wall.micros() - seconds * 1_000_000);
        let events = [(1, ago(7200)), (2, ago(3000)), (3, ago(3100)), (4, ago(10))];
        dedup.refill(events.map(|(fingerprint, at)| (Fingerprint(fingerprint), at)), now);
        assert_eq!(fly(&dedup, &clock, 1), 'n', "it was too old");
        assert_eq!([2, 3, 4].map(|fingerprint| fly(&dedup, &clock, fingerprint)), ['k', 'k', 'k']);
        clock.advance(Duration::from_secs(600));
        assert_eq!([2, 3, 4].map(|fingerprint| fly(&dedup, &clock, fingerprint)), ['n', 'n', 'k']);
    }

    #[test]
    fn the_window_agrees_with_an_obvious_model() {
        let (dedup, clock) = new(64 << 20);
        let mut random = anole_event::Seeded::new(7);
        let mut model: HashMap<u128, i64> = HashMap::new();
        for _ in 0..20_000 {
            let fingerprint = u128::from(anole_event::Random::below(&mut random, 500));
            let second = seconds(clock.now());
            let known = model.get(&fingerprint).is_some_and(|at| second - at < 3600);
            assert_eq!(fly(&dedup, &clock, fingerprint), if known { 'k' } else { 'n' });
            if !known {
                model.insert(fingerprint, second);
            }
            clock.advance(Duration::from_secs(anole_event::Random::below(&mut random, 40)));
        }
    }
}
