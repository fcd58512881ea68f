//! Loading: folders of files to plans, with all that is wrong in all of them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anole_pipeline::PipelinePlan;

use crate::blueprint::Blueprint;
use crate::node;
use crate::pipeline::{self, Claim};
use crate::problem::{Code, ConfigErrors, Problem, Report};
use crate::remote::RemoteCheck;
use crate::source::{At, Source};

/// The most bytes of a file.
const MAX_FILE: u64 = 1024 * 1024;

/// The blueprints that are part of the program.
const EMBEDDED: [(&str, &str); 1] = [("kameleoon.yaml", include_str!("../../../blueprints/kameleoon.yaml"))];

/// What was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The plans, in the order of their files' names.
    pub pipelines: Vec<Arc<PipelinePlan>>,
    /// What the vendors can be asked about them.
    pub remote: Vec<RemoteCheck>,
    /// What is worth a look.
    pub warnings: Vec<Problem>,
}

/// Loads all pipelines of a folder with the blueprints that they use: the embedded ones, and over them those of a folder.
/// Files are those that end in `.yaml` or `.yml`; others, and folders within, are passed over.
///
/// # Errors
/// When anything is wrong in any file: all of it, each with its place.
pub fn load(
    pipelines: &Path,
    blueprints: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, ConfigErrors> {
    let mut report = Report::default();
    let blueprints = all_blueprints(blueprints, &mut report);
    let (mut plans, mut claims, mut remote) = (Vec::new(), Vec::new(), Vec::new());
    let files = files(pipelines, &mut report);
    if files.is_empty() && !report.has_errors() {
        let message = format!("there is no pipeline in {}", pipelines.display());
        let problem = Problem::new(Code::NoPipelines, None, message).warning();
        report.add(problem.expect("`anole init` writes a first one"));
    }
    for path in files {
        let Some(source) = source(&path, &mut report) else { continue };
        let Some(root) = node::parse(&source, &mut report) else { continue };
        let read = pipeline::read(&source, &root, &blueprints, env, &mut report);
        plans.extend(read.plan.map(Arc::new));
        remote.extend(read.remote);
        conflicts(&mut claims, read.claims, &mut report);
    }
    let warnings = report.finish()?;
    Ok(Loaded { pipelines: plans, remote, warnings })
}

/// The embedded blueprints, by name, with their files: what `anole blueprint show` prints.
#[must_use]
pub fn embedded_blueprints() -> Vec<(&'static str, &'static str)> {
    EMBEDDED.iter().map(|(file, text)| (file.trim_end_matches(".yaml"), *text)).collect()
}

pub(crate) fn all_blueprints(folder: Option<&Path>, report: &mut Report) -> Vec<Blueprint> {
    let mut all: Vec<Blueprint> = Vec::new();
    for (file, text) in EMBEDDED {
        let name = format!("blueprints/{file} (embedded)");
        let source = Arc::new(Source { name, text: text.to_owned(), folder: PathBuf::new() });
        all.extend(node::parse(&source, report).and_then(|root| Blueprint::read(&source, &root, report)));
    }
    let mut own: Vec<Blueprint> = Vec::new();
    for path in folder.map(|folder| files(folder, report)).unwrap_or_default() {
        let Some(source) = source(&path, report) else { continue };
        let Some(root) = node::parse(&source, report) else {
            // What it says its name is: that it is missing elsewhere is not another mistake.
            let named = source.text.lines().find_map(|line| line.strip_prefix("blueprint:"));
            report.unreadable(named.unwrap_or_default().trim().trim_matches(['"', '\'']));
            continue;
        };
        let Some(blueprint) = Blueprint::read(&source, &root, report) else { continue };
        if let Some(other) = own.iter().find(|other| other.name == blueprint.name) {
            let message = format!("two files describe the blueprint `{}`", blueprint.name);
            let problem = Problem::new(Code::Conflict, blueprint.at.clone(), message);
            report.add(problem.beside(other.at.clone(), "the other one"));
            continue;
        }
        own.push(blueprint);
    }
    all.retain(|embedded| !own.iter().any(|own| own.name == embedded.name));
    all.extend(own);
    all
}

/// The files of a folder that [`load`] reads, by name: those that end in `.yaml` or `.yml` and do not begin with a dot, as
/// what an editor keeps beside a file does.
///
/// # Errors
/// When the folder cannot be read.
pub fn yaml_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_yaml =
        |path: &PathBuf| path.extension().is_some_and(|end| end == OsStr::new("yaml") || end == OsStr::new("yml"));
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut paths =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| is_yaml(path) && !hidden(path) && path.is_file());
    paths.sort();
    Ok(paths)
}

pub(crate) fn files(folder: &Path, report: &mut Report) -> Vec<PathBuf> {
    match yaml_files(folder) {
        Ok(paths) => paths,
        Err(error) => {
            let message = format!("the folder {} cannot be read: {error}", folder.display());
            report.add(Problem::new(Code::Unreadable, None, message).expect("name a folder that is there"));
            Vec::new()
        }
    }
}

/// Reads a file. `None` when it cannot be read, which is then reported.
pub(crate) fn source(path: &Path, report: &mut Report) -> Option<Arc<Source>> {
    let read = fs::metadata(path).map_err(|error| error.to_string()).and_then(|about| {
        if about.len() > MAX_FILE {
            return Err(format!("it has more than {MAX_FILE} bytes"));
        }
        fs::read_to_string(path).map_err(|error| error.to_string())
    });
    match read {
        Ok(text) => {
            let folder = path.parent().map(Path::to_owned).unwrap_or_default();
            Some(Arc::new(Source { name: path.display().to_string(), text, folder }))
        }
        Err(error) => {
            let message = format!("the file {} cannot be read: {error}", path.display());
            report.add(Problem::new(Code::Unreadable, None, message));
            None
        }
    }
}

/// Reports what two pipelines, or two parts of one, both claim.
fn conflicts(all: &mut Vec<Claim>, new: Vec<Claim>, report: &mut Report) {
    for claim in new {
        // Destinations are named within their pipeline only.
        let same_file = |other: &Claim| claim.what != "the destination" || other.at.source == claim.at.source;
        let known = all.iter().find(|other| other.what == claim.what && other.name == claim.name && same_file(other));
        match known {
            Some(other) => {
                let shown = if claim.secret { String::new() } else { format!(" `{}`", claim.name) };
                let message = format!("{}{shown} stands twice", claim.what);
                let expected =
                    if claim.what == "the destination" { "give one of them another `name`" } else { "change one" };
                let problem = Problem::new(Code::Conflict, claim.at.clone(), message).expect(expected);
                report.add(problem.beside(other.at.clone(), "it stands here already"));
            }
            None => all.push(claim),
        }
    }
}

/// Reads a blueprint alone and tells what is wrong with it.
///
/// # Errors
/// When anything is wrong with it.
pub fn check_blueprint(name: &str, text: &str) -> Result<Vec<Problem>, ConfigErrors> {
    let mut report = Report::default();
    let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned(), folder: PathBuf::new() });
    if let Some(root) = node::parse(&source, &mut report)
        && Blueprint::read(&source, &root, &mut report).is_none()
        && !report.has_errors()
    {
        let at = At::new(&source, source.top());
        report.add(Problem::new(Code::MissingKey, at, "this is no blueprint").expect("write `blueprint: NAME`"));
    }
    report.finish()
}
