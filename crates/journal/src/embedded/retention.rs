//! Which segments go, and when (J-5). Pure: it looks at a list and says what to do.
//!
//! 1. **Done and old.** A segment goes when nothing in it is needed any more (its end is not behind `keep_from`, which is
//!    the least progress of any lane in the last good backup of the state) *and* its newest record is older than `keep`.
//!    The age keeps delivered events for a replay. The backup, not the state itself, is the measure: should the state be
//!    lost, lanes go on from its backup, and must find there what they had not done then.
//! 2. **Full.** When the journal has reached `max_bytes`, `refuse` (the default) changes nothing here: appends are refused
//!    until rule 1 makes room. Events that wait are never given up for events that come, and the history that `keep`
//!    promises is not given up in silence either: who has less disk than `keep` takes sets `keep` lower. With
//!    `drop_oldest` the oldest segment goes, done or not, until there is room again; what of it was not done is lost, and
//!    counted as such by each lane that comes upon the gap.
//! 3. **Oldest first.** Nothing goes while something older stays, so what is kept is one stretch without holes.
//! 4. **The last segment stays.** It is appended to, and says where the journal ends. So that little traffic does not keep
//!    old events in it for ever, it is ended when its first record is older than `keep` divided by eight, and so that
//!    `max_bytes` can be kept, segments are at most a sixteenth of it.
//!
//! Ages are told by the wall clock. A clock that jumps ahead lets segments go too early, but only those that every lane
//! has behind it; one that jumps back keeps them longer.

use std::time::Duration;

use anole_event::Timestamp;

/// How many segments below the limit the oldest is dropped.
const SLACK: u64 = 4;

/// What to do when the journal has reached its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFull {
    /// Appends are refused until there is room.
    #[default]
    Refuse,
    /// The oldest segment is dropped; what lanes had not finished in it is lost.
    DropOldest,
}

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How long what is done is kept.
    pub(crate) keep: Duration,
    /// How many bytes there may be.
    pub(crate) max_bytes: Option<u64>,
    /// What happens beyond.
    pub(crate) on_full: OnFull,
    /// How large a segment may grow.
    pub(crate) segment_bytes: u64,
}

/// What the policy looks at of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The position behind its last record.
    pub(crate) end: u64,
    /// How many bytes go with it.
    pub(crate) bytes: u64,
    /// When its newest record came, at the latest; unknown where the header behind it is damaged.
    pub(crate) newest: Option<Timestamp>,
}

/// Why segments go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    /// Every lane is done with it, and it is old.
    Old,
    /// There is no room for it.
    Dropped,
}

// === impl Policy ===

impl Policy {
    /// Why the oldest segment goes now, if it does. `sealed` are the segments but the last one, oldest first; `bytes` is
    /// what the whole journal has.
    pub(crate) fn oldest(&self, sealed: &[Held], bytes: u64, keep_from: u64, now: Timestamp) -> Option<Going> {
        let oldest = sealed.first()?;
        // An unknown age is taken as young: the next segment tells one soon enough.
        let old = oldest.newest.is_some_and(|newest| now.since(newest) > self.keep);
        if oldest.end <= keep_from && old {
            return Some(Going::Old);
        }
        let over = self.max_bytes.is_some_and(|most| bytes > self.drop_above(most));
        (over && self.on_full == OnFull::DropOldest).then_some(Going::Dropped)
    }

    /// From how many bytes on the oldest is dropped: some segments below the limit, so that appends need not wait for it.
    const fn drop_above(&self, most: u64) -> u64 {
        most.saturating_sub(SLACK * self.segment_bytes)
    }

    /// Whether the segment that is appended to should be ended because of its age.
    pub(crate) fn ends(&self, begun: Timestamp, now: Timestamp) -> bool {
        now.since(begun) > (self.keep / 8).max(Duration::from_millis(100))
    }
}

// === impl OnFull ===

impl OnFull {
    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::DropOldest => "drop_oldest",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(hours * 3_600_000)
    }

    fn held(end: u64, hours: i64) -> Held {
        Held { end, bytes: 100, newest: Some(at(hours)) }
    }

    fn policy(on_full: OnFull) -> Policy {
        Policy { keep: 10 * HOUR, max_bytes: Some(1600), on_full, segment_bytes: 50 }
    }

    #[test]
    fn j_5_a_segment_goes_when_it_is_behind_every_lane_and_older_than_keep() {
        let policy = policy(OnFull::Refuse);
        let sealed = [held(100, 5), held(200, 6)];
        assert_eq!(policy.oldest(&sealed, 300, 100, at(16)), Some(Going::Old));
        assert_eq!(policy.oldest(&sealed, 300, 99, at(16)), None, "a lane needs it");
        assert_eq!(policy.oldest(&sealed, 300, 100, at(15)), None, "it may be replayed yet");
        assert_eq!(policy.oldest(&[], 300, 100, at(16)), None, "the last one stays");
        let unknown = [Held { newest: None, ..held(100, 5) }];
        assert_eq!(policy.oldest(&unknown, 300, 100, at(99)), None);
    }

    #[test]
    fn j_5_a_full_journal_refuses_unless_it_is_told_to_drop() {
        let sealed = [held(100, 5), held(200, 6)];
        assert_eq!(policy(OnFull::Refuse).oldest(&sealed, 1600, 0, at(6)), None);
        assert_eq!(policy(OnFull::DropOldest).oldest(&sealed, 1401, 0, at(6)), Some(Going::Dropped));
        assert_eq!(policy(OnFull::DropOldest).oldest(&sealed, 1400, 0, at(6)), None);
    }

    #[test]
    fn a_segment_is_ended_when_it_would_hold_old_events_for_too_long() {
        let policy = policy(OnFull::Refuse);
        assert!(!policy.ends(at(0), at(1)));
        assert!(policy.ends(at(0), at(2)));
    }
}
