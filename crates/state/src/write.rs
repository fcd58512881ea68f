//! What writes to the database: commits of lanes and the registry. All of it runs within the writer's transaction.
//!
//! Whatever can be refused is refused before the first row is touched, so that one caller's refusal costs nothing of the
//! other callers in the same transaction.

use std::ops::Range;

use anole_event::{LaneId, Position, Timestamp};
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::row::{Deferred, LaneCommit, LaneRow, Parked, Progress};
use crate::{StateError, ranges, read};

/// Lane statuses as they are stored.
pub(crate) const ACTIVE: i64 = 1;
pub(crate) const ORPHANED: i64 = 2;
pub(crate) const RELEASED: i64 = 3;

/// Something to write.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Commit(Vec<LaneCommit>),
    Register { lane: LaneId, start: Vec<Position>, at: Timestamp },
    Orphan { lane: LaneId, at: Timestamp },
    Release { lane: LaneId },
    Rename { from: LaneId, to: LaneId },
    TakeOver { orphan: LaneId, by: LaneId },
    Pause { lane: LaneId, since: Option<Timestamp> },
}

/// What came of it, when anything does.
#[derive(Debug)]
pub(crate) enum Wrote {
    Done,
    Lane(LaneRow),
}

type Done = Result<Wrote, StateError>;

fn wrong(error: rusqlite::Error) -> StateError {
    StateError::database("written", error)
}

fn prepared<'a>(db: &'a Connection, sql: &str) -> Result<CachedStatement<'a>, StateError> {
    db.prepare_cached(sql).map_err(wrong)
}

// === impl Write ===

impl Write {
    pub(crate) fn run(&self, db: &Connection) -> Done {
        match self {
            Self::Commit(commits) => commit(db, commits),
            Self::Register { lane, start, at } => register(db, lane, start, *at),
            Self::Orphan { lane, at } => {
                let number = number_of(db, lane)?;
                prepared(db, "UPDATE lanes SET status = ?2, orphaned_at = coalesce(orphaned_at, ?3) WHERE lane = ?1")?
                    .execute(params![number, ORPHANED, at.micros()])
                    .map_err(wrong)?;
                Ok(Wrote::Done)
            }
            Self::Release { lane } => release(db, lane),
            Self::Rename { from, to } => rename(db, from, to),
            Self::TakeOver { orphan, by } => take_over(db, orphan, by),
            Self::Pause { lane, since } => {
                let number = number_of(db, lane)?;
                prepared(db, "UPDATE lanes SET paused_since = ?2 WHERE lane = ?1")?
                    .execute(params![number, since.map(Timestamp::micros)])
                    .map_err(wrong)?;
                Ok(Wrote::Done)
            }
        }
    }
}

/// The number and status of a lane's row, released ones included.
pub(crate) fn row_of(db: &Connection, lane: &LaneId) -> Result<Option<(i64, i64)>, StateError> {
    prepared(db, "SELECT lane, status FROM lanes WHERE name = ?1")?
        .query_row([lane.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(wrong)
}

fn number_of(db: &Connection, lane: &LaneId) -> Result<i64, StateError> {
    match row_of(db, lane)? {
        Some((number, status)) if status != RELEASED => Ok(number),
        _ => Err(StateError::UnknownLane(lane.clone())),
    }
}

fn commit(db: &Connection, commits: &[LaneCommit]) -> Done {
    let mut numbers = Vec::with_capacity(commits.len());
    for commit in commits {
        // What a released lane has parked is a person's to give up.
        let only_unparks = LaneCommit { unparked: commit.unparked.clone(), ..LaneCommit::new(commit.lane.clone()) };
        let number = match row_of(db, &commit.lane)? {
            Some((number, _)) if *commit == only_unparks => number,
            _ => number_of(db, &commit.lane)?,
        };
        numbers.push(number);
    }
    for (number, commit) in numbers.into_iter().zip(commits) {
        for progress in &commit.progress {
            move_progress(db, number, progress)?;
        }
        for id in &commit.unparked {
            prepared(db, "DELETE FROM parked WHERE id = ?1 AND lane = ?2")?
                .execute([id.0.cast_signed(), number])
                .map_err(wrong)?;
        }
        for key in &commit.undeferred {
            prepared(db, "DELETE FROM deferred WHERE lane = ?1 AND partition = ?2 AND offset = ?3 AND ordinal = ?4")?
                .execute(params![number, key.position.partition, key.position.offset.cast_signed(), key.ordinal])
                .map_err(wrong)?;
        }
        for parked in &commit.parked {
            park(db, number, parked)?;
        }
        for deferred in &commit.deferred {
            defer(db, number, deferred)?;
        }
    }
    Ok(Wrote::Done)
}

fn move_progress(db: &Connection, lane: i64, progress: &Progress) -> Result<(), StateError> {
    let Position { partition, offset } = progress.watermark;
    // A partition that came after the lane was registered starts where the lane first says something about it.
    let sql = "INSERT INTO progress (lane, partition, start, watermark, finished) VALUES (?1, ?2, ?3, ?3, ?4)
               ON CONFLICT DO UPDATE SET watermark = excluded.watermark, finished = excluded.finished";
    prepared(db, sql)?
        .execute(params![lane, partition, offset.cast_signed(), ranges::encode(offset, &progress.finished)])
        .map_err(wrong)?;
    Ok(())
}

fn park(db: &Connection, lane: i64, parked: &Parked) -> Result<(), StateError> {
    let sql = "INSERT INTO parked (lane, partition, offset, ordinal, rule, event, message_id, received_at, parked_at,
                 reason, detail, plan, attempt, bytes, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
               ON CONFLICT (lane, partition, offset, ordinal) DO UPDATE SET
                 rule = excluded.rule, event = excluded.event, message_id = excluded.message_id,
                 received_at = excluded.received_at, parked_at = excluded.parked_at, reason = excluded.reason,
                 detail = excluded.detail, plan = excluded.plan, attempt = excluded.attempt, bytes = excluded.bytes,
                 record = excluded.record";
    let values = params![
        lane,
        parked.position.partition,
        parked.position.offset.cast_signed(),
        parked.ordinal,
        parked.rule,
        parked.event,
        parked.message_id,
        parked.received_at.micros(),
        parked.parked_at.micros(),
        parked.reason.number(),
        parked.detail,
        parked.plan.cast_signed(),
        parked.attempt.as_ref().map(|id| id.0.as_bytes().as_slice()),
        i64::try_from(parked.record.len()).unwrap_or(i64::MAX),
        parked.record.as_ref(),
    ];
    prepared(db, sql)?.execute(values).map_err(wrong)?;
    Ok(())
}

fn defer(db: &Connection, lane: i64, deferred: &Deferred) -> Result<(), StateError> {
    let sql = "INSERT INTO deferred (lane, partition, offset, ordinal, rule, event, message_id, received_at,
                 deferred_at, due_at, tries, reason, detail, plan, attempt, bytes, record)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
               ON CONFLICT (lane, partition, offset, ordinal) DO UPDATE SET
                 rule = excluded.rule, event = excluded.event, message_id = excluded.message_id,
                 received_at = excluded.received_at, deferred_at = excluded.deferred_at, due_at = excluded.due_at,
                 tries = excluded.tries, reason = excluded.reason, detail = excluded.detail, plan = excluded.plan,
                 attempt = excluded.attempt, bytes = excluded.bytes, record = excluded.record";
    let values = params![
        lane,
        deferred.position.partition,
        deferred.position.offset.cast_signed(),
        deferred.ordinal,
        deferred.rule,
        deferred.event,
        deferred.message_id,
        deferred.received_at.micros(),
        deferred.deferred_at.micros(),
        deferred.due_at.micros(),
        deferred.tries,
        deferred.reason.number(),
        deferred.detail,
        deferred.plan.cast_signed(),
        deferred.attempt.as_ref().map(|id| id.0.as_bytes().as_slice()),
        i64::try_from(deferred.record.len()).unwrap_or(i64::MAX),
        deferred.record.as_ref(),
    ];
    prepared(db, sql)?.execute(values).map_err(wrong)?;
    Ok(())
}

fn register(db: &Connection, lane: &LaneId, start: &[Position], at: Timestamp) -> Done {
    let number = match row_of(db, lane)? {
        Some((number, RELEASED)) => {
            prepared(
                db,
                "UPDATE lanes SET status = ?2, registered_at = ?3, orphaned_at = NULL, paused_since = NULL
                 WHERE lane = ?1",
            )?
            .execute(params![number, ACTIVE, at.micros()])
            .map_err(wrong)?;
            number
        }
        Some((number, _)) => {
            prepared(db, "UPDATE lanes SET status = ?2, orphaned_at = NULL WHERE lane = ?1")?
                .execute([number, ACTIVE])
                .map_err(wrong)?;
            number
        }
        None => {
            prepared(db, "INSERT INTO lanes (name, status, registered_at) VALUES (?1, ?2, ?3)")?
                .execute(params![lane.as_str(), ACTIVE, at.micros()])
                .map_err(wrong)?;
            db.last_insert_rowid()
        }
    };
    for position in start {
        prepared(
            db,
            "INSERT INTO progress (lane, partition, start, watermark, finished) VALUES (?1, ?2, ?3, ?3, x'')
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![number, position.partition, position.offset.cast_signed()])
        .map_err(wrong)?;
    }
    read::lane(db, lane)?.map(Wrote::Lane).ok_or_else(|| StateError::UnknownLane(lane.clone()))
}

fn release(db: &Connection, lane: &LaneId) -> Done {
    match row_of(db, lane)? {
        Some((number, ORPHANED)) => {
            prepared(db, "DELETE FROM progress WHERE lane = ?1")?.execute([number]).map_err(wrong)?;
            // The row stays as long as something of the lane is parked or deferred: it is where its name stands.
            prepared(db, "UPDATE lanes SET status = ?2 WHERE lane = ?1")?.execute([number, RELEASED]).map_err(wrong)?;
            Ok(Wrote::Done)
        }
        Some((_, ACTIVE)) => Err(StateError::LaneActive(lane.clone())),
        _ => Err(StateError::UnknownLane(lane.clone())),
    }
}

fn rename(db: &Connection, from: &LaneId, to: &LaneId) -> Done {
    let number = number_of(db, from)?;
    if from == to {
        return Ok(Wrote::Done);
    }
    if let Some((other, status)) = row_of(db, to)? {
        let holds: bool = prepared(
            db,
            "SELECT EXISTS (SELECT 1 FROM parked WHERE lane = ?1) OR EXISTS (SELECT 1 FROM deferred WHERE lane = ?1)",
        )?
        .query_row([other], |row| row.get(0))
        .map_err(wrong)?;
        if status != RELEASED || holds {
            return Err(StateError::LaneExists(to.clone()));
        }
        prepared(db, "DELETE FROM lanes WHERE lane = ?1")?.execute([other]).map_err(wrong)?;
    }
    prepared(db, "UPDATE lanes SET name = ?2 WHERE lane = ?1")?.execute(params![number, to.as_str()]).map_err(wrong)?;
    Ok(Wrote::Done)
}

fn take_over(db: &Connection, orphan: &LaneId, by: &LaneId) -> Done {
    let from = match row_of(db, orphan)? {
        Some((number, ORPHANED)) => number,
        Some((_, ACTIVE)) => return Err(StateError::LaneActive(orphan.clone())),
        _ => return Err(StateError::UnknownLane(orphan.clone())),
    };
    let to = number_of(db, by)?;
    if from == to {
        return Ok(Wrote::Done);
    }
    for mut old in stretches(db, from)? {
        let partition = old.partition;
        if let Some(new) = stretches(db, to)?.into_iter().find(|new| new.partition == partition) {
            old.join(new);
        }
        let sql =
            "INSERT OR REPLACE INTO progress (lane, partition, start, watermark, finished) VALUES (?1, ?2, ?3, ?4, ?5)";
        prepared(db, sql)?
            .execute(params![
                to,
                old.partition,
                old.start.cast_signed(),
                old.watermark.cast_signed(),
                ranges::encode(old.watermark, &old.finished)
            ])
            .map_err(wrong)?;
    }
    for sql in [
        "DELETE FROM progress WHERE lane = ?1 AND ?2",
        // Not an UPDATE OR REPLACE: the triggers that count what is parked are not told of rows that it replaces.
        "DELETE FROM parked WHERE lane = ?1
           AND (partition, offset, ordinal) IN (SELECT partition, offset, ordinal FROM parked WHERE lane = ?2)",
        "DELETE FROM deferred WHERE lane = ?1
           AND (partition, offset, ordinal) IN (SELECT partition, offset, ordinal FROM deferred WHERE lane = ?2)",
        "UPDATE parked SET lane = ?2 WHERE lane = ?1",
        "UPDATE deferred SET lane = ?2 WHERE lane = ?1",
        "DELETE FROM lanes WHERE lane = ?1 AND ?2",
    ] {
        prepared(db, sql)?.execute([from, to]).map_err(wrong)?;
    }
    Ok(Wrote::Done)
}

/// What a lane has finished of a partition.
struct Stretch {
    partition: u32,
    start: u64,
    watermark: u64,
    finished: Vec<Range<u64>>,
}

fn stretches(db: &Connection, lane: i64) -> Result<Vec<Stretch>, StateError> {
    let sql = "SELECT partition, start, watermark, finished FROM progress WHERE lane = ?1";
    let mut statement = prepared(db, sql)?;
    let rows = statement.query_map([lane], |row| {
        let watermark = row.get::<_, i64>(2)?.cast_unsigned();
        let finished = ranges::decode(watermark, row.get_ref(3)?.as_blob()?)
            .ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(3, Type::Blob, "no finished ranges".into()))?;
        Ok(Stretch { partition: row.get(0)?, start: row.get::<_, i64>(1)?.cast_unsigned(), watermark, finished })
    });
    rows.and_then(Iterator::collect).map_err(wrong)
}

// === impl Stretch ===

impl Stretch {
    /// Makes one of two: finished is what either had finished since its start.
    fn join(&mut self, other: Self) {
        let mut all = std::mem::take(&mut self.finished);
        all.extend(other.finished);
        all.extend([self.start..self.watermark, other.start..other.watermark]);
        all.retain(|range| range.start < range.end);
        all.sort_by_key(|range| range.start);
        self.start = self.start.min(other.start);
        self.watermark = self.start;
        for range in all {
            let before = self.finished.last_mut().map_or(&mut self.watermark, |last| &mut last.end);
            if range.start <= *before {
                *before = range.end.max(*before);
            } else {
                self.finished.push(range);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_either_of_two_lanes_had_finished_since_its_start_is_finished() {
        let join = |old: (u64, u64, &[(u64, u64)]), new: (u64, u64, &[(u64, u64)])| {
            let stretch = |(start, watermark, finished): (u64, u64, &[(u64, u64)])| Stretch {
                partition: 0,
                start,
                watermark,
                finished: finished.iter().map(|(from, to)| *from..*to).collect(),
            };
            let mut joined = stretch(old);
            joined.join(stretch(new));
            let finished: Vec<_> = joined.finished.iter().map(|range| (range.start, range.end)).collect();
            (joined.start, joined.watermark, finished)
        };
        let behind = join((5, 40, &[(45, 50)]), (100, 180, &[(190, 200)]));
        assert_eq!(behind, (5, 40, vec![(45, 50), (100, 180), (190, 200)]));
        let level = join((5, 100, &[]), (100, 180, &[]));
        assert_eq!(level, (5, 180, vec![]), "the orphan had finished all that came before the lane's start");
        let fresh = join((5, 40, &[]), (100, 100, &[]));
        assert_eq!(fresh, (5, 40, vec![]), "the lane has done nothing yet");
        let crossed = join((60, 70, &[(90, 120)]), (10, 65, &[(68, 80)]));
        assert_eq!(crossed, (10, 80, vec![(90, 120)]), "whichever began first");
    }
}
