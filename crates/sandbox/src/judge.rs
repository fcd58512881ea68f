//! What a strict reader of the vendor's documents says about an event.
//!
//! The real endpoint answers before it has looked into the body, so nearly everything that parses gets 204 and may be
//! dropped later without a word. The judge takes the intersection of all readings: what it accepts should pass at the
//! real endpoint whichever reading is right. Where readings differ it says *doubtful* and why; what every reading would
//! drop is *lost*.
//!
//! The tables of fields are rebuilt from the vendor's SDKs and its browser tag, as the vendor's own are not public in
//! full.

mod common;
mod conversion;
mod other;
mod page;

use std::collections::{BTreeSet, HashSet};

use crate::fields::{Fields, Got};
use crate::options::{Goal, NonceForm, Options};
use crate::query::Query;
use crate::reason::Findings;

pub(crate) use common::{NONCE_MISSING, TYPE_MISSING};

/// Knows the project, and judges events one by one.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    nonce: NonceForm,
    goals: Option<Vec<Goal>>,
    custom_data: Option<BTreeSet<i64>>,
}

/// The kinds of events, as far as the fields differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Page,
    Conversion,
    CustomData,
    StaticData,
    Experiment,
    Personalization,
    Segment,
    Geolocation,
    Activity,
    /// Sent by the browser tag alone; their fields are not known.
    TagOnly,
}

// === impl Judge ===

impl Judge {
    pub(crate) fn new(options: &Options) -> Self {
        Self { nonce: options.nonce, goals: options.goals.clone(), custom_data: options.custom_data.clone() }
    }

    /// Judges one event by itself.
    pub(crate) fn event(&self, fields: &Fields<'_>, query: &Query) -> Findings {
        let mut found = Findings::default();
        common::visitor(fields, query, &mut found);
        common::nonce(fields, self.nonce, &mut found);
        let kind = common::kind(fields, query, &mut found);
        if let Some(kind) = kind {
            match kind {
                Kind::Page => page::judge(fields, &mut found),
                Kind::Conversion => conversion::judge(fields, self, &mut found),
                Kind::CustomData => other::custom_data(fields, self, &mut found),
                Kind::StaticData => other::static_data(fields, &mut found),
                Kind::Experiment | Kind::Personalization => other::exposure(fields, &mut found),
                Kind::Segment => other::segment(fields, &mut found),
                Kind::Geolocation => other::geolocation(fields, &mut found),
                Kind::Activity | Kind::TagOnly => {}
            }
            common::unknown_fields(fields, kind, query, &mut found);
        }
        found
    }
}

/// Judges the events of one request against each other.
pub(crate) fn together(events: &mut [(Fields<'_>, Findings)], query: &Query) {
    let mut nonces: HashSet<String> = HashSet::with_capacity(events.len());
    let mut converted: HashSet<String> = HashSet::new();
    for (fields, found) in events {
        if let Some(nonce) = fields.text_of("nonce").filter(|nonce| !nonce.is_empty())
            && !nonces.insert(nonce.into_owned())
        {
            found.loss("nonce_repeated", "another event of this request has the same nonce");
        }
        let Some(visitor) = visitor_of(fields, query) else { continue };
        match fields.text_of("eventType").and_then(|name| common::kind_of(&name)) {
            Some(Kind::Conversion) => {
                converted.insert(visitor);
            }
            Some(Kind::Experiment | Kind::Personalization) if converted.contains(&visitor) => found.note(
                "exposure_after_conversion",
                "a conversion of this visitor stands before this exposure in the request: put exposures first",
            ),
            _ => {}
        }
    }
}

/// Whose event it is: the query's visitor code wins.
pub(crate) fn visitor_of(fields: &Fields<'_>, query: &Query) -> Option<String> {
    query.visitor.clone().or_else(|| fields.text_of("visitorCode").map(std::borrow::Cow::into_owned))
}

/// An integer that must be there: its value when it is usable, however it was written.
fn required_integer(fields: &Fields<'_>, name: &'static str, found: &mut Findings) -> Option<i64> {
    match fields.integer(name) {
        Got::Is(value) => Some(value),
        Got::AsText(value) => {
            found.doubt("number_as_text", format!("{name} is text: send it as a JSON number"));
            Some(value)
        }
        Got::Missing | Got::Null => {
            found.loss("field_missing", format!("{name} is missing"));
            None
        }
        Got::Wrong => {
            found.loss("field_type", format!("{name} must be an integer"));
            None
        }
    }
}

/// A truth value that may be there: its value when it is usable.
fn optional_boolean(fields: &Fields<'_>, name: &'static str, found: &mut Findings) -> Option<bool> {
    match fields.boolean(name) {
        Got::Is(value) => Some(value),
        Got::Missing => None,
        Got::AsText(value) => {
            found.doubt("boolean_as_text", format!("{name} is text: send true or false without quotes"));
            Some(value)
        }
        Got::Null | Got::Wrong => {
            found.doubt("field_type", format!("{name} must be true or false"));
            None
        }
    }
}

/// An object or array that may be there: its value when it is usable.
fn optional_nested(fields: &Fields<'_>, name: &'static str, found: &mut Findings) -> Option<serde_json::Value> {
    match fields.nested(name) {
        Got::Is(value) => Some(value),
        Got::Missing => None,
        Got::AsText(value) => {
            found.doubt("nested_as_text", format!("{name} is JSON written as text: send it as native JSON"));
            Some(value)
        }
        Got::Null | Got::Wrong => {
            found.loss("field_type", format!("{name} must be an object"));
            None
        }
    }
}
