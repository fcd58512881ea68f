//! How many requests a fault may cost.

use std::fmt;
use std::time::Duration;

/// The most batches that a cell's events make: eight full ones, and as many again that were closed by time.
const BATCHES: u64 = 16;
/// Batches that are under way when the fault begins: the visitors' first events; all others wait for these.
const UNDER_WAY: u64 = 4;
/// The most sends of a batch.
const BATCH: u64 = 20;

/// How many requests, for as long as a fault stood in each life of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// One for each batch.
    Once,
    /// The batches under way are tried again by the ladder, full jitter on 1, 2, 4 … seconds.
    Ladder,
    /// The batches under way are tried again when the vendor has said, every so many seconds.
    Said(u64),
    /// Each batch under way once, and nothing more.
    Silence,
    /// Each batch under way once, then a probe of half a batch each second.
    Pause,
    /// Each batch under way three times, then a probe each second.
    Refresh,
    /// So many poison events, each found in `2*ceil(log2 n)` requests more than the batch itself.
    Poison(u64),
    /// Forty requests until the lane pauses, then a probe each second; what was being split stays split.
    Refusals,
}

// === impl Bound ===

impl Bound {
    /// The most requests when the fault stood for so long in each life.
    #[must_use]
    pub fn requests(self, lives: &[Duration]) -> u64 {
        let seconds = |life: &Duration| life.as_secs() + 1;
        let of_life = |life: &Duration| match self {
            Self::Once => 0,
            Self::Ladder => UNDER_WAY * tries(*life),
            Self::Said(every) => UNDER_WAY * (1 + seconds(life).div_ceil(every)),
            Self::Silence => UNDER_WAY,
            Self::Pause => UNDER_WAY + 2 * seconds(life),
            Self::Refresh => UNDER_WAY * 3 + 2 * seconds(life),
            Self::Poison(events) => events * 2 * u64::from(BATCH.next_power_of_two().ilog2()),
            Self::Refusals => 40 + seconds(life) + 2 * BATCH,
        };
        // What was under way at a kill is sent again, and may be cut into other batches.
        let again = BATCHES * (lives.len() as u64 - 1);
        BATCHES + again + lives.iter().map(of_life).sum::<u64>()
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => write!(f, "one per batch"),
            Self::Ladder => write!(f, "the batches under way by the ladder"),
            Self::Said(every) => write!(f, "the batches under way each {every} s"),
            Self::Silence => write!(f, "the batches under way once"),
            Self::Pause => write!(f, "the batches under way once, then probes"),
            Self::Refresh => write!(f, "the batches under way three times, then probes"),
            Self::Poison(_) => write!(f, "`2*ceil(log2 n)+1` per poison event"),
            Self::Refusals => write!(f, "40 until the pause, then probes"),
        }
    }
}

/// The tries of a batch that fit into this time but for chance of one in a million.
///
/// `k` waits, uniform in 1, 2, 4 … seconds, have a sum below `t` with probability at most `t^k / (k! 2^(k(k-1)/2))`.
fn tries(time: Duration) -> u64 {
    let (mut chance, mut waits) = (1.0, 0_u64);
    while chance > 1e-6 {
        waits += 1;
        let step = 2_f64.powi(i32::try_from(waits - 1).unwrap_or(i32::MAX));
        chance *= time.as_secs_f64() / (waits as f64 * step);
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_time_allows_more_tries() {
        let at = |seconds| tries(Duration::from_secs(seconds));
        assert_eq!((at(1), at(3), at(10)), (6, 7, 9));
        let (one, two) = ([Duration::from_secs(3)], [Duration::from_secs(2), Duration::from_secs(2)]);
        assert_eq!(Bound::Once.requests(&one), 16);
        assert_eq!(Bound::Ladder.requests(&one), 16 + 4 * 7);
        assert!(Bound::Ladder.requests(&two) > Bound::Ladder.requests(&one));
        assert_eq!(Bound::Poison(3).requests(&one), 16 + 3 * 10);
    }
}
