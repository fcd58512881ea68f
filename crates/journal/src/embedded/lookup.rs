//! Questions about records that need no reading of whole segments: where a message id stands, which came lately, and what
//! a gap held. The indexes answer; where one is missing or damaged, its segment is read.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use anole_event::{Fingerprint, Position, Record, Timestamp};

use super::cursor::Cursor;
use super::index::{Entry, Index, pipeline};
use super::keeper::entries;
use super::log::{Log, lock};
use super::segment::Segment;
use crate::{Gap, Read, ReadError};

/// What is known of how many records stood in a stretch.
#[derive(Clone, Copy, Debug)]
struct Counted {
    records: u64,
    /// Whether that is all of them.
    exact: bool,
}

// === impl Log ===

impl Log {
    /// The records with this fingerprint at `from` or behind it, oldest first.
    pub(crate) fn find(self: &Arc<Self>, wanted: Fingerprint, from: u64) -> Result<Vec<(Position, Record)>, ReadError> {
        let mut found = Vec::new();
        for (segment, end) in self.segments() {
            if end <= from {
                continue;
            }
            let places = self.places(&segment, end, wanted).map_err(|error| failed(&segment, error))?;
            for place in places {
                let position = segment.base + place;
                if position >= from
                    && let Some(record) = self.read_one(position)?
                    && record.head().is_ok_and(|head| head.fingerprint == wanted)
                {
                    // A copy, so that one small record does not keep a whole block in memory.
                    let record = Record::from_bytes(bytes::Bytes::copy_from_slice(record.bytes()));
                    found.push((Position::at(position), record));
                }
            }
        }
        Ok(found)
    }

    /// Hands over what came at `since` or later, oldest first; of more than `most` the segments with the newest.
    pub(crate) fn recent(
        &self,
        since: Timestamp,
        most: usize,
        tell: &mut dyn FnMut(Fingerprint, Timestamp),
    ) -> Result<(), ReadError> {
        let segments = self.segments();
        let accepted = self.accepted();
        let (mut first, mut records) = (segments.len(), 0);
        while let Some(at) = first.checked_sub(1)
            && records < most as u64
        {
            // A segment's records came before the next one was begun. A clock that was set back makes this miss some.
            if segments.get(at + 1).and_then(|(next, _)| next.created).is_some_and(|created| created < since) {
                break;
            }
            records += accepted.get(&segments[at].0.base).copied().flatten().unwrap_or(0);
            first = at;
        }
        for (segment, end) in &segments[first..] {
            let mut entries = self.entries(segment, *end).map_err(|error| failed(segment, error))?;
            entries.retain(|entry| entry.fingerprint != 0 && entry.received_at() >= since);
            entries.sort_unstable_by_key(|entry| entry.place);
            entries.iter().for_each(|entry| tell(Fingerprint(entry.fingerprint), entry.received_at()));
        }
        Ok(())
    }

    /// How many records of this pipeline stood in a gap, where indexes and tallies account for everything in it. Where the
    /// gap begins within a segment that was dropped long ago, at least how many.
    pub(crate) fn lost(&self, gap: &Gap, name: &str) -> Option<u64> {
        let (from, to) = (gap.from.offset, gap.to.offset);
        let all = self.counted(from, to, None)?;
        if all.exact && gap.records.is_some_and(|records| records != all.records) {
            return None;
        }
        self.counted(from, to, Some(pipeline(name))).map(|own| own.records)
    }

    /// How many records stood between two positions, where that is known exactly.
    pub(crate) fn count(&self, from: u64, to: u64) -> Option<u64> {
        self.counted(from, to, None).filter(|counted| counted.exact).map(|counted| counted.records)
    }

    /// Whether all segments between two positions that are not there were dropped or are unknown: none is missing.
    pub(crate) fn was_dropped(&self, from: u64, to: u64) -> bool {
        let dropped = lock(&self.dropped);
        lock(&self.orphans).range(..to).all(|(base, about)| about.end < from || dropped.get(*base).is_some())
    }

    fn counted(&self, from: u64, to: u64, pipeline: Option<u32>) -> Option<Counted> {
        let mut bases = self.accepted();
        let dropped = lock(&self.dropped).clone();
        for base in lock(&self.orphans).keys().copied().chain(dropped.bases()) {
            bases.entry(base).or_insert(None);
        }
        let (first, _) = bases.range(..=from).next_back()?;
        let mut counted = Counted { records: 0, exact: true };
        for (base, accepted) in bases.range(*first..to) {
            let tally = dropped.get(*base);
            if let Some(tally) = tally.filter(|tally| *base >= from && tally.end <= to) {
                counted.records += tally.records(pipeline);
                continue;
            }
            let Some(entries) = self.known(*base) else {
                // A tally says nothing of a part.
                tally?;
                counted.exact = false;
                continue;
            };
            // An index that was made after the damage does not know of what the damage took.
            if accepted.is_some_and(|accepted| accepted != entries.len() as u64) {
                return None;
            }
            let inside = |entry: &&Entry| {
                (from..to).contains(&(base + u64::from(entry.place)))
                    && pipeline.is_none_or(|pipeline| entry.pipeline == pipeline)
            };
            counted.records += entries.iter().filter(inside).count() as u64;
        }
        Some(counted)
    }

    fn known(&self, base: u64) -> Option<Vec<Entry>> {
        match self.with_fresh(base, <[Entry]>::to_vec) {
            Some(entries) => Some(entries),
            None => Index::open(&Index::path_in(&self.dir, base)).ok()??.entries().ok()?,
        }
    }

    /// How many records each segment was given, where that is known, by base.
    fn accepted(&self) -> BTreeMap<u64, Option<u64>> {
        let segments = self.segments();
        let runnings = segments.iter().skip(1).map(|(next, _)| next.running).chain([Some(self.tail().running)]);
        let accepted = segments.iter().zip(runnings).map(|((segment, _), after)| {
            let accepted = after.zip(segment.running).map(|(after, before)| after.saturating_sub(before));
            (segment.base, accepted)
        });
        accepted.collect()
    }

    fn entries(&self, segment: &Segment, end: u64) -> io::Result<Vec<Entry>> {
        if let Some(fresh) = self.with_fresh(segment.base, <[Entry]>::to_vec) {
            return Ok(fresh);
        }
        match Index::of(&self.dir, segment)?.map(|index| index.entries()).transpose()?.flatten() {
            Some(entries) => Ok(entries),
            None => missing_is_empty(entries(segment, end)),
        }
    }

    /// The places in a segment at which a record with this fingerprint may stand, in their order.
    fn places(&self, segment: &Segment, end: u64, wanted: Fingerprint) -> io::Result<Vec<u64>> {
        let of = |entries: &[Entry]| -> Vec<u64> {
            entries.iter().filter(|entry| entry.fingerprint == wanted.0).map(|entry| entry.place.into()).collect()
        };
        if let Some(places) = self.with_fresh(segment.base, of) {
            return Ok(places);
        }
        let indexed = Index::of(&self.dir, segment)?.map(|index| index.find(wanted)).transpose()?.flatten();
        let mut places = match indexed {
            Some(entries) => of(&entries),
            None => of(&missing_is_empty(entries(segment, end))?),
        };
        places.sort_unstable();
        Ok(places)
    }

    fn read_one(self: &Arc<Self>, position: u64) -> Result<Option<Record>, ReadError> {
        // A block of one group: it is read for one record.
        let read = Cursor::new(Arc::clone(self), position, 1).read(self.tail())?;
        let Some(Read::Block(block)) = read else { return Ok(None) };
        Ok(block.records.into_iter().find(|(at, _)| at.offset == position).map(|(_, record)| record))
    }
}

/// A segment that has gone meanwhile holds nothing.
fn missing_is_empty(entries: io::Result<Vec<Entry>>) -> io::Result<Vec<Entry>> {
    match entries {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries,
    }
}

fn failed(segment: &Segment, error: io::Error) -> ReadError {
    ReadError::Io { file: segment.path.display().to_string().into(), source: Arc::new(error) }
}
