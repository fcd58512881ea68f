//! What arrives at Kameleoon's door, byte for byte.

use anole_sandbox::Filter;
use serde_json::Value;

use crate::bench::{Bench, GOAL, track};

const COOKIE: Option<&str> = Some("kameleoonVisitorCode=245fc8a1b9");

#[tokio::test]
async fn the_designs_two_examples_arrive_byte_for_byte() {
    let bench = Bench::new().await;
    let order = r#"{"event":"Order Completed","anonymousId":"a-1","messageId":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","properties":{"order_id":"ORD-1001","revenue":23.50,"currency":"USD","kameleoon_goal_id":36151}}"#;
    bench.accept("/v1/t", order, COOKIE).await;
    bench.arrived(1).await;
    let page = r#"{"anonymousId":"a-1","messageId":"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d","context":{"page":{"url":"https://example.com/checkout","title":"Checkout"}}}"#;
    bench.accept("/v1/p", page, COOKIE).await;
    bench.arrived(2).await;
    assert_eq!(
        bench.bodies(),
        [
            r#"[{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":36151,"revenue":23.50}]"#,
            r#"[{"nonce":"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d","eventType":"PAGE","visitorCode":"245fc8a1b9","href":"https://example.com/checkout","title":"Checkout"}]"#,
        ]
    );
    let request = &bench.sandbox.requests()[0];
    assert_eq!(request.target, "POST /visit/events?siteCode=f17c21u1ag&json=true");
    let header = |name: &str| request.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
    assert_eq!(header("content-type"), Some("application/json"));
    assert!(header("user-agent").is_some_and(|agent| agent.starts_with("anole/")), "{:?}", request.headers);
}

#[tokio::test]
async fn a_fixed_goal_beats_the_property_and_a_referrer_is_sent() {
    let bench = Bench::with("", GOAL).await;
    bench.accept("/v1/track", &track("m-1", "Order Completed", r#"{"revenue":5,"kameleoon_goal_id":1}"#), COOKIE).await;
    let page = r#"{"anonymousId":"visitor-2","messageId":"m-2","context":{"page":{"url":"https://example.com/","referrer":"https://search.example/?q=x"}}}"#;
    bench.accept("/v1/page", page, Some("kameleoonVisitorCode=other")).await;
    bench.arrived(2).await;
    let raw = bench.raw().join("\n");
    assert!(raw.contains(r#""goalId":36151,"revenue":5}"#), "{raw}");
    assert!(raw.contains(r#""href":"https://example.com/","referrers":"https://search.example/?q=x"}"#), "{raw}");
    assert!(!raw.contains("title"), "what is missing is left out: {raw}");
}

#[tokio::test]
async fn a_refund_is_negative_with_positive_revenue_and_a_sign_up_has_none() {
    let bench = Bench::new().await;
    let refund = track("m-1", "Order Refunded", r#"{"revenue":-23.50,"kameleoon_goal_id":36151}"#);
    bench.accept("/v1/t", &refund, COOKIE).await;
    let sign_up = track("m-2", "Signed Up", r#"{"revenue":9,"kameleoon_goal_id":"36152"}"#);
    bench.accept("/v1/t", &sign_up, Some("kameleoonVisitorCode=fedcba")).await;
    bench.arrived(2).await;
    let raw = bench.raw().join("\n");
    assert!(raw.contains(r#""goalId":36151,"revenue":23.50,"negative":true}"#), "{raw}");
    assert!(raw.contains(r#""visitorCode":"fedcba","goalId":36152}"#), "{raw}");
    assert_eq!(bench.sandbox.stats().verdicts.get(&anole_sandbox::Verdict::Lost), None, "{raw}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_parked_or_filtered_and_says_why() {
    let bench = Bench::new().await;
    bench.accept("/v1/t", &track("m-1", "Order Completed", r#"{"revenue":5}"#), COOKIE).await;
    let parked = bench.send("m-1", "parked").await;
    assert_eq!(parked["reason"], "missing_field");
    assert_eq!(
        parked["detail"],
        "the goalId is missing: send the property kameleoon_goal_id or set goalId for this event in the pipeline"
    );
    bench.accept("/v1/t", &track("m-2", "Cart Viewed", "{}"), COOKIE).await;
    let filtered = bench.send("m-2", "filtered").await;
    assert_eq!(filtered["reason"], "unmapped");
    bench.accept("/v1/t", &track("m-3", "Order Completed", r#"{"revenue":"a lot","kameleoon_goal_id":1}"#), None).await;
    assert_eq!(bench.send("m-3", "parked").await["reason"], "invalid_field");
    assert_eq!(bench.sandbox.stats().requests, 0, "nothing of this was sent");
}

#[tokio::test]
async fn without_a_visitor_code_the_anonymous_id_is_sent_and_marked() {
    let bench = Bench::with("", GOAL).await;
    bench.accept("/v1/t", &track("m-1", "Order Completed", "{}"), None).await;
    let send = bench.send("m-1", "delivered").await;
    assert_eq!(send["visitor_code"], "visitor-1");
    assert_eq!(send["rung"], "anonymous_id");
    assert_eq!(send["marks"], serde_json::json!(["fallback_visitor"]));
}

#[tokio::test]
async fn a_back_end_event_finds_the_visitor_code_that_the_browser_had() {
    let bench = Bench::with("", GOAL).await;
    let browser = r#"{"event":"Signed Up","anonymousId":"a-1","userId":"u-42","messageId":"m-1","properties":{"kameleoon_goal_id":1}}"#;
    bench.accept("/v1/t", browser, COOKIE).await;
    let back_end = r#"{"event":"Order Completed","userId":"u-42","messageId":"m-2","properties":{"revenue":1}}"#;
    bench.accept("/v1/t", back_end, None).await;
    let send = bench.send("m-2", "delivered").await;
    assert_eq!(send["visitor_code"], "245fc8a1b9");
    assert_eq!(send["rung"], "identity.kameleoon_visitor_code");
    assert_eq!(send["marks"], serde_json::json!([]));
}

#[tokio::test]
async fn ga4s_purchase_gives_the_same_conversion_on_both_routes() {
    let bench = Bench::with("", GOAL).await;
    let measurement = r#"{"client_id":"c-1","events":[{"name":"purchase","params":{"transaction_id":"T-1","currency":"EUR","value":24.98,"kameleoon_visitor_code":"v-ga4"}}]}"#;
    let path = "/mp/collect?measurement_id=G-TEST&api_secret=s3cret";
    assert_eq!(bench.post(path, measurement, None).await.0, 204);
    let track = r#"{"event":"purchase","anonymousId":"s-1","messageId":"m-2","properties":{"transaction_id":"T-1","currency":"EUR","value":24.98,"kameleoon_visitor_code":"v-seg"}}"#;
    bench.accept("/v1/track", track, None).await;
    bench.arrived(2).await;
    let events = bench.sandbox.events(&Filter::all());
    for visitor in ["v-ga4", "v-seg"] {
        let event = events.iter().find(|event| event.visitor.as_deref() == Some(visitor)).expect(visitor);
        let event: Value = serde_json::from_slice(&event.raw).unwrap();
        assert_eq!(event["eventType"], "CONVERSION");
        assert_eq!(event["goalId"], 36151);
        assert_eq!(event["revenue"], 24.98);
    }
    let story = bench.story("m-2", "delivered").await;
    assert_eq!((&story["event"], &story["source_name"]), (&"Order Completed".into(), &"purchase".into()));
    assert_eq!(story["body"]["properties"]["order_id"], "T-1");
}

#[tokio::test]
async fn a_wrong_secret_of_the_measurement_protocol_is_answered_and_dropped() {
    let bench = Bench::with("", GOAL).await;
    let body = r#"{"client_id":"c-1","events":[{"name":"purchase","params":{"value":1}}]}"#;
    assert_eq!(bench.post("/mp/collect?measurement_id=G-TEST&api_secret=wrong", body, None).await.0, 204);
    bench.accept("/v1/t", &track("m-1", "Order Completed", "{}"), COOKIE).await;
    bench.arrived(1).await;
    assert_eq!(bench.raw().len(), 1);
}

#[tokio::test]
async fn an_identify_joins_the_visitor_and_the_user() {
    let bench = Bench::with("", GOAL).await;
    let browser = r#"{"event":"Signed Up","anonymousId":"a-1","messageId":"m-1","properties":{"kameleoon_goal_id":1}}"#;
    bench.accept("/v1/t", browser, COOKIE).await;
    bench.accept("/v1/i", r#"{"anonymousId":"a-1","userId":"u-42","messageId":"m-2"}"#, None).await;
    bench.accept("/v1/t", r#"{"event":"Order Completed","userId":"u-42","messageId":"m-3"}"#, None).await;
    assert_eq!(bench.send("m-3", "delivered").await["visitor_code"], "245fc8a1b9");
}
