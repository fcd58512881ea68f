//! Which entries a file holds, so that an append is idempotent (S-2) without a question to the database.
//!
//! Ids grow with time. The ids of the newest entries are in memory, all of them above a floor; so for an id above the floor
//! memory answers, and only for one below, which a clock that was set back or an append from long ago brings, the database
//! is asked. A set of all ids of a file would be of any size, and a look into the index for each append costs a third of
//! what writing it costs.

use std::collections::HashSet;

use crate::ready::Ready;
use crate::terms;

/// So many ids are in memory before the older half goes.
const MOST: usize = 16_384;

/// An id and the fingerprint of a lane.
pub(crate) type Key = (u128, u64);

/// The ids of the newest entries.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    known: HashSet<Key>,
    floor: u128,
}

pub(crate) fn key(entry: &Ready) -> Key {
    (entry.id.0.as_u128(), terms::lane(&entry.lane))
}

// === impl Ids ===

impl Ids {
    /// No id yet, of entries none of which has an id above this one.
    pub(crate) fn above(floor: u128) -> Self {
        Self { known: HashSet::new(), floor }
    }

    /// Whether the file holds an entry; `None` when only the database knows.
    pub(crate) fn holds(&self, key: Key) -> Option<bool> {
        if self.known.contains(&key) { Some(true) } else { (key.0 > self.floor).then_some(false) }
    }

    pub(crate) fn add(&mut self, key: Key) {
        self.known.insert(key);
    }

    /// An append was not written.
    pub(crate) fn forget(&mut self, keys: &[Key]) {
        keys.iter().for_each(|key| {
            self.known.remove(key);
        });
    }

    /// Lets go of the older half when there are many. All entries must be in the database.
    pub(crate) fn prune(&mut self) {
        if self.known.len() < MOST {
            return;
        }
        let mut ids: Vec<u128> = self.known.iter().map(|key| key.0).collect();
        let (_, middle, _) = ids.select_nth_unstable(MOST / 2);
        self.floor = self.floor.max(*middle);
        self.known.retain(|key| key.0 > self.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_remembered_is_asked_of_the_database() {
        let mut ids = Ids::above(100);
        assert_eq!((ids.holds((100, 1)), ids.holds((101, 1))), (None, Some(false)));
        ids.add((99, 1));
        ids.add((101, 1));
        assert_eq!((ids.holds((99, 1)), ids.holds((99, 2)), ids.holds((101, 1))), (Some(true), None, Some(true)));
        assert_eq!(ids.holds((101, 2)), Some(false), "the same id of another lane is another entry");
        ids.forget(&[(101, 1)]);
        assert_eq!(ids.holds((101, 1)), Some(false));
        (0..MOST as u128).for_each(|number| ids.add((1_000 + number, 1)));
        ids.prune();
        assert!(ids.known.len() <= MOST / 2 + 1);
        assert_eq!((ids.holds((1_000, 1)), ids.holds((1_000 + MOST as u128 - 1, 1))), (None, Some(true)));
        assert_eq!(ids.holds((2_000_000, 1)), Some(false));
    }
}
