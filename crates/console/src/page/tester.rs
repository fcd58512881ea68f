//! The Tester: an event in, requests out, and nothing sent.

use std::sync::Arc;

use anole_pipeline::PipelinePlan;
use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::event::mapped_send;
use super::{Page, Section, Viewer, json, parts};
use crate::api::Admin;
use crate::desk::Came;
use crate::mapped::mapped;

/// What the form begins with.
const EXAMPLE: &str = r#"{
  "type": "track",
  "event": "Order Completed",
  "anonymousId": "a-1",
  "properties": {
    "order_id": "ORD-1001",
    "revenue": 23.50,
    "currency": "EUR",
    "kameleoon_visitor_code": "245fc8a1b9",
    "kameleoon_goal_id": 36151
  }
}"#;

#[derive(Deserialize)]
pub(crate) struct Trial {
    #[serde(default)]
    pipeline: String,
    event: String,
}

pub(crate) async fn page(State(admin): State<Admin>, viewer: Viewer) -> Response {
    let pipelines = admin.delivery.pipelines();
    let event = match viewer.params.get("message_id") {
        Some(id) => kept(&admin, id).await.unwrap_or_else(|| EXAMPLE.to_owned()),
        None => EXAMPLE.to_owned(),
    };
    let body = whole(&pipelines, viewer.params.text("pipeline"), &event, None);
    Page::new(Section::Tester, "Tester", body).framed(&admin, &viewer).await.into_response()
}

pub(crate) async fn run(State(admin): State<Admin>, viewer: Viewer, Form(trial): Form<Trial>) -> Response {
    let pipelines = admin.delivery.pipelines();
    let plan = pipelines.iter().find(|plan| *plan.name == *trial.pipeline).or(pipelines.first());
    let result = match plan {
        Some(plan) => tried(&admin, plan, &trial.event).await,
        None => parts::note("bad", html! { "There is no pipeline to try it with." }),
    };
    let body = whole(&pipelines, &trial.pipeline, &trial.event, Some(&result));
    Page::new(Section::Tester, "Tester", body).framed(&admin, &viewer).await.into_response()
}

/// An event that came in, as the journal has it.
async fn kept(admin: &Admin, id: &str) -> Option<String> {
    let stories = crate::story::stories(&admin.looks, id, &[]).await.ok()?;
    let body = stories.into_iter().next()?.body?;
    Some(json::laid_out(body.get()))
}

fn whole(pipelines: &[Arc<PipelinePlan>], chosen: &str, event: &str, result: Option<&Markup>) -> Markup {
    let lines = event.lines().count().clamp(12, 30);
    html! {
        (parts::head("Tester", html! { span.soft { "What would be sent for an event. Nothing is kept and nothing is sent." } }))
        div.split {
            form.card.settings method="post" action="/tester" {
                label { span { "Event, as a client sends it or as a story shows it" }
                    textarea name="event" rows=(lines) spellcheck="false" required { (event) } }
                @if pipelines.len() > 1 {
                    label { span { "Pipeline" } select name="pipeline" {
                        @for plan in pipelines { option value=(plan.name) selected[*plan.name == *chosen] { (plan.name) } }
                    } }
                }
                button.button.main { "Try it" }
            }
            section #result aria-live="polite" {
                @match result {
                    Some(result) => { (result) }
                    None => { (parts::empty("Nothing tried yet", html! { p { "Press “Try it”: you see what each lane would send, and which line of YAML each field comes from." } })) }
                }
            }
        }
    }
}

async fn tried(admin: &Admin, plan: &Arc<PipelinePlan>, event: &str) -> Markup {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(event) {
        return parts::note("bad", html! { "This is no JSON: " (error) "." });
    }
    let record = match admin.desk.come(Arc::clone(plan), event.to_owned()).await {
        Ok(Came::Kept(record)) => record,
        Ok(Came::Again) => return parts::note("warn", html! { "A duplicate: it is accepted, and counts once." }),
        Ok(Came::Refused(why)) => return parts::note("bad", html! { "It would be refused at the door: " (why) }),
        Err(error) => return parts::note("bad", html! { (error) }),
    };
    let made = match mapped(plan, &record) {
        Ok(made) => made,
        Err(error) => return parts::note("bad", html! { (error) }),
    };
    let body = record.body().map(|body| String::from_utf8_lossy(&body).into_owned()).unwrap_or_default();
    html! {
        @if made.is_empty() { (parts::note("warn", html! { "The pipeline " (plan.name) " has no destination." })) }
        @for made in &made {
            section.card { h2 { "To " (made.lane.as_str()) } (mapped_send(made)) }
        }
        details.card { summary { "The event as the journal would keep it" } (json::shown(&body)) }
    }
}
