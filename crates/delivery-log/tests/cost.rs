//! What the log costs: CPU per send, bytes per send, time per question. Not a check, a measurement:
//!
//! ```text
//! COST_SENDS=10000000 cargo test --release -p anole-delivery-log --test cost -- --ignored --nocapture
//! ```

#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement that a person runs and reads")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anole_delivery_log::{DeliveryLog, EntryQuery, LogOptions, SendQuery, Sqlite};
use anole_event::{
    Attempt, AttemptId, Clock, Decision, Entry, LaneId, Marks, Outcome, Position, Random, Reached, Reason, Seeded,
    SendRecord, State, SystemClock, Timestamp, uuid_v7,
};
use anole_telemetry::Telemetry;
use bytes::Bytes;

/// What all threads of this process have used, in nanoseconds.
fn cpu() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(used.tv_sec * 1_000_000_000 + used.tv_nsec).expect("time goes forward")
}

struct Source {
    random: Seeded,
    number: u64,
    names: [Arc<str>; 4],
}

impl Source {
    fn uuid(&mut self) -> String {
        let (high, low) = (self.random.next(), self.random.next());
        uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
            .into_uuid()
            .to_string()
    }

    fn send(&mut self) -> SendRecord {
        self.number += 1;
        let order = self.number.is_multiple_of(10);
        let message_id = self.uuid();
        SendRecord {
            nonce: Some(message_id.as_str().into()),
            message_id: message_id.into(),
            event: if order { "Order Completed" } else { ["page", "Product Viewed"][self.number as usize % 2] }.into(),
            anonymous_id: Some(self.uuid().into()),
            user_id: order.then(|| format!("u-{}", self.random.below(100_000)).into()),
            lookups: if order {
                vec![(Arc::clone(&self.names[3]), format!("ORD-{}", self.number).into())]
            } else {
                Vec::new()
            },
            position: Position::at(self.number * 1300),
            received_at: Timestamp::from_micros(1_795_341_605_000_000 + self.number.cast_signed() * 137),
            ordinal: 0,
            rule: Arc::clone(&self.names[usize::from(order)]),
            visitor_code: Some(format!("{:016x}", self.random.next()).into()),
            rung: Some(Arc::clone(&self.names[2])),
            marks: Marks::NONE,
            outcome: Some(Outcome::new(State::Delivered, Reason::Accepted)),
        }
    }

    fn entry(&mut self, size: usize, body: bool) -> Entry {
        let sends: Vec<_> = (0..size).map(|_| self.send()).collect();
        let at = sends.last().map_or_else(Timestamp::default, |send| send.received_at);
        let mut json = Vec::new();
        for send in sends.iter().filter(|_| body) {
            let (nonce, code) = (&*send.message_id, send.visitor_code.as_deref().unwrap_or_default());
            json.extend_from_slice(
                format!(
                    "{{\"nonce\":\"{nonce}\",\"eventType\":\"PAGE\",\"visitorCode\":\"{code}\",\
                     \"href\":\"https://example.com/shop/product-{}\",\"title\":\"Product\"}},",
                    self.random.below(5000)
                )
                .as_bytes(),
            );
        }
        let attempt = Attempt {
            url: "https://eu-data.kameleoon.io/visit/events?siteCode=f17c21u1ag&json=true".into(),
            method: "POST".into(),
            reached: Reached::Body,
            status: Some(204),
            duration_us: 12_345,
            request_body: json.into(),
            answer_headers: vec![("date".into(), "Sun, 22 Nov 2026 10:00:05 GMT".into())],
            answer_body: Bytes::new(),
            answer_bytes: 0,
            error: None,
            decision: Decision::Delivered,
        };
        Entry {
            id: AttemptId(uuid_v7(at, &mut self.random)),
            at,
            lane: LaneId::new("shop", "kameleoon-eu"),
            plan: 7,
            attempt: Some(attempt),
            sends,
        }
    }
}

fn open(dir: &Path) -> Arc<Sqlite> {
    let clock = Arc::new(SystemClock::new());
    Sqlite::open(&LogOptions::in_folder(dir), Telemetry::new(clock.clone()), clock).expect("a log")
}

/// Appends and says what it cost; gives an id of the oldest entry's sends.
async fn append(log: &Sqlite, sends: u64, size: usize, together: usize, body: bool) -> SendRecord {
    let mut source = Source {
        random: Seeded::new(7),
        number: 0,
        names: ["page", "Order Completed", "cookies.kameleoonVisitorCode", "order_id"].map(Arc::from),
    };
    let mut first = None;
    let (mut used, mut done) = (0, 0_u64);
    while done < sends {
        // Made just before, as delivery does: what lies in memory for long is read from there at twice the cost.
        let entries = Arc::new((0..together).map(|_| source.entry(size, body)).collect::<Vec<_>>());
        first.get_or_insert_with(|| entries[0].sends[0].clone());
        done += (together * size) as u64;
        let before = cpu();
        log.append(entries).await.expect("an append");
        used += cpu() - before;
    }
    let bytes = log.stat().await.expect("a stat").bytes;
    println!(
        "{size} sends an entry, {together} entries an append, {}: {:.3} us CPU and {} bytes a send",
        if body { "with bodies" } else { "without bodies" },
        used as f64 / 1000.0 / done as f64,
        bytes / done,
    );
    first.expect("a send")
}

async fn ask(log: &Sqlite, what: &str, query: SendQuery) {
    let clock = SystemClock::new();
    let mut times: Vec<Duration> = Vec::new();
    let mut found = 0;
    for _ in 0..5 {
        let start = clock.mono();
        found = log.sends(query.clone()).await.expect("a page").items.len();
        times.push(clock.mono().since(start));
    }
    println!("{what}: {found} found, first {:?}, then {:?}", times[0], times[4]);
}

#[tokio::test]
#[ignore = "a measurement"]
async fn cost() {
    let sends = std::env::var("COST_SENDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let only: Option<usize> = std::env::var("COST_CASE").ok().and_then(|text| text.parse().ok());
    let cases = [(100, 10, false), (100, 10, true), (100, 1, false), (1, 100, true)];
    for (case, (size, together, body)) in cases.into_iter().enumerate() {
        if only.is_some_and(|only| only != case) {
            continue;
        }
        let dir = tempfile::TempDir::new().expect("a folder");
        append(&open(dir.path()), sends.min(2_000_000) / if size == 1 { 5 } else { 1 }, size, together, body).await;
    }
    if only.is_some() {
        return;
    }
    let dir = tempfile::TempDir::new().expect("a folder");
    let log = open(dir.path());
    let oldest = append(&log, sends, 100, 10, true).await;
    let all = SendQuery::default;
    ask(&log, "newest", all()).await;
    ask(&log, "message id, oldest", SendQuery { message_id: Some(oldest.message_id.to_string()), ..all() }).await;
    ask(&log, "visitor, oldest", SendQuery { visitor_code: oldest.visitor_code.map(Into::into), ..all() }).await;
    ask(&log, "any, never", SendQuery { any: Some("no such value".into()), ..all() }).await;
    ask(&log, "order id", SendQuery { lookup: Some("ORD-500".into()), ..all() }).await;
    ask(&log, "event", SendQuery { event: Some("Order Completed".into()), ..all() }).await;
    ask(&log, "event, never", SendQuery { event: Some("Never".into()), ..all() }).await;
    ask(&log, "state, never", SendQuery { state: Some(State::Parked), ..all() }).await;
    let user = SendQuery { user_id: Some("u-77".into()), event: Some("Order Completed".into()), ..all() };
    ask(&log, "user and event", user).await;
    ask(&log, "until the oldest", SendQuery { until: Some(oldest.received_at.after(Duration::from_secs(5))), ..all() })
        .await;
    let never = SendQuery { until: Some(oldest.received_at), lane: Some(LaneId::new("shop", "kameleoon-eu")), ..all() };
    ask(&log, "lane, before the oldest", never).await;
    let clock = SystemClock::new();
    let start = clock.mono();
    let entries = log.entries(EntryQuery { status: Some(500), ..EntryQuery::default() }).await.expect("a page");
    println!("entries, status that never was: {} found, {:?}", entries.items.len(), clock.mono().since(start));
    drop(log);
    let start = clock.mono();
    let log = open(dir.path());
    println!("opened again in {:?}", clock.mono().since(start));
    ask(&log, "newest", all()).await;
}
