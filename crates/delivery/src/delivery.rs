//! All lanes together: starting, stopping, asking.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anole_event::{Clock, LaneId, Seeded};
use anole_journal::Journal;
use anole_pipeline::{LanePlan, PipelinePlan};
use anole_state::{BackedUpLane, StateError};
use anole_telemetry::{LaneReleased, LaneRenamed, ParkedNow};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::backlog::{Backlog, COUNTED, backlog};
use crate::driver::Control;
use crate::keeper::{KeepOptions, Keeper, Watch, registry};
use crate::lane::{LaneOptions, LaneStatus};
use crate::orphans::{NoSuchLane, RegistryError, Renamed, find_unused, how_to_rename, release_lane, rename_lane};
use crate::recorder::Stores;
use crate::sender::{SenderError, SenderOptions};
use crate::tail::Tail;
use crate::yard::{Lane, Yard};

/// How delivery works.
#[derive(Clone, Debug, Default)]
pub struct DeliveryOptions {
    /// Of each lane.
    pub lane: LaneOptions,
    /// Of each request.
    pub sender: SenderOptions,
    /// Of what nobody waits for.
    pub keep: KeepOptions,
}

/// What delivery stands on.
#[derive(Clone)]
pub struct Ground {
    /// Where events come from.
    pub journal: Arc<dyn Journal>,
    /// Where what ended goes.
    pub stores: Stores,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Delivery could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state gave no progress.
    #[error("the lanes' progress cannot be read: {0}")]
    State(#[from] StateError),
    /// No client could be made.
    #[error(transparent)]
    Sender(#[from] SenderError),
}

/// A lane could not be told.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is none of that name.
    #[error(transparent)]
    Unknown(#[from] NoSuchLane),
    /// It was told, and the state could not keep it for the next start.
    #[error("done, but not kept for the next start: {0}")]
    State(#[from] StateError),
}

/// The lanes at work.
pub struct Delivery {
    yard: Yard,
    plans: HashMap<LaneId, Arc<LanePlan>>,
    lanes: Mutex<HashMap<LaneId, Lane>>,
    /// One change of the registry at a time; a lane may be stopped while it lasts.
    changing: tokio::sync::Mutex<()>,
    ending: AtomicBool,
    tail: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Tells the keeper that the registry has changed.
    changed: Arc<Notify>,
}

// === impl Delivery ===

impl Delivery {
    /// Starts a lane for each destination. A lane that the state knows goes on where it was; a new one begins with what
    /// is accepted from now on (S-5). When the state knows no lane at all, they begin with the oldest event that the journal
    /// keeps: either nothing was ever accepted, or the state was lost with its backup, and then what was delivered is sent
    /// again with the same nonces rather than what was not is passed over (S-3). A lane that no destination has any more
    /// becomes an orphan.
    ///
    /// # Errors
    /// When the state cannot be read or no HTTP client can be made.
    pub async fn start(
        pipelines: &[Arc<PipelinePlan>],
        options: &DeliveryOptions,
        ground: &Ground,
    ) -> Result<Self, StartError> {
        let by_name = pipelines.iter().map(|plan| (Box::from(&*plan.name), Arc::clone(plan)));
        let ends = ground.journal.ends();
        let yard = Yard {
            tail: Tail::new(ends.first().copied().unwrap_or_default()),
            pipelines: Arc::new(by_name.collect()),
            seeds: Mutex::new(Seeded::from_entropy()),
            ground: ground.clone(),
            options: options.clone(),
        };
        let all = pipelines.iter().flat_map(|pipeline| &pipeline.lanes);
        let plans: HashMap<LaneId, _> = all.map(|plan| (plan.lane.clone(), Arc::clone(plan))).collect();
        let mut lanes = HashMap::new();
        for (row, progress) in yard.register(&plans, ends).await? {
            if let Some(plan) = plans.get(&row.lane) {
                lanes.insert(row.lane.clone(), yard.start_lane(plan, &row, progress).await?);
            }
        }
        let telemetry = Arc::clone(&ground.stores.telemetry);
        let (tail, pipelines) = (Arc::clone(&yard.tail), Arc::clone(&yard.pipelines));
        let tail = tokio::spawn(tail.run(Arc::clone(&ground.journal), pipelines, telemetry));
        let changed = Arc::new(Notify::new());
        let keeper = Keeper {
            journal: Arc::clone(&ground.journal),
            state: Arc::clone(&ground.stores.state),
            telemetry: Arc::clone(&ground.stores.telemetry),
            clock: Arc::clone(&ground.clock),
            options: options.keep,
            asked: Arc::clone(&changed),
            watch: Watch::default(),
        };
        let keeper = tokio::spawn(keeper.run());
        let (changing, ending) = (tokio::sync::Mutex::default(), AtomicBool::new(false));
        Ok(Self { yard, plans, lanes: Mutex::new(lanes), changing, ending, tail, keeper, changed })
    }

    /// Every lane at work at a glance, by name.
    pub async fn lanes(&self) -> Vec<LaneStatus> {
        let controls: Vec<_> = self.locked().values().map(|lane| lane.control.clone()).collect();
        let mut all = Vec::with_capacity(controls.len());
        for control in controls {
            let (answer, status) = oneshot::channel();
            if control.send(Control::Status(answer)).await.is_ok()
                && let Ok(status) = status.await
            {
                all.push(status);
            }
        }
        all.sort_by(|a, b| a.lane.cmp(&b.lane));
        all
    }

    /// Stops a lane until it is resumed, also over a restart. Its events stay in the journal.
    ///
    /// # Errors
    /// When there is no such lane, or the state cannot keep it.
    pub async fn pause(&self, lane: &LaneId) -> Result<(), ControlError> {
        self.tell(lane, Control::Pause).await?;
        Ok(self.yard.ground.stores.state.pause(lane.clone(), Some(self.yard.ground.clock.wall())).await?)
    }

    /// Lets a paused lane go on, whoever paused it.
    ///
    /// # Errors
    /// When there is no such lane, or the state cannot keep it.
    pub async fn resume(&self, lane: &LaneId) -> Result<(), ControlError> {
        self.tell(lane, Control::Resume).await?;
        Ok(self.yard.ground.stores.state.pause(lane.clone(), None).await?)
    }

    /// Gives up a lane that no pipeline has: what it has not delivered will not be, and holds the journal no longer. What
    /// it has parked stays. Gives back how much that is.
    ///
    /// # Errors
    /// When there is no such lane, a pipeline has it, or a store fails.
    pub async fn release(&self, lane: &LaneId) -> Result<Backlog, RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        let Ground { stores, clock, .. } = &self.yard.ground;
        let in_use = self.in_use();
        let lanes = registry(&*stores.state).await?;
        let given_up = self.backlog(find_unused(&lanes, lane, &in_use)?).await;
        release_lane(&*stores.state, lane, &in_use, clock.wall()).await?;
        stores.telemetry.emit(LaneReleased { lane, undelivered: given_up.events });
        self.changed.notify_one();
        Ok(given_up)
    }

    /// Gives a lane that no pipeline has another name. When a lane of that name is at work it takes over what the orphan has
    /// not delivered: it is stopped for as long as its requests under way take, and started again. A call that is dropped
    /// goes on by itself. Gives back how it went, and how much is to be delivered under the new name.
    ///
    /// # Errors
    /// When there is no such lane, a pipeline has it, the new name is another orphan's or another pipeline's, or the state
    /// fails.
    pub async fn rename(self: &Arc<Self>, from: &LaneId, to: &LaneId) -> Result<(Renamed, Backlog), RegistryError> {
        let (this, from, to) = (Arc::clone(self), from.clone(), to.clone());
        // A task of its own: a caller who leaves must not leave a lane stopped.
        let done = tokio::spawn(async move { this.change_name(&from, &to).await });
        done.await.unwrap_or(Err(RegistryError::Ending))
    }

    async fn change_name(&self, from: &LaneId, to: &LaneId) -> Result<(Renamed, Backlog), RegistryError> {
        let _one_at_a_time = self.changing.lock().await;
        let Ground { stores, clock, .. } = &self.yard.ground;
        let in_use = self.in_use();
        let how = how_to_rename(&registry(&*stores.state).await?, from, to, &in_use)?;
        if how == Renamed::TakenOver {
            self.stop(to).await?;
        }
        let done = rename_lane(&*stores.state, from, to, &in_use, clock.wall()).await;
        let lanes = registry(&*stores.state).await.unwrap_or_default();
        let before_it = match lanes.iter().find(|lane| lane.row.lane == *to) {
            Some(lane) => self.backlog(lane).await,
            None => Backlog::default(),
        };
        if how == Renamed::TakenOver {
            // In any case, also when the state could not be written.
            let stopped = |error: StartError| RegistryError::Stopped { lane: to.clone(), error: error.to_string() };
            self.start_again(to).await.map_err(stopped)?;
        }
        let how = done?;
        stores.telemetry.emit(LaneRenamed { from, to, taken_over: how == Renamed::TakenOver });
        stores.telemetry.emit(ParkedNow { lane: from, sends: 0 });
        self.changed.notify_one();
        Ok((how, before_it))
    }

    /// A journal that cannot be read is no reason to keep a person from settling a lane: it says so itself.
    async fn backlog(&self, lane: &BackedUpLane) -> Backlog {
        let (journal, lane) = (Arc::clone(&self.yard.ground.journal), lane.clone());
        let counted = tokio::task::spawn_blocking(move || backlog(&*journal, &lane, COUNTED)).await;
        counted.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Lets a lane finish what is under way, and waits for its end: everything is written then.
    async fn stop(&self, lane: &LaneId) -> Result<(), RegistryError> {
        if self.ending.load(Ordering::SeqCst) {
            return Err(RegistryError::Ending);
        }
        let taken = self.locked().get_mut(lane).and_then(|lane| Some((lane.control.clone(), lane.task.take()?)));
        if let Some((control, task)) = taken {
            let _ended = control.send(Control::Drain).await;
            // A task that panicked has ended as well, and what it had not written is sent again.
            let _ended = task.await;
        }
        Ok(())
    }

    async fn start_again(&self, lane: &LaneId) -> Result<(), StartError> {
        if self.ending.load(Ordering::SeqCst) {
            return Ok(());
        }
        let state = &self.yard.ground.stores.state;
        let row = state.lanes().await?.into_iter().find(|row| row.lane == *lane);
        if let (Some(row), Some(plan)) = (row, self.plans.get(lane)) {
            let progress = state.progress(lane.clone()).await?;
            let started = self.yard.start_lane(plan, &row, progress).await?;
            self.locked().insert(lane.clone(), started);
        }
        Ok(())
    }

    /// Lets requests that are under way finish within the grace period, records what ended, and stops. What was not sent
    /// is sent after the next start, with the same nonces.
    pub async fn shutdown(&self, grace: Duration) {
        self.ending.store(true, Ordering::SeqCst);
        self.keeper.abort();
        let deadline = tokio::time::sleep(grace);
        tokio::pin!(deadline);
        let lanes: Vec<_> = self.locked().values_mut().map(|lane| (lane.control.clone(), lane.task.take())).collect();
        for (control, _) in &lanes {
            let _ended = control.send(Control::Drain).await;
        }
        for mut task in lanes.into_iter().filter_map(|(_, task)| task) {
            tokio::select! {
                _ended = &mut task => {}
                () = &mut deadline => task.abort(),
            }
        }
        // A lane that is just being stopped by somebody else is waited for too.
        tokio::select! {
            _changed = self.changing.lock() => {}
            () = &mut deadline => {}
        }
        self.tail.abort();
    }

    async fn tell(&self, lane: &LaneId, control: Control) -> Result<(), NoSuchLane> {
        let found = self.locked().get(lane).map(|lane| lane.control.clone());
        let Some(found) = found else {
            let known = self.in_use().iter().map(ToString::to_string).collect();
            return Err(NoSuchLane { wanted: lane.to_string(), known });
        };
        // A lane whose task has ended is shutting down: there is nothing to tell it.
        let _ended = found.send(control).await;
        Ok(())
    }

    /// The lanes that a pipeline has, by name.
    fn in_use(&self) -> Vec<LaneId> {
        let mut in_use: Vec<_> = self.plans.keys().cloned().collect();
        in_use.sort();
        in_use
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<LaneId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("lanes", &self.plans.keys()).finish_non_exhaustive()
    }
}
