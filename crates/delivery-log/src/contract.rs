//! What every delivery log promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anole_event::{AttemptId, Entry};

use crate::{EntryQuery, FoundEntry, FoundSend, LogError, LogStat, Page, SendQuery};

/// A boxed future: what lets the contract be used as `dyn DeliveryLog`, so that a store can be chosen at start.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The searchable history.
///
/// - **S-2** (the log's half) [`append`](Self::append) returns `Ok` only when the entries are written, and is idempotent
///   by (lane, id): an entry that is there already is left as it is. Callers commit to the state afterwards. A crash of
///   the process loses nothing of it; a power cut may lose the last seconds, together or not at all per append.
/// - **L-1** One row per entry holds the outcomes of its sends as one columnar block, whether or not they went out in a
///   request: a row per send would cost fifty times as much.
/// - **L-2** Look-up goes by 64-bit fingerprints (message id, anonymous id, user id, visitor code, and the pipeline's
///   look-up values) that lead to rows; each hit is checked against the full value.
/// - **L-3** An attempt is kept with what was sent and what came back, bounded; a send with its outcome.
/// - **L-4** Space is bounded: the oldest file goes whole. Outcomes are never skipped: when the log cannot keep up, or
///   cannot write, `append` waits or fails, and delivery waits with it.
///
/// Nothing here blocks the async runtime. A dropped future may or may not have taken effect.
pub trait DeliveryLog: Send + Sync + 'static {
    /// Writes entries. They are shared, so that a failed append is tried again without a copy.
    ///
    /// # Errors
    /// When they could not be written; then none of them is.
    fn append(&self, entries: Arc<Vec<Entry>>) -> BoxFuture<'_, Result<(), LogError>>;

    /// Sends, newest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn sends(&self, query: SendQuery) -> BoxFuture<'_, Result<Page<FoundSend>, LogError>>;

    /// Entries, newest first: attempts, and blocks of sends that ended without one.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn entries(&self, query: EntryQuery) -> BoxFuture<'_, Result<Page<FoundEntry>, LogError>>;

    /// A whole entry, with what was sent and what came back; `None` when it is not there (any more).
    ///
    /// # Errors
    /// When the log cannot be read.
    fn entry(&self, id: AttemptId) -> BoxFuture<'_, Result<Option<Entry>, LogError>>;

    /// How large the log is and how far back it goes.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn stat(&self) -> BoxFuture<'_, Result<LogStat, LogError>>;

    /// Writes what waits, and ends. Later appends give [`LogError::Closed`].
    ///
    /// # Errors
    /// When something could not be written.
    fn close(&self) -> BoxFuture<'_, Result<(), LogError>>;
}
