//! The events endpoint: `POST /visit/events`.
//!
//! The answer and the verdicts are two things. The answer is what the vendor documents: 204 for nearly everything that
//! parses. The verdicts are what would become of the events afterwards. `strict` turns into 400 what one source says
//! is answered so: a body of the wrong form, an event without `nonce` or `eventType`, an unknown site code.

use std::borrow::Cow;
use std::sync::Arc;

use anole_http::body::{self, Body, BodyError, Incoming, Limits};
use anole_http::{Peer, reply};
use bytes::Bytes;
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, RETRY_AFTER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;

use crate::agent;
use crate::batch::{self, Malformed};
use crate::fault::{End, Mark, On, Plan, Question, Reset, RetryAfter};
use crate::fields::{Fields, Got};
use crate::inner::{Inner, State};
use crate::judge::{self, NONCE_MISSING, TYPE_MISSING};
use crate::ledger::Seen;
use crate::query::Query;
use crate::reason::{Findings, Verdict, Weight};
use crate::store::{Judged, Received};

/// "3 MB" in the newest documents, in its smaller reading.
pub(crate) const BODY_MAX: usize = 3_000_000;

/// Why a request is refused.
struct Refused {
    status: StatusCode,
    code: &'static str,
    text: Cow<'static, str>,
}

/// A request whose body has been read.
struct Arrival {
    received: Received,
    query: Result<Query, String>,
    agent: Option<String>,
    token: Option<String>,
    encoded: bool,
    caller: String,
}

/// Answers a request to the events endpoint.
pub(crate) async fn receive(inner: &Arc<Inner>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    if request.method() != Method::POST {
        let mut answer = reply::error(StatusCode::METHOD_NOT_ALLOWED, "method", "use POST");
        answer.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        return answer;
    }
    let (parts, body) = request.into_parts();
    let mut arrival = Arrival::new(inner, &parts, peer);
    match body::read(body, &Limits::of(BODY_MAX)).await {
        Ok(bytes) => arrival.received.body = bytes,
        Err(error) => {
            let status = if matches!(error, BodyError::Aborted) { None } else { Some(error.status().as_u16()) };
            inner.refuse(arrival.received, status, error.to_string());
            return reply::body_error(&error);
        }
    }
    let plan = arrival.plan(inner);
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    match plan.end {
        Some(end) if !plan.processed => {
            inner.refuse(arrival.received, end.status(), format!("fault: {}", end.name()));
            strike(inner, &end).await
        }
        Some(end) => {
            // Whatever a look at it finds, the client never learns it.
            let _refused = inner.take_in(arrival, Some(&end)).is_err();
            strike(inner, &end).await
        }
        None => match inner.take_in(arrival, None) {
            Ok(()) => reply::empty(inner.success),
            Err(refused) => reply::error(refused.status, refused.code, &refused.text),
        },
    }
}

// === impl Arrival ===

impl Arrival {
    fn new(inner: &Inner, parts: &Parts, peer: Peer) -> Self {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let known = query.as_ref().ok();
        let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let token = header(AUTHORIZATION).and_then(bearer).map(str::to_owned);
        let received = Received {
            number: inner.next_request(),
            at: inner.clock.wall(),
            target: format!("{} {}", parts.method, parts.uri.path_and_query().map_or("/", |path| path.as_str())),
            site: known.and_then(|query| query.site.clone()),
            visitor: known.and_then(|query| query.visitor.clone()),
            json: known.is_some_and(|query| query.json),
            headers: if inner.sink { Vec::new() } else { shown(&parts.headers) },
            body: Bytes::new(),
            status: None,
            why: None,
            first: 0,
            events: Vec::new(),
        };
        let caller = token.clone().unwrap_or_else(|| peer.address.ip().to_string());
        let agent = header(USER_AGENT).map(str::to_owned);
        Self { received, query, agent, token, encoded: parts.headers.contains_key(CONTENT_ENCODING), caller }
    }

    /// What the faults make of it.
    fn plan(&self, inner: &Inner) -> Plan {
        let mut state = inner.state();
        if state.faults.is_empty() {
            return Plan::default();
        }
        let question = Question {
            on: On::Events,
            site: self.received.site.as_deref(),
            caller: &self.caller,
            marks: &|| marks(&self.received),
        };
        state.faults.plan(&question, &*inner.clock)
    }

    /// What is looked at before the body is.
    fn check(&self, inner: &Inner) -> Result<&Query, Refused> {
        let query = match &self.query {
            Ok(query) => query,
            Err(text) => return Err(bad("query", text.clone())),
        };
        let Some(site) = &query.site else { return Err(bad("site_missing", "siteCode is missing in the query")) };
        if let Some(text) = agent::refused(self.agent.as_deref()) {
            return Err(Refused { status: StatusCode::FORBIDDEN, code: "user_agent", text: text.into() });
        }
        let denied =
            |text: &'static str| Refused { status: StatusCode::UNAUTHORIZED, code: "token", text: text.into() };
        match &self.token {
            Some(token) if !inner.state().tokens.accepts(token, inner.clock.wall()) => {
                return Err(denied("the token is wrong or has expired"));
            }
            None if inner.require_token => return Err(denied("a token is needed")),
            Some(_) | None => {}
        }
        if self.encoded {
            return Err(bad("encoding", "the body is encoded, and the vendor does not say that it takes such bodies"));
        }
        if inner.strict && !inner.knows(site) {
            return Err(bad("site_unknown", format!("there is no site {}", site.escape_debug())));
        }
        Ok(query)
    }
}

// === impl Inner ===

impl Inner {
    fn knows(&self, site: &str) -> bool {
        match &self.sites {
            Some(sites) => sites.contains(site),
            None => site.len() == 10 && site.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        }
    }

    /// Records a request of which no event is taken in.
    fn refuse(&self, mut received: Received, status: Option<u16>, why: impl Into<String>) {
        received.status = status;
        received.why = Some(why.into());
        if self.sink {
            self.state().store.count_request(status, received.body.len());
        } else {
            self.state().store.record(received);
        }
        self.tell_changed();
    }

    /// Checks and judges a request and records it. `fault` is what decides its answer afterwards, if anything.
    fn take_in(&self, arrival: Arrival, fault: Option<&End>) -> Result<(), Refused> {
        let judged = match arrival.check(self) {
            Ok(query) if self.sink => {
                let result = self.count(&arrival.received, query);
                if let Err(refused) = result {
                    self.refuse(arrival.received, Some(refused.status.as_u16()), "");
                    return Err(refused);
                }
                return Ok(());
            }
            Ok(query) => self.judged(&arrival.received, query, fault),
            Err(refused) => Err(refused),
        };
        match judged {
            Ok(judged) => {
                let mut received = arrival.received;
                received.status = fault.map_or(Some(self.success.as_u16()), |end| match end {
                    End::Lose => Some(self.success.as_u16()),
                    other => other.status(),
                });
                received.why = fault.map(|end| format!("fault after the events were taken in: {}", end.name()));
                let site = received.site.clone().unwrap_or_default();
                let mut state = self.state();
                received.events = judged.into_iter().map(|event| event.settle(&mut state, &site)).collect();
                state.store.record(received);
                drop(state);
                self.tell_changed();
                Ok(())
            }
            Err(refused) => {
                let status = fault.map_or(Some(refused.status.as_u16()), End::status);
                self.refuse(arrival.received, status, refused.text.clone());
                Err(refused)
            }
        }
    }

    /// Judges the events of a body.
    fn judged(&self, received: &Received, query: &Query, fault: Option<&End>) -> Result<Vec<Unsettled>, Refused> {
        let events = match batch::split(&received.body, query.json) {
            Ok(events) => events,
            Err(Malformed(text)) if self.strict => return Err(bad("malformed", text)),
            Err(Malformed(text)) => {
                let mut found = Findings::default();
                found.loss("malformed", text);
                return Ok(vec![Unsettled { raw: received.body.clone(), nonce: None, content: 0, found }]);
            }
        };
        let mut read = Vec::with_capacity(events.len());
        for (at, raw) in events.iter().enumerate() {
            let pair = match batch::fields(raw, query.json) {
                Ok(fields) => {
                    let found = self.judge.event(&fields, query);
                    (fields, found)
                }
                Err(Malformed(text)) if self.strict => {
                    return Err(bad("malformed", format!("event {}: {text}", at + 1)));
                }
                Err(Malformed(text)) => {
                    let mut found = Findings::default();
                    found.loss("malformed", text);
                    (Fields::default(), found)
                }
            };
            read.push(pair);
        }
        judge::together(&mut read, query);
        for (at, (_, found)) in read.iter_mut().enumerate() {
            let required = found.has(NONCE_MISSING) || found.has(TYPE_MISSING);
            if let Some(reason) = found.first_loss().filter(|_| self.refuse_lost || (self.strict && required)) {
                return Err(bad(reason.code, format!("event {}: {}", at + 1, reason.text)));
            }
            if !self.strict && !received.site.as_deref().is_some_and(|site| self.knows(site)) {
                found.loss("site_unknown", "there is no such site");
            }
            if fault == Some(&End::Lose) {
                found.loss("fault", "lost on request, by a fault that was set");
            }
        }
        let visitor = query.visitor.as_deref();
        let unsettled = read.into_iter().zip(&events).map(|((fields, found), raw)| Unsettled {
            raw: raw.clone(),
            nonce: fields.text_of("nonce").filter(|nonce| !nonce.is_empty()).map(Cow::into_owned),
            content: fields.fingerprint(visitor),
            found,
        });
        Ok(unsettled.collect())
    }

    /// Counts the events of a body and their nonces, and nothing else.
    fn count(&self, received: &Received, query: &Query) -> Result<(), Refused> {
        #[derive(Deserialize)]
        struct Light<'a> {
            #[serde(borrow)]
            nonce: Option<Cow<'a, str>>,
        }
        let site = received.site.as_deref().unwrap_or_default();
        if query.json {
            let events: Vec<Light<'_>> = serde_json::from_slice(&received.body)
                .map_err(|error| bad("malformed", format!("the body is not a JSON array of events: {error}")))?;
            let mut state = self.state();
            for nonce in events.iter().filter_map(|event| event.nonce.as_deref()) {
                state.store.ledger.note(site, nonce, 0);
            }
            state.store.count_request(Some(self.success.as_u16()), received.body.len());
            state.store.count_events(Some(site), events.len() as u64);
        } else {
            let events = batch::count(&received.body, false).map_err(|Malformed(text)| bad("malformed", text))?;
            let mut state = self.state();
            state.store.count_request(Some(self.success.as_u16()), received.body.len());
            state.store.count_events(Some(site), events);
        }
        self.tell_changed();
        Ok(())
    }
}

/// An event that was judged by itself; what came before it decides the rest.
struct Unsettled {
    raw: Bytes,
    nonce: Option<String>,
    content: u64,
    found: Findings,
}

impl Unsettled {
    fn settle(mut self, state: &mut State, site: &str) -> Judged {
        let seen = match &self.nonce {
            Some(nonce) => state.store.ledger.note(site, nonce, self.content),
            None => Seen::New,
        };
        let verdict = match (self.found.heaviest(), seen) {
            (Some(Weight::Loss), _) => Verdict::Lost,
            (_, Seen::Other) => {
                self.found.doubt("nonce_reused", "another event came before under the same nonce");
                Verdict::Error
            }
            (_, Seen::Same) => {
                self.found.note("retry", "the same event came before under the same nonce");
                Verdict::Duplicate
            }
            (Some(Weight::Doubt), Seen::New) => Verdict::Doubtful,
            (Some(Weight::Note) | None, Seen::New) => Verdict::Accepted,
        };
        Judged { raw: self.raw, verdict, reasons: self.found.into_reasons() }
    }
}

// === impl End ===

impl End {
    fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status, _) => Some(*status),
            Self::Hang | Self::Reset(Reset::Head) | Self::Lose => None,
            Self::Reset(Reset::Body) => Some(200),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Status(status, _) => format!("status {status}"),
            Self::Hang => "hang".to_owned(),
            Self::Reset(Reset::Head) => "closed before the answer".to_owned(),
            Self::Reset(Reset::Body) => "closed in the body of the answer".to_owned(),
            Self::Lose => "lost".to_owned(),
        }
    }
}

/// Gives the answer of a fault.
pub(crate) async fn strike(inner: &Inner, end: &End) -> Response<Body> {
    match end {
        End::Status(status, retry_after) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut answer = reply::error(status, "fault", "a fault that was set in the sandbox");
            let value = match retry_after {
                Some(RetryAfter::Seconds(seconds)) => Some(HeaderValue::from(*seconds)),
                Some(RetryAfter::Text(text)) => HeaderValue::from_str(text).ok(),
                None => None,
            };
            if let Some(value) = value {
                answer.headers_mut().insert(RETRY_AFTER, value);
            }
            answer
        }
        End::Hang => {
            inner.until_healed().await;
            reply::cut_off()
        }
        End::Reset(Reset::Head) => reply::cut_off(),
        End::Reset(Reset::Body) => {
            let pieces = stream::unfold(0, |step| async move {
                // The first piece should be on its way before the end comes.
                tokio::task::yield_now().await;
                match step {
                    0 => Some((Ok(Bytes::from_static(b"{\"success\":")), 1)),
                    _ => Some((Err(std::io::Error::other("cut off by a fault")), 2)),
                }
            });
            let mut answer = Response::new(Body::stream(pieces));
            answer.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("16"));
            answer
        }
        End::Lose => reply::empty(inner.success),
    }
}

fn bad(code: &'static str, text: impl Into<Cow<'static, str>>) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, code, text: text.into() }
}

/// What poison looks at, in a body that may be anything.
fn marks(received: &Received) -> Vec<Mark> {
    let events = batch::split(&received.body, received.json).unwrap_or_default();
    let mark = |raw: &Bytes| {
        let fields = batch::fields(raw, received.json).unwrap_or_default();
        Mark {
            nonce: fields.text_of("nonce").map(Cow::into_owned),
            goal: match fields.integer("goalId") {
                Got::Is(goal) | Got::AsText(goal) => Some(goal),
                Got::Missing | Got::Null | Got::Wrong => None,
            },
            visitor: received.visitor.clone().or_else(|| fields.text_of("visitorCode").map(Cow::into_owned)),
        }
    };
    events.iter().map(mark).collect()
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Headers for showing. Of credentials only the scheme and the last four characters.
fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let masked = |value: &str| {
        let (scheme, secret) = value.split_once(' ').unwrap_or(("", value));
        let tail: String = secret.chars().skip(secret.chars().count().saturating_sub(4).max(1)).collect();
        format!("{scheme} ...{tail}")
    };
    headers
        .iter()
        .map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let text = if name == AUTHORIZATION { masked(&text) } else { text.into_owned() };
            (name.to_string(), text)
        })
        .collect()
}

fn preflight() -> Response<Body> {
    let mut answer = reply::empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
    headers.insert("access-control-allow-methods", HeaderValue::from_static("POST, OPTIONS"));
    headers.insert("access-control-allow-headers", HeaderValue::from_static("*"));
    answer
}
