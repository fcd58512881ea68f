//! A lane at play: the real machine, and its driver and recorder as few lines that can be stopped between any two steps.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use anole_delivery::{Answered, Command, Input, LaneOptions, Machine, Outgoing, Settlement, WindowProgress};
use anole_event::{Clock, Entry, LaneId, ManualClock, Timestamp};
use anole_pipeline::{Address, LanePlan};

use super::Variant;
use super::plan::{self, Event};
use super::stores::{Change, History, Journal, Store, covers};

/// A lane between two cuts.
pub(crate) struct Lane {
    pub(crate) machine: Machine,
    plan: Arc<LanePlan>,
    address: Arc<Address>,
    variant: Variant,
    /// Where its reader reads on.
    next: u64,
    /// What was finished above the watermark when it began: passed over.
    finished: Vec<Range<u64>>,
    /// Requests at the vendor.
    pub(crate) open: Vec<Outgoing>,
    settlements: VecDeque<Settlement>,
    appending: Option<(u64, Vec<Entry>)>,
    changes: VecDeque<Change>,
    changing: Option<Change>,
}

// === impl Lane ===

impl Lane {
    pub(crate) fn start(
        plan: &Arc<LanePlan>,
        address: &Arc<Address>,
        variant: Variant,
        options: LaneOptions,
        seed: u64,
        from: &WindowProgress,
    ) -> Self {
        Self {
            machine: Machine::new(plan.lane.clone(), options, seed, from.watermark)
                .with_finished(from.finished.clone()),
            plan: Arc::clone(plan),
            address: Arc::clone(address),
            variant,
            next: from.watermark.offset,
            finished: from.finished.clone(),
            open: Vec::new(),
            settlements: VecDeque::new(),
            appending: None,
            changes: VecDeque::new(),
            changing: None,
        }
    }

    pub(crate) fn id(&self) -> &LaneId {
        &self.plan.lane
    }

    /// Whether nothing of it is under way.
    pub(crate) fn is_idle(&self, journal: &Journal) -> bool {
        self.next >= journal.end()
            && self.open.is_empty()
            && self.machine.status().open == 0
            && self.settlements.is_empty()
            && self.appending.is_none()
            && self.changes.is_empty()
            && self.changing.is_none()
    }

    pub(crate) fn step(&mut self, clock: &ManualClock, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for command in self.machine.step(clock.now(), input) {
                match command {
                    Command::Send(outgoing) => self.open.push(outgoing),
                    Command::Record(settlement) => {
                        if self.variant == Variant::StateFirst {
                            inputs.push_back(Input::Recorded(settlement.number));
                        }
                        self.settlements.push_back(settlement);
                    }
                    Command::Commit(moved) => {
                        let parked =
                            moved.parked.iter().map(|park| (park.subject.position.offset, park.ordinal)).collect();
                        let change = Change { lane: self.plan.lane.clone(), progress: Some(moved.progress), parked };
                        self.changes.push_back(change);
                    }
                    Command::Paused(_) | Command::Resumed | Command::RefreshAuth(_) => {}
                    Command::Breaker { .. } | Command::Undefer(_) | Command::ClockJumped | Command::Drained => {}
                }
            }
        }
    }

    /// Reads one event and offers it, as far as the machine takes more.
    pub(crate) fn read(&mut self, clock: &ManualClock, journal: &Journal) {
        if !self.machine.wants_more() {
            return;
        }
        let Some(event) = journal.read(self.next) else { return };
        self.next = event.position + plan::STEP;
        if covers(&self.finished, event.position) {
            self.step(clock, Input::Advance(anole_event::Position::at(self.next)));
        } else {
            self.offer(clock, event, clock.wall());
        }
    }

    fn offer(&mut self, clock: &ManualClock, event: &Event, received_at: Timestamp) {
        let offer = plan::offer(event, received_at, &self.plan, &self.address);
        self.step(clock, Input::Offer(offer));
    }

    /// A request ended.
    pub(crate) fn answer(&mut self, clock: &ManualClock, outgoing: &Outgoing, answered: Answered) {
        self.step(clock, Input::Answer(outgoing.request, Box::new(answered)));
    }

    /// Takes what waits for history, merged as the recorder does, and begins to write it.
    pub(crate) fn begin_append(&mut self) {
        if self.appending.is_none()
            && let Some(first) = self.settlements.pop_front()
        {
            let (mut number, mut entries) = (first.number, first.entries);
            for more in self.settlements.drain(..) {
                number = more.number;
                entries.extend(more.entries);
            }
            self.appending = Some((number, entries));
        }
    }

    /// The append under way comes to its end. `written`: whether it took effect; `told`: whether it said so. One that
    /// failed is tried again with the same entries, whether or not it had taken effect.
    pub(crate) fn end_append(&mut self, clock: &ManualClock, history: &mut History, written: bool, told: bool) {
        let Some((number, entries)) = self.appending.take() else { return };
        if written {
            history.append(&entries);
        }
        if written && told {
            self.step(clock, Input::Recorded(number));
        } else {
            self.appending = Some((number, entries));
        }
    }

    /// Takes what waits for the state, merged as the recorder does, and begins to write it.
    pub(crate) fn begin_change(&mut self) {
        if self.changing.is_some() {
            return;
        }
        let Some(mut change) = self.changes.pop_front() else { return };
        if self.variant == Variant::TwoTransactions && change.progress.is_some() {
            let parked = Change { progress: None, parked: std::mem::take(&mut change.parked), ..change.clone() };
            if !parked.parked.is_empty() {
                self.changes.push_front(parked);
            }
        } else {
            for more in self.changes.drain(..) {
                change.progress = more.progress;
                change.parked.extend(more.parked);
            }
        }
        self.changing = Some(change);
    }

    /// The commit under way comes to its end, as [`Self::end_append`].
    pub(crate) fn end_change(&mut self, store: &mut Store, written: bool, told: bool) {
        let Some(change) = self.changing.take() else { return };
        if written {
            store.held.take(&change);
        }
        if !(written && told) {
            self.changing = Some(change);
        }
    }
}
