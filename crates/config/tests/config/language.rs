//! Every directive of the language, and every input that other languages misread (vendors.md 3.2 and 3.3).

use anole_pipeline::{Auth, Made};

use crate::mapping::{event, item, outcome, with_body};
use crate::support::{Folder, track};

/// The event of vendors.md 3.2.
const EVENT: &str = r#"{"total":12.5,"zero":0,"empty":"","no":false,"nul":null,"s":"HeLLo",
    "products":[{"sku":"A","price":1},{"sku":"B","price":2}],"nested":{"a":{"b":1}},"dotted.key":"d","html":"<b>&\"x\"</b>"}"#;

fn gives(body: &str, expected: &str) {
    assert_eq!(item(body, EVENT), format!("{{{expected}}}"), "{body}");
}

/// What is wrong with a body, in one line without its place.
fn wrong(body: &str) -> String {
    let errors = with_body(body).load().expect_err(body);
    let problem = &errors.problems()[0];
    let told = problem
        .suggestion()
        .map_or_else(|| problem.expected().unwrap_or_default().to_owned(), |name| format!("did you mean `{name}`?"));
    assert!(problem.place().is_some(), "every mistake has a place: {problem}");
    format!("{}: {told}", problem.message())
}

#[test]
fn paths_take_what_is_there_and_nothing_else() {
    gives("a: { from: properties.zip }", "");
    gives("a: { from: properties.nul }", "");
    gives("a: { from: properties.nul, keep_null: true }", r#""a":null"#);
    gives("a: { from: properties.nul.x, keep_null: true }", "");
    gives("a: { from: properties.zero.x }", "");
    gives("a: { from: properties.zero }", r#""a":0"#);
    gives("a: { from: properties.no }", r#""a":false"#);
    gives("a: { from: properties.empty }", "");
    gives("a: { from: properties.empty, keep_empty: true }", r#""a":"""#);
    gives("a: { from: properties.products.1.sku }", r#""a":"B""#);
    gives(r#"a: { from: 'properties."dotted.key"' }"#, r#""a":"d""#);
    gives("a: { from: properties.products.length }", "");
    gives("a: { cel: size(properties.products) }", r#""a":2"#);
    assert_eq!(
        wrong("a: { from: \"properties.products[1].sku\" }"),
        "`properties.products[1].sku` is no path: `[` may only stand within double quotes: properties.\"my key\": did you mean `properties.products.1.sku`?"
    );
    assert!(wrong("a: { from: properties.products.*.sku }").starts_with("`properties.products.*.sku` is no path"));
    assert!(wrong("a: { from: $.properties.total }").ends_with("did you mean `properties.total`?"));
    assert!(wrong("a: { from: $ }").contains("an event has no `$`"));
}

#[test]
fn templates_put_texts_and_numbers_in_and_never_objects() {
    gives("a: \"t={{ properties.total }} n={{properties.no}} 0={{ properties.zero }}\"", r#""a":"t=12.5 n=false 0=0""#);
    gives("a: \"z={{ properties.zip }}\"", "");
    gives("a: { template: \"z={{ properties.zip }}\", default: none }", r#""a":"none""#);
    gives("a: \"{{ properties.html }}\"", r#""a":"<b>&\"x\"</b>""#);
    gives("a: { value: \"{{ properties.total }}\" }", r#""a":"{{ properties.total }}""#);
    let object = outcome("a: \"o={{ properties.nested }}\"", EVENT);
    assert!(object.starts_with("parked/mapping: the a is a text, and the property nested is no text"), "{object}");
    assert!(wrong("a: \"{{ $.properties.total }}\"").ends_with("did you mean `properties.total`?"));
    assert!(wrong("a: \"{{ properties.total\"").starts_with("the braces of a template are not closed"));
    assert!(wrong("a: \"{{ total }}\"").ends_with("did you mean a property? write properties.total"));
}

#[test]
fn constants_are_an_escape_hatch() {
    gives("a: { value: { from: properties.total } }", r#""a":{"from":"properties.total"}"#);
    gives("a: { value: null }", r#""a":null"#);
    assert!(wrong("a: null").starts_with("there is no value"));
    assert!(wrong("a: { from: properties.total, value: 1 }").contains("both say where the value comes from"));
    assert!(wrong("a: { form: properties.total }").ends_with("did you mean `from`?"));
}

#[test]
fn first_of_and_default_say_what_stands_in() {
    for (place, expected) in [("total", "12.5"), ("zero", "0"), ("no", "false")] {
        gives(&format!("a: {{ first_of: [properties.{place}, user_id] }}"), &format!(r#""a":{expected}"#));
    }
    for nothing in ["empty", "nul", "zip"] {
        gives(&format!("a: {{ first_of: [properties.{nothing}, user_id] }}"), r#""a":"u-42""#);
        gives(&format!("a: {{ from: properties.{nothing}, default: 7 }}"), r#""a":7"#);
    }
}

#[test]
fn each_element_of_a_list_gives_a_value() {
    gives(
        "a: { each: properties.products, item: { object: { id: { from: item.sku }, n: { from: item.quantity, default: 1 }, all: { from: properties.total } } } }",
        r#""a":[{"id":"A","n":1,"all":12.5},{"id":"B","n":1,"all":12.5}]"#,
    );
    gives("a: { each: properties.products, item: { from: item.sku } }", r#""a":["A","B"]"#);
    gives(
        "a: { each: properties.products, item: \"{{ item.sku }}-{{ properties.s }}\" }",
        r#""a":["A-HeLLo","B-HeLLo"]"#,
    );
    gives("a: { each: properties.products, item: { cel: item.price * 10 + 1 } }", r#""a":[11,21]"#);
    gives("a: { each: properties.products, item: x }", r#""a":["x","x"]"#);
    gives("a: { each: properties.products }", r#""a":[{"sku":"A","price":1},{"sku":"B","price":2}]"#);
    gives("a: { each: properties.products, item: { from: item.zip } }", "");
    gives("a: { each: properties.zip, item: { from: item.sku } }", "");
    gives("a: { each: properties.nested, item: { from: item.a } }", r#""a":[{"b":1}]"#);
    let lists = r#"{"l":[{"k":"x","in":[1,2]},{"k":"y","in":[3]}]}"#;
    let nested = "a: { each: properties.l, item: { object: { k: { from: item.k }, in: { each: item.in, item: { from: item, type: text } } } } }";
    assert_eq!(item(nested, lists), r#"{"a":[{"k":"x","in":["1","2"]},{"k":"y","in":["3"]}]}"#);
    assert!(outcome("a: { each: properties.s }", EVENT).contains("which is no list"));
    assert!(
        outcome("a: { each: properties.products, item: { from: item.sku, type: number } }", EVENT)
            .contains("no finite number")
    );
    assert!(wrong("a: { from: item.sku }").starts_with("`item.sku` stands in no list"));
    assert!(wrong("a: { from: user_id, item: { from: item.sku } }").starts_with("`item` stands beside `each` only"));
}

#[test]
fn objects_are_picked_omitted_flattened_and_merged() {
    gives("a: { from: properties.nested, flatten: . }", r#""a":{"a.b":1}"#);
    gives("a: { from: properties.zip, flatten: . }", "");
    gives(
        "a: { object: { p: { from: properties.products } }, flatten: . }",
        r#""a":{"p.0.sku":"A","p.0.price":1,"p.1.sku":"B","p.1.price":2}"#,
    );
    gives("a: { from: properties, pick: [total, nested.a] }", r#""a":{"total":12.5,"nested":{"a":{"b":1}}}"#);
    gives("a: { from: properties, pick: [zip] }", "");
    gives("a: { from: properties.products.0, omit: [price] }", r#""a":{"sku":"A"}"#);
    gives("a: { from: properties.products, omit: [price] }", r#""a":[{"sku":"A"},{"sku":"B"}]"#);
    gives(
        "a: { merge: [ { from: properties.nested }, { object: { c: 2 } }, { from: properties.zip } ] }",
        r#""a":{"a":{"b":1},"c":2}"#,
    );
    gives("a: { merge: [ { value: { a: 1 } }, { value: { a: null } } ] }", r#""a":{"a":null}"#);
    assert!(
        outcome("a: { merge: [ { value: { a: 1 } }, { from: properties.s } ] }", EVENT)
            .contains("no object to be merged")
    );
}

#[test]
fn texts_are_shaped_and_other_values_pass() {
    gives("a: { from: properties.total, case: upper }", r#""a":12.5"#);
    gives("a: { from: properties.s, case: lower }", r#""a":"hello""#);
    gives("a: { from: properties.s, type: json }", r#""a":"\"HeLLo\"""#);
    gives("a: { from: properties.nested, type: json }", r#""a":"{\"a\":{\"b\":1}}""#);
    gives("a: { from: properties.zip, type: json }", "");
    gives("a: { from: properties.s, values: { HeLLo: 1, Bye: 2 } }", r#""a":1"#);
    gives("a: { from: properties.total, values: { 12.5: { value: x } } }", r#""a":{"value":"x"}"#);
    gives("a: { from: properties.no, values: { false: off } }", r#""a":"off""#);
    gives("a: { from: properties.s, case: lower, values: { hi: 1 }, else: 9 }", r#""a":9"#);
    gives("a: { from: properties.s, values: { hi: 1 } }", "");
    assert!(wrong("a: { from: properties.s, else: 1 }").starts_with("`else` stands beside `values` only"));
    assert!(wrong("a: { from: properties.s, case: Upper }").contains("cannot be `Upper`"));
}

#[test]
fn people_s_data_is_hashed_as_vendors_compare_it() {
    let hash = "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72";
    assert_eq!(
        item("a: { from: properties.e, sha256: email }", r#"{"e":" Ada@Example.COM "}"#),
        format!(r#"{{"a":"{hash}"}}"#)
    );
    assert_eq!(item("a: { from: properties.e, sha256: email }", "{}"), "{}");
    assert!(outcome("a: { from: properties.e, sha256: text }", r#"{"e":{}}"#).contains("no text to be hashed"));
}

#[test]
fn points_in_time_and_numbers_take_the_form_that_is_asked() {
    let at = r#"{"t":"2026-11-24T11:00:00+01:00","s":1795514400,"ms":"1795514400123","bad":"soon"}"#;
    assert_eq!(item("a: { from: properties.t, type: unix_s }", at), r#"{"a":1795514400}"#);
    assert_eq!(item("a: { from: properties.t, type: unix_ms }", at), r#"{"a":1795514400000}"#);
    assert_eq!(item("a: { from: properties.s, type: iso_time }", at), r#"{"a":"2026-11-24T10:00:00.000Z"}"#);
    assert_eq!(item("a: { from: properties.ms, type: iso_time }", at), r#"{"a":"2026-11-24T10:00:00.123Z"}"#);
    assert!(outcome("a: { from: properties.bad, type: unix_s }", at).contains("no point in time"));
    assert_eq!(item("a: { from: properties.n, type: number, round: 2 }", r#"{"n":"2.675"}"#), r#"{"a":2.68}"#);
    assert_eq!(
        item("a: { from: properties.n, type: number, absolute: true, round: 0 }", r#"{"n":-2.5}"#),
        r#"{"a":3}"#
    );
    assert!(wrong("a: { from: properties.n, round: 99 }").contains("0 to 15 digits"));
}

/// The line "Numbers" of what must be shown.
#[test]
fn digits_pass_unchanged_and_nothing_is_guessed() {
    for digits in ["23.50", "1e3", "-0", "12345678901234567890", "0.1", "1E+2", "0.10000000000000000001"] {
        let properties = format!(r#"{{"n":{digits},"t":"{digits}"}}"#);
        assert_eq!(item("a: { from: properties.n }", &properties), format!(r#"{{"a":{digits}}}"#));
        assert_eq!(item("a: { from: properties.n, type: number }", &properties), format!(r#"{{"a":{digits}}}"#));
        assert_eq!(item("a: { from: properties.t, type: number }", &properties), format!(r#"{{"a":{digits}}}"#));
        assert_eq!(item("a: { from: properties.n, type: text }", &properties), format!(r#"{{"a":"{digits}"}}"#));
        assert_eq!(
            item("a: { from: properties.t }", &properties),
            format!(r#"{{"a":"{digits}"}}"#),
            "a text stays one"
        );
    }
    for text in ["NaN", "Infinity", "-Infinity", "0x10", "1,5", "12 EUR"] {
        let properties = format!(r#"{{"t":"{text}"}}"#);
        assert_eq!(item("a: { from: properties.t }", &properties), format!(r#"{{"a":"{text}"}}"#));
        assert!(outcome("a: { from: properties.t, type: number }", &properties).contains("which is no finite number"));
    }
}

#[test]
fn settings_may_be_lists_and_maps() {
    let blueprint = r#"blueprint: acme
title: Acme
settings:
  tags: { type: list, default: [a, b] }
  extra: { type: map, optional: true }
requests: { one: { url: "https://a.example/", frame: single } }
sends:
  hit: { request: one, body: { tags: { from: settings.tags }, extra: { from: settings.extra } } }
presets: { default: { track: { send: hit } } }
"#;
    let plan = |settings: &str| {
        let pipeline = format!(
            "pipeline: shop\nkeys: [ {{ key: k }} ]\ndestinations: [ {{ blueprint: acme, settings: {settings} }} ]\n"
        );
        Folder::with(&pipeline).blueprint("acme.yaml", blueprint)
    };
    assert_eq!(event("{}").item(&plan("{}").plan()), r#"{"tags":["a","b"]}"#);
    assert_eq!(
        event("{}").item(&plan("{ tags: [1.50], extra: { x: [y] } }").plan()),
        r#"{"tags":[1.50],"extra":{"x":["y"]}}"#
    );
    assert!(plan("{ tags: a }").errors().contains("`tags` must be a list, not a text"));
}

#[test]
fn requests_have_frames_and_ways_to_authenticate() {
    let plan = |request: &str| {
        let blueprint = format!(
            "blueprint: acme\ntitle: Acme\nsettings: {{ key: {{ type: secret }} }}\nrequests: {{ one: {{ url: \"https://a.example/\", {request} }} }}\n\
             sends: {{ hit: {{ request: one, body: {{ a: {{ from: properties.a }}, b: x y }} }} }}\npresets: {{ default: {{ track: {{ send: hit }} }} }}\n"
        );
        let pipeline = "pipeline: shop\nkeys: [ { key: k } ]\ndestinations: [ { blueprint: acme, settings: { key: \"${KEY}\" } } ]\n";
        Folder::with(pipeline).blueprint("acme.yaml", &blueprint).env("KEY", "hush")
    };
    for (frame, body, media) in [
        ("array", r#"[{"a":1,"b":"x y"}]"#, "application/json"),
        ("single", r#"{"a":1,"b":"x y"}"#, "application/json"),
        ("{ list: events }", r#"{"events":[{"a":1,"b":"x y"}]}"#, "application/json"),
        ("form", "a=1&b=x+y", "application/x-www-form-urlencoded"),
    ] {
        let plan = plan(&format!("frame: {frame}")).plan();
        let event = event(r#"{"a":1}"#);
        assert_eq!(event.body(&plan), body);
        assert_eq!(event.sent(&plan).address.headers, [("Content-Type".into(), media.into())]);
    }
    let own = plan("frame: array, headers: { content-type: application/x-ndjson }").plan();
    assert_eq!(event("{}").sent(&own).address.headers, [("content-type".into(), "application/x-ndjson".into())]);
    let with =
        plan("frame: { list: events, with: { api_key: \"{{ settings.key }}\", v: 1.50, opts: { a: [x] } } }").plan();
    assert_eq!(
        event(r#"{"a":1}"#).body(&with),
        r#"{"api_key":"hush","v":1.50,"opts":{"a":["x"]},"events":[{"a":1,"b":"x y"}]}"#
    );
    assert!(!format!("{with:?}").contains("hush"), "a secret is never shown");
    let kept = with.lanes[0].without_secrets(event(r#"{"a":1}"#).body(&with).into());
    assert!(kept.starts_with(br#"{"api_key":"***","v":1.50"#), "{kept:?}");
    assert!(plan("frame: { list: events, with: { events: 1 } }").errors().contains("the list's own key"));
    assert!(
        plan("frame: { list: events, with: { u: \"{{ user_id }}\" } }")
            .errors()
            .contains("only settings are known here")
    );
    assert!(plan("frame: form, batch: { events: 5 }").errors().contains("a single item stands alone"));
    let auth = |auth: &str| plan(&format!("frame: array, auth: {auth}")).plan().lanes[0].requests[0].auth.clone();
    let hmac = auth("{ hmac: { header: X-Sig, secret: \"{{ settings.key }}\", encoding: base64, prefix: v1= } }");
    assert!(matches!(&hmac, Auth::Hmac(hmac) if hmac.secret.reveal() == "hush" && &*hmac.prefix == "v1="), "{hmac:?}");
    assert!(!format!("{hmac:?}").contains("hush"), "a secret is never shown");
    assert!(matches!(auth("{ bearer: \"{{ settings.key }}\" }"), Auth::Bearer(key) if key.reveal() == "hush"));
    assert!(
        matches!(auth("{ header: { name: X-Key, value: \"k {{ settings.key }}\" } }"), Auth::Header { value, .. } if value.reveal() == "k hush")
    );
    assert!(matches!(auth("{ basic: { user: \"{{ settings.key }}\", password: p } }"), Auth::Basic { .. }));
}

#[test]
fn answers_may_speak_of_each_item() {
    let answers = |answers: &str| {
        let blueprint = format!(
            "blueprint: acme\ntitle: Acme\nrequests: {{ one: {{ url: \"https://a.example/\", frame: array }} }}\nanswers:\n{answers}\n\
             sends: {{ hit: {{ request: one, body: {{ a: 1 }} }} }}\npresets: {{ default: {{ track: {{ send: hit }} }} }}\n"
        );
        Folder::with("pipeline: shop\nkeys: [ { key: k } ]\ndestinations: [ { blueprint: acme } ]\n")
            .blueprint("acme.yaml", &blueprint)
    };
    let plan = answers("  207: { then: split, items: { list: data.results, status: code } }\n  2xx: { then: delivered, items: { status: status } }").plan();
    let answers_of = &plan.lanes[0].requests[0].answers;
    assert_eq!(
        answers_of.statuses(207, br#"{"data":{"results":[{"code":200},{"code":409}]}}"#, 2),
        Some(vec![200, 409])
    );
    assert_eq!(answers_of.statuses(200, br#"[{"status":200}]"#, 1), Some(vec![200]));
    assert!(
        answers("  207: { then: split, items: { list: \"results[0]\", status: code } }")
            .errors()
            .contains("this is no path")
    );
    assert!(answers("  207: { then: split, items: { list: results } }").errors().contains("`status` is missing"));
}

/// A pipeline with these lines at its destination, whose blueprint sends `a`, `all` and `card`.
fn destination(more: &str) -> Folder {
    let body = "a: { from: properties.plan }\nall: { from: properties }\ncard: { from: properties.card.number }\nwho: { from: traits.email }";
    let pipeline = format!("pipeline: shop\nkeys: [ {{ key: k }} ]\ndestinations:\n  - blueprint: acme\n{more}");
    with_body(body).pipeline("shop.yaml", &pipeline)
}

fn ends(more: &str, properties: &str) -> String {
    let plan = destination(more).plan();
    let event = event(properties);
    match &event.made(&plan)[0] {
        Made::Send(_) => "sent".to_owned(),
        Made::Ended(_) => event.outcome(&plan),
    }
}

#[test]
fn conditions_filter_at_a_destination_a_rule_and_a_send() {
    let at_destination = "    when: properties.plan == \"pro\"\n";
    assert_eq!(ends(at_destination, r#"{"plan":"pro"}"#), "sent");
    let not = r#"filtered/condition: the condition of the destination does not hold: properties.plan == "pro""#;
    assert_eq!(ends(at_destination, r#"{"plan":"free"}"#), not);
    let fails = "filtered/condition_failed: the condition of the destination fails, which counts as false: properties.plan is missing, in properties.plan == \"pro\"";
    assert_eq!(ends(at_destination, "{}"), fails);
    let at_rule = "    events:\n      Seen: { send: hit, when: has(properties.plan) && properties.plan != settings.label }\n    settings: { label: free }\n";
    assert_eq!(ends(at_rule, r#"{"plan":"pro"}"#), "sent");
    assert!(ends(at_rule, r#"{"plan":"free"}"#).starts_with("filtered/condition: the condition of the rule"));
    assert!(ends(at_rule, "{}").starts_with("filtered/condition: "), "has() asks");
    let over = "    events:\n      track: { when: properties.n > 1 }\n";
    assert!(ends(over, r#"{"n":1}"#).starts_with("filtered/condition: "), "laid over the preset's rule");
    assert_eq!(ends(over, r#"{"n":1.5}"#), "sent");
    let several =
        "    events:\n      Seen:\n        - { send: hit, when: properties.n > 1 }\n        - { send: hit }\n";
    let made = event(r#"{"n":1}"#).made(&destination(several).plan());
    assert!(matches!(&made[..], [Made::Ended(one), Made::Send(two)] if one.ordinal == 0 && two.ordinal == 1));
}

#[test]
fn the_most_specific_rule_decides_alone() {
    let rules = "    events:\n      Seen: { send: hit, when: properties.n > 1 }\n      \"*\": { send: hit }\n";
    assert!(ends(rules, r#"{"n":1}"#).starts_with("filtered/condition: "), "the rule * does not take its place");
}

#[test]
fn a_condition_that_can_never_hold_is_found_at_load() {
    let errors = |when: &str| destination(&format!("    when: {when}\n")).errors();
    assert!(errors("propertys.plan == \"pro\"").contains("did you mean `properties`"));
    assert!(errors("user_id.x == \"pro\"").contains("`user_id` is a text and has no parts"));
    assert!(errors("cookies.nope == \"pro\"").contains("no blueprint asks for the cookie `nope`"));
    assert!(errors("settings.nope == 1").contains("no setting `nope`"));
    assert!(errors("properties.plan = \"pro\"").contains("did you mean `==`"));
    assert!(errors("properties.plan == \"pro\" and true").contains("did you mean `&&`"));
    assert!(errors("size(properties.plan").contains("no CEL expression"));
    insta::assert_snapshot!("condition_place", errors("has(properties.plan) && propertys.plan == \"pro\""));
}

#[test]
fn filters_keep_events_and_properties_back() {
    let all = r#"{"plan":"pro","card":{"number":"4111","brand":"x"}}"#;
    let sent = |more: &str| {
        let event = track("Seen", &format!(r#","traits":{{"email":"a@b.example"}},"properties":{all}"#));
        event.item(&destination(more).plan())
    };
    assert_eq!(sent(""), format!(r#"{{"a":"pro","all":{all},"card":"4111","who":"a@b.example"}}"#));
    assert_eq!(
        sent("    filters: { drop_properties: [properties.card.number, traits] }\n"),
        r#"{"a":"pro","all":{"plan":"pro","card":{"brand":"x"}}}"#
    );
    assert_eq!(
        sent("    filters: { allow_properties: [properties.plan] }\n"),
        r#"{"a":"pro","all":{"plan":"pro"},"who":"a@b.example"}"#
    );
    assert_eq!(
        sent(
            "    filters: { drop_properties: [properties.plan], allow_properties: [properties.plan, properties.card.brand] }\n"
        ),
        r#"{"all":{"card":{"brand":"x"}},"who":"a@b.example"}"#
    );
    assert_eq!(ends("    filters: { drop: [Seen] }\n", "{}"), "filtered/listed");
    assert_eq!(ends("    filters: { only: [page] }\n", "{}"), "filtered/listed");
    assert_eq!(ends("    filters: { only: [track], sample: 100 }\n", "{}"), "sent");
    assert_eq!(ends("    filters: { sample: 0 }\n", "{}"), "filtered/sampled");
    assert!(destination("    filters: { sample: 120 }\n").errors().contains("`120` is no percentage"));
    assert!(
        destination("    filters: { drop_properties: [propertis.x] }\n").errors().contains("did you mean `properties`")
    );
    let hidden = destination(
        "    when: properties.card.number == \"4111\"\n    filters: { drop_properties: [properties.card] }\n",
    )
    .plan();
    assert!(
        event(all).outcome(&hidden).starts_with("filtered/condition_failed"),
        "a condition sees no more than a mapping"
    );
}

#[test]
fn a_setting_that_nothing_uses_is_a_warning() {
    let blueprint = "blueprint: acme\ntitle: Acme\nsettings:\n  host: { type: text, default: a.example }\n  hos: { type: text, optional: true }\n  \
                     only: { type: text, optional: true }\nrequests: { one: { url: \"https://{{ settings.host }}/\", frame: array } }\n\
                     sends: { hit: { request: one, body: { a: 1 } } }\n\
                     presets: { default: { track: { send: hit, when: has(settings.only) } } }\n";
    let folder = Folder::with("pipeline: shop\nkeys: [ { key: k } ]\n").blueprint("acme.yaml", blueprint);
    assert_eq!(
        folder.warnings(),
        "blueprints/acme.yaml:5:3: nothing uses the setting `hos`: write settings.hos where it belongs, or remove it"
    );
}

/// The example of the reference page, as it stands there.
#[test]
fn the_reference_pages_example_is_right() {
    let page = include_str!("../../../../docs/blueprints.md");
    let start = page.find("```yaml\nbody:\n").expect("the example") + "```yaml\nbody:\n".len();
    let body: String =
        page[start..].lines().take_while(|line| *line != "```").map(|line| format!("{}\n", &line[2..])).collect();
    let event = r#","traits":{"plan":"PRO","email":"Ada@Example.com"},"properties":{"order_id":1001,"revenue":"129.956","points":2,"currency":"EUR",
        "card":"4111","products":[{"sku":"A","name":"Shoe","quantity":"2"},{"product_id":"B","name":"Sock"}]}"#;
    assert_eq!(
        track("Seen", event).item(&with_body(&body).plan()),
        r#"{"id":"1001","total":129.96,"plan":2,"email":"b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72","lines":[{"sku":"A","count":2,"label":"Shoe (EUR)"},{"sku":"B","count":1,"label":"Sock (EUR)"}],"extra":{"order_id":1001,"revenue":"129.956","points":2,"currency":"EUR","via":"anole"},"doubled":4.0}"#
    );
}

/// Ten mistakes of ten kinds in one blueprint: ten errors, each in its line, each with what helps.
#[test]
fn ten_mistakes_give_ten_errors() {
    let blueprint = r#"blueprint: acme
title: Acme
settings:
  host: { type: texte }
  token: { type: secret, default: hunter2 }
requests:
  one:
    url: "https://{{ settings.hots }}/v1"
    frame: aray
    headers: { User-Agent: acme }
sends:
  hit:
    request: two
    body:
      amount: { from: property.amount, type: number }
      plan: { form: properties.plan }
      note: { from: properties.a, template: "{{ properties.a }}" }
presets:
  default:
    track: { send: hti, when: properties.plan = "pro" }
"#;
    let folder = Folder::with("pipeline: shop\nkeys: [ { key: k } ]\n").blueprint("acme.yaml", blueprint);
    let errors = folder.load().expect_err("ten mistakes");
    let lines: Vec<usize> =
        errors.problems().iter().filter_map(anole_config::Problem::place).map(|(line, _)| line).collect();
    assert_eq!(lines, [4, 5, 8, 9, 10, 13, 15, 16, 17, 20, 20], "{}", folder.errors());
    insta::assert_snapshot!("ten_mistakes", folder.errors());
}
