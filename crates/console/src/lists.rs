//! Lists: attempts and parked sends, as the API and the command line show them.

use anole_delivery_log::{EntryQuery, FoundEntry};
use anole_event::{Entry, LaneId, Reason, Record, Timestamp};
use anole_state::{ParkedFilter, ParkedRow};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::find::{LookError, Looks};

/// The most rows of one answer.
const MOST: usize = 500;
/// Rows when nobody says how many.
const USUAL: usize = 20;

/// Which attempts are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveriesQuery {
    /// Only this lane.
    pub lane: Option<String>,
    /// Only this status.
    pub status: Option<u16>,
    /// Where the page before ended.
    pub after: Option<String>,
    /// How many; at most 500.
    pub limit: Option<usize>,
}

/// Which parked sends are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParkedQuery {
    /// Only this lane.
    pub lane: Option<String>,
    /// Only this reason.
    pub reason: Option<String>,
    /// Only this event name.
    pub event: Option<String>,
    /// Only this one.
    pub id: Option<String>,
    /// Only of the event with this message id.
    pub message_id: Option<String>,
    /// Only parked at this time or later, as RFC 3339.
    pub from: Option<String>,
    /// Only parked before this time, as RFC 3339.
    pub until: Option<String>,
    /// How many; at most 500.
    pub limit: Option<usize>,
}

/// A filter that means nothing.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// There is no such reason.
    #[error("`{wanted}` is no reason; the reasons are: {known}")]
    Reason {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// That is no time.
    #[error("`{0}` is no time: write it as 2026-11-24T10:00:00Z")]
    Time(String),
    /// That is no id of a parked send.
    #[error("`{0}` is no id of a parked send: it is a number, which `anole parked list` names")]
    ParkedId(String),
    /// That is no place in a list.
    #[error("{0}")]
    After(String),
    /// A store could not be read.
    #[error(transparent)]
    Look(#[from] LookError),
}

/// An attempt in a list.
#[derive(Debug, Serialize)]
pub struct AttemptRow {
    /// Its id.
    pub id: String,
    /// When it was decided.
    pub at: Timestamp,
    /// The lane.
    pub lane: LaneId,
    /// The address.
    pub url: String,
    /// The status.
    pub status: Option<u16>,
    /// How far it came.
    pub reached: &'static str,
    /// What was decided.
    pub decision: &'static str,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// How many sends it carried.
    pub sends: u32,
    /// Why it failed, when it did.
    pub error: Option<String>,
}

/// A parked send in a list.
#[derive(Debug, Serialize)]
pub struct ParkedShown {
    /// Its id.
    pub id: String,
    /// The lane.
    pub lane: LaneId,
    /// The event's name.
    pub event: String,
    /// The message id.
    pub message_id: String,
    /// When it came in.
    pub received_at: Timestamp,
    /// When it was parked.
    pub parked_at: Timestamp,
    /// The rule that made it.
    pub rule: String,
    /// Why.
    pub reason: &'static str,
    /// What to do.
    pub detail: Option<String>,
    /// The attempt after which it was parked.
    pub attempt: Option<String>,
    /// The event.
    pub body: Option<Box<RawValue>>,
}

// === impl Looks ===

impl Looks {
    /// The newest attempts.
    ///
    /// # Errors
    /// When the query means nothing or the log cannot be read.
    pub async fn deliveries(&self, query: &DeliveriesQuery) -> Result<Vec<AttemptRow>, QueryError> {
        let after = query.after.as_deref().map(str::parse).transpose();
        let query = EntryQuery {
            lane: query.lane.as_deref().map(LaneId::from_text),
            status: query.status,
            requested: Some(true),
            after: after.map_err(|error: anole_delivery_log::CursorError| QueryError::After(error.to_string()))?,
            limit: query.limit.unwrap_or(USUAL).clamp(1, MOST),
            ..EntryQuery::default()
        };
        let mut rows = Vec::new();
        let mut next = query.clone();
        // A page may be short of rows: the log bounds the work of each call.
        loop {
            let page = self.log.entries(next.clone()).await.map_err(LookError::from)?;
            rows.extend(page.items.into_iter().filter_map(attempt_row));
            match page.next {
                Some(cursor) if rows.len() < query.limit => {
                    next.after = Some(cursor);
                    next.limit = query.limit - rows.len();
                }
                _ => return Ok(rows),
            }
        }
    }

    /// A whole attempt, as JSON: request, answer, sends. `None` when there is none of this id.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn delivery(&self, id: &str) -> Result<Option<serde_json::Value>, QueryError> {
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok(self.log.entry(id).await.map_err(LookError::from)?.map(|entry| whole(&entry)))
    }

    /// The newest parked sends.
    ///
    /// # Errors
    /// When the query means nothing or the state cannot be read.
    pub async fn parked(&self, query: &ParkedQuery) -> Result<Vec<ParkedShown>, QueryError> {
        let filter = query.filter()?;
        let rows = self.state.parked(filter).await.map_err(LookError::from)?;
        Ok(rows.into_iter().map(parked_shown).collect())
    }
}

// === impl ParkedQuery ===

impl ParkedQuery {
    /// The filter that it means.
    ///
    /// # Errors
    /// When a reason, a time or an id is none.
    pub fn filter(&self) -> Result<ParkedFilter, QueryError> {
        let reason = |code: &String| {
            Reason::from_code(code).ok_or_else(|| QueryError::Reason {
                wanted: code.clone(),
                known: Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>().join(", "),
            })
        };
        let id = |text: &String| text.parse().map_err(|_| QueryError::ParkedId(text.clone()));
        Ok(ParkedFilter {
            id: self.id.as_ref().map(id).transpose()?,
            lane: self.lane.as_deref().map(LaneId::from_text),
            reason: self.reason.as_ref().map(reason).transpose()?,
            event: self.event.clone(),
            message_id: self.message_id.clone(),
            from: self.from.as_deref().map(time).transpose()?,
            until: self.until.as_deref().map(time).transpose()?,
            limit: self.limit.unwrap_or(USUAL).clamp(1, MOST),
            ..ParkedFilter::default()
        })
    }
}

pub(crate) fn time(text: &str) -> Result<Timestamp, QueryError> {
    Timestamp::parse(text).map_err(|_| QueryError::Time(text.to_owned()))
}

fn attempt_row(found: FoundEntry) -> Option<AttemptRow> {
    let attempt = found.entry.attempt?;
    Some(AttemptRow {
        id: found.entry.id.to_string(),
        at: found.entry.at,
        lane: found.entry.lane,
        url: attempt.url,
        status: attempt.status,
        reached: attempt.reached.as_str(),
        decision: attempt.decision.as_str(),
        took_ms: attempt.duration_us as f64 / 1000.0,
        sends: found.sends,
        error: attempt.error.map(|error| error.message),
    })
}

pub(crate) fn parked_shown(row: ParkedRow) -> ParkedShown {
    let parked = row.parked;
    let body = Record::from_bytes(parked.record).body().ok();
    ParkedShown {
        id: row.id.to_string(),
        lane: row.lane,
        event: parked.event,
        message_id: parked.message_id,
        received_at: parked.received_at,
        parked_at: parked.parked_at,
        rule: parked.rule,
        reason: parked.reason.as_str(),
        detail: parked.detail,
        attempt: parked.attempt.map(|attempt| attempt.to_string()),
        body: body.and_then(|body| serde_json::from_slice(&body).ok()),
    }
}

fn whole(entry: &Entry) -> serde_json::Value {
    let attempt = entry.attempt.as_ref().map(|attempt| {
        serde_json::json!({
            "method": attempt.method,
            "url": attempt.url,
            "request_body": String::from_utf8_lossy(&attempt.request_body),
            "reached": attempt.reached.as_str(),
            "status": attempt.status,
            "answer_headers": attempt.answer_headers,
            "answer_body": String::from_utf8_lossy(&attempt.answer_body),
            "answer_bytes": attempt.answer_bytes,
            "took_ms": attempt.duration_us as f64 / 1000.0,
            "error": attempt.error.as_ref().map(|error| &error.message),
            "error_source": attempt.error.as_ref().map(|error| error.source_of.as_str()),
            "decision": attempt.decision.as_str(),
        })
    });
    let sends: Vec<_> = entry
        .sends
        .iter()
        .map(|send| {
            serde_json::json!({
                "message_id": send.message_id,
                "event": send.event,
                "ordinal": send.ordinal,
                "rule": send.rule,
                "visitor_code": send.visitor_code,
                "rung": send.rung,
                "nonce": send.nonce,
                "marks": send.marks.names().collect::<Vec<_>>(),
                "state": send.outcome.as_ref().map_or("waiting", |outcome| outcome.state.as_str()),
                "reason": send.outcome.as_ref().map(|outcome| outcome.reason.as_str()),
                "detail": send.outcome.as_ref().and_then(|outcome| outcome.detail.as_deref()),
            })
        })
        .collect();
    serde_json::json!({
        "id": entry.id.to_string(),
        "at": entry.at,
        "lane": entry.lane,
        "plan": format!("{:016x}", entry.plan),
        "attempt": attempt,
        "sends": sends,
    })
}
