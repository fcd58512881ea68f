//! What became of each send: at the vendor, in history, in the state.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::time::Duration;

use anole_delivery::{Deferral, Deferred, Moved, WindowProgress};
use anole_event::{Entry, Marks, Now, OrderKey, Position, Reason, State, Timestamp};
use anole_state::SendKey;

use super::plan::{STEP, send_of};
use super::script::{Fate, Script, SendId};

/// The longest that a send is set aside for.
const LONGEST_DEFERRAL: Duration = Duration::from_secs(60 * 60);

/// One send, over all lives of its lane.
#[derive(Clone, Debug, Default)]
struct Line {
    nonce: Option<u64>,
    taken: u32,
    /// The vendor refused it when it travelled alone.
    refused_alone: bool,
    /// The life in which it ended last, and how.
    end: Option<(u32, State)>,
    /// It ended otherwise than delivered in some life.
    given_up: bool,
    /// Its last end in history.
    written: Option<State>,
    parked: bool,
    /// The state has deferred it: how often, and until when.
    deferred: Option<Deferral>,
    /// It failed when it travelled alone.
    failed_alone: bool,
    /// It went out in this life while another of its order key was deferred.
    overtakes: Option<u32>,
    /// It is behind the committed progress.
    behind: bool,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    lines: Vec<Line>,
    /// The last send of each order key that the vendor took for the first time.
    last_taken: HashMap<u64, SendId>,
    /// Sends that were deferred at some time.
    set_aside: BTreeSet<SendId>,
    /// What the state holds.
    pub(crate) progress: WindowProgress,
    pub(crate) parked: u64,
    pub(crate) expired: u64,
    /// Times that a send was deferred.
    pub(crate) deferrals: u64,
    pub(crate) repeated: u64,
    pub(crate) taken: u64,
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn new(sends: usize) -> Self {
        Self {
            lines: vec![Line::default(); sends],
            last_taken: HashMap::new(),
            set_aside: BTreeSet::new(),
            progress: WindowProgress { watermark: anole_event::Position::at(0), finished: Vec::new() },
            parked: 0,
            expired: 0,
            deferrals: 0,
            repeated: 0,
            taken: 0,
        }
    }

    /// A send goes out under this nonce.
    pub(crate) fn goes_out(&mut self, send: SendId, nonce: u64, life: u32, script: &Script) -> Result<(), String> {
        let key = script.sends[send].key;
        let waits = |other: &SendId| script.sends[*other].key == key && self.is_deferred(*other, life);
        if !self.is_deferred(send, life) && self.set_aside.iter().any(waits) {
            self.lines[send].overtakes = Some(life);
        }
        let is_deferred = self.is_deferred(send, life);
        let line = &mut self.lines[send];
        if is_deferred {
            // It comes back as itself, and overtakes nothing.
            line.overtakes = None;
        }
        if line.nonce.is_some_and(|before| before != nonce) {
            return Err(format!("send {send} goes out under another nonce than before"));
        }
        line.nonce = Some(nonce);
        if line.behind && !is_deferred {
            return Err(format!("send {send} is behind the committed progress, and is sent again"));
        }
        match line.end {
            Some((ended_in, state)) if ended_in == life && state != State::Deferred => {
                Err(format!("send {send} is {state}, and is sent again"))
            }
            _ => Ok(()),
        }
    }

    /// The vendor takes a request. Order counts where it takes a send for the first time; a send that an earlier life had
    /// given up and that a crash has brought back may be overtaken.
    pub(crate) fn takes(&mut self, sends: &[SendId], script: &Script) -> Result<(), String> {
        for &send in sends {
            let line = &mut self.lines[send];
            line.taken += 1;
            self.taken += 1;
            if line.taken > 1 {
                self.repeated += 1;
                continue;
            }
            if line.given_up {
                continue;
            }
            let last = self.last_taken.entry(script.sends[send].key).or_insert(send);
            if *last > send {
                return Err(format!("send {send} arrives after send {last}, which is later and of the same order key"));
            }
            *last = send;
        }
        Ok(())
    }

    /// Whether a send is deferred, as a life knows it: it may be on its way to the state, or out of it.
    pub(crate) fn is_deferred(&self, send: SendId, life: u32) -> bool {
        match self.lines[send].end {
            Some((ended_in, state)) if ended_in == life => state == State::Deferred,
            _ => self.lines[send].deferred.is_some(),
        }
    }

    pub(crate) fn is_set_aside(&self, send: SendId) -> bool {
        self.set_aside.contains(&send)
    }

    /// What the state has deferred.
    pub(crate) fn deferred(&self, script: &Script, now: Now) -> Vec<Deferred> {
        let row = |(send, line): (SendId, &Line)| {
            let Deferral { due_at, times } = line.deferred?;
            let spec = &script.sends[send];
            let key = SendKey { position: Position::at(spec.event as u64 * STEP), ordinal: spec.ordinal };
            // As the driver does it, whatever the wall clock says.
            let due = now.mono.after(due_at.since(now.wall).min(LONGEST_DEFERRAL));
            Some(Deferred { key, order_key: OrderKey(spec.key), times, due })
        };
        self.lines.iter().enumerate().filter_map(row).collect()
    }

    pub(crate) fn has_deferred(&self) -> bool {
        self.set_aside.iter().any(|send| self.lines[*send].deferred.is_some())
    }

    pub(crate) fn failed_alone(&mut self, send: SendId) {
        self.lines[send].failed_alone = true;
    }

    pub(crate) fn refused_alone(&mut self, send: SendId) {
        self.lines[send].refused_alone = true;
    }

    /// The machine says how sends ended.
    pub(crate) fn ends(&mut self, life: u32, now: Now, entries: &[Entry], script: &Script) -> Result<(), String> {
        for record in entries.iter().flat_map(|entry| &entry.sends) {
            let send = send_of(script, record.position, record.ordinal).ok_or_else(|| {
                format!("history tells of {}/{}, which nobody offered", record.position, record.ordinal)
            })?;
            let Some(outcome) = &record.outcome else { continue };
            let spec = &script.sends[send];
            let is_deferred = self.is_deferred(send, life);
            let line = &mut self.lines[send];
            if line.behind && !is_deferred {
                return Err(format!("send {send} is behind the committed progress, and ends again"));
            }
            if let Some((ended_in, state)) = line.end
                && ended_in == life
                && state != State::Deferred
            {
                return Err(format!("send {send} is {state}, and ends again as {}", outcome.state));
            }
            let too_old = || spec.expires.is_some_and(|age| record.received_at.after(age) <= now.wall);
            let is_right = match (outcome.state, outcome.reason) {
                (State::Delivered, _) => line.taken > 0 && spec.fate == Fate::Sent,
                (State::Filtered, _) => spec.fate == Fate::Filtered,
                (State::Parked, Reason::MissingField) => spec.fate == Fate::Unmappable,
                (State::Parked, Reason::TooLarge) => spec.fate == Fate::TooLarge,
                (State::Parked, Reason::Refused) => line.refused_alone,
                (State::Deferred, Reason::FailsAlone) => {
                    self.deferrals += 1;
                    self.set_aside.insert(send);
                    line.failed_alone
                }
                (State::Expired, _) => {
                    self.expired += 1;
                    too_old()
                }
                _ => false,
            };
            if !is_right {
                let (state, reason) = (outcome.state, outcome.reason);
                return Err(format!(
                    "send {send} ({:?}, taken {} times) ends as {state}, {reason}",
                    spec.fate, line.taken
                ));
            }
            let (marked, overtakes) = (record.marks.contains(Marks::REORDERED), line.overtakes == Some(life));
            // One that expires when it comes back is told a little later than the lane knows it.
            let may_differ = overtakes && script.has_expiry;
            if outcome.state == State::Delivered && marked != overtakes && !may_differ {
                return Err(format!("send {send} overtakes {:?}, and is marked {:?}", line.overtakes, record.marks));
            }
            line.end = Some((life, outcome.state));
            line.given_up |= outcome.state != State::Delivered;
        }
        Ok(())
    }

    /// History has these lines.
    pub(crate) fn written(&mut self, entries: &[Entry], script: &Script) {
        for record in entries.iter().flat_map(|entry| &entry.sends) {
            if let (Some(send), Some(outcome)) = (send_of(script, record.position, record.ordinal), &record.outcome) {
                self.lines[send].written = Some(outcome.state);
            }
        }
    }

    /// S-2: what the state may take is in history.
    pub(crate) fn may_commit(&self, moved: &Moved, script: &Script) -> Result<(), String> {
        if moved.progress.watermark < self.progress.watermark {
            let (from, to) = (self.progress.watermark, moved.progress.watermark);
            return Err(format!("progress goes back from {from} to {to}"));
        }
        for send in passed(&self.progress, &moved.progress, script) {
            if self.lines[send].written.is_none() {
                return Err(format!("progress passes send {send}, and history knows no end of it"));
            }
        }
        for park in moved.parked.iter().chain(&moved.deferred) {
            if !is_behind(&moved.progress, park.subject.position.offset) {
                return Err(format!("{}/{} is parked, and still to do", park.subject.position, park.ordinal));
            }
        }
        Ok(())
    }

    /// The state takes it.
    pub(crate) fn commit(&mut self, moved: &Moved, script: &Script) -> Result<(), String> {
        let passed: Vec<_> = passed(&self.progress, &moved.progress, script).collect();
        for send in passed {
            self.lines[send].behind = true;
        }
        for park in &moved.parked {
            let send = send_of(script, park.subject.position, park.ordinal).ok_or("something unknown is parked")?;
            if std::mem::replace(&mut self.lines[send].parked, true) {
                return Err(format!("send {send} is parked twice"));
            }
            self.parked += 1;
        }
        for key in &moved.undeferred {
            let send = send_of(script, key.position, key.ordinal).ok_or("something unknown is deferred no more")?;
            self.lines[send].deferred = None;
        }
        for aside in &moved.deferred {
            let send = send_of(script, aside.subject.position, aside.ordinal).ok_or("something unknown is deferred")?;
            self.lines[send].deferred = aside.deferral;
        }
        self.progress = moved.progress.clone();
        Ok(())
    }

    /// After a stop of any kind: each send is in one place.
    pub(crate) fn places(&self, script: &Script) -> Result<(), String> {
        for (send, line) in self.lines.iter().enumerate() {
            let is_behind = is_behind(&self.progress, script.sends[send].event as u64 * STEP);
            if is_behind != line.behind {
                return Err(format!("send {send} was behind the progress, and is not any more"));
            }
            let is_right = match line.written {
                _ if !is_behind => !line.parked && line.deferred.is_none(),
                // It may have come to another end that the state does not have yet.
                Some(_) if line.deferred.is_some() => !line.parked,
                Some(State::Parked) => line.parked,
                Some(State::Deferred) => false,
                Some(_) => !line.parked,
                None => false,
            };
            if !is_right {
                let (written, parked) = (line.written, line.parked);
                return Err(format!("send {send}: behind {is_behind}, history says {written:?}, parked {parked}"));
            }
        }
        Ok(())
    }

    /// When nothing is left to do.
    pub(crate) fn at_the_end(&self, script: &Script) -> Result<(), String> {
        self.places(script)?;
        for (send, line) in self.lines.iter().enumerate() {
            if !line.behind {
                return Err(format!("send {send} was never finished"));
            }
            let (fate, state) = (script.sends[send].fate, line.written);
            let is_right = match state {
                Some(State::Delivered) => fate == Fate::Sent && line.taken > 0,
                Some(State::Filtered) => fate == Fate::Filtered && line.taken == 0,
                Some(State::Parked) => fate != Fate::Filtered && (fate != Fate::Sent || line.refused_alone),
                Some(State::Expired) => script.sends[send].expires.is_some(),
                _ => false,
            };
            if !is_right {
                return Err(format!("send {send} ({fate:?}, taken {} times) ended as {state:?}", line.taken));
            }
        }
        Ok(())
    }

    pub(crate) fn has_ended(&self, send: SendId, life: u32) -> bool {
        self.lines[send].end.is_some_and(|(ended_in, _)| ended_in == life)
    }

    /// When the vendor has no more use for a send.
    pub(crate) fn expires_at(&self, received_at: Timestamp, send: SendId, script: &Script) -> Option<Timestamp> {
        script.sends[send].expires.map(|age| received_at.after(age))
    }
}

/// Whether an event is done with, as this progress says.
pub(crate) fn is_behind(progress: &WindowProgress, offset: u64) -> bool {
    offset < progress.watermark.offset || progress.finished.iter().any(|range| range.contains(&offset))
}

/// The sends of events that the second progress has behind it and the first had not.
fn passed<'a>(
    before: &'a WindowProgress,
    after: &'a WindowProgress,
    script: &'a Script,
) -> impl Iterator<Item = SendId> + 'a {
    let stretches =
        std::iter::once(before.watermark.offset..after.watermark.offset).chain(after.finished.iter().cloned());
    stretches
        .flat_map(|range: Range<u64>| range.start.div_ceil(STEP)..range.end.div_ceil(STEP))
        .filter(move |at| !is_behind(before, at * STEP))
        .filter_map(move |at| script.events.get(at as usize))
        .flat_map(|event| event.sends.clone())
}
