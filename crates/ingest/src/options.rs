//! How ingest behaves, and what it stands on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, Random};
use anole_journal::Journal;
use anole_state::State;
use anole_telemetry::Telemetry;
use http::StatusCode;
use ipnet::IpNet;

use crate::{DedupOptions, RateLimits};

/// How ingest behaves. [`IngestOptions::default`] has the defaults.
#[derive(Clone, Debug)]
pub struct IngestOptions {
    /// The most bytes of one event. 64 KiB.
    pub max_event_bytes: usize,
    /// The most events of one request. 500.
    pub max_events: usize,
    /// The most bytes of a request's body, before and after decoding. 5 MiB.
    pub max_body_bytes: usize,
    /// How long a body may pause. 10 s.
    pub body_idle_timeout: Duration,
    /// How long a whole body may take. 60 s.
    pub body_timeout: Duration,
    /// The proxies whose `X-Forwarded-*` and `Forwarded` are believed. None.
    pub trusted_proxies: Vec<IpNet>,
    /// The name of the visitor's cookie. `_anole_id`.
    pub cookie: String,
    /// The path of the collector script. `/anole.js`.
    pub collector: String,
    /// What a GA4 client is answered with when all is well: 204 as Google does, or 200 as its tagging server does.
    pub ga4_status: StatusCode,
    /// How many events a second one key and one address may send. Any number.
    pub rates: RateLimits,
    /// The window in which repetitions are recognised.
    pub dedup: DedupOptions,
}

/// What ingest stands on.
pub struct Ground {
    /// Where events are kept.
    pub journal: Arc<dyn Journal>,
    /// Where identities are kept.
    pub state: Arc<dyn State>,
    /// What is told.
    pub telemetry: Arc<Telemetry>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for ids.
    pub random: Box<dyn Random>,
}

// === impl IngestOptions ===

impl Default for IngestOptions {
    fn default() -> Self {
        Self {
            max_event_bytes: 64 << 10,
            max_events: 500,
            max_body_bytes: 5 << 20,
            body_idle_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            trusted_proxies: Vec::new(),
            cookie: "_anole_id".to_owned(),
            collector: "/anole.js".to_owned(),
            ga4_status: StatusCode::NO_CONTENT,
            rates: RateLimits::default(),
            dedup: DedupOptions::default(),
        }
    }
}

impl fmt::Debug for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ground").finish_non_exhaustive()
    }
}
