//! Finding an event in the stores.

use std::collections::BTreeSet;
use std::sync::Arc;

use anole_delivery::LaneStatus;
use anole_delivery_log::{DeliveryLog, LogError};
use anole_event::{Fingerprint, Kind, Position, Record};
use anole_journal::{Journal, Read, ReadError};
use anole_state::{State, StateError};

/// How many bytes of a journal without indexes are read to find an event.
const MOST: u64 = 1 << 30;

/// The stores, to be looked into.
#[derive(Clone)]
pub struct Looks {
    /// Accepted events.
    pub journal: Arc<dyn Journal>,
    /// Progress and parked sends.
    pub state: Arc<dyn State>,
    /// Attempts and outcomes.
    pub log: Arc<dyn DeliveryLog>,
}

/// A store could not be looked into.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The journal.
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] ReadError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The delivery log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The search was stopped.
    #[error("the search was stopped")]
    Stopped,
}

// === impl Looks ===

impl Looks {
    /// The record that stands at a position, while the journal keeps it.
    pub(crate) async fn record(&self, at: Position) -> Result<Option<Record>, LookError> {
        let journal = Arc::clone(&self.journal);
        let read = tokio::task::spawn_blocking(move || journal.read_one(at));
        Ok(read.await.map_err(|_| LookError::Stopped)??)
    }

    /// The records of a message id that the journal has, whether or not a lane has looked at them.
    ///
    /// A fingerprint belongs to a pipeline, so the pipelines of all lanes are asked for; indexes answer, however far behind a
    /// lane is. An event of a pipeline without a destination is known to no lane: it is looked for in the newest part only.
    pub(crate) async fn in_journal(
        &self,
        message_id: &str,
        at_work: &[LaneStatus],
    ) -> Result<Vec<(Position, Record)>, LookError> {
        let rows = self.state.lanes().await?;
        let lanes = rows.iter().map(|row| &row.lane).chain(at_work.iter().map(|status| &status.lane));
        let pipelines: BTreeSet<String> = lanes.map(|lane| lane.pipeline().to_owned()).collect();
        let (journal, message_id) = (Arc::clone(&self.journal), message_id.to_owned());
        let look = move || {
            let mut found = Vec::new();
            for pipeline in &pipelines {
                let fingerprint = Fingerprint::of(pipeline, &message_id);
                for start in journal.starts() {
                    found.extend(journal.find(fingerprint, start, MOST)?.records);
                }
            }
            if found.is_empty() { newest(&*journal, &message_id) } else { Ok(found) }
        };
        tokio::task::spawn_blocking(look).await.map_err(|_| LookError::Stopped)?
    }
}

/// Reads the heads of the newest part; the fingerprint in each decides whether it is looked at.
fn newest(journal: &dyn Journal, message_id: &str) -> Result<Vec<(Position, Record)>, LookError> {
    let Some(from) = journal.stat().segments.last().map(|segment| segment.base) else { return Ok(Vec::new()) };
    let mut reader = journal.reader(from);
    let mut found = Vec::new();
    // Most journals have few pipelines: the fingerprint of each is made once.
    let mut known: Vec<(Box<str>, Fingerprint)> = Vec::new();
    while let Some(read) = reader.try_next()? {
        let Read::Block(block) = read else { continue };
        for (position, record) in block.records {
            let Ok(head) = record.head() else { continue };
            let wanted = match known.iter().find(|(pipeline, _)| **pipeline == *head.pipeline) {
                Some((_, fingerprint)) => *fingerprint,
                None => {
                    let fingerprint = Fingerprint::of(head.pipeline, message_id);
                    known.push((head.pipeline.into(), fingerprint));
                    fingerprint
                }
            };
            if head.kind == Kind::Event && head.fingerprint == wanted {
                found.push((position, record));
            }
        }
    }
    Ok(found)
}
