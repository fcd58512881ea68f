//! What the writing and the reading thread share: which files there are and what they hold, the postings that are in no run
//! yet, and the statistics that are not written yet.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::ledger::Pending;
use crate::postings::Recent;
use crate::span::Span;

/// The files, as both threads see them.
#[derive(Debug, Default)]
pub(crate) struct Catalog(RwLock<Files>);

/// The files at a moment.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Oldest first.
    pub(crate) known: Vec<Known>,
    /// The one that is written to, which is the last.
    pub(crate) open: Option<u32>,
    /// The postings of the open file's rows that are in none of its runs.
    pub(crate) recent: Recent,
    /// The times of these rows.
    pub(crate) recent_span: Option<Span>,
    /// The row that the open file's database will have next. Rows from here on are not read: they are on their way (see
    /// intake.rs).
    pub(crate) next_row: u32,
    /// Whether a row is on its way.
    pub(crate) unsettled: bool,
    /// Statistics that are not in their file yet.
    pub(crate) pending: Pending,
}

/// A file, and what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) number: u32,
    pub(crate) held: Held,
    /// Whether its bodies are there (any more).
    pub(crate) has_bodies: bool,
    /// How often it was written anew since the log was opened: who has it open must open it again.
    pub(crate) rewritten: u32,
}

/// What some rows hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) entries: u64,
    pub(crate) sends: u64,
    /// Rows that have bodies.
    pub(crate) bodies: u64,
    pub(crate) span: Option<Span>,
}

// === impl Held ===

impl Held {
    /// One more row.
    pub(crate) fn add(&mut self, at: i64, sends: u64, has_bodies: bool) {
        self.entries += 1;
        self.sends += sends;
        self.bodies += u64::from(has_bodies);
        self.span = Some(Span::with(self.span, at));
    }

    /// The rows that follow.
    pub(crate) fn join(&mut self, other: &Self) {
        self.entries += other.entries;
        self.sends += other.sends;
        self.bodies += other.bodies;
        if let Some(span) = other.span {
            self.span = Some(Span::joined(self.span, span));
        }
    }
}

// === impl Catalog ===

impl Catalog {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Files> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Files> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out a file that was removed or set aside.
    pub(crate) fn forget(&self, number: u32) {
        self.write().known.retain(|known| known.number != number);
    }

    /// The bodies of a file were removed.
    pub(crate) fn forget_bodies(&self, number: u32) {
        let mut files = self.write();
        files.known.iter_mut().filter(|known| known.number == number).for_each(|known| known.has_bodies = false);
    }
}

// === impl Files ===

impl Files {
    pub(crate) fn knows(&self, number: u32) -> bool {
        self.rewritten(number).is_some()
    }

    /// How often a file was written anew; `None` when it is not known.
    pub(crate) fn rewritten(&self, number: u32) -> Option<u32> {
        self.known.iter().find(|known| known.number == number).map(|known| known.rewritten)
    }
}
