//! Verbs that look at parked sends, and those that send again.

use clap::{Args, Subcommand};

use crate::known;

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedVerb {
    /// The newest parked sends.
    #[command(after_help = "Example:\n  anole parked list --reason missing_field --limit 50")]
    List(ParkedList),
    /// One parked send: its event, why it is parked, the attempt, and what would be sent now.
    #[command(after_help = "Example:\n  anole parked show 1207")]
    Show {
        /// Its id.
        id: String,
    },
    /// Send parked sends again, mapped by the rules as they are now, with the same nonces.
    #[command(after_help = "Examples:\n  anole parked replay --event \"Order Completed\" --dry-run\n  \
                      anole parked replay --lane shop/kameleoon --reason missing_field\n\n\
                      They go out below live traffic, oldest first. What is refused again is parked again.")]
    Replay(ParkedReplay),
    /// Give parked sends up for good.
    #[command(
        after_help = "Example:\n  anole parked discard --lane shop/kameleoon --until 2026-11-01T00:00:00Z --dry-run"
    )]
    Discard(ParkedDiscard),
}

/// Which parked sends; all that is given must hold.
#[derive(Debug, Args)]
pub(crate) struct ParkedWhich {
    /// Only this one.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Only this lane, as pipeline/destination.
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// Only this reason, such as missing_field.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Only this event name.
    #[arg(long)]
    pub(crate) event: Option<String>,
    /// Only of the event with this message id.
    #[arg(long, value_name = "ID")]
    pub(crate) message_id: Option<String>,
    /// Only those parked at this time or later.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only those parked before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ParkedList {
    #[command(flatten)]
    pub(crate) which: ParkedWhich,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: usize,
}

/// How sends are sent again.
#[derive(Debug, Args)]
pub(crate) struct ReplayHow {
    /// Only say what would be replayed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Let events expire that came in longer ago than this, such as 72h. Default: they are sent however old they are.
    #[arg(long, value_name = "AGE")]
    pub(crate) max_age: Option<anole_config::Period>,
    /// Do not wait until it is done.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ParkedReplay {
    #[command(flatten)]
    pub(crate) which: ParkedWhich,
    /// All that is parked.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) how: ReplayHow,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Only to this lane, as pipeline/destination. Default: to all.
    #[arg(long)]
    pub(crate) lane: Option<String>,
    /// Only events with this name.
    #[arg(long)]
    pub(crate) event: Option<String>,
    /// Only the event with this message id.
    #[arg(long, value_name = "ID", required_unless_present = "from")]
    pub(crate) message_id: Option<String>,
    /// Only those that came in at this time or later.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Only those that came in before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only those of which a send ended last in this state, such as filtered or expired.
    #[arg(long, value_parser = known::state)]
    pub(crate) state: Option<anole_event::State>,
    /// Only those of which a send ended last for this reason, such as unmapped or too_old.
    #[arg(long, value_parser = known::reason)]
    pub(crate) reason: Option<anole_event::Reason>,
    #[command(flatten)]
    pub(crate) how: ReplayHow,
}

#[derive(Debug, Args)]
pub(crate) struct ParkedDiscard {
    #[command(flatten)]
    pub(crate) which: ParkedWhich,
    /// All that is parked.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only say what would be discarded.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
}
