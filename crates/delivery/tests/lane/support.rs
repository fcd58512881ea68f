//! Plays a lane machine against a vendor that the test writes, on a clock that stands still until it is moved.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{
    Again, Answered, Command, Input, LaneOptions, Machine, Moved, Offer, Outgoing, Replayed, SetAside, Subject,
    WindowProgress,
};
use anole_event::{
    Clock, Entry, EventType, Fingerprint, Head, Kind, LaneId, ManualClock, Marks, Mono, OrderKey, Outcome, Position,
    Reached, Reason, Record, State, Timestamp,
};
use anole_pipeline::{Address, LanePlan, Made, Send};
use anole_state::{ParkedId, SendKey};
use bytes::Bytes;

use crate::plan;

pub(crate) const START: &str = "2026-11-22T10:00:00Z";

/// A machine at play.
pub(crate) struct Play {
    pub(crate) clock: ManualClock,
    pub(crate) machine: Machine,
    pub(crate) plan: Arc<LanePlan>,
    pub(crate) addresses: Vec<Arc<Address>>,
    /// Requests that wait for an answer.
    pub(crate) open: VecDeque<Outgoing>,
    /// Every request that was made.
    pub(crate) made: Vec<Outgoing>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) parked: Vec<SetAside>,
    pub(crate) unparked: Vec<ParkedId>,
    /// What the state has deferred.
    pub(crate) deferred: BTreeMap<SendKey, SetAside>,
    sends: BTreeMap<Position, Send>,
    pub(crate) progress: Option<WindowProgress>,
    pub(crate) hints: Vec<String>,
    pub(crate) resumed: usize,
    pub(crate) drained: bool,
    /// Breakers that opened (true) and closed.
    pub(crate) breakers: Vec<bool>,
    pub(crate) jumps: usize,
    /// When events came in, when that is not when they are offered.
    pub(crate) received_at: Option<Timestamp>,
    /// What the machine said, and when, if it is kept.
    pub(crate) told: Vec<(Mono, String)>,
    pub(crate) tells: bool,
    /// How many requests were made, and whether it is not kept which.
    pub(crate) requests: usize,
    pub(crate) forget_requests: bool,
    /// Whether settlements are recorded at once.
    pub(crate) records: bool,
    pub(crate) unrecorded: VecDeque<u64>,
    next: u64,
}

pub(crate) fn answered(status: u16) -> Answered {
    Answered {
        reached: Reached::Body,
        status: Some(status),
        took: Duration::from_millis(5),
        request_body: Bytes::new(),
        headers: Vec::new(),
        body: Bytes::new(),
        body_bytes: 0,
        error: None,
        blocked: false,
        without_token: false,
    }
}

pub(crate) fn no_answer() -> Answered {
    Answered { reached: Reached::Written, status: None, ..answered(0) }
}

impl Play {
    pub(crate) fn new() -> Self {
        Self::with(LaneOptions::default(), plan::limits(3, 1_000, 1_000), 7)
    }

    pub(crate) fn with(options: LaneOptions, plan: LanePlan, seed: u64) -> Self {
        let lane = LaneId::new("shop", "kameleoon");
        Self {
            clock: ManualClock::at(Timestamp::parse(START).unwrap()),
            machine: Machine::new(lane, options, seed, Position::at(0)),
            plan: Arc::new(plan),
            addresses: vec![Arc::new(plan::address(0)), Arc::new(plan::address(1))],
            open: VecDeque::new(),
            made: Vec::new(),
            entries: Vec::new(),
            parked: Vec::new(),
            unparked: Vec::new(),
            deferred: BTreeMap::new(),
            sends: BTreeMap::new(),
            progress: None,
            hints: Vec::new(),
            resumed: 0,
            drained: false,
            jumps: 0,
            breakers: Vec::new(),
            received_at: None,
            told: Vec::new(),
            tells: false,
            requests: 0,
            forget_requests: false,
            records: true,
            unrecorded: VecDeque::new(),
            next: 0,
        }
    }

    /// An event with one send of this order key and this item.
    pub(crate) fn send(&mut self, key: u64, item: &str) -> Position {
        self.send_to(0, key, item, Some(Duration::from_secs(3600)))
    }

    pub(crate) fn send_to(&mut self, address: usize, key: u64, item: &str, expires: Option<Duration>) -> Position {
        let send = self.make(0, address, item, expires);
        self.sends.insert(Position::at(self.next), send.clone());
        self.offer(key, item, vec![Made::Send(send)])
    }

    fn make(&self, ordinal: u16, address: usize, item: &str, expires: Option<Duration>) -> Send {
        Send {
            ordinal,
            rule: "Order Completed".into(),
            address: Arc::clone(&self.addresses[address]),
            item: Bytes::copy_from_slice(item.as_bytes()),
            nonce: Some(item.into()),
            visitor_code: None,
            rung: None,
            marks: Marks::NONE,
            hint: None,
            expires,
        }
    }

    /// An event with two sends, one to each address.
    pub(crate) fn send_two(&mut self, key: u64, first: &str, second: &str) {
        let (first, second) = (self.make(0, 0, first, None), self.make(1, 1, second, None));
        self.sends.insert(Position::at(self.next), first.clone());
        self.offer(key, "two sends", vec![Made::Send(first), Made::Send(second)]);
    }

    /// The send of an event, made again.
    pub(crate) fn send_again(&self, position: Position) -> Send {
        self.sends[&position].clone()
    }

    /// What a driver gives for a deferred send that is due.
    fn deferred_again(&self, key: SendKey) -> Input {
        let Some(aside) = self.deferred.get(&key) else { return Input::Gone(key) };
        let made = vec![Made::Send(self.sends[&key.position].clone())];
        let (subject, plan) = (Arc::clone(&aside.subject), Arc::clone(&self.plan));
        Input::Replay(Replayed { of: Again::Deferred(key), ordinal: key.ordinal, subject, made, plan })
    }

    pub(crate) fn offer(&mut self, key: u64, message_id: &str, made: Vec<Made>) -> Position {
        let position = Position::at(self.next);
        self.next += 100;
        let received_at = self.received_at.unwrap_or(self.clock.wall());
        let head = Head {
            kind: Kind::Event,
            event_type: EventType::Track,
            protocol: "segment",
            received_at,
            order_key: OrderKey(key),
            fingerprint: Fingerprint::of("shop", message_id),
            pipeline: "shop",
            name: "Order Completed",
            source_name: "",
        };
        let subject = Subject {
            position,
            record: Record::new(&head, b"{}"),
            message_id: message_id.into(),
            event: "Order Completed".into(),
            anonymous_id: None,
            user_id: None,
            lookups: Vec::new(),
            received_at,
            order_key: OrderKey(key),
        };
        let next = Position::at(self.next);
        self.step(Input::Offer(Offer { subject: Arc::new(subject), next, made, plan: Arc::clone(&self.plan) }));
        position
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for command in self.machine.step(self.clock.now(), input) {
                if self.tells {
                    self.told.push((self.clock.mono(), format!("{command:?}")));
                }
                match command {
                    Command::Send(outgoing) => {
                        self.requests += 1;
                        if !self.forget_requests {
                            self.made.push(outgoing.clone());
                        }
                        self.open.push_back(outgoing);
                    }
                    Command::Record(settlement) => {
                        self.entries.extend(settlement.entries);
                        if self.records {
                            inputs.push_back(Input::Recorded(settlement.number));
                        } else {
                            self.unrecorded.push_back(settlement.number);
                        }
                    }
                    Command::Commit(Moved { progress, parked, unparked, deferred, undeferred }) => {
                        for key in undeferred {
                            assert!(self.deferred.remove(&key).is_some(), "{key:?} is not deferred");
                        }
                        for aside in deferred {
                            self.deferred
                                .insert(SendKey { position: aside.subject.position, ordinal: aside.ordinal }, aside);
                        }
                        self.progress = Some(progress);
                        self.parked.extend(parked);
                        self.unparked.extend(unparked);
                    }
                    Command::Undefer(key) => inputs.push_back(self.deferred_again(key)),
                    Command::Paused(hint) => self.hints.push(hint.to_string()),
                    Command::Resumed => self.resumed += 1,
                    Command::RefreshAuth(_) => {}
                    Command::Breaker { open, .. } => self.breakers.push(open),
                    Command::ClockJumped => self.jumps += 1,
                    Command::Drained => self.drained = true,
                }
            }
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.step(Input::Tick);
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// Answers the oldest open request.
    pub(crate) fn answer(&mut self, answered: Answered) -> Outgoing {
        let outgoing = self.open.pop_front().expect("a request is open");
        self.step(Input::Answer(outgoing.request, Box::new(answered)));
        outgoing
    }

    /// Lets time pass to each wake-up and answers everything, until nothing is left to do or the steps are used up.
    pub(crate) fn run(&mut self, steps: usize, mut vendor: impl FnMut(&Outgoing) -> Answered) {
        for _ in 0..steps {
            if let Some(outgoing) = self.open.pop_front() {
                let answered = vendor(&outgoing);
                self.step(Input::Answer(outgoing.request, Box::new(answered)));
                continue;
            }
            let Some(wake) = self.machine.wake_at() else { return };
            let wait = wake.since(self.clock.mono()).max(Duration::from_micros(1));
            self.advance(wait);
        }
    }

    /// The same until some time.
    pub(crate) fn run_until(&mut self, end: Mono, mut vendor: impl FnMut(&Outgoing) -> Answered) {
        while self.clock.mono() < end {
            if let Some(outgoing) = self.open.pop_front() {
                let answered = vendor(&outgoing);
                self.step(Input::Answer(outgoing.request, Box::new(answered)));
                continue;
            }
            let wake = self.machine.wake_at().unwrap_or(end).min(end);
            self.advance(wake.since(self.clock.mono()).max(Duration::from_micros(1)));
        }
    }

    /// From now on the two addresses belong to two endpoints.
    pub(crate) fn separate_endpoints(&mut self) {
        let mut other = plan::address(1);
        other.endpoint.origin = "http://127.0.0.1:10".into();
        self.addresses[1] = Arc::new(other);
    }

    /// The items of a request.
    pub(crate) fn items(outgoing: &Outgoing) -> Vec<String> {
        let body: Vec<String> = serde_json::from_slice(&outgoing.body).expect("an array of texts");
        body
    }

    /// How each send ended, by message id.
    pub(crate) fn ends(&self) -> BTreeMap<String, (State, Reason)> {
        let mut ends = BTreeMap::new();
        for send in self.entries.iter().flat_map(|entry| &entry.sends) {
            if let Some(Outcome { state, reason, .. }) = &send.outcome
                && *state != State::Deferred
            {
                let before = ends.insert(send.message_id.to_string(), (*state, *reason));
                assert_eq!(before, None, "{} ended twice", send.message_id);
            }
        }
        ends
    }

    pub(crate) fn count(&self, state: State) -> usize {
        self.ends().values().filter(|(end, _)| *end == state).count()
    }
}
