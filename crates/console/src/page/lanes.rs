//! Lanes: where each stands, and what a person may do to it.

use anole_event::{LaneId, Timestamp};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::{Page, Section, Viewer, failed, parts, trouble};
use crate::api::Admin;
use crate::lanes::{EndpointShown, LaneShown};
use crate::params::{Params, step};
use crate::reload::ReloadRefused;

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let at_work = admin.delivery.lanes().await;
    let now = admin.clock.wall();
    let lanes = match admin.looks.lanes(Some(&at_work), admin.limits.keep, now).await {
        Ok(lanes) => lanes,
        Err(error) => return failed(&admin, &viewer, &error).await,
    };
    let body = html! {
        (parts::head("Lanes", html! { span.soft { "Each destination's ordered path" } }))
        (said(viewer.params.get("said")))
        @if lanes.is_empty() {
            (parts::empty("No pipeline has a destination", html! {
                p { a href="/integrations" { "Integrations" } " writes one for you: fill in the form and put the YAML into a pipeline." }
            }))
        } @else {
            div.cards { @for lane in &lanes { (card(lane, now)) } }
        }
    };
    Page::new(Section::Lanes, "Lanes", body).fresh().framed(&admin, &viewer).await.into_response()
}

fn said(what: Option<&str>) -> Markup {
    match what {
        Some("pause") => {
            parts::note("good", html! { "The lane is paused. Its events stay in the journal until it is resumed." })
        }
        Some("resume") => parts::note("good", html! { "The lane goes on." }),
        Some("reload") => parts::note("good", html! { "Pipelines and blueprints were read again and are in force." }),
        _ => html! {},
    }
}

fn card(lane: &LaneShown, now: Timestamp) -> Markup {
    let path = format!("/lanes/{}/{}", step(lane.lane.pipeline()), step(lane.lane.destination()));
    html! {
        article.card.lane-card {
            div.row {
                h2 { (parts::lane(&lane.lane)) }
                (parts::badge(lane.state))
            }
            @if let Some(why) = &lane.paused { p.hint { (why) @if let Some(code) = lane.pause_code { " " (parts::explained(code)) } } }
            (numbers(lane, now))
            div.row.actions {
                @match lane.state {
                    "runs" => { form method="post" action={ (path) "/pause" } { button.button { "Pause" } } }
                    "paused" => { form method="post" action={ (path) "/resume" } { button.button.main { "Resume" } } }
                    "orphaned" => {
                        p.soft { code { "anole lanes rename" } " gives what it holds to another lane, " code { "release" } " gives it up." }
                    }
                    _ => {}
                }
                a.button href=(Params::default().with("lane", Some(lane.lane.as_str())).at("/deliveries")) { "Deliveries" }
            }
        }
    }
}

fn numbers(lane: &LaneShown, now: Timestamp) -> Markup {
    let number =
        |number: Option<usize>| number.map_or_else(|| "not known".to_owned(), |number| parts::number(number as u64));
    html! {
        (parts::facts(&[
            ("Events in hand", html! { (number(lane.open_events)) }),
            ("Oldest", html! { @match lane.oldest_received_at { Some(at) => (parts::ago(now, at)), None => "none waits" } }),
            ("Requests under way", html! { (number(lane.inflight)) }),
            ("To be tried again", html! { (number(lane.retrying)) }),
            ("Parked", html! { @if lane.parked > 0 { a href="/parked" { (parts::number(lane.parked)) } } @else { "0" } }),
            ("Deferred", html! { (parts::number(lane.deferred)) }),
        ]))
        (endpoints(&lane.endpoints))
        @if let Some(undelivered) = &lane.undelivered {
            p.soft { "Not delivered: " @if !undelivered.complete { "at least " } (parts::counted(undelivered.events, "event")) "." }
        }
        @if let Some(orphan) = &lane.orphan {
            p.hint {
                "No pipeline has it since " (parts::time(orphan.since)) "; "
                @if orphan.holds { "what it has not delivered is kept until " (parts::time(orphan.holds_until)) "." }
                @else { "it holds the journal no longer." }
            }
        }
    }
}

/// How the endpoints do, worst first: one that fails is what somebody who looks here looks for.
fn endpoints(all: &[EndpointShown]) -> Markup {
    let mut all: Vec<_> = all.iter().collect();
    all.sort_by_key(|endpoint| (!endpoint.breaker_open, endpoint.silent_seconds == 0));
    html! {
        @if !all.is_empty() {
            ul.endpoints {
                @for endpoint in all {
                    li {
                        span.id { (endpoint.endpoint) }
                        @if endpoint.breaker_open { " " (parts::badge("fails")) " It is tried again by itself; its events wait in the journal." }
                        @else if endpoint.silent_seconds > 0 {
                            " " (parts::badge("silent")) " It asked for silence, " (parts::counted(endpoint.silent_seconds, "second")) " more."
                        } @else { " " (parts::badge("answers")) }
                        @if let Some(pace) = endpoint.requests_per_second {
                            " At most " (format!("{pace:.1}")) " requests a second, as it refused more."
                        }
                        @if endpoint.waiting_batches > 0 {
                            " " (parts::counted(endpoint.waiting_batches as u64, "request")) " wait" @if endpoint.waiting_batches == 1 { "s" } "."
                        }
                    }
                }
            }
        }
    }
}

pub(crate) async fn act(
    State(admin): State<Admin>,
    viewer: Viewer,
    Path((pipeline, destination, what)): Path<(String, String, String)>,
) -> Response {
    let lane = LaneId::new(&pipeline, &destination);
    let done = match what.as_str() {
        "pause" => admin.delivery.pause(&lane).await,
        "resume" => admin.delivery.resume(&lane).await,
        _ => return super::nowhere(State(admin), viewer, http::HeaderMap::new()).await,
    };
    match done {
        Ok(()) => Redirect::to(&format!("/lanes?said={what}")).into_response(),
        Err(error) => {
            trouble(&admin, &viewer, StatusCode::CONFLICT, "The lane was not told", &format!("{error}.")).await
        }
    }
}

/// What is wrong with files, as a page.
async fn wrong(admin: &Admin, viewer: &Viewer, title: &'static str, lead: &str, text: &str) -> Response {
    let body = html! {
        (parts::head(title, html! {}))
        p.lead { (lead) }
        pre.code { (text) }
        p { a.button href="/pipelines" { "To the pipelines" } }
    };
    let page = Page::new(Section::Pipelines, title, body);
    (StatusCode::UNPROCESSABLE_ENTITY, page.framed(admin, viewer).await).into_response()
}

/// Reads pipelines and blueprints again.
pub(crate) async fn reload(State(admin): State<Admin>, viewer: Viewer) -> Response {
    match admin.files.reload().await {
        Ok(_) => Redirect::to("/pipelines?said=reload").into_response(),
        Err(ReloadRefused::Files { text, .. }) => {
            let lead = "The files are wrong, and anole goes on by the version before:";
            wrong(&admin, &viewer, "Nothing has changed", lead, &text).await
        }
        Err(ReloadRefused::Certificates { text, .. }) => {
            let lead = "The certificate is wrong, and the one before it stays; all other files are in force:";
            wrong(&admin, &viewer, "The certificate has not changed", lead, &text).await
        }
        Err(ReloadRefused::Ending(error) | ReloadRefused::Failed(error)) => {
            trouble(&admin, &viewer, StatusCode::INTERNAL_SERVER_ERROR, "Nothing has changed", &error).await
        }
    }
}
