//! The tail reader: each block of the journal is checked and parsed once, for all lanes that are there.
//!
//! A lane that is at the tail has a *seat*: a short bounded queue of parsed blocks. The tail never waits for a lane: when
//! a seat's queue is full the lane loses its seat, reads on alone at its own pace from where it is, and takes a seat again
//! when it has caught up. So a lane that hangs costs the others nothing, and a lane that is days behind costs memory for
//! one block.
//!
//! Rejected: a queue per lane that the tail waits for (one slow vendor stops all), and a reader per lane always (twenty
//! destinations parse each event twenty times).
//!
//! # When the plans are replaced
//!
//! A block is read by the plans that are in force when it comes from the journal, and carries them. One that was read just
//! before a replacement may still be on its way to the seats: a lane that was started for the new plans does not take it, but
//! loses its seat, reads alone from where it is, and sits down again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_event::{Kind, LaneId, Position, Record};
use anole_journal::{Block, Gap, Journal, Read, Reader};
use anole_pipeline::{PipelinePlan, Values};
use anole_telemetry::{LaneReadFailed, Telemetry};
use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::plans::Plans;

/// Blocks that wait in a seat.
const SEAT: usize = 4;
/// How long a reader waits after an error before it tries again.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// A block after one pass over its events.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// By which its events were read: only these say what a lane does with them.
    pub(crate) plans: Arc<Plans>,
    /// Where reading goes on.
    pub(crate) next: Position,
    /// Its events that belong to a pipeline we have.
    pub(crate) events: Vec<ParsedEvent>,
    /// What could not be read, instead of events.
    pub(crate) gap: Option<Gap>,
}

/// An event after that pass.
#[derive(Debug)]
pub(crate) struct ParsedEvent {
    /// Where it stands.
    pub(crate) position: Position,
    /// Where reading goes on behind it.
    pub(crate) next: Position,
    /// The record.
    pub(crate) record: Record,
    /// Its pipeline's plan.
    pub(crate) plan: Arc<PipelinePlan>,
    /// What the pass found; why it found nothing otherwise.
    pub(crate) values: Result<Values, Unread>,
}

/// Why there are no values of an event.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The body is no event.
    NoEvent(String),
    /// It was erased before the lane had looked at it.
    Erased,
}

/// Who sits at the tail, how far the tail is, and by which plans it reads.
#[derive(Debug)]
pub(crate) struct Tail {
    plans: ArcSwap<Plans>,
    seats: Mutex<Seats>,
    /// Rises when what stands in the journal has become other: what was read before is not handed out any more.
    turn: AtomicU64,
}

#[derive(Debug)]
struct Seats {
    at: Position,
    taken: HashMap<LaneId, Seat>,
}

#[derive(Debug)]
struct Seat {
    /// The version of the plans for which the lane was started: it takes no block that was read by older ones.
    since: u64,
    blocks: mpsc::Sender<Arc<Parsed>>,
}

/// Where a lane gets its blocks from.
pub(crate) struct Source {
    lane: LaneId,
    tail: Arc<Tail>,
    journal: Arc<dyn Journal>,
    telemetry: Arc<Telemetry>,
    /// The version of the plans that were in force when it began.
    since: u64,
    at: Position,
    way: Way,
}

enum Way {
    Seated(mpsc::Receiver<Arc<Parsed>>),
    Alone(Box<dyn Reader>),
}

// === impl Parsed ===

impl Parsed {
    /// Reads the heads of a block and the events of our pipelines.
    fn of(block: Block, plans: Arc<Plans>) -> Self {
        let mut events = Vec::with_capacity(block.records.len());
        let ends = block.records.iter().skip(1).map(|(position, _)| *position).chain([block.next]);
        let ends: Vec<_> = ends.collect();
        for ((position, record), next) in block.records.into_iter().zip(ends) {
            let Ok(head) = record.head() else { continue };
            let Some(plan) = plans.pipeline(head.pipeline).map(Arc::clone) else { continue };
            let values = match head.kind {
                Kind::Event => {
                    let body = record.body().unwrap_or_default();
                    plan.read(body).map_err(|error| Unread::NoEvent(error.to_string()))
                }
                // It was accepted, so it ends in a named state like every event.
                Kind::Erased => Err(Unread::Erased),
            };
            events.push(ParsedEvent { position, next, record, plan, values });
        }
        Self { plans, next: block.next, events, gap: None }
    }

    fn of_read(read: Read, plans: Arc<Plans>) -> Self {
        match read {
            Read::Block(block) => Self::of(block, plans),
            Read::Gap(gap) => Self { plans, next: gap.to, events: Vec::new(), gap: Some(gap) },
        }
    }
}

// === impl Tail ===

impl Tail {
    /// A tail that reads from here on, by these plans.
    pub(crate) fn new(at: Position, plans: Arc<Plans>) -> Arc<Self> {
        let seats = Mutex::new(Seats { at, taken: HashMap::new() });
        Arc::new(Self { plans: ArcSwap::new(plans), seats, turn: AtomicU64::new(0) })
    }

    /// The plans in force.
    pub(crate) fn plans(&self) -> Arc<Plans> {
        self.plans.load_full()
    }

    /// From now on blocks are read by these plans.
    pub(crate) fn replace(&self, plans: Arc<Plans>) {
        self.plans.store(plans);
    }

    /// Events were erased: a block that was read before this is read again, and reaches nobody who sits down from now on.
    pub(crate) fn read_again(&self) {
        let _seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn.fetch_add(1, Ordering::SeqCst);
    }

    /// A seat for a lane that has read up to `at`; `None` while the tail is ahead of it.
    fn sit(&self, lane: &LaneId, at: Position, since: u64) -> Option<mpsc::Receiver<Arc<Parsed>>> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if at < seats.at {
            return None;
        }
        let (blocks, receiver) = mpsc::channel(SEAT);
        seats.taken.insert(lane.clone(), Seat { since, blocks });
        Some(receiver)
    }

    /// Hands a block out that was read in this turn; false when that is over.
    fn offer(&self, parsed: &Arc<Parsed>, turn: u64) -> bool {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if self.turn.load(Ordering::SeqCst) != turn {
            return false;
        }
        seats.at = parsed.next;
        let takes =
            |seat: &Seat| parsed.plans.version >= seat.since && seat.blocks.try_send(Arc::clone(parsed)).is_ok();
        seats.taken.retain(|_, seat| takes(seat));
        true
    }

    /// Reads the journal's end for as long as the daemon runs.
    pub(crate) async fn run(self: Arc<Self>, journal: Arc<dyn Journal>, telemetry: Arc<Telemetry>) {
        let mut at = self.seats.lock().unwrap_or_else(PoisonError::into_inner).at;
        let mut reader = journal.reader(at);
        let name = LaneId::from_text("tail");
        loop {
            let turn = self.turn.load(Ordering::SeqCst);
            match reader.next().await {
                Ok(read) => {
                    let parsed = Arc::new(Parsed::of_read(read, self.plans()));
                    if self.offer(&parsed, turn) {
                        at = parsed.next;
                    } else {
                        reader = journal.reader(at);
                    }
                }
                Err(error) => {
                    telemetry.emit(LaneReadFailed { lane: &name, error });
                    tokio::time::sleep(AFTER_ERROR).await;
                    reader = journal.reader(at);
                }
            }
        }
    }
}

// === impl Source ===

impl Source {
    /// A lane's source, reading from `at` on.
    pub(crate) fn new(
        lane: LaneId,
        at: Position,
        tail: Arc<Tail>,
        journal: Arc<dyn Journal>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let way = Way::Alone(journal.reader(at));
        let since = tail.plans().version;
        Self { lane, tail, journal, telemetry, since, at, way }
    }

    /// The journal that it reads.
    pub(crate) fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// The plans in force.
    pub(crate) fn plans(&self) -> Arc<Plans> {
        self.tail.plans()
    }

    /// The next block; waits for one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Arc<Parsed> {
        loop {
            if let Way::Alone(_) = &self.way
                && let Some(seat) = self.tail.sit(&self.lane, self.at, self.since)
            {
                self.way = Way::Seated(seat);
            }
            match &mut self.way {
                Way::Seated(seat) => match seat.recv().await {
                    // The lane was ahead of the tail when it sat down.
                    Some(parsed) if parsed.next <= self.at => {}
                    Some(parsed) => {
                        self.at = parsed.next;
                        return parsed;
                    }
                    None => self.way = Way::Alone(self.journal.reader(self.at)),
                },
                Way::Alone(reader) => match reader.next().await {
                    Ok(read) => {
                        let parsed = Arc::new(Parsed::of_read(read, self.tail.plans()));
                        self.at = parsed.next;
                        return parsed;
                    }
                    Err(error) => {
                        self.telemetry.emit(LaneReadFailed { lane: &self.lane, error });
                        tokio::time::sleep(AFTER_ERROR).await;
                        self.way = Way::Alone(self.journal.reader(self.at));
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(plans: &Arc<Plans>, next: u64) -> Arc<Parsed> {
        Arc::new(Parsed { plans: Arc::clone(plans), next: Position::at(next), events: Vec::new(), gap: None })
    }

    #[test]
    fn a_lane_that_was_started_for_new_plans_takes_no_block_that_was_read_by_older_ones() {
        let (old, new) = (Plans::of(&[], 1), Plans::of(&[], 2));
        let tail = Tail::new(Position::at(0), Arc::clone(&old));
        let (changed, same) = (LaneId::new("shop", "changed"), LaneId::new("shop", "same"));
        let mut undisturbed = tail.sit(&same, Position::at(0), 1).unwrap();
        tail.replace(Arc::clone(&new));
        let mut seat = tail.sit(&changed, Position::at(0), 2).unwrap();
        // It was on its way when the plans were replaced.
        assert!(tail.offer(&block(&old, 10), 0));
        assert_eq!(seat.try_recv().unwrap_err(), mpsc::error::TryRecvError::Disconnected);
        assert_eq!(undisturbed.try_recv().unwrap().next, Position::at(10));
        assert!(tail.sit(&changed, Position::at(0), 2).is_none(), "it reads that block alone");
        let mut seat = tail.sit(&changed, Position::at(10), 2).unwrap();
        assert!(tail.offer(&block(&new, 20), 0));
        assert_eq!(seat.try_recv().unwrap().plans.version, 2);
        assert_eq!(undisturbed.try_recv().unwrap().plans.version, 2);
    }

    #[test]
    fn j8_a_block_that_was_read_before_an_erasure_reaches_nobody() {
        let plans = Plans::of(&[], 1);
        let tail = Tail::new(Position::at(0), Arc::clone(&plans));
        let lane = LaneId::new("shop", "lane");
        let mut seat = tail.sit(&lane, Position::at(0), 1).unwrap();
        tail.read_again();
        assert!(!tail.offer(&block(&plans, 10), 0), "it was on its way");
        assert!(seat.try_recv().is_err());
        assert!(tail.offer(&block(&plans, 10), 1), "it was read again");
        assert_eq!(seat.try_recv().unwrap().next, Position::at(10));
    }
}
