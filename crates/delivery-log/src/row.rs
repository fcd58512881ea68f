//! An entry as a row, and a row as an entry.

use anole_event::{
    Attempt, AttemptId, Decision, DeliveryError, Entry, ErrorSource, LaneId, MAX_ANSWER_BODY, Reached, SendRecord,
    State, Timestamp,
};
use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::Type;

use crate::block;
use crate::codec::{Cut, Packer, Read, put, put_text, unpack};
use crate::query::{AttemptMeta, EntryMeta};

/// What [`meta`] and [`tally`] read, in this order; the block comes last, so that a row that is passed over is not read
/// to its end.
pub(crate) const COLUMNS: &str = "e.id, l.name, e.at, e.plan, e.sends, e.tally, e.decision, e.reached, e.status,
    e.duration_us, e.request_bytes, e.answer_bytes, e.method, e.url, e.error_source, e.error, e.block";
const BLOCK: usize = 16;

/// How many sends ended in which state.
pub(crate) fn encode_tally(sends: &[SendRecord]) -> Vec<u8> {
    let mut counts = [0_u64; State::ALL.len() + 1];
    for send in sends {
        // Numbers of states have no gaps; one beyond them would only be counted with the last.
        let state = send.outcome.as_ref().map_or(0, |outcome| outcome.state.number());
        counts[usize::from(state).min(State::ALL.len())] += 1;
    }
    let mut bytes = Vec::new();
    for (state, count) in (0_u64..).zip(counts).filter(|(_, count)| *count > 0) {
        put(&mut bytes, state);
        put(&mut bytes, count);
    }
    bytes
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

/// What came back, as bytes: count of headers, names and values, and the body up to the end.
pub(crate) fn encode_answer(attempt: &Attempt, packer: &mut Packer, plain: &mut Vec<u8>) -> Vec<u8> {
    plain.clear();
    put(plain, attempt.answer_headers.len() as u64);
    for (name, value) in &attempt.answer_headers {
        put_text(plain, name);
        put_text(plain, value);
    }
    plain.extend_from_slice(&attempt.answer_body[..attempt.answer_body.len().min(MAX_ANSWER_BODY)]);
    let mut packed = Vec::new();
    packer.pack(&mut packed, plain);
    packed
}

type Answer = (Vec<(String, String)>, Bytes);

fn decode_answer(packed: &[u8]) -> Read<Answer> {
    let plain = unpack(packed)?;
    let mut cut = Cut::new(&plain);
    let count = cut.number()?;
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((cut.text()?.to_owned(), cut.text()?.to_owned()));
    }
    Ok((headers, Bytes::copy_from_slice(cut.rest())))
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

/// The whole entry, from its row and its bodies. Bodies that are gone are empty.
pub(crate) fn entry(row: &Row<'_>, bodies: Option<(Vec<u8>, Vec<u8>)>) -> rusqlite::Result<Entry> {
    let meta = meta(row)?;
    let (request, answer) = match bodies {
        None => (Vec::new(), Answer::default()),
        Some((request, answer)) => {
            let read = |what| foreign(BLOCK, what);
            (unpack(&request).map_err(read)?, decode_answer(&answer).map_err(read)?)
        }
    };
    let attempt = meta.attempt.map(|attempt| Attempt {
        url: attempt.url,
        method: attempt.method,
        reached: attempt.reached,
        status: attempt.status,
        duration_us: attempt.duration_us,
        request_body: request.into(),
        answer_headers: answer.0,
        answer_body: answer.1,
        answer_bytes: attempt.answer_bytes,
        error: attempt.error,
        decision: attempt.decision,
    });
    Ok(Entry { id: meta.id, at: meta.at, lane: meta.lane, plan: meta.plan, attempt, sends: block(row)? })
}
