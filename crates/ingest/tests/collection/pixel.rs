//! Events in the address of a picture, and Jitsu's client.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use serde_json::json;

use crate::world::World;

fn is_picture(answer: &crate::world::Answer) -> bool {
    answer.header("content-type") == "image/gif"
        && answer.header("cache-control") == "no-store"
        && answer.text.starts_with("GIF89a")
}

#[tokio::test]
async fn a_picture_in_a_mail_is_an_event() {
    let world = World::new();
    let answer = world.get("/v1/pixel/track?wk=wk&e=Mail+Opened&uid=u-42&mid=m-1&p.campaign=spring&cb=17", &[]).await;
    assert_eq!((answer.status.as_u16(), is_picture(&answer), answer.header("x-anole-ack")), (200, true, "fsync"));
    let event = world.journal.only();
    assert_eq!(
        (&event["event"], &event["user_id"], &event["message_id"]),
        (&json!("Mail Opened"), &json!("u-42"), &json!("m-1"))
    );
    assert_eq!((&event["properties"], &event["source"]["protocol"]), (&json!({"campaign": "spring"}), &json!("pixel")));
    world.get("/v1/pixel/track?wk=wk&e=Mail+Opened&uid=u-42&mid=m-1&p.campaign=spring&cb=18", &[]).await;
    assert_eq!(world.journal.events().len(), 1, "it has a message id");

    let data = BASE64_STANDARD.encode(r#"{"writeKey":"wk","userId":"u","properties":{"n":1.50}}"#).replace('+', "%2B");
    assert!(is_picture(&world.get(&format!("/v1/pixel/page?data={data}"), &[]).await));
    let events = world.journal.events();
    assert_eq!((events.len(), &events[1]["type"], &events[1]["properties"]), (2, &json!("page"), &json!({"n": 1.5})));
}

#[tokio::test]
async fn a_picture_that_is_no_event_is_a_picture_all_the_same_and_is_counted() {
    let world = World::new();
    for query in ["", "?wk=nobodys&e=E&uid=u", "?wk=wk&e=E&data=%7B%7D", "?wk=wk&uid=u"] {
        let answer = world.get(&format!("/v1/pixel/track{query}"), &[]).await;
        assert_eq!(
            (answer.status.as_u16(), is_picture(&answer), answer.header("x-anole-ack")),
            (200, true, ""),
            "{query}"
        );
    }
    assert!(world.journal.events().is_empty());
    let refused = |code: &str, status: u16| {
        world.metric(&format!(r#"anole_requests_refused_total{{code="{code}",status="{status}"}}"#))
    };
    assert_eq!(
        (refused("invalid_write_key", 401), refused("invalid_body", 400), refused("invalid_event", 400)),
        (2, 1, 1)
    );
    assert_eq!(world.send(Method::HEAD, "/v1/pixel/track?wk=wk&e=E&uid=u", &[], "").await.status, 405);
}

#[tokio::test]
async fn jitsus_client_is_known_by_its_header_as_the_key_in_its_body_is_masked() {
    let world = World::new();
    let body = r#"{"type":"track","event":"E","userId":"u","messageId":"j-1","writeKey":"wk:***"}"#;
    world.call("/api/s/s2s/track", body).await.assert_accepted();
    let event = world.journal.only();
    assert_eq!((&event["source"]["protocol"], &event["message_id"]), (&json!("jitsu"), &json!("j-1")));
    world.post("/api/s/track", &[], body).await.assert_refused(401, "invalid_write_key", "unknown_key");
    world.call("/api/s/batch", r#"{"batch":[{"type":"page","userId":"u"}]}"#).await.assert_accepted();
}
