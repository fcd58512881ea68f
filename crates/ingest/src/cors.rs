//! What lets scripts of other origins call us and read the answer.
//!
//! The origin is echoed rather than `*`, because requests carry cookies and a browser takes no `*` with those. Every
//! answer has it, errors above all: a page's developer who cannot read "this origin is not allowed" sees nothing but
//! "CORS error". Whether an origin may *send* is decided by the write key, not here: a preflight does not carry the key.

use anole_http::body::Body;
use anole_http::reply;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, VARY,
};
use http::{HeaderValue, Response, StatusCode};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");

/// The headers that clients of the protocols here send.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, content-encoding, x-retry-count, x-write-key, x-enable-debug, x-ip-policy, \
     x-jitsu-custom, cache-control",
);

/// What a script may read beside the body.
const READABLE: HeaderValue = HeaderValue::from_static("x-anole-ack, x-anole-visitor, retry-after");

/// Lets the origin that asked read this answer.
pub(crate) fn allow(origin: Option<HeaderValue>, answer: &mut Response<Body>) {
    let Some(origin) = origin else { return };
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READABLE);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// The answer to `OPTIONS`, of a browser before it sends or of anybody else.
pub(crate) fn options() -> Response<Body> {
    let mut answer = reply::empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}
