//! Google Analytics' Measurement Protocol: events that back ends send for GA4.
//!
//! Google answers 2xx whatever comes, also to broken JSON and to a wrong secret, and its clients have no handling of
//! errors; so this answers 204 to those too, and counts what it dropped. What Google does not say but a sender can act
//! upon is said: 413 for what is too large, 503 when nothing can be kept. The `debug` path says what is wrong with a
//! request, checks neither id nor secret, and stores nothing.
//!
//! The message id is derived, as the protocol has none, and is a UUID (version 8) so that it may serve as a nonce:
//!
//! - of a `purchase` or `refund` with a transaction id: from the measurement id, the name and that id, as Google counts
//!   one purchase per transaction;
//! - of any other event: from the measurement id, the bytes of the body and the event's place in it. Where the body holds
//!   no time, the minute of its arrival is added: two equal `add_to_cart` an hour apart are two, and no client repeats.

mod check;
mod event;

use std::sync::Arc;

use anole_event::Timestamp;
use anole_http::Peer;
use anole_http::body::{self, Body};
use anole_http::reply;
use anole_pipeline::Intake;
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::request::Parts;
use http::{HeaderValue, Response};
use serde_json::value::RawValue;

use crate::Ingest;
use crate::answer::{Stop, with_ack};
use crate::code::{RefusalCode, Rule};
use crate::draft::Draft;
use crate::ingest::read_text;
use crate::intakes::is_equal;
use crate::json::{Elements, Object, has_lone_surrogate, is_deeper, is_object};
use crate::key::parameter;
use crate::verdict::{Refused, Verdict};
use crate::visit::Visit;

pub(crate) use check::check;

const PROTOCOL: &str = "ga4_mp";

/// The body of a request.
#[derive(Debug)]
struct Sent<'a> {
    /// Everything but the events.
    root: Object<'a>,
    /// The events, each as it was written.
    events: Elements<'a>,
}

/// What all events of a request share.
struct Around<'a> {
    intake: &'a Intake,
    measurement_id: &'a str,
    query: &'a str,
    body: &'a [u8],
    root: &'a Object<'a>,
    visit: &'a Visit<'a>,
    received_at: Timestamp,
    surrogates: bool,
    max_bytes: usize,
}

/// Answers a request.
pub(crate) async fn answer<B>(ingest: &Arc<Ingest>, parts: &Parts, body: B, peer: Peer) -> Result<Response<Body>, Stop>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let intakes = ingest.intakes();
    let query = parts.uri.query().unwrap_or_default();
    let measurement_id = parameter(query, &["measurement_id", "firebase_app_id"]).unwrap_or_default();
    let intake = intakes.by_measurement(&measurement_id).filter(|intake| has_secret(intake, query));
    let Some(intake) = intake else {
        body::drain(body).await;
        return Ok(dropped(ingest, RefusalCode::UnknownMeasurement, "the measurement id or its secret is wrong"));
    };
    if let Err(stop) = ingest.admit(&measurement_id) {
        body::drain(body).await;
        return Err(stop);
    }
    let bytes = ingest.read(parts, body).await?;
    let now = ingest.clock().now();
    let limit = ingest.options().max_events;
    let sent = match read_text(&bytes).and_then(|json| read(json, limit)) {
        Ok(sent) => sent,
        Err(stop) => {
            stop.count(ingest.telemetry(), now.wall);
            return Ok(done(ingest));
        }
    };
    if sent.events.over > 0 {
        return Err(Stop::too_many(limit + sent.events.over, limit));
    }
    let visit = Visit::of(parts, peer, ingest.trusted(), intake, &ingest.options().cookie, ingest.ids(), None);
    let around = Around {
        intake,
        measurement_id: &measurement_id,
        query,
        body: &bytes,
        root: &sent.root,
        visit: &visit,
        received_at: now.wall,
        surrogates: std::str::from_utf8(&bytes).is_ok_and(has_lone_surrogate),
        max_bytes: ingest.options().max_event_bytes,
    };
    let (mut drafts, refused) = around.drafts(&sent.events.list);
    ingest.charge(&measurement_id, parts, peer, drafts.len() + refused.len());
    ingest.count_refused(&intake.pipeline, &refused, now.wall);
    if drafts.is_empty() {
        return Ok(done(ingest));
    }
    ingest.keep(intake, PROTOCOL, &mut drafts).await?;
    let mut answer = with_ack(done(ingest), ingest.ack(now.mono));
    visit.set_cookie(&mut answer, ingest.trusted(), &ingest.options().cookie, drafts.first());
    Ok(answer)
}

fn has_secret(intake: &Intake, query: &str) -> bool {
    let secret = intake.ga4.as_ref().and_then(|ga4| ga4.api_secret.as_ref());
    let given = parameter(query, &["api_secret"]).unwrap_or_default();
    // Without a secret of its own a pipeline takes nothing here: everybody who reads its pages knows the id.
    secret.is_some_and(|secret| is_equal(secret, &given))
}

/// Counts a request that is answered as if all were well.
pub(super) fn dropped(ingest: &Ingest, code: RefusalCode, message: &'static str) -> Response<Body> {
    Stop::new(ingest.options().ga4_status, code, message).count(ingest.telemetry(), ingest.clock().now().wall);
    done(ingest)
}

pub(super) fn done(ingest: &Ingest) -> Response<Body> {
    let mut answer = reply::empty(ingest.options().ga4_status);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Takes a body apart, with at most so many events.
fn read(json: &str, most: usize) -> Result<Sent<'_>, Stop> {
    let not_json = |error: serde_json::Error| Stop::malformed(Rule::NotJson, format!("the body is not JSON: {error}"));
    let root: Object<'_> = serde_json::from_str(json).map_err(not_json)?;
    if !matches!(root, Object::Members(_)) {
        return Err(Stop::malformed(Rule::NotAnObject, "the body is no object, or has too many keys"));
    }
    let events = match root.get("events") {
        None => Elements::default(),
        // One client sends its only event without the list around it.
        Some(raw) if is_object(raw) => Elements { list: vec![raw], over: 0 },
        Some(raw) => Elements::of(raw, most)
            .ok_or_else(|| Stop::malformed(Rule::BadField, "`events` is neither an array nor an object"))?,
    };
    Ok(Sent { root, events })
}

// === impl Around ===

impl<'a> Around<'a> {
    fn drafts(&'a self, events: &[&'a RawValue]) -> (Vec<Draft<'a>>, Vec<Refused>) {
        let mut drafts = Vec::with_capacity(events.len());
        let mut refused = Vec::new();
        for (index, raw) in events.iter().copied().enumerate() {
            match self.fits(raw).and_then(|()| event::draft(self, index, raw)) {
                Ok(draft) => drafts.push(draft),
                Err(verdict) => refused.push(Refused { index, message_id: None, verdict }),
            }
        }
        (drafts, refused)
    }

    fn fits(&self, raw: &RawValue) -> Result<(), Verdict> {
        use crate::json::MAX_DEPTH;
        // What goes into each event beside its own: the root without the events themselves.
        let events = self.root.get("events").map_or(0, |events| events.get().len());
        let bytes = raw.get().len() + self.root.bytes().saturating_sub(events);
        if bytes > self.max_bytes {
            return Err(Verdict::too_large(bytes, self.max_bytes));
        }
        if self.root.members().iter().any(|member| is_deeper(member.value.get(), MAX_DEPTH - 4)) {
            return Err(Verdict::invalid(Rule::TooDeep, format!("the body nests deeper than {MAX_DEPTH} levels")));
        }
        let halved =
            |member: &crate::json::Member<'_>| member.key != "events" && has_lone_surrogate(member.value.get());
        if self.surrogates && (has_lone_surrogate(raw.get()) || self.root.members().iter().any(halved)) {
            return Err(Verdict::invalid(Rule::BadText, "a text holds half of a surrogate pair"));
        }
        Ok(())
    }
}
