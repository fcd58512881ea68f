//! Rows on their way into the database: `history-N.db-intake`.
//!
//! A transaction of SQLite for each append is dear: six locks, and for each of five pages two writes into the write-ahead log and
//! later one into the database, of which the index, the inner page above the leaves and the header are written again and again.
//! So an append is one write of one frame to this file, and the rows of many appends go into the database in one transaction:
//! before somebody looks, when the file is large, when nothing else is to be done, and when the log is closed. Then the file begins
//! anew from its start, so that it stays small and in the cache.
//!
//! What SQLite's write-ahead log promises, this file promises too: after a crash of the process a frame that was
//! acknowledged is there, and what is not in the database yet is put there when the log is opened. A frame holds all rows of an
//! append and has a checksum, so after a loss of power it is there whole or not at all; as rows are numbered without gaps, a frame of an
//! earlier beginning is never taken for a new one. Not syncing it is no loss: the write-ahead log is not synced per append
//! either, and the journal still has what a power cut takes.
//!
//! Who looks while no daemon runs changes nothing, and sees what is not in the database as if it were ([`show`]).

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anole_event::Entry;
use rusqlite::Connection;

use crate::bodies::Place;
use crate::codec::{Cut, Read, put, put_text};
use crate::ready::Ready;
use crate::{row, schema};

/// With so many bytes or rows it is time to put them into the database. It is some forty batches of a hundred sends, so that
/// what a transaction costs beside its rows is small, and little enough to stay in the cache of a core.
const MANY_BYTES: usize = 256 * 1024;
const MANY_ROWS: u32 = 1024;
/// A file that one append made larger than this is cut when it begins anew.
const LARGE: u64 = 16 * MANY_BYTES as u64;

/// Length and checksum of what follows.
const HEAD: usize = 8;

/// The file, as its writer has it.
pub(crate) struct Intake {
    file: File,
    path: PathBuf,
    /// What the file holds that is not in the database, and behind `end` the frame that is being made.
    frames: Vec<u8>,
    end: usize,
    rows: u32,
    /// Bytes of the file.
    size: u64,
}

/// A row, as it is on its way.
pub(crate) struct Image<'a> {
    pub(crate) row: u32,
    pub(crate) id: [u8; 16],
    pub(crate) lane: &'a str,
    pub(crate) at: i64,
    pub(crate) plan: u64,
    pub(crate) sends: u64,
    pub(crate) tally: &'a [u8],
    pub(crate) attempt: Option<AttemptImage<'a>>,
    pub(crate) place: Option<Place>,
    pub(crate) block: &'a [u8],
}

/// What the row says of the attempt. The codes are those of the columns.
pub(crate) struct AttemptImage<'a> {
    pub(crate) decision: u8,
    pub(crate) reached: u8,
    pub(crate) status: Option<u16>,
    pub(crate) duration_us: u64,
    pub(crate) request_bytes: u64,
    pub(crate) answer_bytes: u64,
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) error: Option<(u8, &'a str)>,
}

/// The file beside a database.
pub(crate) fn beside(db: &Path) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push("-intake");
    name.into()
}

// === impl Intake ===

impl Intake {
    /// Opens the file beside a database, or makes it, 0600. What it holds is [`read`] before.
    pub(crate) fn open(db: &Path) -> io::Result<Self> {
        let path = beside(db);
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, path, frames: Vec::new(), end: 0, rows: 0, size })
    }

    /// Whether there are rows that are not in the database.
    pub(crate) const fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Whether it is time to put them there.
    pub(crate) const fn is_large(&self) -> bool {
        self.end >= MANY_BYTES || self.rows >= MANY_ROWS
    }

    /// What is not in the database, as [`images`] reads it.
    pub(crate) fn frames(&self) -> &[u8] {
        self.frames.get(..self.end).unwrap_or_default()
    }

    /// Begins a frame; one that was not committed is forgotten.
    pub(crate) fn begin(&mut self) {
        self.frames.truncate(self.end);
        self.frames.extend_from_slice(&[0; HEAD]);
    }

    /// Adds a row to the frame.
    pub(crate) fn add(&mut self, row: u32, entry: &Ready, place: Option<Place>) {
        let out = &mut self.frames;
        put(out, row.into());
        out.extend_from_slice(&entry.head);
        if let Some(place) = place {
            put(out, place.at);
            put(out, place.bytes.into());
            put(out, place.checksum.into());
        }
        put_bytes(out, &entry.block);
    }

    /// Hands the frame to the operating system.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let Some((head, rows)) =
            self.frames.get_mut(self.end..).and_then(|frame| frame.split_first_chunk_mut::<HEAD>())
        else {
            return Ok(());
        };
        let length = u32::try_from(rows.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..].copy_from_slice(&crc32c::crc32c(rows).to_le_bytes());
        self.file.write_all_at(&self.frames[self.end..], self.end as u64)
    }

    /// The frame, of so many rows, is part of the log. One without rows was not written: nothing behind it would be found.
    pub(crate) fn commit(&mut self, rows: u32) {
        if rows > 0 {
            self.end = self.frames.len();
            self.rows = self.rows.saturating_add(rows);
            self.size = self.size.max(self.end as u64);
        }
    }

    /// All rows are in the database: begins anew.
    pub(crate) fn rewind(&mut self) {
        (self.end, self.rows) = (0, 0);
        self.frames.clear();
        if self.size > LARGE {
            self.frames.shrink_to(MANY_BYTES);
            // Its rows are in the database, so whether it is cut is a matter of room alone.
            if self.file.set_len(0).is_ok() {
                self.size = 0;
            }
        }
    }

    /// All rows are in the database, and no more will come.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}

// === impl Image ===

impl<'a> Image<'a> {
    fn decode(cut: &mut Cut<'a>) -> Read<Self> {
        let row = narrow(cut.number()?)?;
        let id = cut.bytes(16)?.try_into().map_err(|_| "an id is too short")?;
        let (lane, at, plan, sends) = (cut.text()?, cut.number()?.cast_signed(), cut.number()?, cut.number()?);
        let tally = counted(cut)?;
        let has = cut.byte()?;
        let attempt = if has & 1 == 1 { Some(AttemptImage::decode(cut)?) } else { None };
        let place = match has & 2 {
            0 => None,
            _ => Some(Place { at: cut.number()?, bytes: narrow(cut.number()?)?, checksum: narrow(cut.number()?)? }),
        };
        Ok(Self { row, id, lane, at, plan, sends, tally, attempt, place, block: counted(cut)? })
    }
}

impl<'a> AttemptImage<'a> {
    fn decode(cut: &mut Cut<'a>) -> Read<Self> {
        let (decision, reached) = (cut.byte()?, cut.byte()?);
        let status = cut.number()?.checked_sub(1).map(u16::try_from);
        Ok(Self {
            decision,
            reached,
            status: status.transpose().map_err(|_| "a status is too large")?,
            duration_us: cut.number()?,
            request_bytes: cut.number()?,
            answer_bytes: cut.number()?,
            method: cut.text()?,
            url: cut.text()?,
            error: if cut.byte()? == 0 { None } else { Some((cut.byte()?, cut.text()?)) },
        })
    }
}

/// The row between its number and the place of its bodies: what is known of it before it is written.
pub(crate) fn encode_head(entry: &Entry, tally: &[u8], has_bodies: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(entry.id.0.as_bytes());
    put_text(out, entry.lane.as_str());
    put(out, entry.at.micros().cast_unsigned());
    put(out, entry.plan);
    put(out, entry.sends.len() as u64);
    put_bytes(out, tally);
    out.push(u8::from(entry.attempt.is_some()) | u8::from(has_bodies) << 1);
    let Some(attempt) = &entry.attempt else { return };
    out.extend_from_slice(&[attempt.decision.number(), attempt.reached.number()]);
    put(out, attempt.status.map_or(0, |status| u64::from(status) + 1));
    put(out, attempt.duration_us);
    put(out, attempt.request_body.len() as u64);
    put(out, attempt.answer_bytes);
    put_text(out, &attempt.method);
    put_text(out, &attempt.url);
    out.push(u8::from(attempt.error.is_some()));
    if let Some(error) = &attempt.error {
        out.push(error.source_of.number());
        put_text(out, &error.message);
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn counted<'a>(cut: &mut Cut<'a>) -> Read<&'a [u8]> {
    let length = cut.length()?;
    cut.bytes(length)
}

fn narrow(number: u64) -> Read<u32> {
    u32::try_from(number).map_err(|_| "a number is too large")
}

// === Reading ===

/// The file beside a database; empty when there is none.
pub(crate) fn read(db: &Path) -> io::Result<Vec<u8>> {
    match std::fs::read(beside(db)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// The rows from `next_row` on. It ends where a frame is not whole, or is of an earlier beginning.
pub(crate) fn images(mut frames: &[u8], mut next_row: u32) -> Vec<Image<'_>> {
    let mut images = Vec::new();
    while let Some(range) = frame(frames) {
        let (mut cut, mut rows, mut next) = (Cut::new(&frames[range.clone()]), Vec::new(), next_row);
        while !cut.is_empty() {
            let Ok(image) = Image::decode(&mut cut) else { return images };
            // Rows that had come into the database before the process ended are passed over.
            if image.row == next {
                next = next.saturating_add(1);
                rows.push(image);
            } else if image.row > next {
                return images;
            }
        }
        next_row = next;
        images.append(&mut rows);
        frames = &frames[range.end..];
    }
    images
}

/// Where the rows of the first frame stand, if it is whole.
fn frame(frames: &[u8]) -> Option<Range<usize>> {
    let (head, rest) = frames.split_first_chunk::<HEAD>()?;
    let (length, checksum) = head.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length > 0)?;
    let rows = rest.get(..length)?;
    (checksum == crc32c::crc32c(rows).to_le_bytes()).then_some(HEAD..HEAD + length)
}

/// Makes a reader's connection see the rows that are not in the database yet.
pub(crate) fn show(db: &Connection, file: &Path) -> rusqlite::Result<()> {
    // What cannot be read is not there: this is a look, and the rows of the database are worth it.
    let frames = read(file).unwrap_or_default();
    let next_row = schema::next_row(db)?;
    let images = images(&frames, next_row);
    if images.is_empty() {
        return Ok(());
    }
    db.pragma_update(None, "query_only", false)?;
    db.execute_batch(
        "PRAGMA temp_store = MEMORY;
         CREATE TEMP TABLE waiting_lanes AS SELECT * FROM main.lanes WHERE 0;
         CREATE TEMP TABLE waiting_entries AS SELECT * FROM main.entries WHERE 0;
         CREATE TEMP VIEW lanes AS SELECT * FROM main.lanes UNION ALL SELECT * FROM temp.waiting_lanes;
         CREATE TEMP VIEW entries AS SELECT * FROM main.entries UNION ALL SELECT * FROM temp.waiting_entries;",
    )?;
    let lane_of = "SELECT lane FROM lanes WHERE name = ?1";
    let add_lane = "INSERT INTO waiting_lanes SELECT coalesce(max(lane), 0) + 1, ?1 FROM lanes";
    let mut insert = db.prepare(&row::insert_into("temp.waiting_entries"))?;
    for image in &images {
        if !db.prepare_cached(lane_of)?.exists([image.lane])? {
            db.prepare_cached(add_lane)?.execute([image.lane])?;
        }
        let lane = db.prepare_cached(lane_of)?.query_row([image.lane], |row| row.get(0))?;
        row::put(&mut insert, image, image.block, lane)?;
    }
    db.pragma_update(None, "query_only", true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn foreign_bytes_are_rows_or_none_and_never_a_panic(bytes: Vec<u8>, next_row: u32) {
            let mut frames = u32::try_from(bytes.len()).expect("short").to_le_bytes().to_vec();
            frames.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
            frames.extend_from_slice(&bytes);
            prop_assert!(images(&frames, next_row).len() <= bytes.len());
            prop_assert!(images(&bytes, next_row).len() <= bytes.len());
        }
    }
}
