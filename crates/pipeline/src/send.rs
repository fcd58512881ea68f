//! What a send is made of: fields, where their values come from, how they are shaped, and what must hold of them.
//!
//! A field goes through four steps, always in this order, however it is written:
//!
//! 1. **Source.** A constant, or the first of some places in the event that holds something. `null` and the empty text
//!    count as nothing unless they are asked to be kept.
//! 2. **Shape.** `pick`, `omit` and `flatten` for objects; `trim`, `strip_prefix`, `case`, `max_length` for texts (other
//!    values pass them by); then `values`, then `sha256`, then the type, then `absolute` and `round`; at last the default,
//!    when nothing is left.
//! 3. **Check.** The type again (the field's own, where a rule gave the source), required, bounds, form. What fails is
//!    parked with a detail that names the field and the remedy: vendors that check late lose such a send without a word.
//! 4. **Drop.** An optional field without a value is left out: missing is not null.

use std::sync::Arc;
use std::time::Duration;

use crate::quick::Quick;
use crate::read::Trie;
use crate::value::{Got, Wrong};
use crate::{Expression, Normaliser, Origin, Path, Piece, Secret, Slot, Template};

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
    /// What must hold of the event, or this send is filtered.
    pub when: Option<Expression>,
    /// Beside each field.
    pub(crate) quick: Box<[Quick]>,
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
    /// One value for each element of a list.
    Each(Box<Each>),
    /// The members of several objects, the later over the earlier; nothing when none of them is there.
    Merge(Vec<Field>),
    /// A value of the list's element that [`Source::Each`] is at.
    Item(Slot),
    /// What an expression gives; nothing when it fails.
    Expression(Expression),
    /// A value without what the destination's filters keep from it.
    Narrowed(Box<Self>, Narrow),
}

/// One value for each element of a list. A single object counts as a list of one.
#[derive(Clone, Debug)]
pub struct Each {
    /// Where the list stands.
    pub list: Source,
    /// What is made of an element; elements that give nothing are left out.
    pub item: Field,
    /// What [`Source::Item`] asks of an element: made of the item's paths.
    pub(crate) trie: Trie,
}

/// What a destination's filters leave of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Narrow {
    /// Only what these lead to; everything when there are none.
    pub only: Vec<Box<[Box<str>]>>,
    /// Not what these lead to.
    pub without: Vec<Box<[Box<str>]>>,
}

/// JSON that stands in for some values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ValueMap {
    /// Texts, or other values as they are written in JSON, and what each becomes.
    pub of: Vec<(Box<str>, Box<str>)>,
    /// What all others become; without it they become nothing.
    pub otherwise: Option<Box<str>>,
}

/// How a value is shaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Whether `null` is a value.
    pub keep_null: bool,
    /// Whether the empty text is a value.
    pub keep_empty: bool,
    /// The members of an object that are kept; all when there are none.
    pub pick: Vec<Path>,
    /// The members of an object that are taken away.
    pub omit: Vec<Path>,
    /// What joins the keys of an object that is flattened.
    pub flatten: Option<Box<str>>,
    /// Whether blanks around a text are taken away.
    pub trim: bool,
    /// A prefix that is taken away once.
    pub strip_prefix: Option<Box<str>>,
    /// Upper or lower case.
    pub case: Option<Case>,
    /// The most characters; the rest is cut off.
    pub max_length: Option<usize>,
    /// What stands in for some values.
    pub values: Option<ValueMap>,
    /// How a text is made the same for everybody before its SHA-256 takes its place.
    pub sha256: Option<Normaliser>,
    /// What the value is turned into.
    pub kind: Option<Kind>,
    /// Whether a number loses its minus sign.
    pub absolute: bool,
    /// How many digits a number keeps behind its point.
    pub round: Option<u8>,
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
    /// A point in time as RFC 3339 in UTC.
    IsoTime,
    /// A point in time as whole seconds since 1970.
    UnixSeconds,
    /// A point in time as whole milliseconds since 1970.
    UnixMillis,
    /// Its JSON, as a text.
    JsonText,
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

// === impl Each ===

impl Each {
    /// Makes what is read of an element from the paths of [`Source::Item`] within `item`.
    #[must_use]
    pub fn new(list: Source, item: Field) -> Self {
        let mut slots = Vec::new();
        item.source.item_slots(&mut slots);
        let trie = Trie::of(&slots);
        Self { list, item, trie }
    }
}

/// The trie follows from the rest.
impl PartialEq for Each {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list && self.item == other.item
    }
}

impl Eq for Each {}

impl std::hash::Hash for Each {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.list.hash(state);
        self.item.hash(state);
    }
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
            Self::IsoTime | Self::UnixSeconds | Self::UnixMillis => "no point in time",
            Self::JsonText => "no JSON",
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
        let quick = fields.iter().map(Quick::of).collect();
        Self { name, request, expires, fields, when: None, quick, uses_nonce, uses_visitor }
    }
}

// === impl Source ===

impl Source {
    fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        match self {
            Self::FirstOf(sources) => sources.iter().any(|source| source.any(is)),
            Self::Object(fields) | Self::List(fields) | Self::Merge(fields) => {
                fields.iter().any(|field| field.source.any(is))
            }
            Self::Each(each) => each.list.any(is) || each.item.source.any(is),
            Self::Narrowed(source, _) => source.any(is),
            Self::Template(template) => template.0.iter().any(|piece| match piece {
                Piece::Nonce => is(&Self::Nonce),
                Piece::Visitor => is(&Self::Visitor),
                Piece::Text(_) | Piece::Secret(_) | Piece::Event(_) | Piece::Item(_) => false,
            }),
            other => is(other),
        }
    }

    pub(crate) fn secrets<'s>(&'s self, secrets: &mut Vec<&'s Secret>) {
        match self {
            Self::Template(template) => template.secrets(secrets),
            Self::FirstOf(sources) => sources.iter().for_each(|source| source.secrets(secrets)),
            Self::Object(fields) | Self::List(fields) | Self::Merge(fields) => {
                fields.iter().for_each(|field| field.source.secrets(secrets));
            }
            Self::Each(each) => {
                each.list.secrets(secrets);
                each.item.source.secrets(secrets);
            }
            Self::Narrowed(source, _) => source.secrets(secrets),
            Self::Nothing
            | Self::Constant(_)
            | Self::Event(_)
            | Self::Item(_)
            | Self::Nonce
            | Self::Visitor
            | Self::Expression(_) => {}
        }
    }

    /// What is asked of the element of the innermost list. A list within asks its own element, and where it stands this one.
    fn item_slots(&self, slots: &mut Vec<Slot>) {
        match self {
            Self::Item(slot) => slots.push(slot.clone()),
            Self::FirstOf(sources) => sources.iter().for_each(|source| source.item_slots(slots)),
            Self::Object(fields) | Self::List(fields) | Self::Merge(fields) => {
                fields.iter().for_each(|field| field.source.item_slots(slots));
            }
            Self::Each(each) => each.list.item_slots(slots),
            Self::Narrowed(source, _) => source.item_slots(slots),
            Self::Template(template) => slots.extend(template.0.iter().filter_map(|piece| match piece {
                Piece::Item(slot) => Some(slot.clone()),
                _ => None,
            })),
            Self::Expression(expression) => slots.extend(expression.item_slots().cloned()),
            Self::Nothing | Self::Constant(_) | Self::Event(_) | Self::Nonce | Self::Visitor => {}
        }
    }

    /// The places in the event that it looks at.
    pub(crate) fn places(&self) -> Vec<&Slot> {
        match self {
            Self::Event(slot) => vec![slot],
            Self::FirstOf(sources) => sources.iter().flat_map(Self::places).collect(),
            Self::Narrowed(source, _) => source.places(),
            Self::Each(each) => each.list.places(),
            Self::Merge(fields) => fields.iter().flat_map(|field| field.source.places()).collect(),
            Self::Expression(expression) => expression.places().collect(),
            Self::Template(template) => {
                let slots = template.0.iter().filter_map(|piece| match piece {
                    Piece::Event(slot) => Some(slot),
                    Piece::Text(_) | Piece::Secret(_) | Piece::Nonce | Piece::Visitor | Piece::Item(_) => None,
                });
                slots.collect()
            }
            _ => Vec::new(),
        }
    }
}
