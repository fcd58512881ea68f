//! One segment: what is known of it, and how its groups are read.
//!
//! A segment does not know where it ends: the header of the *next* one says so (`previous_end`), and for the last one the
//! durable end of the journal does. Everything that can go wrong with a file's end follows from that one rule. Groups
//! that were written but never accepted (their sync failed) lie behind the end and are not read. A file that is too
//! short, or a missing file, leaves a stretch before the end that cannot be read: a gap.

use std::io;
use std::path::{Path, PathBuf};

use anole_event::{Position, Record, Timestamp};
use bytes::Bytes;

use super::format::{GROUP_MAGIC, HEAD, HEADER, Head, Header};
use crate::AckLevel;
use crate::disk::File;

/// The greatest base. Nobody writes so much; a name or a number beyond it is an accident, and sums must not overflow.
pub(crate) const MAX_BASE: u64 = 1 << 62;
/// What is read at once when a group is looked for.
const CHUNK: usize = 256 * 1024;
/// Space that is reserved and not written reads so; whole chunks of it are told by one comparison.
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// What is known of a segment. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The position of its first byte.
    pub(crate) base: u64,
    /// What tells its groups from those of any other file.
    pub(crate) file_id: u64,
    /// How many records were accepted before it; unknown where its header is damaged and its first group too.
    pub(crate) running: Option<u64>,
    /// Where the segment before it ends.
    pub(crate) previous_end: u64,
    /// When it was begun; unknown where its header is damaged.
    pub(crate) created: Option<Timestamp>,
    /// The level at which it was written; unknown where its header is damaged.
    pub(crate) ack: Option<AckLevel>,
    /// Its file.
    pub(crate) path: PathBuf,
}

/// An open segment, for reading.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    file: File,
    base: u64,
    /// `None` only while a damaged header is made up for.
    file_id: Option<u64>,
}

/// Whole, unharmed groups that follow each other.
#[derive(Debug)]
pub(crate) struct Groups {
    /// Their records, from the position on that was asked for.
    pub(crate) records: Vec<(Position, Record)>,
    /// The position behind them.
    pub(crate) end: u64,
    /// How many records were accepted up to there.
    pub(crate) running: u64,
    /// How many groups that is.
    pub(crate) count: u64,
    /// Where the round began in which the last of them was written.
    pub(crate) round: u64,
}

/// What a segment's file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The position behind its last whole group.
    pub(crate) end: u64,
    /// How many records were accepted up to there, where that is known.
    pub(crate) running: Option<u64>,
    /// Stretches before the end that cannot be read.
    pub(crate) damage: Vec<Damage>,
    /// How many bytes stand behind the end, zeros at the end of the file not counted.
    pub(crate) torn: u64,
}

/// A stretch within a segment that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Its first position.
    pub(crate) from: u64,
    /// How many records stood in it, as far as that is known.
    pub(crate) records: Option<u64>,
}

// === impl Segment ===

impl Segment {
    /// The segment of this header.
    pub(crate) fn new(header: &Header, path: PathBuf) -> Self {
        Self {
            base: header.base,
            file_id: header.file_id,
            running: Some(header.running),
            previous_end: header.previous_end,
            created: Some(header.created),
            ack: Some(header.ack),
            path,
        }
    }

    /// The position of its first group.
    pub(crate) const fn first(&self) -> u64 {
        self.base + HEADER
    }

    /// Opens it for reading.
    pub(crate) fn open(&self) -> io::Result<SegmentFile> {
        Ok(SegmentFile::new(File::read(&self.path)?, self.base, Some(self.file_id)))
    }

    /// The name of the file of a segment with this base. Padded, so that names sort as positions do.
    pub(crate) fn file_name(base: u64) -> String {
        format!("{base:020}.segment")
    }

    /// The base that a file's name tells, when it is the name of a segment.
    pub(crate) fn base_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".segment")?;
        (digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| digits.parse().ok())?
            .filter(|base| *base <= MAX_BASE)
    }

    /// The file of a segment with this base.
    pub(crate) fn path_in(dir: &Path, base: u64) -> PathBuf {
        dir.join(Self::file_name(base))
    }
}

// === impl SegmentFile ===

impl SegmentFile {
    /// A segment's file with what its groups must name.
    pub(crate) const fn new(file: File, base: u64, file_id: Option<u64>) -> Self {
        Self { file, base, file_id }
    }

    /// The position behind the file's last byte.
    pub(crate) fn end(&self) -> io::Result<u64> {
        Ok(self.base + self.file.len()?)
    }

    /// The head at this position, when one is there.
    pub(crate) fn head(&self, position: u64) -> io::Result<Option<Head>> {
        let bytes = self.file.read_at(position - self.base, HEAD)?;
        Ok(Head::decode(&bytes, position, self.file_id))
    }

    /// The groups from `at` on that end by `limit`, about `most` bytes of them but at least one, with their records from
    /// position `from` on. `None` when no whole, unharmed group stands at `at`.
    pub(crate) fn groups(&self, at: u64, limit: u64, most: usize, from: u64) -> io::Result<Option<Groups>> {
        let left = usize::try_from(limit.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = self.file.read_at(at - self.base, most.max(HEAD).min(left))?;
        let Some(first) = Head::decode(&bytes, at, self.file_id) else { return Ok(None) };
        if first.total() > bytes.len() {
            if first.total() > left {
                return Ok(None);
            }
            bytes = self.file.read_at(at - self.base, first.total())?;
        }
        let bytes = Bytes::from(bytes);
        let mut groups = Groups { records: Vec::new(), end: at, running: first.running, count: 0, round: at };
        let mut done = 0;
        while let Some(head) = Head::decode(&bytes[done..], groups.end, self.file_id) {
            let Some(end) = done.checked_add(head.total()).filter(|end| *end <= bytes.len()) else { break };
            let payload = bytes.slice(done + HEAD..end);
            if !head.fits(&payload) || head.records(&payload, from, &mut groups.records).is_none() {
                break;
            }
            groups.end = head.end();
            groups.running = head.running_after();
            groups.round = head.round();
            groups.count += 1;
            done = end;
        }
        Ok((done > 0).then_some(groups))
    }

    /// The head of the first whole, unharmed group that begins at `from` or behind it and ends by `limit`.
    pub(crate) fn find(&self, from: u64, limit: u64) -> io::Result<Option<Head>> {
        let mut at = from;
        while at + HEAD as u64 <= limit {
            let bytes = self.file.read_at(at - self.base, CHUNK)?;
            if bytes.len() < HEAD {
                return Ok(None);
            }
            if bytes == ZEROS {
                at += CHUNK as u64;
                continue;
            }
            // What begins in the last bytes of a chunk is looked at again as part of the next.
            let starts = bytes.len() - HEAD + 1;
            for start in candidates(&bytes, starts) {
                let position = at + start as u64;
                if let Some(head) = Head::decode(&bytes[start..], position, self.file_id)
                    && head.end() <= limit
                    && self.is_whole(&head)?
                {
                    return Ok(Some(head));
                }
            }
            at += starts as u64;
        }
        Ok(None)
    }

    /// The bytes of the header, as they are.
    pub(crate) fn header(&self) -> io::Result<Vec<u8>> {
        self.file.read_at(0, HEADER as usize)
    }

    /// The bytes behind a head; fewer where the file ends.
    pub(crate) fn payload(&self, head: &Head) -> io::Result<Vec<u8>> {
        self.file.read_at(head.position - self.base + HEAD as u64, head.length as usize)
    }

    fn is_whole(&self, head: &Head) -> io::Result<bool> {
        let payload = self.payload(head)?;
        Ok(head.fits(&payload) && head.records(&Bytes::from(payload), u64::MAX, &mut Vec::new()).is_some())
    }

    /// Reads the whole file to see where it ends, and hands each record to `note`. For the last segment, whose end no other
    /// one tells.
    ///
    /// What is written in one round reaches the disk in any order, so of a round that was cut off a later group may be
    /// there without an earlier one. That is no damage but a torn tail: nothing of it was acknowledged. It is told from
    /// damage by three signs: whole groups behind the bad stretch are all of one round, that round began no later than the
    /// stretch, and nothing behind `acknowledged` proves that it was answered. Where there is no `acknowledged`, rounds
    /// were answered unsynced, and every bad stretch counts. Records behind the end that is found may have been noted.
    pub(crate) fn extent(
        &self,
        running: Option<u64>,
        acknowledged: Option<u64>,
        mut note: impl FnMut(u64, &Record),
    ) -> io::Result<Extent> {
        let limit = self.end()?;
        let mut extent = Extent { end: self.base + HEADER, running, ..Extent::default() };
        // How it ends should no later round follow.
        let mut torn: Option<Extent> = None;
        loop {
            if let Some(groups) = self.groups(extent.end, limit, CHUNK, 0)? {
                groups.records.iter().for_each(|(position, record)| note(position.offset, record));
                extent.end = groups.end;
                extent.running = Some(groups.running);
                torn = torn.filter(|torn| groups.round <= torn.end);
            } else if let Some(head) = self.find(extent.end + 1, limit)? {
                torn = torn.filter(|torn| head.round() <= torn.end);
                if torn.is_none() && head.round() <= extent.end && acknowledged.is_some_and(|end| end <= extent.end) {
                    torn = Some(extent.clone());
                }
                let records = extent.running.and_then(|running| head.running.checked_sub(running));
                extent.damage.push(Damage { from: extent.end, records });
                extent.end = head.position;
                extent.running = Some(head.running);
            } else {
                let mut extent = torn.unwrap_or(extent);
                extent.torn = self.written_end(extent.end)?.saturating_sub(extent.end);
                return Ok(extent);
            }
        }
    }

    /// The position behind the last byte that is not zero; `from` when there is none behind it.
    fn written_end(&self, from: u64) -> io::Result<u64> {
        let (mut at, mut end) = (from, from);
        loop {
            let bytes = self.file.read_at(at - self.base, CHUNK)?;
            if bytes != ZEROS
                && let Some(last) = bytes.iter().rposition(|byte| *byte != 0)
            {
                end = at + last as u64 + 1;
            }
            if bytes.len() < CHUNK {
                return Ok(end);
            }
            at += CHUNK as u64;
        }
    }
}

/// The places before `starts` at which a group may begin.
fn candidates(bytes: &[u8], starts: usize) -> impl Iterator<Item = usize> {
    bytes.windows(GROUP_MAGIC.len()).take(starts).enumerate().filter(|(_, four)| *four == GROUP_MAGIC).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::super::format::GroupWriter;
    use super::*;

    #[test]
    fn a_group_is_found_wherever_it_lies_across_what_is_read_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(&dir.path().join("segment")).unwrap();
        let base = 1 << 33;
        let noise = vec![b'A'; 3 * CHUNK];
        for start in [HEADER as usize, CHUNK - HEAD, CHUNK - HEAD + 1, CHUNK - 20, CHUNK - 1, CHUNK, 2 * CHUNK - 95] {
            let position = base + start as u64;
            let mut group = Vec::new();
            let mut writer = GroupWriter::new(&mut group, position, 9, 4);
            writer.push(&[b'r'; 3000]);
            writer.close();
            for fill in [&noise[..], &vec![0; 3 * CHUNK]] {
                file.write_all_at(fill, 0).unwrap();
                file.write_all_at(&group, start as u64).unwrap();
                let segment = SegmentFile::new(File::read(&dir.path().join("segment")).unwrap(), base, Some(9));
                let limit = segment.end().unwrap();
                assert_eq!(segment.find(base, limit).unwrap().map(|head| head.position), Some(position), "{start}");
                let end = position + group.len() as u64;
                assert!(segment.find(base, end).unwrap().is_some(), "it ends right at the limit");
                assert!(segment.find(base, end - 1).unwrap().is_none(), "it ends behind the limit");
                assert!(segment.find(position + 1, limit).unwrap().is_none());
            }
        }
    }

    #[test]
    fn only_names_of_segments_tell_a_base() {
        assert_eq!(Segment::base_of(&Segment::file_name(4096)), Some(4096));
        assert_eq!(Segment::base_of(&Segment::file_name(MAX_BASE)), Some(MAX_BASE));
        for name in ["4096.segment", "0000000000000000409x.segment", "18446744073709551615.segment", "x", ".segment"] {
            assert_eq!(Segment::base_of(name), None, "{name}");
        }
    }
}
