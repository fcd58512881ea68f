//! What the delivery log tells: lists of sends and of attempts, counts over time, statistics, how far back it goes.
//!
//! Filters are the same everywhere, and all that is given must hold. A page may be short although there is more: a
//! question costs a bounded amount of work, and `next` says where to go on.

use std::time::Duration;

use anole_delivery_log::{Cursor, CursorError, EntryQuery, HistogramQuery, Page, SendQuery, StatisticsQuery};
use anole_event::{Decision, LaneId, State as Ended, Timestamp};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::answer::{data, error, query_error};
use crate::api::{Admin, Rejected, Route};
use crate::code::ApiCode;
use crate::find::{LookError, Looks};
use crate::lists::{MOST, QueryError, USUAL, of_code, reason, time};

mod shown;

pub use self::shown::{
    AttemptRow, BucketShown, DroppedShown, EndsShown, EventRow, HistogramShown, HistoryShown, LimitsShown, Listed,
    MeasuredShown, SpreadShown, StatisticsShown,
};
use self::shown::{attempt_row, event_row, histogram_shown, history_shown, statistics_shown, whole};

/// How many short pages are put together for one answer.
const TRIES: usize = 3;
/// How far back statistics go when nobody says.
const HOUR: Duration = Duration::from_secs(3600);

/// Which sends are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsQuery {
    /// Any of message id, visitor code, anonymous id, user id and look-up values, such as an order id.
    pub any: Option<String>,
    /// The message id.
    pub message_id: Option<String>,
    /// The visitor code that was sent.
    pub visitor: Option<String>,
    /// The anonymous id.
    pub anonymous_id: Option<String>,
    /// The user id.
    pub user: Option<String>,
    /// A look-up value, such as an order id.
    pub lookup: Option<String>,
    /// The name under which the look-up value stands, such as order_id.
    pub lookup_name: Option<String>,
    /// The event's name, or its type when it has none.
    pub event: Option<String>,
    /// The lane.
    pub lane: Option<String>,
    /// Where it ended.
    pub state: Option<String>,
    /// Why it ended there.
    pub reason: Option<String>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Whether tries are left out after which it was tried again.
    pub ended: Option<bool>,
    /// Decided at this time or later, as RFC 3339.
    pub from: Option<String>,
    /// Decided before this time, as RFC 3339.
    pub until: Option<String>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// How many; at most 500.
    pub limit: Option<usize>,
    /// Of a histogram: at most so many buckets.
    pub buckets: Option<usize>,
}

/// Which attempts are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveriesQuery {
    /// One of its sends has this message id, visitor code, anonymous id, user id or look-up value.
    pub any: Option<String>,
    /// One of its sends is of an event of this name, or of this type when it has none.
    pub event: Option<String>,
    /// Only this lane.
    pub lane: Option<String>,
    /// Only this status.
    pub status: Option<u16>,
    /// What was decided.
    pub decision: Option<String>,
    /// One of its sends ended so.
    pub state: Option<String>,
    /// One of its sends ended for this reason.
    pub reason: Option<String>,
    /// Decided at this time or later, as RFC 3339.
    pub from: Option<String>,
    /// Decided before this time, as RFC 3339.
    pub until: Option<String>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// How many; at most 500.
    pub limit: Option<usize>,
}

/// Which statistics are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatisticsAsked {
    /// Only of this lane.
    pub lane: Option<String>,
    /// From this time on, as RFC 3339. An hour before `until` when not given.
    pub from: Option<String>,
    /// Before this time, as RFC 3339. Now when not given.
    pub until: Option<String>,
    /// Seconds that are folded into one row; 60 when not given. It is raised to a round step, and so far that there are at
    /// most 750.
    pub step: Option<u64>,
}

// === impl EventsQuery ===

impl EventsQuery {
    /// The question that it means.
    ///
    /// # Errors
    /// When a state, a reason, a time or a place in a list is none.
    pub fn asked(&self) -> Result<SendQuery, QueryError> {
        Ok(SendQuery {
            any: self.any.clone(),
            message_id: self.message_id.clone(),
            visitor_code: self.visitor.clone(),
            anonymous_id: self.anonymous_id.clone(),
            user_id: self.user.clone(),
            lookup: self.lookup.clone(),
            lookup_name: self.lookup_name.clone(),
            event: self.event.clone(),
            lane: self.lane.as_deref().map(LaneId::from_text),
            state: state(self.state.as_deref())?,
            reason: reason(self.reason.as_deref())?,
            status: self.status,
            ended: self.ended.unwrap_or(false),
            from: self.from.as_deref().map(time).transpose()?,
            until: self.until.as_deref().map(time).transpose()?,
            after: place(self.after.as_deref())?,
            limit: self.limit.unwrap_or(USUAL).clamp(1, MOST),
        })
    }
}

// === impl DeliveriesQuery ===

impl DeliveriesQuery {
    /// The question that it means.
    ///
    /// # Errors
    /// When a state, a reason, a decision, a time or a place in a list is none.
    pub fn asked(&self) -> Result<EntryQuery, QueryError> {
        let decisions = Decision::ALL.iter().map(|decision| decision.as_str());
        Ok(EntryQuery {
            any: self.any.clone(),
            event: self.event.clone(),
            lane: self.lane.as_deref().map(LaneId::from_text),
            status: self.status,
            decision: of_code("decision", self.decision.as_deref(), Decision::from_code, decisions)?,
            state: state(self.state.as_deref())?,
            reason: reason(self.reason.as_deref())?,
            requested: Some(true),
            from: self.from.as_deref().map(time).transpose()?,
            until: self.until.as_deref().map(time).transpose()?,
            after: place(self.after.as_deref())?,
            limit: self.limit.unwrap_or(USUAL).clamp(1, MOST),
        })
    }
}

fn state(code: Option<&str>) -> Result<Option<Ended>, QueryError> {
    of_code("state", code, Ended::from_code, Ended::ALL.iter().map(|state| state.as_str()))
}

fn place(text: Option<&str>) -> Result<Option<Cursor>, QueryError> {
    let place = text.map(str::parse).transpose();
    place.map_err(|error: CursorError| QueryError::After(error.to_string()))
}

// === impl Looks ===

impl Looks {
    /// Where sends ended, newest first.
    ///
    /// # Errors
    /// When the query means nothing or the log cannot be read.
    pub async fn events(&self, query: &EventsQuery) -> Result<Listed<EventRow>, QueryError> {
        let mut asked = query.asked()?;
        let mut listed = Listed { items: Vec::new(), next: None };
        for _ in 0..TRIES {
            let page = self.log.sends(asked.clone()).await.map_err(LookError::from)?;
            let Page { items, next } = page;
            asked.limit -= items.len();
            listed.items.extend(items.into_iter().map(event_row));
            listed.next = next.map(|next| next.to_string());
            asked.after = next;
            if next.is_none() || asked.limit == 0 {
                break;
            }
        }
        Ok(listed)
    }

    /// Attempts, newest first.
    ///
    /// # Errors
    /// When the query means nothing or the log cannot be read.
    pub async fn deliveries(&self, query: &DeliveriesQuery) -> Result<Listed<AttemptRow>, QueryError> {
        let mut asked = query.asked()?;
        let mut listed = Listed { items: Vec::new(), next: None };
        for _ in 0..TRIES {
            let page = self.log.entries(asked.clone()).await.map_err(LookError::from)?;
            let Page { items, next } = page;
            asked.limit -= items.len();
            listed.items.extend(items.into_iter().filter_map(attempt_row));
            listed.next = next.map(|next| next.to_string());
            asked.after = next;
            if next.is_none() || asked.limit == 0 {
                break;
            }
        }
        Ok(listed)
    }

    /// A whole attempt, as JSON: request, answer, sends. `None` when there is none of this id.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn delivery(&self, id: &str) -> Result<Option<serde_json::Value>, QueryError> {
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok(self.log.entry(id).await.map_err(LookError::from)?.map(|entry| whole(&entry)))
    }

    /// How many sends of a list ended when.
    ///
    /// # Errors
    /// When the query means nothing or the log cannot be read.
    pub async fn histogram(&self, query: &EventsQuery) -> Result<HistogramShown, QueryError> {
        let mut asked = HistogramQuery { sends: query.asked()?, ..HistogramQuery::default() };
        asked.buckets = query.buckets.unwrap_or(asked.buckets);
        Ok(histogram_shown(self.log.histogram(asked).await.map_err(LookError::from)?))
    }

    /// What happened when, by lane.
    ///
    /// # Errors
    /// When the query means nothing or the log cannot be read.
    pub async fn statistics(&self, asked: &StatisticsAsked, now: Timestamp) -> Result<StatisticsShown, QueryError> {
        let until = asked.until.as_deref().map(time).transpose()?.unwrap_or(now);
        let hour = i64::try_from(HOUR.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp::from_micros(until.micros().saturating_sub(hour));
        let query = StatisticsQuery {
            lane: asked.lane.as_deref().map(LaneId::from_text),
            from: asked.from.as_deref().map(time).transpose()?.unwrap_or(before),
            until,
            step: Duration::from_secs(asked.step.unwrap_or(60)),
        };
        Ok(statistics_shown(self.log.statistics(query).await.map_err(LookError::from)?))
    }

    /// How large the log is, how far back it goes, what it has let go of.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn history(&self) -> Result<HistoryShown, QueryError> {
        Ok(history_shown(&self.log.stat().await.map_err(LookError::from)?))
    }
}

/// The routes that only look into the delivery log.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("get", "/api/events", get(events)),
        ("get", "/api/deliveries", get(deliveries)),
        ("get", "/api/deliveries/{id}", get(delivery)),
        ("get", "/api/histogram", get(histogram)),
        ("get", "/api/statistics", get(statistics)),
        ("get", "/api/history", get(history)),
    ]
}

async fn events(State(admin): State<Admin>, query: Result<Query<EventsQuery>, Rejected>) -> Response {
    match query {
        Ok(Query(query)) => answered(admin.looks.events(&query).await),
        Err(rejected) => error(StatusCode::BAD_REQUEST, ApiCode::BadQuery, &rejected.body_text()),
    }
}

async fn deliveries(State(admin): State<Admin>, query: Result<Query<DeliveriesQuery>, Rejected>) -> Response {
    match query {
        Ok(Query(query)) => answered(admin.looks.deliveries(&query).await),
        Err(rejected) => error(StatusCode::BAD_REQUEST, ApiCode::BadQuery, &rejected.body_text()),
    }
}

async fn delivery(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    match admin.looks.delivery(&id).await {
        Ok(Some(found)) => data(&found),
        Ok(None) => error(StatusCode::NOT_FOUND, ApiCode::UnknownAttempt, "there is no attempt with this id"),
        Err(failed) => query_error(&failed),
    }
}

async fn histogram(State(admin): State<Admin>, query: Result<Query<EventsQuery>, Rejected>) -> Response {
    match query {
        Ok(Query(query)) => answered(admin.looks.histogram(&query).await),
        Err(rejected) => error(StatusCode::BAD_REQUEST, ApiCode::BadQuery, &rejected.body_text()),
    }
}

async fn statistics(State(admin): State<Admin>, query: Result<Query<StatisticsAsked>, Rejected>) -> Response {
    match query {
        Ok(Query(asked)) => answered(admin.looks.statistics(&asked, admin.clock.wall()).await),
        Err(rejected) => error(StatusCode::BAD_REQUEST, ApiCode::BadQuery, &rejected.body_text()),
    }
}

async fn history(State(admin): State<Admin>) -> Response {
    answered(admin.looks.history().await)
}

fn answered<T: Serialize>(result: Result<T, QueryError>) -> Response {
    match result {
        Ok(found) => data(&found),
        Err(failed) => query_error(&failed),
    }
}
