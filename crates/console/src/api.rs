//! The routes of the admin listener.

use std::sync::Arc;

use anole_delivery::{Backlog, Delivery, Forgetter, Renamed};
use anole_event::{Clock, LaneId};
use anole_http::Shutdown;
use anole_telemetry::Telemetry;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use crate::answer::{data, error, listed, registry_error, told};
use crate::code::ApiCode;
use crate::desk::Desk;
use crate::find::Looks;
use crate::guard;
use crate::journal::{JournalLimits, journal_shown};
use crate::lanes::BacklogShown;
use crate::lists::ParkedQuery;
use crate::page;
use crate::pulse::Pulse;
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
    /// Who forgets people.
    pub forgetter: Arc<Forgetter>,
    /// Metrics and tap.
    pub telemetry: Arc<Telemetry>,
    /// Whether the daemon is ready.
    pub ready: Readiness,
    /// Who reads pipelines and blueprints again.
    pub files: Arc<dyn Reloads>,
    /// Who reads the files for people.
    pub desk: Arc<dyn Desk>,
    /// What came in, minute by minute.
    pub pulse: Arc<Pulse>,
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

/// A route of the API: method, path, and who answers. The document at `/api/openapi.json` describes each, which a test holds.
pub(crate) type Route = (&'static str, &'static str, MethodRouter<Admin>);

/// The routes of the API.
pub(crate) fn api() -> Vec<Route> {
    let mut all = crate::history::routes();
    all.extend([
        ("get", "/api/openapi.json", get(crate::openapi::document)),
        ("get", "/api/journal", get(journal)),
        ("post", "/api/reload", post(reload)),
        ("get", "/api/lanes", get(lanes)),
        ("post", "/api/lanes/{pipeline}/{destination}/pause", post(pause)),
        ("post", "/api/lanes/{pipeline}/{destination}/resume", post(resume)),
        ("post", "/api/lanes/{pipeline}/{destination}/release", post(release)),
        ("post", "/api/lanes/{pipeline}/{destination}/rename", post(rename)),
        ("get", "/api/events/{id}", get(event)),
        ("get", "/api/parked", get(parked)),
        ("get", "/api/parked/{id}", get(crate::parked::one)),
        ("post", "/api/parked/replay", post(crate::parked::replay)),
        ("post", "/api/parked/discard", post(crate::parked::discard)),
        ("post", "/api/replay", post(crate::parked::replay_events)),
        ("get", "/api/replays", get(crate::parked::replays)),
        ("get", "/api/forget", get(crate::forget::status)),
        ("post", "/api/forget", post(crate::forget::forget)),
        ("get", "/api/feed", get(live)),
    ]);
    all
}

/// The admin routes.
pub fn router(admin: Admin) -> Router {
    let mut guarded = page::guarded().route("/metrics", get(metrics));
    for (_, path, handler) in api() {
        guarded = guarded.route(path, handler);
    }
    Router::new()
        // The fallback too: a page in the frame of the console is no page for everybody.
        .merge(guarded.fallback(page::nowhere).layer(from_fn_with_state(admin.clone(), guard::known)))
        .merge(page::open())
        .route("/healthz", get(|| async { "the process lives\n" }))
        .route("/readyz", get(readyz))
        .layer(from_fn_with_state(admin.clone(), guard::ours))
        .with_state(admin)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let text = admin.telemetry.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match (admin.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => error(StatusCode::SERVICE_UNAVAILABLE, ApiCode::NotReady, &reason),
    }
}

async fn journal(State(admin): State<Admin>) -> Response {
    let Looks { journal, state, .. } = &admin.looks;
    match journal_shown(journal, Some(&**state), &admin.limits, admin.clock.wall()).await {
        Ok(shown) => data(&shown),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::LookFailed, &failed.to_string()),
    }
}

async fn reload(State(admin): State<Admin>) -> Response {
    reload::answer(&admin.files.reload().await)
}

async fn lanes(State(admin): State<Admin>) -> Response {
    let at_work = admin.delivery.lanes().await;
    match admin.looks.lanes(Some(&at_work), admin.limits.keep, admin.clock.wall()).await {
        Ok(shown) => data(&shown),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::LookFailed, &failed.to_string()),
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
        Err(rejected) => return error(StatusCode::BAD_REQUEST, ApiCode::BadBody, &rejected.body_text()),
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
            error(StatusCode::NOT_FOUND, ApiCode::UnknownEvent, &message)
        }
        Ok(stories) => data(&stories),
        Err(failed) => error(StatusCode::INTERNAL_SERVER_ERROR, ApiCode::LookFailed, &failed.to_string()),
    }
}

async fn parked(State(admin): State<Admin>, query: Result<Query<ParkedQuery>, Rejected>) -> Response {
    match query {
        Ok(Query(query)) => listed(admin.looks.parked(&query).await),
        Err(rejected) => error(StatusCode::BAD_REQUEST, ApiCode::BadQuery, &rejected.body_text()),
    }
}

async fn live(State(admin): State<Admin>, uri: http::Uri) -> Response {
    let body = crate::feed(&admin.telemetry, crate::FeedFilter::of(uri.query()), admin.shutdown.clone());
    let mut response = Response::new(axum::body::Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

pub(crate) type Rejected = axum::extract::rejection::QueryRejection;
