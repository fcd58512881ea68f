//! Delivery: the lane machine, and the driver that does what it says.
//!
//! A lane is a destination's ordered path from the journal to the vendor. Its policy is [`Machine`], pure and
//! deterministic; its I/O is [`Delivery`], thin.

mod answer;
mod batcher;
mod lane;
mod machine;
mod retry;
mod settle;
mod window;

pub use lane::{
    Answered, Command, Input, LaneOptions, LaneStatus, Moved, Offer, Outgoing, RequestId, Settlement, Subject, ToPark,
};
pub use machine::Machine;
pub use retry::{LONGEST_RETRY_AFTER, Ladder, retry_after};
pub use window::{WindowLimits, WindowProgress};
