//! One event of the Measurement Protocol in the canonical form.

use std::borrow::Cow;
use std::time::Duration;

use anole_event::{Event, EventType, Timestamp};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::{Around, PROTOCOL};
use crate::code::Rule;
use crate::consent::{Words, resolve, words};
use crate::draft::{Draft, MAX_TEXT};
use crate::ga4::{self, Named, Translation};
use crate::json::{Object, Part, Parts, Text, is_null, is_object};
use crate::verdict::Verdict;

/// How far back an event may be dated, as Google has it.
const MOST_BACK: Duration = Duration::from_secs(72 * 60 * 60);

/// How far a sender's clock may be ahead.
const MOST_AHEAD: Duration = Duration::from_secs(5 * 60);

/// Makes the event at `index`.
///
/// # Errors
/// When it is none.
pub(super) fn draft<'a>(around: &'a Around<'a>, index: usize, raw: &'a RawValue) -> Result<Draft<'a>, Verdict> {
    let sent = Object::of(raw);
    if !matches!(sent, Object::Members(_)) {
        return Err(Verdict::invalid(Rule::NotAnEvent, "an event is an object with `name` and `params`"));
    }
    let name = text(&sent, "name")?;
    let name = name.ok_or_else(|| Verdict::invalid(Rule::NoEventName, "`name`, the name of the event, is missing"))?;
    let params = match sent.get("params") {
        None => Object::Absent,
        Some(raw) => match Object::of(raw) {
            Object::Wrong => return Err(Verdict::invalid(Rule::BadField, "`params` is no object")),
            Object::TooMany => return Err(Verdict::invalid(Rule::TooManyKeys, "`params` has too many keys")),
            params => params,
        },
    };
    let who = Who::of(around)?;
    let happened = moment(&params, &sent).or_else(|| micros(around.root));
    let message_id = message_id(around, index, &name, &params, happened);
    let named = ga4::named(&name).filter(|_| around.intake.translate);
    let Translation { properties, page } = translated(named, params, around.intake.translate);
    let context = context(around, page);
    let event = Event {
        event_type: named.map_or(EventType::Track, |named| named.event_type),
        event: named.map_or_else(|| Some(name.clone()), |named| named.event.map(Cow::Borrowed)),
        message_id: Cow::Owned(message_id),
        anonymous_id: who.anonymous_id,
        user_id: who.user_id,
        group_id: None,
        previous_id: None,
        properties: if properties.0.is_empty() { None } else { properties.to_raw().map(Cow::Owned) },
        traits: None,
        context: if context.0.is_empty() { None } else { context.to_raw().map(Cow::Owned) },
        integrations: None,
        cookies: around.visit.cookies.clone(),
        identity: Vec::new(),
        consent: resolve(around.visit.asked.as_ref(), consent(around)),
        timestamp: clamped(happened, around.received_at),
        received_at: around.received_at,
        sent_at: None,
        original_timestamp: happened.map(|time| Cow::Owned(time.to_string())),
        pipeline: Cow::Borrowed(&around.intake.pipeline),
        protocol: PROTOCOL,
        source_name: Some(name),
        extra: extra(around.root),
    };
    Ok(Draft { event, made: false, again: false })
}

/// Who the events of a request are about.
struct Who<'a> {
    anonymous_id: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
}

impl<'a> Who<'a> {
    fn of(around: &'a Around<'a>) -> Result<Self, Verdict> {
        let user_id = text(around.root, "user_id")?;
        let client_id = match text(around.root, "client_id")? {
            None => text(around.root, "app_instance_id")?,
            client_id => client_id,
        };
        let visit = around.visit;
        let anonymous_id = client_id
            .or_else(|| visit.visitor.as_deref().map(Cow::Borrowed))
            .or_else(|| visit.new_visitor.as_deref().filter(|_| user_id.is_none()).map(Cow::Borrowed));
        if anonymous_id.is_none() && user_id.is_none() {
            return Err(Verdict::invalid(Rule::NoIdentity, "nobody is named: send client_id or user_id"));
        }
        Ok(Self { anonymous_id, user_id })
    }
}

/// A text of an object; blank counts as absent.
fn text<'a>(object: &Object<'a>, key: &str) -> Result<Option<Cow<'a, str>>, Verdict> {
    match object.get(key).map_or(Text::Absent, Text::of) {
        Text::Absent => Ok(None),
        Text::Is(text) if text.len() > MAX_TEXT => Err(Verdict::invalid(
            Rule::TextTooLong,
            format!("`{key}` has {} bytes, the limit is {MAX_TEXT}", text.len()),
        )),
        Text::Is(text) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Text::Wrong => Err(Verdict::invalid(Rule::BadField, format!("`{key}` is neither text nor a number"))),
    }
}

/// The parameters as properties. `timestamp_micros` is no property: it is when the event happened.
fn translated<'a>(named: Option<Named>, params: Object<'a>, translate: bool) -> Translation<'a> {
    let mut members = match params {
        Object::Members(members) => members,
        Object::Absent | Object::TooMany | Object::Wrong => return Translation::default(),
    };
    members.retain(|member| member.key != "timestamp_micros");
    let params = Object::Members(members);
    if translate {
        return ga4::translate(named, &params);
    }
    let parts = params.members().iter().map(|member| (member.key.clone(), Part::Raw(member.value)));
    Translation { properties: Parts(parts.collect()), page: ga4::page(&params) }
}

/// When the event happened: some tools write it beside the name rather than into the parameters.
fn moment(params: &Object<'_>, event: &Object<'_>) -> Option<Timestamp> {
    micros(params).or_else(|| micros(event))
}

fn micros(object: &Object<'_>) -> Option<Timestamp> {
    let text = object.get("timestamp_micros").and_then(|raw| Text::of(raw).ok())?;
    text.trim().parse().ok().filter(|micros| *micros > 0).map(Timestamp::from_micros)
}

/// A time that Google would not believe is moved to the nearest that it would.
fn clamped(happened: Option<Timestamp>, received_at: Timestamp) -> Timestamp {
    let Some(happened) = happened else { return received_at };
    if happened > received_at.after(MOST_AHEAD) {
        return received_at;
    }
    let back = i64::try_from(MOST_BACK.as_micros()).unwrap_or(i64::MAX);
    happened.max(Timestamp::from_micros(received_at.micros().saturating_sub(back)))
}

fn message_id(
    around: &Around<'_>,
    index: usize,
    name: &str,
    params: &Object<'_>,
    happened: Option<Timestamp>,
) -> String {
    let transaction = params.get("transaction_id").and_then(|raw| Text::of(raw).ok());
    if let Some(id) = ga4::of_order(around.measurement_id, name, transaction.as_deref()) {
        return id;
    }
    let mut hash = Xxh3::new();
    hash.update(around.measurement_id.as_bytes());
    hash.update(b"\0body\0");
    hash.update(around.body);
    hash.update(&index.to_le_bytes());
    if happened.is_none() {
        hash.update(&(around.received_at.millis() / 60_000).to_le_bytes());
    }
    ga4::as_uuid(&hash)
}

/// What is known of the visitor and the device.
fn context<'a>(around: &'a Around<'a>, page: Vec<(&'static str, &'a RawValue)>) -> Parts<'a> {
    let mut parts = Parts::default();
    let seen = &around.visit.seen;
    if !page.is_empty() {
        let members = page.into_iter().map(|(key, value)| (Cow::Borrowed(key), Part::Raw(value))).collect();
        parts.push("page", Part::Object(Parts(members)));
    }
    // The sender is known by its secret, so its word on the visitor's address is taken.
    let said = |key: &str| around.root.get(key).filter(|raw| matches!(Text::of(raw), Text::Is(_)));
    match said("ip_override") {
        Some(ip) => parts.push("ip", Part::Raw(ip)),
        None if seen.browser => parts.push("ip", Part::Text(seen.ip.to_string().into())),
        None => {}
    }
    match (said("user_agent"), seen.user_agent.filter(|_| seen.browser)) {
        (Some(user_agent), _) => parts.push("user_agent", Part::Raw(user_agent)),
        (None, Some(user_agent)) => parts.push("user_agent", Part::Text(user_agent.into())),
        (None, None) => {}
    }
    for (key, name) in [("device", "device"), ("user_location", "location")] {
        if let Some(raw) = around.root.get(key).filter(|raw| is_object(raw)) {
            parts.push(name, Part::Raw(raw));
        }
    }
    let user_properties = around.root.get("user_properties").map(Object::of).unwrap_or_default();
    let traits: Vec<_> =
        user_properties.members().iter().map(|member| (member.key.clone(), value_of(member.value))).collect();
    if !traits.is_empty() {
        parts.push("traits", Part::Object(Parts(traits)));
    }
    parts
}

/// A user property is `{"value": ...}`; some senders leave the wrapping out.
fn value_of(raw: &RawValue) -> Part<'_> {
    Part::Raw(if is_object(raw) { Object::of(raw).get("value").unwrap_or(raw) } else { raw })
}

/// `{"ad_user_data": "GRANTED"}` of the body, and the flags of the query that say something else. The protocol knows only
/// the former; what relays a page's own requests passes the latter on.
fn consent<'a>(around: &Around<'a>) -> Words<'a> {
    let mut said = around.root.get("consent").map(|raw| words(&Object::of(raw))).unwrap_or_default();
    for (word, granted) in ga4::flags(around.query) {
        if !said.iter().any(|(known, _)| *known == word) {
            said.push((word, granted));
        }
    }
    Words { ga4: said, ..Words::default() }
}

/// Keys of the root that have no place in the canonical form.
fn extra<'a>(root: &Object<'a>) -> Vec<(Cow<'a, str>, Cow<'a, RawValue>)> {
    let is_extra = |key: &str| matches!(key, "user_data" | "non_personalized_ads" | "validation_behavior");
    let members = root.members().iter().filter(|member| is_extra(&member.key) && !is_null(member.value));
    members.map(|member| (member.key.clone(), Cow::Borrowed(member.value))).collect()
}
