//! An endpoint on a journal and a state that a test holds in its hands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anole_event::{Clock, Fingerprint, LaneId, ManualClock, Position, Record, Seeded, Timestamp};
use anole_http::Peer;
use anole_http::body::{self, Limits};
use anole_ingest::{Ground, Ingest, IngestOptions};
use anole_journal::{AckLevel, Append, AppendCode, AppendError, AppendReply, Journal, ReadError, Reader, Stat};
use anole_pipeline::{Clean, Ga4, Intake, Path, Remember, Secret, WriteKey};
use anole_state::{
    BackedUp, BoxFuture, DeferredCount, DeferredFilter, DeferredRow, Identity, IdentityKey, LaneCommit, LaneRow,
    ParkedCount, ParkedFilter, ParkedProblem, ParkedRow, Progress, State, StateError,
};
use anole_telemetry::Telemetry;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;

pub(crate) const NOW: &str = "2026-11-22T10:00:00Z";

/// An endpoint and what it stands on.
pub(crate) struct World {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) journal: Arc<Tape>,
    pub(crate) state: Arc<Map>,
    pub(crate) clock: ManualClock,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// A journal that keeps what it is given, and does what a test says.
#[derive(Default)]
pub(crate) struct Tape {
    records: Mutex<Vec<Record>>,
    appends: Mutex<usize>,
    behaviour: Mutex<Behaviour>,
    before: Mutex<Vec<(Fingerprint, Timestamp)>>,
}

#[derive(Default)]
enum Behaviour {
    #[default]
    AtOnce,
    Held(Vec<(AppendReply, Vec<Record>)>),
    Failing(AppendError),
    Forgetting,
}

/// A state that knows identities only.
#[derive(Default)]
pub(crate) struct Map {
    known: Mutex<HashMap<IdentityKey, String>>,
    pub(crate) asked: Mutex<Vec<usize>>,
    pub(crate) broken: Mutex<bool>,
}

/// The shop: a key for anybody, one for its pages, GA4, and what Kameleoon asks for.
pub(crate) fn shop() -> Intake {
    let key = |key: &str, origins: &[&str]| WriteKey {
        key: Secret::new(key),
        origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
    };
    let paths = ["cookies.kameleoonVisitorCode", "properties.kameleoonVisitorCode"];
    Intake {
        keys: vec![key("wk", &[]), key("page", &["https://shop.test"])],
        ga4: Some(Ga4 {
            measurement_ids: vec!["G-1".into()],
            api_secret: Some(Secret::new("s3cret")),
            origins: vec![],
        }),
        cookies: vec!["kameleoonVisitorCode".into()],
        remember: vec![Remember {
            name: "kameleoon_visitor_code".into(),
            sources: paths.iter().map(|path| Path::parse(path).unwrap()).collect(),
            clean: Clean { trim: true, strip_prefix: Some("_js_".into()), max_bytes: Some(100), refuse: vec![] },
        }],
        ..Intake::new("shop")
    }
}

// === impl World ===

impl World {
    pub(crate) fn new() -> Self {
        Self::with(IngestOptions::default(), vec![shop()])
    }

    pub(crate) fn with(options: IngestOptions, intakes: Vec<Intake>) -> Self {
        let clock = ManualClock::at(Timestamp::parse(NOW).unwrap());
        let telemetry = Telemetry::new(Arc::new(clock.clone()));
        let (journal, state) = (Arc::new(Tape::default()), Arc::new(Map::default()));
        let ground = Ground {
            journal: Arc::clone(&journal) as Arc<dyn Journal>,
            state: Arc::clone(&state) as Arc<dyn State>,
            telemetry: Arc::clone(&telemetry),
            clock: Arc::new(clock.clone()),
            random: Box::new(Seeded::new(7)),
        };
        let ingest = Ingest::new(options, ground, intakes.into_iter().map(Arc::new));
        Self { ingest, journal, state, clock, telemetry }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "data.shop.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let peer = Peer { address: "10.0.0.1:4000".parse().unwrap(), secure: false };
        let answer = Arc::clone(&self.ingest).handle(request, peer).await;
        let (parts, body) = answer.into_parts();
        let bytes = body::read(body, &Limits::of(1 << 20)).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, path, headers, body).await
    }

    /// Posts with the key for anybody.
    pub(crate) async fn call(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.post(path, &[("x-write-key", "wk")], body).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, Bytes::new()).await
    }

    /// The value of a metric with these labels, as Prometheus would read it; 0 when it is not there.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let text = self.telemetry.render();
        let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// That it is exactly the answer that suits every client.
    #[track_caller]
    pub(crate) fn assert_accepted(&self) {
        assert_eq!((self.status, &*self.text), (StatusCode::OK, r#"{"success":true}"#));
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("x-anole-ack"), "fsync");
    }

    /// That it is an error that every client understands, without more to say.
    #[track_caller]
    pub(crate) fn assert_refused_without_reason(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), &self.json()["code"]), (status, &code.into()), "{}", self.text);
        assert_eq!(self.json()["success"], false);
        assert!(self.json()["message"].is_string() && self.json().get("reason").is_none(), "{}", self.text);
    }

    /// That it is an error that every client understands.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: &str, reason: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("x-anole-ack"), "", "nothing is acknowledged");
        let json = self.json();
        assert_eq!((&json["success"], &json["code"], &json["reason"]), (&false.into(), &code.into(), &reason.into()));
        assert!(json["message"].as_str().is_some_and(|message| message.len() > 10), "{}", self.text);
    }
}

// === impl Tape ===

impl Tape {
    /// The events in the journal.
    pub(crate) fn events(&self) -> Vec<Value> {
        let records = self.records.lock().unwrap();
        records.iter().map(|record| serde_json::from_slice(&record.body().unwrap()).unwrap()).collect()
    }

    /// The only event in the journal, as it was written.
    #[track_caller]
    pub(crate) fn only(&self) -> Value {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }

    /// How often something was appended.
    pub(crate) fn appends(&self) -> usize {
        *self.appends.lock().unwrap()
    }

    /// Appends wait until they are released.
    pub(crate) fn hold(&self) {
        *self.behaviour.lock().unwrap() = Behaviour::Held(Vec::new());
    }

    pub(crate) fn fail(&self, error: AppendError) {
        *self.behaviour.lock().unwrap() = Behaviour::Failing(error);
    }

    /// Takes everything and keeps nothing.
    pub(crate) fn forget(&self) {
        *self.behaviour.lock().unwrap() = Behaviour::Forgetting;
    }

    pub(crate) fn heal(&self) {
        *self.behaviour.lock().unwrap() = Behaviour::AtOnce;
    }

    /// Ends the appends that are held, well or not, and holds no more.
    pub(crate) fn release(&self, safe: bool) {
        let held = std::mem::take(&mut *self.behaviour.lock().unwrap());
        let Behaviour::Held(held) = held else { panic!("nothing is held") };
        for (reply, records) in held {
            if safe {
                let positions = (0..records.len() as u64).map(Position::at).collect();
                self.records.lock().unwrap().extend(records);
                reply.send(Ok(positions));
            } else {
                reply.send(Err(AppendError::Failed { code: AppendCode::SyncFailed, detail: "EIO".into() }));
            }
        }
    }
}

impl Tape {
    /// What it took before this process was started.
    pub(crate) fn took_before(&self, events: impl IntoIterator<Item = (Fingerprint, Timestamp)>) {
        self.before.lock().unwrap().extend(events);
    }
}

impl Journal for Tape {
    fn ack(&self) -> AckLevel {
        AckLevel::Fsync
    }

    fn append(&self, records: Vec<Record>) -> Append {
        *self.appends.lock().unwrap() += 1;
        match &mut *self.behaviour.lock().unwrap() {
            Behaviour::AtOnce => {
                let positions = (0..records.len() as u64).map(Position::at).collect();
                self.records.lock().unwrap().extend(records);
                Append::ready(Ok(positions))
            }
            Behaviour::Held(held) => {
                let (reply, append) = Append::pending();
                held.push((reply, records));
                append
            }
            Behaviour::Failing(error) => Append::ready(Err(error.clone())),
            Behaviour::Forgetting => Append::ready(Ok(Vec::new())),
        }
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
        let ack = AckLevel::Fsync;
        Stat { ack, starts: vec![], ends: vec![], bytes: 0, records: None, segments: vec![] }
    }

    fn trim(&self, _: &[Position]) {}

    fn recent(
        &self,
        since: Timestamp,
        _: usize,
        tell: &mut dyn FnMut(Fingerprint, Timestamp),
    ) -> Result<(), ReadError> {
        let before = self.before.lock().unwrap();
        before.iter().filter(|(_, at)| *at >= since).for_each(|(fingerprint, at)| tell(*fingerprint, *at));
        Ok(())
    }
}

// === impl Map ===

fn not_here<T: Send + 'static>() -> BoxFuture<'static, Result<T, StateError>> {
    Box::pin(async { Err(StateError::Closed) })
}

impl State for Map {
    fn identities(&self, keys: Vec<IdentityKey>) -> BoxFuture<'_, Result<Vec<Option<String>>, StateError>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(keys.len());
            if *self.broken.lock().unwrap() {
                return Err(StateError::Closed);
            }
            let known = self.known.lock().unwrap();
            Ok(keys.iter().map(|key| known.get(key).cloned()).collect())
        })
    }

    fn remember(&self, entries: Vec<Identity>) {
        self.known.lock().unwrap().extend(entries.into_iter().map(|entry| (entry.key, entry.value.into())));
    }

    fn epoch(&self) -> u64 {
        1
    }
    fn lanes(&self) -> BoxFuture<'_, Result<Vec<LaneRow>, StateError>> {
        not_here()
    }
    fn register(&self, _: LaneId, _: Vec<Position>, _: Timestamp) -> BoxFuture<'_, Result<LaneRow, StateError>> {
        not_here()
    }
    fn orphan(&self, _: LaneId, _: Timestamp) -> BoxFuture<'_, Result<(), StateError>> {
        not_here()
    }
    fn release(&self, _: LaneId) -> BoxFuture<'_, Result<(), StateError>> {
        not_here()
    }
    fn rename(&self, _: LaneId, _: LaneId) -> BoxFuture<'_, Result<(), StateError>> {
        not_here()
    }
    fn take_over(&self, _: LaneId, _: LaneId) -> BoxFuture<'_, Result<(), StateError>> {
        not_here()
    }
    fn pause(&self, _: LaneId, _: Option<Timestamp>) -> BoxFuture<'_, Result<(), StateError>> {
        not_here()
    }
    fn progress(&self, _: LaneId) -> BoxFuture<'_, Result<Vec<Progress>, StateError>> {
        not_here()
    }
    fn commit(&self, _: Vec<LaneCommit>) -> BoxFuture<'_, Result<(), StateError>> {
        not_here()
    }
    fn parked(&self, _: ParkedFilter) -> BoxFuture<'_, Result<Vec<ParkedRow>, StateError>> {
        not_here()
    }
    fn parked_groups(&self, _: ParkedFilter) -> BoxFuture<'_, Result<Vec<anole_state::ParkedGroup>, StateError>> {
        not_here()
    }
    fn parked_counts(&self) -> BoxFuture<'_, Result<Vec<ParkedCount>, StateError>> {
        not_here()
    }
    fn parked_problems(&self, _: usize) -> BoxFuture<'_, Result<Vec<ParkedProblem>, StateError>> {
        not_here()
    }
    fn deferred(&self, _: DeferredFilter) -> BoxFuture<'_, Result<Vec<DeferredRow>, StateError>> {
        not_here()
    }
    fn deferred_counts(&self) -> BoxFuture<'_, Result<Vec<DeferredCount>, StateError>> {
        not_here()
    }
    fn linked(&self, _: String) -> BoxFuture<'_, Result<Vec<Identity>, StateError>> {
        not_here()
    }
    fn erasable(
        &self,
        _: anole_state::Matches,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<anole_state::Erasable>, StateError>> {
        not_here()
    }
    fn erase(&self, _: anole_state::Erase) -> BoxFuture<'_, Result<anole_state::Erased, StateError>> {
        not_here()
    }
    fn backup(&self) -> BoxFuture<'_, Result<Arc<BackedUp>, StateError>> {
        not_here()
    }
    fn last_backup(&self) -> Option<Arc<BackedUp>> {
        None
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StateError>> {
        not_here()
    }
}

/// The time on the endpoint's wall clock, so many seconds from its start.
pub(crate) fn at(world: &World, seconds: i64) -> Timestamp {
    Timestamp::from_micros(world.clock.wall().micros() + seconds * 1_000_000)
}
