//! How a field of a payload is written: a constant, a template, or a map of directives.
//!
//! Payload keys and directives never share a level: a map is always directives, and a constant that is a map stands under
//! `value`. In `sends`, a field says what must hold of it; in a rule's `set`, the same words give it a source or shape it.

use std::sync::Arc;

use anole_pipeline::{Case, Kind};

use crate::node::{self, Node};
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, Reach, Reference, Text, reference, template};
use crate::source::{At, Source};
use crate::table::{Table, Type, later, may};

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
        later("each"),
        later("cel"),
        may("keep_null", &Type::Bool, "Whether null is a value; else it counts as nothing."),
        may("keep_empty", &Type::Bool, "Whether the empty text is a value; else it counts as nothing."),
        may("trim", &Type::Bool, "Whether blanks around a text are taken away."),
        may("strip_prefix", &Type::Text, "A prefix of a text that is taken away once."),
        may("case", &Type::Choice(&["lower", "upper"]), "The case that a text is put in."),
        may("max_length", &Type::Integer, "The most characters of a text; the rest is cut off."),
        may(
            "type",
            &Type::Choice(&["text", "integer", "number", "boolean"]),
            "What the value is turned into. A number keeps its digits; what cannot be turned is parked.",
        ),
        may("absolute", &Type::Bool, "Whether a number loses its minus sign."),
        later("round"),
        later("sha256"),
        later("values"),
        later("flatten"),
        later("pick"),
        later("omit"),
        later("merge"),
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
const SOURCES: [&str; 6] = ["from", "first_of", "value", "template", "object", "list"];

/// A field as it is written. What is not written is `None`.
#[derive(Clone, Debug)]
pub(crate) struct ValueDef {
    pub(crate) at: At,
    pub(crate) source: Option<SourceDef>,
    pub(crate) keep_null: bool,
    pub(crate) keep_empty: bool,
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
}

/// A field with its key.
#[derive(Clone, Debug)]
pub(crate) struct FieldDef {
    pub(crate) key: String,
    pub(crate) key_at: At,
    pub(crate) value: ValueDef,
}

/// Reads fields out of a file.
pub(crate) struct Fields<'f> {
    pub(crate) source: &'f Arc<Source>,
    pub(crate) known: &'f Known,
    pub(crate) report: &'f mut Report,
}

// === impl ValueDef ===

impl ValueDef {
    fn new(at: At) -> Self {
        Self {
            at,
            source: None,
            keep_null: false,
            keep_empty: false,
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

// === impl Fields ===

impl Fields<'_> {
    fn at(&self, node: &Node) -> At {
        At::new(self.source, node.span)
    }

    fn problem(&mut self, at: At, message: &str, expected: &str) {
        self.report.add(Problem::new(Code::BadValue, at, message).expect(expected));
    }

    /// The fields of a map, in its order.
    pub(crate) fn fields(&mut self, node: &Node) -> Vec<FieldDef> {
        let mut fields = Vec::new();
        for entry in node.entries() {
            if let Some(value) = self.value(&entry.value) {
                let key_at = At::new(self.source, entry.key_span);
                fields.push(FieldDef { key: entry.key.clone(), key_at, value });
            }
        }
        fields
    }

    /// A field. `None` when it is wrong, which is then reported.
    pub(crate) fn value(&mut self, node: &Node) -> Option<ValueDef> {
        if node.is_map() {
            return self.directives(node);
        }
        let at = self.at(node);
        if node.is_null() {
            self.problem(
                at,
                "there is no value",
                "write a constant or directives: { from: properties.… }, { value: null }",
            );
            return None;
        }
        let source = match &node.kind {
            node::Kind::Text(text) if text.contains("{{") => {
                SourceDef::Template(template(text, &at, Reach::Send, self.known, self.report)?)
            }
            _ => SourceDef::Constant(node.to_json()),
        };
        Some(ValueDef { source: Some(source), ..ValueDef::new(at) })
    }

    fn directives(&mut self, node: &Node) -> Option<ValueDef> {
        let given: Vec<_> = node.entries().iter().filter(|entry| SOURCES.contains(&entry.key.as_str())).collect();
        if let [first, second, ..] = &*given {
            let at = At::new(self.source, second.key_span);
            let message = format!("`{}` and `{}` both say where the value comes from", first.key, second.key);
            self.report.add(Problem::new(Code::Conflict, at, message).expect("keep one of the two"));
            return None;
        }
        let source = match given.first() {
            Some(entry) => Some(self.source_of(&entry.key, &entry.value)?),
            None => None,
        };
        let text = |key: &str| node.get(key).and_then(Node::text);
        let bool = |key: &str| node.get(key).and_then(Node::bool);
        Some(ValueDef {
            at: self.at(node),
            source,
            keep_null: bool("keep_null").unwrap_or(false),
            keep_empty: bool("keep_empty").unwrap_or(false),
            trim: bool("trim"),
            strip_prefix: text("strip_prefix").map(str::to_owned),
            case: text("case").and_then(|word| match word {
                "lower" => Some(Case::Lower),
                "upper" => Some(Case::Upper),
                _ => None,
            }),
            max_length: text("max_length").and_then(|digits| digits.parse().ok()),
            kind: text("type").and_then(|word| match word {
                "text" => Some(Kind::Text),
                "integer" => Some(Kind::Integer),
                "number" => Some(Kind::Number),
                "boolean" => Some(Kind::Boolean),
                _ => None,
            }),
            absolute: bool("absolute"),
            default: node.get("default").map(Node::to_json),
            required: bool("required"),
            min: text("min").map(str::to_owned),
            max: text("max").map(str::to_owned),
            url: text("format") == Some("url"),
        })
    }

    fn source_of(&mut self, key: &str, node: &Node) -> Option<SourceDef> {
        let at = self.at(node);
        match key {
            "from" => {
                let place = reference(node.text()?, &at, Reach::Send, self.known, self.report)?;
                Some(SourceDef::Places(vec![(place, at)]))
            }
            "first_of" => {
                if node.items().is_empty() {
                    self.problem(at, "there is no place to look at", "write at least one path: [properties.revenue]");
                    return None;
                }
                let mut places = Vec::new();
                for item in node.items() {
                    let at = self.at(item);
                    places.push((reference(item.text()?, &at, Reach::Send, self.known, self.report)?, at));
                }
                Some(SourceDef::Places(places))
            }
            "template" => Some(SourceDef::Template(template(node.text()?, &at, Reach::Send, self.known, self.report)?)),
            "object" => Some(SourceDef::Object(self.fields(node))),
            "list" => Some(SourceDef::List(node.items().iter().filter_map(|item| self.value(item)).collect())),
            _ => Some(SourceDef::Constant(node.to_json())),
        }
    }
}
