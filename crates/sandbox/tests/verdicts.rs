//! The verdicts per event: each row of the table of checks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/client.rs"]
mod client;

use anole_sandbox::{Filter, Goal, NonceForm, Options, Verdict, Verdict::*, Weight};
use client::{CONVERSION, EVENTS, PAGE, codes, judge, post, start};

/// Judges each event on a sandbox of its own, so that they may share a nonce.
async fn each(options: &Options, cases: &[(&str, Verdict, &str)]) {
    let sandbox = start(options.clone()).await;
    for (event, verdict, code) in cases {
        sandbox.reset();
        let arrived = judge(&sandbox, event).await;
        assert_eq!(arrived.verdict, *verdict, "{event}: {:?}", arrived.reasons);
        let found = codes(&arrived);
        if code.is_empty() {
            assert!(found.is_empty(), "{event}: {:?}", arrived.reasons);
        } else {
            assert!(found.contains(code), "{event}: {:?}", arrived.reasons);
        }
    }
}

/// An event with a nonce of the documented form and a visitor code that is beyond doubt.
fn event(kind: &str, more: &str) -> String {
    format!("{{\"nonce\":\"7C1E09AB54D2F386\",\"eventType\":\"{kind}\",\"visitorCode\":\"q8zk2m4x0c7h1dpa\"{more}}}")
}

async fn kind(kind: &str, cases: &[(&str, Verdict, &str)]) {
    let texts: Vec<_> = cases.iter().map(|(more, verdict, code)| (event(kind, more), *verdict, *code)).collect();
    let cases: Vec<_> = texts.iter().map(|(text, verdict, code)| (text.as_str(), *verdict, *code)).collect();
    each(&Options::default(), &cases).await;
}

#[tokio::test]
async fn visitor_codes() {
    let sandbox = start(Options::default()).await;
    let long = "é".repeat(60);
    let (over, uuid) = ("x".repeat(101), "9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa");
    let cases = [
        ("\"245fc8a1b9\"".to_owned(), Accepted, "nonce_uuid"),
        ("null".to_owned(), Lost, "visitor_missing"),
        ("\"\"".to_owned(), Lost, "visitor_missing"),
        ("7".to_owned(), Lost, "visitor_type"),
        (format!("\"{over}\""), Lost, "visitor_long"),
        (format!("\"{long}\""), Doubtful, "visitor_long"),
        ("\"_js_245fc8a1b9\"".to_owned(), Doubtful, "visitor_prefix"),
        ("\"24 5f\"".to_owned(), Doubtful, "visitor_characters"),
        ("\"24\\u0007\"".to_owned(), Doubtful, "visitor_characters"),
        (format!("\"{uuid}\""), Doubtful, "visitor_is_uuid"),
    ];
    for (code, verdict, reason) in cases {
        sandbox.reset();
        let arrived = judge(&sandbox, &PAGE.replace("\"245fc8a1b9\"", &code)).await;
        assert_eq!(arrived.verdict, verdict, "{code}: {:?}", arrived.reasons);
        assert!(codes(&arrived).contains(&reason), "{code}: {:?}", arrived.reasons);
    }
    sandbox.reset();
    let missing = judge(&sandbox, &PAGE.replace("\"visitorCode\":\"245fc8a1b9\",", "")).await;
    assert_eq!((missing.verdict, codes(&missing).contains(&"visitor_missing")), (Lost, true));
    sandbox.reset();
    let mapped = judge(&sandbox, &PAGE.replace("visitorCode", "mappingValue")).await;
    assert_eq!((mapped.verdict, codes(&mapped).contains(&"mapping_value")), (Doubtful, true));
}

#[tokio::test]
async fn the_querys_visitor_code_wins() {
    let sandbox = start(Options::default()).await;
    let target = format!("{EVENTS}&visitorCode=other");
    let without = PAGE.replace("\"visitorCode\":\"245fc8a1b9\",", "");
    post(&sandbox, &target, &format!("[{CONVERSION},{without}]")).await;
    let events = sandbox.events(&Filter::all());
    assert_eq!(events[0].verdict, Doubtful);
    assert!(codes(&events[0]).contains(&"visitor_differs"));
    assert_eq!(events[1].verdict, Accepted, "{:?}", events[1].reasons);
    assert!(events.iter().all(|event| event.visitor.as_deref() == Some("other")));
}

#[tokio::test]
async fn nonces_have_the_form_that_was_asked_for() {
    let (hex, lower) = (event("ACTIVITY", ""), event("ACTIVITY", "").replace("7C1E09AB54D2F386", "7c1e09ab54d2f386"));
    let with = |nonce: &str| hex.replace("7C1E09AB54D2F386", nonce);
    let (uuid, text) = (with("9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa"), with("order-1"));
    let number = hex.replace("\"7C1E09AB54D2F386\"", "17");
    for (form, cases) in [
        (NonceForm::Either, [Accepted, Accepted, Accepted, Lost]),
        (NonceForm::Any, [Accepted, Accepted, Accepted, Accepted]),
        (NonceForm::Uuid, [Lost, Lost, Accepted, Lost]),
        (NonceForm::Hex16, [Accepted, Accepted, Lost, Lost]),
    ] {
        let sandbox = start(Options { nonce: form, ..Options::default() }).await;
        for (event, verdict) in [&hex, &lower, &uuid, &text].into_iter().zip(cases) {
            sandbox.reset();
            let arrived = judge(&sandbox, event).await;
            assert_eq!(arrived.verdict, verdict, "{form:?} {event}: {:?}", arrived.reasons);
        }
        sandbox.reset();
        assert_eq!(judge(&sandbox, &number).await.verdict, Lost);
    }
}

#[tokio::test]
async fn a_nonce_that_comes_again_is_a_retry_or_an_error() {
    let sandbox = start(Options::default()).await;
    assert_eq!(judge(&sandbox, CONVERSION).await.verdict, Accepted);
    assert_eq!(judge(&sandbox, CONVERSION).await.verdict, Duplicate);
    let reordered = CONVERSION.replace("\"goalId\":36151,\"revenue\":23.50", "\"revenue\":23.50,\"goalId\":36151");
    assert_eq!(judge(&sandbox, &reordered).await.verdict, Duplicate, "the order of fields is no difference");
    let other = judge(&sandbox, &CONVERSION.replace("23.50", "23.51")).await;
    assert_eq!((other.verdict, codes(&other).contains(&"nonce_reused")), (Error, true));
    assert_eq!(sandbox.stats().distinct_nonces, 1);
    let elsewhere = EVENTS.replace("f17c21u1ag", "3xpgeyj8p0");
    post(&sandbox, &elsewhere, &format!("[{CONVERSION}]")).await;
    let arrived = sandbox.events(&Filter::all()).pop().unwrap();
    assert_eq!(arrived.verdict, Accepted, "another site is another project");
    assert_eq!(sandbox.stats().distinct_nonces, 2);
}

#[tokio::test]
async fn a_nonce_twice_in_one_request_loses_the_second() {
    let sandbox = start(Options::default()).await;
    post(&sandbox, EVENTS, &format!("[{CONVERSION},{CONVERSION}]")).await;
    let verdicts: Vec<_> = sandbox.events(&Filter::all()).iter().map(|event| event.verdict).collect();
    assert_eq!(verdicts, [Accepted, Lost]);
}

#[tokio::test]
async fn what_a_refused_request_carried_does_not_count_as_seen() {
    let sandbox = start(Options::default()).await;
    assert_eq!(post(&sandbox, EVENTS, &format!("[{CONVERSION},{{}}]")).await.status, 400);
    assert_eq!(judge(&sandbox, CONVERSION).await.verdict, Accepted);
}

#[tokio::test]
async fn event_types() {
    each(
        &Options::default(),
        &[
            (&event("ACTIVITY", ""), Accepted, ""),
            (&event("activity", ""), Accepted, "type_spelling"),
            (&event("Activity", ""), Doubtful, "type_case"),
            (&event("customData", ",\"index\":3,\"valuesCountMap\":{\"gold\":1}"), Accepted, ""),
            (&event("CUSTOMDATA", ",\"index\":3,\"valuesCountMap\":{\"gold\":1}"), Accepted, ""),
            (&event("CUSTOM", ""), Lost, "type_unknown"),
            (&event("PRODUCTBUY", ""), Lost, "type_unknown"),
            (&event("adBlocker", ",\"x\":1"), Accepted, "type_of_tag"),
            (&event("PAGE", "").replace("\"PAGE\"", "[\"PAGE\"]"), Lost, "type_unknown"),
        ],
    )
    .await;
}

#[tokio::test]
async fn pages() {
    let long = format!(",\"href\":\"https://shop.example/{}\"", "x".repeat(200));
    let title = format!(",\"href\":\"https://shop.example/\",\"title\":\"{}\"", "x".repeat(201));
    let with = |more: &str| format!(",\"href\":\"https://shop.example/winter?size=41\"{more}");
    kind(
        "PAGE",
        &[
            (&with(",\"title\":\"Winter boots\""), Accepted, ""),
            ("", Lost, "field_missing"),
            (",\"href\":\"\"", Lost, "field_missing"),
            (",\"href\":\"/checkout\"", Lost, "href_form"),
            (",\"href\":\"shop.example\"", Lost, "href_form"),
            (",\"href\":7", Lost, "field_type"),
            (&long, Doubtful, "href_long"),
            (&title, Doubtful, "title_long"),
            (&with(",\"title\":7"), Lost, "field_type"),
            (&with(",\"title\":null"), Doubtful, "field_type"),
            (&with(",\"referrers\":\"https://a.example/\""), Doubtful, "field_unknown"),
            (&with(",\"referrersIndices\":[1,2]"), Accepted, ""),
            (&with(",\"referrersIndices\":\"https://a.example/\""), Doubtful, "field_type"),
            (&with(",\"referrerHref\":\"https://a.example/\""), Accepted, "field_of_tag"),
        ],
    )
    .await;
}

#[tokio::test]
async fn conversions() {
    let with = |more: &str| format!(",\"goalId\":41877{more}");
    kind(
        "CONVERSION",
        &[
            (
                &with(",\"revenue\":129.9,\"negative\":false,\"metadata\":{\"6\":[\"ORD-1\"],\"7\":[\"EUR\"]}"),
                Accepted,
                "",
            ),
            (&with(""), Accepted, ""),
            (&with(",\"revenue\":30.0,\"negative\":true"), Accepted, ""),
            ("", Lost, "field_missing"),
            (",\"goalId\":\"41877\"", Doubtful, "number_as_text"),
            (",\"goalId\":\"x\"", Lost, "field_type"),
            (",\"goalId\":41877.5", Lost, "field_type"),
            (",\"goalId\":null", Lost, "field_missing"),
            (",\"goalId\":0", Lost, "goal_range"),
            (",\"goalId\":2147483648", Lost, "goal_range"),
            (&with(",\"revenue\":\"12.50\""), Doubtful, "number_as_text"),
            (&with(",\"revenue\":\"NaN\""), Lost, "revenue_form"),
            (&with(",\"revenue\":1e999"), Lost, "revenue_form"),
            (&with(",\"revenue\":null"), Doubtful, "field_type"),
            (&with(",\"revenue\":-3"), Doubtful, "revenue_sign"),
            (&with(",\"revenue\":-3,\"negative\":true"), Doubtful, "revenue_sign"),
            (&with(",\"negative\":\"true\""), Doubtful, "boolean_as_text"),
            (&with(",\"negative\":1"), Doubtful, "field_type"),
            (&with(",\"metadata\":{\"order\":[\"1\"]}"), Lost, "metadata_index"),
            (&with(",\"metadata\":{\"06\":[\"1\"]}"), Lost, "metadata_index"),
            (&with(",\"metadata\":{\"6\":\"ORD-1\"}"), Lost, "metadata_form"),
            (&with(",\"metadata\":[1]"), Lost, "metadata_form"),
            (&with(",\"metadata\":7"), Lost, "field_type"),
            (&with(",\"metadata\":\"{\\\"6\\\":[\\\"ORD-1\\\"]}\""), Doubtful, "nested_as_text"),
            (&with(",\"goalID\":1"), Doubtful, "field_unknown"),
            (&with(",\"currency\":\"EUR\""), Doubtful, "field_unknown"),
            (&with(",\"revenue\":1,\"revenue\":2"), Doubtful, "field_doubled"),
        ],
    )
    .await;
}

#[tokio::test]
async fn goals_and_custom_data_of_the_project() {
    let options = Options {
        goals: Some(vec![
            41877.into(),
            Goal { id: 2, custom: false, active: true },
            Goal { id: 3, custom: true, active: false },
        ]),
        custom_data: Some([6].into()),
        ..Options::default()
    };
    each(
        &options,
        &[
            (&event("CONVERSION", ",\"goalId\":41877"), Accepted, ""),
            (&event("CONVERSION", ",\"goalId\":41878"), Lost, "goal_unknown"),
            (&event("CONVERSION", ",\"goalId\":2"), Lost, "goal_type"),
            (&event("CONVERSION", ",\"goalId\":3"), Lost, "goal_inactive"),
            (&event("CONVERSION", ",\"goalId\":41877,\"metadata\":{\"7\":[\"EUR\"]}"), Lost, "index_unknown"),
            (&event("customData", ",\"index\":7,\"valuesCountMap\":{\"a\":1}"), Lost, "index_unknown"),
            (&event("customData", ",\"index\":6,\"valuesCountMap\":{\"a\":1}"), Accepted, ""),
        ],
    )
    .await;
}

#[tokio::test]
async fn custom_data() {
    let long = format!(",\"index\":3,\"valuesCountMap\":{{\"{}\":1}}", "x".repeat(1001));
    kind(
        "customData",
        &[
            (",\"index\":3,\"valuesCountMap\":{\"gold\":1},\"overwrite\":true", Accepted, ""),
            (",\"valuesCountMap\":{\"gold\":1}", Lost, "field_missing"),
            (",\"index\":-1,\"valuesCountMap\":{\"gold\":1}", Lost, "index_range"),
            (",\"index\":3", Lost, "field_missing"),
            (",\"index\":3,\"valuesCountMap\":{}", Lost, "values_form"),
            (",\"index\":3,\"valuesCountMap\":{\"gold\":0}", Lost, "values_form"),
            (",\"index\":3,\"valuesCountMap\":[[\"gold\",1]]", Lost, "values_form"),
            (",\"index\":3,\"valuesCountMap\":\"{\\\"gold\\\":1}\"", Doubtful, "nested_as_text"),
            (",\"index\":3,\"valuesCountMap\":{\"gold\":1},\"overwrite\":\"true\"", Doubtful, "boolean_as_text"),
            (&long, Doubtful, "value_long"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_other_kinds() {
    kind(
        "STATICDATA",
        &[
            (",\"deviceType\":\"PHONE\"", Accepted, ""),
            (",\"deviceType\":\"MOBILE\"", Doubtful, "word_unknown"),
            (",\"browser\":\"SAFARI\",\"browserIndex\":3,\"browserVersion\":17.4", Accepted, ""),
            (",\"browser\":\"SAFARI\",\"browserIndex\":2", Doubtful, "index_differs"),
            (",\"os\":\"IOS\",\"osIndex\":9", Doubtful, "index_range"),
            (",\"visitNumber\":-1", Doubtful, "field_type"),
        ],
    )
    .await;
    for exposure in ["EXPERIMENT", "PERSONALIZATION"] {
        kind(
            exposure,
            &[
                (",\"id\":205113,\"variationId\":0", Accepted, ""),
                (",\"id\":205113", Lost, "field_missing"),
                (",\"id\":\"hero\",\"variationId\":1", Lost, "field_type"),
            ],
        )
        .await;
    }
    kind(
        "TARGETINGSEGMENT",
        &[(",\"id\":7", Accepted, ""), (",\"segmentId\":7", Doubtful, "segment_id"), ("", Lost, "field_missing")],
    )
    .await;
    kind(
        "geolocation",
        &[
            (",\"country\":\"FR\",\"latitude\":48.8,\"longitude\":2.3", Accepted, "type_spelling"),
            (",\"city\":\"Paris\"", Doubtful, "field_missing"),
            (",\"country\":\"FR\",\"latitude\":48.8", Doubtful, "coordinates"),
            (",\"country\":\"FR\",\"latitude\":148.8,\"longitude\":2.3", Doubtful, "coordinates"),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_exposure_behind_its_conversion_is_noted_and_changes_nothing() {
    let sandbox = start(Options::default()).await;
    let exposure = event("EXPERIMENT", ",\"id\":1,\"variationId\":2").replace("q8zk2m4x0c7h1dpa", "245fc8a1b9");
    post(&sandbox, EVENTS, &format!("[{CONVERSION},{exposure}]")).await;
    let arrived = sandbox.events(&Filter::all()).pop().unwrap();
    assert_eq!(arrived.verdict, Accepted);
    assert_eq!((arrived.reasons[0].code, arrived.reasons[0].weight), ("exposure_after_conversion", Weight::Note));
}

#[tokio::test]
async fn a_user_agent_in_the_body_is_said_in_the_query() {
    let sandbox = start(Options::default()).await;
    let with = event("ACTIVITY", ",\"userAgent\":\"Mozilla/5.0\"");
    assert_eq!(judge(&sandbox, &with).await.verdict, Doubtful);
    sandbox.reset();
    post(&sandbox, &format!("{EVENTS}&bodyUa=true"), &format!("[{with}]")).await;
    assert_eq!(sandbox.events(&Filter::all())[0].verdict, Accepted);
}
