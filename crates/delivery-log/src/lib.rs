//! The searchable history of attempts and outcomes.
//!
//! [`DeliveryLog`] is the contract (L-1 to L-4); [`Sqlite`] keeps it in files `history-N.db` that are rotated by size and
//! dropped whole, oldest first. It is large and expendable: what must not be lost is in the journal and in the state.

mod block;
mod catalog;
mod codec;
mod contract;
mod error;
mod folder;
mod postings;
mod query;
mod queue;
mod reader;
mod row;
mod schema;
mod search;
mod segment;
mod sieve;
mod sqlite;
mod terms;
mod text;
mod writer;

pub use contract::{BoxFuture, DeliveryLog};
pub use error::{LogError, OpenError};
pub use query::{
    AttemptMeta, Cursor, CursorError, EntryMeta, EntryQuery, FoundEntry, FoundSend, LogStat, Page, SendQuery,
};
pub use sqlite::{LogOptions, Sqlite};

#[cfg(test)]
mod tests;
