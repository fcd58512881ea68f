//! `anole events show`: the whole story of an event, whatever became of it.

use anole_sandbox::{Fault, Options, Sandbox};
use serde_json::Value;

use crate::bench::{Bench, GOAL, pipeline, stderr, stdout, track};

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
