//! The side door: `/_sandbox/*`, where one looks at what arrived and sets faults.
//!
//! | route | does |
//! |---|---|
//! | `GET /_sandbox/events` | events, newest last: `limit`, `after`, `visitor`, `nonce`, `type`, `verdict`, `site`, `goal`, `request` |
//! | `DELETE /_sandbox/events` | forgets everything, counters and nonces too |
//! | `GET /_sandbox/requests` | requests with headers and bodies, newest last: `limit`, `after`, `upto`, `site`, `status` |
//! | `GET /_sandbox/requests/N/body` | the exact bytes of one body |
//! | `GET /_sandbox/stats` | the counters |
//! | `GET`, `POST`, `DELETE /_sandbox/faults` | see [`crate::fault`] |
//! | `DELETE /_sandbox/tokens` | makes all tokens invalid |
//! | `GET /_sandbox/live` | what the page polls: counters, faults and what is new |

use std::sync::Arc;

use anole_http::body::{self, Body, Incoming, Limits};
use anole_http::reply;
use http::header::{CACHE_CONTROL, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::fault::{ActiveFault, Fault};
use crate::inner::{Inner, State};
use crate::query::pairs;
use crate::reason::Verdict;
use crate::store::Stats;
use crate::view::{Arrived, Filter, RequestView};

/// The most events or requests in one answer.
const LIMIT_MAX: usize = 10_000;

/// The most that a page is told at once; the older ones are there to be asked for.
const LIVE_MAX: usize = 200;

/// A sentence for a 400.
type Wrong = String;

/// Answers a request to the side door.
pub(crate) async fn answer(inner: &Arc<Inner>, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::GET && is_foreign(request.headers()) {
        return reply::error(StatusCode::FORBIDDEN, "origin", "pages of other origins may not change the sandbox");
    }
    let route = request.uri().path().strip_prefix("/_sandbox/").unwrap_or_default().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let done = match (request.method(), route.as_str()) {
        (&Method::GET, "events") => events(inner, &query),
        (&Method::DELETE, "events") => {
            inner.state().store.reset();
            inner.tell_changed();
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        (&Method::GET, "requests") => requests(inner, &query),
        (&Method::GET, "stats") => Ok(shown(&inner.state().store.stats())),
        (&Method::GET, "live") => live(inner, &query),
        (&Method::GET, "faults") => Ok(shown(&inner.state().faults.list())),
        (&Method::POST, "faults") => set_faults(inner, request.into_body()).await,
        (&Method::DELETE, "faults") => heal(inner, &query),
        (&Method::DELETE, "tokens") => {
            inner.state().tokens.revoke();
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        (&Method::GET, route) => Ok(one_body(inner, route)),
        _ => Ok(reply::error(StatusCode::NOT_FOUND, "not_found", "there is no such page")),
    };
    let mut answer = done.unwrap_or_else(|text| reply::error(StatusCode::BAD_REQUEST, "request", &text));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn events(inner: &Inner, query: &str) -> Result<Response<Body>, Wrong> {
    #[derive(Serialize)]
    struct Page {
        events: Vec<Arrived>,
        newest: u64,
    }
    let mut filter = Filter::default();
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "limit" => filter.limit = number::<usize>("limit", &value)?.min(LIMIT_MAX),
            "after" => filter.after = number("after", &value)?,
            "goal" => filter.goal = Some(number("goal", &value)?),
            "request" => filter.request = Some(number("request", &value)?),
            "visitor" => filter.visitor = Some(value),
            "nonce" => filter.nonce = Some(value),
            "type" => filter.event_type = Some(value),
            "site" => filter.site = Some(value),
            "verdict" => {
                let wrong = || "verdict must be accepted, doubtful, duplicate, error or lost".to_owned();
                filter.verdict = Some(Verdict::from_name(&value).ok_or_else(wrong)?);
            }
            other => return Err(format!("there is no filter {}", other.escape_debug())),
        }
    }
    let (kept, newest) = {
        let state = inner.state();
        (state.store.kept(), state.store.newest())
    };
    Ok(shown(&Page { events: filter.search(&kept), newest }))
}

fn requests(inner: &Inner, query: &str) -> Result<Response<Body>, Wrong> {
    #[derive(Serialize)]
    struct Page<'a> {
        requests: Vec<RequestView<'a>>,
    }
    let (mut limit, mut after, mut upto, mut site, mut status) = (100, 0, u64::MAX, None, None);
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "limit" => limit = number::<usize>("limit", &value)?.min(LIMIT_MAX),
            "after" => after = number("after", &value)?,
            "upto" => upto = number("upto", &value)?,
            "site" => site = Some(value),
            "status" => status = Some(number("status", &value)?),
            other => return Err(format!("there is no filter {}", other.escape_debug())),
        }
    }
    let kept = inner.state().store.kept();
    let wanted = kept.iter().rev().filter(|request| {
        request.number > after
            && request.number <= upto
            && (site.is_none() || request.site == site)
            && status.is_none_or(|status: u16| request.status == Some(status))
    });
    let mut requests: Vec<_> = wanted.take(limit).map(|request| RequestView::whole(request)).collect();
    requests.reverse();
    Ok(shown(&Page { requests }))
}

fn one_body(inner: &Inner, route: &str) -> Response<Body> {
    let number = route.strip_prefix("requests/").and_then(|rest| rest.strip_suffix("/body"));
    let wanted = number.and_then(|number| number.parse::<u64>().ok());
    let kept = inner.state().store.kept();
    match wanted.and_then(|wanted| kept.iter().find(|request| request.number == wanted)) {
        // As plain bytes: a browser should not take what somebody sent for a page.
        Some(request) => {
            let bytes = HeaderValue::from_static("application/octet-stream");
            reply::typed(StatusCode::OK, bytes, request.body.clone())
        }
        None => reply::error(StatusCode::NOT_FOUND, "not_found", "there is no such page, or it is forgotten"),
    }
}

fn live(inner: &Inner, query: &str) -> Result<Response<Body>, Wrong> {
    #[derive(Serialize)]
    struct Page<'a> {
        stats: Stats,
        faults: Vec<ActiveFault>,
        sink: bool,
        /// Another one after everything was forgotten.
        generation: u64,
        newest: u64,
        events: Vec<Arrived>,
        requests: Vec<RequestView<'a>>,
    }
    let (mut after, mut request) = (0, 0);
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "after" => after = number("after", &value)?,
            "request" => request = number("request", &value)?,
            other => return Err(format!("there is no filter {}", other.escape_debug())),
        }
    }
    let (stats, faults, generation, newest, new) = {
        let State { store, faults, .. } = &*inner.state();
        (store.stats(), faults.list(), store.generation(), store.newest(), store.newer(after, request))
    };
    let events = Filter { limit: LIVE_MAX, after, ..Filter::default() }.search(&new);
    let requests = new.iter().filter(|received| received.number > request).rev().take(LIVE_MAX);
    let mut requests: Vec<_> = requests.map(|received| RequestView::brief(received)).collect();
    requests.reverse();
    Ok(shown(&Page { stats, faults, sink: inner.sink, generation, newest, events, requests }))
}

async fn set_faults(inner: &Inner, body: Incoming) -> Result<Response<Body>, Wrong> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Posted {
        Several(Vec<serde_json::Value>),
        One(serde_json::Value),
    }
    let bytes = body::read(body, &Limits::of(1 << 20)).await.map_err(|error| error.to_string())?;
    let posted = serde_json::from_slice(&bytes).map_err(|error| format!("the body is not JSON: {error}"))?;
    let values = match posted {
        Posted::Several(values) => values,
        Posted::One(value) => vec![value],
    };
    // All or none: a list of which half is set would be hard to reason about.
    let read = |value| serde_json::from_value::<Fault>(value).map_err(|error| format!("not a fault: {error}"));
    let faults: Vec<Fault> = values.into_iter().map(read).collect::<Result<_, _>>()?;
    for fault in &faults {
        fault.check().map_err(|error| error.to_string())?;
    }
    let mut state = inner.state();
    for fault in faults {
        state.faults.set(fault).map_err(|error| error.to_string())?;
    }
    let list = state.faults.list();
    drop(state);
    inner.tell_changed();
    Ok(shown(&list))
}

fn heal(inner: &Inner, query: &str) -> Result<Response<Body>, Wrong> {
    let mut id = None;
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "id" => id = Some(number("id", &value)?),
            other => return Err(format!("{} is not known: give id, or nothing to heal all", other.escape_debug())),
        }
    }
    if inner.heal(id) {
        Ok(reply::empty(StatusCode::NO_CONTENT))
    } else {
        Ok(reply::error(StatusCode::NOT_FOUND, "not_found", "there is no fault of this number"))
    }
}

fn number<N: std::str::FromStr>(name: &str, value: &str) -> Result<N, Wrong> {
    value.parse().map_err(|_| format!("{name} must be a number, not \"{}\"", value.escape_debug()))
}

fn shown(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => reply::json(StatusCode::OK, bytes),
        Err(error) => reply::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
    }
}

/// Whether a page of another origin sends this. The sandbox has no login, so any page that a developer has open could
/// otherwise set faults.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let origin = origin.as_bytes();
    let own = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    host.is_empty() || own != Some(host)
}
