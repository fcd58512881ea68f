//! anole.yaml and its variables.

use std::path::Path;

use anole_config::{Ack, LoadedSettings, OnFull, Settings, load_settings};

fn folder(text: Option<&str>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    if let Some(text) = text {
        std::fs::write(dir.path().join("anole.yaml"), text).expect("a file");
    }
    dir
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<LoadedSettings, String> {
    let dir = folder(Some(text));
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load_settings(None, dir.path(), &variables).map_err(|errors| {
        let lines: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
        lines.join("\n").replace(&format!("{}/", dir.path().display()), "")
    })
}

#[test]
fn without_a_file_the_defaults_hold() {
    let dir = folder(None);
    let loaded = load_settings(None, dir.path(), &[]).expect("defaults");
    assert_eq!(loaded.file, None);
    let expected = Settings {
        data_dir: dir.path().join("./data"),
        pipelines: dir.path().join("./pipelines"),
        blueprints: None,
        ..Settings::default()
    };
    assert_eq!(loaded.settings, expected, "a default folder of blueprints need not be there");
    assert_eq!(loaded.settings.collect.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(loaded.settings.journal.max_bytes.to_string(), "20GiB");
    std::fs::create_dir(dir.path().join("blueprints")).expect("a folder");
    let loaded = load_settings(None, dir.path(), &[]).expect("defaults");
    assert_eq!(loaded.settings.blueprints, Some(dir.path().join("./blueprints")));
}

#[test]
fn a_named_file_must_be_there() {
    let dir = folder(None);
    let errors = load_settings(Some(&dir.path().join("other.yaml")), dir.path(), &[]).expect_err("an error");
    assert!(errors.to_string().contains("other.yaml cannot be read"), "{errors}");
}

#[test]
fn the_file_overrides_the_defaults_and_a_variable_the_file() {
    let text = "data_dir: /var/lib/anole\ncollect: { listen: \"[::1]:9000\", max_event_bytes: 128KiB, trusted_proxies: [10.0.0.0/8, \"::1\"] }\njournal: { ack: write, keep: 12h }\ndelivery: { timeout: 5s }\n";
    let loaded = load(
        text,
        &[
            ("ANOLE_COLLECT__LISTEN", "127.0.0.1:0"),
            ("ANOLE_DELIVERY__ALLOW_PRIVATE_ADDRESSES", "true"),
            ("ANOLE_STATE__IDENTITIES", "7"),
            ("ANOLE_COLLECT__TRUSTED_PROXIES", "10.0.0.1, 192.168.0.0/16"),
            ("ANOLE_LOG", "debug"),
            ("OTHER", "x"),
        ],
    );
    let settings = loaded.expect("settings").settings;
    assert_eq!(settings.data_dir, Path::new("/var/lib/anole"));
    assert_eq!(settings.collect.listen.to_string(), "127.0.0.1:0");
    assert_eq!(settings.collect.max_event_bytes.bytes(), 128 * 1024);
    let proxies: Vec<String> = settings.collect.trusted_proxies.iter().map(|network| network.0.to_string()).collect();
    assert_eq!(proxies, ["10.0.0.1/32", "192.168.0.0/16"], "a list is replaced whole");
    assert_eq!((settings.journal.ack, settings.journal.on_full), (Ack::Write, OnFull::Refuse));
    assert_eq!(settings.journal.keep.to_string(), "12h");
    assert_eq!(settings.delivery.timeout.duration().as_secs(), 5);
    assert!(settings.delivery.allow_private_addresses);
    assert_eq!(settings.state.identities, 7);
}

#[test]
fn paths_are_relative_to_what_names_them() {
    let dir = folder(None);
    std::fs::create_dir(dir.path().join("etc")).expect("a folder");
    let file = dir.path().join("etc/anole.yaml");
    std::fs::write(&file, "pipelines: flows\n").expect("a file");
    let variables = [("ANOLE_DATA_DIR".to_owned(), "here".to_owned())];
    let settings = load_settings(Some(&file), dir.path(), &variables).expect("settings").settings;
    assert_eq!(settings.pipelines, dir.path().join("etc/flows"), "the file's folder");
    assert_eq!(settings.data_dir, dir.path().join("here"), "the working folder");
    let blueprints = load("blueprints: ./none\n", &[]).expect("settings").settings.blueprints;
    assert!(blueprints.is_some_and(|path| path.ends_with("none")), "a folder that is named must be there");
}

#[test]
fn all_mistakes_are_told_with_their_places() {
    let text = "datadir: x\ncollect: { listen: nowhere, max_event_bytes: 1kib }\njournal: { ack: fsink, on_full: drop_oldest }\nadmin: { listn: \"127.0.0.1:1\" }\ndelivery: { timeout: 5 }\nhistory: { max_bytes: 0 }\n";
    let errors = load(text, &[]).expect_err("errors");
    let expected = [
        "anole.yaml:1:1: unknown key `datadir` in anole.yaml: did you mean `data_dir`?",
        "anole.yaml:2:46: `1kib` is no size: write a number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB, such as 20GiB",
        "anole.yaml:3:17: `ack` cannot be `fsink`: did you mean `fsync`?",
        "anole.yaml:4:10: unknown key `listn` in the listener for people: did you mean `listen`?",
        "anole.yaml:5:22: `timeout` cannot be `5`: expected a length of time such as 30s, 1h or 7d",
        "anole.yaml:6:23: `history.max_bytes` cannot be nothing: expected more than 0",
    ];
    for expected in expected {
        assert!(errors.contains(expected), "{expected}\n{errors}");
    }
    let one = load("collect: { listen: nowhere, trusted_proxies: [10.0.0.0/8, x] }\n", &[]).expect_err("an error");
    assert!(one.contains("anole.yaml:1:20: `collect.listen` is wrong: invalid socket address"), "{one}");
    assert!(one.contains("anole.yaml:1:"), "{one}");
    assert!(one.contains("`x` is no network"), "{one}");
}

#[test]
fn what_the_journal_keeps_is_stated() {
    let text = "journal: { keep: 1d, max_bytes: 8MiB, on_full: drop_oldest }\nstate: { backup_every: 30s }\n";
    let settings = load(text, &[]).expect("settings").settings;
    assert_eq!(settings.journal.on_full, anole_config::OnFull::DropOldest);
    assert_eq!(settings.journal.keep.duration().as_secs(), 86_400);
    assert_eq!(settings.journal.max_bytes.bytes(), 8 << 20);
    assert_eq!(settings.state.backup_every.duration().as_secs(), 30);
    let never = load("state: { backup_every: 0s }\n", &[]).expect_err("an error");
    assert!(never.contains("`state.backup_every` cannot be nothing"), "{never}");
}

#[test]
fn a_wrong_variable_is_named() {
    let errors = load(
        "",
        &[
            ("ANOLE_COLLECT__LISTN", "x"),
            ("ANOLE_ADMIN__LISTEN", "x"),
            ("ANOLE_JOURNAL__MAX_BYTES", "much"),
            ("ANOLE_JOURNAL__ACK", "never"),
            ("ANOLE_STATE__IDENTITIES", "many"),
        ],
    )
    .expect_err("errors");
    for expected in [
        "the environment variable ANOLE_COLLECT__LISTN names no setting: did you mean `ANOLE_COLLECT__LISTEN`?",
        "the environment variable ANOLE_ADMIN__LISTEN is wrong: invalid socket address",
        "the environment variable ANOLE_JOURNAL__MAX_BYTES is wrong: `much` is no size",
        "the environment variable ANOLE_JOURNAL__ACK is wrong",
        "the environment variable ANOLE_STATE__IDENTITIES is wrong",
    ] {
        assert!(errors.contains(expected), "{expected}\n{errors}");
    }
}

#[test]
fn the_admin_token_is_a_secret() {
    let loaded = load("admin: { token: \"${TOKEN}\" }\n", &[("TOKEN", "hush")]).expect("settings");
    assert_eq!(loaded.settings.admin.token.as_ref().map(|token| token.reveal().to_owned()).as_deref(), Some("hush"));
    assert!(!format!("{loaded:?}").contains("hush"));
    assert!(loaded.warnings.is_empty());
    let plain = load("admin: { token: hush }\n", &[]).expect("settings");
    assert_eq!(plain.warnings.len(), 1);
    assert!(!plain.warnings[0].render(false).contains("hush"), "{}", plain.warnings[0].render(false));
    let variable = load("", &[("ANOLE_ADMIN__TOKEN", "12345")]).expect("settings");
    assert_eq!(variable.settings.admin.token.map(|token| token.reveal().to_owned()).as_deref(), Some("12345"));
}

#[test]
fn the_starter_says_what_to_fill_in() {
    let dir = folder(None);
    let starter = anole_config::starter("dk_live_0123", None, None);
    std::fs::write(dir.path().join("anole.yaml"), &starter.settings).expect("a file");
    std::fs::create_dir(dir.path().join("pipelines")).expect("a folder");
    let file = dir.path().join("pipelines/shop.yaml");
    std::fs::write(&file, &starter.pipeline).expect("a file");
    let settings = load_settings(None, dir.path(), &[]).expect("settings").settings;
    let errors = anole_config::load(&settings.pipelines, None, &|_| None).expect_err("not filled in");
    let told: Vec<String> = errors.problems().iter().map(|problem| problem.message().to_owned()).collect();
    assert_eq!(told, ["`site_code` is empty", "`region` is empty"]);
    assert_eq!(errors.problems()[0].place().map(|(line, _)| line), Some(12));
    let filled =
        starter.pipeline.replace("site_code: \"\"", "site_code: f17c21u1ag").replace("region: \"\"", "region: eu");
    std::fs::write(&file, filled).expect("a file");
    let loaded = anole_config::load(&settings.pipelines, None, &|_| None).expect("filled in");
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.pipelines[0].intake.keys[0].key.reveal(), "dk_live_0123");
    let known = anole_config::starter("k", Some("f17c21u1ag"), Some("eu"));
    std::fs::write(&file, known.pipeline).expect("a file");
    assert!(anole_config::load(&settings.pipelines, None, &|_| None).is_ok());
}

#[test]
fn certificate_files_are_relative_to_what_names_them_and_come_in_pairs() {
    let dir = folder(None);
    std::fs::create_dir(dir.path().join("etc")).expect("a folder");
    let file = dir.path().join("etc/anole.yaml");
    std::fs::write(&file, "collect: { tls: { certificate: tls/full.pem, key: /keys/key.pem } }\n").expect("a file");
    let variables = [("ANOLE_COLLECT__TLS__KEY".to_owned(), "key.pem".to_owned())];
    let tls =
        |variables: &[_]| load_settings(Some(&file), dir.path(), variables).expect("settings").settings.collect.tls;
    let named = tls(&[]).expect("TLS");
    assert_eq!((named.certificate, named.key), (dir.path().join("etc/tls/full.pem"), "/keys/key.pem".into()));
    let named = tls(&variables).expect("TLS");
    assert_eq!((named.certificate, named.key), (dir.path().join("etc/tls/full.pem"), dir.path().join("key.pem")));
    let half = load("admin: { tls: { certificate: full.pem } }\n", &[]).expect_err("an error");
    assert!(half.contains("anole.yaml:1:15: `key` is missing in TLS"), "{half}");
    let half = load("", &[("ANOLE_ADMIN__TLS__KEY", "key.pem")]).expect_err("an error");
    assert!(half.contains("ANOLE_ADMIN__TLS is wrong: missing field `certificate`"), "{half}");
}

#[test]
fn the_limits_of_connections_are_lengths_of_time_and_more_than_nothing() {
    let text = "collect: { connections: { max: 20000, max_per_address: 50, idle_timeout: 2m } }\n";
    let connections = load(text, &[("ANOLE_COLLECT__CONNECTIONS__BODY_TIMEOUT", "5s")])
        .expect("settings")
        .settings
        .collect
        .connections;
    assert_eq!((connections.max, connections.max_per_address), (Some(20_000), Some(50)));
    assert_eq!(
        (connections.idle_timeout.to_string(), connections.body_timeout.to_string()),
        ("2m".into(), "5s".into())
    );
    assert_eq!(connections.header_timeout.to_string(), "10s");
    let errors =
        load("admin: { connections: { max: 0, header_timeout: 0s, idle_timeout: 5 } }\n", &[]).expect_err("errors");
    assert!(errors.contains("`idle_timeout` cannot be `5`"), "{errors}");
    let errors = load("admin: { connections: { max: 0, header_timeout: 0s } }\n", &[]).expect_err("errors");
    for key in ["max", "header_timeout"] {
        assert!(
            errors.contains(&format!("`admin.connections.{key}` cannot be nothing: expected more than 0")),
            "{errors}"
        );
    }
}
