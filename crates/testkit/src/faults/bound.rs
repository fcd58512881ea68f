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
    /// Each batch under way twice at the most until the fifth failure opens the breaker, then a probe after waits of at least 1/2, 1, 2 …
    /// seconds.
    Breaker,
    /// Each batch under way once, then two a second: four fifths of what the vendor took in the second before.
    Pace,
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
    /// Forty requests until the lane pauses, then a probe each second; the parts of the batch that was being split, and two halves of each
    /// other that was refused.
    Refusals,
}

// === impl Bound ===

impl Bound {
    /// The most requests when the fault stood for so long in each life.
    #[must_use]
    pub fn requests(self, lives: &[Duration]) -> u64 {
        let seconds = |life: &Duration| life.as_secs() + 1;
        // The parts that one poison event leaves of a batch.
        let depth = 2 * u64::from(BATCH.next_power_of_two().ilog2());
        let of_life = |life: &Duration| match self {
            Self::Once => 0,
            Self::Breaker => UNDER_WAY * 2 + probes(*life),
            Self::Pace => UNDER_WAY + 2 * seconds(life),
            Self::Said(every) => UNDER_WAY * (1 + seconds(life).div_ceil(every)),
            Self::Silence => UNDER_WAY,
            Self::Pause => UNDER_WAY + 2 * seconds(life),
            Self::Refresh => UNDER_WAY * 3 + 2 * seconds(life),
            Self::Poison(events) => events * depth,
            Self::Refusals => 40 + seconds(life) + 2 * UNDER_WAY + depth,
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
            Self::Breaker => write!(f, "the batches under way until five have failed, then probes"),
            Self::Pace => write!(f, "the batches under way once, then two a second"),
            Self::Said(every) => write!(f, "the batches under way each {every} s"),
            Self::Silence => write!(f, "the batches under way once"),
            Self::Pause => write!(f, "the batches under way once, then probes"),
            Self::Refresh => write!(f, "the batches under way three times, then probes"),
            Self::Poison(_) => write!(f, "`2*ceil(log2 n)+1` per poison event"),
            Self::Refusals => write!(f, "40 until the pause, then probes"),
        }
    }
}

/// The probes of an open breaker that fit into this time: its waits are drawn between half of 1, 2, 4 … seconds and the whole.
fn probes(time: Duration) -> u64 {
    let (mut passed, mut count) = (Duration::from_millis(500), 0);
    while passed <= time {
        count += 1;
        passed += Duration::from_millis(500) * 2_u32.pow(count);
    }
    u64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_time_allows_more_probes() {
        let at = |seconds| probes(Duration::from_secs(seconds));
        assert_eq!((at(0), at(1), at(3), at(4), at(8)), (0, 1, 2, 3, 4));
        let (one, two) = ([Duration::from_secs(3)], [Duration::from_secs(2), Duration::from_secs(2)]);
        assert_eq!(Bound::Once.requests(&one), 16);
        assert_eq!(Bound::Breaker.requests(&one), 16 + 4 * 2 + 2);
        assert!(Bound::Breaker.requests(&two) > Bound::Breaker.requests(&one));
        assert_eq!(Bound::Poison(3).requests(&one), 16 + 3 * 10);
    }
}
