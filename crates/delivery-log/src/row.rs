//! An entry as a row, and a row as an entry.

use anole_event::{
    Attempt, AttemptId, Decision, DeliveryError, Entry, ErrorSource, LaneId, Reached, Reason, SendRecord, State,
    Timestamp,
};
use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Row, Statement, params};

use crate::bodies::Place;
use crate::codec::{Cut, Read};
use crate::intake::Image;
use crate::query::{AttemptMeta, Bodies, EntryMeta, WholeEntry};
use crate::{block, codec};

/// What [`meta`] and [`tally`] read, in this order; the block comes last, so that a row that is passed over is not read
/// to its end.
pub(crate) const COLUMNS: &str = "e.id, l.name, e.at, e.plan, e.sends, e.tally, e.decision, e.reached, e.status,
    e.duration_us, e.request_bytes, e.answer_bytes, e.method, e.url, e.error_source, e.error, e.body_at, e.body_bytes,
    e.body_checksum, whole(e.block)";
const BODY: usize = 16;
const BLOCK: usize = 19;

/// Adds a row: see [`put`].
pub(crate) fn insert_into(table: &str) -> String {
    format!(
        "INSERT INTO {table} (row, id, lane, at, plan, sends, tally, decision, reached, status, duration_us,
           request_bytes, answer_bytes, method, url, error_source, error, body_at, body_bytes, body_checksum, block)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
         ON CONFLICT DO NOTHING"
    )
}

/// Adds a row by a statement of [`insert_into`]; `block` is the block, or its place.
pub(crate) fn put(insert: &mut Statement<'_>, image: &Image<'_>, block: &[u8], lane: i64) -> rusqlite::Result<usize> {
    let attempt = image.attempt.as_ref();
    let error = attempt.and_then(|attempt| attempt.error);
    insert.execute(params![
        image.row,
        image.id,
        lane,
        image.at,
        image.plan.cast_signed(),
        image.sends.cast_signed(),
        image.tally,
        attempt.map(|attempt| attempt.decision),
        attempt.map(|attempt| attempt.reached),
        attempt.and_then(|attempt| attempt.status),
        attempt.map(|attempt| attempt.duration_us.cast_signed()),
        attempt.map(|attempt| attempt.request_bytes.cast_signed()),
        attempt.map(|attempt| attempt.answer_bytes.cast_signed()),
        attempt.map(|attempt| attempt.method),
        attempt.map(|attempt| attempt.url),
        error.map(|(source, _)| source),
        error.map(|(_, message)| message),
        image.place.map(|place| place.at.cast_signed()),
        image.place.map(|place| place.bytes),
        image.place.map(|place| place.checksum),
        block,
    ])
}

/// How many sends ended in which state.
pub(crate) fn encode_tally(sends: &[SendRecord], bytes: &mut Vec<u8>) {
    let mut counts = [0_u64; State::ALL.len() + 1];
    for send in sends {
        // Numbers of states have no gaps; one beyond them would only be counted with the last.
        let state = send.outcome.as_ref().map_or(0, |outcome| outcome.state.number());
        counts[usize::from(state).min(State::ALL.len())] += 1;
    }
    for (state, count) in (0_u64..).zip(counts).filter(|(_, count)| *count > 0) {
        codec::put(bytes, state);
        codec::put(bytes, count);
    }
}

pub(crate) fn tally(row: &Row<'_>) -> rusqlite::Result<Vec<(Option<State>, u32)>> {
    let mut cut = Cut::new(row.get_ref(5)?.as_blob()?);
    let mut tally = Vec::new();
    while !cut.is_empty() {
        let mut pair = || -> Read<_> { Ok((cut.number()?, cut.number()?)) };
        let (state, count) = pair().map_err(|what| foreign(5, what))?;
        let state = u8::try_from(state).ok().and_then(State::from_number);
        tally.push((state, u32::try_from(count).unwrap_or(u32::MAX)));
    }
    Ok(tally)
}

/// A value that our own writer never writes: the row was damaged, or a newer anole wrote it.
pub(crate) fn foreign(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.into())
}

fn code<T>(row: &Row<'_>, column: usize, of: fn(u8) -> Option<T>) -> rusqlite::Result<Option<T>> {
    let Some(number) = row.get::<_, Option<u8>>(column)? else { return Ok(None) };
    of(number).map(Some).ok_or_else(|| foreign(column, "an unknown code"))
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

/// When the row's entry was decided.
pub(crate) fn at(row: &Row<'_>) -> rusqlite::Result<Timestamp> {
    row.get(2).map(Timestamp::from_micros)
}

/// How many sends the row's entry has.
pub(crate) fn sends(row: &Row<'_>) -> rusqlite::Result<u32> {
    row.get(4)
}

/// What stands in the row beside block and bodies.
pub(crate) fn meta(row: &Row<'_>) -> rusqlite::Result<EntryMeta> {
    let id = uuid::Uuid::from_slice(row.get_ref(0)?.as_blob()?).map_err(|_| foreign(0, "no attempt id"))?;
    let attempt = match code(row, 6, Decision::from_number)? {
        None => None,
        Some(decision) => Some(AttemptMeta {
            url: row.get(13)?,
            method: row.get(12)?,
            reached: code(row, 7, Reached::from_number)?.ok_or_else(|| foreign(7, "an attempt without its reach"))?,
            status: row.get(8)?,
            duration_us: unsigned(row, 9)?,
            request_bytes: unsigned(row, 10)?,
            answer_bytes: unsigned(row, 11)?,
            error: match code(row, 14, ErrorSource::from_number)? {
                None => None,
                Some(source_of) => Some(DeliveryError { source_of, message: row.get(15)? }),
            },
            decision,
        }),
    };
    Ok(EntryMeta {
        id: AttemptId(id),
        at: at(row)?,
        lane: LaneId::from_text(row.get_ref(1)?.as_str()?),
        plan: unsigned(row, 3)?,
        attempt,
    })
}

/// The sends of the row's entry.
pub(crate) fn block(row: &Row<'_>) -> rusqlite::Result<Vec<SendRecord>> {
    block::decode(row.get_ref(BLOCK)?.as_blob()?).map_err(|what| foreign(BLOCK, what))
}

/// Hands over event name and end of each of the row's sends.
pub(crate) fn ends(row: &Row<'_>, each: impl FnMut(&str, Option<(State, Reason)>)) -> rusqlite::Result<()> {
    block::ends(row.get_ref(BLOCK)?.as_blob()?, each).map_err(|what| foreign(BLOCK, what))
}

/// Where the bodies of the row's entry stand.
pub(crate) fn place(row: &Row<'_>) -> rusqlite::Result<Option<Place>> {
    let Some(at) = row.get::<_, Option<i64>>(BODY)? else { return Ok(None) };
    Ok(Some(Place { at: at.cast_unsigned(), bytes: row.get(BODY + 1)?, checksum: row.get(BODY + 2)? }))
}

/// The entry of a row with its sends; its bodies are elsewhere.
pub(crate) fn entry(row: &Row<'_>) -> rusqlite::Result<WholeEntry> {
    let meta = meta(row)?;
    let request_bytes = meta.attempt.as_ref().map_or(0, |attempt| attempt.request_bytes);
    let attempt = meta.attempt.map(|attempt| Attempt {
        url: attempt.url,
        method: attempt.method,
        reached: attempt.reached,
        status: attempt.status,
        duration_us: attempt.duration_us,
        request_body: Bytes::new(),
        answer_headers: Vec::new(),
        answer_body: Bytes::new(),
        answer_bytes: attempt.answer_bytes,
        error: attempt.error,
        decision: attempt.decision,
    });
    let entry = Entry { id: meta.id, at: meta.at, lane: meta.lane, plan: meta.plan, attempt, sends: block(row)? };
    let bodies = if place(row)?.is_some() { Bodies::Gone } else { Bodies::None };
    Ok(WholeEntry { entry, bodies, request_bytes })
}
