//! An attempt: a request, its answer, and the sends that travelled in it.

use anole_delivery_log::{Bodies, WholeEntry};
use anole_event::{Attempt, Entry, SendRecord};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::event::{answer, decision};
use super::{Page, Section, Viewer, failed, json, parts, trouble};
use crate::api::Admin;

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer, Path(id): Path<String>) -> Response {
    let found = match id.parse() {
        Ok(id) => admin.looks.log.entry(id).await,
        Err(_) => Ok(None),
    };
    let WholeEntry { entry, bodies, .. } = match found {
        Ok(Some(whole)) => whole,
        Ok(None) => {
            let words = "The delivery log has no attempt of this id, or has let go of it.";
            return trouble(&admin, &viewer, StatusCode::NOT_FOUND, "There is no such attempt", words).await;
        }
        Err(error) => return failed(&admin, &viewer, &error).await,
    };
    let body = html! {
        (parts::head("Attempt", html! {}))
        @match &entry.attempt {
            Some(attempt) => { (shown(&entry, attempt, bodies != Bodies::Gone)) }
            None => { p.lead { "These sends ended without a request." } (facts(&entry, &[])) }
        }
        (sends(&entry.sends))
    };
    Page::new(Section::Deliveries, "Attempt", body).framed(&admin, &viewer).await.into_response()
}

fn facts(entry: &Entry, more: &[(&str, Markup)]) -> Markup {
    let mut all = vec![("Time", parts::time(entry.at)), ("Lane", parts::lane(&entry.lane))];
    all.extend(more.iter().cloned());
    all.push(("Plan", html! { code { (format!("{:016x}", entry.plan)) } }));
    all.push(("Id", parts::copyable(&entry.id.to_string())));
    parts::facts(&all)
}

fn shown(entry: &Entry, attempt: &Attempt, is_kept: bool) -> Markup {
    html! {
        (facts(entry, &[
            ("Answer", parts::status(attempt.status)),
            ("Took", html! { (parts::milliseconds(attempt.duration_us as f64 / 1000.0)) }),
            ("Decided", html! { a href={ "/explain/" (attempt.decision) } title="What this means" { (decision(attempt.decision.as_str())) } }),
        ]))
        div.panes.two {
            section.pane {
                h3 { "Request" }
                p.line { code { (attempt.method) " " (attempt.url) } }
                @if is_kept { (json::shown(&String::from_utf8_lossy(&attempt.request_body))) }
                @else { p.none { "Its body is not kept any more." } }
            }
            section.pane { h3 { "Answer" } (answer(attempt, is_kept)) }
        }
    }
}

fn sends(sends: &[SendRecord]) -> Markup {
    html! {
        h2 { (parts::counted(sends.len() as u64, "send")) " in it" }
        div.scroll { table.rows {
            thead { tr { th { "Event" } th { "State" } th { "Why" } th { "Rule" } th { "Visitor" } th { "Message id" } } }
            tbody {
                @for send in sends {
                    @let outcome = send.outcome.as_ref();
                    tr {
                        td.main { (parts::event_link(&send.message_id, &send.event)) }
                        td { (parts::badge(outcome.map_or("waiting", |outcome| outcome.state.as_str())))
                            @for mark in send.marks.names() { " " span.badge.dull { (mark) } } }
                        td.why { @if let Some(outcome) = outcome {
                            (parts::short(outcome.detail.as_deref().unwrap_or(outcome.reason.as_str())))
                        } }
                        td { (send.rule) }
                        td { (send.visitor_code.as_deref().unwrap_or_default()) }
                        td { span.id { (send.message_id) } }
                    }
                }
            }
        } }
    }
}
