//! GA4's tag in pages: gtag.js, Google Tag Manager, and their clones (`/g/collect`, `/ag/g/c`).
//!
//! A request is a GET or a POST with everything in the address, or a POST with a line for each event; the content type says
//! nothing. No client reads the answer or sends again, so the answer is 204 whatever becomes of the events, and what was
//! refused is counted and told in the live tail. What a proxy in front could act upon is said: 413, 429, 503.
//!
//! A measurement id is public and there is no secret, so anybody can send here: `ga4.origins` of the pipeline keeps out
//! pages of other sites, and limits per address those who only claim to be a page.
//!
//! # Consent that comes later
//!
//! After a visitor has agreed, gtag's server mode sends page views and key events again (`gcu=1`). Such a hit tells of
//! consent and is no new event: one purchase came three times that way. It is therefore dropped as a duplicate, but for
//! one case: where the pipeline asks for consent and the page says that everything was denied before, the first sending
//! went nowhere, and the visitor would be missed if this one were dropped as well. Then it is taken, once for each event.
//!
//! Facts are those of `reference: GA4 web wire format`.

mod event;
mod hit;
mod items;
mod personal;

use std::sync::Arc;

use anole_event::{Reason, Timestamp};
use anole_http::Peer;
use anole_http::body::{self, Body};
use anole_pipeline::Intake;
use anole_telemetry::EventsRefused;
use bytes::Bytes;
use http::Response;
use http::header::ORIGIN;
use http::request::Parts;

use self::hit::{Hit, hits};
use super::measurement::{done, dropped};
use crate::Ingest;
use crate::answer::{Stop, with_ack};
use crate::client::text;
use crate::code::RefusalCode;
use crate::draft::Draft;
use crate::ga4;
use crate::intakes::allows;
use crate::key::parameter;
use crate::verdict::{Refused, Verdict};
use crate::visit::Visit;

const PROTOCOL: &str = "ga4_web";

/// The most lines of a request: gtag sends 20. Each inherits the whole address.
const MAX_LINES: usize = 100;

/// What all events of a request share.
struct Around<'a> {
    intake: &'a Intake,
    measurement_id: &'a str,
    visit: &'a Visit<'a>,
    received_at: Timestamp,
    max_bytes: usize,
}

/// Answers a request.
pub(crate) async fn answer<B>(ingest: &Arc<Ingest>, parts: &Parts, body: B, peer: Peer) -> Result<Response<Body>, Stop>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let intakes = ingest.intakes();
    let query = parts.uri.query().unwrap_or_default();
    let measurement_id = parameter(query, &["tid"]).unwrap_or_default();
    let version = parameter(query, &["v"]).unwrap_or_default();
    let intake = match intakes.by_measurement(&measurement_id) {
        Some(intake) if version == "2" => intake,
        known => {
            body::drain(body).await;
            let (code, message) = match known {
                Some(_) => (RefusalCode::UnknownVersion, "`v` is not 2: this is no request of GA4"),
                None => (RefusalCode::UnknownMeasurement, "no pipeline has the measurement id of `tid`"),
            };
            return Ok(dropped(ingest, code, message));
        }
    };
    let origins = intake.ga4.as_ref().map(|ga4| ga4.origins.as_slice()).unwrap_or_default();
    if !allows(origins, text(parts.headers.get(ORIGIN))) {
        body::drain(body).await;
        return Ok(dropped(
            ingest,
            RefusalCode::OriginNotAllowed,
            "the page's origin is not in `ga4.origins` of the pipeline",
        ));
    }
    if let Err(stop) = ingest.admit(&measurement_id) {
        body::drain(body).await;
        return Err(stop);
    }
    let bytes = ingest.read(parts, body).await?;
    let now = ingest.clock().now();
    let lines = String::from_utf8_lossy(&bytes);
    let hits = hits(query, &lines);
    if hits.len() > MAX_LINES {
        return Err(Stop::too_many(hits.len(), MAX_LINES));
    }
    let robots = Some(ingest.robots());
    let visit = Visit::of(parts, peer, ingest.trusted(), intake, &ingest.options().cookie, ingest.ids(), robots);
    let around = Around {
        intake,
        measurement_id: &measurement_id,
        visit: &visit,
        received_at: now.wall,
        max_bytes: ingest.options().max_event_bytes,
    };
    let (mut drafts, refused, again) = around.drafts(&hits);
    ingest.charge(&measurement_id, parts, peer, hits.len());
    ingest.count_refused(&intake.pipeline, &refused, now.wall);
    if again > 0 {
        let (pipeline, reason) = (&*intake.pipeline, Reason::SeenBefore);
        ingest.telemetry().emit(EventsRefused { pipeline, reason, events: again });
    }
    if drafts.is_empty() || ingest.turns_away(intake, visit.bot, drafts.len()) {
        return Ok(done(ingest));
    }
    ingest.keep(intake, PROTOCOL, &mut drafts).await?;
    let mut answer = with_ack(done(ingest), ingest.ack(now.mono));
    visit.set_cookie(&mut answer, ingest.trusted(), &ingest.options().cookie, drafts.first());
    Ok(answer)
}

// === impl Around ===

impl<'a> Around<'a> {
    /// The events of a request, what was refused of them, and how many were only told again.
    fn drafts(&'a self, hits: &[Hit<'_>]) -> (Vec<Draft<'a>>, Vec<Refused>, u64) {
        let (mut drafts, mut refused, mut again) = (Vec::with_capacity(hits.len()), Vec::new(), 0);
        for (index, hit) in hits.iter().enumerate() {
            let resent = hit.get("gcu") == Some("1");
            if resent && !self.is_missed(hit) {
                again += 1;
                continue;
            }
            let fits = if hit.bytes() > self.max_bytes {
                Err(Verdict::too_large(hit.bytes(), self.max_bytes))
            } else {
                event::draft(self, index, hit)
            };
            match fits {
                Ok(draft) => drafts.push(draft),
                Err(verdict) => refused.push(Refused { index, message_id: None, verdict }),
            }
        }
        (drafts, refused, again)
    }

    /// Whether the first sending of what is sent again went nowhere, as all was denied then.
    fn is_missed(&self, hit: &Hit<'_>) -> bool {
        self.visit.asked.is_some() && ga4::was_denied(hit.get("gcd"))
    }
}
