//! Every kind of mistake, as a person reads of it. The snapshots beside this file are what is printed.

use crate::support::{Folder, shop};

/// A blueprint that is right, to be broken in one place.
const BLUEPRINT: &str = r#"blueprint: acme
title: Acme
settings:
  host: { type: text }
  token: { type: secret, optional: true }
  count: { type: integer, default: 5 }
cookies: [acme]
remember: { acme_id: { first_of: [cookies.acme] } }
resolve:
  visitor_code: { first_of: [cookies.acme, identity.acme_id], otherwise: park }
requests:
  one:
    url: "https://{{ settings.host }}/v1"
    frame: array
    batch: { events: 10, bytes: 64KiB, wait: 500ms }
answers: { 404: pause, 5xx: { then: retry, hint: later } }
sends:
  hit:
    request: one
    expires: 1h
    body:
      id: { from: send.nonce }
      kind: HIT
      who: { from: resolved.visitor_code }
      amount: { from: properties.amount, type: number, min: 0 }
      note: "{{ properties.a }} of {{ settings.host }}"
presets:
  default:
    track: { send: hit }
"#;

fn snapshot(name: &str, folder: &Folder) {
    insta::assert_snapshot!(name, folder.errors());
}

/// A pipeline with something else in one place.
fn broken(name: &str, from: &str, to: &str) {
    let right = shop("    events:\n      Order Completed: { set: { goalId: 36151 } }\n      page: off\n");
    assert!(right.contains(from), "{from}");
    snapshot(name, &Folder::with(&right.replace(from, to)));
}

/// A blueprint with something else in one place.
fn bad_blueprint(name: &str, from: &str, to: &str) {
    assert!(BLUEPRINT.contains(from), "{from}");
    let folder = Folder::with("pipeline: shop\nkeys: [ { key: k } ]\n");
    snapshot(name, &folder.blueprint("acme.yaml", &BLUEPRINT.replacen(from, to, 1)));
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = r#"pipeline: shop
kees: [ { key: dk_live_shop, origin: [x] } ]
consent: { unknown: deny }
keys: hello
destinations:
  - blueprint: kamelon
  - blueprint: kameleoon
    settings: { sitecode: f17c21u1ag, region: eo }
    events:
      Order Completed: { set: { goalID: 1, revenue: { form: properties.revenue } } }
      Newsletter: { send: conversation }
      Order Complete: { set: { goalId: abc } }
      page: on
      page: off
      Signed Up: { set: { goalId: { from: propertys.x } } }
"#;
    snapshot("all_at_once", &Folder::with(text));
}

#[test]
fn mistakes_in_the_shape_of_a_file() {
    broken("yaml_syntax", "region: eu }", "region: eu");
    broken("unknown_key", "settings:", "setings:");
    broken("wrong_type", "keys: [ { key: dk_live_shop } ]", "keys: dk_live_shop");
    broken("missing_key", "pipeline: shop\n", "");
    broken("duplicate_key", "page: off", "page: off\n      page: { send: page }");
    broken("rule_word", "page: off", "page: of");
    broken("rule_when", "page: off", "page: { send: page, when: properties.a = 1 }");
    broken("bad_name", "pipeline: shop", "pipeline: my/shop");
}

#[test]
fn mistakes_in_settings() {
    broken("missing_setting", "site_code: f17c21u1ag, ", "");
    broken("missing_settings", "    settings: { site_code: f17c21u1ag, region: eu }\n", "");
    broken("empty_setting", "f17c21u1ag", "\"\"");
    broken("choice_setting", "region: eu", "region: us");
    broken("unknown_setting", "region: eu", "region: eu, base-url: \"https://x.example\"");
    broken("url_setting", "region: eu", "region: eu, base_url: eu-data.kameleoon.eu");
    broken("list_setting", "f17c21u1ag", "[f17c21u1ag]");
    broken("missing_variable", "f17c21u1ag", "\"${SITE_CODE}\"");
    broken("missing_file", "f17c21u1ag", "\"${file:/nonexistent/site}\"");
    broken("half_of_credentials", "region: eu", "region: eu, client_id: me");
}

#[test]
fn names_that_are_not_there() {
    broken("unknown_blueprint", "blueprint: kameleoon", "blueprint: kamelon");
    broken("unknown_preset", "blueprint: kameleoon", "blueprint: kameleoon\n    preset: ecommerce");
    broken("unknown_send", "page: off", "page: { send: pageview }");
    broken("unknown_field", "goalId: 36151", "goalID: 36151");
    broken("rule_without_send", "Order Completed:", "Order Complete:");
    broken("rule_of_ga4_name", "Order Completed:", "purchase:");
}

#[test]
fn values_that_the_vendor_would_lose_are_found_at_load() {
    broken("constant_type", "36151", "abc");
    broken("constant_range", "36151", "0");
    broken("constant_default", "36151", "{ from: properties.goal, default: 3.5 }");
}

#[test]
fn paths_that_lead_nowhere() {
    for (name, path) in [
        ("path_root", "propertys.goal"),
        ("path_camel_case", "userId"),
        ("path_property", "goal"),
        ("path_below_text", "user_id.x"),
        ("path_dollar", "$.properties.goal"),
        ("path_index", "\"properties.products[0].id\""),
        ("path_setting", "settings.sitecode"),
        ("path_resolved", "resolved.visitor"),
        ("path_cookie", "cookies.kameleoonVisitorcode"),
        ("path_identity", "identity.visitor"),
        ("path_source", "source.nam"),
    ] {
        broken(name, "36151", &format!("{{ from: {path} }}"));
    }
    broken("path_in_list", "36151", "{ first_of: [properties.a, propertis.b] }");
    broken("path_in_template", "36151", "\"1{{ properties.a }}{{ prperties.b }}\"");
    broken("template_open", "36151", "\"1{{ properties.a\"");
}

#[test]
fn two_things_that_claim_the_same() {
    broken("two_sources", "36151", "{ from: properties.goal, value: 5 }");
    broken("two_rules", "page: off", "page: off\n      Sales: { match: [Order Completed], send: conversion }");
    broken(
        "two_destinations",
        "destinations:\n",
        "destinations:\n  - { blueprint: kameleoon, settings: { site_code: f17c21u1aa, region: na } }\n",
    );
    broken("same_key_twice", "[ { key: dk_live_shop } ]", "[ { key: dk_live_shop }, { key: dk_live_shop } ]");
    broken("sends_beside_send", "page: off", "page: { send: page, sends: [ { send: page } ] }");
    let twice = Folder::with(&shop("")).pipeline("shop2.yaml", &shop(""));
    snapshot("two_pipelines", &twice);
    let ga4 = |name: &str| format!("pipeline: {name}\nga4: {{ measurement_ids: [G-ABC123] }}\n");
    snapshot("two_measurement_ids", &Folder::new().pipeline("a.yaml", &ga4("a")).pipeline("b.yaml", &ga4("b")));
}

#[test]
fn other_values_of_a_pipeline() {
    broken("bad_origin", "key: dk_live_shop", "key: dk_live_shop, origins: [\"shop.example.com/x\"]");
    broken("bad_lookup", "destinations:", "lookup: [order_id]\ndestinations:");
    broken("empty_rule", "page: off", "page: []");
    broken("empty_field", "36151", "");
}

#[test]
fn a_blueprint_of_ones_own_that_is_right_loads() {
    let pipeline =
        "pipeline: shop\nkeys: [ { key: k } ]\ndestinations:\n  - blueprint: acme\n    settings: { host: a.example }\n";
    let folder = Folder::with(pipeline).blueprint("acme.yaml", BLUEPRINT);
    let unused = folder.warnings();
    assert!(unused.lines().all(|line| line.contains("nothing uses the setting")), "{unused}");
    assert_eq!(folder.plan().lanes[0].requests[0].batch.events, 10);
}

#[test]
fn a_blueprint_that_cannot_be_read_is_one_mistake() {
    let pipeline = "pipeline: shop\nkeys: [ { key: k } ]\ndestinations: [ { blueprint: acme } ]\n";
    let folder = Folder::with(pipeline).blueprint("acme.yaml", &BLUEPRINT.replace("frame: array", "frame: [array"));
    let errors = folder.load().expect_err("a mistake");
    assert_eq!(errors.problems().len(), 1, "{}", folder.errors());
}

#[test]
fn mistakes_in_blueprints() {
    bad_blueprint("blueprint_unknown_key", "frame: array", "frame: array\n    retries: 5");
    bad_blueprint("blueprint_setting_type", "type: integer", "type: int");
    bad_blueprint("blueprint_choice_without_words", "{ type: text }", "{ type: choice }");
    bad_blueprint("blueprint_pattern", "{ type: text }", "{ type: text, pattern: \"[a-z\" }");
    bad_blueprint("blueprint_default_below", "{ type: text }", "{ type: text, default: \"{{ settings.count }}\" }");
    bad_blueprint("blueprint_secret_default", "type: secret,", "type: secret, default: x,");
    bad_blueprint("blueprint_event_in_settings", "title: Acme\n", "title: Acme\naccount: \"{{ properties.a }}\"\n");
    bad_blueprint("blueprint_cookie", "first_of: [cookies.acme]", "first_of: [cookies.acne]");
    bad_blueprint("blueprint_identity", "identity.acme_id]", "identity.acme]");
    bad_blueprint("blueprint_setting_in_ladder", "identity.acme_id]", "settings.host]");
    bad_blueprint(
        "blueprint_header",
        "frame: array",
        "frame: array\n    headers: { User-Agent: x, \"a b\": c, Authorization: d }",
    );
    bad_blueprint("blueprint_size", "64KiB", "64kib");
    bad_blueprint("blueprint_period", "500ms", "500");
    bad_blueprint("blueprint_no_events", "events: 10", "events: 0");
    bad_blueprint("blueprint_status", "404:", "4o4:");
    bad_blueprint("blueprint_decision", "404: pause", "404: stop");
    bad_blueprint("blueprint_request", "request: one", "request: two");
    bad_blueprint(
        "blueprint_auth",
        "frame: array",
        "frame: array\n    auth: { bearer: x, basic: { user: a, password: b } }",
    );
    bad_blueprint(
        "blueprint_when_set",
        "frame: array",
        "frame: array\n    auth: { bearer: \"{{ settings.token }}\", when_set: settings.tokken }",
    );
    bad_blueprint("blueprint_rule_without_send", "{ send: hit }", "{ set: { kind: MISS } }");
    bad_blueprint(
        "blueprint_refuse",
        "first_of: [cookies.acme]",
        "first_of: [cookies.acme], clean: { refuse: [blanks] }",
    );
}

#[test]
fn mistakes_that_show_with_a_destination() {
    let pipeline =
        "pipeline: shop\nkeys: [ { key: k } ]\ndestinations:\n  - blueprint: acme\n    settings: { host: a.example }\n";
    let with = |from: &str, to: &str| {
        assert!(BLUEPRINT.contains(from), "{from}");
        Folder::with(pipeline).blueprint("acme.yaml", &BLUEPRINT.replacen(from, to, 1))
    };
    snapshot(
        "needs_source",
        &with("{ from: properties.amount, type: number, min: 0 }", "{ type: number, required: true }"),
    );
    snapshot("needs_number", &with("type: number, min: 0", "min: 0"));
    snapshot("nonce_word", &with("title: Acme\n", "title: Acme\nnonce: uuid\n"));
    snapshot("bad_address", &with("https://{{ settings.host }}/v1", "{{ settings.host }}/v1"));
    snapshot("unset_in_url", &with("{{ settings.host }}/v1", "{{ settings.host }}/{{ settings.token }}"));
}

#[test]
fn folders_that_are_not_there_are_told() {
    let env = |_: &str| None;
    let errors = anole_config::load("/nonexistent/pipelines".as_ref(), None, &env).expect_err("an error");
    assert_eq!(
        errors.render(false),
        "error[unreadable_file]: the folder /nonexistent/pipelines cannot be read: No such file or directory (os error 2)\n |\n = note: name a folder that is there"
    );
    assert!(errors.problems()[0].place().is_none());
}

#[test]
fn what_is_worth_a_look_is_a_warning() {
    let secret = shop("").replace("region: eu", "region: eu, client_id: me, client_secret: hush");
    assert_eq!(
        Folder::with(&secret).warnings(),
        "pipelines/shop.yaml:5:82: the secret `client_secret` stands in the file itself: take it from the environment: \"${NAME}\", or from a file: \"${file:/path}\""
    );
    assert_eq!(
        Folder::with(&shop("").replace("f17c21u1ag", "F17")).warnings(),
        "pipelines/shop.yaml:5:28: `site_code` does not look as usual: [a-z0-9]{10}: look at Site Code: Setup > Project"
    );
    assert_eq!(
        Folder::with("pipeline: shop\n").warnings(),
        "pipelines/shop.yaml:1:11: nobody can send to this pipeline: write `keys: [ { key: … } ]`, or `ga4`"
    );
    assert!(Folder::new().warnings().starts_with("there is no pipeline in "));
}

#[test]
fn a_secret_is_in_no_message() {
    let secret =
        shop("").replace("region: eu", "region: eu, client_id: me, client_secret: \"${KAM}\", base_url: nonsense");
    let folder = Folder::with(&secret).env("KAM", "hush\nhush");
    let errors = folder.errors();
    assert!(errors.contains("`client_secret` cannot be `***`"), "{errors}");
    assert!(!errors.contains("hush"), "{errors}");
}

#[test]
fn problems_are_json_for_programs() {
    let errors = Folder::with(&shop("").replace("region: eu", "region: us")).load().expect_err("an error");
    let json = serde_json::to_value(&errors).expect("JSON");
    assert_eq!(json[0]["code"], "bad_value");
    assert_eq!((&json[0]["line"], &json[0]["column"], &json[0]["severity"]), (&5.into(), &48.into(), &"error".into()));
    assert_eq!(json[0]["message"], "`region` cannot be `us`");
    assert_eq!(json[0]["expected"], "write `region: eu or na` (Data Region: where your account is hosted)");
}

#[test]
fn every_code_leads_back_to_its_value() {
    for code in anole_config::Code::ALL {
        assert_eq!(anole_config::Code::from_code(code.as_str()), Some(*code));
    }
}
