//! What a blueprint of one's own can say, and what comes out of it.

use anole_pipeline::Made;

use crate::support::{Event, Folder, track};

/// A folder with a blueprint whose only send has this body.
pub(crate) fn with_body(body: &str) -> Folder {
    let blueprint = format!(
        r#"blueprint: acme
title: Acme
settings:
  host: {{ type: text, default: a.example }}
  token: {{ type: secret, optional: true }}
  label: {{ type: text, optional: true }}
  count: {{ type: integer, default: 5 }}
  on: {{ type: boolean, default: true }}
account: "{{{{ settings.host }}}}"
requests:
  one:
    method: PUT
    url: "https://{{{{ settings.host }}}}/v1"
    headers: {{ X-Label: "{{{{ settings.count }}}}" }}
    frame: {{ list: batch }}
sends:
  hit:
    request: one
    body:
{}
presets:
  default: {{ track: {{ send: hit }} }}
"#,
        body.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
    );
    Folder::with("pipeline: shop\nkeys: [ { key: k } ]\ndestinations: [ { blueprint: acme } ]\n")
        .blueprint("acme.yaml", &blueprint)
}

/// What a body makes of an event with these properties.
pub(crate) fn item(body: &str, properties: &str) -> String {
    event(properties).item(&with_body(body).plan())
}

pub(crate) fn outcome(body: &str, properties: &str) -> String {
    event(properties).outcome(&with_body(body).plan())
}

pub(crate) fn event(properties: &str) -> Event {
    track("Seen", &format!(r#","user_id":"u-42","properties":{properties}"#))
}

#[test]
fn constants_keep_their_digits_and_kinds() {
    let body = "a: 1.50\nb: text\nc: true\nd: { value: { x: [1, null], y: \"2\" } }\ne: [1, two]\nf: { value: null }\ng: \"5\"\nh: off";
    let expected =
        r#"{"a":1.50,"b":"text","c":true,"d":{"x":[1,null],"y":"2"},"e":[1,"two"],"f":null,"g":"5","h":"off"}"#;
    assert_eq!(item(body, "{}"), expected);
}

#[test]
fn values_pass_as_they_were_written() {
    let body = "a: { from: properties.a }\nall: { from: properties }\nuser: { from: user_id }\ntwo: { from: properties.l.1 }\nkey: { from: 'properties.\"x.y\"' }";
    let properties = r#"{"a":12345678901234567890.10, "l":[1, "caf\u00e9"],"x.y":1e3}"#;
    let expected =
        format!(r#"{{"a":12345678901234567890.10,"all":{properties},"user":"u-42","two":"caf\u00e9","key":1e3}}"#);
    assert_eq!(item(body, properties), expected);
}

#[test]
fn missing_null_and_empty_drop_the_key_unless_they_are_kept() {
    let body = "a: { from: properties.a }\nb: { from: properties.b, keep_null: true }\nc: { from: properties.c, keep_empty: true }\nd: { from: properties.d }\ne: { from: properties.d, default: 0 }";
    assert_eq!(item(body, r#"{"a":null,"b":null,"c":""}"#), r#"{"b":null,"c":"","e":0}"#);
    assert_eq!(item(body, r#"{"a":"","b":"","c":null,"d":false}"#), r#"{"d":false,"e":false}"#);
    assert_eq!(item("a: { first_of: [properties.a, properties.b] }", r#"{"a":"","b":0}"#), r#"{"a":0}"#);
}

#[test]
fn templates_need_all_their_places() {
    let body = "a: \"{{ properties.a }} of {{ settings.count }}\"\nb: { template: \"{{properties.a}}\", case: upper }\nc: \"<{{ properties.none }}>\"";
    assert_eq!(item(body, r#"{"a":"x\"y"}"#), r#"{"a":"x\"y of 5","b":"X\"Y"}"#);
    assert_eq!(item(body, r#"{"a":1.50}"#), r#"{"a":"1.50 of 5","b":"1.50"}"#);
    assert_eq!(
        outcome(body, r#"{"a":{}}"#),
        "parked/mapping: the a is a text, and the property a is no text: name a place in it"
    );
}

#[test]
fn settings_give_values_of_their_kind_and_unset_ones_nothing() {
    let body = "a: { from: settings.count }\nb: { from: settings.on }\nc: { from: settings.label }\nd: { first_of: [settings.label, settings.host] }";
    assert_eq!(item(body, "{}"), r#"{"a":5,"b":true,"d":"a.example"}"#);
}

#[test]
fn objects_and_lists_drop_what_is_empty() {
    let body = "meta: { object: { \"6\": { list: [ { from: properties.order, type: text } ] }, n: { from: properties.n } } }\nempty: { object: { x: { from: properties.x } } }";
    assert_eq!(item(body, r#"{"order":1001,"n":1}"#), r#"{"meta":{"6":["1001"],"n":1}}"#);
    assert_eq!(item(body, r#"{"order":"a"}"#), r#"{"meta":{"6":["a"]}}"#);
    assert_eq!(item(body, "{}"), "{}");
    let deep = "meta: { object: { n: { from: properties.n, type: number, required: true } } }";
    assert_eq!(
        outcome(deep, "{}"),
        "parked/missing_field: the meta.n is missing: send the property n or set meta for this event in the pipeline"
    );
    assert_eq!(
        outcome(deep, r#"{"n":"x"}"#),
        "parked/invalid_field: the meta.n is \"x\", which is no finite number: correct the property n or set meta for this event in the pipeline"
    );
}

#[test]
fn texts_are_shaped_in_a_fixed_order() {
    let body = "a: { max_length: 3, case: upper, strip_prefix: x-, trim: true, from: properties.a }";
    assert_eq!(item(body, r#"{"a":"  x-äbcd "}"#), r#"{"a":"ÄBC"}"#);
    assert_eq!(item(body, r#"{"a":12345}"#), r#"{"a":12345}"#, "a number is no text");
    assert_eq!(item("a: { from: properties.a, type: text }", r#"{"a":12345}"#), r#"{"a":"12345"}"#);
}

#[test]
fn rules_set_fields_in_the_order_of_the_body() {
    let folder = with_body("a: { type: integer, max: 9 }\nb: { from: properties.b }\nc: one");
    let pipeline = "pipeline: shop\nkeys: [ { key: k } ]\ndestinations:\n  - blueprint: acme\n    events:\n      track: { set: { c: two, a: \"7\" } }\n";
    let plan = folder.pipeline("shop.yaml", pipeline).plan();
    assert_eq!(event(r#"{"b":0}"#).item(&plan), r#"{"a":7,"b":0,"c":"two"}"#);
}

#[test]
fn a_rule_adds_to_a_source_or_replaces_it() {
    let body = "a: { first_of: [properties.a, properties.b], type: number, trim: true }";
    let set = |set: &str| {
        let pipeline = format!(
            "pipeline: shop\nkeys: [ {{ key: k }} ]\ndestinations:\n  - blueprint: acme\n    events: {{ track: {{ set: {{ a: {set} }} }} }}\n"
        );
        with_body(body).pipeline("shop.yaml", &pipeline).plan()
    };
    assert_eq!(event(r#"{"b":"-2.50"}"#).item(&set("{ absolute: true }")), r#"{"a":2.50}"#, "it adds to what is there");
    assert_eq!(
        event(r#"{"b":-2.50,"c":1}"#).item(&set("{ from: properties.c }")),
        r#"{"a":1}"#,
        "it replaces the source"
    );
    assert_eq!(
        event(r#"{"b":1}"#).outcome(&set("{ from: properties.c, required: true }")).split(':').next(),
        Some("parked/missing_field")
    );
    let refused = event(r#"{"c":"x"}"#).outcome(&set("{ from: properties.c }"));
    assert!(refused.contains("no finite number"), "the field's own type holds: {refused}");
}

#[test]
fn the_request_is_put_together_from_settings() {
    let plan = with_body("a: 1").plan();
    let send = event("{}").sent(&plan);
    assert_eq!((&*send.address.method, &*send.address.url), ("PUT", "https://a.example/v1"));
    assert_eq!(
        send.address.headers,
        [("X-Label".into(), "5".into()), ("Content-Type".into(), "application/json".into())]
    );
    assert_eq!(event("{}").body(&plan), r#"{"batch":[{"a":1}]}"#);
    assert_eq!((send.nonce, send.visitor_code, send.expires), (None, None, None));
}

#[test]
fn an_address_may_hang_on_the_event() {
    let folder = with_body("a: 1");
    let blueprint = r#"blueprint: acme
title: Acme
settings: { key: { type: secret } }
requests:
  one:
    url: "https://a.example/{{ properties.list }}/{{ settings.key }}"
    headers: { X-User: "{{ user_id }}" }
    frame: single
sends:
  hit: { request: one, body: { a: 1 } }
presets:
  default: { track: { send: hit } }
"#;
    let pipeline =
        "pipeline: shop\nkeys: [ { key: k } ]\ndestinations: [ { blueprint: acme, settings: { key: \"${KEY}\" } } ]\n";
    let plan = folder.blueprint("acme.yaml", blueprint).pipeline("shop.yaml", pipeline).env("KEY", "hu/sh").plan();
    let send = event(r#"{"list":"a/b c"}"#).sent(&plan);
    assert_eq!(send.address.url, "https://a.example/a%2Fb%20c/hu%2Fsh");
    assert_eq!(send.address.masked_url, "https://a.example/a%2Fb%20c/***");
    assert_eq!(
        send.address.headers,
        [("X-User".into(), "u-42".into()), ("Content-Type".into(), "application/json".into())]
    );
    assert!(!format!("{send:?}{plan:?}").contains("hu%2Fsh"), "a secret is never shown");
    let same = event(r#"{"list":"a/b c"}"#).sent(&plan);
    let other = event(r#"{"list":"d"}"#).sent(&plan);
    assert!(send.address.id == same.address.id && send.address.id != other.address.id);
    assert_eq!(
        event("{}").outcome(&plan),
        "parked/missing_field: the address of the request needs the property list, which is missing: send it"
    );
}

#[test]
fn several_sends_end_each_on_its_own() {
    let folder = with_body("n: { from: send.nonce }\na: { from: properties.a, required: true }");
    let pipeline = "pipeline: shop\nkeys: [ { key: k } ]\ndestinations:\n  - blueprint: acme\n    events:\n      Seen:\n        - { send: hit, set: { a: 1 } }\n        - { send: hit }\n        - { send: hit, set: { a: 3 } }\n";
    let plan = folder.pipeline("shop.yaml", pipeline).plan();
    let made = event("{}").made(&plan);
    let shown: Vec<(u16, Option<&str>, bool)> = made
        .iter()
        .map(|made| match made {
            Made::Send(send) => (send.ordinal, send.nonce.as_deref(), true),
            Made::Ended(ended) => (ended.ordinal, None, false),
        })
        .collect();
    assert_eq!(shown[0], (0, Some("9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa"), true));
    assert_eq!(shown[1], (1, None, false));
    assert_eq!((shown[2].0, shown[2].2), (2, true));
}

#[test]
fn a_lane_s_hash_changes_with_what_it_does_and_with_nothing_else() {
    let hash = |folder: Folder, lane: usize| folder.plan().lanes[lane].hash;
    let one = hash(with_body("a: { from: properties.a }"), 0);
    assert_eq!(one, hash(with_body("# a remark\na:    { from: properties.a }"), 0));
    assert_ne!(one, hash(with_body("a: { from: properties.b }"), 0));
    assert_ne!(one, hash(with_body("a: { from: properties.a, type: text }"), 0));
    let beside = "pipeline: shop\nkeys: [ { key: other } ]\nlookup: [properties.x.y]\ndestinations:\n  - { blueprint: kameleoon, settings: { site_code: f17c21u1ag, region: eu } }\n  - { blueprint: acme }\n";
    let both = with_body("a: { from: properties.a }").pipeline("shop.yaml", beside);
    assert_eq!(one, hash(both, 1), "what stands beside it does not matter");
}
