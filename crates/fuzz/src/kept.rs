//! The endpoint that requests are played on, and what must hold of what it kept.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_event::{Fingerprint, Head, ManualClock, Position, Record, Seeded, Timestamp};
use anole_http::Peer;
use anole_http::body::{self, Limits};
use anole_ingest::{DedupOptions, Ground, Ingest, IngestOptions};
use anole_journal::{AckLevel, Append, Journal, ReadError, Reader, Stat};
use anole_pipeline::{Applied, Made, PipelinePlan};
use anole_telemetry::Telemetry;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use tokio::runtime::Runtime;

use crate::world::{Map, NOW};

/// The pipeline that takes everything: all protocols, everything that is governed, a destination that maps.
const PIPELINE: &str = include_str!("shop.yaml");

/// How long repetitions are recognised; between two inputs more time passes, or the first would be known to all others.
const WINDOW: Duration = Duration::from_secs(60);

/// More than this no event may take in the journal: the 64 KiB that a client may send, and what the endpoint adds.
const MOST_BYTES: usize = 2 * (64 << 10);

/// An endpoint and what it kept.
pub(crate) struct Shop {
    ingest: Arc<Ingest>,
    plan: Arc<PipelinePlan>,
    kept: Arc<Kept>,
    clock: ManualClock,
    runtime: Runtime,
}

/// A journal in memory that is emptied after each request.
#[derive(Default)]
struct Kept(Mutex<Vec<Record>>);

/// An object that has no key twice.
struct Once;

// === impl Shop ===

impl Shop {
    pub(crate) fn open() -> Self {
        let clock = ManualClock::at(Timestamp::parse(NOW).unwrap());
        let telemetry = Telemetry::new(Arc::new(clock.clone()));
        let kept = Arc::new(Kept::default());
        let ground = Ground {
            journal: Arc::clone(&kept) as Arc<dyn Journal>,
            state: Arc::new(Map::default()),
            telemetry,
            clock: Arc::new(clock.clone()),
            random: Box::new(Seeded::new(7)),
        };
        let options = IngestOptions {
            dedup: DedupOptions { bytes: 1 << 20, window: WINDOW },
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..IngestOptions::default()
        };
        let plan = plan(PIPELINE);
        let ingest = Ingest::new(options, ground, [Arc::new(plan.intake.clone())]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { ingest, plan, kept, clock, runtime }
    }

    /// The time by its clock.
    pub(crate) fn now(&self) -> Timestamp {
        use anole_event::Clock;
        self.clock.now().wall
    }

    /// Plays a request and looks at what became of it; how many events were kept.
    pub(crate) fn play(&self, request: Request<Bytes>) -> usize {
        self.clock.advance(WINDOW * 2);
        let (parts, body) = request.into_parts();
        let peer = Peer { address: "10.0.0.1:4000".parse().unwrap(), secure: false };
        let request = Request::from_parts(parts, Full::new(body));
        let (head, text) = self.runtime.block_on(async {
            let (head, body) = Arc::clone(&self.ingest).handle(request, peer).await.into_parts();
            (head, body::read(body, &Limits::of(8 << 20)).await.expect("an answer that can be read"))
        });
        let kept = std::mem::take(&mut *self.kept.0.lock().unwrap_or_else(PoisonError::into_inner));
        if head.status.is_client_error() {
            let answer: serde_json::Value = serde_json::from_slice(&text).expect("a refusal in JSON");
            assert_eq!(answer["success"], false, "{answer}");
            assert!(answer["code"].is_string() && answer["message"].is_string(), "{answer}");
            assert!(kept.is_empty(), "refused and kept: {answer}");
        } else {
            let well = [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
            assert!(well.contains(&head.status), "{}: {}", head.status, String::from_utf8_lossy(&text));
        }
        kept.iter().for_each(|record| self.check(record));
        kept.len()
    }

    fn check(&self, record: &Record) {
        let (head, body) = (record.head().expect("a head"), record.body().expect("a body"));
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!(body.len() <= MOST_BYTES, "{} bytes: {shown:.2000}", body.len());
        let Once = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {shown:.2000}"));
        assert!(self.plan.read(body.clone()).is_ok(), "what was kept cannot be mapped: {shown:.2000}");
        self.map(&head, &body);
    }

    /// Maps an event, if it is one: what comes of it is JSON.
    pub(crate) fn map(&self, head: &Head<'_>, body: &Bytes) {
        let Ok(values) = self.plan.read(body.clone()) else { return };
        for lane in &self.plan.lanes {
            let Applied::Made(made) = lane.apply(head, &values) else { continue };
            for made in made {
                let Made::Send(send) = made else { continue };
                let read = serde_json::from_slice::<IgnoredAny>(&send.item);
                assert!(read.is_ok(), "{read:?}: {:?} of {:?}", send.item, body);
            }
        }
    }
}

/// Compiles a pipeline.
pub(crate) fn plan(yaml: &str) -> Arc<PipelinePlan> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("shop.yaml"), yaml).expect("a file");
    let loaded = anole_config::load(folder.path(), None, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    Arc::clone(&loaded.pipelines[0])
}

// === impl Kept ===

impl Journal for Kept {
    fn ack(&self) -> AckLevel {
        AckLevel::Memory
    }

    fn append(&self, records: Vec<Record>) -> Append {
        let positions = (0..records.len() as u64).map(Position::at).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(records);
        Append::ready(Ok(positions))
    }

    fn reader(&self, _: Position) -> Box<dyn Reader> {
        panic!("ingest reads nothing")
    }

    fn starts(&self) -> Vec<Position> {
        Vec::new()
    }

    fn ends(&self) -> Vec<Position> {
        Vec::new()
    }

    fn stat(&self) -> Stat {
        Stat { ack: self.ack(), starts: vec![], ends: vec![], bytes: 0, records: None, segments: vec![] }
    }

    fn trim(&self, _: &[Position]) {}

    fn recent(&self, _: Timestamp, _: usize, _: &mut dyn FnMut(Fingerprint, Timestamp)) -> Result<(), ReadError> {
        Ok(())
    }
}

// === impl Once ===

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnceVisitor;
        impl<'de> Visitor<'de> for OnceVisitor {
            type Value = Once;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
                let mut keys: HashSet<String> = HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    map.next_value::<IgnoredAny>()?;
                    assert!(keys.insert(key.clone()), "the key {key:?} stands twice");
                }
                Ok(Once)
            }
        }
        deserializer.deserialize_map(OnceVisitor)
    }
}
