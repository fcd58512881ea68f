//! What was sent and what came back, in a file beside the rows: `history-N.bodies` (L-4).
//!
//! Bodies are more than half of the log, are rarely looked at, and go before the rows do. In a table of the rows' database
//! they would be written twice (into SQLite's write-ahead log and from there into the database), and to drop them would mean to walk
//! through all their pages and then to move the others; as a file of their own they are appended once, and dropped by
//! removing the file.
//!
//! The file is nothing but packed pieces one after the other. Its format is that of the database beside it, whose rows say
//! where each piece stands and what its checksum is. A piece is written before the row that names it is committed, so after
//! a crash of the process every row has its bodies, and at most some bytes are nobody's. After a loss of power a row may name what
//! never came to the disk: the checksum tells, and the bodies count as gone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anole_event::{Attempt, MAX_ANSWER_BODY};
use bytes::Bytes;

use crate::codec::{Cut, Packer, Read, put, put_text, unpack};

/// Where a piece stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) bytes: u32,
    pub(crate) checksum: u32,
}

/// The file, as its writer has it.
pub(crate) struct BodiesWriter {
    file: File,
    /// Where the next piece goes: what stands behind is nobody's.
    end: u64,
    /// Pieces of the append that is being written.
    pending: Vec<u8>,
}

/// Packs bodies.
pub(crate) struct Pressed {
    plain: Vec<u8>,
    packer: Packer,
}

/// The bodies of an attempt as they are written.
pub(crate) struct Packed {
    piece: Vec<u8>,
    checksum: u32,
}

/// What a piece holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    pub(crate) request: Bytes,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) answer: Bytes,
}

/// Whether an attempt has anything to keep.
pub(crate) fn has_bodies(attempt: &Attempt) -> bool {
    !(attempt.request_body.is_empty() && attempt.answer_headers.is_empty() && attempt.answer_body.is_empty())
}

// === impl BodiesWriter ===

impl BodiesWriter {
    /// Opens the file, or makes it, 0600.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let end = file.metadata()?.len();
        Ok(Self { file, end, pending: Vec::new() })
    }

    /// Bytes of the file.
    pub(crate) const fn len(&self) -> u64 {
        self.end
    }

    /// Forgets what an append before has left behind.
    pub(crate) fn begin(&mut self) {
        self.pending.clear();
    }

    /// Adds the bodies of an attempt to this append.
    pub(crate) fn add(&mut self, bodies: &Packed) -> Place {
        let at = self.end + self.pending.len() as u64;
        self.pending.extend_from_slice(&bodies.piece);
        Place { at, bytes: u32::try_from(bodies.piece.len()).unwrap_or(u32::MAX), checksum: bodies.checksum }
    }

    /// Hands this append's pieces to the operating system.
    pub(crate) fn write(&self) -> io::Result<()> {
        self.file.write_all_at(&self.pending, self.end)
    }

    /// The rows that name the pieces are committed.
    pub(crate) fn commit(&mut self) {
        self.end += self.pending.len() as u64;
        self.pending.clear();
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

// === impl Pressed ===

impl Pressed {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { plain: Vec::new(), packer: Packer::for_bodies()? })
    }

    /// One piece for all bodies of an attempt, as small ones are not worth compressing.
    pub(crate) fn pack(&mut self, attempt: &Attempt) -> Packed {
        let Self { plain, packer } = self;
        plain.clear();
        put(plain, attempt.answer_headers.len() as u64);
        for (name, value) in &attempt.answer_headers {
            put_text(plain, name);
            put_text(plain, value);
        }
        let answer = &attempt.answer_body[..attempt.answer_body.len().min(MAX_ANSWER_BODY)];
        put(plain, answer.len() as u64);
        plain.extend_from_slice(answer);
        plain.extend_from_slice(&attempt.request_body);
        let mut piece = Vec::new();
        packer.pack(&mut piece, plain);
        Packed { checksum: crc32c::crc32c(&piece), piece }
    }
}

/// Reads a piece; `None` when it is not there as it was written.
pub(crate) fn read(file: &File, place: Place) -> io::Result<Option<Pieces>> {
    let mut packed = vec![0; place.bytes as usize];
    match file.read_exact_at(&mut packed, place.at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    if crc32c::crc32c(&packed) != place.checksum {
        return Ok(None);
    }
    Ok(decode(&packed).ok())
}

fn decode(packed: &[u8]) -> Read<Pieces> {
    let plain = unpack(packed)?;
    let mut cut = Cut::new(&plain);
    let mut headers = Vec::new();
    for _ in 0..cut.length()? {
        headers.push((cut.text()?.to_owned(), cut.text()?.to_owned()));
    }
    let answer = cut.length()?;
    let answer = Bytes::copy_from_slice(cut.bytes(answer)?);
    Ok(Pieces { request: Bytes::copy_from_slice(cut.rest()), headers, answer })
}

#[cfg(test)]
mod tests {
    use anole_event::{Decision, Reached};

    use super::*;

    fn attempt(request: &[u8]) -> Attempt {
        Attempt {
            url: String::new(),
            method: "POST".into(),
            reached: Reached::Body,
            status: Some(200),
            duration_us: 1,
            request_body: Bytes::copy_from_slice(request),
            answer_headers: vec![("a".into(), "b".into())],
            answer_body: Bytes::from_static(b"answer"),
            answer_bytes: 6,
            error: None,
            decision: Decision::Delivered,
        }
    }

    #[test]
    fn a_piece_that_was_not_committed_is_written_over_and_damage_is_noticed() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let path = dir.path().join("history-1.bodies");
        let mut pressed = Pressed::new().expect("a packer");
        let mut writer = BodiesWriter::open(&path).expect("a file");
        writer.begin();
        writer.add(&pressed.pack(&attempt(b"never committed")));
        writer.write().expect("written");
        writer.begin();
        let long = vec![b'x'; 3000];
        let places = [&b"short"[..], &long].map(|request| writer.add(&pressed.pack(&attempt(request))));
        writer.write().expect("written");
        writer.commit();
        let mut writer = BodiesWriter::open(&path).expect("opened again");
        writer.begin();
        let third = writer.add(&pressed.pack(&attempt(b"third")));
        writer.write().expect("written");
        writer.commit();
        let file = File::open(&path).expect("the file");
        for (place, request) in [(places[0], &b"short"[..]), (places[1], &long), (third, b"third")] {
            let pieces = read(&file, place).expect("a look").expect("a piece");
            assert_eq!((&*pieces.request, &*pieces.answer), (request, &b"answer"[..]));
            assert_eq!(pieces.headers, [("a".to_owned(), "b".to_owned())]);
        }
        let beyond = Place { at: writer.len(), bytes: 10, checksum: 0 };
        assert_eq!(read(&file, beyond).expect("a look"), None);
        assert_eq!(read(&file, Place { checksum: third.checksum ^ 1, ..third }).expect("a look"), None);
    }
}
