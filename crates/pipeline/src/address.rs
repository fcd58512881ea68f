//! Where a request goes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::{Auth, Template};

/// Where a request goes and what stands in its head. Sends with the same address share batches.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// The same for the same request, method, URL, headers and credentials.
    pub id: u64,
    /// Which of [`crate::LanePlan::requests`] it belongs to.
    pub request: usize,
    /// The method.
    pub method: Arc<str>,
    /// The URL, with its secrets.
    pub url: String,
    /// The URL with its secrets masked, for people.
    pub masked_url: String,
    /// The headers, with their secrets; authentication is not among them.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// What it calls.
    pub endpoint: EndpointKey,
}

/// What a lane calls. Rate limit, breaker and token belong to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// Scheme, host and port of the URL.
    pub origin: Arc<str>,
    /// The account at the vendor: for Kameleoon the site code.
    pub account: Option<Arc<str>>,
    /// Stands for the credentials; 0 when there are none.
    pub credentials: u64,
}

// === impl EndpointKey ===

impl fmt::Display for EndpointKey {
    /// For people: the origin, and the account in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account {
            Some(account) => write!(f, "{} ({account})", self.origin),
            None => f.write_str(&self.origin),
        }
    }
}

/// The address of a request before an event's values are filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The method.
    pub method: Arc<str>,
    /// The URL. Whoever makes the plan has percent-encoded its settings; an event's values are encoded when filled in.
    pub url: Template,
    /// The headers.
    pub headers: Vec<(Arc<str>, Template)>,
}

/// A URL, or a header, that cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("`{0}` is no absolute http or https address")]
    Url(String),
    #[error("the header {0} would hold a line break or another control character")]
    Header(Arc<str>),
}

/// Texts of an address as they are filled in for an event, or once for all.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    pub(crate) url: String,
    pub(crate) masked_url: String,
    pub(crate) headers: Vec<(Arc<str>, Arc<str>)>,
}

// === impl Address ===

/// Headers may hold secrets, so only their names are shown.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Address")
            .field("id", &self.id)
            .field("request", &self.request)
            .field("method", &self.method)
            .field("url", &self.masked_url)
            .field("headers", &headers)
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

impl Address {
    pub(crate) fn new(
        request: usize,
        method: &Arc<str>,
        filled: Filled,
        account: Option<&Arc<str>>,
        credentials: u64,
    ) -> Result<Self, AddressError> {
        let parsed = url::Url::parse(&filled.url).ok();
        let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(parsed) = parsed else { return Err(AddressError::Url(filled.masked_url)) };
        if let Some((name, _)) = filled.headers.iter().find(|(_, value)| value.chars().any(char::is_control)) {
            return Err(AddressError::Header(Arc::clone(name)));
        }
        let mut hash = Xxh3::new();
        (request, method, &filled.url, &filled.headers, account, credentials).hash(&mut hash);
        let origin = parsed.origin().ascii_serialization().into();
        Ok(Self {
            id: hash.finish(),
            request,
            method: Arc::clone(method),
            url: filled.url,
            masked_url: filled.masked_url,
            headers: filled.headers,
            endpoint: EndpointKey { origin, account: account.cloned(), credentials },
        })
    }
}

// === impl Call ===

impl Call {
    /// Whether it is the same for all events.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.url.is_fixed() && self.headers.iter().all(|(_, value)| value.is_fixed())
    }

    pub(crate) fn fixed(&self) -> Filled {
        Filled {
            url: self.url.fixed(true),
            masked_url: self.url.fixed(false),
            headers: self.headers.iter().map(|(name, value)| (Arc::clone(name), value.fixed(true).into())).collect(),
        }
    }
}

/// What stands for credentials without showing them.
pub(crate) fn credentials(auth: &Auth) -> u64 {
    if *auth == Auth::None {
        return 0;
    }
    let mut hash = Xxh3::new();
    auth.hash(&mut hash);
    hash.finish().max(1)
}
