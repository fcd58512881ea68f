//! Lanes let go of what they hold in memory of events that the journal hides now.
//!
//! A lane that works passes them within a second or so: they end as usual, and are in the log before its progress is behind them. One that
//! does not (it is paused, its vendor is down, a batch waits for another try) is stopped and started again at its progress, which is
//! what a reload does: all that it had read and not finished is read again, and in the place of those events it finds erased ones.
//! A request that is under way is waited for; one that is not answered within the grace period is given up, and may have arrived.
//!
//! A lane that replays, or that has deferred sends of theirs, is started again in any case: what it holds is not of its progress.
//!
//! Rejected: to take the sends out of a lane's batches, ladders and flights one by one. It would reach into every part of the machine, for
//! something that is asked for once in a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{LaneId, Position};
use anole_telemetry::LaneStuck;
use tokio::task::JoinSet;

use crate::delivery::Delivery;

/// For how long lanes may pass by themselves.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often they are looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What a request under way has to end.
const GRACE: Duration = Duration::from_secs(10);
/// How long is waited before a lane that could not be started is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(1);

// === impl Delivery ===

impl Delivery {
    /// Waits until no lane of these pipelines holds anything that stands before `ends`, and nothing of what the state has of
    /// those in `held`; gives back the lanes that had to be started again. A lane of which nothing is known keeps to its way.
    pub(crate) async fn let_go(
        self: &Arc<Self>,
        ends: &[Position],
        touched: &BTreeSet<String>,
        held: &BTreeSet<LaneId>,
    ) -> Vec<LaneId> {
        let _one_at_a_time = self.changing.lock().await;
        // Whoever begins to read from now on reads what the journal gives now.
        self.yard.tail.read_again();
        let lanes = self.yard.tail.plans().lanes().into_iter();
        let mut open: Vec<_> = lanes.filter(|lane| touched.contains(lane.pipeline()) || held.contains(lane)).collect();
        let is_busy = |lane: &LaneId| held.contains(lane) || self.yard.replays.under_way(lane).is_some();
        let mut again: Vec<_> = open.extract_if(.., |lane| is_busy(lane)).collect();
        let until = self.yard.ground.clock.mono().after(PATIENCE);
        loop {
            let mut behind = Vec::new();
            for lane in open {
                if !self.has_passed(&lane, ends).await {
                    behind.push(lane);
                }
            }
            open = behind;
            if open.is_empty() || self.yard.ground.clock.mono() >= until {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        again.append(&mut open);
        again.sort();
        let mut restarting = JoinSet::new();
        for lane in again.clone() {
            restarting.spawn(Arc::clone(self).restart(lane));
        }
        while restarting.join_next().await.is_some() {}
        again
    }

    async fn has_passed(&self, lane: &LaneId, ends: &[Position]) -> bool {
        // A state that cannot be read is told by whoever writes to it; the lane counts as behind.
        let progress = self.yard.ground.stores.state.progress(lane.clone()).await.unwrap_or_default();
        let is_behind = |end: &Position| {
            let of = progress.iter().find(|progress| progress.watermark.partition == end.partition);
            of.is_none_or(|progress| progress.watermark < *end)
        };
        !ends.iter().any(is_behind)
    }

    async fn restart(self: Arc<Self>, lane: LaneId) {
        // The daemon ends: then the next start reads anew.
        let Ok(silences) = self.stop(&lane, Some(GRACE)).await else { return };
        loop {
            let error = match self.yard.sender() {
                Ok(sender) => match self.start_again(&lane, sender, silences.clone()).await {
                    Ok(()) => return,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            self.yard.ground.stores.telemetry.emit(LaneStuck { lane: &lane, error });
            tokio::time::sleep(AFTER_ERROR).await;
            if self.is_ending() {
                return;
            }
        }
    }
}
