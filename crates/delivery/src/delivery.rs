//! All lanes together: starting, stopping, asking.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_event::{Clock, LaneId, Position, Random, Seeded};
use anole_journal::Journal;
use anole_pipeline::{LanePlan, PipelinePlan};
use anole_state::{Progress, StateError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::driver::{Control, Driver};
use crate::lane::{LaneOptions, LaneStatus};
use crate::machine::Machine;
use crate::recorder::{Recorder, Stores, tell_parked};
use crate::sender::{Sender, SenderError, SenderOptions};
use crate::tail::{Plans, Source, Tail};

/// How delivery works.
#[derive(Clone, Debug, Default)]
pub struct DeliveryOptions {
    /// Of each lane.
    pub lane: LaneOptions,
    /// Of each request.
    pub sender: SenderOptions,
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

/// A lane that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no lane `{wanted}`; the lanes are: {}", .known.join(", "))]
pub struct NoSuchLane {
    /// What was asked for.
    pub wanted: String,
    /// What there is.
    pub known: Vec<String>,
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
    lanes: HashMap<LaneId, mpsc::Sender<Control>>,
    /// The lanes' tasks, until they are awaited by the shutdown.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    tail: JoinHandle<()>,
    stores: Stores,
    clock: Arc<dyn Clock>,
}

struct Lane {
    control: mpsc::Sender<Control>,
    task: JoinHandle<()>,
}

// === impl Delivery ===

impl Delivery {
    /// Starts a lane for each destination. A lane that the state knows goes on where it was; a new one begins with what
    /// is accepted from now on (S-5). When the state knows no lane at all, they begin with the oldest event that the journal
    /// keeps: either nothing was ever accepted, or the state was lost with its backup, and then what was delivered is sent
    /// again with the same nonces rather than what was not is passed over (S-3).
    ///
    /// # Errors
    /// When the state cannot be read or no HTTP client can be made.
    pub async fn start(
        pipelines: &[Arc<PipelinePlan>],
        options: &DeliveryOptions,
        ground: &Ground,
    ) -> Result<Self, StartError> {
        let plans: Plans = Arc::new(pipelines.iter().map(|plan| (Box::from(&*plan.name), Arc::clone(plan))).collect());
        let ends = ground.journal.ends();
        let tail = Tail::new(ends.first().copied().unwrap_or_default());
        let is_lost = ground.stores.state.lanes().await?.is_empty();
        let begin = if is_lost { ground.journal.starts() } else { ends.clone() };
        let mut seeds = Seeded::from_entropy();
        let (mut lanes, mut tasks) = (HashMap::new(), Vec::new());
        for plan in pipelines.iter().flat_map(|pipeline| &pipeline.lanes) {
            let at = ground.clock.wall();
            let row = ground.stores.state.register(plan.lane.clone(), begin.clone(), at).await?;
            let progress = ground.stores.state.progress(plan.lane.clone()).await?;
            tell_parked(&ground.stores, &plan.lane).await;
            let start = Start { plan, progress, seed: seeds.next(), tail: &tail, plans: &plans };
            let lane = Lane::start(start, options, ground)?;
            if row.paused_since.is_some() {
                // The queue is empty and has room.
                let _sent = lane.control.send(Control::Pause).await;
            }
            lanes.insert(plan.lane.clone(), lane.control);
            tasks.push(lane.task);
        }
        let telemetry = Arc::clone(&ground.stores.telemetry);
        let tail = tokio::spawn(tail.run(Arc::clone(&ground.journal), plans, telemetry));
        let (stores, clock) = (ground.stores.clone(), Arc::clone(&ground.clock));
        Ok(Self { lanes, tasks: Mutex::new(tasks), tail, stores, clock })
    }

    /// Every lane at a glance, by name.
    pub async fn lanes(&self) -> Vec<LaneStatus> {
        let mut all = Vec::with_capacity(self.lanes.len());
        for control in self.lanes.values() {
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
        Ok(self.stores.state.pause(lane.clone(), Some(self.clock.wall())).await?)
    }

    /// Lets a paused lane go on, whoever paused it.
    ///
    /// # Errors
    /// When there is no such lane, or the state cannot keep it.
    pub async fn resume(&self, lane: &LaneId) -> Result<(), ControlError> {
        self.tell(lane, Control::Resume).await?;
        Ok(self.stores.state.pause(lane.clone(), None).await?)
    }

    /// Lets requests that are under way finish within the grace period, records what ended, and stops. What was not sent
    /// is sent after the next start, with the same nonces.
    pub async fn shutdown(&self, grace: Duration) {
        for control in self.lanes.values() {
            let _ended = control.send(Control::Drain).await;
        }
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = tokio::time::sleep(grace);
        tokio::pin!(deadline);
        for mut task in tasks {
            tokio::select! {
                _ended = &mut task => {}
                () = &mut deadline => task.abort(),
            }
        }
        self.tail.abort();
    }

    async fn tell(&self, lane: &LaneId, control: Control) -> Result<(), NoSuchLane> {
        let Some(found) = self.lanes.get(lane) else {
            let mut known: Vec<_> = self.lanes.keys().map(ToString::to_string).collect();
            known.sort();
            return Err(NoSuchLane { wanted: lane.to_string(), known });
        };
        // A lane whose task has ended is shutting down: there is nothing to tell it.
        let _ended = found.send(control).await;
        Ok(())
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("lanes", &self.lanes.keys()).finish_non_exhaustive()
    }
}

struct Start<'a> {
    plan: &'a Arc<LanePlan>,
    progress: Vec<Progress>,
    seed: u64,
    tail: &'a Arc<Tail>,
    plans: &'a Plans,
}

// === impl Lane ===

impl Lane {
    fn start(start: Start<'_>, options: &DeliveryOptions, ground: &Ground) -> Result<Self, SenderError> {
        let Start { plan, progress, seed, tail, plans } = start;
        let (from, finished) = match progress.into_iter().next() {
            Some(progress) => (progress.watermark, progress.finished),
            None => (Position::default(), Vec::new()),
        };
        let (control, controlled) = mpsc::channel(16);
        let lane = plan.lane.clone();
        let telemetry = Arc::clone(&ground.stores.telemetry);
        let driver = Driver {
            plan: Arc::clone(plan),
            machine: Machine::new(lane.clone(), options.lane, seed, from),
            source: Source::new(
                lane.clone(),
                from,
                Arc::clone(tail),
                Arc::clone(&ground.journal),
                Arc::clone(plans),
                Arc::clone(&telemetry),
            ),
            sender: Arc::new(Sender::new(&options.sender, Arc::clone(&ground.clock))?),
            recorder: Recorder::start(lane.clone(), ground.stores.clone()),
            clock: Arc::clone(&ground.clock),
            telemetry,
            control: controlled,
            finished,
            lane,
        };
        Ok(Self { control, task: tokio::spawn(driver.run()) })
    }
}
