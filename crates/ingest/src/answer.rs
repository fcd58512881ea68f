//! The answers of the collection endpoint.
//!
//! Success is exactly 200 with `{"success":true}`: some clients take 202 and 204 for failures, one of them without a
//! pause between its tries, and others need JSON. A batch of which some events were refused is still a success, with a
//! verdict for each of those: an error would make the client drop or repeat the accepted ones too.

use std::borrow::Cow;
use std::time::Duration;

use anole_event::{Timestamp, write_json_str};
use anole_http::body::{Body, BodyError};
use anole_http::reply::{self, Refusal};
use anole_journal::{AppendCode, AppendError};
use anole_telemetry::{RequestRefused, TapEvent, Telemetry};
use bytes::Bytes;
use http::header::{ALLOW, HeaderName};
use http::{HeaderValue, Response, StatusCode};

use crate::code::{RefusalCode, Rule};
use crate::verdict::{Refused, Verdict};

/// Names the level of safety of what was accepted.
const X_ANOLE_ACK: HeaderName = HeaderName::from_static("x-anole-ack");

/// The answer to what was accepted whole.
pub(crate) const SUCCESS: &[u8] = b"{\"success\":true}";

/// Why a request is refused whole.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    reason: Option<&'static str>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    refused: Vec<Refused>,
}

// === impl Stop ===

impl Stop {
    /// A refusal.
    pub(crate) fn new(status: StatusCode, code: RefusalCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::coded(status, code.as_str(), message.into())
    }

    fn coded(status: StatusCode, code: &'static str, message: Cow<'static, str>) -> Self {
        Self { status, code, message, reason: None, retry_after: None, allow: None, refused: Vec::new() }
    }

    /// There is no such route.
    pub(crate) fn not_found() -> Self {
        let message = "there is nothing here: events go to /v1/track, /v1/batch and the other paths of Segment's API, \
                       or to /mp/collect";
        Self::new(StatusCode::NOT_FOUND, RefusalCode::NotFound, message)
    }

    /// The route has other methods.
    pub(crate) fn wrong_method(allow: &'static str) -> Self {
        let message = format!("this path takes {allow}");
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, RefusalCode::MethodNotAllowed, message) }
    }

    /// The write key is nobody's.
    pub(crate) fn unknown_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, RefusalCode::InvalidWriteKey, "unknown write key: no pipeline has it")
            .reason(Rule::UnknownKey)
    }

    /// There is no write key.
    pub(crate) fn no_key() -> Self {
        let message = "no write key: send it as X-Write-Key, as the user of basic authentication, as ?writeKey=, or as \
                       writeKey in the body";
        Self::new(StatusCode::UNAUTHORIZED, RefusalCode::InvalidWriteKey, message).reason(Rule::NoKey)
    }

    /// The write key is not for pages of this origin.
    pub(crate) fn wrong_origin(origin: &str) -> Self {
        let shown: String = origin.chars().take(200).collect();
        let message = format!("this write key is not for pages of {shown}: add the origin to the key in the pipeline");
        Self::new(StatusCode::FORBIDDEN, RefusalCode::OriginNotAllowed, message).reason(Rule::Origin)
    }

    /// A request that must be signed is not, or not rightly.
    pub(crate) fn unsigned(reason: Rule, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, RefusalCode::InvalidSignature, message).reason(reason)
    }

    /// More is sent than one key or one address may.
    pub(crate) fn too_fast(reason: Rule, wait: Duration) -> Self {
        let whose = if reason == Rule::KeyRate { "this key" } else { "this address" };
        let message = format!("more events come with {whose} than `collect.rate_limit` allows: slow down");
        let stop = Self::new(StatusCode::TOO_MANY_REQUESTS, RefusalCode::RateLimited, message).reason(reason);
        Self { retry_after: Some(wait), ..stop }
    }

    /// The body is not what it should be.
    pub(crate) fn malformed(reason: Rule, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, RefusalCode::InvalidBody, message).reason(reason)
    }

    /// There are more events than may be.
    pub(crate) fn too_many(events: usize, limit: usize) -> Self {
        let message = format!("the batch has {events} events, the limit is {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, RefusalCode::TooManyEvents, message).reason(Rule::TooManyEvents)
    }

    /// The body could not be read.
    pub(crate) fn body(error: &BodyError) -> Self {
        let code = error.code().as_str();
        Self { reason: Some(code), ..Self::coded(error.status(), code, error.to_string().into()) }
    }

    /// The only event was refused.
    pub(crate) fn event(verdict: Verdict) -> Self {
        let large = verdict.code == RefusalCode::EventTooLarge;
        let status = if large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST };
        Self::new(status, verdict.code, verdict.message).reason(verdict.reason)
    }

    /// All events of a batch were refused.
    pub(crate) fn events(refused: Vec<Refused>) -> Self {
        let first = refused.first().map(|first| format!("; the first: {}", first.verdict.message)).unwrap_or_default();
        let message = match refused.len() {
            1 => format!("the only event was refused{first}"),
            all => format!("all {all} events were refused{first}"),
        };
        let reason = refused.first().map(|first| first.verdict.reason.as_str());
        Self { refused, reason, ..Self::new(StatusCode::BAD_REQUEST, RefusalCode::InvalidEvent, message) }
    }

    /// The journal did not take it.
    pub(crate) fn journal(error: &AppendError) -> Self {
        if error.code() == AppendCode::TooLarge {
            // The only failure that trying again cannot mend.
            let message = "the events of the request are together larger than the journal takes at once";
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, RefusalCode::TooLarge, message)
                .reason(Rule::JournalTooLarge);
        }
        let (code, message): (_, Cow<'static, str>) = match error {
            AppendError::Full { .. } => {
                (RefusalCode::JournalFull, "the journal is full: nothing is accepted until it has room".into())
            }
            AppendError::NoRoom { .. } => {
                (RefusalCode::JournalFull, "the disk is nearly full: nothing is accepted until it has room".into())
            }
            AppendError::Busy { .. } => {
                (RefusalCode::JournalBusy, "more events come than can be written: slow down".into())
            }
            AppendError::Failed { .. } => (RefusalCode::JournalFailed, "the journal cannot be written".into()),
            AppendError::Closed => (RefusalCode::ShuttingDown, "the server is shutting down".into()),
        };
        let stop = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        Self { reason: Some(error.code().as_str()), retry_after: Some(error.retry_after()), ..stop }
    }

    /// Another request was bringing the same events, and failed.
    pub(crate) fn original_failed() -> Self {
        let message = "these events were just being written for another request, which failed: send them again";
        let stop = Self::new(StatusCode::SERVICE_UNAVAILABLE, RefusalCode::JournalFailed, message)
            .reason(Rule::OriginalFailed);
        Self { retry_after: Some(Duration::from_secs(1)), ..stop }
    }

    /// There are no settings for a key that nobody has.
    pub(crate) fn no_settings() -> Self {
        Self::new(StatusCode::NOT_FOUND, RefusalCode::InvalidWriteKey, "unknown write key: no pipeline has it")
            .reason(Rule::UnknownKey)
    }

    /// It is not ready.
    pub(crate) fn not_ready(reason: &'static str) -> Self {
        let message = format!("not ready: {reason}");
        let stop = Self::new(StatusCode::SERVICE_UNAVAILABLE, RefusalCode::NotReady, message);
        Self { reason: Some(reason), retry_after: Some(Duration::from_secs(1)), ..stop }
    }

    /// Adds a word that a program can use.
    pub(crate) const fn reason(mut self, reason: Rule) -> Self {
        self.reason = Some(reason.as_str());
        self
    }

    /// Whether it is not the request's fault, so that the same one may be taken a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// What a person reads.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Counts it, and tells it to who watches. Each event of one whose events were refused has been told by itself.
    pub(crate) fn count(&self, telemetry: &Telemetry, at: Timestamp) {
        telemetry.emit(RequestRefused { status: self.status.as_u16(), code: self.code });
        if ![RefusalCode::InvalidEvent.as_str(), RefusalCode::EventTooLarge.as_str()].contains(&self.code) {
            let (code, reason) = (self.code, self.reason);
            telemetry.tap().tell(|| TapEvent::Rejected {
                at,
                pipeline: None,
                message_id: None,
                code,
                reason,
                message: (*self.message).into(),
            });
        }
    }

    /// The answer, counted.
    pub(crate) fn answer(&self, telemetry: &Telemetry, at: Timestamp) -> Response<Body> {
        self.count(telemetry, at);
        let mut refusal = Refusal::new(self.status, self.code, &self.message);
        if let Some(reason) = self.reason {
            refusal = refusal.reason(reason);
        }
        if let Some(after) = self.retry_after {
            refusal = refusal.retry_after(after);
        }
        let mut answer = refusal.answer();
        if let Some(allow) = self.allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        }
        if !self.refused.is_empty() {
            let mut body = Vec::with_capacity(256 + 128 * self.refused.len());
            body.extend_from_slice(b"{\"success\":false,\"code\":");
            write_json_str(&mut body, self.code);
            body.extend_from_slice(b",\"message\":");
            write_json_str(&mut body, &self.message);
            if let Some(reason) = self.reason {
                body.extend_from_slice(b",\"reason\":");
                write_json_str(&mut body, reason);
            }
            verdicts(&mut body, &self.refused);
            body.push(b'}');
            *answer.body_mut() = Body::full(body);
        }
        answer
    }
}

/// The answer to what is safe at the level `ack`; `refused` are those events that are not.
pub(crate) fn accepted(ack: &'static str, refused: &[Refused]) -> Response<Body> {
    let body = if refused.is_empty() {
        Bytes::from_static(SUCCESS)
    } else {
        let mut body = Vec::with_capacity(32 + 128 * refused.len());
        body.extend_from_slice(b"{\"success\":true");
        verdicts(&mut body, refused);
        body.push(b'}');
        Bytes::from(body)
    };
    with_ack(reply::json(StatusCode::OK, body), ack)
}

/// Says how safe it is.
pub(crate) fn with_ack(mut answer: Response<Body>, ack: &'static str) -> Response<Body> {
    answer.headers_mut().insert(X_ANOLE_ACK, HeaderValue::from_static(ack));
    answer
}

fn verdicts(out: &mut Vec<u8>, refused: &[Refused]) {
    out.extend_from_slice(b",\"verdicts\":[");
    for (at, Refused { index, message_id, verdict }) in refused.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"index\":");
        out.extend_from_slice(index.to_string().as_bytes());
        if let Some(message_id) = message_id {
            out.extend_from_slice(b",\"message_id\":");
            write_json_str(out, message_id);
        }
        for (key, value) in
            [("code", verdict.code.as_str()), ("message", &*verdict.message), ("reason", verdict.reason.as_str())]
        {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            write_json_str(out, value);
        }
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_name_each_refused_event() {
        let refused = [
            Refused {
                index: 1,
                message_id: Some("m\"1".into()),
                verdict: Verdict::invalid(Rule::NoIdentity, "send an id"),
            },
            Refused { index: 4, message_id: None, verdict: Verdict::too_large(9, 5) },
        ];
        let mut out = Vec::new();
        verdicts(&mut out, &refused);
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            concat!(
                r#","verdicts":[{"index":1,"message_id":"m\"1","code":"invalid_event","message":"send an id","#,
                r#""reason":"no_identity"},{"index":4,"code":"event_too_large","#,
                r#""message":"the event has 9 bytes, the limit is 5 bytes","reason":"too_large"}]"#
            )
        );
    }
}
