//! Handing records over: the append under way, and why it fails.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anole_event::{Position, code_enum};
use tokio::sync::oneshot;

/// An append under way: a future of the positions. Cheap: one `oneshot`.
#[must_use = "an append that is not awaited is not known to be durable"]
pub struct Append(Wait);

enum Wait {
    Ready(Option<Result<Vec<Position>, AppendError>>),
    Reply(oneshot::Receiver<Result<Vec<Position>, AppendError>>),
}

/// The other end of an [`Append`], for those who implement a journal. Dropped without an answer it fails the append with
/// [`AppendError::Closed`].
pub struct AppendReply(oneshot::Sender<Result<Vec<Position>, AppendError>>);

code_enum! {
    /// The stable codes of appends that fail, as metrics and the log name them and senders read them as `reason`.
    pub enum AppendCode {
        /// The journal has reached the size that it may have.
        Full "full",
        /// Too little of the disk is free, or the operating system says that it is full.
        DiskFull "disk_full",
        /// More is waiting than the queue may hold.
        Busy "busy",
        /// Writing failed.
        WriteFailed "write_failed",
        /// The disk did not confirm what was written.
        SyncFailed "sync_failed",
        /// The next segment could not be begun.
        SegmentFailed "segment_failed",
        /// The end mark could not be opened. It fails no append: after damage less is known.
        MarkFailed "mark_failed",
        /// A record is larger than the format holds.
        TooLarge "too_large",
        /// The journal is closed.
        Closed "closed",
    }
}

/// Why nothing of an append was acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The journal has reached the size that it may have.
    #[error("the journal is full: it holds {bytes} bytes, its limit is {limit} bytes")]
    Full {
        /// How many bytes it holds.
        bytes: u64,
        /// How many it may hold.
        limit: u64,
    },
    /// More is waiting to be written than the queue may hold.
    #[error("{waiting} bytes wait to be written to the journal, the limit is {limit} bytes")]
    Busy {
        /// How many bytes wait.
        waiting: u64,
        /// How many may wait.
        limit: u64,
    },
    /// Too little of the disk is free.
    #[error("the disk is nearly full: after this less than what must stay free would be; {room} bytes may be written")]
    NoRoom {
        /// How many bytes may still be written.
        room: u64,
    },
    /// Writing or syncing failed.
    #[error("the journal could not be written ({code}): {detail}")]
    Failed {
        /// What failed.
        code: AppendCode,
        /// What the operating system said.
        detail: Arc<str>,
    },
    /// The journal is closed, or open for reading only.
    #[error("the journal is closed")]
    Closed,
}

// === impl Append ===

impl Append {
    /// An append whose end is known already.
    pub const fn ready(result: Result<Vec<Position>, AppendError>) -> Self {
        Self(Wait::Ready(Some(result)))
    }

    /// An append and the end that answers it.
    pub fn pending() -> (AppendReply, Self) {
        let (reply, wait) = oneshot::channel();
        (AppendReply(reply), Self(Wait::Reply(wait)))
    }

    /// Waits outside of an async runtime.
    ///
    /// # Errors
    /// As the future.
    pub fn wait(self) -> Result<Vec<Position>, AppendError> {
        match self.0 {
            Wait::Ready(result) => result.unwrap_or(Err(AppendError::Closed)),
            Wait::Reply(reply) => reply.blocking_recv().unwrap_or(Err(AppendError::Closed)),
        }
    }
}

impl Future for Append {
    type Output = Result<Vec<Position>, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Wait::Ready(result) => Poll::Ready(result.take().unwrap_or(Err(AppendError::Closed))),
            Wait::Reply(reply) => {
                Pin::new(reply).poll(context).map(|result| result.unwrap_or(Err(AppendError::Closed)))
            }
        }
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append").finish_non_exhaustive()
    }
}

// === impl AppendReply ===

impl AppendReply {
    /// Answers the append. Nobody may be waiting any more, which is no concern of the journal.
    pub fn send(self, result: Result<Vec<Position>, AppendError>) {
        let _gone = self.0.send(result);
    }
}

impl fmt::Debug for AppendReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppendReply").finish_non_exhaustive()
    }
}

// === impl AppendError ===

impl AppendError {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> AppendCode {
        match self {
            Self::Full { .. } => AppendCode::Full,
            Self::NoRoom { .. } => AppendCode::DiskFull,
            Self::Busy { .. } => AppendCode::Busy,
            Self::Failed { code, .. } => *code,
            Self::Closed => AppendCode::Closed,
        }
    }

    /// After which time a client may try again. A queue empties within a second; a full or failing disk needs somebody.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self.code() {
            AppendCode::Busy => Duration::from_secs(1),
            AppendCode::Full | AppendCode::DiskFull => Duration::from_secs(30),
            AppendCode::WriteFailed
            | AppendCode::SyncFailed
            | AppendCode::SegmentFailed
            | AppendCode::MarkFailed
            | AppendCode::TooLarge
            | AppendCode::Closed => Duration::from_secs(5),
        }
    }
}
