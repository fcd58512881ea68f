//! Settings: what a blueprint asks of a destination, and what the destination answers.

use anole_pipeline::{Secret, is_json_number};
use regex_lite::Regex;

use crate::blueprint::Reader;
use crate::expand::{Environment, expand};
use crate::nearest::nearest;
use crate::node::{Entry, Kind, Node};
use crate::problem::{Code, Problem, Report};
use crate::reference::{Known, Reach, Reference, Text, TextPiece, template};
use crate::source::At;

/// A setting as a blueprint defines it.
#[derive(Debug)]
pub(crate) struct SettingDef {
    pub(crate) name: String,
    pub(crate) kind: SettingKind,
    title: Option<String>,
    help: Option<String>,
    default: Option<DefaultDef>,
    optional: bool,
    expect: Option<Regex>,
    pattern: Option<Regex>,
}

/// What a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingKind {
    Text,
    Choice(Vec<String>),
    Url,
    Secret,
    Integer,
    Number,
    Boolean,
    List,
    Map,
}

#[derive(Debug)]
enum DefaultDef {
    Text(Text),
    Node(Node, At),
}

/// A setting that is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SettingValue {
    Text(String),
    /// An absolute address without a slash at its end.
    Url(String),
    Secret(Secret),
    /// A number, a boolean, a list or a map, as JSON.
    Json(String),
}

/// The settings of a destination. Optional ones that are not given are not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(Vec<(String, SettingValue)>);

// === impl SettingDef ===

impl SettingDef {
    pub(crate) fn read(reader: &mut Reader<'_>, entry: &Entry, above: Vec<String>) -> Option<Self> {
        let node = &entry.value;
        let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
        let kind = kind(reader, entry)?;
        let default = match node.get("default") {
            None => None,
            Some(default) => {
                let at = reader.at(default);
                match (&kind, &default.kind) {
                    (SettingKind::Text | SettingKind::Url, Kind::Text(written)) => {
                        let known = Known { settings: above, ..Known::default() };
                        let text = template(written, &at, Reach::Settings, &known, reader.report)?;
                        Some(DefaultDef::Text(text))
                    }
                    (SettingKind::Secret, _) => {
                        reader.bad(default, "a secret has no default", "leave it out, or make the setting optional");
                        None
                    }
                    _ => Some(DefaultDef::Node(default.clone(), at)),
                }
            }
        };
        Some(Self {
            name: entry.key.clone(),
            kind,
            title: text("title"),
            help: text("help"),
            default,
            optional: node.get("optional").and_then(Node::bool).unwrap_or(false),
            expect: pattern(reader, node.get("expect")),
            pattern: pattern(reader, node.get("pattern")),
        })
    }

    /// What to write, for whoever has not.
    fn ask(&self) -> String {
        let what = match &self.kind {
            SettingKind::Choice(of) => crate::nearest::listed(of.iter().map(String::as_str)),
            SettingKind::Url => "https://…".to_owned(),
            SettingKind::Secret => "\"${NAME}\"".to_owned(),
            _ => "…".to_owned(),
        };
        let about: Vec<&str> = [&self.title, &self.help].into_iter().flatten().map(String::as_str).collect();
        let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(": ")) };
        format!("write `{}: {what}`{about}", self.name)
    }

    /// What a destination gave.
    fn given(&self, node: &Node, at: &At, env: Environment<'_>, report: &mut Report) -> Option<SettingValue> {
        if node.is_null() || node.text().is_some_and(|text| text.trim().is_empty()) {
            report
                .add(Problem::new(Code::BadValue, at.clone(), format!("`{}` is empty", self.name)).expect(self.ask()));
            return None;
        }
        match (&self.kind, &node.kind) {
            (SettingKind::List, Kind::List(_)) | (SettingKind::Map, Kind::Map(_)) => {
                return Some(SettingValue::Json(node.to_json()));
            }
            (SettingKind::List | SettingKind::Map, _) => {
                let kind = if self.kind == SettingKind::List { "a list" } else { "a map" };
                let message = format!("`{}` must be {kind}, not {}", self.name, node.kind.called());
                report.add(Problem::new(Code::WrongType, at.clone(), message).expect(self.ask()));
                return None;
            }
            _ => {}
        }
        let (text, from_outside) = match (&node.kind, node.text()) {
            (_, Some(written)) => {
                let expanded = expand(written, at, env, report)?;
                (expanded.text, expanded.from_outside)
            }
            (Kind::Bool(value), _) => (value.to_string(), false),
            _ => {
                let message = format!("`{}` must be a single value, not {}", self.name, node.kind.called());
                report.add(Problem::new(Code::WrongType, at.clone(), message).expect(self.ask()));
                return None;
            }
        };
        if self.kind == SettingKind::Secret && !from_outside {
            report.mask(at.clone());
            let message = format!("the secret `{}` stands in the file itself", self.name);
            let problem = Problem::new(Code::PlainSecret, at.clone(), message).warning();
            report.add(problem.expect("take it from the environment: \"${NAME}\", or from a file: \"${file:/path}\""));
        }
        self.value(&text, at, report)
    }

    /// A value from its text.
    fn value(&self, text: &str, at: &At, report: &mut Report) -> Option<SettingValue> {
        let shown = if self.kind == SettingKind::Secret { Secret::MASK } else { text };
        let wrong = |expected: String| {
            let message = format!("`{}` cannot be `{shown}`", self.name);
            Problem::new(Code::BadValue, at.clone(), message).expect(expected)
        };
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            report.add(wrong(format!("it must match {}: {}", shown_pattern(pattern), self.ask())));
            return None;
        }
        let problem = match &self.kind {
            SettingKind::Text | SettingKind::Secret if text.contains(char::is_control) => {
                wrong("expected no line breaks or other control characters".to_owned())
            }
            SettingKind::Text => {
                if let Some(expect) = self.expect.as_ref().filter(|expect| !expect.is_match(text)) {
                    let message = format!("`{}` does not look as usual: {}", self.name, shown_pattern(expect));
                    let problem = Problem::new(Code::Unusual, at.clone(), message).warning();
                    report.add(problem.expect(self.about()));
                }
                return Some(SettingValue::Text(text.to_owned()));
            }
            SettingKind::Secret => return Some(SettingValue::Secret(Secret::new(text))),
            SettingKind::Choice(of) if of.iter().any(|word| word == text) => {
                return Some(SettingValue::Text(text.to_owned()));
            }
            SettingKind::Choice(of) => match nearest(text, of.iter().map(String::as_str)) {
                Some(word) => wrong(self.ask()).suggest(word),
                None => wrong(self.ask()),
            },
            SettingKind::Url => match url(text) {
                Some(url) => return Some(SettingValue::Url(url)),
                None => wrong("expected an absolute http or https address without query".to_owned()),
            },
            SettingKind::Integer if is_json_number(text) && text.parse::<i128>().is_ok() => {
                return Some(SettingValue::Json(text.to_owned()));
            }
            SettingKind::Integer => wrong("expected a whole number".to_owned()),
            SettingKind::Number if is_json_number(text) => return Some(SettingValue::Json(text.to_owned())),
            SettingKind::Number => wrong("expected a number".to_owned()),
            SettingKind::Boolean if matches!(text, "true" | "false") => {
                return Some(SettingValue::Json(text.to_owned()));
            }
            SettingKind::Boolean => wrong("expected true or false".to_owned()),
            SettingKind::List | SettingKind::Map => wrong("expected a list or a map".to_owned()),
        };
        report.add(problem);
        None
    }

    fn about(&self) -> String {
        let about: Vec<&str> = [&self.title, &self.help].into_iter().flatten().map(String::as_str).collect();
        if about.is_empty() { "look whether it is right".to_owned() } else { format!("look at {}", about.join(": ")) }
    }
}

fn kind(reader: &mut Reader<'_>, entry: &Entry) -> Option<SettingKind> {
    let node = &entry.value;
    let words: Vec<String> =
        node.get("of").map(Node::items).unwrap_or_default().iter().filter_map(Node::text).map(str::to_owned).collect();
    let kind = match node.get("type").and_then(Node::text)? {
        "text" => SettingKind::Text,
        "choice" if words.is_empty() => {
            reader.bad(node, format!("the choice `{}` has no words", entry.key), "write `of: [one, other]`");
            return None;
        }
        "choice" => return Some(SettingKind::Choice(words)),
        "url" => SettingKind::Url,
        "secret" => SettingKind::Secret,
        "integer" => SettingKind::Integer,
        "number" => SettingKind::Number,
        "boolean" => SettingKind::Boolean,
        "list" => SettingKind::List,
        "map" => SettingKind::Map,
        _ => return None,
    };
    if let Some(of) = node.get("of") {
        reader.bad(of, "only a choice has words", "write `type: choice`, or remove `of`");
    }
    Some(kind)
}

fn pattern(reader: &mut Reader<'_>, node: Option<&Node>) -> Option<Regex> {
    let node = node?;
    match Regex::new(&format!("^(?:{})$", node.text()?)) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            reader.bad(node, format!("this is no pattern: {error}"), "expected a regular expression");
            None
        }
    }
}

fn shown_pattern(pattern: &Regex) -> &str {
    let written = pattern.as_str();
    written.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(written)
}

/// An address to which paths are added: without a slash at its end, and without query or fragment.
fn url(text: &str) -> Option<String> {
    let url = url::Url::parse(text.trim()).ok()?;
    let good =
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none();
    let plain = url.username().is_empty() && url.password().is_none();
    (good && plain).then(|| text.trim().trim_end_matches('/').to_owned())
}

// === impl Settings ===

impl Settings {
    /// Fills a blueprint's settings in for a destination. `at` is where a missing one is told: the `settings` line.
    pub(crate) fn fill(
        defs: &[SettingDef],
        given: Option<&Node>,
        at: &At,
        env: Environment<'_>,
        report: &mut Report,
    ) -> Option<Self> {
        let mut settings = Self::default();
        let mut whole = true;
        for entry in given.map(Node::entries).unwrap_or_default() {
            if !defs.iter().any(|def| def.name == entry.key) {
                let place = At::new(&at.source, entry.key_span);
                let names = defs.iter().map(|def| def.name.as_str());
                report.add(Problem::unknown(Code::UnknownName, place, "setting", &entry.key, names));
                whole = false;
            }
        }
        for def in defs {
            let value = match given.and_then(|given| given.get(&def.name)) {
                Some(node) => {
                    let value = def.given(node, &At::new(&at.source, node.span), env, report);
                    whole &= value.is_some();
                    value
                }
                None => match &def.default {
                    Some(DefaultDef::Text(text)) => {
                        let filled = settings.fill_in(text);
                        filled.and_then(|filled| def.value(&filled, &text.at, report))
                    }
                    Some(DefaultDef::Node(node, at)) => def.given(node, at, env, report),
                    None if def.optional => None,
                    None => {
                        let message = format!("the setting `{}` is missing", def.name);
                        report.add(Problem::new(Code::MissingSetting, at.clone(), message).expect(def.ask()));
                        whole = false;
                        None
                    }
                },
            };
            if let Some(value) = value {
                settings.0.push((def.name.clone(), value));
            }
        }
        whole.then_some(settings)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&SettingValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The text of a template over settings; `None` when one of them is not given.
    pub(crate) fn fill_in(&self, text: &Text) -> Option<String> {
        let mut filled = String::new();
        for piece in &text.pieces {
            match piece {
                TextPiece::Literal(literal) => filled.push_str(literal),
                TextPiece::Place(Reference::Setting(name), _) => match self.get(name)? {
                    SettingValue::Text(text) | SettingValue::Url(text) | SettingValue::Json(text) => {
                        filled.push_str(text);
                    }
                    SettingValue::Secret(secret) => filled.push_str(secret.reveal()),
                },
                TextPiece::Place(..) => return None,
            }
        }
        Some(filled)
    }
}
