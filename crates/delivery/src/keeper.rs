//! The keeper: backs the state up, and tells the journal what may go (S-3, J-5).
//!
//! The first backup is made at once, as lanes that it does not know hold everything, and then at the stated interval, and
//! whenever somebody has changed the registry. After each, and every ten seconds, it is worked out anew what may go: an
//! orphan's time runs out without anything being written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, LaneId, Mono, Now, Timestamp};
use anole_journal::Journal;
use anole_state::{BackedUpLane, LaneStatus, State, StateError};
use anole_telemetry::{OrphanLetGo, OrphanSeen, RetentionFailed, Telemetry};
use tokio::sync::Notify;

use crate::backlog::{Backlog, COUNTED, backlog};
use crate::retention::{Hold, Registry};

/// How often it is worked out what may go.
const LOOK: Duration = Duration::from_secs(10);
/// How soon a backup that failed is tried again, when its interval is not shorter.
const AFTER_ERROR: Duration = Duration::from_secs(60);
/// How much the clocks may disagree between two looks.
const JUMP: Duration = Duration::from_secs(300);
/// How long no orphan's time runs out after a jump of the wall clock, as for events that expire.
const SUSPENDED: Duration = Duration::from_secs(600);

/// How long what waits for nobody is kept, and how often the state is backed up.
#[derive(Clone, Copy, Debug)]
pub struct KeepOptions {
    /// How long an orphan holds the journal. Default 7 days.
    pub keep: Duration,
    /// How often the state is backed up. Default ten minutes.
    pub backup_every: Duration,
}

pub(crate) struct Keeper {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) state: Arc<dyn State>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: KeepOptions,
    /// Somebody has changed the registry.
    pub(crate) asked: Arc<Notify>,
    pub(crate) watch: Watch,
}

/// What the keeper remembers between two looks.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<Now>,
    suspended_until: Mono,
    /// Orphans that hold, and were told of.
    holding: BTreeSet<LaneId>,
    /// Orphans that hold no longer, and were told of.
    let_go: BTreeSet<LaneId>,
}

// === impl KeepOptions ===

impl Default for KeepOptions {
    fn default() -> Self {
        Self { keep: Duration::from_secs(7 * 86_400), backup_every: Duration::from_secs(600) }
    }
}

// === impl Watch ===

impl Watch {
    /// The wall clock, while it may be trusted.
    fn trusted(&mut self, now: Now) -> Option<Timestamp> {
        if let Some(last) = self.last {
            let mono = i128::from(now.mono.micros()) - i128::from(last.mono.micros());
            let wall = i128::from(now.wall.micros()) - i128::from(last.wall.micros());
            if (wall - mono).unsigned_abs() > JUMP.as_micros() {
                self.suspended_until = now.mono.after(SUSPENDED);
            }
        }
        self.last = Some(now);
        (self.suspended_until <= now.mono).then_some(now.wall)
    }

    /// The orphans of which something must be told: those that are new, and those whose time is newly over.
    fn news<'h>(&mut self, holds: &'h [Hold]) -> Vec<&'h Hold> {
        let is_over = |hold: &Hold| hold.orphan.map(|orphan| orphan.is_over);
        self.holding.retain(|lane| holds.iter().any(|hold| hold.lane == *lane && is_over(hold) == Some(false)));
        self.let_go.retain(|lane| holds.iter().any(|hold| hold.lane == *lane && is_over(hold) == Some(true)));
        let news = holds.iter().filter(|hold| match is_over(hold) {
            Some(true) => self.let_go.insert(hold.lane.clone()),
            Some(false) => self.holding.insert(hold.lane.clone()),
            None => false,
        });
        news.collect()
    }
}

// === impl Keeper ===

impl Keeper {
    pub(crate) async fn run(mut self) {
        let mut backup_due = self.clock.mono();
        loop {
            let now = self.clock.mono();
            if backup_due <= now {
                // The store has told what went wrong, and keeps the backup before it.
                let next = match self.state.backup().await {
                    Ok(_) => self.options.backup_every,
                    Err(_) => self.options.backup_every.min(AFTER_ERROR),
                };
                backup_due = now.after(next);
            }
            if let Err(error) = self.look().await {
                self.telemetry.emit(RetentionFailed { error });
            }
            let asked = self.asked.notified();
            tokio::select! {
                () = tokio::time::sleep(LOOK.min(backup_due.since(self.clock.mono()))) => {}
                () = asked => backup_due = self.clock.mono(),
            }
        }
    }

    /// Works out what may go, tells the journal, and tells of orphans.
    async fn look(&mut self) -> Result<(), StateError> {
        let lanes = registry(&*self.state).await?;
        let backup = self.state.last_backup();
        let ends = self.journal.ends();
        let now = self.watch.trusted(self.clock.now());
        let registry = Registry { backup: backup.as_deref(), lanes: &lanes, ends: &ends };
        let retention = registry.retention(now, self.options.keep);
        for hold in self.watch.news(&retention.holds) {
            let Some(lane) = lanes.iter().find(|lane| lane.row.lane == hold.lane) else { continue };
            self.tell(hold, lane).await;
        }
        self.journal.trim(&retention.keep_from);
        Ok(())
    }

    async fn tell(&self, hold: &Hold, lane: &BackedUpLane) {
        let Some(orphan) = hold.orphan else { return };
        let (journal, of) = (Arc::clone(&self.journal), lane.clone());
        let counted = tokio::task::spawn_blocking(move || backlog(&*journal, &of, COUNTED)).await;
        // A journal that cannot be read tells it itself; how much it is stays unknown.
        let undelivered = counted.ok().and_then(Result::ok).unwrap_or(Backlog { events: 0, complete: false });
        self.telemetry.emit(OrphanSeen { lane: &hold.lane, undelivered: undelivered.events, holds: !orphan.is_over });
        if orphan.is_over {
            let (since, keep) = (orphan.since, self.options.keep);
            self.telemetry.emit(OrphanLetGo { lane: &hold.lane, since, keep, undelivered });
        }
    }
}

/// The lanes with their progress, as the state has them now.
///
/// # Errors
/// When the state cannot be read.
pub async fn registry(state: &dyn State) -> Result<Vec<BackedUpLane>, StateError> {
    let mut lanes = Vec::new();
    for row in state.lanes().await? {
        let progress = state.progress(row.lane.clone()).await?;
        lanes.push(BackedUpLane { row, progress });
    }
    Ok(lanes)
}

/// Whether no pipeline has the lane.
pub(crate) const fn is_orphaned(status: LaneStatus) -> bool {
    matches!(status, LaneStatus::Orphaned { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::OrphanHold;

    fn at(seconds: u64, wall: u64) -> Now {
        Now {
            mono: Mono::from_micros(seconds * 1_000_000),
            wall: Timestamp::default().after(Duration::from_secs(wall)),
        }
    }

    fn hold(lane: &str, is_over: Option<bool>) -> Hold {
        let orphan =
            is_over.map(|is_over| OrphanHold { since: Timestamp::default(), until: Timestamp::default(), is_over });
        Hold { lane: LaneId::from_text(lane), from: Vec::new(), awaits_backup: false, orphan }
    }

    #[test]
    fn after_a_jump_of_the_wall_clock_nobodys_time_runs_out_for_ten_minutes() {
        let mut watch = Watch::default();
        assert!(watch.trusted(at(0, 1_000)).is_some());
        assert!(watch.trusted(at(10, 1_010)).is_some());
        assert!(watch.trusted(at(20, 9_000_000)).is_none());
        assert!(watch.trusted(at(619, 9_000_599)).is_none());
        assert!(watch.trusted(at(620, 9_000_600)).is_some(), "the new time is believed");
    }

    #[test]
    fn each_turn_of_an_orphan_is_told_once() {
        let mut watch = Watch::default();
        let told = |watch: &mut Watch, holds: &[Hold]| {
            watch.news(holds).iter().map(|hold| hold.lane.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut watch, &[hold("a", None), hold("b", Some(false))]), ["b"]);
        assert!(told(&mut watch, &[hold("a", None), hold("b", Some(false))]).is_empty());
        assert_eq!(told(&mut watch, &[hold("a", None), hold("b", Some(true))]), ["b"]);
        assert!(told(&mut watch, &[hold("b", Some(true))]).is_empty());
        assert!(told(&mut watch, &[hold("b", None)]).is_empty(), "it came back");
        assert_eq!(told(&mut watch, &[hold("b", Some(false))]), ["b"], "and went again");
    }
}
