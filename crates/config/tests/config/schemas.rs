//! The JSON Schemas say what the checks say.

use anole_config::{FileKind, schema};
use serde_json::{Value, json};

use crate::support::{Folder, shop};

fn yaml(text: &str) -> Value {
    // `off` is a text in YAML 1.2.
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).expect("YAML")
}

fn is_valid(kind: FileKind, value: &Value) -> bool {
    jsonschema::validator_for(&schema(kind)).expect("a schema").is_valid(value)
}

#[test]
fn the_shipped_files_are_valid() {
    for (_, text) in anole_config::embedded_blueprints() {
        assert!(is_valid(FileKind::Blueprint, &yaml(text)));
    }
    assert!(is_valid(FileKind::Pipeline, &yaml(include_str!("../../../../pipelines/shop.yaml"))));
    let starter = anole_config::starter("dk_x", Some("f17c21u1ag"), Some("eu"));
    assert!(is_valid(FileKind::Settings, &yaml(&starter.settings)));
    assert!(is_valid(FileKind::Pipeline, &yaml(&starter.pipeline)));
}

/// The first line of each file names the schema by which editors check it; the path leads to a file from where it stands.
#[test]
fn every_shipped_file_names_its_schema() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for (folder, kind) in
        [("blueprints", FileKind::Blueprint), ("pipelines", FileKind::Pipeline), ("deploy", FileKind::Settings)]
    {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|end| end != "yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a file");
            let line = text.lines().next().unwrap_or_default();
            let shown = path.display();
            let named = line.strip_prefix("# yaml-language-server: $schema=");
            let named = named.unwrap_or_else(|| panic!("{shown} names no schema in its first line"));
            let schema = path.parent().expect("a folder").join(named);
            assert!(schema.ends_with(kind.schema_file()) && schema.exists(), "{shown} names {named}");
            assert!(is_valid(kind, &yaml(&text)), "{shown} is not valid");
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

/// What `anole init` and `anole blueprint new` write names the schemas that they write beside it.
#[test]
fn what_is_written_for_users_names_the_schemas_beside_it() {
    let starter = anole_config::starter("dk_x", Some("f17c21u1ag"), Some("eu"));
    for (text, kind, above) in [
        (starter.settings, FileKind::Settings, ""),
        (starter.pipeline, FileKind::Pipeline, "../"),
        (anole_config::starter_blueprint("acme"), FileKind::Blueprint, "../"),
    ] {
        let expected = format!("# yaml-language-server: $schema={above}.anole/schemas/{}", kind.schema_file());
        assert_eq!(text.lines().next(), Some(&*expected));
        assert!(is_valid(kind, &yaml(&text)), "{text}");
    }
}

#[test]
fn mistakes_in_blueprints_and_settings_are_not_valid_either() {
    let good = anole_config::starter_blueprint("acme");
    for (from, to) in [
        ("type: url", "type: uri"),
        ("title: acme", "titel: acme"),
        ("requests:", "request:"),
        ("frame: { list: events }", "frame: { lists: events }"),
        ("frame: { list: events }", "frame: lines"),
        ("events: 100,", "events: -1,"),
        ("events: 100,", "events: many,"),
        ("then: pause", "then: wait"),
        ("request: events", "requests: events"),
        ("send: event\n", "sent: event\n"),
        ("blueprint: acme\n", "\n"),
        ("bearer: \"{{ settings.api_key }}\"", "bearer: [key]"),
    ] {
        assert!(good.contains(from), "{from} is not in the starter");
        let wrong = good.replacen(from, to, 1);
        assert!(!is_valid(FileKind::Blueprint, &yaml(&wrong)), "{to}");
        assert!(anole_config::check_blueprint("acme.yaml", &wrong).is_err(), "{to}");
    }
    let checks = "checks:\n  c: { url: \"https://a.example/\", known: { field: id, place: id } }\n";
    assert!(is_valid(FileKind::Blueprint, &yaml(&format!("{good}{checks}"))));
    assert!(!is_valid(FileKind::Blueprint, &yaml(&format!("{good}{}", checks.replace("place: id", "places: id")))));
    for wrong in [
        json!({ "collect": { "listen": ["127.0.0.1:1"] } }),
        json!({ "journal": { "ack": "disk" } }),
        json!({ "journal": { "on_full": "drop" } }),
        json!({ "delivery": { "allow_private_addresses": "yes" } }),
        json!({ "data_dirs": "x" }),
    ] {
        assert!(!is_valid(FileKind::Settings, &wrong), "{wrong}");
    }
}

#[test]
fn what_the_checks_refuse_is_not_valid() {
    let right = shop("    events: { page: off, Seen: [ { send: page } ] }\n");
    assert!(is_valid(FileKind::Pipeline, &yaml(&right)));
    for (from, to) in [
        ("settings:", "setings:"),
        ("page: off", "page: of"),
        ("keys: [ { key: dk_live_shop } ]", "keys: dk_live_shop"),
        ("pipeline: shop\n", ""),
        ("pipeline: shop\n", "pipeline: shop\nconsent: {}\n"),
        ("{ send: page }", "{ sent: page }"),
    ] {
        let wrong = right.replace(from, to);
        assert!(!is_valid(FileKind::Pipeline, &yaml(&wrong)), "{wrong}");
        assert!(Folder::with(&wrong).load().is_err(), "{wrong}");
    }
    assert!(!is_valid(FileKind::Settings, &json!({ "collect": { "listn": "x" } })));
}

#[test]
fn every_default_setting_is_in_the_schema() {
    fn names(value: &Value, above: &str, all: &mut Vec<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let name = format!("{above}/{name}");
            if value.is_object() { names(value, &name, all) } else { all.push(name) }
        }
    }
    let mut defaults = anole_config::Settings::default();
    // There is none of its own accord.
    let tls = anole_config::Tls { certificate: "certificate.pem".into(), key: "key.pem".into() };
    (defaults.collect.tls, defaults.admin.tls) = (Some(tls.clone()), Some(tls));
    let defaults = serde_json::to_value(defaults).expect("JSON");
    let mut set = Vec::new();
    names(&defaults, "", &mut set);
    fn describe(schema: &Value, table: &Value, above: &str, all: &mut Vec<String>) {
        for (name, value) in table["properties"].as_object().expect("properties") {
            let name = format!("{above}/{name}");
            match value["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
                Some(table) => describe(schema, &schema["$defs"][table], &name, all),
                None => all.push(name),
            }
        }
    }
    let schema = schema(FileKind::Settings);
    let mut described = Vec::new();
    describe(&schema, &schema, "", &mut described);
    set.sort();
    described.sort();
    assert_eq!(set, described);
}

#[test]
fn each_kind_has_a_file_of_its_own() {
    let files: std::collections::BTreeSet<_> = FileKind::ALL.iter().map(|kind| kind.schema_file()).collect();
    assert_eq!(files.len(), 3);
}

/// The schemas are kept under docs/schemas for editors. `UPDATE_SCHEMAS=1 cargo test -p anole-config` writes them anew.
#[test]
fn the_committed_schemas_are_those_of_this_version() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for kind in FileKind::ALL {
        let file = folder.join(kind.schema_file());
        let text = format!("{:#}\n", schema(kind));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(&file, &text).expect("the schema can be written");
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == text,
            "{} is not of this version: run UPDATE_SCHEMAS=1 cargo test -p anole-config",
            file.display()
        );
    }
}
