//! The lane machine: `step(now, input) -> commands`.
//!
//! # What it does with a batch
//!
//! Closed batches stand in line at their endpoint ([`crate::endpoint`]). One is sent when the lane is not paused, the endpoint has
//! not asked for silence, its breaker ([`crate::breaker`]) and its pace ([`crate::pace`]) let it through, and fewer than the allowed
//! number of its batches are under way *or waiting for another try*: a batch that failed keeps its place among the allowed ones.
//! Sends that have expired are taken out just before a request is made of the rest.
//!
//! What an answer means is the blueprint's `answers` table, as `RequestPlan::answers` judges it:
//!
//! - *delivered*: all its sends are.
//! - *retry*, and every failure without an answer: the whole batch waits by its own ladder ([`crate::retry`]) and is sent
//!   again unchanged. Its order keys stay held, so nothing overtakes it. While the endpoint's breaker is open it waits for that and
//!   not by its ladder. A `Retry-After` on 429 or 503 silences the whole endpoint for that long, as it speaks for it and not for
//!   the batch.
//!   A batch that fails again and again while its endpoint delivers others is split too, and a send that fails alone is set aside
//!   for some time ([`crate::deferring`]).
//! - *split*: a refusal that can be one send's fault. The batch is halved, one half after the other, until single sends
//!   remain; a single send that is refused is parked. For one poison send in `n` that is at most `2*ceil(log2 n)+1`
//!   requests. One batch of an endpoint is split at a time, so that a vendor who refuses everything does not get a storm of halves.
//!   Eight single sends refused in a row with none accepted in between: that is the mapping and not the events. Those
//!   eight stay parked and the lane pauses.
//! - *park*: the single send is parked, a larger batch is split first.
//! - *pause*: the destination is misconfigured. The batch goes back to the head of the line, the lane stops reading when
//!   its window is full, and once a minute one small batch is sent as a probe; what is cut off its batch waits behind it. A
//!   delivered probe lets the lane go on. A refused probe lets it go on too (the endpoint understands us again), unless the
//!   pause came from refusals. Neither does when a person has paused the lane.
//! - *refresh_auth*: the token is dropped and the batch tried again; after three refusals in a row the lane pauses.
//!
//! Parked sends that a person wants sent again come by [`Input::Replay`]; what is other with them is in [`crate::replaying`].
//!
//! # Settling
//!
//! Whatever ends becomes a numbered [`Settlement`] for the delivery log. Only when the driver says that it is written does
//! the window count the sends as finished, and only then may state take the progress (S-2): after a crash an event is
//! found behind progress, parked, or still to do, and never in two of them.
//!
//! # Time
//!
//! Timers use the monotonic clock, ages the wall clock. When the wall clock has moved by five minutes more or less than
//! the monotonic one since the last step, nothing expires for ten minutes: a wrong clock must not throw events away.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anole_event::{LaneId, Marks, Mono, Now, Outcome, Position, Reason, Seeded, State};
use anole_pipeline::{EndpointKey, LanePlan, Made};

use crate::batcher::{Batch, Batcher, Item};
use crate::deferring::Deferrals;
use crate::endpoint::Endpoints;
use crate::lane::{
    ASKED, Command, Deferred, Input, LaneOptions, LaneStatus, Offer, PauseCode, RequestId, Silences, Subject,
};
use crate::replaying::Origin;
use crate::settle::Book;
use crate::window::Window;

/// A wall clock that moves this much against the monotonic one has jumped.
const JUMP: Duration = Duration::from_secs(5 * 60);
/// For how long nothing expires after a jump.
const SUSPENDED: Duration = Duration::from_secs(10 * 60);

/// Why a lane stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseCause {
    /// A person said so: no probes.
    Person,
    /// The vendor's answer means misconfiguration.
    Answer,
    /// The vendor refuses everything we make.
    Refusals,
}

#[derive(Debug)]
pub(crate) struct Paused {
    pub(crate) cause: PauseCause,
    pub(crate) hint: Arc<str>,
    pub(crate) next_probe: Mono,
    /// Whose answer it was: there the probe goes.
    pub(crate) endpoint: Option<EndpointKey>,
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) batch: Batch,
    pub(crate) probe: bool,
    /// Whether it is a probe of a lane that refusals had paused: whatever a person says meanwhile, it is not to blame.
    pub(crate) of_refusals: bool,
    /// When it was sent.
    pub(crate) sent: Mono,
    /// Whether the endpoint's breaker waits for how it ends.
    pub(crate) of_breaker: bool,
}

/// A lane's state. See the module's documentation for its policy.
#[derive(Debug)]
pub struct Machine {
    pub(crate) lane: LaneId,
    pub(crate) options: LaneOptions,
    pub(crate) random: Seeded,
    pub(crate) window: Window,
    pub(crate) batcher: Batcher,
    /// Batches that were just closed, before they stand in line at their endpoints.
    pub(crate) closed: VecDeque<Batch>,
    pub(crate) endpoints: Endpoints,
    pub(crate) flights: HashMap<RequestId, Flight>,
    pub(crate) retrying: Vec<(Mono, Batch)>,
    pub(crate) paused: Option<Paused>,
    /// Single sends refused since the last one that was accepted.
    pub(crate) refused_in_a_row: u32,
    pub(crate) book: Book,
    pub(crate) deferrals: Deferrals,
    /// The same of replayed sends.
    pub(crate) replay_refused_in_a_row: u32,
    /// Whether those were so many that it is the mapping.
    pub(crate) replay_is_refused: bool,
    /// Whether the answer that is being worked on is one to a replay.
    pub(crate) hears_replay: bool,
    pub(crate) next_request: RequestId,
    pub(crate) draining: bool,
    drained: bool,
    pub(crate) last: Option<Now>,
    pub(crate) suspended_until: Option<Mono>,
}

// === impl Paused ===

impl Paused {
    /// Whoever stops the lane from outside is a person, or the keeper of what is parked.
    fn code(&self) -> PauseCode {
        match self.cause {
            PauseCause::Person if &*self.hint == ASKED => PauseCode::Asked,
            PauseCause::Person => PauseCode::ParkedFull,
            PauseCause::Answer => PauseCode::Answer,
            PauseCause::Refusals => PauseCode::Refusals,
        }
    }
}

// === impl Machine ===

impl Machine {
    /// A lane that reads on from here. The seed decides its jitter and its ids.
    #[must_use]
    pub fn new(lane: LaneId, options: LaneOptions, seed: u64, from: Position) -> Self {
        Self {
            lane,
            options,
            random: Seeded::new(seed),
            window: Window::new(options.window, from),
            batcher: Batcher::default(),
            closed: VecDeque::new(),
            endpoints: Endpoints::default(),
            flights: HashMap::new(),
            retrying: Vec::new(),
            paused: None,
            refused_in_a_row: 0,
            book: Book::default(),
            deferrals: Deferrals::default(),
            replay_refused_in_a_row: 0,
            replay_is_refused: false,
            hears_replay: false,
            next_request: 1,
            draining: false,
            drained: false,
            last: None,
            suspended_until: None,
        }
    }

    /// What the lane had finished above its watermark when it was stopped: its reader passes over these events, and they
    /// stay finished in the progress that is committed. Without it the first commit after a restart would take them back.
    #[must_use]
    pub fn with_finished(mut self, finished: Vec<std::ops::Range<u64>>) -> Self {
        self.window.finished_earlier(finished);
        self
    }

    /// Endpoints that had asked for silence, before the lane was stopped for a moment, get it.
    #[must_use]
    pub fn with_silences(mut self, silences: Silences) -> Self {
        for (endpoint, until) in silences {
            self.endpoints.of(&endpoint).silent_until = until;
        }
        self
    }

    /// Deferred sends of the lane, which the state has.
    #[must_use]
    pub fn with_deferred(mut self, deferred: &[Deferred]) -> Self {
        deferred.iter().for_each(|deferred| self.deferrals.know(deferred));
        self
    }

    /// Which endpoints have asked for silence, and until when.
    #[must_use]
    pub fn silences(&self) -> Silences {
        self.endpoints.silences()
    }

    /// Takes one input and says what is to be done.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Command> {
        let mut commands = Vec::new();
        self.watch_clock(now, &mut commands);
        match input {
            Input::Offer(offer) => self.take(now, offer),
            Input::Advance(to) => {
                self.window.advance(to);
                self.book.touched = true;
            }
            Input::Answer(request, answered) => self.hear(now, request, *answered, &mut commands),
            Input::Replay(replayed) => self.replay(now, replayed),
            Input::Gone(key) => self.deferrals.forget(key),
            Input::Later(key) => self.deferrals.postpone(now.mono, key),
            Input::Recorded(number) => self.recorded(number, &mut commands),
            Input::Tick => {}
            Input::Pause(hint) => self.pause(now, (PauseCause::Person, None), hint, &mut commands),
            Input::Resume => self.let_go(&mut commands),
            Input::Drain => self.draining = true,
        }
        self.batcher.close_due(now.mono, &mut self.closed);
        self.retry_due(now.mono);
        self.endpoints.take_in(now.mono, &mut self.closed);
        self.dispatch(now, &mut commands);
        self.undefer(now.mono, &mut commands);
        self.flush_quiet(now, self.draining, &mut commands);
        self.commit_moved(now.mono, self.draining, &mut commands);
        self.say_drained(&mut commands);
        commands
    }

    /// Whether the lane takes more events. When it does not, it will after a `Recorded`.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !self.draining && !self.window.is_full()
    }

    /// When the machine wants to be stepped even if nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Mono> {
        let mut times = [None; 5];
        times[0] = self.batcher.next_due();
        times[1] = self.retrying.iter().map(|(due, _)| *due).min();
        times[2] = self.book.next_due(self.options.quiet_wait);
        times[3] = self.next_request_at();
        if !self.draining && self.paused.is_none() {
            times[4] = self.deferrals.next_due();
        }
        times.into_iter().flatten().min()
    }

    /// The lane at a glance.
    #[must_use]
    pub fn status(&self) -> LaneStatus {
        LaneStatus {
            lane: self.lane.clone(),
            open: self.window.open(),
            oldest: self.window.oldest_micros().map(anole_event::Timestamp::from_micros),
            inflight: self.flights.len(),
            retrying: self.retrying.len(),
            deferred: self.deferrals.len(),
            paused: self.paused.as_ref().map(|paused| Arc::clone(&paused.hint)),
            pause: self.paused.as_ref().map(Paused::code),
            endpoints: self.endpoints.status(self.last.map(|last| last.mono).unwrap_or_default()),
            progress: self.window.progress(),
        }
    }

    /// Where reading goes on.
    #[must_use]
    pub const fn next_position(&self) -> Position {
        self.window.next()
    }

    fn watch_clock(&mut self, now: Now, commands: &mut Vec<Command>) {
        if let Some(last) = self.last {
            let mono = i128::from(now.mono.micros()) - i128::from(last.mono.micros());
            let wall = i128::from(now.wall.micros()) - i128::from(last.wall.micros());
            if (wall - mono).unsigned_abs() > JUMP.as_micros() {
                self.suspended_until = Some(now.mono.after(SUSPENDED));
                commands.push(Command::ClockJumped);
            }
        }
        if self.suspended_until.is_some_and(|until| until <= now.mono) {
            self.suspended_until = None;
        }
        self.last = Some(now);
    }

    fn take(&mut self, now: Now, offer: Offer) {
        let Offer { subject, next, made, plan } = offer;
        let open = u32::try_from(made.len()).unwrap_or(u32::MAX);
        let bytes = subject.record.bytes().len();
        let seq = self.window.push(subject.position, next, bytes, open, subject.received_at.micros());
        self.place(now, Origin::Read(seq), &subject, made, &plan);
    }

    /// Puts what the plan made of an event into batches; what ended is told.
    pub(crate) fn place(
        &mut self,
        now: Now,
        origin: Origin,
        subject: &Arc<Subject>,
        made: Vec<Made>,
        plan: &Arc<LanePlan>,
    ) {
        for made in made {
            match made {
                Made::Ended(ended) => {
                    self.deferrals.ends(origin);
                    self.book.ended(now, origin, subject, plan, ended);
                }
                Made::Send(send) => {
                    let request = &plan.requests[send.address.request];
                    let alone = request.framing(1) + send.item.len();
                    let expires_at = send.expires.map(|age| subject.received_at.after(age));
                    let item = Item { origin, subject: Arc::clone(subject), send, expires_at };
                    if alone > request.batch.bytes {
                        let outcome = Outcome::new(State::Parked, Reason::TooLarge).with_detail(format!(
                            "the request would have {alone} bytes, the destination takes {}",
                            request.batch.bytes
                        ));
                        self.deferrals.ends(origin);
                        self.book.item_ended(now, &item, plan, outcome, Marks::NONE);
                    } else {
                        self.batcher.offer(now.mono, item, plan, &mut self.closed);
                    }
                }
            }
        }
    }

    pub(crate) fn pause(
        &mut self,
        now: Now,
        (cause, endpoint): (PauseCause, Option<EndpointKey>),
        hint: Arc<str>,
        commands: &mut Vec<Command>,
    ) {
        if self.hears_replay && cause == PauseCause::Refusals {
            self.replay_is_refused = true;
            return;
        }
        let next_probe = now.mono.after(self.options.probe_every);
        match &mut self.paused {
            Some(paused) if paused.cause == PauseCause::Person || cause != PauseCause::Person => {
                paused.next_probe = next_probe;
                return;
            }
            _ => {}
        }
        self.paused = Some(Paused { cause, hint: Arc::clone(&hint), next_probe, endpoint });
        commands.push(Command::Paused(hint));
    }

    /// A probe lets the lane go on, unless a person has paused it, or let it go on, while the probe was under way.
    pub(crate) fn resume(&mut self, commands: &mut Vec<Command>) {
        if self.paused.as_ref().is_some_and(|paused| paused.cause != PauseCause::Person) {
            self.let_go(commands);
        }
    }

    fn let_go(&mut self, commands: &mut Vec<Command>) {
        self.refused_in_a_row = 0;
        self.replay_refused_in_a_row = 0;
        if self.paused.take().is_some() {
            commands.push(Command::Resumed);
        }
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.draining
    }

    fn say_drained(&mut self, commands: &mut Vec<Command>) {
        if self.draining && !self.drained && self.flights.is_empty() && self.book.is_settled() {
            self.drained = true;
            commands.push(Command::Drained);
        }
    }
}
