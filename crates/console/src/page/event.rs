//! The story of one event: a timeline with the time between its stages, and each attempt in three panes.

mod again;
mod panes;

use anole_delivery_log::WholeEntry;
use anole_event::{Reason, Timestamp};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::{Page, Section, Viewer, failed, parts, trouble};
use crate::api::Admin;
use crate::find::LookError;
use crate::mapped::{Mapped, mapped};
use crate::story::{AttemptStory, EndStory, LaneStory, SendStory, Story, stories};

pub(crate) use again::{mapped_shown as mapped_send, replay};
pub(super) use panes::answer;

/// The attempts of a send that are shown whole; of a send that is tried for days, the last ones.
const ATTEMPTS: usize = 10;

/// An event and all that the page says of it.
struct Told {
    story: Story,
    /// What the plans in force make of it; the error when it cannot be read.
    now: Result<Vec<Mapped>, String>,
    /// The requests of its attempts.
    entries: Vec<WholeEntry>,
}

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer, Path(id): Path<String>) -> Response {
    let told = match told(&admin, &id).await {
        Ok(told) => told,
        Err(error) => return failed(&admin, &viewer, &error).await,
    };
    let Some(first) = told.first() else {
        let words = format!("No event has the message id {id}, or it is older than what is kept.");
        return trouble(&admin, &viewer, StatusCode::NOT_FOUND, "There is no such event", &words).await;
    };
    let waits = told.iter().flat_map(|told| &told.story.lanes).any(is_waiting);
    let title = first.story.event.clone();
    let is_dry = viewer.params.get("dry").is_some();
    let body = html! {
        @if viewer.params.get("said") == Some("replayed") {
            (parts::note("good", html! { "It is on its way again. The new attempt appears below, marked " code { "replayed" } "." }))
        }
        @for told in &told {
            (heading(told, &id, is_dry))
            @if is_dry { (again::dry_run(told)) }
            (timeline(told))
        }
    };
    let page = Page::new(Section::Events, &title, body);
    let page = if waits || viewer.params.get("said").is_some() { page.fresh() } else { page };
    page.framed(&admin, &viewer).await.into_response()
}

async fn told(admin: &Admin, id: &str) -> Result<Vec<Told>, LookError> {
    let lanes = admin.delivery.lanes().await;
    let pipelines = admin.delivery.pipelines();
    let mut all = Vec::new();
    for story in stories(&admin.looks, id, &lanes).await? {
        let plan = pipelines.iter().find(|plan| *plan.name == *story.pipeline);
        let now = match (plan, &story.record) {
            (Some(plan), Some(record)) => mapped(plan, record),
            (None, _) => Err(format!("no pipeline is called {} any more", story.pipeline)),
            (_, None) => Err("the journal has let go of the event".to_owned()),
        };
        let mut entries = Vec::new();
        let sends = story.lanes.iter().flat_map(|lane| &lane.sends);
        for attempt in sends.flat_map(|send| send.attempts.iter().rev().take(ATTEMPTS)) {
            if let Ok(id) = attempt.id.parse()
                && let Some(entry) = admin.looks.log.entry(id).await?
            {
                entries.push(entry);
            }
        }
        all.push(Told { story, now, entries });
    }
    Ok(all)
}

fn is_waiting(lane: &LaneStory) -> bool {
    lane.waiting.is_some() || lane.sends.iter().any(|send| ["waiting", "deferred"].contains(&send.state.as_str()))
}

fn heading(told: &Told, id: &str, is_dry: bool) -> Markup {
    let Story { event, pipeline, protocol, source_name, received_at, .. } = &told.story;
    let came = source_name.as_deref().filter(|name| name != event);
    html! {
        (parts::head(event, html! {
            @if !is_dry { a.button href={ (parts::event_path(id)) "?dry=1#again" } { "Replay this event…" } }
        }))
        (parts::facts(&[
            ("Message id", parts::copyable(id)),
            ("Received", parts::time(*received_at)),
            ("Pipeline", html! { (pipeline) }),
            ("Came by", html! {
                (protocol.as_deref().unwrap_or("not known any more"))
                @if let Some(came) = came { " as " code { (came) } }
            }),
        ]))
    }
}

fn timeline(told: &Told) -> Markup {
    let received = told.story.received_at;
    html! {
        ol.timeline {
            li.stage {
                span.gap { "0 ms" }
                div {
                    p.what { b.good { "Accepted" } }
                    p.soft { "On disk, then answered. " (parts::time(received)) }
                    @if told.story.lanes.is_empty() { p.soft { "Its pipeline has no destination." } }
                }
            }
            @for lane in &told.story.lanes {
                li.lane-head { span.gap {} h2 { "To " (parts::lane(&lane.lane)) } }
                @if let Some(waiting) = &lane.waiting {
                    li.stage { span.gap {} div { p.what { b { "Waiting" } " " (parts::badge("waiting")) } p.soft { (waiting) } } }
                }
                @if let Some(silent) = &lane.silent { li.stage { span.gap {} div { p.soft { "Nothing to tell: " (silent) "." } } } }
                @for send in &lane.sends { (send_shown(told, lane, send, received)) }
            }
        }
    }
}

/// Something that happened to a send.
enum Moment<'s> {
    /// The number of the attempt, from 0.
    Attempt(usize, &'s AttemptStory),
    End(&'s EndStory),
}

// === impl Moment ===

impl<'s> Moment<'s> {
    /// All that happened to a send, oldest first: an attempt before the end that it brought.
    fn all(send: &'s SendStory) -> Vec<Self> {
        let attempts = send.attempts.iter().enumerate().map(|(at, attempt)| Self::Attempt(at, attempt));
        let mut all: Vec<_> = attempts.chain(send.ends.iter().map(Self::End)).collect();
        all.sort_by_key(|moment| (moment.end(), matches!(moment, Self::End(_))));
        all
    }

    fn begin(&self) -> Timestamp {
        match self {
            Self::Attempt(_, attempt) => {
                Timestamp::from_micros(attempt.at.micros() - (attempt.took_ms * 1000.0) as i64)
            }
            Self::End(end) => end.at,
        }
    }

    fn end(&self) -> Timestamp {
        match self {
            Self::Attempt(_, attempt) => attempt.at,
            Self::End(end) => end.at,
        }
    }
}

fn send_shown(told: &Told, lane: &LaneStory, send: &SendStory, received: Timestamp) -> Markup {
    let now = told.now.as_ref().ok();
    let now = now.and_then(|all| all.iter().find(|made| made.lane == lane.lane && made.ordinal == send.ordinal));
    let hidden = send.attempts.len().saturating_sub(ATTEMPTS);
    let moments = Moment::all(send);
    let before = std::iter::once(received).chain(moments.iter().map(Moment::end));
    let gaps: Vec<_> = before.zip(&moments).map(|(before, moment)| parts::gap(before, moment.begin())).collect();
    let last = moments.len().saturating_sub(1);
    let tries_on = !matches!(moments.last(), Some(Moment::End(_)));
    html! {
        (mapped_shown(send))
        @if hidden > 0 {
            li.stage { span.gap {} div { p.soft { (parts::counted(hidden as u64, "earlier attempt")) " not shown" } } }
        }
        @for (at, (moment, gap)) in moments.iter().zip(&gaps).enumerate() {
            @match moment {
                Moment::Attempt(number, _) if *number < hidden => {}
                Moment::Attempt(number, attempt) => { (attempt_shown(told, lane, (send, now), (*number, attempt), gap)) }
                Moment::End(end) => { (end_shown(told, end, gap, (at == last).then_some(now))) }
            }
        }
        @if tries_on {
            li.stage.end { span.gap {} div {
                p.what { b.wait { "Waiting for another try" } }
                @if let Some(detail) = &send.detail { p.soft { (detail) } }
            } }
        }
    }
}

/// Where a send ended, once. Of the last time, `now` is what the rules make of it.
fn end_shown(told: &Told, end: &EndStory, gap: &str, last: Option<Option<&Mapped>>) -> Markup {
    html! {
        li class=(if last.is_some() { "stage end" } else { "stage" }) {
            span.gap { (gap) }
            div {
                p.what { b class=(parts::tone(end.state)) { (ended(end.state)) }
                    @if end.reason != Reason::Accepted { " " (parts::explained(end.reason.as_str())) }
                    @for mark in &end.marks { " " span.badge.dull { (mark) } }
                }
                @if let Some(detail) = &end.detail { @if last.is_some() { p.hint { (detail) } } @else { p.soft { (detail) } } }
                @if let Some(now) = last {
                    @if end.state == "parked" {
                        p { a href={ "/parked?message_id=" (crate::params::step(&told.story.message_id)) } { "Dry run, replay or discard…" } }
                    }
                    @if end.attempt.is_none() && ["parked", "filtered"].contains(&end.state) { (panes::unsent(told, now)) }
                }
            }
        }
    }
}

fn mapped_shown(send: &SendStory) -> Markup {
    html! {
        @if !send.rule.is_empty() {
            li.stage {
                span.gap {}
                div {
                    p.what { b { "Mapped" } " by the rule " code { (send.rule) } }
                    @if let Some(code) = &send.visitor_code {
                        p.soft { "visitor code " code { (code) } @if let Some(rung) = &send.rung { " from " code { (rung) } } }
                    }
                    @if let Some(nonce) = &send.nonce { p.soft { "nonce " code { (nonce) } } }
                }
            }
        }
    }
}

fn attempt_shown(
    told: &Told,
    lane: &LaneStory,
    (send, now): (&SendStory, Option<&Mapped>),
    (at, attempt): (usize, &AttemptStory),
    gap: &str,
) -> Markup {
    let whole =
        told.entries.iter().find(|whole| whole.entry.id.to_string() == attempt.id && whole.entry.lane == lane.lane);
    let is_last = at + 1 == send.attempts.len();
    html! {
        li.stage {
            span.gap { (gap) }
            div {
                p.what {
                    b { "Attempt " (at + 1) } " " (parts::status(attempt.status)) " "
                    span.soft { "took " (parts::milliseconds(attempt.took_ms)) ", " (decision(attempt.decision)) }
                }
                @if let Some(error) = &attempt.error { p.soft { (error) } }
                details open[is_last] data-key=(attempt.id) {
                    summary { "Event, request and answer" }
                    (panes::panes(told, whole, send, now))
                }
            }
        }
    }
}

/// What was decided on an answer, in words.
pub(super) fn decision(decision: &str) -> &str {
    match decision {
        "delivered" => "the vendor took it",
        "retry" => "to be tried again",
        "split" => "halved to find what is refused",
        "park" => "set aside for a person",
        "pause" => "the lane paused",
        "refresh_auth" => "a new token was fetched",
        other => other,
    }
}

fn ended(state: &str) -> &'static str {
    match state {
        "delivered" => "Delivered",
        "parked" => "Parked",
        "waiting" | "deferred" => "Waiting for another try",
        "filtered" => "Filtered",
        "no_consent" => "Not sent: no consent",
        "bot" => "Not sent: a robot",
        _ => "Ended",
    }
}
