//! The thin driver of a lane: it does what the machine says and tells it what came of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, LaneId, Position, Reason};
use anole_journal::{Gap, GapReason};
use anole_pipeline::{Applied, LanePlan};
use anole_state::SendKey;
use anole_telemetry::{
    AttemptEnded, BreakerGone, BreakerMoved, ClockJumped, LaneCounts, LanePaused, LaneResumed, OutcomesSettled,
    Telemetry, TokenLeftOut,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::due;
use crate::lane::{ASKED, Answered, Command, Input, LaneStatus, Offer, RequestId, Silences};
use crate::machine::Machine;
use crate::ranges;
use crate::recorder::Recorder;
use crate::remake::{erased, subject, unreadable};
use crate::replay::{Feed, Job};
use crate::sender::Sender;
use crate::tail::{Parsed, ParsedEvent, Source, Unread};

/// How often a lane tells its gauges.
const GAUGES: Duration = Duration::from_secs(1);

/// What a lane is told from outside.
#[derive(Debug)]
pub(crate) enum Control {
    /// A person stops it.
    Pause,
    /// A person lets it go on.
    Resume,
    /// The daemon ends, or the lane gets another plan: finish what is under way, then end.
    Drain,
    /// End now: what is under way is given up, and sent again by who comes after.
    GiveUp,
    /// A person wants parked sends sent again. Passed over while another replay is under way.
    Replay(Arc<Job>),
    /// How is it?
    Status(oneshot::Sender<LaneStatus>),
}

/// A lane at work.
pub(crate) struct Driver {
    pub(crate) lane: LaneId,
    pub(crate) machine: Machine,
    pub(crate) source: Source,
    pub(crate) sender: Arc<Sender>,
    pub(crate) recorder: Recorder,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) control: mpsc::Receiver<Control>,
    /// Where parked sends are.
    pub(crate) state: Arc<dyn anole_state::State>,
    /// The replay that is under way.
    pub(crate) replay: Option<Feed>,
    /// Deferred sends that are due, each with the number of commits after which the state has it.
    pub(crate) due: VecDeque<(SendKey, u64)>,
    /// How many commits were handed to the recorder.
    pub(crate) commits: u64,
    /// Finished ranges above the watermark at the start: not to be sent again.
    pub(crate) finished: Vec<std::ops::Range<u64>>,
    /// Whether it came upon a block that was read by plans in which it is not any more. It reads on no further: its progress
    /// must not pass events that it is to deliver should it come back.
    pub(crate) gone: bool,
}

type Requests = JoinSet<(RequestId, Answered)>;

// === impl Driver ===

impl Driver {
    /// Works until the lane is drained, then lets the recorder run empty. Gives back until when its endpoint has asked for
    /// silence.
    pub(crate) async fn run(mut self) -> Silences {
        let deferred = due::known(&self.lane, &*self.state, &*self.clock, &self.telemetry).await;
        self.machine = self.machine.with_deferred(&deferred);
        let mut requests: Requests = JoinSet::new();
        let mut block: Option<(Arc<Parsed>, usize)> = None;
        let mut gauges_due = self.clock.mono();
        loop {
            let takes = block.is_none() && !self.gone && self.machine.wants_more();
            let now = self.clock.mono();
            if gauges_due <= now {
                self.tell_gauges();
                gauges_due = now.after(GAUGES);
            }
            let replays = self.replay.as_ref().is_some_and(|feed| !feed.all_given) && self.machine.takes_replays();
            let replay_in = self.replay.as_ref().map(|feed| feed.next_at.since(now)).unwrap_or_default();
            let wake = self.machine.wake_at().unwrap_or(gauges_due).min(gauges_due).since(now);
            let input = tokio::select! {
                parsed = self.source.next(), if takes => {
                    block = Some((parsed, 0));
                    None
                }
                Some(ended) = requests.join_next(), if !requests.is_empty() => match ended {
                    Ok((request, answered)) => {
                        self.tell_attempt(&answered);
                        Some(Input::Answer(request, Box::new(answered)))
                    }
                    // A request task neither panics nor is it cancelled before the lane ends.
                    Err(_) => None,
                },
                Ok(()) = self.recorder.recorded.changed() => {
                    Some(Input::Recorded(*self.recorder.recorded.borrow_and_update()))
                }
                Ok(()) = self.recorder.full.changed() => {
                    self.recorder.full.borrow_and_update().clone().map(Input::Pause)
                }
                control = self.control.recv() => match control {
                    Some(Control::GiveUp) => break,
                    control => self.hear(control),
                },
                () = tokio::time::sleep(replay_in), if replays => self.next_replay().await,
                Ok(()) = self.recorder.committed.changed(), if self.replay.is_some() || !self.due.is_empty() => {
                    self.recorder.committed.borrow_and_update();
                    None
                }
                () = tokio::time::sleep(wake) => Some(Input::Tick),
            };
            if let Some(input) = input
                && self.step(input, &mut requests).await
            {
                break;
            }
            self.end_replay();
            if self.give_due(&mut requests).await {
                break;
            }
            if let Some((parsed, at)) = block.take() {
                block = self.feed(parsed, at, &mut requests).await;
            }
        }
        self.end(requests).await
    }

    /// What a person, or whoever stops the lane, has to say.
    fn hear(&mut self, control: Option<Control>) -> Option<Input> {
        match control {
            Some(Control::Pause) => Some(Input::Pause(ASKED.into())),
            Some(Control::Resume) => Some(Input::Resume),
            Some(Control::Drain | Control::GiveUp) | None => Some(Input::Drain),
            Some(Control::Replay(job)) => {
                self.begin_replay(job);
                None
            }
            Some(Control::Status(answer)) => {
                // Whoever asked may have left.
                let _left = answer.send(self.machine.status());
                None
            }
        }
    }

    async fn end(self, mut requests: Requests) -> Silences {
        // Requests that were given up end here, before what comes after can make them again.
        requests.shutdown().await;
        let silences = self.machine.silences();
        for endpoint in self.machine.status().endpoints.iter().filter(|endpoint| endpoint.open) {
            self.telemetry.emit(BreakerGone { lane: &self.lane, endpoint: &endpoint.endpoint.to_string() });
        }
        self.recorder.close().await;
        silences
    }

    /// Gives the machine the events of a block, mapped by the plan of the block's own version, until it has enough; what is
    /// left of the block comes back.
    async fn feed(
        &mut self,
        parsed: Arc<Parsed>,
        from: usize,
        requests: &mut Requests,
    ) -> Option<(Arc<Parsed>, usize)> {
        let Some(plan) = parsed.plans.lane(&self.lane).map(Arc::clone) else {
            self.gone = true;
            return None;
        };
        if let Some(gap) = &parsed.gap
            && from == 0
        {
            let gap = *gap;
            self.tell_gap(gap).await;
        }
        for (at, event) in parsed.events.iter().enumerate().skip(from) {
            if !self.machine.wants_more() {
                return Some((parsed, at));
            }
            // A lane that took a seat at the tail had read a part of its first block alone.
            let is_read = event.position < self.machine.next_position();
            if !is_read && let Some(offer) = self.offer(&plan, event) {
                self.step(Input::Offer(offer), requests).await;
            }
        }
        self.step(Input::Advance(parsed.next), requests).await;
        None
    }

    /// Applies the lane's plan to an event; `None` when it is another lane's or was finished before a restart.
    fn offer(&self, plan: &Arc<LanePlan>, event: &ParsedEvent) -> Option<Offer> {
        if *event.plan.name != *self.lane.pipeline() || self.is_finished(event.position) {
            return None;
        }
        let head = event.record.head().ok()?;
        let (made, ids) = match &event.values {
            Ok(values) => {
                let Applied::Made(made) = plan.apply(&head, values) else { return None };
                (made.into_vec(), Some(values))
            }
            Err(Unread::NoEvent(error)) => (vec![unreadable(0, error)], None),
            Err(Unread::Erased) => (vec![erased()], None),
        };
        let name = if head.name.is_empty() { head.event_type.as_str() } else { head.name };
        let subject = subject(event.position, &event.record, &head, name, ids.map(|values| (values, &*event.plan)));
        Some(Offer { subject: Arc::new(subject), next: event.next, made, plan: Arc::clone(plan) })
    }

    fn begin_replay(&mut self, job: Arc<Job>) {
        if self.replay.is_none() {
            self.machine.begin_replay();
            self.replay = Some(Feed::of(job));
        }
    }

    async fn next_replay(&mut self) -> Option<Input> {
        let plans = self.source.plans();
        let stores = (self.source.journal(), &*self.state);
        self.replay.as_mut()?.next(self.clock.mono(), &self.machine, &plans, stores).await
    }

    /// A replay is over when all its rows have ended and the state has that: the next one must not find them.
    fn end_replay(&mut self) {
        let is_over = self.replay.as_ref().is_some_and(|feed| feed.all_given)
            && self.machine.replaying() == 0
            && *self.recorder.committed.borrow() == self.commits;
        if is_over && let Some(feed) = self.replay.take() {
            feed.finish(self.clock.wall(), &self.telemetry);
        }
    }

    /// Gives the machine the deferred sends that are due and that the state has; true when the lane is drained.
    async fn give_due(&mut self, requests: &mut Requests) -> bool {
        let mut drained = false;
        while let Some((key, since)) = self.due.front().copied()
            && *self.recorder.committed.borrow() >= since
        {
            self.due.pop_front();
            let input = due::input(&self.lane, key, &self.source.plans(), &*self.state).await;
            drained |= self.step(input, requests).await;
        }
        drained
    }

    fn is_finished(&self, position: Position) -> bool {
        ranges::covers(&self.finished, position.offset)
    }

    /// Steps the machine and does what it says; true when the lane is drained.
    async fn step(&mut self, input: Input, requests: &mut Requests) -> bool {
        let mut drained = false;
        for command in self.machine.step(self.clock.now(), input) {
            match command {
                Command::Send(outgoing) => {
                    let sender = Arc::clone(&self.sender);
                    requests.spawn(async move { (outgoing.request, sender.send(outgoing).await) });
                }
                // A recorder that has ended cannot keep what ends: the lane must end too, and has told why.
                Command::Record(settlement) => {
                    if let Some(feed) = &self.replay {
                        feed.count(&settlement);
                    }
                    drained |= self.recorder.settlements.send(settlement).await.is_err();
                }
                Command::Undefer(key) => self.due.push_back((key, self.commits)),
                Command::Commit(moved) => {
                    self.commits += 1;
                    drained |= self.recorder.commits.send(moved).await.is_err();
                }
                Command::Paused(hint) => {
                    self.telemetry.emit(LanePaused { lane: &self.lane, hint: &hint, asked: &*hint == ASKED });
                }
                Command::Resumed => self.telemetry.emit(LaneResumed { lane: &self.lane }),
                Command::Breaker { endpoint, open } => {
                    self.telemetry.emit(BreakerMoved { lane: &self.lane, endpoint: &endpoint.to_string(), open });
                }
                Command::RefreshAuth(address) => self.sender.forget_token(&address.endpoint).await,
                Command::ClockJumped => self.telemetry.emit(ClockJumped { lane: &self.lane }),
                Command::Drained => drained = true,
            }
        }
        drained
    }

    fn tell_attempt(&self, answered: &Answered) {
        if answered.without_token {
            self.telemetry.emit(TokenLeftOut { lane: &self.lane });
        }
        let error = answered.error.as_ref().map(|error| error.message.as_str());
        self.telemetry.emit(AttemptEnded { lane: &self.lane, status: answered.status, took: answered.took, error });
    }

    /// Counts what the lane will never see. Where the journal can tell, events of other pipelines are left out; where
    /// nobody knows how many there were, the log alone says that some are gone.
    async fn tell_gap(&mut self, gap: Gap) {
        let (journal, lane) = (Arc::clone(self.source.journal()), self.lane.clone());
        let counted = tokio::task::spawn_blocking(move || journal.lost(&gap, lane.pipeline())).await;
        let sends = counted.ok().flatten().or(gap.records).unwrap_or(0);
        let reason = match gap.reason {
            GapReason::Trimmed => Reason::DropOldest,
            GapReason::Damaged | GapReason::Missing => Reason::JournalDamage,
        };
        self.telemetry.emit(OutcomesSettled { lane: &self.lane, state: anole_event::State::Lost, reason, sends });
    }

    fn tell_gauges(&self) {
        let status = self.machine.status();
        let lag = status.oldest.map(|oldest| self.clock.wall().since(oldest)).unwrap_or_default();
        self.telemetry.emit(LaneCounts {
            lane: &self.lane,
            lag_events: status.open as u64,
            lag,
            inflight: status.inflight as u64,
            deferred: status.deferred as u64,
        });
    }
}
