//! Reading the configuration for a verb, and `anole check`.

use std::io::IsTerminal;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anole_config::{
    Code, ConfigErrors, LoadedSettings, Problem, Settings, Severity, load_settings, settings_as_far_as_right,
};
use anole_event::{Clock, SystemClock};
use anole_pipeline::PipelinePlan;
use serde_json::Value;

use crate::cli::Check;
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

/// Settings, and the folder to which their file's paths are relative.
pub(crate) struct Places {
    pub(crate) settings: Settings,
    pub(crate) folder: PathBuf,
}

/// Settings with their folder: for the verbs that write beside the files.
pub(crate) fn places(config: Option<&Path>) -> Result<Places, Failure> {
    let LoadedSettings { settings, file, .. } = read_settings(config).map_err(|errors| wrong(&errors))?;
    let folder = file.as_deref().and_then(Path::parent).map_or_else(|| PathBuf::from("."), tidy);
    Ok(Places { settings, folder })
}

/// Settings, pipelines and blueprints; what is wrong in any of them is told at once.
pub(crate) fn load(config: Option<&Path>) -> Result<Loaded, Failure> {
    let LoadedSettings { settings, warnings, .. } = read_settings(config).map_err(|errors| wrong(&errors))?;
    let seen = Watched::new(config, &settings).look();
    let read = read_pipelines(&settings).map_err(|errors| wrong(&errors))?;
    let problems = runnable(&settings, &read.pipelines);
    if !problems.is_empty() {
        return Err(wrong(&ConfigErrors::new(problems)));
    }
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
    let problems = runnable(&settings, &read.pipelines);
    if !problems.is_empty() {
        return Err(Wrong::of(&ConfigErrors::new(problems)));
    }
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
pub(crate) async fn check(config: Option<&Path>, check: &Check, output: Output) -> Result<(), Failure> {
    let (mut problems, sound) = gathered(config);
    if check.remote
        && let Some((settings, read)) = &sound
    {
        problems.extend(crate::remote::ask(settings, &read.remote).await?);
    }
    let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error).count();
    if output.json {
        output.value(&serde_json::to_value(&problems).map_err(Failure::of)?);
    }
    match &sound {
        Some((_, read)) if errors == 0 => {
            if !output.json {
                problems.iter().for_each(|problem| output.talk(&shown(problem)));
                if !problems.is_empty() {
                    output.talk(&explained(&problems));
                }
                tell(read, check.remote, output);
            }
            Ok(())
        }
        _ if output.json => Err(Failure::Wrong(format!("anole: {}", counted(errors, "error")))),
        _ => {
            let more = explained(&problems);
            Err(Failure::Wrong(format!("{}\n\n{more}", wrong(&ConfigErrors::new(problems)))))
        }
    }
}

/// All problems, and what there is when nothing is wrong. A mistake in the settings hides none in the other files.
fn gathered(config: Option<&Path>) -> (Vec<Problem>, Option<(Settings, anole_config::Loaded)>) {
    let (settings, mut problems, is_right) = match read_settings(config) {
        Ok(LoadedSettings { settings, warnings, .. }) => (settings, warnings, true),
        Err(errors) => {
            let problems = errors.problems().to_vec();
            match settings_as_far_as_right(config, Path::new("."), &variables()) {
                Some(settings) => (tidied(settings), problems, false),
                None => return (problems, None),
            }
        }
    };
    let read = match read_pipelines(&settings) {
        Ok(read) => read,
        Err(errors) => {
            problems.extend(errors.problems().iter().cloned());
            return (problems, None);
        }
    };
    problems.extend(read.warnings.iter().cloned());
    if !is_right {
        return (problems, None);
    }
    let wrong = runnable(&settings, &read.pipelines);
    let certificates = crate::certificates::problems(&settings, SystemClock::new().wall());
    let is_sound = wrong.is_empty() && !crate::certificates::any_error(&certificates);
    problems.extend(wrong.into_iter().chain(certificates));
    let sound = is_sound.then_some((settings, read));
    (problems, sound)
}

fn tell(read: &anole_config::Loaded, remote: bool, output: Output) {
    let lanes: usize = read.pipelines.iter().map(|plan| plan.lanes.len()).sum();
    let (pipelines, lanes) = (counted(read.pipelines.len(), "pipeline"), counted(lanes, "lane"));
    output.line(&format!("the configuration is sound: {pipelines}, {lanes}"));
    for plan in &read.pipelines {
        for lane in &plan.lanes {
            let addresses: Vec<_> = lane.addresses().map(|address| address.masked_url.as_str()).collect();
            output.line(&format!("  {}  {}", lane.lane, addresses.join(", ")));
        }
    }
    if remote {
        let asked: Vec<String> =
            read.remote.iter().map(|check| format!("{} of {}", check.name(), check.lane())).collect();
        let asked = if asked.is_empty() { "no blueprint says how".to_owned() } else { asked.join(", ") };
        output.line(&format!("asked the vendors: {asked}"));
    }
}

/// Where the pages of their codes are, once for all problems.
fn explained(problems: &[Problem]) -> String {
    let mut codes: Vec<&str> = problems.iter().map(|problem| problem.code().as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    match codes[..] {
        [code] => format!("`anole explain {code}` says more"),
        _ => format!("`anole explain CODE` says more of {}", codes.join(", ")),
    }
}

/// `1 lane`, `2 lanes`.
fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// What each file alone cannot show: an address that may not be called, two listeners at one place.
fn runnable(settings: &Settings, pipelines: &[Arc<PipelinePlan>]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (collect, admin) = (settings.collect.listen, settings.admin.listen);
    if collect == admin && collect.port() != 0 {
        let message = format!("collect.listen and admin.listen are both {collect}");
        problems.push(Problem::of_all(Code::Conflict, message, "give each an address of its own"));
    }
    let guard = anole_delivery::Guard::new(settings.delivery.allow_private_addresses);
    for lane in pipelines.iter().flat_map(|plan| &plan.lanes) {
        for address in lane.addresses() {
            if let Err(forbidden) = guard.check(&address.url, &address.masked_url) {
                let message = format!("{}: {forbidden}", lane.lane);
                problems.push(Problem::of_all(Code::Forbidden, message, "look at the settings of the destination"));
            }
        }
    }
    problems
}

fn read_settings(config: Option<&Path>) -> Result<LoadedSettings, ConfigErrors> {
    let mut loaded = load_settings(config, Path::new("."), &variables())?;
    loaded.settings = tidied(loaded.settings);
    Ok(loaded)
}

/// The environment. A variable that is no UTF-8 cannot be one of ours.
fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        // The log filter is no setting of the file.
        .filter(|(name, _)| name != "ANOLE_LOG")
        .collect()
}

fn tidied(mut settings: Settings) -> Settings {
    for path in [&mut settings.data_dir, &mut settings.pipelines] {
        *path = tidy(path);
    }
    settings.blueprints = settings.blueprints.as_deref().map(tidy);
    for tls in [&mut settings.collect.tls, &mut settings.admin.tls].into_iter().flatten() {
        (tls.certificate, tls.key) = (tidy(&tls.certificate), tidy(&tls.key));
    }
    settings
}

/// A path as a person would write it: `././data` is `data`.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let tidied: PathBuf = path.components().filter(|component| *component != Component::CurDir).collect();
    if tidied.as_os_str().is_empty() { PathBuf::from(".") } else { tidied }
}

fn read_pipelines(settings: &Settings) -> Result<anole_config::Loaded, ConfigErrors> {
    anole_config::load(&settings.pipelines, settings.blueprints.as_deref(), &|name| std::env::var(name).ok())
}

fn shown(problem: &Problem) -> String {
    problem.render(std::io::stderr().is_terminal())
}

pub(crate) fn wrong(errors: &ConfigErrors) -> Failure {
    Failure::Wrong(errors.render(std::io::stderr().is_terminal()))
}

// === impl Wrong ===

impl Wrong {
    pub(crate) fn of(errors: &ConfigErrors) -> Self {
        let problems = errors.problems().iter().map(|problem| serde_json::json!(problem)).collect();
        Self { problems, text: errors.render(false) }
    }

    /// What no file alone shows.
    pub(crate) fn one(code: Code, message: &str) -> Self {
        let problem = serde_json::json!({
            "severity": "error", "code": code.as_str(), "file": null, "line": null, "column": null,
            "message": message, "expected": null, "suggestion": null,
        });
        Self { problems: vec![problem], text: format!("error[{code}]: {message}") }
    }
}
