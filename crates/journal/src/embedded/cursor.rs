//! Reads on from a position, block by block, across segments and over damage. Blocking; holds one block.
//!
//! How it finds the group in which a position lies: most positions that are asked for are where a block ended, so a head
//! stands right there. Else it looks a little back for any head, and steps from head to head to the position. An index
//! of groups in memory was not chosen: it would have to be built for segments that this process did not write, and a
//! look 256 KiB back costs a tenth of a millisecond.

use std::io;
use std::sync::Arc;

use anole_event::Position;

use super::format::{HEAD, Head, MAX_PAYLOAD};
use super::log::{Log, Place, Tail};
use super::segment::{Segment, SegmentFile};
use crate::{Block, Gap, GapReason, Read, ReadError};

/// How far back a head is looked for first, and then: a group has at most that many bytes.
const BACK: [u64; 2] = [256 * 1024, (MAX_PAYLOAD + HEAD) as u64];

/// A place in the log, and what is needed to read on there.
#[derive(Debug)]
pub(crate) struct Cursor {
    log: Arc<Log>,
    /// Records before it are passed over.
    from: u64,
    /// Where the next group is expected.
    at: u64,
    /// How many records were accepted before `at`, where that is known: what makes gaps exact.
    running: Option<u64>,
    /// Whether `at` is where a group begins, or should.
    placed: bool,
    open: Option<(Arc<Segment>, SegmentFile)>,
    block_bytes: usize,
}

/// The stretch of one segment in which a cursor reads.
struct Stretch {
    segment: Arc<Segment>,
    /// The position behind the last accepted group.
    limit: u64,
    /// Where to read on behind the limit.
    then: u64,
    /// How many records were accepted up to the limit.
    running: Option<u64>,
}

// === impl Cursor ===

impl Cursor {
    /// A cursor at `from`, or at the end when that lies before it.
    pub(crate) fn new(log: Arc<Log>, from: u64, block_bytes: usize) -> Self {
        let from = from.min(log.tail().end);
        Self { log, from, at: from, running: None, placed: false, open: None, block_bytes }
    }

    /// Where it reads on.
    pub(crate) fn position(&self) -> u64 {
        self.from.max(self.at)
    }

    /// Whether what it reads next was written so lately that it is in memory, and no search is needed.
    pub(crate) const fn is_warm(&self, tail: Tail) -> bool {
        // What the operating system keeps of files is counted in hundreds of megabytes on the smallest machine.
        self.placed && self.open.is_some() && tail.end - self.at <= 8 * 1024 * 1024
    }

    /// The next block or gap before the tail.
    pub(crate) fn read(&mut self, tail: Tail) -> Result<Option<Read>, ReadError> {
        // Taken before a segment is looked up: who still reads the old file of one that is being erased has the mask.
        let masks = self.log.masks();
        let mut read = self.read_on(tail)?;
        if let Some(Read::Block(block)) = &mut read {
            masks.iter().for_each(|mask| mask.apply(&mut block.records));
        }
        Ok(read)
    }

    fn read_on(&mut self, tail: Tail) -> Result<Option<Read>, ReadError> {
        while self.at < tail.end {
            let (segment, limit, running, next) = match self.log.locate(self.at, tail) {
                Place::In { segment, limit, running, next } => (segment, limit, running, next),
                Place::Before(first) => match self.enter(&first) {
                    Some(gap) => return Ok(Some(Read::Gap(gap))),
                    None => continue,
                },
                Place::Nowhere => {
                    self.settle(tail.end, Some(tail.running));
                    continue;
                }
            };
            if self.at >= limit {
                // Positions between a segment's end and the next base were never given to a record.
                let Some(next) = next else { return Ok(None) };
                self.settle(next.base, next.running);
                continue;
            }
            if self.at < segment.first() {
                self.settle(segment.first(), segment.running);
                continue;
            }
            let then = next.as_ref().map_or(limit, |next| next.base);
            if let Some(read) = self.read_in(&Stretch { segment, limit, then, running })? {
                return Ok(Some(read));
            }
        }
        Ok(None)
    }

    const fn settle(&mut self, at: u64, running: Option<u64>) {
        self.at = at;
        self.running = running;
        self.placed = true;
    }

    /// Goes to the first segment from before it.
    fn enter(&mut self, first: &Segment) -> Option<Gap> {
        let from = self.position();
        // Who has read up to here, or asked for the very beginning, knows how much is gone; others ask the indexes.
        let before = if from == 0 { Some(0) } else { self.running.filter(|_| self.placed && self.at == from) };
        let between = first.running.zip(before).map(|(after, before)| after.saturating_sub(before));
        let records = between.or_else(|| self.log.count(from, first.base));
        self.settle(first.base, first.running);
        let dropped = self.log.was_dropped(from, first.base);
        let reason = if dropped { GapReason::Trimmed } else { GapReason::Missing };
        (records != Some(0)).then(|| gap(from, first.base, records, reason))
    }

    /// The next block or gap in this stretch; `None` when the cursor moved without finding either.
    fn read_in(&mut self, stretch: &Stretch) -> Result<Option<Read>, ReadError> {
        let file = match self.file(&stretch.segment) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.pass(stretch, stretch.then, stretch.running, GapReason::Missing));
            }
            Err(error) => return Err(read_error(&stretch.segment, error)),
        };
        let read = self.read_from(&file, stretch).map_err(|error| read_error(&stretch.segment, error));
        self.open = Some((Arc::clone(&stretch.segment), file));
        read
    }

    /// The segment's file, opened when it is not the one that is open.
    fn file(&mut self, segment: &Arc<Segment>) -> io::Result<SegmentFile> {
        match self.open.take() {
            Some((open, file)) if Arc::ptr_eq(&open, segment) => Ok(file),
            _ => segment.open(),
        }
    }

    fn read_from(&mut self, file: &SegmentFile, stretch: &Stretch) -> io::Result<Option<Read>> {
        if !self.placed {
            self.seek(file, stretch)?;
        }
        if let Some(groups) = file.groups(self.at, stretch.limit, self.block_bytes, self.from)? {
            self.settle(groups.end, Some(groups.running));
            let next = Position::at(self.at);
            let block = Block { partition: 0, records: groups.records, next };
            return Ok((!block.records.is_empty()).then_some(Read::Block(block)));
        }
        let reason = if self.at >= file.end()? { GapReason::Missing } else { GapReason::Damaged };
        match file.find(self.at + 1, stretch.limit)? {
            Some(head) => Ok(self.pass(stretch, head.position, Some(head.running), reason)),
            None => Ok(self.pass(stretch, stretch.then, stretch.running, reason)),
        }
    }

    /// Passes over what cannot be read, up to `to`. Where nothing was lost there is no gap.
    fn pass(&mut self, stretch: &Stretch, to: u64, running: Option<u64>, reason: GapReason) -> Option<Read> {
        let lost = running.zip(self.running).map(|(after, before)| after.saturating_sub(before));
        let (start, from) = (self.at, self.position());
        self.settle(to, running);
        if lost == Some(0) || from >= to {
            return None;
        }
        let what = match reason {
            GapReason::Missing => "the end of the segment, or a segment behind it, is missing",
            GapReason::Damaged | GapReason::Trimmed => "bytes in the segment are not what was written",
        };
        self.log.say_damage(&stretch.segment, start, what, lost);
        // From within a group that cannot be read only an index knows how many of its records come behind.
        let records = match lost.filter(|_| from == start) {
            None => self.log.count(from, to).filter(|held| lost.is_none_or(|most| *held <= most)),
            known => known,
        };
        Some(Read::Gap(gap(from, to, records, reason)))
    }

    /// Places the cursor on the group in which it lies.
    fn seek(&mut self, file: &SegmentFile, stretch: &Stretch) -> io::Result<()> {
        let first = stretch.segment.first();
        if let Some(head) = file.head(self.at)? {
            self.settle(self.at, Some(head.running));
            return Ok(());
        }
        for back in BACK {
            let start = self.at.saturating_sub(back).max(first);
            if let Some(head) = file.find(start, stretch.limit)?.filter(|head| head.position <= self.at) {
                return self.walk(file, stretch, head);
            }
            if start == first {
                break;
            }
        }
        // Nothing that can be read stands before it: what is here counts as damaged from there on.
        let start = self.at.saturating_sub(BACK[1]).max(first);
        self.settle(start, stretch.segment.running.filter(|_| start == first));
        Ok(())
    }

    /// Steps from head to head until the group in which the cursor lies.
    fn walk(&mut self, file: &SegmentFile, stretch: &Stretch, mut head: Head) -> io::Result<()> {
        let target = self.at;
        while head.end() <= target {
            match file.head(head.end())? {
                Some(next) => head = next,
                None => match file.find(head.end() + 1, stretch.limit)?.filter(|next| next.position <= target) {
                    Some(next) => head = next,
                    None => {
                        self.settle(head.end(), Some(head.running_after()));
                        return Ok(());
                    }
                },
            }
        }
        self.settle(head.position, Some(head.running));
        Ok(())
    }
}

fn gap(from: u64, to: u64, records: Option<u64>, reason: GapReason) -> Gap {
    Gap { from: Position::at(from), to: Position::at(to), records, reason }
}

fn read_error(segment: &Segment, error: io::Error) -> ReadError {
    ReadError::Io { file: segment.path.display().to_string().into(), source: Arc::new(error) }
}
