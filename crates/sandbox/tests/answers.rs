//! The answers at the level of HTTP: each row of the table of checks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/client.rs"]
mod client;

use std::sync::Arc;
use std::time::Duration;

use anole_http::ManualClock;
use anole_sandbox::{Client, Filter, Options, Verdict};
use client::{CONVERSION, EVENTS, PAGE, call, codes, count, post, start};

async fn refused(options: Options, line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let sandbox = start(options).await;
    let answer = call(sandbox.address(), line, headers, body.as_bytes()).await;
    assert_eq!(sandbox.stats().events, 0, "no event of a refused request is taken in");
    (answer.status, answer.text())
}

async fn strict(line: &str, body: &str) -> (u16, String) {
    refused(Options::default(), line, &[], body).await
}

#[tokio::test]
async fn the_examples_are_accepted_with_204_and_kept_byte_for_byte() {
    let sandbox = start(Options::default()).await;
    let body = format!("[{CONVERSION}, {PAGE} ]\n");
    let answer = post(&sandbox, EVENTS, &body).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let events = sandbox.events(&Filter::all());
    let raw: Vec<_> = events.iter().map(|event| event.raw.clone()).collect();
    assert_eq!(raw, [CONVERSION, PAGE]);
    assert!(events.iter().all(|event| event.verdict == Verdict::Accepted), "{events:?}");
    assert_eq!(events[0].goal, Some(36151));
    assert_eq!(events[1].visitor.as_deref(), Some("245fc8a1b9"));
    let requests = sandbox.requests();
    assert_eq!(requests[0].body, body.as_bytes());
    assert_eq!((requests[0].status, requests[0].number), (Some(204), 1));
}

#[tokio::test]
async fn success_may_be_200() {
    let sandbox = start(Options { success: 200, ..Options::default() }).await;
    assert_eq!(post(&sandbox, EVENTS, &format!("[{PAGE}]")).await.status, 200);
    let error = anole_sandbox::Sandbox::start(Options { success: 404, ..Options::default() }).await.unwrap_err();
    assert_eq!(error.to_string(), "404 is not a status of success: use 204, as documented, or 200");
}

#[tokio::test]
async fn another_path_is_not_found_and_another_method_not_allowed() {
    let batch = format!("[{PAGE}]");
    assert_eq!(strict("POST /visit/event?siteCode=f17c21u1ag&json=true", &batch).await.0, 404);
    assert_eq!(strict("POST /visit/events/?siteCode=f17c21u1ag&json=true", &batch).await.0, 404);
    assert_eq!(strict(&format!("GET {EVENTS}"), "").await.0, 405);
    assert_eq!(strict(&format!("PUT {EVENTS}"), &batch).await.0, 405);
    assert_eq!(strict(&format!("OPTIONS {EVENTS}"), "").await.0, 204);
}

#[tokio::test]
async fn a_query_without_site_code_or_with_a_strange_json_is_malformed() {
    let batch = format!("[{PAGE}]");
    let (status, text) = strict("POST /visit/events?json=true", &batch).await;
    assert_eq!((status, text.contains("siteCode is missing")), (400, true), "{text}");
    let (status, text) = strict("POST /visit/events?siteCode=f17c21u1ag&json=yes", &batch).await;
    assert_eq!((status, text.contains("json must be true or false")), (400, true), "{text}");
}

#[tokio::test]
async fn an_unknown_site_is_400_when_strict_and_lost_otherwise() {
    let other = "POST /visit/events?siteCode=nobody&json=true";
    let batch = format!("[{PAGE}]");
    assert_eq!(strict(other, &batch).await.0, 400);
    let known = Options { sites: Some(["f17c21u1ag".to_owned()].into()), ..Options::default() };
    let unknown = "POST /visit/events?siteCode=abcdefghij&json=true";
    assert_eq!(refused(known, unknown, &[], &batch).await.0, 400);
    let sandbox = start(Options { strict: false, ..Options::default() }).await;
    assert_eq!(call(sandbox.address(), other, &[], batch.as_bytes()).await.status, 204);
    let event = sandbox.events(&Filter::all()).pop().unwrap();
    assert_eq!((event.verdict, codes(&event).contains(&"site_unknown")), (Verdict::Lost, true));
}

#[tokio::test]
async fn a_user_agent_of_a_bot_or_a_library_is_forbidden() {
    let line = format!("POST {EVENTS}");
    for agent in ["", "curl/8.0", "python-requests/2.32.0", "Mozilla/5.0 (compatible; Googlebot/2.1)", "reqwest/0.13"] {
        let headers = [("user-agent", agent)];
        let (status, text) = refused(Options::default(), &line, &headers, &format!("[{PAGE}]")).await;
        assert_eq!((status, text.contains("user_agent")), (403, true), "{agent}: {text}");
    }
}

#[tokio::test]
async fn more_than_three_million_bytes_are_too_large() {
    let padding = " ".repeat(3_000_000 - PAGE.len() - 2);
    let sandbox = start(Options::default()).await;
    assert_eq!(post(&sandbox, EVENTS, &format!("[{PAGE}{padding}]")).await.status, 204);
    let answer = post(&sandbox, EVENTS, &format!("[{PAGE}{padding} ]")).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(sandbox.stats().answers, [("204".to_owned(), 1), ("413".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_body_that_is_no_array_of_objects_is_malformed() {
    let line = format!("POST {EVENTS}");
    for body in ["", "  ", "{", "[1]", "[{}", "null", PAGE, "[null]", "[\"a\"]", "[[]]"] {
        let (status, text) = strict(&line, body).await;
        assert_eq!((status, text.contains("\"code\":\"malformed\"")), (400, true), "{body}: {text}");
    }
    let sandbox = start(Options::default()).await;
    let answer = call(sandbox.address(), &line, &[], b"[{\"nonce\":\"\xff\"}]").await;
    assert_eq!((answer.status, answer.text().contains("UTF-8")), (400, true));
    let encoded = call(sandbox.address(), &line, &[("content-encoding", "gzip")], b"x").await;
    assert_eq!(encoded.status, 400);
}

#[tokio::test]
async fn what_is_malformed_is_204_and_lost_when_not_strict() {
    let sandbox = start(Options { strict: false, ..Options::default() }).await;
    for body in ["", "{", PAGE, "[1]", "[{\"eventType\":\"PAGE\"}]"] {
        assert_eq!(post(&sandbox, EVENTS, body).await.status, 204, "{body}");
    }
    assert_eq!((count(&sandbox, Verdict::Lost), sandbox.stats().events), (5, 5));
    let raw: Vec<_> = sandbox.events(&Filter::all()).iter().map(|event| event.raw.clone()).collect();
    assert_eq!(raw, ["", "{", PAGE, "1", "{\"eventType\":\"PAGE\"}"]);
}

#[tokio::test]
async fn an_event_without_nonce_or_type_refuses_the_batch_and_names_it() {
    let line = format!("POST {EVENTS}");
    let no_nonce = PAGE.replace("\"nonce\":\"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d\",", "");
    let (status, text) = strict(&line, &format!("[{CONVERSION},{no_nonce}]")).await;
    assert_eq!((status, text.contains("event 2: the nonce is missing")), (400, true), "{text}");
    for broken in [
        PAGE.replace("\"eventType\":\"PAGE\",", ""),
        PAGE.replace("\"PAGE\"", "null"),
        PAGE.replace("\"PAGE\"", "\"\""),
        PAGE.replace("\"1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d\"", "null"),
    ] {
        let (status, text) = strict(&line, &format!("[{broken}]")).await;
        assert_eq!((status, text.contains("event 1: the ")), (400, true), "{broken}: {text}");
    }
}

#[tokio::test]
async fn other_mistakes_are_204_and_lost_unless_the_sandbox_is_to_refuse_them() {
    let no_goal = CONVERSION.replace("\"goalId\":36151,", "");
    let sandbox = start(Options::default()).await;
    assert_eq!(post(&sandbox, EVENTS, &format!("[{no_goal}]")).await.status, 204);
    assert_eq!(count(&sandbox, Verdict::Lost), 1);
    let options = Options { refuse_lost: true, ..Options::default() };
    let (status, text) = refused(options, &format!("POST {EVENTS}"), &[], &format!("[{no_goal}]")).await;
    assert_eq!((status, text.contains("goalId is missing")), (400, true), "{text}");
}

#[tokio::test]
async fn lines_are_read_without_json_true_and_json_without_it_is_explained() {
    let sandbox = start(Options::default()).await;
    let first = "eventType=conversion&goalId=41877&metadata=%7B%226%22%3A%5B%22ORD-20931%22%5D%7D&negative=false&nonce=0F44B7D9A1C6E253&revenue=129.9&visitorCode=q8zk2m4x0c7h1dpa";
    let second =
        "eventType=PAGE&nonce=7C1E09AB54D2F386&visitorCode=q8zk2m4x0c7h1dpa&href=https%3A%2F%2Fshop.example%2F";
    for target in ["/visit/events?siteCode=f17c21u1ag", "/visit/events?siteCode=f17c21u1ag&json=false"] {
        sandbox.reset();
        assert_eq!(post(&sandbox, target, &format!("{first}\n{second}\n")).await.status, 204);
        let events = sandbox.events(&Filter::all());
        let raw: Vec<_> = events.iter().map(|event| event.raw.clone()).collect();
        assert_eq!(raw, [first, second]);
        assert!(events.iter().all(|event| event.verdict == Verdict::Accepted), "{events:?}");
    }
    let (status, text) = strict("POST /visit/events?siteCode=f17c21u1ag", &format!("[{PAGE}]")).await;
    assert_eq!((status, text.contains("json=true")), (400, true), "{text}");
    assert_eq!(strict("POST /visit/events?siteCode=f17c21u1ag", "eventType=PAGE&href").await.0, 400);
}

#[tokio::test]
async fn tokens_are_issued_checked_and_expire() {
    let clock = Arc::new(ManualClock::default());
    let options = Options {
        client: Some(Client { id: "anole".to_owned(), secret: "s3cret".to_owned() }),
        token_life: Duration::from_secs(60),
        require_token: true,
        clock: clock.clone(),
        ..Options::default()
    };
    let sandbox = start(options).await;
    let line = format!("POST {EVENTS}");
    let batch = format!("[{PAGE}]");
    assert_eq!(post(&sandbox, EVENTS, &batch).await.status, 401, "a token is needed");
    let wrong = post(&sandbox, "/oauth/token", "grant_type=client_credentials&client_id=anole&client_secret=x").await;
    assert_eq!((wrong.status, wrong.json()["error"].as_str()), (401, Some("invalid_client")));
    assert_eq!(post(&sandbox, "/oauth/token", "grant_type=password").await.status, 400);
    let form = "grant_type=client_credentials&client_id=anole&client_secret=s3cret";
    let issued = post(&sandbox, "/oauth/token", form).await;
    assert_eq!((issued.status, issued.json()["expires_in"].as_u64()), (200, Some(60)));
    let bearer = format!("Bearer {}", issued.json()["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(call(sandbox.address(), &line, &headers, batch.as_bytes()).await.status, 204);
    let requests = sandbox.requests();
    let shown = &requests.last().unwrap().headers;
    assert!(shown.iter().all(|(_, value)| !value.contains("sandbox-token")), "tokens are masked: {shown:?}");
    clock.advance(Duration::from_secs(61));
    assert_eq!(call(sandbox.address(), &line, &headers, batch.as_bytes()).await.status, 401);
    assert_eq!(sandbox.stats().tokens, 1);
}

#[tokio::test]
async fn a_wrong_token_is_401_even_where_none_is_needed() {
    let line = format!("POST {EVENTS}");
    let headers = [("authorization", "Bearer nonsense")];
    assert_eq!(refused(Options::default(), &line, &headers, &format!("[{PAGE}]")).await.0, 401);
}

#[tokio::test]
async fn a_sink_counts_and_keeps_nothing() {
    let sandbox = start(Options { sink: true, ..Options::default() }).await;
    for _ in 0..2 {
        assert_eq!(post(&sandbox, EVENTS, &format!("[{CONVERSION},{PAGE}]")).await.status, 204);
    }
    assert_eq!(post(&sandbox, EVENTS, "{}").await.status, 400);
    let stats = sandbox.stats();
    assert_eq!((stats.requests, stats.events, stats.distinct_nonces), (3, 4, 2));
    assert_eq!((stats.kept_requests, stats.sites["f17c21u1ag"]), (0, 4));
    assert!(sandbox.events(&Filter::all()).is_empty());
}
