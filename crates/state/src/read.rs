//! What reads from the database.

use std::collections::BTreeMap;

use anole_event::{AttemptId, LaneId, Position, Reason, Timestamp};
use bytes::Bytes;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::row::{
    BackedUpLane, Deferred, DeferredCount, DeferredFilter, DeferredRow, Identity, IdentityKey, IdentityOf, LaneRow,
    LaneStatus, Parked, ParkedCount, ParkedFilter, ParkedGroup, ParkedId, ParkedProblem, ParkedRow, Progress,
};
use crate::{StateError, ranges, write};

type Rows<T> = Result<Vec<T>, StateError>;

fn wrong(error: rusqlite::Error) -> StateError {
    StateError::database("read", error)
}

fn all<T>(
    db: &Connection,
    sql: &str,
    values: Vec<Value>,
    each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Rows<T> {
    let mut statement = db.prepare_cached(sql).map_err(wrong)?;
    let rows = statement.query_map(params_from_iter(values), each).map_err(wrong)?;
    rows.collect::<rusqlite::Result<_>>().map_err(wrong)
}

/// A value that our own writer never writes: the row was damaged, or a newer anole wrote it.
fn foreign(column: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.into())
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

fn reason(row: &Row<'_>, column: usize) -> rusqlite::Result<Reason> {
    // Codes may be added without a new format. What a newer anole parked must still be seen by an older one.
    Ok(Reason::from_number(row.get(column)?).unwrap_or(Reason::Unreadable))
}

fn lane_id(row: &Row<'_>, column: usize) -> rusqlite::Result<LaneId> {
    Ok(LaneId::from_text(row.get_ref(column)?.as_str()?))
}

fn attempt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<AttemptId>> {
    let Some(bytes) = row.get_ref(column)?.as_blob_or_null()? else { return Ok(None) };
    let id = uuid::Uuid::from_slice(bytes).map_err(|_| foreign(column, "no attempt id"))?;
    Ok(Some(AttemptId(id)))
}

fn record(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

/// The registry, released lanes left out; or one lane of it.
fn registry(db: &Connection, only: Option<&LaneId>) -> Rows<LaneRow> {
    let sql = "SELECT l.name, l.status, l.registered_at, l.orphaned_at, l.paused_since, p.partition, p.start
               FROM lanes l LEFT JOIN progress p USING (lane)
               WHERE l.status <> ?1 AND (?2 IS NULL OR l.name = ?2) ORDER BY l.name, p.partition";
    let values = vec![Value::from(write::RELEASED), only.map(|lane| lane.as_str().to_owned()).into()];
    let rows = all(db, sql, values, |row| {
        let status = match row.get::<_, i64>(1)? {
            write::ORPHANED => LaneStatus::Orphaned { since: time(row, 3)? },
            write::ACTIVE => LaneStatus::Active,
            _ => return Err(foreign(1, "an unknown status of a lane")),
        };
        let start = match row.get::<_, Option<u32>>(5)? {
            Some(partition) => Some(Position { partition, offset: unsigned(row, 6)? }),
            None => None,
        };
        Ok(LaneRow {
            lane: lane_id(row, 0)?,
            status,
            registered_at: time(row, 2)?,
            start: start.into_iter().collect(),
            paused_since: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_micros),
        })
    })?;
    let mut lanes: Vec<LaneRow> = Vec::new();
    for mut row in rows {
        match lanes.last_mut().filter(|last| last.lane == row.lane) {
            Some(last) => last.start.append(&mut row.start),
            None => lanes.push(row),
        }
    }
    Ok(lanes)
}

pub(crate) fn lanes(db: &Connection) -> Rows<LaneRow> {
    registry(db, None)
}

pub(crate) fn lane(db: &Connection, lane: &LaneId) -> Result<Option<LaneRow>, StateError> {
    Ok(registry(db, Some(lane))?.pop())
}

fn progress_row(row: &Row<'_>) -> rusqlite::Result<Progress> {
    let offset = unsigned(row, 1)?;
    let finished =
        ranges::decode(offset, row.get_ref(2)?.as_blob()?).ok_or_else(|| foreign(2, "no finished ranges"))?;
    Ok(Progress { watermark: Position { partition: row.get(0)?, offset }, finished })
}

pub(crate) fn progress(db: &Connection, lane: &LaneId) -> Rows<Progress> {
    let sql = "SELECT p.partition, p.watermark, p.finished FROM progress p JOIN lanes l USING (lane)
               WHERE l.name = ?1 ORDER BY p.partition";
    all(db, sql, vec![lane.as_str().to_owned().into()], progress_row)
}

/// The registry with all progress: what a backup is worth.
pub(crate) fn backed_up(db: &Connection) -> Rows<BackedUpLane> {
    let sql = "SELECT p.partition, p.watermark, p.finished, l.name FROM progress p JOIN lanes l USING (lane)
               ORDER BY l.name, p.partition";
    let mut of: BTreeMap<LaneId, Vec<Progress>> = BTreeMap::new();
    for (lane, progress) in all(db, sql, Vec::new(), |row| Ok((lane_id(row, 3)?, progress_row(row)?)))? {
        of.entry(lane).or_default().push(progress);
    }
    let with = |row: LaneRow| BackedUpLane { progress: of.remove(&row.lane).unwrap_or_default(), row };
    Ok(lanes(db)?.into_iter().map(with).collect())
}

/// Collects the conditions of a filter with their values.
#[derive(Default)]
struct Where {
    sql: String,
    values: Vec<Value>,
}

impl Where {
    fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
            self.sql.push_str(condition);
            self.values.push(value.into());
        }
    }
}

fn limit(rows: usize) -> Value {
    i64::try_from(rows).unwrap_or(i64::MAX).into()
}

fn of_parked(filter: &ParkedFilter) -> Where {
    let mut conditions = Where::default();
    conditions.and("p.id = ?", filter.id.map(|id| id.0.cast_signed()));
    conditions.and("p.lane = (SELECT lane FROM lanes WHERE name = ?)", filter.lane.as_ref().map(ToString::to_string));
    conditions.and("p.reason = ?", filter.reason.map(|reason| i64::from(reason.number())));
    conditions.and("p.event = ?", filter.event.clone());
    conditions.and("p.message_id = ?", filter.message_id.clone());
    conditions.and("p.parked_at >= ?", filter.from.map(Timestamp::micros));
    conditions.and("p.parked_at < ?", filter.until.map(Timestamp::micros));
    conditions.and("p.id < ?", filter.before.map(|id| id.0.cast_signed()));
    conditions.and("p.id > ?", filter.after.map(|id| id.0.cast_signed()));
    conditions
}

pub(crate) fn parked_groups(db: &Connection, filter: &ParkedFilter) -> Rows<ParkedGroup> {
    let Where { sql, values } = of_parked(filter);
    let sql = format!(
        "SELECT l.name, p.reason, p.event, count(*), sum(p.bytes), max(p.id) FROM parked p JOIN lanes l USING (lane){sql}
         GROUP BY l.name, p.reason, p.event ORDER BY l.name, p.reason, p.event"
    );
    all(db, &sql, values, |row| {
        Ok(ParkedGroup {
            lane: lane_id(row, 0)?,
            reason: reason(row, 1)?,
            event: row.get(2)?,
            count: unsigned(row, 3)?,
            bytes: unsigned(row, 4)?,
            newest: ParkedId(unsigned(row, 5)?),
        })
    })
}

pub(crate) fn parked(db: &Connection, filter: &ParkedFilter) -> Rows<ParkedRow> {
    let mut conditions = of_parked(filter);
    let order = if filter.oldest_first { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT p.id, l.name, p.partition, p.offset, p.ordinal, p.rule, p.event, p.message_id, p.received_at,
           p.parked_at, p.reason, p.detail, p.plan, p.attempt, p.record
         FROM parked p JOIN lanes l USING (lane){} ORDER BY p.id {order} LIMIT ?",
        conditions.sql
    );
    conditions.values.push(limit(filter.limit));
    all(db, &sql, conditions.values, |row| {
        let parked = Parked {
            position: Position { partition: row.get(2)?, offset: unsigned(row, 3)? },
            ordinal: row.get(4)?,
            rule: row.get(5)?,
            event: row.get(6)?,
            message_id: row.get(7)?,
            received_at: time(row, 8)?,
            parked_at: time(row, 9)?,
            reason: reason(row, 10)?,
            detail: row.get(11)?,
            plan: unsigned(row, 12)?,
            attempt: attempt(row, 13)?,
            record: record(row, 14)?,
        };
        Ok(ParkedRow { id: ParkedId(unsigned(row, 0)?), lane: lane_id(row, 1)?, parked })
    })
}

pub(crate) fn parked_counts(db: &Connection) -> Rows<ParkedCount> {
    let sql = "SELECT l.name, c.reason, sum(c.count), sum(c.bytes) FROM parked_counts c JOIN lanes l USING (lane)
               GROUP BY l.name, c.reason ORDER BY l.name, c.reason";
    all(db, sql, Vec::new(), |row| {
        Ok(ParkedCount {
            lane: lane_id(row, 0)?,
            reason: reason(row, 1)?,
            count: unsigned(row, 2)?,
            bytes: unsigned(row, 3)?,
        })
    })
}

pub(crate) fn parked_problems(db: &Connection, most: usize) -> Rows<ParkedProblem> {
    // The inner limit comes first, so that first and last are looked up (by the index, one step each) only for what is shown.
    let sql = "SELECT l.name, g.reason, g.event, g.count, g.bytes, first.parked_at, last.parked_at, last.id, last.detail
               FROM (SELECT c.*,
                       (SELECT min(id) FROM parked p WHERE p.lane = c.lane AND p.reason = c.reason AND p.event = c.event)
                         AS first,
                       (SELECT max(id) FROM parked p WHERE p.lane = c.lane AND p.reason = c.reason AND p.event = c.event)
                         AS last
                     FROM (SELECT * FROM parked_counts ORDER BY count DESC, lane, reason, event LIMIT ?1) c) g
               JOIN lanes l USING (lane) JOIN parked first ON first.id = g.first JOIN parked last ON last.id = g.last
               ORDER BY g.count DESC, l.name, g.reason, g.event";
    all(db, sql, vec![limit(most)], |row| {
        Ok(ParkedProblem {
            lane: lane_id(row, 0)?,
            reason: reason(row, 1)?,
            event: row.get(2)?,
            count: unsigned(row, 3)?,
            bytes: unsigned(row, 4)?,
            first_at: time(row, 5)?,
            last_at: time(row, 6)?,
            example: ParkedId(unsigned(row, 7)?),
            detail: row.get(8)?,
        })
    })
}

pub(crate) fn deferred(db: &Connection, filter: &DeferredFilter) -> Rows<DeferredRow> {
    let mut conditions = Where::default();
    conditions.and("d.lane = (SELECT lane FROM lanes WHERE name = ?)", filter.lane.as_ref().map(ToString::to_string));
    conditions.and("d.message_id = ?", filter.message_id.clone());
    conditions.and("d.due_at <= ?", filter.due_by.map(Timestamp::micros));
    conditions.and("d.partition = ?", filter.key.map(|key| key.position.partition));
    conditions.and("d.offset = ?", filter.key.map(|key| key.position.offset.cast_signed()));
    conditions.and("d.ordinal = ?", filter.key.map(|key| key.ordinal));
    let sql = format!(
        "SELECT l.name, d.partition, d.offset, d.ordinal, d.rule, d.event, d.message_id, d.received_at, d.deferred_at,
           d.due_at, d.tries, d.reason, d.detail, d.plan, d.attempt, d.record
         FROM deferred d JOIN lanes l USING (lane){} ORDER BY d.due_at, d.id LIMIT ?",
        conditions.sql
    );
    conditions.values.push(limit(filter.limit));
    all(db, &sql, conditions.values, |row| {
        let deferred = Deferred {
            position: Position { partition: row.get(1)?, offset: unsigned(row, 2)? },
            ordinal: row.get(3)?,
            rule: row.get(4)?,
            event: row.get(5)?,
            message_id: row.get(6)?,
            received_at: time(row, 7)?,
            deferred_at: time(row, 8)?,
            due_at: time(row, 9)?,
            tries: row.get(10)?,
            reason: reason(row, 11)?,
            detail: row.get(12)?,
            plan: unsigned(row, 13)?,
            attempt: attempt(row, 14)?,
            record: record(row, 15)?,
        };
        Ok(DeferredRow { lane: lane_id(row, 0)?, deferred })
    })
}

pub(crate) fn deferred_counts(db: &Connection) -> Rows<DeferredCount> {
    let sql = "SELECT l.name, count(*), sum(d.bytes), min(d.due_at) FROM deferred d JOIN lanes l USING (lane)
               GROUP BY l.name ORDER BY l.name";
    all(db, sql, Vec::new(), |row| {
        Ok(DeferredCount {
            lane: lane_id(row, 0)?,
            count: unsigned(row, 1)?,
            bytes: unsigned(row, 2)?,
            next_due: time(row, 3)?,
        })
    })
}

/// The fingerprints of all identities that are stored, with their times.
pub(crate) fn stored_identities(db: &Connection) -> rusqlite::Result<Vec<(u64, Timestamp)>> {
    let mut statement = db.prepare("SELECT fingerprint, received_at FROM identities")?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), Timestamp::from_micros(row.get(1)?))))?;
    rows.collect()
}

fn identity(row: &rusqlite::Row<'_>) -> rusqlite::Result<Identity> {
    let text = |column: usize| row.get::<_, String>(column);
    let id = text(3)?.into_boxed_str();
    let id = if row.get::<_, i64>(2)? == 1 { IdentityOf::Anonymous(id) } else { IdentityOf::User(id) };
    Ok(Identity {
        key: IdentityKey { pipeline: text(0)?.into(), name: text(1)?.into(), id },
        value: text(4)?.into(),
        received_at: Timestamp::from_micros(row.get(5)?),
    })
}

/// All that is remembered of a text, as an id or as a value. A scan, as there is no index by either.
pub(crate) fn linked(db: &Connection, text: &str) -> Result<Vec<Identity>, StateError> {
    let sql = "SELECT pipeline, name, kind, id, value, received_at FROM identities
         WHERE id = ?1 OR value = ?1 ORDER BY pipeline, name, kind, id";
    let found = db.prepare_cached(sql).and_then(|mut statement| statement.query_map([text], identity)?.collect());
    found.map_err(|error| StateError::database("read", error))
}

/// The identity of this fingerprint.
pub(crate) fn stored_identity(db: &Connection, fingerprint: u64) -> Result<Option<Identity>, StateError> {
    let sql = "SELECT pipeline, name, kind, id, value, received_at FROM identities WHERE fingerprint = ?1";
    let found = db
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params![fingerprint.cast_signed()], identity).optional());
    found.map_err(wrong)
}

/// An id as it is stored: its kind and its text.
pub(crate) fn stored_id(id: &IdentityOf) -> (i64, &str) {
    match id {
        IdentityOf::Anonymous(id) => (1, id),
        IdentityOf::User(id) => (2, id),
    }
}
