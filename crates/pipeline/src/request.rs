//! What a request is made of, but for its address: the batch, the body around the items, the answers, authentication.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

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
        /// What stands before the items: `{"batch":[`.
        open: Box<str>,
        /// What stands behind them: `]}`.
        close: Box<str>,
    },
    /// The item itself; such a batch holds one.
    Single,
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
}

// === impl RequestPlan ===

impl RequestPlan {
    /// How many bytes a body of so many items has beside them.
    #[must_use]
    pub fn framing(&self, items: usize) -> usize {
        let commas = items.saturating_sub(1);
        match &self.body {
            BodyKind::Array => 2 + commas,
            BodyKind::List { open, close } => open.len() + close.len() + commas,
            BodyKind::Single => 0,
        }
    }

    /// The body of these items.
    #[must_use]
    pub fn assemble(&self, items: &[Bytes]) -> Bytes {
        let (open, close) = match &self.body {
            BodyKind::Array => ("[", "]"),
            BodyKind::List { open, close } => (&**open, &**close),
            BodyKind::Single => match items {
                [item] => return item.clone(),
                _ => ("", ""),
            },
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
        let list = BodyKind::List { open: "{\"batch\":[".into(), close: "]}".into() };
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
        }));
        let shown =
            format!("{auth:?} {:?}", Auth::Basic { user: Secret::new("my-user"), password: Secret::new("my-pw") });
        assert!(!shown.contains("my-"), "{shown}");
    }
}
