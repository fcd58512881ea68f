//! When an endpoint that fails is left alone.
//!
//! Each endpoint of a lane has a breaker of its own. Lanes do not share them: what one lane suffers is no proof for another,
//! which may send other requests with other credentials.
//!
//! # What counts
//!
//! - *alive*: any answer that says something of the request: taken, refused, a wrong token, a wrong address. An endpoint that
//!   refuses is well enough to read.
//! - *failed*: no answer (no connection, broken off, too late), and a status that the blueprint says to retry, such as 500.
//! - *neutral*: 429. An endpoint that asks for less is neither down nor proven well; that is the business of the pace. Also the failure
//!   of a deferred send ([`crate::deferring`]), which was set aside because it fails, and a request that we did not even make.
//!
//! # When it opens
//!
//! On five failures in a row, or when half of the last twenty answers are failures. Below twenty there is no ratio: one failure
//! of two is no pattern. What comes in while it is open was asked before and changes nothing.
//!
//! # How it closes
//!
//! After a wait, one batch is sent as a probe, the one that has failed least: a batch that alone makes the endpoint fail must
//! not keep the others from proving that it is well. Alive closes the breaker, and the counts start anew; failed opens it again
//! for longer; neutral opens it again for as long as before. The waits double from one second to sixty; each is drawn between half of its step
//! and the whole, so that many lanes do not come back together, and a recovered endpoint waits for nobody longer than a minute.
//!
//! While it is open no batch is sent and none grows older on its ladder: the endpoint failed and not the batch. A
//! `Retry-After` is obeyed beside it, and is never shortened by it.
//!
//! A lane that is started again begins with closed breakers: who restarts a daemon wants to see whether it works now.
//!
//! Rejected: a failure ratio alone (a quiet lane would need minutes to see that nobody answers), and a count alone (an endpoint
//! behind a balancer with one dead machine of two never fails five times in a row).

use std::time::Duration;

use anole_event::{Mono, Random};

/// Failures in a row after which it opens.
const IN_A_ROW: u32 = 5;
/// The answers over which the ratio is taken, at the least and at the most.
const SAMPLE: u32 = 20;
/// Failures among those after which it opens.
const OF_SAMPLE: u32 = SAMPLE / 2;
/// The first wait's step.
const FIRST: Duration = Duration::from_secs(1);
/// The last wait's step, repeated from then on.
const LAST: Duration = Duration::from_secs(60);

/// What an answer says of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answers.
    Alive,
    /// It does not, or not as it should.
    Failed,
    /// It does, and says nothing of how it is.
    Neutral,
}

/// Whether a request may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admits {
    /// As many as there are.
    All,
    /// One, as a probe.
    Probe,
    /// One, as a probe, from then on.
    ProbeAt(Mono),
    /// None, until the probe that is under way has ended.
    AfterProbe,
}

/// The breaker of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    stand: Stand,
    in_a_row: u32,
    /// The last answers, newest in the lowest bit; a failure is a one.
    recent: u32,
    seen: u32,
    /// How many times it opened since an endpoint was last alive.
    opened: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stand {
    #[default]
    Closed,
    Open {
        until: Mono,
    },
    /// A probe is under way.
    HalfOpen,
}

// === impl Breaker ===

impl Breaker {
    /// Whether a request may be made now.
    pub(crate) fn admits(&self, now: Mono) -> Admits {
        match self.stand {
            Stand::Closed => Admits::All,
            Stand::Open { until } if until <= now => Admits::Probe,
            Stand::Open { until } => Admits::ProbeAt(until),
            Stand::HalfOpen => Admits::AfterProbe,
        }
    }

    /// A request is made. Whether it is the probe.
    pub(crate) fn sends(&mut self) -> bool {
        let is_probe = self.stand != Stand::Closed;
        if is_probe {
            self.stand = Stand::HalfOpen;
        }
        is_probe
    }

    /// An answer came to a request; `probe` when it was the probe.
    pub(crate) fn hears(&mut self, now: Mono, health: Health, probe: bool, random: &mut dyn Random) {
        match (self.stand, health) {
            (Stand::Closed, Health::Neutral) => {}
            (Stand::Closed, health) => {
                let failed = health == Health::Failed;
                self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
                self.recent = (self.recent << 1 | u32::from(failed)) & ((1 << SAMPLE) - 1);
                self.seen = (self.seen + 1).min(SAMPLE);
                let too_many = self.seen == SAMPLE && self.recent.count_ones() >= OF_SAMPLE;
                if self.in_a_row >= IN_A_ROW || too_many {
                    self.open(now, random);
                }
            }
            (Stand::HalfOpen, Health::Alive) if probe => *self = Self::default(),
            (Stand::HalfOpen, Health::Failed) if probe => self.open(now, random),
            (Stand::HalfOpen, Health::Neutral) if probe => {
                self.opened -= 1;
                self.open(now, random);
            }
            // Of a request that was made before it opened.
            (Stand::Open { .. } | Stand::HalfOpen, _) => {}
        }
    }

    /// Whether the endpoint is left alone, but for probes.
    pub(crate) fn is_open(&self) -> bool {
        self.stand != Stand::Closed
    }

    /// Whether it knows nothing that a new one would not.
    pub(crate) const fn is_new(&self) -> bool {
        matches!(self.stand, Stand::Closed) && self.recent == 0
    }

    fn open(&mut self, now: Mono, random: &mut dyn Random) {
        let step = FIRST.saturating_mul(1 << self.opened.min(6)).min(LAST);
        let half = u64::try_from(step.as_micros() / 2).unwrap_or(u64::MAX);
        let wait = Duration::from_micros(half + random.below(half + 1));
        *self = Self { stand: Stand::Open { until: now.after(wait) }, opened: self.opened + 1, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anole_event::Seeded;

    struct World {
        breaker: Breaker,
        now: Mono,
        random: Seeded,
    }

    impl World {
        fn new() -> Self {
            Self { breaker: Breaker::default(), now: Mono::from_micros(1), random: Seeded::new(1) }
        }

        fn hears(&mut self, health: Health) {
            let probe = self.breaker.sends();
            self.breaker.hears(self.now, health, probe, &mut self.random);
        }

        /// Waits until a probe may be made; how long that was.
        fn wait(&mut self) -> Duration {
            let Admits::ProbeAt(at) = self.breaker.admits(self.now) else { panic!("{:?}", self.breaker) };
            let waited = at.since(self.now);
            self.now = at;
            assert_eq!(self.breaker.admits(self.now), Admits::Probe);
            waited
        }
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_one_answer_between_them_does_not() {
        let mut world = World::new();
        for _ in 0..4 {
            world.hears(Health::Failed);
        }
        world.hears(Health::Alive);
        for _ in 0..4 {
            world.hears(Health::Failed);
            assert_eq!(world.breaker.admits(world.now), Admits::All);
        }
        world.hears(Health::Failed);
        assert!(world.breaker.is_open());
    }

    #[test]
    fn half_of_twenty_opens_it_and_half_of_fewer_does_not() {
        let mut world = World::new();
        for n in 0..19 {
            world.hears(if n % 2 == 0 { Health::Failed } else { Health::Alive });
            assert!(!world.breaker.is_open(), "after {}", n + 1);
        }
        world.hears(Health::Alive);
        assert!(world.breaker.is_open());
    }

    #[test]
    fn a_vendor_that_fails_one_of_three_keeps_it_closed() {
        let mut world = World::new();
        for n in 0..10_000 {
            world.hears(if n % 3 == 0 { Health::Failed } else { Health::Alive });
        }
        assert!(!world.breaker.is_open());
    }

    #[test]
    fn a_429_neither_opens_nor_closes_it() {
        let mut world = World::new();
        for _ in 0..100 {
            world.hears(Health::Neutral);
        }
        assert!(world.breaker.is_new());
        for _ in 0..5 {
            world.hears(Health::Failed);
            world.breaker.hears(world.now, Health::Neutral, false, &mut world.random);
        }
        assert!(world.breaker.is_open());
        world.wait();
        world.hears(Health::Neutral);
        let waited = world.wait();
        assert!(
            waited >= Duration::from_millis(500) && waited <= Duration::from_secs(1),
            "as long as before: {waited:?}"
        );
    }

    #[test]
    fn its_waits_double_to_a_minute_and_one_probe_is_made_after_each() {
        let mut world = World::new();
        for _ in 0..5 {
            world.hears(Health::Failed);
        }
        for step in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let waited = world.wait();
            let most = Duration::from_secs(step);
            assert!(waited >= most / 2 && waited <= most, "{waited:?} of {most:?}");
            let probe = world.breaker.sends();
            assert_eq!((probe, world.breaker.admits(world.now)), (true, Admits::AfterProbe));
            world.breaker.hears(world.now, Health::Failed, true, &mut world.random);
        }
        world.wait();
        world.hears(Health::Alive);
        assert!(world.breaker.is_new(), "it starts anew");
    }

    #[test]
    fn what_was_asked_before_it_opened_changes_nothing() {
        let mut world = World::new();
        for _ in 0..5 {
            world.hears(Health::Failed);
        }
        world.breaker.hears(world.now, Health::Alive, false, &mut world.random);
        assert!(world.breaker.is_open());
        world.wait();
        assert!(world.breaker.sends());
        world.breaker.hears(world.now, Health::Alive, false, &mut world.random);
        assert_eq!(world.breaker.admits(world.now), Admits::AfterProbe, "only the probe decides");
    }
}
