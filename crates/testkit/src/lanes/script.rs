//! What happens in a run, written down before it begins: a pure function of the seed.

use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{LaneOptions, WindowLimits};
use anole_event::{Random, Seeded};

use super::plan::Version;
use super::vendor::{Spell, Weather};

/// The number of a send in a run, rising with the position and the ordinal.
pub(crate) type SendId = usize;

/// What becomes of a send before any vendor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is sent.
    Sent,
    /// It is sent, and the vendor refuses every request that holds it.
    Poison,
    /// A filter ends it.
    Filtered,
    /// The mapping cannot make it.
    Unmappable,
    /// It is too large for any request.
    TooLarge,
}

/// A send of an event.
#[derive(Clone, Debug)]
pub(crate) struct SendSpec {
    pub(crate) event: usize,
    pub(crate) ordinal: u16,
    pub(crate) key: u64,
    pub(crate) fate: Fate,
    pub(crate) address: usize,
    pub(crate) expires: Option<Duration>,
    /// Bytes that are there to fill the request.
    pub(crate) padding: usize,
    /// Until then the vendor fails on every request that holds it, in microseconds.
    pub(crate) sick_until: u64,
}

/// An event of the journal. One without sends is another lane's.
#[derive(Clone, Debug)]
pub(crate) struct EventSpec {
    /// When it comes in, in microseconds since the start.
    pub(crate) at: u64,
    pub(crate) key: u64,
    pub(crate) sends: std::ops::Range<SendId>,
}

/// What happens to the lane from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disturbance {
    /// The process is killed, and starts again after this long.
    Crash(Duration),
    /// The lane gets another plan.
    Replace,
    /// A person stops the lane.
    Pause,
    /// A person lets it go on.
    Resume,
    /// The wall clock is moved by so many seconds.
    MoveClock(i64),
    /// The same, as soon as a probe is under way.
    AtProbe(Act),
}

/// What happens while a probe is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Crash,
    Replace,
    Pause,
    Resume,
}

/// All of a run but the vendor's dice.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) options: LaneOptions,
    pub(crate) versions: Vec<Arc<Version>>,
    pub(crate) events: Vec<EventSpec>,
    pub(crate) sends: Vec<SendSpec>,
    pub(crate) spells: Vec<Spell>,
    /// By time, in microseconds.
    pub(crate) disturbances: Vec<(u64, Disturbance)>,
    /// When the vendor is well for good and nobody disturbs any more, in microseconds.
    pub(crate) heals_at: u64,
    /// The longest that the stores take for a write.
    pub(crate) write: Duration,
    /// The longest that a healthy vendor takes for an answer.
    pub(crate) latency: Duration,
    pub(crate) has_expiry: bool,
    /// How many endpoints the two addresses belong to.
    pub(crate) endpoints: usize,
}

const SECOND: u64 = 1_000_000;

/// A duration in microseconds between two bounds, each order of magnitude as likely as another.
fn log_uniform(random: &mut Seeded, least: u64, most: u64) -> u64 {
    let (low, high) = ((least as f64).ln(), (most as f64).ln());
    let part = random.below(1 << 20) as f64 / f64::from(1 << 20);
    (low + (high - low) * part).exp() as u64
}

/// One in `n`.
fn one_in(random: &mut Seeded, n: u64) -> bool {
    random.below(n) == 0
}

// === impl Script ===

impl Script {
    pub(crate) fn of(random: &mut Seeded) -> Self {
        let heals_at = log_uniform(random, 120 * SECOND, 30 * 3_600 * SECOND);
        let window = 1 + log_uniform(random, 1, 400) as usize;
        let bytes = if one_in(random, 4) { 1_000 + random.below(10_000) as usize } else { 1 << 20 };
        let options = LaneOptions {
            window: WindowLimits { events: window, bytes },
            inflight: 1 + random.below(8) as usize,
            ..LaneOptions::default()
        };
        let endpoints = 1 + random.below(2) as usize;
        let first_limit = log_uniform(random, 1, 120) as usize;
        let versions = (0..4)
            .map(|number| {
                let events = if one_in(random, 3) { log_uniform(random, 1, 120) as usize } else { first_limit };
                let bytes = if one_in(random, 3) { 200 + random.below(2_000) as usize } else { 4_000 };
                Arc::new(Version::new(number, events, bytes, Duration::from_millis(random.below(3_000)), endpoints))
            })
            .collect();
        let (has_expiry, moves_clock) = (one_in(random, 3), one_in(random, 12));
        let (events, sends) = traffic(random, heals_at, has_expiry);
        Self {
            options,
            versions,
            events,
            sends,
            spells: spells(random, heals_at),
            disturbances: disturbances(random, heals_at, moves_clock),
            heals_at,
            write: Duration::from_micros(if one_in(random, 3) { 0 } else { log_uniform(random, 1_000, 5 * SECOND) }),
            latency: Duration::from_micros(log_uniform(random, 1_000, SECOND)),
            has_expiry,
            endpoints,
        }
    }
}

/// Events in bursts and alone, of visitors of whom some are far busier than others.
fn traffic(random: &mut Seeded, heals_at: u64, has_expiry: bool) -> (Vec<EventSpec>, Vec<SendSpec>) {
    let wanted = log_uniform(random, 10, 500) as usize;
    let keys = log_uniform(random, 1, 300);
    let most_sends = 1 + random.below(3);
    let poison = [0, 0, 0, 200, 40, 8][random.below(6) as usize];
    let sick = [0, 0, 300, 60, 15, 6][random.below(6) as usize];
    let mut times = Vec::with_capacity(wanted);
    while times.len() < wanted {
        let at = random.below(heals_at);
        let burst = if one_in(random, 3) { log_uniform(random, 2, 100) } else { 1 };
        let gap = log_uniform(random, 100, 5 * SECOND);
        times.extend((0..burst).map(|number| (at + number * gap).min(heals_at)));
    }
    times.sort_unstable();
    let (mut events, mut sends) = (Vec::with_capacity(times.len()), Vec::new());
    for at in times {
        // The lower of three: a few keys have most of the events.
        let key = (0..3).map(|_| random.below(keys)).min().unwrap_or_default();
        let first = sends.len();
        let count = if one_in(random, 10) { 0 } else { 1 + random.below(most_sends) };
        for ordinal in 0..count {
            let fate = match random.below(60) {
                _ if poison > 0 && one_in(random, poison) => Fate::Poison,
                0..3 => Fate::Filtered,
                3 => Fate::Unmappable,
                4 => Fate::TooLarge,
                _ => Fate::Sent,
            };
            sends.push(SendSpec {
                event: events.len(),
                ordinal: ordinal as u16,
                key,
                fate,
                address: usize::from(one_in(random, 3)),
                expires: (has_expiry && one_in(random, 2))
                    .then(|| Duration::from_micros(log_uniform(random, 10 * SECOND, 6 * 3_600 * SECOND))),
                padding: random.below(60) as usize,
                sick_until: if sick > 0 && one_in(random, sick) { random.below(heals_at + 1) } else { 0 },
            });
        }
        events.push(EventSpec { at, key, sends: first..sends.len() });
    }
    (events, sends)
}

fn spells(random: &mut Seeded, heals_at: u64) -> Vec<Spell> {
    let calm = random.below(4);
    let (mut spells, mut until) = (Vec::new(), 0);
    while until < heals_at {
        let longest = (heals_at / 2).max(60 * SECOND);
        until += log_uniform(random, 5 * SECOND, longest.min(6 * 3_600 * SECOND));
        let weather = if random.below(4) < calm { Weather::Healthy } else { Weather::any(random) };
        let only = if one_in(random, 4) { Some(random.below(2) as usize) } else { None };
        spells.push(Spell { until: until.min(heals_at), weather, only });
    }
    spells
}

fn disturbances(random: &mut Seeded, heals_at: u64, moves_clock: bool) -> Vec<(u64, Disturbance)> {
    let mut all = Vec::new();
    let mut some = |random: &mut Seeded, most: u64, what: &dyn Fn(&mut Seeded) -> Disturbance| {
        for _ in 0..random.below(most + 1) {
            let disturbance = what(random);
            all.push((random.below(heals_at), disturbance));
        }
    };
    let crashes = [0, 2, 12][random.below(3) as usize];
    some(random, crashes, &|random| {
        Disturbance::Crash(Duration::from_micros(log_uniform(random, 1_000, 600 * SECOND)))
    });
    let replacements = [0, 2, 8][random.below(3) as usize];
    some(random, replacements, &|_| Disturbance::Replace);
    if one_in(random, 3) {
        some(random, 4, &|_| Disturbance::Pause);
        some(random, 4, &|_| Disturbance::Resume);
    }
    if one_in(random, 3) {
        some(random, 4, &|random| {
            Disturbance::AtProbe([Act::Crash, Act::Replace, Act::Pause, Act::Resume][random.below(4) as usize])
        });
    }
    if moves_clock {
        some(random, 2, &|random| {
            let by = log_uniform(random, 1, 40_000_000) as i64;
            Disturbance::MoveClock(if one_in(random, 2) { by } else { -by })
        });
    }
    all.sort_by_key(|(at, _)| *at);
    // The last word of a person is that it shall go on: else nothing could be said of the end.
    all.push((heals_at, Disturbance::Resume));
    all
}
