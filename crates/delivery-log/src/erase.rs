//! Erasure (J-8, the log's half): what the log holds of a person goes, from the rows and from the bytes of the files.
//!
//! # What goes and what stays
//!
//! Rows must still add up afterwards, so no row and no send of a row goes. Of each send that is named there stay its place in
//! the journal, the event's name, rule, times, marks, state and reason: what statistics are made of, and nothing that leads to
//! anybody. Message id, anonymous id, user id, visitor code, nonce and look-up values become empty, and so does the detail of the
//! outcome, which is free text. The send is marked `erased`. Its fingerprints go from the postings, so that nothing is found by
//! them; a fingerprint that another send of the row shares stays, as it is that one's.
//!
//! Of the attempt that carried it the bodies go whole, request and answer, also when they held sends of others: to cut one
//! person out of a body we would have to understand every vendor's form, and a body of which a part is missing is no proof of
//! anything. The text of its error goes too, and so does the query of its address, as both may quote what was sent; status,
//! sizes and decision stay. [`LogErased::bodies`] says how many bodies that were.
//!
//! Statistics have no ids and stay.
//!
//! # How
//!
//! 1. The rows are found by the postings (L-2), each hit checked against the full values. When the open file has some it is
//!    sealed: nothing is ever appended to a sealed file, and its postings are all on disk, so there is one case instead of two.
//! 2. Each file that has such rows is written anew beside itself, on a thread of its own, while the log works on
//!    ([`rewrite`]). Bytes of its bodies that no row names any more become zeros in place.
//! 3. The new file takes the name of the old one. This is done by the thread that writes, as that is the one which removes files:
//!    one that went meanwhile must not come back. A thread that reads the old file still has it whole, and opens the new one
//!    for its next question.
//!
//! A crash leaves the old file or the new one, each whole, and at most an unfinished one beside it, which the next opening
//! removes. Who asked was not answered, and asks again; what is erased already is not found again.
//!
//! Rejected: to change rows in place. SQLite leaves cells that balancing has moved in the unused middle of pages, also with
//! `secure_delete`; and `VACUUM` needs as much room in the folder for temporary files, which may be small, and stops the
//! thread that writes for as long as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anole_event::{LaneId, SendRecord};
use rusqlite::Row;
use tokio::sync::oneshot;

use crate::catalog::Catalog;
use crate::folder::Folder;
use crate::query::Cursor;
use crate::reader::Reader;
use crate::search::{Pick, Sift};
use crate::{LogError, row, terms};

pub(crate) mod rewrite;
pub(crate) mod swap;

/// Whether a send of a lane is to be erased. It is asked on threads that others wait for: it must be quick, and must not panic.
pub type MatchesSend = Arc<dyn Fn(&LaneId, &SendRecord) -> bool + Send + Sync>;

/// Whose sends are to be erased.
#[derive(Clone)]
pub struct Whose {
    /// Values one of which each of the sends has as an id or a look-up value (L-2): they are found by these.
    pub values: Arc<[Box<str>]>,
    /// Decides on each send that was found.
    pub matches: MatchesSend,
}

/// What the log holds of somebody, or what an erasure made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogErased {
    /// Sends whose ids are held, or were removed.
    pub sends: u64,
    /// Rows in which they stand: attempts, and blocks of sends that ended without one.
    pub entries: u64,
    /// Attempts whose bodies are held, or were removed, others' in the same request included.
    pub bodies: u64,
    /// Files that were written anew for it.
    pub files: u64,
}

/// A job of the writing thread.
pub(crate) enum EraseJob {
    /// Seals the open file.
    Seal { reply: oneshot::Sender<Result<(), LogError>> },
    /// Puts the new self of a file into its place; whether the file was still there.
    Swap { number: u32, reply: oneshot::Sender<Result<bool, LogError>> },
}

/// Rows by file.
pub(crate) type Rows = BTreeMap<u32, BTreeSet<u32>>;

/// Takes the rows in which somebody's sends stand, and counts.
struct Theirs<'a> {
    matches: &'a MatchesSend,
    rows: &'a mut Rows,
    counted: &'a mut LogErased,
    left: u32,
}

/// How many rows are looked at before the reading thread answers others again.
const PART: u32 = 2_000;

// === impl LogErased ===

impl LogErased {
    /// Adds what was erased elsewhere.
    pub fn add(&mut self, more: &Self) {
        self.sends += more.sends;
        self.entries += more.entries;
        self.bodies += more.bodies;
        self.files += more.files;
    }
}

// === impl Theirs ===

impl Sift for Theirs<'_> {
    fn take(&mut self, file: u32, number: u32, row: &Row<'_>) -> rusqlite::Result<Option<Cursor>> {
        let lane = row::meta(row)?.lane;
        let sends = row::block(row)?;
        let theirs = sends.iter().filter(|send| (self.matches)(&lane, send)).count() as u64;
        if theirs > 0 && self.rows.entry(file).or_default().insert(number) {
            self.counted.entries += 1;
            self.counted.sends += theirs;
            self.counted.bodies += u64::from(row::place(row)?.is_some());
        }
        self.left = self.left.saturating_sub(1);
        Ok((self.left == 0).then_some(Cursor { file, row: number, send: 0 }))
    }
}

/// Where a search for somebody's sends is.
#[derive(Default)]
pub(crate) struct Hunt {
    value: usize,
    after: Option<Cursor>,
    pub(crate) rows: Rows,
    pub(crate) counted: LogErased,
}

// === impl Hunt ===

impl Hunt {
    /// Looks on for a while; whether all was looked at.
    pub(crate) fn go_on(&mut self, reader: &mut Reader, whose: &Whose) -> Result<bool, LogError> {
        let mut left = PART;
        while let Some(value) = whose.values.get(self.value) {
            let pick = Pick { terms: vec![terms::id(value)], after: self.after.take(), ..Pick::default() };
            let Self { rows, counted, .. } = self;
            let mut sift = Theirs { matches: &whose.matches, rows, counted, left };
            self.after = reader.search(&pick, &mut sift)?;
            // A value that nobody has costs a look into every file.
            left = sift.left.saturating_sub(50);
            self.value += usize::from(self.after.is_none());
            if left == 0 {
                return Ok(self.value >= whose.values.len());
            }
        }
        Ok(true)
    }

    /// Whether the open file has some of it.
    pub(crate) fn is_in_open(&self, catalog: &Catalog) -> bool {
        catalog.read().open.is_some_and(|open| self.rows.contains_key(&open))
    }
}

/// Writes a file anew, on a thread of its own.
pub(crate) async fn rewritten(
    folder: &Folder,
    number: u32,
    rows: BTreeSet<u32>,
    whose: &Whose,
) -> Result<Option<LogErased>, LogError> {
    let (reply, answer) = oneshot::channel();
    let (folder, whose) = (folder.clone(), whose.clone());
    let file = folder.file(number);
    let work = move || {
        // Who asked may have gone.
        let _gone = reply.send(rewrite::rewrite(&folder, number, &rows, &whose));
    };
    let started = std::thread::Builder::new().name("history-eraser".to_owned()).spawn(work);
    started.map_err(|error| LogError::file(&file, error))?;
    answer.await.map_err(|_| LogError::Closed)?
}

impl std::fmt::Debug for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the values: they are somebody's ids.
        f.debug_struct("Whose").field("values", &self.values.len()).finish_non_exhaustive()
    }
}
