//! Delivery: the lane machine, and the driver that does what it says.
//!
//! A lane is a destination's ordered path from the journal to the vendor. Its policy is [`Machine`], pure and
//! deterministic; its I/O is [`Delivery`], thin.

mod answer;
mod auth;
mod backlog;
mod batcher;
mod breaker;
mod chosen;
mod deferring;
mod delivery;
mod discard;
mod dispatch;
mod driver;
mod due;
mod ended;
mod endpoint;
mod forget;
mod guard;
mod keeper;
mod lane;
mod machine;
mod network;
mod orphans;
mod pace;
mod plans;
mod ranges;
mod recorder;
mod remake;
mod replace;
mod replay;
mod replaying;
mod retention;
mod retry;
mod sender;
mod settle;
mod tail;
mod window;
mod yard;

pub use backlog::{Backlog, COUNTED, backlog};
pub use chosen::{Choice, ChosenEvents};
pub use delivery::{ControlError, Delivery, DeliveryOptions, Ground, StartError};
pub use discard::Discarding;
pub use forget::{ForgetError, ForgetOrder, ForgetReport, Forgetter, Links, Masked, Stage};
pub use guard::{Forbidden, Guard, is_public};
pub use keeper::{KeepOptions, registry};
pub use lane::{
    ASKED, Again, Answered, Command, Deferral, Deferred, EndpointStatus, Input, LaneOptions, LaneStatus, Moved, Offer,
    Outgoing, PauseCode, Replayed, RequestId, SetAside, Settlement, Silences, Subject,
};
pub use machine::Machine;
pub use orphans::{NoSuchLane, RegistryError, Renamed, release_lane, rename_lane};
pub use plans::{Change, Changes, LaneChange};
pub use recorder::Stores;
pub use remake::Remade;
pub use replace::ReplaceError;
pub use replay::{ReplayError, ReplayStatus};
pub use retention::{Hold, OrphanHold, Registry, Retention};
pub use retry::{LONGEST_RETRY_AFTER, Ladder, retry_after};
pub use sender::{Sender, SenderError, SenderOptions, USER_AGENT};
pub use window::{WindowLimits, WindowProgress};
