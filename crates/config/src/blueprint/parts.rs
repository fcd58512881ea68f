//! The parts of a blueprint, one by one.

use anole_event::Decision;
use anole_pipeline::{Answers, BodyKind, Clean, Encoding, ItemVerdicts, Path, Refuse, Remember, Secret, Verdict};

use super::{AuthDef, AuthKind, Beside, PresetDef, Reader, RequestDef, SendDef, VisitorDef};
use crate::node::{Entry, Node, json_text};
use crate::problem::{Code, Problem};
use crate::reference::Reach;
use crate::rule::{Sends, check_preset, rules};
use crate::setting::SettingDef;
use crate::source::At;
use crate::units::{Period, Size};
use crate::value::Fields;

const BATCH_EVENTS: usize = 100;
const BATCH_BYTES: Size = Size::from_bytes(1 << 20);
const BATCH_WAIT: Period = Period::from_secs(1);

/// Headers that a request may not set, with the reason.
const FORBIDDEN_HEADERS: [(&str, &str); 6] = [
    ("user-agent", "anole sends a fixed product token"),
    ("authorization", "write `auth` instead, so that it is never shown"),
    ("host", "it follows from the url"),
    ("content-length", "it follows from the body"),
    ("transfer-encoding", "it follows from the body"),
    ("connection", "anole keeps its own connections"),
];

pub(super) fn entries<'n>(root: &'n Node, key: &str) -> &'n [Entry] {
    root.get(key).map(Node::entries).unwrap_or_default()
}

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn settings(&mut self, root: &Node) -> Vec<SettingDef> {
        let mut settings = Vec::new();
        for entry in entries(root, "settings") {
            // A default may refer to what stands above it only, so that there is never a circle.
            let above: Vec<String> = settings.iter().map(|setting: &SettingDef| setting.name.clone()).collect();
            if let Some(setting) = SettingDef::read(self, entry, above) {
                settings.push(setting);
            }
        }
        settings
    }

    pub(super) fn remember(&mut self, root: &Node) -> Vec<Remember> {
        let mut remember = Vec::new();
        for entry in entries(root, "remember") {
            let sources = self.paths(entry.value.get("first_of"));
            let clean = self.clean(entry.value.get("clean"));
            remember.push(Remember { name: entry.key.as_str().into(), sources, clean });
        }
        remember
    }

    pub(super) fn visitor(&mut self, root: &Node) -> Option<VisitorDef> {
        let node = root.get("resolve")?.get("visitor_code")?;
        Some(VisitorDef {
            first_of: self.paths(node.get("first_of")),
            clean: self.clean(node.get("clean")),
            otherwise: self.text(node.get("otherwise"), Reach::Settings),
            hint: node.get("hint").and_then(Node::text).map(str::to_owned),
        })
    }

    fn clean(&mut self, node: Option<&Node>) -> Clean {
        let Some(node) = node else { return Clean::default() };
        let mut clean = Clean {
            trim: node.get("trim").and_then(Node::bool).unwrap_or(false),
            strip_prefix: node.get("strip_prefix").and_then(Node::text).map(Into::into),
            max_bytes: node.get("max_bytes").and_then(Node::text).and_then(|digits| digits.parse().ok()),
            refuse: Vec::new(),
        };
        for item in node.get("refuse").map(Node::items).unwrap_or_default() {
            let Some(text) = item.text() else { continue };
            let mut chars = text.chars();
            match (text, chars.next(), chars.next()) {
                ("control", ..) => clean.refuse.push(Refuse::Control),
                ("blank", ..) => clean.refuse.push(Refuse::Blank),
                (_, Some(c), None) => clean.refuse.push(Refuse::Char(c)),
                _ => self.bad(
                    item,
                    format!("`{text}` cannot be refused"),
                    "expected control, blank or a single character",
                ),
            }
        }
        clean
    }

    pub(super) fn requests(&mut self, root: &Node) -> Vec<RequestDef> {
        let mut requests = Vec::new();
        for entry in entries(root, "requests") {
            let node = &entry.value;
            let url = self.text(node.get("url"), Reach::Send);
            let headers = self.headers(node);
            let auth = node.get("auth").and_then(|auth| self.auth(auth));
            self.check_batch(node);
            let Some(url) = url else { continue };
            let batch = |key: &str| node.get("batch").and_then(|batch| batch.get(key)).and_then(Node::text);
            let frame = self.frame(node.get("frame"));
            let events = if frame.is_single() { 1 } else { BATCH_EVENTS };
            requests.push(RequestDef {
                name: entry.key.clone(),
                at: At::new(self.source, node.get("url").map_or(entry.key_span, |url| url.span)),
                method: node.get("method").and_then(Node::text).unwrap_or("POST").to_owned(),
                url,
                headers,
                frame,
                with: self.beside(node.get("frame")),
                events: batch("events").and_then(|digits| digits.parse().ok()).unwrap_or(events),
                bytes: batch("bytes").and_then(|size| size.parse().ok()).unwrap_or(BATCH_BYTES),
                wait: batch("wait").and_then(|period| period.parse().ok()).unwrap_or(BATCH_WAIT),
                auth,
            });
        }
        requests
    }

    fn check_batch(&mut self, node: &Node) {
        let Some(batch) = node.get("batch") else { return };
        for key in ["events", "bytes"] {
            let zero = |value: &&Node| value.text().is_some_and(|text| text.parse::<Size>().is_ok_and(Size::is_empty));
            if let Some(value) = batch.get(key).filter(zero) {
                self.bad(value, format!("a batch of no {key} holds nothing"), "expected at least 1");
            }
        }
        let single = matches!(node.get("frame").and_then(Node::text), Some("single" | "form"));
        if let Some(events) = batch.get("events").filter(|events| single && events.text() != Some("1")) {
            self.bad(events, "a single item stands alone in its body", "expected 1, or another frame");
        }
    }

    fn frame(&mut self, node: Option<&Node>) -> BodyKind {
        match node {
            Some(node) if node.text() == Some("single") => BodyKind::Single,
            Some(node) if node.text() == Some("form") => BodyKind::Form,
            Some(node) => match node.get("list").and_then(Node::text) {
                Some(key) => BodyKind::List {
                    open: Secret::new(format!("{{{}:[", json_text(key))),
                    close: "]}".into(),
                    hidden: Vec::new(),
                },
                None => BodyKind::Array,
            },
            None => BodyKind::Array,
        }
    }

    /// What stands beside the list of a frame.
    fn beside(&mut self, frame: Option<&Node>) -> Vec<(String, Beside)> {
        let mut beside = Vec::new();
        let list = frame.and_then(|frame| frame.get("list")).and_then(Node::text);
        for entry in frame.and_then(|frame| frame.get("with")).map(Node::entries).unwrap_or_default() {
            if Some(entry.key.as_str()) == list {
                let at = At::new(self.source, entry.key_span);
                let problem = Problem::new(Code::Conflict, at, format!("`{}` is the list's own key", entry.key));
                self.report.add(problem.expect("give one of them another name"));
            }
            match entry.value.text().filter(|text| text.contains("{{")) {
                Some(_) => {
                    let text = self.text(Some(&entry.value), Reach::Settings);
                    beside.extend(text.map(|text| (entry.key.clone(), Beside::Text(text))));
                }
                None => beside.push((entry.key.clone(), Beside::Json(entry.value.to_json()))),
            }
        }
        beside
    }

    pub(super) fn headers(&mut self, node: &Node) -> Vec<(String, crate::reference::Text)> {
        let mut headers = Vec::new();
        for entry in entries(node, "headers") {
            let at = At::new(self.source, entry.key_span);
            let lower = entry.key.to_ascii_lowercase();
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if let Some((_, reason)) = FORBIDDEN_HEADERS.iter().find(|(name, _)| *name == lower) {
                let problem = Problem::new(Code::BadValue, at, format!("the header {} cannot be set", entry.key));
                self.report.add(problem.expect(*reason));
            } else if entry.key.is_empty() || !entry.key.bytes().all(token) {
                let problem = Problem::new(Code::BadValue, at, format!("`{}` is no name of a header", entry.key));
                self.report.add(problem.expect("expected letters, digits and dashes"));
            } else if let Some(value) = self.text(Some(&entry.value), Reach::Send) {
                headers.push((entry.key.clone(), value));
            }
        }
        headers
    }

    pub(super) fn auth(&mut self, node: &Node) -> Option<AuthDef> {
        let kinds: Vec<&Entry> = node.entries().iter().filter(|entry| entry.key != "when_set").collect();
        let [kind] = &*kinds else {
            self.bad(
                node,
                "a request authenticates in one way",
                "expected one of basic, bearer, header, hmac or oauth2",
            );
            return None;
        };
        let when_set = match node.get("when_set") {
            Some(when) => Some(self.setting_named(when)?),
            None => None,
        };
        let mut part = |key: &str| self.text(kind.value.get(key), Reach::Settings);
        let kind = match kind.key.as_str() {
            "basic" => AuthKind::Basic { user: part("user")?, password: part("password")? },
            "header" => AuthKind::Header {
                name: kind.value.get("name").and_then(Node::text)?.to_owned(),
                value: part("value")?,
            },
            "hmac" => AuthKind::Hmac {
                header: kind.value.get("header").and_then(Node::text)?.to_owned(),
                secret: part("secret")?,
                encoding: match kind.value.get("encoding").and_then(Node::text) {
                    Some("base64") => Encoding::Base64,
                    _ => Encoding::Hex,
                },
                prefix: kind.value.get("prefix").and_then(Node::text).unwrap_or_default().to_owned(),
            },
            "oauth2" => AuthKind::OAuth2 {
                token_url: part("token_url")?,
                client_id: part("client_id")?,
                client_secret: part("client_secret")?,
                scope: part("scope"),
                optional: kind.value.get("optional").and_then(Node::bool).unwrap_or(false),
            },
            _ => AuthKind::Bearer(self.text(Some(&kind.value), Reach::Settings)?),
        };
        Some(AuthDef { when_set, kind })
    }

    /// `settings.NAME`, where only that may stand.
    fn setting_named(&mut self, node: &Node) -> Option<String> {
        let at = self.at(node);
        match crate::reference::reference(node.text()?, &at, Reach::Settings, &self.known, self.report)? {
            crate::reference::Reference::Setting(name) => Some(name),
            _ => None,
        }
    }

    pub(super) fn answers(&mut self, root: &Node) -> Answers {
        let mut answers = Answers::default();
        for entry in entries(root, "answers") {
            let word = entry.value.text().or_else(|| entry.value.get("then").and_then(Node::text));
            let Some(decision) = word.and_then(Decision::from_code) else { continue };
            let hint = entry.value.get("hint").and_then(Node::text).map(Into::into);
            let verdict = Verdict { decision, hint };
            let class = entry.key.strip_suffix("xx").and_then(|class| class.parse::<u8>().ok());
            let items = entry.value.get("items").and_then(|items| self.item_verdicts(items));
            match (entry.key.parse::<u16>(), class) {
                (Ok(status @ 200..=599), _) => {
                    answers = answers.with_status(status, verdict);
                    if let Some(items) = items {
                        answers = answers.with_items_of_status(status, items);
                    }
                }
                (_, Some(class @ 2..=5)) => {
                    answers = answers.with_class(class, verdict);
                    if let Some(items) = items {
                        answers = answers.with_items_of_class(class, items);
                    }
                }
                _ => {
                    let at = At::new(self.source, entry.key_span);
                    let problem =
                        Problem::new(Code::BadValue, at, format!("`{}` is no status of an answer", entry.key));
                    self.report.add(problem.expect("expected a status such as 404, or a class such as 5xx"));
                }
            }
        }
        answers
    }

    fn item_verdicts(&mut self, node: &Node) -> Option<ItemVerdicts> {
        let list = match node.get("list") {
            Some(list) => Some(self.place_in_body(list)?),
            None => None,
        };
        Some(ItemVerdicts { list, status: self.place_in_body(node.get("status")?)? })
    }

    /// A path in a vendor's body, whose names are not ours to know.
    fn place_in_body(&mut self, node: &Node) -> Option<Path> {
        match Path::parse(node.text()?) {
            Ok(path) => Some(path),
            Err(error) => {
                self.bad(node, format!("this is no path: {error}"), "expected a place in the body such as results");
                None
            }
        }
    }

    pub(super) fn sends(&mut self, root: &Node, requests: &[RequestDef]) -> Vec<SendDef> {
        let mut sends = Vec::new();
        for entry in entries(root, "sends") {
            let mut fields = Fields { source: self.source, known: &self.known, report: self.report };
            let body = entry.value.get("body").map(|body| fields.fields(body)).unwrap_or_default();
            let Some(request) = entry.value.get("request") else { continue };
            let Some(name) = request.text() else { continue };
            let found = requests.iter().position(|known| known.name == name);
            let Some(index) = found else {
                let names = entries(root, "requests").iter().map(|entry| entry.key.as_str());
                // A request with mistakes of its own is there all the same.
                if !names.clone().any(|known| known == name) {
                    let problem = Problem::unknown(Code::UnknownName, self.at(request), "request", name, names);
                    self.report.add(problem);
                }
                continue;
            };
            sends.push(SendDef {
                name: entry.key.clone(),
                request: index,
                expires: entry.value.get("expires").and_then(Node::text).and_then(|period| period.parse().ok()),
                body,
            });
        }
        sends
    }

    pub(super) fn presets(&mut self, root: &Node, sends: &[SendDef]) -> Vec<PresetDef> {
        let names: Vec<&str> = entries(root, "sends").iter().map(|entry| entry.key.as_str()).collect();
        let mut presets = Vec::new();
        for entry in entries(root, "presets") {
            let mut fields = Fields { source: self.source, known: &self.known, report: self.report };
            let sends = Sends { names: &names, defs: sends };
            let rules = rules(&mut fields, &entry.value, &sends);
            check_preset(&rules, &sends, fields.report);
            presets.push(PresetDef { name: entry.key.clone(), rules });
        }
        presets
    }
}
