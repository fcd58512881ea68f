//! Paths and templates as files write them: what they may lead to, and where they are wrong.
//!
//! A path begins with a root. Roots of an event are fixed fields (`user_id`), which have no parts, or open ones
//! (`properties`), below which any name may stand. Beside them stand `settings.NAME`, `resolved.visitor_code` and
//! `send.nonce`. A template is a text with paths in double braces: `https://{{ settings.region }}-data.example`.

use anole_pipeline::{Path, PathError};

use crate::nearest::nearest;
use crate::problem::{Code, Problem, Report};
use crate::source::At;

/// Fields of an event that hold a text.
const FIXED: [&str; 11] = [
    "type",
    "event",
    "message_id",
    "anonymous_id",
    "user_id",
    "group_id",
    "previous_id",
    "timestamp",
    "received_at",
    "sent_at",
    "original_timestamp",
];
/// Fields of an event that hold whatever clients send.
const OPEN: [&str; 4] = ["properties", "traits", "context", "integrations"];
/// Fields of an event that hold a flat map.
const FLAT: [&str; 3] = ["cookies", "identity", "consent"];
const SOURCE: [&str; 3] = ["pipeline", "protocol", "name"];

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// Into the event.
    Event(Path),
    /// To a setting of the blueprint.
    Setting(String),
    /// To the nonce of the send.
    Nonce,
    /// To the resolved visitor code.
    Visitor,
    /// Into the element of the list that is gone through; the path begins with `item`.
    Item(Path),
}

/// Where a path may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To settings only: what is known before there is an event.
    Settings,
    /// Into the event only.
    Event,
    /// Everywhere.
    Send,
}

/// What a blueprint makes known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) settings: Vec<String>,
    pub(crate) cookies: Vec<String>,
    pub(crate) remembered: Vec<String>,
    pub(crate) visitor: bool,
    /// Whether there is an element of a list: within `item` of an `each`.
    pub(crate) item: bool,
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) at: At,
    pub(crate) pieces: Vec<TextPiece>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextPiece {
    Literal(String),
    Place(Reference, At),
}

/// Reads a path. `None` when it is wrong, which is then reported.
pub(crate) fn reference(written: &str, at: &At, reach: Reach, known: &Known, report: &mut Report) -> Option<Reference> {
    match read(written, at, reach, known) {
        Ok(reference) => Some(reference),
        Err(problem) => {
            report.add(*problem);
            None
        }
    }
}

/// Reads a path that must lead into the event.
pub(crate) fn event_path(written: &str, at: &At, known: &Known, report: &mut Report) -> Option<Path> {
    match reference(written, at, Reach::Event, known, report)? {
        Reference::Event(path) => Some(path),
        Reference::Setting(_) | Reference::Nonce | Reference::Visitor | Reference::Item(_) => None,
    }
}

/// Reads a template. `None` when it is wrong, which is then reported.
pub(crate) fn template(written: &str, at: &At, reach: Reach, known: &Known, report: &mut Report) -> Option<Text> {
    let mut pieces = Vec::new();
    let mut rest = written;
    let mut whole = true;
    while let Some(open) = rest.find("{{") {
        if open > 0 {
            pieces.push(TextPiece::Literal(rest[..open].to_owned()));
        }
        let Some(length) = rest[open..].find("}}") else {
            let problem =
                Problem::new(Code::BadValue, at.part(&rest[open..]), "the braces of a template are not closed");
            report.add(problem.expect("write {{ path }}"));
            return None;
        };
        let inner = rest[open + 2..open + length].trim();
        let place = at.part(&rest[open..open + length + 2]).part(inner);
        match reference(inner, &place, reach, known, report) {
            Some(reference) => pieces.push(TextPiece::Place(reference, place)),
            None => whole = false,
        }
        rest = &rest[open + length + 2..];
    }
    if !rest.is_empty() {
        pieces.push(TextPiece::Literal(rest.to_owned()));
    }
    whole.then(|| Text { at: at.clone(), pieces })
}

fn read(written: &str, at: &At, reach: Reach, known: &Known) -> Result<Reference, Box<Problem>> {
    if let Some(rest) = written.strip_prefix("$.") {
        let problem =
            Problem::new(Code::UnknownPath, at.clone(), format!("`{written}` is no path: it begins with a root"));
        return Err(Box::new(problem.suggest(rest)));
    }
    let path = Path::parse(written).map_err(|error| malformed(written, at, &error))?;
    let steps: Vec<&str> = path.rest().iter().map(|step| &**step).collect();
    match (path.root(), &*steps) {
        ("settings", [name]) if reach != Reach::Event => {
            named(name, &known.settings, at, "setting").map(|()| Reference::Setting((*name).to_owned()))
        }
        ("resolved", ["visitor_code"]) if reach == Reach::Send && known.visitor => Ok(Reference::Visitor),
        ("resolved", _) if reach == Reach::Send => {
            let problem = Problem::new(Code::UnknownName, at.clone(), format!("`{written}` is resolved nowhere"));
            Err(Box::new(if known.visitor {
                problem.suggest("resolved.visitor_code")
            } else {
                problem.expect("write `resolve: { visitor_code: … }` in the blueprint first")
            }))
        }
        ("send", ["nonce"]) if reach == Reach::Send => Ok(Reference::Nonce),
        ("item", _) if reach == Reach::Send && known.item => Ok(Reference::Item(path)),
        ("item", _) if reach == Reach::Send => {
            let problem = Problem::new(Code::UnknownPath, at.clone(), format!("`{written}` stands in no list"));
            Err(Box::new(
                problem.expect("`item` is the element of a list, within { each: properties.products, item: … }"),
            ))
        }
        ("settings" | "resolved" | "send", _) => Err(misplaced(written, at, reach)),
        _ if reach == Reach::Settings => Err(misplaced(written, at, reach)),
        ("cookies", [name]) => {
            let ask = "add it to `cookies` of the blueprint, or it is not kept";
            listed(name, &known.cookies, at, "cookie", ask).map(|()| Reference::Event(path))
        }
        ("identity", [name]) => {
            let ask = "add it to `remember` of the blueprint, or nothing is remembered under this name";
            listed(name, &known.remembered, at, "identity", ask).map(|()| Reference::Event(path))
        }
        ("consent", [_]) => Ok(Reference::Event(path)),
        ("source", [name]) if SOURCE.contains(name) => Ok(Reference::Event(path)),
        (root, []) if FIXED.contains(&root) => Ok(Reference::Event(path)),
        (root, _) if OPEN.contains(&root) => Ok(Reference::Event(path)),
        (root, _) => Err(unknown(root, written, at, reach)),
    }
}

fn malformed(written: &str, at: &At, error: &PathError) -> Box<Problem> {
    let problem = Problem::new(Code::UnknownPath, at.clone(), format!("`{written}` is no path: {error}"));
    // Other languages write places of a list in brackets.
    let dotted = written.replace('[', ".").replace(']', "");
    Box::new(match Path::parse(&dotted) {
        Ok(path) if dotted != written => problem.suggest(path.to_string()),
        _ => problem.expect("expected a path such as properties.revenue"),
    })
}

fn named(name: &str, known: &[String], at: &At, what: &str) -> Result<(), Box<Problem>> {
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let known = known.iter().map(String::as_str);
    Err(Box::new(Problem::unknown(Code::UnknownName, at.part(name), what, name, known)))
}

fn listed(name: &str, known: &[String], at: &At, what: &str, ask: &str) -> Result<(), Box<Problem>> {
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let problem = Problem::new(Code::UnknownName, at.part(name), format!("no blueprint asks for the {what} `{name}`"));
    Err(Box::new(match nearest(name, known.iter().map(String::as_str)) {
        Some(name) => problem.suggest(name),
        None => problem.expect(ask),
    }))
}

fn misplaced(written: &str, at: &At, reach: Reach) -> Box<Problem> {
    let expected = match reach {
        Reach::Settings => "only settings are known here: settings.NAME",
        Reach::Event => "only places in the event are known here, such as properties.revenue",
        Reach::Send => "expected settings.NAME, resolved.visitor_code, send.nonce or a place in the event",
    };
    Box::new(Problem::new(Code::UnknownPath, at.clone(), format!("`{written}` cannot stand here")).expect(expected))
}

fn unknown(root: &str, written: &str, at: &At, reach: Reach) -> Box<Problem> {
    let place = at.part(root);
    if FIXED.contains(&root) {
        let message = format!("`{written}` leads nowhere: `{root}` is a text and has no parts");
        return Box::new(Problem::new(Code::UnknownPath, place, message).suggest(root));
    }
    if FLAT.contains(&root) || root == "source" {
        let parts = if root == "source" { SOURCE.join(", ") } else { "one name".to_owned() };
        let message = format!("`{written}` leads nowhere: behind `{root}` stands {parts}");
        return Box::new(Problem::new(Code::UnknownPath, at.clone(), message));
    }
    let mut roots: Vec<&str> = FIXED.iter().chain(&OPEN).chain(&FLAT).copied().chain(["source"]).collect();
    if reach == Reach::Send {
        roots.extend(["settings", "resolved", "send"]);
    }
    let problem = Problem::new(Code::UnknownPath, place, format!("an event has no `{root}`"));
    Box::new(match nearest(root, roots.iter().copied()) {
        Some(root) => problem.suggest(root),
        None => problem.expect(format!("did you mean a property? write properties.{written}")),
    })
}
