//! Time and chance, as they are handed in.
//!
//! Everything that waits, expires, draws a jitter or makes an id takes a [`Clock`] or a [`Random`]; only this module
//! asks the machine. So a test can let three days pass in a microsecond, and a seed replays a run exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::Timestamp;

/// A point on the monotonic clock: microseconds since the clock was made. It never jumps, so timers use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

/// Both clocks read at once: what a pure state machine is told of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For timers.
    pub mono: Mono,
    /// For ages of events, and for people.
    pub wall: Timestamp,
}

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// The monotonic clock.
    fn mono(&self) -> Mono;

    /// The wall clock.
    fn wall(&self) -> Timestamp;

    /// Both.
    fn now(&self) -> Now {
        Now { mono: self.mono(), wall: self.wall() }
    }
}

/// Where chance comes from: jitter, ids, sampling of load. Not for keys or secrets.
pub trait Random: Send {
    /// The next 64 bits.
    fn next(&mut self) -> u64;

    /// A whole number from 0 to `below`, `below` not included; 0 when `below` is 0.
    fn below(&mut self, below: u64) -> u64 {
        // The bias of a plain remainder is under 2^-32 for the ranges used here (microseconds of a few minutes).
        if below == 0 { 0 } else { self.next() % below }
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

/// A clock that stands still until it is told otherwise. For tests and simulations.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    mono: Arc<AtomicU64>,
    wall: Arc<AtomicI64>,
}

/// A generator that a seed determines.
#[derive(Debug, Clone)]
pub struct Seeded(fastrand::Rng);

// === impl Mono ===

impl Mono {
    /// From microseconds since the clock was made.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock was made.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The point that lies `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

// === impl SystemClock ===

impl SystemClock {
    /// A clock whose monotonic side starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn mono(&self) -> Mono {
        Mono(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

// === impl ManualClock ===

impl ManualClock {
    /// A clock that stands at this wall time, with its monotonic side at zero.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        let clock = Self::default();
        clock.wall.store(wall.micros(), Ordering::SeqCst);
        clock
    }

    /// Lets time pass on both sides.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.mono.fetch_add(micros, Ordering::SeqCst);
        self.wall.fetch_add(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Moves the wall clock alone, as an operator or NTP would.
    pub fn jump_wall(&self, to: Timestamp) {
        self.wall.store(to.micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn mono(&self) -> Mono {
        Mono(self.mono.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.wall.load(Ordering::SeqCst))
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn mono(&self) -> Mono {
        (**self).mono()
    }

    fn wall(&self) -> Timestamp {
        (**self).wall()
    }
}

// === impl Seeded ===

impl Seeded {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A generator seeded by the operating system's per-process chance.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self(fastrand::Rng::new())
    }
}

impl Random for Seeded {
    fn next(&mut self) -> u64 {
        self.0.u64(..)
    }
}

/// A UUIDv7 from the time and the chance that are handed in: unique, and sorted by time.
#[must_use]
pub fn uuid_v7(wall: Timestamp, random: &mut dyn Random) -> Uuid {
    let mut bytes = [0_u8; 10];
    bytes[..8].copy_from_slice(&random.next().to_le_bytes());
    bytes[8..].copy_from_slice(&random.next().to_le_bytes()[..2]);
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(wall.millis()).unwrap_or(0), &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        let before = clock.now();
        assert_eq!(before, clock.now());
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.mono().since(before.mono), Duration::from_secs(2));
        assert_eq!(clock.wall(), Timestamp::from_millis(3_000));
        clock.jump_wall(Timestamp::from_millis(0));
        assert_eq!(clock.mono().since(before.mono), Duration::from_secs(2), "timers do not follow a jump");
    }

    #[test]
    fn the_same_seed_makes_the_same_ids_and_they_sort_by_time() {
        let (mut one, mut two) = (Seeded::new(7), Seeded::new(7));
        let early = uuid_v7(Timestamp::from_millis(1), &mut one);
        assert_eq!(early, uuid_v7(Timestamp::from_millis(1), &mut two));
        assert_eq!(early.get_version_num(), 7);
        assert!(early < uuid_v7(Timestamp::from_millis(2), &mut one));
    }
}
