//! The console and the API from outside: who is let in, what is refused, and that the API is what its description says.

use std::path::Path;

use anole_sandbox::{Fault, Options, Sandbox};
use anole_testkit::{Daemon, Folder, client};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bench::{BINARY, Bench, GOAL, PATIENCE, pipeline, read, track};

const EVIL: &str = "<script>alert(1)</script>";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(pair).collect()
}

/// A daemon that asks for a token.
async fn with_token() -> (Daemon, Folder) {
    let folder =
        Folder::with_settings(&pipeline("http://127.0.0.1:1", "", ""), "delivery: { allow_private_addresses: true }");
    let text = std::fs::read_to_string(folder.config()).unwrap();
    let listen = "admin: { listen: \"127.0.0.1:0\"";
    assert!(text.contains(listen));
    folder.write("anole.yaml", &text.replace(listen, &format!("{listen}, token: \"a-long-token\"")));
    (Daemon::start(Path::new(BINARY), &folder.config()).await.unwrap(), folder)
}

/// Sends text as it is; what is answered until the end, or until the connection is cut.
async fn raw(to: std::net::SocketAddr, text: &str) -> String {
    let (mut reads, mut writes) = tokio::net::TcpStream::connect(to).await.unwrap().into_split();
    let text = text.to_owned();
    let sending = tokio::spawn(async move {
        // Whoever refuses need not read to the end.
        let _cut = writes.write_all(text.as_bytes()).await;
        writes
    });
    let mut answer = Vec::new();
    let _cut = tokio::time::timeout(PATIENCE, reads.read_to_end(&mut answer)).await;
    drop(sending.await);
    String::from_utf8_lossy(&answer).into_owned()
}

fn without_redirects() -> reqwest::Client {
    drop(client());
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

#[tokio::test]
async fn without_the_token_nothing_is_shown_and_nothing_is_done() {
    let (daemon, _folder) = with_token().await;
    let http = without_redirects();
    for path in ["/api/lanes", "/api/feed", "/api/openapi.json", "/metrics", "/events"] {
        for given in ["", "Bearer ", "Bearer a-long-toke", "Bearer a-long-token2", "Basic YTpi"] {
            let (status, text) =
                read(http.get(daemon.admin_url(path)).headers(headers(&[("authorization", given)]))).await;
            assert_eq!(status, 401, "{path} with {given:?}: {text}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["code"], "unauthorised");
        }
    }
    let (status, _) = read(http.post(daemon.admin_url("/api/lanes/shop/kameleoon/pause"))).await;
    assert_eq!(status, 401);
    let right = headers(&[("authorization", "Bearer a-long-token")]);
    assert_eq!(read(http.get(daemon.admin_url("/api/lanes")).headers(right)).await.0, 200);
    assert_eq!(read(http.get(daemon.admin_url("/healthz"))).await.0, 200, "a load balancer has no token");
}

#[tokio::test]
async fn a_browser_signs_in_and_out() {
    let (daemon, _folder) = with_token().await;
    let http = without_redirects();
    let browser = headers(&[("accept", "text/html"), ("sec-fetch-site", "same-origin")]);
    let led = http.get(daemon.admin_url("/events?q=a")).headers(browser.clone()).send().await.unwrap();
    assert_eq!(
        (led.status().as_u16(), led.headers()[LOCATION].to_str().unwrap()),
        (303, "/login?to=%2Fevents%3Fq%3Da")
    );
    let enter = |token: &str, to: &str| {
        let form = format!("token={token}&to={to}");
        let typed = ("content-type", "application/x-www-form-urlencoded");
        http.post(daemon.admin_url("/login")).headers(browser.clone()).headers(headers(&[typed])).body(form)
    };
    let wrong = enter("guess", "%2F").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert!(!wrong.headers().contains_key(SET_COOKIE));
    let elsewhere = enter("a-long-token", "https%3A%2F%2Fevil.example").send().await.unwrap();
    assert_eq!(elsewhere.headers()[LOCATION], "/", "nobody is led to another site");
    let right = enter("a-long-token", "%2Fevents%3Fq%3Da").send().await.unwrap();
    assert_eq!((right.status().as_u16(), right.headers()[LOCATION].to_str().unwrap()), (303, "/events?q=a"));
    let cookie = right.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict;") && !cookie.contains("a-long-token"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let known = headers(&[("accept", "text/html"), ("sec-fetch-site", "same-origin"), ("cookie", pair)]);
    let (status, page) = read(http.get(daemon.admin_url("/events")).headers(known.clone())).await;
    assert_eq!(status, 200);
    assert!(page.contains("Sign out"));
    let (status, _) = read(http.post(daemon.admin_url("/lanes/shop/kameleoon/pause")).headers(known)).await;
    assert_eq!(status, 303, "a click of the person who signed in");
    let foreign = headers(&[("sec-fetch-site", "cross-site"), ("cookie", pair)]);
    let (status, text) = read(http.post(daemon.admin_url("/lanes/shop/kameleoon/resume")).headers(foreign)).await;
    assert_eq!(status, 403, "{text}");
    let changed = format!("{pair}0");
    let forged = headers(&[("accept", "text/html"), ("cookie", &changed)]);
    assert_eq!(read(http.get(daemon.admin_url("/events")).headers(forged)).await.0, 303);
    let left = http.post(daemon.admin_url("/logout")).headers(browser).send().await.unwrap();
    assert!(left.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn what_another_site_makes_a_browser_send_is_refused() {
    let bench = Bench::new().await;
    for foreign in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for path in
            ["/lanes/shop/kameleoon/pause", "/api/lanes/shop/kameleoon/pause", "/parked/discard", "/reload", "/theme"]
        {
            let (status, text) = read(bench.http.post(bench.daemon.admin_url(path)).headers(headers(&[foreign]))).await;
            assert_eq!(status, 403, "{path} {foreign:?}: {text}");
            assert!(text.contains("cross_site"), "{text}");
        }
    }
    let (status, text) =
        read(bench.http.get(bench.daemon.admin_url("/")).headers(headers(&[("host", "evil.example")]))).await;
    assert_eq!((status, text.contains("wrong_host")), (403, true), "a name that somebody else owns: {text}");
    let answer = bench.http.get(bench.daemon.admin_url("/events")).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn paths_that_climb_and_queries_without_end_are_refused() {
    let bench = Bench::new().await;
    for path in [
        "/assets/../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/../anole.yaml",
        "/api/../metrics/x",
    ] {
        // Sent as it is: a client would tidy it up.
        let text =
            raw(bench.daemon.admin, &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"))
                .await;
        assert!(text.starts_with("HTTP/1.1 404"), "{path}: {text}");
        assert!(!text.contains("root:"), "{text}");
    }
    let (status, text) =
        read(bench.http.get(bench.daemon.admin_url(&format!("/api/events?any={}", "a".repeat(20_000))))).await;
    assert_eq!((status, text.contains("query_too_long")), (414, true), "{text}");
    let endless = format!("GET /events?q={} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "a".repeat(10 << 20));
    let text = raw(bench.daemon.admin, &endless).await;
    // The answer may be lost when the connection is cut while bytes are still on their way.
    let is_refused = text.is_empty() || text.starts_with("HTTP/1.1 414") || text.starts_with("HTTP/1.1 431");
    assert!(is_refused, "{}", &text[..text.len().min(200)]);
    assert_eq!(read(bench.http.get(bench.daemon.admin_url("/healthz"))).await.0, 200, "and it lives");
}

#[tokio::test]
async fn markup_in_events_is_text_on_every_page() {
    let bench = Bench::with("", GOAL).await;
    let body = |id: &str, event: &str| {
        let all = json!({ "event": event, "anonymousId": EVIL, "userId": EVIL, "messageId": format!("{id}{EVIL}"),
            "properties": { "order_id": EVIL, EVIL: EVIL, "revenue": EVIL } });
        all.to_string()
    };
    bench.accept("/v1/t", &body("unmapped", EVIL), None).await;
    bench.accept("/v1/t", &body("parked", "Order Completed"), None).await;
    let id = |id: &str| format!("{id}{EVIL}").bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    bench.story(&id("parked"), "parked").await;
    bench.story(&id("unmapped"), "filtered").await;
    for path in [
        "/".to_owned(),
        "/events".to_owned(),
        format!("/events?q={}", id("")),
        format!("/events?state={}&from={}", id(""), id("")),
        format!("/events/{}", id("parked")),
        format!("/events/{}?dry=1", id("unmapped")),
        format!("/events/{}", id("nowhere")),
        "/parked".to_owned(),
        "/parked/1".to_owned(),
        format!("/parked/problem?event={}", id("")),
        "/parked/problem?lane=shop%2Fkameleoon".to_owned(),
        "/pipelines".to_owned(),
        format!("/integrations/kameleoon?s.site_code={}", id("")),
        format!("/tester?message_id={}", id("parked")),
        format!("/live?event={}", id("")),
        format!("/nowhere{}", id("")),
    ] {
        let (status, page) = read(bench.http.get(bench.daemon.admin_url(&path)).header("accept", "text/html")).await;
        assert!(status < 500, "{path}: {status}");
        assert!(!page.contains("<script>alert"), "{path}");
        let scripts = page.matches("<script").count();
        assert_eq!(page.matches("<script src=\"/assets/").count(), scripts, "{path}");
    }
    let (_, page) = read(bench.http.get(bench.daemon.admin_url("/events")).header("accept", "text/html")).await;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[tokio::test]
async fn the_api_answers_as_its_description_says() {
    let bench = Bench::with("", GOAL).await;
    let order = r#"{"revenue":23.50,"order_id":"ORD-1"}"#;
    bench.accept("/v1/t", &track("m-delivered", "Order Completed", order), None).await;
    bench.accept("/v1/t", &track("m-parked", "Order Completed", r#"{"revenue":"x"}"#), None).await;
    bench.accept("/v1/t", &track("m-filtered", "Cart Viewed", "{}"), None).await;
    bench.story("m-delivered", "delivered").await;
    bench.story("m-parked", "parked").await;
    bench.story("m-filtered", "filtered").await;
    bench.sandbox.set_fault(Fault { status: Some(500), ..Fault::default() }).unwrap();
    bench.accept("/v1/t", &track("m-waiting", "Order Completed", order), None).await;
    bench.story("m-waiting", "waiting").await;
    let document: Value = get(&bench, "/api/openapi.json").await.1;
    assert!(document["info"]["version"].as_str().unwrap().starts_with("0."));
    let attempt = get(&bench, "/api/deliveries").await.1["items"][0]["id"].as_str().unwrap().to_owned();
    let parked = get(&bench, "/api/parked").await.1[0]["id"].as_str().unwrap().to_owned();
    let asked = [
        ("/api/journal", "/api/journal".to_owned()),
        ("/api/lanes", "/api/lanes".to_owned()),
        ("/api/events", "/api/events?limit=2".to_owned()),
        ("/api/events", "/api/events?state=nonsense".to_owned()),
        ("/api/events", "/api/events?nonsense=1".to_owned()),
        ("/api/events/{id}", "/api/events/m-delivered".to_owned()),
        ("/api/events/{id}", "/api/events/m-parked".to_owned()),
        ("/api/events/{id}", "/api/events/m-filtered".to_owned()),
        ("/api/events/{id}", "/api/events/m-waiting".to_owned()),
        ("/api/events/{id}", "/api/events/nowhere".to_owned()),
        ("/api/deliveries", "/api/deliveries?limit=1".to_owned()),
        ("/api/deliveries", "/api/deliveries?after=nonsense".to_owned()),
        ("/api/deliveries/{id}", format!("/api/deliveries/{attempt}")),
        ("/api/deliveries/{id}", "/api/deliveries/nonsense".to_owned()),
        ("/api/histogram", "/api/histogram".to_owned()),
        ("/api/statistics", "/api/statistics".to_owned()),
        ("/api/history", "/api/history".to_owned()),
        ("/api/parked", "/api/parked".to_owned()),
        ("/api/parked", "/api/parked?reason=nonsense".to_owned()),
        ("/api/parked/{id}", format!("/api/parked/{parked}")),
        ("/api/parked/{id}", "/api/parked/999".to_owned()),
        ("/api/replays", "/api/replays".to_owned()),
        ("/api/forget", "/api/forget".to_owned()),
    ];
    for (route, path) in &asked {
        let (status, answer) = get(&bench, path).await;
        holds(&document, ("get", route), status, &answer, path);
    }
    let described = document["paths"].as_object().unwrap().iter().filter(|(_, methods)| methods.get("get").is_some());
    for (route, _) in described.filter(|(route, _)| !["/api/feed", "/api/openapi.json"].contains(&route.as_str())) {
        assert!(asked.iter().any(|(known, _)| known == route), "{route} is described and was not asked");
    }
    posts(&bench, &document).await;
}

/// What changes something.
async fn posts(bench: &Bench, document: &Value) {
    bench.sandbox.heal_all();
    let lane = "/api/lanes/{pipeline}/{destination}";
    for (route, path, body) in [
        (
            "/api/parked/replay".to_owned(),
            "/api/parked/replay",
            json!({ "filter": { "event": "Order Completed" }, "dry_run": true }),
        ),
        ("/api/parked/replay".to_owned(), "/api/parked/replay", json!({ "filter": { "event": "Order Completed" } })),
        ("/api/parked/replay".to_owned(), "/api/parked/replay", json!({ "nonsense": 1 })),
        ("/api/replay".to_owned(), "/api/replay", json!({ "message_id": "m-delivered", "dry_run": true })),
        ("/api/replay".to_owned(), "/api/replay", json!({})),
        (
            "/api/parked/discard".to_owned(),
            "/api/parked/discard",
            json!({ "filter": { "message_id": "m-parked" }, "dry_run": true }),
        ),
        ("/api/parked/discard".to_owned(), "/api/parked/discard", json!({ "filter": { "message_id": "nowhere" } })),
        ("/api/forget".to_owned(), "/api/forget", json!({ "visitor": "visitor-1", "dry_run": true })),
        ("/api/forget".to_owned(), "/api/forget", json!({ "visitor": "visitor-1" })),
        ("/api/forget".to_owned(), "/api/forget", json!({ "visitor": "a", "user": "b" })),
        ("/api/forget".to_owned(), "/api/forget", json!({ "visitor": "a", "pipeline": "nowhere" })),
        ("/api/forget".to_owned(), "/api/forget", json!({ "nonsense": 1 })),
        (format!("{lane}/pause"), "/api/lanes/shop/kameleoon/pause", json!({})),
        (format!("{lane}/resume"), "/api/lanes/shop/kameleoon/resume", json!({})),
        (format!("{lane}/pause"), "/api/lanes/shop/nowhere/pause", json!({})),
        (format!("{lane}/release"), "/api/lanes/shop/kameleoon/release", json!({})),
        (format!("{lane}/rename"), "/api/lanes/shop/kameleoon/rename", json!({ "to": "shop/other" })),
        ("/api/reload".to_owned(), "/api/reload", json!({})),
    ] {
        let request = bench.http.post(bench.daemon.admin_url(path)).header("content-type", "application/json");
        let (status, text) = read(request.body(body.to_string())).await;
        let answer = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        holds(document, ("post", &route), status, &answer, &format!("{path} {body}"));
    }
    let plain = bench.http.post(bench.daemon.admin_url("/api/replay")).body("{}");
    let (status, text) = read(plain).await;
    holds(document, ("post", "/api/replay"), status, &serde_json::from_str(&text).unwrap(), "not called JSON");
}

async fn get(bench: &Bench, path: &str) -> (u16, Value) {
    let (status, text) = read(bench.http.get(bench.daemon.admin_url(path))).await;
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")))
}

/// Checks an answer against what is described.
fn holds(document: &Value, (method, route): (&str, &str), status: u16, answer: &Value, what: &str) {
    let described = &document["paths"][route][method]["responses"][status.to_string()];
    let described = match described["$ref"].as_str() {
        Some(named) => &document["components"]["responses"][named.rsplit('/').next().unwrap()],
        None => described,
    };
    let mut schema = described["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{what} answered {status}, which is not described: {answer}");
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<_> =
        validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what}: {}\n{answer}", wrong.join("\n"));
}

#[tokio::test]
async fn an_empty_daemon_shows_each_page_and_says_what_to_do() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let bench = Bench::start(sandbox, "pipeline: shop\nkeys: [{ key: dk_test_shop }]\ndestinations: []\n", "").await;
    for (path, words) in [
        ("/", "no pipeline has a destination"),
        ("/events", "No event has come in yet"),
        ("/deliveries", "No request was made yet"),
        ("/parked", "Nothing is parked"),
        ("/lanes", "No pipeline has a destination"),
        ("/pipelines", "It has no destination"),
        ("/integrations", "Kameleoon Data API"),
        ("/tester", "Nothing tried yet"),
        ("/live", "Waiting for events"),
        ("/events/nowhere", "There is no such event"),
        ("/deliveries/nowhere", "There is no such attempt"),
        ("/parked/9", "Nothing is parked under this number"),
        ("/nowhere", "There is no such page"),
    ] {
        let (_, page) = read(bench.http.get(bench.daemon.admin_url(path)).header("accept", "text/html")).await;
        assert!(page.contains(words), "{path}: {page}");
    }
}
