//! The house rules that a program can hold: dependency arrows, file lengths, no `mod.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{Result, output, root};

/// A source file's most lines.
const LINES: usize = 500;

/// Which of our crates each may name. A crate may also name what those reach.
const ARROWS: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("telemetry", &["event"]),
    ("http", &["telemetry"]),
    ("journal", &["event", "telemetry"]),
    ("state", &["event", "telemetry"]),
    ("delivery-log", &["event", "telemetry"]),
    ("codes", &[]),
    ("pipeline", &["event"]),
    ("config", &["pipeline"]),
    ("ingest", &["http", "journal", "state", "pipeline"]),
    ("delivery", &["journal", "state", "delivery-log", "pipeline"]),
    ("console", &["http", "delivery", "delivery-log", "state", "journal", "config", "codes"]),
    ("sandbox", &["http"]),
];
/// What a crate may not name although it can reach it.
const NEVER: &[(&str, &str)] = &[("sandbox", "event")];
/// Crates that no shipped crate may name.
const DEVELOPMENT: &[&str] = &["fuzz", "testkit", "xtask"];

pub(crate) fn run() -> Result {
    let mut wrong = lengths(&root())?;
    wrong.extend(arrows(&root())?);
    wrong.extend(crate::alerts::unknown(&root())?);
    if wrong.is_empty() {
        println!("xtask: the house rules hold");
        return Ok(());
    }
    Err(format!("house rules are broken:\n  {}", wrong.join("\n  ")))
}

/// Source files that are too long or named `mod.rs`.
fn lengths(root: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                let skipped = path.ends_with("node_modules") || path.ends_with("target");
                folders.extend((!skipped).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                let lines = text.lines().count();
                if lines > LINES {
                    wrong.push(format!("{shown} has {lines} lines, {LINES} are allowed: split it by noun"));
                }
                if path.ends_with("mod.rs") {
                    wrong.push(format!("{shown}: name the file for its module instead of mod.rs"));
                }
            }
        }
    }
    Ok(wrong)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = read.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    Ok(paths)
}

/// Dependencies between our crates that no arrow allows. Development dependencies are left aside.
fn arrows(root: &Path) -> Result<Vec<String>> {
    let metadata = output(root, "cargo", &["metadata", "--format-version", "1", "--no-deps"])?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = short(package["name"].as_str().unwrap_or_default());
        let named = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev") && dependency["path"].is_string())
            .filter_map(|dependency| dependency["name"].as_str())
            .map(short);
        wrong.extend(named.filter_map(|other| forbidden(name, other)));
    }
    Ok(wrong)
}

fn short(package: &str) -> &str {
    package.strip_prefix("anole-").unwrap_or(package)
}

fn forbidden(name: &str, other: &str) -> Option<String> {
    if DEVELOPMENT.contains(&name) {
        return None;
    }
    if DEVELOPMENT.contains(&other) {
        return Some(format!("{name} -> {other}: {other} is for development only"));
    }
    if NEVER.contains(&(name, other)) {
        return Some(format!("{name} -> {other}: {name} must not know it, although it can reach it"));
    }
    let allowed = name == "anole" || reach(name).contains(&other);
    (!allowed).then(|| format!("{name} -> {other}: no arrow leads there (see the design of the house)"))
}

/// What a crate can reach by the arrows.
fn reach(name: &str) -> Vec<&'static str> {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut reached: Vec<&'static str> = Vec::new();
    let mut open: Vec<&str> = vec![name];
    while let Some(from) = open.pop() {
        for to in arrows.get(from).copied().unwrap_or_default() {
            if !reached.contains(to) {
                reached.push(to);
                open.push(to);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dependency_arrows_hold() {
        assert_eq!(arrows(&root()), Ok(Vec::new()));
    }

    #[test]
    fn no_source_file_is_too_long() {
        assert_eq!(lengths(&root()), Ok(Vec::new()));
    }

    #[test]
    fn an_arrow_that_the_design_does_not_draw_is_found() {
        assert_eq!(forbidden("delivery", "pipeline"), None);
        assert_eq!(forbidden("delivery", "event"), None, "what its arrows reach");
        assert!(forbidden("delivery", "config").is_some(), "delivery knows no YAML");
        assert!(forbidden("pipeline", "http").is_some(), "pipeline knows no HTTP");
        assert!(forbidden("sandbox", "event").is_some(), "the sandbox judges independently");
        assert!(forbidden("ingest", "testkit").is_some());
        assert_eq!(forbidden("anole", "sandbox"), None);
    }
}
