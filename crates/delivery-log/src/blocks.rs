//! The blocks of the rows, in a file beside the database: `history-N.db-blocks`.
//!
//! Blocks are most of what a row has. In the database each would be written twice, into SQLite's write-ahead log and from there
//! into the file, and read once in between; here the blocks of a thousand rows are appended by one write, and the row says where
//! its block stands: a place instead of a block, see [`Place`]. A connection reads blocks through the function `whole` of its
//! SQL, so that nobody who asks for a row has to know; rows of older files, and of those that an erasure wrote anew, have
//! their blocks in the row.
//!
//! Blocks are written before the transaction that names them is begun, so after a crash of the process every row has its block, and
//! at most some bytes are nobody's. A loss of power may take blocks of rows that are there: when a run is written the blocks
//! before it are synced, and of the rows behind the last run those from the first on that has lost its block are let go of at the
//! next opening ([`trim`]). They are the last seconds, which such a loss may take.
//!
//! Rejected: to make this file the intake too, which would save a write of a few pages that never leave the cache. Then a frame
//! could not be found again by its row's number alone, and a look without a daemon would have to read all of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use crate::codec::{Cut, Read, put};

/// What a place begins with; a block itself begins with its version, which is another number.
const PLACE: u8 = 0xb1;

/// Where a block stands. In the row: this mark, then three numbers, LEB128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    at: u64,
    bytes: u64,
    checksum: u64,
}

/// The file, as its writer has it.
pub(crate) struct BlocksWriter {
    file: File,
    /// Where the next block goes: what stands behind is nobody's.
    end: u64,
    pending: Vec<u8>,
}

/// The file beside a database.
pub(crate) fn beside(db: &Path) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push("-blocks");
    name.into()
}

// === impl Place ===

impl Place {
    fn encode(self) -> Vec<u8> {
        let mut bytes = vec![PLACE];
        [self.at, self.bytes, self.checksum].into_iter().for_each(|number| put(&mut bytes, number));
        bytes
    }

    fn decode(bytes: &[u8]) -> Read<Self> {
        let mut cut = Cut::new(bytes);
        Ok(Self { at: cut.number()?, bytes: cut.number()?, checksum: cut.number()? })
    }
}

// === impl BlocksWriter ===

impl BlocksWriter {
    /// Opens the file, or makes it, 0600.
    pub(crate) fn open(db: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(beside(db))?;
        let end = file.metadata()?.len();
        Ok(Self { file, end, pending: Vec::new() })
    }

    /// Bytes of the file.
    pub(crate) const fn len(&self) -> u64 {
        self.end
    }

    /// Hands blocks to the operating system; gives for each what its row is to hold. They are nobody's until [`Self::commit`].
    pub(crate) fn write<'a>(&mut self, blocks: impl Iterator<Item = &'a [u8]>) -> io::Result<Vec<Vec<u8>>> {
        self.pending.clear();
        let mut places = Vec::new();
        for block in blocks {
            let at = self.end + self.pending.len() as u64;
            let place = Place { at, bytes: block.len() as u64, checksum: crc32c::crc32c(block).into() };
            places.push(place.encode());
            self.pending.extend_from_slice(block);
        }
        self.file.write_all_at(&self.pending, self.end)?;
        Ok(places)
    }

    /// The rows that name the blocks are committed.
    pub(crate) fn commit(&mut self) {
        self.end += self.pending.len() as u64;
        self.pending.clear();
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

// === Reading ===

/// The file beside a database, for [`teach`]; `None` when there is none. It is opened before the database is: one that an erasure
/// wrote anew needs none, and the old one, should it be opened, has it.
pub(crate) fn look(db: &Path) -> Option<File> {
    File::open(beside(db)).ok()
}

/// Gives a connection the function `whole`, which makes of a row's block, or of the place of one, the block. Of one that is not
/// there as it was written it makes an empty one, which is none.
pub(crate) fn teach(db: &Connection, blocks: Option<File>) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    db.create_scalar_function("whole", 1, flags, move |context| {
        let stored = match context.get_raw(0) {
            ValueRef::Blob(stored) => stored,
            _ => &[],
        };
        match stored.split_first() {
            Some((&PLACE, place)) => {
                let read = blocks.as_ref().map_or(Ok(None), |blocks| read(blocks, place));
                let block = read.map_err(|error| rusqlite::Error::UserFunctionError(error.into()))?;
                Ok(block.unwrap_or_default())
            }
            _ => Ok(stored.to_vec()),
        }
    })
}

fn read(blocks: &File, place: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let Ok(Place { at, bytes, checksum }) = Place::decode(place) else { return Ok(None) };
    // A length that only damage can have asks for no memory.
    if at.checked_add(bytes).is_none_or(|end| blocks.metadata().is_ok_and(|file| end > file.len())) {
        return Ok(None);
    }
    let Ok(length) = usize::try_from(bytes) else { return Ok(None) };
    let mut block = vec![0; length];
    match blocks.read_exact_at(&mut block, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok((u64::from(crc32c::crc32c(&block)) == checksum).then_some(block))
}

/// Lets go of the rows behind the last run from the first on that has no block any more.
pub(crate) fn trim(db: &Connection) -> rusqlite::Result<()> {
    let sql = "SELECT min(row) FROM entries
               WHERE row > (SELECT coalesce(max(last_row), 0) FROM runs) AND length(whole(block)) = 0";
    let lost: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
    lost.map_or(Ok(0), |lost| db.execute("DELETE FROM entries WHERE row >= ?1", params![lost])).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_where_it_was_committed_and_damage_is_noticed() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let path = dir.path().join("history-1.db");
        let mut writer = BlocksWriter::open(&path).expect("a file");
        writer.write([&b"never committed"[..]].into_iter()).expect("written");
        let mut places = writer.write([&b"one"[..], b"another"].into_iter()).expect("written");
        writer.commit();
        let mut writer = BlocksWriter::open(&path).expect("opened again");
        places.extend(writer.write([&b"third"[..]].into_iter()).expect("written"));
        writer.commit();
        let db = Connection::open_in_memory().expect("a database");
        teach(&db, look(&path)).expect("taught");
        let whole = |stored: &[u8]| db.query_row("SELECT whole(?1)", [stored], |row| row.get::<_, Vec<u8>>(0));
        let wholes: Vec<_> = places.iter().map(|place| whole(place).expect("a block")).collect();
        assert_eq!(wholes, [&b"one"[..], b"another", b"third"]);
        assert_eq!(whole(b"\x01inline").expect("a block"), b"\x01inline");
        let beyond = Place { at: writer.len(), bytes: u64::MAX, checksum: 0 }.encode();
        let wrong = Place { at: 0, bytes: 3, checksum: 7 }.encode();
        for lost in [&beyond[..], &wrong, &[PLACE], &[]] {
            assert_eq!(whole(lost).expect("nothing"), b"", "{lost:?}");
        }
    }
}
