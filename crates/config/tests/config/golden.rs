//! The Kameleoon blueprint, byte for byte.

use std::time::Duration;

use anole_event::{Decision, Marks};
use anole_pipeline::{Auth, BodyKind, Made};

use crate::support::{Folder, lane, page, shop, track};

const COOKIE: &str = r#","cookies":{"kameleoonVisitorCode":"245fc8a1b9"}"#;

#[test]
fn an_order_becomes_the_conversion_of_the_design() {
    let plan = Folder::with(&shop("")).plan();
    let event = track(
        "Order Completed",
        &format!(
            r#","properties":{{"order_id":"ORD-1001","revenue":23.50,"currency":"USD","kameleoon_goal_id":36151}}{COOKIE}"#
        ),
    );
    assert_eq!(
        event.body(&plan),
        r#"[{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":36151,"revenue":23.50}]"#
    );
    let send = event.sent(&plan);
    assert_eq!(send.expires, Some(Duration::from_secs(72 * 3600)));
    assert_eq!(send.marks, Marks::NONE);
    assert_eq!(send.rung.as_deref(), Some("cookies.kameleoonVisitorCode"));
    assert_eq!(send.visitor_code.as_deref(), Some("245fc8a1b9"));
    assert_eq!((&*send.rule, send.ordinal), ("Order Completed", 0));
}

#[test]
fn a_page_becomes_the_page_of_the_design() {
    let plan = Folder::with(&shop("")).plan();
    // As analytics.js sends it: an empty referrer when there is none.
    let context = r#"{"page":{"path":"/checkout","referrer":"","title":"Checkout","url":"https://example.com/checkout","search":""}}"#;
    let event = page(&format!(r#","properties":{{}},"context":{context}{COOKIE}"#));
    assert_eq!(
        event.body(&plan),
        r#"[{"nonce":"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d","eventType":"PAGE","visitorCode":"245fc8a1b9","href":"https://example.com/checkout","title":"Checkout"}]"#
    );
    assert_eq!(event.sent(&plan).expires, Some(Duration::from_secs(3600)));
}

#[test]
fn a_referrer_and_a_url_among_the_properties_are_taken() {
    let plan = Folder::with(&shop("")).plan();
    let event = page(&format!(
        r#","properties":{{"url":"https://example.com/a?b=1"}},"context":{{"page":{{"referrer":"https://search.example/"}}}}{COOKIE}"#
    ));
    assert_eq!(
        event.item(&plan),
        r#"{"nonce":"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d","eventType":"PAGE","visitorCode":"245fc8a1b9","href":"https://example.com/a?b=1","referrers":"https://search.example/"}"#
    );
}

#[test]
fn a_refund_is_negative_with_a_positive_revenue() {
    let plan = Folder::with(&shop("    events: { Order Refunded: { set: { goalId: 36151 } } }\n")).plan();
    for revenue in ["-23.50", "23.50", "\"-23.50\""] {
        let event = track("Order Refunded", &format!(r#","properties":{{"revenue":{revenue}}}{COOKIE}"#));
        assert_eq!(
            event.item(&plan),
            r#"{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":36151,"revenue":23.50,"negative":true}"#
        );
    }
}

#[test]
fn a_sign_up_is_a_conversion_without_revenue() {
    let plan = Folder::with(&shop("    events: { Signed Up: { set: { goalId: 7 } } }\n")).plan();
    let event = track("Signed Up", &format!(r#","properties":{{"revenue":5}}{COOKIE}"#));
    assert_eq!(
        event.item(&plan),
        r#"{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":7}"#
    );
}

#[test]
fn revenue_is_the_first_of_three_properties_and_keeps_its_digits() {
    let plan = Folder::with(&shop("    events: { Order Completed: { set: { goalId: \"36151\" } } }\n")).plan();
    for (properties, revenue) in [
        (r#"{"revenue":23.50,"value":1,"total":2}"#, ",\"revenue\":23.50"),
        (r#"{"value":"0012.50","total":2}"#, ""),
        (r#"{"revenue":null,"value":"12.50","total":2}"#, ",\"revenue\":12.50"),
        (r#"{"revenue":"","total":1e3}"#, ",\"revenue\":1e3"),
        (r#"{"total":0}"#, ",\"revenue\":0"),
        (r#"{}"#, ""),
    ] {
        let event = track("Order Completed", &format!(r#","properties":{properties}{COOKIE}"#));
        if properties.contains("0012") {
            assert!(event.outcome(&plan).starts_with("parked/invalid_field: the revenue is \"0012.50\""));
            continue;
        }
        let expected = format!(
            r#"{{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":36151{revenue}}}"#
        );
        assert_eq!(event.item(&plan), expected, "{properties}");
    }
}

#[test]
fn what_kameleoon_would_lose_is_parked_with_a_remedy() {
    let plan = Folder::with(&shop("")).plan();
    let order =
        |properties: &str| track("Order Completed", &format!(r#","properties":{properties}{COOKIE}"#)).outcome(&plan);
    assert_eq!(
        order("{}"),
        "parked/missing_field: the goalId is missing: send the property kameleoon_goal_id or set goalId for this event in the pipeline"
    );
    let remedy = "correct the property kameleoon_goal_id or set goalId for this event in the pipeline";
    for (goal, wrong) in [
        ("0", "0, but must be at least 1"),
        ("-5", "-5, but must be at least 1"),
        ("2147483648", "2147483648, but must be at most 2147483647"),
        ("1.5", "1.5, which is no whole number"),
        ("\"abc\"", "\"abc\", which is no whole number"),
        ("true", "true, which is no whole number"),
        ("{}", "{}, which is no whole number"),
    ] {
        let expected = format!("parked/invalid_field: the goalId is {wrong}: {remedy}");
        assert_eq!(order(&format!(r#"{{"kameleoon_goal_id":{goal}}}"#)), expected);
    }
    for (revenue, wrong) in [
        ("\"NaN\"", "\"NaN\", which is no finite number"),
        ("1e999", "1e999, which is no finite number"),
        ("-1", "-1, but must be at least 0"),
        ("\"12 EUR\"", "\"12 EUR\", which is no finite number"),
        ("[1]", "[1], which is no finite number"),
    ] {
        let expected = format!(
            "parked/invalid_field: the revenue is {wrong}: correct the property revenue or set revenue for this event in the pipeline"
        );
        assert_eq!(order(&format!(r#"{{"kameleoon_goal_id":1,"revenue":{revenue}}}"#)), expected);
    }
    assert_eq!(
        page(COOKIE).outcome(&plan),
        "parked/missing_field: the href is missing: send context.page.url or the property url or set href for this event in the pipeline"
    );
    for href in ["/checkout", "example.com", "ftp://example.com/", "https://", "https://a b/"] {
        let event = page(&format!(r#","context":{{"page":{{"url":"{href}"}}}}{COOKIE}"#));
        let expected = format!(
            "parked/invalid_field: the href is \"{href}\", which is no absolute http or https address: correct context.page.url or set href for this event in the pipeline"
        );
        assert_eq!(event.outcome(&plan), expected);
    }
}

#[test]
fn the_visitor_is_found_on_the_first_rung_that_holds() {
    let plan = Folder::with(&shop("")).plan();
    let goal = r#""kameleoon_goal_id":1"#;
    let all = [
        (
            "properties.kameleoon_visitor_code",
            r#","properties":{"kameleoon_goal_id":1,"kameleoon_visitor_code":"a"}"#.to_owned(),
        ),
        ("properties.kameleoonVisitorCode", format!(r#","properties":{{{goal},"kameleoonVisitorCode":"b"}}"#)),
        ("traits.kameleoonVisitorCode", format!(r#","properties":{{{goal}}},"traits":{{"kameleoonVisitorCode":"c"}}"#)),
        (
            "cookies.kameleoonVisitorCode",
            format!(r#","properties":{{{goal}}},"cookies":{{"kameleoonVisitorCode":"d"}}"#),
        ),
        (
            "identity.kameleoon_visitor_code",
            format!(r#","properties":{{{goal}}},"identity":{{"kameleoon_visitor_code":"e"}}"#),
        ),
        ("anonymous_id", format!(r#","properties":{{{goal}}},"anonymous_id":"f""#)),
    ];
    for (rung, rest) in &all {
        let send = track("Order Completed", rest).sent(&plan);
        assert_eq!(send.rung.as_deref(), Some(*rung));
        let fallback = *rung == "anonymous_id";
        assert_eq!(send.marks.contains(Marks::FALLBACK_VISITOR), fallback, "{rung}");
        let hint = "the Kameleoon tag must be installed and set its cookie before the conversion fires";
        assert_eq!(send.hint.as_deref(), fallback.then_some(hint), "{rung}");
    }
    let both = format!(
        r#","anonymous_id":"f","properties":{{{goal},"kameleoon_visitor_code":"own"}},"cookies":{{"kameleoonVisitorCode":"cookie"}}"#
    );
    assert_eq!(
        track("Order Completed", &both).sent(&plan).visitor_code.as_deref(),
        Some("own"),
        "a property beats the cookie"
    );
}

#[test]
fn a_visitor_code_of_no_use_is_passed_over() {
    let plan = Folder::with(&shop("")).plan();
    let long = "x".repeat(101);
    for bad in ["", "  ", "_js_", "a b", "a;b", "a,b", "a\\u0007b", &long] {
        let rest = format!(
            r#","properties":{{"kameleoon_goal_id":1,"kameleoon_visitor_code":"{bad}"}},"cookies":{{"kameleoonVisitorCode":" _js_245fc8a1b9 "}}"#
        );
        let send = track("Order Completed", &rest).sent(&plan);
        assert_eq!(send.visitor_code.as_deref(), Some("245fc8a1b9"), "{bad:?}");
        assert_eq!(send.rung.as_deref(), Some("cookies.kameleoonVisitorCode"));
    }
}

#[test]
fn without_a_visitor_the_send_is_parked() {
    let plan = Folder::with(&shop("")).plan();
    let nobody = track("Order Completed", r#","properties":{"kameleoon_goal_id":1},"user_id":"u-42""#);
    assert!(
        nobody
            .outcome(&plan)
            .starts_with("parked/no_visitor: no usable visitor code in properties.kameleoon_visitor_code")
    );
    let park = shop("").replace("region: eu", "region: eu, unknown_visitor: park");
    let plan = Folder::with(&park).plan();
    let anonymous = track("Order Completed", r#","properties":{"kameleoon_goal_id":1},"anonymous_id":"f""#);
    let outcome = anonymous.outcome(&plan);
    assert!(outcome.starts_with("parked/no_visitor"), "{outcome}");
    assert!(
        outcome.ends_with("the Kameleoon tag must be installed and set its cookie before the conversion fires"),
        "{outcome}"
    );
}

#[test]
fn nonces_are_stable_and_differ_between_sends() {
    let events = "    events:\n      Order Completed:\n        - { send: conversion, set: { goalId: 1 } }\n        \
                  - { send: conversion, set: { goalId: 2 } }\n";
    let plan = Folder::with(&shop(events)).plan();
    let event = track("Order Completed", COOKIE);
    let nonces = |made: Vec<Made>| -> Vec<String> {
        made.into_iter()
            .map(|made| match made {
                Made::Send(send) => send.nonce.expect("a nonce").into_string(),
                Made::Ended(ended) => panic!("{ended:?}"),
            })
            .collect()
    };
    let first = nonces(event.made(&plan));
    assert_eq!(first[0], "9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa");
    assert!(
        first[1].len() == 16 && first[1].chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase()),
        "{}",
        first[1]
    );
    assert_eq!(first, nonces(event.made(&Folder::with(&shop(events)).plan())), "also by a plan made anew");
    let hex = shop(events).replace("region: eu", "region: eu, nonce: hex16");
    let hex = nonces(event.made(&Folder::with(&hex).plan()));
    assert_eq!((hex[0].len(), &hex[1]), (16, &first[1]));
}

#[test]
fn the_request_is_the_documented_one() {
    let plan = Folder::with(&shop("")).plan();
    let lane_plan = &plan.lanes[0];
    assert_eq!(lane_plan.lane, lane("shop/kameleoon"));
    let request = &lane_plan.requests[0];
    let address =
        track("Signed Up", &format!(r#","properties":{{"kameleoon_goal_id":1}}{COOKIE}"#)).sent(&plan).address;
    assert_eq!(address.url, "https://eu-data.kameleoon.io/visit/events?siteCode=f17c21u1ag&json=true");
    assert_eq!((&*address.method, &*address.endpoint.origin), ("POST", "https://eu-data.kameleoon.io"));
    assert_eq!(address.endpoint.account.as_deref(), Some("f17c21u1ag"));
    assert_eq!(address.headers, [("Content-Type".into(), "application/json".into())]);
    assert_eq!((&request.body, request.batch.events, request.batch.bytes), (&BodyKind::Array, 1000, 1 << 20));
    assert_eq!((request.batch.wait, &request.auth), (Duration::from_secs(1), &Auth::None));
    for (status, decision) in [
        (200, Decision::Delivered),
        (204, Decision::Delivered),
        (301, Decision::Pause),
        (400, Decision::Split),
        (401, Decision::RefreshAuth),
        (403, Decision::Pause),
        (404, Decision::Pause),
        (408, Decision::Retry),
        (413, Decision::Split),
        (422, Decision::Split),
        (429, Decision::Retry),
        (500, Decision::Retry),
        (501, Decision::Retry),
    ] {
        assert_eq!(request.answers.judge(status).decision, decision, "{status}");
    }
    let hint = request.answers.judge(404).hint;
    assert_eq!(hint.as_deref(), Some("the data region is wrong: is the account on eu or na?"));
    let other = track("Signed Up", &format!(r#","properties":{{"kameleoon_goal_id":2}}{COOKIE}"#)).sent(&plan).address;
    assert!(std::sync::Arc::ptr_eq(&address, &other), "a fixed address is made once");
}

#[test]
fn credentials_give_oauth_and_another_endpoint() {
    let more = shop("").replace("region: eu", "region: na, client_id: me, client_secret: \"${KAM}\"");
    let plan = Folder::with(&more).env("KAM", "hush-hush").plan();
    let Auth::OAuth2(client) = &plan.lanes[0].requests[0].auth else { panic!("no OAuth") };
    assert_eq!(client.token_url, "https://api.kameleoon.com/oauth/token");
    assert_eq!((client.client_id.reveal(), client.client_secret.reveal()), ("me", "hush-hush"));
    assert!(plan.lanes[0].addresses().all(|address| address.endpoint.credentials != 0));
    assert!(!format!("{plan:?}").contains("hush-hush"), "a secret is never shown");
}

#[test]
fn a_base_url_replaces_the_region_s() {
    let more = shop("").replace("region: eu", "region: eu, base_url: \"http://127.0.0.1:8090/\"");
    let plan = Folder::with(&more).plan();
    let address = plan.lanes[0].addresses().next().cloned().expect("an address");
    assert_eq!(address.url, "http://127.0.0.1:8090/visit/events?siteCode=f17c21u1ag&json=true");
}

#[test]
fn the_example_pipeline_is_right() {
    let example = include_str!("../../../../pipelines/shop.yaml");
    let folder = Folder::with(example);
    assert_eq!(folder.warnings(), "");
    let plan = folder.plan();
    assert_eq!(plan.lanes[0].lane, lane("shop/kameleoon-eu"));
    let event = track("Newsletter Joined", COOKIE);
    assert_eq!(
        event.item(&plan),
        r#"{"nonce":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","eventType":"CONVERSION","visitorCode":"245fc8a1b9","goalId":40112}"#
    );
}

#[test]
fn the_intake_knows_keys_cookies_and_what_to_remember() {
    let plan = Folder::with(include_str!("../../../../pipelines/shop.yaml")).plan();
    let intake = &plan.intake;
    assert_eq!((&*intake.pipeline, intake.translate), ("shop", true));
    assert_eq!(intake.keys[0].key.reveal(), "dk_live_shop");
    assert_eq!(intake.keys[0].origins, ["https://shop.example.com"]);
    assert_eq!(intake.cookies, ["kameleoonVisitorCode".into()]);
    let remember = &intake.remember[0];
    assert_eq!(&*remember.name, "kameleoon_visitor_code");
    let sources: Vec<String> = remember.sources.iter().map(ToString::to_string).collect();
    assert_eq!(
        sources,
        ["cookies.kameleoonVisitorCode", "properties.kameleoon_visitor_code", "properties.kameleoonVisitorCode"]
    );
    assert_eq!(remember.clean.clean(" _js_abc ").as_deref(), Some("abc"));
    assert_eq!(remember.clean.clean("a;b"), None);
}
