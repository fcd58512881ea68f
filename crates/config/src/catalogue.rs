//! The blueprints that there are, for people to choose from and to read.

use std::path::Path;

use crate::load::all_blueprints;
use crate::node::{self, Node};
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
    /// What can be sent.
    pub sends: Vec<String>,
    /// Its named sets of rules.
    pub presets: Vec<String>,
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
            sends: blueprint.sends.iter().map(|send| send.name.clone()).collect(),
            presets: blueprint.presets.iter().map(|preset| preset.name.clone()).collect(),
            name: blueprint.name,
        });
    }
    report.finish()?;
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}
