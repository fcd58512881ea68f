//! How sends end: rows for the delivery log, then progress and parked sends for the state.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Attempt, AttemptId, Entry, LaneId, Marks, Mono, Now, Outcome, SendRecord, State, uuid_v7};
use anole_pipeline::{Ended, LanePlan};
use anole_state::{ParkedId, SendKey};

use crate::batcher::{Batch, Item};
use crate::lane::{Again, Command, Moved, SetAside, Settlement, Subject};
use crate::machine::Machine;
use crate::replaying::{InHand, Origin};

/// Outcomes without a request go to the log in blocks of this many at most.
const QUIET_BLOCK: usize = 512;
/// Progress that only passed over events of others is committed this often.
const IDLE_COMMIT: Duration = Duration::from_secs(1);

/// What ended and is not yet in the delivery log, and what is there and not yet in the state.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Outcomes without a request, by plan.
    quiet: Vec<(u64, SendRecord)>,
    quiet_done: Vec<Origin>,
    quiet_parked: Vec<SetAside>,
    quiet_since: Option<Mono>,
    /// Settlements under way to the delivery log, oldest first.
    under_way: VecDeque<Waiting>,
    last_number: u64,
    /// Whether progress may have moved since the last commit.
    pub(crate) touched: bool,
    /// Recorded sends to be parked or deferred by the next commit.
    aside: Vec<SetAside>,
    /// What is being sent again.
    pub(crate) in_hand: HashMap<Again, InHand>,
    /// Parked rows that ended so, to be taken away by the next commit.
    unparked: Vec<ParkedId>,
    /// The same of deferred ones.
    undeferred: Vec<SendKey>,
    /// Whether something was recorded since the last commit.
    recorded: bool,
    last_commit: Mono,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    done: Vec<Origin>,
    parked: Vec<SetAside>,
}

// === impl Book ===

impl Book {
    /// A send that ended when the plan was applied.
    pub(crate) fn ended(&mut self, now: Now, origin: Origin, subject: &Arc<Subject>, plan: &LanePlan, ended: Ended) {
        let Ended { ordinal, rule, visitor_code, rung, outcome, .. } = ended;
        if outcome.state == State::Parked {
            self.quiet_parked.push(set_aside(now, subject, (ordinal, &rule, origin), plan.hash, &outcome, None));
        }
        let record = SendRecord {
            visitor_code,
            rung,
            ordinal,
            rule,
            nonce: None,
            marks: marks_of(origin),
            outcome: Some(outcome),
            ..of_subject(subject)
        };
        self.keep_quiet(now.mono, origin, plan.hash, record);
    }

    /// A send that ended without a request of its own.
    pub(crate) fn item_ended(&mut self, now: Now, item: &Item, plan: &LanePlan, outcome: Outcome, marks: Marks) {
        if outcome.state == State::Parked {
            let send = (item.send.ordinal, &item.send.rule, item.origin);
            self.quiet_parked.push(set_aside(now, &item.subject, send, plan.hash, &outcome, None));
        }
        self.keep_quiet(now.mono, item.origin, plan.hash, of_item(item, Some(outcome), marks));
    }

    fn keep_quiet(&mut self, now: Mono, origin: Origin, plan: u64, record: SendRecord) {
        self.quiet.push((plan, record));
        self.quiet_done.push(origin);
        self.quiet_since.get_or_insert(now);
    }

    fn settlement(&mut self, entries: Vec<Entry>, done: Vec<Origin>, parked: Vec<SetAside>) -> Command {
        self.last_number += 1;
        self.under_way.push_back(Waiting { number: self.last_number, done, parked });
        Command::Record(Settlement { number: self.last_number, entries })
    }

    /// What is parked again waits until all of its row has ended.
    fn park(&mut self, parked: Vec<SetAside>) {
        for park in parked {
            match park.replayed.and_then(|again| self.in_hand.get_mut(&again)) {
                Some(row) => row.park(park),
                None => self.aside.push(park),
            }
        }
    }

    /// A send of a row that was set aside is in the log. With the last one the row goes, unless it is set aside in the same way
    /// again: then what is new takes its place.
    fn replayed(&mut self, again: Again) {
        if !self.in_hand.get_mut(&again).is_some_and(InHand::finish_one) {
            return;
        }
        let Some((aside, replaced)) = self.in_hand.remove(&again).map(InHand::into_aside) else { return };
        let is_deferred = aside.iter().any(|aside| aside.deferral.is_some());
        self.aside.extend(aside);
        match again {
            Again::Parked(id) if !replaced => self.unparked.push(id),
            Again::Deferred(key) if !is_deferred => self.undeferred.push(key),
            _ => {}
        }
    }

    /// Whether all that ended is recorded and committed.
    pub(crate) fn is_settled(&self) -> bool {
        self.quiet.is_empty() && self.under_way.is_empty() && !self.recorded && !self.touched
    }

    /// When gathered outcomes must be recorded, or mere passing-over committed.
    pub(crate) fn next_due(&self, quiet_wait: Duration) -> Option<Mono> {
        let quiet = self.quiet_since.map(|since| since.after(quiet_wait));
        let idle = self.touched.then(|| self.last_commit.after(IDLE_COMMIT));
        quiet.into_iter().chain(idle).min()
    }
}

// === impl Machine ===

impl Machine {
    /// An attempt was decided on: its row goes to the log, with what became of each of its sends. `outcome_of` is asked once for
    /// each, in their order.
    pub(crate) fn settle_attempt(
        &mut self,
        now: Now,
        batch: &Batch,
        attempt: Attempt,
        outcome_of: &dyn Fn(&Item) -> Option<Outcome>,
        commands: &mut Vec<Command>,
    ) {
        let id = AttemptId(uuid_v7(now.wall, &mut self.random));
        let mut sends = Vec::with_capacity(batch.items.len());
        let (mut done, mut parked) = (Vec::new(), Vec::new());
        for item in &batch.items {
            let outcome = outcome_of(item);
            if let Some(outcome) = &outcome {
                done.push(item.origin);
                if outcome.state != State::Deferred {
                    self.deferrals.ends(item.origin);
                }
                if matches!(outcome.state, State::Parked | State::Deferred) {
                    let send = (item.send.ordinal, &item.send.rule, item.origin);
                    let aside = set_aside(now, &item.subject, send, batch.plan.hash, outcome, Some(id));
                    let deferral = (outcome.state == State::Deferred).then(|| self.defer(now, item));
                    parked.push(SetAside { deferral, ..aside });
                }
            }
            sends.push(of_item(item, outcome, item.send.marks));
        }
        let entry = entry(id, now, &self.lane, batch.plan.hash, Some(attempt), sends);
        commands.push(self.book.settlement(vec![entry], done, parked));
    }

    /// Sends gathered outcomes to the log when there are enough or they have waited long enough.
    pub(crate) fn flush_quiet(&mut self, now: Now, at_once: bool, commands: &mut Vec<Command>) {
        let Some(since) = self.book.quiet_since else { return };
        let is_due = since.after(self.options.quiet_wait) <= now.mono;
        if !(at_once || is_due || self.book.quiet.len() >= QUIET_BLOCK) {
            return;
        }
        self.book.quiet_since = None;
        let mut entries: Vec<Entry> = Vec::new();
        for (plan, record) in std::mem::take(&mut self.book.quiet) {
            match entries.last_mut() {
                Some(entry) if entry.plan == plan => entry.sends.push(record),
                _ => {
                    let id = AttemptId(uuid_v7(now.wall, &mut self.random));
                    entries.push(entry(id, now, &self.lane, plan, None, vec![record]));
                }
            }
        }
        let done = std::mem::take(&mut self.book.quiet_done);
        let parked = std::mem::take(&mut self.book.quiet_parked);
        commands.push(self.book.settlement(entries, done, parked));
    }

    /// The log has the settlements up to this number: their sends are finished.
    pub(crate) fn recorded(&mut self, number: u64, _: &mut Vec<Command>) {
        while self.book.under_way.front().is_some_and(|waiting| waiting.number <= number) {
            if let Some(waiting) = self.book.under_way.pop_front() {
                self.book.park(waiting.parked);
                for origin in waiting.done {
                    match origin {
                        Origin::Read(seq) => self.window.finish(seq),
                        Origin::Again(again) => self.book.replayed(again),
                    }
                }
                self.book.recorded = true;
            }
        }
    }

    /// Lets the state take the progress when something was recorded, or now and then when events were only passed over.
    ///
    /// A parked send goes to the state with the commit that finishes its event, not before: an event that is parked in
    /// part and read again after a crash would be in two places, and what was parked could then be delivered as well.
    pub(crate) fn commit_moved(&mut self, now: Mono, at_once: bool, commands: &mut Vec<Command>) {
        let idle = self.book.touched && (at_once || self.book.last_commit.after(IDLE_COMMIT) <= now);
        if !self.book.recorded && !idle {
            return;
        }
        self.book.recorded = false;
        self.book.touched = false;
        self.book.last_commit = now;
        let settled = std::mem::take(&mut self.book.aside);
        let is_whole = |aside: &SetAside| self.window.is_finished(aside.subject.position);
        let (ready, kept): (Vec<_>, Vec<_>) = settled.into_iter().partition(is_whole);
        self.book.aside = kept;
        let (deferred, parked): (Vec<_>, Vec<_>) = ready.into_iter().partition(|aside| aside.deferral.is_some());
        for aside in &deferred {
            self.deferrals.keep(SendKey { position: aside.subject.position, ordinal: aside.ordinal });
        }
        let unparked = std::mem::take(&mut self.book.unparked);
        let undeferred = std::mem::take(&mut self.book.undeferred);
        let progress = self.window.progress();
        commands.push(Command::Commit(Moved { progress, parked, unparked, deferred, undeferred }));
    }
}

fn entry(id: AttemptId, now: Now, lane: &LaneId, plan: u64, attempt: Option<Attempt>, sends: Vec<SendRecord>) -> Entry {
    Entry { id, at: now.wall, lane: lane.clone(), plan, attempt, sends }
}

fn set_aside(
    now: Now,
    subject: &Arc<Subject>,
    (ordinal, rule, origin): (u16, &Arc<str>, Origin),
    plan: u64,
    outcome: &Outcome,
    attempt: Option<AttemptId>,
) -> SetAside {
    SetAside {
        subject: Arc::clone(subject),
        ordinal,
        rule: Arc::clone(rule),
        reason: outcome.reason,
        detail: outcome.detail.clone(),
        at: now.wall,
        plan,
        attempt,
        replayed: origin.again(),
        deferral: None,
    }
}

/// What is to be remarked of a send for where it came from.
const fn marks_of(origin: Origin) -> Marks {
    match origin {
        Origin::Read(_) | Origin::Again(Again::Deferred(_)) => Marks::NONE,
        Origin::Again(Again::Parked(_) | Again::Read(_)) => Marks::REPLAYED,
    }
}

fn of_item(item: &Item, outcome: Option<Outcome>, marks: Marks) -> SendRecord {
    SendRecord {
        ordinal: item.send.ordinal,
        rule: Arc::clone(&item.send.rule),
        visitor_code: item.send.visitor_code.clone(),
        rung: item.send.rung.clone(),
        nonce: item.send.nonce.clone(),
        marks: marks.with(marks_of(item.origin)),
        outcome,
        ..of_subject(&item.subject)
    }
}

fn of_subject(subject: &Subject) -> SendRecord {
    SendRecord {
        message_id: subject.message_id.clone(),
        event: subject.event.clone(),
        anonymous_id: subject.anonymous_id.clone(),
        user_id: subject.user_id.clone(),
        lookups: subject.lookups.clone(),
        position: subject.position,
        received_at: subject.received_at,
        ordinal: 0,
        rule: "".into(),
        visitor_code: None,
        rung: None,
        nonce: None,
        marks: Marks::NONE,
        outcome: None,
    }
}
