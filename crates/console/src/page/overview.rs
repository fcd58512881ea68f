//! The Overview: the first line says in words whether all is well, and if not what to do; below it the way of an event.

use anole_delivery::LaneStatus;
use anole_event::LaneId;
use anole_state::{LaneStatus as Registered, ParkedCount};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::{Page, Section, Viewer, parts};
use crate::api::Admin;

/// Whether all is well.
struct Verdict {
    tone: &'static str,
    words: String,
    /// Where it is mended.
    mend: Option<(&'static str, &'static str)>,
}

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let lanes = admin.delivery.lanes().await;
    let parked = admin.looks.state.parked_counts().await.unwrap_or_default();
    let registry = admin.looks.state.lanes().await.unwrap_or_default();
    let orphans = registry.into_iter().filter(|row| matches!(row.status, Registered::Orphaned { .. }));
    let orphans: Vec<_> = orphans.map(|row| row.lane).collect();
    let verdict = verdict(&admin, &lanes, &orphans, &parked);
    let body = html! {
        (banner(&verdict))
    };
    Page::new(Section::Overview, "Overview", body).fresh().framed(&admin, &viewer).await.into_response()
}

fn banner(verdict: &Verdict) -> Markup {
    html! {
        div class={ "verdict " (verdict.tone) } role="status" {
            h1 { (verdict.words) }
            @if let Some((href, label)) = verdict.mend { a.button href=(href) { (label) } }
        }
    }
}

fn verdict(admin: &Admin, lanes: &[LaneStatus], orphans: &[LaneId], parked: &[ParkedCount]) -> Verdict {
    let say = |tone, words: String, mend| Verdict { tone, words, mend };
    if let Err(reason) = (admin.ready)() {
        return say("bad", format!("No events are accepted: {reason}."), None);
    }
    if let Some((lane, hint)) = lanes.iter().find_map(|lane| lane.paused.as_ref().map(|hint| (&lane.lane, hint))) {
        return say("bad", format!("The lane {lane} is paused: {hint}."), Some(("/lanes", "To the lanes")));
    }
    if let Some(problem) = admin.files.refused() {
        let words = format!(
            "The files were refused when they were last read, and anole works by the version before: {problem}."
        );
        return say("bad", words, Some(("/pipelines", "To the pipelines")));
    }
    let waiting: u64 = parked.iter().map(|count| count.count).sum();
    if waiting > 0 {
        let (are, wait) = if waiting == 1 { ("is", "waits") } else { ("are", "wait") };
        let words =
            format!("{} {are} parked and {wait} for you; everything else flows.", parts::counted(waiting, "send"));
        return say("warn", words, Some(("/parked", "See why")));
    }
    if let Some(lane) = orphans.first() {
        let words = format!("No pipeline has the lane {lane} any more; what it has not delivered is kept for a while.");
        return say("warn", words, Some(("/lanes", "To the lanes")));
    }
    if lanes.iter().any(|lane| lane.retrying > 0) {
        return say(
            "wait",
            "Some requests failed and are tried again; nothing is lost.".to_owned(),
            Some(("/deliveries", "See them")),
        );
    }
    say("good", "All is well: what came in is delivered or on its way.".to_owned(), None)
}
