//! All lanes together: starting, stopping, asking. How their plans are replaced is in [`crate::replace`].

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anole_event::{Clock, LaneId, Seeded, Timestamp};
use anole_journal::Journal;
use anole_pipeline::PipelinePlan;
use anole_state::{BackedUpLane, LaneRow, State, StateError};
use anole_telemetry::{LaneReleased, LaneRenamed, LaneStopped, ParkedNow};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::backlog::{Backlog, COUNTED, backlog};
use crate::driver::Control;
use crate::keeper::{KeepOptions, Keeper, Watch, registry};
use crate::lane::{LaneOptions, LaneStatus, Silences};
use crate::orphans::{NoSuchLane, RegistryError, Renamed, find_unused, how_to_rename, release_lane, rename_lane};
use crate::plans::Plans;
use crate::recorder::Stores;
use crate::replay::Replays;
use crate::sender::{Sender, SenderError, SenderOptions};
use crate::tail::Tail;
use crate::yard::{Lane, Registered, Yard};

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
    pub(crate) yard: Yard,
    lanes: Mutex<HashMap<LaneId, Lane>>,
    /// One change of the registry or of the plans at a time; a lane may be stopped while it lasts.
    pub(crate) changing: tokio::sync::Mutex<()>,
    ending: AtomicBool,
    tail: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Tells the keeper that the registry has changed.
    pub(crate) changed: Arc<Notify>,
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
        let ends = ground.journal.ends();
        let yard = Yard {
            tail: Tail::new(ends.first().copied().unwrap_or_default(), Plans::of(pipelines, 1)),
            seeds: Mutex::new(Seeded::from_entropy()),
            replays: Replays::default(),
            blank: AtomicBool::new(false),
            ground: ground.clone(),
            options: options.clone(),
        };
        let mut lanes = HashMap::new();
        for registered in yard.register(ends).await? {
            let name = registered.0.lane.clone();
            lanes.insert(name, yard.start_lane(registered, yard.sender()?, Silences::default()).await);
        }
        let telemetry = Arc::clone(&ground.stores.telemetry);
        let tail = tokio::spawn(Arc::clone(&yard.tail).run(Arc::clone(&ground.journal), telemetry));
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
        Ok(Self { yard, lanes: Mutex::new(lanes), changing, ending, tail, keeper, changed })
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
        self.keep_and_tell(lane, Some(self.yard.ground.clock.wall())).await
    }

    /// Lets a paused lane go on, whoever paused it.
    ///
    /// # Errors
    /// When there is no such lane, or the state cannot keep it.
    pub async fn resume(&self, lane: &LaneId) -> Result<(), ControlError> {
        self.keep_and_tell(lane, None).await
    }

    /// In this order: a lane that is being started just now looks into the state once more after it can be told.
    async fn keep_and_tell(&self, lane: &LaneId, paused_since: Option<Timestamp>) -> Result<(), ControlError> {
        let known = || self.in_use().iter().map(ToString::to_string).collect();
        if self.yard.tail.plans().lane(lane).is_none() {
            return Err(NoSuchLane { wanted: lane.to_string(), known: known() }.into());
        }
        let kept = self.yard.ground.stores.state.pause(lane.clone(), paused_since).await;
        self.tell(lane, paused_since).await;
        Ok(kept?)
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
        let silences = match how {
            Renamed::TakenOver => self.stop(to, None).await?,
            Renamed::Moved => Silences::default(),
        };
        let done = rename_lane(&*stores.state, from, to, &in_use, clock.wall()).await;
        let lanes = registry(&*stores.state).await.unwrap_or_default();
        let before_it = match lanes.iter().find(|lane| lane.row.lane == *to) {
            Some(lane) => self.backlog(lane).await,
            None => Backlog::default(),
        };
        if how == Renamed::TakenOver {
            // In any case, also when the state could not be written.
            let stopped = |error: StartError| RegistryError::Stopped { lane: to.clone(), error: error.to_string() };
            let sender = self.yard.sender().map_err(|error| stopped(error.into()))?;
            self.start_again(to, sender, silences).await.map_err(|error| stopped(error.into()))?;
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

    /// Lets a lane finish what is under way, and waits for its end: everything is written then. What is not answered within
    /// the grace period, where there is one, is given up, and sent again when the lane is started again. Gives back until
    /// when the endpoint has asked for silence.
    pub(crate) async fn stop(&self, lane: &LaneId, grace: Option<Duration>) -> Result<Silences, RegistryError> {
        if self.is_ending() {
            return Err(RegistryError::Ending);
        }
        let taken = self.locked().get_mut(lane).and_then(|lane| Some((lane.control.clone(), lane.task.take()?)));
        let Some((control, mut task)) = taken else { return Ok(Silences::default()) };
        let _ended = control.send(Control::Drain).await;
        let in_time = match grace {
            Some(grace) => tokio::time::timeout(grace, &mut task).await.ok(),
            None => None,
        };
        let ended = match in_time {
            Some(ended) => ended,
            None => {
                if grace.is_some() {
                    let _ended = control.send(Control::GiveUp).await;
                }
                task.await
            }
        };
        self.yard.ground.stores.telemetry.emit(LaneStopped { lane });
        // Also a task that panicked has ended, and what it had not written is sent again.
        Ok(ended.unwrap_or_default())
    }

    /// Starts a lane that was stopped where its progress is, unless the daemon ends.
    pub(crate) async fn start_again(
        &self,
        lane: &LaneId,
        sender: Sender,
        silences: Silences,
    ) -> Result<(), StateError> {
        let state = &self.yard.ground.stores.state;
        let Some(row) = find_row(&**state, lane).await? else { return Ok(()) };
        let progress = state.progress(lane.clone()).await?;
        self.put_to_work((row, progress), sender, silences).await;
        Ok(())
    }

    /// Starts a lane, unless the daemon ends.
    pub(crate) async fn put_to_work(&self, registered: Registered, sender: Sender, silences: Silences) {
        if self.is_ending() {
            return;
        }
        let row = registered.0.clone();
        let started = self.yard.start_lane(registered, sender, silences).await;
        self.locked().insert(row.lane.clone(), started);
        // Whoever paused or resumed it since the row was read could not tell it yet.
        let now = find_row(&*self.yard.ground.stores.state, &row.lane).await.ok().flatten();
        if let Some(now) = now.filter(|now| now.paused_since != row.paused_since) {
            self.tell(&row.lane, now.paused_since).await;
        }
    }

    /// Forgets a lane that was stopped.
    pub(crate) fn forget(&self, lane: &LaneId) {
        self.yard.replays.give_up(lane, self.yard.ground.clock.wall());
        self.locked().remove(lane);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Lets requests that are under way finish within the grace period, records what ended, and stops. What was not sent
    /// is sent after the next start, with the same nonces.
    pub async fn shutdown(&self, grace: Duration) {
        self.ending.store(true, Ordering::SeqCst);
        self.keeper.abort();
        let deadline = tokio::time::sleep(grace);
        tokio::pin!(deadline);
        self.drain_all(&mut deadline).await;
        // A lane that is just being stopped by somebody else is waited for too, and one that was just being started.
        tokio::select! {
            _changed = self.changing.lock() => {}
            () = &mut deadline => {}
        }
        self.drain_all(&mut deadline).await;
        self.tail.abort();
    }

    async fn drain_all(&self, deadline: &mut Pin<&mut Sleep>) {
        let lanes: Vec<_> = self.locked().values_mut().map(|lane| (lane.control.clone(), lane.task.take())).collect();
        for (control, _) in &lanes {
            let _ended = control.send(Control::Drain).await;
        }
        for mut task in lanes.into_iter().filter_map(|(_, task)| task) {
            tokio::select! {
                _ended = &mut task => {}
                () = deadline.as_mut() => task.abort(),
            }
        }
    }

    async fn tell(&self, lane: &LaneId, paused_since: Option<Timestamp>) {
        self.send_control(lane, if paused_since.is_some() { Control::Pause } else { Control::Resume }).await;
    }

    pub(crate) async fn send_control(&self, lane: &LaneId, control: Control) {
        let found = self.locked().get(lane).map(|lane| lane.control.clone());
        if let Some(found) = found {
            // A lane whose task has ended is shutting down, or learns it when it is started again.
            let _ended = found.send(control).await;
        }
    }

    /// The plans of the pipelines in force, by name.
    #[must_use]
    pub fn pipelines(&self) -> Vec<Arc<PipelinePlan>> {
        self.yard.tail.plans().pipelines()
    }

    /// The lanes that a pipeline has, by name.
    fn in_use(&self) -> Vec<LaneId> {
        self.yard.tail.plans().lanes()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<LaneId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("lanes", &self.in_use()).finish_non_exhaustive()
    }
}

async fn find_row(state: &dyn State, lane: &LaneId) -> Result<Option<LaneRow>, StateError> {
    Ok(state.lanes().await?.into_iter().find(|row| row.lane == *lane))
}
