//! How long a failed batch waits before it is tried again.
//!
//! The bare ladder doubles from one second to five minutes. The wait is drawn uniformly between zero and the ladder's
//! step ("full jitter"), so that batches that failed together do not come back together. There is no last attempt: a
//! batch is tried until its sends expire, because time is what makes an event worthless, not the number of tries.
//!
//! `Retry-After`, in seconds or as a date, is obeyed on 429 and 503 and bounded to ten minutes: a vendor that asks for a
//! day, or a date that a broken clock made, does not stop a lane for longer than it would notice itself. It is the lane's
//! whole wait then, not its minimum: a vendor that names a time has thought about it. A date in the past is no wait.
//!
//! The `backoff` crate computes the ladder. Its own jitter is off, as it is applied after the cap and would exceed it;
//! its give-up (15 minutes by default) is off, as it would lose events in silence; its clock is not asked.

use std::time::Duration;

use anole_event::{Random, Timestamp};
use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// The ladder's first step.
pub(crate) const FIRST: Duration = Duration::from_secs(1);
/// The ladder's last step, repeated from then on.
pub(crate) const LAST: Duration = Duration::from_secs(5 * 60);
/// The longest `Retry-After` that is obeyed.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(10 * 60);

/// The ladder of one batch.
pub struct Ladder(ExponentialBackoff);

// === impl Ladder ===

impl Ladder {
    /// A ladder at its first step.
    #[must_use]
    pub fn new() -> Self {
        Self(ExponentialBackoff {
            initial_interval: FIRST,
            current_interval: FIRST,
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: LAST,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    /// The next wait: full jitter on the ladder's next step.
    pub fn next(&mut self, random: &mut dyn Random) -> Duration {
        let step = self.0.next_backoff().unwrap_or(LAST).min(LAST);
        Duration::from_micros(random.below(u64::try_from(step.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Default for Ladder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Ladder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ladder").field(&self.0.current_interval).finish()
    }
}

/// What a `Retry-After` header asks for: seconds, or a date of RFC 9110. `None` when it is neither.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
    Some(Timestamp::from_micros(date.as_microsecond()).since(now).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anole_event::Seeded;

    struct Most;

    impl Random for Most {
        fn next(&mut self) -> u64 {
            u64::MAX
        }
        fn below(&mut self, below: u64) -> u64 {
            below - 1
        }
    }

    #[test]
    fn the_ladder_doubles_to_five_minutes_and_never_gives_up() {
        let mut ladder = Ladder::new();
        let steps: Vec<u64> = (0..12).map(|_| ladder.next(&mut Most).as_micros() as u64 + 1).collect();
        let seconds: Vec<u64> = steps.iter().map(|micros| micros / 1_000_000).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        for _ in 0..10_000 {
            assert!(ladder.next(&mut Most) <= LAST);
        }
    }

    #[test]
    fn the_jitter_is_uniform_from_zero() {
        let mut random = Seeded::new(1);
        let waits: Vec<_> = (0..2_000).map(|_| Ladder::new().next(&mut random)).collect();
        let mean = waits.iter().sum::<Duration>() / 2_000;
        assert!((0.47..0.53).contains(&mean.as_secs_f64()), "{mean:?}");
        assert!(waits.iter().any(|wait| wait.as_millis() < 10));
        assert!(waits.iter().all(|wait| *wait < FIRST));
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_a_date_and_bounded() {
        let now = Timestamp::parse("2026-11-22T10:00:00Z").expect("a time");
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(retry_after("2", now), seconds(2));
        assert_eq!(retry_after(" 0 ", now), seconds(0));
        assert_eq!(retry_after("86400", now), seconds(600));
        assert_eq!(retry_after("Sun, 22 Nov 2026 10:00:30 GMT", now), seconds(30));
        assert_eq!(retry_after("Sun, 22 Nov 2026 09:00:00 GMT", now), seconds(0));
        assert_eq!(retry_after("Sun, 22 Nov 2099 09:00:00 GMT", now), seconds(600));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
        assert_eq!(retry_after("99999999999999999999999", now), None);
    }
}
