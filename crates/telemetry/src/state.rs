//! Signals of the state store.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anole_event::Timestamp;

use crate::{Names, Signal, Telemetry};

pub(crate) struct StateMetrics {
    failed: prometheus::IntCounterVec,
    restored: prometheus::IntCounterVec,
    identities_not_kept: prometheus::IntCounterVec,
}

/// The state was copied to its backup.
#[derive(Debug)]
pub struct StateBackedUp<'a> {
    /// The backup.
    pub file: &'a Path,
}

/// A state that was damaged, gone, older than its backup or not its own was replaced.
#[derive(Debug)]
pub struct StateRestored<'a> {
    /// Where what was there is now, if anything was.
    pub set_aside: Option<&'a Path>,
    /// From when the backup is that was taken; without one, lanes start at the beginning of the journal.
    pub backup: Option<Timestamp>,
}

/// The state's backup cannot be read. The state itself is good.
#[derive(Debug)]
pub struct StateBackupDamaged<'a> {
    /// The backup.
    pub file: &'a Path,
}

/// A person's data was erased from the state.
#[derive(Debug)]
pub struct StateErased<'a> {
    /// How many parked and deferred sends.
    pub sends: usize,
    /// How many identities.
    pub identities: usize,
    /// Copies that may still hold the data.
    pub left: &'a [PathBuf],
}

/// A write to the state failed; it is tried again.
#[derive(Debug)]
pub struct StateWriteFailed<E> {
    /// Why.
    pub error: E,
}

/// More identities came than could be written; those are known until the process ends.
#[derive(Debug)]
pub struct IdentitiesNotKept {
    /// How many.
    pub identities: usize,
}

impl StateMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            failed: names.counter("anole_state_errors_total", "Writes to the state store that failed.", &[]),
            restored: names.counter("anole_state_restored_total", "Times a damaged state was replaced.", &[]),
            identities_not_kept: names.counter(
                "anole_state_identities_not_kept_total",
                "Identities that came faster than they could be written.",
                &[],
            ),
        }
    }
}

impl Signal for StateBackedUp<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::debug!(file = %self.file.display(), "the state was backed up");
    }
}

impl Signal for StateRestored<'_> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.state.restored.with_label_values(&NONE).inc();
        let set_aside = self.set_aside.map_or_else(|| "nothing".to_owned(), |path| path.display().to_string());
        if let Some(backup) = self.backup {
            tracing::error!(
                set_aside,
                %backup,
                "the state was damaged, missing, older than its backup or another one, and the backup is taken; what came after is sent \
                 again with the same nonces"
            );
        } else {
            tracing::error!(
                set_aside,
                "the state was damaged and there is no good backup; all that the journal keeps is sent again with the same nonces"
            );
        }
    }
}

impl Signal for StateBackupDamaged<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::warn!(
            file = %self.file.display(),
            "the backup of the state cannot be read; the journal lets nothing go until the next one is made"
        );
    }
}

impl Signal for StateErased<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::info!(sends = self.sends, identities = self.identities, "erased from the state and its backup");
        for file in self.left {
            tracing::warn!(file = %file.display(), "this copy may still hold what was erased: remove it");
        }
    }
}

impl<E: Display> Signal for StateWriteFailed<E> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.state.failed.with_label_values(&NONE).inc();
        if let Some(left_out) = telemetry.allows("state_write_failed") {
            tracing::error!(error = %self.error, left_out, "a write to the state failed; it is tried again");
        }
    }
}

impl Signal for IdentitiesNotKept {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        let count = u64::try_from(self.identities).unwrap_or(u64::MAX);
        telemetry.state.identities_not_kept.with_label_values(&NONE).inc_by(count);
        if let Some(left_out) = telemetry.allows("identities_not_kept") {
            tracing::warn!(identities = count, left_out, "identities come faster than they can be written");
        }
    }
}
