//! What every delivery log promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anole_event::{AttemptId, Entry};

use crate::{
    EntryQuery, FoundEntry, FoundSend, Histogram, HistogramQuery, LogErased, LogError, LogStat, Page, SendQuery,
    Statistics, StatisticsQuery, WholeEntry, Whose,
};

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
/// - **L-4** Space and age are bounded, of bodies more narrowly than of rows: the bodies of the oldest file go before its
///   rows do, and then the file whole. What went is counted. Outcomes are never skipped: when the log cannot keep up, or
///   cannot write, `append` waits or fails, and delivery waits with it.
/// - **L-5** What was appended is counted per minute, lane, state, status and length of time, once, and these statistics are
///   kept longer than the rows.
/// - **J-8** (the log's half) What leads to a person can be erased, and rows still add up: [`erase`](Self::erase).
///
/// A question costs a bounded amount of work, however large the log is: what is found by a value takes the same whether it
/// occurs often, once or never, and a list whose filter is met by few of the rows that it has to look at ends early, with
/// the place where to go on.
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
    fn entry(&self, id: AttemptId) -> BoxFuture<'_, Result<Option<WholeEntry>, LogError>>;

    /// How many sends of a list ended when, by state.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn histogram(&self, query: HistogramQuery) -> BoxFuture<'_, Result<Histogram, LogError>>;

    /// What happened when, by lane (L-5).
    ///
    /// # Errors
    /// When the statistics cannot be read.
    fn statistics(&self, query: StatisticsQuery) -> BoxFuture<'_, Result<Statistics, LogError>>;

    /// How large the log is, how far back it goes, and what was dropped.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn stat(&self) -> BoxFuture<'_, Result<LogStat, LogError>>;

    /// What the log holds of somebody, without a change of anything. Files that are to be written anew are not counted.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn erasable(&self, whose: Whose) -> BoxFuture<'_, Result<LogErased, LogError>>;

    /// Takes from the log what leads to somebody (J-8, the log's half): from the rows, from what they are found by, and from the
    /// bytes of its files, bodies included. Rows, states and statistics stay and add up as before. What is appended meanwhile may be
    /// left out: it is called again until nothing is found. After a crash, and after an error, it is called again.
    ///
    /// # Errors
    /// [`LogError::ReadOnly`]; or when a file cannot be read or written anew: what was asked for is then erased in part.
    fn erase(&self, whose: Whose) -> BoxFuture<'_, Result<LogErased, LogError>>;

    /// Writes what waits, and ends. Later appends give [`LogError::Closed`].
    ///
    /// # Errors
    /// When something could not be written.
    fn close(&self) -> BoxFuture<'_, Result<(), LogError>>;
}
