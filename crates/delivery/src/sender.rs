//! One lane's way to the network.
//!
//! Each lane has a client and connections of its own, so that a vendor that hangs or floods exhausts nobody else's. The
//! client follows no redirect (a 3xx pauses the lane instead: an address that moved is for a person to confirm), retries
//! nothing by itself (every attempt is ours and is logged), sends no referrer, and reads at most a bounded part of an
//! answer. The User-Agent is a fixed product token: vendors refuse library defaults and anything that looks like a robot,
//! and one crawler's User-Agent, passed on, would refuse a whole batch (`reference: Kameleoon Data API, User-Agent rule`).

use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, DeliveryError, ErrorSource, MAX_ANSWER_BODY, Reached};
use bytes::{Bytes, BytesMut};
use reqwest::redirect::Policy;

use crate::auth::{Fetcher, Tokens};
use crate::guard::{Forbidden, Guard};
use crate::lane::{Answered, Outgoing};
use crate::network::network;

/// What requests call themselves.
pub const USER_AGENT: &str = concat!("anole/", env!("CARGO_PKG_VERSION"));
/// An answer's body is read up to here, so that its connection can be used again; then the connection is closed.
const READ_AT_MOST: u64 = 256 * 1024;

/// What is kept of an answer beyond what history takes: a secret that is masked there must not stand across its end.
const SLACK: usize = 4 * 1024;

/// How requests are made.
#[derive(Clone, Debug)]
pub struct SenderOptions {
    /// From the first byte to the last of the answer. Default 30 s.
    pub timeout: Duration,
    /// To connect. Default 10 s.
    pub connect_timeout: Duration,
    /// Whether requests may go to private addresses.
    pub allow_private_addresses: bool,
    /// The proxy through which requests go. It then resolves names, and the guard sees only written addresses.
    pub proxy: Option<String>,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca: Option<Vec<u8>>,
}

/// A lane's client.
pub struct Sender {
    client: reqwest::Client,
    guard: Guard,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be set up: {0}")]
pub struct SenderError(String);

// === impl SenderOptions ===

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            allow_private_addresses: false,
            proxy: None,
            ca: None,
        }
    }
}

// === impl Sender ===

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Sender {
    /// A client of these options.
    ///
    /// # Errors
    /// When the system's certificates cannot be used.
    pub fn new(options: &SenderOptions, clock: Arc<dyn Clock>) -> Result<Self, SenderError> {
        // An error means that a provider is installed already: it stays.
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let guard = Guard::new(options.allow_private_addresses);
        let failed = |error: reqwest::Error| SenderError(error.to_string());
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(proxy) = &options.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(failed)?);
        }
        if let Some(ca) = &options.ca {
            let certificates = reqwest::Certificate::from_pem_bundle(ca).map_err(failed)?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder
            .user_agent(USER_AGENT)
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(16)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(guard))
            .build()
            .map_err(failed)?;
        Ok(Self { client, guard, clock, tokens: Tokens::default() })
    }

    /// Makes a request and tells how it ended. Never fails: a failure is an answer too.
    pub async fn send(&self, outgoing: Outgoing) -> Answered {
        let start = self.clock.mono();
        let body = outgoing.body.clone();
        let mut left_out = false;
        let mut answered = match self.prepare(&outgoing).await {
            Ok((request, without_token)) => {
                left_out = without_token;
                // An answer that says something of each item is kept as far as it is read; history keeps its beginning.
                let says = outgoing.plan.requests[outgoing.address.request].answers.reads_items();
                let keep =
                    if says { usize::try_from(READ_AT_MOST).unwrap_or(usize::MAX) } else { MAX_ANSWER_BODY + SLACK };
                self.exchange(request, keep).await
            }
            Err(error) => failed(error),
        };
        answered.without_token = left_out;
        if answered.status.is_some_and(|status| status != 401) {
            self.tokens.worked(&outgoing.address.endpoint).await;
        }
        answered.took = self.clock.mono().since(start);
        answered.request_body = body;
        answered
    }

    /// Forgets the token with which an endpoint was called.
    pub async fn forget_token(&self, endpoint: &anole_pipeline::EndpointKey) {
        self.tokens.forget(endpoint).await;
    }

    async fn prepare(&self, outgoing: &Outgoing) -> Result<(reqwest::RequestBuilder, bool), SendFailure> {
        let address = &outgoing.address;
        let url = self.guard.check(&address.url, &address.masked_url)?;
        let method = reqwest::Method::from_bytes(address.method.as_bytes())
            .map_err(|_| SendFailure::Ours(format!("`{}` is no method", address.method)))?;
        let mut request = self.client.request(method, url).body(outgoing.body.clone());
        for (name, value) in &address.headers {
            request = request.header(&**name, &**value);
        }
        let auth = &outgoing.plan.requests[address.request].auth;
        let by = Fetcher { http: &self.client, guard: self.guard, clock: &*self.clock };
        self.tokens.authenticate(request, (auth, &outgoing.body), address, &by).await
    }

    async fn exchange(&self, request: reqwest::RequestBuilder, keep: usize) -> Answered {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return failed(SendFailure::Network(error)),
        };
        let mut answered = Answered {
            reached: Reached::Head,
            status: Some(response.status().as_u16()),
            took: Duration::ZERO,
            request_body: Bytes::new(),
            headers: response
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            body: Bytes::new(),
            body_bytes: 0,
            error: None,
            blocked: false,
            without_token: false,
        };
        let mut kept = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    answered.body_bytes += chunk.len() as u64;
                    let room = keep.saturating_sub(kept.len());
                    kept.extend_from_slice(&chunk[..room.min(chunk.len())]);
                    if answered.body_bytes >= READ_AT_MOST {
                        break;
                    }
                }
                Ok(None) => {
                    answered.reached = Reached::Body;
                    break;
                }
                Err(error) => {
                    answered.error = Some(network(&error));
                    break;
                }
            }
        }
        answered.body = kept.freeze();
        answered
    }
}

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// It may not go where it should.
    Forbidden(Forbidden),
    /// A blueprint made a request that is none.
    Ours(String),
    /// No token could be had.
    Token(DeliveryError),
    /// The network.
    Network(reqwest::Error),
}

impl From<Forbidden> for SendFailure {
    fn from(forbidden: Forbidden) -> Self {
        Self::Forbidden(forbidden)
    }
}

fn failed(failure: SendFailure) -> Answered {
    let ours = |message| DeliveryError { source_of: ErrorSource::Ours, message };
    let (reached, error, blocked) = match failure {
        SendFailure::Forbidden(forbidden) => (Reached::Nothing, ours(forbidden.to_string()), true),
        SendFailure::Ours(message) => (Reached::Nothing, ours(message), true),
        SendFailure::Token(error) => (Reached::Nothing, error, false),
        SendFailure::Network(error) => match forbidden_cause(&error) {
            Some(forbidden) => (Reached::Nothing, ours(forbidden), true),
            None if error.is_connect() => (Reached::Nothing, network(&error), false),
            None => (Reached::Written, network(&error), false),
        },
    };
    Answered {
        reached,
        status: None,
        took: Duration::ZERO,
        request_body: Bytes::new(),
        headers: Vec::new(),
        body: Bytes::new(),
        body_bytes: 0,
        error: Some(error),
        blocked,
        without_token: false,
    }
}

/// The guard's word, when it was the resolver that refused.
fn forbidden_cause(error: &reqwest::Error) -> Option<String> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(forbidden) = error.downcast_ref::<Forbidden>() {
            return Some(forbidden.to_string());
        }
        cause = error.source();
    }
    None
}
