//! The memory that connections to one database share: the index of its write-ahead log.
//!
//! `sqlite-vfs` gives each connection a copy and says when it is to be fetched and when to be brought back, whole regions
//! at a time. Two connections that bring back what only one of them changed would undo each other's changes; so a copy is
//! brought back byte by byte, as far as it differs from what was fetched.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlite_vfs::wip::{WalIndex, WalIndexLock};

const SLOTS: usize = 8;
const BLOCK: usize = 64;

type Region = [u8; 32_768];

/// What is shared. It lives as long as one connection does.
#[derive(Default)]
pub(crate) struct Index(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    regions: Vec<Box<Region>>,
    slots: [HashMap<u64, WalIndexLock>; SLOTS],
}

/// One connection's view.
pub(crate) struct IndexHandle {
    id: u64,
    index: Arc<Index>,
    fetched: HashMap<u32, Box<Region>>,
}

// === impl Index ===

impl Index {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl IndexHandle ===

impl IndexHandle {
    pub(crate) fn new(id: u64, index: Arc<Index>) -> Self {
        Self { id, index, fetched: HashMap::new() }
    }

    fn bring_back(&mut self, number: u32, data: &Region) {
        let mut inner = self.index.lock();
        let region = region(&mut inner, number);
        let fetched = self.fetched.entry(number).or_insert_with(|| Box::new([0; 32_768]));
        if **fetched == *data {
            return;
        }
        // By blocks, as most of a region is what it was and this is done often.
        for from in (0..data.len()).step_by(BLOCK) {
            let block = from..from + BLOCK;
            if fetched[block.clone()] != data[block.clone()] {
                for at in block.filter(|at| fetched[*at] != data[*at]) {
                    region[at] = data[at];
                }
            }
        }
        fetched.copy_from_slice(data);
    }
}

fn region(inner: &mut Inner, number: u32) -> &mut Region {
    let number = number as usize;
    while inner.regions.len() <= number {
        inner.regions.push(Box::new([0; 32_768]));
    }
    &mut inner.regions[number]
}

impl WalIndex for IndexHandle {
    fn map(&mut self, number: u32) -> Result<Region, io::Error> {
        let data = *region(&mut self.index.lock(), number);
        self.fetched.insert(number, Box::new(data));
        Ok(data)
    }

    fn lock(&mut self, slots: Range<u8>, wanted: WalIndexLock) -> Result<bool, io::Error> {
        let mut inner = self.index.lock();
        let slots = usize::from(slots.start)..usize::from(slots.end);
        let is_free = |slot: &HashMap<u64, WalIndexLock>| {
            slot.iter().filter(|(id, _)| **id != self.id).all(|(_, held)| match wanted {
                WalIndexLock::None => true,
                WalIndexLock::Shared => *held == WalIndexLock::Shared,
                WalIndexLock::Exclusive => false,
            })
        };
        if !inner.slots[slots.clone()].iter().all(is_free) {
            return Ok(false);
        }
        for slot in &mut inner.slots[slots] {
            match wanted {
                WalIndexLock::None => slot.remove(&self.id),
                _ => slot.insert(self.id, wanted),
            };
        }
        Ok(true)
    }

    fn delete(self) -> Result<(), io::Error> {
        Ok(())
    }

    fn pull(&mut self, number: u32, data: &mut Region) -> Result<(), io::Error> {
        self.bring_back(number, data);
        data.copy_from_slice(region(&mut self.index.lock(), number));
        self.fetched.insert(number, Box::new(*data));
        Ok(())
    }

    fn push(&mut self, number: u32, data: &Region) -> Result<(), io::Error> {
        self.bring_back(number, data);
        Ok(())
    }
}

impl Drop for IndexHandle {
    fn drop(&mut self) {
        for slot in &mut self.index.lock().slots {
            slot.remove(&self.id);
        }
    }
}
