//! The lane machine: `step(now, input) -> commands`.
//!
//! # What it does with a batch
//!
//! Closed batches stand in line. One is sent when the lane is not paused, the endpoint has not asked for silence, and
//! fewer than the allowed number of batches are under way *or waiting for another try*: a batch that failed keeps its
//! place among the allowed ones, so that an endpoint that is down is asked by a handful of batches and not by all.
//! Sends that have expired are taken out just before a request is made of the rest.
//!
//! What an answer means is the blueprint's `answers` table, as `RequestPlan::answers` judges it:
//!
//! - *delivered*: all its sends are.
//! - *retry*, and every failure without an answer: the whole batch waits by its own ladder ([`crate::retry`]) and is sent
//!   again unchanged. Its order keys stay held, so nothing overtakes it. A `Retry-After` on 429 or 503 silences the whole
//!   lane for that long, as it speaks for the endpoint and not for the batch.
//! - *split*: a refusal that can be one send's fault. The batch is halved, one half after the other, until single sends
//!   remain; a single send that is refused is parked. For one poison send in `n` that is at most `2*ceil(log2 n)+1`
//!   requests. One batch is split at a time, so that a vendor who refuses everything does not get a storm of halves.
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
use anole_pipeline::{LanePlan, Made};

use crate::batcher::{Batch, Batcher, Item};
use crate::lane::{Command, Input, LaneOptions, LaneStatus, Offer, Outgoing, RequestId, Subject};
use crate::replaying::Origin;
use crate::settle::Book;
use crate::window::Window;

/// A wall clock that moves this much against the monotonic one has jumped.
const JUMP: Duration = Duration::from_secs(5 * 60);
/// For how long nothing expires after a jump.
const SUSPENDED: Duration = Duration::from_secs(10 * 60);
/// The most sends of a probe.
const PROBE: usize = 10;

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
}

#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) batch: Batch,
    pub(crate) probe: bool,
    /// Whether it is a probe of a lane that refusals had paused: whatever a person says meanwhile, it is not to blame.
    pub(crate) of_refusals: bool,
}

/// A lane's state. See the module's documentation for its policy.
#[derive(Debug)]
pub struct Machine {
    pub(crate) lane: LaneId,
    pub(crate) options: LaneOptions,
    pub(crate) random: Seeded,
    pub(crate) window: Window,
    pub(crate) batcher: Batcher,
    /// Closed batches, next first.
    pub(crate) ready: VecDeque<Batch>,
    pub(crate) flights: HashMap<RequestId, Flight>,
    pub(crate) retrying: Vec<(Mono, Batch)>,
    /// Parts of the batch that is being split, next last; `None` while none is.
    pub(crate) split: Option<Vec<Batch>>,
    /// Refused batches that wait for their turn to be split.
    pub(crate) to_split: VecDeque<Batch>,
    /// No request before this.
    pub(crate) silent_until: Mono,
    pub(crate) paused: Option<Paused>,
    /// Single sends refused since the last one that was accepted.
    pub(crate) refused_in_a_row: u32,
    pub(crate) book: Book,
    /// The same of replayed sends.
    pub(crate) replay_refused_in_a_row: u32,
    /// Whether those were so many that it is the mapping.
    pub(crate) replay_is_refused: bool,
    /// Whether the answer that is being worked on is one to a replay.
    pub(crate) hears_replay: bool,
    next_request: RequestId,
    draining: bool,
    drained: bool,
    last: Option<Now>,
    suspended_until: Option<Mono>,
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
            ready: VecDeque::new(),
            flights: HashMap::new(),
            retrying: Vec::new(),
            split: None,
            to_split: VecDeque::new(),
            silent_until: Mono::default(),
            paused: None,
            refused_in_a_row: 0,
            book: Book::default(),
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

    /// An endpoint that has asked for silence, before the lane was stopped for a moment, gets it.
    #[must_use]
    pub const fn silent_until(mut self, until: Mono) -> Self {
        self.silent_until = until;
        self
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
            Input::Recorded(number) => self.recorded(number, &mut commands),
            Input::Tick => {}
            Input::Pause(hint) => self.pause(now, PauseCause::Person, hint, &mut commands),
            Input::Resume => self.let_go(&mut commands),
            Input::Drain => self.draining = true,
        }
        self.batcher.close_due(now.mono, &mut self.ready);
        self.retry_due(now.mono);
        self.dispatch(now, &mut commands);
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
        let mut times = [None; 4];
        times[0] = self.batcher.next_due();
        times[1] = self.retrying.iter().map(|(due, _)| *due).min();
        times[2] = self.book.next_due(self.options.quiet_wait);
        if !self.draining && !self.ready.is_empty() {
            times[3] = match &self.paused {
                None if self.busy() < self.options.inflight => Some(self.silent_until),
                Some(paused) if paused.cause != PauseCause::Person && self.flights.is_empty() => {
                    Some(paused.next_probe.max(self.silent_until))
                }
                _ => None,
            };
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
            paused: self.paused.as_ref().map(|paused| Arc::clone(&paused.hint)),
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
                Made::Ended(ended) => self.book.ended(now, origin, subject, plan, ended),
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
                        self.book.item_ended(now, &item, plan, outcome, Marks::NONE);
                    } else {
                        self.batcher.offer(now.mono, item, plan, &mut self.ready);
                    }
                }
            }
        }
    }

    /// Batches that count against the limit.
    fn busy(&self) -> usize {
        self.flights.len() + self.retrying.len()
    }

    fn retry_due(&mut self, now: Mono) {
        let mut at = 0;
        while at < self.retrying.len() {
            if self.retrying[at].0 <= now {
                let (_, batch) = self.retrying.swap_remove(at);
                self.ready.push_front(batch);
            } else {
                at += 1;
            }
        }
    }

    fn dispatch(&mut self, now: Now, commands: &mut Vec<Command>) {
        while !self.draining && now.mono >= self.silent_until && !self.ready.is_empty() {
            let probe = match &self.paused {
                None if self.busy() >= self.options.inflight => return,
                None => false,
                Some(paused) => {
                    let due = paused.cause != PauseCause::Person && paused.next_probe <= now.mono;
                    if !due || !self.flights.is_empty() {
                        return;
                    }
                    true
                }
            };
            let next = if probe { self.next_probe() } else { self.ready.pop_front() };
            let Some(mut batch) = next else { return };
            self.drop_expired(now, &mut batch);
            if batch.items.is_empty() {
                if batch.part {
                    self.next_part();
                }
                continue;
            }
            if probe {
                self.shorten_probe(now, &mut batch);
            }
            self.send(batch, probe, commands);
        }
    }

    /// The batch of which a probe is made. While a batch is being split that is its part, even one that would wait longer for
    /// its next try: what is cut off it stays in order behind it, and there is one such row.
    fn next_probe(&mut self) -> Option<Batch> {
        if self.split.is_some() {
            if let Some(at) = self.ready.iter().position(|batch| batch.part) {
                return self.ready.remove(at);
            }
            if let Some(at) = self.retrying.iter().position(|(_, batch)| batch.part) {
                return Some(self.retrying.swap_remove(at).1);
            }
        }
        self.ready.pop_front()
    }

    /// A probe is small. The rest of its batch comes behind it as the next part of a batch that is being split does, and not
    /// before the probe has ended: they may hold sends of one order key.
    fn shorten_probe(&mut self, now: Now, batch: &mut Batch) {
        let mut most = PROBE;
        if let Some(paused) = &mut self.paused {
            paused.next_probe = now.mono.after(self.options.probe_every);
            if paused.cause == PauseCause::Refusals {
                most = 1;
            }
        }
        if batch.items.len() > most {
            let rest = batch.split_off(most, true);
            batch.part = true;
            self.split.get_or_insert_default().push(rest);
        }
    }

    fn send(&mut self, batch: Batch, probe: bool, commands: &mut Vec<Command>) {
        let request = self.next_request;
        self.next_request += 1;
        let items: Vec<_> = batch.items.iter().map(|item| item.send.item.clone()).collect();
        commands.push(Command::Send(Outgoing {
            request,
            address: Arc::clone(&batch.address),
            plan: Arc::clone(&batch.plan),
            body: batch.plan.requests[batch.address.request].assemble(&items),
            sends: items.len(),
        }));
        let paused = self.paused.as_ref().map(|paused| paused.cause);
        let of_refusals = probe && paused == Some(PauseCause::Refusals);
        self.flights.insert(request, Flight { batch, probe, of_refusals });
    }

    fn drop_expired(&mut self, now: Now, batch: &mut Batch) {
        if self.suspended_until.is_some() {
            return;
        }
        let is_expired = |item: &Item| item.expires_at.is_some_and(|at| at <= now.wall);
        if !batch.items.iter().any(is_expired) {
            return;
        }
        let (expired, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut batch.items).into_iter().partition(is_expired);
        batch.items = kept;
        for item in expired {
            let age = now.wall.since(item.subject.received_at);
            let limit = item.send.expires.unwrap_or_default();
            let outcome = Outcome::new(State::Expired, Reason::TooOld).with_detail(format!(
                "{} s old, of use for {} s",
                age.as_secs(),
                limit.as_secs()
            ));
            self.book.item_ended(now, &item, &batch.plan, outcome, Marks::NONE);
            self.batcher.release(now.mono, item.subject.order_key, &mut self.ready);
        }
    }

    pub(crate) fn pause(&mut self, now: Now, cause: PauseCause, hint: Arc<str>, commands: &mut Vec<Command>) {
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
        self.paused = Some(Paused { cause, hint: Arc::clone(&hint), next_probe });
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
