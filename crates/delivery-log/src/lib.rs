//! The searchable history of attempts and outcomes.
//!
//! [`DeliveryLog`] is the contract (L-1 to L-5); [`Sqlite`] keeps it in files `history-N.db` that are rotated by size and
//! dropped whole, oldest first, each with its bodies in a `history-N.bodies` that goes before; statistics that outlive both
//! stand in `statistics.db`. It is large and expendable: what must not be lost is in the journal and in the state.

mod block;
mod blocks;
mod bodies;
mod catalog;
mod codec;
mod contract;
mod erase;
mod error;
mod folder;
mod histogram;
mod ids;
mod intake;
mod keeper;
mod ledger;
mod postings;
mod query;
mod queue;
mod reader;
mod ready;
mod row;
mod schema;
mod search;
mod segment;
mod sieve;
mod span;
mod sqlite;
mod statistics;
mod terms;
mod text;
mod writer;

pub use contract::{BoxFuture, DeliveryLog};
pub use erase::{LogErased, MatchesSend, Whose};
pub use error::{LogCode, LogError, OpenError};
pub use histogram::{Bucket, Histogram, HistogramQuery};
pub use query::{
    AttemptMeta, Bodies, Cursor, CursorError, Dropped, EntryMeta, EntryQuery, FoundEntry, FoundSend, Limits, LogStat,
    Page, SendQuery, WholeEntry,
};
pub use sqlite::{LogOptions, Sqlite};
pub use statistics::{Ended, MOST_STEPS, Measured, Spread, Statistics, StatisticsQuery, Sums};

#[cfg(test)]
mod tests;
