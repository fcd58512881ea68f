//! `anole blueprint`: which blueprints there are, what they hold, a new one, and the schemas of files.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anole_config::{BlueprintFile, FileKind, MergeError, Merging, blueprints, merged};
use serde_json::json;

use crate::cli::{BlueprintShow, BlueprintVerb, SchemaKind};
use crate::failure::Failure;
use crate::files;
use crate::output::Output;
use crate::schemas;

/// The longest name of a new blueprint, in bytes: it is the name of a file.
const MAX_NAME: usize = 64;

pub(crate) fn run(config: Option<&Path>, what: &BlueprintVerb, output: Output) -> Result<(), Failure> {
    match what {
        BlueprintVerb::List => list(config, output),
        BlueprintVerb::Show(show) if show.merged => show_merged(config, show, output),
        BlueprintVerb::Show(show) => show_file(config, show, output),
        BlueprintVerb::New { name } => new(config, name, output),
        BlueprintVerb::Schema { kind, write } => schema(config, *kind, *write, output),
    }
}

fn all(config: Option<&Path>) -> Result<Vec<BlueprintFile>, Failure> {
    let settings = files::settings(config)?;
    blueprints(settings.blueprints.as_deref()).map_err(|errors| files::wrong(&errors))
}

fn list(config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let all = all(config)?;
    if output.json {
        for blueprint in &all {
            let BlueprintFile { name, title, file, settings, sends, presets, .. } = blueprint;
            output.value(&json!({
                "name": name, "title": title, "file": file, "settings": settings, "sends": sends, "presets": presets,
            }));
        }
        return Ok(());
    }
    let rows = all.iter().map(|blueprint| {
        let BlueprintFile { name, title, file, sends, presets, .. } = blueprint;
        vec![name.clone(), title.clone(), sends.join(", "), presets.join(", "), file.clone()]
    });
    output.table(&["BLUEPRINT", "TITLE", "SENDS", "PRESETS", "FILE"], rows.collect());
    Ok(())
}

fn show_file(config: Option<&Path>, show: &BlueprintShow, output: Output) -> Result<(), Failure> {
    let all = all(config)?;
    let name = show.name.as_deref().unwrap_or_default();
    let Some(blueprint) = all.iter().find(|blueprint| blueprint.name == name) else {
        let names: Vec<&str> = all.iter().map(|blueprint| blueprint.name.as_str()).collect();
        let named = if name.is_empty() { "say which blueprint".to_owned() } else { format!("there is no `{name}`") };
        return Err(Failure::Wrong(format!("anole: {named}; there is {}", names.join(", "))));
    };
    if output.json {
        output.value(&json!({ "name": blueprint.name, "file": blueprint.file, "text": blueprint.text }));
        return Ok(());
    }
    // The schema of an embedded one lies elsewhere for whoever makes a file of it.
    let text = blueprint.text.replacen("$schema=../docs/schemas/", &format!("$schema=../{}/", schemas::FOLDER), 1);
    text.lines().for_each(|line| output.line(line));
    output.talk(&format!("this is {}", blueprint.file));
    Ok(())
}

fn show_merged(config: Option<&Path>, show: &BlueprintShow, output: Output) -> Result<(), Failure> {
    let loaded = files::load(config)?;
    let mut what = Merging { preset: show.preset.clone(), ..Merging::default() };
    if let Some(destination) = &show.destination {
        let plan = files::one_pipeline(&loaded.pipelines, show.pipeline.as_deref())?;
        what.destination = Some((plan.name.to_string(), destination.clone()));
    } else if let Some(name) = &show.name {
        what.blueprint.clone_from(name);
    } else {
        return Err(Failure::Wrong(
            "anole: say whose rules: a blueprint, or --destination with --pipeline where there are several".to_owned(),
        ));
    }
    let env = |name: &str| std::env::var(name).ok();
    let text = merged(&loaded.settings.pipelines, loaded.settings.blueprints.as_deref(), &what, &env);
    let text = text.map_err(|error| match error {
        MergeError::Files(errors) => files::wrong(&errors),
        error @ MergeError::Unknown { .. } => Failure::Wrong(format!("anole: {error}")),
    })?;
    if output.json {
        output.value(&json!({ "rules": text }));
    } else {
        text.lines().for_each(|line| output.line(line));
    }
    Ok(())
}

fn new(config: Option<&Path>, name: &str, output: Output) -> Result<(), Failure> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.len() <= MAX_NAME
        && !["true", "false", "null"].iter().any(|word| name.eq_ignore_ascii_case(word));
    if !is_name {
        return Err(Failure::Wrong(format!(
            "anole: `{name}` is no name of a blueprint: begin with a letter, and use letters, digits, `-`, `_` and `.`"
        )));
    }
    let places = files::places(config)?;
    if let Ok(all) = blueprints(places.settings.blueprints.as_deref())
        && let Some(known) = all.iter().find(|blueprint| blueprint.name == name)
    {
        return Err(Failure::Failed(format!(
            "the blueprint {name} is there already, in {}: `anole blueprint show {name}` prints it",
            known.file
        )));
    }
    let folder = places.settings.blueprints.unwrap_or_else(|| files::tidy(&places.folder.join("blueprints")));
    let path = folder.join(format!("{name}.yaml"));
    let shown = path.display().to_string();
    std::fs::create_dir_all(&folder).map_err(|error| Failure::Failed(format!("{}: {error}", folder.display())))?;
    let made = OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::Failed(format!("{shown} is there already, and stays as it is")),
        _ => Failure::Failed(format!("{shown}: {error}")),
    })?;
    file.write_all(anole_config::starter_blueprint(name).as_bytes())
        .map_err(|error| Failure::Failed(format!("{shown}: {error}")))?;
    schemas::write(&places.folder).map_err(Failure::Failed)?;
    if output.json {
        output.value(&json!({ "file": shown }));
    } else {
        output.line(&format!("wrote {shown}"));
    }
    output
        .talk(&format!("next: write into it what the vendor wants, use it as `blueprint: {name}`, and `anole check`"));
    Ok(())
}

fn schema(config: Option<&Path>, kind: SchemaKind, write: bool, output: Output) -> Result<(), Failure> {
    if write {
        let places = files::places(config)?;
        let written = schemas::write(&places.folder).map_err(Failure::Failed)?;
        if written.is_empty() {
            output.talk("the schemas are those of this version already");
        }
        if output.json {
            written.iter().for_each(|path| output.value(&json!({ "file": files::tidy(path) })));
            return Ok(());
        }
        written.iter().for_each(|path| output.line(&format!("wrote {}", files::tidy(path).display())));
        return Ok(());
    }
    let kind = match kind {
        SchemaKind::Pipeline => FileKind::Pipeline,
        SchemaKind::Blueprint => FileKind::Blueprint,
        SchemaKind::Settings => FileKind::Settings,
    };
    schemas::text(kind).lines().for_each(|line| output.line(line));
    Ok(())
}
