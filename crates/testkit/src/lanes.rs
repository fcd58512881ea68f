//! Lanes by simulation: the real lane machine against random vendors, crashes and changes of plan, by seed.
//!
//! # What is real and what is a model
//!
//! Real is [`anole_delivery::Machine`]: every decision of what is sent, when, and what becomes of it. Modelled are the lane's
//! driver, its recorder, the stores and the vendor, as far as the machine can tell them from the real ones. Nothing waits:
//! the clock is moved from one happening to the next, so that thousands of hours pass in a minute, and nothing but the seed
//! decides. The machine is woken only when it has asked for it; the real driver wakes it each second, which would hide a time
//! that it forgot to ask for.
//!
//! What a script may hold is said in `script.rs`, a vendor's weather in `vendor.rs`.
//!
//! # What must hold
//!
//! | | |
//! |---|---|
//! | conservation | each send ends once in a life, for a cause that there was; progress passes it only when history has its end; what is parked is behind progress; after every stop it is in one place; in the end all are behind progress |
//! | order | sends of one order key are never in two requests at once, and the vendor takes them in their order. Only a send that had expired or was parked in a life that was killed before this was committed may come late |
//! | deferral | a send is set aside only after it failed alone, is in the state until it has another end, comes again alone, and what goes out past it is marked |
//! | nonces | a send goes out under one nonce and as the plan made it, whichever attempt, part, life or version it is |
//! | requests | what failed comes again whole, refused batches in parts, delivered sends never; new batches are full or have waited. So repetitions are no more than failures, two for each refusal and one for each probe; finding refused sends costs at most `2*ceil(log2 n)+1` requests for each of them (`halves.rs`) |
//! | refusals | of a vendor that refuses everything no more than eight single sends in a row are parked, and those under way |
//! | pauses | while a lane is paused one probe a minute of ten sends at most; none while a person has paused it, and it does not go on by itself then |
//! | silence | no request to an endpoint within a `Retry-After`, bounded to ten minutes |
//! | breakers | five failures in a row open one, nothing but an answer to a probe closes it; while it is open there is one probe at a time, each after the wait that is its turn (`health.rs`) |
//! | waits | a batch comes again within the ladder's five minutes, and a lane with anything open sends within a silence and a ladder |
//! | memory | events and bytes in the window, requests under way, batches that wait |
//! | the end | four hours after the vendor is well everything is done |

mod bounds;
mod halves;
mod health;
mod ledger;
mod plan;
mod recorder;
mod script;
mod vendor;
mod watch;
mod world;

use std::fmt;
use std::ops::Range;

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Seeds that were played.
    pub seeds: u64,
    /// The time that passed in them, in microseconds.
    pub micros: u64,
    /// Steps of the machine.
    pub steps: u64,
    /// Machines that were begun.
    pub lives: u64,
    /// Lives that were killed.
    pub crashes: u64,
    /// Plans that were replaced.
    pub replaced: u64,
    /// Times a lane paused.
    pub pauses: u64,
    /// Events.
    pub events: u64,
    /// Requests.
    pub requests: u64,
    /// Requests that were not taken, or of which nobody heard.
    pub failed: u64,
    /// Sends that arrived.
    pub arrivals: u64,
    /// Sends that had arrived before, under the same nonce.
    pub duplicates: u64,
    /// Sends that were parked.
    pub parked: u64,
    /// Sends that expired.
    pub expired: u64,
    /// Times that a send was deferred.
    pub deferrals: u64,
    /// What was wrong, with its seed and the last that happened: `run(seed..seed + 1)` plays it again.
    pub wrong: Vec<(u64, String)>,
}

/// Plays these seeds.
#[must_use]
pub fn run(seeds: Range<u64>) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let mut world = world::World::new(seed, false);
        if let Err(what) = world.play() {
            report.wrong.push((seed, what));
        }
        report.add(&world.report);
        report.seeds += 1;
    }
    report
}

/// What happened last in a seed, and what was wrong with it.
#[must_use]
pub fn story(seed: u64) -> String {
    let mut world = world::World::new(seed, true);
    let end = world.play();
    let mut story = String::new();
    for line in world.story() {
        story.push_str(line);
        story.push('\n');
    }
    story + &end.err().unwrap_or_default()
}

// === impl Report ===

impl Report {
    /// Whether nothing was wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Adds another run's findings.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.micros += other.micros;
        self.steps += other.steps;
        self.lives += other.lives;
        self.crashes += other.crashes;
        self.replaced += other.replaced;
        self.pauses += other.pauses;
        self.events += other.events;
        self.requests += other.requests;
        self.failed += other.failed;
        self.arrivals += other.arrivals;
        self.duplicates += other.duplicates;
        self.parked += other.parked;
        self.expired += other.expired;
        self.deferrals += other.deferrals;
        self.wrong.extend(other.wrong.iter().cloned());
    }

    fn add_ledger(&mut self, ledger: &ledger::Ledger, events: usize) {
        self.events += events as u64;
        self.arrivals += ledger.taken;
        self.duplicates += ledger.repeated;
        self.parked += ledger.parked;
        self.expired += ledger.expired;
        self.deferrals += ledger.deferrals;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "lanes: {} seeds, {} hours, {} lives ({} killed, {} plans replaced), {} pauses, {} events, {} requests ({} \
             failed), {} arrivals ({} again under the same nonce), {} parked, {} expired, {} deferrals, {} wrong",
            self.seeds,
            self.micros / 3_600_000_000,
            self.lives,
            self.crashes,
            self.replaced,
            self.pauses,
            self.events,
            self.requests,
            self.failed,
            self.arrivals,
            self.duplicates,
            self.parked,
            self.expired,
            self.deferrals,
            self.wrong.len()
        )?;
        for (seed, what) in self.wrong.iter().take(5) {
            write!(f, "\n  seed {seed}: {what}\n    again: cargo xtask torture --only lanes --seed {seed} --seeds 1")?;
        }
        Ok(())
    }
}
