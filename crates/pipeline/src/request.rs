//! What a request is made of, but for its address: the batch, the body around the items, the answers, authentication.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::object::Members;
use crate::read::unquote;
use crate::{Answers, Secret};

/// A kind of request of a lane. Sends with the same address share its batches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestPlan {
    /// Its name in the blueprint.
    pub name: Arc<str>,
    /// How items become a body.
    pub body: BodyKind,
    /// When a batch is full.
    pub batch: BatchLimits,
    /// How answers are read.
    pub answers: Answers,
    /// How it authenticates.
    pub auth: Auth,
}

/// How items become a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyKind {
    /// A JSON array of the items.
    Array,
    /// A JSON object that holds the items as a list under one key: `{"batch":[…]}`.
    List {
        /// What stands before the items: `{"batch":[`. It may hold a key of the account, and is not shown.
        open: Secret,
        /// What stands behind them: `]}`.
        close: Box<str>,
        /// The secrets in it.
        hidden: Vec<Secret>,
    },
    /// The item itself; such a batch holds one.
    Single,
    /// The item as an HTML form (`application/x-www-form-urlencoded`): a pair for each of its members, texts as they are,
    /// other values as JSON. Such a batch holds one.
    Form,
}

/// When a batch is closed: whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchLimits {
    /// The most sends.
    pub events: usize,
    /// The most bytes of the whole body.
    pub bytes: usize,
    /// How long its first send waits for others.
    pub wait: Duration,
}

/// How a request authenticates. Data only: whoever sends it acts on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: Secret,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// A header of the vendor's own.
    Header {
        /// Its name.
        name: Arc<str>,
        /// Its value.
        value: Secret,
    },
    /// A header with a signature of the body.
    Hmac(Arc<Hmac>),
    /// A token got by OAuth 2.0 client credentials, sent as `Authorization: Bearer …`.
    OAuth2(Arc<OAuth2>),
}

/// OAuth 2.0 client credentials (RFC 6749, 4.4): a POST form with `grant_type=client_credentials`, id and secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OAuth2 {
    /// Where tokens are got.
    pub token_url: String,
    /// Who asks.
    pub client_id: Secret,
    /// How he proves it.
    pub client_secret: Secret,
    /// What he asks for.
    pub scope: Option<String>,
    /// Whether the vendor takes requests without a token too: they go without when none can be had.
    pub optional: bool,
}

/// HMAC-SHA-256 (RFC 2104) over the bytes of the body.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hmac {
    /// The header that carries it.
    pub header: Arc<str>,
    /// The key.
    pub secret: Secret,
    /// How it is written.
    pub encoding: Encoding,
    /// What stands before it: `sha256=`.
    pub prefix: Arc<str>,
}

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Lower-case hex.
    Hex,
    /// Base64 with padding (RFC 4648, 4).
    Base64,
}

// === impl Auth ===

impl Auth {
    pub(crate) fn secrets<'a>(&'a self, secrets: &mut Vec<&'a Secret>) {
        match self {
            Self::None => {}
            Self::Basic { password, .. } => secrets.push(password),
            Self::Bearer(token) => secrets.push(token),
            Self::Header { value, .. } => secrets.push(value),
            Self::Hmac(hmac) => secrets.push(&hmac.secret),
            Self::OAuth2(client) => secrets.push(&client.client_secret),
        }
    }
}

// === impl BodyKind ===

impl BodyKind {
    pub(crate) fn secrets<'b>(&'b self, secrets: &mut Vec<&'b Secret>) {
        if let Self::List { hidden, .. } = self {
            secrets.extend(hidden);
        }
    }

    /// The media type of such a body.
    #[must_use]
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Array | Self::List { .. } | Self::Single => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    /// Whether it holds one item only.
    #[must_use]
    pub const fn is_single(&self) -> bool {
        matches!(self, Self::Single | Self::Form)
    }
}

/// The pairs of a form.
fn form(item: &[u8]) -> Bytes {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    if let Some(members) = std::str::from_utf8(item).ok().and_then(Members::of) {
        for (key, value) in &members.0 {
            let text = if value.starts_with('"') { unquote(value) } else { None };
            form.append_pair(key, text.as_deref().unwrap_or(value));
        }
    }
    form.finish().into()
}

// === impl RequestPlan ===

impl RequestPlan {
    /// How many bytes a body of so many items has beside them.
    #[must_use]
    pub fn framing(&self, items: usize) -> usize {
        let commas = items.saturating_sub(1);
        match &self.body {
            BodyKind::Array => 2 + commas,
            BodyKind::List { open, close, .. } => open.reveal().len() + close.len() + commas,
            BodyKind::Single | BodyKind::Form => 0,
        }
    }

    /// The body of these items.
    #[must_use]
    pub fn assemble(&self, items: &[Bytes]) -> Bytes {
        let (open, close) = match &self.body {
            BodyKind::Array => ("[", "]"),
            BodyKind::List { open, close, .. } => (open.reveal(), &**close),
            BodyKind::Single => match items {
                [item] => return item.clone(),
                _ => ("", ""),
            },
            BodyKind::Form => return items.first().map(|item| form(item)).unwrap_or_default(),
        };
        let length = self.framing(items.len()) + items.iter().map(Bytes::len).sum::<usize>();
        let mut body = Vec::with_capacity(length);
        body.extend_from_slice(open.as_bytes());
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(item);
        }
        body.extend_from_slice(close.as_bytes());
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: BodyKind) -> RequestPlan {
        RequestPlan {
            name: "events".into(),
            body,
            batch: BatchLimits { events: 10, bytes: 1000, wait: Duration::from_secs(1) },
            answers: Answers::default(),
            auth: Auth::None,
        }
    }

    #[test]
    fn a_body_has_as_many_bytes_as_framing_and_items() {
        let items: Vec<Bytes> = ["{\"a\":1}", "{}", "{\"b\":2}"].map(Bytes::from).into();
        let list = BodyKind::List { open: Secret::new("{\"batch\":["), close: "]}".into(), hidden: Vec::new() };
        for (kind, body) in
            [(BodyKind::Array, "[{\"a\":1},{},{\"b\":2}]"), (list, "{\"batch\":[{\"a\":1},{},{\"b\":2}]}")]
        {
            let request = request(kind);
            for count in 0..=items.len() {
                let length: usize = items[..count].iter().map(Bytes::len).sum();
                assert_eq!(request.assemble(&items[..count]).len(), request.framing(count) + length);
            }
            assert_eq!(request.assemble(&items), body);
        }
        assert_eq!(request(BodyKind::Single).assemble(&items[..1]), items[0]);
        assert_eq!(request(BodyKind::Single).framing(1), 0);
    }

    #[test]
    fn authentication_shows_no_secret() {
        let auth = Auth::OAuth2(Arc::new(OAuth2 {
            token_url: "https://a.example/token".into(),
            client_id: Secret::new("my-id"),
            client_secret: Secret::new("my-secret"),
            scope: None,
            optional: false,
        }));
        let shown =
            format!("{auth:?} {:?}", Auth::Basic { user: Secret::new("my-user"), password: Secret::new("my-pw") });
        assert!(!shown.contains("my-"), "{shown}");
    }

    #[test]
    fn a_form_has_a_pair_for_each_member() {
        let item = Bytes::from_static(br#"{"e":"a b&c","n":23.50,"o":{"x":1},"u":"\u00e9","z":null}"#);
        let body = request(BodyKind::Form).assemble(&[item]);
        assert_eq!(&body[..], b"e=a+b%26c&n=23.50&o=%7B%22x%22%3A1%7D&u=%C3%A9&z=null");
    }
}
