//! One seed: two lanes, a vendor with moods, and cuts.

use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{Answered, Input, LaneOptions, Outgoing, WindowLimits};
use anole_event::{Clock, LaneId, ManualClock, Random, Reached, Seeded, Timestamp};
use anole_pipeline::{Address, LanePlan};
use bytes::Bytes;

use super::check::{self, Arrived};
use super::lane::Lane;
use super::plan::{self, Fate};
use super::stores::{Held, History, Journal, Store};
use super::{Report, Variant};

/// Steps between the first event and the last.
const STEPS: usize = 900;
/// Steps after which a world that has not come to rest never will.
const LONGEST_REST: usize = 60_000;

/// Everything, with what survives a cut and what does not.
pub(crate) struct World {
    pub(crate) report: Report,
    variant: Variant,
    random: Seeded,
    clock: ManualClock,
    plans: Vec<Arc<LanePlan>>,
    address: Arc<Address>,
    options: LaneOptions,
    journal: Journal,
    history: History,
    store: Store,
    lanes: Vec<Lane>,
    arrived: Arrived,
    /// Percent of requests that fail in passing.
    flaky: u64,
}

// === impl World ===

impl World {
    pub(crate) fn new(seed: u64, variant: Variant) -> Self {
        let mut random = Seeded::new(seed);
        let batch = 1 + random.below(6) as usize;
        let options = LaneOptions {
            window: WindowLimits { events: 4 + random.below(60) as usize, bytes: 100_000 },
            inflight: 1 + random.below(4) as usize,
            ..LaneOptions::default()
        };
        Self {
            report: Report::default(),
            variant,
            flaky: random.below(40),
            random,
            clock: ManualClock::at(Timestamp::from_millis(1_800_000_000_000)),
            plans: ["kameleoon", "ga4"].iter().map(|name| plan::lane(name, batch)).collect(),
            address: plan::address(),
            options,
            journal: Journal::default(),
            history: History::default(),
            store: Store::default(),
            lanes: Vec::new(),
            arrived: Arrived::new(),
        }
    }

    fn ids(&self) -> Vec<LaneId> {
        self.plans.iter().map(|plan| plan.lane.clone()).collect()
    }

    /// Plays it to the end.
    pub(crate) fn play(&mut self) -> Result<(), String> {
        self.start();
        for _ in 0..STEPS {
            if self.random.below(60) == 0 {
                self.cut()?;
            } else {
                self.act();
            }
        }
        self.cut()?;
        self.rest()?;
        check::places(&self.ids(), &self.journal, &self.history, &self.store.held, &self.arrived)?;
        self.report.events = self.journal.acknowledged().len() as u64;
        self.report.parked = self.store.held.parked.len() as u64;
        check::at_the_end(&self.ids(), &self.journal, &self.store.held, &self.arrived)
    }

    /// As the daemon starts: lanes are registered, a first backup is made, each lane goes on from its progress.
    fn start(&mut self) {
        self.store.register(&self.ids(), &self.journal);
        self.store.backup.get_or_insert_with(|| self.store.held.clone());
        self.lanes = self
            .plans
            .iter()
            .map(|plan| {
                let from = &self.store.held.progress[&plan.lane];
                let seed = self.random.next();
                Lane::start(plan, &self.address, self.variant, self.options, seed, from)
            })
            .collect();
    }

    /// One step of something.
    fn act(&mut self) {
        let which = self.random.below(self.lanes.len() as u64) as usize;
        let (written, told) = (self.random.below(8) > 0, self.random.below(8) > 0);
        let lane = &mut self.lanes[which];
        match self.random.below(22) {
            0..4 => self.accept(),
            4..6 => self.journal.synced = self.journal.events.len(),
            6..10 => lane.read(&self.clock, &self.journal),
            10..13 => self.answer(which),
            13 => lane.begin_append(),
            14 => lane.end_append(&self.clock, &mut self.history, written, told),
            15 => lane.begin_change(),
            16 => lane.end_change(&mut self.store, written, told),
            17 => {
                self.clock.advance(Duration::from_millis(self.random.below(1_500)));
                lane.step(&self.clock, Input::Tick);
            }
            18 => self.history.sync(),
            19 => self.back_up(),
            20 => self.trim(),
            _ => {
                let wake = lane.machine.wake_at().map_or(Duration::ZERO, |at| at.since(self.clock.mono()));
                self.clock.advance(wake);
                lane.step(&self.clock, Input::Tick);
            }
        }
    }

    fn accept(&mut self) {
        let sends = (0..=self.random.below(3)).map(|_| match self.random.below(20) {
            0..2 => Fate::Poison,
            2..4 => Fate::Filtered,
            4 => Fate::Unmappable,
            _ => Fate::Sent,
        });
        let sends = sends.collect();
        self.journal.append(self.random.below(5), sends);
    }

    fn back_up(&mut self) {
        if self.random.below(6) == 0 {
            self.store.backup = Some(self.store.held.clone());
        }
    }

    fn trim(&mut self) {
        let held: Option<&Held> = match self.variant {
            Variant::TrimByProgress => Some(&self.store.held),
            _ => self.store.backup.as_ref(),
        };
        self.journal.start = self.journal.start.max(held.map_or(0, Held::everyone_passed));
    }

    fn answer(&mut self, which: usize) {
        let open = self.lanes[which].open.len() as u64;
        if open == 0 {
            return;
        }
        let at = self.random.below(open) as usize;
        let outgoing = self.lanes[which].open.swap_remove(at);
        let answered = self.vendor(which, &outgoing);
        self.lanes[which].answer(&self.clock, &outgoing, answered);
    }

    fn vendor(&mut self, which: usize, outgoing: &Outgoing) -> Answered {
        let items: Vec<String> = serde_json::from_slice(&outgoing.body).expect("an array of texts");
        if self.random.below(100) < self.flaky {
            if self.random.below(3) == 0 {
                self.arrive(which, &items);
            }
            let status = [None, Some(503), Some(500), Some(429)][self.random.below(4) as usize];
            return answered(status);
        }
        let poison = |item: &String| plan::read_item(item).is_some_and(|(at, ordinal, _)| self.is_poison(at, ordinal));
        // Its mood decides, so that what was refused before a crash may be taken after it.
        if items.iter().any(poison) && self.random.below(4) > 0 {
            return answered(Some(400));
        }
        self.arrive(which, &items);
        answered(Some(204))
    }

    fn is_poison(&self, position: u64, ordinal: u16) -> bool {
        let event = self.journal.events.get((position / plan::STEP) as usize);
        event.and_then(|event| event.sends.get(usize::from(ordinal))).is_some_and(|fate| *fate == Fate::Poison)
    }

    fn arrive(&mut self, which: usize, items: &[String]) {
        for (position, ordinal, nonce) in items.iter().filter_map(|item| plan::read_item(item)) {
            let send = (self.lanes[which].id().clone(), position, ordinal);
            let times = self.arrived.entry(send).or_default().entry(nonce.to_owned()).or_default();
            self.report.arrivals += 1;
            self.report.duplicates += u64::from(*times > 0);
            *times += 1;
        }
    }

    /// The process is killed or the power cut; what is there then is checked, and everything starts again.
    fn cut(&mut self) -> Result<(), String> {
        self.report.cuts += 1;
        for lane in &mut self.lanes {
            // What was being written is there or not; nobody was told.
            let (append, change) = (self.random.below(2) == 0, self.random.below(2) == 0);
            lane.end_append(&self.clock, &mut self.history, append, false);
            lane.end_change(&mut self.store, change, false);
        }
        if self.random.below(2) == 0 {
            self.report.power_cuts += 1;
            self.journal.cut_power(&mut self.random);
            self.history.cut_power(&mut self.random);
            if self.random.below(8) == 0 {
                self.report.restored += 1;
                self.store.held = self.store.backup.clone().unwrap_or_default();
            }
        } else {
            self.journal.recovered();
        }
        self.clock.advance(Duration::from_millis(self.random.below(10_000)));
        check::places(&self.ids(), &self.journal, &self.history, &self.store.held, &self.arrived)?;
        self.start();
        Ok(())
    }

    /// Lets the vendor be well and everything come to its end.
    fn rest(&mut self) -> Result<(), String> {
        self.flaky = 0;
        self.journal.synced = self.journal.events.len();
        for step in 0..LONGEST_REST {
            let which = step % self.lanes.len();
            let lane = &mut self.lanes[which];
            lane.read(&self.clock, &self.journal);
            lane.begin_append();
            lane.end_append(&self.clock, &mut self.history, true, true);
            lane.begin_change();
            lane.end_change(&mut self.store, true, true);
            self.answer(which);
            self.clock.advance(Duration::from_millis(500));
            self.lanes[which].step(&self.clock, Input::Tick);
            if self.lanes.iter().all(|lane| lane.is_idle(&self.journal) && lane.machine.wake_at().is_none()) {
                return Ok(());
            }
        }
        Err("it never came to rest".to_owned())
    }
}

fn answered(status: Option<u16>) -> Answered {
    Answered {
        reached: if status.is_some() { Reached::Body } else { Reached::Written },
        status,
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
