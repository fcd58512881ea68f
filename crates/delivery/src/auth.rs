//! How requests show who they are from.
//!
//! A token of OAuth 2 client credentials is fetched when it is first needed, kept per endpoint, and fetched anew a minute
//! before it ends or when the endpoint refused it. While a fetch is under way other requests of the lane wait for it
//! rather than fetch their own. A token that cannot be had is a failed attempt like any other and is tried again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anole_event::{Clock, Mono};
use anole_pipeline::{Address, Auth, Encoding, EndpointKey, Hmac, OAuth2};
use base64::Engine as _;
use hmac::{KeyInit, Mac};
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::guard::Guard;
use crate::sender::SendFailure;

/// A token is fetched anew this long before it ends.
const EARLY: Duration = Duration::from_secs(60);
/// How long a token is kept when the answer does not say.
const USUAL_LIFE: u64 = 3600;
/// A token's answer is read up to here.
const ANSWER: usize = 64 * 1024;

/// The tokens of a lane's endpoints.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    kept: Mutex<HashMap<EndpointKey, Token>>,
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
    /// Forgets an endpoint's token: it was refused.
    pub(crate) async fn forget(&self, endpoint: &EndpointKey) {
        self.kept.lock().await.remove(endpoint);
    }

    /// The request with what it must show.
    pub(crate) async fn authenticate(
        &self,
        request: reqwest::RequestBuilder,
        (auth, body): (&Auth, &[u8]),
        address: &Address,
        by: &Fetcher<'_>,
    ) -> Result<reqwest::RequestBuilder, SendFailure> {
        Ok(match auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user.reveal(), Some(password.reveal())),
            Auth::Bearer(key) => request.bearer_auth(key.reveal()),
            Auth::Hmac(hmac) => request.header(&*hmac.header, signature(hmac, body)),
            Auth::Header { name, value } => request.header(&**name, value.reveal()),
            Auth::OAuth2(client) => {
                let token = self.token(client, &address.endpoint, by).await?;
                request.header(AUTHORIZATION, format!("Bearer {token}"))
            }
            other => return Err(SendFailure::Ours(format!("this version cannot authenticate by {other:?}"))),
        })
    }

    async fn token(&self, client: &OAuth2, endpoint: &EndpointKey, by: &Fetcher<'_>) -> Result<Arc<str>, SendFailure> {
        // Held while fetching, on purpose: it is an async lock, and others should wait for this token.
        let mut kept = self.kept.lock().await;
        let now = by.clock.mono();
        if let Some(token) = kept.get(endpoint)
            && now.after(EARLY) < token.ends
        {
            return Ok(Arc::clone(&token.value));
        }
        let answer = by.fetch(client).await?;
        let value: Arc<str> = answer.access_token.into();
        let ends = now.after(Duration::from_secs(answer.expires_in.unwrap_or(USUAL_LIFE)));
        kept.insert(endpoint.clone(), Token { value: Arc::clone(&value), ends });
        Ok(value)
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
        let mut response = request.send().await.map_err(SendFailure::Network)?;
        let status = response.status();
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(SendFailure::Network)? {
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
            return Err(SendFailure::Token(format!("no token: {} answered {status}{hint}", client.token_url)));
        }
        serde_json::from_slice(&text)
            .map_err(|_| SendFailure::Token(format!("no token: the answer of {} holds none", client.token_url)))
    }
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
