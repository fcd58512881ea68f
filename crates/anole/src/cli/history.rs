//! Verbs that look into the delivery log.

use anole_console::{DeliveriesQuery, EventsQuery};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// The whole story of one event.
    #[command(after_help = "Example:\n  anole events show 9f1c2d7a-4b88-4e2a-9a31-6c0e2b5d77aa")]
    Show {
        /// The message id.
        id: String,
    },
    /// Where sends ended, newest first: by any id, order, event, lane, state, reason, status and time.
    #[command(after_help = "Examples:\n  anole events list --any ORD-1001\n  \
                      anole events list --event \"Order Completed\" --state parked --from 2026-11-24T08:00:00Z\n\n\
                      All that is given must hold. When there is more, the last line says where to go on with --after.")]
    List(Box<EventsList>),
}

/// Which sends.
#[derive(Debug, Args)]
pub(crate) struct EventsList {
    /// Any of message id, visitor code, anonymous id, user id, and look-up values such as an order id.
    #[arg(long, value_name = "VALUE")]
    any: Option<String>,
    /// Only of the event with this message id.
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// Only with this visitor code.
    #[arg(long, value_name = "CODE")]
    visitor: Option<String>,
    /// Only with this anonymous id.
    #[arg(long, value_name = "ID")]
    anonymous: Option<String>,
    /// Only with this user id.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Only with this look-up value, as VALUE or NAME=VALUE, such as order_id=ORD-1001.
    #[arg(long, value_name = "VALUE")]
    lookup: Option<String>,
    /// Only events with this name, or of this type when they have none.
    #[arg(long)]
    event: Option<String>,
    /// Only this lane, as pipeline/destination.
    #[arg(long)]
    lane: Option<String>,
    /// Only those that ended so, such as parked.
    #[arg(long)]
    state: Option<String>,
    /// Only those that ended for this reason, such as missing_field.
    #[arg(long)]
    reason: Option<String>,
    /// Only those that an answer with this status ended.
    #[arg(long)]
    status: Option<u16>,
    /// Also tries after which it was tried again.
    #[arg(long)]
    tries: bool,
    #[command(flatten)]
    part: Part,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Deliveries {
    /// Attempts, newest first.
    #[command(after_help = "Examples:\n  anole deliveries list --status 400\n  \
                      anole deliveries list --any ORD-1001 --lane shop/kameleoon")]
    List(Box<DeliveriesList>),
    /// One attempt, with request and answer.
    #[command(after_help = "Example:\n  anole deliveries show 01931f6c-52a0-7c3e-9d3a-3f0d6a1b2c4d")]
    Show {
        /// The attempt's id.
        id: String,
    },
    /// How much of the delivery log is kept, how far back it goes, and what was dropped.
    #[command(after_help = "Example:\n  anole deliveries stat")]
    Stat,
}

/// Which attempts.
#[derive(Debug, Args)]
pub(crate) struct DeliveriesList {
    /// Only those that carried this message id, visitor code, anonymous id, user id or look-up value.
    #[arg(long, value_name = "VALUE")]
    any: Option<String>,
    /// Only those that carried an event with this name.
    #[arg(long)]
    event: Option<String>,
    /// Only this lane, as pipeline/destination.
    #[arg(long)]
    lane: Option<String>,
    /// Only this status.
    #[arg(long)]
    status: Option<u16>,
    /// Only those on which this was decided, such as retry.
    #[arg(long)]
    decision: Option<String>,
    /// Only those of which a send ended so, such as parked.
    #[arg(long)]
    state: Option<String>,
    /// Only those of which a send ended for this reason, such as refused.
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    part: Part,
}

/// Which part of a list.
#[derive(Debug, Args)]
struct Part {
    /// Only those decided at this time or later.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only those decided before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Go on where a list ended.
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

// === impl EventsList ===

impl EventsList {
    pub(crate) fn query(&self) -> EventsQuery {
        let (lookup_name, lookup) = match self.lookup.as_deref().map(|lookup| (lookup, lookup.split_once('='))) {
            None => (None, None),
            Some((_, Some((name, value)))) => (Some(name.to_owned()), Some(value.to_owned())),
            Some((value, None)) => (None, Some(value.to_owned())),
        };
        EventsQuery {
            any: self.any.clone(),
            message_id: self.message_id.clone(),
            visitor: self.visitor.clone(),
            anonymous_id: self.anonymous.clone(),
            user: self.user.clone(),
            lookup,
            lookup_name,
            event: self.event.clone(),
            lane: self.lane.clone(),
            state: self.state.clone(),
            reason: self.reason.clone(),
            status: self.status,
            ended: Some(!self.tries),
            from: self.part.from.clone(),
            until: self.part.until.clone(),
            after: self.part.after.clone(),
            limit: Some(self.part.limit),
            buckets: None,
        }
    }
}

// === impl DeliveriesList ===

impl DeliveriesList {
    pub(crate) fn query(&self) -> DeliveriesQuery {
        DeliveriesQuery {
            any: self.any.clone(),
            event: self.event.clone(),
            lane: self.lane.clone(),
            status: self.status,
            decision: self.decision.clone(),
            state: self.state.clone(),
            reason: self.reason.clone(),
            from: self.part.from.clone(),
            until: self.part.until.clone(),
            after: self.part.after.clone(),
            limit: Some(self.part.limit),
        }
    }
}
