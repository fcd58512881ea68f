//! How a sandbox behaves.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anole_http::{Clock, SystemClock};
use anole_telemetry::Telemetry;

/// How a sandbox behaves. The defaults are strict, on a free port of the loopback address.
#[derive(Clone)]
pub struct Options {
    /// Where it listens. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Which form a nonce must have.
    pub nonce: NonceForm,
    /// The site codes it knows; `None` knows every code of ten letters and digits.
    pub sites: Option<BTreeSet<String>>,
    /// The goals of the project; `None` knows every number.
    pub goals: Option<Vec<Goal>>,
    /// The indices of the project's custom data; `None` knows every index.
    pub custom_data: Option<BTreeSet<i64>>,
    /// Answer 400 to what is malformed: a body that is no array of objects, an event without `nonce` or `eventType`,
    /// an unknown site code. Off: answer as the real endpoint probably does, 204, and judge the events lost.
    pub strict: bool,
    /// Answer 400 to every batch in which an event would be lost. For continuous integration: a mistake becomes loud.
    pub refuse_lost: bool,
    /// The status of success: 204 as documented, or 200 as practice shows.
    pub success: u16,
    /// The client that may fetch tokens; `None` gives one to every client.
    pub client: Option<Client>,
    /// How long a token lives. Two hours, as the vendor's.
    pub token_life: Duration,
    /// Refuse requests without a token.
    pub require_token: bool,
    /// Only count: keep and judge nothing. For benchmarks.
    pub sink: bool,
    /// Bytes of what arrived that are kept, oldest forgotten first. 64 MiB.
    pub keep_bytes: usize,
    /// Events that are kept, oldest forgotten first. 100,000.
    pub keep_events: usize,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where connections are counted; `None` makes one of its own.
    pub telemetry: Option<Arc<Telemetry>>,
}

/// Which form a nonce must have. The vendor's page says 16 hexadecimal characters; a third party sends UUIDs and says
/// that they are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonceForm {
    /// Both: a UUID is accepted with a note.
    #[default]
    Either,
    /// Any text of up to 100 characters.
    Any,
    /// A UUID only.
    Uuid,
    /// 16 hexadecimal characters only, as documented.
    Hex16,
}

/// A goal of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Its number.
    pub id: i64,
    /// Whether its type is `CUSTOM`; the others are counted by Kameleoon's own tag.
    pub custom: bool,
    /// Whether it is active.
    pub active: bool,
}

/// Credentials for the token endpoint.
#[derive(Clone)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: String,
}

/// A word that names no form of a nonce.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a form of a nonce: use either, any, uuid or hex16")]
pub struct UnknownNonceForm(String);

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            address: ([127, 0, 0, 1], 0).into(),
            nonce: NonceForm::default(),
            sites: None,
            goals: None,
            custom_data: None,
            strict: true,
            refuse_lost: false,
            success: 204,
            client: None,
            token_life: Duration::from_secs(2 * 3600),
            require_token: false,
            sink: false,
            keep_bytes: 64 << 20,
            keep_events: 100_000,
            clock: Arc::new(SystemClock::new()),
            telemetry: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("nonce", &self.nonce)
            .field("strict", &self.strict)
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

// === impl NonceForm ===

impl FromStr for NonceForm {
    type Err = UnknownNonceForm;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "either" | "default" => Ok(Self::Either),
            "any" => Ok(Self::Any),
            "uuid" => Ok(Self::Uuid),
            "hex16" => Ok(Self::Hex16),
            other => Err(UnknownNonceForm(other.to_owned())),
        }
    }
}

// === impl Goal ===

impl From<i64> for Goal {
    fn from(id: i64) -> Self {
        Self { id, custom: true, active: true }
    }
}

// === impl Client ===

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}
