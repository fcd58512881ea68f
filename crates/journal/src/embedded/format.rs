//! The bytes of a segment. `docs/journal-format.md` describes them for whoever wants to read them without us.
//!
//! A segment is a header and groups. A group is a head and records, each behind its length. Everything is little-endian.
//!
//! Why a group and not a record is the unit: what one sync covers is whole or absent, one checksum costs less than many,
//! and a request's records stay together. Why the head names its own position and the segment's file id: bytes of another
//! file, of another place, or of a file that stood here before can then never pass, however well their checksums match.
//! Why there are two checksums: the head's own lets a reader trust the length and step from head to head without reading
//! what lies between. A group inside a record's body cannot be mistaken for one either: its writer would have to know
//! the file id, which is never told.

use anole_event::{Position, Record, Timestamp};
use bytes::Bytes;

use crate::AckLevel;

/// How many bytes a segment's header has.
pub(crate) const HEADER: u64 = 64;
/// How many bytes a group's head has.
pub(crate) const HEAD: usize = 48;
/// How many bytes stand before each record: its length.
pub(crate) const SLOT: usize = 4;
/// How many bytes of records a group may have at most. A limit of the format.
pub(crate) const MAX_PAYLOAD: usize = 16 * 1024 * 1024;
/// The version of the format.
pub(crate) const VERSION: u16 = 1;
/// What a group begins with.
pub(crate) const GROUP_MAGIC: [u8; 4] = *b"AGRP";

/// As many bytes before a group, or more.
const FAR: u32 = (1 << 24) - 1;
const SEGMENT_MAGIC: [u8; 8] = *b"ANOLEJNL";

/// What stands at the start of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The level at which it was written.
    pub(crate) ack: AckLevel,
    /// The position of its first byte.
    pub(crate) base: u64,
    /// What tells it from any other file.
    pub(crate) file_id: u64,
    /// How many records were accepted before it, in all the life of the journal.
    pub(crate) running: u64,
    /// Where the segment before it ends. What that file holds behind it was never accepted.
    pub(crate) previous_end: u64,
    /// When it was begun.
    pub(crate) created: Timestamp,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// They are whole, but of a later version.
    Version(u16),
    /// They are not what was written.
    Damaged,
}

/// What stands at the start of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many bytes of records follow.
    pub(crate) length: u32,
    /// How many records that is.
    pub(crate) count: u32,
    /// How many bytes of groups stand before it that were written and synced together with it. At the torn end of a
    /// segment it tells what was never acknowledged from what was damaged later.
    pub(crate) before: u32,
    /// The position of the head's first byte.
    pub(crate) position: u64,
    /// How many records were accepted before it, in all the life of the journal.
    pub(crate) running: u64,
    /// The segment's.
    pub(crate) file_id: u64,
    /// The checksum of the records and their lengths.
    pub(crate) checksum: u32,
}

/// Puts records into groups, one after the other, in one buffer.
#[derive(Debug)]
pub(crate) struct GroupWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The position of the buffer's first byte.
    start: u64,
    file_id: u64,
    running: u64,
    /// How many bytes of the round stand before the buffer's first byte.
    before: u32,
    /// Where in the buffer the open group begins.
    open: Option<usize>,
    count: u32,
}

// === impl Header ===

impl Header {
    /// Its bytes.
    pub(crate) fn encode(&self) -> [u8; HEADER as usize] {
        let mut bytes = [0; HEADER as usize];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = match self.ack {
            AckLevel::Fsync => 1,
            AckLevel::Write => 2,
            AckLevel::Memory => 3,
        };
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.file_id.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.running.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.previous_end.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.created.micros().to_le_bytes());
        let checksum = Self::checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads them. The checksum is judged before the version, and every later version must keep it where it is: else a
    /// flipped bit in the version would look like a newer anole, and we would refuse to start over damage.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, NoHeader> {
        let bytes: &[u8; HEADER as usize] = bytes.first_chunk().ok_or(NoHeader::Damaged)?;
        if bytes[..8] != SEGMENT_MAGIC || u32_at(bytes, 12) != Self::checksum(bytes) {
            return Err(NoHeader::Damaged);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(NoHeader::Version(version));
        }
        let ack = match bytes[10] {
            1 => AckLevel::Fsync,
            2 => AckLevel::Write,
            3 => AckLevel::Memory,
            _ => return Err(NoHeader::Damaged),
        };
        Ok(Self {
            ack,
            base: u64_at(bytes, 16),
            file_id: u64_at(bytes, 24),
            running: u64_at(bytes, 32),
            previous_end: u64_at(bytes, 40),
            created: Timestamp::from_micros(u64_at(bytes, 48).cast_signed()),
        })
    }

    fn checksum(bytes: &[u8; HEADER as usize]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
    }
}

// === impl Head ===

impl Head {
    fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&GROUP_MAGIC);
        bytes[8..12].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.count.to_le_bytes());
        // 20 is zero: the way in which the records are packed, for a later version.
        bytes[21..24].copy_from_slice(&self.before.min(FAR).to_le_bytes()[..3]);
        bytes[24..32].copy_from_slice(&self.position.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.running.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.file_id.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The head that stands at `position`, or nothing when there is none. `file_id` is `None` only where the segment's
    /// header is damaged and its groups have to tell it.
    pub(crate) fn decode(bytes: &[u8], position: u64, file_id: Option<u64>) -> Option<Self> {
        let bytes: &[u8; HEAD] = bytes.first_chunk()?;
        if bytes[..4] != GROUP_MAGIC || u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return None;
        }
        let head = Self {
            checksum: u32_at(bytes, 8),
            length: u32_at(bytes, 12),
            count: u32_at(bytes, 16),
            before: u32_at(bytes, 20) >> 8,
            position: u64_at(bytes, 24),
            running: u64_at(bytes, 32),
            file_id: u64_at(bytes, 40),
        };
        let placed = head.position == position && file_id.is_none_or(|id| id == head.file_id);
        let sane = head.count > 0 && head.length as usize <= MAX_PAYLOAD && bytes[20] == 0;
        (placed && sane).then_some(head)
    }

    /// How many bytes the group has with its head.
    pub(crate) const fn total(&self) -> usize {
        HEAD + self.length as usize
    }

    /// The position behind the group.
    pub(crate) const fn end(&self) -> u64 {
        self.position + self.total() as u64
    }

    /// Where the round began in which the group was written; the group's own position where that is too far away.
    pub(crate) fn round(&self) -> u64 {
        if self.before == FAR { self.position } else { self.position.saturating_sub(self.before.into()) }
    }

    /// How many records were accepted up to the group's end.
    pub(crate) const fn running_after(&self) -> u64 {
        self.running + self.count as u64
    }

    /// Whether these are the group's records, unharmed.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32c::crc32c(payload) == self.checksum
    }

    /// Takes the group's records apart and adds those at `from` or behind it to `records`; they share the payload's
    /// memory. `None`, and nothing added, when lengths and count do not add up.
    pub(crate) fn records(&self, payload: &Bytes, from: u64, records: &mut Vec<(Position, Record)>) -> Option<()> {
        let before = records.len();
        let mut at = 0;
        for _ in 0..self.count {
            let Some(end) = slot_end(payload, at) else {
                records.truncate(before);
                return None;
            };
            let position = self.position + (HEAD + at) as u64;
            if position >= from {
                records.push((Position::at(position), Record::from_bytes(payload.slice(at + SLOT..end))));
            }
            at = end;
        }
        if at != payload.len() {
            records.truncate(before);
            return None;
        }
        Some(())
    }
}

/// Where the record that begins at `at` ends.
fn slot_end(payload: &[u8], at: usize) -> Option<usize> {
    let length = payload.get(at..at + SLOT).map(|length| u32_at(length, 0) as usize)?;
    at.checked_add(SLOT + length).filter(|end| *end <= payload.len())
}

// === impl GroupWriter ===

impl<'a> GroupWriter<'a> {
    /// A writer into an empty buffer whose first byte will stand at `start`.
    pub(crate) const fn new(out: &'a mut Vec<u8>, start: u64, file_id: u64, running: u64) -> Self {
        Self { out, start, file_id, running, before: 0, open: None, count: 0 }
    }

    /// A writer into an empty buffer that writes one group anew, in its place.
    pub(crate) const fn again(out: &'a mut Vec<u8>, head: &Head) -> Self {
        let Head { position: start, file_id, running, before, .. } = *head;
        Self { out, start, file_id, running, before, open: None, count: 0 }
    }

    /// How many bytes of records the open group has.
    pub(crate) fn payload(&self) -> usize {
        self.open.map_or(0, |open| self.out.len() - open - HEAD)
    }

    /// Adds a record to the open group and gives its position.
    pub(crate) fn push(&mut self, record: &[u8]) -> Position {
        if self.open.is_none() {
            self.open = Some(self.out.len());
            self.out.resize(self.out.len() + HEAD, 0);
        }
        let position = self.start + self.out.len() as u64;
        // A record's length was held against the limit of a group when it was handed in.
        self.out.extend_from_slice(&u32::try_from(record.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.out.extend_from_slice(record);
        self.count += 1;
        Position::at(position)
    }

    /// Ends the open group, when there is one.
    pub(crate) fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let payload = &self.out[open + HEAD..];
        let head = Head {
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            count: self.count,
            before: self.before.saturating_add(u32::try_from(open).unwrap_or(u32::MAX)).min(FAR),
            position: self.start + open as u64,
            running: self.running,
            file_id: self.file_id,
            checksum: crc32c::crc32c(payload),
        };
        self.out[open..open + HEAD].copy_from_slice(&head.encode());
        self.running = head.running_after();
        self.count = 0;
    }

    /// How many records were accepted up to the last closed group's end.
    pub(crate) const fn running(&self) -> u64 {
        self.running
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            ack: AckLevel::Write,
            base: 1 << 40,
            file_id: 7,
            running: 9,
            previous_end: 11,
            created: Timestamp::from_micros(-3),
        }
    }

    #[test]
    fn a_header_reads_back_and_no_flipped_bit_passes() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), Err(NoHeader::Damaged), "bit {bit}");
        }
        assert_eq!(Header::decode(&bytes[..63]), Err(NoHeader::Damaged));
    }

    #[test]
    fn a_whole_header_of_a_later_version_is_told_from_damage() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        let checksum = Header::checksum(&bytes);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(NoHeader::Version(2)));
    }

    #[test]
    fn groups_read_back_and_pass_only_in_their_file_at_their_place() {
        let mut out = Vec::new();
        let mut writer = GroupWriter::new(&mut out, 1000, 5, 40);
        let one = writer.push(b"one");
        let empty = writer.push(b"");
        assert_eq!(writer.payload(), 4 + 3 + 4);
        writer.close();
        writer.close();
        let three = writer.push(b"three");
        writer.close();
        assert_eq!(writer.running(), 43);

        let first = Head::decode(&out, 1000, Some(5)).expect("the first group");
        assert_eq!((first.count, first.running), (2, 40));
        let payload = Bytes::copy_from_slice(&out[HEAD..first.total()]);
        assert!(first.fits(&payload));
        let mut records = Vec::new();
        first.records(&payload, 0, &mut records).expect("records");
        let seen: Vec<_> = records.iter().map(|(position, record)| (*position, record.bytes().as_ref())).collect();
        assert_eq!(seen, [(one, b"one".as_ref()), (empty, b"")]);
        let mut later = Vec::new();
        first.records(&payload, empty.offset, &mut later).expect("records");
        assert_eq!(later.len(), 1);

        let second = Head::decode(&out[first.total()..], first.end(), None).expect("the second group");
        assert_eq!(three.offset, second.position + HEAD as u64);
        assert_eq!(Head::decode(&out, 1001, Some(5)), None, "another place");
        assert_eq!(Head::decode(&out, 1000, Some(6)), None, "another file");
    }

    #[test]
    fn lengths_that_do_not_add_up_give_nothing() {
        let mut out = Vec::new();
        let mut writer = GroupWriter::new(&mut out, 0, 0, 0);
        writer.push(b"abc");
        writer.push(b"de");
        writer.close();
        let head = Head::decode(&out, 0, None).expect("a head");
        let whole = Bytes::copy_from_slice(&out[HEAD..]);
        for (what, head, payload) in [
            ("too many", Head { count: 3, ..head }, whole.clone()),
            ("too few", Head { count: 1, ..head }, whole.clone()),
            ("cut", head, whole.slice(..whole.len() - 1)),
        ] {
            let mut records = Vec::new();
            assert_eq!(head.records(&payload, 0, &mut records), None, "{what}");
            assert!(records.is_empty(), "{what}");
        }
    }
}
