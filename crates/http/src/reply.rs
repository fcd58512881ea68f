//! Answers in the house's form.
//!
//! Every error of every listener is JSON with `success:false`, a `code` for programs and a `message` for people; some
//! add a `reason` that a program can use, and how many seconds to wait. Segment's clients need the first three
//! (rudder-sdk-python takes an error without `code` and `message` for a passing one and tries again).

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use crate::body::{Body, BodyError};
use crate::connection::CutOff;

/// An error answer in the making.
#[derive(Debug)]
#[must_use]
pub struct Refusal<'a> {
    status: StatusCode,
    code: &'a str,
    message: &'a str,
    reason: Option<&'a str>,
    retry_after: Option<Duration>,
}

/// An answer of JSON.
pub fn json(status: StatusCode, bytes: impl Into<Bytes>) -> Response<Body> {
    typed(status, HeaderValue::from_static("application/json"), bytes)
}

/// An answer of this content type.
pub fn typed(status: StatusCode, content_type: HeaderValue, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::full(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// No answer at all: the connection is closed (the stream is reset on HTTP/2). For stand-ins that imitate a failing
/// server; whether the client had its request processed stays open, which is the point.
pub fn cut_off() -> Response<Body> {
    let mut answer = empty(StatusCode::SERVICE_UNAVAILABLE);
    answer.extensions_mut().insert(CutOff);
    answer
}

/// An error: `{"success":false,"code":…,"message":…}`.
pub fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    Refusal::new(status, code, message).answer()
}

/// The answer to a body that could not be read.
pub fn body_error(error: &BodyError) -> Response<Body> {
    self::error(error.status(), error.code().as_str(), &error.to_string())
}

// === impl Refusal ===

impl<'a> Refusal<'a> {
    /// An error with this status; `code` is for programs, `message` for people.
    pub const fn new(status: StatusCode, code: &'a str, message: &'a str) -> Self {
        Self { status, code, message, reason: None, retry_after: None }
    }

    /// Adds a `reason` that a program can use.
    pub const fn reason(mut self, reason: &'a str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds `Retry-After`, in whole seconds rounded up, at least 1: clients understand only that form, and take 0 for
    /// none.
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The answer.
    #[must_use]
    pub fn answer(self) -> Response<Body> {
        let mut body = Vec::with_capacity(96 + self.message.len());
        body.extend_from_slice(b"{\"success\":false,\"code\":");
        anole_event::write_json_str(&mut body, self.code);
        body.extend_from_slice(b",\"message\":");
        anole_event::write_json_str(&mut body, self.message);
        if let Some(reason) = self.reason {
            body.extend_from_slice(b",\"reason\":");
            anole_event::write_json_str(&mut body, reason);
        }
        body.push(b'}');
        let mut answer = json(self.status, body);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        answer
    }
}
