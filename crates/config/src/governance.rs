//! Governance as pipelines write it: consent, privacy and robots.
//!
//! A mistake here does not lose events, it sends or keeps what must not be; so what cannot have the effect that its writer
//! expects is an error, also where a mapping would merely find nothing.

use std::sync::Arc;

use anole_pipeline::{
    BotAct, Bots, Categories, Category, ConsentPlan, ConsentSource, Normaliser, Path, Paths, Privacy, Redact, Unknown,
};

use crate::nearest::nearest;
use crate::node::{Kind, Node};
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, event_path};
use crate::source::{At, Source};

pub(crate) mod tables;

/// The one cookie whose form is known without being declared.
const ONE_TRUST: &str = "OptanonConsent";

/// Fields that every event needs, or that say nothing of a person.
const NEEDED: [&str; 8] =
    ["type", "event", "message_id", "timestamp", "received_at", "sent_at", "original_timestamp", "source"];
/// Where personal data stands.
const REDACTED: [&str; 9] = [
    "anonymous_id",
    "user_id",
    "group_id",
    "previous_id",
    "properties",
    "traits",
    "context",
    "integrations",
    "cookies",
];
/// Keys beside `properties` that Measurement Protocol requests have.
const OF_GA4: [&str; 2] = ["user_data", "non_personalized_ads"];
/// How Segment's clients spell keys of `context` that are written otherwise in an event.
const SPELT: [(&str, &str); 3] =
    [("userAgent", "user_agent"), ("userAgentData", "user_agent_data"), ("groupId", "group_id")];

/// Reads the parts of governance.
pub(crate) struct Governor<'g> {
    pub(crate) source: &'g Arc<Source>,
    pub(crate) report: &'g mut Report,
}

/// The categories of a list. Words that are none were reported when the file was checked.
pub(crate) fn categories(node: &Node) -> Categories {
    node.items().iter().filter_map(Node::text).filter_map(Category::from_name).collect()
}

// === impl Governor ===

impl Governor<'_> {
    fn at(&self, node: &Node) -> At {
        At::new(self.source, node.span)
    }

    fn bad(&mut self, at: At, message: impl Into<String>, expected: impl Into<String>) {
        self.report.add(Problem::new(Code::BadValue, at, message).expect(expected));
    }

    pub(crate) fn consent(&mut self, node: &Node) -> ConsentPlan {
        let values = node.get("values");
        let mut from: Vec<ConsentSource> = Vec::new();
        for item in node.get("from").map(Node::items).unwrap_or_default() {
            let at = self.at(item);
            let Some(source) = item.text().and_then(|text| self.asked(text, &at, values)) else { continue };
            if from.contains(&source) {
                let message = format!("{} is asked twice", item.text().unwrap_or_default());
                self.report.add(Problem::new(Code::Conflict, at, message).expect("remove one"));
            } else {
                from.push(source);
            }
        }
        if let Some(list) = node.get("from").filter(|list| matches!(&list.kind, Kind::List(items) if items.is_empty()))
        {
            let at = self.at(list);
            self.bad(at, "consent is asked of nobody", "expected some of collector, segment, ga4 and cookie:NAME");
        }
        for entry in values.map(Node::entries).unwrap_or_default() {
            let asked = |source: &ConsentSource| matches!(source, ConsentSource::Cookie { cookie, .. } if **cookie == *entry.key);
            if !from.iter().any(asked) {
                let at = At::new(self.source, entry.key_span);
                let expected = format!("add cookie:{} to `from`, or remove this", entry.key);
                self.bad(at, format!("the cookie `{}` is not asked", entry.key), expected);
            }
        }
        let words = node.get("words").map(Node::entries).unwrap_or_default();
        ConsentPlan {
            from,
            words: words.iter().map(|entry| (entry.key.as_str().into(), categories(&entry.value))).collect(),
            unknown: match node.get("unknown").and_then(Node::text) {
                Some("allow") => Unknown::Allow,
                _ => Unknown::Deny,
            },
            visitor_cookie: match node.get("visitor_cookie") {
                Some(list) => categories(list),
                None => Categories::NONE.with(Category::Analytics),
            },
        }
    }

    /// Somebody who is asked for consent.
    fn asked(&mut self, text: &str, at: &At, values: Option<&Node>) -> Option<ConsentSource> {
        const SOURCES: [&str; 4] = ["collector", "segment", "ga4", "cookie:NAME"];
        let Some(cookie) = text.strip_prefix("cookie:").map(str::trim) else {
            return match text {
                "collector" => Some(ConsentSource::Collector),
                "segment" => Some(ConsentSource::Segment),
                "ga4" => Some(ConsentSource::Ga4),
                _ => {
                    let problem =
                        Problem::new(Code::UnknownName, at.clone(), format!("`{text}` is no source of consent"));
                    let meant = if nearest(text, ["onetrust", ONE_TRUST]).is_some() {
                        Some("cookie:OptanonConsent")
                    } else {
                        nearest(text, ["collector", "segment", "ga4"])
                    };
                    let problem = match meant {
                        Some(meant) => problem.suggest(meant),
                        None => problem,
                    };
                    self.report.add(problem.expect_one_of(SOURCES));
                    None
                }
            };
        };
        if let Some(declared) = values.and_then(|values| values.get(cookie)) {
            let values = declared.entries().iter().map(|entry| (entry.key.as_str().into(), categories(&entry.value)));
            return Some(ConsentSource::Cookie { cookie: cookie.into(), values: values.collect() });
        }
        if cookie == ONE_TRUST {
            return Some(ConsentSource::OneTrust { cookie: cookie.into() });
        }
        let message = format!("it is not known what the values of the cookie `{cookie}` mean");
        let problem = Problem::new(Code::UnknownName, at.clone(), message);
        let declared = values.map(Node::entries).unwrap_or_default().iter().map(|entry| entry.key.as_str());
        let problem = match nearest(cookie, declared.chain([ONE_TRUST])) {
            Some(meant) => problem.suggest(format!("cookie:{meant}")),
            None => problem,
        };
        let name = if cookie.is_empty() { "NAME" } else { cookie };
        self.report.add(problem.expect(format!("declare them: `values: {{ {name}: {{ VALUE: [analytics, …] }} }}`")));
        None
    }

    /// `cookies` are those that the pipeline's blueprints ask for: others are never kept. `read` is what its destinations
    /// read of an event.
    pub(crate) fn privacy(&mut self, node: &Node, cookies: &[Arc<str>], read: &Paths) -> Privacy {
        let known = Known { cookies: cookies.iter().map(|name| (**name).to_owned()).collect(), ..Known::default() };
        let mut rules: Vec<(Path, Redact, At)> = Vec::new();
        for item in node.get("drop").map(Node::items).unwrap_or_default() {
            let at = self.at(item);
            if let Some(path) = item.text().and_then(|text| self.redacted(text, &at, "dropped", &known)) {
                self.rule(&mut rules, path, Redact::Drop, at);
            }
        }
        for item in node.get("hash").map(Node::items).unwrap_or_default() {
            if let Some(text) = item.text() {
                let at = self.at(item);
                let Some(path) = self.redacted(text, &at, "hashed", &known) else { continue };
                let name = path.steps().iter().rev().find(|step| step.parse::<usize>().is_err());
                let normaliser = Normaliser::of_field(name.map_or("", |step| step));
                self.rule(&mut rules, path, Redact::Hash(normaliser), at);
            }
            for entry in item.entries() {
                let at = At::new(self.source, entry.key_span);
                let Some(path) = self.redacted(&entry.key, &at, "hashed", &known) else { continue };
                if let Some(normaliser) = entry.value.text().and_then(Normaliser::from_name) {
                    self.rule(&mut rules, path, Redact::Hash(normaliser), at);
                }
            }
        }
        for (path, _, at) in rules.iter().filter(|(_, act, _)| *act == Redact::Drop) {
            self.missed(path, at, read);
        }
        Privacy::new(rules.into_iter().map(|(path, act, _)| (path, act)))
    }

    /// Warns of what is dropped although a destination reads it. Ids are not looked at: every plan asks for them.
    fn missed(&mut self, dropped: &Path, at: &At, read: &Paths) {
        let missed = read.all().find(|path| !path.rest().is_empty() && path.steps().starts_with(dropped.steps()));
        if let Some(path) = missed {
            let message = format!("`{path}` is dropped before a destination could read it");
            let problem = Problem::new(Code::Unusual, at.clone(), message).warning();
            self.report.add(problem.expect("the destination finds nothing there: is that what you want?"));
        }
    }

    fn rule(&mut self, rules: &mut Vec<(Path, Redact, At)>, path: Path, act: Redact, at: At) {
        match rules.iter().find(|(other, _, _)| *other == path) {
            Some((_, _, first)) => {
                let problem = Problem::new(Code::Conflict, at, format!("`{path}` is redacted twice"));
                self.report.add(problem.expect("remove one").beside(first.clone(), "the other one"));
            }
            None => rules.push((path, act, at)),
        }
    }

    /// A place that may be redacted.
    fn redacted(&mut self, text: &str, at: &At, act: &str, known: &Known) -> Option<Path> {
        let plain = text.replace("[*]", "").replace("[]", "").replace(".*", "");
        if plain != text {
            let problem = Problem::new(Code::UnknownPath, at.clone(), format!("`{text}` is no path: there is no `*`"));
            let problem = problem.suggest(plain);
            self.report.add(problem.expect("here a path goes through lists by itself, for each of their entries"));
            return None;
        }
        let Ok(path) = Path::parse(text) else { return event_path(text, at, known, self.report) };
        let root = path.root();
        let place = at.part(root);
        if NEEDED.contains(&root) {
            self.bad(
                place,
                format!("`{root}` cannot be {act}: every event needs it, and it names nobody"),
                "personal data stands in the ids, traits, properties, context and cookies",
            );
            return None;
        }
        match (root, path.rest().first().map(|step| &**step)) {
            ("identity" | "consent", _) => {
                let expected = match root {
                    "identity" => "redact where it comes from: what a blueprint's `remember` names",
                    _ => "it says what the visitor wants, and decides what is sent",
                };
                self.bad(place, format!("`{root}` cannot be {act}"), expected);
                None
            }
            ("context", Some(step)) if SPELT.iter().any(|(written, _)| *written == step) => {
                let (written, meant) = SPELT.iter().find(|(written, _)| *written == step)?;
                let message = format!("`context.{written}` is written otherwise in an event");
                let problem = Problem::new(Code::UnknownPath, at.part(written), message);
                self.report.add(problem.suggest(format!("context.{meant}")));
                None
            }
            _ if REDACTED.contains(&root) => event_path(text, at, known, self.report),
            _ if OF_GA4.contains(&root) => Some(path),
            _ if nearest(root, REDACTED.into_iter().chain(NEEDED)).is_some() => {
                event_path(text, at, known, self.report)
            }
            _ => {
                let message = format!("`{root}` is no field of an event: this is a key that clients send beside them");
                let problem = Problem::new(Code::Unusual, place, message).warning();
                let expected = format!("did you mean properties.{text} or traits.{text}?");
                self.report.add(problem.expect(expected));
                Some(path)
            }
        }
    }

    pub(crate) fn bots(&mut self, node: &Node) -> Bots {
        let act = node.get("do").unwrap_or(node);
        let act = match act.text() {
            Some("drop") => BotAct::Drop,
            Some("flag") => BotAct::Flag,
            _ => BotAct::Keep,
        };
        let bots = Bots { act, also: self.agents(node.get("also")), not: self.agents(node.get("not")) };
        let has_words = !bots.also.is_empty() || !bots.not.is_empty();
        if has_words && !bots.judges() {
            let at = self.at(node);
            self.bad(at, "nobody is judged, so these words have no effect", "write `do: drop` or `do: flag`");
        }
        bots
    }

    /// Parts of a `User-Agent`.
    fn agents(&mut self, node: Option<&Node>) -> Vec<Box<str>> {
        let mut agents = Vec::new();
        for item in node.map(Node::items).unwrap_or_default() {
            let Some(text) = item.text().map(str::trim) else { continue };
            if text.len() < 3 {
                let at = self.at(item);
                let message = format!("`{text}` is too short: it stands in nearly every User-Agent");
                self.bad(at, message, "expected at least three characters of a robot's name, such as acmeprobe");
                continue;
            }
            agents.push(text.to_ascii_lowercase().into());
        }
        agents
    }
}
