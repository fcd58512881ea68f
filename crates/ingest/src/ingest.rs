//! The collection endpoint: what a request to it becomes.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_event::{Clock, Mono, Timestamp};
use anole_http::body::{self, Body, Limits};
use anole_http::{Peer, reply};
use anole_journal::{AppendCode, AppendError, Journal, ReadError};
use anole_pipeline::Intake;
use anole_state::State;
use anole_telemetry::{Acknowledged, AppendFailed, EventsRefused, TapEvent, Telemetry};
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::answer::{self, Stop};
use crate::client::{Trusted, text};
use crate::code::Rule;
use crate::collector::Collector;
use crate::dedup::Dedup;
use crate::ids::Ids;
use crate::intakes::Intakes;
use crate::options::{Ground, IngestOptions};
use crate::protocol::{measurement, pixel, segment, signed, web};
use crate::rates::Rates;
use crate::robots::Robots;
use crate::route::{self, Found, Route};
use crate::verdict::Refused;
use crate::{cors, settings};

/// For how long the endpoint calls itself not ready after the journal failed. It cannot be until an append succeeds: a
/// load balancer that sends nothing would never see it ready again.
const TROUBLE: Duration = Duration::from_secs(10);

/// The collection endpoint. One per process; share it by its `Arc`.
pub struct Ingest {
    options: IngestOptions,
    trusted: Trusted,
    journal: Arc<dyn Journal>,
    state: Arc<dyn State>,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
    ids: Ids,
    dedup: Arc<Dedup>,
    intakes: ArcSwap<Intakes>,
    collector: Collector,
    robots: Robots,
    rates: Rates,
    draining: AtomicBool,
    trouble: Trouble,
}

/// That the journal failed a moment ago.
#[derive(Debug, Default)]
struct Trouble {
    /// Until when it counts, in microseconds of the monotonic clock; 0 when there is none.
    until: AtomicU64,
    code: Mutex<&'static str>,
}

/// How many events the window takes at once when it is filled: enough that its lock costs nothing.
const REFILLED: usize = 4096;

// === impl Ingest ===

impl Ingest {
    /// An endpoint for these pipelines.
    #[must_use]
    pub fn new(options: IngestOptions, ground: Ground, intakes: impl IntoIterator<Item = Arc<Intake>>) -> Arc<Self> {
        Arc::new(Self {
            trusted: Trusted::new(&options.trusted_proxies),
            dedup: Arc::new(Dedup::new(&options.dedup)),
            rates: Rates::new(options.rates),
            options,
            journal: ground.journal,
            state: ground.state,
            telemetry: ground.telemetry,
            clock: ground.clock,
            ids: Ids::new(ground.random),
            intakes: ArcSwap::from_pointee(Intakes::new(intakes)),
            collector: Collector::new(),
            robots: Robots::new(),
            draining: AtomicBool::new(false),
            trouble: Trouble::default(),
        })
    }

    /// Takes other pipelines from now on. Requests under way end with the old ones.
    pub fn replace(&self, intakes: impl IntoIterator<Item = Arc<Intake>>) {
        self.intakes.store(Arc::new(Intakes::new(intakes)));
    }

    /// Fills the window with what the journal took lately. For the start: a client that repeats its request after a
    /// restart is then recognised. Blocking.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn refill(&self) -> Result<(), ReadError> {
        let now = self.clock.now();
        let mut events = Vec::new();
        let mut tell = |fingerprint, received_at| {
            events.push((fingerprint, received_at));
            if events.len() == REFILLED {
                self.dedup.refill(events.drain(..), now);
            }
        };
        self.journal.recent(self.dedup.since(now), self.dedup.most(), &mut tell)?;
        self.dedup.refill(events, now);
        Ok(())
    }

    /// From now on [`Self::ready`] says that no new clients should come. Requests are still answered.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether events can be accepted and kept.
    ///
    /// # Errors
    /// With the reason: `draining`, the code of a failure of the journal within the last 10 s, or of what an append would
    /// fail with just now.
    pub fn ready(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Rule::Draining.as_str());
        }
        if self.clock.mono().micros() < self.trouble.until.load(Ordering::Relaxed) {
            return Err(*self.trouble.code.lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.journal.ready().map_err(|error| error.code().as_str())
    }

    /// Answers a request. Give it to [`anole_http::Listener::serve`].
    ///
    /// It may be dropped at any point: what is on its way into the journal then still counts as received.
    pub async fn handle<B>(self: Arc<Self>, request: Request<B>, peer: Peer) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let (parts, body) = request.into_parts();
        let origin = parts.headers.get(ORIGIN).cloned();
        let mut answer = if parts.method == Method::OPTIONS {
            body::drain(body).await;
            cors::options()
        } else {
            match self.route(&parts, body, peer).await {
                Ok(answer) => answer,
                Err(stop) => stop.answer(&self.telemetry, self.clock.now().wall),
            }
        };
        cors::allow(origin, &mut answer);
        answer
    }

    async fn route<B>(self: &Arc<Self>, parts: &Parts, body: B, peer: Peer) -> Result<Response<Body>, Stop>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let route = match route::find(&parts.method, parts.uri.path(), &self.options.collector) {
            Found::Route(route) => route,
            Found::WrongMethod { allow } => {
                body::drain(body).await;
                return Err(Stop::wrong_method(allow));
            }
            Found::Nothing => {
                body::drain(body).await;
                return Err(Stop::not_found());
            }
        };
        if route.takes_events()
            && let Err(wait) =
                self.rates.address(|| self.trusted.address(&parts.headers, peer.address), self.clock.mono())
        {
            body::drain(body).await;
            return Err(Stop::too_fast(Rule::AddressRate, wait));
        }
        match route {
            Route::Single(event_type) => {
                segment::answer(self, segment::PROTOCOL, Some(event_type), parts, body, peer).await
            }
            Route::Batch => segment::answer(self, segment::PROTOCOL, None, parts, body, peer).await,
            // Jitsu's client sends a Segment event, its key in a header: the one in the body is masked.
            Route::Jitsu(event_type) => segment::answer(self, "jitsu", Some(event_type), parts, body, peer).await,
            Route::Signed => signed::answer(self, parts, body, peer).await,
            Route::Pixel(event_type) => pixel::answer(self, event_type, parts, body, peer).await,
            Route::Measurement { debug: false } => measurement::answer(self, parts, body, peer).await,
            Route::Measurement { debug: true } => measurement::check(self, parts, body).await,
            Route::Web => web::answer(self, parts, body, peer).await,
            Route::ClientMetrics => {
                body::drain(body).await;
                Ok(reply::json(StatusCode::OK, answer::SUCCESS))
            }
            Route::Settings { key } => self.settings(parts, key, peer),
            Route::Collector(file) => Ok(self.collector.answer(file, &parts.headers)),
            Route::Health => Ok(no_store(reply::json(StatusCode::OK, answer::SUCCESS))),
            Route::Ready => match self.ready() {
                Ok(()) => Ok(no_store(reply::json(StatusCode::OK, answer::SUCCESS))),
                Err(reason) => Err(Stop::not_ready(reason)),
            },
        }
    }

    fn settings(&self, parts: &Parts, key: &str, peer: Peer) -> Result<Response<Body>, Stop> {
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
        let intakes = self.intakes();
        let keyed = intakes.by_key(&key).ok_or_else(Stop::no_settings)?;
        let origin = text(parts.headers.get(ORIGIN));
        if !keyed.allows(origin) {
            return Err(Stop::wrong_origin(origin.unwrap_or_default()));
        }
        let via = self.trusted.via(parts, peer);
        Ok(settings::answer(&key, via.host, via.scheme(&parts.headers)))
    }

    /// Reads a request's body.
    pub(crate) async fn read<B>(&self, parts: &Parts, body: B) -> Result<Bytes, Stop>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let bytes = self.read_raw(body).await?;
        self.decode(parts, bytes).await
    }

    /// Reads a request's body as it was sent.
    pub(crate) async fn read_raw<B>(&self, body: B) -> Result<Bytes, Stop>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let options = &self.options;
        let limits =
            Limits { bytes: options.max_body_bytes, idle: options.body_idle_timeout, whole: options.body_timeout };
        body::read(body, &limits).await.map_err(|error| Stop::body(&error))
    }

    /// Undoes what `Content-Encoding` says of a body.
    pub(crate) async fn decode(&self, parts: &Parts, bytes: Bytes) -> Result<Bytes, Stop> {
        body::decode(&parts.headers, bytes, self.options.max_body_bytes).await.map_err(|error| Stop::body(&error))
    }

    /// Whether a key may send just now.
    ///
    /// # Errors
    /// When it has sent too much.
    pub(crate) fn admit(&self, key: &str) -> Result<(), Stop> {
        self.rates.key(key, self.clock.mono()).map_err(|wait| Stop::too_fast(Rule::KeyRate, wait))
    }

    /// Takes from a key and a client's address what a request costs beyond its first event.
    pub(crate) fn charge(&self, key: &str, parts: &Parts, peer: Peer, events: usize) {
        self.rates.charge(key, || self.trusted.address(&parts.headers, peer.address), events);
    }

    /// Says that a request was accepted whose body ended at this time, and how safe it is.
    pub(crate) fn ack(&self, since: Mono) -> &'static str {
        let ack = self.journal.ack().as_str();
        self.telemetry.emit(Acknowledged { ack, took: self.clock.mono().since(since) });
        ack
    }

    /// Counts refused events, and tells them to who watches.
    pub(crate) fn count_refused(&self, pipeline: &Arc<str>, refused: &[Refused], at: Timestamp) {
        for Refused { message_id, verdict, .. } in refused {
            self.telemetry.emit(EventsRefused { pipeline, reason: verdict.counted_as(), events: 1 });
            self.telemetry.tap().tell(|| TapEvent::Rejected {
                at,
                pipeline: Some(Arc::clone(pipeline)),
                message_id: message_id.as_deref().map(Into::into),
                code: verdict.code.as_str(),
                reason: Some(verdict.reason.as_str()),
                message: (*verdict.message).into(),
            });
        }
    }

    /// The journal did not take an append.
    pub(crate) fn note_trouble(&self, error: &AppendError) {
        self.telemetry.emit(AppendFailed { code: error.code().as_str(), error });
        // A queue that is full for a moment is what a load balancer should not react to: it would move the load about.
        if !matches!(error, AppendError::Busy { .. }) && error.code() != AppendCode::TooLarge {
            *self.trouble.code.lock().unwrap_or_else(PoisonError::into_inner) = error.code().as_str();
            self.trouble.until.store(self.clock.mono().after(TROUBLE).micros(), Ordering::Relaxed);
        }
    }

    /// The journal took an append.
    pub(crate) fn note_success(&self) {
        if self.trouble.until.load(Ordering::Relaxed) != 0 {
            self.trouble.until.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn intakes(&self) -> Arc<Intakes> {
        self.intakes.load_full()
    }

    pub(crate) const fn options(&self) -> &IngestOptions {
        &self.options
    }

    pub(crate) const fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    pub(crate) fn state(&self) -> &dyn State {
        &*self.state
    }

    pub(crate) const fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) const fn ids(&self) -> &Ids {
        &self.ids
    }

    pub(crate) const fn robots(&self) -> &Robots {
        &self.robots
    }

    pub(crate) const fn dedup(&self) -> &Arc<Dedup> {
        &self.dedup
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A body as text.
///
/// # Errors
/// When it is empty, or no UTF-8.
pub(crate) fn read_text(bytes: &[u8]) -> Result<&str, Stop> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("the body is no UTF-8: byte {} is not part of a character", error.valid_up_to());
        Stop::malformed(Rule::NotUtf8, message)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Stop::malformed(Rule::EmptyBody, "the body is empty: send JSON"));
    }
    Ok(text)
}

fn no_store(mut answer: Response<Body>) -> Response<Body> {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
