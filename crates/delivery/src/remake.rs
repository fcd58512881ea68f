//! What a plan makes today of an event that was parked.

use std::sync::Arc;

use anole_event::{Head, Outcome, Position, Reason, Record, State};
use anole_pipeline::{Applied, Ended, LanePlan, Made, PipelinePlan, Values};
use anole_state::Parked;

use crate::lane::Subject;

/// A parked send, mapped anew.
#[derive(Debug)]
pub struct Remade {
    /// The event.
    pub subject: Arc<Subject>,
    /// What becomes of the send now: one, or all of the event's sends when it was parked before it was mapped.
    pub made: Vec<Made>,
}

// === impl Remade ===

impl Remade {
    /// Maps a parked send by a lane's plan; the pipeline's must be of the same version.
    ///
    /// Only the send that is parked comes out, not the event's other sends, which have ended in their own ways. A nonce is
    /// made from account, rule and message id, so it is the one that the send had.
    #[must_use]
    pub fn of(parked: &Parked, pipeline: &PipelinePlan, plan: &LanePlan) -> Self {
        let record = Record::from_bytes(parked.record.clone());
        let read = record.head().map_err(|error| error.to_string()).and_then(|head| {
            let body = record.body().map_err(|error| error.to_string())?;
            Ok((head, pipeline.read(body).map_err(|error| error.to_string())?))
        });
        let (made, subject) = match &read {
            Ok((head, values)) => {
                // There is but one way in which a plan can be applied.
                let made = match plan.apply(head, values) {
                    Applied::Made(made) => only(made.into_vec(), parked),
                    _ => Vec::new(),
                };
                let name = if head.name.is_empty() { head.event_type.as_str() } else { head.name };
                (made, subject(parked.position, &record, head, name, Some((values, pipeline))))
            }
            Err(error) => (vec![unreadable(parked.ordinal, error)], bare(parked, &record)),
        };
        Self { subject: Arc::new(subject), made }
    }
}

/// An event as a lane keeps it.
pub(crate) fn subject(
    position: Position,
    record: &Record,
    head: &Head<'_>,
    name: &str,
    ids: Option<(&Values, &PipelinePlan)>,
) -> Subject {
    let values = ids.map(|(values, _)| values);
    Subject {
        position,
        record: record.clone(),
        message_id: values.map(|values| values.message_id().into()).unwrap_or_default(),
        event: name.into(),
        anonymous_id: values.and_then(Values::anonymous_id).map(Into::into),
        user_id: values.and_then(Values::user_id).map(Into::into),
        lookups: ids.map(|(values, pipeline)| values.lookups(pipeline)).unwrap_or_default(),
        received_at: head.received_at,
        order_key: head.order_key,
    }
}

/// What is known of an event that cannot be read.
fn bare(parked: &Parked, record: &Record) -> Subject {
    Subject {
        position: parked.position,
        record: record.clone(),
        message_id: parked.message_id.as_str().into(),
        event: parked.event.as_str().into(),
        anonymous_id: None,
        user_id: None,
        lookups: Vec::new(),
        received_at: parked.received_at,
        order_key: record.head().map_or(anole_event::OrderKey(parked.position.offset), |head| head.order_key),
    }
}

/// The send that was parked, of all that the plan makes of its event.
fn only(made: Vec<Made>, parked: &Parked) -> Vec<Made> {
    if parked.rule.is_empty() {
        return made;
    }
    let ordinal = |made: &Made| match made {
        Made::Send(send) => send.ordinal,
        Made::Ended(ended) => ended.ordinal,
    };
    let is_whole = matches!(&*made, [Made::Ended(_)]);
    let found = made.into_iter().find(|made| is_whole || ordinal(made) == parked.ordinal);
    let one = match found {
        // The plan keeps the whole event back now: this send with it.
        Some(Made::Ended(ended)) => Made::Ended(Ended { ordinal: parked.ordinal, ..ended }),
        Some(send) => send,
        None => Made::Ended(Ended {
            ordinal: parked.ordinal,
            rule: parked.rule.as_str().into(),
            visitor_code: None,
            rung: None,
            outcome: Outcome::new(State::Filtered, Reason::Unmapped)
                .with_detail("the rule that is in force now makes fewer sends of the event, and not this one"),
        }),
    };
    vec![one]
}

/// How an event ends that cannot be read.
pub(crate) fn unreadable(ordinal: u16, error: &str) -> Made {
    let outcome = Outcome::new(State::Parked, Reason::Unreadable).with_detail(error);
    Made::Ended(Ended { ordinal, rule: "".into(), visitor_code: None, rung: None, outcome })
}

/// How an event ends that was erased before the lane had looked at it.
pub(crate) fn erased() -> Made {
    let outcome = Outcome::new(State::Erased, Reason::Requested);
    Made::Ended(Ended { ordinal: 0, rule: "".into(), visitor_code: None, rung: None, outcome })
}

#[cfg(test)]
mod tests {
    use anole_event::Position;
    use bytes::Bytes;

    use super::*;

    fn parked(rule: &str, ordinal: u16) -> Parked {
        Parked {
            position: Position::at(7),
            ordinal,
            rule: rule.to_owned(),
            event: "Order Completed".to_owned(),
            message_id: "m".to_owned(),
            received_at: anole_event::Timestamp::from_micros(1),
            parked_at: anole_event::Timestamp::from_micros(2),
            reason: Reason::Refused,
            detail: None,
            plan: 1,
            attempt: None,
            record: Bytes::new(),
        }
    }

    fn ended(ordinal: u16, state: State, reason: Reason) -> Made {
        let outcome = Outcome::new(state, reason);
        Made::Ended(Ended { ordinal, rule: "rule".into(), visitor_code: None, rung: None, outcome })
    }

    fn ends(made: Vec<Made>) -> Vec<(u16, State, Reason)> {
        let end = |made| match made {
            Made::Ended(Ended { ordinal, outcome, .. }) => (ordinal, outcome.state, outcome.reason),
            Made::Send(send) => panic!("{send:?} was not to be sent"),
        };
        made.into_iter().map(end).collect()
    }

    #[test]
    fn only_the_send_that_is_parked_is_made_again() {
        let all = || vec![ended(0, State::Parked, Reason::Mapping), ended(1, State::Parked, Reason::NoVisitor)];
        assert_eq!(ends(only(all(), &parked("rule", 1))), [(1, State::Parked, Reason::NoVisitor)]);
        assert_eq!(
            ends(only(all(), &parked("rule", 2))),
            [(2, State::Filtered, Reason::Unmapped)],
            "it is not made now"
        );
        let whole = vec![ended(0, State::Filtered, Reason::Off)];
        assert_eq!(ends(only(whole, &parked("rule", 1))), [(1, State::Filtered, Reason::Off)], "nor is the event sent");
    }

    #[test]
    fn an_event_that_was_parked_before_it_was_mapped_is_made_whole() {
        let all = vec![ended(0, State::Parked, Reason::Mapping), ended(1, State::Filtered, Reason::Condition)];
        assert_eq!(ends(only(all, &parked("", 0))).len(), 2);
    }
}
