//! What of a row belongs to a question, and which terms the question has.

use std::sync::Arc;

use anole_event::{LaneId, Reason, SendRecord, State};
use rusqlite::Row;

use crate::query::{Cursor, EntryMeta, EntryQuery, FoundEntry, FoundSend, SendQuery};
use crate::search::{Pick, Sift};
use crate::{row, terms};

/// A page never holds more, whatever was asked.
const MOST: usize = 10_000;

/// Takes the sends of a question.
pub(crate) struct Sends {
    query: SendQuery,
    pub(crate) found: Vec<FoundSend>,
}

/// Takes the entries of a question.
pub(crate) struct Entries {
    query: EntryQuery,
    /// What one of an entry's sends must be.
    of_send: Sends,
    pub(crate) found: Vec<FoundEntry>,
}

// === impl Sends ===

impl Sends {
    pub(crate) fn of(mut query: SendQuery) -> (Pick, Self) {
        query.limit = query.limit.clamp(1, MOST);
        let ids =
            [&query.any, &query.message_id, &query.visitor_code, &query.anonymous_id, &query.user_id, &query.lookup];
        let mut found: Vec<u64> = ids.into_iter().flatten().map(|value| terms::id(value)).collect();
        found.extend(of_sends(query.event.as_deref(), query.state, query.reason));
        found.extend(query.lane.as_ref().map(terms::lane));
        found.extend(query.status.map(terms::status));
        let pick = Pick { terms: found, from: query.from, until: query.until, after: query.after };
        (pick, Self { query, found: Vec::new() })
    }

    /// Whether the row can hold such a send, as far as is known without a look at its block.
    pub(crate) fn may_hold(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let query = &self.query;
        if !query.ended && query.state.is_none() {
            return Ok(true);
        }
        Ok(row::tally(row)?.iter().any(|(state, _)| self.wants_state(*state)))
    }

    /// Whether a send in this state is asked for, of those of which nothing else is.
    pub(crate) fn wants_state(&self, state: Option<State>) -> bool {
        (!self.query.ended || state.is_some()) && (self.query.state.is_none() || self.query.state == state)
    }

    /// What the question says of lane and status.
    pub(crate) fn wants_entry(&self, entry: &EntryMeta) -> bool {
        of_entry(entry, self.query.lane.as_ref(), self.query.status)
    }

    /// Whether nothing of a send is asked but its state: then tallies answer.
    pub(crate) fn asks_states_only(&self) -> bool {
        let query = &self.query;
        query.event.is_none() && query.reason.is_none() && !self.asks_ids()
    }

    /// Whether an id is asked for.
    pub(crate) fn asks_ids(&self) -> bool {
        let query = &self.query;
        let ids =
            [&query.any, &query.message_id, &query.visitor_code, &query.anonymous_id, &query.user_id, &query.lookup];
        ids.into_iter().any(Option::is_some)
    }

    /// Whether a send that ended so is asked for, of an event of this name; ids aside.
    pub(crate) fn wants_end(&self, event: &str, ended: Option<(State, Reason)>) -> bool {
        let query = &self.query;
        query.event.as_deref().is_none_or(|wanted| wanted == event)
            && (!query.ended || ended.is_some())
            && query.state.is_none_or(|wanted| ended.is_some_and(|(state, _)| state == wanted))
            && query.reason.is_none_or(|wanted| ended.is_some_and(|(_, reason)| reason == wanted))
    }

    pub(crate) fn wants(&self, send: &SendRecord) -> bool {
        let query = &self.query;
        let name = query.lookup_name.as_deref();
        let named = |value: &str, name: Option<&str>| {
            send.lookups.iter().any(|(of, held)| **held == *value && name.is_none_or(|name| name == &**of))
        };
        let lookup = |value: &str| named(value, name);
        let any = |value: &str| {
            *send.message_id == *value
                || [&send.anonymous_id, &send.user_id, &send.visitor_code].iter().any(|id| id.as_deref() == Some(value))
                || named(value, None)
        };
        let ended = send.outcome.as_ref().map(|outcome| (outcome.state, outcome.reason));
        is(&query.message_id, Some(&send.message_id))
            && is(&query.visitor_code, send.visitor_code.as_deref())
            && is(&query.anonymous_id, send.anonymous_id.as_deref())
            && is(&query.user_id, send.user_id.as_deref())
            && query.lookup.as_deref().is_none_or(lookup)
            && query.any.as_deref().is_none_or(any)
            && self.wants_end(&send.event, ended)
    }
}

/// The terms of what a send is.
fn of_sends(event: Option<&str>, state: Option<State>, reason: Option<Reason>) -> Vec<u64> {
    let mut found = Vec::new();
    match (event, state) {
        (Some(event), Some(state)) => found.push(terms::event_state(event, Some(state))),
        (Some(event), None) => found.push(terms::event(event)),
        (None, Some(state)) => found.push(terms::state(Some(state))),
        (None, None) => {}
    }
    if let Some(reason) = reason.map(Reason::number) {
        found.push(terms::reason(reason));
        found.extend(event.map(|event| terms::event_reason(event, reason)));
        found.extend(state.map(|state| terms::state_reason(state, reason)));
    }
    found
}

fn is(wanted: &Option<String>, held: Option<&str>) -> bool {
    wanted.as_deref().is_none_or(|wanted| held == Some(wanted))
}

fn of_entry(entry: &EntryMeta, lane: Option<&LaneId>, status: Option<u16>) -> bool {
    lane.is_none_or(|lane| entry.lane == *lane)
        && status.is_none_or(|status| entry.attempt.as_ref().and_then(|attempt| attempt.status) == Some(status))
}

impl Sift for Sends {
    fn take(&mut self, file: u32, number: u32, row: &Row<'_>) -> rusqlite::Result<Option<Cursor>> {
        if !self.may_hold(row)? {
            return Ok(None);
        }
        let entry = row::meta(row)?;
        if !self.wants_entry(&entry) {
            return Ok(None);
        }
        let entry = Arc::new(entry);
        let sends = row::block(row)?;
        let end = match self.query.after {
            Some(after) if (after.file, after.row) == (file, number) => after.send,
            _ => u32::MAX,
        };
        let numbered: Vec<_> = (0_u32..).zip(sends).take_while(|(index, _)| *index < end).collect();
        for (index, send) in numbered.into_iter().rev() {
            if !self.wants(&send) {
                continue;
            }
            self.found.push(FoundSend { entry: Arc::clone(&entry), index, send });
            if self.found.len() >= self.query.limit {
                return Ok(Some(Cursor { file, row: number, send: index }));
            }
        }
        Ok(None)
    }
}

// === impl Entries ===

impl Entries {
    pub(crate) fn of(mut query: EntryQuery) -> (Pick, Self) {
        query.limit = query.limit.clamp(1, MOST);
        let mut found = Vec::new();
        found.extend(query.lane.as_ref().map(terms::lane));
        found.extend(query.status.map(terms::status));
        found.extend(query.decision.map(terms::decision));
        found.extend(of_sends(query.event.as_deref(), query.state, query.reason));
        found.extend(query.any.as_deref().map(terms::id));
        found.extend(query.requested.map(terms::requested));
        let pick = Pick { terms: found, from: query.from, until: query.until, after: query.after };
        let (_, of_send) = Sends::of(SendQuery {
            any: query.any.clone(),
            event: query.event.clone(),
            state: query.state,
            reason: query.reason,
            ..SendQuery::default()
        });
        (pick, Self { query, of_send, found: Vec::new() })
    }

    /// Whether one send of the row is as it is asked for.
    fn holds(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        if self.of_send.asks_states_only() {
            return Ok(true);
        }
        Ok(row::block(row)?.iter().any(|send| self.of_send.wants(send)))
    }
}

impl Sift for Entries {
    fn take(&mut self, file: u32, number: u32, row: &Row<'_>) -> rusqlite::Result<Option<Cursor>> {
        let query = &self.query;
        let (entry, tally) = (row::meta(row)?, row::tally(row)?);
        let decision = entry.attempt.as_ref().map(|attempt| attempt.decision);
        let wanted = of_entry(&entry, query.lane.as_ref(), query.status)
            && query.decision.is_none_or(|wanted| decision == Some(wanted))
            && query.requested.is_none_or(|wanted| entry.attempt.is_some() == wanted)
            && query.state.is_none_or(|wanted| tally.iter().any(|(state, _)| *state == Some(wanted)));
        if !wanted || !self.holds(row)? {
            return Ok(None);
        }
        self.found.push(FoundEntry { entry, sends: row::sends(row)?, tally });
        let full = self.found.len() >= self.query.limit;
        Ok(full.then_some(Cursor { file, row: number, send: 0 }))
    }
}
