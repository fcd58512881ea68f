//! What must never be lost beside the journal: how far each lane is, what is parked or deferred, which lanes there are,
//! and what the identity map knows.
//!
//! [`State`] is the contract (S-1 to S-5); [`Sqlite`] keeps it in one file, `state.db`. It is small and precious: it is
//! never rotated, it is backed up every ten minutes, and a damaged one is replaced by its backup without a person's help.

mod backup;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod contract;
mod erase;
mod error;
mod file;
mod identities;
mod options;
mod queue;
mod ranges;
mod read;
mod recover;
mod row;
mod schema;
#[cfg(feature = "simulation")]
pub mod simulation;
mod sqlite;
mod write;
mod writer;

pub use contract::{BoxFuture, State};
pub use erase::{Erasable, Erase, Erased, IdentitiesOf, IdentityValue, Matches};
pub use error::{Cause, OpenError, StateCode, StateError};
pub use options::StateOptions;
pub use row::{
    BackedUp, BackedUpLane, Deferred, DeferredCount, DeferredFilter, DeferredRow, Identity, IdentityKey, IdentityOf,
    LaneCommit, LaneRow, LaneStatus, Parked, ParkedCount, ParkedFilter, ParkedGroup, ParkedId, ParkedProblem,
    ParkedRow, Progress, SendKey,
};
pub use sqlite::Sqlite;

#[cfg(test)]
mod tests;
