//! One parked send: why it is parked, what the vendor said, and what would become of it now.

use anole_delivery_log::Bodies;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::{Page, Section, Viewer, event, failed, json, parts, trouble};
use crate::api::Admin;
use crate::params::Params;
use crate::parked::NowShown;

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer, Path(id): Path<String>) -> Response {
    let row = match admin.looks.parked_row(&id).await {
        Ok(Some(row)) => row,
        Ok(None) => {
            let words = "It was replayed or discarded since, or there never was one.";
            return trouble(&admin, &viewer, StatusCode::NOT_FOUND, "Nothing is parked under this number", words).await;
        }
        Err(error) => return failed(&admin, &viewer, &error).await,
    };
    let now = admin.delivery.remade(&row).map(|(remade, plan)| crate::parked::now_shown(&remade, &plan));
    let entry = match row.parked.attempt {
        Some(attempt) => admin.looks.log.entry(attempt).await.ok().flatten(),
        None => None,
    };
    let parked = &row.parked;
    let group = Params::default()
        .with("lane", Some(row.lane.as_str()))
        .with("reason", Some(parked.reason.as_str()))
        .with("event", Some(&parked.event));
    let shown = crate::lists::parked_shown(row.clone());
    let body = html! {
        p.crumbs { a href="/parked" { "Parked" } " / " a href=(group.at("/parked/problem")) { (parked.event) ", " (parked.reason) } " / " }
        (parts::head(&parked.event, html! { a.button href=(group.at("/parked/problem")) { "Dry run, replay or discard…" } }))
        (parts::facts(&[
            ("Parked", parts::time(parked.parked_at)),
            ("Lane", parts::lane(&row.lane)),
            ("Reason", html! { (parts::explained(parked.reason.as_str())) }),
            ("Rule", html! { (parked.rule) }),
            ("Message id", parts::event_link(&parked.message_id, &parked.message_id)),
        ]))
        @if let Some(detail) = &parked.detail { p.hint { (detail) } }
        div.panes {
            section.pane { h3 { "Event" } @match &shown.body {
                Some(body) => { (json::shown(body.get())) }
                None => { p.none { "It cannot be read." } }
            } }
            section.pane { h3 { "What the vendor answered" } @match entry.as_ref().and_then(|whole| Some((whole.entry.attempt.as_ref()?, whole.bodies != Bodies::Gone))) {
                Some((attempt, is_kept)) => { (event::answer(attempt, is_kept)) }
                None => { p.none { "It was parked before it was sent." } }
            } }
            section.pane { h3 { "What would become of it now" } (now_part(now.as_deref())) }
        }
    };
    Page::new(Section::Parked, &parked.event, body).framed(&admin, &viewer).await.into_response()
}

fn now_part(now: Option<&[NowShown]>) -> Markup {
    html! {
        @match now {
            None => { p.none { "No pipeline has its lane any more." } }
            Some([]) => { p.none { "Nothing: no rule makes this send any more." } }
            Some(all) => { @for made in all {
                p.what { (parts::badge(made.state)) " by the rule " code { (made.rule) }
                    @if let Some(reason) = made.reason { " " (parts::explained(reason.as_str())) } }
                @if let Some(detail) = &made.detail { p.hint { (detail) } }
                @if let Some(request) = &made.request { p.line { code { (request) } } }
                @if let Some(body) = &made.body { (json::shown(body)) }
            } }
        }
    }
}
