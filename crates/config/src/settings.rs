//! anole.yaml: the settings of the daemon.
//!
//! Three layers by figment: defaults, the file, and environment variables that begin with `ANOLE_` and name a setting with
//! two underscores between levels (`ANOLE_COLLECT__LISTEN`). Relative paths are relative to the file that names them; those
//! of the environment and of the defaults without a file, to the working folder.

use std::net::SocketAddr;
use std::path::PathBuf;

use anole_pipeline::Secret;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::units::{Period, Size};

mod layers;
mod meaning;
pub(crate) mod tables;

pub use layers::{LoadedSettings, load_settings, settings_as_far_as_right};

/// The settings of the daemon. `Settings::default()` has the defaults; its paths are not yet made absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Where journal, state and delivery log are. `./data`.
    pub data_dir: PathBuf,
    /// The folder of pipelines. `./pipelines`.
    pub pipelines: PathBuf,
    /// The folder of blueprints that lie over the embedded ones. `./blueprints`; `None` when that default is not there.
    pub blueprints: Option<PathBuf>,
    /// The listener for events.
    pub collect: Collect,
    /// The listener for people and monitoring.
    pub admin: Admin,
    /// The journal.
    pub journal: Journal,
    /// Delivery.
    pub delivery: Delivery,
    /// The delivery log.
    pub history: History,
    /// State.
    pub state: State,
}

/// The listener for events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Collect {
    /// Where it listens. `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// The most bytes of one event. 64 KiB.
    pub max_event_bytes: Size,
    /// The most events of one request. 500.
    pub max_batch_events: usize,
    /// The most bytes of a request's body. 5 MiB.
    pub max_body_bytes: Size,
    /// The proxies whose word about the client's address is believed. None.
    pub trusted_proxies: Vec<Network>,
    /// The name of the visitor's cookie. `_anole_id`.
    pub cookie: String,
    /// The path of the collector script. `/anole.js`.
    pub collector: String,
    /// How many events a second may be sent. Any number.
    pub rate_limit: RateLimit,
    /// What GA4's clients are answered with: 204 as Google does, or 200 as its tagging server does. 204.
    pub ga4_status: u16,
    /// TLS, for those without a proxy that does it. None: plain http.
    pub tls: Option<Tls>,
    /// What its connections may cost. [`Connections::default`].
    pub connections: Connections,
}

/// TLS with certificate files of one's own. They are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The file of the certificate and of those that vouch for it, PEM.
    pub certificate: PathBuf,
    /// The file of its key, PEM, without a passphrase.
    pub key: PathBuf,
}

/// What the connections of a listener may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// How many may be open. Of `collect` as many as the process may have files, at most 50,000; of `admin` 256.
    pub max: Option<u32>,
    /// How many one address may have open, of IPv6 one /64; trusted proxies any number. Any number.
    pub max_per_address: Option<u32>,
    /// How long the head of a request may take, and how long a TLS handshake. `10s`.
    pub header_timeout: Period,
    /// How long a body may pause. `10s`.
    pub body_idle_timeout: Period,
    /// How long a whole body may take. `60s`.
    pub body_timeout: Period,
    /// How long a client may take no byte of its answer. `30s`.
    pub write_timeout: Period,
    /// How long a connection is kept without a request. `75s`.
    pub idle_timeout: Period,
}

/// How many events a second may be sent, on average; ten seconds' worth at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimit {
    /// With one write key or measurement id. Any number.
    pub per_key: Option<u32>,
    /// From one client address; of IPv6 from one /64. Any number.
    pub per_address: Option<u32>,
}

/// The listener for people and monitoring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Admin {
    /// Where it listens. `127.0.0.1:8081`.
    pub listen: SocketAddr,
    /// What callers must give as a Bearer token. None.
    #[serde(with = "token")]
    pub token: Option<Secret>,
    /// TLS. None: plain http.
    pub tls: Option<Tls>,
    /// What its connections may cost. [`Connections::default`].
    pub connections: Connections,
}

/// The journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Journal {
    /// When an event counts as kept. `fsync`.
    pub ack: Ack,
    /// How long events are kept for replay after every lane is done with them. `7d`.
    pub keep: Period,
    /// How large it may become. `20GiB`.
    pub max_bytes: Size,
    /// What happens when it is full. `refuse`.
    pub on_full: OnFull,
}

/// When an event counts as kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ack {
    /// When it is on the disk.
    #[default]
    Fsync,
    /// When the operating system has it; it is on the disk within 100 ms.
    Write,
    /// When it is in memory. For tests.
    Memory,
}

/// What happens when the journal is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// New events are refused until there is room.
    #[default]
    Refuse,
    /// The oldest events are dropped, delivered or not; those that were not are counted as lost.
    DropOldest,
}

/// Delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Whether requests may go to private addresses, and in plain http to them. False.
    pub allow_private_addresses: bool,
    /// How long a request may take. `30s`.
    pub timeout: Period,
    /// How often a paused lane tries with a small batch. `1m`.
    pub probe_every: Period,
    /// How many bytes of events all lanes together may park before a lane that parks more pauses. `1GiB`.
    pub max_parked_bytes: Size,
    /// The proxy through which requests go, such as `http://proxy.internal:3128`. None; the environment is not asked.
    pub proxy: Option<String>,
    /// A file of certificates, PEM, that are trusted beside those of the system. None.
    pub ca_file: Option<PathBuf>,
}

/// The delivery log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// How large it may become. `5GiB`.
    pub max_bytes: Size,
    /// How much of that may be bodies: what was sent and what came back. `2GiB`; with `0` none are kept.
    pub max_body_bytes: Size,
    /// How long attempts and outcomes are kept. `30d`.
    pub keep: Period,
    /// How long bodies are kept. `7d`.
    pub keep_bodies: Period,
    /// How long statistics are kept. `90d`.
    pub keep_statistics: Period,
}

/// State.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// How many identities are remembered. A million.
    pub identities: usize,
    /// How long an identity is remembered after it was last seen. `400d`.
    pub identity_age: Period,
    /// How often the state is backed up; the journal lets go of events only by the backup. `10m`.
    pub backup_every: Period,
}

/// A network, written as `10.0.0.0/8`, or as a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: "./data".into(),
            pipelines: "./pipelines".into(),
            blueprints: Some("./blueprints".into()),
            collect: Collect::default(),
            admin: Admin::default(),
            journal: Journal::default(),
            delivery: Delivery::default(),
            history: History::default(),
            state: State::default(),
        }
    }
}

impl Default for Collect {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_event_bytes: Size::from_bytes(64 << 10),
            max_batch_events: 500,
            max_body_bytes: Size::from_bytes(5 << 20),
            trusted_proxies: Vec::new(),
            cookie: "_anole_id".to_owned(),
            collector: "/anole.js".to_owned(),
            rate_limit: RateLimit::default(),
            ga4_status: 204,
            tls: None,
            connections: Connections::default(),
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: None,
            max_per_address: None,
            header_timeout: Period::from_secs(10),
            body_idle_timeout: Period::from_secs(10),
            body_timeout: Period::from_secs(60),
            write_timeout: Period::from_secs(30),
            // Load balancers keep theirs for 60 s: the one that sends must be the first to close.
            idle_timeout: Period::from_secs(75),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            token: None,
            tls: None,
            connections: Connections::default(),
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            ack: Ack::default(),
            keep: Period::from_secs(7 * 86_400),
            max_bytes: Size::from_bytes(20 << 30),
            on_full: OnFull::default(),
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            allow_private_addresses: false,
            timeout: Period::from_secs(30),
            probe_every: Period::from_secs(60),
            max_parked_bytes: Size::from_bytes(1 << 30),
            proxy: None,
            ca_file: None,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            max_bytes: Size::from_bytes(5 << 30),
            max_body_bytes: Size::from_bytes(2 << 30),
            keep: Period::from_secs(30 * 86_400),
            keep_bodies: Period::from_secs(7 * 86_400),
            keep_statistics: Period::from_secs(90 * 86_400),
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            identities: 1_000_000,
            identity_age: Period::from_secs(400 * 86_400),
            backup_every: Period::from_secs(600),
        }
    }
}

// === impl Network ===

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        net.map(Self).ok_or_else(|| format!("`{text}` is no network: write one such as 10.0.0.0/8, or an address"))
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A token goes in as it is, and comes out masked.
mod token {
    use anole_pipeline::Secret;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(token: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        token.as_ref().map(|_| Secret::MASK).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.filter(|text| !text.is_empty()).map(Secret::new))
    }
}
