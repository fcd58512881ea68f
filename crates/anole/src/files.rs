//! Reading the configuration for a verb, and `anole check`.

use std::io::IsTerminal;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anole_config::{ConfigErrors, LoadedSettings, Problem, Settings, load_settings};
use anole_pipeline::PipelinePlan;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::Output;
use crate::watch::{Seen, Watched};

/// Settings and plans.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) pipelines: Vec<Arc<PipelinePlan>>,
    /// What is worth a look, ready to be shown.
    pub(crate) warnings: Vec<String>,
    /// What the files were like when they were read.
    pub(crate) seen: Seen,
}

/// Plans that were read while a daemon runs.
pub(crate) struct Fresh {
    pub(crate) pipelines: Vec<Arc<PipelinePlan>>,
    /// What is worth a look, as `anole check --json` has it.
    pub(crate) warnings: Vec<Value>,
    /// That the settings have changed, in words.
    pub(crate) restart: Option<String>,
}

/// What is wrong with files that were read while a daemon runs.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// As `anole check --json` has it.
    pub(crate) problems: Vec<Value>,
    /// As a person reads it.
    pub(crate) text: String,
}

/// The settings alone: enough for the verbs that look.
pub(crate) fn settings(config: Option<&Path>) -> Result<Settings, Failure> {
    Ok(read_settings(config).map_err(|errors| wrong(&errors))?.settings)
}

/// Settings, pipelines and blueprints; what is wrong in any of them is told at once.
pub(crate) fn load(config: Option<&Path>) -> Result<Loaded, Failure> {
    let LoadedSettings { settings, warnings, .. } = read_settings(config).map_err(|errors| wrong(&errors))?;
    let seen = Watched::new(config, &settings).look();
    let read = read_pipelines(&settings).map_err(|errors| wrong(&errors))?;
    runnable(&settings, &read.pipelines)?;
    let warnings = warnings.iter().chain(&read.warnings).map(shown).collect();
    Ok(Loaded { settings, pipelines: read.pipelines, warnings, seen })
}

/// Pipelines and blueprints once more, under the settings that the daemon started with. Blocking.
pub(crate) fn read_again(config: Option<&Path>, at_start: &Settings) -> Result<Fresh, Wrong> {
    let now = read_settings(config);
    let blueprints = match (&at_start.blueprints, &now) {
        // The default folder has come since.
        (None, Ok(now)) => now.settings.blueprints.clone(),
        (at_start, _) => at_start.clone(),
    };
    let settings = Settings { blueprints, ..at_start.clone() };
    let read = read_pipelines(&settings).map_err(|errors| Wrong::of(&errors))?;
    runnable(&settings, &read.pipelines).map_err(|failure| {
        let text = failure.to_string();
        Wrong::one("not_runnable", text.strip_prefix("anole: ").unwrap_or(&text))
    })?;
    let warnings = read.warnings.iter().map(|warning| serde_json::json!(warning)).collect();
    let restart = match now {
        Ok(now) if now.settings == settings => None,
        Ok(_) => Some(
            "anole.yaml has changed since anole started: pipelines and blueprints were read again, the settings come into \
             force with a restart"
                .to_owned(),
        ),
        Err(errors) => Some(format!(
            "anole.yaml is wrong now, and the next start will fail; until then the settings stay as they are:\n{}",
            errors.render(false)
        )),
    };
    Ok(Fresh { pipelines: read.pipelines, warnings, restart })
}

/// The pipeline that is meant: the named one, or the only one there is.
pub(crate) fn one_pipeline<'a>(
    pipelines: &'a [Arc<PipelinePlan>],
    named: Option<&str>,
) -> Result<&'a PipelinePlan, Failure> {
    let names = || pipelines.iter().map(|plan| plan.name.to_string()).collect::<Vec<_>>().join(", ");
    match (named, pipelines) {
        (Some(name), _) => pipelines
            .iter()
            .find(|plan| *plan.name == *name)
            .map(|plan| &**plan)
            .ok_or_else(|| Failure::Wrong(format!("anole: there is no pipeline `{name}`; there are: {}", names()))),
        (None, [plan]) => Ok(plan),
        (None, []) => Err(Failure::Wrong("anole: there is no pipeline: `anole init` writes a first one".into())),
        (None, _) => Err(Failure::Wrong(format!("anole: say which pipeline with --pipeline; there are: {}", names()))),
    }
}

/// `anole check`: all problems of all files, and what was found when there are none.
pub(crate) fn check(config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let settings = match read_settings(config) {
        Ok(loaded) => loaded,
        Err(errors) => return told(&errors, output),
    };
    let read = match read_pipelines(&settings.settings) {
        Ok(read) => read,
        Err(errors) => return told(&errors, output),
    };
    runnable(&settings.settings, &read.pipelines)?;
    let warnings: Vec<&Problem> = settings.warnings.iter().chain(&read.warnings).collect();
    if output.json {
        output.value(&serde_json::json!({ "problems": warnings }));
        return Ok(());
    }
    for warning in warnings {
        output.talk(&shown(warning));
    }
    let lanes: usize = read.pipelines.iter().map(|plan| plan.lanes.len()).sum();
    let (pipelines, lanes) = (counted(read.pipelines.len(), "pipeline"), counted(lanes, "lane"));
    output.line(&format!("the configuration is sound: {pipelines}, {lanes}"));
    for plan in &read.pipelines {
        for lane in &plan.lanes {
            let addresses: Vec<_> = lane.addresses().map(|address| address.masked_url.as_str()).collect();
            output.line(&format!("  {}  {}", lane.lane, addresses.join(", ")));
        }
    }
    Ok(())
}

/// `1 lane`, `2 lanes`.
fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// What each file alone cannot show: an address that may not be called, two listeners at one place.
fn runnable(settings: &Settings, pipelines: &[Arc<PipelinePlan>]) -> Result<(), Failure> {
    let (collect, admin) = (settings.collect.listen, settings.admin.listen);
    if collect == admin && collect.port() != 0 {
        return Err(Failure::Wrong(format!(
            "anole: collect.listen and admin.listen are both {collect}: give each an address of its own"
        )));
    }
    let guard = anole_delivery::Guard::new(settings.delivery.allow_private_addresses);
    for lane in pipelines.iter().flat_map(|plan| &plan.lanes) {
        for address in lane.addresses() {
            if let Err(forbidden) = guard.check(&address.url, &address.masked_url) {
                return Err(Failure::Wrong(format!("anole: {}: {forbidden}", lane.lane)));
            }
        }
    }
    Ok(())
}

fn told(errors: &ConfigErrors, output: Output) -> Result<(), Failure> {
    if output.json {
        output.value(&serde_json::json!({ "problems": errors }));
        let count = errors.problems().len();
        return Err(Failure::Wrong(format!("{count} problems")));
    }
    Err(wrong(errors))
}

fn read_settings(config: Option<&Path>) -> Result<LoadedSettings, ConfigErrors> {
    // A variable that is no UTF-8 cannot be one of ours.
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        // The log filter is no setting of the file.
        .filter(|(name, _)| name != "ANOLE_LOG")
        .collect();
    let mut loaded = load_settings(config, Path::new("."), &variables)?;
    for path in [&mut loaded.settings.data_dir, &mut loaded.settings.pipelines] {
        *path = tidy(path);
    }
    loaded.settings.blueprints = loaded.settings.blueprints.as_deref().map(tidy);
    Ok(loaded)
}

/// A path as a person would write it: `././data` is `data`.
fn tidy(path: &Path) -> PathBuf {
    let tidied: PathBuf = path.components().filter(|component| *component != Component::CurDir).collect();
    if tidied.as_os_str().is_empty() { PathBuf::from(".") } else { tidied }
}

fn read_pipelines(settings: &Settings) -> Result<anole_config::Loaded, ConfigErrors> {
    anole_config::load(&settings.pipelines, settings.blueprints.as_deref(), &|name| std::env::var(name).ok())
}

fn shown(problem: &Problem) -> String {
    problem.render(std::io::stderr().is_terminal())
}

fn wrong(errors: &ConfigErrors) -> Failure {
    Failure::Wrong(errors.render(std::io::stderr().is_terminal()))
}

// === impl Wrong ===

impl Wrong {
    fn of(errors: &ConfigErrors) -> Self {
        let problems = errors.problems().iter().map(|problem| serde_json::json!(problem)).collect();
        Self { problems, text: errors.render(false) }
    }

    /// What no file alone shows.
    pub(crate) fn one(code: &str, message: &str) -> Self {
        let problem = serde_json::json!({
            "severity": "error", "code": code, "file": null, "line": null, "column": null,
            "message": message, "expected": null, "suggestion": null,
        });
        Self { problems: vec![problem], text: format!("error[{code}]: {message}") }
    }
}
