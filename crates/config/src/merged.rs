//! The rules that hold for a destination, after a pipeline's were laid over a preset's, as YAML with the place of each.
//!
//! What is printed is what could be written: taken as a pipeline's `events`, it gives the same sends. It is made from the
//! nodes of the files and not from compiled rules, as people want to read the words that they wrote; that both layer alike
//! is held by a test.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anole_event::EventType;

use crate::expand::Environment;
use crate::load::{all_blueprints, files, load, source};
use crate::nearest::listed;
use crate::node::{self, Entry, Kind, Node, json_text};
use crate::problem::{ConfigErrors, Report};
use crate::source::Source;

/// The directives that say where a value comes from: with one of them, what lay below no longer shapes it.
const SOURCES: [&str; 9] = ["from", "first_of", "value", "template", "object", "list", "each", "merge", "cel"];
/// The directives that say what must hold: those from below always hold.
const CHECKS: [&str; 4] = ["required", "min", "max", "format"];
/// The preset that applies unless another is named.
const DEFAULT: &str = "default";

/// Whose rules are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merging {
    /// The blueprint; that of the destination when one is given.
    pub blueprint: String,
    /// The preset, when it is not that of the destination.
    pub preset: Option<String>,
    /// The pipeline and the destination whose rules lie over the preset's; `None` for the preset alone.
    pub destination: Option<(String, String)>,
}

/// Why rules cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Something is wrong in a file.
    #[error(transparent)]
    Files(#[from] ConfigErrors),
    /// Something that was named is not there.
    #[error("there is no {what} `{name}`; there is {known}")]
    Unknown {
        /// `pipeline`, `destination`, `blueprint` or `preset`.
        what: &'static str,
        /// As it was named.
        name: String,
        /// What there is.
        known: String,
    },
}

/// A rule as it holds, with where its parts came from.
struct Laid<'n> {
    entry: &'n Entry,
    places: String,
    /// What a `set` of the pipeline lies over.
    over: Option<Over<'n>>,
}

/// A preset's rule under a pipeline's.
struct Over<'n> {
    rule: &'n Node,
    set: Vec<SetField>,
}

/// A field that is set.
struct SetField {
    key: String,
    value: Node,
    place: String,
}

/// A file's node with the file.
#[derive(Clone, Copy)]
struct Layer<'n> {
    source: &'n Source,
    rules: Option<&'n Node>,
}

/// The rules of a preset, or of a destination, as YAML.
///
/// # Errors
/// When something is wrong in a file, or something that is named is not there.
pub fn merged(
    pipelines: &Path,
    blueprints: Option<&Path>,
    what: &Merging,
    env: Environment<'_>,
) -> Result<String, MergeError> {
    let mut report = Report::default();
    let own = match &what.destination {
        None => None,
        Some((pipeline, name)) => {
            load(pipelines, blueprints, env)?;
            Some(destination(pipelines, pipeline, name, &mut report)?)
        }
    };
    let all = all_blueprints(blueprints, &mut report);
    let of_destination = own.as_ref().and_then(|(_, node)| node.get("blueprint")).and_then(Node::text);
    let name = of_destination.unwrap_or(&what.blueprint);
    let names: Vec<&str> = all.iter().map(|blueprint| blueprint.name.as_str()).collect();
    let found = all.iter().find(|blueprint| blueprint.name == name);
    let below = found.map(|blueprint| Arc::clone(&blueprint.at.source));
    let root = below.as_ref().and_then(|source| node::parse(source, &mut report));
    report.finish()?;
    let (Some(below), Some(root)) = (below, root) else { return Err(unknown("blueprint", name, &names)) };
    let of_destination = own.as_ref().and_then(|(_, node)| node.get("preset")).and_then(Node::text);
    let preset = what.preset.as_deref().or(of_destination);
    let presets = root.get("presets").map(Node::entries).unwrap_or_default();
    let names: Vec<&str> = presets.iter().map(|entry| entry.key.as_str()).collect();
    let name = preset.unwrap_or(DEFAULT);
    let rules = root.get("presets").and_then(|presets| presets.get(name));
    if rules.is_none() && preset.is_some() {
        return Err(unknown("preset", name, &names));
    }
    let below = Layer { source: &below, rules };
    let mut text = format!("# The rules of the preset `{name}` of {}", below.source.name);
    let over = match &own {
        Some((source, node)) => {
            let _infallible = write!(text, ",\n# with the events of {} over them", source.name);
            Layer { source, rules: node.get("events") }
        }
        None => Layer { source: below.source, rules: None },
    };
    text.push_str(".\n# One of them applies: a name before a type, and a type before *.\n");
    for laid in laid(below, over) {
        text.push('\n');
        print(&laid, &mut text);
    }
    Ok(text)
}

fn unknown(what: &'static str, name: &str, known: &[&str]) -> MergeError {
    MergeError::Unknown { what, name: name.to_owned(), known: listed(known.iter().copied()) }
}

/// The node of a destination, with its file.
fn destination(
    pipelines: &Path,
    pipeline: &str,
    name: &str,
    report: &mut Report,
) -> Result<(Arc<Source>, Node), MergeError> {
    let mut known = Vec::new();
    for path in files(pipelines, report) {
        let Some(source) = source(&path, report) else { continue };
        let Some(root) = node::parse(&source, report) else { continue };
        let named = root.get("pipeline").and_then(Node::text).unwrap_or_default();
        if named != pipeline {
            known.push(named.to_owned());
            continue;
        }
        let name_of = |node: &Node| node.get("name").or(node.get("blueprint")).and_then(Node::text).map(str::to_owned);
        let destinations = root.get("destinations").map(Node::items).unwrap_or_default();
        let names: Vec<String> = destinations.iter().filter_map(name_of).collect();
        return match destinations.iter().find(|node| name_of(node).as_deref() == Some(name)) {
            Some(node) => Ok((source, node.clone())),
            None => Err(unknown("destination", name, &names.iter().map(String::as_str).collect::<Vec<_>>())),
        };
    }
    Err(unknown("pipeline", pipeline, &known.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// The rules that hold, the most specific first.
fn laid<'n>(below: Layer<'n>, over: Layer<'n>) -> Vec<Laid<'n>> {
    let own = over.rules.map(Node::entries).unwrap_or_default();
    let preset = below.rules.map(Node::entries).unwrap_or_default();
    let mut all: Vec<Laid<'n>> = Vec::new();
    for entry in preset.iter().filter(|entry| !own.iter().any(|own| own.key == entry.key)) {
        all.push(Laid { entry, places: below.place(entry), over: None });
    }
    for entry in own {
        let under = preset.iter().find(|below| below.key == entry.key);
        let only_sets = entry.value.is_map() && entry.value.get("send").is_none() && entry.value.get("sends").is_none();
        let (places, over) = match under {
            Some(under) if only_sets => {
                let set = set(below, &under.value, over, &entry.value);
                (format!("{}, over {}", over.place(entry), below.place(under)), Some(Over { rule: &under.value, set }))
            }
            Some(under) => (format!("{}, in place of {}", over.place(entry), below.place(under)), None),
            None => (over.place(entry), None),
        };
        all.push(Laid { entry, places, over });
    }
    all.sort_by_key(|laid| match laid.entry.key.as_str() {
        "*" => 2,
        key if EventType::from_code(key).is_some() => 1,
        _ => 0,
    });
    all
}

/// The fields that are set, the pipeline's laid over the preset's.
fn set(below: Layer<'_>, under: &Node, over: Layer<'_>, rule: &Node) -> Vec<SetField> {
    // A preset's rule that makes one send may also be written as a list.
    let under = match under.items() {
        [only] => only,
        _ => under,
    };
    let entries = |node: &Node| node.get("set").map(|set| set.entries().to_vec()).unwrap_or_default();
    let own = entries(rule);
    let mut fields = Vec::new();
    for entry in entries(under) {
        match own.iter().find(|own| own.key == entry.key) {
            Some(over_it) => {
                let place = format!("{}, over {}", over.place(over_it), below.place(&entry));
                fields.push(SetField { key: entry.key.clone(), value: lay(&entry.value, &over_it.value), place });
            }
            None => fields.push(SetField { place: below.place(&entry), key: entry.key, value: entry.value }),
        }
    }
    for entry in own {
        if !fields.iter().any(|field: &SetField| field.key == entry.key) {
            let place = over.place(&entry);
            fields.push(SetField { key: entry.key, value: entry.value, place });
        }
    }
    fields
}

/// A field with another laid over it.
fn lay(below: &Node, over: &Node) -> Node {
    let has_source = !over.is_map() || over.entries().iter().any(|entry| SOURCES.contains(&entry.key.as_str()));
    let below = directives(below);
    let mut entries: Vec<Entry> = if has_source { Vec::new() } else { below.clone() };
    for entry in directives(over) {
        // `required` from below is only ever added to.
        let stays = CHECKS.contains(&entry.key.as_str()) && below.iter().any(|known| known.key == entry.key);
        if stays && !(entry.key == "required" && entry.value.bool() == Some(true)) {
            continue;
        }
        match entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => known.value = entry.value,
            None => entries.push(entry),
        }
    }
    for entry in below {
        if CHECKS.contains(&entry.key.as_str()) && !entries.iter().any(|known| known.key == entry.key) {
            entries.push(entry);
        }
    }
    match &*entries {
        [only] if only.key == "value" && !only.value.is_map() && !only.value.is_null() => only.value.clone(),
        _ => Node { span: over.span, kind: Kind::Map(entries) },
    }
}

/// A field as directives, also one that is written as a constant or a template.
fn directives(field: &Node) -> Vec<Entry> {
    if field.is_map() {
        return field.entries().to_vec();
    }
    let key = match &field.kind {
        Kind::Text(text) if text.contains("{{") => "template",
        _ => "value",
    };
    vec![Entry { key: key.to_owned(), key_span: field.span, value: field.clone() }]
}

fn print(laid: &Laid<'_>, text: &mut String) {
    let (key, node) = (scalar(&laid.entry.key), &laid.entry.value);
    let _infallible = writeln!(text, "# {}", laid.places);
    let Some(Over { rule: under, set }) = &laid.over else {
        let _infallible = writeln!(text, "{key}: {}", flow(node));
        return;
    };
    let _infallible = writeln!(text, "{key}:");
    let single = if let [only] = under.items() { only } else { under };
    // What stands in either, the pipeline's before the preset's, so that nothing that holds is hidden.
    let mut others: Vec<&Entry> = node.entries().iter().collect();
    others.extend(under.entries().iter().filter(|below| node.get(&below.key).is_none()));
    others.retain(|entry| !["send", "sends", "set"].contains(&entry.key.as_str()));
    for entry in others {
        let _infallible = writeln!(text, "  {}: {}", scalar(&entry.key), flow(&entry.value));
    }
    if let Some(send) = send_of(single) {
        let _infallible = writeln!(text, "  send: {}", flow(send));
    }
    if !set.is_empty() {
        text.push_str("  set:\n");
    }
    for SetField { key, value, place } in set {
        let _infallible = writeln!(text, "    {}: {}    # {place}", scalar(key), flow(value));
    }
}

/// The send of a rule that makes one, also where it is written as a list of one.
fn send_of(rule: &Node) -> Option<&Node> {
    rule.get("send").or_else(|| match rule.get("sends")?.items() {
        [only] => only.get("send"),
        _ => None,
    })
}

// === impl Layer ===

impl Layer<'_> {
    fn place(&self, entry: &Entry) -> String {
        format!("{}:{}", self.source.name, self.source.line_column(entry.key_span.start).0)
    }
}

/// A value in one line of YAML.
fn flow(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(digits) => digits.clone(),
        Kind::Text(text) => scalar(text),
        Kind::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Kind::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|entry| format!("{}: {}", scalar(&entry.key), flow(&entry.value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text as it can stand anywhere in YAML: bare where nobody can mistake it, else in double quotes as in JSON.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ' ');
    let is_word = ["null", "true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word));
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.ends_with(' ');
    if begins && text.chars().all(plain) && !is_word { text.to_owned() } else { json_text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_where_it_could_be_taken_for_something_else() {
        for bare in ["off", "Order Completed", "properties.a_b", "yes"] {
            assert_eq!(scalar(bare), bare);
        }
        for quoted in ["*", "5", "true", "Null", "a: b", "{{ x }}", "", "a ", "-x", "é"] {
            assert_eq!(scalar(quoted), json_text(quoted), "{quoted}");
        }
    }
}
