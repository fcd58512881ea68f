//! Erasing records: who names them, and what came of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anole_event::Head;
use tokio::sync::oneshot;

/// Names records by their head and body.
pub type Which = Arc<dyn Fn(&Head<'_>, &[u8]) -> bool + Send + Sync>;

/// What an erasure did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many records were erased.
    pub records: u64,
    /// How many segments were written anew for it.
    pub segments: u64,
}

/// Why an erasure did not end well.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EraseError {
    /// This journal cannot erase.
    #[error("this kind of journal cannot erase single events: it forgets them when they are older than it keeps")]
    Unsupported,
    /// A segment could not be written anew.
    #[error("{file} could not be written anew without the erased events: {source}; ask again")]
    Failed {
        /// The segment.
        file: Arc<str>,
        /// What the operating system said.
        source: Arc<std::io::Error>,
    },
    /// The journal was closed meanwhile, or is open for reading only.
    #[error("the journal is closed")]
    Closed,
}

/// An erasure under way.
#[must_use = "an erasure that is not awaited is not known to have been done"]
#[derive(Debug)]
pub struct Erase(oneshot::Receiver<Result<Erased, EraseError>>);

/// The other end of an [`Erase`], for those who implement a journal. Dropped without an answer it fails the erasure.
#[derive(Debug)]
pub struct EraseReply(oneshot::Sender<Result<Erased, EraseError>>);

// === impl Erase ===

impl Erase {
    /// An erasure and the end that answers it.
    pub fn pending() -> (EraseReply, Self) {
        let (reply, wait) = oneshot::channel();
        (EraseReply(reply), Self(wait))
    }

    /// Waits outside of an async runtime.
    ///
    /// # Errors
    /// As the future.
    pub fn wait(self) -> Result<Erased, EraseError> {
        self.0.blocking_recv().unwrap_or(Err(EraseError::Closed))
    }
}

impl Future for Erase {
    type Output = Result<Erased, EraseError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|result| result.unwrap_or(Err(EraseError::Closed)))
    }
}

// === impl EraseReply ===

impl EraseReply {
    /// Answers the erasure. Nobody may be waiting any more, which is no concern of the journal.
    pub fn send(self, result: Result<Erased, EraseError>) {
        let _gone = self.0.send(result);
    }
}
