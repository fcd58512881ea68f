//! Reading fields out of a file.

use std::sync::Arc;

use anole_pipeline::{Case, Kind, Normaliser, Path, ValueMap};

use super::{FieldDef, SOURCES, SourceDef, ValueDef};
use crate::expression::expression;
use crate::node::{self, Node};
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, Reach, reference, template};
use crate::source::{At, Source};

/// Reads fields out of a file.
pub(crate) struct Fields<'f> {
    pub(crate) source: &'f Arc<Source>,
    pub(crate) known: &'f Known,
    pub(crate) report: &'f mut Report,
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
        for (key, needs) in [("item", "each"), ("else", "values")] {
            if let Some(entry) = node.entry(key).filter(|_| node.get(needs).is_none()) {
                let at = At::new(self.source, entry.key_span);
                self.problem(at, &format!("`{key}` stands beside `{needs}` only"), &format!("write `{needs}` as well"));
                return None;
            }
        }
        let source = match given.first() {
            Some(entry) if entry.key == "each" => Some(self.each(&entry.value, node.get("item"))?),
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
            pick: self.members(node.get("pick")),
            omit: self.members(node.get("omit")),
            flatten: text("flatten").map(str::to_owned),
            values: self.values(node),
            sha256: text("sha256").and_then(Normaliser::from_name),
            round: self.digits(node.get("round")),
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
                "iso_time" => Some(Kind::IsoTime),
                "unix_s" => Some(Kind::UnixSeconds),
                "unix_ms" => Some(Kind::UnixMillis),
                "json" => Some(Kind::JsonText),
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
            "merge" => Some(SourceDef::Merge(node.items().iter().filter_map(|item| self.value(item)).collect())),
            "cel" => Some(SourceDef::Expression(expression(self.source, node, self.known, self.report)?)),
            "object" => Some(SourceDef::Object(self.fields(node))),
            "list" => Some(SourceDef::List(node.items().iter().filter_map(|item| self.value(item)).collect())),
            _ => Some(SourceDef::Constant(node.to_json())),
        }
    }

    /// A list and what is made of its elements, in which `item` is known.
    fn each(&mut self, node: &Node, item: Option<&Node>) -> Option<SourceDef> {
        let at = self.at(node);
        let list = reference(node.text()?, &at, Reach::Send, self.known, self.report)?;
        let known = Known { item: true, ..self.known.clone() };
        let mut fields = Fields { source: self.source, known: &known, report: self.report };
        let item = match item {
            Some(item) => fields.value(item)?,
            None => {
                let itself = reference("item", &at, Reach::Send, &known, fields.report)?;
                ValueDef { source: Some(SourceDef::Places(vec![(itself, at.clone())])), ..ValueDef::new(at) }
            }
        };
        Some(SourceDef::Each(list, Box::new(item)))
    }

    /// Paths within an object.
    fn members(&mut self, node: Option<&Node>) -> Vec<Path> {
        let mut paths = Vec::new();
        for item in node.map(Node::items).unwrap_or_default() {
            match item.text().map(Path::parse) {
                Some(Ok(path)) => paths.push(path),
                Some(Err(error)) => self.problem(self.at(item), &error.to_string(), "expected the name of a member"),
                None => {}
            }
        }
        paths
    }

    fn values(&mut self, node: &Node) -> Option<ValueMap> {
        let of = node.get("values")?.entries().iter();
        let of = of.map(|entry| (entry.key.as_str().into(), entry.value.to_json().into())).collect();
        Some(ValueMap { of, otherwise: node.get("else").map(|value| value.to_json().into()) })
    }

    fn digits(&mut self, node: Option<&Node>) -> Option<u8> {
        let node = node?;
        let digits = node.text()?.parse().ok().filter(|digits: &u8| *digits <= 15);
        if digits.is_none() {
            self.problem(self.at(node), "a number cannot be rounded so", "expected 0 to 15 digits behind the point");
        }
        digits
    }
}
