//! How much a lane has before it: what is said of an orphan, and before one is given up.

use anole_event::{Kind, Position};
use anole_journal::{Journal, Read, ReadError};
use anole_state::{BackedUpLane, LaneStatus, Progress};

use crate::ranges::covers;

/// How much of a backlog is read to say how much it is, in bytes of records: a quarter of a second's work, or a few
/// seconds' on a slow disk.
pub const COUNTED: u64 = 256 << 20;

/// Events of a lane's pipeline that it has not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many were found.
    pub events: u64,
    /// Whether that is all: false when the search ended before the journal did.
    pub complete: bool,
}

/// Counts the events that a lane has not finished, within about `most` bytes of records. Of an orphan those that came in
/// while a pipeline had it: what came later was nothing that it was to deliver. Blocking.
///
/// The heads of all records on the way are read, as a journal does not count by pipeline: at about a gigabyte a second,
/// so the limit decides how long it takes. What is damaged or gone is not counted.
///
/// # Errors
/// When the files cannot be read.
pub fn backlog(journal: &dyn Journal, lane: &BackedUpLane, most: u64) -> Result<Backlog, ReadError> {
    let mut backlog = Backlog { events: 0, complete: true };
    let until = match lane.row.status {
        LaneStatus::Active => None,
        LaneStatus::Orphaned { since } => Some(since),
    };
    let mut seen = 0;
    for Progress { watermark, finished } in &lane.progress {
        let concerns = |position: &Position, head: &anole_event::Head<'_>| {
            head.kind == Kind::Event
                && head.pipeline == lane.row.lane.pipeline()
                && until.is_none_or(|until| head.received_at <= until)
                && !covers(finished, position.offset)
        };
        let mut reader = journal.reader(*watermark);
        while let Some(read) = reader.try_next()? {
            let Read::Block(block) = read else { continue };
            for (position, record) in &block.records {
                seen += record.bytes().len() as u64;
                backlog.events += u64::from(record.head().is_ok_and(|head| concerns(position, &head)));
            }
            if seen >= most {
                return Ok(Backlog { complete: reader.position() >= end_of(journal, watermark.partition), ..backlog });
            }
        }
    }
    Ok(backlog)
}

fn end_of(journal: &dyn Journal, partition: u32) -> Position {
    let ends = journal.ends();
    let end = ends.into_iter().find(|end| end.partition == partition);
    end.unwrap_or(Position::start_of(partition))
}

impl std::fmt::Display for Backlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let least = if self.complete { "" } else { "at least " };
        let plural = if self.events == 1 { "" } else { "s" };
        write!(f, "{least}{} event{plural}", self.events)
    }
}
