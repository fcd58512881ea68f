//! What it costs to make a vendor's payload of an event.
//!
//! ```text
//! mapping [SECONDS]
//! ```
//!
//! `cargo xtask bench mapping` builds and runs it. From the bytes of one event (`fixtures/event.json`) to the bytes of a
//! payload of five fields, in four ways, by turns in one run:
//!
//! - *typed*: a program written for this one payload, structs that borrow from the event, by serde. It knows at compile time
//!   what it looks for, finds no rule, and cannot be changed without a compiler.
//! - *value*: the event as a `serde_json::Value`, of which five members are taken.
//! - *plan*: anole's plan, compiled from YAML: reading, finding the rule, rendering, checking.
//! - *plan of 20*: the same event for twenty destinations, read once.
//!
//! What is printed is the median of many short rounds, and its ratios.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anole_event::{EventType, Fingerprint, Head, Kind, OrderKey, Timestamp};
use anole_pipeline::{Applied, Made, PipelinePlan};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

const EVENT: &str = include_str!("../fixtures/event.json");
const BLUEPRINT: &str = r#"blueprint: acme
title: Acme
requests: { one: { url: "https://acme.example/", frame: array } }
sends:
  order:
    request: one
    body:
      id: { from: message_id }
      kind: ORDER
      visitor: { from: anonymous_id, required: true }
      order: { from: properties.order_id, type: text }
      revenue: { first_of: [properties.revenue, properties.total], type: number, min: 0 }
presets: { default: { Order Completed: { send: order } } }
"#;
/// Events in a row between two looks at the clock.
const ROUND: u32 = 500;

#[derive(Deserialize)]
struct In<'e> {
    #[serde(borrow)]
    message_id: Cow<'e, str>,
    #[serde(borrow)]
    anonymous_id: Cow<'e, str>,
    #[serde(borrow)]
    properties: Properties<'e>,
}

#[derive(Deserialize)]
struct Properties<'e> {
    #[serde(borrow)]
    order_id: Cow<'e, str>,
    #[serde(borrow)]
    revenue: Option<&'e RawValue>,
    #[serde(borrow)]
    total: Option<&'e RawValue>,
}

#[derive(Serialize)]
struct Out<'o> {
    id: &'o str,
    kind: &'static str,
    visitor: &'o str,
    order: &'o str,
    revenue: Option<&'o RawValue>,
}

#[derive(Serialize)]
struct OutOfValues<'o> {
    id: &'o Value,
    kind: &'static str,
    visitor: &'o Value,
    order: &'o Value,
    revenue: Option<&'o Value>,
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(6.0, |seconds| seconds.parse().expect("seconds"));
    let event = Bytes::from_static(EVENT.trim_end().as_bytes());
    let (one, twenty) = (plan(1), plan(20));
    let expected = typed(&event);
    assert_eq!(expected, value(&event), "all make the same");
    assert_eq!(expected, planned(&one, &event).concat(), "all make the same");
    println!(
        "an event of {} bytes, a payload of {}: {}",
        event.len(),
        expected.len(),
        String::from_utf8_lossy(&expected)
    );
    let ways: [(&str, &dyn Fn()); 4] = [
        ("typed", &|| drop(black_box(typed(black_box(&event))))),
        ("value", &|| drop(black_box(value(black_box(&event))))),
        ("plan", &|| drop(black_box(planned(&one, black_box(&event))))),
        ("plan of 20", &|| drop(black_box(planned(&twenty, black_box(&event))))),
    ];
    let mut rounds: [Vec<f64>; 4] = Default::default();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs_f64(seconds) {
        for ((_, way), times) in ways.iter().zip(&mut rounds) {
            let start = Instant::now();
            (0..ROUND).for_each(|_| way());
            times.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND));
        }
    }
    let median = |times: &Vec<f64>| {
        let mut sorted = times.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    for ((name, _), times) in ways.iter().zip(&rounds) {
        println!("{name:<12} {:6.2} us an event", median(times));
    }
    let [typed, value, plan, twenty] = [0, 1, 2, 3].map(|at| median(&rounds[at]));
    println!(
        "plan to typed {:.2}, plan to value {:.2}, 20 destinations to one {:.2}",
        plan / typed,
        plan / value,
        twenty / plan
    );
}

fn typed(event: &[u8]) -> Vec<u8> {
    let read: In<'_> = serde_json::from_slice(event).expect("an event");
    let out = Out {
        id: &read.message_id,
        kind: "ORDER",
        visitor: &read.anonymous_id,
        order: &read.properties.order_id,
        revenue: read.properties.revenue.or(read.properties.total),
    };
    serde_json::to_vec(&out).expect("a payload")
}

fn value(event: &[u8]) -> Vec<u8> {
    let read: Value = serde_json::from_slice(event).expect("an event");
    let properties = &read["properties"];
    let number = [&properties["revenue"], &properties["total"]].into_iter().find(|value| value.is_number());
    let out = OutOfValues {
        id: &read["message_id"],
        kind: "ORDER",
        visitor: &read["anonymous_id"],
        order: &properties["order_id"],
        revenue: number,
    };
    serde_json::to_vec(&out).expect("a payload")
}

fn planned(plan: &PipelinePlan, event: &Bytes) -> Vec<Bytes> {
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Track,
        protocol: "segment",
        received_at: Timestamp::from_millis(0),
        order_key: OrderKey(0),
        fingerprint: Fingerprint(0),
        pipeline: "shop",
        name: "Order Completed",
        source_name: "Order Completed",
    };
    let values = plan.read(event.clone()).expect("an event");
    let mut items = Vec::with_capacity(plan.lanes.len());
    for lane in &plan.lanes {
        let Applied::Made(made) = lane.apply(&head, &values) else { panic!("sends") };
        for made in made {
            match made {
                Made::Send(send) => items.push(send.item),
                Made::Ended(ended) => panic!("{ended:?}"),
            }
        }
    }
    items
}

fn plan(destinations: usize) -> Arc<PipelinePlan> {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("blueprints/acme.yaml", BLUEPRINT);
    let all: String =
        (0..destinations).map(|number| format!("  - {{ blueprint: acme, name: acme-{number} }}\n")).collect();
    write("pipelines/shop.yaml", &format!("pipeline: shop\nkeys: [ {{ key: k }} ]\ndestinations:\n{all}"));
    let blueprints = folder.path().join("blueprints");
    let loaded = anole_config::load(&folder.path().join("pipelines"), Some(&blueprints), &|_| None);
    Arc::clone(&loaded.expect("sound files").pipelines[0])
}
