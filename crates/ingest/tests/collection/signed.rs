//! Events of back ends that sign them.

use anole_ingest::IngestOptions;
use anole_pipeline::{Intake, Secret};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::world::{Answer, World, shop};

const EVENT: &str = r#"{"type":"track","event":"Order Completed","userId":"u-42","messageId":"m-1"}"#;
/// The time of the tests, in Unix milliseconds.
const NOW: i64 = 1_795_341_600_000;

fn world() -> World {
    let signing = vec![Secret::new("next"), Secret::new("s1gn")];
    World::with(IngestOptions::default(), vec![Intake { signing, ..shop() }])
}

fn signature(secret: &str, time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    let bytes = mac.finalize().into_bytes();
    format!("sha256={}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

async fn send(world: &World, time: i64, signature: &str, body: &str) -> Answer {
    let time = time.to_string();
    let headers = [("x-write-key", "wk"), ("x-timestamp", &*time), ("x-signature", signature)];
    world.post("/v1/events", &headers, body.to_owned()).await
}

#[tokio::test]
async fn a_signed_event_and_a_signed_batch_are_taken() {
    let world = world();
    // The same by another program: printf '1795341600000.%s' "$EVENT" | openssl dgst -sha256 -hmac s1gn
    let by_hand = "sha256=9422f3f15e6802886e928ec7502f0b6d4a9b72e6a7b69e5fa677fe60915de22b";
    send(&world, NOW, by_hand, EVENT).await.assert_accepted();
    let event = world.journal.only();
    assert_eq!((&event["source"]["protocol"], &event["message_id"]), (&"signed".into(), &"m-1".into()));
    let batch = r#"{"batch":[{"type":"page","userId":"u"},{"type":"pages","userId":"u"}]}"#;
    let earlier = NOW - 299_000;
    let answer = send(&world, earlier, &signature("next", earlier, batch.as_bytes()), batch).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["verdicts"][0]["reason"]), (200, &"unknown_type".into()));
    assert_eq!(world.journal.events().len(), 2);
}

#[tokio::test]
async fn what_is_not_rightly_signed_is_refused_and_says_why() {
    let world = world();
    let good = signature("s1gn", NOW, EVENT.as_bytes());
    let changed = EVENT.replace("u-42", "u-43");
    for (time, with, body, reason) in [
        (NOW, signature("other", NOW, EVENT.as_bytes()), EVENT, "wrong_signature"),
        (NOW, good.clone(), &*changed, "wrong_signature"),
        (NOW + 1, good.clone(), EVENT, "wrong_signature"),
        (NOW - 301_000, signature("s1gn", NOW - 301_000, EVENT.as_bytes()), EVENT, "stale_timestamp"),
        (NOW + 301_000, signature("s1gn", NOW + 301_000, EVENT.as_bytes()), EVENT, "stale_timestamp"),
        (i64::MAX, good.clone(), EVENT, "stale_timestamp"),
        (-1, good.clone(), EVENT, "no_signature"),
        (NOW, good[..70].to_owned(), EVENT, "no_signature"),
        (NOW, good.replace("sha256=", ""), EVENT, "no_signature"),
        (NOW, format!("sha256={}é", "a".repeat(62)), EVENT, "no_signature"),
    ] {
        send(&world, time, &with, body).await.assert_refused(401, "invalid_signature", reason);
    }
    let keyed = [("x-write-key", "wk")];
    world.post("/v1/events", &keyed, EVENT).await.assert_refused(401, "invalid_signature", "no_signature");
    world.post("/v1/events", &[], EVENT).await.assert_refused(401, "invalid_write_key", "no_key");
    let without = World::new();
    send(&without, NOW, &good, EVENT).await.assert_refused(401, "invalid_signature", "no_secret");
    assert!(world.journal.events().is_empty() && without.journal.events().is_empty());
}
