//! The durable log of accepted events: the contract that every journal keeps, a conformance suite for those who keep it,
//! and the embedded journal of segments on the local disk.

pub mod conformance;
mod contract;
mod disk;
mod embedded;

/// A disk on which the power can be cut, for tests of the embedded journal.
#[cfg(feature = "simulation")]
pub mod simulation {
    pub use crate::disk::simulated::{Call, Cut, Disk, DiskOptions, Syncs};
}

pub use contract::{
    AckLevel, Append, AppendCode, AppendError, AppendReply, Block, Erase, EraseError, EraseReply, Erased, Found, Gap,
    GapReason, Journal, Read, ReadError, Reader, SegmentStat, Stat, Which,
};
pub use embedded::{
    Embedded, EmbeddedOptions, Finding, Flaw, OnFull, OpenCode, OpenError, Step, Verified, plan_repair, verify,
};
