//! `anole events show`: the whole story of an event, whatever became of it.

use anole_sandbox::{Fault, Options, Sandbox};
use serde_json::Value;

use crate::bench::{Bench, GOAL, pipeline, read, stderr, stdout, track};

#[tokio::test]
async fn the_story_of_a_delivered_a_parked_a_filtered_and_a_waiting_event_is_told() {
    let bench = Bench::with("", "").await;
    let order = r#"{"revenue":23.50,"order_id":"ORD-1","kameleoon_goal_id":36151}"#;
    bench.accept("/v1/t", &track("m-delivered", "Order Completed", order), None).await;
    bench.accept("/v1/t", &track("m-parked", "Order Completed", "{}"), None).await;
    bench.accept("/v1/t", &track("m-filtered", "Cart Viewed", "{}"), None).await;
    bench.story("m-delivered", "delivered").await;
    bench.story("m-parked", "parked").await;
    bench.story("m-filtered", "filtered").await;
    bench.sandbox.set_fault(Fault { status: Some(500), ..Fault::default() }).unwrap();
    bench.accept("/v1/t", &track("m-waiting", "Order Completed", order), None).await;
    bench.story("m-waiting", "waiting").await;

    for (id, words) in [
        (
            "m-delivered",
            &["delivered", "204 -> delivered", "fallback_visitor", "\"revenue\":23.50", "rule `Order Completed`"][..],
        ),
        ("m-parked", &["parked", "missing_field", "send the property kameleoon_goal_id"][..]),
        ("m-filtered", &["filtered", "unmapped"][..]),
        ("m-waiting", &["waiting", "500 -> retry", "it will be tried again"][..]),
    ] {
        let run = bench.anole(&["events", "show", id]).await;
        let text = stdout(&run);
        assert!(run.status.success(), "{}", stderr(&run));
        for word in words {
            assert!(text.contains(word), "{word:?} is missing in the story of {id}:\n{text}");
        }
    }
    let run = bench.anole(&["events", "show", "m-delivered", "--json"]).await;
    let story: Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(story["lanes"][0]["sends"][0]["attempts"][0]["status"], 204);
    let run = bench.anole(&["events", "show", "no-such-event"]).await;
    assert_eq!(run.status.code(), Some(1));
    assert!(stderr(&run).contains("no event with the message id"), "{}", stderr(&run));

    let run = bench.anole(&["parked", "list", "--json"]).await;
    let parked: Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!((&parked["message_id"], &parked["reason"]), (&"m-parked".into(), &"missing_field".into()));
    let run = bench.anole(&["deliveries", "list", "--status", "204"]).await;
    assert_eq!(stdout(&run).lines().count(), 2, "a heading and one attempt:\n{}", stdout(&run));
}

#[tokio::test]
async fn without_a_daemon_the_verbs_that_only_look_read_the_files_themselves() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = pipeline(&sandbox.url(), "", GOAL);
    let bench = Bench::start(sandbox, &pipeline, "delivery: { allow_private_addresses: true }").await;
    bench.accept("/v1/t", &track("m-1", "Order Completed", "{}"), None).await;
    bench.story("m-1", "delivered").await;
    let Bench { folder, daemon, .. } = bench;
    assert_eq!(daemon.stop().await, Ok(0));
    let run = crate::bench::anole(folder.dir(), &["events", "show", "m-1"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    assert!(stdout(&run).contains("204 -> delivered"), "{}", stdout(&run));
    let run = crate::bench::anole(folder.dir(), &["deliveries", "list", "--json"]).await;
    assert_eq!(stdout(&run).lines().count(), 1, "{}", stdout(&run));
}

#[tokio::test]
async fn what_an_event_waits_for_is_said_once_and_without_the_word_in_its_own_field() {
    let bench = Bench::with("", GOAL).await;
    let run = bench.anole(&["lanes", "pause", "shop/kameleoon"]).await;
    assert!(run.status.success(), "{}", stderr(&run));
    bench.accept("/v1/t", &track("m-1", "Order Completed", "{}"), None).await;
    let run = bench.anole(&["events", "show", "m-1", "--json"]).await;
    let story: Value = serde_json::from_str(&stdout(&run)).unwrap();
    let waiting = story["lanes"][0]["waiting"].as_str().unwrap_or_default();
    assert!(!waiting.contains("waiting:"), "{story}");
    let summary = story["summary"].as_str().unwrap();
    assert_eq!(summary, format!("shop/kameleoon: waiting: {waiting}"));
    let text = stdout(&bench.anole(&["events", "show", "m-1"]).await);
    assert!(text.contains(&format!("    waiting: {waiting}\n")), "{text}");
}

#[tokio::test]
async fn a_message_id_that_was_used_is_said_to_be_known() {
    let bench = Bench::with("", GOAL).await;
    let send = ["send", "track", "Order Completed", "--message-id", "m-1", "--anonymous", "a-1"];
    let first = bench.anole(&send).await;
    assert!(stderr(&first).contains("accepted: m-1"), "{}", stderr(&first));
    let second = bench.anole(&send).await;
    assert!(second.status.success(), "{}", stderr(&second));
    assert!(stderr(&second).contains("known: m-1 came before"), "{}", stderr(&second));
    assert!(stdout(&second).contains("204 -> delivered"), "its story is shown:\n{}", stdout(&second));
    bench.arrived(1).await;
    assert_eq!(bench.sandbox.stats().events, 1);
}

#[tokio::test]
async fn every_end_of_a_send_is_told_in_order() {
    let bench = Bench::with("", GOAL).await;
    bench.sandbox.set_fault(Fault { status: Some(400), ..Fault::default() }).unwrap();
    bench.accept("/v1/t", &track("m-1", "Order Completed", r#"{"order_id":"ORD-7"}"#), None).await;
    bench.story("m-1", "parked").await;
    let replay = ["parked", "replay", "--message-id", "m-1", "--yes"];
    let run = bench.anole(&replay).await;
    assert!(run.status.success(), "{}", stderr(&run));
    bench.sandbox.heal_all();
    let run = bench.anole(&replay).await;
    assert!(run.status.success(), "{}", stderr(&run));
    let run = bench.anole(&["events", "show", "m-1", "--json"]).await;
    let story: Value = serde_json::from_str(&stdout(&run)).unwrap();
    let send = &story["lanes"][0]["sends"][0];
    let ends = send["ends"].as_array().unwrap();
    let states: Vec<_> = ends.iter().map(|end| (end["state"].as_str().unwrap(), end["marks"].to_string())).collect();
    assert!(states[0].0 == "parked" && !states[0].1.contains("replayed"), "{send}");
    assert!(states[1].0 == "parked" && states[1].1.contains("replayed"), "{send}");
    assert!(states[2].0 == "delivered" && states[2].1.contains("replayed"), "{send}");
    assert_eq!((states.len(), &send["state"]), (3, &"delivered".into()), "{send}");
    let text = stdout(&bench.anole(&["events", "show", "m-1"]).await);
    let places: Vec<_> = ["400 -> ", "parked: refused", "204 -> delivered", "delivered: accepted"]
        .iter()
        .map(|words| text.find(words).unwrap_or_else(|| panic!("{words:?} is missing:\n{text}")))
        .collect();
    assert!(places.is_sorted(), "{text}");
    assert_eq!(text.matches("parked: refused").count(), 2, "{text}");
}

#[tokio::test]
async fn sends_and_attempts_are_listed_by_what_people_know_and_in_pages() {
    let bench = Bench::with("", GOAL).await;
    for number in 1..=7 {
        let properties = format!(r#"{{"order_id":"ORD-{number}"}}"#);
        bench.accept("/v1/t", &track(&format!("m-{number}"), "Order Completed", &properties), None).await;
        bench.story(&format!("m-{number}"), "delivered").await;
    }
    bench.accept("/v1/t", &track("m-8", "Cart Viewed", "{}"), None).await;
    bench.story("m-8", "filtered").await;
    let ids = async |arguments: &[&str]| {
        let run = bench.anole(&[&["events", "list", "--json"], arguments].concat()).await;
        assert!(run.status.success(), "{}", stderr(&run));
        let rows: Vec<Value> = stdout(&run).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: Vec<_> = rows.iter().map(|row| row["message_id"].as_str().unwrap().to_owned()).collect();
        (ids, stderr(&run))
    };
    assert_eq!(ids(&["--any", "ORD-3"]).await.0, ["m-3"]);
    assert_eq!(ids(&["--lookup", "order_id=ORD-3"]).await.0, ["m-3"]);
    assert_eq!(ids(&["--lookup", "cart_id=ORD-3"]).await.0, [""; 0]);
    assert_eq!(ids(&["--state", "filtered", "--reason", "unmapped"]).await.0, ["m-8"]);
    assert_eq!(ids(&["--event", "Order Completed", "--status", "204", "--lane", "no/lane"]).await.0, [""; 0]);
    assert_eq!(ids(&["--until", "2026-01-01T00:00:00Z"]).await.0, [""; 0]);
    let orders = ["--event", "Order Completed", "--limit", "5"];
    let (first, said) = ids(&orders).await;
    assert_eq!(first, ["m-7", "m-6", "m-5", "m-4", "m-3"]);
    let after = said.split("--after ").nth(1).expect("where to go on").trim().to_owned();
    assert_eq!(ids(&[&orders[..], &["--after", &after]].concat()).await.0, ["m-2", "m-1"]);
    let run = bench.anole(&["events", "list", "--state", "nowhere"]).await;
    assert!(stderr(&run).contains("`nowhere` is no state; the states are: delivered"), "{}", stderr(&run));
    let run = bench.anole(&["deliveries", "list", "--any", "ORD-3", "--state", "delivered", "--json"]).await;
    assert_eq!(stdout(&run).lines().count(), 1, "{}", stdout(&run));
    let run = bench.anole(&["deliveries", "stat"]).await;
    for words in ["8 sends", "of 5.0 GiB", "dropped     nothing yet", "kept for 30 d"] {
        assert!(stdout(&run).contains(words), "{words:?} is missing:\n{}", stdout(&run));
    }
    let get = async |path: &str| -> Value {
        let (_, text) = read(bench.http.get(bench.daemon.admin_url(path))).await;
        serde_json::from_str(&text).unwrap()
    };
    let histogram = get("/api/histogram?event=Order+Completed&buckets=10").await;
    let counted =
        histogram["buckets"].as_array().unwrap().iter().flat_map(|bucket| bucket["counts"].as_array().unwrap());
    assert_eq!(counted.map(|count| count[1].as_u64().unwrap()).sum::<u64>(), 7, "{histogram}");
    let statistics = get("/api/statistics").await;
    let rows = statistics["rows"].as_array().unwrap();
    let sends = rows.iter().flat_map(|row| row["sends"].as_array().unwrap());
    let ended = |state: &str| {
        sends.clone().filter(|ends| ends["state"] == state).map(|ends| ends["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((ended("delivered"), ended("filtered")), (7, 1), "{statistics}");
    assert!(rows.iter().any(|row| row["took_ms"]["p50"].as_f64().is_some_and(|took| took > 0.0)), "{statistics}");
    assert_eq!(get("/api/history").await["sends"], 8);
    assert_eq!(get("/api/events?after=nowhere").await["code"], "bad_query");
}
