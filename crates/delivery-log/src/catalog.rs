//! What the writing and the reading thread share: which files there are, and the postings that are in no run yet.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::postings::Recent;

/// The files, as both threads see them.
#[derive(Debug, Default)]
pub(crate) struct Catalog(RwLock<Files>);

/// The files at a moment.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Their numbers, oldest first.
    pub(crate) numbers: Vec<u32>,
    /// The one that is written to, which is the last.
    pub(crate) open: Option<u32>,
    /// The postings of the open file's rows that are in none of its runs.
    pub(crate) recent: Recent,
    /// The row that the open file will have next. Rows from here on are not committed.
    pub(crate) next_row: u32,
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
        self.write().numbers.retain(|known| *known != number);
    }
}
