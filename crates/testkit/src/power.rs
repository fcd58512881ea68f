//! Power cuts on the real journal: what was acknowledged must be there, whatever was on its way to the disk.
//!
//! # What is real and what is simulated
//!
//! The journal is the real one, opened by `Embedded::open_stepped` so that one thread does all its work; beneath it lies a
//! simulated disk ([`anole_journal::simulation::Disk`]), which loses, keeps or tears what was not synced. One seed is one
//! life of a journal: appends of one byte up to several groups, alone and many at once, small segments, retention,
//! erasure, clean ends, errors of the disk, and loss of power (or a kill of the process) at any call to the disk, also
//! during opening and recovery. The same seed plays the same life.
//!
//! # What must hold
//!
//! After each cut the journal is opened again and read from its start (`book`):
//!
//! - each acknowledged record is there, byte for byte (J-1, J-3), unless retention was allowed to take it; at level
//!   `write` after a loss of power, each that was acknowledged 100 ms before or earlier;
//! - what was once read after an opening is held to the same, acknowledged or not: lanes may have delivered it;
//! - nothing else is there but records that were appended and got no answer, or a bad one;
//! - records come in the order of their appends, no position stands for two of them, and one never moves (J-2);
//! - a gap is there only where unsynced records were lost, and counts them exactly; at level `fsync` there is none;
//! - what was erased stays erased (J-8); what was removed was behind `trim` and older than `keep` (J-5);
//! - appends work again at once, and a full disk or a failed call is over when its cause is.
//!
//! [`Options::syncs`] takes the syncs out. That must be found: it shows that the method sees what it is for.

mod book;
mod life;
mod play;

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anole_journal::AckLevel;
use anole_journal::simulation::Syncs;

/// How lives are played.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// At which level appends are acknowledged. Default: by seed, three lives of four at `fsync`, the others at `write`.
    pub ack: Option<AckLevel>,
    /// What syncs do. Default: what they should.
    pub syncs: Syncs,
    /// Whether the disk fails and fills up, too. Default: in every second life.
    pub faults: Option<bool>,
    /// How many cuts a life has. Default: 8.
    pub cuts: u64,
}

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lives that were played.
    pub lives: u64,
    /// Losses of power.
    pub cuts: u64,
    /// How many of them came while the journal was being opened.
    pub cuts_in_opening: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Clean ends.
    pub ends: u64,
    /// Errors that the disk gave.
    pub errors: u64,
    /// Records that were appended.
    pub appended: u64,
    /// How many of them were acknowledged.
    pub acknowledged: u64,
    /// Tails that were torn, and cut.
    pub torn_tails: u64,
    /// Records that were acknowledged at level `write` within the last 100 ms before a loss of power, and went with it.
    pub unsynced: u64,
    /// Records that were erased.
    pub erased: u64,
    /// Records that retention removed.
    pub removed: u64,
    /// Acknowledged records that were lost.
    pub lost: u64,
    /// Records that differ from what was appended, or that nobody appended.
    pub changed: u64,
    /// Lives that broke a promise, by seed. Each ended there.
    pub failures: Vec<Failure>,
}

/// A life that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Plays it again: `run(seed..seed + 1, …)` with the same options.
    pub seed: u64,
    /// Which promise, and how.
    pub what: String,
    /// What happened before, the latest last.
    pub history: Vec<String>,
}

/// Plays the lives of these seeds on all processors.
#[must_use]
pub fn run(seeds: Range<u64>, options: &Options) -> Report {
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new(Report::default());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut report = Report::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    report.add(&play::one(seed, options));
                }
                all.lock().unwrap().add(&report);
            });
        }
    });
    let mut report = all.into_inner().unwrap();
    report.failures.sort_by_key(|failure| failure.seed);
    report
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self { ack: None, syncs: Syncs::Kept, faults: None, cuts: 8 }
    }
}

// === impl Report ===

impl Report {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }

    /// Adds another run's findings.
    pub fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.cuts += other.cuts;
        self.cuts_in_opening += other.cuts_in_opening;
        self.kills += other.kills;
        self.ends += other.ends;
        self.errors += other.errors;
        self.appended += other.appended;
        self.acknowledged += other.acknowledged;
        self.torn_tails += other.torn_tails;
        self.unsynced += other.unsynced;
        self.erased += other.erased;
        self.removed += other.removed;
        self.lost += other.lost;
        self.changed += other.changed;
        self.failures.extend(other.failures.iter().cloned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "power: {} lives, {} cuts ({} while opening), {} kills, {} clean ends, {} errors of the disk; {} records \
             appended, {} acknowledged, {} erased, {} removed; {} torn tails cut; {} lost, {} changed, {} lives broke a \
             promise; {} within 100 ms at level write",
            self.lives,
            self.cuts,
            self.cuts_in_opening,
            self.kills,
            self.ends,
            self.errors,
            self.appended,
            self.acknowledged,
            self.erased,
            self.removed,
            self.torn_tails,
            self.lost,
            self.changed,
            self.failures.len(),
            self.unsynced,
        )?;
        for failure in self.failures.iter().take(3) {
            write!(f, "\n  seed {}: {}", failure.seed, failure.what)?;
            for line in &failure.history {
                write!(f, "\n    {line}")?;
            }
        }
        Ok(())
    }
}
