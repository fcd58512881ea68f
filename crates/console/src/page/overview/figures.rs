//! What the Overview counts: statistics of the delivery log and the pulse, over one period.

use std::collections::BTreeMap;
use std::time::Duration;

use anole_delivery_log::{LogError, StatisticsQuery, Sums};
use anole_event::{LaneId, State as Ended, Timestamp};
use maud::{Markup, html};

use crate::api::Admin;
use crate::page::plot::{self, Bar, Line};
use crate::page::{filters, parts};
use crate::params::Params;
use crate::pulse::{Came, Minute};

/// Periods that can be looked at, with the step of their plots in minutes.
const PERIODS: [(&str, &str, u64, u64); 4] = [
    ("1h", "1 hour", 3_600, 1),
    ("24h", "24 hours", 86_400, 15),
    ("7d", "7 days", 604_800, 60),
    ("30d", "30 days", 2_592_000, 360),
];

/// The order in which states are drawn from the ground up, with their tones.
pub(super) const STATES: [(&str, &[Ended]); 4] = [
    ("good", &[Ended::Delivered]),
    ("dull", &[Ended::Filtered, Ended::NoConsent, Ended::Bot, Ended::Discarded, Ended::Erased]),
    ("warn", &[Ended::Parked]),
    ("bad", &[Ended::Expired, Ended::Lost]),
];

/// Everything that is counted in a period.
pub(super) struct Figures {
    pub(super) period: &'static str,
    pub(super) from: Timestamp,
    /// The end of the last step.
    until: Timestamp,
    step: Duration,
    times: Vec<Timestamp>,
    /// All lanes, by step.
    by_step: BTreeMap<Timestamp, Sums>,
    pub(super) by_lane: BTreeMap<LaneId, Sums>,
    minutes: Vec<Minute>,
    /// Since when the pulse is felt.
    pub(super) since: Timestamp,
}

// === impl Figures ===

impl Figures {
    pub(super) async fn of(admin: &Admin, params: &Params) -> Result<Self, LogError> {
        let chosen = PERIODS.iter().find(|(name, ..)| params.get("since") == Some(name)).unwrap_or(&PERIODS[0]);
        let (period, _, seconds, step) = *chosen;
        let now = admin.clock.wall();
        let (from, step) = (filters::before(now, Duration::from_secs(seconds)), Duration::from_secs(step * 60));
        let query = StatisticsQuery { lane: None, from, until: now.after(Duration::from_secs(60)), step };
        let statistics = admin.looks.log.statistics(query).await?;
        let step = if statistics.step.is_zero() { step } else { statistics.step };
        let times = plot::steps(from, now, step);
        let (mut by_step, mut by_lane) = (BTreeMap::<Timestamp, Sums>::new(), BTreeMap::<LaneId, Sums>::new());
        for row in &statistics.rows {
            by_step.entry(row.at).or_default().add(&row.sums);
            by_lane.entry(row.lane.clone()).or_default().add(&row.sums);
        }
        let begin = times.first().copied().unwrap_or(from);
        // After what ended was counted: no more ends than came in.
        admin.pulse.note(admin.clock.wall(), admin.telemetry.arrived());
        let minutes = admin.pulse.minutes(begin);
        let until = times.last().map_or(now, |last| last.after(step));
        Ok(Self { period, from: begin, until, step, times, by_step, by_lane, minutes, since: admin.pulse.since() })
    }

    /// What came in, by pipeline.
    pub(super) fn came(&self) -> BTreeMap<String, Came> {
        let mut all: BTreeMap<String, Came> = BTreeMap::new();
        for (pipeline, came) in self.minutes.iter().flat_map(|minute| &minute.arrived) {
            all.entry(pipeline.clone()).or_default().add(*came);
        }
        all
    }

    /// The choice of a period.
    pub(super) fn tabs(&self) -> Markup {
        html! {
            nav.tabs aria-label="Period" {
                @for (name, label, ..) in PERIODS {
                    a href={ "/?since=" (name) } aria-current=[(name == self.period).then_some("true")] { (label) }
                }
            }
        }
    }

    pub(super) fn plots(&self) -> Markup {
        html! {
            div.plots {
                section.card { h2 { "Came in" } (self.arrivals()) }
                section.card { h2 { "Ended" } (self.ends()) }
                section.card { h2 { "Latency" } (self.latency()) }
                section.card { h2 { "Lag" } (self.lag()) }
            }
        }
    }

    /// The sums of what came in, by step.
    fn arrivals(&self) -> Markup {
        let mut by_step: BTreeMap<Timestamp, Came> = BTreeMap::new();
        for minute in &self.minutes {
            let came = by_step.entry(self.step_of(minute.at)).or_default();
            minute.arrived.values().for_each(|more| came.add(*more));
        }
        let bar = |at: &Timestamp| {
            let came = by_step.get(at).copied().unwrap_or_default();
            let title =
                format!("{at}: {} accepted, {} duplicates, {} refused", came.accepted, came.duplicates, came.refused);
            let parts = vec![("good", came.accepted), ("dull", came.duplicates), ("bad", came.refused)];
            Bar { at: *at, parts, title, href: None }
        };
        let bars: Vec<_> = self.times.iter().map(bar).collect();
        html! {
            (plot::bars("Events that came in over time", &bars, self.step, None))
            ul.legend { li { i.good {} "accepted" } li { i.dull {} "duplicates" } li { i.bad {} "refused" } }
        }
    }

    fn ends(&self) -> Markup {
        let bar = |at: &Timestamp| {
            let sums = self.by_step.get(at);
            let parts = sums.map(tones).unwrap_or_default();
            let said: Vec<_> =
                sums.map(named).unwrap_or_default().iter().map(|(state, count)| format!("{count} {state}")).collect();
            let title = format!("{at}: {}", if said.is_empty() { "nothing".to_owned() } else { said.join(", ") });
            Bar { at: *at, parts, title, href: Some(self.marked(*at)) }
        };
        let bars: Vec<_> = self.times.iter().map(bar).collect();
        html! {
            (plot::bars("Sends that ended over time, by state", &bars, self.step, Some("/events")))
            ul.legend { li { i.good {} "delivered" } li { i.dull {} "kept back" } li { i.warn {} "parked" } li { i.bad {} "expired or lost" } }
        }
    }

    fn marked(&self, at: Timestamp) -> String {
        let (from, until) = (at.to_string(), at.after(self.step).to_string());
        Params::default().with("from", Some(&from)).with("until", Some(&until)).at("/events")
    }

    fn latency(&self) -> Markup {
        let line = |name: &str, class, value: &dyn Fn(&Sums) -> Option<Duration>| {
            let values =
                self.times.iter().map(|at| self.by_step.get(at).and_then(value).map(|time| time.as_secs_f64()));
            Line { name: name.to_owned(), class, values: values.collect() }
        };
        let lines = [
            line("half within", "one", &|sums| sums.delay.quantile(0.5)),
            line("99 % within", "two", &|sums| sums.delay.quantile(0.99)),
            line("vendor answers, half within", "three", &|sums| sums.took.quantile(0.5)),
        ];
        plot::lines("From arrival to the vendor's answer over time", &self.times, &lines, seconds)
    }

    fn lag(&self) -> Markup {
        let mut lanes: Vec<&LaneId> = self.minutes.iter().flat_map(|minute| minute.lag.keys()).collect();
        lanes.sort();
        lanes.dedup();
        let classes = ["one", "two", "three", "four"];
        let lines: Vec<_> = lanes
            .into_iter()
            .zip(classes.into_iter().cycle())
            .map(|(lane, class)| {
                let mut by_step: BTreeMap<Timestamp, f64> = BTreeMap::new();
                for minute in &self.minutes {
                    if let Some(lag) = minute.lag.get(lane) {
                        let most = by_step.entry(self.step_of(minute.at)).or_default();
                        *most = most.max(lag.as_secs_f64());
                    }
                }
                let values = self.times.iter().map(|at| by_step.get(at).copied()).collect();
                Line { name: lane.to_string(), class, values }
            })
            .collect();
        html! {
            (plot::lines("Age of the oldest unfinished event over time, by lane", &self.times, &lines, seconds))
            @if self.since > self.from { p.soft { "Since the start of this run, " (parts::time(self.since)) "." } }
        }
    }

    /// The step in which a time lies.
    fn step_of(&self, at: Timestamp) -> Timestamp {
        let step = i64::try_from(self.step.as_micros()).unwrap_or(i64::MAX).max(1);
        Timestamp::from_micros(at.micros().div_euclid(step) * step)
    }

    /// The address of what is counted here.
    pub(super) fn events(&self, params: &Params) -> String {
        let (from, until) = (self.from.to_string(), self.until.to_string());
        params.with("from", Some(&from)).with("until", Some(&until)).at("/events")
    }
}

fn seconds(seconds: f64) -> String {
    if seconds == 0.0 { "0".to_owned() } else { parts::milliseconds(seconds * 1000.0) }
}

/// The tone in which a state is drawn.
pub(in crate::page) fn tone(state: Ended) -> &'static str {
    STATES.iter().find(|(_, states)| states.contains(&state)).map_or("wait", |(tone, _)| tone)
}

/// Counts by tone, from the ground up.
pub(super) fn tones(sums: &Sums) -> Vec<(&'static str, u64)> {
    STATES.iter().map(|(tone, states)| (*tone, states.iter().map(|state| sums.ended(*state)).sum())).collect()
}

/// Counts by state, those that there are.
pub(super) fn named(sums: &Sums) -> Vec<(&'static str, u64)> {
    let all = STATES.iter().flat_map(|(_, states)| states.iter());
    all.map(|state| (state.as_str(), sums.ended(*state))).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_can_end_a_send_is_drawn_once() {
        let drawn: Vec<Ended> = STATES.iter().flat_map(|(_, states)| states.iter().copied()).collect();
        for state in Ended::ALL {
            // Before the journal there is no send; a deferred one has not ended.
            let is_end = ![Ended::Rejected, Ended::Duplicate, Ended::Deferred].contains(state);
            assert_eq!(drawn.iter().filter(|drawn| *drawn == state).count(), usize::from(is_end), "{state}");
        }
    }
}
