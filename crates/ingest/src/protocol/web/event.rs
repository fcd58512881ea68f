//! One event of a page's tag in the canonical form.
//!
//! Parameters get the names that the Measurement Protocol has for them (`cu` is `currency`, `dl` is `page_location`), so that
//! an event means the same whether a page told it or a back end; then GA4's words are translated as everywhere. A number
//! stays one where the wire says so (`epn.`), and where the parameter is one by its nature whatever the wire says; a text
//! that is no number stays a text. What is about the wire and not about the event (`_s`, `gtm`, `tag_exp` …) stands verbatim
//! under `context.ga4`.

use std::borrow::Cow;

use anole_event::{Event, EventType};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::hit::Hit;
use super::items;
use super::personal;
use super::{Around, PROTOCOL};
use crate::code::Rule;
use crate::consent::{Words, resolve};
use crate::context;
use crate::draft::{Draft, MAX_TEXT};
use crate::ga4;
use crate::json::{Object, Part, Parts};
use crate::protocol::values::Values;
use crate::verdict::Verdict;

/// Parameters that are numbers by their nature.
const NUMBERS: [&str; 4] = ["value", "tax", "shipping", "engagement_time_msec"];

/// A hit taken apart.
#[derive(Default)]
struct Taken {
    params: Values,
    traits: Values,
    campaign: Values,
    rest: Values,
    items: Vec<(u32, String)>,
    user_data: Vec<(&'static str, String)>,
}

/// Makes the event of a hit.
///
/// # Errors
/// When it is none.
pub(super) fn draft<'a>(around: &'a Around<'a>, index: usize, hit: &Hit<'_>) -> Result<Draft<'a>, Verdict> {
    let name = text(hit, "en")?.ok_or_else(|| {
        Verdict::invalid(Rule::NoEventName, "`en`, the name of the event, is missing in the address and in its line")
    })?;
    let user_id = text(hit, "uid")?;
    let visit = around.visit;
    let anonymous_id = text(hit, "cid")?
        .map(Cow::Owned)
        .or_else(|| visit.visitor.as_deref().map(Cow::Borrowed))
        .or_else(|| visit.new_visitor.as_deref().filter(|_| user_id.is_none()).map(Cow::Borrowed));
    if anonymous_id.is_none() && user_id.is_none() {
        return Err(Verdict::invalid(Rule::NoIdentity, "nobody is named: send cid or uid"));
    }
    let message_id = message_id(around, index, &name, hit);
    let taken = Taken::of(hit);
    let params = json(taken.params_json())?;
    let params = Object::of(&params);
    let named = ga4::named(&name).filter(|_| around.intake.translate);
    let (properties, page) = match &params {
        Object::TooMany => return Err(Verdict::invalid(Rule::TooManyKeys, "the event has too many parameters")),
        params if around.intake.translate => {
            let translation = ga4::translate(named, params);
            (translation.properties, translation.page)
        }
        params => {
            let parts = params.members().iter().map(|member| (member.key.clone(), Part::Raw(member.value)));
            (Parts(parts.collect()), ga4::page(params))
        }
    };
    let own = json(taken.context_json(hit))?;
    let own = Object::of(&own);
    let context = context::compose(&own, &Object::Absent, page, &visit.seen);
    let said = ga4::said(hit.get("gcs"), hit.get("gcd"));
    let mut extra = Vec::new();
    if let Some(known) = personal::object(taken.user_data) {
        extra.push((Cow::Borrowed("user_data"), Cow::Owned(json(known)?)));
    }
    let event = Event {
        event_type: named.map_or(EventType::Track, |named| named.event_type),
        event: named.map_or_else(|| Some(Cow::Owned(name.clone())), |named| named.event.map(Cow::Borrowed)),
        message_id: Cow::Owned(message_id),
        anonymous_id,
        user_id: user_id.map(Cow::Owned),
        group_id: None,
        previous_id: None,
        properties: if properties.0.is_empty() { None } else { properties.to_raw().map(Cow::Owned) },
        traits: None,
        context: if context.0.is_empty() { None } else { context.to_raw().map(Cow::Owned) },
        integrations: None,
        cookies: visit.cookies.clone(),
        identity: Vec::new(),
        consent: resolve(visit.asked.as_ref(), Words { ga4: said, ..Words::default() }),
        // The wire has no time of the event; gtag waits at most five seconds before it sends.
        timestamp: around.received_at,
        received_at: around.received_at,
        sent_at: None,
        original_timestamp: None,
        pipeline: Cow::Borrowed(&around.intake.pipeline),
        protocol: PROTOCOL,
        source_name: Some(Cow::Owned(name)),
        extra,
    };
    Ok(Draft { event, made: false, again: hit.get("gcu") == Some("1") })
}

fn json(text: String) -> Result<Box<RawValue>, Verdict> {
    RawValue::from_string(text).map_err(|_| Verdict::invalid(Rule::BadText, "the parameters cannot be written as JSON"))
}

fn text(hit: &Hit<'_>, name: &str) -> Result<Option<String>, Verdict> {
    match hit.get(name) {
        Some(text) if text.len() > MAX_TEXT => {
            let message = format!("`{name}` has {} bytes, the limit is {MAX_TEXT}", text.len());
            Err(Verdict::invalid(Rule::TextTooLong, message))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

/// The message id, as the wire has none: of an order by its transaction id; else of everything that was sent, of which `_p`
/// (the page load) and `_s` (the request's number on it) differ from one to the next. A request that a browser repeats is
/// the same to the byte. Clients without `_p` may well send the same twice in earnest: with them the minute counts too.
fn message_id(around: &Around<'_>, index: usize, name: &str, hit: &Hit<'_>) -> String {
    let transaction = hit.get("ep.transaction_id").or_else(|| hit.get("epn.transaction_id"));
    if let Some(id) = ga4::of_order(around.measurement_id, name, transaction) {
        return id;
    }
    let mut hash = Xxh3::new();
    hash.update(around.measurement_id.as_bytes());
    hash.update(b"\0hit\0");
    for (name, value) in hit.pairs() {
        hash.update(name.as_bytes());
        hash.update(b"=");
        hash.update(value.as_bytes());
        hash.update(b"\0");
    }
    hash.update(&index.to_le_bytes());
    if hit.get("_p").is_none() {
        hash.update(&(around.received_at.millis() / 60_000).to_le_bytes());
    }
    ga4::as_uuid(&hash)
}

// === impl Taken ===

impl Taken {
    fn of(hit: &Hit<'_>) -> Self {
        let mut taken = Self::default();
        for (name, value) in hit.pairs() {
            taken.take(name, value);
        }
        taken.items.sort_by_key(|(number, _)| *number);
        taken
    }

    fn take(&mut self, name: &str, value: &str) {
        if let Some(own) = name.strip_prefix("ep.").or_else(|| name.strip_prefix("epn.")) {
            if let Some((kept, value)) = personal::user_data(own, value) {
                self.user_data.extend((!kept.is_empty()).then_some((kept, value)));
            } else if name.starts_with("epn.") || NUMBERS.contains(&own) {
                self.params.number(own, value);
            } else {
                self.params.text(own, value);
            }
            return;
        }
        if let Some(own) = name.strip_prefix("up.") {
            self.traits.text(own, value);
        } else if let Some(own) = name.strip_prefix("upn.") {
            self.traits.number(own, value);
        } else if let Some(number) = items::number(name) {
            self.items.push((number, items::item(value)));
        } else if value.is_empty() {
            // A parameter of the wire that is empty says nothing; clones send `dr=` for no referrer.
        } else {
            self.take_known(name, value);
        }
    }

    fn take_known(&mut self, name: &str, value: &str) {
        match name {
            "dl" => self.params.text("page_location", &personal::without_emails(value)),
            "dr" => self.params.text("page_referrer", &personal::without_emails(value)),
            "dt" => self.params.text("page_title", value),
            "dp" => self.params.text("page_path", value),
            "cu" => self.params.text("currency", value),
            "sid" => self.params.text("session_id", value),
            // `NaN` occurs in the wild; it says nothing.
            "_et" if crate::protocol::values::is_number(value) => {
                self.params.put("engagement_time_msec", value.to_owned());
            }
            "cs" => self.campaign.text("source", value),
            "cm" => self.campaign.text("medium", value),
            "cn" => self.campaign.text("name", value),
            "cc" => self.campaign.text("content", value),
            "ci" => self.campaign.text("id", value),
            "ck" | "ct" => self.campaign.text("term", value),
            // Told elsewhere, or a visitor's own data.
            "v" | "en" | "cid" | "uid" | "ul" | "sr" | "gcs" | "gcd" | "_et" | "em" | "_uip" | "richsstsse" => {}
            name => self.rest.text(name, value),
        }
    }

    fn params_json(&self) -> String {
        let mut all = self.params.clone();
        if !self.items.is_empty() {
            let items: Vec<&str> = self.items.iter().map(|(_, item)| item.as_str()).collect();
            all.put("items", format!("[{}]", items.join(",")));
        }
        all.json()
    }

    fn context_json(&self, hit: &Hit<'_>) -> String {
        let mut all = Values::default();
        if let Some(locale) = hit.get("ul") {
            all.text("locale", locale);
        }
        let screen = hit.get("sr").and_then(|text| text.split_once('x'));
        if let Some((width, height)) = screen.filter(|(w, h)| w.parse::<u32>().is_ok() && h.parse::<u32>().is_ok()) {
            let mut sides = Values::default();
            sides.number("width", width);
            sides.number("height", height);
            all.put("screen", sides.json());
        }
        for (name, values) in [("campaign", &self.campaign), ("traits", &self.traits), ("ga4", &self.rest)] {
            if !values.is_empty() {
                all.put(name, values.json());
            }
        }
        all.json()
    }
}
