//! An attempt in three panes: the event, the request, the answer.

use anole_delivery_log::{Bodies, WholeEntry};
use anole_event::{Attempt, Entry};
use maud::{Markup, html};

use super::Told;
use crate::mapped::Mapped;
use crate::page::{json, parts};
use crate::story::SendStory;

pub(super) fn panes(told: &Told, whole: Option<&WholeEntry>, send: &SendStory, now: Option<&Mapped>) -> Markup {
    let gone = html! { p.none { "The delivery log has let go of it." } };
    let is_kept = whole.is_some_and(|whole| whole.bodies != Bodies::Gone);
    html! {
        div.panes {
            (event(told))
            section.pane {
                h3 { "Request" }
                @match whole.and_then(|whole| Some((&whole.entry, whole.entry.attempt.as_ref()?))) {
                    Some((entry, attempt)) if is_kept => { (request(entry, attempt, told, send, now)) }
                    Some((_, attempt)) => { p.line { code { (attempt.method) " " (attempt.url) } } p.none { "Its body is not kept any more." } }
                    None => { (gone) }
                }
            }
            section.pane {
                h3 { "Answer" }
                @match whole.and_then(|whole| whole.entry.attempt.as_ref()) {
                    Some(attempt) => { (answer(attempt, is_kept)) }
                    None => { (gone) }
                }
            }
        }
    }
}

/// A send that never became a request: the event, and what the rules in force make of it.
pub(super) fn unsent(told: &Told, now: Option<&Mapped>) -> Markup {
    html! {
        div.panes.two {
            (event(told))
            section.pane {
                h3 { "What the rules make of it now" }
                @match (now, &told.now) {
                    (Some(now), _) if !now.explained.is_empty() => {
                        (json::explained(&now.explained))
                    }
                    (Some(now), _) => {
                        p { (parts::badge(now.state)) @if let Some(reason) = now.reason { " " (parts::explained(reason.as_str())) } }
                        @if let Some(detail) = &now.detail { p.hint { (detail) } }
                    }
                    (None, Err(error)) => { p.none { (error) } }
                    (None, Ok(_)) => { p.none { "Nothing: no rule makes this send any more." } }
                }
            }
        }
    }
}

fn event(told: &Told) -> Markup {
    html! {
        section.pane {
            h3 { "Event" }
            @match &told.story.body {
                Some(body) => { (json::shown(body.get())) }
                None => { p.none { "The journal has let go of it." } }
            }
        }
    }
}

fn request(entry: &Entry, attempt: &Attempt, told: &Told, send: &SendStory, now: Option<&Mapped>) -> Markup {
    let place =
        entry.sends.iter().position(|one| *one.message_id == *told.story.message_id && one.ordinal == send.ordinal);
    let body = String::from_utf8_lossy(&attempt.request_body);
    let own = place.and_then(|place| json::item(&body, place, entry.sends.len()));
    let others = entry.sends.len().saturating_sub(1) as u64;
    let is_same = now.is_some_and(|now| own.is_some() && now.item == own);
    html! {
        p.line { code { (attempt.method) " " (attempt.url) } }
        @if others > 0 {
            p.soft { "One of " (parts::number(others + 1)) " sends in this request. "
                a href={ "/deliveries/" (entry.id) } { "The whole request" } }
        }
        @match (&own, now) {
            (Some(_), Some(now)) if is_same && !now.explained.is_empty() => {
                (json::explained(&now.explained))
                details data-key={ "raw-" (entry.id) } { summary { "As it was sent" } (json::shown(own.as_deref().unwrap_or(&body))) }
            }
            (own, now) => {
                (json::shown(own.as_deref().unwrap_or(&body)))
                @if now.is_some_and(|now| now.plan != entry.plan) {
                    p.soft { "The rules have changed since. “Replay this event” shows what they make of it now, field by field." }
                }
            }
        }
    }
}

pub(in crate::page) fn answer(attempt: &Attempt, is_kept: bool) -> Markup {
    let body = String::from_utf8_lossy(&attempt.answer_body);
    html! {
        p.line { (parts::status(attempt.status)) " " span.soft { "after " (parts::milliseconds(attempt.duration_us as f64 / 1000.0)) } }
        @if let Some(error) = &attempt.error { p.soft { (error.message) } }
        @if attempt.may_have_arrived() { p.soft { "The request was written and no answer came: the vendor may have taken it." } }
        @if !is_kept { p.none { "Its body is not kept any more." } }
        @else if attempt.answer_body.is_empty() { p.none { "without a body" } }
        @else { (json::shown(&body)) }
        @if is_kept && (attempt.answer_body.len() as u64) < attempt.answer_bytes {
            p.soft { "The first " (parts::bytes(attempt.answer_body.len() as u64)) " of " (parts::bytes(attempt.answer_bytes)) "." }
        }
        @if !attempt.answer_headers.is_empty() {
            details {
                summary { (parts::counted(attempt.answer_headers.len() as u64, "header")) }
                dl.headers { @for (name, value) in &attempt.answer_headers { dt { (name) } dd { (value) } } }
            }
        }
    }
}
