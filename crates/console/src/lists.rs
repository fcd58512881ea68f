//! The list of parked sends, as the API and the command line show it.

use anole_event::{LaneId, Reason, Record, Timestamp};
use anole_state::{ParkedFilter, ParkedRow};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::find::{LookError, Looks};

/// The most rows of one answer.
pub(crate) const MOST: usize = 500;
/// Rows when nobody says how many.
pub(crate) const USUAL: usize = 20;

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
    /// There is no such state, reason or decision.
    #[error("`{wanted}` is no {what}; the {what}s are: {known}")]
    Code {
        /// What was asked for, in a word.
        what: &'static str,
        /// The text.
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
        let id = |text: &String| text.parse().map_err(|_| QueryError::ParkedId(text.clone()));
        Ok(ParkedFilter {
            id: self.id.as_ref().map(id).transpose()?,
            lane: self.lane.as_deref().map(LaneId::from_text),
            reason: reason(self.reason.as_deref())?,
            event: self.event.clone(),
            message_id: self.message_id.clone(),
            from: self.from.as_deref().map(time).transpose()?,
            until: self.until.as_deref().map(time).transpose()?,
            limit: self.limit.unwrap_or(USUAL).clamp(1, MOST),
            ..ParkedFilter::default()
        })
    }
}

pub(crate) fn reason(code: Option<&str>) -> Result<Option<Reason>, QueryError> {
    of_code("reason", code, Reason::from_code, Reason::ALL.iter().map(|reason| reason.as_str()))
}

/// The value of a code; an unknown one is told with those there are.
pub(crate) fn of_code<T>(
    what: &'static str,
    code: Option<&str>,
    of: fn(&str) -> Option<T>,
    known: impl Iterator<Item = &'static str>,
) -> Result<Option<T>, QueryError> {
    let Some(code) = code else { return Ok(None) };
    let unknown = || QueryError::Code { what, wanted: code.to_owned(), known: known.collect::<Vec<_>>().join(", ") };
    of(code).map(Some).ok_or_else(unknown)
}

pub(crate) fn time(text: &str) -> Result<Timestamp, QueryError> {
    Timestamp::parse(text).map_err(|_| QueryError::Time(text.to_owned()))
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
