//! Replacing the plans of the lanes at work: what a reload of the files does to delivery.
//!
//! 1. What can fail is done first: new lanes are registered, clients are made. If it fails, nothing has changed but that
//!    the registry knows lanes that nobody has; they are orphans.
//! 2. Then the plans are swapped, at one moment for all pipelines. The tail reads by the new ones from there on, and so does
//!    each lane, as a lane takes its plan from the block that it maps ([`crate::plans`]).
//! 3. A lane whose plan is the same goes on undisturbed: ladders, batches, pauses. A lane with another plan finishes the
//!    requests that are under way, ends, and is started again at its progress, just as by a restart. So everything that
//!    was read but not finished is mapped anew, whole and by one plan: also what waited for another try, and what a lane
//!    held that was paused because its plan was wrong. Silence that an endpoint has asked for (`Retry-After`) is kept while
//!    the lane still calls it. Requests that are not answered within the grace period are given up and
//!    made again, with the same nonces.
//! 4. A lane that no plan has any more ends in the same way, and becomes an orphan. It has read nothing by the new plans, so
//!    its progress passes no event that it would deliver if it came back.
//!
//! Rejected: a lane that takes its new plan while it works, and maps anew what it holds. It need not wait for requests under
//! way, but an event of which one send is under way and another is not would be half of the old and half of the new plan.
//!
//! Parked and deferred sends hold the event and the name of the rule, never a payload (S-4): they are mapped by the plan that
//! is in force when they are replayed or tried again.

use std::sync::Arc;
use std::time::Duration;

use anole_pipeline::PipelinePlan;
use anole_state::StateError;
use anole_telemetry::{LaneStuck, StateWriteFailed};
use tokio::task::JoinSet;

use crate::delivery::Delivery;
use crate::lane::Silences;
use crate::plans::{Change, Changes, LaneChange, Plans};
use crate::sender::{Sender, SenderError};
use crate::yard::Registered;

/// How long is waited before a lane that could not be started is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The plans were not replaced: those that were in force are.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// A new lane could not be registered.
    #[error("the new lanes cannot be registered: {0}")]
    State(#[from] StateError),
    /// No client could be made.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// The daemon ends.
    #[error("anole is ending: nothing was changed")]
    Ending,
}

/// What has been made ready for a lane.
enum Ready {
    New(Registered),
    Again,
}

// === impl Delivery ===

impl Delivery {
    /// Replaces the plans of all lanes; the head of this module says how. `in_force` is called at the moment of the swap,
    /// when the lanes know the new plans: what is accepted from then on is delivered by them. Requests under way have
    /// `grace`. A call that is dropped goes on by itself. Gives back what has become other, once every lane works by its
    /// new plan.
    ///
    /// # Errors
    /// When the state or a client fails, or the daemon ends; nothing has changed then.
    pub async fn replace(
        self: &Arc<Self>,
        pipelines: Vec<Arc<PipelinePlan>>,
        grace: Duration,
        in_force: impl FnOnce() + Send + 'static,
    ) -> Result<Changes, ReplaceError> {
        let this = Arc::clone(self);
        // A task of its own: a caller who leaves must not leave lanes stopped.
        let done = tokio::spawn(async move { this.replaced(&pipelines, grace, in_force).await });
        done.await.unwrap_or(Err(ReplaceError::Ending))
    }

    async fn replaced(
        self: &Arc<Self>,
        pipelines: &[Arc<PipelinePlan>],
        grace: Duration,
        in_force: impl FnOnce() + Send,
    ) -> Result<Changes, ReplaceError> {
        let _one_at_a_time = self.changing.lock().await;
        if self.is_ending() {
            return Err(ReplaceError::Ending);
        }
        let before = self.yard.tail.plans();
        let after = Plans::of(pipelines, before.version + 1);
        let mut changes = after.changes_from(&before);
        let ready = self.ready(&mut changes).await?;
        self.yard.tail.replace(after);
        in_force();
        let mut changing = JoinSet::new();
        for (lane, ready, sender) in ready {
            match ready {
                Ready::New(registered) => self.put_to_work(registered, sender, Silences::default()).await,
                Ready::Again => {
                    changing.spawn(Arc::clone(self).change_over(lane, Some(sender), grace));
                }
            }
        }
        for removed in changes.lanes_that(Change::Removed) {
            changing.spawn(Arc::clone(self).change_over(removed.clone(), None, grace));
        }
        // Those that are new hold all of the journal until a backup knows them.
        self.changed.notify_one();
        while changing.join_next().await.is_some() {}
        self.changed.notify_one();
        Ok(changes)
    }

    /// All that can fail.
    async fn ready(&self, changes: &mut Changes) -> Result<Vec<(LaneChange, Ready, Sender)>, ReplaceError> {
        let state = &self.yard.ground.stores.state;
        let known = state.lanes().await?;
        let ends = self.yard.ground.journal.ends();
        let mut ready = Vec::new();
        for lane in changes.lanes_that(Change::Changed) {
            ready.push((lane.clone(), Ready::Again, self.yard.sender()?));
        }
        let mut senders = Vec::new();
        for _ in changes.lanes_that(Change::Added) {
            senders.push(self.yard.sender()?);
        }
        let added = changes.lanes.iter_mut().filter(|lane| lane.change == Change::Added);
        let mut registered_any = false;
        for (lane, sender) in added.zip(senders) {
            match self.yard.register_lane(&lane.lane, &known, &ends).await {
                Ok((registered, is_back)) => {
                    if is_back {
                        lane.change = Change::Returned;
                    }
                    registered_any = true;
                    ready.push((lane.clone(), Ready::New(registered), sender));
                }
                Err(error) => {
                    self.take_back(&ready).await;
                    return Err(error.into());
                }
            }
        }
        self.yard.no_longer_blank(registered_any);
        Ok(ready)
    }

    /// Lanes that were registered for plans that do not come into force. What cannot be written now is marked by the next
    /// start.
    async fn take_back(&self, ready: &[(LaneChange, Ready, Sender)]) {
        for (lane, ..) in ready.iter().filter(|(_, ready, _)| matches!(ready, Ready::New(_))) {
            if let Err(error) = self.yard.orphan(&lane.lane).await {
                self.yard.ground.stores.telemetry.emit(StateWriteFailed { error });
            }
        }
    }

    /// Stops a lane, and starts it again for the plans in force, or makes it an orphan.
    async fn change_over(self: Arc<Self>, change: LaneChange, again: Option<Sender>, grace: Duration) {
        let lane = &change.lane;
        let Ok(silences) = self.stop(lane, Some(grace)).await else { return };
        let telemetry = &self.yard.ground.stores.telemetry;
        let Some(mut sender) = again else {
            self.forget(lane);
            if let Err(error) = self.yard.orphan(lane).await {
                // It is marked by the next start; nobody works on it meanwhile.
                telemetry.emit(StateWriteFailed { error });
            }
            return;
        };
        // A state that cannot be read for a moment must not leave a lane without anybody who works on it.
        while let Err(error) = self.start_again(lane, sender, silences.clone()).await {
            telemetry.emit(LaneStuck { lane, error });
            tokio::time::sleep(AFTER_ERROR).await;
            if self.is_ending() {
                return;
            }
            sender = match self.yard.sender() {
                Ok(sender) => sender,
                Err(error) => {
                    telemetry.emit(LaneStuck { lane, error });
                    return;
                }
            };
        }
    }
}
