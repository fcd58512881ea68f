//! A pipeline as it is read from its file.

use std::sync::Arc;

use anole_event::LaneId;
use anole_pipeline::{Ga4, Gate, Intake, LanePlan, Path, Paths, PipelinePlan, Privacy, Secret, WriteKey};

use crate::blueprint::Blueprint;
use crate::compile::Compiler;
use crate::expand::{Environment, expand};
use crate::expression::expression;
use crate::filter;
use crate::governance::{Governor, categories};
use crate::node::{Entry, Node};
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, event_path};
use crate::remote::RemoteCheck;
use crate::rule::{self, Sends};
use crate::setting::Settings;
use crate::source::{At, Source};
use crate::table::check;
use crate::value::Fields;

pub(crate) mod tables;

/// By what people ask for an event, when the pipeline does not say.
const LOOKUP: &str = "properties.order_id";

/// What must not be claimed twice among all pipelines.
#[derive(Debug)]
pub(crate) struct Claim {
    /// `the write key`, `the pipeline` …
    pub(crate) what: &'static str,
    pub(crate) name: String,
    pub(crate) at: At,
    /// Whether the name must not be shown.
    pub(crate) secret: bool,
}

/// A pipeline that was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// The plan; `None` when something is wrong.
    pub(crate) plan: Option<PipelinePlan>,
    pub(crate) claims: Vec<Claim>,
    /// What the vendors can be asked about its destinations.
    pub(crate) remote: Vec<RemoteCheck>,
}

/// Reads a pipeline's parts.
struct Reader<'r> {
    source: &'r Arc<Source>,
    blueprints: &'r [Blueprint],
    env: Environment<'r>,
    report: &'r mut Report,
    claims: Vec<Claim>,
    remote: Vec<RemoteCheck>,
    paths: Paths,
}

/// Reads a file.
pub(crate) fn read(
    source: &Arc<Source>,
    root: &Node,
    blueprints: &[Blueprint],
    env: Environment<'_>,
    report: &mut Report,
) -> Read {
    check(source, root, &tables::PIPELINE, "a pipeline", report);
    let mut reader =
        Reader { source, blueprints, env, report, claims: Vec::new(), remote: Vec::new(), paths: Paths::new() };
    let plan = reader.pipeline(root);
    Read { plan, claims: reader.claims, remote: reader.remote }
}

// === impl Reader ===

impl Reader<'_> {
    fn at(&self, node: &Node) -> At {
        At::new(self.source, node.span)
    }

    fn key_at(&self, entry: &Entry) -> At {
        At::new(self.source, entry.key_span)
    }

    fn claim(&mut self, what: &'static str, name: &str, at: At, secret: bool) {
        self.claims.push(Claim { what, name: name.to_owned(), at, secret });
    }

    fn pipeline(&mut self, root: &Node) -> Option<PipelinePlan> {
        let name = root.get("pipeline").and_then(|node| self.name(node, "pipeline"));
        let mut intake = Intake::new(name.as_deref().unwrap_or_default());
        intake.keys = self.keys(root);
        intake.signing = self.signing(root);
        intake.ga4 = root.get("ga4").and_then(|ga4| self.ga4(ga4));
        intake.translate = root.get("translate").and_then(Node::bool).unwrap_or(true);
        intake.consent = root.get("consent").map(|consent| self.governor().consent(consent));
        intake.bots = root.get("bots").map(|bots| self.governor().bots(bots)).unwrap_or_default();
        let lookups = self.lookups(root);
        let mut lanes = Vec::new();
        for node in root.get("destinations").map(Node::items).unwrap_or_default() {
            lanes.extend(self.destination(name.as_deref().unwrap_or_default(), node, &mut intake));
        }
        intake.cookies.sort();
        intake.cookies.dedup();
        intake.privacy = root.get("privacy").map(|node| self.privacy(node, &intake.cookies)).unwrap_or_default();
        if let Some(node) = root.get("pipeline")
            && root.get("keys").is_none_or(|keys| keys.items().is_empty())
            && root.get("ga4").is_none()
            && !self.report.has_errors()
        {
            let problem = Problem::new(Code::Unusual, self.at(node), "nobody can send to this pipeline").warning();
            self.report.add(problem.expect("write `keys: [ { key: … } ]`, or `ga4`"));
        }
        name?;
        Some(PipelinePlan::new(intake, lanes, &lookups, std::mem::take(&mut self.paths)))
    }

    /// A name that can be part of a lane's.
    fn name(&mut self, node: &Node, what: &'static str) -> Option<String> {
        let name = node.text()?;
        let at = self.at(node);
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
            let problem = Problem::new(Code::BadValue, at, format!("`{name}` is no name of a {what}"));
            self.report.add(problem.expect("expected at most 64 letters, digits, dashes, underscores and dots"));
            return None;
        }
        self.claim(if what == "pipeline" { "the pipeline" } else { "the destination" }, name, at, false);
        Some(name.to_owned())
    }

    fn expanded(&mut self, node: &Node) -> Option<(String, bool)> {
        let at = self.at(node);
        let written = node.text()?;
        let expanded = expand(written, &at, self.env, self.report)?;
        if expanded.text.trim().is_empty() {
            self.report.add(Problem::new(Code::BadValue, at, "this is empty").expect("write a value"));
            return None;
        }
        Some((expanded.text, expanded.from_outside))
    }

    fn keys(&mut self, root: &Node) -> Vec<WriteKey> {
        let mut keys = Vec::new();
        for node in root.get("keys").map(Node::items).unwrap_or_default() {
            let Some(written) = node.get("key") else { continue };
            let Some((key, from_outside)) = self.expanded(written) else { continue };
            let at = self.at(written);
            if !from_outside {
                self.report.mask(at.clone());
            }
            if key.contains(|c: char| c.is_whitespace() || c.is_control()) {
                let problem = Problem::new(Code::BadValue, at, "a write key has no blanks");
                self.report.add(problem.expect("expected letters, digits, dashes and underscores"));
                continue;
            }
            self.claim("the write key", &key, at, true);
            let origins = self.origins(node);
            keys.push(WriteKey { key: Secret::new(key), origins });
        }
        keys
    }

    /// The origins that a key or a tag is limited to.
    fn origins(&mut self, node: &Node) -> Vec<String> {
        let mut origins = Vec::new();
        for origin in node.get("origins").map(Node::items).unwrap_or_default() {
            if let Some((text, _)) = self.expanded(origin) {
                origins.extend(self.origin(origin, &text));
            }
        }
        origins
    }

    /// An origin as browsers write it: lower case, without a path, without a port that is the scheme's own.
    fn origin(&mut self, node: &Node, text: &str) -> Option<String> {
        let parsed =
            url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let bare = |url: &url::Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        match parsed.filter(bare) {
            Some(url) => Some(url.origin().ascii_serialization()),
            None => {
                let problem = Problem::new(Code::BadValue, self.at(node), format!("`{text}` is no origin"));
                self.report.add(problem.expect("expected scheme, host and port, such as https://shop.example.com"));
                None
            }
        }
    }

    fn signing(&mut self, root: &Node) -> Vec<Secret> {
        let items = root.get("signing").map(Node::items).unwrap_or_default();
        items.iter().filter_map(|item| self.secret(item, "signing")).collect()
    }

    /// A secret, which should not stand in the file itself.
    fn secret(&mut self, node: &Node, name: &str) -> Option<Secret> {
        let (secret, from_outside) = self.expanded(node)?;
        if !from_outside {
            let at = self.at(node);
            self.report.mask(at.clone());
            let message = format!("the secret `{name}` stands in the file itself");
            let problem = Problem::new(Code::PlainSecret, at, message).warning();
            self.report.add(problem.expect("take it from the environment: \"${NAME}\""));
        }
        Some(Secret::new(secret))
    }

    fn ga4(&mut self, node: &Node) -> Option<Ga4> {
        let mut measurement_ids = Vec::new();
        for item in node.get("measurement_ids").map(Node::items).unwrap_or_default() {
            if let Some((id, _)) = self.expanded(item) {
                let at = self.at(item);
                self.claim("the measurement id", &id, at, false);
                measurement_ids.push(id);
            }
        }
        let api_secret = match node.get("api_secret") {
            None => None,
            Some(written) => Some(self.secret(written, "api_secret")?),
        };
        Some(Ga4 { measurement_ids, api_secret, origins: self.origins(node) })
    }

    fn lookups(&mut self, root: &Node) -> Vec<Path> {
        let known = Known::default();
        let Some(node) = root.get("lookup") else { return Path::parse(LOOKUP).into_iter().collect() };
        let mut lookups = Vec::new();
        for item in node.items() {
            let at = self.at(item);
            lookups.extend(item.text().and_then(|text| event_path(text, &at, &known, self.report)));
        }
        lookups
    }

    fn destination(&mut self, pipeline: &str, node: &Node, intake: &mut Intake) -> Option<Arc<LanePlan>> {
        let named = node.get("blueprint")?;
        let written = named.text()?;
        let blueprints = self.blueprints;
        let Some(blueprint) = blueprints.iter().find(|blueprint| blueprint.name == written) else {
            if self.report.is_unreadable(written) {
                return None;
            }
            let names = blueprints.iter().map(|blueprint| blueprint.name.as_str());
            self.report.add(Problem::unknown(Code::UnknownName, self.at(named), "blueprint", written, names));
            return None;
        };
        let name = self.name(node.get("name").unwrap_or(named), "destination");
        intake.cookies.extend(blueprint.known.cookies.iter().map(|cookie| Arc::from(cookie.as_str())));
        for remember in &blueprint.remember {
            // Two destinations of one blueprint remember the same; two blueprints may not mean different things by a name.
            if !intake.remember.contains(remember) {
                intake.remember.push(remember.clone());
            }
        }
        let rules = self.rules(node, blueprint);
        let settings_at = node.entry("settings").map_or_else(|| self.at(named), |entry| self.key_at(entry));
        let settings = Settings::fill(&blueprint.settings, node.get("settings"), &settings_at, self.env, self.report);
        let (name, rules, settings) = (name?, rules?, settings?);
        let enabled = node.get("enabled").and_then(Node::bool).unwrap_or(true);
        let (filters, sight) = filter::filters(self.source, node.get("filters"), &blueprint.known, self.report);
        let when = match node.get("when") {
            Some(when) => Some(expression(self.source, when, &blueprint.known, self.report)?),
            None => None,
        };
        let gate = self.gate(node, blueprint, &rules, intake);
        let lane = LaneId::new(pipeline, &name);
        let mut compiler = Compiler {
            blueprint,
            gate,
            settings: &settings,
            settings_at: &settings_at,
            paths: &mut self.paths,
            sight: &sight,
            items: Vec::new(),
            report: self.report,
        };
        let plan = compiler.lane(lane.clone(), enabled, (filters, when.as_ref()), &rules)?;
        if enabled {
            // Only where the plan is right: what both need would be told twice.
            let checks = compiler.checks(&lane, &rules);
            self.remote.extend(checks);
        }
        Some(Arc::new(plan))
    }

    fn privacy(&mut self, node: &Node, cookies: &[Arc<str>]) -> Privacy {
        let mut governor = Governor { source: self.source, report: self.report };
        governor.privacy(node, cookies, &self.paths)
    }

    const fn governor(&mut self) -> Governor<'_> {
        Governor { source: self.source, report: self.report }
    }

    /// What the destination needs of consent: the rule's word before the destination's before the blueprint's.
    fn gate(&mut self, node: &Node, blueprint: &Blueprint, rules: &[rule::Merged], intake: &Intake) -> Option<Gate> {
        let said = rules.iter().filter_map(|rule| Some((rule.rule.name.as_str(), rule.rule.consent.as_ref()?)));
        let Some(plan) = &intake.consent else {
            let own = said.filter(|(_, (_, at))| Arc::ptr_eq(&at.source, self.source)).map(|(_, (_, at))| at.clone());
            let of_destination = node.entry("consent").map(|entry| self.key_at(entry));
            for at in of_destination.into_iter().chain(own) {
                let message = "`consent` has no effect here: the pipeline asks nobody for it";
                let problem = Problem::new(Code::MissingKey, at, message);
                self.report.add(problem.expect("write `consent: { from: [ … ] }` into the pipeline, or remove this"));
            }
            return None;
        };
        let needs = node.get("consent").map_or(blueprint.consent, categories);
        let rules: Vec<_> = said.map(|(name, (needs, _))| (Arc::from(name), *needs)).collect();
        let gates = !needs.is_empty() || !rules.is_empty();
        gates.then(|| Gate::new(plan.unknown, needs, rules, &mut self.paths))
    }

    fn rules(&mut self, node: &Node, blueprint: &Blueprint) -> Option<Vec<rule::Merged>> {
        let names: Vec<&str> = blueprint.sends.iter().map(|send| send.name.as_str()).collect();
        let own = match node.get("events") {
            Some(events) => {
                let mut fields = Fields { source: self.source, known: &blueprint.known, report: self.report };
                rule::rules(&mut fields, events, &Sends { names: &names, defs: &blueprint.sends })
            }
            None => Vec::new(),
        };
        let preset = match node.get("preset") {
            None => blueprint.preset("default").map(|preset| preset.rules.as_slice()).unwrap_or_default(),
            Some(named) => {
                let written = named.text()?;
                match blueprint.preset(written) {
                    Some(preset) => &preset.rules,
                    None => {
                        let names = blueprint.presets.iter().map(|preset| preset.name.as_str());
                        self.report.add(Problem::unknown(Code::UnknownName, self.at(named), "preset", written, names));
                        return None;
                    }
                }
            }
        };
        Some(rule::merge(preset, &own, &blueprint.sends, self.report))
    }
}
