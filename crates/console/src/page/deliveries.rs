//! Deliveries: every request to a vendor.

use anole_delivery_log::{EntryQuery, FoundEntry, Page as Rows};
use anole_event::{Decision, LaneId, Reason, State as Ended};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::filters::{self, Period};
use super::histogram::requests;
use super::{Page, Section, Viewer, event::decision, failed, parts};
use crate::api::Admin;
use crate::params::Params;

const FILTERS: [&str; 10] = ["q", "event", "reason", "lane", "status", "decision", "state", "from", "until", "since"];
const ROWS: usize = 50;

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let params = &viewer.params;
    let asked = query(params, admin.clock.wall());
    let found = match &asked {
        Ok(query) => match crate::rows::entries(&*admin.looks.log, query.clone()).await {
            Ok(found) => found,
            Err(error) => return failed(&admin, &viewer, &error).await,
        },
        Err(_) => Rows { items: Vec::new(), next: None },
    };
    let drawn = match &asked {
        // Statistics know lane and status, and nothing of what was decided.
        Ok(query) if is_plain(query) => requests(&admin, "/deliveries", params, query).await,
        _ => Ok(html! {}),
    };
    let lanes: Vec<String> = admin.delivery.lanes().await.iter().map(|lane| lane.lane.to_string()).collect();
    let body = html! {
        (parts::head("Deliveries", html! { span.soft { "Requests to vendors, newest first" } }))
        (form(params, &lanes))
        (filters::chips("/deliveries", params, &FILTERS))
        @if let Err(wrong) = &asked { (parts::note("bad", html! { (wrong) })) }
        @match drawn { Ok(drawn) => { (drawn) } Err(error) => { (parts::note("bad", html! { (error) })) } }
        @if found.items.is_empty() { @if asked.is_ok() { (nothing(params)) } } @else { (table(&found.items)) }
        (filters::pages("/deliveries", params, found.next.map(|next| next.to_string())))
    };
    let page = Page::new(Section::Deliveries, "Deliveries", body);
    let page = if params.get("after").is_none() { page.fresh() } else { page };
    page.framed(&admin, &viewer).await.into_response()
}

fn query(params: &Params, now: anole_event::Timestamp) -> Result<EntryQuery, String> {
    let period = Period::of(params, now)?;
    let after = params.get("after").map(str::parse).transpose();
    Ok(EntryQuery {
        lane: params.get("lane").map(LaneId::from_text),
        status: params.number("status")?,
        decision: params.code("decision", Decision::from_code, Decision::ALL)?,
        state: params.code("state", Ended::from_code, Ended::ALL)?,
        requested: Some(true),
        from: period.from,
        until: period.until,
        after: after.map_err(|error: anole_delivery_log::CursorError| error.to_string())?,
        limit: ROWS,
        any: params.get("q").map(str::to_owned),
        event: params.get("event").map(str::to_owned),
        reason: params.code("reason", Reason::from_code, Reason::ALL)?,
    })
}

/// Whether statistics know all that is asked.
fn is_plain(query: &EntryQuery) -> bool {
    let EntryQuery { decision, state, reason, event, any, .. } = query;
    decision.is_none() && state.is_none() && reason.is_none() && event.is_none() && any.is_none()
}

fn form(params: &Params, lanes: &[String]) -> Markup {
    let decisions: Vec<String> = Decision::ALL.iter().map(ToString::to_string).collect();
    let states: Vec<String> = ["delivered", "parked", "expired"].map(str::to_owned).to_vec();
    html! {
        form.filters action="/deliveries" {
            label.wide { span { "With the message id, visitor, user or order" }
                input name="q" value=(params.text("q")) autocomplete="off" spellcheck="false"; }
            label { span { "Event" } input name="event" value=(params.text("event")) placeholder="Order Completed" autocomplete="off"; }
            (parts::choice("lane", "Lane", "all lanes", lanes, params.get("lane")))
            label.narrow { span { "Answer" } input name="status" value=(params.text("status")) inputmode="numeric" placeholder="200"; }
            (parts::choice("decision", "Decided", "anything", &decisions, params.get("decision")))
            (parts::choice("state", "With a send that is", "anything", &states, params.get("state")))
            (filters::since(params))
            (parts::hidden(&params.only(&["from", "until"])))
            button.button { "Find" }
        }
    }
}

fn table(found: &[FoundEntry]) -> Markup {
    html! {
        div.scroll { table.rows {
            thead { tr {
                th { "Time" } th { "Answer" } th { "Decided" } th.n { "Took" } th.n { "Sends" } th { "Ended" } th { "Lane" } th { "Why" }
            } }
            tbody { @for found in found { (row(found)) } }
        } }
    }
}

fn row(found: &FoundEntry) -> Markup {
    let Some(attempt) = &found.entry.attempt else { return html! {} };
    let error = attempt.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    html! {
        tr {
            td { a.plain-time href={ "/deliveries/" (found.entry.id) } { (parts::time(found.entry.at)) } }
            td { (parts::status(attempt.status)) }
            td { (decision(attempt.decision.as_str())) }
            td.n { (parts::milliseconds(attempt.duration_us as f64 / 1000.0)) }
            td.n.wide-only { (parts::number(u64::from(found.sends))) }
            td { @for (state, count) in &found.tally {
                span.tally { (parts::number(u64::from(*count))) " " (parts::badge(state.map_or("waiting", |state| state.as_str()))) } " "
            } }
            td { (parts::lane(&found.entry.lane)) }
            td.why { (parts::short(error)) }
        }
    }
}

fn nothing(params: &Params) -> Markup {
    if params.without(&["after"]).is_empty() {
        return parts::empty(
            "No request was made yet",
            html! {
                p { "Events become requests when a rule of a destination maps them. "
                    a href="/events" { "Events" } " shows what became of each; " a href="/tester" { "the Tester" } " shows what would." }
            },
        );
    }
    parts::empty("Nothing matches", html! { p { a href="/deliveries" { "Show everything" } } })
}
