//! Faults on request, and the side door.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "common/client.rs"]
mod client;

use std::sync::Arc;
use std::time::Duration;

use anole_http::ManualClock;
use anole_sandbox::{Fault, Filter, On, Options, Poison, Reset, RetryAfter, Sandbox, Verdict};
use client::{Answer, CONVERSION, EVENTS, LONG, PAGE, call, count, post, start};
use tokio::time::timeout;

async fn send(sandbox: &Sandbox) -> Answer {
    post(sandbox, EVENTS, &format!("[{CONVERSION},{PAGE}]")).await
}

async fn door(sandbox: &Sandbox, line: &str, body: &str) -> Answer {
    call(sandbox.address(), line, &[], body.as_bytes()).await
}

#[tokio::test]
async fn a_status_is_answered_so_many_times_and_then_no_more() {
    let sandbox = start(Options::default()).await;
    let set = door(&sandbox, "POST /_sandbox/faults", r#"{"status":503,"retry_after":7,"times":2}"#).await;
    assert_eq!((set.status, set.json()[0]["left"].as_u64()), (200, Some(2)));
    for _ in 0..2 {
        let answer = send(&sandbox).await;
        assert_eq!((answer.status, answer.head.contains("retry-after: 7")), (503, true), "{}", answer.head);
    }
    assert_eq!(sandbox.stats().events, 0);
    assert_eq!(send(&sandbox).await.status, 204);
    assert_eq!(count(&sandbox, Verdict::Accepted), 2, "what was refused did not count as seen");
    assert!(sandbox.faults().is_empty());
}

#[tokio::test]
async fn a_fault_stays_until_it_is_healed_and_retry_after_may_be_a_date() {
    let sandbox = start(Options::default()).await;
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let fault = Fault { status: Some(429), retry_after: Some(RetryAfter::Text(date.to_owned())), ..Fault::default() };
    let id = sandbox.set_fault(fault).unwrap();
    for _ in 0..3 {
        let answer = send(&sandbox).await;
        assert_eq!((answer.status, answer.head.contains(date)), (429, true));
    }
    assert_eq!(sandbox.faults()[0].hits, 3);
    assert!(sandbox.heal(id));
    assert!(!sandbox.heal(id));
    assert_eq!(send(&sandbox).await.status, 204);
}

#[tokio::test]
async fn a_fault_may_hit_one_site_only() {
    let sandbox = start(Options::default()).await;
    sandbox.set_fault(Fault { status: Some(500), site: Some("3xpgeyj8p0".to_owned()), ..Fault::default() }).unwrap();
    assert_eq!(send(&sandbox).await.status, 204);
    let other = EVENTS.replace("f17c21u1ag", "3xpgeyj8p0");
    assert_eq!(post(&sandbox, &other, &format!("[{PAGE}]")).await.status, 500);
}

#[tokio::test]
async fn a_connection_is_closed_before_the_answer_or_in_its_body() {
    let sandbox = start(Options::default()).await;
    sandbox.set_fault(Fault { reset: Some(Reset::Head), times: Some(1), ..Fault::default() }).unwrap();
    let answer = send(&sandbox).await;
    assert_eq!((answer.status, answer.head.as_str()), (0, ""));
    sandbox.set_fault(Fault { reset: Some(Reset::Body), times: Some(1), ..Fault::default() }).unwrap();
    let answer = send(&sandbox).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{\"success\":"));
    assert_eq!(sandbox.stats().events, 0);
    assert_eq!(sandbox.stats().answers["none"], 1);
}

#[tokio::test]
async fn the_answer_may_be_lost_and_not_the_work() {
    let sandbox = start(Options::default()).await;
    let fault = Fault { reset: Some(Reset::Head), processed: true, times: Some(1), ..Fault::default() };
    sandbox.set_fault(fault).unwrap();
    assert_eq!(send(&sandbox).await.status, 0);
    assert_eq!(count(&sandbox, Verdict::Accepted), 2);
    assert_eq!(send(&sandbox).await.status, 204);
    assert_eq!(count(&sandbox, Verdict::Duplicate), 2, "the client cannot know, and tries again");
    assert_eq!(sandbox.stats().distinct_nonces, 2);
}

#[tokio::test]
async fn a_request_hangs_until_the_fault_is_healed() {
    let sandbox = Arc::new(start(Options::default()).await);
    sandbox.set_fault(Fault { hang: true, ..Fault::default() }).unwrap();
    let client = Arc::clone(&sandbox);
    let hanging = tokio::spawn(async move { send(&client).await });
    timeout(LONG, sandbox.wait_for(|stats| stats.requests == 1)).await.unwrap();
    assert!(!hanging.is_finished());
    sandbox.heal_all();
    assert_eq!(timeout(LONG, hanging).await.unwrap().unwrap().status, 0);
    assert_eq!(send(&sandbox).await.status, 204);
}

#[tokio::test]
async fn a_hanging_request_does_not_keep_the_sandbox_from_stopping() {
    let sandbox = start(Options::default()).await;
    sandbox.set_fault(Fault { hang: true, ..Fault::default() }).unwrap();
    let address = sandbox.address();
    let hanging =
        tokio::spawn(
            async move { call(address, &format!("POST {EVENTS}"), &[], format!("[{PAGE}]").as_bytes()).await },
        );
    timeout(LONG, sandbox.wait_for(|stats| stats.requests == 1)).await.unwrap();
    timeout(LONG, sandbox.stop()).await.unwrap();
    assert_eq!(hanging.await.unwrap().status, 0);
}

#[tokio::test]
async fn a_delay_holds_the_answer_back() {
    let sandbox = start(Options::default()).await;
    sandbox.set_fault(Fault { delay_ms: Some(120), times: Some(1), ..Fault::default() }).unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(send(&sandbox).await.status, 204, "a delay decides nothing else");
    assert!(begun.elapsed() >= Duration::from_millis(120));
    assert_eq!(sandbox.stats().events, 2);
}

#[tokio::test]
async fn poison_refuses_the_batch_that_holds_it_and_no_other() {
    let sandbox = start(Options::default()).await;
    let set = door(&sandbox, "POST /_sandbox/faults", r#"{"poison":{"goals":[36151]}}"#).await;
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(send(&sandbox).await.status, 400);
    assert_eq!(post(&sandbox, EVENTS, &format!("[{PAGE}]")).await.status, 204);
    sandbox.heal_all();
    for poison in [
        Poison { nonces: ["1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d".to_owned()].into(), ..Poison::default() },
        Poison { visitors: ["245fc8a1b9".to_owned()].into(), ..Poison::default() },
        Poison { fraction: 1.0, ..Poison::default() },
    ] {
        sandbox.set_fault(Fault { poison: Some(poison), ..Fault::default() }).unwrap();
        assert_eq!(send(&sandbox).await.status, 400);
        sandbox.heal_all();
    }
    assert_eq!(send(&sandbox).await.status, 204);
}

#[tokio::test]
async fn a_fraction_poisons_always_the_same_events() {
    let sandbox = start(Options { nonce: anole_sandbox::NonceForm::Any, ..Options::default() }).await;
    let poison = Poison { fraction: 0.3, ..Poison::default() };
    sandbox.set_fault(Fault { poison: Some(poison), ..Fault::default() }).unwrap();
    let mut refused = [0, 0];
    for seen in &mut refused {
        for number in 0..200 {
            let event = PAGE.replace("1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d", &format!("nonce-{number}"));
            if post(&sandbox, EVENTS, &format!("[{event}]")).await.status == 400 {
                *seen += 1;
            }
        }
    }
    assert_eq!(refused[0], refused[1]);
    assert!((35..85).contains(&refused[0]), "{refused:?}");
    assert_eq!(sandbox.stats().distinct_nonces, 200 - refused[0]);
}

#[tokio::test]
async fn a_rate_lets_so_many_requests_per_second_pass() {
    let clock = Arc::new(ManualClock::default());
    let sandbox = start(Options { clock: clock.clone(), ..Options::default() }).await;
    let fault = Fault { rate: Some(2.0), retry_after: Some(RetryAfter::Seconds(1)), ..Fault::default() };
    sandbox.set_fault(fault).unwrap();
    let mut statuses = Vec::new();
    for step in 0..6 {
        if step == 3 {
            clock.advance(Duration::from_millis(500));
        }
        statuses.push(send(&sandbox).await.status);
    }
    assert_eq!(statuses, [204, 204, 429, 204, 429, 429]);
}

#[tokio::test]
async fn events_may_be_lost_behind_a_success() {
    let sandbox = start(Options::default()).await;
    sandbox.set_fault(Fault { lose: true, times: Some(1), ..Fault::default() }).unwrap();
    assert_eq!(send(&sandbox).await.status, 204);
    assert_eq!((count(&sandbox, Verdict::Lost), sandbox.stats().reasons["fault"]), (2, 2));
}

#[tokio::test]
async fn the_token_endpoint_has_faults_of_its_own() {
    let sandbox = start(Options::default()).await;
    sandbox.set_fault(Fault { status: Some(500), on: On::Token, times: Some(1), ..Fault::default() }).unwrap();
    assert_eq!(send(&sandbox).await.status, 204);
    let form = "grant_type=client_credentials&client_id=a&client_secret=b";
    assert_eq!(post(&sandbox, "/oauth/token", form).await.status, 500);
    let issued = post(&sandbox, "/oauth/token", form).await;
    assert_eq!(issued.status, 200);
    let bearer = format!("Bearer {}", issued.json()["access_token"].as_str().unwrap());
    let line = format!("POST {EVENTS}");
    let good = call(sandbox.address(), &line, &[("authorization", &bearer)], format!("[{PAGE}]").as_bytes()).await;
    assert_eq!(good.status, 204);
    assert_eq!(door(&sandbox, "DELETE /_sandbox/tokens", "").await.status, 204);
    let revoked = call(sandbox.address(), &line, &[("authorization", &bearer)], format!("[{PAGE}]").as_bytes()).await;
    assert_eq!(revoked.status, 401);
}

#[tokio::test]
async fn a_fault_that_makes_no_sense_is_refused_with_a_reason() {
    let sandbox = start(Options::default()).await;
    for (fault, says) in [
        ("{}", "does nothing"),
        (r#"{"status":204}"#, "300 to 599"),
        (r#"{"status":500,"hang":true}"#, "exclude each other"),
        (r#"{"poison":{}}"#, "names no event"),
        (r#"{"poison":{"fraction":2}}"#, "from 0 to 1"),
        (r#"{"rate":0}"#, "above 0"),
        (r#"{"status":500,"times":0}"#, "at least 1"),
        (r#"{"statos":500}"#, "statos"),
        ("[{\"status\":500},{}]", "does nothing"),
        ("nonsense", "not JSON"),
    ] {
        let answer = door(&sandbox, "POST /_sandbox/faults", fault).await;
        assert_eq!((answer.status, answer.text().contains(says)), (400, true), "{fault}: {}", answer.text());
    }
    assert!(sandbox.faults().is_empty(), "of a list all or none are set");
}

#[tokio::test]
async fn faults_are_listed_and_healed_through_the_side_door() {
    let sandbox = start(Options::default()).await;
    let both = r#"[{"status":500,"times":3},{"poison":{"visitors":["v"]},"site":"3xpgeyj8p0"}]"#;
    door(&sandbox, "POST /_sandbox/faults", both).await;
    send(&sandbox).await;
    let list = door(&sandbox, "GET /_sandbox/faults", "").await.json();
    assert_eq!(
        (list[0]["id"].as_u64(), list[0]["hits"].as_u64(), list[0]["left"].as_u64()),
        (Some(1), Some(1), Some(2))
    );
    assert_eq!(list[1]["poison"]["visitors"][0], "v");
    assert_eq!(door(&sandbox, "DELETE /_sandbox/faults?id=1", "").await.status, 204);
    assert_eq!(door(&sandbox, "DELETE /_sandbox/faults?id=1", "").await.status, 404);
    assert_eq!(sandbox.faults().len(), 1);
    assert_eq!(door(&sandbox, "DELETE /_sandbox/faults", "").await.status, 204);
    assert!(sandbox.faults().is_empty());
}

#[tokio::test]
async fn events_are_filtered_and_come_newest_last() {
    let sandbox = start(Options::default()).await;
    let other = CONVERSION.replace("9f1c", "8f1c").replace("36151", "7").replace("245fc8a1b9", "someone");
    post(&sandbox, EVENTS, &format!("[{CONVERSION},{PAGE}]")).await;
    post(&sandbox, &EVENTS.replace("f17c21u1ag", "3xpgeyj8p0"), &format!("[{other}]")).await;
    for (query, numbers) in [
        ("", vec![1, 2, 3]),
        ("?limit=2", vec![2, 3]),
        ("?after=1", vec![2, 3]),
        ("?visitor=someone", vec![3]),
        ("?type=conversion", vec![1, 3]),
        ("?goal=36151", vec![1]),
        ("?site=f17c21u1ag", vec![1, 2]),
        ("?request=2", vec![3]),
        ("?verdict=lost", vec![]),
        ("?nonce=1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d", vec![2]),
    ] {
        let page = door(&sandbox, &format!("GET /_sandbox/events{query}"), "").await.json();
        let found: Vec<_> = page["events"].as_array().unwrap().iter().map(|e| e["number"].as_u64().unwrap()).collect();
        assert_eq!(found, numbers, "{query}");
        assert_eq!(page["newest"], 3);
    }
    let page = door(&sandbox, "GET /_sandbox/events?limit=1", "").await.json();
    assert_eq!(page["events"][0]["raw"], other.as_str(), "the exact text");
    assert_eq!(door(&sandbox, "GET /_sandbox/events?verdict=good", "").await.status, 400);
    assert_eq!(door(&sandbox, "GET /_sandbox/events?colour=red", "").await.status, 400);
}

#[tokio::test]
async fn requests_are_kept_with_their_bytes_and_their_answers() {
    let sandbox = start(Options::default()).await;
    let odd = b"[{\"nonce\":\"\xff\"}]";
    call(sandbox.address(), &format!("POST {EVENTS}"), &[("x-extra", "1")], odd).await;
    send(&sandbox).await;
    let page = door(&sandbox, "GET /_sandbox/requests", "").await.json();
    let (first, second) = (&page["requests"][0], &page["requests"][1]);
    assert_eq!((first["status"].as_u64(), first["utf8"].as_bool()), (Some(400), Some(false)));
    assert!(first["headers"].as_array().unwrap().iter().any(|pair| pair[0] == "x-extra" && pair[1] == "1"));
    assert_eq!((second["status"].as_u64(), second["events"].as_u64()), (Some(204), Some(2)));
    assert_eq!(second["body"], format!("[{CONVERSION},{PAGE}]"));
    assert_eq!(second["verdicts"]["accepted"], 2);
    assert_eq!(door(&sandbox, "GET /_sandbox/requests/1/body", "").await.body, odd);
    assert_eq!(door(&sandbox, "GET /_sandbox/requests/9/body", "").await.status, 404);
    let refused = door(&sandbox, "GET /_sandbox/requests?status=400", "").await.json();
    assert_eq!(refused["requests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_live_page_is_told_what_is_new_and_a_reset_forgets() {
    let sandbox = start(Options::default()).await;
    send(&sandbox).await;
    let page = door(&sandbox, "GET /_sandbox/live?after=1&request=0", "").await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!(page["requests"].as_array().unwrap().len(), 1);
    assert_eq!(page["stats"]["verdicts"]["accepted"], 2);
    assert_eq!(page["newest"], 2);
    assert_eq!(door(&sandbox, "DELETE /_sandbox/events", "").await.status, 204);
    assert_eq!(sandbox.stats().events, 0);
    assert!(sandbox.events(&Filter::all()).is_empty());
    assert_eq!(door(&sandbox, "GET /_sandbox/stats", "").await.json()["distinct_nonces"], 0);
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_change_anything() {
    let sandbox = start(Options::default()).await;
    let own = sandbox.url();
    let body = br#"{"status":500}"#;
    for (origin, status) in [("https://evil.example", 403), ("null", 403), (own.as_str(), 200)] {
        let answer = call(sandbox.address(), "POST /_sandbox/faults", &[("origin", origin)], body).await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn the_page_is_served_under_a_policy_that_runs_nothing_else() {
    let sandbox = start(Options::default()).await;
    let page = door(&sandbox, "GET /", "").await;
    assert!(page.head.contains("default-src 'none'"), "{}", page.head);
    assert!(page.text().contains("/_sandbox/page.js") && page.text().contains("/_sandbox/page.css"));
    for part in ["page.js", "page.css"] {
        let answer = door(&sandbox, &format!("GET /_sandbox/{part}"), "").await;
        assert_eq!((answer.status, answer.body.is_empty()), (200, false));
    }
}
