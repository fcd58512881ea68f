//! Parked sends, grouped into problems: what to mend once, and what to do with the whole group afterwards.

use std::collections::BTreeMap;

use anole_delivery::{Remade, ReplayStatus};
use anole_event::{Reason, Timestamp};
use anole_pipeline::Made;
use anole_state::{ParkedFilter, ParkedProblem, ParkedRow};
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::{Page, Section, Viewer, failed, parts, trouble};
use crate::api::Admin;
use crate::params::{Params, step};

/// Problems on the page.
const PROBLEMS: usize = 100;
/// Parked sends that a dry run maps; a problem is one thing, and its sends mostly end alike.
const TRIED: usize = 200;
/// Parked sends that are listed.
const LISTED: usize = 20;
/// What a group has in common.
const GROUP: [&str; 4] = ["lane", "reason", "event", "message_id"];

/// What would become of a group.
#[derive(Default)]
struct Tried {
    /// By state, reason and detail.
    ends: BTreeMap<(&'static str, String), u64>,
    sends: u64,
    /// Without a pipeline that has the lane.
    homeless: u64,
}

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    if viewer.params.get("message_id").is_some() {
        return one(State(admin), viewer).await;
    }
    let problems = match admin.looks.state.parked_problems(PROBLEMS).await {
        Ok(problems) => problems,
        Err(error) => return failed(&admin, &viewer, &error).await,
    };
    let now = admin.clock.wall();
    let sends: u64 = problems.iter().map(|problem| problem.count).sum();
    let body = html! {
        (parts::head("Parked", html! {
            @if sends > 0 { span.soft { (parts::counted(sends, "send")) " in " (parts::counted(problems.len() as u64, "problem")) } }
        }))
        (said(viewer.params.get("said")))
        (replays(&admin.delivery.replays(), now))
        @if problems.is_empty() {
            (parts::empty("Nothing is parked", html! {
                p { "What a vendor refuses, or a rule cannot map, is set aside here whole, with its reason. Nothing waits for you now." }
            }))
        }
        @for problem in &problems { (card(problem, now)) }
    };
    Page::new(Section::Parked, "Parked", body).fresh().framed(&admin, &viewer).await.into_response()
}

fn said(what: Option<&str>) -> Markup {
    match what {
        Some("replayed") => {
            parts::note("good", html! { "They are on their way again. What is delivered leaves this page." })
        }
        Some("discarded") => {
            parts::note("good", html! { "They were given up, and are in the history as " code { "discarded" } "." })
        }
        _ => html! {},
    }
}

fn card(problem: &ParkedProblem, now: Timestamp) -> Markup {
    let group = group(problem);
    html! {
        article.card.problem {
            div.row {
                h2 { a href=(group.at("/parked/problem")) { (problem.event) } }
                span.count { (parts::number(problem.count)) }
            }
            p.what { span.badge.warn { (problem.reason) } " in " (parts::lane(&problem.lane)) }
            @if let Some(detail) = &problem.detail { p.hint { (detail) } }
            p.soft {
                "first " (parts::ago(now, problem.first_at)) ", last " (parts::ago(now, problem.last_at)) ", "
                (parts::bytes(problem.bytes)) ". "
                a href={ "/parked/" (problem.example.0) } { "An example" }
            }
            p { a.button href=(group.at("/parked/problem")) { "Dry run, replay or discard…" } }
        }
    }
}

fn group(problem: &ParkedProblem) -> Params {
    Params::default()
        .with("lane", Some(problem.lane.as_str()))
        .with("reason", Some(problem.reason.as_str()))
        .with("event", Some(&problem.event))
}

fn replays(all: &[ReplayStatus], now: Timestamp) -> Markup {
    html! {
        @if !all.is_empty() {
            details.card open[all.iter().any(|replay| replay.finished_at.is_none())] data-key="replays" {
                summary { (parts::counted(all.len() as u64, "replay")) " since the start" }
                div.scroll { table.rows {
                    thead { tr { th { "Lane" } th { "Asked" } th.n { "Of" } th { "Ended" } th { "State" } } }
                    tbody { @for replay in all.iter().rev() { tr {
                        td { (parts::lane(&replay.lane)) }
                        td { (parts::ago(now, replay.asked_at)) }
                        td.n { (parts::number(replay.sends)) }
                        td { @for (state, _, count) in &replay.ended {
                            span.tally { (parts::number(*count)) " " (parts::badge(state.as_str())) } " "
                        } @if replay.passed_over > 0 { (parts::number(replay.passed_over)) " passed over" } }
                        td { @match (&replay.stopped, replay.finished_at) {
                            (Some(why), _) => { (why) }
                            (None, Some(at)) => { "over " (parts::ago(now, at)) }
                            (None, None) => { (parts::badge("waiting")) }
                        } }
                    } } }
                } }
            }
        }
    }
}

/// One group: what would become of it, and what can be done with it.
pub(crate) async fn one(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let group = viewer.params.only(&GROUP);
    let filter = match filter(&group) {
        Ok(filter) => filter,
        Err(wrong) => {
            return trouble(&admin, &viewer, StatusCode::BAD_REQUEST, "This filter means nothing", &wrong).await;
        }
    };
    let (groups, rows) = match (
        admin.looks.state.parked_groups(filter.clone()).await,
        admin.looks.state.parked(ParkedFilter { limit: TRIED, ..filter }).await,
    ) {
        (Ok(groups), Ok(rows)) => (groups, rows),
        (Err(error), _) | (_, Err(error)) => return failed(&admin, &viewer, &error).await,
    };
    let sends: u64 = groups.iter().map(|group| group.count).sum();
    let title = group.get("event").or(group.get("message_id")).unwrap_or("Parked sends").to_owned();
    if rows.is_empty() {
        let body = html! {
            (parts::head(&title, html! {}))
            (said(viewer.params.get("said")))
            (replays(&admin.delivery.replays(), admin.clock.wall()))
            (parts::empty("Nothing of this is parked any more", html! { p { a.button href="/parked" { "All problems" } } }))
        };
        return Page::new(Section::Parked, &title, body).fresh().framed(&admin, &viewer).await.into_response();
    }
    let tried = tried(&admin, &rows);
    let now = admin.clock.wall();
    let body = html! {
        p.crumbs { a href="/parked" { "Parked" } " / " }
        (parts::head(&title, html! { span.count { (parts::number(sends)) } }))
        @for group in &groups {
            p.what { span.badge.warn { (group.reason) } " " b { (group.event) } " in " (parts::lane(&group.lane)) ", " (parts::counted(group.count, "send")) }
        }
        @if let Some(hint) = rows.first().and_then(|row| row.parked.detail.as_deref()) { p.hint { (hint) } }
        (dry_run(&tried, sends))
        (orders(&group, sends, &tried))
        (list(&rows, now))
    };
    Page::new(Section::Parked, &title, body).framed(&admin, &viewer).await.into_response()
}

fn filter(group: &Params) -> Result<ParkedFilter, String> {
    if group.is_empty() {
        return Err("Say which sends: a lane, a reason, an event or a message id.".to_owned());
    }
    Ok(ParkedFilter {
        lane: group.get("lane").map(anole_event::LaneId::from_text),
        reason: group.code("reason", Reason::from_code, Reason::ALL)?,
        event: group.get("event").map(str::to_owned),
        message_id: group.get("message_id").map(str::to_owned),
        ..ParkedFilter::default()
    })
}

fn tried(admin: &Admin, rows: &[ParkedRow]) -> Tried {
    let mut tried = Tried::default();
    for row in rows {
        tried.sends += 1;
        let Some((Remade { made, .. }, _)) = admin.delivery.remade(row) else {
            tried.homeless += 1;
            continue;
        };
        for made in made {
            let end = match made {
                Made::Send(_) => ("sent", String::new()),
                Made::Ended(ended) => {
                    let why = ended.outcome.detail.unwrap_or_else(|| ended.outcome.reason.to_string());
                    (ended.outcome.state.as_str(), why)
                }
            };
            *tried.ends.entry(end).or_default() += 1;
        }
    }
    tried
}

fn dry_run(tried: &Tried, sends: u64) -> Markup {
    html! {
        section.card {
            h2 { "Dry run" }
            p.soft {
                "What the rules in force make of "
                @if tried.sends < sends { "the newest " (parts::number(tried.sends)) " of them" } @else { "them" }
                ", without sending anything:"
            }
            ul.ends {
                @for ((state, why), count) in &tried.ends {
                    li { span.n { (parts::number(*count)) } " " (parts::badge(state)) " "
                        @if *state == "sent" { "would be sent; what the vendor answers shows only then" } @else { (why) } }
                }
                @if tried.homeless > 0 { li { span.n { (parts::number(tried.homeless)) } " stay: no pipeline has their lane" } }
            }
        }
    }
}

fn orders(group: &Params, sends: u64, tried: &Tried) -> Markup {
    let all = if sends == 1 { "it".to_owned() } else { format!("all {}", parts::number(sends)) };
    let can = tried.ends.keys().any(|(state, _)| *state == "sent");
    html! {
        div.orders {
            form method="post" action="/parked/replay" {
                (parts::hidden(group))
                button.button.main { "Replay " (all) }
                @if !can { p.soft { "By the rules in force none would be sent: mend the rule first, and come back." } }
            }
            details {
                summary { "Discard instead…" }
                form method="post" action="/parked/discard" {
                    (parts::hidden(group))
                    label.check { input type="checkbox" name="sure" value="yes" required; " Give up " (all) " for good" }
                    button.button.danger { "Discard " (all) }
                }
            }
        }
    }
}

fn list(rows: &[ParkedRow], now: Timestamp) -> Markup {
    html! {
        h2 { @if rows.len() > LISTED { "The newest " (LISTED) } @else { "Sends" } }
        div.scroll { table.rows {
            thead { tr { th { "Parked" } th { "Event" } th { "Rule" } th { "Message id" } th {} } }
            tbody { @for row in rows.iter().take(LISTED) { tr {
                td { (parts::ago(now, row.parked.parked_at)) }
                td.main { (parts::event_link(&row.parked.message_id, &row.parked.event)) }
                td { (row.parked.rule) }
                td { span.id { (row.parked.message_id) } }
                td { a href={ "/parked/" (row.id.0) } { "What it is" } }
            } } }
        } }
    }
}

pub(crate) async fn replay(
    State(admin): State<Admin>,
    viewer: Viewer,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let group = Params::from_pairs(form).only(&GROUP);
    let filter = match filter(&group) {
        Ok(filter) => filter,
        Err(wrong) => return trouble(&admin, &viewer, StatusCode::BAD_REQUEST, "Nothing was replayed", &wrong).await,
    };
    match admin.delivery.replay(&filter, None).await {
        Ok(_) => Redirect::to(&done(&group, "replayed")).into_response(),
        Err(error) => {
            trouble(&admin, &viewer, StatusCode::CONFLICT, "Nothing was replayed", &format!("{error}.")).await
        }
    }
}

pub(crate) async fn discard(
    State(admin): State<Admin>,
    viewer: Viewer,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let form = Params::from_pairs(form);
    let group = form.only(&GROUP);
    let filter = match filter(&group) {
        Ok(filter) if form.get("sure").is_some() => filter,
        Ok(_) => {
            let words = "Tick the box to say that you mean it: what is discarded is not sent any more.";
            return trouble(&admin, &viewer, StatusCode::BAD_REQUEST, "Nothing was discarded", words).await;
        }
        Err(wrong) => return trouble(&admin, &viewer, StatusCode::BAD_REQUEST, "Nothing was discarded", &wrong).await,
    };
    match admin.delivery.discard(&filter).await {
        Ok(_) => Redirect::to(&done(&group, "discarded")).into_response(),
        Err(error) => {
            trouble(&admin, &viewer, StatusCode::CONFLICT, "Nothing was discarded", &format!("{error}.")).await
        }
    }
}

fn done(group: &Params, what: &str) -> String {
    match group.get("message_id") {
        Some(id) => format!("/events/{}?said={what}", step(id)),
        None => format!("/parked?said={what}"),
    }
}
