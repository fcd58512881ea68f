//! The routes of the admin listener.

use std::sync::Arc;

use anole_delivery::{Backlog, ControlError, Delivery, RegistryError, Renamed};
use anole_event::{Clock, LaneId};
use anole_http::body::Body;
use anole_http::{Shutdown, reply};
use anole_state::LaneStatus;
use anole_telemetry::Telemetry;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::find::Looks;
use crate::journal::{JournalLimits, journal_shown};
use crate::lanes::BacklogShown;
use crate::lists::{ParkedQuery, QueryError};
use crate::page;
use crate::reload::{self, Reloads};
use crate::story::stories;

/// Whether the daemon can accept and keep events; the error says why not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the routes look at.
#[derive(Clone)]
pub struct Admin {
    /// The stores.
    pub looks: Looks,
    /// The lanes.
    pub delivery: Arc<Delivery>,
    /// Metrics and tap.
    pub telemetry: Arc<Telemetry>,
    /// Whether the daemon is ready.
    pub ready: Readiness,
    /// Who reads pipelines and blueprints again.
    pub files: Arc<dyn Reloads>,
    /// The version, with the commit.
    pub version: &'static str,
    /// What callers must show as a bearer token; nothing is asked for when there is none.
    pub token: Option<Arc<str>>,
    /// What the settings say of the journal.
    pub limits: JournalLimits,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The end of the daemon.
    pub shutdown: Shutdown,
}

/// The new name of a lane.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewName {
    to: String,
}

/// The admin routes.
pub fn router(admin: Admin) -> Router {
    let guarded = Router::new()
        .route("/", get(overview))
        .route("/console.css", get(page::style))
        .route("/metrics", get(metrics))
        .route("/api/journal", get(journal))
        .route("/api/reload", post(reload))
        .route("/api/lanes", get(lanes))
        .route("/api/lanes/{pipeline}/{destination}/pause", post(pause))
        .route("/api/lanes/{pipeline}/{destination}/resume", post(resume))
        .route("/api/lanes/{pipeline}/{destination}/release", post(release))
        .route("/api/lanes/{pipeline}/{destination}/rename", post(rename))
        .route("/api/events/{id}", get(event))
        .merge(crate::history::routes())
        .route("/api/parked", get(parked))
        .route("/api/parked/{id}", get(crate::parked::one))
        .route("/api/parked/replay", post(crate::parked::replay))
        .route("/api/parked/discard", post(crate::parked::discard))
        .route("/api/replay", post(crate::parked::replay_events))
        .route("/api/replays", get(crate::parked::replays))
        .route("/api/feed", get(live))
        .layer(from_fn_with_state(admin.clone(), guard));
    Router::new()
        .merge(guarded)
        .route("/healthz", get(|| async { "the process lives\n" }))
        .route("/readyz", get(readyz))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "not_found", "there is no such page") })
        .with_state(admin)
}

/// Asks for the token where there is one, and refuses what another site's page makes a browser send.
async fn guard(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    if let Some(token) = &admin.token {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // In constant time: how long it takes must not tell how much of a guess is right.
        if !bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
            let message = "send the admin token as `Authorization: Bearer …`: it is admin.token in anole.yaml";
            return error(StatusCode::UNAUTHORIZED, "unauthorised", message);
        }
    }
    if admin.token.is_none() && !is_direct(request.headers()) {
        let message = "without a token this listener answers only under an address or localhost: a page of another site \
                       could otherwise reach it under a name of its own. Set admin.token to use a name";
        return error(StatusCode::FORBIDDEN, "wrong_host", message);
    }
    if is_foreign(request.headers()) && request.method() != Method::GET {
        return error(StatusCode::FORBIDDEN, "cross_site", "a page of another site may not change anything here");
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'self'; frame-ancestors 'none'; form-action 'self'"),
    );
    response
}

/// The host of a `Host` header, or of an origin: without scheme and port.
fn host_of(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => text.split(':').next().unwrap_or_default(),
    }
}

fn header_of<'h>(headers: &'h http::HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether the caller used an address or localhost. A name that somebody else owns may be made to point here (DNS
/// rebinding), and then a browser takes that somebody's page for ours.
fn is_direct(headers: &http::HeaderMap) -> bool {
    // HTTP/2 and simple clients may leave the header out; a browser never does.
    header_of(headers, "host")
        .map(host_of)
        .is_none_or(|host| host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok())
}

/// Whether a page of another site made a browser send this.
fn is_foreign(headers: &http::HeaderMap) -> bool {
    let site = header_of(headers, "sec-fetch-site");
    let origin = header_of(headers, "origin").map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    !matches!(site, None | Some("same-origin" | "none"))
        || origin.is_some_and(|origin| Some(origin) != header_of(headers, "host"))
}

async fn overview(State(admin): State<Admin>) -> Response {
    let lanes = admin.delivery.lanes().await;
    let counts = admin.looks.state.parked_counts().await.unwrap_or_default();
    let registry = admin.looks.state.lanes().await.unwrap_or_default();
    let orphans = registry.into_iter().filter(|row| matches!(row.status, LaneStatus::Orphaned { .. }));
    let orphans: Vec<_> = orphans.map(|row| row.lane).collect();
    page::overview(&admin, &lanes, &orphans, &counts).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let text = admin.telemetry.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match (admin.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => error(StatusCode::SERVICE_UNAVAILABLE, "not_ready", &reason),
    }
}

async fn journal(State(admin): State<Admin>) -> Response {
    let Looks { journal, state, .. } = &admin.looks;
    match journal_shown(journal, Some(&**state), &admin.limits, admin.clock.wall()).await {
        Ok(shown) => data(&shown),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, "look_failed", &failed.to_string()),
    }
}

async fn reload(State(admin): State<Admin>) -> Response {
    reload::answer(&admin.files.reload().await)
}

async fn lanes(State(admin): State<Admin>) -> Response {
    let at_work = admin.delivery.lanes().await;
    match admin.looks.lanes(Some(&at_work), admin.limits.keep, admin.clock.wall()).await {
        Ok(shown) => data(&shown),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, "look_failed", &failed.to_string()),
    }
}

async fn pause(State(admin): State<Admin>, Path((pipeline, destination)): Path<(String, String)>) -> Response {
    told(admin.delivery.pause(&LaneId::new(&pipeline, &destination)).await)
}

async fn resume(State(admin): State<Admin>, Path((pipeline, destination)): Path<(String, String)>) -> Response {
    told(admin.delivery.resume(&LaneId::new(&pipeline, &destination)).await)
}

async fn release(State(admin): State<Admin>, Path((pipeline, destination)): Path<(String, String)>) -> Response {
    match admin.delivery.release(&LaneId::new(&pipeline, &destination)).await {
        Ok(Backlog { events, complete }) => {
            data(&serde_json::json!({ "success": true, "given_up": BacklogShown { events, complete } }))
        }
        Err(failed) => registry_error(&failed),
    }
}

async fn rename(
    State(admin): State<Admin>,
    Path((pipeline, destination)): Path<(String, String)>,
    name: Result<Json<NewName>, JsonRejection>,
) -> Response {
    let to = match name {
        Ok(Json(name)) => LaneId::from_text(&name.to),
        Err(rejected) => return error(StatusCode::BAD_REQUEST, "bad_body", &rejected.body_text()),
    };
    match admin.delivery.rename(&LaneId::new(&pipeline, &destination), &to).await {
        Ok((how, Backlog { events, complete })) => data(&serde_json::json!({
            "success": true,
            "taken_over": how == Renamed::TakenOver,
            "undelivered": BacklogShown { events, complete },
        })),
        Err(failed) => registry_error(&failed),
    }
}

async fn event(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let lanes = admin.delivery.lanes().await;
    match stories(&admin.looks, &id, &lanes).await {
        Ok(stories) if stories.is_empty() => {
            let message = format!("there is no event with the message id `{id}`, or it is older than what is kept");
            error(StatusCode::NOT_FOUND, "unknown_event", &message)
        }
        Ok(stories) => data(&stories),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, "look_failed", &failed.to_string()),
    }
}

async fn parked(State(admin): State<Admin>, query: Result<Query<ParkedQuery>, Rejected>) -> Response {
    match query {
        Ok(Query(query)) => listed(admin.looks.parked(&query).await),
        Err(rejected) => error(StatusCode::BAD_REQUEST, "bad_query", &rejected.body_text()),
    }
}

async fn live(State(admin): State<Admin>) -> Response {
    let body = crate::feed(&admin.telemetry, admin.shutdown.clone());
    let mut response = Response::new(axum::body::Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

pub(crate) type Rejected = axum::extract::rejection::QueryRejection;

fn told(result: Result<(), ControlError>) -> Response {
    match result {
        Ok(()) => data(&serde_json::json!({ "success": true })),
        Err(ControlError::Unknown(unknown)) => error(StatusCode::NOT_FOUND, "unknown_lane", &unknown.to_string()),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, "not_kept", &failed.to_string()),
    }
}

fn registry_error(failed: &RegistryError) -> Response {
    let (status, code) = match failed {
        RegistryError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown_lane"),
        RegistryError::NoName(_) => (StatusCode::BAD_REQUEST, "bad_name"),
        RegistryError::InUse { .. } => (StatusCode::CONFLICT, "lane_in_use"),
        RegistryError::SameName(_) | RegistryError::Exists(_) => (StatusCode::CONFLICT, "lane_exists"),
        RegistryError::OtherPipeline { .. } => (StatusCode::CONFLICT, "other_pipeline"),
        RegistryError::Ending => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        RegistryError::Stopped { .. } | RegistryError::State(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not_kept"),
    };
    error(status, code, &failed.to_string())
}

fn listed<T: Serialize>(result: Result<Vec<T>, QueryError>) -> Response {
    match result {
        Ok(rows) => data(&rows),
        Err(failed) => query_error(&failed),
    }
}

pub(crate) fn query_error(failed: &QueryError) -> Response {
    let (status, code) = match failed {
        QueryError::Code { .. } | QueryError::Time(_) | QueryError::ParkedId(_) | QueryError::After(_) => {
            (StatusCode::BAD_REQUEST, "bad_query")
        }
        QueryError::Look(_) => (StatusCode::INTERNAL_SERVER_ERROR, "look_failed"),
    };
    error(status, code, &failed.to_string())
}

pub(crate) fn data<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => shown(reply::json(StatusCode::OK, json)),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, "look_failed", &failed.to_string()),
    }
}

pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    shown(reply::error(status, code, message))
}

fn shown(response: http::Response<Body>) -> Response {
    response.map(axum::body::Body::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> http::HeaderMap {
        let pairs =
            pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn a_name_that_points_here_is_not_taken_for_us() {
        for direct in ["127.0.0.1:8081", "localhost:8081", "[::1]:8081", "192.168.1.4"] {
            assert!(is_direct(&headers(&[("host", direct)])), "{direct}");
        }
        for named in ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!is_direct(&headers(&[("host", named)])), "{named}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_foreign() {
        assert!(!is_foreign(&headers(&[("host", "127.0.0.1:1")])));
        assert!(!is_foreign(&headers(&[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1")])));
        assert!(is_foreign(&headers(&[("host", "127.0.0.1:1"), ("origin", "https://evil.example")])));
        assert!(is_foreign(&headers(&[("host", "127.0.0.1:1"), ("sec-fetch-site", "cross-site")])));
    }
}
