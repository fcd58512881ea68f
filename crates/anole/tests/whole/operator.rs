//! What an operator expects of a daemon without being told.

use std::os::unix::fs::PermissionsExt;

use anole_testkit::Folder;

use crate::bench::{Bench, GOAL, anole, read, stderr, stdout, track};

const GOOD: &str = "pipeline: shop\nkeys: [{ key: dk_x }]\ndestinations:\n  - blueprint: kameleoon\n    settings: { site_code: f17c21u1ag, region: eu }\n";

#[tokio::test]
async fn mistakes_in_files_are_named_with_line_column_and_what_is_right_and_nothing_starts() {
    for (wrong, right, place, words) in [
        ("destinations:", "destintions:", "pipelines/shop.yaml:3:1", &["destintions", "destinations"][..]),
        ("site_code: f17c21u1ag", "site_cod: f17c21u1ag", "pipelines/shop.yaml:5:17", &["site_cod", "site_code"][..]),
        ("region: eu", "region: [eu]", "pipelines/shop.yaml:5:", &["region"][..]),
        ("site_code: f17c21u1ag, ", "", "pipelines/shop.yaml:5:", &["site_code"][..]),
        ("blueprint: kameleoon", "blueprint: kameleon", "pipelines/shop.yaml:4:16", &["kameleon", "kameleoon"][..]),
    ] {
        let folder = Folder::new(&GOOD.replace(wrong, right));
        for verb in ["check", "run"] {
            let run = anole(folder.dir(), &[verb]).await;
            let text = stderr(&run);
            assert_eq!(run.status.code(), Some(2), "{verb}: {text}");
            assert!(text.contains(place), "{verb}: {place} is missing in\n{text}");
            for word in words {
                assert!(text.contains(word), "{verb}: {word} is missing in\n{text}");
            }
            assert!(text.contains('^'), "{verb}: a caret shows the place:\n{text}");
        }
        assert!(!folder.path("data/journal").exists(), "nothing was started");
    }
}

#[tokio::test]
async fn a_second_daemon_on_the_same_folder_names_the_first() {
    let bench = Bench::new().await;
    let run = bench.anole(&["run"]).await;
    assert_eq!(run.status.code(), Some(1));
    let running: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.folder.path("data/anole.run.json")).unwrap()).unwrap();
    assert!(stderr(&run).contains(&format!("process {}", running["pid"])), "{}", stderr(&run));
}

#[tokio::test]
async fn the_data_is_the_owners_alone_and_a_stop_loses_nothing() {
    let bench = Bench::with("", GOAL).await;
    bench.accept("/v1/t", &track("m-1", "Order Completed", "{}"), None).await;
    let mode = |name: &str| std::fs::metadata(bench.folder.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data"), 0o700);
    for entry in walk(&bench.folder.path("data")) {
        let mode = std::fs::metadata(&entry).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{} can be read by others", entry.display());
    }
    let Bench { daemon, sandbox, folder, .. } = bench;
    assert_eq!(daemon.stop().await, Ok(0), "SIGTERM ends it with 0");
    let daemon = anole_testkit::Daemon::start(crate::bench::BINARY.as_ref(), &folder.config()).await.unwrap();
    let arrived =
        tokio::time::timeout(crate::bench::PATIENCE, sandbox.wait_for(|stats| stats.distinct_nonces == 1)).await;
    assert!(arrived.is_ok(), "{}", daemon.log());
}

#[tokio::test]
async fn s3_without_any_state_everything_in_the_journal_is_sent_again_and_nothing_is_passed_over() {
    let bench = Bench::with("", GOAL).await;
    bench.sandbox.set_fault(anole_sandbox::Fault { status: Some(500), ..Default::default() }).unwrap();
    bench.accept("/v1/t", &track("00000000-0000-4000-8000-000000000001", "Order Completed", "{}"), None).await;
    let Bench { mut daemon, sandbox, folder, .. } = bench;
    daemon.kill().await;
    for entry in walk(&folder.path("data")) {
        if entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with("state.db")) {
            std::fs::remove_file(entry).unwrap();
        }
    }
    sandbox.heal_all();
    let daemon = anole_testkit::Daemon::start(crate::bench::BINARY.as_ref(), &folder.config()).await.unwrap();
    let arrived =
        tokio::time::timeout(crate::bench::PATIENCE, sandbox.wait_for(|stats| stats.distinct_nonces == 1)).await;
    assert!(arrived.is_ok(), "{}", daemon.log());
}

#[tokio::test]
async fn health_and_readiness_are_answered_on_both_listeners() {
    let bench = Bench::new().await;
    for url in [
        bench.daemon.collect_url("/healthz"),
        bench.daemon.collect_url("/readyz"),
        bench.daemon.admin_url("/healthz"),
        bench.daemon.admin_url("/readyz"),
    ] {
        assert_eq!(read(bench.http.get(&url)).await.0, 200, "{url}");
    }
}

#[tokio::test]
async fn a_dry_run_shows_the_request_and_the_reason() {
    let folder = Folder::new(GOOD);
    folder.write(
        "event.json",
        r#"{"type":"track","event":"Order Completed","userId":"u-1","messageId":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","properties":{"revenue":23.50,"kameleoon_goal_id":36151,"kameleoon_visitor_code":"245fc8a1b9"}}"#,
    );
    let run = anole(folder.dir(), &["test", "event.json"]).await;
    let text = stdout(&run);
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(text.contains(r#"[{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":36151,"revenue":23.50}]"#), "{text}");
    assert!(text.contains("https://eu-data.kameleoon.io/visit/events?siteCode=f17c21u1ag&json=true"), "{text}");
    let curl = stdout(&anole(folder.dir(), &["test", "event.json", "--curl"]).await);
    assert!(curl.contains("curl ") && curl.contains("--data"), "{curl}");
    folder.write("event.json", r#"{"type":"track","event":"Cart Viewed","userId":"u-1"}"#);
    let run = anole(folder.dir(), &["test", "event.json"]).await;
    assert!(stdout(&run).contains("unmapped"), "{}", stdout(&run));
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_no_error() {
    let folder = Folder::new(GOOD);
    let mut command = tokio::process::Command::new(crate::bench::BINARY);
    let command = command.arg("check").current_dir(folder.dir());
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let run = child.wait_with_output().await.unwrap();
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(stderr(&run), "");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn whoever_reads_the_output_may_leave_early() {
    let folder = Folder::new(GOOD);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = std::process::Command::new(crate::bench::BINARY)
        .arg("check")
        .current_dir(folder.dir())
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!((run.status.code(), String::from_utf8_lossy(&run.stderr).as_ref()), (Some(0), ""));
}
