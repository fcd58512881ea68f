//! The kill harness: `kill -9` of the real process at random moments under load.
//!
//! One *cycle*: start `anole run` on a folder, let clients post single events and batches to two pipelines, and kill the
//! process at a random moment. Most moments lie in the load, some in the start of the process, some in its orderly end.
//! The vendor is the sandbox in the harness' own process, so that it outlives the daemon; on some cycles it has a fault.
//! A client whose request got no answer sends it again to the next process or passes on to its next event, by chance: both
//! must be harmless.
//!
//! Cycles come in *blocks* on a folder of their own, each of 10 to 60 cycles and with settings of its own. At the end of a
//! block faults are healed, the daemon is started once more and left alone until everything acknowledged has arrived, and
//! then it is stopped in order. What must hold:
//!
//! - Each acknowledged event has arrived at each lane of its pipeline, byte for byte as it must be rendered, and the first
//!   arrivals of each order key (here: each visitor) are in the order in which they were acknowledged.
//! - The journal, read without the daemon, has each acknowledged event with its properties as they were sent, no event
//!   that was not sent, and no gap.
//! - No process told of damage, of a failed write or of anything else at level ERROR; `anole_journal_damaged_records_total`
//!   is 0, and no send is `lost` or `parked`.
//!
//! Memory holds one block: when it has been judged, it is forgotten.
//!
//! The seed decides the load, the faults and the planned moments, so a block is repeated by its seed; which instruction a
//! kill hits is the machine's chance and differs from run to run.

mod block;
mod event;
mod journal;
mod load;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anole_sandbox::{Options, Sandbox};
use tokio::time::Instant;

use self::block::Block;

/// What goes wrong is told up to this many times; the rest adds nothing.
const TOLD: usize = 20;

/// What a run does.
#[derive(Clone)]
pub struct KillOptions {
    /// The `anole` to be killed.
    pub binary: PathBuf,
    /// Decides the load, the faults and the moments. Block `n` of a run has this plus `n`.
    pub seed: u64,
    /// How many processes are killed.
    pub cycles: u64,
    /// No block is begun after this time.
    pub time: Option<Duration>,
    /// Clients that post at the same time.
    pub clients: u16,
    /// What has not arrived so long after the last fault is lost.
    pub patience: Duration,
    /// Whether the vendor answers one lane with success and loses what it got. That must be found: it is how the harness
    /// itself is tested.
    pub loses: bool,
    /// Told after each cycle.
    pub progress: Option<Progress>,
}

/// Who is told how a run goes.
pub type Progress = Arc<dyn Fn(&Report) + Send + Sync>;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The seed of the run.
    pub seed: u64,
    /// Processes that were killed.
    pub cycles: u64,
    /// Of these, in their start.
    pub in_start: u64,
    /// Of these, in their orderly end.
    pub in_end: u64,
    /// Folders that were judged.
    pub blocks: u64,
    /// Cycles on which the vendor had a fault.
    pub faults: u64,
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// Sends of acknowledged events: an event has one in each lane of its pipeline.
    pub sends: u64,
    /// Different sends that arrived, also of events that were not acknowledged.
    pub arrived: u64,
    /// Arrivals of a send that had arrived before, under the same nonce.
    pub duplicates: u64,
    /// Requests that got no answer.
    pub unanswered: u64,
    /// Of these, how many were sent again after the restart.
    pub repeated: u64,
    /// Starts that cut a torn group from the journal's end.
    pub torn: u64,
    /// Acknowledged sends that never arrived.
    pub lost: u64,
    /// Events that arrived or were kept otherwise than they were sent.
    pub changed: u64,
    /// Order keys whose sends arrived in another order.
    pub out_of_order: u64,
    /// Everything that went wrong, in words; the first twenty.
    pub wrong: Vec<String>,
    /// The seed that repeats the first block in which something went wrong.
    pub failed_seed: Option<u64>,
    /// How long it took.
    pub took: Duration,
}

/// Kills and restarts until the cycles are done, the time is up, or something went wrong.
pub async fn run(options: KillOptions) -> Report {
    let mut report = Report { seed: options.seed, ..Report::default() };
    let started = Instant::now();
    // What is kept must hold a block's arrivals between two looks; the counters are exact in any case.
    let sandbox = Options { keep_bytes: 512 << 20, keep_events: 1_000_000, ..Options::default() };
    let sandbox = Sandbox::start(sandbox).await.expect("the sandbox can be started");
    for number in 0_u32.. {
        let time_is_up = options.time.is_some_and(|time| started.elapsed() >= time);
        if report.cycles >= options.cycles || time_is_up || !report.is_clean() {
            break;
        }
        let seed = options.seed.wrapping_add(u64::from(number));
        Block::new(&options, seed, number, &sandbox).run(&mut report, started).await;
        if !report.is_clean() {
            report.failed_seed = Some(seed);
        }
    }
    report.took = started.elapsed();
    report
}

// === impl KillOptions ===

impl KillOptions {
    /// So many kills of this binary, with eight clients.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, seed: u64, cycles: u64) -> Self {
        Self {
            binary: binary.into(),
            seed,
            cycles,
            time: None,
            clients: 8,
            patience: Duration::from_secs(120),
            loses: false,
            progress: None,
        }
    }
}

impl fmt::Debug for KillOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KillOptions").field("seed", &self.seed).field("cycles", &self.cycles).finish_non_exhaustive()
    }
}

// === impl Report ===

impl Report {
    /// Whether nothing was lost, nothing changed and nothing was told.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.changed == 0 && self.out_of_order == 0 && self.wrong.is_empty()
    }

    pub(crate) fn blame(&mut self, what: String) {
        if self.wrong.len() < TOLD {
            self.wrong.push(what);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills ({} in the start, {} in the end), {} folders, {} cycles with a fault: {} events acknowledged \
             ({} sends), {} sends arrived, {} lost, {} changed, {} order keys out of order; {} duplicates by nonce, \
             {} requests unanswered of which {} sent again, {} torn tails cut; {:.0} s",
            self.cycles,
            self.in_start,
            self.in_end,
            self.blocks,
            self.faults,
            self.acknowledged,
            self.sends,
            self.arrived,
            self.lost,
            self.changed,
            self.out_of_order,
            self.duplicates,
            self.unanswered,
            self.repeated,
            self.torn,
            self.took.as_secs_f64()
        )?;
        for what in &self.wrong {
            write!(f, "\n  {what}")?;
        }
        Ok(())
    }
}
