//! What a blueprint says can be asked of its vendor before there is an event.

use anole_pipeline::{BodyKind, Path};

use super::parts::entries;
use super::{Reader, RequestDef, SendDef};
use crate::node::Node;
use crate::problem::{Code, Problem};
use crate::reference::{Reach, Text};
use crate::source::At;
use crate::units::{Period, Size};

/// A question to the vendor.
#[derive(Debug)]
pub(crate) struct CheckDef {
    pub(crate) name: String,
    pub(crate) request: RequestDef,
    pub(crate) missing: Option<String>,
    pub(crate) holds: Vec<HoldsDef>,
    pub(crate) known: Option<KnownDef>,
}

/// A text that must stand in the answer.
#[derive(Debug)]
pub(crate) struct HoldsDef {
    pub(crate) place: Path,
    pub(crate) one_of: Vec<Text>,
    pub(crate) hint: Option<String>,
}

/// The constants of a payload field that the answer must list.
#[derive(Clone, Debug)]
pub(crate) struct KnownDef {
    pub(crate) field: String,
    pub(crate) list: Option<Path>,
    pub(crate) place: Path,
    pub(crate) complete_below: Option<usize>,
}

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn checks(&mut self, root: &Node, sends: &[SendDef]) -> Vec<CheckDef> {
        let mut checks = Vec::new();
        for entry in entries(root, "checks") {
            let node = &entry.value;
            let Some(url) = self.text(node.get("url"), Reach::Settings) else { continue };
            let request = RequestDef {
                name: entry.key.clone(),
                at: At::new(self.source, node.get("url").map_or(entry.key_span, |url| url.span)),
                method: "GET".to_owned(),
                url,
                headers: self.headers(node),
                frame: BodyKind::Single,
                with: Vec::new(),
                events: 1,
                bytes: Size::from_bytes(1 << 20),
                wait: Period::from_secs(1),
                auth: node.get("auth").and_then(|auth| self.auth(auth)),
            };
            checks.push(CheckDef {
                name: entry.key.clone(),
                request,
                missing: node.get("missing").and_then(Node::text).map(str::to_owned),
                holds: self.holds(node),
                known: node.get("known").and_then(|known| self.known_values(known, sends)),
            });
        }
        checks
    }

    fn holds(&mut self, node: &Node) -> Vec<HoldsDef> {
        let mut all = Vec::new();
        for item in node.get("holds").map(Node::items).unwrap_or_default() {
            let Some(place) = item.get("place").and_then(|place| self.answer_path(place)) else { continue };
            let texts = item.get("one_of").map(Node::items).unwrap_or_default();
            let one_of = texts.iter().filter_map(|text| self.text(Some(text), Reach::Settings)).collect();
            all.push(HoldsDef { place, one_of, hint: item.get("hint").and_then(Node::text).map(str::to_owned) });
        }
        all
    }

    fn known_values(&mut self, node: &Node, sends: &[SendDef]) -> Option<KnownDef> {
        let named = node.get("field")?;
        let field = named.text()?;
        let fields = || sends.iter().flat_map(|send| &send.body).map(|field| field.key.as_str());
        if !fields().any(|known| known == field) {
            let names: std::collections::BTreeSet<&str> = fields().collect();
            self.report.add(Problem::unknown(Code::UnknownName, self.at(named), "payload field", field, names));
            return None;
        }
        Some(KnownDef {
            field: field.to_owned(),
            list: match node.get("list") {
                Some(list) => Some(self.answer_path(list)?),
                None => None,
            },
            place: self.answer_path(node.get("place")?)?,
            complete_below: node.get("complete_below").and_then(Node::text).and_then(|digits| digits.parse().ok()),
        })
    }

    /// A path into an answer, which has roots of its own.
    fn answer_path(&mut self, node: &Node) -> Option<Path> {
        match Path::parse(node.text()?) {
            Ok(path) => Some(path),
            Err(error) => {
                self.bad(node, error.to_string(), "expected a path into the answer, such as configuration.region");
                None
            }
        }
    }
}
