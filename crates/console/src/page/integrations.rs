//! Integrations: a form of what a blueprint asks, and the YAML that it makes.

use anole_config::{Asked, BlueprintFile};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::{Page, Section, Viewer, parts, trouble};
use crate::api::Admin;
use crate::params::{Params, step};

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let all = match admin.desk.blueprints().await {
        Ok(all) => all,
        Err(error) => {
            return trouble(&admin, &viewer, StatusCode::UNPROCESSABLE_ENTITY, "A blueprint is wrong", &error).await;
        }
    };
    let body = html! {
        (parts::head("Integrations", html! { span.soft { "Vendors that events can be sent to" } }))
        div.cards { @for blueprint in &all {
            article.card {
                div.row { h2 { (blueprint.title) } code.soft { (blueprint.name) } }
                p.soft { "sends " (blueprint.sends.join(", ")) "; " (blueprint.file) }
                p { a.button href={ "/integrations/" (step(&blueprint.name)) } { "Set up" } }
            }
        } }
        p.soft { "A vendor that is not here takes ten minutes: " code { "anole blueprint new NAME" } " writes a first file." }
    };
    Page::new(Section::Integrations, "Integrations", body).framed(&admin, &viewer).await.into_response()
}

pub(crate) async fn one(State(admin): State<Admin>, viewer: Viewer, Path(name): Path<String>) -> Response {
    let all = admin.desk.blueprints().await.unwrap_or_default();
    let Some(blueprint) = all.iter().find(|blueprint| blueprint.name == name) else {
        let words = format!("There is no blueprint {name}.");
        return trouble(&admin, &viewer, StatusCode::NOT_FOUND, "There is no such blueprint", &words).await;
    };
    let params = &viewer.params;
    let made = if params.is_empty() { None } else { Some(made(&admin, blueprint, params).await) };
    let pipelines: Vec<String> = admin.delivery.pipelines().iter().map(|plan| plan.name.to_string()).collect();
    let body = html! {
        p.crumbs { a href="/integrations" { "Integrations" } " / " }
        (parts::head(&blueprint.title, html! {}))
        div.split {
            (form(blueprint, params))
            section.card {
                h2 { "The YAML" }
                @match &made {
                    None => {
                        p.soft { "Fill in the form: it makes a destination to put under " code { "destinations" } " of a pipeline" (of(&pipelines)) "." }
                    }
                    Some((yaml, checked)) => {
                        @match checked {
                            Ok(()) => { (parts::note("good", html! { "This is sound. Put it under " code { "destinations" } " of a pipeline" (of(&pipelines)) "." })) }
                            Err(wrong) => { (parts::note("bad", html! { "Not yet:" pre.code { (wrong) } })) }
                        }
                        pre.code tabindex="0" { (yaml) }
                        p { button type="button" class="button" data-copy=(yaml) hidden { "Copy" } }
                        @if blueprint.asked.iter().any(|asked| asked.kind == "secret" && params.get(&field(asked)).is_some()) {
                            p.soft { "Set the variables that it names where anole runs: a secret stands in no file and in no address." }
                        }
                    }
                }
            }
        }
    };
    Page::new(Section::Integrations, &blueprint.title, body).framed(&admin, &viewer).await.into_response()
}

fn of(pipelines: &[String]) -> String {
    match pipelines {
        [] => String::new(),
        all => format!(" ({})", all.iter().map(|name| format!("pipelines/{name}.yaml")).collect::<Vec<_>>().join(", ")),
    }
}

/// A setting's name in the address: apart from our own.
fn field(asked: &Asked) -> String {
    format!("s.{}", asked.name)
}

fn form(blueprint: &BlueprintFile, params: &Params) -> Markup {
    let (needed, more): (Vec<_>, Vec<_>) = blueprint.asked.iter().partition(|asked| is_needed(asked));
    let is_open = more.iter().any(|asked| params.get(&field(asked)).is_some());
    html! {
        form.card.settings action={ "/integrations/" (step(&blueprint.name)) } {
            h2 { "Settings" }
            label { span { "Name of the destination" }
                input name="name" value=(params.text("name")) placeholder=(blueprint.name) autocomplete="off" spellcheck="false"; }
            @if blueprint.presets.len() > 1 { (parts::choice("preset", "Rules to begin with", "default", &blueprint.presets, params.get("preset"))) }
            @for asked in needed { (setting(asked, params)) }
            @if !more.is_empty() {
                details open[is_open] { summary { "More settings" } @for asked in more { (setting(asked, params)) } }
            }
            button.button.main { "Write the YAML" }
        }
    }
}

fn is_needed(asked: &Asked) -> bool {
    asked.default.is_none() && !asked.optional
}

fn setting(asked: &Asked, params: &Params) -> Markup {
    let (name, title) = (field(asked), asked.title.as_deref().unwrap_or(&asked.name));
    let value = params.text(&name);
    let placeholder = match asked.kind.as_str() {
        "secret" => "NAME_OF_A_VARIABLE",
        _ => asked.default.as_deref().unwrap_or_default(),
    };
    html! {
        @if asked.kind == "choice" {
            @let all = asked.default.as_ref().map_or_else(|| "choose".to_owned(), |default| format!("{default} (default)"));
            (parts::choice(&name, title, &all, &asked.of, params.get(&name)))
        } @else if asked.kind == "boolean" {
            (parts::choice(&name, title, "default", &["true".to_owned(), "false".to_owned()], params.get(&name)))
        } @else {
            label { span { (title) @if asked.kind == "secret" { ": the environment variable that holds it" } }
                input name=(name) value=(value) placeholder=(placeholder) autocomplete="off" spellcheck="false"; }
        }
        @if let Some(help) = &asked.help { p.soft.help { (help) } }
    }
}

async fn made(admin: &Admin, blueprint: &BlueprintFile, params: &Params) -> (String, Result<(), String>) {
    let yaml = yaml(blueprint, params);
    let pipeline = format!("pipeline: check\nkeys: [{{ key: dk_check }}]\ndestinations:\n{yaml}");
    let checked = admin.desk.check(pipeline).await;
    (yaml, checked)
}

/// The destination as it stands in a pipeline.
fn yaml(blueprint: &BlueprintFile, params: &Params) -> String {
    let mut yaml = format!("  - blueprint: {}\n", blueprint.name);
    if let Some(name) = params.get("name") {
        yaml.push_str(&format!("    name: {}\n", scalar(name)));
    }
    if let Some(preset) = params.get("preset") {
        yaml.push_str(&format!("    preset: {}\n", scalar(preset)));
    }
    yaml.push_str("    settings:\n");
    for asked in &blueprint.asked {
        let written = match (params.get(&field(asked)), asked.kind.as_str()) {
            (Some(name), "secret") => format!("\"${{{}}}\"", name.trim_start_matches("${").trim_end_matches('}')),
            // As it was typed: lists and maps are written in YAML.
            (Some(value), "integer" | "number" | "boolean" | "list" | "map") => value.replace(['\r', '\n'], " "),
            (Some(value), _) => scalar(value),
            (None, _) if is_needed(asked) => "\"\"".to_owned(),
            (None, _) => continue,
        };
        yaml.push_str(&format!("      {}: {written}\n", asked.name));
    }
    yaml
}

/// A text as it can stand anywhere in YAML: bare where nobody can mistake it, else in quotes as JSON has them.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_word =
        ["null", "true", "false", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_bare = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain) && !is_word;
    if is_bare { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_one_value_of_yaml() {
        let asked = |name: &str, kind: &str, optional| Asked {
            name: name.to_owned(),
            kind: kind.to_owned(),
            of: Vec::new(),
            title: None,
            help: None,
            default: None,
            optional,
        };
        let blueprint = BlueprintFile {
            name: "vendor".to_owned(),
            title: String::new(),
            file: String::new(),
            text: String::new(),
            settings: Vec::new(),
            asked: vec![
                asked("site", "text", false),
                asked("key", "secret", false),
                asked("more", "text", true),
                asked("n", "integer", true),
            ],
            sends: Vec::new(),
            presets: Vec::new(),
        };
        let params = Params::of(Some("s.site=a%22%0Aevil:+1&s.key=VENDOR_KEY&s.n=7&name=second"));
        let expected = "  - blueprint: vendor\n    name: second\n    settings:\n      site: \"a\\\"\\nevil: 1\"\n      key: \"${VENDOR_KEY}\"\n      n: 7\n";
        assert_eq!(yaml(&blueprint, &params), expected);
        assert!(
            yaml(&blueprint, &Params::default()).contains("site: \"\""),
            "what is missing is there to be filled in"
        );
        assert_eq!(
            (scalar("true"), scalar("0123"), scalar("shop")),
            ("\"true\"".into(), "\"0123\"".into(), "shop".into())
        );
    }
}
