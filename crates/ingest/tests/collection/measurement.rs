//! Google Analytics' Measurement Protocol.

use std::time::Duration;

use anole_ingest::IngestOptions;
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{Answer, World, at, shop};

const TO: &str = "/mp/collect?measurement_id=G-1&api_secret=s3cret";

async fn send(world: &World, body: &str) -> Answer {
    world.post(TO, &[], body.to_owned()).await
}

fn is_uuid(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    text.len() == 36 && text.as_bytes()[14] == b'8'
}

#[tokio::test]
async fn a_purchase_becomes_a_completed_order() {
    let world = World::new();
    let body = r#"{"client_id":"1111111111.1700000000","user_id":"u-42","timestamp_micros":1795341590000000,
        "consent":{"ad_user_data":"GRANTED","ad_personalization":"DENIED"},"user_properties":{"plan":{"value":"pro"},"bare":1},
        "ip_override":"203.0.113.9","user_agent":"UA","device":{"category":"mobile"},"user_location":{"city":"Paris"},
        "user_data":{"sha256_email_address":["x"]},
        "events":[{"name":"purchase","params":{"session_id":"1700000000","engagement_time_msec":100,"transaction_id":"T-1",
        "currency":"EUR","value":24.980,"page_location":"https://shop.test/done","items":[{"item_id":"S1","item_name":"Shirt","price":10,"quantity":2}]}}]}"#;
    let answer = send(&world, body).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (204, ""));
    assert_eq!(answer.header("x-anole-ack"), "fsync");
    let event = world.journal.only();
    assert_eq!((&event["type"], &event["event"]), (&json!("track"), &json!("Order Completed")));
    assert_eq!(event["source"], json!({"pipeline": "shop", "protocol": "ga4_mp", "name": "purchase"}));
    assert_eq!((&event["anonymous_id"], &event["user_id"]), (&json!("1111111111.1700000000"), &json!("u-42")));
    assert_eq!(
        event["properties"],
        json!({"session_id": "1700000000", "engagement_time_msec": 100, "order_id": "T-1", "currency": "EUR", "revenue": 24.98,
            "products": [{"product_id": "S1", "name": "Shirt", "price": 10, "quantity": 2}]})
    );
    assert_eq!(
        event["context"],
        json!({"page": {"url": "https://shop.test/done"}, "ip": "203.0.113.9", "user_agent": "UA", "device": {"category": "mobile"},
            "location": {"city": "Paris"}, "traits": {"plan": "pro", "bare": 1}})
    );
    assert_eq!(event["consent"], json!({"ad_user_data": true, "ad_personalization": false}));
    assert_eq!(event["timestamp"], "2026-11-22T09:59:50.000Z");
    assert_eq!(event["user_data"], json!({"sha256_email_address": ["x"]}));
    assert!(is_uuid(&event["message_id"]));
    let body = world.journal.records()[0].body().unwrap();
    assert!(std::str::from_utf8(&body).unwrap().contains("24.980"), "digits are kept");
}

#[tokio::test]
async fn paths_may_have_a_prefix_and_the_success_status_is_a_setting() {
    let options = IngestOptions { ga4_status: StatusCode::OK, ..IngestOptions::default() };
    let world = World::with(options, vec![shop()]);
    let body = r#"{"client_id":12345.678,"events":{"name":"page_view","params":{"page_location":"https://s/","page_title":"T"}}}"#;
    let answer = world.post(&format!("/some/prefix{TO}"), &[], body).await;
    assert_eq!((answer.status.as_u16(), &*answer.text), (200, ""));
    let event = world.journal.only();
    assert_eq!((&event["type"], &event["anonymous_id"]), (&json!("page"), &json!("12345.678")));
    assert_eq!(event["context"]["page"], json!({"url": "https://s/", "title": "T"}));
    assert_eq!(event["source"]["name"], "page_view");
    assert!(event.get("event").is_none());
}

#[tokio::test]
async fn a_wrong_id_or_secret_and_a_broken_body_are_204_dropped_and_counted() {
    let world = World::new();
    let body = r#"{"client_id":"c","events":[{"name":"x"}]}"#;
    for query in
        ["", "?measurement_id=G-1", "?measurement_id=G-1&api_secret=wrong", "?measurement_id=G-2&api_secret=s3cret"]
    {
        assert_eq!(world.post(&format!("/mp/collect{query}"), &[], body).await.status, 204, "{query}");
    }
    assert_eq!(world.metric(r#"anole_requests_refused_total{code="unknown_measurement",status="204"}"#), 4);
    for broken in ["{", "[]", "", r#"{"events":7}"#] {
        assert_eq!(send(&world, broken).await.status, 204, "{broken}");
    }
    assert_eq!(world.metric(r#"anole_requests_refused_total{code="invalid_body",status="400"}"#), 4);
    assert_eq!(send(&world, r#"{"events":[{"name":"x"}]}"#).await.status, 204);
    assert_eq!(send(&world, r#"{"client_id":"c","events":[{"params":{}},7]}"#).await.status, 204);
    assert_eq!(world.metric(r#"anole_events_refused_total{pipeline="shop",reason="invalid_event"}"#), 3);
    assert_eq!(world.journal.appends(), 0);
}

#[tokio::test]
async fn a_pipeline_without_a_secret_takes_nothing() {
    let mut intake = shop();
    intake.ga4.as_mut().unwrap().api_secret = None;
    let world = World::with(IngestOptions::default(), vec![intake]);
    let answer = world
        .post("/mp/collect?measurement_id=G-1&api_secret=", &[], r#"{"client_id":"c","events":[{"name":"x"}]}"#)
        .await;
    assert_eq!((answer.status.as_u16(), world.journal.appends()), (204, 0));
}

#[tokio::test]
async fn one_bad_event_never_costs_the_rest() {
    let world = World::new();
    let body = r#"{"client_id":"c","events":[{"name":"a"},{"name":{}},{"name":"b","params":7},{"name":"\ud800"},{"name":"c"}]}"#;
    assert_eq!(send(&world, body).await.status, 204);
    let names: Vec<Value> = world.journal.events().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(names, ["a", "c"]);
}

#[tokio::test]
async fn times_are_taken_from_the_event_then_from_the_request_and_clamped() {
    let world = World::new();
    let micros = |seconds| at(&world, seconds).micros();
    let body = format!(
        r#"{{"client_id":"c","timestamp_micros":{},"events":[{{"name":"a","params":{{"timestamp_micros":"{}","x":1}}}},{{"name":"b","timestamp_micros":{}}},
            {{"name":"c"}},{{"name":"d","timestamp_micros":{}}},{{"name":"e","timestamp_micros":{}}}]}}"#,
        micros(-10),
        micros(-20),
        micros(-30),
        micros(-400_000),
        micros(4000)
    );
    send(&world, &body).await;
    let events = world.journal.events();
    let times: Vec<&str> = events.iter().map(|event| event["timestamp"].as_str().unwrap()).collect();
    let expected = [
        "2026-11-22T09:59:40.000Z",
        "2026-11-22T09:59:30.000Z",
        "2026-11-22T09:59:50.000Z",
        "2026-11-19T10:00:00.000Z",
        "2026-11-22T10:00:00.000Z",
    ];
    assert_eq!(times, expected);
    assert_eq!(events[0]["properties"], json!({"x": 1}), "the time is no property");
    assert_eq!(events[4]["original_timestamp"], "2026-11-22T11:06:40.000Z", "what was said is kept");
}

#[tokio::test]
async fn a_repeated_request_is_recognised_and_so_is_a_repeated_transaction() {
    let world = World::new();
    let stamped = r#"{"client_id":"c","timestamp_micros":1795341590000000,"events":[{"name":"x"},{"name":"x"}]}"#;
    send(&world, stamped).await;
    world.clock.advance(Duration::from_secs(600));
    send(&world, stamped).await;
    assert_eq!(world.journal.events().len(), 2, "both events of the body, once");

    for body in [
        r#"{"client_id":"c","events":[{"name":"purchase","params":{"transaction_id":"T-1"}}]}"#,
        r#"{"client_id":"d","events":[{"name":"y"},{"name":"purchase","params":{"transaction_id":"T-1","value":2}}]}"#,
        r#"{"client_id":"c","events":[{"name":"refund","params":{"transaction_id":"T-1"}}]}"#,
        r#"{"client_id":"c","events":[{"name":"purchase","params":{"transaction_id":""}}]}"#,
        r#"{"client_id":"d","events":[{"name":"purchase","params":{"transaction_id":""}}]}"#,
    ] {
        send(&world, body).await;
    }
    let names: Vec<Value> = world.journal.events()[2..].iter().map(|event| event["source"]["name"].clone()).collect();
    assert_eq!(names, ["purchase", "y", "refund", "purchase", "purchase"], "an empty id is none");
}

#[tokio::test]
async fn without_a_time_the_same_body_later_is_another_event() {
    let world = World::new();
    let body = r#"{"client_id":"c","events":[{"name":"add_to_cart"}]}"#;
    send(&world, body).await;
    send(&world, body).await;
    assert_eq!(world.journal.events().len(), 1);
    world.clock.advance(Duration::from_secs(60));
    send(&world, body).await;
    assert_eq!(world.journal.events().len(), 2);
}

#[tokio::test]
async fn a_pipeline_that_does_not_translate_keeps_googles_words() {
    let mut intake = shop();
    intake.translate = false;
    let world = World::with(IngestOptions::default(), vec![intake]);
    send(&world, r#"{"client_id":"c","events":[{"name":"purchase","params":{"transaction_id":"T","value":1,"page_location":"u"}}]}"#).await;
    let event = world.journal.only();
    assert_eq!(event["event"], "purchase");
    assert_eq!(event["properties"], json!({"transaction_id": "T", "value": 1, "page_location": "u"}));
    assert_eq!(event["context"]["page"]["url"], "u");
}

#[tokio::test]
async fn the_debug_path_says_what_is_wrong_and_stores_nothing() {
    let world = World::new();
    let fine =
        world.post("/debug/mp/collect", &[], r#"{"client_id":"c","events":[{"name":"purchase","params":{}}]}"#).await;
    assert_eq!((fine.status.as_u16(), &*fine.text), (200, r#"{"validationMessages":[]}"#));
    let wrong = r#"{"events":[{"name":"1st"},{"name":"session_start"},{"params":{}},{"name":"x","params":[]}]}"#;
    let answer = world.post("/any/debug/mp/collect?measurement_id=G-9", &[], wrong).await.json();
    let remarks: Vec<(&str, &str)> = answer["validationMessages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["fieldPath"].as_str().unwrap(), it["validationCode"].as_str().unwrap()))
        .collect();
    let expected = [
        ("client_id", "VALUE_REQUIRED"),
        ("events[0].name", "NAME_INVALID"),
        ("events[1].name", "NAME_RESERVED"),
        ("events[2].name", "VALUE_REQUIRED"),
        ("events[3].params", "VALUE_INVALID"),
    ];
    assert_eq!(remarks, expected);
    let broken = world.post("/debug/mp/collect", &[], "{").await.json();
    assert_eq!(broken["validationMessages"][0]["validationCode"], "VALUE_INVALID");
    assert_eq!(world.journal.appends(), 0);
}
