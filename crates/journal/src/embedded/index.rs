//! The index of a sealed segment: a sidecar that says which message ids stand where.
//!
//! It refills the window of de-duplication at start, finds an event by its message id in a page or two instead of the
//! whole segment, and counts what a damaged or dropped segment held. It holds nothing that the segment does not: it is
//! written without a sync when the segment is sealed, and made anew when it is missing or damaged. Positions themselves
//! need no index: they are places in files.
//!
//! A file is pages of 4 KiB: one for the header, then entries in the order of their fingerprints, each page behind its own
//! checksum. Fingerprints are hashes, so the page of one is guessed from its value: most look-ups read one page. A tree or
//! a filter in memory was rejected: it would grow with the journal.

use std::io;
use std::path::{Path, PathBuf};

use anole_event::{Fingerprint, Head, Timestamp, lookup_fingerprint};

use super::segment::Segment;
use crate::disk::{self, File};

/// How many bytes a page has.
const PAGE: usize = 4096;
/// How many bytes an entry has.
const ENTRY: usize = 28;
/// How many bytes stand before a page's entries.
const PAGE_HEAD: usize = 8;
/// How many entries a page holds.
const PER_PAGE: usize = (PAGE - PAGE_HEAD) / ENTRY;
const MAGIC: [u8; 8] = *b"ANOLEIDX";
const VERSION: u16 = 1;

/// What an index knows of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The record's message id within its pipeline; 0 for a record that has none.
    pub(crate) fingerprint: u128,
    /// Its place in the segment's file.
    pub(crate) place: u32,
    /// When it came in, in seconds.
    pub(crate) seconds: u32,
    /// What tells its pipeline from others.
    pub(crate) pipeline: u32,
}

/// What stands at the start of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// The segment's base.
    pub(crate) base: u64,
    /// The segment's file id.
    pub(crate) file_id: u64,
    /// The position behind the segment's last group.
    pub(crate) end: u64,
    /// How many entries there are.
    pub(crate) count: u64,
}

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    file: File,
    pub(crate) about: About,
}

// === impl Entry ===

impl Entry {
    /// The entry of a record that stands at this place. A record that cannot be read, or is none of ours, is counted and
    /// never found.
    pub(crate) fn of(record: &[u8], place: u64) -> Self {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        match Head::split(record) {
            Ok((head, _)) => Self {
                fingerprint: head.fingerprint.0,
                place,
                seconds: u32::try_from(head.received_at.micros() / 1_000_000).unwrap_or(0),
                pipeline: pipeline(head.pipeline),
            },
            Err(_) => Self { place, ..Self::default() },
        }
    }

    /// When the record came in, to the second.
    pub(crate) fn received_at(&self) -> Timestamp {
        Timestamp::from_micros(i64::from(self.seconds) * 1_000_000)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        out.extend_from_slice(&self.place.to_le_bytes());
        out.extend_from_slice(&self.seconds.to_le_bytes());
        out.extend_from_slice(&self.pipeline.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
        let fingerprint = bytes.first_chunk().map_or(0, |sixteen| u128::from_le_bytes(*sixteen));
        Self { fingerprint, place: number(16), seconds: number(20), pipeline: number(24) }
    }
}

/// What tells a pipeline from others. Two of one installation share a number once in four thousand million pairs; a count
/// of what was lost would then be too high.
pub(crate) fn pipeline(name: &str) -> u32 {
    u32::try_from(lookup_fingerprint(name) & u64::from(u32::MAX)).unwrap_or(0)
}

// === impl About ===

impl About {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; PAGE];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[12..14].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.file_id.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.end.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.count.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes[at..].first_chunk().map(|eight| u64::from_le_bytes(*eight));
        let good = bytes.len() == PAGE
            && bytes[..8] == MAGIC
            && bytes[8..12] == crc32c::crc32c(&bytes[12..]).to_le_bytes()
            && bytes[12..14] == VERSION.to_le_bytes();
        if !good {
            return None;
        }
        Some(Self { base: number(16)?, file_id: number(24)?, end: number(32)?, count: number(40)? })
    }

    fn pages(&self) -> u64 {
        self.count.div_ceil(PER_PAGE as u64)
    }

    /// How many bytes the file has.
    pub(crate) fn bytes(&self) -> u64 {
        (self.pages() + 1) * PAGE as u64
    }
}

// === impl Index ===

impl Index {
    /// The name of the index of a segment with this base.
    pub(crate) fn path_in(dir: &Path, base: u64) -> PathBuf {
        dir.join(format!("{base:020}.index"))
    }

    /// The base that a file's name tells, when it is the name of an index.
    pub(crate) fn base_of(name: &str) -> Option<u64> {
        Segment::base_of(&format!("{}.segment", name.strip_suffix(".index")?))
    }

    /// Writes an index in one piece under its final name, unsynced. Gives its size in bytes.
    pub(crate) fn write(path: &Path, about: About, mut entries: Vec<Entry>) -> io::Result<u64> {
        entries.sort_unstable_by_key(|entry| (entry.fingerprint, entry.place));
        let about = About { count: entries.len() as u64, ..about };
        let mut bytes = about.encode();
        bytes.reserve(usize::try_from(about.bytes()).unwrap_or(0));
        for page in entries.chunks(PER_PAGE) {
            let start = bytes.len();
            bytes.extend_from_slice(&[0; PAGE_HEAD]);
            bytes[start + 4..start + 6].copy_from_slice(&u16::try_from(page.len()).unwrap_or(0).to_le_bytes());
            page.iter().for_each(|entry| entry.put(&mut bytes));
            bytes.resize(start + PAGE, 0);
            let checksum = crc32c::crc32c(&bytes[start + 4..]);
            bytes[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        }
        let unfinished = disk::unfinished(path);
        let written = File::create(&unfinished).and_then(|file| file.write_all_at(&bytes, 0));
        written.and_then(|()| disk::rename(&unfinished, path)).inspect_err(|_| {
            // What is left of it does no harm, and the next start removes it.
            let _left = disk::remove(&unfinished);
        })?;
        Ok(about.bytes())
    }

    /// Opens an index; nothing when there is none that can be read.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let about = About::decode(&file.read_at(0, PAGE)?);
        Ok(about.map(|about| Self { file, about }))
    }

    /// The index of a segment; nothing when there is none, or it is another's. A segment gets one only when nothing is
    /// appended to it any more; what an erasure took from it since is still in it, and not found when it is read.
    pub(crate) fn of(dir: &Path, segment: &Segment) -> io::Result<Option<Self>> {
        let index = Self::open(&Self::path_in(dir, segment.base))?;
        Ok(index.filter(|index| {
            let about = &index.about;
            (about.base, about.file_id) == (segment.base, segment.file_id)
        }))
    }

    /// All its entries, by fingerprint; nothing when a page of it is damaged.
    pub(crate) fn entries(&self) -> io::Result<Option<Vec<Entry>>> {
        let mut entries = Vec::with_capacity(usize::try_from(self.about.count).unwrap_or(0));
        for number in 0..self.about.pages() {
            let Some(page) = self.page(number)? else { return Ok(None) };
            entries.extend(page);
        }
        Ok((entries.len() as u64 == self.about.count).then_some(entries))
    }

    /// Where records with this fingerprint stand; nothing when a page on the way is damaged.
    pub(crate) fn find(&self, wanted: Fingerprint) -> io::Result<Option<Vec<Entry>>> {
        let (mut low, mut high) = (0, self.about.pages());
        // A guess from the value, then another beside it, then by halves.
        let mut guess = ((wanted.0 >> 64) * u128::from(high)) >> 64;
        let mut tries = 0;
        while low < high {
            let at = u64::try_from(guess).unwrap_or(low).clamp(low, high - 1);
            let Some(page) = self.page(at)? else { return Ok(None) };
            let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(None) };
            if wanted.0 < first.fingerprint {
                high = at;
                guess = u128::from(if tries == 0 { at.saturating_sub(1) } else { low.midpoint(high) });
            } else if wanted.0 > last.fingerprint {
                low = at + 1;
                guess = u128::from(if tries == 0 { at + 1 } else { low.midpoint(high) });
            } else {
                return self.around(at, page, wanted);
            }
            tries += 1;
        }
        Ok(Some(Vec::new()))
    }

    /// The entries of a fingerprint that lies in this page, and perhaps in those beside it.
    fn around(&self, at: u64, page: Vec<Entry>, wanted: Fingerprint) -> io::Result<Option<Vec<Entry>>> {
        let (mut from, mut to) = (at, at + 1);
        let mut entries = page;
        while from > 0 && entries.first().is_some_and(|first| first.fingerprint == wanted.0) {
            from -= 1;
            let Some(mut before) = self.page(from)? else { return Ok(None) };
            before.extend(entries);
            entries = before;
        }
        while to < self.about.pages() && entries.last().is_some_and(|last| last.fingerprint == wanted.0) {
            let Some(behind) = self.page(to)? else { return Ok(None) };
            entries.extend(behind);
            to += 1;
        }
        entries.retain(|entry| entry.fingerprint == wanted.0);
        Ok(Some(entries))
    }

    fn page(&self, number: u64) -> io::Result<Option<Vec<Entry>>> {
        let bytes = self.file.read_at((number + 1) * PAGE as u64, PAGE)?;
        if bytes.len() < PAGE || bytes[..4] != crc32c::crc32c(&bytes[4..]).to_le_bytes() {
            return Ok(None);
        }
        let count = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
        Ok(Some(bytes[PAGE_HEAD..].chunks_exact(ENTRY).take(count).map(Entry::read).collect()))
    }
}

#[cfg(test)]
mod tests {
    use anole_event::{Random, Seeded};

    use super::*;

    fn written(entries: &[Entry]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Index::path_in(dir.path(), 4096);
        let about = About { base: 4096, file_id: 7, end: 9999, count: 0 };
        let bytes = Index::write(&path, about, entries.to_vec()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
        (dir, path)
    }

    fn entries(count: u32) -> Vec<Entry> {
        let mut random = Seeded::new(3);
        let mut hash = || u128::from(random.next()) << 64 | u128::from(random.next());
        (0..count).map(|place| Entry { fingerprint: hash(), place, seconds: place / 10, pipeline: place % 3 }).collect()
    }

    #[test]
    fn every_entry_is_found_and_no_other() {
        for count in [0, 1, 145, 146, 147, 5000] {
            let mut all = entries(count);
            let (_dir, path) = written(&all);
            let index = Index::open(&path).unwrap().unwrap();
            for entry in &all {
                assert_eq!(index.find(Fingerprint(entry.fingerprint)).unwrap(), Some(vec![*entry]));
            }
            for wanted in [0, 1, u128::MAX, 1 << 127] {
                assert_eq!(index.find(Fingerprint(wanted)).unwrap(), Some(Vec::new()));
            }
            all.sort_unstable_by_key(|entry| entry.fingerprint);
            assert_eq!(index.entries().unwrap(), Some(all));
        }
    }

    #[test]
    fn fingerprints_that_are_no_hashes_and_repeat_over_pages_are_found() {
        let entry = |place: u32| Entry { fingerprint: u128::from(place / 400), place, ..Entry::default() };
        let all: Vec<_> = (0..1000).map(entry).collect();
        let (_dir, path) = written(&all);
        let index = Index::open(&path).unwrap().unwrap();
        for wanted in 0..3 {
            let expected: Vec<_> = all.iter().filter(|entry| entry.fingerprint == wanted).copied().collect();
            assert_eq!(index.find(Fingerprint(wanted)).unwrap(), Some(expected));
        }
        assert_eq!(index.find(Fingerprint(3)).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn a_damaged_index_gives_nothing_rather_than_something_wrong() {
        let all = entries(400);
        let (_dir, path) = written(&all);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            if let Some(index) = Index::open(&path).unwrap() {
                assert_eq!(index.entries().unwrap(), None, "byte {at}");
                for entry in &all {
                    let found = index.find(Fingerprint(entry.fingerprint)).unwrap();
                    assert!(found.is_none_or(|found| found == [*entry]), "byte {at}");
                }
            }
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(Index::open(&path).unwrap().unwrap().entries().unwrap(), None);
    }
}
