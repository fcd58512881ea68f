//! Signals of the journal.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use crate::{Names, Signal, Telemetry};

pub(crate) struct JournalMetrics {
    append_bytes: prometheus::IntCounterVec,
    sync: prometheus::HistogramVec,
    bytes: prometheus::IntGaugeVec,
    records: prometheus::IntCounterVec,
    failed: prometheus::IntCounterVec,
    damaged: prometheus::IntCounterVec,
    removed: prometheus::IntCounterVec,
    housekeeping: prometheus::IntCounterVec,
}

/// A group of appends is as durable as the ack level says.
#[derive(Debug)]
pub struct GroupSynced {
    /// How many records it has.
    pub records: u64,
    /// How many bytes were written.
    pub bytes: u64,
    /// How long the write and the sync took.
    pub took: Duration,
    /// How many bytes the journal has now.
    pub journal_bytes: u64,
}

/// Appends failed: nothing of them was acknowledged.
#[derive(Debug)]
pub struct AppendFailed<E> {
    /// A closed code: `sync_failed`, `write_failed`, `full` …
    pub code: &'static str,
    /// Why.
    pub error: E,
}

/// The journal is open.
#[derive(Debug)]
pub struct JournalOpened<'a> {
    /// Its folder.
    pub dir: &'a Path,
    /// How many segments it has.
    pub segments: usize,
    /// How many bytes it has.
    pub bytes: u64,
}

/// The last segment ended within a group; the torn rest was cut off.
#[derive(Debug)]
pub struct TailCut<'a> {
    /// The segment.
    pub file: &'a Path,
    /// How many bytes were cut.
    pub bytes: u64,
}

/// Records cannot be read any more.
#[derive(Debug)]
pub struct JournalDamaged<'a> {
    /// The segment.
    pub file: &'a Path,
    /// What was found.
    pub what: &'a str,
    /// How many records are lost, as far as it is known.
    pub records: u64,
}

/// A new segment was begun.
#[derive(Debug)]
pub struct SegmentRolled<'a> {
    /// The new segment.
    pub file: &'a Path,
}

/// Retention removed the oldest segment.
#[derive(Debug)]
pub struct SegmentRemoved<'a> {
    /// The segment.
    pub file: &'a Path,
    /// Whether it held what a lane had not finished: there was no room for it.
    pub dropped: bool,
    /// How many bytes the journal has now.
    pub journal_bytes: u64,
}

/// Something that the journal does beside appending could not be done; it is tried again.
#[derive(Debug)]
pub struct HousekeepingFailed<E> {
    /// What: `retention`, `index`, `erase`, `look_at_space`.
    pub what: &'static str,
    /// Why.
    pub error: E,
}

impl JournalMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            append_bytes: names.counter("anole_journal_append_bytes", "Bytes appended to the journal.", &[]),
            sync: names.seconds("anole_journal_sync_seconds", "Time to write and sync one group of appends.", &[]),
            bytes: names.gauge("anole_journal_bytes", "Bytes that the journal has on disk.", &[]),
            records: names.counter("anole_journal_records", "Records appended to the journal.", &[]),
            failed: names.counter("anole_journal_append_errors_total", "Appends that failed.", &["code"]),
            removed: names.counter(
                "anole_journal_segments_removed_total",
                "Segments that retention removed: old ones, and ones dropped for want of room before every lane was done.",
                &["why"],
            ),
            housekeeping: names.counter(
                "anole_journal_housekeeping_errors_total",
                "Times the journal could not remove, index or erase.",
                &["what"],
            ),
            damaged: names.counter("anole_journal_damaged_records_total", "Records lost to damage of files.", &[]),
        }
    }
}

impl Signal for GroupSynced {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        let metrics = &telemetry.journal;
        metrics.records.with_label_values(&NONE).inc_by(self.records);
        metrics.append_bytes.with_label_values(&NONE).inc_by(self.bytes);
        metrics.sync.with_label_values(&NONE).observe(self.took.as_secs_f64());
        metrics.bytes.with_label_values(&NONE).set(i64::try_from(self.journal_bytes).unwrap_or(i64::MAX));
        // The journal's bench writes the same groups once more, without a journal.
        tracing::trace!(records = self.records, bytes = self.bytes, "a group was synced");
    }
}

impl<E: Display> Signal for AppendFailed<E> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.journal.failed.with_label_values(&[self.code]).inc();
        if let Some(left_out) = telemetry.allows("append_failed") {
            tracing::error!(code = self.code, error = %self.error, left_out, "appends to the journal failed");
        }
    }
}

impl Signal for JournalOpened<'_> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        telemetry.journal.bytes.with_label_values(&NONE).set(bytes);
        tracing::info!(dir = %self.dir.display(), segments = self.segments, bytes = self.bytes, "the journal is open");
    }
}

impl Signal for TailCut<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::warn!(
            file = %self.file.display(),
            bytes = self.bytes,
            "the journal ended within a group that was never acknowledged; the torn rest was cut off"
        );
    }
}

impl Signal for JournalDamaged<'_> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        telemetry.journal.damaged.with_label_values(&NONE).inc_by(self.records);
        tracing::error!(
            file = %self.file.display(),
            what = self.what,
            records = self.records,
            "the journal is damaged; what can be read is delivered, the rest counts as lost"
        );
    }
}

impl Signal for SegmentRolled<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::debug!(file = %self.file.display(), "a new segment was begun");
    }
}

impl Signal for SegmentRemoved<'_> {
    fn emit(self, telemetry: &Telemetry) {
        const NONE: [&str; 0] = [];
        let metrics = &telemetry.journal;
        metrics.bytes.with_label_values(&NONE).set(i64::try_from(self.journal_bytes).unwrap_or(i64::MAX));
        let why = if self.dropped { "dropped" } else { "old" };
        metrics.removed.with_label_values(&[why]).inc();
        let file = self.file.display();
        if self.dropped {
            tracing::error!(
                file = %file,
                "the journal is full and drops its oldest segment; what lanes had not finished in it is lost"
            );
        } else {
            tracing::info!(file = %file, "the oldest segment of the journal was removed: every lane is done with it");
        }
    }
}

impl<E: Display> Signal for HousekeepingFailed<E> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.journal.housekeeping.with_label_values(&[self.what]).inc();
        if let Some(left_out) = telemetry.allows("housekeeping_failed") {
            tracing::warn!(what = self.what, error = %self.error, left_out, "the journal could not keep house; it tries again");
        }
    }
}
