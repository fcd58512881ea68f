//! What of a row belongs to a question, and which terms the question has.

use std::sync::Arc;

use anole_event::{LaneId, SendRecord};
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
    pub(crate) found: Vec<FoundEntry>,
}

// === impl Sends ===

impl Sends {
    pub(crate) fn of(mut query: SendQuery) -> (Pick, Self) {
        query.limit = query.limit.clamp(1, MOST);
        let ids =
            [&query.any, &query.message_id, &query.visitor_code, &query.anonymous_id, &query.user_id, &query.lookup];
        let mut found: Vec<u64> = ids.into_iter().flatten().map(|value| terms::id(value)).collect();
        match (&query.event, query.state) {
            (Some(event), Some(state)) => found.push(terms::event_state(event, Some(state))),
            (Some(event), None) => found.push(terms::event(event)),
            (None, Some(state)) => found.push(terms::state(Some(state))),
            (None, None) => {}
        }
        found.extend(query.reason.map(|reason| terms::reason(reason.number())));
        found.extend(query.lane.as_ref().map(terms::lane));
        found.extend(query.status.map(terms::status));
        let pick = Pick { terms: found, from: query.from, until: query.until, after: query.after };
        (pick, Self { query, found: Vec::new() })
    }

    fn wants(&self, send: &SendRecord) -> bool {
        let query = &self.query;
        let lookup = |value: &str| send.lookups.iter().any(|(_, held)| **held == *value);
        let any = |value: &str| {
            *send.message_id == *value
                || [&send.anonymous_id, &send.user_id, &send.visitor_code].iter().any(|id| id.as_deref() == Some(value))
                || lookup(value)
        };
        let outcome = send.outcome.as_ref();
        is(&query.message_id, Some(&send.message_id))
            && is(&query.visitor_code, send.visitor_code.as_deref())
            && is(&query.anonymous_id, send.anonymous_id.as_deref())
            && is(&query.user_id, send.user_id.as_deref())
            && is(&query.event, Some(&send.event))
            && query.lookup.as_deref().is_none_or(lookup)
            && query.any.as_deref().is_none_or(any)
            && query.state.is_none_or(|state| outcome.is_some_and(|outcome| outcome.state == state))
            && query.reason.is_none_or(|reason| outcome.is_some_and(|outcome| outcome.reason == reason))
    }
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
        let entry = row::meta(row)?;
        if !of_entry(&entry, self.query.lane.as_ref(), self.query.status) {
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
        found.extend(query.state.map(|state| terms::state(Some(state))));
        found.extend(query.requested.map(terms::requested));
        let pick = Pick { terms: found, from: query.from, until: query.until, after: query.after };
        (pick, Self { query, found: Vec::new() })
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
        if !wanted {
            return Ok(None);
        }
        self.found.push(FoundEntry { entry, sends: row::sends(row)?, tally });
        let full = self.found.len() >= self.query.limit;
        Ok(full.then_some(Cursor { file, row: number, send: 0 }))
    }
}
