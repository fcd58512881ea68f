//! What a person reads of a send that cannot be made: the field, what is wrong with it, and what helps.

use anole_event::Reason;

use crate::value::Wrong;
use crate::{Field, Slot};

/// Why a send cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

/// A field as details name it: with the fields that it stands in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'f> {
    pub(crate) field: &'f Field,
    pub(crate) above: &'f str,
}

// === impl Trouble ===

impl Trouble {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

// === impl Named ===

impl Named<'_> {
    pub(crate) fn full(self) -> String {
        match (self.above, &*self.field.key) {
            ("", key) => key.to_owned(),
            (above, "") => above.to_owned(),
            (above, key) => format!("{above}.{key}"),
        }
    }

    /// Only a field of the item itself can be set by a rule.
    fn set(self) -> String {
        let top =
            if self.above.is_empty() { &*self.field.key } else { self.above.split('.').next().unwrap_or_default() };
        format!("set {top} for this event in the pipeline")
    }

    pub(crate) fn missing(self) -> Trouble {
        let places: Vec<_> = self.field.source.places().into_iter().map(called).collect();
        let send = if places.is_empty() { String::new() } else { format!("send {} or ", places.join(" or ")) };
        Trouble::new(Reason::MissingField, format!("the {} is missing: {send}{}", self.full(), self.set()))
    }

    pub(crate) fn invalid(self, place: Option<&Slot>, wrong: &Wrong) -> Trouble {
        let remedy = match place {
            Some(place) => format!("correct {} or {}", called(place), self.set()),
            None => format!("correct {} in the pipeline or the blueprint", self.full()),
        };
        let Wrong { shown, what } = wrong;
        Trouble::new(Reason::InvalidField, format!("the {} is {shown}, {what}: {remedy}", self.full()))
    }

    /// A text cannot hold an object or a list.
    pub(crate) fn no_text(self, place: &Slot) -> Trouble {
        let detail = format!("the {} is a text, and {} is no text: name a place in it", self.full(), called(place));
        Trouble::new(Reason::Mapping, detail)
    }
}

/// A place as a person calls it.
pub(crate) fn called(slot: &Slot) -> String {
    let path = slot.text();
    let within = |kind: &str| format!("the {kind} {}", path.split_once('.').map_or("", |(_, rest)| rest));
    match slot.path().root() {
        "properties" => within("property"),
        "traits" => within("trait"),
        "cookies" => within("cookie"),
        _ => path.to_string(),
    }
}
