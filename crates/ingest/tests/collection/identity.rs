//! Who the visitor is: cookies, the identity map, and the address.

use anole_ingest::IngestOptions;
use serde_json::json;

use crate::world::{World, shop};

const CODE: &str = "245fc8a1b9";

#[tokio::test]
async fn a_back_ends_order_finds_the_browsers_visitor_code() {
    let world = World::new();
    let cookie = format!("other=1; kameleoonVisitorCode=_js_{CODE}");
    let page = r#"{"anonymousId":"a-1","userId":"u-42"}"#;
    let answer = world.post("/v1/page", &[("x-write-key", "wk"), ("cookie", &cookie)], page).await;
    answer.assert_accepted();
    let event = world.journal.only();
    assert_eq!(event["cookies"], json!({"kameleoonVisitorCode": format!("_js_{CODE}")}), "only what is asked for");
    assert!(event.get("identity").is_none(), "it says so itself");

    world.call("/v1/track", r#"{"event":"Order Completed","userId":"u-42"}"#).await.assert_accepted();
    world.call("/v1/track", r#"{"event":"Order Completed","anonymousId":"a-1"}"#).await.assert_accepted();
    world
        .call("/v1/track", r#"{"event":"Order Completed","anonymousId":"other","userId":"u-42"}"#)
        .await
        .assert_accepted();
    world.call("/v1/track", r#"{"event":"Order Completed","userId":"somebody"}"#).await.assert_accepted();
    let events = world.journal.events();
    for event in &events[1..4] {
        assert_eq!(event["identity"], json!({"kameleoon_visitor_code": CODE}), "{event}");
    }
    assert!(events[4].get("identity").is_none());
}

#[tokio::test]
async fn within_a_batch_one_event_knows_what_another_says_and_the_map_is_asked_once() {
    let world = World::new();
    let body = format!(
        r#"{{"batch":[{{"type":"track","event":"E","userId":"u"}},{{"type":"page","userId":"u","properties":{{"kameleoonVisitorCode":"{CODE}"}}}},
            {{"type":"track","event":"E","userId":"u"}},{{"type":"track","event":"E","userId":"v"}}]}}"#
    );
    world.call("/v1/batch", body).await.assert_accepted();
    let known: Vec<bool> = world.journal.events().iter().map(|event| event.get("identity").is_some()).collect();
    assert_eq!(known, [true, false, true, false]);
    assert_eq!(*world.state.asked.lock().unwrap(), [2], "one question with each key once");
}

#[tokio::test]
async fn many_visitors_of_one_batch_are_each_looked_up_once() {
    let world = World::new();
    let event =
        |n: usize| format!(r#"{{"type":"track","event":"E","userId":"u-{}","anonymousId":"a-{}"}}"#, n % 20, n % 20);
    let learn = format!(r#"{{"userId":"u-7","properties":{{"kameleoonVisitorCode":"{CODE}"}}}}"#);
    world.call("/v1/page", learn).await.assert_accepted();
    let events: Vec<String> = (0..100).map(event).collect();
    world.call("/v1/batch", format!(r#"{{"batch":[{}]}}"#, events.join(","))).await.assert_accepted();
    assert_eq!(*world.state.asked.lock().unwrap(), [40]);
    let known = world.journal.events().iter().filter(|event| event.get("identity").is_some()).count();
    assert_eq!(known, 5);
}

#[tokio::test]
async fn an_identity_map_that_cannot_be_asked_costs_a_rung_and_no_event() {
    let world = World::new();
    *world.state.broken.lock().unwrap() = true;
    world.call("/v1/track", r#"{"event":"E","userId":"u"}"#).await.assert_accepted();
    assert!(world.journal.only().get("identity").is_none());
    assert_eq!(world.metric("anole_identity_lookups_failed_total"), 1);
}

#[tokio::test]
async fn a_value_that_is_no_code_is_passed_over() {
    let world = World::new();
    let headers = [("x-write-key", "wk"), ("cookie", "kameleoonVisitorCode=_js_")];
    let page = format!(r#"{{"userId":"u","properties":{{"kameleoonVisitorCode":"{CODE}"}}}}"#);
    world.post("/v1/page", &headers, page).await.assert_accepted();
    world.call("/v1/track", r#"{"event":"E","userId":"u"}"#).await.assert_accepted();
    assert_eq!(world.journal.events()[1]["identity"]["kameleoon_visitor_code"], CODE);
}

#[tokio::test]
async fn a_browser_gets_a_cookie_and_is_known_by_it_and_a_back_end_gets_none() {
    let world = World::new();
    let browser = [("x-write-key", "wk"), ("origin", "https://www.shop.test")];
    let answer = world.post("/v1/page", &browser, "{}").await;
    answer.assert_accepted();
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.ends_with("; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax; Domain=shop.test; Secure"),
        "{cookie}"
    );
    let id = cookie["_anole_id=".len()..].split(';').next().unwrap().to_owned();
    assert_eq!(world.journal.only()["anonymous_id"], *id);

    let again = [browser[0], browser[1], ("cookie", &format!("_anole_id={id}"))];
    let answer = world.post("/v1/page", &again, r#"{"userId":"u"}"#).await;
    assert!(answer.header("set-cookie").starts_with(&format!("_anole_id={id};")), "it is renewed");
    assert_eq!(world.journal.events()[1]["anonymous_id"], *id);

    let back_end = world.call("/v1/page", r#"{"userId":"u"}"#).await;
    assert_eq!(back_end.header("set-cookie"), "");
    let refused = world.post("/v1/track", &browser, "{}").await;
    assert_eq!(refused.header("set-cookie"), "", "nothing was accepted");
}

#[tokio::test]
async fn who_the_visitor_is_follows_the_order_client_cookie_fpid_ga() {
    let own = "b7f0c2d4-4b88-4e2a-9a31-6c0e2b5d77aa";
    let all = format!("_ga=GA1.1.111.222; FPID=FPID2.2.abc.333; _anole_id={own}");
    let cases = [
        (r#"{"anonymousId":"client"}"#, &*all, "client"),
        ("{}", &*all, own),
        ("{}", "_ga=GA1.1.111.222; FPID=FPID2.2.abc.333", "abc.333"),
        ("{}", "_ga=GA1.1.111.222", "111.222"),
    ];
    for (body, cookies, expected) in cases {
        let world = World::new();
        world.post("/v1/page", &[("x-write-key", "wk"), ("cookie", cookies)], body).await.assert_accepted();
        assert_eq!(world.journal.only()["anonymous_id"], expected, "{cookies}");
    }
}

#[tokio::test]
async fn a_new_cookie_names_the_visitor_as_his_events_do() {
    let id = "b7f0c2d4-4b88-4e2a-9a31-6c0e2b5d77aa";
    let world = World::new();
    let headers = [("x-write-key", "wk"), ("origin", "https://shop.test")];
    let answer = world.post("/v1/page", &headers, format!(r#"{{"anonymousId":"{id}"}}"#)).await;
    assert!(answer.header("set-cookie").starts_with(&format!("_anole_id={id};")));
    let google = [headers[0], headers[1], ("cookie", "_ga=GA1.1.111.222")];
    let answer = world.post("/v1/page", &google, "{}").await;
    assert_eq!(answer.header("set-cookie"), "", "Google's cookie names him already");
}

#[tokio::test]
async fn the_address_of_a_browser_is_the_clients_and_a_proxy_is_believed_only_when_it_is_trusted() {
    let headers = [
        ("x-write-key", "wk"),
        ("origin", "https://shop.test"),
        ("user-agent", "Firefox"),
        ("x-forwarded-for", "203.0.113.7"),
    ];
    let world = World::new();
    world.post("/v1/page", &headers, "{}").await.assert_accepted();
    assert_eq!(world.journal.only()["context"], json!({"ip": "10.0.0.1", "user_agent": "Firefox"}));

    let options = IngestOptions { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..IngestOptions::default() };
    let world = World::with(options, vec![shop()]);
    world.post("/v1/page", &headers, r#"{"context":{"userAgent":"own"}}"#).await.assert_accepted();
    assert_eq!(world.journal.only()["context"], json!({"user_agent": "own", "ip": "203.0.113.7"}));
}

#[tokio::test]
async fn an_id_that_the_collector_has_just_made_gives_way_to_the_cookies() {
    let (made, known) = ("b7f0c2d4-4b88-4e2a-9a31-6c0e2b5d77aa", "11111111-1111-4111-8111-111111111111");
    let body = format!(
        r#"{{"batch":[{{"type":"page","anonymousId":"{made}"}},{{"type":"track","event":"E","anonymousId":"own-word"}}]}}"#
    );
    let path = format!("/v1/batch?fresh={made}");
    let cookie = format!("_anole_id={known}");
    let page = [("x-write-key", "wk"), ("origin", "https://shop.test"), ("cookie", &*cookie)];

    let world = World::new();
    let first = world.post(&path, &page[..2], body.clone()).await;
    first.assert_accepted();
    assert!(first.headers.get("x-anole-visitor").is_none(), "nobody knew the visitor by another id");
    assert!(first.header("set-cookie").starts_with(&format!("_anole_id={made};")), "{:?}", first.headers);

    let again = world.post(&path, &page, body.clone()).await;
    again.assert_accepted();
    assert_eq!(again.header("x-anole-visitor"), known);
    assert!(again.header("access-control-expose-headers").contains("x-anole-visitor"), "the page may read it");
    assert!(again.header("set-cookie").starts_with(&format!("_anole_id={known};")), "renewed");

    let plain = world.post("/v1/batch", &page, body).await;
    assert!(plain.headers.get("x-anole-visitor").is_none(), "only who asks is told");
    let ids: Vec<_> = world.journal.events().iter().map(|event| event["anonymous_id"].clone()).collect();
    assert_eq!(ids, [made, "own-word", known, "own-word", made, "own-word"]);
}
