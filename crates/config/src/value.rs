//! How a field of a payload is written: a constant, a template, or a map of directives.
//!
//! Payload keys and directives never share a level: a map is always directives, and a constant that is a map stands under
//! `value`. In `sends`, a field says what must hold of it; in a rule's `set`, the same words give it a source or shape it.

use anole_pipeline::{Case, Kind, Normaliser, Path, ValueMap};

use crate::expression::ExprDef;
use crate::reference::{Reference, Text};
use crate::source::At;
use crate::table::{Table, Type, may};

mod read;

pub(crate) use read::Fields;

/// The directives of a field.
static DIRECTIVES: Table = Table {
    what: "the directives of a field",
    keys: &[
        may("from", &Type::Text, "The place where the value stands: a path such as properties.revenue."),
        may("first_of", &Type::List(&Type::Text), "Places; the first that holds something gives the value."),
        may("value", &Type::Any, "A constant, taken as it is; also a map or a list."),
        may(
            "template",
            &Type::Text,
            "A text with paths in double braces. When a place holds nothing, neither does the text.",
        ),
        may("object", &Type::Map(&FIELD), "An object with these fields. Without any, it is left out."),
        may("list", &Type::List(&FIELD), "A list of these values. Those that hold nothing are left out."),
        may("each", &Type::Text, "The place of a list, of which each element gives a value; `item` says which."),
        may(
            "item",
            &FIELD,
            "Beside each: the value of an element, whose parts are item.NAME. The element itself when not given.",
        ),
        may("merge", &Type::List(&FIELD), "Objects whose members are put together; of equal keys the last holds."),
        may("cel", &Type::Text, "An expression in CEL, when nothing else will do. When it fails, there is no value."),
        may("pick", &Type::List(&Type::Text), "The members of an object that are kept, as paths within it."),
        may("omit", &Type::List(&Type::Text), "The members of an object that are taken away, as paths within it."),
        may(
            "flatten",
            &Type::Text,
            "What joins the keys of an object whose members' members are put beside each other.",
        ),
        may("keep_null", &Type::Bool, "Whether null is a value; else it counts as nothing."),
        may("keep_empty", &Type::Bool, "Whether the empty text is a value; else it counts as nothing."),
        may("trim", &Type::Bool, "Whether blanks around a text are taken away."),
        may("strip_prefix", &Type::Text, "A prefix of a text that is taken away once."),
        may("case", &Type::Choice(&["lower", "upper"]), "The case that a text is put in."),
        may("max_length", &Type::Integer, "The most characters of a text; the rest is cut off."),
        may(
            "values",
            &Type::Map(&Type::Any),
            "What stands in for some values: { US: 1, DE: 2 }. Others become nothing, or what `else` says.",
        ),
        may("else", &Type::Any, "Beside values: what stands in for all other values."),
        may(
            "sha256",
            &Type::Choice(&["text", "email", "google_email", "phone", "google_phone"]),
            "The SHA-256 of the text in lower-case hex, made the same for everybody as such a text first.",
        ),
        may(
            "type",
            &Type::Choice(&["text", "integer", "number", "boolean", "iso_time", "unix_s", "unix_ms", "json"]),
            "What the value is turned into. A number keeps its digits; what cannot be turned is parked.",
        ),
        may("absolute", &Type::Bool, "Whether a number loses its minus sign."),
        may(
            "round",
            &Type::Integer,
            "How many digits a number keeps behind its point, 15 at most; halves go away from zero.",
        ),
        may("default", &Type::Any, "A constant that stands in when there is nothing."),
        may("required", &Type::Bool, "Whether an event without it is parked instead of sent."),
        may("min", &Type::Number, "The least number that the vendor takes."),
        may("max", &Type::Number, "The greatest number that the vendor takes."),
        may("format", &Type::Choice(&["url"]), "The form of a text: url is an absolute http or https address."),
    ],
};

/// A field of a payload.
pub(crate) static FIELD: Type = Type::Either(&[&Type::Table(&DIRECTIVES), &Type::Any]);

/// The directives that give a value.
const SOURCES: [&str; 9] = ["from", "first_of", "value", "template", "object", "list", "each", "merge", "cel"];

/// A field as it is written. What is not written is `None`.
#[derive(Clone, Debug)]
pub(crate) struct ValueDef {
    pub(crate) at: At,
    pub(crate) source: Option<SourceDef>,
    pub(crate) keep_null: bool,
    pub(crate) keep_empty: bool,
    pub(crate) pick: Vec<Path>,
    pub(crate) omit: Vec<Path>,
    pub(crate) flatten: Option<String>,
    pub(crate) values: Option<ValueMap>,
    pub(crate) sha256: Option<Normaliser>,
    pub(crate) round: Option<u8>,
    pub(crate) trim: Option<bool>,
    pub(crate) strip_prefix: Option<String>,
    pub(crate) case: Option<Case>,
    pub(crate) max_length: Option<usize>,
    pub(crate) kind: Option<Kind>,
    pub(crate) absolute: Option<bool>,
    pub(crate) default: Option<String>,
    pub(crate) required: Option<bool>,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
    pub(crate) url: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) enum SourceDef {
    /// JSON.
    Constant(String),
    /// Paths, best first.
    Places(Vec<(Reference, At)>),
    Template(Text),
    Object(Vec<FieldDef>),
    List(Vec<ValueDef>),
    /// A list, and what is made of each of its elements.
    Each(Reference, Box<ValueDef>),
    Merge(Vec<ValueDef>),
    Expression(ExprDef),
}

/// A field with its key.
#[derive(Clone, Debug)]
pub(crate) struct FieldDef {
    pub(crate) key: String,
    pub(crate) key_at: At,
    pub(crate) value: ValueDef,
}

// === impl ValueDef ===

impl ValueDef {
    fn new(at: At) -> Self {
        Self {
            at,
            source: None,
            keep_null: false,
            keep_empty: false,
            pick: Vec::new(),
            omit: Vec::new(),
            flatten: None,
            values: None,
            sha256: None,
            round: None,
            trim: None,
            strip_prefix: None,
            case: None,
            max_length: None,
            kind: None,
            absolute: None,
            default: None,
            required: None,
            min: None,
            max: None,
            url: false,
        }
    }

    /// This field with another laid over it. A new source brings its own shape; without one, the shape adds to what is there.
    /// What must hold only ever adds: a rule cannot make the vendor take what it does not.
    pub(crate) fn under(&self, over: &Self) -> Self {
        let fresh = Self::new(over.at.clone());
        let base = if over.source.is_some() { &fresh } else { self };
        let over = over.clone();
        Self {
            at: over.at,
            source: over.source.or_else(|| base.source.clone()),
            keep_null: over.keep_null || base.keep_null,
            keep_empty: over.keep_empty || base.keep_empty,
            pick: if over.pick.is_empty() { base.pick.clone() } else { over.pick },
            omit: if over.omit.is_empty() { base.omit.clone() } else { over.omit },
            flatten: over.flatten.or_else(|| base.flatten.clone()),
            values: over.values.or_else(|| base.values.clone()),
            sha256: over.sha256.or(base.sha256),
            round: over.round.or(base.round),
            trim: over.trim.or(base.trim),
            strip_prefix: over.strip_prefix.or_else(|| base.strip_prefix.clone()),
            case: over.case.or(base.case),
            max_length: over.max_length.or(base.max_length),
            kind: over.kind.or(base.kind),
            absolute: over.absolute.or(base.absolute),
            default: over.default.or_else(|| base.default.clone()),
            required: Some(over.required == Some(true) || self.required == Some(true)),
            min: self.min.clone().or(over.min),
            max: self.max.clone().or(over.max),
            url: over.url || self.url,
        }
    }
}
