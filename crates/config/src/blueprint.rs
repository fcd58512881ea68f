//! A blueprint as it is read from its file: checked as far as it can be without a destination's settings.

use std::sync::Arc;

use anole_pipeline::{Answers, BodyKind, Categories, Clean, Encoding, Remember};

use crate::governance::categories;
use crate::node::Node;
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, Reach, Text, event_path, template};
use crate::rule::RuleDef;
use crate::setting::SettingDef;
use crate::source::{At, Source};
use crate::table::check;
use crate::units::{Period, Size};
use crate::value::FieldDef;

mod checks;
mod parts;
pub(crate) mod tables;

pub(crate) use checks::CheckDef;

/// A blueprint.
#[derive(Debug)]
pub(crate) struct Blueprint {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) known: Known,
    pub(crate) settings: Vec<SettingDef>,
    pub(crate) account: Option<Text>,
    pub(crate) nonce: Option<Text>,
    pub(crate) consent: Categories,
    pub(crate) remember: Vec<Remember>,
    pub(crate) visitor: Option<VisitorDef>,
    pub(crate) requests: Vec<RequestDef>,
    pub(crate) answers: Answers,
    pub(crate) sends: Vec<SendDef>,
    pub(crate) presets: Vec<PresetDef>,
    pub(crate) checks: Vec<CheckDef>,
}

/// How the visitor is found.
#[derive(Debug)]
pub(crate) struct VisitorDef {
    pub(crate) first_of: Vec<anole_pipeline::Path>,
    pub(crate) clean: Clean,
    pub(crate) otherwise: Option<Text>,
    pub(crate) hint: Option<String>,
}

/// A kind of request.
#[derive(Debug)]
pub(crate) struct RequestDef {
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) method: String,
    pub(crate) url: Text,
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) frame: BodyKind,
    /// What stands beside the list of a frame: JSON, or a template over settings.
    pub(crate) with: Vec<(String, Beside)>,
    pub(crate) events: usize,
    pub(crate) bytes: Size,
    pub(crate) wait: Period,
    pub(crate) auth: Option<AuthDef>,
}

/// A member beside the list of a frame.
#[derive(Debug)]
pub(crate) enum Beside {
    Json(String),
    Text(Text),
}

/// How a request authenticates.
#[derive(Debug)]
pub(crate) struct AuthDef {
    /// The setting on which it depends.
    pub(crate) when_set: Option<String>,
    pub(crate) kind: AuthKind,
}

/// The ways of authenticating.
#[derive(Debug)]
pub(crate) enum AuthKind {
    Basic { user: Text, password: Text },
    Bearer(Text),
    Header { name: String, value: Text },
    Hmac { header: String, secret: Text, encoding: Encoding, prefix: String },
    OAuth2 { token_url: Text, client_id: Text, client_secret: Text, scope: Option<Text>, optional: bool },
}

/// What can be sent.
#[derive(Debug)]
pub(crate) struct SendDef {
    pub(crate) name: String,
    pub(crate) request: usize,
    pub(crate) expires: Option<Period>,
    pub(crate) body: Vec<FieldDef>,
}

/// A named set of rules.
#[derive(Debug)]
pub(crate) struct PresetDef {
    pub(crate) name: String,
    pub(crate) rules: Vec<RuleDef>,
}

/// Reads a blueprint's parts.
pub(crate) struct Reader<'r> {
    pub(crate) source: &'r Arc<Source>,
    pub(crate) known: Known,
    pub(crate) report: &'r mut Report,
}

// === impl Blueprint ===

impl Blueprint {
    /// Reads a file. `None` when it has no name or is no map; what is wrong is reported either way.
    pub(crate) fn read(source: &Arc<Source>, root: &Node, report: &mut Report) -> Option<Self> {
        check(source, root, &tables::BLUEPRINT, "a blueprint", report);
        let known = known(root);
        let mut reader = Reader { source, known, report };
        let name = root.get("blueprint")?;
        let requests = reader.requests(root);
        let sends = reader.sends(root, &requests);
        let blueprint = Self {
            name: name.text()?.to_owned(),
            at: reader.at(name),
            settings: reader.settings(root),
            account: reader.text(root.get("account"), Reach::Settings),
            nonce: reader.text(root.get("nonce"), Reach::Settings),
            consent: root.get("consent").map(categories).unwrap_or_default(),
            remember: reader.remember(root),
            visitor: reader.visitor(root),
            answers: reader.answers(root),
            presets: reader.presets(root, &sends),
            checks: reader.checks(root, &sends),
            requests,
            sends,
            known: reader.known.clone(),
        };
        reader.unused_settings(root);
        Some(blueprint)
    }

    pub(crate) fn send(&self, name: &str) -> Option<&SendDef> {
        self.sends.iter().find(|send| send.name == name)
    }

    pub(crate) fn preset(&self, name: &str) -> Option<&PresetDef> {
        self.presets.iter().find(|preset| preset.name == name)
    }
}

/// What a blueprint makes known to its own paths.
fn known(root: &Node) -> Known {
    let keys = |key: &str| {
        let entries = root.get(key).map(Node::entries).unwrap_or_default();
        entries.iter().map(|entry| entry.key.clone()).collect()
    };
    let cookies = root.get("cookies").map(Node::items).unwrap_or_default();
    Known {
        settings: keys("settings"),
        cookies: cookies.iter().filter_map(Node::text).map(str::to_owned).collect(),
        remembered: keys("remember"),
        visitor: root.get("resolve").is_some_and(|resolve| resolve.get("visitor_code").is_some()),
        item: false,
    }
}

/// Whether some text in a node names a setting.
fn names(node: &Node, setting: &str) -> bool {
    let named = |text: &str| {
        text.match_indices(setting).any(|(at, _)| {
            let end = text[at + setting.len()..].chars().next();
            end.is_none_or(|c| !c.is_alphanumeric() && c != '_')
        })
    };
    node.text().is_some_and(named)
        || node.items().iter().any(|item| names(item, setting))
        || node.entries().iter().any(|entry| names(&entry.value, setting))
}

// === impl Reader ===

impl Reader<'_> {
    /// Warns of settings that nothing in the file names: a destination would fill them in for nothing.
    fn unused_settings(&mut self, root: &Node) {
        // A mistake may be what keeps a setting from being used.
        if self.report.has_errors() {
            return;
        }
        for entry in root.get("settings").map(Node::entries).unwrap_or_default() {
            if !names(root, &format!("settings.{}", entry.key)) {
                let at = At::new(self.source, entry.key_span);
                let message = format!("nothing uses the setting `{}`", entry.key);
                let problem = Problem::new(Code::UnusedSetting, at, message).warning();
                self.report.add(problem.expect(format!("write settings.{} where it belongs, or remove it", entry.key)));
            }
        }
    }

    pub(crate) fn at(&self, node: &Node) -> At {
        At::new(self.source, node.span)
    }

    pub(crate) fn bad(&mut self, node: &Node, message: impl Into<String>, expected: &str) {
        let at = self.at(node);
        self.report.add(Problem::new(Code::BadValue, at, message).expect(expected));
    }

    pub(crate) fn text(&mut self, node: Option<&Node>, reach: Reach) -> Option<Text> {
        let node = node?;
        let at = self.at(node);
        template(node.text()?, &at, reach, &self.known, self.report)
    }

    pub(crate) fn paths(&mut self, node: Option<&Node>) -> Vec<anole_pipeline::Path> {
        let mut paths = Vec::new();
        for item in node.map(Node::items).unwrap_or_default() {
            let at = self.at(item);
            if let Some(path) = item.text().and_then(|text| event_path(text, &at, &self.known, self.report)) {
                paths.push(path);
            }
        }
        paths
    }
}
