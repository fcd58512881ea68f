//! The layers of the settings, and where a wrong value came from.
//!
//! figment merges the layers and stops at the first value that does not fit. To tell all that is wrong at once, a value that
//! does not fit is reported and taken out of its layer, and the rest is tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::Figment;
use figment::providers::Serialized;
use serde_json::{Map, Value};

use super::Settings;
use super::meaning;
use super::tables::SETTINGS;
use crate::expand::{Environment, expand};
use crate::load::source;
use crate::nearest::nearest;
use crate::node::{self, Node};
use crate::problem::{Code, ConfigErrors, Problem, Report};
use crate::source::{At, Source};
use crate::table::{Table, Type, check};

const PREFIX: &str = "ANOLE_";
/// Variables that begin so and are no settings: of the log, and of the tests.
const OTHERS: [&str; 3] = ["ANOLE_LOG", "ANOLE_CONFIG", "SKIP_REAL_CLIENTS"];
/// The file that is read when none is named.
const DEFAULT_FILE: &str = "anole.yaml";

/// Settings, and where they came from.
#[derive(Clone, Debug)]
pub struct LoadedSettings {
    /// The settings, with absolute or working-folder-relative paths.
    pub settings: Settings,
    /// The file, when there was one.
    pub file: Option<PathBuf>,
    /// What is worth a look.
    pub warnings: Vec<Problem>,
}

/// A file that was read: its values, and where each stands.
struct File {
    path: PathBuf,
    source: Arc<Source>,
    root: Node,
}

/// The layers above the defaults, as JSON objects.
struct Layers {
    file: Value,
    env: Value,
}

/// Loads the settings: of the named file, or of `anole.yaml` in the folder when there is one; and of the variables, given as
/// pairs of name and value, of which those that begin with `ANOLE_` are settings.
///
/// # Errors
/// When the named file is not there, or when anything is wrong: all of it, each with its place or its variable.
pub fn load_settings(
    named: Option<&Path>,
    folder: &Path,
    variables: &[(String, String)],
) -> Result<LoadedSettings, ConfigErrors> {
    let mut report = Report::default();
    let (settings, file) = assembled(named, folder, variables, &mut report);
    let warnings = report.finish()?;
    Ok(LoadedSettings { settings, file: file.map(|file| file.path), warnings })
}

/// The settings with what is wrong left out, for whoever wants to tell what is wrong elsewhere as well. `None` when there is
/// a file and it cannot be read: then nothing is known of the folders that it names.
#[must_use]
pub fn settings_as_far_as_right(
    named: Option<&Path>,
    folder: &Path,
    variables: &[(String, String)],
) -> Option<Settings> {
    let (settings, file) = assembled(named, folder, variables, &mut Report::default());
    let is_there = named.is_some() || folder.join(DEFAULT_FILE).exists();
    (file.is_some() || !is_there).then_some(settings)
}

fn assembled(
    named: Option<&Path>,
    folder: &Path,
    variables: &[(String, String)],
    report: &mut Report,
) -> (Settings, Option<File>) {
    let path = match named {
        Some(path) => Some(path.to_owned()),
        None => Some(folder.join(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let file = path.and_then(|path| read(path, report));
    let lookup = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut layers = Layers {
        file: file.as_ref().map_or_else(|| Value::Object(Map::new()), |file| file_layer(file, &lookup, report)),
        env: env_layer(variables, report),
    };
    let mut settings = extract(&mut layers, file.as_ref(), report);
    let at = |steps: &[&str]| {
        let steps: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
        file.as_ref().map(|file| At::new(&file.source, place(&file.root, &steps).span))
    };
    meaning::check(&settings, &at, report);
    place_paths(&mut settings, &layers, file.as_ref(), folder);
    (settings, file)
}

fn read(path: PathBuf, report: &mut Report) -> Option<File> {
    let source = source(&path, report)?;
    let root = node::parse(&source, report)?;
    check(&source, &root, &SETTINGS, "the file", report);
    Some(File { path, source, root })
}

/// The values of the file that are of the right kind; others have been reported.
fn file_layer(file: &File, env: Environment<'_>, report: &mut Report) -> Value {
    let mut probe = Report::default();
    let mut layer = Map::new();
    for entry in file.root.entries() {
        let alone = Node { span: entry.value.span, kind: node::Kind::Map(vec![entry.clone()]) };
        let before = probe.count();
        check(&file.source, &alone, &SETTINGS, "the file", &mut probe);
        if probe.count() == before
            && let Ok(value) = serde_json::from_str(&entry.value.to_json())
        {
            layer.insert(entry.key.clone(), value);
        }
    }
    if let Some(node) = file.root.get("admin").and_then(|admin| admin.get("token"))
        && let Some(written) = node.text()
    {
        let at = At::new(&file.source, node.span);
        let expanded = expand(written, &at, env, report);
        if expanded.as_ref().is_some_and(|expanded| !expanded.from_outside) {
            report.mask(at.clone());
            let problem = Problem::new(Code::PlainSecret, at, "the secret `token` stands in the file itself").warning();
            report.add(problem.expect("take it from the environment: \"${NAME}\""));
        }
        if let (Some(token), Some(expanded)) =
            (layer.get_mut("admin").and_then(|admin| admin.get_mut("token")), expanded)
        {
            *token = expanded.text.into();
        }
    }
    Value::Object(layer)
}

/// The settings among the variables. One that names no setting is reported.
fn env_layer(variables: &[(String, String)], report: &mut Report) -> Value {
    let mut layer = Value::Object(Map::new());
    let mut names = Vec::new();
    leaves(&SETTINGS, "", &mut names);
    for (variable, value) in variables {
        let Some(name) = variable.strip_prefix(PREFIX).filter(|_| !OTHERS.contains(&variable.as_str())) else {
            continue;
        };
        let path = name.to_ascii_lowercase().replace("__", ".");
        let Some((_, of)) = names.iter().find(|(known, _)| *known == path) else {
            let problem =
                Problem::new(Code::BadVariable, None, format!("the environment variable {variable} names no setting"));
            let near = nearest(&path, names.iter().map(|(known, _)| known.as_str()));
            report.add(match near {
                Some(near) => problem.suggest(variable_of(near)),
                None => problem.expect("two underscores stand between levels: ANOLE_COLLECT__LISTEN"),
            });
            continue;
        };
        let value = match of {
            Type::Bool | Type::Integer => serde_json::from_str(value.trim()).unwrap_or_else(|_| value.as_str().into()),
            Type::List(_) => value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
            _ => Value::from(value.as_str()),
        };
        put(&mut layer, &path, value);
    }
    layer
}

fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

/// All settings that hold a value, by their dotted names.
fn leaves(of: &'static Type, above: &str, names: &mut Vec<(String, &'static Type)>) {
    let Type::Table(Table { keys, .. }) = of else {
        names.push((above.to_owned(), of));
        return;
    };
    for key in *keys {
        let name = if above.is_empty() { key.name.to_owned() } else { format!("{above}.{}", key.name) };
        leaves(key.of, &name, names);
    }
}

fn put(layer: &mut Value, path: &str, value: Value) {
    let mut at = layer;
    for step in path.split('.') {
        let Value::Object(map) = at else { return };
        at = map.entry(step).or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value;
}

/// Takes a value out of a layer, and tells whether it was there.
fn take(layer: &mut Value, path: &[String]) -> bool {
    let Some((last, above)) = path.split_last() else { return false };
    let mut at = layer;
    for step in above {
        match at.get_mut(step) {
            Some(inner) => at = inner,
            None => return false,
        }
    }
    at.as_object_mut().is_some_and(|map| map.remove(last).is_some())
}

fn extract(layers: &mut Layers, file: Option<&File>, report: &mut Report) -> Settings {
    loop {
        let figment = Figment::from(Serialized::defaults(Settings::default()))
            .merge(Serialized::defaults(&layers.file))
            .merge(Serialized::defaults(&layers.env));
        let error = match figment.extract::<Settings>() {
            Ok(settings) => return settings,
            Err(error) => error,
        };
        // An entry of a list is told at its place, and the whole list is taken out.
        let whole: Vec<String> = error.path.iter().take_while(|step| step.parse::<usize>().is_err()).cloned().collect();
        let message = error.kind.to_string();
        if take(&mut layers.env, &whole) {
            let variable = variable_of(&whole.join("."));
            let message = format!("the environment variable {variable} is wrong: {message}");
            report.add(Problem::new(Code::BadVariable, None, message));
        } else if take(&mut layers.file, &whole) {
            let at = file.map(|file| At::new(&file.source, place(&file.root, &error.path).span));
            report.add(Problem::new(Code::BadValue, at, format!("`{}` is wrong: {message}", whole.join("."))));
        } else {
            report.add(Problem::new(Code::BadValue, None, error.to_string()));
            return Settings::default();
        }
    }
}

/// The node of a path, as far as it goes.
fn place<'n>(root: &'n Node, path: &[String]) -> &'n Node {
    let mut at = root;
    for step in path {
        let inner = at.get(step).or_else(|| at.items().get(step.parse::<usize>().ok()?));
        match inner {
            Some(inner) => at = inner,
            None => break,
        }
    }
    at
}

/// Makes paths relative to what named them, and forgets the default folder of blueprints when it is not there.
fn place_paths(settings: &mut Settings, layers: &Layers, file: Option<&File>, folder: &Path) {
    let beside = file.and_then(|file| file.path.parent()).unwrap_or(folder);
    let base = |pointer: &str| if layers.env.pointer(pointer).is_some() { folder } else { beside };
    settings.data_dir = base("/data_dir").join(&settings.data_dir);
    settings.pipelines = base("/pipelines").join(&settings.pipelines);
    settings.blueprints = settings.blueprints.as_ref().map(|path| base("/blueprints").join(path));
    let ca_file = &mut settings.delivery.ca_file;
    *ca_file = ca_file.as_ref().map(|path| base("/delivery/ca_file").join(path));
    for (listener, tls) in [("collect", &mut settings.collect.tls), ("admin", &mut settings.admin.tls)] {
        if let Some(tls) = tls {
            tls.certificate = base(&format!("/{listener}/tls/certificate")).join(&tls.certificate);
            tls.key = base(&format!("/{listener}/tls/key")).join(&tls.key);
        }
    }
    let named = [&layers.env, &layers.file].into_iter().any(|layer| layer.get("blueprints").is_some());
    settings.blueprints = settings.blueprints.take().filter(|path| named || path.exists());
}
