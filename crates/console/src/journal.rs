//! The journal, as the API and `anole journal stat` show it: how large it is, how old, and what holds it back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anole_delivery::{Registry, registry};
use anole_event::{LaneId, Position, Timestamp};
use anole_journal::{Journal, Read, Stat};
use anole_state::State;
use serde::Serialize;

use crate::find::LookError;
use crate::lanes::held_bytes;

/// What the settings say of the journal.
#[derive(Clone, Debug)]
pub struct JournalLimits {
    /// Its folder.
    pub dir: PathBuf,
    /// How long events are kept that every lane is done with.
    pub keep: Duration,
    /// How large it may become.
    pub max_bytes: u64,
    /// What happens then.
    pub on_full: &'static str,
}

/// The journal at a glance.
#[derive(Debug, Serialize)]
pub struct JournalShown {
    /// Its folder.
    pub dir: PathBuf,
    /// When an event counts as kept.
    pub ack: &'static str,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many it may have.
    pub max_bytes: u64,
    /// What happens then.
    pub on_full: &'static str,
    /// How many bytes of the disk are free.
    pub disk_free_bytes: Option<u64>,
    /// How many records it has, as far as that is known.
    pub records: Option<u64>,
    /// When its oldest event came in.
    pub oldest: Option<Timestamp>,
    /// When its newest event came in.
    pub newest: Option<Timestamp>,
    /// For how many seconds events are kept that every lane is done with.
    pub keep_seconds: u64,
    /// What holds it back; absent when the state cannot be read.
    pub retention: Option<RetentionShown>,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentShown>,
}

/// What holds the journal back.
#[derive(Debug, Serialize)]
pub struct RetentionShown {
    /// When the state was last backed up: the journal goes by that backup.
    pub backed_up_at: Option<Timestamp>,
    /// Nothing before this position is needed by any lane.
    pub keep_from: String,
    /// The bytes from there on, whole segments: what cannot go, however old it is.
    pub held_bytes: u64,
    /// The lanes that hold it so far back; none when nothing waits.
    pub held_by: Vec<HolderShown>,
}

/// A lane that holds the journal.
#[derive(Debug, Serialize)]
pub struct HolderShown {
    /// The lane.
    pub lane: LaneId,
    /// Until when, when no pipeline has it.
    pub orphan_until: Option<Timestamp>,
    /// Whether it holds everything only until the next backup of the state.
    pub awaits_backup: bool,
}

/// A segment.
#[derive(Debug, Serialize)]
pub struct SegmentShown {
    /// Its file.
    pub file: String,
    /// The position of its first byte.
    pub base: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many records it has, as far as that is known.
    pub records: Option<u64>,
    /// When it was begun.
    pub begun: Option<Timestamp>,
    /// Whether some lane still needs it, as the last backup of the state has it.
    pub held: Option<bool>,
}

/// The journal at a glance. Without a state, as when it is damaged and no daemon runs, what holds it stays unknown.
///
/// # Errors
/// When a store cannot be read.
pub async fn journal_shown(
    journal: &Arc<dyn Journal>,
    state: Option<&dyn State>,
    limits: &JournalLimits,
    now: Timestamp,
) -> Result<JournalShown, LookError> {
    let stat = journal.stat();
    let keep_from = match state {
        Some(state) => Some(retention(&**journal, state, limits, &stat, now).await?),
        None => None,
    };
    let (of, first, last) = (Arc::clone(journal), stat.starts.first().copied(), stat.segments.last().map(|s| s.base));
    let ages = move || Ok::<_, LookError>((arrival(&*of, first, false)?, arrival(&*of, last, true)?));
    let (oldest, newest) = tokio::task::spawn_blocking(ages).await.map_err(|_| LookError::Stopped)??;
    let (held_from, retention) = keep_from.unzip();
    let ends = stat.segments.iter().skip(1).map(|segment| segment.base).chain(stat.ends.first().copied());
    let segments = stat.segments.iter().zip(ends).map(|(segment, end)| SegmentShown {
        file: segment.file.clone(),
        base: segment.base.to_string(),
        bytes: segment.bytes,
        records: segment.records,
        begun: segment.created,
        held: held_from.map(|from| end > from),
    });
    Ok(JournalShown {
        dir: limits.dir.clone(),
        ack: stat.ack.as_str(),
        bytes: stat.bytes,
        max_bytes: limits.max_bytes,
        on_full: limits.on_full,
        disk_free_bytes: rustix::fs::statvfs(&limits.dir).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        records: stat.records,
        oldest,
        newest: newest.or(oldest),
        keep_seconds: limits.keep.as_secs(),
        retention,
        segments: segments.collect(),
    })
}

async fn retention(
    journal: &dyn Journal,
    state: &dyn State,
    limits: &JournalLimits,
    stat: &Stat,
    now: Timestamp,
) -> Result<(Position, RetentionShown), LookError> {
    let (lanes, backup, ends) = (registry(state).await?, state.last_backup(), journal.ends());
    let registry = Registry { backup: backup.as_deref(), lanes: &lanes, ends: &ends };
    let retention = registry.retention(Some(now), limits.keep);
    let from = retention.keep_from.first().copied().unwrap_or_default();
    let holders = retention.holders(&ends).map(|hold| HolderShown {
        lane: hold.lane.clone(),
        orphan_until: hold.orphan.map(|orphan| orphan.until),
        awaits_backup: hold.awaits_backup,
    });
    let shown = RetentionShown {
        backed_up_at: backup.as_ref().map(|backup| backup.at),
        keep_from: from.to_string(),
        held_bytes: held_bytes(stat, from),
        held_by: holders.collect(),
    };
    Ok((from, shown))
}

/// When the first event from a position on came in, or the last one. One segment is read at most.
fn arrival(journal: &dyn Journal, from: Option<Position>, last: bool) -> Result<Option<Timestamp>, LookError> {
    let Some(from) = from else { return Ok(None) };
    let mut reader = journal.reader(from);
    let mut found = None;
    while let Some(read) = reader.try_next()? {
        let Read::Block(block) = read else { continue };
        let arrived = |(_, record): &(Position, anole_event::Record)| record.head().ok().map(|head| head.received_at);
        let arrival =
            if last { block.records.iter().rev().find_map(arrived) } else { block.records.iter().find_map(arrived) };
        found = arrival.or(found);
        if found.is_some() && !last {
            break;
        }
    }
    Ok(found)
}
