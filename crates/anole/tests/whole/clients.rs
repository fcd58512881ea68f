//! Real clients, unmodified: each sends a page view and orders, which become conversions.

use std::path::{Path, PathBuf};

use anole_sandbox::Filter;
use tokio::process::Command;

use crate::bench::{Bench, GOAL, KEY, stderr, stdout};

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
    let program = if script.ends_with(".py") { clients.join("venv/bin/python") } else { "node".into() };
    let host = bench.daemon.collect_url("");
    let run = Command::new(program)
        .arg(script)
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
    bench.arrived(orders as u64 + 1).await;
    let events = bench.sandbox.events(&Filter::all());
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
async fn clients_that_are_told_to_slow_down_lose_nothing() {
    let Some(clients) = clients() else { return };
    // Ten events at once and then one a second: eleven to thirteen are sent at once, so each client is refused and waits.
    let settings = "delivery: { allow_private_addresses: true }\n";
    for (script, arguments, orders) in
        [("segment-node.mjs", &[KEY, "3"][..], 10), ("segment_python.py", &[KEY, "gzip"], 5)]
    {
        let bench = Bench::with("", GOAL).await;
        let pipeline = crate::bench::pipeline(&bench.sandbox.url(), "", GOAL);
        let bench = Bench::start(bench.sandbox, &pipeline, settings).await;
        let config = std::fs::read_to_string(bench.folder.config()).unwrap();
        let listen = "collect: { listen: \"127.0.0.1:0\"";
        bench.folder.write("anole.yaml", &config.replace(listen, &format!("{listen}, rate_limit: {{ per_key: 1 }}")));
        let mut bench = bench;
        bench.stop().await;
        bench.begin().await;
        // What it has at once goes to somebody else first.
        let others: Vec<_> = (0..12).map(|n| format!(r#"{{"type":"identify","userId":"other-{n}"}}"#)).collect();
        bench.accept("/v1/batch", &format!(r#"{{"batch":[{}]}}"#, others.join(",")), None).await;
        run(&bench, &clients, script, arguments).await;
        arrived(&bench, orders).await;
        let (_, metrics) = crate::bench::read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
        assert!(
            metrics.contains(r#"anole_requests_refused_total{code="rate_limited",status="429"}"#),
            "{script} was not refused"
        );
    }
}
