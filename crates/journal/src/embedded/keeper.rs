//! The keeper: a second thread that keeps house, so that the committer only ever writes.
//!
//! Once a second, and when it is nudged (a segment was ended, delivery told what may go, an erasure is asked for), it
//!
//! 1. writes the index of each segment that was ended and has none;
//! 2. erases what was asked for (`erase`);
//! 3. removes what retention lets go (`retention`), one segment after the other, syncing the folder each time: after a
//!    loss of power no younger segment may be gone while an older one is there;
//! 4. looks at how much of the disk is free. The journal leaves the lesser of its reserve and a twentieth of the disk
//!    free, for the state and the delivery log lie on the same disk, and when these cannot be written nothing can be
//!    delivered that would make room;
//! 5. has the segment ended that holds old events for too long.
//!
//! Nothing here may fail an append. What cannot be done is told, and tried again at a later turn.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anole_event::Clock;
use anole_telemetry::{HousekeepingFailed, SegmentRemoved};

use super::dropped::Tally;
use super::erase::Erasing;
use super::index::{About, Entry, Index};
use super::log::{Log, lock};
use super::queue::Queue;
use super::retention::{Going, Held, Policy};
use super::segment::Segment;
use crate::EraseError;
use crate::disk;

/// How long it sleeps when nothing nudges it.
const TICK: Duration = Duration::from_secs(1);

/// What the keeper is asked for.
#[derive(Debug, Default)]
pub(crate) struct Chores {
    state: Mutex<Waiting>,
    nudged: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    nudged: bool,
    closed: bool,
    erasures: VecDeque<Erasing>,
}

/// The keeper of a journal.
pub(crate) struct Keeper {
    pub(crate) log: Arc<Log>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) chores: Arc<Chores>,
    pub(crate) policy: Policy,
    /// What of the disk is to stay free at most.
    pub(crate) reserve: u64,
    pub(crate) clock: Arc<dyn Clock>,
    /// Segments that are known to have an index, or for which none can be made.
    pub(crate) indexed: BTreeSet<u64>,
    /// Whether a segment was removed whose name may come back after a loss of power.
    pub(crate) unsynced: bool,
}

// === impl Chores ===

impl Chores {
    /// Has the keeper look at once.
    pub(crate) fn nudge(&self) {
        lock(&self.state).nudged = true;
        self.nudged.notify_one();
    }

    /// Asks for an erasure; it comes back when the keeper has gone.
    pub(crate) fn erase(&self, erasing: Erasing) -> Result<(), Erasing> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(erasing);
        }
        state.erasures.push_back(erasing);
        state.nudged = true;
        self.nudged.notify_one();
        Ok(())
    }

    /// Puts an erasure back that is not done yet, and has the keeper go on at once.
    fn put_back(&self, erasing: Erasing) -> Result<(), Erasing> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(erasing);
        }
        state.erasures.push_front(erasing);
        state.nudged = true;
        Ok(())
    }

    /// Lets the keeper go, and gives up what waits.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let erasures = std::mem::take(&mut state.erasures);
        drop(state);
        self.nudged.notify_one();
        for erasing in erasures {
            erasing.reply.send(Err(EraseError::Closed));
        }
    }

    /// Waits for a nudge or a second; false when it is time to go.
    fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        if !state.nudged && !state.closed {
            state = self.nudged.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.nudged = false;
        !state.closed
    }
}

// === impl Keeper ===

impl Keeper {
    /// Keeps house until the journal is closed.
    pub(crate) fn run(mut self) {
        loop {
            self.turn();
            if !self.chores.wait() {
                return self.end();
            }
        }
    }

    /// Writes the indexes whose entries are in memory yet, so that the next start need not make them from the segments.
    pub(crate) fn end(&mut self) {
        self.index_fresh();
        self.chores.close();
    }

    /// Does what there is to do.
    pub(crate) fn turn(&mut self) {
        self.look_at_space();
        self.index_fresh();
        self.index_missing();
        self.erase();
        self.retain();
        let now = self.clock.wall();
        if let Some((last, end)) = self.log.segments().pop()
            && end > last.first()
            && last.created.is_some_and(|begun| self.policy.ends(begun, now))
        {
            self.queue.ask_to_roll();
        }
    }

    fn say(&self, what: &'static str, error: &io::Error) {
        self.log.telemetry.emit(HousekeepingFailed { what, error });
    }

    /// Sees how much may still be written.
    pub(crate) fn look_at_space(&self) {
        match disk::space(&self.log.dir) {
            Ok(space) => self.log.set_room(space.free.saturating_sub(self.reserve.min(space.total / 20))),
            Err(error) => self.say("look_at_space", &error),
        }
    }

    /// Writes the indexes of segments that were ended lately.
    fn index_fresh(&mut self) {
        while let Some((segment, entries)) = self.log.oldest_fresh() {
            let base = segment.base;
            if !self.write_index(&segment, entries) {
                // Its records are read when they are asked for, until a later start makes its index.
                self.indexed.insert(base);
            }
            self.log.forget_fresh(base);
        }
    }

    /// Makes the indexes that are missing from their segments. It takes a while after a start that finds many missing;
    /// what is asked for meanwhile is read from the segments.
    fn index_missing(&mut self) {
        let mut segments = self.log.segments();
        let _appended_to = segments.pop();
        for (segment, end) in segments {
            if self.indexed.contains(&segment.base) {
                continue;
            }
            let has_one = Index::of(&self.log.dir, &segment).is_ok_and(|index| index.is_some());
            if !has_one {
                match entries(&segment, end) {
                    Ok(entries) => drop(self.write_index(&segment, entries)),
                    Err(error) => self.say("index", &error),
                }
            }
            self.indexed.insert(segment.base);
        }
    }

    fn write_index(&mut self, segment: &Segment, entries: Vec<Entry>) -> bool {
        let path = Index::path_in(&self.log.dir, segment.base);
        let end = entries.iter().map(|entry| segment.base + u64::from(entry.place)).max().unwrap_or(segment.base);
        let about = About { base: segment.base, file_id: segment.file_id, end, count: 0 };
        let before = Index::open(&path).ok().flatten().map_or(0, |index| index.about.bytes());
        match Index::write(&path, about, entries) {
            Ok(bytes) => {
                self.log.index_bytes.fetch_add(bytes, Ordering::Relaxed);
                self.log.index_bytes.fetch_sub(before, Ordering::Relaxed);
                self.indexed.insert(segment.base);
                true
            }
            Err(error) => {
                self.say("index", &error);
                false
            }
        }
    }

    /// Goes on with the first erasure, once nothing of it can be in the segment that is appended to. One segment a turn:
    /// a large journal takes minutes, and the rest of the house must not wait for that.
    fn erase(&mut self) {
        let mut state = lock(&self.chores.state);
        let Some(mut erasing) = state.erasures.pop_front() else { return };
        let mut segments = self.log.segments();
        let last = segments.pop();
        if last.is_some_and(|(last, _)| last.first() < erasing.mask.end) {
            // The committer nudges us when it has ended it.
            state.erasures.push_front(erasing);
            drop(state);
            return self.queue.ask_to_roll();
        }
        drop(state);
        let inside = |segment: &Segment| (erasing.from..erasing.mask.end).contains(&segment.base);
        let next = segments.into_iter().find(|(segment, _)| inside(segment));
        let step = next.map(|(segment, end)| (segment.base, self.erase_in(&segment, end, &mut erasing)));
        match step {
            Some((base, Ok(()))) => {
                erasing.from = base + 1;
                if let Err(erasing) = self.chores.put_back(erasing) {
                    self.log.unhide(&erasing.mask);
                    erasing.reply.send(Err(EraseError::Closed));
                }
            }
            Some((_, Err(error))) => {
                self.log.unhide(&erasing.mask);
                erasing.reply.send(Err(error));
            }
            None => {
                self.log.unhide(&erasing.mask);
                erasing.reply.send(Ok(erasing.erased));
            }
        }
    }

    fn erase_in(&mut self, segment: &Segment, end: u64, erasing: &mut Erasing) -> Result<(), EraseError> {
        let records = erasing.mask.rewrite(segment, end).map_err(|error| {
            self.say("erase", &error);
            EraseError::Failed { file: segment.path.display().to_string().into(), source: Arc::new(error) }
        })?;
        if records > 0 {
            erasing.erased.records += records;
            erasing.erased.segments += 1;
            self.log.replace(Segment::clone(segment));
            // Without what was erased; should it fail, the old one finds nothing where a record was erased.
            match entries(segment, end) {
                Ok(entries) => drop(self.write_index(segment, entries)),
                Err(error) => self.say("index", &error),
            }
        }
        Ok(())
    }

    /// Removes what may go.
    fn retain(&mut self) {
        while self.remove_replaced() && self.sync_removal() {
            let keep_from = self.log.keep_from();
            let held = self.held();
            match self.policy.oldest(&held, self.log.bytes(), keep_from, self.clock.wall()) {
                Some(going) if self.remove(going, held.first().map_or(0, |oldest| oldest.end)) => {}
                _ => break,
            }
        }
        self.drop_orphans();
    }

    fn held(&self) -> Vec<Held> {
        let segments = self.log.segments();
        let newer = segments.iter().skip(1);
        let held = segments.iter().zip(newer).map(|((segment, end), (next, _))| Held {
            end: *end,
            bytes: end.saturating_sub(segment.base),
            newest: next.created,
        });
        held.collect()
    }

    /// Removes the oldest segment; false when that is not possible now.
    fn remove(&mut self, going: Going, end: u64) -> bool {
        let Some(segment) = self.log.remove_oldest() else { return false };
        let removed = disk::remove(&segment.path);
        if let Some(error) = removed.err().filter(|error| error.kind() != io::ErrorKind::NotFound) {
            // Were it passed over, the next start would find it before a hole, and in it what was erased meanwhile.
            self.say("retention", &error);
            self.log.put_back(segment);
            return false;
        }
        self.unsynced = true;
        self.indexed.remove(&segment.base);
        let index = Index::open(&Index::path_in(&self.log.dir, segment.base)).ok().flatten();
        let dropped = going == Going::Dropped && end > self.log.keep_from();
        if let Some(index) = index {
            lock(&self.log.orphans).insert(segment.base, index.about);
            if dropped {
                self.tally(segment.base, end, &index);
            }
        }
        self.log.telemetry.emit(SegmentRemoved { file: &segment.path, dropped, journal_bytes: self.log.bytes() });
        self.sync_removal()
    }

    /// Removes segments without records whose place others have taken. False when one stays.
    fn remove_replaced(&mut self) -> bool {
        let mut replaced = lock(&self.log.replaced);
        while let Some(segment) = replaced.last() {
            if let Err(error) = disk::remove(&segment.path)
                && error.kind() != io::ErrorKind::NotFound
            {
                self.say("retention", &error);
                return false;
            }
            self.unsynced = true;
            replaced.pop();
        }
        true
    }

    /// Brings the last removal to the disk, if it is not there yet. Nothing more is removed before it is.
    fn sync_removal(&mut self) -> bool {
        if self.unsynced {
            match disk::sync_dir(&self.log.dir) {
                Ok(()) => self.unsynced = false,
                Err(error) => self.say("retention", &error),
            }
        }
        !self.unsynced
    }

    /// Notes what a dropped segment held.
    fn tally(&self, base: u64, end: u64, index: &Index) {
        let Ok(Some(entries)) = index.entries() else { return };
        let mut dropped = lock(&self.log.dropped);
        dropped.add(base, Tally::of(end, &entries));
        if let Err(error) = dropped.write(&self.log.dir) {
            self.say("retention", &error);
        }
    }

    /// Removes indexes whose segments are gone, once every lane has passed them. Where they take too much room, those go
    /// that a tally stands for, but not the one in whose segment the lane furthest behind stands: of a part of a segment
    /// only its index can tell.
    fn drop_orphans(&self) {
        let keep_from = self.log.keep_from();
        let mut dropped = lock(&self.log.dropped);
        if dropped.forget(keep_from)
            && let Err(error) = dropped.write(&self.log.dir)
        {
            self.say("retention", &error);
        }
        let most = self.policy.max_bytes.map_or(u64::MAX, |most| most / 32);
        let mut orphans = lock(&self.log.orphans);
        let mut all: u64 = orphans.values().map(About::bytes).sum();
        let goes = |about: &About, all: u64| {
            let tallied = dropped.get(about.base).is_some_and(|tally| about.base > keep_from || tally.end <= keep_from);
            about.end < keep_from || (all > most && tallied)
        };
        let mut gone = Vec::new();
        for about in orphans.values() {
            if goes(about, all) {
                if let Err(error) = disk::remove(&Index::path_in(&self.log.dir, about.base))
                    && error.kind() != io::ErrorKind::NotFound
                {
                    self.say("retention", &error);
                    break;
                }
                all -= about.bytes();
                gone.push(about.base);
                self.log.index_bytes.fetch_sub(about.bytes(), Ordering::Relaxed);
            }
        }
        orphans.retain(|base, _| !gone.contains(base));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.chores.close();
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What is to be known of a segment's records, read from the segment.
pub(crate) fn entries(segment: &Segment, end: u64) -> io::Result<Vec<Entry>> {
    let (file, mut at, mut entries) = (segment.open()?, segment.first(), Vec::new());
    while at < end {
        let Some(groups) = file.groups(at, end, 256 * 1024, 0)? else {
            let Some(head) = file.find(at + 1, end)? else { break };
            at = head.position;
            continue;
        };
        let entry = |(position, record): &(anole_event::Position, anole_event::Record)| {
            Entry::of(record.bytes(), position.offset - segment.base)
        };
        entries.extend(groups.records.iter().map(entry));
        at = groups.end;
    }
    Ok(entries)
}
