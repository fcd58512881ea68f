//! Hashes that stand for longer things: the order key, the message fingerprint, the look-up fingerprint.
//!
//! All are xxh3, chosen because it is stable across versions and machines and costs less than 20 ns for an id. None of
//! them protects anything: who can choose ids can make them collide, and then only delays or drops events of his own.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Whose event it is. Events of one order key keep their order; different keys go in parallel.
///
/// It is the hash of `anonymous_id`, else `user_id`, else the message id. Two keys that collide are merely put in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub u64);

/// 128 bits that stand for a message id within its pipeline: what de-duplication compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

// === impl OrderKey ===

impl OrderKey {
    /// The order key of an event with these ids. Empty ids count as absent.
    #[must_use]
    pub fn of(anonymous_id: Option<&str>, user_id: Option<&str>, message_id: &str) -> Self {
        let (rung, id) = match (anonymous_id.filter(|id| !id.is_empty()), user_id.filter(|id| !id.is_empty())) {
            (Some(id), _) => (b'a', id),
            (None, Some(id)) => (b'u', id),
            (None, None) => (b'm', message_id),
        };
        let mut hash = Xxh3::new();
        hash.update(&[rung]);
        hash.update(id.as_bytes());
        Self(hash.digest())
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// The fingerprint of a message id within a pipeline.
    #[must_use]
    pub fn of(pipeline: &str, message_id: &str) -> Self {
        let mut hash = Xxh3::new();
        hash.update(pipeline.as_bytes());
        hash.update(&[0]);
        hash.update(message_id.as_bytes());
        Self(hash.digest128())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The 64-bit fingerprint by which the delivery log finds a value (a message id, a visitor code, an order id).
///
/// Hits are checked against the full value, so a collision costs a look, never a wrong answer.
#[must_use]
pub fn lookup_fingerprint(value: &str) -> u64 {
    xxh3_64(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_key_prefers_the_anonymous_id_and_passes_over_empty_ids() {
        let anonymous = OrderKey::of(Some("a"), Some("u"), "m");
        assert_eq!(anonymous, OrderKey::of(Some("a"), None, "other"));
        assert_ne!(anonymous, OrderKey::of(None, Some("a"), "m"), "a user is not the visitor of the same id");
        assert_eq!(OrderKey::of(Some(""), Some("u"), "m"), OrderKey::of(None, Some("u"), "n"));
        assert_ne!(OrderKey::of(None, None, "m"), OrderKey::of(None, None, "n"));
    }

    #[test]
    fn a_fingerprint_belongs_to_its_pipeline_and_is_the_same_in_every_version() {
        assert_ne!(Fingerprint::of("shop", "1"), Fingerprint::of("blog", "1"));
        assert_ne!(Fingerprint::of("a", "b1"), Fingerprint::of("ab", "1"));
        assert_eq!(Fingerprint::of("shop", "m-1").to_string(), "f58844b1e8790cd04536480845cac96c");
    }
}
