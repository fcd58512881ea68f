//! The blueprints that there are, for people to choose from and to read.

use std::path::Path;

use crate::load::all_blueprints;
use crate::node::{self, Entry, Node};
use crate::problem::{ConfigErrors, Report};

/// A blueprint as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlueprintFile {
    /// The name by which pipelines use it.
    pub name: String,
    /// The vendor's product, as people call it.
    pub title: String,
    /// The file, as a person knows it.
    pub file: String,
    /// Its text.
    pub text: String,
    /// What it asks of a destination.
    pub settings: Vec<String>,
    /// The same with all that a form needs.
    pub asked: Vec<Asked>,
    /// What can be sent.
    pub sends: Vec<String>,
    /// Its named sets of rules.
    pub presets: Vec<String>,
}

/// A setting as a form asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Its type as the blueprint writes it: `text`, `choice`, `url`, `secret`, `integer`, `number`, `boolean`, `list`, `map`.
    pub kind: String,
    /// What can be chosen, of a choice.
    pub of: Vec<String>,
    /// What people call it.
    pub title: Option<String>,
    /// Where they find it.
    pub help: Option<String>,
    /// What holds when nothing is given, as it is written.
    pub default: Option<String>,
    /// Whether it may be left out although it has no default.
    pub optional: bool,
}

/// All blueprints that a pipeline can use: those of a folder, and the embedded ones that they do not replace.
///
/// # Errors
/// When anything is wrong with any of them.
pub fn blueprints(folder: Option<&Path>) -> Result<Vec<BlueprintFile>, ConfigErrors> {
    let mut report = Report::default();
    let mut files = Vec::new();
    for blueprint in all_blueprints(folder, &mut report) {
        let source = &blueprint.at.source;
        let Some(root) = node::parse(source, &mut report) else { continue };
        files.push(BlueprintFile {
            title: root.get("title").and_then(Node::text).unwrap_or_default().to_owned(),
            file: source.name.clone(),
            text: source.text.clone(),
            settings: blueprint.settings.iter().map(|setting| setting.name.clone()).collect(),
            asked: root.get("settings").map(Node::entries).unwrap_or_default().iter().map(asked).collect(),
            sends: blueprint.sends.iter().map(|send| send.name.clone()).collect(),
            presets: blueprint.presets.iter().map(|preset| preset.name.clone()).collect(),
            name: blueprint.name,
        });
    }
    report.finish()?;
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn asked(entry: &Entry) -> Asked {
    let node = &entry.value;
    let text = |key: &str| node.get(key).and_then(Node::text).map(str::to_owned);
    let of = node.get("of").map(Node::items).unwrap_or_default();
    let default = node.get("default").map(|default| default.text().map_or_else(|| default.to_json(), str::to_owned));
    Asked {
        name: entry.key.clone(),
        kind: text("type").unwrap_or_else(|| "text".to_owned()),
        of: of.iter().filter_map(Node::text).map(str::to_owned).collect(),
        title: text("title"),
        help: text("help"),
        default,
        optional: node.get("optional").and_then(Node::bool).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_knows_what_a_blueprint_asks() {
        let all = blueprints(None).unwrap();
        let kameleoon = all.iter().find(|blueprint| blueprint.name == "kameleoon").unwrap();
        let asked = |name: &str| kameleoon.asked.iter().find(|asked| asked.name == name).unwrap();
        assert_eq!(kameleoon.asked.iter().map(|asked| asked.name.clone()).collect::<Vec<_>>(), kameleoon.settings);
        assert_eq!(
            (asked("region").kind.as_str(), &*asked("region").of),
            ("choice", &["eu".to_owned(), "na".to_owned()][..])
        );
        assert_eq!(asked("site_code").title.as_deref(), Some("Site Code"));
        assert_eq!(asked("nonce").default.as_deref(), Some("message_id"));
        assert!(asked("client_secret").optional && asked("client_secret").kind == "secret");
    }
}
