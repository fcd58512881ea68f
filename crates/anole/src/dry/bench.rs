//! The way of an event up to the plan, with stores that nobody keeps.

use std::net::SocketAddr;
use std::sync::Arc;

use anole_event::{EventType, Fingerprint, Head, Kind, ManualClock, OrderKey, Record, Seeded, Timestamp};
use anole_http::Peer;
use anole_ingest::{Ground, Ingest, IngestOptions};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Journal, Read};
use anole_pipeline::PipelinePlan;
use anole_state::{Sqlite, StateOptions};
use anole_telemetry::Telemetry;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// What ids are made from that clients left out: the same each time.
const SEED: u64 = 5;

/// An ingest with stores that nobody keeps.
pub(super) struct Bench {
    ingest: Arc<Ingest>,
    journal: Arc<Embedded>,
    key: String,
    _folder: tempfile::TempDir,
}

/// What becomes of an event at the door.
pub(super) enum Came {
    /// It is kept.
    Kept(Record),
    /// An event of that message id came before: it is accepted, and not kept twice.
    Again,
    /// It is refused, and why.
    Refused(String),
}

// === impl Bench ===

impl Bench {
    pub(super) fn new(plan: &PipelinePlan, at: Timestamp) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::of)?;
        let clock = Arc::new(ManualClock::at(at));
        let telemetry = Telemetry::new(Arc::clone(&clock) as _);
        let options = EmbeddedOptions { ack: AckLevel::Memory, ..EmbeddedOptions::new(folder.path().join("journal")) };
        let random = || Box::new(Seeded::new(SEED));
        let journal =
            Embedded::open(options, Arc::clone(&telemetry), Arc::clone(&clock) as _, random()).map_err(Failure::of)?;
        let options = StateOptions::in_folder(folder.path());
        let state = Sqlite::open(&options, Arc::clone(&telemetry), Arc::clone(&clock) as _).map_err(Failure::of)?;
        let Some(key) = plan.intake.keys.first() else {
            return Err(Failure::Wrong(format!("the pipeline {} has no key: add one under `keys:`", plan.name)));
        };
        let ground = Ground { journal: Arc::clone(&journal) as _, state, telemetry, clock, random: random() };
        let ingest = Ingest::new(IngestOptions::default(), ground, [Arc::new(plan.intake.clone())]);
        Ok(Self { ingest, journal, key: key.key.reveal().to_owned(), _folder: folder })
    }

    /// What becomes of an event at the door.
    pub(super) async fn come(&self, text: &str) -> Result<Came, Failure> {
        if let Some(record) = canonical(text) {
            return Ok(Came::Kept(record));
        }
        let at = self.journal.ends().first().copied().unwrap_or_default();
        // A batch of one, as its items name their type.
        let body = Bytes::from(format!("{{\"batch\":[{text}]}}"));
        let request = Request::post("/v1/batch").header("x-write-key", &self.key).body(Full::new(body));
        let request = request.map_err(Failure::of)?;
        let peer = Peer { address: SocketAddr::from(([127, 0, 0, 1], 0)), secure: false };
        let answer = Arc::clone(&self.ingest).handle(request, peer).await;
        let body = anole_http::body::read(answer.into_body(), &anole_http::body::Limits::of(1 << 20)).await;
        let body: Value = serde_json::from_slice(&body.map_err(Failure::of)?).unwrap_or_default();
        let mut reader = self.journal.reader(at);
        if let Some(Read::Block(block)) = reader.try_next().map_err(Failure::of)?
            && let Some((_, record)) = block.records.into_iter().next()
        {
            return Ok(Came::Kept(record));
        }
        // What is accepted and not kept came before.
        Ok(why(&body).map_or(Came::Again, Came::Refused))
    }
}

/// The heads of a canonical event, as `anole events show` prints it.
#[derive(Deserialize)]
struct Canonical {
    #[serde(rename = "type")]
    event_type: EventType,
    event: Option<String>,
    message_id: String,
    anonymous_id: Option<String>,
    user_id: Option<String>,
    received_at: Timestamp,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    pipeline: String,
    protocol: String,
    name: Option<String>,
}

/// The record of an event that is canonical already: it came out of a journal, and goes back as it is.
fn canonical(text: &str) -> Option<Record> {
    let event: Canonical = serde_json::from_str(text).ok()?;
    let head = Head {
        kind: Kind::Event,
        event_type: event.event_type,
        protocol: &event.source.protocol,
        received_at: event.received_at,
        order_key: OrderKey::of(event.anonymous_id.as_deref(), event.user_id.as_deref(), &event.message_id),
        fingerprint: Fingerprint::of(&event.source.pipeline, &event.message_id),
        pipeline: &event.source.pipeline,
        name: event.event.as_deref().unwrap_or_default(),
        source_name: event.source.name.as_deref().unwrap_or_default(),
    };
    Some(Record::new(&head, text.trim().as_bytes()))
}

/// The reason in a refusing answer.
fn why(answer: &Value) -> Option<String> {
    let verdict = ["verdicts", "rejected", "errors"].iter().find_map(|name| answer[*name][0]["message"].as_str());
    verdict.or_else(|| answer["message"].as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_out_of_a_journal_goes_back_as_it_is() {
        let text = r#"{"type":"track","message_id":"m","event":"E","user_id":"u","cookies":{"c":"1"},"received_at":"2026-11-22T10:00:00.000Z","source":{"pipeline":"shop","protocol":"segment"}}"#;
        let record = canonical(text).unwrap();
        assert_eq!((record.head().unwrap().name, &*record.body().unwrap()), ("E", text.as_bytes()));
        assert!(
            canonical(r#"{"type":"track","event":"E","userId":"u"}"#).is_none(),
            "a client's event goes through ingest"
        );
    }
}
