//! The fault matrix: the real binary against a vendor that has every fault we know of, with and without `kill -9` in the middle.
//!
//! One *cell* is one fault and one of the two. It has a folder, a daemon and a [`Vendor`] of its own:
//!
//! 1. The vendor is well, and takes in some events.
//! 2. It gets the fault, and events are posted. The cell waits until the delivery log has an attempt that says what it must say
//!    of this fault, and until the list of lanes says how the lane is: paused and why, its endpoint's breaker open, slowed, silent.
//! 3. The fault stands for a while ([`STAND`]). With a restart, the daemon is killed in the middle of it and started again, and
//!    must say the same again.
//! 4. The vendor is healed. Every event must end: delivered, or parked where the fault was a refusal. What is parked is then
//!    replayed.
//! 5. The daemon is stopped and the cell judged.
//!
//! What must hold in each:
//!
//! - *Conservation*: every acknowledged event was taken in by the vendor in the end, and exactly those were parked before that a
//!   refusal could park. The vendor took an event in twice only where a kill lies between, or where it had not answered the first
//!   time; and then under the same nonce, as it knows events by nothing else.
//! - *Order*: of each visitor the first arrivals are in the order of acknowledgement, what was parked aside.
//! - *Requests*: not more than the bound of the case says ([`Bound`]). Counted are the attempts in the delivery log or the requests
//!   that the vendor saw, whichever are more.
//! - *Words*: the reason, decision and hint of step 2.

mod bound;
mod case;
mod cell;
mod folder;
mod judge;
mod page;

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;

pub use self::bound::Bound;
pub use self::case::{CASES, Case, find};
pub use self::cell::Outcome;
pub use self::page::page;
#[allow(unused_imports, reason = "named in the documentation")]
use crate::vendor::Vendor;

/// How long a fault stands.
pub const STAND: Duration = Duration::from_secs(3);

/// A cell: a case, and whether the daemon is killed in the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// The fault.
    pub case: &'static Case,
    /// Whether `kill -9` strikes while it stands.
    pub restart: bool,
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub struct Played {
    /// The cell.
    pub cell: Cell,
    /// How it went, or what was wrong.
    pub outcome: Result<Outcome, String>,
}

// === impl Cell ===

impl Cell {
    /// Its name, as `--only` takes it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.restart { format!("{}+restart", self.case.name) } else { self.case.name.to_owned() }
    }

    /// Both cells of each case, or those of one name: a case has two, `NAME+restart` one.
    #[must_use]
    pub fn named(only: Option<&str>) -> Vec<Self> {
        let all = CASES.iter().flat_map(|case| [false, true].map(|restart| Self { case, restart }));
        all.filter(|cell| only.is_none_or(|only| only == cell.case.name || only == cell.name())).collect()
    }
}

/// Plays cells, so many at once, and tells each as it ends. They come back in their order.
pub async fn play(binary: &Path, cells: &[Cell], at_once: usize, told: impl Fn(&Played)) -> Vec<Played> {
    let all = futures_util::stream::iter(cells.iter().copied().enumerate()).map(async |(number, cell)| {
        let played = Played { cell, outcome: cell::play(binary, cell, number as u64).await };
        told(&played);
        (number, played)
    });
    let mut played: Vec<_> = all.buffer_unordered(at_once.max(1)).collect().await;
    played.sort_by_key(|(number, _)| *number);
    played.into_iter().map(|(_, played)| played).collect()
}
