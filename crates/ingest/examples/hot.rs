//! What the hot path costs: requests straight into the endpoint, on a journal that keeps nothing, on one thread.
//!
//! `cargo run --release -p anole-ingest --example hot -- [single|batch] [events]`
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement"
)]

#[path = "../tests/collection/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;

use std::time::Duration;

use anole_event::{Clock, SystemClock};
use bytes::Bytes;
use world::World;

const EVENT: &str = r#"{"type":"track","event":"Order Completed","userId":"u-42","anonymousId":"b7f0c2d4-4b88-4e2a-9a31-6c0e2b5d77aa","timestamp":"2026-11-22T09:59:50.123Z","messageId":"node-next-1795341590123-ID","properties":{"order_id":"ORD-1001","revenue":23.50,"currency":"USD","kameleoon_goal_id":36151,"products":[{"product_id":"S1","name":"Shirt","price":10,"quantity":2}]},"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"},"page":{"url":"https://shop.example.com/checkout/done","path":"/checkout/done","referrer":"https://shop.example.com/checkout","title":"Thank you"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","locale":"en-GB"},"integrations":{},"_metadata":{"nodeVersion":"20.20.2","jsRuntime":"node"}}"#;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let only = std::env::args().nth(1);
    let events: usize = std::env::args().nth(2).map_or(200_000, |events| events.parse().unwrap());
    let clock = SystemClock::new();
    println!("event of {} bytes", EVENT.len());
    for (name, path, per_request) in [("single", "/v1/track", 1_usize), ("batch of 100", "/v1/batch", 100)] {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        for round in 0..3 {
            let world = World::new();
            world.journal.forget();
            let requests = events / per_request;
            let bodies: Vec<Bytes> = (0..requests).map(|n| body(n, per_request).into()).collect();
            let started = clock.mono();
            runtime.block_on(async {
                for body in bodies {
                    let answer =
                        world.post(path, &[("x-write-key", "wk"), ("content-type", "application/json")], body).await;
                    assert_eq!(answer.status, 200);
                }
            });
            let took: Duration = clock.mono().since(started);
            let events = u32::try_from(requests * per_request).unwrap();
            println!("{name}, round {round}: {:?} per event", took / events);
        }
    }
}

fn body(n: usize, per_request: usize) -> String {
    let event = |at: usize| EVENT.replace("ID\"", &format!("{}-{at}\"", n * per_request));
    if per_request == 1 {
        return event(0);
    }
    let events: Vec<String> = (0..per_request).map(event).collect();
    format!(r#"{{"batch":[{}],"sentAt":"2026-11-22T10:00:00.000Z"}}"#, events.join(","))
}
