//! How requests show who they are from.
//!
//! A token of OAuth 2 client credentials is fetched when it is first needed, kept per endpoint, and fetched anew a minute
//! before it ends or when the endpoint refused it. One that cannot be renewed is used until its end. While a fetch is under way
//! other requests of the lane wait for it rather than fetch their own, and share its failure. A token that cannot be had is a
//! failed attempt like any other and is tried again.
//!
//! Where the blueprint says that the vendor also takes requests without a token (`optional`), two failures in a row, to get a token
//! or to be accepted with one, let requests go without for five minutes: a token then only raises a rate limit, and events are not
//! to wait for whoever mends the credentials. It is told each time (`request sent without its token`). A request that is refused
//! without a token too ends that, and three refusals in a row pause the lane as ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, DeliveryError, ErrorSource, Mono};
use anole_pipeline::{Address, Auth, Encoding, EndpointKey, Hmac, OAuth2};
use base64::Engine as _;
use hmac::{KeyInit, Mac};
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::guard::Guard;
use crate::network::network;
use crate::sender::SendFailure;

/// A token is fetched anew this long before it ends.
const EARLY: Duration = Duration::from_secs(60);
/// How long a token is kept when the answer does not say.
const USUAL_LIFE: u64 = 3600;
/// Failures in a row after which requests go without a token, where they may.
const FAILURES: u32 = 2;
/// For how long they do.
const WITHOUT: Duration = Duration::from_secs(5 * 60);
/// For how long a failed fetch is not tried again: those who waited for it share its failure.
const FAILED: Duration = Duration::from_secs(1);
/// A token's answer is read up to here.
const ANSWER: usize = 64 * 1024;

/// The tokens of a lane's endpoints.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    kept: Mutex<HashMap<EndpointKey, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    token: Option<Token>,
    /// To get a token, or to be accepted with one.
    failures: u32,
    without_until: Option<Mono>,
    /// The last fetch, when it failed.
    failed: Option<(Mono, DeliveryError)>,
}

/// With what a request shows who it is from.
enum Shows {
    Token(Arc<str>),
    Nothing,
}

#[derive(Debug)]
struct Token {
    value: Arc<str>,
    ends: Mono,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

// === impl Tokens ===

impl Tokens {
    /// Forgets an endpoint's token: it was refused, or a request without one was.
    pub(crate) async fn forget(&self, endpoint: &EndpointKey) {
        let mut kept = self.kept.lock().await;
        let kept = kept.entry(endpoint.clone()).or_default();
        kept.token = None;
        kept.failures = if kept.without_until.take().is_some() { 0 } else { kept.failures + 1 };
    }

    /// A request with a token was answered otherwise than that the token is refused.
    pub(crate) async fn worked(&self, endpoint: &EndpointKey) {
        if let Some(kept) = self.kept.lock().await.get_mut(endpoint)
            && kept.token.is_some()
        {
            kept.failures = 0;
        }
    }

    /// The request with what it must show, and whether it goes without the token that it should have.
    pub(crate) async fn authenticate(
        &self,
        request: reqwest::RequestBuilder,
        (auth, body): (&Auth, &[u8]),
        address: &Address,
        by: &Fetcher<'_>,
    ) -> Result<(reqwest::RequestBuilder, bool), SendFailure> {
        let request = match auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user.reveal(), Some(password.reveal())),
            Auth::Bearer(key) => request.bearer_auth(key.reveal()),
            Auth::Hmac(hmac) => request.header(&*hmac.header, signature(hmac, body)),
            Auth::Header { name, value } => request.header(&**name, value.reveal()),
            Auth::OAuth2(client) => match self.token(client, &address.endpoint, by).await? {
                Shows::Token(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
                Shows::Nothing => return Ok((request, true)),
            },
            other => return Err(SendFailure::Ours(format!("this version cannot authenticate by {other:?}"))),
        };
        Ok((request, false))
    }

    async fn token(&self, client: &OAuth2, endpoint: &EndpointKey, by: &Fetcher<'_>) -> Result<Shows, SendFailure> {
        // Held while fetching, on purpose: it is an async lock, and others should wait for this token.
        let mut kept = self.kept.lock().await;
        let kept = kept.entry(endpoint.clone()).or_default();
        let now = by.clock.mono();
        if kept.goes_without(client, now) {
            return Ok(Shows::Nothing);
        }
        if let Some(token) = kept.token.as_ref().filter(|token| now.after(EARLY) < token.ends) {
            return Ok(Shows::Token(Arc::clone(&token.value)));
        }
        let fetched = match &kept.failed {
            Some((at, why)) if now.since(*at) < FAILED => Err(SendFailure::Token(why.clone())),
            _ => by.fetch(client).await,
        };
        match fetched {
            Ok(answer) => {
                let value: Arc<str> = answer.access_token.into();
                let ends = now.after(Duration::from_secs(answer.expires_in.unwrap_or(USUAL_LIFE)));
                kept.token = Some(Token { value: Arc::clone(&value), ends });
                kept.failed = None;
                Ok(Shows::Token(value))
            }
            Err(failure) => kept.failed_to_get(client, by.clock.mono(), failure),
        }
    }
}

// === impl Kept ===

impl Kept {
    /// Whether requests go without a token now.
    fn goes_without(&mut self, client: &OAuth2, now: Mono) -> bool {
        if self.without_until.is_some_and(|until| until <= now) {
            // One more failure, and they go without again.
            (self.without_until, self.failures) = (None, FAILURES - 1);
        }
        if client.optional && self.without_until.is_none() && self.failures >= FAILURES {
            self.without_until = Some(now.after(WITHOUT));
        }
        self.without_until.is_some()
    }

    fn failed_to_get(&mut self, client: &OAuth2, now: Mono, failure: SendFailure) -> Result<Shows, SendFailure> {
        if let Some(token) = self.token.as_ref().filter(|token| now < token.ends) {
            return Ok(Shows::Token(Arc::clone(&token.value)));
        }
        let is_news = !matches!(self.failed, Some((at, _)) if now.since(at) < FAILED);
        if is_news {
            self.failures += 1;
            if let SendFailure::Token(why) = &failure {
                self.failed = Some((now, why.clone()));
            }
        }
        if self.goes_without(client, now) { Ok(Shows::Nothing) } else { Err(failure) }
    }
}

/// The signature of a body, as its header carries it.
fn signature(how: &Hmac, body: &[u8]) -> String {
    // A key of any length will do for HMAC; an empty signature would be refused like any wrong one.
    let signed = hmac::Hmac::<sha2::Sha256>::new_from_slice(how.secret.reveal().as_bytes()).map(|mut mac| {
        mac.update(body);
        mac.finalize().into_bytes()
    });
    let text = signed.map_or_else(
        |_| String::new(),
        |bytes| match how.encoding {
            Encoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Encoding::Base64 => base64::engine::general_purpose::STANDARD.encode(bytes),
        },
    );
    format!("{}{text}", how.prefix)
}

/// What a token is fetched with.
pub(crate) struct Fetcher<'a> {
    pub(crate) http: &'a reqwest::Client,
    pub(crate) guard: Guard,
    pub(crate) clock: &'a dyn Clock,
}

// === impl Fetcher ===

impl Fetcher<'_> {
    async fn fetch(&self, client: &OAuth2) -> Result<Answer, SendFailure> {
        let url = self.guard.check(&client.token_url, &client.token_url)?;
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(form(client));
        let broken = |error: reqwest::Error| no_token(ErrorSource::Network, client, &network(&error).message);
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status();
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            text.extend_from_slice(&chunk);
            if text.len() > ANSWER {
                break;
            }
        }
        // The answer is not shown: it may hold what was sent.
        if !status.is_success() {
            let hint = if status.as_u16() == 401 || status.as_u16() == 400 {
                ": check client_id and client_secret"
            } else {
                ""
            };
            return Err(no_token(ErrorSource::Vendor, client, &format!("it answered {status}{hint}")));
        }
        serde_json::from_slice(&text).map_err(|_| no_token(ErrorSource::Vendor, client, "its answer holds none"))
    }
}

fn no_token(source_of: ErrorSource, client: &OAuth2, why: &str) -> SendFailure {
    SendFailure::Token(DeliveryError { source_of, message: format!("no token from {}: {why}", client.token_url) })
}

fn form(client: &OAuth2) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_id", client.client_id.reveal())
        .append_pair("client_secret", client.client_secret.reveal());
    if let Some(scope) = &client.scope {
        form.append_pair("scope", scope);
    }
    form.finish()
}

#[cfg(test)]
mod tests {
    use anole_pipeline::Secret;

    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        // Test case 2: key "Jefe".
        let how = |encoding, prefix: &str| Hmac {
            header: "X-Signature".into(),
            secret: Secret::new("Jefe"),
            encoding,
            prefix: prefix.into(),
        };
        let body = b"what do ya want for nothing?";
        assert_eq!(
            signature(&how(Encoding::Hex, "sha256="), body),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(signature(&how(Encoding::Base64, ""), body), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    }
}
