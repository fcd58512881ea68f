//! Events of a back end that signs them (`/v1/events`): one event in Segment's form, or a batch.
//!
//! A write key in a page is everybody's; a signature shows that the sender has a secret that never leaves back ends, and
//! that nothing was changed on the way. The sender computes HMAC-SHA256 over the time, a dot, and the body as it is sent
//! (compressed, when it is), with the secret as key:
//!
//! ```text
//! X-Write-Key: <the pipeline's write key>
//! X-Timestamp: <Unix time in milliseconds>
//! X-Signature: sha256=<hex of HMAC-SHA256(secret, "<X-Timestamp>.<body>")>
//! ```
//!
//! The time may be five minutes off: who records a request cannot send it again later. Within these a repetition is
//! recognised by its message id, as everywhere, so it should have one. Where a pipeline has several secrets, any of them
//! is good: so one can follow another without a gap.

use std::sync::Arc;
use std::time::Duration;

use anole_event::Timestamp;
use anole_http::Peer;
use anole_http::body::{self, Body};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Response};
use sha2::Sha256;

use super::segment::{self, Brought, allowed};
use crate::Ingest;
use crate::answer::Stop;
use crate::client::text;
use crate::code::Rule;
use crate::ingest::read_text;
use crate::key::{ByHead, by_head};

const PROTOCOL: &str = "signed";
const X_TIMESTAMP: HeaderName = HeaderName::from_static("x-timestamp");
const X_SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

/// How far the sender's clock may be off, either way.
const MOST_SKEW: Duration = Duration::from_secs(5 * 60);

/// Answers a request.
pub(crate) async fn answer<B>(ingest: &Arc<Ingest>, parts: &Parts, body: B, peer: Peer) -> Result<Response<Body>, Stop>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let intakes = ingest.intakes();
    let origin = text(parts.headers.get(ORIGIN));
    let known = match by_head(&intakes, parts) {
        ByHead::Known(keyed) if keyed.intake.signing.is_empty() => Err(Stop::unsigned(
            Rule::NoSecret,
            "the pipeline has no secret for signatures: add `signing` to it, or send to /v1/batch",
        )),
        ByHead::Known(keyed) => allowed(keyed, origin).and_then(|keyed| ingest.admit(keyed.key()).map(|()| keyed)),
        ByHead::Unknown => Err(Stop::unknown_key()),
        ByHead::Nothing => Err(Stop::no_key()),
    };
    let keyed = match known {
        Ok(keyed) => keyed,
        Err(stop) => {
            body::drain(body).await;
            return Err(stop);
        }
    };
    let raw = ingest.read_raw(body).await?;
    let now = ingest.clock().now();
    let claim = Claim::of(&parts.headers, now.wall)?;
    if !keyed.intake.signing.iter().any(|secret| claim.holds(secret.reveal(), &raw)) {
        let message = "the signature is not that of this body, with this time, by a secret of the pipeline: it is the hex of \
                       HMAC-SHA256 over X-Timestamp, a dot, and the body as it is sent";
        return Err(Stop::unsigned(Rule::WrongSignature, message));
    }
    let bytes = ingest.decode(parts, raw).await?;
    let json = read_text(&bytes)?;
    let (batch, surrogates) = match segment::many(json, ingest.options().max_events) {
        Ok((batch, surrogates)) if batch.items.is_some() => (batch, surrogates),
        _ => segment::one(json)?,
    };
    let brought = Brought { protocol: PROTOCOL, single: None, batch: &batch, surrogates, now };
    segment::take(ingest, keyed, brought, parts, peer).await
}

/// What a request says of itself.
struct Claim<'a> {
    /// The time, as it was written: it is part of what is signed.
    time: &'a str,
    signature: Vec<u8>,
}

// === impl Claim ===

impl<'a> Claim<'a> {
    fn of(headers: &'a HeaderMap, now: Timestamp) -> Result<Self, Stop> {
        let missing =
            |name: &str, what: &str| Stop::unsigned(Rule::NoSignature, format!("{name} is missing or is not {what}"));
        let time = text(headers.get(X_TIMESTAMP)).map(str::trim).unwrap_or_default();
        let millis = time.parse::<i64>().ok().filter(|millis| *millis > 0);
        let millis = millis.ok_or_else(|| missing("X-Timestamp", "Unix time in milliseconds"))?;
        let signature = text(headers.get(X_SIGNATURE)).and_then(|it| bytes_of(it.trim().strip_prefix("sha256=")?));
        let signature = signature.ok_or_else(|| missing("X-Signature", "sha256= and 64 hex digits"))?;
        let skew = now.millis().saturating_sub(millis).unsigned_abs();
        if Duration::from_millis(skew) > MOST_SKEW {
            let message = format!(
                "X-Timestamp is {} s off, five minutes are the most: sign anew each time that it is sent, and set the clock",
                skew / 1000
            );
            return Err(Stop::unsigned(Rule::StaleTimestamp, message));
        }
        Ok(Self { time, signature })
    }

    /// Whether this secret made it. Compared in constant time.
    fn holds(&self, secret: &str, body: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
        mac.update(self.time.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac.verify_slice(&self.signature).is_ok()
    }
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}
