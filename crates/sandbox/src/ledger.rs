//! Which nonces have been seen, and what came under them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Nonces that are remembered, at most: about 128 MiB. Beyond it new ones are not, and the statistics say so.
const MOST: usize = 4 << 20;

/// Nonces by site, as 64-bit hashes: at four million, the odds that any two collide are one in two million.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    seen: HashMap<u64, u64>,
    full: bool,
}

/// What is known of a nonce.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing: it is new.
    New,
    /// The same event came under it.
    Same,
    /// Another event came under it.
    Other,
}

// === impl Ledger ===

impl Ledger {
    /// Looks a nonce up and remembers it. The first event under it stays the one that counts.
    pub(crate) fn note(&mut self, site: &str, nonce: &str, content: u64) -> Seen {
        let mut hasher = DefaultHasher::new();
        (site, nonce).hash(&mut hasher);
        let full = self.seen.len() >= MOST;
        match self.seen.entry(hasher.finish()) {
            Entry::Occupied(known) if *known.get() == content => Seen::Same,
            Entry::Occupied(_) => Seen::Other,
            Entry::Vacant(_) if full => {
                self.full = true;
                Seen::New
            }
            Entry::Vacant(place) => {
                place.insert(content);
                Seen::New
            }
        }
    }

    /// How many different nonces have been seen.
    pub(crate) fn distinct(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Whether some were not remembered for want of room.
    pub(crate) const fn is_full(&self) -> bool {
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_known_again_at_its_site_only() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.note("eu", "n", 1), Seen::New);
        assert_eq!(ledger.note("eu", "n", 1), Seen::Same);
        assert_eq!(ledger.note("eu", "n", 2), Seen::Other);
        assert_eq!(ledger.note("eu", "n", 1), Seen::Same, "the first one counts");
        assert_eq!(ledger.note("na", "n", 2), Seen::New);
        assert_eq!(ledger.distinct(), 2);
    }
}
