//! Conservation, repetitions and order, from what the vendor saw.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::cell::{id, visitor};
use crate::Oracle;
use crate::vendor::Request;

/// What is judged.
pub(super) struct Judge<'a> {
    /// Every request that the vendor got.
    pub(super) requests: &'a [Arc<Request>],
    /// When the daemon was killed.
    pub(super) kills: &'a [Instant],
    /// What was parked before the replay.
    pub(super) parked: &'a HashSet<String>,
    /// How many events were acknowledged, in the order of their numbers.
    pub(super) events: u64,
}

/// What was found, when nothing is wrong.
pub(super) struct Found {
    /// Arrivals of an event that had been taken in before.
    pub(super) twice: u64,
}

/// Judges a cell; what is wrong, when something is.
pub(super) fn judge(judge: &Judge<'_>) -> Result<Found, String> {
    let known: HashMap<_, _> = (0..judge.events).map(|number| (id(number), number)).collect();
    let mut oracle = Oracle::default();
    // What was parked waited for a person: others of its visitor went on.
    for number in (0..judge.events).filter(|number| !judge.parked.contains(&id(*number))) {
        oracle.acknowledged(&visitor(number), &id(number));
    }
    let mut last: HashMap<&str, &Request> = HashMap::new();
    let mut twice = 0;
    for request in judge.requests {
        if !request.target.starts_with("POST /visit/events?") && !request.target.starts_with("POST /events") {
            return Err(format!("a request went to {}", request.target));
        }
        for event in &request.events {
            let number = known.get(&event.nonce).ok_or_else(|| format!("{} was never sent", event.nonce))?;
            if event.visitor != visitor(*number) {
                return Err(format!("{} came as an event of {}", event.nonce, event.visitor));
            }
            if !request.is_taken_in {
                continue;
            }
            if let Some(before) = last.insert(&event.nonce, request) {
                let killed = judge.kills.iter().any(|kill| before.at <= *kill && *kill <= request.at);
                if before.is_answered() && !killed {
                    return Err(format!("{} was answered, and came again without a restart", event.nonce));
                }
                twice += 1;
            }
            if !judge.parked.contains(&event.nonce) {
                oracle.arrived(&event.visitor, &event.nonce);
            }
        }
    }
    let missing: Vec<_> = known.keys().filter(|id| !last.contains_key(id.as_str())).collect();
    let verdict = oracle.judge();
    if !missing.is_empty() || !verdict.is_clean() {
        return Err(format!("{verdict}; never arrived: {missing:?}; out of order: {:?}", verdict.out_of_order));
    }
    Ok(Found { twice })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Requests that carried these events, whole answers to all but one.
    fn requests(of: &[&[u64]], unanswered: Option<usize>) -> Vec<Arc<Request>> {
        let at = Instant::now();
        let made = of.iter().enumerate().map(|(turn, numbers)| {
            let events = numbers.iter().map(|number| (id(*number), visitor(*number)));
            let at = at + Duration::from_secs(turn as u64);
            Arc::new(Request::of("POST /events", at, events, unanswered != Some(turn)))
        });
        made.collect()
    }

    fn found(requests: &[Arc<Request>], kills: &[Instant], parked: &HashSet<String>) -> Result<u64, String> {
        judge(&Judge { requests, kills, parked, events: 122 }).map(|found| found.twice)
    }

    #[test]
    fn loss_repetition_and_broken_order_are_seen() {
        let all: Vec<u64> = (0..122).collect();
        let none = HashSet::new();
        assert_eq!(found(&requests(&[&all], None), &[], &none), Ok(0));
        let lost = found(&requests(&[&all[1..]], None), &[], &none);
        assert!(lost.is_err_and(|what| what.contains("never arrived")));
        let stranger = found(&requests(&[&all, &[500]], None), &[], &none);
        assert!(stranger.is_err_and(|what| what.contains("was never sent")));
        // 40 and 120 are of one visitor.
        let (one, two): (Vec<u64>, Vec<u64>) = all.iter().partition(|number| **number != 40);
        let out_of_order = requests(&[&one, &two], None);
        assert!(found(&out_of_order, &[], &none).is_err_and(|what| what.contains("visitor-00")));
        assert_eq!(found(&out_of_order, &[], &HashSet::from([id(40)])), Ok(0), "what was parked comes later");
    }

    #[test]
    fn an_event_may_come_twice_after_a_kill_or_when_no_whole_answer_was_sent() {
        let all: Vec<u64> = (0..122).collect();
        let none = HashSet::new();
        let twice = requests(&[&all, &all[..20]], None);
        assert!(found(&twice, &[], &none).is_err_and(|what| what.contains("came again")));
        assert_eq!(found(&twice, &[twice[1].at], &none), Ok(20));
        assert!(found(&twice, &[twice[1].at + Duration::from_secs(1)], &none).is_err(), "a kill that came later");
        assert_eq!(found(&requests(&[&all, &all[..20]], Some(0)), &[], &none), Ok(20));
    }
}
