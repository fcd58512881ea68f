//! What a send is made of: fields, where their values come from, how they are shaped, and what must hold of them.
//!
//! A field goes through four steps, always in this order, however it is written:
//!
//! 1. **Source.** A constant, or the first of some places in the event that holds something. `null` and the empty text
//!    count as nothing unless they are asked to be kept.
//! 2. **Shape.** `trim`, `strip_prefix`, `lower` or `upper`, `max_length` for texts (other values pass them by); then the
//!    type, then `absolute`; at last the default, when nothing is left.
//! 3. **Check.** The type again (the field's own, where a rule gave the source), required, bounds, form. What fails is
//!    parked with a detail that names the field and the remedy: vendors that check late lose such a send without a word.
//! 4. **Drop.** An optional field without a value is left out: missing is not null.

use std::sync::Arc;
use std::time::Duration;

use crate::value::{Got, Wrong};
use crate::{Origin, Piece, Slot, Template};

/// A send as a rule makes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SendPlan {
    /// Its name in the blueprint.
    pub name: Arc<str>,
    /// Which request carries it.
    pub request: usize,
    /// How long after `received_at` the vendor has no use for it.
    pub expires: Option<Duration>,
    /// The item's fields, in the order in which they are sent.
    pub fields: Vec<Field>,
    pub(crate) uses_nonce: bool,
    pub(crate) uses_visitor: bool,
}

/// A field of an item, or an entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its key; empty for an entry of a list.
    pub key: Box<str>,
    /// Where its value comes from.
    pub source: Source,
    /// How the value is shaped.
    pub shape: Shape,
    /// What must hold of the value.
    pub check: Check,
    /// Where the source is written. No part of what is compared or hashed.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Nowhere: a rule may give it one.
    Nothing,
    /// JSON, as it is sent.
    Constant(Box<str>),
    /// The first of these that holds something.
    FirstOf(Vec<Self>),
    /// A value of the event.
    Event(Slot),
    /// A text with places; nothing when one of its places holds nothing.
    Template(Template),
    /// The nonce.
    Nonce,
    /// The resolved visitor code. Without one the send is parked.
    Visitor,
    /// An object; nothing when all its fields are left out.
    Object(Vec<Field>),
    /// A list; entries without a value are left out, and a list without entries is nothing.
    List(Vec<Field>),
}

/// How a value is shaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Whether `null` is a value.
    pub keep_null: bool,
    /// Whether the empty text is a value.
    pub keep_empty: bool,
    /// Whether blanks around a text are taken away.
    pub trim: bool,
    /// A prefix that is taken away once.
    pub strip_prefix: Option<Box<str>>,
    /// Upper or lower case.
    pub case: Option<Case>,
    /// The most characters; the rest is cut off.
    pub max_length: Option<usize>,
    /// What the value is turned into.
    pub kind: Option<Kind>,
    /// Whether a number loses its minus sign.
    pub absolute: bool,
    /// JSON that stands in when there is nothing.
    pub default: Option<Box<str>>,
}

/// Upper or lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Case {
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
}

/// What a value is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A text; numbers and booleans become what they are written as.
    Text,
    /// A whole number. A text that is one, and `5.0`, become it; digits stay.
    Integer,
    /// A finite number. A text that is one becomes it; digits stay.
    Number,
    /// `true` or `false`, also as texts.
    Boolean,
}

/// What must hold of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Check {
    /// What it is turned into.
    pub kind: Option<Kind>,
    /// Whether it must be there.
    pub required: bool,
    /// The least number, as JSON.
    pub min: Option<Box<str>>,
    /// The greatest number, as JSON.
    pub max: Option<Box<str>>,
    /// Whether it must be an absolute http or https address.
    pub url: bool,
}

// === impl Kind ===

impl Kind {
    /// What such a value is called.
    #[must_use]
    pub(crate) const fn negated(self) -> &'static str {
        match self {
            Self::Text => "no text",
            Self::Integer => "no whole number",
            Self::Number => "no finite number",
            Self::Boolean => "neither true nor false",
        }
    }
}

// === impl Field ===

impl Field {
    /// Whether its constants, source and default, pass its own shape and check: what fails can never be sent.
    ///
    /// # Errors
    /// The value as a person reads it, and what is wrong with it.
    pub fn check_constants(&self) -> Result<(), String> {
        let source = if let Source::Constant(json) = &self.source { Some(&**json) } else { None };
        let told = |wrong: Wrong| format!("{}, {}", wrong.shown, wrong.what);
        if let Some(value) = source.map(Got::json) {
            let shaped = value.shaped(&self.shape, self.check.kind).map_err(told)?;
            shaped.map(|value| value.checked(&self.check)).transpose().map_err(told)?;
        }
        let default = self.shape.default.as_deref().map(Got::json);
        default.map(|value| value.checked(&self.check)).transpose().map_err(told)?;
        Ok(())
    }
}

// === impl SendPlan ===

impl SendPlan {
    /// A send of these fields.
    #[must_use]
    pub fn new(name: Arc<str>, request: usize, expires: Option<Duration>, fields: Vec<Field>) -> Self {
        let uses = |what: &Source| fields.iter().any(|field| field.source.any(&|source| source == what));
        let (uses_nonce, uses_visitor) = (uses(&Source::Nonce), uses(&Source::Visitor));
        Self { name, request, expires, fields, uses_nonce, uses_visitor }
    }
}

// === impl Source ===

impl Source {
    fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        match self {
            Self::FirstOf(sources) => sources.iter().any(|source| source.any(is)),
            Self::Object(fields) | Self::List(fields) => fields.iter().any(|field| field.source.any(is)),
            Self::Template(template) => template.0.iter().any(|piece| match piece {
                Piece::Nonce => is(&Self::Nonce),
                Piece::Visitor => is(&Self::Visitor),
                Piece::Text(_) | Piece::Secret(_) | Piece::Event(_) => false,
            }),
            other => is(other),
        }
    }

    /// The places in the event that it looks at.
    pub(crate) fn places(&self) -> Vec<&Slot> {
        match self {
            Self::Event(slot) => vec![slot],
            Self::FirstOf(sources) => sources.iter().flat_map(Self::places).collect(),
            Self::Template(template) => {
                let slots = template.0.iter().filter_map(|piece| match piece {
                    Piece::Event(slot) => Some(slot),
                    Piece::Text(_) | Piece::Secret(_) | Piece::Nonce | Piece::Visitor => None,
                });
                slots.collect()
            }
            _ => Vec::new(),
        }
    }
}
