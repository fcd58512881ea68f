//! Signals of the process as a whole.

use std::net::SocketAddr;
use std::path::Path;

use crate::{Names, Signal, Telemetry};

pub(crate) struct ProcessMetrics {
    reload: prometheus::IntCounterVec,
    valid: prometheus::IntGaugeVec,
    started: prometheus::IntGaugeVec,
}

/// The daemon runs.
#[derive(Debug)]
pub struct Started<'a> {
    /// The version, with the commit.
    pub version: &'a str,
    /// The folder of its stores.
    pub data_dir: &'a Path,
    /// Where it collects.
    pub collect: SocketAddr,
    /// Where its console and admin API are.
    pub admin: SocketAddr,
    /// How many pipelines it has.
    pub pipelines: usize,
    /// How many lanes it has.
    pub lanes: usize,
}

/// The daemon ends.
#[derive(Debug)]
pub struct Shutdown<'a> {
    /// Where it stands: `asked`, `drained`, `done`, `at once`.
    pub stage: &'a str,
}

/// Pipelines and blueprints were read again, and are in force.
#[derive(Debug)]
pub struct ConfigReloaded<'a> {
    /// What asked for it: `signal`, `files`, `api`.
    pub by: &'a str,
    /// What became other, in words; `None` when nothing did.
    pub changes: Option<&'a str>,
}

/// Pipelines and blueprints were read again, and the running ones stay in force.
#[derive(Debug)]
pub struct ConfigRefused<'a> {
    /// What asked for it: `signal`, `files`, `api`.
    pub by: &'a str,
    /// Whether the files are at fault. If not, something else went wrong, and the same files may do later.
    pub files: bool,
    /// What is wrong.
    pub error: &'a str,
}

/// A lane could not be started again with its new plan. It is tried again until it can.
#[derive(Debug)]
pub struct LaneStuck<'a, E> {
    /// The lane.
    pub lane: &'a anole_event::LaneId,
    /// Why.
    pub error: E,
}

/// A warning for the operator that has no metric of its own.
#[derive(Debug)]
pub struct Said<'a>(pub &'a str);

const NONE: [&str; 0] = [];

impl ProcessMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            reload: names.counter("anole_reload_total", "Times the configuration was read again.", &["result"]),
            valid: names.gauge(
                "anole_config_valid",
                "1 while the files that were read last are in force, 0 after they were refused.",
                &[],
            ),
            started: names.gauge("anole_info", "1, with the version as a label.", &["version"]),
        }
    }
}

impl Signal for Started<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.process.started.with_label_values(&[self.version]).set(1);
        telemetry.process.valid.with_label_values(&NONE).set(1);
        tracing::info!(
            version = self.version,
            data_dir = %self.data_dir.display(),
            collect = %self.collect,
            admin = %self.admin,
            pipelines = self.pipelines,
            lanes = self.lanes,
            "anole runs"
        );
    }
}

impl Signal for Shutdown<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::info!(stage = self.stage, "shutting down");
    }
}

impl Signal for ConfigReloaded<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.process.reload.with_label_values(&["done"]).inc();
        telemetry.process.valid.with_label_values(&NONE).set(1);
        match self.changes {
            Some(changes) => {
                tracing::info!(by = self.by, changes, "the configuration was read again and is in force");
            }
            None => tracing::info!(by = self.by, "the configuration was read again; nothing has changed"),
        }
    }
}

impl Signal for ConfigRefused<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.process.reload.with_label_values(&[if self.files { "refused" } else { "failed" }]).inc();
        if self.files {
            telemetry.process.valid.with_label_values(&NONE).set(0);
        }
        // Wrong files are told each time, as somebody has changed them; other failures are tried again every second.
        let left_out = if self.files { Some(0) } else { telemetry.allows("reload_failed") };
        if let Some(left_out) = left_out {
            let (by, error) = (self.by, self.error);
            tracing::error!(by, error, left_out, "the new configuration is not in force; the running one stays");
        }
    }
}

impl<E: std::fmt::Display> Signal for LaneStuck<'_, E> {
    fn emit(self, telemetry: &Telemetry) {
        if let Some(left_out) = telemetry.allows("lane_stuck") {
            let (lane, error) = (self.lane, self.error);
            tracing::error!(%lane, %error, left_out, "the lane cannot be started with its new plan; it tries again");
        }
    }
}

impl Signal for Said<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::warn!("{}", self.0);
    }
}
