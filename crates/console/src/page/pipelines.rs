//! Pipelines: what is in force, the rules that hold for each destination, and the event names that no rule names.

use anole_delivery_log::SendQuery;
use anole_event::{Reason, State as Ended};
use anole_pipeline::{Action, LanePlan, PipelinePlan};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use maud::{Markup, html};

use super::{Page, Section, Viewer, parts, trouble};
use crate::api::Admin;
use crate::params::{Params, step};

/// Unmapped sends that are looked through for their names.
const LOOKED: usize = 1_000;

/// An event name that no rule names.
pub(super) struct Unmapped {
    pub(super) event: String,
    pub(super) events: u64,
    pub(super) last: anole_event::Timestamp,
}

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let pipelines = admin.delivery.pipelines();
    let body = html! {
        (parts::head("Pipelines", html! {
            form method="post" action="/reload" { button.button title="Read pipelines and blueprints again" { "Read the files again" } }
        }))
        @if viewer.params.get("said") == Some("reload") {
            (parts::note("good", html! { "Pipelines and blueprints were read again and are in force." }))
        }
        @if let Some(problem) = admin.files.refused() {
            (parts::note("bad", html! { "The files were refused when they were last read; what is shown here is the version before. " (problem) }))
        }
        @if pipelines.is_empty() {
            (parts::empty("There is no pipeline yet", html! {
                p { code { "anole init" } " writes a first one; " a href="/integrations" { "Integrations" } " fills in its destination." }
            }))
        }
        @for plan in &pipelines { (card(&admin, plan).await) }
    };
    Page::new(Section::Pipelines, "Pipelines", body).framed(&admin, &viewer).await.into_response()
}

async fn card(admin: &Admin, plan: &PipelinePlan) -> Markup {
    let intake = &plan.intake;
    let path = format!("/pipelines/{}", step(&plan.name));
    html! {
        article.card {
            div.row { h2 { (plan.name) } span.soft { (parts::counted(intake.keys.len() as u64, "write key")) } }
            (parts::facts(&[
                ("Consent", html! { @if intake.consent.is_some() { "gated" } @else { "not asked for" } }),
                ("GA4", html! { @match &intake.ga4 { Some(ga4) => (ga4.measurement_ids.join(", ")), None => "not accepted" } }),
                ("Names of GA4", html! { @if intake.translate { "translated" } @else { "kept" } }),
                ("Cookies kept", html! { (intake.cookies.join(", ")) @if intake.cookies.is_empty() { "none" } }),
            ]))
            @if plan.lanes.is_empty() { p.hint { "It has no destination: its events are kept, and go nowhere." } }
            @for lane in &plan.lanes { (destination(&path, lane)) }
            (unmapped(admin, plan).await)
        }
    }
}

fn destination(path: &str, lane: &LanePlan) -> Markup {
    let rules = lane.rules().all();
    let off = rules.iter().filter(|rule| matches!(rule.action, Action::Off)).count();
    html! {
        div.row.destination {
            div {
                b { (parts::lane(&lane.lane)) }
                @if !lane.is_enabled() { " " (parts::badge("stopped")) }
                p.soft {
                    @for address in lane.addresses() { code { (address.method) " " (address.masked_url) } " " }
                    (parts::counted((rules.len() - off) as u64, "rule"))
                    @if off > 0 { ", " (off) " switched off" }
                    ", plan " code { (format!("{:016x}", lane.hash)) }
                }
            }
            a.button href={ (path) "/" (step(lane.lane.destination())) } { "The rules" }
        }
    }
}

/// The names that no rule of the pipeline's destinations names.
async fn unmapped(admin: &Admin, plan: &PipelinePlan) -> Markup {
    let now = admin.clock.wall();
    let mut all: Vec<(&LanePlan, Vec<Unmapped>)> = Vec::new();
    for lane in &plan.lanes {
        let names = names(admin, lane).await;
        if !names.is_empty() {
            all.push((lane, names));
        }
    }
    html! {
        @if !all.is_empty() {
            h3 { "Event names that no rule names" }
            p.soft { "They are kept and not sent. A line under " code { "events" } " of the destination sends one; " code { "off" } " says that you know." }
            @for (lane, names) in all {
                div.scroll { table.rows {
                    thead { tr { th { "Event" } th.n { "Events" } th { "Last" } th { "Destination" } } }
                    tbody { @for name in names { tr {
                        td.main { a href=(of_name(lane, &name.event).at("/events")) { (name.event) } }
                        td.n { (parts::number(name.events)) }
                        td { (parts::ago(now, name.last)) }
                        td { (lane.lane.destination()) }
                    } } }
                } }
            }
        }
    }
}

fn of_name(lane: &LanePlan, event: &str) -> Params {
    Params::default()
        .with("lane", Some(lane.lane.as_str()))
        .with("event", Some(event))
        .with("reason", Some(Reason::Unmapped.as_str()))
}

async fn names(admin: &Admin, lane: &LanePlan) -> Vec<Unmapped> {
    let query = SendQuery {
        lane: Some(lane.lane.clone()),
        state: Some(Ended::Filtered),
        reason: Some(Reason::Unmapped),
        limit: LOOKED,
        ..SendQuery::default()
    };
    // A log that cannot be read is told on the pages that need it.
    let Ok(found) = crate::rows::sends(&*admin.looks.log, query).await else { return Vec::new() };
    let mut names: Vec<Unmapped> = Vec::new();
    for found in found.items {
        match names.iter_mut().find(|name| *name.event == *found.send.event) {
            Some(name) => name.events += 1,
            None => names.push(Unmapped { event: found.send.event.to_string(), events: 1, last: found.entry.at }),
        }
    }
    names.sort_by(|one, other| other.events.cmp(&one.events).then_with(|| one.event.cmp(&other.event)));
    names
}

/// The rules that hold for one destination.
pub(crate) async fn rules(
    State(admin): State<Admin>,
    viewer: Viewer,
    Path((pipeline, destination)): Path<(String, String)>,
) -> Response {
    let merged = match admin.desk.merged(pipeline.clone(), destination.clone()).await {
        Ok(merged) => merged,
        Err(error) => {
            return trouble(&admin, &viewer, StatusCode::NOT_FOUND, "The rules cannot be shown", &error).await;
        }
    };
    let title = format!("{pipeline}/{destination}");
    let body = html! {
        p.crumbs { a href="/pipelines" { "Pipelines" } " / " }
        (parts::head(&title, html! { span.soft { "The rules that hold, from the files" } }))
        p.soft { "The preset's rules with those of the pipeline laid over them. Behind " code { "#" } " stands the line that each comes from." }
        pre.code.tall tabindex="0" { (merged) }
    };
    Page::new(Section::Pipelines, &title, body).framed(&admin, &viewer).await.into_response()
}
