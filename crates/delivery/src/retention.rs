//! What holds the journal back (J-5). Pure: it looks at the registry and says what may go.
//!
//! 1. **The backup is the measure.** Should the state be lost, lanes go on from its last good backup, and must find in the
//!    journal what they had not done then. So a lane holds what it had not finished in the backup, and a lane that the
//!    backup does not know yet holds everything. The progress of the state itself counts too: it is behind the backup's
//!    where a lane has taken over an orphan since.
//! 2. **The watermark counts.** The finished ranges above it are of no help, as segments go from their beginning.
//! 3. **An orphan holds for as long as `keep` says**, from the moment on at which no pipeline had it any more. Then its
//!    undelivered events are as old news as delivered ones, and it holds nothing. While the wall clock is not to be trusted
//!    nobody's time runs out.
//! 4. **A lane that was released holds nothing**, though an older backup may still know it: a person gave it up. To wait for
//!    the next backup would be wrong just when it matters, on a disk that is full.
//! 5. What is parked or deferred holds nothing: those rows have the whole record themselves.

use std::time::Duration;

use anole_event::{LaneId, Partition, Position, Timestamp};
use anole_state::{BackedUp, BackedUpLane, LaneStatus, Progress};

/// What may go, and who holds the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Nothing before these is needed by any lane; one for each partition.
    pub keep_from: Vec<Position>,
    /// The lanes, by name.
    pub holds: Vec<Hold>,
}

/// What a lane holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The lane.
    pub lane: LaneId,
    /// From where on it holds the journal, one for each partition. Where it would, when it holds nothing any more.
    pub from: Vec<Position>,
    /// Whether it holds everything only because no backup of the state knows it yet.
    pub awaits_backup: bool,
    /// When it is an orphan.
    pub orphan: Option<OrphanHold>,
}

/// How long an orphan holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanHold {
    /// Since when no pipeline has it.
    pub since: Timestamp,
    /// When it holds nothing any more.
    pub until: Timestamp,
    /// Whether that time has come.
    pub is_over: bool,
}

/// What retention looks at.
#[derive(Clone, Copy, Debug)]
pub struct Registry<'a> {
    /// The last good backup.
    pub backup: Option<&'a BackedUp>,
    /// The lanes of the state, as they are now.
    pub lanes: &'a [BackedUpLane],
    /// The journal's ends: its partitions, and what is kept when there is no lane.
    pub ends: &'a [Position],
}

// === impl Registry ===

impl Registry<'_> {
    /// What may go at this time; `None` says that the time is not to be trusted.
    #[must_use]
    pub fn retention(&self, now: Option<Timestamp>, keep: Duration) -> Retention {
        let holds: Vec<_> = self.lanes.iter().map(|lane| self.hold(lane, now, keep)).collect();
        let keep_from = self.ends.iter().map(|end| {
            let held = holds.iter().filter(|hold| hold.is_held()).map(|hold| hold.in_partition(end.partition));
            held.min().map_or(*end, |held| held.min(*end))
        });
        Retention { keep_from: keep_from.collect(), holds }
    }

    fn hold(&self, lane: &BackedUpLane, now: Option<Timestamp>, keep: Duration) -> Hold {
        let name = &lane.row.lane;
        let backed_up = self.backup.and_then(|backup| backup.lanes.iter().find(|known| known.row.lane == *name));
        let from = self.ends.iter().map(|end| match backed_up {
            Some(known) => at(&known.progress, end.partition).min(at(&lane.progress, end.partition)),
            None => Position::start_of(end.partition),
        });
        let orphan = match lane.row.status {
            LaneStatus::Active => None,
            LaneStatus::Orphaned { since } => {
                let until = since.after(keep);
                Some(OrphanHold { since, until, is_over: now.is_some_and(|now| now >= until) })
            }
        };
        Hold { lane: name.clone(), from: from.collect(), awaits_backup: backed_up.is_none(), orphan }
    }
}

fn at(progress: &[Progress], partition: Partition) -> Position {
    let of = progress.iter().find(|progress| progress.watermark.partition == partition);
    of.map_or(Position::start_of(partition), |progress| progress.watermark)
}

// === impl Retention ===

impl Retention {
    /// The lanes that hold the journal furthest back: those that must move, or be released, before more may go. Nobody when
    /// every lane is at the end.
    pub fn holders<'a>(&'a self, ends: &'a [Position]) -> impl Iterator<Item = &'a Hold> {
        let first = self.keep_from.iter().filter(|from| !ends.contains(from));
        let first: Vec<_> = first.collect();
        self.holds.iter().filter(move |hold| hold.is_held() && hold.from.iter().any(|from| first.contains(&from)))
    }
}

// === impl Hold ===

impl Hold {
    /// Whether it holds anything back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.orphan.is_none_or(|orphan| !orphan.is_over)
    }

    fn in_partition(&self, partition: Partition) -> Position {
        let from = self.from.iter().find(|from| from.partition == partition);
        from.copied().unwrap_or(Position::start_of(partition))
    }
}

#[cfg(test)]
mod tests;
