//! Talking to the running daemon over its admin API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::failure::Refused;
use crate::lock::Running;
use crate::pinned;

/// An answer of the admin API is read up to here.
const MOST: usize = 64 << 20;
/// How long the daemon may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon's admin API.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    origin: String,
    certificate: Option<String>,
    token: Option<String>,
}

/// An answer: the status, and the JSON as text and as a value.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) body: Value,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(here: &Running, token: Option<String>) -> anyhow::Result<Self> {
        let certificate = here.admin_certificate.clone();
        let http = built(reqwest::Client::builder().timeout(PATIENCE), certificate.as_deref())?;
        Ok(Self { http, origin: origin(here.admin, certificate.as_deref()), certificate, token })
    }

    /// Asks; what is no success is an error in the daemon's words.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(self.http.get(format!("{}{path}", self.origin))).await
    }

    /// Asks for something to be done.
    pub(crate) async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(self.http.post(format!("{}{path}", self.origin))).await
    }

    /// Asks for something to be done that may be refused; the answer, whatever it is.
    pub(crate) async fn try_post(&self, path: &str) -> anyhow::Result<Answer> {
        self.exchange(self.http.post(format!("{}{path}", self.origin))).await
    }

    /// Asks for something to be done, with what it needs to know.
    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.ask(self.http.post(format!("{}{path}", self.origin)).json(body)).await
    }

    /// Asks for something that may not be there; the answer is JSON as it was written, numbers with their digits.
    pub(crate) async fn find(&self, path: &str) -> anyhow::Result<Option<String>> {
        let answer = self.exchange(self.http.get(format!("{}{path}", self.origin))).await?;
        match answer.status {
            200 => Ok(Some(answer.text)),
            404 => Ok(None),
            _ => refused(&answer),
        }
    }

    /// A feed that goes on until one side ends it.
    pub(crate) async fn feed(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        // The feed says every 15 s that it is alive, so the time for a whole answer becomes one between two pieces.
        let builder = reqwest::Client::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE);
        let request = built(builder, self.certificate.as_deref())?.get(format!("{}{path}", self.origin));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.context("the daemon does not answer")?;
        if response.status().is_success() {
            return Ok(response);
        }
        refused(&read(response).await?)
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let answer = self.exchange(request).await?;
        if answer.status == 200 { Ok(answer.body) } else { refused(&answer) }
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        exchange(request).await
    }
}

/// A client for the collection endpoint of a daemon, and the endpoint's origin.
pub(crate) fn collecting(here: &Running) -> anyhow::Result<(reqwest::Client, String)> {
    let certificate = here.collect_certificate.as_deref();
    Ok((built(reqwest::Client::builder().timeout(PATIENCE), certificate)?, origin(here.collect, certificate)))
}

/// A client that goes through no proxy, and trusts the certificate of this fingerprint.
fn built(builder: reqwest::ClientBuilder, certificate: Option<&str>) -> anyhow::Result<reqwest::Client> {
    // An error means that a provider is installed already.
    let _already_set = rustls::crypto::ring::default_provider().install_default();
    let builder = match certificate {
        Some(fingerprint) => builder.tls_backend_preconfigured(pinned::config(fingerprint)?),
        None => builder,
    };
    builder.no_proxy().build().context("the HTTP client could not be set up")
}

fn origin(address: SocketAddr, certificate: Option<&str>) -> String {
    let scheme = if certificate.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", reachable(address))
}

/// Sends a request and reads a bounded answer of JSON.
pub(crate) async fn exchange(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
    read(request.send().await.context("the daemon does not answer")?).await
}

async fn read(mut response: reqwest::Response) -> anyhow::Result<Answer> {
    let status = response.status().as_u16();
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the daemon's answer broke off")? {
        text.extend_from_slice(&chunk);
        if text.len() > MOST {
            bail!("the daemon's answer is larger than {MOST} bytes");
        }
    }
    let body = if text.is_empty() { Value::Null } else { serde_json::from_slice(&text).unwrap_or(Value::Null) };
    Ok(Answer { status, text: String::from_utf8_lossy(&text).into_owned(), body })
}

fn refused<T>(answer: &Answer) -> anyhow::Result<T> {
    let text = |name: &str| answer.body[name].as_str().map(str::to_owned);
    match text("message") {
        Some(message) => Err(Refused { code: text("code"), message }.into()),
        None => bail!("the daemon answered {}", answer.status),
    }
}

/// The address under which a listener can be reached from here: one that listens everywhere is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let ip = if address.is_ipv4() {
        std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)
    } else {
        std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)
    };
    SocketAddr::new(ip, address.port())
}
