//! Sending an event again: a dry run by the rules in force first.

use anole_delivery::Choice;
use anole_event::LaneId;
use anole_state::ParkedFilter;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::Told;
use crate::api::Admin;
use crate::mapped::Mapped;
use crate::page::{Viewer, json, parts, trouble};

#[derive(Deserialize)]
pub(crate) struct Order {
    lane: String,
}

/// What would become of the event now, lane by lane, with the button that does it.
pub(super) fn dry_run(told: &Told) -> Markup {
    let id = &told.story.message_id;
    let mut lanes: Vec<&LaneId> = Vec::new();
    let made: &[Mapped] = told.now.as_deref().unwrap_or_default();
    for made in made {
        if !lanes.contains(&&made.lane) {
            lanes.push(&made.lane);
        }
    }
    html! {
        section.card #again {
            h2 { "Dry run: what the rules in force make of it" }
            @if let Err(error) = &told.now { p.hint { "It cannot be sent again: " (error) "." } }
            @for lane in lanes {
                @let made = made.iter().filter(|made| made.lane == *lane);
                @let sends = made.clone().any(|made| made.state == "sent");
                h3 { (parts::lane(lane)) }
                @for made in made { (mapped_shown(made)) }
                @if sends {
                    form method="post" action={ (parts::event_path(id)) "/replay" } {
                        input type="hidden" name="lane" value=(lane.as_str());
                        button.button.main { "Send again to " (lane.as_str()) }
                        span.soft { " It carries the same nonce: a vendor that goes by it counts it once." }
                    }
                } @else { p.soft { "Nothing would be sent." } }
            }
            p { a href=(parts::event_path(id)) { "Leave it" } }
        }
    }
}

/// A send as it would be.
pub(crate) fn mapped_shown(made: &Mapped) -> Markup {
    html! {
        div.mapped {
            p.what {
                (parts::badge(made.state))
                @if !made.rule.is_empty() { " by the rule " code { (made.rule) } }
                @if let Some(reason) = made.reason { " " (parts::explained(reason.as_str())) }
                @for mark in &made.marks { " " span.badge.dull { (mark) } }
            }
            @if let Some(detail) = &made.detail { p.hint { (detail) } }
            @if let Some(code) = &made.visitor_code {
                p.soft { "visitor code " code { (code) } @if let Some(rung) = &made.rung { " from " code { (rung) } } }
            }
            @if let Some(nonce) = &made.nonce { p.soft { "nonce " code { (nonce) } } }
            @if let Some(request) = &made.request { p.line { code { (request) } } }
            @if !made.explained.is_empty() { (json::explained(&made.explained)) }
            @if let Some(body) = &made.body { details { summary { "The body" } (json::shown(body)) } }
        }
    }
}

pub(crate) async fn replay(
    State(admin): State<Admin>,
    viewer: Viewer,
    Path(id): Path<String>,
    Form(order): Form<Order>,
) -> Response {
    let lane = LaneId::from_text(&order.lane);
    let parked = ParkedFilter { lane: Some(lane.clone()), message_id: Some(id.clone()), ..ParkedFilter::default() };
    let is_parked = admin.looks.state.parked(parked.clone()).await.is_ok_and(|rows| !rows.is_empty());
    // What is parked is replayed where it is parked, so that it leaves there.
    let begun = if is_parked {
        admin.delivery.replay(&parked, None).await
    } else {
        let choice = Choice { lane: Some(lane), message_id: Some(id.clone()), ..Choice::default() };
        admin.delivery.replay_events(&choice, None).await
    };
    match begun {
        Ok(begun) if begun.is_empty() => {
            let words = "Nothing was found to send again: the lane has not finished the event yet, or the journal has let go of it.";
            trouble(&admin, &viewer, StatusCode::CONFLICT, "Nothing to replay", words).await
        }
        Ok(_) => Redirect::to(&format!("{}?said=replayed", parts::event_path(&id))).into_response(),
        Err(error) => {
            trouble(&admin, &viewer, StatusCode::CONFLICT, "It was not sent again", &format!("{error}.")).await
        }
    }
}
