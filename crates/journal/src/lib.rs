//! The durable log of accepted events: the contract that every journal keeps, a conformance suite for those who keep it,
//! and the embedded journal of segments on the local disk.

mod contract;

pub use contract::{
    AckLevel, Append, AppendError, AppendReply, Block, Gap, GapReason, Journal, Read, ReadError, Reader, SegmentStat,
    Stat,
};
