//! By what an entry is found: 64-bit terms (L-2).
//!
//! An id (message id, anonymous id, user id, visitor code, look-up value) gives the fingerprint of its text, the same
//! whatever it is the id of: one look-up serves a search field that takes any of them. What an entry *is* (its lane, the
//! answer's status, the decision, and the event names, states and reasons of its sends) gives a term per distinct value,
//! so that a value which never occurs is answered from the index too, without a look at any row. Event, state and reason
//! are asked together so often that each pair has a term of its own: a page of parked orders must not open every block that
//! holds an order and something parked.

use anole_event::{Attempt, Decision, LaneId, SendRecord, State, lookup_fingerprint};

use crate::text::same;

/// What a term says. The numbers are written to disk within terms and never given another meaning.
#[derive(Clone, Copy)]
enum Says {
    Lane = 1,
    Event = 2,
    State = 3,
    Reason = 4,
    EventState = 5,
    Status = 6,
    Decision = 7,
    Requested = 8,
    EventReason = 9,
    StateReason = 10,
}

pub(crate) fn id(value: &str) -> u64 {
    lookup_fingerprint(value)
}

pub(crate) fn lane(lane: &LaneId) -> u64 {
    mix(Says::Lane, lookup_fingerprint(lane.as_str()), 0)
}

pub(crate) fn event(name: &str) -> u64 {
    mix(Says::Event, lookup_fingerprint(name), 0)
}

pub(crate) fn state(state: Option<State>) -> u64 {
    mix(Says::State, u64::from(number(state)), 0)
}

pub(crate) fn reason(number: u8) -> u64 {
    mix(Says::Reason, u64::from(number), 0)
}

pub(crate) fn event_state(name: &str, state: Option<State>) -> u64 {
    mix(Says::EventState, lookup_fingerprint(name), number(state))
}

pub(crate) fn event_reason(name: &str, reason: u8) -> u64 {
    mix(Says::EventReason, lookup_fingerprint(name), reason)
}

pub(crate) fn state_reason(state: State, reason: u8) -> u64 {
    mix(Says::StateReason, u64::from(state.number()), reason)
}

pub(crate) fn status(status: u16) -> u64 {
    mix(Says::Status, u64::from(status), 0)
}

pub(crate) fn decision(decision: Decision) -> u64 {
    mix(Says::Decision, u64::from(decision.number()), 0)
}

pub(crate) fn requested(requested: bool) -> u64 {
    mix(Says::Requested, u64::from(requested), 0)
}

/// 0 stands for a send that will be tried again.
fn number(state: Option<State>) -> u8 {
    state.map_or(0, State::number)
}

/// Spreads a small number over 64 bits, as only the upper ones are kept (the finaliser of splitmix64).
fn mix(says: Says, what: u64, more: u8) -> u64 {
    let mut bits = what ^ ((says as u64) << 8 | u64::from(more)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// What is said about one event name within an entry. Found by length and text, as there are few.
struct Named<'a> {
    name: &'a str,
    fingerprint: u64,
    states: u16,
    reasons: u64,
}

/// Appends the terms of an entry. Ids may come twice, which a look-up does not mind.
pub(crate) fn of_entry(
    of: &LaneId,
    attempt: Option<(Option<u16>, Decision)>,
    sends: &[SendRecord],
    out: &mut Vec<u64>,
) {
    out.push(lane(of));
    out.push(requested(attempt.is_some()));
    if let Some((answered, decided)) = attempt {
        out.push(decision(decided));
        out.extend(answered.map(status));
    }
    let mut names: Vec<Named<'_>> = Vec::new();
    // By state, the reasons.
    let mut reasons = [0_u64; 16];
    let mut last = 0;
    for send in sends {
        ids_of(send, out);
        let outcome = send.outcome.as_ref();
        let state = number(outcome.map(|outcome| outcome.state)).min(15);
        let reason = outcome.map_or(0, |outcome| 1 << outcome.reason.number().min(63));
        reasons[usize::from(state)] |= reason;
        // Events of one name often follow each other.
        if !names.get(last).is_some_and(|named| same(named.name, &send.event)) {
            last = names.iter().position(|named| same(named.name, &send.event)).unwrap_or_else(|| {
                let fingerprint = lookup_fingerprint(&send.event);
                names.push(Named { name: &send.event, fingerprint, states: 0, reasons: 0 });
                names.len() - 1
            });
        }
        names[last].states |= 1 << state;
        names[last].reasons |= reason;
    }
    let bits = |set: u64| (0..64_u8).filter(move |bit| set >> bit & 1 == 1);
    for named in &names {
        out.push(mix(Says::Event, named.fingerprint, 0));
        out.extend(bits(named.states.into()).map(|bit| mix(Says::EventState, named.fingerprint, bit)));
        out.extend(bits(named.reasons).map(|bit| mix(Says::EventReason, named.fingerprint, bit)));
    }
    let states = names.iter().fold(0, |states, named| states | named.states);
    out.extend(bits(states.into()).map(|bit| mix(Says::State, bit.into(), 0)));
    for (state, reasons) in (0_u64..).zip(reasons) {
        out.extend(bits(reasons).map(|bit| mix(Says::StateReason, state, bit)));
    }
    let reasons = names.iter().fold(0, |reasons, named| reasons | named.reasons);
    out.extend(bits(reasons).map(reason));
}

fn ids_of(send: &SendRecord, out: &mut Vec<u64>) {
    let first = out.len();
    out.push(id(&send.message_id));
    for other in [&send.anonymous_id, &send.user_id, &send.visitor_code].into_iter().flatten() {
        // A fallback repeats an id: as a visitor code the anonymous id, as an order key the message id.
        let before = &out[first..];
        let term = id(other);
        if !before.contains(&term) {
            out.push(term);
        }
    }
    out.extend(send.lookups.iter().map(|(_, value)| id(value)));
}

/// What the terms of an attempt are made from.
pub(crate) fn answer_of(attempt: &Attempt) -> (Option<u16>, Decision) {
    (attempt.status, attempt.decision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anole_event::Reason;

    #[test]
    fn terms_of_different_things_differ() {
        let mut terms = vec![id("page"), event("page"), lane(&LaneId::from_text("page")), id("parked")];
        terms.extend(State::ALL.iter().map(|one| state(Some(*one))));
        terms.extend(State::ALL.iter().map(|one| event_state("page", Some(*one))));
        terms.extend(Reason::ALL.iter().map(|one| reason(one.number())));
        terms.extend(Decision::ALL.iter().map(|one| decision(*one)));
        terms.extend(Reason::ALL.iter().map(|one| event_reason("page", one.number())));
        for one in State::ALL {
            terms.extend(Reason::ALL.iter().map(|other| state_reason(*one, other.number())));
        }
        terms.extend([state(None), event_state("page", None), requested(true), requested(false)]);
        terms.extend((100..600).map(status));
        // Only these bits are kept.
        let mut kept: Vec<u64> = terms.iter().map(|term| term >> 24).collect();
        kept.sort_unstable();
        kept.dedup();
        assert_eq!(kept.len(), terms.len());
    }

    #[test]
    fn every_state_and_reason_has_a_bit_of_its_own() {
        assert!(State::ALL.iter().all(|state| state.number() < 15), "states are kept in 16 bits");
        assert!(Reason::ALL.iter().all(|reason| reason.number() < 63), "reasons are kept in 64 bits");
    }
}
