//! What a field was made from, told after the fact, is what rendering made it from.

use anole_pipeline::{Explained, LanePlan, Made, PipelinePlan, Taken};
use bytes::Bytes;
use proptest::prelude::*;

use crate::support::{Event, Folder, page, shop, track};

const VENDOR: &str = r#"blueprint: vendor
title: A vendor
settings:
  label: { type: text }
  other: { type: text, optional: true }
  key: { type: secret, optional: true }
requests:
  one: { url: "https://a.example/x", frame: single }
sends:
  thing:
    request: one
    body:
      from: { from: properties.a }
      either: { first_of: [settings.other, properties.a, properties.b, settings.label] }
      label: { from: settings.label }
      constant: 5
      text: "{{ properties.a }} of {{ settings.label }}"
      trimmed: { from: properties.a, trim: true, default: none }
      nothing: { from: properties.c }
      key: { from: settings.key }
      inner:
        object:
          number: { from: properties.n, type: number }
          list: { list: [ { from: properties.a }, { from: properties.b }, last ] }
      open: {}
      items: { each: properties.items, item: { object: { id: { from: item.sku }, by: { from: properties.a } } } }
      all: { merge: [ { from: properties.o }, { value: { z: 1 } } ] }
      sum: { cel: "properties.n2 + 1" }
presets:
  default:
    Thing: { send: thing, set: { open: { from: properties.b } } }
"#;

const SHOP: &str = r#"pipeline: shop
keys: [ { key: dk_live_shop } ]
destinations:
  - blueprint: vendor
    settings: { label: L }
    events:
      Thing:
        set:
          constant: 6
          trimmed: { max_length: 3 }
"#;

fn explained(plan: &PipelinePlan, lane: &LanePlan, event: &Event) -> Vec<(Made, Vec<Explained>)> {
    let values = plan.read(Bytes::copy_from_slice(event.json.as_bytes())).expect("a canonical event");
    let made = event.apply(plan, lane);
    let told: Vec<_> = made.iter().map(|made| lane.explain(made, &values)).collect();
    made.into_iter().zip(told).collect()
}

/// The item, put together again from what was told: at every level the parts make the whole.
fn whole(told: &[Explained]) -> String {
    let is_list = told.first().is_some_and(|field| &*field.key == "0");
    let fields = told.iter().filter_map(|field| {
        let value = field.value.as_ref()?;
        // Several objects that are merged are told one by one.
        if !field.parts.is_empty() && &*field.key != "all" {
            assert_eq!(&whole(&field.parts), value, "{field:?}");
        }
        Some(if is_list { value.clone() } else { format!("\"{}\":{value}", field.key) })
    });
    let fields: Vec<String> = fields.collect();
    if is_list { format!("[{}]", fields.join(",")) } else { format!("{{{}}}", fields.join(",")) }
}

/// The path, the constant or the setting that a field is told to come from, and its file and line.
fn from(told: &[Explained], key: &str) -> String {
    let field = told.iter().find(|field| &*field.key == key).expect("the field");
    let file = field.origin.file().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let taken = match &field.taken {
        Taken::Event(path) => path.to_string(),
        Taken::Setting(name) => format!("settings.{name}"),
        Taken::Template(paths) => format!("template of {}", paths.join(", ")),
        Taken::Visitor(rung) => format!("visitor by {rung}"),
        Taken::Expression(paths) => format!("expression over {}", paths.join(", ")),
        Taken::Each(paths) => format!("each of {}", paths.join(", ")),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{taken} {file}:{}", field.origin.line().unwrap_or_default())
}

#[test]
fn each_field_names_what_it_took_and_the_line_that_says_so() {
    let plan = Folder::with(SHOP).blueprint("vendor.yaml", VENDOR).plan();
    let event =
        track("Thing", r#","properties":{"a":"  ","b":"B","n":"23.50","n2":1,"items":[{"sku":"S-1"},{"no":1}]}"#);
    let all = explained(&plan, &plan.lanes[0], &event);
    let (_, told) = &all[0];
    for (key, expected) in [
        ("from", "properties.a vendor.yaml:13"),
        ("either", "properties.a vendor.yaml:14"),
        ("label", "settings.label vendor.yaml:15"),
        ("constant", "constant shop.yaml:9"),
        ("text", "template of properties.a vendor.yaml:17"),
        ("trimmed", "default vendor.yaml:18"),
        ("nothing", "nothing vendor.yaml:19"),
        ("inner", "made vendor.yaml:21"),
        ("open", "properties.b vendor.yaml:31"),
        ("items", "each of properties.items vendor.yaml:26"),
        ("all", "made vendor.yaml:27"),
        ("sum", "expression over properties.n2 vendor.yaml:28"),
    ] {
        assert_eq!(from(told, key), expected, "{key}");
    }
    let inner = &told.iter().find(|field| &*field.key == "inner").expect("the object").parts;
    assert_eq!(from(inner, "number"), "properties.n vendor.yaml:23");
    let list = &inner[1].parts;
    assert_eq!(
        (from(list, "1").as_str(), from(list, "2").as_str()),
        ("properties.b vendor.yaml:24", "constant vendor.yaml:24")
    );
    let items = &told.iter().find(|field| &*field.key == "items").expect("the list").parts;
    assert_eq!(items.len(), 2);
    assert_eq!(from(&items[0].parts, "id"), "item.sku vendor.yaml:26");
    assert_eq!(from(&items[1].parts, "id"), "nothing vendor.yaml:26");
    let event = track("Thing", r#","properties":{"b":"B"}"#);
    let all = explained(&plan, &plan.lanes[0], &event);
    assert_eq!(from(&all[0].1, "either"), "properties.b vendor.yaml:14");
    let event = track("Thing", "");
    let all = explained(&plan, &plan.lanes[0], &event);
    assert_eq!(
        from(&all[0].1, "either"),
        "settings.label vendor.yaml:14",
        "an optional setting that is not given counts not"
    );
}

#[test]
fn a_send_that_is_parked_tells_which_field_is_at_fault() {
    let plan = Folder::with(&shop("")).plan();
    let event =
        track("Order Completed", r#","properties":{"revenue":"12 EUR","kameleoon_goal_id":7},"anonymous_id":"a-1""#);
    let all = explained(&plan, &plan.lanes[0], &event);
    let (made, told) = &all[0];
    assert!(matches!(made, Made::Ended(_)));
    let wrong: Vec<_> = told.iter().filter(|field| field.trouble.is_some()).map(|field| &*field.key).collect();
    assert_eq!(wrong, ["revenue"]);
    assert_eq!(from(told, "visitorCode").split(' ').take(3).collect::<Vec<_>>(), ["visitor", "by", "anonymous_id"]);
    assert!(from(told, "nonce").starts_with("nonce kameleoon.yaml (embedded):"), "{}", from(told, "nonce"));
    assert!(from(told, "revenue").starts_with("properties.revenue kameleoon.yaml (embedded):"));
}

#[test]
fn a_masked_plan_makes_the_same_but_for_the_secrets() {
    let shop = SHOP.replace("label: L", "label: L, key: s3cret");
    let plan = Folder::with(&shop).blueprint("vendor.yaml", VENDOR).plan();
    let event = track("Thing", r#","properties":{"a":"A"}"#);
    let item = |lane: &LanePlan| match &event.apply(&plan, lane)[0] {
        Made::Send(send) => String::from_utf8(send.item.to_vec()).expect("UTF-8"),
        Made::Ended(ended) => panic!("{ended:?}"),
    };
    let open = item(&plan.lanes[0]);
    assert!(open.contains(r#""key":"s3cret""#), "{open}");
    assert_eq!(item(&plan.lanes[0].masked()), open.replace("s3cret", "***"));
}

#[test]
fn a_line_that_moved_is_no_other_plan() {
    let plan = |pipeline: &str| Folder::with(pipeline).blueprint("vendor.yaml", VENDOR).plan();
    let moved = SHOP.replace("    events:", "\n\n    events:");
    assert_eq!(plan(SHOP).lanes[0].hash, plan(&moved).lanes[0].hash);
}

/// What clients send, right and wrong.
fn json() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("\"  \"".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        (0_u32..200_000, 0_u32..100).prop_map(|(whole, cents)| format!("{whole}.{cents:02}")),
        "[ -~é]{0,8}".prop_map(|text| serde_json::Value::from(text).to_string()),
        Just(r#"{"a":[1,{"b":null}]}"#.to_owned()),
    ]
}

proptest! {
    #[test]
    fn what_is_told_makes_the_item_again(values in prop::collection::vec(json(), 4)) {
        let [a, b, n, url] = &*values else { unreachable!() };
        let properties = format!(r#","properties":{{"a":{a},"b":{b},"n":{n},"o":{n},"n2":{n},"items":[{a},{{"sku":{b}}}],"revenue":{n},"kameleoon_goal_id":3}},"anonymous_id":"v-1""#);
        let vendor = Folder::with(SHOP).blueprint("vendor.yaml", VENDOR).plan();
        let kameleoon = Folder::with(&shop("")).plan();
        let context = format!(r#","context":{{"page":{{"url":{url},"title":{a}}}}},"anonymous_id":"v-1""#);
        for (plan, event) in [
            (&vendor, track("Thing", &properties)),
            (&kameleoon, track("Order Refunded", &properties)),
            (&kameleoon, page(&context)),
        ] {
            for (made, told) in explained(plan, &plan.lanes[0], &event) {
                let troubles: Vec<_> = told.iter().filter_map(|field| field.trouble.as_deref()).collect();
                match made {
                    Made::Send(send) => {
                        prop_assert_eq!(whole(&told), std::str::from_utf8(&send.item).expect("UTF-8"));
                        prop_assert!(troubles.is_empty());
                    }
                    Made::Ended(ended) => prop_assert_eq!(troubles.first().copied(), ended.outcome.detail.as_deref()),
                }
            }
        }
    }
}
