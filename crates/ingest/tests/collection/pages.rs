//! What pages and their scripts need beside the routes themselves: CORS, origins, settings, the collector.

use anole_ingest::IngestOptions;
use http::Method;

use crate::world::{World, shop};

const PAGE: &str = r#"{"anonymousId":"a"}"#;

#[tokio::test]
async fn a_preflight_is_answered_everywhere() {
    let world = World::new();
    for path in ["/v1/t", "/v1/b", "/mp/collect", "/anole.js", "/anywhere"] {
        let headers =
            [("origin", "https://shop.test"), ("access-control-request-headers", "authorization,x-retry-count")];
        let answer = world.send(Method::OPTIONS, path, &headers, "").await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "https://shop.test");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, OPTIONS");
        assert_eq!(answer.header("access-control-max-age"), "86400");
        assert_eq!(answer.header("vary"), "Origin");
        for name in [
            "authorization",
            "content-type",
            "x-retry-count",
            "x-write-key",
            "x-enable-debug",
            "x-ip-policy",
            "cache-control",
        ] {
            assert!(answer.header("access-control-allow-headers").split(", ").any(|it| it == name), "{name}");
        }
    }
}

#[tokio::test]
async fn every_answer_can_be_read_by_the_page_that_asked() {
    let world = World::new();
    let origin = ("origin", "https://shop.test");
    let answers = [
        world.post("/v1/page", &[origin, ("x-write-key", "wk")], PAGE).await,
        world.post("/v1/page", &[origin, ("x-write-key", "nope")], PAGE).await,
        world.post("/nowhere", &[origin], PAGE).await,
    ];
    for answer in answers {
        assert_eq!(answer.header("access-control-allow-origin"), "https://shop.test", "{}", answer.text);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(answer.header("vary"), "Origin");
    }
    let plain = world.call("/v1/page", PAGE).await;
    assert_eq!(plain.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_key_for_some_pages_is_403_on_others_and_they_can_read_why() {
    let world = World::new();
    let with = |origin: &'static str| [("origin", origin), ("x-write-key", "page")];
    world.post("/v1/page", &with("https://shop.test"), PAGE).await.assert_accepted();
    let answer = world.post("/v1/page", &with("https://evil.test"), PAGE).await;
    answer.assert_refused(403, "origin_not_allowed", "origin");
    assert!(answer.json()["message"].as_str().unwrap().contains("https://evil.test"));
    assert_eq!(answer.header("access-control-allow-origin"), "https://evil.test");
    let in_body = r#"{"anonymousId":"a","writeKey":"page"}"#;
    world.post("/v1/page", &[("origin", "null")], in_body).await.assert_refused(403, "origin_not_allowed", "origin");
    world.post("/v1/page", &[], in_body).await.assert_accepted();
    assert_eq!(world.journal.events().len(), 2);
}

#[tokio::test]
async fn the_settings_point_a_client_to_where_it_asked() {
    let world = World::new();
    for path in ["/v1/projects/wk/settings", "/projects/wk/settings"] {
        let answer = world.get(path, &[("origin", "http://shop.test")]).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        let segment = answer.json()["integrations"]["Segment.io"].clone();
        assert_eq!(
            (&segment["apiKey"], &segment["apiHost"], &segment["protocol"]),
            (&"wk".into(), &"data.shop.test/v1".into(), &"http".into())
        );
    }
    let secure = world.get("/v1/projects/wk/settings", &[("origin", "https://shop.test")]).await;
    assert_eq!(secure.json()["integrations"]["Segment.io"]["protocol"], "https");
    world.get("/v1/projects/nope/settings", &[]).await.assert_refused(404, "invalid_write_key", "unknown_key");
    let other = world.get("/v1/projects/page/settings", &[("origin", "https://evil.test")]).await;
    other.assert_refused(403, "origin_not_allowed", "origin");

    let options = IngestOptions { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..IngestOptions::default() };
    let world = World::with(options, vec![shop()]);
    let headers = [("x-forwarded-host", "events.shop.test"), ("x-forwarded-proto", "https")];
    let answer = world.get("/v1/projects/wk/settings", &headers).await;
    let segment = answer.json()["integrations"]["Segment.io"].clone();
    assert_eq!((&segment["apiHost"], &segment["protocol"]), (&"events.shop.test/v1".into(), &"https".into()));
}

#[tokio::test]
async fn the_collector_is_served_under_the_name_it_was_given() {
    let options = IngestOptions { collector: "/lib.js".to_owned(), ..IngestOptions::default() };
    let world = World::with(options, vec![shop()]);
    let answer = world.get("/lib.js", &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
    assert!(answer.text.contains("data-write-key") && answer.header("cache-control").contains("max-age"));
    let again = world.get("/lib.js", &[("if-none-match", answer.header("etag"))]).await;
    assert_eq!((again.status.as_u16(), &*again.text), (304, ""));
    assert_eq!(world.get("/anole.js", &[]).await.status, 404);
    let module = world.get("/lib.mjs", &[("origin", "https://shop.test")]).await;
    assert_eq!((module.status.as_u16(), module.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert_eq!(module.header("access-control-allow-origin"), "https://shop.test");
    let types = world.get("/lib.d.ts", &[]).await;
    assert_eq!((types.status.as_u16(), types.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert!(module.text.contains("export") && types.text.contains("createAnole"));
}
