use proptest::prelude::*;

use super::*;
use crate::find;

fn read(paths: &[&str], body: &str) -> Result<(Vec<Slot>, Values), ReadError> {
    let mut all = Paths::new();
    let slots = paths.iter().map(|path| all.slot(&Path::parse(path).expect("a path"))).collect();
    Ok((slots, all.trie().read(Bytes::copy_from_slice(body.as_bytes()))?))
}

fn values(paths: &[&str], body: &str) -> Vec<Option<String>> {
    let (slots, values) = read(paths, body).expect("an event");
    slots.iter().map(|slot| values.get(slot).map(str::to_owned)).collect()
}

#[test]
fn values_are_the_slices_that_the_client_wrote() {
    let body = r#"{"message_id":"m-1","properties":{"a":23.50,"b":{"c":12345678901234567890123},"l":[{"s":"x"},{"s":"y"}]},
        "context":null,"user_id":"u\u0031"}"#;
    let paths =
        ["properties.a", "properties.b.c", "properties.b", "properties.l.1.s", "context.page.url", "properties.x"];
    let found = values(&paths, body);
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    let expected = [
        Some("23.50"),
        Some("12345678901234567890123"),
        Some(r#"{"c":12345678901234567890123}"#),
        Some("\"y\""),
        None,
        None,
    ];
    assert_eq!(found, expected);
    let (_, values) = read(&[], body).expect("an event");
    assert_eq!(values.message_id(), "m-1");
    assert_eq!(values.user_id().as_deref(), Some("u1"));
    assert_eq!(values.anonymous_id(), None);
}

#[test]
fn the_last_of_equal_keys_holds_with_all_below_it() {
    let body = r#"{"message_id":"m","properties":{"a":{"b":1},"a":{"c":2}},"traits":{"x":1},"traits":null}"#;
    assert_eq!(values(&["properties.a.b", "properties.a.c", "traits.x"], body), [None, Some("2".to_owned()), None]);
}

#[test]
fn a_number_that_no_double_holds_hides_nothing() {
    let body = r#"{"message_id":"m","properties":1e999,"traits":{"a":-1e999,"b":2}}"#;
    let expected = [None, Some("-1e999".to_owned()), Some("2".to_owned())];
    assert_eq!(values(&["properties.a", "traits.a", "traits.b"], body), expected);
}

#[test]
fn a_body_that_is_no_event_is_refused() {
    let refusal = |body: &str| read(&["properties.a"], body).err();
    assert_eq!(refusal("[]"), Some(ReadError::NotObject));
    assert_eq!(refusal(""), Some(ReadError::NotObject));
    assert_eq!(refusal("{}"), Some(ReadError::NoMessageId));
    assert_eq!(refusal(r#"{"message_id":""}"#), Some(ReadError::NoMessageId));
    assert!(matches!(refusal(r#"{"message_id":"m","properties":{"a":}}"#), Some(ReadError::Json(_))));
    assert!(matches!(refusal(r#"{"message_id":"m"} x"#), Some(ReadError::Json(_))));
    let bytes = Bytes::from_static(b"{\"message_id\":\"\xff\"}");
    assert_eq!(Paths::new().trie().read(bytes).err(), Some(ReadError::Text));
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a-c\"\\\\é]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// The one pass over a trie finds what a look-up of each path alone finds.
    #[test]
    fn one_pass_finds_what_single_look_ups_find(
        root in prop::collection::btree_map("[a-c]", json(), 0..4),
        paths in prop::collection::vec(prop::collection::vec("[a-c0-2]", 1..4), 0..6),
    ) {
        let mut object = serde_json::Map::from_iter(root);
        object.insert("message_id".to_owned(), "m".into());
        let body = serde_json::Value::Object(object).to_string();
        let paths: Vec<String> = paths.iter().map(|steps| steps.join(".")).collect();
        let names: Vec<&str> = paths.iter().map(String::as_str).collect();
        let found = values(&names, &body);
        for (path, found) in names.iter().zip(found) {
            let steps: Vec<&str> = path.split('.').collect();
            prop_assert_eq!(found.as_deref(), find(&body, &steps), "{}", path);
        }
    }
}
