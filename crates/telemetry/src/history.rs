//! Signals of the delivery log.

use std::fmt::Display;
use std::path::Path;

use crate::{Names, Signal, Telemetry};

pub(crate) struct HistoryMetrics {
    failed: prometheus::IntCounterVec,
    rotated: prometheus::IntCounterVec,
    dropped: prometheus::IntCounterVec,
    damaged: prometheus::IntCounterVec,
}

/// A new file of the delivery log was begun.
#[derive(Debug)]
pub struct HistoryRotated<'a> {
    /// The new file.
    pub file: &'a Path,
    /// How many old files were removed to stay within the limit.
    pub removed: usize,
}

/// A write to the delivery log failed; it is tried again and delivery waits.
#[derive(Debug)]
pub struct HistoryWriteFailed<E> {
    /// Why.
    pub error: E,
}

/// A file of the delivery log cannot be read; it was set aside.
#[derive(Debug)]
pub struct HistoryDamaged<'a, E> {
    /// Where the file is now.
    pub set_aside: &'a Path,
    /// What was found.
    pub error: E,
}

impl HistoryMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            failed: names.counter("anole_history_errors_total", "Writes to the delivery log that failed.", &[]),
            rotated: names.counter("anole_history_rotated_total", "Files of the delivery log that were begun.", &[]),
            damaged: names.counter(
                "anole_history_damaged_files_total",
                "Files of the delivery log that could not be read and were set aside.",
                &[],
            ),
            dropped: names.counter(
                "anole_history_dropped_files_total",
                "Files of the delivery log that were removed, oldest first, to stay within its limit.",
                &[],
            ),
        }
    }
}

impl Signal for HistoryRotated<'_> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.history.rotated.with_label_values(&NONE).inc();
        let removed = u64::try_from(self.removed).unwrap_or(u64::MAX);
        telemetry.history.dropped.with_label_values(&NONE).inc_by(removed);
        tracing::info!(file = %self.file.display(), removed = self.removed, "a new file of the delivery log was begun");
    }
}

impl<E: Display> Signal for HistoryWriteFailed<E> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.history.failed.with_label_values(&NONE).inc();
        if let Some(left_out) = telemetry.allows("history_write_failed") {
            tracing::error!(error = %self.error, left_out, "a write to the delivery log failed; delivery waits for it");
        }
    }
}

impl<E: Display> Signal for HistoryDamaged<'_, E> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.history.damaged.with_label_values(&NONE).inc();
        tracing::error!(
            set_aside = %self.set_aside.display(),
            error = %self.error,
            "a file of the delivery log is damaged and was set aside; events are not affected"
        );
    }
}
