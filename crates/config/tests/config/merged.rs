//! What `blueprint show --merged` prints is what holds.

use std::path::Path;

use anole_config::{MergeError, Merging, merged};

use crate::support::{Event, Folder, page, shop, track};

const EVENTS: &str = "    events:
      Order Completed: { set: { goalId: 36151, revenue: { absolute: true } } }
      Order Refunded: { when: has(properties.refund), set: { revenue: { from: properties.refund } } }
      Newsletter Joined: { send: conversion, set: { goalId: 40112 } }
      Seen: [ { send: page }, { send: conversion, set: { goalId: 7 } } ]
      Signed Up: off
";

fn text(folder: &Folder, what: &Merging) -> Result<String, MergeError> {
    let (pipelines, blueprints) = (folder.path("pipelines"), folder.path("blueprints"));
    merged(&pipelines, Some(&blueprints), what, &|_| None)
}

fn of_shop(folder: &Folder) -> String {
    let destination = Some(("shop".to_owned(), "kameleoon".to_owned()));
    text(folder, &Merging { destination, ..Merging::default() }).unwrap_or_else(|error| panic!("{error}"))
}

fn events() -> Vec<Event> {
    let visitor = r#","anonymous_id":"a-1""#;
    let properties = r#","properties":{"revenue":-5.50,"refund":"7.25","kameleoon_goal_id":3}"#;
    let mut all: Vec<Event> = ["Order Completed", "Order Refunded", "Newsletter Joined", "Seen", "Signed Up", "Other"]
        .iter()
        .map(|name| track(name, &format!("{properties}{visitor}")))
        .collect();
    all.push(track("Order Refunded", visitor));
    all.push(page(&format!(r#","context":{{"page":{{"url":"https://a.example/"}}}}{visitor}"#)));
    all
}

#[test]
fn what_is_printed_taken_as_a_pipeline_s_own_rules_makes_the_same_sends() {
    let folder = Folder::with(&shop(EVENTS));
    let printed = of_shop(&folder);
    let indented: Vec<String> = printed.lines().map(|line| format!("      {line}")).collect();
    let again = Folder::with(&shop(&format!("    events:\n{}\n", indented.join("\n"))));
    let (plan, again) = (folder.plan(), again.plan());
    for event in events() {
        assert_eq!(event.made(&plan), event.made(&again), "{}\n{printed}", event.name);
    }
}

#[test]
fn each_rule_and_each_field_says_where_it_came_from_and_the_most_specific_comes_first() {
    let printed = of_shop(&Folder::with(&shop(EVENTS)));
    let at = |text: &str| printed.find(text).unwrap_or_else(|| panic!("{text} is missing in\n{printed}"));
    for (rule, places) in [
        ("Order Completed:", &["pipelines/shop.yaml:7, over blueprints/kameleoon.yaml (embedded):"][..]),
        ("Newsletter Joined:", &["pipelines/shop.yaml:9\n"]),
        ("Signed Up: off", &["pipelines/shop.yaml:11, in place of blueprints/kameleoon.yaml (embedded):"]),
        ("page: ", &["# blueprints/kameleoon.yaml (embedded):"]),
    ] {
        let before = printed[..at(rule)].lines().last().unwrap_or_default();
        let place = places[0].trim_end();
        assert!(before.contains(place), "{rule} stands under {before}, and not {place}");
    }
    assert!(printed.contains("    goalId: 36151    # "), "{printed}");
    assert!(at("Signed Up:") < at("page: "), "names come before types");
    let laid = "revenue: { first_of: [properties.revenue, properties.value, properties.total], absolute: true }";
    assert!(printed.contains(laid), "{printed}");
    assert!(printed.contains("negative: true    # blueprints/kameleoon.yaml (embedded):"), "{printed}");
}

#[test]
fn a_preset_alone_is_shown_and_what_is_not_there_is_named() {
    let folder = Folder::with(&shop(EVENTS));
    let preset = Merging { blueprint: "kameleoon".to_owned(), ..Merging::default() };
    let printed = text(&folder, &preset).unwrap_or_else(|error| panic!("{error}"));
    assert!(printed.contains("Signed Up: { send: conversion }") && !printed.contains("Newsletter"), "{printed}");
    let error = |what: Merging| text(&folder, &what).expect_err("an error").to_string();
    assert_eq!(
        error(Merging { preset: Some("all".to_owned()), ..preset.clone() }),
        "there is no preset `all`; there is default"
    );
    assert_eq!(
        error(Merging { blueprint: "x".to_owned(), ..Merging::default() }),
        "there is no blueprint `x`; there is kameleoon"
    );
    let of = |pipeline: &str, name: &str| Some((pipeline.to_owned(), name.to_owned()));
    assert_eq!(
        error(Merging { destination: of("shop", "x"), ..Merging::default() }),
        "there is no destination `x`; there is kameleoon"
    );
    assert_eq!(
        error(Merging { destination: of("x", "kameleoon"), ..Merging::default() }),
        "there is no pipeline `x`; there is shop"
    );
}

#[test]
fn the_starter_blueprint_loads_without_a_word() {
    let pipeline = "pipeline: shop\nkeys: [ { key: dk_x } ]\ndestinations:\n  - blueprint: acme\n    settings: { api_key: \"${KEY}\" }\n";
    let folder =
        Folder::with(pipeline).blueprint("acme.yaml", &anole_config::starter_blueprint("acme")).env("KEY", "k");
    assert_eq!(folder.warnings(), "");
    let plan = folder.plan();
    let order = track(
        "Order Completed",
        r#","user_id":"u-1","timestamp":"2026-01-01T00:00:00.000Z","properties":{"total":"5.00"}"#,
    );
    assert_eq!(
        order.body(&plan),
        r#"{"events":[{"id":"9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa","user":"u-1","name":"Order Completed","time":"2026-01-01T00:00:00.000Z","amount":5.00}]}"#
    );
    assert!(Path::new(&folder.path("blueprints/acme.yaml")).exists());
}
