//! Whatever comes in: an answer in the house's form, and in the journal only what can be read again.

use std::collections::HashSet;
use std::fmt;

use anole_event::{Random, Seeded};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use anole_ingest::IngestOptions;
use anole_pipeline::{BotAct, Bots, Intake, Normaliser, Path, Privacy, Redact};
use serde_json::Value;

use crate::world::{World, shop};

const SEEDS: [(&str, &str); 5] = [
    (
        "/v1/track",
        r#"{"type":"track","event":"purchase","userId":"u","messageId":"m","properties":{"value":23.50,"items":[{"item_id":1}]},"context":{"userAgent":"x","page":{"url":"u"}},"timestamp":"2026-11-22T09:59:50Z"}"#,
    ),
    (
        "/v1/batch",
        r#"{"batch":[{"type":"page","anonymousId":"a","context":{"groupId":"g"}},{"type":"alias","userId":"u","previousId":7}],"sentAt":"2026-11-22T10:00:00Z","context":{"ip":"i"}}"#,
    ),
    (
        "/v1/batch",
        r#"{"batch":[{"type":"identify","userId":"\ud83d\ude00","traits":{"a":[[]]},"source":{},"received_at":1,"x\"y":null,"z":"\u0000"}],"writeKey":"wk","integrations":{"All":false}}"#,
    ),
    (
        "/mp/collect?measurement_id=G-1&api_secret=s3cret",
        r#"{"client_id":"c","timestamp_micros":1795341590000000,"user_properties":{"p":{"value":1}},"events":[{"name":"add_to_cart","params":{"items":[{"item_id":"S","price":9.0}],"page_location":"u"}}]}"#,
    ),
    ("/debug/mp/collect", r#"{"client_id":"c","events":[{"name":"x","params":{}}]}"#),
];

/// The keys of an object's root, each as often as it stands there.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_key()? {
                    map.next_value::<IgnoredAny>()?;
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

/// Changes a body a little: bytes replaced, taken out, doubled, or pieces of JSON put in.
fn changed(body: &str, random: &mut Seeded) -> Vec<u8> {
    const PIECES: [&[u8]; 12] =
        [b"{", b"}", b"[", b"]", b",", b"\"", b"\\", b"null", b"\\ud83d", b"\xff", b"\"userId\":", b"NaN"];
    let mut bytes = body.as_bytes().to_vec();
    for _ in 0..random.below(4) {
        let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
        match random.below(4) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => drop(bytes.remove(at)),
            2 => {
                let end = (at + 40).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let piece = PIECES[usize::try_from(random.below(PIECES.len() as u64)).unwrap()];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

#[tokio::test]
async fn what_is_kept_can_be_read_and_what_is_not_is_answered_in_json() {
    let mut random = Seeded::new(42);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..1500 {
        let (path, seed) = SEEDS[round % SEEDS.len()];
        let body = changed(seed, &mut random);
        let shown = String::from_utf8_lossy(&body).into_owned();
        let world = World::new();
        let browser = [("x-write-key", "wk"), ("origin", "https://shop.test")];
        let answer = world.post(path, if round % 2 == 0 { &browser[..1] } else { &browser }, body).await;
        match answer.status.as_u16() {
            200 | 204 => accepted += 1,
            400 | 413 => {
                refused += 1;
                assert!(answer.json()["message"].is_string(), "{shown}");
                assert!(world.journal.events().is_empty(), "{shown}");
            }
            other => panic!("{other}: {shown}"),
        }
        for record in world.journal.records() {
            let body = record.body().unwrap();
            serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_else(|error| panic!("{error}: {shown}"));
            let Keys(keys) = serde_json::from_slice(&body).unwrap();
            let once: HashSet<&String> = keys.iter().collect();
            assert_eq!(once.len(), keys.len(), "a key stands twice: {}", String::from_utf8_lossy(&body));
        }
    }
    assert!(accepted > 400 && refused > 200, "{accepted} {refused}");
}

/// The shop, careful of what it keeps.
fn careful() -> Intake {
    let path = |text: &str| Path::parse(text).unwrap();
    let drops = ["properties.card", "properties.items.card", "z"].map(|text| (path(text), Redact::Drop));
    let hashes = ["traits.email", "user_id"].map(|text| (path(text), Redact::Hash(Normaliser::Email)));
    let bots = Bots { act: BotAct::Flag, also: vec!["robot".into()], not: vec![] };
    Intake { privacy: Privacy::new(drops.into_iter().chain(hashes)), bots, ..shop() }
}

/// That a value is a hash, or was nothing to begin with.
#[track_caller]
fn assert_hashed(value: &Value, shown: &str) {
    let hashed =
        |text: &str| text.is_empty() || (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match value {
        Value::Null => {}
        Value::String(text) => assert!(hashed(text), "{text} in {shown}"),
        Value::Array(entries) => entries.iter().for_each(|entry| assert_hashed(entry, shown)),
        Value::Object(members) => members.values().for_each(|member| assert_hashed(member, shown)),
        Value::Bool(_) | Value::Number(_) => panic!("{value} in {shown}"),
    }
}

/// That nothing of this key is there, in lists neither.
#[track_caller]
fn assert_gone(value: &Value, key: &str, shown: &str) {
    match value {
        Value::Array(entries) => entries.iter().for_each(|entry| assert_gone(entry, key, shown)),
        other => assert!(other.get(key).is_none(), "{key} in {shown}"),
    }
}

#[tokio::test]
async fn whatever_comes_in_nothing_is_kept_that_is_to_be_dropped_or_hashed() {
    let seeds = [
        r#"{"type":"track","event":"E","userId":"Ada@x.y","messageId":"m","properties":{"card":"4111","c\u0061rd":2,"items":[{"card":1,"q":2},[{"card":3}],{"n":23.50}]},"traits":{"email":"A@b.c","e":[1]}}"#,
        r#"{"type":"identify","userId":7,"traits":{"email":["a",{"x":1.50,"y":null}]},"context":{"traits":{"email":true,"n":1}},"z":{"card":1}}"#,
    ];
    let mut random = Seeded::new(43);
    let mut kept = 0;
    for round in 0..1000 {
        let body = changed(seeds[round % seeds.len()], &mut random);
        let body = String::from_utf8_lossy(&body).into_owned();
        let world = World::with(IngestOptions::default(), vec![careful()]);
        let headers = [("x-write-key", "wk"), ("origin", "https://shop.test"), ("user-agent", "a robot")];
        world.post("/v1/batch", &headers, format!(r#"{{"batch":[{body}]}}"#)).await;
        for event in world.journal.events() {
            kept += 1;
            let shown = event.to_string();
            assert_gone(&event["properties"], "card", &shown);
            assert_gone(&event["properties"]["items"], "card", &shown);
            assert_gone(&event, "z", &shown);
            for place in [&event["user_id"], &event["traits"]["email"], &event["context"]["traits"]["email"]] {
                assert_hashed(place, &shown);
            }
            assert_eq!(event["context"]["bot"], true, "{shown}");
        }
    }
    assert!(kept > 300, "{kept}");
}
