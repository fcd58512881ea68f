//! Asking vendors what `anole check --remote` wants to know. What is asked, and what an answer means, is in the blueprint.
//!
//! Requests go by the same rules as those of delivery: the guard, the proxy and the certificates of `delivery`, no
//! redirects. They are made one after the other and each once: a check is run by a person or by CI, who can run it again.

use std::sync::Arc;
use std::time::Duration;

use anole_config::{Problem, RemoteAnswer, RemoteCheck, Settings};
use anole_delivery::{Guard, USER_AGENT};
use anole_pipeline::{Auth, OAuth2};
use serde::Deserialize;

use crate::failure::Failure;

/// How long one request may take: a person waits.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer is read up to here. Lists of what an account has are long.
const MOST: usize = 8 << 20;

/// The client and the rule of where it may go.
struct Asker {
    http: reqwest::Client,
    guard: Guard,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Asks all that can be asked.
pub(crate) async fn ask(settings: &Settings, checks: &[RemoteCheck]) -> Result<Vec<Problem>, Failure> {
    let asker = Asker::new(settings)?;
    let mut problems = Vec::new();
    for check in checks {
        let answer = asker.answer(check).await;
        let found = match &answer {
            Ok((status, body)) => check.judge(RemoteAnswer::Answered(*status, body)),
            Err(why) => check.judge(RemoteAnswer::Failed(why)),
        };
        problems.extend(found);
    }
    Ok(problems)
}

// === impl Asker ===

impl Asker {
    fn new(settings: &Settings) -> Result<Self, Failure> {
        // An error means that a provider is installed already.
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let guard = Guard::new(settings.delivery.allow_private_addresses);
        let mut builder = reqwest::Client::builder().no_proxy();
        if let Some(proxy) = &settings.delivery.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(Failure::of)?);
        }
        if let Some(file) = &settings.delivery.ca_file {
            let pem = std::fs::read(file).map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
            builder = builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(&pem).map_err(Failure::of)?);
        }
        let http = builder
            .user_agent(USER_AGENT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(guard))
            .build()
            .map_err(Failure::of)?;
        Ok(Self { http, guard })
    }

    async fn answer(&self, check: &RemoteCheck) -> Result<(u16, Vec<u8>), String> {
        let address = check.address();
        let url = self.guard.check(&address.url, &address.masked_url).map_err(|error| error.to_string())?;
        let mut request = self.http.get(url);
        // What is got has no body, and so no type of one.
        for (name, value) in address.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
            request = request.header(&**name, &**value);
        }
        let request = match check.auth() {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user.reveal(), Some(password.reveal())),
            Auth::Bearer(key) => request.bearer_auth(key.reveal()),
            Auth::Header { name, value } => request.header(&**name, value.reveal()),
            Auth::OAuth2(client) => match self.token(client).await? {
                Ok(token) => request.bearer_auth(token),
                Err(status) => return Ok((status, Vec::new())),
            },
            other => return Err(format!("this version cannot authenticate a check by {other:?}")),
        };
        exchange(request).await
    }

    /// A token, or the status with which it was refused.
    async fn token(&self, client: &OAuth2) -> Result<Result<String, u16>, String> {
        let url = self.guard.check(&client.token_url, &client.token_url).map_err(|error| error.to_string())?;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client.client_id.reveal())
            .append_pair("client_secret", client.client_secret.reveal());
        if let Some(scope) = &client.scope {
            form.append_pair("scope", scope);
        }
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        match exchange(request.body(form.finish())).await? {
            // Credentials that are wrong are answered so by RFC 6749.
            (400 | 401 | 403, _) => Ok(Err(401)),
            (200..=299, body) => match serde_json::from_slice::<Token>(&body) {
                Ok(token) => Ok(Ok(token.access_token)),
                Err(_) => Err(format!("the answer of {} holds no token", client.token_url)),
            },
            (status, _) => Err(format!("no token: {} answered {status}", client.token_url)),
        }
    }
}

/// Status and bounded body. An error is told without the address, which may hold a secret.
async fn exchange(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), String> {
    let mut response = request.send().await.map_err(told)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(told)? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            return Err(format!("its answer is larger than {MOST} bytes"));
        }
    }
    Ok((status, body))
}

fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
