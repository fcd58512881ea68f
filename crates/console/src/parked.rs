//! Parked sends: one with its whole story, and what a person does to many: replay and discard. And events that are replayed from
//! the journal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{Choice, ChosenEvents, Remade, ReplayStatus};
use anole_event::{LaneId, Reason, State as SendState, Timestamp};
use anole_pipeline::{LanePlan, Made};
use anole_state::{ParkedFilter, ParkedGroup, ParkedId, ParkedRow};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::answer::{data, error, query_error, replay_error};
use crate::api::Admin;
use crate::code::ApiCode;
use crate::find::{LookError, Looks};
use crate::lists::{ParkedQuery, ParkedShown, QueryError, parked_shown, time};

/// What is to be done to parked sends.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParkedOrder {
    /// To which. What is left out does not matter; the limit is not asked.
    pub filter: ParkedQuery,
    /// Only say how many they are.
    pub dry_run: bool,
    /// Of a replay: the age in seconds from which an event is of no use any more. Without it age does not matter.
    pub max_age_seconds: Option<u64>,
}

/// Which events of the journal are to be sent again.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayOrder {
    /// Only for this lane.
    pub lane: Option<String>,
    /// Only with this name.
    pub event: Option<String>,
    /// Only with this message id.
    pub message_id: Option<String>,
    /// Only those that came in at this time or later, as RFC 3339.
    pub from: Option<String>,
    /// Only those that came in before this time, as RFC 3339.
    pub until: Option<String>,
    /// Only those of which a send ended last in this state.
    pub state: Option<SendState>,
    /// The same for this reason.
    pub reason: Option<Reason>,
    /// Only say how many they are.
    pub dry_run: bool,
    /// The age in seconds from which an event is of no use any more. Without it age does not matter.
    pub max_age_seconds: Option<u64>,
}

/// Events of the journal that have lane and name in common.
#[derive(Debug, Serialize)]
pub struct ChosenShown {
    /// The lane.
    pub lane: LaneId,
    /// The event's name.
    pub event: Arc<str>,
    /// How many.
    pub events: u64,
}

/// Parked sends that have lane, reason and event name in common.
#[derive(Debug, Serialize)]
pub struct ParkedGroupShown {
    /// The lane.
    pub lane: LaneId,
    /// The reason.
    pub reason: Reason,
    /// The event's name.
    pub event: String,
    /// How many.
    pub sends: u64,
    /// The bytes of their records.
    pub bytes: u64,
}

/// How far a replay is.
#[derive(Debug, Serialize)]
pub struct ReplayShown {
    /// The lane.
    pub lane: LaneId,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How many parked sends, or events of the journal, it was.
    pub sends: u64,
    /// How those ended that have.
    pub ended: Vec<EndedShown>,
    /// Events that were passed over: one of their sends is parked, or the journal has let go of them.
    pub passed_over: u64,
    /// Why it stopped before its end, when it did.
    pub stopped: Option<String>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
}

/// So many sends ended so.
#[derive(Debug, Serialize)]
pub struct EndedShown {
    /// Where.
    pub state: anole_event::State,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub sends: u64,
}

/// One parked send with all that is known of it.
#[derive(Debug, Serialize)]
pub struct ParkedStory {
    /// The send.
    pub parked: ParkedShown,
    /// The hash of the plan that mapped it then.
    pub plan: String,
    /// The attempt after which it was parked, while the delivery log has it.
    pub attempt: Option<serde_json::Value>,
    /// What would become of it now; absent when no pipeline has its lane.
    pub now: Option<Vec<NowShown>>,
}

/// What the plan in force makes of a parked send.
#[derive(Debug, Serialize)]
pub struct NowShown {
    /// Which of the event's sends.
    pub ordinal: u16,
    /// The rule.
    pub rule: String,
    /// `sent`, or where it would end without a request.
    pub state: &'static str,
    /// Why, when it is not sent.
    pub reason: Option<Reason>,
    /// What a person should read.
    pub detail: Option<String>,
    /// The method and address, secrets masked.
    pub request: Option<String>,
    /// The body, as it would be if the send travelled alone.
    pub body: Option<String>,
    /// The nonce.
    pub nonce: Option<String>,
    /// The hash of the plan.
    pub plan: String,
}

// === impl Looks ===

impl Looks {
    /// The row of a parked send.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn parked_row(&self, id: &str) -> Result<Option<ParkedRow>, LookError> {
        let Ok(id) = id.parse::<ParkedId>() else { return Ok(None) };
        let filter = ParkedFilter { id: Some(id), limit: 1, ..ParkedFilter::default() };
        Ok(self.state.parked(filter).await?.pop())
    }

    /// The story of a parked send. `now` is what [`now_shown`] says of it.
    ///
    /// # Errors
    /// When a store cannot be read.
    pub async fn parked_story(&self, row: ParkedRow, now: Option<Vec<NowShown>>) -> Result<ParkedStory, QueryError> {
        let attempt = match row.parked.attempt {
            Some(attempt) => self.delivery(&attempt.to_string()).await?,
            None => None,
        };
        let attempt = attempt.map(|mut found| found["attempt"].take()).filter(|attempt| !attempt.is_null());
        let plan = format!("{:016x}", row.parked.plan);
        Ok(ParkedStory { parked: parked_shown(row), plan, attempt, now })
    }

    /// How many parked sends a filter finds, by lane, reason and event name.
    ///
    /// # Errors
    /// When the filter means nothing or the state cannot be read.
    pub async fn parked_groups(&self, query: &ParkedQuery) -> Result<Vec<ParkedGroupShown>, QueryError> {
        let groups = self.state.parked_groups(query.filter()?).await.map_err(LookError::from)?;
        Ok(groups.into_iter().map(group_shown).collect())
    }
}

/// What a plan makes of a parked send, to be shown.
#[must_use]
pub fn now_shown(remade: &Remade, plan: &LanePlan) -> Vec<NowShown> {
    let hash = || format!("{:016x}", plan.hash);
    let shown = remade.made.iter().map(|made| match made {
        Made::Send(send) => {
            let request = &plan.requests[send.address.request];
            let body = request.assemble(std::slice::from_ref(&send.item));
            NowShown {
                ordinal: send.ordinal,
                rule: send.rule.to_string(),
                state: "sent",
                reason: None,
                detail: send.hint.as_deref().map(str::to_owned),
                request: Some(format!("{} {}", send.address.method, send.address.masked_url)),
                body: Some(String::from_utf8_lossy(&body).into_owned()),
                nonce: send.nonce.as_deref().map(str::to_owned),
                plan: hash(),
            }
        }
        Made::Ended(ended) => NowShown {
            ordinal: ended.ordinal,
            rule: ended.rule.to_string(),
            state: ended.outcome.state.as_str(),
            reason: Some(ended.outcome.reason),
            detail: ended.outcome.detail.clone(),
            request: None,
            body: None,
            nonce: None,
            plan: hash(),
        },
    });
    shown.collect()
}

// === impl ReplayOrder ===

impl ReplayOrder {
    fn choice(&self) -> Result<Choice, QueryError> {
        Ok(Choice {
            lane: self.lane.as_deref().map(LaneId::from_text),
            event: self.event.clone(),
            message_id: self.message_id.clone(),
            from: self.from.as_deref().map(time).transpose()?,
            until: self.until.as_deref().map(time).transpose()?,
            state: self.state,
            reason: self.reason,
        })
    }
}

fn chosen_shown(chosen: ChosenEvents) -> impl Iterator<Item = ChosenShown> {
    let ChosenEvents { lane, events, .. } = chosen;
    events.into_iter().map(move |(event, events)| ChosenShown { lane: lane.clone(), event, events })
}

fn group_shown(group: ParkedGroup) -> ParkedGroupShown {
    let ParkedGroup { lane, reason, event, count, bytes, .. } = group;
    ParkedGroupShown { lane, reason, event, sends: count, bytes }
}

fn replay_shown(status: ReplayStatus) -> ReplayShown {
    let ReplayStatus { lane, asked_at, sends, ended, passed_over, stopped, finished_at } = status;
    let ended = ended.into_iter().map(|(state, reason, sends)| EndedShown { state, reason, sends }).collect();
    ReplayShown { lane, asked_at, sends, ended, passed_over, stopped, finished_at }
}

/// `GET /api/parked/{id}`.
pub(crate) async fn one(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    let row = match admin.looks.parked_row(&id).await {
        Ok(Some(row)) => row,
        Ok(None) => {
            return error(StatusCode::NOT_FOUND, ApiCode::UnknownParked, &format!("nothing is parked as `{id}`"));
        }
        Err(failed) => return query_error(&failed.into()),
    };
    let now = admin.delivery.remade(&row).map(|(remade, plan)| now_shown(&remade, &plan));
    match admin.looks.parked_story(row, now).await {
        Ok(story) => data(&story),
        Err(failed) => query_error(&failed),
    }
}

/// `POST /api/parked/replay`.
pub(crate) async fn replay(State(admin): State<Admin>, order: Result<Json<ParkedOrder>, JsonRejection>) -> Response {
    let (order, filter) = match read(order) {
        Ok(read) => read,
        Err(refused) => return *refused,
    };
    if order.dry_run {
        return dry_run(&admin, &order).await;
    }
    match admin.delivery.replay(&filter, order.max_age_seconds.map(Duration::from_secs)).await {
        Ok(begun) => data(&begun.into_iter().map(replay_shown).collect::<Vec<_>>()),
        Err(failed) => replay_error(&failed),
    }
}

/// `POST /api/parked/discard`.
pub(crate) async fn discard(State(admin): State<Admin>, order: Result<Json<ParkedOrder>, JsonRejection>) -> Response {
    let (order, filter) = match read(order) {
        Ok(read) => read,
        Err(refused) => return *refused,
    };
    if order.dry_run {
        return dry_run(&admin, &order).await;
    }
    match admin.delivery.discard(&filter).await {
        Ok(gone) => data(&discarded(&gone)),
        Err(failed) => replay_error(&failed),
    }
}

/// `POST /api/replay`.
pub(crate) async fn replay_events(
    State(admin): State<Admin>,
    order: Result<Json<ReplayOrder>, JsonRejection>,
) -> Response {
    let order = match order {
        Ok(Json(order)) => order,
        Err(rejected) => return error(StatusCode::BAD_REQUEST, ApiCode::BadBody, &rejected.body_text()),
    };
    let choice = match order.choice() {
        Ok(choice) => choice,
        Err(failed) => return query_error(&failed),
    };
    if order.dry_run {
        return match admin.delivery.chosen(&choice).await {
            Ok(chosen) => data(&chosen.into_iter().flat_map(chosen_shown).collect::<Vec<_>>()),
            Err(failed) => replay_error(&failed),
        };
    }
    match admin.delivery.replay_events(&choice, order.max_age_seconds.map(Duration::from_secs)).await {
        Ok(begun) => data(&begun.into_iter().map(replay_shown).collect::<Vec<_>>()),
        Err(failed) => replay_error(&failed),
    }
}

/// `GET /api/replays`.
pub(crate) async fn replays(State(admin): State<Admin>) -> Response {
    data(&admin.delivery.replays().into_iter().map(replay_shown).collect::<Vec<_>>())
}

/// What was given up, as the API and the command line show it.
#[must_use]
pub fn discarded(gone: &BTreeMap<LaneId, u64>) -> Vec<serde_json::Value> {
    gone.iter().map(|(lane, sends)| serde_json::json!({ "lane": lane, "discarded": sends })).collect()
}

fn read(order: Result<Json<ParkedOrder>, JsonRejection>) -> Result<(ParkedOrder, ParkedFilter), Box<Response>> {
    let Json(order) =
        order.map_err(|rejected| Box::new(error(StatusCode::BAD_REQUEST, ApiCode::BadBody, &rejected.body_text())))?;
    let filter = order.filter.filter().map_err(|failed| Box::new(query_error(&failed)))?;
    Ok((order, filter))
}

async fn dry_run(admin: &Admin, order: &ParkedOrder) -> Response {
    match admin.looks.parked_groups(&order.filter).await {
        Ok(groups) => data(&groups),
        Err(failed) => query_error(&failed),
    }
}
