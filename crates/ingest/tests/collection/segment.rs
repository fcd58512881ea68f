//! Segment's routes: what is accepted, what is refused, and in which words.

use anole_ingest::IngestOptions;
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, shop};

const TRACK: &str = r#"{"event":"Plan Upgraded","userId":"u-42","messageId":"m-1","properties":{"n":23.50}}"#;

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn every_single_call_is_accepted_with_exactly_200_and_its_type() {
    for (paths, event_type) in [
        (["/v1/track", "/v1/t"], "track"),
        (["/v1/page", "/v1/p"], "page"),
        (["/v1/screen", "/v1/s"], "screen"),
        (["/v1/identify", "/v1/i"], "identify"),
        (["/v1/group", "/v1/g"], "group"),
        (["/v1/alias", "/v1/a"], "alias"),
    ] {
        for path in paths {
            let world = World::new();
            let body = r#"{"event":"E","userId":"u","groupId":"g","previousId":"p"}"#;
            world.call(path, body).await.assert_accepted();
            let event = world.journal.only();
            assert_eq!((&event["type"], &event["user_id"]), (&json!(event_type), &json!("u")), "{path}");
            assert_eq!(event["message_id"].as_str().map(str::len), Some(36), "an id was made");
        }
    }
}

#[tokio::test]
async fn every_batch_path_takes_a_batch_in_one_append() {
    for path in ["/v1/batch", "/v1/b", "/v1/import", "/b", "/batch"] {
        let world = World::new();
        let body = r#"{"batch":[{"type":"track","event":"E","userId":"u"},{"type":"page","anonymousId":"a"}]}"#;
        world.call(path, body).await.assert_accepted();
        assert_eq!((world.journal.events().len(), world.journal.appends()), (2, 1), "{path}");
    }
}

#[tokio::test]
async fn the_record_is_what_the_client_sent_in_canonical_form() {
    let world = World::new();
    world.call("/v1/track", TRACK).await.assert_accepted();
    let record = world.journal.records().remove(0);
    let head = record.head().unwrap();
    assert_eq!(
        (head.pipeline, head.protocol, head.name, head.source_name),
        ("shop", "segment", "Plan Upgraded", "Plan Upgraded")
    );
    let body = record.body().unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    assert!(text.contains(r#""properties":{"n":23.50}"#), "{text}");
}

#[tokio::test]
async fn the_content_type_is_of_no_matter_and_bodies_may_be_compressed() {
    for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded", "x", ""] {
        let world = World::new();
        let headers = [("x-write-key", "wk"), ("content-type", content_type), ("content-encoding", "gzip")];
        world.post("/v1/track", &headers, gzip(TRACK)).await.assert_accepted();
        assert_eq!(world.journal.only()["event"], "Plan Upgraded");
    }
    let world = World::new();
    let bomb = gzip(&" ".repeat(6 << 20));
    assert!(bomb.len() < 10_000);
    let headers = [("x-write-key", "wk"), ("content-encoding", "gzip")];
    world.post("/v1/track", &headers, bomb).await.assert_refused(413, "body_too_large", "body_too_large");
    let odd = world.post("/v1/track", &[("x-write-key", "wk"), ("content-encoding", "lzma")], TRACK).await;
    odd.assert_refused(415, "unsupported_encoding", "unsupported_encoding");
}

#[tokio::test]
async fn the_key_may_stand_in_the_body_or_in_its_first_event() {
    let bodies = [
        ("/v1/track", r#"{"writeKey":"wk","event":"E","userId":"u"}"#),
        ("/v1/batch", r#"{"batch":[{"type":"page","userId":"u"}],"writeKey":"wk"}"#),
        ("/v1/batch", r#"{"batch":[{"type":"page","userId":"u","writeKey":"wk"}]}"#),
    ];
    for (path, body) in bodies {
        let world = World::new();
        world.post(path, &[("authorization", "Bearer an-access-token")], body).await.assert_accepted();
        let event = world.journal.only();
        assert!(!event.to_string().contains("wk"), "the key is not kept: {event}");
    }
}

#[tokio::test]
async fn an_unknown_key_or_none_is_401_json_and_nothing_is_kept() {
    let world = World::new();
    world.post("/v1/track", &[("x-write-key", "nope")], TRACK).await.assert_refused(
        401,
        "invalid_write_key",
        "unknown_key",
    );
    world.post("/v1/track", &[], TRACK).await.assert_refused(401, "invalid_write_key", "no_key");
    let body = r#"{"writeKey":"nope","event":"E","userId":"u"}"#;
    world.post("/v1/track", &[], body).await.assert_refused(401, "invalid_write_key", "unknown_key");
    let masked = r#"{"writeKey":"nope:***","event":"E","userId":"u"}"#;
    world.post("/v1/track", &[("x-write-key", "wk")], masked).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 1);
    assert_eq!(world.metric(r#"anole_requests_refused_total{code="invalid_write_key",status="401"}"#), 3);
}

#[tokio::test]
async fn one_bad_event_never_costs_the_rest_and_each_bad_one_gets_its_verdict() {
    let world = World::new();
    let long = "x".repeat(65 << 10);
    let body = format!(
        r#"{{"batch":[{{"type":"track","event":"E","userId":"u","messageId":"m-0"}},{{"type":"track","userId":"u","messageId":"m-1"}},
            7,{{"type":"page","messageId":"m-3"}},{{"type":"page","userId":"u","properties":{{"x":"{long}"}}}},
            {{"type":"page","userId":"u","properties":{{"x":"\ud83d"}}}},{{"type":"page","userId":"u"}}]}}"#
    );
    let answer = world.call("/v1/batch", body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-anole-ack"), "fsync");
    let json = answer.json();
    assert_eq!(json["success"], true);
    let verdicts: Vec<(u64, Value, &str)> = json["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["index"].as_u64().unwrap(), it["message_id"].clone(), it["reason"].as_str().unwrap()))
        .collect();
    let expected = vec![
        (1, json!("m-1"), "no_event_name"),
        (2, Value::Null, "not_an_event"),
        (3, json!("m-3"), "no_identity"),
        (4, Value::Null, "too_large"),
        (5, Value::Null, "bad_text"),
    ];
    assert_eq!(verdicts, expected);
    assert_eq!(json["verdicts"][3]["code"], "event_too_large");
    assert!(json["verdicts"][2]["message"].as_str().unwrap().contains("send userId or anonymousId"));
    assert_eq!(world.journal.events().len(), 2);
    assert_eq!(world.metric(r#"anole_events_refused_total{pipeline="shop",reason="invalid_event"}"#), 4);
    assert_eq!(world.metric(r#"anole_events_refused_total{pipeline="shop",reason="too_large"}"#), 1);
    assert_eq!(world.metric(r#"anole_events_received_total{pipeline="shop",protocol="segment"}"#), 2);
}

#[tokio::test]
async fn nan_in_one_event_costs_only_that_event() {
    let world = World::new();
    let body = r#"{"writeKey":"wk","batch":[{"type":"page","userId":"u","properties":{"x":NaN}},{"type":"page","userId":"u"}]}"#;
    let answer = world.post("/v1/batch", &[], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["verdicts"][0]["reason"], "not_json");
    assert_eq!(world.journal.events().len(), 1);
}

#[tokio::test]
async fn a_batch_of_which_nothing_can_be_accepted_is_400_and_an_empty_one_is_accepted() {
    let world = World::new();
    let answer = world.call("/v1/batch", r#"{"batch":[{"type":"page"},{"type":"x","userId":"u"}]}"#).await;
    answer.assert_refused(400, "invalid_event", "no_identity");
    assert_eq!(answer.json()["verdicts"].as_array().map(Vec::len), Some(2));
    world.call("/v1/batch", r#"{"batch":[]}"#).await.assert_accepted();
    assert_eq!(world.journal.appends(), 0);
}

#[tokio::test]
async fn a_single_event_that_is_refused_says_why() {
    let world = World::new();
    world.call("/v1/track", r#"{"userId":"u"}"#).await.assert_refused(400, "invalid_event", "no_event_name");
    world.call("/v1/page", "{}").await.assert_refused(400, "invalid_event", "no_identity");
    let large = format!(r#"{{"userId":"u","properties":{{"x":"{}"}}}}"#, "y".repeat(65 << 10));
    world.call("/v1/page", large).await.assert_refused(413, "event_too_large", "too_large");
}

#[tokio::test]
async fn what_is_not_json_is_400_with_the_place() {
    let deep = format!("{{\"userId\":\"u\",\"properties\":{{\"x\":{}", "[".repeat(1 << 20));
    let closed = format!("{deep}{}}}}}", "]".repeat(1 << 20));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "empty_body"),
        (b" \n".to_vec(), "empty_body"),
        (b"{\"userId\":\"u\"".to_vec(), "not_json"),
        (b"{\"userId\":NaN}".to_vec(), "not_json"),
        (b"{\"userId\":\"u\"} x".to_vec(), "not_json"),
        (b"\"x\"".to_vec(), "not_an_event"),
        (b"[]".to_vec(), "not_an_event"),
        (b"{\"userId\":\"\xff\"}".to_vec(), "not_utf8"),
        (deep.into_bytes(), "not_json"),
    ];
    let world = World::new();
    for (body, reason) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let answer = world.call("/v1/page", body).await;
        assert_eq!(answer.json()["reason"], reason, "{shown}");
        answer.assert_refused(400, "invalid_body", reason);
    }
    let place = world.call("/v1/page", "{\"userId\":NaN}").await;
    assert!(place.json()["message"].as_str().unwrap().contains("line 1 column 11"), "{}", place.text);
    let options = IngestOptions { max_event_bytes: 4 << 20, ..IngestOptions::default() };
    World::with(options, vec![shop()]).call("/v1/page", closed).await.assert_refused(400, "invalid_event", "too_deep");
    world.call("/v1/batch", r#"{"userId":"u"}"#).await.assert_refused(400, "invalid_body", "no_batch");
    world.call("/v1/batch", r#"{"batch":{}}"#).await.assert_refused(400, "invalid_body", "not_an_event");
    assert!(world.journal.events().is_empty());
}

#[tokio::test]
async fn more_events_or_bytes_than_allowed_are_413() {
    let world = World::new();
    let events = vec![r#"{"type":"page","userId":"u"}"#; 501].join(",");
    world.call("/v1/batch", format!(r#"{{"batch":[{events}]}}"#)).await.assert_refused(
        413,
        "too_many_events",
        "too_many_events",
    );
    let large = vec![b' '; (5 << 20) + 1];
    world.call("/v1/batch", large).await.assert_refused(413, "body_too_large", "body_too_large");
    let options = IngestOptions { max_events: 2, ..IngestOptions::default() };
    let world = World::with(options, vec![shop()]);
    let three = r#"{"batch":[{"type":"page","userId":"u"},{"type":"page","userId":"u"},{"type":"page","userId":"u"}]}"#;
    let answer = world.call("/v1/batch", three).await;
    assert!(answer.json()["message"].as_str().unwrap().contains("3 events, the limit is 2"), "{}", answer.text);
}

#[tokio::test]
async fn what_the_batch_says_goes_for_each_of_its_events() {
    let world = World::new();
    let body = r#"{"sentAt":"2026-11-22T09:00:00Z","context":{"library":{"name":"go"},"userAgent":"UA"},"integrations":{"All":false},
        "batch":[{"type":"track","event":"E","userId":"u","timestamp":"2026-11-22T08:59:50Z","context":{"library":{"name":"own"}}}]}"#;
    world.call("/v1/batch", body).await.assert_accepted();
    let event = world.journal.only();
    assert_eq!(event["context"], json!({"library": {"name": "own"}, "user_agent": "UA"}));
    assert_eq!(event["integrations"], json!({"All": false}));
    assert_eq!(event["timestamp"], "2026-11-22T09:59:50.000Z", "the clock was an hour behind");
    assert_eq!(event["sent_at"], "2026-11-22T09:00:00Z");
}

#[tokio::test]
async fn what_python_and_rudder_send_is_taken() {
    let world = World::new();
    let python = r#"{"batch":[{"type":"identify","userId":"u","anonymousId":null,"category":null,"context":{"traits":{"a":1}},
        "traits":null,"timestamp":"2026-11-22T09:59:50.123456+00:00","messageId":"p-1"}],"sentAt":"2026-11-22T10:00:00.000001+00:00"}"#;
    world.call("/v1/batch", python).await.assert_accepted();
    let event = world.journal.only();
    assert_eq!(event["traits"], json!({"a": 1}));
    assert_eq!(event["timestamp"], "2026-11-22T09:59:50.123455Z");
    assert!(event.get("anonymous_id").is_none() && event.get("category").is_none());
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405_in_json() {
    let world = World::new();
    world.call("/v1/nothing", TRACK).await.assert_refused_without_reason(404, "not_found");
    let answer = world.get("/v1/track", &[]).await;
    answer.assert_refused_without_reason(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    let answer = world.send(Method::PUT, "/anole.js", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn the_clients_own_metrics_are_taken_and_thrown_away() {
    let world = World::new();
    let answer = world.post("/v1/m", &[], r#"{"series":[]}"#).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (200, r#"{"success":true}"#));
    assert_eq!(world.journal.appends(), 0);
}

#[tokio::test]
async fn a_pipeline_that_is_reloaded_takes_new_keys_at_once() {
    let world = World::new();
    let mut other = shop();
    other.keys.truncate(0);
    other.keys.push(anole_pipeline::WriteKey { key: anole_pipeline::Secret::new("new"), origins: vec![] });
    world.ingest.replace([std::sync::Arc::new(other)]);
    world.call("/v1/track", TRACK).await.assert_refused(401, "invalid_write_key", "unknown_key");
    world.post("/v1/track", &[("x-write-key", "new")], TRACK).await.assert_accepted();
}
