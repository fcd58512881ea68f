//! Real clients, unmodified.

use std::path::Path;

use anole_sandbox::Filter;

use crate::bench::{Bench, GOAL, KEY, stderr, stdout};

#[tokio::test]
async fn segments_node_client_delivers_through_anole() {
    if std::env::var_os("SKIP_REAL_CLIENTS").is_some() {
        println!("left out: SKIP_REAL_CLIENTS is set");
        return;
    }
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    assert!(clients.join("node_modules").is_dir(), "the client is not installed: run `cargo xtask test` once");
    let bench = Bench::with("", GOAL).await;
    let run = tokio::process::Command::new("node")
        .arg("segment-node.mjs")
        .arg(bench.daemon.collect_url("").trim_end_matches('/'))
        .arg(KEY)
        .current_dir(clients)
        .output()
        .await
        .expect("node can be started");
    assert!(run.status.success(), "{}{}\n{}", stdout(&run), stderr(&run), bench.daemon.log());
    bench.arrived(11).await;
    let events = bench.sandbox.events(&Filter::all());
    let orders: Vec<_> = events.iter().filter(|event| event.event_type.as_deref() == Some("CONVERSION")).collect();
    assert_eq!(orders.len(), 10);
    assert!(orders.iter().all(|order| order.visitor.as_deref() == Some("245fc8a1b9") && order.goal == Some(36151)));
    let nonces: Vec<_> = orders.iter().filter_map(|order| order.nonce.clone()).collect();
    assert!(nonces.contains(&"00000000-0000-4000-8000-000000000007".to_owned()), "{nonces:?}");
    let page = events.iter().find(|event| event.event_type.as_deref() == Some("PAGE")).unwrap();
    assert!(String::from_utf8_lossy(&page.raw).contains("https://shop.example.com/checkout"));
}
