//! The Overview: the first line says in words whether all is well, and if not what to do; below it the way of an event.

mod figures;

use anole_delivery::LaneStatus;
use anole_event::{LaneId, Reason};
use anole_state::{LaneStatus as Registered, ParkedCount};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

pub(super) use self::figures::tone;
use self::figures::{Figures, named, tones};
use super::{Page, Section, Viewer, failed, parts};
use crate::api::Admin;
use crate::params::Params;

/// Whether all is well.
struct Verdict {
    tone: &'static str,
    words: String,
    /// Where it is mended.
    mend: Option<(&'static str, &'static str)>,
}

/// What the lanes are at.
struct Lanes {
    at_work: Vec<LaneStatus>,
    orphans: Vec<LaneId>,
    parked: Vec<ParkedCount>,
}

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let registry = admin.looks.state.lanes().await.unwrap_or_default();
    let orphans = registry.into_iter().filter(|row| matches!(row.status, Registered::Orphaned { .. }));
    let lanes = Lanes {
        at_work: admin.delivery.lanes().await,
        orphans: orphans.map(|row| row.lane).collect(),
        parked: admin.looks.state.parked_counts().await.unwrap_or_default(),
    };
    let figures = match Figures::of(&admin, &viewer.params).await {
        Ok(figures) => figures,
        Err(error) => return failed(&admin, &viewer, &error).await,
    };
    let body = html! {
        (banner(&verdict(&admin, &lanes)))
        div.head { h2 { "The way of an event" } (figures.tabs()) }
        (flow(&admin, &figures, &lanes))
        (figures.plots())
    };
    Page::new(Section::Overview, "Overview", body).fresh().framed(&admin, &viewer).await.into_response()
}

fn banner(verdict: &Verdict) -> Markup {
    html! {
        div class={ "verdict " (verdict.tone) } role="status" {
            i aria-hidden="true" {}
            h1 { (verdict.words) }
            @if let Some((href, label)) = verdict.mend { a.button href=(href) { (label) } }
        }
    }
}

fn verdict(admin: &Admin, lanes: &Lanes) -> Verdict {
    let say = |tone, words: String, mend| Verdict { tone, words, mend };
    if let Err(reason) = (admin.ready)() {
        return say("bad", format!("No events are accepted: {reason}."), None);
    }
    let paused = lanes.at_work.iter().find_map(|lane| lane.paused.as_ref().map(|hint| (&lane.lane, hint)));
    if let Some((lane, hint)) = paused {
        return say("bad", format!("The lane {lane} is paused: {hint}."), Some(("/lanes", "To the lanes")));
    }
    if let Some(problem) = admin.files.refused() {
        let words = format!(
            "The files were refused when they were last read, and anole works by the version before: {problem}."
        );
        return say("bad", words, Some(("/pipelines", "To the pipelines")));
    }
    let waiting: u64 = lanes.parked.iter().map(|count| count.count).sum();
    if waiting > 0 {
        let (are, wait) = if waiting == 1 { ("is", "waits") } else { ("are", "wait") };
        let words =
            format!("{} {are} parked and {wait} for you; everything else flows.", parts::counted(waiting, "send"));
        return say("warn", words, Some(("/parked", "See why")));
    }
    if let Some(lane) = lanes.orphans.first() {
        let words = format!("No pipeline has the lane {lane} any more; what it has not delivered is kept for a while.");
        return say("warn", words, Some(("/lanes", "To the lanes")));
    }
    if lanes.at_work.iter().any(|lane| lane.retrying > 0) {
        let words = "Some requests failed and are tried again; nothing is lost.".to_owned();
        return say("wait", words, Some(("/deliveries", "See them")));
    }
    if lanes.at_work.is_empty() {
        let words = "Events are accepted, and no pipeline has a destination for them yet.".to_owned();
        return say("wait", words, Some(("/integrations", "Set one up")));
    }
    say("good", "All is well: what came in is delivered or on its way.".to_owned(), None)
}

/// What came in, what each lane made of it, and what is stuck.
fn flow(admin: &Admin, figures: &Figures, lanes: &Lanes) -> Markup {
    let idle: Vec<&LaneId> =
        figures.by_lane.keys().filter(|lane| !lanes.at_work.iter().any(|status| status.lane == **lane)).collect();
    html! {
        div.flow {
            (came_in(admin, figures))
            div.made {
                @for status in &lanes.at_work { (lane(figures, lanes, &status.lane, Some(status))) }
                @for gone in idle { (lane(figures, lanes, gone, None)) }
                @if lanes.at_work.is_empty() {
                    (parts::empty("No destination", html! { p { a href="/integrations" { "Integrations" } " fills in one for you." } }))
                }
            }
        }
    }
}

fn came_in(admin: &Admin, figures: &Figures) -> Markup {
    let came = figures.came();
    let mut sum = crate::pulse::Came::default();
    came.values().for_each(|more| sum.add(*more));
    html! {
        section.card.came {
            h3 { "Came in" }
            p.figure { b { (parts::number(sum.accepted)) } " " span.soft { @if sum.accepted == 1 { "event" } @else { "events" } } }
            @if came.len() > 1 {
                ul { @for (pipeline, came) in &came { li { span { (pipeline) } b { (parts::number(came.accepted)) } } } }
            }
            ul {
                li { span { "duplicates, not kept twice" } b { (parts::number(sum.duplicates)) } }
                li { span { "refused at the door" } b { (parts::number(sum.refused)) } }
            }
            @if figures.since > figures.from { p.soft { "since the start, " (parts::ago(admin.clock.wall(), figures.since)) } }
            @if sum.accepted == 0 { p { a href="/tester" { "Try an event" } " without sending it" } }
        }
    }
}

fn lane(figures: &Figures, lanes: &Lanes, lane: &LaneId, status: Option<&LaneStatus>) -> Markup {
    let sums = figures.by_lane.get(lane).cloned().unwrap_or_default();
    let (named, tones) = (named(&sums), tones(&sums));
    let total: u64 = named.iter().map(|(_, count)| count).sum();
    let tries: u64 = sums.sends.iter().filter(|(ended, _)| ended.is_none()).map(|(_, count)| count).sum();
    let of = Params::default().with("lane", Some(lane.as_str()));
    let state = match status {
        Some(LaneStatus { paused: Some(_), .. }) => "paused",
        Some(_) => "runs",
        None => "orphaned",
    };
    html! {
        section.card.lane-flow {
            div {
                div.row { h3 { (parts::lane(lane)) } @if state != "runs" { (parts::badge(state)) } }
                (stack(&tones, total))
                p.sum {
                    span title="A send that was parked and replayed has ended twice" { b { (parts::number(total)) } " ended" }
                    @for (at, (state, count)) in named.iter().enumerate() {
                        i { @if at == 0 { "=" } @else { "+" } }
                        a href=(figures.events(&of.with("state", Some(state)))) class=(parts::tone(state)) {
                            b { (parts::number(*count)) } " " (state) }
                    }
                }
                p.soft {
                    @if let Some(status) = status {
                        (parts::counted(status.open as u64, "event")) " in hand"
                        @if status.inflight > 0 { ", " (parts::counted(status.inflight as u64, "request")) " under way" }
                    }
                    @if tries > 0 { ", " (parts::counted(tries, "try")) " that failed and came again" }
                }
            }
            (stuck(lanes, lane, status))
        }
    }
}

/// Shares of a whole, drawn as one bar.
fn stack(tones: &[(&'static str, u64)], total: u64) -> Markup {
    let mut x = 0.0;
    let shares: Vec<_> = tones
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(tone, count)| {
            let width = *count as f64 / total.max(1) as f64 * 600.0;
            x += width;
            (*tone, x - width, width.max(2.0))
        })
        .collect();
    html! {
        svg.stack viewBox="0 0 600 10" preserveAspectRatio="none" role="img" aria-label="Shares by state" {
            rect.ground x="0" y="0" width="600" height="10" {}
            @for (tone, x, width) in shares { rect class=(tone) x=(format!("{x:.1}")) y="0" width=(format!("{width:.1}")) height="10" {} }
        }
    }
}

fn stuck(lanes: &Lanes, lane: &LaneId, status: Option<&LaneStatus>) -> Markup {
    let parked: Vec<&ParkedCount> =
        lanes.parked.iter().filter(|count| count.lane == *lane && count.count > 0).collect();
    let retrying = status.map_or(0, |status| status.retrying);
    let paused = status.and_then(|status| status.paused.as_deref());
    html! {
        div.stuck {
            h4 { "Stuck" }
            @if parked.is_empty() && retrying == 0 && paused.is_none() && status.is_some() { p.good { "nothing" } }
            @if let Some(why) = paused { p.bad { "paused: " (why) } p { a href="/lanes" { "Resume" } } }
            @if status.is_none() { p.warn { "no pipeline has it any more" } }
            @if retrying > 0 {
                p.wait { (parts::counted(retrying as u64, "request")) " to be tried again" }
            }
            @for count in parked {
                p { a.warn href=(problem(lane, count.reason)) { b { (parts::number(count.count)) } " parked: " (count.reason) } }
            }
        }
    }
}

fn problem(lane: &LaneId, reason: Reason) -> String {
    Params::default().with("lane", Some(lane.as_str())).with("reason", Some(reason.as_str())).at("/parked/problem")
}
