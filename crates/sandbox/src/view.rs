//! What arrived, as it is shown and searched.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use anole_http::Timestamp;
use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::batch;
use crate::fields::Got;
use crate::reason::{Reason, Verdict};
use crate::store::{Judged, Received};

/// An event that arrived.
#[derive(Clone, Debug, Serialize)]
pub struct Arrived {
    /// Its number, from 1, in the order of arrival.
    pub number: u64,
    /// The number of the request that brought it.
    pub request: u64,
    /// When that request came.
    pub at: Timestamp,
    /// The site code.
    pub site: Option<String>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Its nonce.
    pub nonce: Option<String>,
    /// Its `eventType`.
    pub event_type: Option<String>,
    /// Its visitor code; the one of the query when there is one.
    pub visitor: Option<String>,
    /// Its `goalId`.
    pub goal: Option<i64>,
    /// Its bytes, exactly as they came. In JSON as text, which they are in both formats.
    #[serde(serialize_with = "as_text")]
    pub raw: Bytes,
}

/// Which events are wanted; the default wants the last hundred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// At most so many, the newest.
    pub limit: usize,
    /// Only those with a higher number.
    pub after: u64,
    /// Of this visitor code.
    pub visitor: Option<String>,
    /// Of this nonce.
    pub nonce: Option<String>,
    /// Of this `eventType`, in any case.
    pub event_type: Option<String>,
    /// With this verdict.
    pub verdict: Option<Verdict>,
    /// Of this site code.
    pub site: Option<String>,
    /// Of this goal.
    pub goal: Option<i64>,
    /// Of this request.
    pub request: Option<u64>,
}

/// A request, for JSON.
#[derive(Debug, Serialize)]
pub(crate) struct RequestView<'a> {
    number: u64,
    at: Timestamp,
    target: &'a str,
    site: Option<&'a str>,
    status: Option<u16>,
    why: Option<&'a str>,
    bytes: usize,
    events: usize,
    first: u64,
    verdicts: BTreeMap<Verdict, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<&'a [(String, String)]>,
    /// Lossy when the body is not UTF-8, which `utf8` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    utf8: bool,
}

// === impl Filter ===

impl Default for Filter {
    fn default() -> Self {
        Self {
            limit: 100,
            after: 0,
            visitor: None,
            nonce: None,
            event_type: None,
            verdict: None,
            site: None,
            goal: None,
            request: None,
        }
    }
}

impl Filter {
    /// Every event that is kept.
    #[must_use]
    pub fn all() -> Self {
        Self { limit: usize::MAX, ..Self::default() }
    }

    /// The newest of the kept events that match, oldest of them first.
    pub(crate) fn search(&self, kept: &[Arc<Received>]) -> Vec<Arrived> {
        let mut found = Vec::new();
        'requests: for request in kept.iter().rev() {
            if self.request.is_some_and(|number| number != request.number)
                || self.site.as_deref().is_some_and(|site| request.site.as_deref() != Some(site))
            {
                continue;
            }
            for (at, event) in request.events.iter().enumerate().rev() {
                let number = request.first + at as u64;
                if found.len() >= self.limit || number <= self.after {
                    break 'requests;
                }
                if self.verdict.is_some_and(|verdict| verdict != event.verdict) {
                    continue;
                }
                let arrived = Arrived::new(request, number, event);
                if self.matches(&arrived) {
                    found.push(arrived);
                }
            }
        }
        found.reverse();
        found
    }

    fn matches(&self, event: &Arrived) -> bool {
        let same = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        same(&self.visitor, &event.visitor)
            && same(&self.nonce, &event.nonce)
            && self.goal.is_none_or(|goal| event.goal == Some(goal))
            && self
                .event_type
                .as_deref()
                .is_none_or(|kind| event.event_type.as_deref().is_some_and(|has| has.eq_ignore_ascii_case(kind)))
    }
}

// === impl Arrived ===

impl Arrived {
    fn new(request: &Received, number: u64, event: &Judged) -> Self {
        let fields = batch::fields(&event.raw, request.json).unwrap_or_default();
        let text = |name| fields.text_of(name).map(Cow::into_owned);
        Self {
            number,
            request: request.number,
            at: request.at,
            site: request.site.clone(),
            verdict: event.verdict,
            reasons: event.reasons.to_vec(),
            nonce: text("nonce"),
            event_type: text("eventType"),
            visitor: request.visitor.clone().or_else(|| text("visitorCode")),
            goal: match fields.integer("goalId") {
                Got::Is(goal) | Got::AsText(goal) => Some(goal),
                Got::Missing | Got::Null | Got::Wrong => None,
            },
            raw: event.raw.clone(),
        }
    }
}

// === impl RequestView ===

impl<'a> RequestView<'a> {
    /// A request without its body and headers.
    pub(crate) fn brief(request: &'a Received) -> Self {
        let mut verdicts = BTreeMap::new();
        for event in &request.events {
            *verdicts.entry(event.verdict).or_default() += 1;
        }
        Self {
            number: request.number,
            at: request.at,
            target: &request.target,
            site: request.site.as_deref(),
            status: request.status,
            why: request.why.as_deref(),
            bytes: request.body.len(),
            events: request.events.len(),
            first: request.first,
            verdicts,
            headers: None,
            body: None,
            utf8: std::str::from_utf8(&request.body).is_ok(),
        }
    }

    /// A request with all of it.
    pub(crate) fn whole(request: &'a Received) -> Self {
        let body = String::from_utf8_lossy(&request.body);
        Self { headers: Some(&request.headers), body: Some(body), ..Self::brief(request) }
    }
}

fn as_text<S: Serializer>(raw: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(raw))
}
