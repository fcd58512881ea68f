//! Finding an event in the stores.

use std::sync::Arc;

use anole_delivery_log::{DeliveryLog, LogError};
use anole_event::{Fingerprint, Kind, Position, Record};
use anole_journal::{Journal, Read, ReadError};
use anole_state::{State, StateError};

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

    /// The records of a message id among those that some lane has not finished: what the delivery log cannot know yet.
    pub(crate) async fn waiting(&self, message_id: &str) -> Result<Vec<(Position, Record)>, LookError> {
        let mut from: Option<Position> = None;
        for row in self.state.lanes().await? {
            for progress in self.state.progress(row.lane).await? {
                from = Some(from.map_or(progress.watermark, |from| from.min(progress.watermark)));
            }
        }
        let Some(from) = from.or_else(|| self.journal.starts().first().copied()) else { return Ok(Vec::new()) };
        let (journal, message_id) = (Arc::clone(&self.journal), message_id.to_owned());
        let scan = move || scan(&*journal, from, &message_id);
        tokio::task::spawn_blocking(scan).await.map_err(|_| LookError::Stopped)?
    }
}

/// Reads the heads from a position to the end; the fingerprint in each decides whether it is looked at.
fn scan(journal: &dyn Journal, from: Position, message_id: &str) -> Result<Vec<(Position, Record)>, LookError> {
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
