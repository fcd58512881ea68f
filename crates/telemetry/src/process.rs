//! Signals of the process as a whole.

use std::net::SocketAddr;
use std::path::Path;

use crate::{Names, Signal, Telemetry};

pub(crate) struct ProcessMetrics {
    reload: prometheus::IntCounterVec,
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

/// Pipelines and blueprints were read again.
#[derive(Debug)]
pub struct ConfigReloaded<'a> {
    /// What was wrong, when the running version was kept.
    pub error: Option<&'a str>,
}

/// A warning for the operator that has no metric of its own.
#[derive(Debug)]
pub struct Said<'a>(pub &'a str);

impl ProcessMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            reload: names.counter("anole_reload_total", "Times the configuration was read again.", &["result"]),
            started: names.gauge("anole_info", "1, with the version as a label.", &["version"]),
        }
    }
}

impl Signal for Started<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.process.started.with_label_values(&[self.version]).set(1);
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
        let result = if self.error.is_some() { "refused" } else { "done" };
        telemetry.process.reload.with_label_values(&[result]).inc();
        match self.error {
            None => tracing::info!("the configuration was read again and is in force"),
            Some(error) => tracing::error!(error, "the new configuration is refused; the running one stays in force"),
        }
    }
}

impl Signal for Said<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::warn!("{}", self.0);
    }
}
