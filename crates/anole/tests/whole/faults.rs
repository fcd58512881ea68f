//! A vendor's bad days, against the real binary.

use std::collections::BTreeMap;
use std::time::Duration;

use anole_sandbox::{Fault, Filter, Options, Poison, RetryAfter, Sandbox};
use serde_json::Value;

use crate::bench::{Bench, GOAL, KEY, pipeline, read};

/// A batch of orders: `each` of each of `visitors`, in turn.
fn orders(visitors: usize, each: usize) -> String {
    let items: Vec<_> = (0..visitors * each)
        .map(|number| {
            format!(
                r#"{{"type":"track","event":"Order Completed","anonymousId":"visitor-{:03}","messageId":"00000000-0000-4000-8000-{number:012}","properties":{{"revenue":{number}}}}}"#,
                number % visitors
            )
        })
        .collect();
    format!(r#"{{"batch":[{}]}}"#, items.join(","))
}

/// The nonces by visitor, in order of first arrival.
fn order(bench: &Bench) -> BTreeMap<String, Vec<String>> {
    let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in bench.sandbox.events(&Filter::all()) {
        let nonces = order.entry(event.visitor.unwrap()).or_default();
        let nonce = event.nonce.unwrap();
        if !nonces.contains(&nonce) {
            nonces.push(nonce);
        }
    }
    order
}

#[tokio::test]
async fn after_an_outage_everything_arrives_in_order_with_unchanged_nonces() {
    let bench = Bench::with("", GOAL).await;
    bench.sandbox.set_fault(Fault { status: Some(500), ..Fault::default() }).unwrap();
    bench.accept("/v1/batch", &orders(5, 8), None).await;
    let refused = |stats: &anole_sandbox::Stats| stats.answers.get("500").is_some_and(|count| *count >= 2);
    tokio::time::timeout(crate::bench::PATIENCE, bench.sandbox.wait_for(refused)).await.unwrap();
    bench.sandbox.heal_all();
    bench.arrived(40).await;
    let expected: BTreeMap<_, Vec<_>> = (0..5)
        .map(|visitor| {
            let nonces = (0..8).map(|turn| format!("00000000-0000-4000-8000-{:012}", turn * 5 + visitor));
            (format!("visitor-{visitor:03}"), nonces.collect())
        })
        .collect();
    assert_eq!(order(&bench), expected);
    assert_eq!(bench.sandbox.stats().distinct_nonces, 40);
}

#[tokio::test]
async fn a_retry_after_is_kept() {
    let bench = Bench::with("", GOAL).await;
    let busy =
        Fault { status: Some(429), retry_after: Some(RetryAfter::Seconds(2)), times: Some(1), ..Fault::default() };
    bench.sandbox.set_fault(busy).unwrap();
    bench.accept("/v1/batch", &orders(1, 1), None).await;
    bench.arrived(1).await;
    let requests = bench.sandbox.requests();
    let gap = requests[1].at.since(requests[0].at);
    assert_eq!(requests.len(), 2);
    assert!(gap >= Duration::from_secs(2) && gap < Duration::from_secs(4), "{gap:?}");
}

#[tokio::test]
async fn a_wrong_region_pauses_the_lane_with_its_hint_and_it_goes_on_when_healed() {
    let bench = Bench::with("", GOAL).await;
    bench.sandbox.set_fault(Fault { status: Some(404), ..Fault::default() }).unwrap();
    bench.accept("/v1/batch", &orders(2, 2), None).await;
    bench.said("the data region is wrong: is the account on eu or na?").await;
    let (_, lanes) = read(bench.http.get(bench.daemon.admin_url("/api/lanes"))).await;
    let lanes: Value = serde_json::from_str(&lanes).unwrap();
    assert!(lanes[0]["paused"].as_str().is_some_and(|hint| hint.contains("eu or na")), "{lanes}");
    let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    assert!(metrics.contains("anole_lane_paused{lane=\"shop/kameleoon\"} 1"), "{metrics}");
    bench.sandbox.heal_all();
    bench.arrived(4).await;
    bench.said("the lane goes on").await;
}

#[tokio::test]
async fn one_poison_event_in_a_batch_of_a_hundred_is_parked_and_the_rest_delivered() {
    let bench = Bench::with("", GOAL).await;
    let nonce = "00000000-0000-4000-8000-000000000037".to_owned();
    let poison = Poison { nonces: [nonce.clone()].into(), ..Poison::default() };
    bench.sandbox.set_fault(Fault { poison: Some(poison), ..Fault::default() }).unwrap();
    bench.accept("/v1/batch", &orders(100, 1), None).await;
    bench.arrived(99).await;
    let parked = bench.send(&nonce, "parked").await;
    assert_eq!(parked["reason"], "refused");
    assert!(parked["detail"].as_str().unwrap().contains("check the mapping"), "{parked}");
    let stats = bench.sandbox.stats();
    assert_eq!((stats.events, stats.distinct_nonces), (99, 99));
    assert!(stats.requests <= 2 * 7 + 1 + 1, "{} requests", stats.requests);
}

#[tokio::test]
async fn one_region_down_costs_the_other_nothing() {
    let (eu, na) =
        (Sandbox::start(Options::default()).await.unwrap(), Sandbox::start(Options::default()).await.unwrap());
    na.set_fault(Fault { hang: true, ..Fault::default() }).unwrap();
    let second = format!(
        "  - blueprint: kameleoon\n    name: kameleoon-na\n    settings: {{ site_code: na7c21u1ag, region: na, base_url: \"{}\" }}\n    \
         events:\n{GOAL}",
        na.url()
    );
    let pipeline = pipeline(&eu.url(), "", GOAL) + &second;
    let bench = Bench::start(eu, &pipeline, "delivery: { allow_private_addresses: true }").await;
    bench.accept("/v1/batch", &orders(10, 5), None).await;
    bench.arrived(50).await;
    assert_eq!(na.stats().events, 0);
    let sites: Vec<_> = bench.sandbox.stats().sites.into_iter().collect();
    assert_eq!(sites, [("f17c21u1ag".to_owned(), 50)], "each region has batches of its own");
    na.heal_all();
    let arrived = tokio::time::timeout(Duration::from_secs(60), na.wait_for(|stats| stats.events >= 50)).await;
    assert!(arrived.is_ok(), "{:?}\n{}", na.stats(), bench.daemon.log());
    assert_eq!(na.stats().sites.keys().collect::<Vec<_>>(), ["na7c21u1ag"]);
}

#[tokio::test]
async fn metrics_add_up_with_what_arrived() {
    let bench = Bench::with("", GOAL).await;
    bench.accept("/v1/batch", &orders(4, 5), None).await;
    bench.accept("/v1/t", r#"{"event":"Cart Viewed","userId":"u","messageId":"m-1"}"#, None).await;
    bench.arrived(20).await;
    bench.send("m-1", "filtered").await;
    let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    for line in [
        "anole_events_received_total{pipeline=\"shop\",protocol=\"segment\"} 21",
        "anole_outcomes_total{lane=\"shop/kameleoon\",reason=\"accepted\",state=\"delivered\"} 20",
        "anole_outcomes_total{lane=\"shop/kameleoon\",reason=\"unmapped\",state=\"filtered\"} 1",
        "anole_journal_records 21",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
    let unkeyed = read(bench.http.post(bench.daemon.collect_url("/v1/t")).body("{}")).await;
    assert_eq!(unkeyed.0, 401, "{KEY} was not sent");
}

#[tokio::test]
async fn s4_a_lane_that_parks_more_than_may_be_parked_pauses_and_drops_nothing() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = pipeline(&sandbox.url(), "", "");
    let settings = "delivery: { allow_private_addresses: true, max_parked_bytes: 1KiB }";
    let bench = Bench::start(sandbox, &pipeline, settings).await;
    bench.accept("/v1/batch", &orders(10, 1), None).await;
    bench.said("delivery.max_parked_bytes is 1024").await;
    let parked = bench.anole(&["parked", "list", "--json"]).await;
    assert_eq!(crate::bench::stdout(&parked).lines().count(), 10, "nothing parked is dropped");
    let lanes = crate::bench::stdout(&bench.anole(&["lanes", "list", "--json"]).await);
    assert!(lanes.contains("max_parked_bytes"), "{lanes}");
}
