//! Segment's HTTP API: single calls and batches.

use std::sync::Arc;

use anole_event::{EventType, Now};
use anole_http::Peer;
use anole_http::body::{self, Body};
use bytes::Bytes;
use http::header::ORIGIN;
use http::request::Parts;
use http::{Response, StatusCode};

use crate::Ingest;
use crate::answer::{self, Stop};
use crate::client::text;
use crate::code::{RefusalCode, Rule};
use crate::draft::{Around, Draft, draft, message_id};
use crate::envelope::{Batch, Envelope, Field, Item, read_batch};
use crate::ingest::read_text;
use crate::intakes::{Intakes, Keyed};
use crate::json::{Object, Text, has_lone_surrogate};
use crate::key::{ByHead, by_head};
use crate::salvage;
use crate::skew::Moment;
use crate::verdict::{Refused, Verdict};
use crate::visit::Visit;

pub(crate) const PROTOCOL: &str = "segment";

/// What a request brings, once its body is read and it is known whose it is.
pub(crate) struct Brought<'a> {
    /// The protocol.
    pub(crate) protocol: &'static str,
    /// The type of its only event, where the path says it.
    pub(crate) single: Option<EventType>,
    /// Its events.
    pub(crate) batch: &'a Batch<'a>,
    /// Whether half of a surrogate pair stands somewhere in it.
    pub(crate) surrogates: bool,
    /// When its body ended.
    pub(crate) now: Now,
}

/// Answers a single call of this type, or a batch.
pub(crate) async fn answer<B>(
    ingest: &Arc<Ingest>,
    protocol: &'static str,
    single: Option<EventType>,
    parts: &Parts,
    body: B,
    peer: Peer,
) -> Result<Response<Body>, Stop>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let intakes = ingest.intakes();
    let origin = text(parts.headers.get(ORIGIN));
    let early = match by_head(&intakes, parts) {
        ByHead::Known(keyed) => allowed(keyed, origin).map(Some),
        ByHead::Unknown => Err(Stop::unknown_key()),
        ByHead::Nothing => Ok(None),
    };
    let early = early.and_then(|early| {
        let admitted = early.map_or(Ok(()), |keyed| ingest.admit(keyed.key()));
        admitted.map(|()| early)
    });
    let early = match early {
        Ok(early) => early,
        Err(stop) => {
            body::drain(body).await;
            return Err(stop);
        }
    };
    let bytes = ingest.read(parts, body).await?;
    let now = ingest.clock().now();
    let salvaged;
    let (batch, surrogates) = match (single, read_text(&bytes)) {
        (Some(_), json) => one(json?)?,
        (None, json) => match json.and_then(|json| many(json, ingest.options().max_events)) {
            Ok(read) => read,
            Err(stop) => {
                salvaged = salvage::split(&bytes).ok_or_else(|| stop.clone())?;
                (salvaged.batch(ingest.options().max_events).map_err(|_| stop)?, true)
            }
        },
    };
    let keyed = match early {
        Some(keyed) => keyed,
        None => {
            let keyed = allowed(by_body(&intakes, &batch)?, origin)?;
            ingest.admit(keyed.key())?;
            keyed
        }
    };
    let brought = Brought { protocol, single, batch: &batch, surrogates, now };
    take(ingest, keyed, brought, parts, peer).await
}

/// Takes what a request brings.
pub(crate) async fn take(
    ingest: &Arc<Ingest>,
    keyed: &Keyed,
    brought: Brought<'_>,
    parts: &Parts,
    peer: Peer,
) -> Result<Response<Body>, Stop> {
    let Brought { protocol, single, batch, now, .. } = brought;
    let (intake, robots) = (&keyed.intake, Some(ingest.robots()));
    let visit = Visit::of(parts, peer, ingest.trusted(), intake, &ingest.options().cookie, ingest.ids(), robots);
    let around = around(ingest, keyed, &brought, &visit)?;
    let (mut drafts, refused) = drafts(ingest, single, batch, &around)?;
    ingest.charge(keyed.key(), parts, peer, drafts.len() + refused.len());
    ingest.count_refused(&intake.pipeline, &refused, now.wall);
    if drafts.is_empty() && !refused.is_empty() {
        return Err(match single {
            Some(_) => refused.into_iter().next().map_or_else(Stop::not_found, |first| Stop::event(first.verdict)),
            None => Stop::events(refused),
        });
    }
    if ingest.turns_away(intake, visit.bot, drafts.len()) {
        return Ok(answer::accepted(ingest.ack(now.mono), &refused));
    }
    ingest.keep(intake, protocol, &mut drafts).await?;
    let mut answer = answer::accepted(ingest.ack(now.mono), &refused);
    visit.set_cookie(&mut answer, ingest.trusted(), &ingest.options().cookie, drafts.first());
    Ok(answer)
}

/// The body of a single call, as a batch of one: its root is the event.
pub(crate) fn one(json: &str) -> Result<(Batch<'_>, bool), Stop> {
    let event: Envelope<'_> = serde_json::from_str(json).map_err(|error| not_json(&error))?;
    let root = event.only(Field::WriteKey);
    Ok((Batch { root, items: Some(vec![Item::Event(Box::new(event))]), over: 0 }, has_lone_surrogate(json)))
}

/// The body of a batch, and whether half of a surrogate pair stands somewhere in it.
pub(crate) fn many(json: &str, most: usize) -> Result<(Batch<'_>, bool), Stop> {
    let batch = read_batch(json, most).map_err(|error| not_json(&error))?;
    Ok((batch, has_lone_surrogate(json)))
}

fn not_json(error: &serde_json::Error) -> Stop {
    let (reason, what) = if error.is_data() {
        (Rule::NotAnEvent, "the body is not what is sent here")
    } else {
        (Rule::NotJson, "the body is not JSON")
    };
    Stop::malformed(reason, format!("{what}: {error}"))
}

pub(crate) fn allowed<'i>(keyed: &'i Keyed, origin: Option<&str>) -> Result<&'i Keyed, Stop> {
    if keyed.allows(origin) { Ok(keyed) } else { Err(Stop::wrong_origin(origin.unwrap_or_default())) }
}

/// The key in the root of the body, else in its first event.
pub(crate) fn by_body<'i>(intakes: &'i Intakes, batch: &Batch<'_>) -> Result<&'i Keyed, Stop> {
    let of_event = || match batch.items.as_deref().and_then(<[_]>::first) {
        Some(Item::Event(event)) => event.get(Field::WriteKey),
        Some(Item::NotObject | Item::NotJson(_)) | None => None,
    };
    let key = batch.root.get(Field::WriteKey).or_else(of_event).and_then(|raw| Text::of(raw).ok());
    let key = key.ok_or_else(Stop::no_key)?;
    intakes.by_key(&key).ok_or_else(Stop::unknown_key)
}

fn around<'a>(
    ingest: &Ingest,
    keyed: &'a Keyed,
    brought: &Brought<'a>,
    visit: &'a Visit<'a>,
) -> Result<Around<'a>, Stop> {
    let root = &brought.batch.root;
    if matches!(root.context, Object::Wrong | Object::TooMany) {
        return Err(Stop::malformed(Rule::BadField, "`context` of the batch is no object, or has too many keys"));
    }
    Ok(Around {
        pipeline: &keyed.intake.pipeline,
        protocol: brought.protocol,
        received_at: brought.now.wall,
        sent_at: Moment::of(root.get(Field::SentAt)),
        context: root.context.clone(),
        integrations: root.get(Field::Integrations),
        seen: visit.seen,
        cookies: &visit.cookies,
        consent: visit.asked.as_ref(),
        visitor: visit.visitor.as_deref(),
        made: visit.made.as_deref(),
        fresh: visit.new_visitor.as_deref(),
        translate: keyed.intake.translate,
        max_bytes: ingest.options().max_event_bytes,
        surrogates: brought.surrogates,
    })
}

fn drafts<'a>(
    ingest: &Ingest,
    single: Option<EventType>,
    batch: &'a Batch<'a>,
    around: &'a Around<'a>,
) -> Result<(Vec<Draft<'a>>, Vec<Refused>), Stop> {
    let limit = ingest.options().max_events;
    if batch.over > 0 {
        return Err(Stop::too_many(limit + batch.over, limit));
    }
    let Some(items) = &batch.items else {
        let message = "there is no `batch`, the array of events: a single event goes to /v1/track and its like";
        return Err(Stop::new(StatusCode::BAD_REQUEST, RefusalCode::InvalidBody, message).reason(Rule::NoBatch));
    };
    let mut drafts = Vec::with_capacity(items.len());
    let mut refused = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let verdict = match item {
            Item::Event(envelope) => match draft(single, envelope, around, ingest.ids()) {
                Ok(draft) => {
                    drafts.push(draft);
                    continue;
                }
                Err(verdict) => verdict,
            },
            Item::NotObject => Verdict::invalid(Rule::NotAnEvent, "an event is an object: this is none"),
            Item::NotJson(error) => Verdict::invalid(Rule::NotJson, format!("the event is not JSON: {error}")),
        };
        refused.push(Refused { index, message_id: readable_id(item), verdict });
    }
    Ok((drafts, refused))
}

fn readable_id(item: &Item<'_>) -> Option<String> {
    match item {
        Item::Event(envelope) => message_id(envelope).ok().flatten().map(std::borrow::Cow::into_owned),
        Item::NotObject | Item::NotJson(_) => None,
    }
}
