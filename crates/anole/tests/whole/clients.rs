//! Real clients, unmodified: each sends a page view and orders, which become conversions.
//!
//! Each that tries again also meets an endpoint that has too much to do (429) or no room (503). What a client keeps that does
//! not try again by itself (Jitsu's, the Rust one, the Measurement Protocol's: nothing) is left to who calls it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anole_sandbox::Filter;
use tokio::process::Command;

use crate::bench::{Bench, GOAL, KEY, PATIENCE, stderr, stdout};

/// The nonce of an order that no client has sent.
const OTHERS: &str = "00000000-0000-4000-8000-0000000000ff";

/// The folder of the clients' packages; nothing where they are left out on purpose.
fn clients() -> Option<PathBuf> {
    if std::env::var_os("SKIP_REAL_CLIENTS").is_some() {
        return None;
    }
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    assert!(clients.join("node_modules").is_dir(), "the clients are not installed: run `cargo xtask test` once");
    assert!(clients.join("venv").is_dir(), "the clients are not installed: run `cargo xtask test` once");
    Some(clients)
}

/// Runs a client to its end: its script, with the address and what else it must know.
async fn run(bench: &Bench, clients: &Path, script: &str, arguments: &[&str]) {
    let mut program = match script.rsplit_once('.') {
        Some((_, "py")) => Command::new(clients.join("venv/bin/python")),
        Some((_, "mjs")) => Command::new("node"),
        _ => Command::new(clients.join(script).join("target/debug").join(script)),
    };
    if script.contains('.') {
        program.arg(script);
    }
    let host = bench.daemon.collect_url("");
    let run = program
        .arg(host.trim_end_matches('/'))
        .args(arguments)
        .current_dir(clients)
        .output()
        .await
        .expect("the client can be started");
    assert!(run.status.success(), "{script}: {}{}\n{}", stdout(&run), stderr(&run), bench.daemon.log());
}

/// That so many orders and one page view arrived, and nothing else; the nonces of the orders.
async fn arrived(bench: &Bench, orders: usize) -> Vec<String> {
    arrived_beside(bench, orders, 0).await
}

/// The same beside events of somebody else.
async fn arrived_beside(bench: &Bench, orders: usize, others: u64) -> Vec<String> {
    bench.arrived(orders as u64 + 1 + others).await;
    let mut events = bench.sandbox.events(&Filter::all());
    events.retain(|event| event.nonce.as_deref() != Some(OTHERS));
    let of_type =
        |wanted: &str| events.iter().filter(|event| event.event_type.as_deref() == Some(wanted)).collect::<Vec<_>>();
    let conversions = of_type("CONVERSION");
    assert_eq!((conversions.len(), events.len()), (orders, orders + 1));
    assert!(
        conversions.iter().all(|order| order.visitor.as_deref() == Some("245fc8a1b9") && order.goal == Some(36151))
    );
    for order in &conversions {
        let raw = String::from_utf8_lossy(&order.raw);
        assert!(raw.contains("\"revenue\":23.5"), "{raw}");
    }
    let page = of_type("PAGE");
    assert!(String::from_utf8_lossy(&page[0].raw).contains("https://shop.example.com/checkout"));
    let mut nonces: Vec<_> = conversions.iter().filter_map(|order| order.nonce.clone()).collect();
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), orders, "{nonces:?}");
    nonces
}

#[tokio::test]
async fn segments_node_client_delivers_through_anole() {
    let Some(clients) = clients() else { return };
    for version in ["3", "2"] {
        let bench = Bench::with("", GOAL).await;
        run(&bench, &clients, "segment-node.mjs", &[KEY, version]).await;
        let nonces = arrived(&bench, 10).await;
        assert!(nonces.contains(&"00000000-0000-4000-8000-000000000007".to_owned()), "{nonces:?}");
    }
}

#[tokio::test]
async fn rudderstacks_node_client_delivers_through_anole() {
    let Some(clients) = clients() else { return };
    let bench = Bench::with("", GOAL).await;
    run(&bench, &clients, "rudder-node.mjs", &[KEY]).await;
    let nonces = arrived(&bench, 5).await;
    assert!(nonces.contains(&"00000000-0000-4000-8000-000000000003".to_owned()), "{nonces:?}");
}

#[tokio::test]
async fn jitsus_client_delivers_through_anole() {
    let Some(clients) = clients() else { return };
    let bench = Bench::with("", GOAL).await;
    // Its keys have two parts.
    let pipeline = crate::bench::pipeline(&bench.sandbox.url(), "", GOAL).replace(KEY, "jitsu:secret");
    let bench = Bench::start(bench.sandbox, &pipeline, "delivery: { allow_private_addresses: true }").await;
    run(&bench, &clients, "jitsu.mjs", &["jitsu:secret"]).await;
    arrived(&bench, 5).await;
}

#[tokio::test]
async fn segments_python_client_delivers_through_anole_plain_and_compressed() {
    let Some(clients) = clients() else { return };
    for how in ["plain", "gzip"] {
        let bench = Bench::with("", GOAL).await;
        run(&bench, &clients, "segment_python.py", &[KEY, how]).await;
        arrived(&bench, 5).await;
    }
}

#[tokio::test]
async fn a_measurement_protocol_client_delivers_through_anole() {
    let Some(clients) = clients() else { return };
    let bench = Bench::with("", GOAL).await;
    run(&bench, &clients, "ga4_python.py", &["G-TEST", "s3cret"]).await;
    arrived(&bench, 5).await;
}

#[tokio::test]
async fn segments_rust_client_delivers_through_anole() {
    let Some(clients) = clients() else { return };
    let bench = Bench::with("", GOAL).await;
    run(&bench, &clients, "segment-rust", &[KEY, "plain"]).await;
    let nonces = arrived(&bench, 5).await;
    assert!(nonces.contains(&"00000000-0000-4000-8000-000000000004".to_owned()), "{nonces:?}");
}

/// The clients that try again, with how many orders each sends.
const PERSISTENT: [(&str, &[&str], usize); 6] = [
    ("segment-node.mjs", &[KEY, "3"], 10),
    ("segment-node.mjs", &[KEY, "2"], 10),
    ("segment_python.py", &[KEY, "plain"], 5),
    ("segment_python.py", &[KEY, "gzip"], 5),
    ("rudder-node.mjs", &[KEY], 5),
    ("segment-rust", &[KEY, "patient"], 5),
];

/// How many requests were refused like this so far.
async fn refused(bench: &Bench, code: &str, status: u16) -> u64 {
    let (_, metrics) = crate::bench::read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    let series = format!(r#"anole_requests_refused_total{{code="{code}",status="{status}"}} "#);
    metrics.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

fn identifies(first: usize, count: usize) -> String {
    let pad = "x".repeat(300);
    let all: Vec<_> = (first..first + count)
        .map(|n| format!(r#"{{"type":"identify","userId":"other-{n}","traits":{{"pad":"{pad}"}}}}"#))
        .collect();
    format!(r#"{{"batch":[{}]}}"#, all.join(","))
}

#[tokio::test]
async fn clients_that_are_told_to_slow_down_lose_nothing() {
    let Some(clients) = clients() else { return };
    // Ten events at once and then five a second: each client is refused and waits. Not fewer: Segment's version 2 gives up
    // after ten tries within some seconds, whatever Retry-After says.
    let settings = "delivery: { allow_private_addresses: true }\n";
    for (script, arguments, orders) in PERSISTENT {
        let mut bench = Bench::with("", GOAL).await;
        let pipeline = crate::bench::pipeline(&bench.sandbox.url(), "", GOAL);
        bench = Bench::start(bench.sandbox, &pipeline, settings).await;
        let config = std::fs::read_to_string(bench.folder.config()).unwrap();
        let listen = "collect: { listen: \"127.0.0.1:0\"";
        bench.folder.write("anole.yaml", &config.replace(listen, &format!("{listen}, rate_limit: {{ per_key: 5 }}")));
        bench.stop().await;
        bench.begin().await;
        // What it has at once goes to somebody else first.
        let mut first = 0;
        while bench.post("/v1/batch", &identifies(first, 10), None).await.0 == 200 {
            first += 10;
            assert!(first < 1000, "nobody is refused");
        }
        run(&bench, &clients, script, arguments).await;
        arrived(&bench, orders).await;
        assert!(refused(&bench, "rate_limited", 429).await > 0, "{script} was not refused");
    }
}

/// A daemon whose journal is full until its lane goes on. What fills it makes one send.
async fn full() -> Bench {
    let bench = Bench::with("", GOAL).await;
    let pipeline = crate::bench::pipeline(&bench.sandbox.url(), "", GOAL);
    let keys = |more: &str| format!("keys: [{{ key: {KEY} }}{more}]");
    let pipeline = pipeline.replace(&keys(""), &keys(", { key: \"jitsu:secret\" }"));
    let settings = "delivery: { allow_private_addresses: true }\njournal: { max_bytes: 512KiB, keep: 1s }\nstate: { backup_every: 1s }";
    let bench = Bench::start(bench.sandbox, &pipeline, settings).await;
    let run = bench.anole(&["lanes", "pause", "shop/kameleoon"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    // It holds the rest: what makes no sends is done with although the lane is paused.
    let order = crate::bench::track(OTHERS, "Order Completed", r#"{"revenue":1}"#);
    bench.accept("/v1/track", &order, None).await;
    let mut first = 0;
    while bench.post("/v1/batch", &identifies(first, 50), None).await.0 == 200 {
        first += 50;
        assert!(first < 10_000, "the journal does not become full");
    }
    // Nor does one small event fit.
    while bench.post("/v1/identify", &format!(r#"{{"userId":"other-{first}"}}"#), None).await.0 == 200 {
        first += 1;
    }
    bench
}

/// A client meets a full journal; room is made when it was refused once.
async fn meets_a_full_journal(clients: &Path, (script, arguments, orders): (&str, &[&str], usize)) {
    let bench = full().await;
    let before = refused(&bench, "journal_full", 503).await;
    let make_room = async {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while refused(&bench, "journal_full", 503).await <= before {
            assert!(tokio::time::Instant::now() < deadline, "{script} was not refused\n{}", bench.daemon.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bench.resume().await;
    };
    tokio::join!(run(&bench, clients, script, arguments), make_room);
    arrived_beside(&bench, orders, 1).await;
}

#[tokio::test]
async fn clients_that_meet_a_full_journal_lose_nothing() {
    let Some(clients) = clients() else { return };
    // At once: some wait for as long as Retry-After says.
    let mut all = tokio::task::JoinSet::new();
    for client in PERSISTENT {
        let clients = clients.clone();
        all.spawn(async move { meets_a_full_journal(&clients, client).await });
    }
    all.join_all().await;
}

#[tokio::test]
async fn clients_that_do_not_try_again_leave_nothing_half_done() {
    let Some(clients) = clients() else { return };
    for (script, arguments, requests) in
        [("jitsu.mjs", &["jitsu:secret"][..], 7), ("ga4_python.py", &["G-TEST", "s3cret"], 6)]
    {
        let bench = full().await;
        let before = refused(&bench, "journal_full", 503).await;
        run(&bench, &clients, script, arguments).await;
        assert_eq!(refused(&bench, "journal_full", 503).await, before + requests, "{script}");
        bench.resume().await;
        // There is room: the same again is taken whole, and it is all that there is.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while bench.post("/v1/identify", r#"{"userId":"other"}"#, None).await.0 != 200 {
            assert!(tokio::time::Instant::now() < deadline, "{}", bench.daemon.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        run(&bench, &clients, script, arguments).await;
        arrived_beside(&bench, 5, 1).await;
    }
}
