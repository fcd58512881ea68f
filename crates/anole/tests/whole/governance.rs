//! Consent, privacy and robots in the whole: what is not to be sent is not sent and says why, and what is not to be kept is
//! in no file.

use std::path::Path;

use anole_sandbox::{Options, Sandbox};

use crate::bench::{Bench, KEY, pipeline, read, stdout};

const GOVERNANCE: &str = "consent: { from: [collector, cookie:OptanonConsent] }\n\
    privacy: { drop: [properties.card_number, context.ip], hash: [traits.email, user_id] }\nbots: drop\n";
const EVENTS: &str = "      Order Completed: { set: { goalId: 36151 } }\n";

async fn governed() -> Bench {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = format!("{}{GOVERNANCE}", pipeline(&sandbox.url(), "", EVENTS));
    Bench::start(sandbox, &pipeline, "delivery: { allow_private_addresses: true, probe_every: 1s }").await
}

/// The files of a folder that hold this text somewhere.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(files_with(&entry, text));
        } else if std::fs::read(&entry).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(entry.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn an_event_is_sent_with_consent_and_its_story_says_what_was_missing_without() {
    let bench = governed().await;
    let order = |id: &str, consent: &str| {
        format!(r#"{{"event":"Order Completed","anonymousId":"a-1","messageId":"{id}","properties":{{}}{consent}}}"#)
    };
    bench.accept("/v1/t", &order("m-yes", r#","consent":{"analytics":true}"#), None).await;
    bench.accept("/v1/t", &order("m-no", r#","consent":{"analytics":false}"#), None).await;
    bench.accept("/v1/t", &order("m-nothing", ""), None).await;
    bench.accept("/v1/t", &order("m-cookie", ""), Some("OptanonConsent=groups=C0001%3A1%2CC0002%3A1")).await;
    bench.story("m-yes", "delivered").await;
    bench.story("m-cookie", "delivered").await;
    bench.story("m-no", "no_consent").await;
    bench.story("m-nothing", "no_consent").await;
    assert_eq!(bench.sandbox.stats().events, 2);
    let told = stdout(&bench.anole(&["events", "show", "m-no"]).await);
    assert!(told.contains("no_consent") && told.contains("analytics was denied"), "{told}");
    let told = stdout(&bench.anole(&["events", "show", "m-nothing"]).await);
    assert!(told.contains("nothing is known of analytics"), "{told}");
}

#[tokio::test]
async fn what_is_dropped_or_hashed_is_in_no_file() {
    let mut bench = governed().await;
    let body = r#"{"event":"Order Completed","userId":"ada.lovelace@example.com","anonymousId":"a-1","messageId":"m-1",
        "properties":{"card_number":"4111-1111-1111-1111","note":"this-is-kept"},"consent":{"analytics":true},
        "traits":{"email":"Ada.Lovelace@Example.com"},"context":{"traits":{"email":"ada.lovelace@example.com"},"ip":"203.0.113.99"}}"#;
    bench.accept("/v1/t", body, Some("kameleoonVisitorCode=245fc8a1b9")).await;
    bench.story("m-1", "delivered").await;
    // A refused one beside it leaves nothing either.
    let (status, _) = bench.post("/v1/t", &body.replace("Order Completed", ""), None).await;
    assert_eq!(status, 400);
    bench.stop().await;
    let data = bench.folder.dir().join("data");
    assert!(!files_with(&data, "this-is-kept").is_empty(), "the journal is read as it is");
    for clear in ["lovelace@", "Lovelace@", "4111-1111", "203.0.113.99"] {
        assert_eq!(files_with(&data, clear), Vec::<String>::new(), "{clear}");
    }
    assert!(!bench.daemon.log().to_lowercase().contains("lovelace"), "{}", bench.daemon.log());
}

#[tokio::test]
async fn a_robots_event_is_answered_counted_and_not_kept() {
    let bench = governed().await;
    let request = bench.http.post(bench.daemon.collect_url("/v1/t")).header("x-write-key", KEY);
    let request = request.header("origin", "https://shop.test").header("user-agent", "Googlebot/2.1");
    let body = r#"{"event":"Order Completed","userId":"u","messageId":"m-bot","consent":{"analytics":true}}"#;
    assert_eq!(read(request.body(body)).await, (200, r#"{"success":true}"#.to_owned()));
    let (_, metrics) = read(bench.http.get(bench.daemon.admin_url("/metrics"))).await;
    let counted = r#"anole_robots_events_total{done="dropped",pipeline="shop"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    let told = bench.anole(&["events", "show", "m-bot"]).await;
    assert_eq!(told.status.code(), Some(1), "there is no such event");
    assert_eq!(bench.sandbox.stats().events, 0);
}
