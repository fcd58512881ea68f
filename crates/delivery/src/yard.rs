//! Where lanes are put together: at the start of the daemon, after one was stopped, and when plans are replaced.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anole_event::{LaneId, Position, Random, Seeded};
use anole_state::{LaneRow, Progress, StateError};
use anole_telemetry::{LaneOrphaned, LaneReturned};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::delivery::{DeliveryOptions, Ground};
use crate::driver::{Control, Driver};
use crate::keeper::is_orphaned;
use crate::lane::Silences;
use crate::machine::Machine;
use crate::recorder::{Recorder, tell_parked};
use crate::replay::Replays;
use crate::sender::{Sender, SenderError};
use crate::tail::{Source, Tail};

/// What all lanes are started with.
pub(crate) struct Yard {
    pub(crate) ground: Ground,
    pub(crate) options: DeliveryOptions,
    pub(crate) tail: Arc<Tail>,
    pub(crate) seeds: Mutex<Seeded>,
    /// What is being replayed, lane by lane.
    pub(crate) replays: Replays,
    /// Whether the state knew no lane when the daemon started, and none was registered since.
    pub(crate) blank: AtomicBool,
}

/// A lane that was started.
pub(crate) struct Lane {
    pub(crate) control: mpsc::Sender<Control>,
    /// Gone when somebody waits for its end.
    pub(crate) task: Option<JoinHandle<Silences>>,
}

/// A lane's row, and its progress.
pub(crate) type Registered = (LaneRow, Vec<Progress>);

// === impl Yard ===

impl Yard {
    /// Registers the lanes that the plans have, and marks those that no plan has any more; gives back the first, by name.
    pub(crate) async fn register(&self, ends: Vec<Position>) -> Result<Vec<Registered>, StateError> {
        let state = &self.ground.stores.state;
        let plans = self.tail.plans();
        let known = state.lanes().await?;
        self.blank.store(known.is_empty(), Ordering::SeqCst);
        for row in known.iter().filter(|row| plans.lane(&row.lane).is_none() && !is_orphaned(row.status)) {
            self.orphan(&row.lane).await?;
        }
        let mut registered = Vec::new();
        for lane in plans.lanes() {
            registered.push(self.register_lane(&lane, &known, &ends).await?.0);
        }
        self.no_longer_blank(!registered.is_empty());
        Ok(registered)
    }

    /// Registers a lane that begins at these ends if it is new; also says whether an orphan has come back with it.
    pub(crate) async fn register_lane(
        &self,
        lane: &LaneId,
        known: &[LaneRow],
        ends: &[Position],
    ) -> Result<(Registered, bool), StateError> {
        let Ground { stores, journal, clock } = &self.ground;
        // See `Delivery::start`: a state that knows nothing may have been lost.
        let begin = if self.blank.load(Ordering::SeqCst) { journal.starts() } else { ends.to_vec() };
        let row = stores.state.register(lane.clone(), begin, clock.wall()).await?;
        let is_back = known.iter().any(|row| row.lane == *lane && is_orphaned(row.status));
        if is_back {
            stores.telemetry.emit(LaneReturned { lane });
        }
        Ok(((row, stores.state.progress(lane.clone()).await?), is_back))
    }

    /// Once lanes are registered, those that come later are new.
    pub(crate) fn no_longer_blank(&self, registered: bool) {
        self.blank.fetch_and(!registered, Ordering::SeqCst);
    }

    /// Marks a lane that no plan has any more.
    pub(crate) async fn orphan(&self, lane: &LaneId) -> Result<(), StateError> {
        let Ground { stores, clock, .. } = &self.ground;
        stores.state.orphan(lane.clone(), clock.wall()).await?;
        stores.telemetry.emit(LaneOrphaned { lane });
        Ok(())
    }

    /// A lane's client.
    pub(crate) fn sender(&self) -> Result<Sender, SenderError> {
        Sender::new(&self.options.sender, Arc::clone(&self.ground.clock))
    }

    /// Starts a lane where its progress is, silent until then; one that a person has paused stands still from the start.
    pub(crate) async fn start_lane(&self, (row, progress): Registered, sender: Sender, silences: Silences) -> Lane {
        tell_parked(&self.ground.stores, &row.lane).await;
        let replay = self.replays.under_way(&row.lane);
        let lane = self.spawn(row.lane, progress, sender, silences);
        if let Some(job) = replay {
            let _sent = lane.control.send(Control::Replay(job)).await;
        }
        if row.paused_since.is_some() {
            // The queue is empty and has room.
            let _sent = lane.control.send(Control::Pause).await;
        }
        lane
    }

    fn spawn(&self, lane: LaneId, progress: Vec<Progress>, sender: Sender, silences: Silences) -> Lane {
        let Ground { journal, stores, clock } = &self.ground;
        let (from, finished) = match progress.into_iter().next() {
            Some(progress) => (progress.watermark, progress.finished),
            None => (Position::default(), Vec::new()),
        };
        let (control, controlled) = mpsc::channel(16);
        let seed = self.seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
        let (tail, telemetry) = (Arc::clone(&self.tail), Arc::clone(&stores.telemetry));
        let driver = Driver {
            machine: Machine::new(lane.clone(), self.options.lane, seed, from)
                .with_finished(finished.clone())
                .with_silences(silences),
            source: Source::new(lane.clone(), from, tail, Arc::clone(journal), Arc::clone(&telemetry)),
            sender: Arc::new(sender),
            recorder: Recorder::start(lane.clone(), stores.clone()),
            clock: Arc::clone(clock),
            telemetry,
            control: controlled,
            state: Arc::clone(&stores.state),
            replay: None,
            due: VecDeque::new(),
            commits: 0,
            finished,
            gone: false,
            lane,
        };
        Lane { control, task: Some(tokio::spawn(driver.run())) }
    }
}
