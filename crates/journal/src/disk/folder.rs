//! The names in one simulated folder: as programs see them, as they are on the disk, and what lies between.
//!
//! A name reaches the disk when its folder is synced, whatever was done with the file behind it. A loss of power chooses
//! which of the changes since then had reached the disk: none, all, the first ones, or each one or not. A rename is one
//! change: after it either the old name is there or the new one, and what had the new name before is gone only with it.

use std::collections::BTreeMap;

use anole_event::Random;

/// The number of a file or folder on its disk.
pub(super) type Number = u64;

/// The names of a folder.
#[derive(Debug, Default)]
pub(super) struct Names {
    memory: BTreeMap<String, Number>,
    platter: BTreeMap<String, Number>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Put(String, Number),
    Remove(String),
    Rename(String, String, Number),
}

// === impl Names ===

impl Names {
    pub(super) fn get(&self, name: &str) -> Option<Number> {
        self.memory.get(name).copied()
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &String> {
        self.memory.keys()
    }

    /// What the names lead to.
    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        self.memory.values().copied()
    }

    /// Everything that a name leads to, or may lead to after a loss of power.
    pub(super) fn reach(&self) -> impl Iterator<Item = Number> {
        let unsynced = self.unsynced.iter().filter_map(|change| match change {
            Change::Put(_, number) | Change::Rename(_, _, number) => Some(*number),
            Change::Remove(_) => None,
        });
        self.memory.values().chain(self.platter.values()).copied().chain(unsynced)
    }

    pub(super) fn put(&mut self, name: &str, number: Number) {
        self.change(Change::Put(name.to_owned(), number));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(Change::Remove(name.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, number: Number) {
        self.change(Change::Rename(from.to_owned(), to.to_owned(), number));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.memory);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.unsynced.clear();
        self.platter.clone_from(&self.memory);
    }

    /// A sync that failed. Names are kept by the file system's own log: a later sync brings what this one did not.
    pub(super) fn fail_sync(&mut self, random: &mut dyn Random) {
        let reached = random.below(self.unsynced.len() as u64 + 1);
        for change in self.unsynced.drain(..usize::try_from(reached).unwrap_or(0)) {
            change.apply(&mut self.platter);
        }
    }

    /// The power goes.
    pub(super) fn cut(&mut self, random: &mut dyn Random) {
        let changes = std::mem::take(&mut self.unsynced);
        let many = changes.len() as u64;
        let in_order = match random.below(6) {
            0 => Some(0),
            1 => Some(many),
            2 | 3 => Some(random.below(many + 1)),
            _ => None,
        };
        for (number, change) in (0_u64..).zip(changes) {
            if in_order.map_or_else(|| random.below(2) == 0, |first| number < first) {
                change.apply(&mut self.platter);
            }
        }
        self.memory.clone_from(&self.platter);
    }
}

// === impl Change ===

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Number>) {
        match self {
            Self::Put(name, number) => {
                names.insert(name.clone(), *number);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename(from, to, number) => {
                names.remove(from);
                names.insert(to.clone(), *number);
            }
        }
    }
}
