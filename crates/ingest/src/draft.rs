//! From what a Segment client sent to the canonical event, or to the reason why it is none.
//!
//! Limits, beside the byte limit of the options: an event name and an id have at most [`MAX_TEXT`] bytes, a message id at
//! most [`MAX_MESSAGE_ID`] characters (Segment's own limit). Longer ones are refused rather than cut: a cut id is
//! somebody else's. Ids may be written as numbers; `null`, empty and blank ones count as absent.

use std::borrow::Cow;

use anole_event::{Event, EventType, Timestamp};
use serde_json::value::RawValue;

use crate::code::Rule;
use crate::consent::{Asked, Words, resolve, words};
use crate::context::{self, Seen};
use crate::envelope::{Envelope, Field, MAX_EXTRA};
use crate::ga4::{self, Named};
use crate::ids::Ids;
use crate::json::{MAX_DEPTH, MAX_MEMBERS, Object, Part, Parts, Text, is_object};
use crate::skew::{self, Moment};
use crate::verdict::Verdict;

/// The longest name or id, in bytes.
pub(crate) const MAX_TEXT: usize = 1000;

/// The longest message id, in characters.
pub(crate) const MAX_MESSAGE_ID: usize = 100;

/// What all events of a request share.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    /// The pipeline.
    pub(crate) pipeline: &'a str,
    /// The protocol.
    pub(crate) protocol: &'static str,
    /// When the request came in.
    pub(crate) received_at: Timestamp,
    /// `sentAt` of the batch.
    pub(crate) sent_at: Moment<'a>,
    /// `context` of the batch.
    pub(crate) context: Object<'a>,
    /// `integrations` of the batch.
    pub(crate) integrations: Option<&'a RawValue>,
    /// What the server sees of the client.
    pub(crate) seen: Seen<'a>,
    /// The cookies that a blueprint asks for.
    pub(crate) cookies: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// What the pipeline asks of consent.
    pub(crate) consent: Option<&'a Asked<'a>>,
    /// The visitor as a cookie names it.
    pub(crate) visitor: Option<&'a str>,
    /// The anonymous id that gives way to the cookie's: the collector had just made it.
    pub(crate) made: Option<&'a str>,
    /// The visitor as the cookie names it that this answer will set.
    pub(crate) fresh: Option<&'a str>,
    /// Whether GA4's words are translated.
    pub(crate) translate: bool,
    /// The most bytes of an event.
    pub(crate) max_bytes: usize,
    /// Whether some text of the body holds half of a surrogate pair.
    pub(crate) surrogates: bool,
}

/// An event that will be taken.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// The event.
    pub(crate) event: Event<'a>,
    /// Whether the message id was made here, so that no client can repeat it.
    pub(crate) made: bool,
    /// Whether it was told before and is to be taken all the same, once.
    pub(crate) again: bool,
}

/// Who an event is about.
struct Who<'a> {
    anonymous_id: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    group_id: Option<Cow<'a, str>>,
    previous_id: Option<Cow<'a, str>>,
}

/// What happened.
struct What<'a> {
    event_type: EventType,
    event: Option<Cow<'a, str>>,
    source_name: Option<Cow<'a, str>>,
    properties: Option<Cow<'a, RawValue>>,
    page: Vec<(&'static str, &'a RawValue)>,
}

/// Makes an event; `route` is the type that the path says.
///
/// # Errors
/// When it is none: the verdict says why.
pub(crate) fn draft<'a>(
    route: Option<EventType>,
    envelope: &'a Envelope<'a>,
    around: &'a Around<'a>,
    ids: &Ids,
) -> Result<Draft<'a>, Verdict> {
    check_shape(envelope, around)?;
    let event_type = match route {
        Some(event_type) => event_type,
        None => type_of(envelope)?,
    };
    let what = what(envelope, event_type, around.translate)?;
    let who = who(envelope, event_type, around)?;
    let (message_id, made) = match message_id(envelope)? {
        Some(id) => (id, false),
        None => (Cow::Owned(ids.message_id(around.received_at)), true),
    };
    let original = envelope.get(Field::OriginalTimestamp).or_else(|| envelope.get(Field::Timestamp));
    let sent_at =
        if around.sent_at.is_said() { around.sent_at.clone() } else { Moment::of(envelope.get(Field::SentAt)) };
    let times = skew::times(Moment::of(original), sent_at, around.received_at);
    let context = context::compose(&envelope.context, &around.context, what.page, &around.seen);
    let event = Event {
        event_type: what.event_type,
        event: what.event,
        message_id,
        anonymous_id: who.anonymous_id,
        user_id: who.user_id,
        group_id: who.group_id,
        previous_id: who.previous_id,
        properties: what.properties,
        traits: traits(envelope, event_type)?,
        context: if context.0.is_empty() { None } else { context.to_raw().map(Cow::Owned) },
        integrations: integrations(envelope, around)?,
        cookies: around.cookies.to_vec(),
        identity: Vec::new(),
        consent: resolve(around.consent, consent(envelope)),
        timestamp: times.timestamp,
        received_at: around.received_at,
        sent_at: times.sent_at,
        original_timestamp: times.original,
        pipeline: Cow::Borrowed(around.pipeline),
        protocol: around.protocol,
        source_name: what.source_name,
        extra: envelope.extra.iter().map(|member| (member.key.clone(), Cow::Borrowed(member.value))).collect(),
    };
    Ok(Draft { event, made, again: false })
}

fn check_shape(envelope: &Envelope<'_>, around: &Around<'_>) -> Result<(), Verdict> {
    let bytes = envelope.bytes();
    if bytes > around.max_bytes {
        return Err(Verdict::too_large(bytes, around.max_bytes));
    }
    if envelope.is_deeper(MAX_DEPTH) {
        return Err(Verdict::invalid(Rule::TooDeep, format!("the event nests deeper than {MAX_DEPTH} levels")));
    }
    if around.surrogates && envelope.has_lone_surrogate() {
        let message = "a text of the event holds half of a surrogate pair (such as \\ud83d alone): \
                       was it cut within a character?";
        return Err(Verdict::invalid(Rule::BadText, message));
    }
    if envelope.too_many {
        let message = format!("the event has more than {MAX_EXTRA} unknown keys: put them into `properties`");
        return Err(Verdict::invalid(Rule::TooManyKeys, message));
    }
    match envelope.context {
        Object::Absent | Object::Members(_) => Ok(()),
        Object::TooMany => {
            let message = format!("`context` has more than {MAX_MEMBERS} keys: put them into `properties`");
            Err(Verdict::invalid(Rule::TooManyKeys, message))
        }
        Object::Wrong => Err(not_object("context")),
    }
}

fn type_of(envelope: &Envelope<'_>) -> Result<EventType, Verdict> {
    const ONE_OF: &str = "send one of page, screen, track, identify, group, alias";
    match envelope.get(Field::Type).map(Text::of) {
        Some(Text::Is(text)) => EventType::from_code(&text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Verdict::invalid(Rule::UnknownType, format!("`type` is \"{shown}\": {ONE_OF}"))
        }),
        Some(Text::Wrong) => Err(Verdict::invalid(Rule::UnknownType, format!("`type` is no text: {ONE_OF}"))),
        Some(Text::Absent) | None => Err(Verdict::invalid(Rule::UnknownType, format!("`type` is missing: {ONE_OF}"))),
    }
}

fn what<'a>(envelope: &Envelope<'a>, event_type: EventType, translate: bool) -> Result<What<'a>, Verdict> {
    let properties = object(envelope, Field::Properties, "properties")?;
    let plain = |event: Option<Cow<'a, str>>| What {
        event_type,
        source_name: event.clone(),
        event,
        properties: properties.map(Cow::Borrowed),
        page: Vec::new(),
    };
    if event_type != EventType::Track {
        return Ok(plain(None));
    }
    let Some(name) = text(envelope, Field::Event, "event", MAX_TEXT)? else {
        return Err(Verdict::invalid(Rule::NoEventName, "`event`, the name of what was done, is missing: send a text"));
    };
    match ga4::named(&name).filter(|_| translate) {
        Some(named) => Ok(translated(named, name, properties)),
        None => Ok(plain(Some(name))),
    }
}

fn translated<'a>(named: Named, name: Cow<'a, str>, properties: Option<&'a RawValue>) -> What<'a> {
    let params = properties.map(Object::of).unwrap_or_default();
    let (properties, page) = match params {
        Object::Members(_) => {
            let translation = ga4::translate(Some(named), &params);
            (translation.properties.to_raw().map(Cow::Owned), translation.page)
        }
        // Without parameters, or with more than we look at, there is only the name to translate.
        Object::Absent | Object::TooMany | Object::Wrong => (properties.map(Cow::Borrowed), Vec::new()),
    };
    What {
        event_type: named.event_type,
        event: named.event.map(Cow::Borrowed),
        source_name: Some(name),
        properties,
        page,
    }
}

fn who<'a>(envelope: &Envelope<'a>, event_type: EventType, around: &Around<'a>) -> Result<Who<'a>, Verdict> {
    let user_id = text(envelope, Field::UserId, "userId", MAX_TEXT)?;
    let anonymous_id = text(envelope, Field::AnonymousId, "anonymousId", MAX_TEXT)?
        .filter(|id| around.made != Some(&**id))
        .or_else(|| around.visitor.map(Cow::Borrowed))
        .or_else(|| around.fresh.filter(|_| user_id.is_none()).map(Cow::Borrowed));
    if user_id.is_none() && anonymous_id.is_none() {
        let message = "nobody is named: send userId or anonymousId";
        return Err(Verdict::invalid(Rule::NoIdentity, message));
    }
    let in_context = || envelope.context.get("groupId").or_else(|| envelope.context.get("group_id"));
    let group_id = match text(envelope, Field::GroupId, "groupId", MAX_TEXT)? {
        None => in_context().and_then(|raw| Text::of(raw).ok()).filter(|id| id.len() <= MAX_TEXT),
        own => own,
    };
    if event_type == EventType::Group && group_id.is_none() {
        return Err(Verdict::invalid(Rule::NoGroup, "`groupId`, the group that is joined, is missing"));
    }
    let previous_id = text(envelope, Field::PreviousId, "previousId", MAX_TEXT)?;
    if event_type == EventType::Alias && (user_id.is_none() || previous_id.is_none()) {
        return Err(Verdict::invalid(Rule::NoAlias, "an alias needs both ids: send userId and previousId"));
    }
    Ok(Who { anonymous_id, user_id, group_id, previous_id })
}

/// The message id, where the client sent one.
pub(crate) fn message_id<'a>(envelope: &Envelope<'a>) -> Result<Option<Cow<'a, str>>, Verdict> {
    let id = text(envelope, Field::MessageId, "messageId", 4 * MAX_MESSAGE_ID)?;
    if id.as_ref().is_some_and(|id| id.chars().count() > MAX_MESSAGE_ID) {
        let message = format!("`messageId` has more than {MAX_MESSAGE_ID} characters");
        return Err(Verdict::invalid(Rule::TextTooLong, message));
    }
    Ok(id)
}

/// `traits`; rudder-sdk-python says those of an identify in `context.traits` only.
fn traits<'a>(envelope: &Envelope<'a>, event_type: EventType) -> Result<Option<Cow<'a, RawValue>>, Verdict> {
    let own = object(envelope, Field::Traits, "traits")?;
    let in_context = || envelope.context.get("traits").filter(|raw| is_object(raw));
    Ok(own.or_else(|| if event_type == EventType::Identify { in_context() } else { None }).map(Cow::Borrowed))
}

/// `integrations` of the event laid over those of its batch.
fn integrations<'a>(envelope: &Envelope<'a>, around: &Around<'a>) -> Result<Option<Cow<'a, RawValue>>, Verdict> {
    let own = object(envelope, Field::Integrations, "integrations")?;
    let batch = around.integrations.filter(|raw| is_object(raw));
    let (Some(mine), Some(theirs)) = (own, batch) else { return Ok(own.or(batch).map(Cow::Borrowed)) };
    let (Object::Members(mine), Object::Members(theirs)) = (Object::of(mine), Object::of(theirs)) else {
        return Ok(own.map(Cow::Borrowed));
    };
    let mut merged = Parts::default();
    for member in mine.into_iter().chain(theirs) {
        if !merged.has(&member.key) {
            merged.push(member.key, Part::Raw(member.value));
        }
    }
    Ok(merged.to_raw().map(Cow::Owned))
}

/// What the client says of consent: `consent` of the root, and Segment's `context.consent.categoryPreferences`.
fn consent<'a>(envelope: &Envelope<'a>) -> Words<'a> {
    let preferences = envelope.context.get("consent").map(Object::of).and_then(|it| it.get("categoryPreferences"));
    let said = |raw: Option<&'a RawValue>| raw.map(Object::of).map(|it| words(&it)).unwrap_or_default();
    Words { collector: said(envelope.get(Field::Consent)), segment: said(preferences), ga4: Vec::new() }
}

fn object<'a>(envelope: &Envelope<'a>, field: Field, name: &str) -> Result<Option<&'a RawValue>, Verdict> {
    match envelope.get(field) {
        Some(raw) if !is_object(raw) => Err(not_object(name)),
        raw => Ok(raw),
    }
}

fn not_object(name: &str) -> Verdict {
    Verdict::invalid(
        Rule::BadField,
        format!("`{name}` is no object: send one such as {{\"plan\": \"pro\"}}, or leave it out"),
    )
}

/// A text of the root; blank counts as absent.
fn text<'a>(envelope: &Envelope<'a>, field: Field, name: &str, most: usize) -> Result<Option<Cow<'a, str>>, Verdict> {
    match envelope.get(field).map_or(Text::Absent, Text::of) {
        Text::Absent => Ok(None),
        Text::Is(text) if text.len() > most => {
            let message = format!("`{name}` has {} bytes, the limit is {most}", text.len());
            Err(Verdict::invalid(Rule::TextTooLong, message))
        }
        Text::Is(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Text::Wrong => Err(Verdict::invalid(Rule::BadField, format!("`{name}` is neither text nor a number"))),
    }
}

#[cfg(test)]
mod tests;
