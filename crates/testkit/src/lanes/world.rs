//! One seed: the real machine of a lane, its driver as a model, and the time that passes from one happening to the next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{ASKED, Command, Input, Machine, Outgoing, RequestId, WindowProgress};
use anole_event::{Clock, ManualClock, Mono, Now, Position, Random, Seeded, Timestamp};
use anole_state::SendKey;

use super::Report;
use super::health::Health;
use super::ledger::Ledger;
use super::plan::{self, STEP, Version};
use super::recorder::Recorder;
use super::script::{Act, Disturbance, Fate, Script};
use super::vendor::{self, Answer, Vendor};
use super::watch::{Cause, Kind, Known, Watch};

/// How long requests under way have when the plan changes.
const GRACE: Duration = Duration::from_secs(10);
/// After the vendor is well for good, everything is done within this.
const LONGEST_REST: u64 = 4 * 3_600 * 1_000_000;
/// A clock that is moved by more than this has jumped.
const JUMP: i64 = 5 * 60;
const SUSPENDED: Duration = Duration::from_secs(10 * 60);
/// What ended without a request is told within this.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What is due at some time.
#[derive(Debug)]
enum Happening {
    Arrival,
    Answer(u32, RequestId, Answer),
    Written(u32),
    Committed(u32),
    GraceOver(u32),
    Restart,
    Outside(Disturbance),
}

pub(crate) struct World {
    pub(crate) report: Report,
    pub(super) script: Script,
    random: Seeded,
    pub(super) clock: ManualClock,
    agenda: BTreeMap<(u64, u64), Happening>,
    entered: u64,
    vendor: Vendor,
    ledger: Ledger,
    /// When each event that came in was received.
    received: Vec<Timestamp>,
    pub(super) machine: Option<Machine>,
    pub(super) watch: Watch,
    version: usize,
    pub(super) recorder: Recorder,
    /// Commits that were given to the recorder, and those that the state has.
    commits: (u64, u64),
    /// Deferred sends that are due, with the number of commits after which the state has them.
    due: VecDeque<(SendKey, u64)>,
    /// Where this life began: what was finished then is not read again.
    began_at: WindowProgress,
    /// Where the reader is.
    next: usize,
    /// Events in the window, with their bytes.
    pub(super) window: VecDeque<(u64, usize)>,
    pub(super) person: bool,
    /// What happens at the next probe.
    at_probe: Option<Act>,
    pub(super) idle_since: Mono,
    /// The times just before the wall clock was moved.
    before_move: Option<Now>,
    /// Happenings, and times the machine was woken, since time has moved.
    wakes: u32,
    idle_ticks: u32,
    /// The last things that happened, when they are asked for.
    story: Option<VecDeque<String>>,
}

// === impl World ===

impl World {
    pub(crate) fn new(seed: u64, told: bool) -> Self {
        let mut random = Seeded::new(seed);
        let script = Script::of(&mut random);
        let vendor = Vendor::new(Seeded::new(random.next()), script.spells.clone(), script.latency);
        Self {
            report: Report::default(),
            random,
            clock: ManualClock::at(Timestamp::from_millis(1_800_000_000_000)),
            agenda: BTreeMap::new(),
            entered: 0,
            vendor,
            ledger: Ledger::new(script.sends.len()),
            received: Vec::new(),
            machine: None,
            watch: Watch::new(0, &script, &vec![Mono::default(); script.endpoints]),
            version: 0,
            recorder: Recorder::default(),
            commits: (0, 0),
            due: VecDeque::new(),
            began_at: WindowProgress { watermark: Position::at(0), finished: Vec::new() },
            next: 0,
            window: VecDeque::new(),
            person: false,
            at_probe: None,
            idle_since: Mono::default(),
            before_move: None,
            wakes: 0,
            idle_ticks: 0,
            story: told.then(VecDeque::new),
            script,
        }
    }

    /// The last things that happened.
    pub(crate) fn story(&self) -> impl Iterator<Item = &String> {
        self.story.iter().flatten()
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        let at = self.clock.mono().micros();
        if let Some(story) = &mut self.story {
            if story.len() >= 40 {
                story.pop_front();
            }
            story.push_back(format!("{}.{:06} s: {}", at / 1_000_000, at % 1_000_000, what()));
        }
    }

    fn enter(&mut self, at: u64, what: Happening) {
        self.entered += 1;
        self.agenda.insert((at, self.entered), what);
    }

    fn after(&mut self, wait: Duration, what: Happening) {
        let at = self.clock.mono().after(wait).micros();
        self.enter(at, what);
    }

    /// Plays it to the end.
    pub(crate) fn play(&mut self) -> Result<(), String> {
        for at in 0..self.script.events.len() {
            self.enter(self.script.events[at].at, Happening::Arrival);
        }
        for (at, disturbance) in self.script.disturbances.clone() {
            self.enter(at, Happening::Outside(disturbance));
        }
        self.begin(&vec![Mono::default(); self.script.endpoints])?;
        while !self.is_done() {
            self.turn()?;
        }
        self.report.micros = self.clock.mono().micros();
        self.report.add_ledger(&self.ledger, self.script.events.len());
        self.ledger.at_the_end(&self.script)
    }

    fn is_done(&self) -> bool {
        let end = self.script.events.len() as u64 * STEP;
        self.received.len() == self.script.events.len()
            && self.ledger.progress.watermark.offset >= end
            && !self.ledger.has_deferred()
            && self.machine.is_some()
            && self.agenda.is_empty()
    }

    /// Lets time pass to what is due next, and does it.
    fn turn(&mut self) -> Result<(), String> {
        let now = self.clock.mono();
        let wake = self.machine.as_ref().and_then(Machine::wake_at).map(Mono::micros);
        let due = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let next = match (wake, due) {
            (Some(wake), Some(due)) => wake.min(due),
            (Some(wake), None) => wake,
            (None, Some(due)) => due,
            (None, None) => return Err("nothing is due, and not all is done".to_owned()),
        };
        if next > self.script.heals_at + LONGEST_REST {
            let open = self.machine.as_ref().map(Machine::status);
            return Err(format!("the vendor is well for hours, and not all is done: {open:?}"));
        }
        let passes = Mono::from_micros(next).since(now);
        self.clock.advance(passes);
        self.wakes = if passes.is_zero() { self.wakes + 1 } else { 0 };
        if self.wakes > 20_000 {
            return Err("time stands still".to_owned());
        }
        self.waits()?;
        if due.is_some_and(|due| due <= next)
            && let Some((_, happening)) = self.agenda.pop_first()
        {
            self.idle_ticks = 0;
            self.happens(happening)?;
        } else {
            self.step(Input::Tick)?;
            // A step may gather a batch that may not wait at all. Again and again it may not be.
            self.idle_ticks = if passes.is_zero() { self.idle_ticks + 1 } else { 0 };
            if self.idle_ticks > 3 {
                return Err("it has just been woken, and wants to be woken at once, again and again".to_owned());
            }
        }
        self.read()
    }

    fn happens(&mut self, happening: Happening) -> Result<(), String> {
        let life = self.watch.life;
        match happening {
            Happening::Arrival => {
                self.received.push(self.clock.wall());
                Ok(())
            }
            Happening::Answer(of, request, answer) if of == life => self.answered(request, &answer),
            Happening::Written(of) if of == life => self.written(),
            Happening::Committed(of) if of == life => self.committed(),
            Happening::GraceOver(of) if of == life => self.replaced(),
            Happening::Restart => self.begin(&vec![Mono::default(); self.script.endpoints]),
            Happening::Outside(disturbance) => self.disturbed(disturbance),
            _ => Ok(()),
        }
    }

    /// A lane begins at its progress, as after a start of the daemon.
    fn begin(&mut self, silences: &[Mono]) -> Result<(), String> {
        self.ledger.places(&self.script)?;
        let seed = self.random.next();
        let from = self.ledger.progress.clone();
        let lane = self.version().plan.lane.clone();
        self.watch = Watch::new(self.watch.life + 1, &self.script, silences);
        self.recorder = Recorder::default();
        self.began_at = from.clone();
        self.next = (from.watermark.offset / STEP) as usize;
        self.window.clear();
        self.idle_since = self.clock.mono();
        let machine = Machine::new(lane, self.script.options, seed, from.watermark).with_finished(from.finished);
        let silences = silences.iter().enumerate().map(|(number, until)| (plan::endpoint(number), *until)).collect();
        let deferred = self.ledger.deferred(&self.script, self.clock.now());
        self.machine = Some(machine.with_silences(silences).with_deferred(&deferred));
        self.due.clear();
        self.report.lives += 1;
        let (life, version) = (self.watch.life, self.version);
        self.tell(|| format!("life {life} begins at {} with plan {version}", from.watermark));
        if self.person {
            self.watch.person = true;
            self.step(Input::Pause(ASKED.into()))?;
        }
        Ok(())
    }

    fn version(&self) -> &Arc<Version> {
        &self.script.versions[self.version % self.script.versions.len()]
    }

    fn disturbed(&mut self, disturbance: Disturbance) -> Result<(), String> {
        self.tell(|| format!("{disturbance:?}"));
        match disturbance {
            Disturbance::MoveClock(by) => {
                let wall = self.clock.wall().micros();
                self.before_move = Some(self.clock.now());
                self.clock.jump_wall(Timestamp::from_micros(wall + by * 1_000_000));
                if by.abs() > JUMP {
                    self.watch.suspended_until = self.clock.mono().after(SUSPENDED);
                }
                self.step(Input::Tick)
            }
            Disturbance::Crash(down) if self.machine.is_some() => self.crash(down),
            Disturbance::Replace if self.machine.is_some() && !self.watch.draining => {
                self.version += 1;
                self.watch.draining = true;
                self.report.replaced += 1;
                self.after(GRACE, Happening::GraceOver(self.watch.life));
                self.step(Input::Drain)
            }
            Disturbance::Pause => {
                (self.person, self.watch.person) = (true, self.machine.is_some());
                self.step(Input::Pause(ASKED.into()))
            }
            Disturbance::Resume => {
                self.person = false;
                self.watch.asked_to_go_on();
                self.step(Input::Resume)
            }
            Disturbance::AtProbe(act) => {
                self.at_probe = Some(act);
                Ok(())
            }
            Disturbance::Crash(_) | Disturbance::Replace => Ok(()),
        }
    }

    /// The process is gone. What was being written is there or not.
    fn crash(&mut self, down: Duration) -> Result<(), String> {
        self.report.crashes += 1;
        if let Some((_, entries)) = self.recorder.writing.take()
            && self.random.below(2) == 0
        {
            self.ledger.written(&entries, &self.script);
        }
        if let Some(moved) = self.recorder.committing.take()
            && self.random.below(2) == 0
        {
            self.ledger.commit(&moved, &self.script)?;
        }
        self.machine = None;
        self.commits = (0, 0);
        // What belongs to this life comes to nobody.
        self.watch.life += 1;
        // A changed plan that was waiting comes into force with the start.
        self.after(down, Happening::Restart);
        self.ledger.places(&self.script)
    }

    /// The lane has ended for another plan: the recorder runs empty, and the next one begins.
    fn replaced(&mut self) -> Result<(), String> {
        self.tell(|| "the lane ends".to_owned());
        let mut recorder = std::mem::take(&mut self.recorder);
        while let Some((_, entries)) = recorder.writing.take() {
            self.ledger.written(&entries, &self.script);
            recorder.begin_write();
        }
        while let Some(moved) = recorder.committing.take() {
            self.ledger.commit(&moved, &self.script)?;
            recorder.begin_commit();
        }
        self.commits = (0, 0);
        self.begin(&self.watch.endpoints.iter().map(|endpoint| endpoint.silent_until).collect::<Vec<_>>())
    }

    fn answered(&mut self, request: RequestId, answer: &Answer) -> Result<(), String> {
        let now = self.clock.now();
        let until = answer.silence.end(now.mono, now.wall);
        let kind = self.watch.answered(now, request, (answer.status, until), &mut self.ledger)?;
        self.tell(|| format!("answer to {request}: {:?}, Retry-After {:?}", answer.status, answer.retry_after));
        let cause = if kind == Kind::Refused { Cause::Refusals } else { Cause::Answer };
        self.step_because(Input::Answer(request, Box::new(vendor::answered(answer))), cause)?;
        self.watch.endpoints.iter().try_for_each(Health::check)?;
        let life = self.watch.life;
        self.watch.searches.forget(|send| self.ledger.has_ended(send, life));
        Ok(())
    }

    fn written(&mut self) -> Result<(), String> {
        let Some((number, entries)) = self.recorder.writing.take() else { return Ok(()) };
        self.ledger.written(&entries, &self.script);
        self.step(Input::Recorded(number))
    }

    fn committed(&mut self) -> Result<(), String> {
        if let Some(moved) = self.recorder.committing.take() {
            self.ledger.commit(&moved, &self.script)?;
            self.commits.1 += self.recorder.joined;
        }
        self.record();
        self.give_due()
    }

    /// Begins the writes that can begin.
    fn record(&mut self) {
        let (life, write) = (self.watch.life, self.script.write);
        if self.recorder.begin_write() {
            let wait = Duration::from_micros(self.random.below(write.as_micros() as u64 + 1));
            self.after(wait, Happening::Written(life));
        }
        if self.recorder.begin_commit() {
            let wait = Duration::from_micros(self.random.below(write.as_micros() as u64 + 1));
            self.after(wait, Happening::Committed(life));
        }
    }

    fn step(&mut self, input: Input) -> Result<(), String> {
        let cause = if matches!(input, Input::Pause(_)) { Cause::Person } else { Cause::Answer };
        self.step_because(input, cause)
    }

    /// Steps the machine and does what it says. `cause`: why it pauses, if it does.
    fn step_because(&mut self, input: Input, cause: Cause) -> Result<(), String> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let is_asked = matches!(input, Input::Resume);
        self.report.steps += 1;
        let now = self.clock.now();
        let mut drained = false;
        for command in machine.step(now, input) {
            match command {
                Command::Send(outgoing) => self.send(&outgoing)?,
                Command::Record(settlement) => {
                    // What expired just before the clock was set back is told now.
                    let before = self.before_move.filter(|before| now.mono.since(before.mono) <= TOLD_WITHIN);
                    let wall = before.map_or(now.wall, |before| before.wall.max(now.wall));
                    self.ledger.ends(self.watch.life, Now { wall, ..now }, &settlement.entries, &self.script)?;
                    self.recorder.settlements.push_back(settlement);
                }
                Command::Commit(moved) => {
                    self.ledger.may_commit(&moved, &self.script)?;
                    self.recorder.commits.push_back(moved);
                    self.commits.0 += 1;
                }
                Command::Undefer(key) => self.due.push_back((key, self.commits.0)),
                Command::Paused(hint) => {
                    self.watch.paused(now.mono, cause);
                    self.report.pauses += 1;
                    self.tell(|| format!("paused: {hint}"));
                }
                Command::Resumed => {
                    self.tell(|| "goes on".to_owned());
                    self.watch.resumed(is_asked)?;
                }
                Command::Drained => drained = true,
                Command::Breaker { endpoint, open } => {
                    self.tell(|| format!("the breaker of {endpoint} is open: {open}"));
                    self.watch.breaker_moved(now.mono, &endpoint, open)?;
                }
                Command::RefreshAuth(_) | Command::ClockJumped => {}
            }
        }
        self.record();
        if drained {
            return self.replaced();
        }
        self.give_due()
    }

    /// What is deferred and due comes back when the state has it.
    fn give_due(&mut self) -> Result<(), String> {
        while let Some((key, since)) = self.due.front().copied()
            && self.commits.1 >= since
        {
            self.due.pop_front();
            let at = (key.position.offset / STEP) as usize;
            let version = Arc::clone(self.version());
            let replayed = plan::again(&self.script, at, key, self.received[at], &version);
            self.step(Input::Replay(replayed))?;
        }
        Ok(())
    }

    fn send(&mut self, outgoing: &Outgoing) -> Result<(), String> {
        let now = self.clock.now();
        let version = Arc::clone(self.version());
        let known = Known { script: &self.script, version: &version, received: &self.received };
        let sends = self.watch.request(now, known, &mut self.ledger, outgoing)?;
        let is_poisonous = sends.iter().any(|send| self.script.sends[*send].fate == Fate::Poison);
        let is_sick = sends.iter().any(|send| self.script.sends[*send].sick_until > now.mono.micros());
        let address = self.script.sends[sends[0]].address;
        let answer = self.vendor.answer(now.mono, now.wall, address, (is_poisonous, is_sick));
        self.tell(|| format!("request {} to {address}: {sends:?}, taken {}", outgoing.request, answer.takes));
        if answer.takes {
            self.ledger.takes(&sends, &self.script)?;
        }
        self.report.requests += 1;
        self.report.failed += u64::from(Kind::of(answer.status) != Kind::Taken);
        if self.watch.is_paused()
            && let Some(act) = self.at_probe.take()
        {
            let disturbance = match act {
                Act::Crash => Disturbance::Crash(Duration::from_secs(1)),
                Act::Replace => Disturbance::Replace,
                Act::Pause => Disturbance::Pause,
                Act::Resume => Disturbance::Resume,
            };
            self.after(answer.after / 2, Happening::Outside(disturbance));
        }
        self.after(answer.after, Happening::Answer(self.watch.life, outgoing.request, answer));
        Ok(())
    }

    /// Reads what has come in, as far as the machine takes it.
    fn read(&mut self) -> Result<(), String> {
        let from = self.next;
        while self.next < self.received.len() && self.machine.as_ref().is_some_and(Machine::wants_more) {
            let at = self.next;
            self.next += 1;
            let offset = at as u64 * STEP;
            let is_finished = self.began_at.finished.iter().any(|range| range.contains(&offset));
            if self.script.events[at].sends.is_empty() || is_finished {
                continue;
            }
            let version = Arc::clone(self.version());
            let offer = plan::offer(&self.script, at, self.received[at], &version);
            self.window.push_back((offset, offer.subject.record.bytes().len()));
            for send in self.script.events[at].sends.clone() {
                self.watch.offered_at.insert(send, self.clock.mono());
            }
            self.step(Input::Offer(offer))?;
            self.memory()?;
        }
        if self.next > from && self.next == self.received.len() {
            let to = Position::at(self.next as u64 * STEP);
            self.step(Input::Advance(to))?;
        }
        Ok(())
    }
}
