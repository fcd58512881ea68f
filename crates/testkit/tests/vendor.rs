//! The fake vendor does what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

use std::collections::HashSet;
use std::time::Duration;

use anole_testkit::client;
use anole_testkit::vendor::{AUTHORITY, Certificate, Fault, Place, RetryAfter, Vendor};

const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a request: status and `Retry-After`, or the error in words.
async fn ask(http: &reqwest::Client, vendor: &Vendor, scheme: &str, nonce: &str) -> Result<(u16, String), String> {
    let body = format!(r#"[{{"nonce":"{nonce}","visitorCode":"v"}}]"#);
    let url = format!("{scheme}://{}/events", vendor.address());
    let answer = http.post(url).body(body).send().await;
    let mut answer = answer.map_err(|error| format!("{error:?}"))?;
    let wait = answer.headers().get("retry-after").map_or("", |value| value.to_str().unwrap()).to_owned();
    while answer.chunk().await.map_err(|error| format!("{error:?}"))?.is_some() {}
    Ok((answer.status().as_u16(), wait))
}

#[tokio::test]
async fn it_answers_what_it_is_told_and_keeps_what_it_took_in() {
    let (vendor, http) = (Vendor::start(1).await, client());
    assert_eq!(ask(&http, &vendor, "http", "a").await, Ok((204, String::new())));
    vendor.set(Fault::Status(500));
    assert_eq!(ask(&http, &vendor, "http", "b").await, Ok((500, String::new())));
    vendor.set(Fault::Busy(429, RetryAfter::Text("soon".to_owned())));
    assert_eq!(ask(&http, &vendor, "http", "b").await, Ok((429, "soon".to_owned())));
    vendor.set(Fault::Busy(503, RetryAfter::DateIn(PATIENCE)));
    assert!(ask(&http, &vendor, "http", "b").await.unwrap().1.ends_with(" GMT"));
    vendor.set(Fault::Poison(HashSet::from(["b".to_owned()])));
    assert_eq!(ask(&http, &vendor, "http", "b").await.unwrap().0, 400);
    assert_eq!(ask(&http, &vendor, "http", "a").await.unwrap().0, 204);
    let counts = vendor.counts();
    assert_eq!((counts.requests, counts.taken_in, counts.events, counts.distinct), (6, 2, 2, 1));
    let requests = vendor.requests();
    let new: Vec<_> = requests.iter().map(|request| request.new).collect();
    assert_eq!(new, [1, 1, 0, 0, 0, 0]);
    assert!(requests.iter().all(|request| request.is_answered()));
    assert_eq!((requests[0].events[0].nonce.as_str(), requests[0].events[0].visitor.as_str()), ("a", "v"));
}

#[tokio::test]
async fn it_refuses_connections_and_listens_at_the_same_port_again() {
    let (vendor, http) = (Vendor::start(1).await, client());
    ask(&http, &vendor, "http", "a").await.unwrap();
    for _ in 0..3 {
        vendor.set(Fault::Refused);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !ask(&http, &vendor, "http", "b").await.is_err_and(|error| error.contains("ConnectionRefused")) {
            assert!(tokio::time::Instant::now() < deadline);
        }
        vendor.heal();
        while ask(&http, &vendor, "http", "b").await.is_err() {
            assert!(tokio::time::Instant::now() < deadline);
        }
    }
}

#[tokio::test]
async fn it_breaks_connections_where_it_is_told() {
    let (vendor, http) = (Vendor::start(1).await, client());
    for (fault, words) in [
        (Fault::Reset(Place::Accept), "ConnectionReset"),
        (Fault::Reset(Place::Header), "ConnectionReset"),
        (Fault::Reset(Place::Body), "ConnectionReset"),
        (Fault::Garbage, "Parse"),
    ] {
        vendor.set(fault.clone());
        let error = ask(&http, &vendor, "http", "a").await.unwrap_err();
        assert!(error.contains(words), "{fault:?}: {error}");
    }
    assert_eq!(vendor.counts().taken_in, 2, "the answer broke off, the work was done");
    assert!(vendor.requests().iter().all(|request| !request.is_answered()));
    for place in [Place::Header, Place::Body] {
        for fault in [Fault::Hang(place), Fault::Trickle(place)] {
            vendor.set(fault.clone());
            let asked = tokio::time::timeout(Duration::from_millis(300), ask(&http, &vendor, "http", "a")).await;
            assert!(asked.is_err(), "{fault:?}: {asked:?}");
        }
    }
    vendor.set(Fault::Flood(1 << 20));
    assert_eq!(ask(&http, &vendor, "http", "a").await.unwrap().0, 200);
}

#[tokio::test]
async fn it_lets_so_many_requests_pass_in_a_second() {
    let (vendor, http) = (Vendor::start(1).await, client());
    vendor.set(Fault::Limit(5.0));
    let mut passed = 0;
    for _ in 0..20 {
        passed += u64::from(ask(&http, &vendor, "http", "a").await.unwrap().0 == 204);
    }
    assert!(passed >= 5 && vendor.counts().taken_in == passed, "{passed}");
    vendor.set(Fault::Odd(HashSet::from(["b".to_owned()])));
    assert_eq!(ask(&http, &vendor, "http", "a").await.unwrap().0, 204);
    assert_eq!(ask(&http, &vendor, "http", "b").await.unwrap().0, 500);
    vendor.set(Fault::Random(1.0));
    assert_eq!(ask(&http, &vendor, "http", "a").await.unwrap().0, 500);
}

#[tokio::test]
async fn it_shows_the_certificate_it_is_told_to_show() {
    let vendor = Vendor::start(1).await;
    let _plain = client();
    let authority = reqwest::Certificate::from_pem(AUTHORITY.as_bytes()).unwrap();
    for (certificate, words) in [
        (Certificate::Good, None),
        (Certificate::Expired, Some("Expired")),
        (Certificate::OtherName, Some("NotValidForName")),
        (Certificate::Stranger, Some("UnknownIssuer")),
    ] {
        vendor.set_certificate(Some(certificate));
        // A new one each time: a connection that is kept shows no certificate again.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([authority.clone()]).build().unwrap();
        let asked = ask(&http, &vendor, "https", "a").await;
        match words {
            None => assert_eq!(asked, Ok((204, String::new()))),
            Some(words) => {
                assert!(asked.as_ref().is_err_and(|error| error.contains(words)), "{certificate:?}: {asked:?}");
            }
        }
    }
}
