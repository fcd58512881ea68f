//! Signals of the listeners.

use std::fmt::Display;
use std::net::SocketAddr;

use anole_event::Timestamp;

use crate::{Names, Signal, Telemetry};

pub(crate) struct HttpMetrics {
    open: prometheus::IntGaugeVec,
    accepted: prometheus::IntCounterVec,
    failed: prometheus::IntCounterVec,
    cut: prometheus::IntCounterVec,
    expiry: prometheus::IntGaugeVec,
    loaded: prometheus::IntCounterVec,
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

/// A connection was ended by us.
#[derive(Debug)]
pub struct ConnectionCut<'a> {
    /// The listener.
    pub listener: &'a str,
    /// Why.
    pub reason: CutReason,
}

/// Why a connection was ended by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutReason {
    /// No request for `idle_timeout`.
    Idle,
    /// The head of a request took longer than `header_timeout`.
    Head,
    /// The TLS handshake took longer than `header_timeout`.
    Handshake,
    /// The client took no byte of its answer for `write_timeout`.
    Write,
    /// It was among those that had been idle longest, at the cap.
    Crowded,
    /// Its address had as many as it may have.
    AddressCap,
    /// The TLS handshake failed: a client that trusts another authority, or that speaks something else.
    NoTls,
    /// The client spoke plain http to a port of TLS.
    PlainHttp,
}

/// A listener has as many connections as it may have.
#[derive(Debug)]
pub struct ConnectionsAtCap<'a> {
    /// The listener.
    pub listener: &'a str,
    /// How many it may have.
    pub cap: usize,
    /// How many idle ones were told to make room. With 0 no more are taken until one ends.
    pub asked: usize,
}

/// A listener presents this certificate from now on.
#[derive(Debug)]
pub struct CertificateInForce<'a> {
    /// The listener.
    pub listener: &'a str,
    /// SHA-256 of the certificate, in hex.
    pub fingerprint: &'a str,
    /// When it ends.
    pub ends: Timestamp,
}

/// Certificate files that had changed were read again, and are in force.
#[derive(Debug)]
pub struct CertificatesReloaded;

/// Certificate files that have changed are not put in force; the certificate before them stays.
#[derive(Debug)]
pub struct CertificateRefused<'a> {
    /// What is wrong, for all listeners together.
    pub error: &'a str,
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
            cut: names.counter(
                "anole_connections_cut_total",
                "Connections that were ended by the listener, by the limit that did it.",
                &["listener", "reason"],
            ),
            expiry: names.gauge(
                "anole_tls_certificate_expiry_timestamp_seconds",
                "When the certificate that the listener presents ends, in seconds since 1970.",
                &["listener"],
            ),
            loaded: names.counter(
                "anole_tls_certificate_reload_total",
                "Times certificate files were read again because they had changed.",
                &["result"],
            ),
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
            let (listener, cap, asked) = (self.listener, self.cap, self.asked);
            tracing::warn!(listener, cap, asked, left_out, "the connection cap is reached; idle connections make room");
        }
    }
}

impl Signal for ConnectionCut<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.http.cut.with_label_values(&[self.listener, self.reason.as_str()]).inc();
    }
}

impl CutReason {
    /// As the metric has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle_timeout",
            Self::Head => "header_timeout",
            Self::Handshake => "handshake_timeout",
            Self::Write => "write_timeout",
            Self::Crowded => "crowded",
            Self::AddressCap => "address_cap",
            Self::NoTls => "handshake_failed",
            Self::PlainHttp => "plain_http",
        }
    }
}

impl Signal for CertificateInForce<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.http.expiry.with_label_values(&[self.listener]).set(self.ends.millis() / 1000);
        let (listener, fingerprint) = (self.listener, self.fingerprint);
        tracing::info!(listener, fingerprint, ends = %self.ends, "the certificate is in force");
    }
}

impl Signal for CertificatesReloaded {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.http.loaded.with_label_values(&["done"]).inc();
    }
}

impl Signal for CertificateRefused<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.http.loaded.with_label_values(&["refused"]).inc();
        tracing::error!(error = self.error, "the new certificate is not in force; the one before it stays");
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
