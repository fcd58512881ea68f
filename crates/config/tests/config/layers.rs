//! Presets, a pipeline's own rules over them, and blueprints over the embedded ones.

use crate::support::{Event, Folder, page, shop, track};

const COOKIE: &str = r#","cookies":{"kameleoonVisitorCode":"245fc8a1b9"}"#;

fn plan(events: &str) -> std::sync::Arc<anole_pipeline::PipelinePlan> {
    let lines: Vec<String> = events.lines().map(|line| format!("      {line}")).collect();
    Folder::with(&shop(&format!("    events:\n{}\n", lines.join("\n")))).plan()
}

#[test]
fn an_event_without_a_rule_is_unmapped_and_off_is_off() {
    let plan = plan("page: off");
    assert_eq!(track("Something Else", "").outcome(&plan), "filtered/unmapped");
    let ended = page("").ended(&plan);
    assert_eq!((&*ended.rule, ended.outcome.reason.as_str()), ("page", "off"));
}

#[test]
fn a_destination_that_is_not_enabled_filters_everything() {
    let plan = Folder::with(&shop("    enabled: false\n")).plan();
    assert_eq!(track("Order Completed", COOKIE).outcome(&plan), "filtered/disabled");
    assert!(!plan.lanes[0].is_enabled());
}

#[test]
fn a_rule_lies_over_the_presets_and_keeps_what_it_does_not_set() {
    let plan = plan("Order Completed: { set: { goalId: 36151 } }");
    let event = track("Order Completed", &format!(r#","properties":{{"revenue":5,"kameleoon_goal_id":1}}{COOKIE}"#));
    assert!(event.item(&plan).ends_with(r#""goalId":36151,"revenue":5}"#), "the pipeline's goal wins, revenue stays");
}

#[test]
fn a_rule_that_says_what_to_send_replaces_the_presets() {
    let plan = plan("Order Completed: { send: conversion, set: { goalId: 36151 } }");
    let event = track("Order Completed", &format!(r#","properties":{{"revenue":5}}{COOKIE}"#));
    assert!(event.item(&plan).ends_with(r#""goalId":36151}"#), "no revenue any more");
}

#[test]
fn the_most_specific_rule_wins() {
    let plan = plan(
        "'*': off\ntrack: { send: conversion, set: { goalId: 9 } }\nSales:\n  match: [Sold, Bought]\n  send: conversion\n  set: { goalId: 8 }",
    );
    let goal =
        |event: &Event| event.item(&plan).split("\"goalId\":").nth(1).map(|rest| rest.trim_end_matches('}').to_owned());
    assert_eq!(goal(&track("Bought", COOKIE)).as_deref(), Some("8"));
    assert_eq!(&*track("Sold", COOKIE).sent(&plan).rule, "Sales");
    assert_eq!(goal(&track("Anything", COOKIE)).as_deref(), Some("9"));
    let identify = Event { event_type: anole_event::EventType::Identify, ..page("") };
    assert_eq!(&*identify.ended(&plan).rule, "*");
}

#[test]
fn a_rule_may_name_the_ga4_event() {
    let plan = plan("purchase: { send: conversion, set: { goalId: 5 } }");
    let event = Event { source_name: "purchase".to_owned(), ..track("Order Completed", COOKIE) };
    assert_eq!(&*event.sent(&plan).rule, "purchase", "the pipeline's own rule beats the preset's");
    let other = Event { source_name: "add_to_cart".to_owned(), ..track("Product Added", COOKIE) };
    assert_eq!(other.outcome(&plan), "filtered/unmapped");
}

#[test]
fn two_destinations_of_one_blueprint_are_two_lanes_of_one_reading() {
    let text = "pipeline: shop\nkeys: [ { key: k } ]\ndestinations:\n  - { blueprint: kameleoon, name: eu, settings: { site_code: f17c21u1ag, region: eu } }\n  - { blueprint: kameleoon, name: na, settings: { site_code: f17c21u1aa, region: na }, events: { page: off } }\n";
    let plan = Folder::with(text).plan();
    let event = page(&format!(r#","properties":{{"url":"https://e.example/"}}{COOKIE}"#));
    let names: Vec<&str> = plan.lanes.iter().map(|lane| lane.lane.as_str()).collect();
    assert_eq!(names, ["shop/eu", "shop/na"]);
    assert!(matches!(&*event.apply(&plan, &plan.lanes[0]), [anole_pipeline::Made::Send(_)]));
    assert!(matches!(&*event.apply(&plan, &plan.lanes[1]), [anole_pipeline::Made::Ended(_)]));
    assert_eq!(plan.intake.cookies.len(), 1, "asked for once");
    assert_eq!(plan.intake.remember.len(), 1);
}

#[test]
fn a_blueprint_of_the_folder_replaces_the_embedded_one() {
    let (name, text) = anole_config::embedded_blueprints()[0];
    assert_eq!(name, "kameleoon");
    let own = text.replace("eventType: PAGE", "eventType: page");
    let folder = Folder::with(&shop("")).blueprint("kameleoon.yaml", &own);
    let event = page(&format!(r#","properties":{{"url":"https://e.example/"}}{COOKIE}"#));
    assert!(event.item(&folder.plan()).contains(r#""eventType":"page""#));
}

#[test]
fn events_are_looked_up_by_what_the_pipeline_names() {
    let event = track(
        "Order Completed",
        &format!(r#","properties":{{"order_id":1001,"cart":{{"id":"c-1"}},"big":"{}"}}"#, "x".repeat(300)),
    );
    let lookups = |text: &str| {
        let plan = Folder::with(text).plan();
        let values = plan.read(event.json.clone().into()).expect("an event");
        values.lookups(&plan).iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(lookups(&shop("")), ["order_id=1001"]);
    let own = shop("").replace(
        "destinations:",
        "lookup: [properties.cart.id, properties.none, properties.cart, properties.big, user_id]\ndestinations:",
    );
    assert_eq!(lookups(&own), ["cart.id=c-1"], "texts and numbers of a sensible length");
}

#[test]
fn values_come_from_the_environment_and_from_files() {
    let folder = Folder::with(&shop("").replace("dk_live_shop", "\"${KEY}\"").replace("f17c21u1ag", "\"${SITE}\""));
    let plan = folder.env("KEY", "from-outside").env("SITE", "abcdefghij").plan();
    assert_eq!(plan.intake.keys[0].key.reveal(), "from-outside");
    assert!(plan.lanes[0].addresses().all(|address| address.url.contains("siteCode=abcdefghij")));
    let ga4 = "pipeline: shop\nga4: { measurement_ids: [G-ABC123], api_secret: \"${SECRET}\" }\ntranslate: false\n";
    let plan = Folder::with(ga4).env("SECRET", "hush").plan();
    let known = plan.intake.ga4.clone().expect("ga4");
    assert_eq!(
        (&*known.measurement_ids[0], known.api_secret.map(|secret| secret.reveal().to_owned())),
        ("G-ABC123", Some("hush".to_owned()))
    );
    assert!(!plan.intake.translate);
}

#[test]
fn origins_are_written_as_browsers_write_them() {
    let text = shop("").replace(
        "key: dk_live_shop",
        "key: k, origins: [\"HTTPS://Shop.Example.com:443/\", \"http://localhost:3000\"]",
    );
    assert_eq!(
        Folder::with(&text).plan().intake.keys[0].origins,
        ["https://shop.example.com", "http://localhost:3000"]
    );
}
