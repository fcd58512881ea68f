//! The common fields, rendered without a detour.
//!
//! Most fields of most blueprints are a constant, or a place in the event whose value passes as it was written. What such a
//! field becomes is known when the plan is made, but for a look at the value's first byte. Everything else, and every value
//! that looks unusual, goes the long way through [`crate::render`], which is the only one that can tell what is wrong; the
//! interpreter of the tests holds the two to the same answer. Rejected: a second plan form for all fields, which would say
//! everything twice.

use anole_event::write_json_str;

use crate::{Check, Field, Kind, Shape, Slot, Source, Values};

/// How a field is rendered when nothing about it is unusual.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Quick {
    /// Only the long way.
    No,
    /// Key and value as they are written.
    Constant(Box<[u8]>),
    /// The first of these places that holds something, behind the written key.
    Places { key: Box<[u8]>, places: Box<[Slot]>, only: Only, required: bool },
}

/// Which values pass as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Only {
    All,
    Texts,
    /// Without an exponent, so that they are finite whatever their digits.
    Numbers {
        positive: bool,
    },
}

// === impl Quick ===

impl Quick {
    pub(crate) fn of(field: &Field) -> Self {
        if field.key.is_empty() || field.shape != Shape::default() {
            return Self::No;
        }
        let mut key = Vec::new();
        write_json_str(&mut key, &field.key);
        key.push(b':');
        let slots: Vec<Slot> = match &field.source {
            Source::Constant(json) if field.check == Check::default() => {
                key.extend_from_slice(json.as_bytes());
                return Self::Constant(key.into());
            }
            Source::Event(slot) => vec![slot.clone()],
            Source::FirstOf(sources) => {
                let slots = sources.iter().map(|source| match source {
                    Source::Event(slot) => Some(slot.clone()),
                    _ => None,
                });
                match slots.collect() {
                    Some(slots) => slots,
                    None => return Self::No,
                }
            }
            _ => return Self::No,
        };
        let Check { kind, required, min, max, url } = &field.check;
        let positive = min.as_deref() == Some("0");
        let only = match kind {
            None if min.is_none() => Only::All,
            Some(Kind::Text) if min.is_none() => Only::Texts,
            Some(Kind::Number) if min.is_none() || positive => Only::Numbers { positive },
            _ => return Self::No,
        };
        if max.is_some() || *url {
            return Self::No;
        }
        Self::Places { key: key.into(), places: slots.into(), only, required: *required }
    }

    /// Writes the field, or nothing when it has no value. False: it must go the long way.
    pub(crate) fn write(&self, values: &Values, first: bool, out: &mut Vec<u8>) -> bool {
        let (key, value) = match self {
            Self::No => return false,
            Self::Constant(whole) => (&**whole, ""),
            Self::Places { key, places, only, required } => {
                let found =
                    places.iter().filter_map(|slot| values.get(slot)).find(|raw| *raw != "null" && *raw != "\"\"");
                match found {
                    Some(raw) if only.passes(raw) => (&**key, raw),
                    None if !required => return true,
                    _ => return false,
                }
            }
        };
        if !first {
            out.push(b',');
        }
        out.extend_from_slice(key);
        out.extend_from_slice(value.as_bytes());
        true
    }
}

// === impl Only ===

impl Only {
    fn passes(self, raw: &str) -> bool {
        match (self, raw.as_bytes().first()) {
            (Self::All, _) | (Self::Texts, Some(b'"')) => true,
            (Self::Numbers { positive }, Some(byte)) => {
                (byte.is_ascii_digit() || (*byte == b'-' && !positive))
                    && !raw.bytes().any(|byte| matches!(byte, b'e' | b'E'))
                    && raw.len() < 300
            }
            _ => false,
        }
    }
}
