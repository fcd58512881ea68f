//! The conservation oracle: what was acknowledged must have arrived, unchanged and in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What the test saw go in and come out. It knows nothing of how anole works.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// Acknowledged sends by order key, in the order of acknowledgement: the nonce of each.
    acknowledged: BTreeMap<String, Vec<String>>,
    /// Arrived sends by order key, in the order of arrival.
    arrived: BTreeMap<String, Vec<String>>,
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
    /// A send was acknowledged.
    pub fn acknowledged(&mut self, order_key: &str, nonce: &str) {
        self.acknowledged.entry(order_key.to_owned()).or_default().push(nonce.to_owned());
    }

    /// A send arrived at the vendor.
    pub fn arrived(&mut self, order_key: &str, nonce: &str) {
        self.arrived.entry(order_key.to_owned()).or_default().push(nonce.to_owned());
    }

    /// Forgets what arrived, to be told anew.
    pub fn forget_arrivals(&mut self) {
        self.arrived.clear();
    }

    /// Compares the two.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        let mut verdict =
            Verdict { acknowledged: 0, arrived: 0, lost: Vec::new(), duplicates: 0, out_of_order: Vec::new() };
        for (key, acknowledged) in &self.acknowledged {
            verdict.acknowledged += acknowledged.len();
            let arrivals = self.arrived.get(key).map(Vec::as_slice).unwrap_or_default();
            let distinct: BTreeSet<_> = arrivals.iter().collect();
            verdict.lost.extend(acknowledged.iter().filter(|nonce| !distinct.contains(nonce)).cloned());
        }
        for (key, arrivals) in &self.arrived {
            let mut seen = BTreeSet::new();
            let first: Vec<_> = arrivals.iter().filter(|nonce| seen.insert(*nonce)).collect();
            verdict.arrived += first.len();
            verdict.duplicates += arrivals.len() - first.len();
            // What was not acknowledged may have been accepted all the same, anywhere in between.
            let acknowledged = self.acknowledged.get(key).map(Vec::as_slice).unwrap_or_default();
            let known: Vec<_> = first.into_iter().filter(|nonce| acknowledged.contains(nonce)).collect();
            let expected: Vec<_> = acknowledged.iter().filter(|nonce| seen.contains(nonce)).collect();
            if known != expected {
                verdict.out_of_order.push(key.clone());
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

    #[test]
    fn the_oracle_sees_loss_duplicates_and_broken_order() {
        let mut oracle = Oracle::default();
        for nonce in ["1", "2", "3"] {
            oracle.acknowledged("a", nonce);
        }
        for nonce in ["1", "1", "unacknowledged", "3", "2"] {
            oracle.arrived("a", nonce);
        }
        let verdict = oracle.judge();
        assert_eq!((verdict.acknowledged, verdict.arrived, verdict.duplicates), (3, 4, 1));
        assert_eq!(verdict.out_of_order, ["a"]);
        assert!(verdict.lost.is_empty());
        oracle.forget_arrivals();
        oracle.arrived("a", "1");
        oracle.arrived("a", "3");
        let verdict = oracle.judge();
        assert_eq!(verdict.lost, ["2"]);
        assert!(verdict.out_of_order.is_empty());
        assert!(!verdict.is_clean());
    }
}
