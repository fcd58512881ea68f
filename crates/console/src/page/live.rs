//! Live: what happens to events as it happens.

use anole_event::State as Ended;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::{Page, Section, Viewer, parts};
use crate::api::Admin;

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let params = &viewer.params;
    let lanes: Vec<String> = admin.delivery.lanes().await.iter().map(|lane| lane.lane.to_string()).collect();
    let states: Vec<String> = Ended::ALL.iter().map(ToString::to_string).collect();
    let stages = crate::feed::STAGES.map(str::to_owned);
    let feed = params.only(&crate::feed::FILTERS).at("/api/feed");
    let body = html! {
        (parts::head("Live", html! {
            span #live-state.badge.dull role="status" { "not connected" }
            button #live-hold .button type="button" hidden { "Hold" }
            button #live-clear .button type="button" hidden { "Clear" }
        }))
        form.filters action="/live" {
            (parts::choice("stage", "Stage", "every stage", &stages, params.get("stage")))
            (parts::choice("lane", "Lane", "all lanes", &lanes, params.get("lane")))
            (parts::choice("state", "State", "all states", &states, params.get("state")))
            label { span { "Event" } input name="event" value=(params.text("event")) placeholder="Order Completed" autocomplete="off"; }
            label.wide { span { "Message id" } input name="message_id" value=(params.text("message_id")) autocomplete="off" spellcheck="false"; }
            button.button { "Filter" }
        }
        noscript { (parts::note("warn", html! { "This page needs a script. " code { "anole tail" } " shows the same in a terminal." })) }
        p #live-note.note.warn hidden role="alert" {}
        div.scroll { table #live.rows.live data-feed=(feed) {
            thead { tr { th { "Time" } th { "Event" } th { "Stage" } th { "Lane" } th { "Why" } th { "Message id" } } }
            tbody {}
        } }
        div #live-empty { (parts::empty("Waiting for events", html! { p { "Each appears here the moment it is on disk, and again as each lane is done with it." } })) }
    };
    Page::new(Section::Live, "Live", body).with_script("/assets/live.js").framed(&admin, &viewer).await.into_response()
}
