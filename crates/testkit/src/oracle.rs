//! The conservation oracle: what was acknowledged must have arrived, unchanged and in order.
//!
//! It is told of every acknowledgement and every arrival as they happen, and counts what is missing as it goes, so that a
//! harness can ask after each of a million events whether all is there.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What the test saw go in and come out. It knows nothing of how anole works.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    keys: BTreeMap<String, Key>,
    missing: usize,
}

/// The sends of one order key.
#[derive(Clone, Debug, Default)]
struct Key {
    /// What is known of each send, by its nonce.
    sends: HashMap<String, Seen>,
    acknowledgements: usize,
    arrivals: usize,
    repetitions: usize,
}

/// When a send was acknowledged and when it arrived first, each as a number in its row.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    acknowledged: Option<usize>,
    arrived: Option<usize>,
}

/// What the oracle found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged sends.
    pub acknowledged: usize,
    /// Different sends that arrived.
    pub arrived: usize,
    /// Acknowledged and never arrived.
    pub lost: Vec<String>,
    /// Arrivals of a send that had arrived before, under the same nonce.
    pub duplicates: usize,
    /// Order keys whose first arrivals are not in the order of acknowledgement.
    pub out_of_order: Vec<String>,
}

// === impl Oracle ===

impl Oracle {
    /// A send was acknowledged. A send that was acknowledged before, because it was sent twice, keeps its place.
    pub fn acknowledged(&mut self, order_key: &str, nonce: &str) {
        let key = self.keys.entry(order_key.to_owned()).or_default();
        let seen = key.sends.entry(nonce.to_owned()).or_default();
        if seen.acknowledged.is_none() {
            seen.acknowledged = Some(key.acknowledgements);
            key.acknowledgements += 1;
            self.missing += usize::from(seen.arrived.is_none());
        }
    }

    /// A send arrived at the vendor.
    pub fn arrived(&mut self, order_key: &str, nonce: &str) {
        let key = self.keys.entry(order_key.to_owned()).or_default();
        let seen = key.sends.entry(nonce.to_owned()).or_default();
        if seen.arrived.is_some() {
            key.repetitions += 1;
            return;
        }
        seen.arrived = Some(key.arrivals);
        key.arrivals += 1;
        self.missing -= usize::from(seen.acknowledged.is_some());
    }

    /// How many sends were acknowledged and have not arrived so far.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// Whether a send was acknowledged.
    #[must_use]
    pub fn is_acknowledged(&self, order_key: &str, nonce: &str) -> bool {
        let seen = self.keys.get(order_key).and_then(|key| key.sends.get(nonce));
        seen.is_some_and(|seen| seen.acknowledged.is_some())
    }

    /// Compares the two.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        let mut verdict =
            Verdict { acknowledged: 0, arrived: 0, lost: Vec::new(), duplicates: 0, out_of_order: Vec::new() };
        for (name, key) in &self.keys {
            verdict.acknowledged += key.acknowledgements;
            verdict.arrived += key.arrivals;
            verdict.duplicates += key.repetitions;
            let known = key.sends.iter().filter_map(|(nonce, seen)| Some((seen.acknowledged?, nonce, seen.arrived)));
            let mut known: Vec<_> = known.collect();
            known.sort_unstable();
            let lost = known.iter().filter(|(_, _, arrived)| arrived.is_none());
            verdict.lost.extend(lost.map(|(_, nonce, _)| (*nonce).clone()));
            // What was not acknowledged may have been accepted all the same, anywhere in between.
            let arrivals: Vec<_> = known.iter().filter_map(|(_, _, arrived)| *arrived).collect();
            if !arrivals.is_sorted() {
                verdict.out_of_order.push(name.clone());
            }
        }
        verdict
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether nothing was lost and nothing changed places.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.out_of_order.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} arrived, {} lost, {} duplicates by nonce, {} order keys out of order",
            self.acknowledged,
            self.arrived,
            self.lost.len(),
            self.duplicates,
            self.out_of_order.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(arrivals: &[&str]) -> (Oracle, Verdict) {
        let mut oracle = Oracle::default();
        for nonce in ["1", "2", "3"] {
            oracle.acknowledged("a", nonce);
        }
        for nonce in arrivals {
            oracle.arrived("a", nonce);
        }
        let verdict = oracle.judge();
        (oracle, verdict)
    }

    #[test]
    fn the_oracle_sees_duplicates_and_broken_order() {
        let (oracle, verdict) = after(&["1", "1", "unacknowledged", "3", "2"]);
        assert_eq!((verdict.acknowledged, verdict.arrived, verdict.duplicates), (3, 4, 1));
        assert_eq!(verdict.out_of_order, ["a"]);
        assert!(verdict.lost.is_empty());
        assert_eq!(oracle.missing(), 0);
    }

    #[test]
    fn the_oracle_sees_loss() {
        let (oracle, verdict) = after(&["1", "3"]);
        assert_eq!(verdict.lost, ["2"]);
        assert!(verdict.out_of_order.is_empty());
        assert!(!verdict.is_clean());
        assert_eq!(oracle.missing(), 1);
    }

    #[test]
    fn what_arrives_before_it_is_acknowledged_is_not_missing_and_a_second_acknowledgement_changes_nothing() {
        let mut oracle = Oracle::default();
        oracle.arrived("a", "1");
        oracle.acknowledged("a", "1");
        oracle.acknowledged("a", "2");
        oracle.acknowledged("a", "1");
        oracle.arrived("a", "2");
        assert_eq!(oracle.missing(), 0);
        assert!(oracle.is_acknowledged("a", "2") && !oracle.is_acknowledged("b", "2"));
        let verdict = oracle.judge();
        assert_eq!((verdict.acknowledged, verdict.arrived), (2, 2));
        assert!(verdict.is_clean(), "{verdict}");
    }
}
