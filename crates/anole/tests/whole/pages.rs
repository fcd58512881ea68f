//! Pages in a real Chromium: our own collector, and others' clients as they are. What is played is in
//! `tests/browser/pages.mjs`, which says what must have arrived of each visitor.

use std::collections::BTreeMap;
use std::path::Path;

use anole_sandbox::Filter;

use crate::bench::{Bench, GOAL, KEY, pipeline, stderr, stdout};

/// How many page views and orders of a visitor there are.
type Counts = BTreeMap<String, [u64; 2]>;

#[tokio::test]
#[ignore = "needs Node.js and Chromium: `cargo xtask test` installs them and runs it"]
async fn what_pages_send_arrives_once() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let folder = tests.join("browser");
    assert!(folder.join("node_modules").is_dir(), "the driver is not installed: run `cargo xtask test` once");
    let bench = Bench::with("", GOAL).await;
    // The keys of Jitsu's client have two parts.
    let keys = format!("keys: [{{ key: \"jitsu:secret\" }}, {{ key: {KEY} }}]");
    let shop = pipeline(&bench.sandbox.url(), "", GOAL).replace(&format!("keys: [{{ key: {KEY} }}]"), &keys);
    let bench = Bench::start(bench.sandbox, &shop, "delivery: { allow_private_addresses: true }").await;
    // And one that asks for consent.
    let asks = pipeline(&bench.sandbox.url(), "", GOAL)
        .replace("pipeline: shop", "pipeline: asks\nconsent: { from: [collector] }")
        .replace(KEY, "asks")
        .replace("ga4: { measurement_ids: [G-TEST], api_secret: s3cret }\n", "");
    bench.folder.write("pipelines/asks.yaml", &asks);
    let reload = bench.anole(&["reload"]).await;
    assert!(reload.status.success(), "{}{}", stdout(&reload), stderr(&reload));
    let host = bench.daemon.collect_url("");
    let run = tokio::process::Command::new("node")
        .args(["pages.mjs", host.trim_end_matches('/'), KEY])
        .arg(tests.join("clients"))
        .args(std::env::var("ONLY"))
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .expect("node can be started");
    assert!(run.status.success(), "{}{}\n{}", stdout(&run), stderr(&run), bench.daemon.log());
    let expected: Counts = serde_json::from_str(stdout(&run).lines().last().unwrap()).expect("what must arrive");
    bench.arrived(expected.values().flatten().sum()).await;
    assert_eq!(counted(&bench), expected, "{}", bench.daemon.log());
}

/// What arrived of each visitor.
fn counted(bench: &Bench) -> Counts {
    let mut counts = Counts::new();
    for event in bench.sandbox.events(&Filter::all()) {
        let of = counts.entry(event.visitor.unwrap_or_default()).or_default();
        match event.event_type.as_deref() {
            Some("PAGE") => of[0] += 1,
            Some("CONVERSION") => of[1] += 1,
            _ => {}
        }
    }
    counts
}
