//! What is redacted, and what keeps its bytes.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::sha256_hex;

fn privacy(drop: &[&str], hash: &[(&str, Normaliser)]) -> Privacy {
    let path = |text: &str| Path::parse(text).expect("a path");
    let drops = drop.iter().map(|text| (path(text), Redact::Drop));
    let hashes = hash.iter().map(|(text, normaliser)| (path(text), Redact::Hash(*normaliser)));
    Privacy::new(drops.chain(hashes))
}

fn properties(privacy: &Privacy, json: &str) -> String {
    match privacy.json("properties", json) {
        Redacted::Same => "same".to_owned(),
        Redacted::Gone => "gone".to_owned(),
        Redacted::Now(json) => json,
    }
}

#[test]
fn a_dropped_value_goes_and_the_rest_keeps_its_bytes() {
    let privacy = privacy(&["properties.card.number", "properties.note"], &[]);
    let json = r#"{"revenue": 23.50,"id":12345678901234567890123,"card":{"number":"4111","type" : "visa"},"note":"n","x":1e3}"#;
    let expected = r#"{"revenue":23.50,"id":12345678901234567890123,"card":{"type":"visa"},"x":1e3}"#;
    assert_eq!(properties(&privacy, json), expected);
    assert_eq!(properties(&privacy, r#"{ "number":"4111","card":"none" }"#), "same");
    assert_eq!(properties(&privacy, r#"{"note":1}"#), "{}");
    assert_eq!(privacy.json("traits", r#"{"note":1}"#), Redacted::Same);
}

#[test]
fn a_key_is_found_however_it_is_written_and_however_often() {
    let privacy = privacy(&["properties.note"], &[]);
    assert_eq!(properties(&privacy, r#"{"n\u006fte":"secret","note":"secret","a":1,"note":2}"#), r#"{"a":1}"#);
}

#[test]
fn a_path_goes_through_lists_and_a_place_is_one_entry() {
    let all = privacy(&["properties.passengers.email"], &[]);
    let json = r#"{"passengers":[{"email":"a","seat":1},[{"email":"b"}],7,{"seat":2}]}"#;
    assert_eq!(properties(&all, json), r#"{"passengers":[{"seat":1},[{}],7,{"seat":2}]}"#);
    let first = privacy(&["properties.passengers.0.email", "properties.passengers.2"], &[]);
    let expected = r#"{"passengers":[{"seat":1},[{}],null,{"seat":2}]}"#;
    assert_eq!(properties(&first, json), expected);
}

#[test]
fn a_place_lies_over_what_goes_for_all_entries() {
    let hashes = [("properties.l.name", Normaliser::Text), ("properties.l.0.name", Normaliser::Email)];
    let privacy = privacy(&["properties.l.1.note"], &hashes);
    let json = r#"{"l":[{"name":"A","note":1},{"name":"A","note":1}]}"#;
    let expected = format!(r#"{{"l":[{{"name":"{}","note":1}},{{"name":"{}"}}]}}"#, sha256_hex("a"), sha256_hex("A"),);
    assert_eq!(properties(&privacy, json), expected, "each is hashed once");
}

#[test]
fn hashing_reaches_every_value_below_and_keeps_what_holds_nothing() {
    let privacy = privacy(
        &["properties.user.id"],
        &[("properties.user", Normaliser::Text), ("properties.user.mail", Normaliser::Email)],
    );
    let json = r#"{"user":{"id":1,"name":" Ada ","n":[42,true,null,""],"mail":["A@B.c"]},"keep":0.10}"#;
    let expected = format!(
        r#"{{"user":{{"name":"{}","n":["{}","{}",null,""],"mail":["{}"]}},"keep":0.10}}"#,
        sha256_hex("Ada"),
        sha256_hex("42"),
        sha256_hex("true"),
        sha256_hex("a@b.c")
    );
    assert_eq!(properties(&privacy, json), expected);
}

#[test]
fn traits_are_redacted_where_clients_repeat_them() {
    let privacy = privacy(&["traits.email"], &[]);
    let context = privacy.json("context", r#"{"traits":{"email":"a@b.c","plan":"pro"},"ip":"i"}"#);
    assert_eq!(context, Redacted::Now(r#"{"traits":{"plan":"pro"},"ip":"i"}"#.to_owned()));
}

#[test]
fn ids_and_cookies_are_texts() {
    let privacy =
        privacy(&["cookies.a", "previous_id"], &[("user_id", Normaliser::Email), ("cookies.b", Normaliser::Text)]);
    assert_eq!(privacy.text(&["user_id"], "A@b.c"), Redacted::Now(sha256_hex("a@b.c")));
    assert_eq!(privacy.text(&["previous_id"], "x"), Redacted::Gone);
    assert_eq!(privacy.text(&["anonymous_id"], "x"), Redacted::Same);
    assert_eq!(privacy.text(&["cookies", "a"], "x"), Redacted::Gone);
    assert_eq!(privacy.text(&["cookies", "b"], "x"), Redacted::Now(sha256_hex("x")));
    assert_eq!(privacy.text(&["cookies", "c"], "x"), Redacted::Same);
}

#[test]
fn a_whole_object_may_be_dropped() {
    assert_eq!(properties(&privacy(&["properties"], &[]), r#"{"a":1}"#), "gone");
    assert!(Privacy::default().is_empty() && !privacy(&["traits.a"], &[]).is_empty());
}

/// The same, the slow and obvious way.
fn model(steps: &[&str], value: &mut Value) {
    let Some((step, rest)) = steps.split_first() else { return };
    match value {
        Value::Object(members) => {
            if rest.is_empty() {
                members.remove(*step);
            } else if let Some(child) = members.get_mut(*step) {
                model(rest, child);
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| model(steps, entry)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c\"\\\\ü]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
        let map = prop::collection::vec(("[a-c\"]", inner), 0..4);
        prop_oneof![list, map.prop_map(|members| Value::Object(members.into_iter().collect()))]
    })
}

proptest! {
    #[test]
    fn what_is_left_is_what_a_plain_walk_leaves(value in any_json(), path in prop::collection::vec("[a-c]", 1..4)) {
        let whole = Value::Object([("a".to_owned(), value)].into_iter().collect());
        let privacy = privacy(&[&format!("properties.{}", path.join("."))], &[]);
        let json = whole.to_string();
        let left = match privacy.json("properties", &json) {
            Redacted::Same => whole.clone(),
            Redacted::Gone => Value::Null,
            Redacted::Now(json) => serde_json::from_str(&json).expect("JSON"),
        };
        let mut expected = whole;
        let steps: Vec<&str> = path.iter().map(String::as_str).collect();
        model(&steps, &mut expected);
        prop_assert_eq!(left, expected);
    }
}
