//! Events: searching for sends by whatever is known of them.

use anole_delivery_log::{FoundSend, Page as Rows, SendQuery};
use anole_event::{LaneId, Reason, State as Ended};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::filters::{self, Period};
use super::histogram::histogram;
use super::{Page, Section, Viewer, failed, parts};
use crate::api::Admin;
use crate::params::Params;

const FILTERS: [&str; 10] = ["q", "event", "lane", "state", "reason", "status", "from", "until", "since", "mark"];
const ROWS: usize = 50;

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let params = &viewer.params;
    let asked = query(params, admin.clock.wall());
    let found = match &asked {
        Ok(query) => match crate::rows::sends(&*admin.looks.log, query.clone()).await {
            Ok(found) => found,
            Err(error) => return failed(&admin, &viewer, &error).await,
        },
        Err(_) => Rows { items: Vec::new(), next: None },
    };
    let found = Rows { items: newest(found.items), ..found };
    let at_work = admin.delivery.lanes().await;
    let waiting = match (&*found.items, params.get("q")) {
        // What no lane has come to yet is in no log.
        ([], Some(id)) => admin.looks.in_journal(id, &at_work).await.is_ok_and(|found| !found.is_empty()),
        _ => false,
    };
    let drawn = match &asked {
        Ok(query) => histogram(&admin, "/events", params, query.clone()).await,
        Err(_) => Ok(html! {}),
    };
    let lanes: Vec<String> = at_work.iter().map(|lane| lane.lane.to_string()).collect();
    let body = html! {
        (parts::head("Events", html! {}))
        (form(params, &lanes))
        (filters::chips("/events", params, &FILTERS))
        @if let Err(wrong) = &asked { (parts::note("bad", html! { (wrong) })) }
        @match drawn { Ok(drawn) => { (drawn) } Err(error) => { (parts::note("bad", html! { (error) })) } }
        @if waiting {
            (parts::note("wait", html! {
                "This event is on disk, and no lane has come to it yet: "
                (parts::event_link(params.text("q"), "its story so far")) "."
            }))
        }
        @if found.items.is_empty() { @if asked.is_ok() && !waiting { (nothing(params)) } }
        @else { (table(&found.items)) }
        (filters::pages("/events", params, found.next.map(|next| next.to_string())))
    };
    let page = Page::new(Section::Events, "Events", body);
    let page = if params.get("after").is_none() { page.fresh() } else { page };
    page.framed(&admin, &viewer).await.into_response()
}

fn query(params: &Params, now: anole_event::Timestamp) -> Result<SendQuery, String> {
    let period = Period::of(params, now)?;
    let text = |name: &str| params.get(name).map(str::to_owned);
    let after = params.get("after").map(str::parse).transpose();
    Ok(SendQuery {
        any: text("q"),
        event: text("event"),
        lane: params.get("lane").map(LaneId::from_text),
        state: params.code("state", Ended::from_code, Ended::ALL)?,
        reason: params.code("reason", Reason::from_code, Reason::ALL)?,
        status: params.number("status")?,
        from: period.from,
        until: period.until,
        after: after.map_err(|error: anole_delivery_log::CursorError| error.to_string())?,
        limit: ROWS,
        ..SendQuery::default()
    })
}

/// The rows without the tries of a send whose end, or newer try, stands above them.
fn newest(found: Vec<FoundSend>) -> Vec<FoundSend> {
    let mut seen = std::collections::HashSet::new();
    let mut keep = Vec::with_capacity(found.len());
    for found in found {
        let is_new = seen.insert((found.entry.lane.clone(), found.send.position, found.send.ordinal));
        if is_new || found.send.outcome.is_some() {
            keep.push(found);
        }
    }
    keep
}

fn form(params: &Params, lanes: &[String]) -> Markup {
    let states: Vec<String> = Ended::ALL.iter().map(ToString::to_string).collect();
    let reasons: Vec<String> = Reason::ALL.iter().map(ToString::to_string).collect();
    html! {
        form.filters action="/events" {
            label.wide { span { "Message id, visitor, user or order" }
                input name="q" value=(params.text("q")) autocomplete="off" spellcheck="false"; }
            label { span { "Event" } input name="event" value=(params.text("event")) placeholder="Order Completed" autocomplete="off"; }
            (parts::choice("lane", "Lane", "all lanes", lanes, params.get("lane")))
            (parts::choice("state", "State", "all states", &states, params.get("state")))
            (parts::choice("reason", "Reason", "all reasons", &reasons, params.get("reason")))
            label.narrow { span { "Answer" } input name="status" value=(params.text("status")) inputmode="numeric" placeholder="200"; }
            (filters::since(params))
            (parts::hidden(&params.only(&["from", "until"])))
            button.button { "Find" }
        }
    }
}

fn table(found: &[FoundSend]) -> Markup {
    html! {
        div.scroll { table.rows {
            thead { tr { th { "Time" } th { "Event" } th { "State" } th { "Why" } th { "Lane" } th { "Visitor" } th { "Message id" } } }
            tbody { @for found in found { (row(found)) } }
        } }
    }
}

fn row(found: &FoundSend) -> Markup {
    let send = &found.send;
    let state = send.outcome.as_ref().map_or("waiting", |outcome| outcome.state.as_str());
    let why = match (&send.outcome, found.entry.attempt.as_ref().and_then(|attempt| attempt.error.as_ref())) {
        (Some(outcome), _) => match &outcome.detail {
            Some(detail) => format!("{}: {detail}", outcome.reason),
            None if outcome.reason == Reason::Accepted => String::new(),
            None => outcome.reason.to_string(),
        },
        (None, Some(error)) => error.message.clone(),
        (None, None) => "will be tried again".to_owned(),
    };
    let visitor = send.visitor_code.as_deref().or(send.user_id.as_deref()).or(send.anonymous_id.as_deref());
    html! {
        tr {
            td data-label="Time" { (parts::time(found.entry.at)) }
            td.main { (parts::event_link(&send.message_id, &send.event)) }
            td { (parts::badge(state)) @for mark in send.marks.names() { " " span.badge.dull { (mark) } } }
            td.why { (parts::short(&why)) }
            td { (parts::lane(&found.entry.lane)) }
            td { @if let Some(visitor) = visitor {
                a.id href=(Params::default().with("q", Some(visitor)).at("/events")) { (visitor) }
            } }
            td { span.id title=(send.message_id) { (send.message_id) } }
        }
    }
}

fn nothing(params: &Params) -> Markup {
    if params.without(&["after"]).is_empty() {
        return parts::empty(
            "No event has come in yet",
            html! {
                p { "Send one with the write key of a pipeline, and it appears here:" }
                pre.code { "anole send track \"Order Completed\" --visitor 245fc8a1b9 --set revenue=23.50" }
                p { a href="/pipelines" { "Pipelines" } " lists the keys' pipelines; " a href="/live" { "Live" } " shows each event as it comes." }
            },
        );
    }
    parts::empty(
        "Nothing matches",
        html! {
            p { "Ids are looked for as a whole: message id, visitor code, anonymous id, user id, or an order id when the pipeline names it under "
                code { "lookup" } "." }
            p { a href="/events" { "Show everything" } }
        },
    )
}
