//! The pulse: what came in and how far lanes were behind, minute by minute, while the daemon runs.
//!
//! The delivery log's statistics tell what became of events and outlive restarts; what came in, and how old the oldest
//! unfinished event of a lane was, is nowhere but in gauges of this moment. So it is looked at every few seconds and kept for a
//! week in memory. Rejected: counting in the journal, which reads gigabytes to say a number; and a table in the state, which is
//! for what must not be lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anole_delivery::Delivery;
use anole_event::{Clock, LaneId, Timestamp};
use anole_http::Shutdown;
use anole_telemetry::{Arrived, Telemetry};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(5);
/// How many minutes are kept: a week.
const KEPT: usize = 7 * 24 * 60;
const MINUTE: i64 = 60_000_000;

/// What was seen in a minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Minute {
    /// When it begins.
    pub(crate) at: Timestamp,
    /// What came in, by pipeline.
    pub(crate) arrived: BTreeMap<String, Came>,
    /// The greatest age of the oldest unfinished event, by lane.
    pub(crate) lag: BTreeMap<LaneId, Duration>,
}

/// How much came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
}

/// What came in and how far lanes were behind, of the last week of this run.
#[derive(Debug)]
pub struct Pulse {
    since: Timestamp,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    minutes: VecDeque<Minute>,
    /// The counters when they were last looked at.
    before: BTreeMap<String, Came>,
}

// === impl Pulse ===

impl Pulse {
    /// Begins to look, until the end.
    #[must_use]
    pub fn watch(
        telemetry: Arc<Telemetry>,
        delivery: Arc<Delivery>,
        clock: Arc<dyn Clock>,
        end: Shutdown,
    ) -> Arc<Self> {
        let pulse = Arc::new(Self { since: clock.wall(), seen: Mutex::default() });
        let looking = Arc::clone(&pulse);
        tokio::spawn(async move {
            loop {
                let lanes = delivery.lanes().await;
                let now = clock.wall();
                let lag = lanes
                    .iter()
                    .map(|lane| (lane.lane.clone(), lane.oldest.map(|at| now.since(at)).unwrap_or_default()));
                looking.look(now, telemetry.arrived(), lag);
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {}
                    () = end.wait() => return,
                }
            }
        });
        pulse
    }

    /// Since when it is looked.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// Counts what came in up to now, so that what is shown beside it is not ahead of it.
    pub(crate) fn note(&self, now: Timestamp, arrived: Vec<Arrived>) {
        self.look(now, arrived, std::iter::empty());
    }

    /// The minutes from a time on, oldest first.
    pub(crate) fn minutes(&self, from: Timestamp) -> Vec<Minute> {
        let begin = minute(from);
        self.locked().minutes.iter().filter(|minute| minute.at >= begin).cloned().collect()
    }

    /// The time of the daemon's counters may run back; a minute that is over is not gone back to.
    fn look(&self, now: Timestamp, arrived: Vec<Arrived>, lag: impl Iterator<Item = (LaneId, Duration)>) {
        let mut seen = self.locked();
        let Seen { minutes, before } = &mut *seen;
        let at = minute(now);
        if minutes.back().is_none_or(|last| last.at < at) {
            minutes.push_back(Minute { at, ..Minute::default() });
            if minutes.len() > KEPT {
                minutes.pop_front();
            }
        }
        let Some(last) = minutes.back_mut() else { return };
        for Arrived { pipeline, accepted, duplicates, refused } in arrived {
            let was = before.get(&pipeline).copied().unwrap_or_default();
            let came = last.arrived.entry(pipeline.clone()).or_default();
            came.accepted += accepted.saturating_sub(was.accepted);
            came.duplicates += duplicates.saturating_sub(was.duplicates);
            came.refused += refused.saturating_sub(was.refused);
            before.insert(pipeline, Came { accepted, duplicates, refused });
        }
        for (lane, lag) in lag {
            let most = last.lag.entry(lane).or_default();
            *most = lag.max(*most);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Came ===

impl Came {
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
    }
}

/// The beginning of a minute.
fn minute(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros().div_euclid(MINUTE) * MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_what_came_in_each_minute() {
        let start = Timestamp::from_millis(1_767_225_600_000);
        let pulse = Pulse { since: start, seen: Mutex::default() };
        let lane = LaneId::new("shop", "kameleoon");
        let at = |seconds: u64| start.after(Duration::from_secs(seconds));
        let arrived =
            |accepted, refused| vec![Arrived { pipeline: "shop".to_owned(), accepted, duplicates: 1, refused }];
        let lag = |seconds| std::iter::once((lane.clone(), Duration::from_secs(seconds)));
        pulse.look(at(1), arrived(10, 0), lag(3));
        pulse.look(at(6), arrived(15, 2), lag(1));
        pulse.look(at(61), arrived(16, 2), lag(0));
        let minutes = pulse.minutes(start);
        let came: Vec<_> = minutes.iter().map(|minute| minute.arrived["shop"]).collect();
        let expected =
            [(15, 1, 2), (1, 0, 0)].map(|(accepted, duplicates, refused)| Came { accepted, duplicates, refused });
        assert_eq!(came, expected);
        assert_eq!(minutes[0].lag[&lane], Duration::from_secs(3), "the worst of the minute");
        assert_eq!(pulse.minutes(at(65)).len(), 1);
    }

    #[test]
    fn a_week_is_kept() {
        let pulse = Pulse { since: Timestamp::default(), seen: Mutex::default() };
        for minute in 0..KEPT as i64 + 5 {
            pulse.look(Timestamp::from_micros(minute * MINUTE), Vec::new(), std::iter::empty());
        }
        assert_eq!(pulse.minutes(Timestamp::default()).len(), KEPT);
    }
}
