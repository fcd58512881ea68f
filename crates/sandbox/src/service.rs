//! Which request goes where.

use std::sync::Arc;

use anole_http::body::{self, Body, Incoming, Limits};
use anole_http::{Peer, reply};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::fault::{On, Question};
use crate::inner::Inner;
use crate::{control, receive};

/// The page runs its own script and talks to its own side door, and nothing else: what arrived is shown as text, and
/// should it ever slip through as markup, it may do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");

pub(crate) async fn answer(inner: Arc<Inner>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (_, "/visit/events") => receive::receive(&inner, request, peer).await,
        (&Method::POST, "/oauth/token") => token(&inner, request, peer).await,
        (&Method::GET, "/") => page(PAGE, "text/html; charset=utf-8"),
        (&Method::GET, "/_sandbox/page.js") => page(SCRIPT, "text/javascript; charset=utf-8"),
        (&Method::GET, "/_sandbox/page.css") => page(STYLE, "text/css; charset=utf-8"),
        (_, path) if path.starts_with("/_sandbox/") => control::answer(&inner, request).await,
        _ => {
            body::drain(request.into_body()).await;
            let text = "the sandbox knows /visit/events, /oauth/token, /_sandbox/ and its page at /";
            reply::error(StatusCode::NOT_FOUND, "not_found", text)
        }
    }
}

async fn token(inner: &Inner, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let form = match body::read(body, &Limits::of(64 << 10)).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return reply::body_error(&error),
    };
    let plan = {
        let caller = peer.address.ip().to_string();
        let question = Question { on: On::Token, site: None, caller: &caller, marks: &Vec::new };
        inner.state().faults.plan(&question, &*inner.clock)
    };
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    if let Some(end) = plan.end {
        return receive::strike(inner, &end).await;
    }
    let basic = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| value.strip_prefix("Basic "));
    let (issued, life) = {
        let mut state = inner.state();
        let issued = state.tokens.issue(&form, basic, inner.clock.wall());
        if issued.is_ok() {
            state.store.count_token();
        }
        (issued, state.tokens.life())
    };
    inner.tell_changed();
    let (status, body) = match issued {
        Ok(token) => (
            StatusCode::OK,
            serde_json::json!({"access_token": token, "token_type": "bearer", "expires_in": life.as_secs()}),
        ),
        Err(denied) => {
            let status = match denied.code {
                "invalid_client" => StatusCode::UNAUTHORIZED,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, serde_json::json!({"error": denied.code, "error_description": denied.text}))
        }
    };
    let mut answer = reply::json(status, body.to_string());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    }
    answer
}

fn page(text: &'static str, content_type: &'static str) -> Response<Body> {
    let mut answer = reply::typed(StatusCode::OK, HeaderValue::from_static(content_type), text);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}
