//! `kill -9` under load: everything that was answered with 200 is delivered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anole_sandbox::{Filter, Options, Sandbox};
use anole_testkit::{Daemon, Folder, Oracle, client};

use crate::bench::{BINARY, GOAL, KEY, pipeline, read};

const CYCLES: u64 = 20;
const CLIENTS: u64 = 8;

/// Sends orders of one visitor one after the other until it is told to stop; gives back those that were acknowledged.
async fn visitor(url: String, visitor: u64, counter: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Vec<(String, String)> {
    let http = client();
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let nonce = format!("00000000-0000-4000-8000-{:012}", counter.fetch_add(1, Ordering::SeqCst));
        let body = format!(
            r#"{{"event":"Order Completed","anonymousId":"visitor-{visitor}","messageId":"{nonce}","properties":{{"revenue":1.50}}}}"#
        );
        let Ok(response) = http.post(&url).header("x-write-key", KEY).body(body).send().await else { break };
        if response.status().as_u16() == 200 {
            acknowledged.push((format!("visitor-{visitor}"), nonce));
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_twenty_kills_under_load() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let folder =
        Folder::with_settings(&pipeline(&sandbox.url(), "", GOAL), "delivery: { allow_private_addresses: true }");
    let counter = Arc::new(AtomicU64::new(0));
    let mut oracle = Oracle::default();
    for cycle in 0..CYCLES {
        let mut daemon = Daemon::start(Path::new(BINARY), &folder.config()).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (counter, stop) = (Arc::clone(&counter), Arc::clone(&stop));
                tokio::spawn(visitor(daemon.collect_url("/v1/t"), number, counter, stop))
            })
            .collect();
        // The moment of the kill is part of the experiment: spread over the first second, before and after batches go.
        tokio::time::sleep(Duration::from_millis(100 + (cycle * 377) % 1_300)).await;
        daemon.kill().await;
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            for (visitor, nonce) in client.await.unwrap() {
                oracle.acknowledged(&visitor, &nonce);
            }
        }
    }
    let daemon = Daemon::start(Path::new(BINARY), &folder.config()).await.unwrap();
    let expected = oracle.judge().acknowledged as u64;
    // What was accepted and not acknowledged arrives too, so the number alone does not say that all have.
    let acknowledged = oracle.clone();
    let all = sandbox.wait_for(|stats| {
        stats.distinct_nonces >= expected && {
            let mut so_far = acknowledged.clone();
            for event in sandbox.events(&Filter::all()) {
                so_far.arrived(&event.visitor.unwrap(), &event.nonce.unwrap());
            }
            so_far.judge().lost.is_empty()
        }
    });
    let in_time = tokio::time::timeout(Duration::from_secs(60), all).await;
    for event in sandbox.events(&Filter::all()) {
        oracle.arrived(&event.visitor.unwrap(), &event.nonce.unwrap());
    }
    let verdict = oracle.judge();
    println!("{CYCLES} kills: {verdict}");
    assert!(in_time.is_ok() && verdict.is_clean(), "{verdict}\n{}", daemon.log());
    assert!(verdict.acknowledged > 200, "the load was no load: {verdict}");
    let (_, metrics) = read(client().get(daemon.admin_url("/metrics"))).await;
    assert!(!metrics.contains("state=\"lost\""), "{metrics}");
    assert_eq!(daemon.stop().await, Ok(0));
}
