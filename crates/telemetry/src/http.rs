//! Signals of the listeners.

use std::fmt::Display;
use std::net::SocketAddr;

use crate::{Names, Signal, Telemetry};

pub(crate) struct HttpMetrics {
    open: prometheus::IntGaugeVec,
    accepted: prometheus::IntCounterVec,
    failed: prometheus::IntCounterVec,
}

/// A listener is open.
#[derive(Debug)]
pub struct ListenerOpened<'a> {
    /// What it is for: `collect`, `admin`, `sandbox`.
    pub listener: &'a str,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A connection was taken.
#[derive(Debug)]
pub struct ConnectionOpened<'a> {
    /// The listener.
    pub listener: &'a str,
}

/// A connection ended.
#[derive(Debug)]
pub struct ConnectionClosed<'a> {
    /// The listener.
    pub listener: &'a str,
}

/// A listener has as many connections as it may have; it takes no more until one ends.
#[derive(Debug)]
pub struct ConnectionsAtCap<'a> {
    /// The listener.
    pub listener: &'a str,
    /// How many it may have.
    pub cap: usize,
}

/// The operating system gave no connection.
#[derive(Debug)]
pub struct AcceptFailed<'a, E> {
    /// The listener.
    pub listener: &'a str,
    /// Why.
    pub error: E,
}

impl HttpMetrics {
    pub(crate) fn register(names: &Names<'_>) -> Self {
        Self {
            open: names.gauge("anole_connections", "Connections that are open.", &["listener"]),
            accepted: names.counter("anole_connections_total", "Connections taken.", &["listener"]),
            failed: names.counter("anole_accept_errors_total", "Connections that could not be taken.", &["listener"]),
        }
    }
}

impl Signal for ListenerOpened<'_> {
    fn emit(self, _: &Telemetry) {
        tracing::info!(listener = self.listener, address = %self.address, "listening");
    }
}

impl Signal for ConnectionOpened<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.http.open.with_label_values(&[self.listener]).inc();
        telemetry.http.accepted.with_label_values(&[self.listener]).inc();
    }
}

impl Signal for ConnectionClosed<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.http.open.with_label_values(&[self.listener]).dec();
    }
}

impl Signal for ConnectionsAtCap<'_> {
    fn emit(self, telemetry: &Telemetry) {
        if let Some(left_out) = telemetry.allows("connections_at_cap") {
            tracing::warn!(listener = self.listener, cap = self.cap, left_out, "the connection cap is reached");
        }
    }
}

impl<E: Display> Signal for AcceptFailed<'_, E> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.http.failed.with_label_values(&[self.listener]).inc();
        if let Some(left_out) = telemetry.allows("accept_failed") {
            tracing::warn!(listener = self.listener, error = %self.error, left_out, "a connection could not be taken");
        }
    }
}
