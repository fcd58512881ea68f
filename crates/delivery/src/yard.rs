//! Where lanes are put together: at the start of the daemon, and again after one was stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anole_event::{LaneId, Position, Random, Seeded};
use anole_pipeline::LanePlan;
use anole_state::{LaneRow, Progress, StateError};
use anole_telemetry::{LaneOrphaned, LaneReturned};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::delivery::{DeliveryOptions, Ground};
use crate::driver::{Control, Driver};
use crate::keeper::is_orphaned;
use crate::machine::Machine;
use crate::recorder::{Recorder, tell_parked};
use crate::sender::{Sender, SenderError};
use crate::tail::{Plans, Source, Tail};

/// What all lanes are started with.
pub(crate) struct Yard {
    pub(crate) ground: Ground,
    pub(crate) options: DeliveryOptions,
    pub(crate) tail: Arc<Tail>,
    pub(crate) pipelines: Plans,
    pub(crate) seeds: Mutex<Seeded>,
}

/// A lane that was started.
pub(crate) struct Lane {
    pub(crate) control: mpsc::Sender<Control>,
    /// Gone when somebody waits for its end.
    pub(crate) task: Option<JoinHandle<()>>,
}

// === impl Yard ===

impl Yard {
    /// Registers the lanes of the plans, and marks those that no plan has any more; gives back the first, by name.
    pub(crate) async fn register(
        &self,
        plans: &HashMap<LaneId, Arc<LanePlan>>,
        ends: Vec<Position>,
    ) -> Result<Vec<(LaneRow, Vec<Progress>)>, StateError> {
        let (state, telemetry) = (&self.ground.stores.state, &self.ground.stores.telemetry);
        let known = state.lanes().await?;
        let begin = if known.is_empty() { self.ground.journal.starts() } else { ends };
        let now = self.ground.clock.wall();
        for row in known.iter().filter(|row| !plans.contains_key(&row.lane) && !is_orphaned(row.status)) {
            state.orphan(row.lane.clone(), now).await?;
            telemetry.emit(LaneOrphaned { lane: &row.lane });
        }
        let mut wanted: Vec<_> = plans.keys().collect();
        wanted.sort();
        let mut registered = Vec::with_capacity(wanted.len());
        for lane in wanted {
            let row = state.register(lane.clone(), begin.clone(), now).await?;
            if known.iter().any(|row| row.lane == *lane && is_orphaned(row.status)) {
                telemetry.emit(LaneReturned { lane });
            }
            registered.push((row, state.progress(lane.clone()).await?));
        }
        Ok(registered)
    }

    /// Starts a lane where its progress is; one that a person has paused stands still from the start.
    pub(crate) async fn start_lane(
        &self,
        plan: &Arc<LanePlan>,
        row: &LaneRow,
        progress: Vec<Progress>,
    ) -> Result<Lane, SenderError> {
        tell_parked(&self.ground.stores, &plan.lane).await;
        let lane = self.spawn(plan, progress)?;
        if row.paused_since.is_some() {
            // The queue is empty and has room.
            let _sent = lane.control.send(Control::Pause).await;
        }
        Ok(lane)
    }

    fn spawn(&self, plan: &Arc<LanePlan>, progress: Vec<Progress>) -> Result<Lane, SenderError> {
        let Ground { journal, stores, clock } = &self.ground;
        let (from, finished) = match progress.into_iter().next() {
            Some(progress) => (progress.watermark, progress.finished),
            None => (Position::default(), Vec::new()),
        };
        let (control, controlled) = mpsc::channel(16);
        let lane = plan.lane.clone();
        let seed = self.seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
        let driver = Driver {
            plan: Arc::clone(plan),
            machine: Machine::new(lane.clone(), self.options.lane, seed, from).with_finished(finished.clone()),
            source: Source::new(
                lane.clone(),
                from,
                Arc::clone(&self.tail),
                Arc::clone(journal),
                Arc::clone(&self.pipelines),
                Arc::clone(&stores.telemetry),
            ),
            sender: Arc::new(Sender::new(&self.options.sender, Arc::clone(clock))?),
            recorder: Recorder::start(lane.clone(), stores.clone()),
            clock: Arc::clone(clock),
            telemetry: Arc::clone(&stores.telemetry),
            control: controlled,
            finished,
            lane,
        };
        Ok(Lane { control, task: Some(tokio::spawn(driver.run())) })
    }
}
