//! Stores, a vendor, and lanes whose plans come from files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anole_config::{embedded_blueprints, load};
use anole_delivery::{Change, Changes, Delivery, DeliveryOptions, Ground, ReplaceError, SenderOptions, Stores};
use anole_delivery_log::{DeliveryLog, EntryQuery, LogOptions};
use anole_event::{Clock, EventType, Fingerprint, Head, Kind, LaneId, OrderKey, Record, Seeded, SystemClock};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Journal};
use anole_pipeline::PipelinePlan;
use anole_state::{Sqlite, State, StateOptions};
use anole_telemetry::Telemetry;

use crate::vendor::{PATIENCE, Vendor};

pub(crate) struct World {
    pub(crate) vendor: Vendor,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) state: Arc<dyn State>,
    pub(crate) log: Arc<dyn DeliveryLog>,
    journal: Arc<Embedded>,
    clock: Arc<dyn Clock>,
    dir: tempfile::TempDir,
}

/// A destination: its name, the site it sends to, and the goal by which its version is known.
pub(crate) type Destination<'a> = (&'a str, &'a str, u64);

impl World {
    /// Lanes of the pipeline `shop` at work for these destinations.
    pub(crate) async fn new(destinations: &[Destination<'_>]) -> Self {
        let (dir, vendor) = (tempfile::tempdir().unwrap(), Vendor::start().await);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let telemetry = Telemetry::new(Arc::clone(&clock));
        let options = EmbeddedOptions { ack: AckLevel::Write, ..EmbeddedOptions::new(dir.path().join("journal")) };
        let random = Box::new(Seeded::new(7));
        let journal = Embedded::open(options, Arc::clone(&telemetry), Arc::clone(&clock), random).unwrap();
        let options = StateOptions::in_folder(dir.path());
        let state: Arc<dyn State> = Sqlite::open(&options, Arc::clone(&telemetry), Arc::clone(&clock)).unwrap();
        let options = LogOptions::in_folder(dir.path());
        let log: Arc<dyn DeliveryLog> =
            anole_delivery_log::Sqlite::open(&options, Arc::clone(&telemetry), Arc::clone(&clock)).unwrap();
        let stores = Stores { state: Arc::clone(&state), log: Arc::clone(&log), telemetry, max_parked_bytes: 1 << 20 };
        let ground = Ground { journal: Arc::clone(&journal) as _, stores, clock: Arc::clone(&clock) };
        let sender = SenderOptions { allow_private_addresses: true, ..SenderOptions::default() };
        let options = DeliveryOptions { sender, ..DeliveryOptions::default() };
        let first = plans(dir.path(), &vendor.origin, "shop", destinations);
        let delivery = Arc::new(Delivery::start(&first, &options, &ground).await.unwrap());
        Self { vendor, delivery, state, log, journal, clock, dir }
    }

    /// The plans of the pipeline `shop` with these destinations.
    pub(crate) fn plans(&self, destinations: &[Destination<'_>]) -> Vec<Arc<PipelinePlan>> {
        plans(self.dir.path(), &self.vendor.origin, "shop", destinations)
    }

    /// The same of another pipeline.
    pub(crate) fn plans_of(&self, pipeline: &str, destinations: &[Destination<'_>]) -> Vec<Arc<PipelinePlan>> {
        plans(self.dir.path(), &self.vendor.origin, pipeline, destinations)
    }

    /// Replaces the plans, and tells whether they were in force before the answer.
    pub(crate) async fn replace(&self, plans: Vec<Arc<PipelinePlan>>, grace: Duration) -> Changes {
        let told = Arc::new(AtomicBool::new(false));
        let tells = Arc::clone(&told);
        let done = self.delivery.replace(plans, grace, move || tells.store(true, Ordering::SeqCst));
        let changes = tokio::time::timeout(PATIENCE, done).await.expect("the plans are replaced in time").unwrap();
        assert!(told.load(Ordering::SeqCst), "ingest is told");
        changes
    }

    pub(crate) async fn refused(&self, plans: Vec<Arc<PipelinePlan>>) -> ReplaceError {
        let done = self.delivery.replace(plans, Duration::ZERO, || panic!("nothing comes into force"));
        done.await.unwrap_err()
    }

    /// An event of a pipeline, of this visitor.
    pub(crate) async fn accept_for(&self, pipeline: &str, number: u64, visitor: u64) {
        let id = id(number);
        let head = Head {
            kind: Kind::Event,
            event_type: EventType::Track,
            protocol: "segment",
            received_at: self.clock.wall(),
            order_key: OrderKey(visitor),
            fingerprint: Fingerprint::of(pipeline, &id),
            pipeline,
            name: "Order Completed",
            source_name: "",
        };
        let body = format!(
            r#"{{"type":"track","event":"Order Completed","message_id":"{id}","anonymous_id":"visitor-{visitor}","properties":{{}}}}"#
        );
        self.journal.append(vec![Record::new(&head, body.as_bytes())]).await.unwrap();
    }

    pub(crate) async fn accept(&self, number: u64, visitor: u64) {
        self.accept_for("shop", number, visitor).await;
    }

    /// The plan hashes of a lane's requests with the goal that each of them carried.
    pub(crate) async fn plans_in_log(&self, lane: &str, requests: usize) -> Vec<(u64, u64)> {
        let lane = LaneId::new("shop", lane);
        let query = EntryQuery { lane: Some(lane), requested: Some(true), limit: 1000, ..EntryQuery::default() };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut rows = self.log.entries(query.clone()).await.unwrap().items;
        while rows.len() < requests {
            assert!(tokio::time::Instant::now() < deadline, "{} of {requests} requests are logged", rows.len());
            tokio::task::yield_now().await;
            rows = self.log.entries(query.clone()).await.unwrap().items;
        }
        let mut found = Vec::new();
        for row in rows {
            let entry = self.log.entry(row.entry.id).await.unwrap().unwrap().entry;
            let items: Vec<serde_json::Value> = serde_json::from_slice(&entry.attempt.unwrap().request_body).unwrap();
            let goals: std::collections::BTreeSet<_> = items.iter().map(|item| item["goalId"].as_u64()).collect();
            assert_eq!(goals.len(), 1, "one version in one request: {items:?}");
            found.push((entry.plan, items[0]["goalId"].as_u64().unwrap()));
        }
        found
    }
}

/// Plans of a pipeline whose file has just been written. The blueprint is the shipped one, in smaller batches.
fn plans(
    dir: &std::path::Path,
    origin: &str,
    pipeline: &str,
    destinations: &[Destination<'_>],
) -> Vec<Arc<PipelinePlan>> {
    let blueprints = embedded_blueprints();
    let (_, shipped) = blueprints.iter().find(|(name, _)| *name == "kameleoon").unwrap();
    let (pipelines, own) = (dir.join("pipelines"), dir.join("blueprints"));
    for folder in [&pipelines, &own] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let blueprint = shipped.replace("events: 1000", "events: 4").replace("wait: 1s", "wait: 20ms");
    std::fs::write(own.join("kameleoon.yaml"), blueprint).unwrap();
    let mut text = format!("pipeline: {pipeline}\nkeys: [{{ key: dk_{pipeline} }}]\ndestinations:\n");
    for (name, site, goal) in destinations {
        text.push_str(&format!(
            "  - blueprint: kameleoon\n    name: {name}\n    settings: {{ site_code: {site}, region: eu, base_url: \"{origin}\" }}\n\
            \x20   events:\n      Order Completed: {{ set: {{ goalId: {goal} }} }}\n"
        ));
    }
    std::fs::write(pipelines.join("shop.yaml"), text).unwrap();
    load(&pipelines, Some(&own), &|_| None).unwrap_or_else(|errors| panic!("{errors}")).pipelines
}

/// A message id.
pub(crate) fn id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// What happens to each lane.
pub(crate) fn told(changes: &Changes) -> Vec<(String, Change)> {
    changes.lanes.iter().map(|lane| (lane.lane.destination().to_owned(), lane.change)).collect()
}
