//! The searchable history of attempts and outcomes.
//!
//! [`DeliveryLog`] is the contract (L-1 to L-4); [`Sqlite`] keeps it in files `history-N.db` that are rotated by size and
//! dropped whole, oldest first. It is large and expendable: what must not be lost is in the journal and in the state.

mod contract;
mod error;
mod query;

pub use contract::{BoxFuture, DeliveryLog};
pub use error::{LogError, OpenError};
pub use query::{
    AttemptMeta, Cursor, CursorError, EntryMeta, EntryQuery, FoundEntry, FoundSend, LogStat, Page, SendQuery,
};
