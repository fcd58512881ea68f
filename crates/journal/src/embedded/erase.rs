//! Erasure (J-8): what a predicate names is hidden at once, and then gone from the disk.
//!
//! 1. A [`Mask`] is put before every reader: from now on it yields `erased` records in the place of those that the
//!    predicate names. Only what was acknowledged before the call is covered, so a lane never passes over an event that
//!    stays in the journal.
//! 2. The segment that is appended to is ended, if it holds any of that.
//! 3. Each segment that holds a named record is written anew beside itself: every record keeps its position, as an
//!    erased one keeps its length; its bytes are zeros behind a head that tells kind, pipeline and time of arrival.
//!    The new file is synced, takes the name of the old one, and the folder is synced. A crash leaves one or the other,
//!    each whole; whoever asked was not answered, and asks again.
//! 4. The mask goes, and the answer comes.
//!
//! Bytes that are damaged cannot be judged, and may be the person's: they become zeros, and stay the gap that they were.
//! What a disk keeps of a removed file is beyond us; who must be sure of that encrypts the disk.

use std::io;
use std::sync::Arc;

use anole_event::{Head as RecordHead, Kind, OrderKey, Position, Record};
use bytes::Bytes;

use super::format::{GroupWriter, HEADER};
use super::segment::{Segment, SegmentFile};
use crate::disk::{self, File};
use crate::{EraseReply, Erased, Which};

/// About how many bytes are read at once.
const CHUNK: usize = 256 * 1024;

/// What is hidden from readers.
pub(crate) struct Mask {
    which: Which,
    /// Records at this position and behind it are not covered.
    pub(crate) end: u64,
}

/// An erasure under way.
#[derive(Debug)]
pub(crate) struct Erasing {
    pub(crate) mask: Arc<Mask>,
    /// Segments from this base on are still to be looked at.
    pub(crate) from: u64,
    /// What was erased so far.
    pub(crate) erased: Erased,
    /// Who waits.
    pub(crate) reply: EraseReply,
}

// === impl Erasing ===

impl Erasing {
    /// An erasure that has not begun.
    pub(crate) fn new(mask: Arc<Mask>, reply: EraseReply) -> Self {
        Self { mask, from: 0, erased: Erased::default(), reply }
    }
}

// === impl Mask ===

impl Mask {
    pub(crate) fn new(which: Which, end: u64) -> Self {
        Self { which, end }
    }

    /// Whether it covers this record.
    fn covers(&self, position: u64, record: &[u8]) -> bool {
        position < self.end
            && RecordHead::split(record)
                .is_ok_and(|(head, body)| head.kind != Kind::Erased && (self.which)(&head, body))
    }

    /// Replaces what it covers by erased records.
    pub(crate) fn apply(&self, records: &mut [(Position, Record)]) {
        for (position, record) in records {
            if self.covers(position.offset, record.bytes()) {
                *record = Record::from_bytes(erased(record.bytes()).into());
            }
        }
    }

    /// Writes a segment anew without what the mask covers, if it holds any of that; gives how many records that was.
    /// `end` is the position behind its last accepted group.
    pub(crate) fn rewrite(&self, segment: &Segment, end: u64) -> io::Result<u64> {
        let from = match segment.open() {
            Ok(file) => file,
            // What is not there holds nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        if !self.any(&from, segment, end)? {
            return Ok(0);
        }
        let unfinished = disk::unfinished(&segment.path);
        let written = self.write(&from, segment, end, &unfinished);
        let records = written.inspect_err(|_| {
            // An unfinished file does no harm, and the next start removes it.
            let _left = disk::remove(&unfinished);
        })?;
        disk::rename(&unfinished, &segment.path)?;
        let dir = segment.path.parent().unwrap_or(&segment.path);
        disk::sync_dir(dir)?;
        Ok(records)
    }

    fn any(&self, file: &SegmentFile, segment: &Segment, end: u64) -> io::Result<bool> {
        let mut at = segment.first();
        while at < end {
            let Some(groups) = file.groups(at, end, CHUNK, 0)? else {
                let Some(head) = file.find(at + 1, end)? else { return Ok(false) };
                at = head.position;
                continue;
            };
            if groups.records.iter().any(|(position, record)| self.covers(position.offset, record.bytes())) {
                return Ok(true);
            }
            at = groups.end;
        }
        Ok(false)
    }

    /// Writes the segment's new self under another name, and syncs it.
    fn write(&self, from: &SegmentFile, segment: &Segment, end: u64, path: &std::path::Path) -> io::Result<u64> {
        let to = File::create(path)?;
        // A header that was damaged stays so: it is made up for at each start from what follows.
        to.write_all_at(&from.header()?, 0)?;
        let (mut at, mut records) = (segment.first(), 0);
        while at < end {
            let Some(group) = from.group(at, end)? else {
                // Damaged: zeros, up to the next whole group.
                at = from.find(at + 1, end)?.map_or(end, |head| head.position);
                continue;
            };
            let mut bytes = Vec::with_capacity(group.head.total());
            let mut writer = GroupWriter::again(&mut bytes, &group.head);
            for (position, record) in &group.records {
                if self.covers(position.offset, record.bytes()) {
                    records += 1;
                    writer.push(&erased(record.bytes()));
                } else {
                    writer.push(record.bytes());
                }
            }
            writer.close();
            debug_assert_eq!(bytes.len(), group.head.total(), "an erased record keeps its length");
            to.write_all_at(&bytes, at - segment.base)?;
            at = group.head.end();
        }
        // Where the old file was short the new one is as long as that.
        to.set_len(from.end()?.min(end).max(segment.base + HEADER) - segment.base)?;
        to.sync_all()?;
        Ok(records)
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("end", &self.end).finish_non_exhaustive()
    }
}

/// The bytes that take the place of a record's, as many of them.
fn erased(record: &[u8]) -> Vec<u8> {
    let mut bytes = match RecordHead::split(record) {
        Ok((head, _)) => {
            let bare = RecordHead {
                kind: Kind::Erased,
                event_type: head.event_type,
                protocol: "",
                received_at: head.received_at,
                order_key: OrderKey(0),
                fingerprint: anole_event::Fingerprint(0),
                pipeline: head.pipeline,
                name: "",
                source_name: "",
            };
            Record::new(&bare, b"").bytes().to_vec()
        }
        // Only what has a head is ever covered.
        Err(_) => Vec::new(),
    };
    bytes.resize(record.len(), 0);
    bytes
}

/// A group with its records.
pub(crate) struct Group {
    pub(crate) head: super::format::Head,
    pub(crate) records: Vec<(Position, Record)>,
}

// === impl SegmentFile ===

impl SegmentFile {
    /// The one whole, unharmed group at this position.
    fn group(&self, at: u64, end: u64) -> io::Result<Option<Group>> {
        let Some(head) = self.head(at)?.filter(|head| head.end() <= end) else { return Ok(None) };
        let payload = Bytes::from(self.payload(&head)?);
        let mut records = Vec::with_capacity(head.count as usize);
        let good = head.fits(&payload) && head.records(&payload, 0, &mut records).is_some();
        Ok(good.then_some(Group { head, records }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erased_record_keeps_its_length_and_tells_only_pipeline_and_time() {
        let record = crate::conformance::record(7);
        let bytes = erased(record.bytes());
        assert_eq!(bytes.len(), record.bytes().len());
        let before = record.head().unwrap();
        let (head, body) = RecordHead::split(&bytes).unwrap();
        assert_eq!((head.kind, head.pipeline, head.received_at), (Kind::Erased, before.pipeline, before.received_at));
        assert_eq!((head.fingerprint.0, head.order_key.0, head.name), (0, 0, ""));
        assert!(body.iter().all(|byte| *byte == 0));
    }
}
