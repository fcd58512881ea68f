//! The order of writing, by model: journal, history and state as three stores that lose what they may lose, the real lane
//! machine between them, and cuts at any point.
//!
//! # What is real and what is a model
//!
//! Real is the part that decides: [`anole_delivery::Machine`], which says what is to be recorded, and when the state may
//! take it. Modelled are the stores, each with what is certain and what a cut may take, and the few lines of the lane's
//! driver and recorder that carry the machine's commands to them: a queue, one write under way, another try after a
//! failure. They are played step by step, so a cut falls between any two steps of two lanes, a thousand times in a
//! second; the stores' own promises (that a commit is whole, that an acknowledged one stays) are tested on the real ones.
//!
//! # What a cut takes
//!
//! | store | a kill of the process | a power cut |
//! |---|---|---|
//! | journal | nothing | what was not acknowledged, from some record on |
//! | history | the append under way, or not | that, and appends since the last sync, from some append on |
//! | state | the commit under way, or not | the same; now and then the whole store, and its backup is taken |
//!
//! # What must hold after each cut
//!
//! - An acknowledged event is in exactly one place (S-2): behind progress, where each of its sends has ended, or still to
//!   do, where it can be read in the journal and nothing of it is parked or deferred.
//! - Behind progress, history tells each send's end, unless a power cut took that line; and a send whose last end is
//!   `parked` is parked in the state. State restored from a backup is held to the same, as of its backup.
//! - The same send goes out under the same nonce, however often.
//! - In the end every send of every acknowledged event has arrived or is parked, and none is both.
//!
//! [`Variant`] has orders that are wrong on purpose. They must be found: it shows that the method sees what it is for.

mod check;
mod lane;
mod plan;
mod stores;
mod world;

use std::fmt;
use std::ops::Range;

/// What order the writing has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// As it is built: history, then one transaction of state; the journal lets go by the backup.
    #[default]
    AsBuilt,
    /// Wrong: state is told before history is written.
    StateFirst,
    /// Wrong: progress in one transaction, what is parked in the next.
    TwoTransactions,
    /// Wrong: the journal lets go of what the state has behind it, rather than its last backup.
    TrimByProgress,
}

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Seeds that were played.
    pub seeds: u64,
    /// Cuts, of both kinds.
    pub cuts: u64,
    /// How many of them were power cuts.
    pub power_cuts: u64,
    /// How often the state was lost and its backup taken.
    pub restored: u64,
    /// Events that were acknowledged.
    pub events: u64,
    /// Arrivals at the vendor.
    pub arrivals: u64,
    /// Arrivals of a send that had arrived before, under the same nonce.
    pub duplicates: u64,
    /// Sends that were parked in the end.
    pub parked: u64,
    /// What was wrong, with its seed: `run(seed..seed + 1)` plays it again.
    pub wrong: Vec<(u64, String)>,
}

/// Plays these seeds as it is built.
#[must_use]
pub fn run(seeds: Range<u64>) -> Report {
    run_variant(seeds, Variant::AsBuilt)
}

/// Plays these seeds in another order.
#[must_use]
pub fn run_variant(seeds: Range<u64>, variant: Variant) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let mut world = world::World::new(seed, variant);
        if let Err(what) = world.play() {
            report.wrong.push((seed, what));
        }
        report.add(&world.report);
        report.seeds += 1;
    }
    report
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
        self.cuts += other.cuts;
        self.power_cuts += other.power_cuts;
        self.restored += other.restored;
        self.events += other.events;
        self.arrivals += other.arrivals;
        self.duplicates += other.duplicates;
        self.parked += other.parked;
        self.wrong.extend(other.wrong.iter().cloned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "order of writing: {} seeds, {} cuts ({} of the power, {} with the state lost), {} events, {} arrivals \
             ({} again under the same nonce), {} parked, {} wrong",
            self.seeds,
            self.cuts,
            self.power_cuts,
            self.restored,
            self.events,
            self.arrivals,
            self.duplicates,
            self.parked,
            self.wrong.len()
        )?;
        for (seed, what) in self.wrong.iter().take(5) {
            write!(f, "\n  seed {seed}: {what}")?;
        }
        Ok(())
    }
}
