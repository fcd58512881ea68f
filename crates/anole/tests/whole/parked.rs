//! Sends that wait for a person: sent again, or given up.

use std::time::Duration;

use anole_sandbox::{Fault, Filter, Options, Poison, Sandbox};
use serde_json::Value;

use crate::bench::{Bench, GOAL, PATIENCE, pipeline, read, stderr, stdout};

const SETTINGS: &str = "delivery: { allow_private_addresses: true, probe_every: 1s }";

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// An order, or an event of another name, by this number.
fn event(name: &str, number: usize, properties: &str) -> String {
    format!(
        r#"{{"event":"{name}","anonymousId":"visitor-{number}","messageId":"{}","properties":{properties}}}"#,
        id(number)
    )
}

async fn json(bench: &Bench, arguments: &[&str]) -> Vec<Value> {
    let run = bench.anole(&[arguments, &["--json"]].concat()).await;
    assert!(run.status.success(), "{arguments:?}: {}", stderr(&run));
    stdout(&run).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The count of parked sends as the list of lanes and the metrics have it, once both are `expected`.
async fn counted(bench: &Bench, expected: usize) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let lanes = json(bench, &["lanes", "list"]).await;
        let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
        let line = format!("anole_parked{{lane=\"shop/kameleoon\"}} {expected}\n");
        if lanes[0]["parked"] == expected && metrics.contains(&line) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "not {expected}: {lanes:?}\n{metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A vendor that refuses these orders, which are parked therefore.
async fn refused(numbers: std::ops::Range<usize>) -> Bench {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = pipeline(&sandbox.url(), "", GOAL);
    let bench = Bench::start(sandbox, &pipeline, SETTINGS).await;
    let poison = Poison { nonces: numbers.clone().map(id).collect(), ..Poison::default() };
    bench.sandbox.set_fault(Fault { poison: Some(poison), ..Fault::default() }).unwrap();
    for number in numbers.clone() {
        bench.accept("/v1/t", &event("Order Completed", number, r#"{"revenue":1}"#), None).await;
        bench.send(&id(number), "parked").await;
        // A send that is accepted in between: it is not the mapping.
        bench.accept("/v1/t", &event("Order Completed", 1000 + number, r#"{"revenue":1}"#), None).await;
        bench.send(&id(1000 + number), "delivered").await;
    }
    counted(&bench, numbers.len()).await;
    bench
}

fn nonces(bench: &Bench, below: usize) -> Vec<String> {
    let mut nonces: Vec<_> = bench.sandbox.events(&Filter::all()).into_iter().filter_map(|event| event.nonce).collect();
    nonces.retain(|nonce| *nonce < id(below));
    nonces.sort();
    nonces
}

fn is_replayed(send: &Value) -> bool {
    send["marks"].as_array().unwrap().contains(&"replayed".into())
}

#[tokio::test]
async fn a_replay_delivers_what_a_mended_vendor_had_refused_once_with_the_same_nonces_and_marks_it() {
    let bench = refused(0..3).await;
    let run = bench.anole(&["parked", "replay", "--all", "--dry-run"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stdout(&run).contains("refused"), "{}", stdout(&run));
    assert_eq!(stderr(&run), "nothing was changed: 3 sends would be replayed\n");
    let run = bench.anole(&["parked", "replay", "--all"]).await;
    assert_eq!(run.status.code(), Some(2), "nobody can be asked");
    assert!(stderr(&run).contains("3 parked sends will be sent again: say --yes"), "{}", stderr(&run));
    let run = bench.anole(&["parked", "replay"]).await;
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains("say which"), "{}", stderr(&run));
    counted(&bench, 3).await;
    let before = bench.sandbox.stats().requests;

    // Still refused: parked again, under the same id, with the new attempt.
    let rows = json(&bench, &["parked", "list"]).await;
    let one = rows.last().unwrap().clone();
    let run = bench.anole(&["parked", "replay", "--id", one["id"].as_str().unwrap(), "--yes"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(stderr(&run), "shop/kameleoon: 1 parked (refused)\n");
    assert_eq!(bench.sandbox.stats().requests, before + 1);
    let rows = json(&bench, &["parked", "list", "--message-id", &id(0)]).await;
    assert_eq!((rows.len(), &rows[0]["id"]), (1, &one["id"]));
    assert_ne!(rows[0]["attempt"], one["attempt"]);

    bench.sandbox.heal_all();
    let done = json(&bench, &["parked", "replay", "--event", "Order Completed", "--yes"]).await;
    let last = done.last().unwrap();
    assert_eq!((&last["sends"], &last["ended"][0]["state"]), (&3.into(), &"delivered".into()), "{done:?}");
    assert_eq!(nonces(&bench, 1000), [id(0), id(1), id(2)], "each once, with the nonce it had");
    counted(&bench, 0).await;
    for number in 0..3 {
        let send = bench.send(&id(number), "delivered").await;
        assert_eq!((is_replayed(&send), &send["nonce"]), (true, &id(number).into()), "{send}");
        assert!(send["attempts"].as_array().unwrap().len() >= 2, "{send}");
    }
    let send = bench.send(&id(1000), "delivered").await;
    assert!(!is_replayed(&send), "live sends are not marked: {send}");
    let run = bench.anole(&["parked", "replay", "--all", "--yes"]).await;
    assert_eq!((run.status.code(), stderr(&run).as_str()), (Some(0), "nothing that is parked matches\n"));
}

#[tokio::test]
async fn a_replay_maps_by_the_rules_as_they_are_now_and_show_says_so_before() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let first = pipeline(&sandbox.url(), "", "");
    let mut bench = Bench::start(sandbox, &first, SETTINGS).await;
    bench.accept("/v1/t", &event("Order Completed", 1, r#"{"revenue":5}"#), None).await;
    let parked = bench.send(&id(1), "parked").await;
    counted(&bench, 1).await;
    let rows = json(&bench, &["parked", "list"]).await;
    let number = rows[0]["id"].as_str().unwrap().to_owned();
    let story = json(&bench, &["parked", "show", &number]).await.remove(0);
    assert_eq!(
        (&story["now"][0]["state"], &story["now"][0]["reason"]),
        (&"parked".into(), &parked["reason"]),
        "{story}"
    );
    bench.folder.write("pipelines/shop.yaml", &pipeline(&bench.sandbox.url(), "", GOAL));
    let run = bench.anole(&["reload"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    let story = json(&bench, &["parked", "show", &number]).await.remove(0);
    assert_eq!((&story["now"][0]["state"], &story["now"][0]["nonce"]), (&"sent".into(), &id(1).into()), "{story}");
    assert!(story["now"][0]["body"].as_str().unwrap().contains("36151"), "{story}");
    let text = stdout(&bench.anole(&["parked", "show", &number]).await);
    assert!(text.contains("would be sent") && text.contains("36151") && text.contains(&id(1)), "{text}");
    let run = bench.anole(&["parked", "show", "4711"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("nothing is parked as `4711`"), "{}", stderr(&run));
    // The event also gives sends that were delivered before: they are not sent again.
    let run = bench.anole(&["parked", "replay", "--message-id", &id(1), "--yes"]).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 1 delivered (accepted)\n");
    assert_eq!(bench.sandbox.stats().distinct_nonces, bench.sandbox.stats().events, "nothing twice");

    bench.stop().await;
    let run = bench.anole(&["parked", "replay", "--all", "--yes"]).await;
    assert_eq!(stderr(&run), "nothing that is parked matches\n");
}

#[tokio::test]
async fn s2_a_kill_in_the_middle_of_a_replay_loses_nothing() {
    let mut bench = refused(0..6).await;
    bench.sandbox.heal_all();
    // The vendor takes them in, and the answers never come.
    bench.sandbox.set_fault(Fault { hang: true, processed: true, ..Fault::default() }).unwrap();
    let run = bench.anole(&["parked", "replay", "--all", "--yes", "--no-wait"]).await;
    assert_eq!((run.status.code(), stderr(&run).as_str()), (Some(0), "6 sends are being replayed\n"));
    bench.arrived(6 + 1).await;
    let run = bench.anole(&["parked", "discard", "--all", "--yes"]).await;
    assert!(stderr(&run).contains("is replaying"), "{}", stderr(&run));
    let run = bench.anole(&["parked", "replay", "--all", "--yes"]).await;
    assert!(stderr(&run).contains("is replaying"), "{}", stderr(&run));
    bench.daemon.kill().await;
    bench.sandbox.heal_all();
    let rows = json(&bench, &["parked", "list"]).await;
    assert_eq!(rows.len(), 6, "what has not ended is parked: {rows:?}");
    let run = bench.anole(&["parked", "replay", "--all", "--yes"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("no daemon runs"), "{}", stderr(&run));
    bench.begin().await;
    let run = bench.anole(&["parked", "replay", "--all", "--yes"]).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 6 delivered (accepted)\n", "{}", bench.daemon.log());
    let mut arrived = nonces(&bench, 1000);
    arrived.dedup();
    assert_eq!(arrived, (0..6).map(id).collect::<Vec<_>>());
    counted(&bench, 0).await;
}

#[tokio::test]
async fn a_discard_gives_up_what_its_filter_finds_and_the_log_says_so() {
    let mut bench = refused(0..4).await;
    let run = bench.anole(&["parked", "discard", "--reason", "refuse", "--yes"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("the reasons are"), "{}", stderr(&run));
    let run = bench.anole(&["parked", "discard", "--event", "Cart Viewed", "--yes"]).await;
    assert_eq!(stderr(&run), "nothing that is parked matches\n");
    let run = bench.anole(&["parked", "discard", "--until", "2020-01-01T00:00:00Z", "--yes"]).await;
    assert_eq!(stderr(&run), "nothing that is parked matches\n");
    let run = bench.anole(&["parked", "discard", "--lane", "shop/kameleoon", "--dry-run"]).await;
    assert_eq!(stderr(&run), "nothing was changed: 4 sends would be discarded\n");
    counted(&bench, 4).await;
    let run = bench.anole(&["parked", "discard", "--message-id", &id(2), "--reason", "refused", "--yes"]).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 1 send discarded\n");
    let send = bench.send(&id(2), "discarded").await;
    assert_eq!(send["reason"], "requested", "{send}");
    counted(&bench, 3).await;
    let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    let line = r#"anole_outcomes_total{lane="shop/kameleoon",reason="requested",state="discarded"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    // It works on the files too.
    bench.stop().await;
    let run = bench.anole(&["parked", "discard", "--all", "--yes"]).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 3 sends discarded\n");
    assert!(json(&bench, &["parked", "list"]).await.is_empty());
    bench.begin().await;
    bench.send(&id(0), "discarded").await;
}

#[tokio::test]
async fn events_of_the_journal_are_sent_again_when_they_are_finished_and_not_parked() {
    let bench = refused(0..1).await;
    for number in 1..4 {
        bench.accept("/v1/t", &event("Cart Viewed", number, r#"{"value":1}"#), None).await;
        bench.send(&id(number), "filtered").await;
    }
    let rule = format!("{GOAL}      Cart Viewed: {{ send: conversion, set: {{ goalId: 40112 }} }}\n");
    bench.folder.write("pipelines/shop.yaml", &pipeline(&bench.sandbox.url(), "", &rule));
    let run = bench.anole(&["reload"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    let by_event = ["replay", "--event", "Cart Viewed", "--from", "2020-01-01T00:00:00Z"];
    let run = bench.anole(&["replay", "--event", "Cart Viewed"]).await;
    assert_eq!(run.status.code(), Some(2), "neither message id nor time: {}", stderr(&run));
    let run = bench.anole(&[&by_event[..], &["--dry-run"]].concat()).await;
    assert_eq!(stderr(&run), "nothing was changed: 3 events would be replayed\n");
    // By how they ended.
    for (asked, count) in [
        (["--reason", "unmapped"], 3),
        (["--state", "filtered"], 3),
        (["--reason", "too_old"], 0),
        (["--state", "parked"], 0),
    ] {
        let run = bench.anole(&[&by_event[..], &asked, &["--dry-run"]].concat()).await;
        let said = match count {
            0 => "no event matches that a lane has finished\n".to_owned(),
            count => format!("nothing was changed: {count} events would be replayed\n"),
        };
        assert_eq!(stderr(&run), said, "{asked:?}");
    }
    let run = bench.anole(&[&by_event[..], &["--reason", "unmaped", "--dry-run"]].concat()).await;
    assert_eq!(run.status.code(), Some(2));
    assert!(stderr(&run).contains("`unmaped` is no reason; there are:"), "{}", stderr(&run));
    let run = bench.anole(&by_event).await;
    assert_eq!(run.status.code(), Some(2), "nobody can be asked");
    assert_eq!(nonces(&bench, 1000), [""; 0]);
    let run = bench.anole(&[&by_event[..], &["--until", "2020-01-02T00:00:00Z", "--yes"]].concat()).await;
    assert_eq!(stderr(&run), "no event matches that a lane has finished\n");
    let run = bench.anole(&[&by_event[..], &["--yes"]].concat()).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 3 delivered (accepted)\n", "{}", bench.daemon.log());
    assert_eq!(nonces(&bench, 1000), [id(1), id(2), id(3)]);
    let send = bench.send(&id(2), "delivered").await;
    assert!(is_replayed(&send), "{send}");
    // The last end counts.
    let run = bench.anole(&[&by_event[..], &["--reason", "unmapped", "--dry-run"]].concat()).await;
    assert_eq!(stderr(&run), "no event matches that a lane has finished\n");

    // Again: a repetition under the same nonce, as a person asked for it.
    let run = bench.anole(&["replay", "--message-id", &id(2), "--lane", "shop/kameleoon", "--yes"]).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 1 delivered (accepted)\n");
    assert_eq!(nonces(&bench, 1000), [id(1), id(2), id(2), id(3)]);
    // What is parked is not for this verb.
    let run = bench.anole(&["replay", "--message-id", &id(0), "--yes"]).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 1 passed over, parked or gone\n");
    counted(&bench, 1).await;
    // A vendor that refuses parks it, once, and it is then for the other verb.
    let poison = Poison { nonces: [id(0), id(3)].into(), ..Poison::default() };
    bench.sandbox.set_fault(Fault { poison: Some(poison), ..Fault::default() }).unwrap();
    let run = bench.anole(&["replay", "--message-id", &id(3), "--yes"]).await;
    assert_eq!(stderr(&run), "shop/kameleoon: 1 parked (refused)\n");
    counted(&bench, 2).await;
    let run = bench.anole(&["replay", "--message-id", &id(77), "--lane", "shop/nowhere", "--yes"]).await;
    assert!(stderr(&run).contains("no pipeline has the lane shop/nowhere"), "{}", stderr(&run));
}

#[tokio::test]
async fn a_reload_in_the_middle_of_a_replay_does_not_end_it() {
    let bench = refused(0..3).await;
    bench.sandbox.heal_all();
    bench.sandbox.set_fault(Fault { hang: true, processed: true, ..Fault::default() }).unwrap();
    let run = bench.anole(&["parked", "replay", "--all", "--yes", "--no-wait"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    bench.arrived(3 + 3).await;
    let rule = GOAL.replace("36151", "36152");
    bench.folder.write("pipelines/shop.yaml", &pipeline(&bench.sandbox.url(), "", &rule));
    let run = bench.anole(&["reload"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    // The requests were given up, and come again by the new rules.
    bench.arrived(3 + 3 + 3).await;
    bench.sandbox.heal_all();
    counted(&bench, 0).await;
    bench.said("the replay is over").await;
    let (_, replays) = read(bench.http.get(bench.daemon.admin_url("/api/replays"))).await;
    let replays: Value = serde_json::from_str(&replays).unwrap();
    assert!(replays[0]["finished_at"].is_string() && replays[0]["stopped"].is_null(), "{replays}");
    let mut arrived = nonces(&bench, 1000);
    arrived.dedup();
    assert_eq!(arrived, [id(0), id(1), id(2)]);
    assert!(bench.raw().iter().any(|event| event.contains("36152")), "mapped by the rules in force");
}
