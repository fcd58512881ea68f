//! The admin HTTP API and the web console: what came in, what became of it, and why.
//!
//! Everything here only looks, but for what a person may do to lanes (pause, resume, release, rename) and to
//! parked sends (replay, discard), and for a reload of the files. The story of an event ([`stories`]) is told from the
//! stores alone, so the command line tells the same one when no daemon runs.

mod answer;
mod api;
mod code;
mod desk;
mod feed;
mod find;
mod forget;
mod guard;
mod history;
mod journal;
mod lanes;
mod lists;
mod mapped;
mod openapi;
mod page;
mod params;
mod parked;
mod pulse;
mod reload;
mod rows;
mod session;
mod story;

pub use answer::registry_code;
pub use api::{Admin, Readiness, router};
pub use code::ApiCode;
pub use desk::{Came, Desk};
pub use feed::{FeedFilter, STAGES, feed};
pub use find::{LookError, Looks};
pub use history::{
    AttemptRow, BucketShown, DeliveriesQuery, DroppedShown, EndsShown, EventRow, EventsQuery, HistogramShown,
    HistoryShown, LimitsShown, Listed, MeasuredShown, SpreadShown, StatisticsAsked, StatisticsShown,
};
pub use journal::{HolderShown, JournalLimits, JournalShown, RetentionShown, SegmentShown, journal_shown};
pub use lanes::{BacklogShown, LaneShown, OrphanShown};
pub use lists::{ParkedQuery, ParkedShown, QueryError};
pub use parked::{
    ChosenShown, EndedShown, NowShown, ParkedGroupShown, ParkedOrder, ParkedStory, ReplayOrder, ReplayShown, discarded,
    now_shown,
};
pub use pulse::Pulse;
pub use reload::{BoxFuture, ReloadRefused, Reloaded, Reloads};
pub use story::{AttemptStory, EndStory, LaneStory, SendStory, Story, stories};
