//! Sending parked sends again, and giving them up: what a person asks of delivery.
//!
//! # A replay
//!
//! There is one at a time per lane. It is given the rows that were there when it was asked for, oldest first, and the lane's
//! driver feeds them to the machine one by one, below live traffic: at most 50 a second, and 5 while live sends wait for their
//! turn; none while the lane is paused. Each is mapped by the plan in force ([`crate::remake`]) and ends as every send does
//! ([`crate::replaying`]). A replay is over when the state has all that became of its rows.
//!
//! Nothing of a replay is stored but its rows, which stay parked until they have ended. So a daemon that ends in the middle
//! forgets the replay and loses nothing: what is still parked is replayed by asking again. A lane that is started
//! again while the daemon runs (it got another plan) goes on with its replay; what was parked again meanwhile is left alone.
//!
//! An event that is not parked is replayed from the journal ([`crate::chosen`]), whole, in the same way and with the same limits: only
//! one that the lane has finished, as it is on its way otherwise. When one of its sends is parked it is passed over: that is for a replay of
//! what is parked. A lane that is started again sends those once more that it had in hand.
//!
//! Rejected: moving rows out of `parked` when a replay begins, into a queue of its own. It would survive a restart, but a row
//! would be in a place where nobody looks for what waits for a person.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anole_event::{LaneId, Marks, Mono, Position, Reason, State, Timestamp};
use anole_journal::Journal;
use anole_state::{Parked, ParkedFilter, ParkedGroup, ParkedId, ParkedRow, StateError};
use anole_telemetry::{ReplayBegun, ReplayEnded, Telemetry};

use crate::chosen;
use crate::delivery::Delivery;
use crate::driver::Control;
use crate::lane::{Again, Input, Replayed, Settlement};
use crate::machine::Machine;
use crate::plans::Plans;
use crate::remake::Remade;
use crate::replaying::MOST;

/// Between two replayed sends of a lane.
const PACE: Duration = Duration::from_millis(20);
/// The same while live sends wait for their turn.
const SLOW: Duration = Duration::from_millis(200);
/// Rows that are read at once.
const PAGE: usize = 64;

/// A replay could not begin, or nothing could be discarded.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The lane is at it.
    #[error("the lane {lane} is replaying: {done} of {sends} sends have ended; wait until it is done")]
    UnderWay {
        /// The lane.
        lane: LaneId,
        /// How many have ended.
        done: u64,
        /// Of how many.
        sends: u64,
    },
    /// Nobody could send them.
    #[error("no pipeline has the lane {0}: give it back to its pipeline or rename it, or discard what it has parked")]
    NoLane(LaneId),
    /// Nothing says which.
    #[error("say which events: by message id, or by time")]
    Unbounded,
    /// It would take too long to find them.
    #[error("more than {0} of the journal would have to be read: narrow the time")]
    TooMuch(String),
    /// The journal failed.
    #[error("the journal cannot be read: {0}")]
    Journal(String),
    /// The delivery log must have it first, and could not take it.
    #[error("the delivery log cannot be written: {0}")]
    Log(String),
    /// The state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// How far a replay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayStatus {
    /// The lane.
    pub lane: LaneId,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How many parked sends, or events of the journal, it was.
    pub sends: u64,
    /// How those ended that have; a row that was parked before it was mapped may count as several.
    pub ended: Vec<(State, Reason, u64)>,
    /// Events that were passed over, as one of their sends is parked or the journal has let go of them.
    pub passed_over: u64,
    /// Why it stopped before its end, when it did.
    pub stopped: Option<String>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
}

/// What is replayed.
#[derive(Debug)]
pub(crate) enum What {
    /// Parked sends.
    Parked(ParkedFilter),
    /// Events that stand here in the journal.
    Events(Vec<Position>),
}

/// A replay of one lane.
#[derive(Debug)]
pub(crate) struct Job {
    lane: LaneId,
    what: What,
    max_age: Option<Duration>,
    asked_at: Timestamp,
    sends: u64,
    so_far: Mutex<SoFar>,
}

#[derive(Debug, Default)]
struct SoFar {
    begun: bool,
    /// How many events were given to the machine.
    given: usize,
    passed_over: u64,
    ended: BTreeMap<(State, Reason), u64>,
    stopped: Option<String>,
    finished_at: Option<Timestamp>,
}

/// The newest replay of each lane.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<HashMap<LaneId, Arc<Job>>>);

/// A replay in the hands of a driver.
#[derive(Debug)]
pub(crate) struct Feed {
    job: Arc<Job>,
    filter: ParkedFilter,
    rows: VecDeque<(Again, Parked)>,
    pub(crate) next_at: Mono,
    pub(crate) all_given: bool,
}

// === impl Job ===

impl Job {
    fn locked(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> ReplayStatus {
        let so_far = self.locked();
        ReplayStatus {
            lane: self.lane.clone(),
            asked_at: self.asked_at,
            sends: self.sends,
            ended: so_far.ended.iter().map(|((state, reason), sends)| (*state, *reason, *sends)).collect(),
            passed_over: so_far.passed_over,
            stopped: so_far.stopped.clone(),
            finished_at: so_far.finished_at,
        }
    }
}

// === impl Replays ===

impl Replays {
    fn locked(&self) -> MutexGuard<'_, HashMap<LaneId, Arc<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replay that a lane has not finished.
    pub(crate) fn under_way(&self, lane: &LaneId) -> Option<Arc<Job>> {
        self.locked().get(lane).filter(|job| job.locked().finished_at.is_none()).map(Arc::clone)
    }

    /// Ends the replay of a lane that is there no more.
    pub(crate) fn give_up(&self, lane: &LaneId, now: Timestamp) {
        if let Some(job) = self.under_way(lane) {
            let mut so_far = job.locked();
            so_far.stopped = Some("no pipeline has the lane any more".to_owned());
            so_far.finished_at = Some(now);
        }
    }
}

// === impl Feed ===

impl Feed {
    /// Begins with a replay, or goes on with it.
    pub(crate) fn of(job: Arc<Job>) -> Self {
        let mut filter = match &job.what {
            What::Parked(filter) => ParkedFilter { oldest_first: true, limit: PAGE, ..filter.clone() },
            What::Events(_) => ParkedFilter { lane: Some(job.lane.clone()), limit: 1, ..ParkedFilter::default() },
        };
        let mut so_far = job.locked();
        if std::mem::replace(&mut so_far.begun, true) {
            // It was the work of a lane that was stopped. What was parked again then is not tried twice, and events that
            // may have been in hand are.
            let asked = Timestamp::from_micros(job.asked_at.micros() + 1);
            filter.until = Some(filter.until.map_or(asked, |until| until.min(asked)));
            so_far.given = so_far.given.saturating_sub(MOST);
        }
        drop(so_far);
        Self { job, filter, rows: VecDeque::new(), next_at: Mono::default(), all_given: false }
    }

    /// Whether no more is to be given to the machine.
    pub(crate) fn stop(&mut self, why: String) {
        self.job.locked().stopped.get_or_insert(why);
        self.all_given = true;
        self.rows.clear();
    }

    /// The next row for the machine; `None` when there is none.
    pub(crate) async fn next(
        &mut self,
        now: Mono,
        machine: &Machine,
        plans: &Plans,
        (journal, state): (&Arc<dyn Journal>, &dyn anole_state::State),
    ) -> Option<Input> {
        if machine.replay_is_refused() {
            self.stop("so many sends in a row were refused again that it is the mapping: correct it and replay".into());
            return None;
        }
        self.next_at = now.after(if machine.is_behind() { SLOW } else { PACE });
        if self.rows.is_empty()
            && let Err(why) = self.read(plans, journal, state).await
        {
            self.stop(why);
        }
        let (of, parked) = self.rows.pop_front()?;
        let lane = &self.job.lane;
        let (Some(plan), Some(pipeline)) = (plans.lane(lane), plans.pipeline(lane.pipeline())) else {
            self.stop("no pipeline has the lane any more".to_owned());
            return None;
        };
        let Remade { subject, mut made } = Remade::of(&parked, pipeline, plan);
        for made in &mut made {
            if let anole_pipeline::Made::Send(send) = made {
                send.expires = self.job.max_age;
            }
        }
        let plan = Arc::clone(plan);
        Some(Input::Replay(Replayed { of, ordinal: parked.ordinal, subject, made, plan }))
    }

    /// Reads what comes next; notes when that is nothing.
    async fn read(
        &mut self,
        plans: &Plans,
        journal: &Arc<dyn Journal>,
        state: &dyn anole_state::State,
    ) -> Result<(), String> {
        let job = Arc::clone(&self.job);
        let unreadable = |error: StateError| format!("the state cannot be read: {error}");
        let positions = match &job.what {
            What::Events(positions) => positions,
            What::Parked(_) => {
                let rows = state.parked(self.filter.clone()).await.map_err(unreadable)?;
                self.all_given = rows.is_empty();
                self.filter.after = rows.last().map(|row| row.id);
                self.rows = rows.into_iter().map(|row| (Again::Parked(row.id), row.parked)).collect();
                return Ok(());
            }
        };
        let given = job.locked().given;
        let Some(at) = positions.get(given).copied() else {
            self.all_given = true;
            return Ok(());
        };
        job.locked().given += 1;
        let from = Arc::clone(journal);
        let read = tokio::task::spawn_blocking(move || from.read_one(at)).await.map_err(|error| error.to_string())?;
        let record = read.map_err(|error| error.to_string())?;
        let event = record.and_then(|record| chosen::as_row(at, &record, plans.pipeline(job.lane.pipeline())?));
        let is_parked = match &event {
            Some(event) => {
                let filter = ParkedFilter {
                    lane: Some(job.lane.clone()),
                    message_id: Some(event.message_id.clone()),
                    ..ParkedFilter::default()
                };
                state.parked(filter).await.map_err(unreadable)?.iter().any(|row| row.parked.position == at)
            }
            None => true,
        };
        match event {
            Some(event) if !is_parked => self.rows.push_back((Again::Read(at), event)),
            _ => job.locked().passed_over += 1,
        }
        Ok(())
    }

    /// Counts what became of replayed sends.
    pub(crate) fn count(&self, settlement: &Settlement) {
        let sends = settlement.entries.iter().flat_map(|entry| &entry.sends);
        for send in sends.filter(|send| send.marks.contains(Marks::REPLAYED)) {
            if let Some(outcome) = &send.outcome {
                *self.job.locked().ended.entry((outcome.state, outcome.reason)).or_default() += 1;
            }
        }
    }

    /// The state has all that became of it.
    pub(crate) fn finish(self, now: Timestamp, telemetry: &Telemetry) {
        let mut so_far = self.job.locked();
        so_far.finished_at = Some(now);
        let (delivered, others): (Vec<_>, Vec<_>) =
            so_far.ended.iter().partition(|((state, _), _)| *state == State::Delivered);
        let sum = |ended: Vec<(_, &u64)>| ended.into_iter().map(|(_, sends)| *sends).sum();
        telemetry.emit(ReplayEnded {
            lane: &self.job.lane,
            delivered: sum(delivered),
            others: sum(others),
            stopped: so_far.stopped.as_deref(),
        });
    }
}

// === impl Delivery ===

impl Delivery {
    /// What is parked that a filter finds, by lane, reason and event name.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn parked_groups(&self, filter: &ParkedFilter) -> Result<Vec<ParkedGroup>, StateError> {
        self.yard.ground.stores.state.parked_groups(filter.clone()).await
    }

    /// Begins to send again what a filter finds, in all its lanes. `max_age` is the age from which an event is of no use any
    /// more; without one, events are sent however old they are, as a person asked for it: the blueprint's `expires` is not
    /// asked. Gives back the replays that began.
    ///
    /// # Errors
    /// When one of the lanes is at it already, or no pipeline has it, or the state cannot be read; none begins then.
    pub async fn replay(
        &self,
        filter: &ParkedFilter,
        max_age: Option<Duration>,
    ) -> Result<Vec<ReplayStatus>, ReplayError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut found: BTreeMap<LaneId, (u64, ParkedId)> = BTreeMap::new();
        for group in self.parked_groups(filter).await? {
            let (sends, newest) = found.entry(group.lane).or_insert((0, group.newest));
            *sends += group.count;
            *newest = (*newest).max(group.newest);
        }
        let plans = self.yard.tail.plans();
        for lane in found.keys() {
            if plans.lane(lane).is_none() {
                return Err(ReplayError::NoLane(lane.clone()));
            }
            self.refuse_if_under_way(lane)?;
        }
        let mut begun = Vec::new();
        for (lane, (sends, newest)) in found {
            let before = filter.before.map_or(newest.0 + 1, |before| before.0.min(newest.0 + 1));
            let filter = ParkedFilter { lane: Some(lane.clone()), before: Some(ParkedId(before)), ..filter.clone() };
            begun.push(self.begin(lane, What::Parked(filter), sends, max_age).await);
        }
        Ok(begun)
    }

    /// Begins a replay of a lane that has none.
    pub(crate) async fn begin(&self, lane: LaneId, what: What, sends: u64, max_age: Option<Duration>) -> ReplayStatus {
        let asked_at = self.yard.ground.clock.wall();
        let so_far = Mutex::default();
        let job = Arc::new(Job { lane: lane.clone(), what, max_age, asked_at, sends, so_far });
        let status = job.status();
        self.yard.replays.locked().insert(lane.clone(), Arc::clone(&job));
        self.yard.ground.stores.telemetry.emit(ReplayBegun { lane: &lane, sends });
        // A lane that is just being started learns it from there.
        self.send_control(&lane, Control::Replay(job)).await;
        status
    }

    /// The newest replay of each lane since the daemon was started, by lane.
    #[must_use]
    pub fn replays(&self) -> Vec<ReplayStatus> {
        let mut all: Vec<_> = self.yard.replays.locked().values().map(|job| job.status()).collect();
        all.sort_by(|a, b| a.lane.cmp(&b.lane));
        all
    }

    /// What would become of a parked send by the plan in force; `None` when no pipeline has its lane.
    #[must_use]
    pub fn remade(&self, row: &ParkedRow) -> Option<(Remade, Arc<anole_pipeline::LanePlan>)> {
        let plans = self.yard.tail.plans();
        let plan = plans.lane(&row.lane)?;
        Some((Remade::of(&row.parked, plans.pipeline(row.lane.pipeline())?, plan), Arc::clone(plan)))
    }

    pub(crate) fn refuse_if_under_way(&self, lane: &LaneId) -> Result<(), ReplayError> {
        let Some(job) = self.yard.replays.under_way(lane) else { return Ok(()) };
        let done = job.locked().ended.values().sum();
        Err(ReplayError::UnderWay { lane: lane.clone(), done, sends: job.sends })
    }
}
