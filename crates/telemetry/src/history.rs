//! Signals of the delivery log.

use std::fmt::Display;
use std::path::Path;

use crate::{Names, Signal, Telemetry};

pub(crate) struct HistoryMetrics {
    failed: prometheus::IntCounterVec,
    rotated: prometheus::IntCounterVec,
    dropped: prometheus::IntCounterVec,
    dropped_entries: prometheus::IntCounterVec,
    dropped_sends: prometheus::IntCounterVec,
    dropped_bodies: prometheus::IntCounterVec,
    bytes: prometheus::IntGaugeVec,
    damaged: prometheus::IntCounterVec,
}

/// A new file of the delivery log was begun.
#[derive(Debug)]
pub struct HistoryRotated<'a> {
    /// The new file.
    pub file: &'a Path,
}

/// A file of the delivery log was removed, or only its bodies: what was sent and what came back.
#[derive(Debug)]
pub struct HistoryDropped {
    /// `age`, `space` for the limit of size, `disk` when the disk was full.
    pub why: &'static str,
    /// The number of the file.
    pub number: u32,
    /// 1 when it was removed whole, 0 for its bodies alone.
    pub files: u64,
    /// Entries that are gone.
    pub entries: u64,
    /// Sends that are gone.
    pub sends: u64,
    /// Attempts whose bodies are gone.
    pub bodies: u64,
    /// Bytes that are free again.
    pub bytes: u64,
}

/// How large the delivery log is.
#[derive(Debug)]
pub struct HistorySize {
    /// Bytes of rows and look-ups.
    pub rows: u64,
    /// Bytes of bodies.
    pub bodies: u64,
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
                "Files of the delivery log that were removed, oldest first, to stay within its limits.",
                &["why"],
            ),
            dropped_entries: names.counter(
                "anole_history_dropped_entries_total",
                "Attempts, and blocks of sends without one, that were removed with files of the delivery log.",
                &["why"],
            ),
            dropped_sends: names.counter(
                "anole_history_dropped_sends_total",
                "Sends that were removed with files of the delivery log.",
                &["why"],
            ),
            dropped_bodies: names.counter(
                "anole_history_dropped_bodies_total",
                "Attempts whose bodies were removed from the delivery log, before their rows or with them.",
                &["why"],
            ),
            bytes: names.gauge("anole_history_bytes", "Bytes of the delivery log on disk.", &["what"]),
        }
    }
}

impl Signal for HistoryRotated<'_> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.history.rotated.with_label_values(&NONE).inc();
        tracing::info!(file = %self.file.display(), "a new file of the delivery log was begun");
    }
}

impl Signal for HistoryDropped {
    fn emit(self, telemetry: &Telemetry) {
        let Self { why, number, files, entries, sends, bodies, bytes } = self;
        let metrics = &telemetry.history;
        metrics.dropped.with_label_values(&[why]).inc_by(files);
        metrics.dropped_entries.with_label_values(&[why]).inc_by(entries);
        metrics.dropped_sends.with_label_values(&[why]).inc_by(sends);
        metrics.dropped_bodies.with_label_values(&[why]).inc_by(bodies);
        let what = if files > 0 {
            "a file of the delivery log was dropped"
        } else {
            "bodies of the delivery log were dropped"
        };
        if why == "disk" {
            tracing::warn!(why, number, entries, sends, bodies, bytes, "{what}");
        } else {
            tracing::info!(why, number, entries, sends, bodies, bytes, "{what}");
        }
    }
}

impl Signal for HistorySize {
    fn emit(self, telemetry: &Telemetry) {
        for (what, bytes) in [("rows", self.rows), ("bodies", self.bodies)] {
            telemetry.history.bytes.with_label_values(&[what]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
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
