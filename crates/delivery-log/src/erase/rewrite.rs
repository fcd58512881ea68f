//! A sealed file, written anew beside itself without what is to be erased.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anole_event::{Marks, SendRecord};
use rusqlite::{Connection, OpenFlags, params};

use crate::block::Encoder;
use crate::erase::{LogErased, Whose};
use crate::folder::Folder;
use crate::postings::{MOST_ROWS, kept};
use crate::search::{Run, runs_before};
use crate::{LogError, blocks, row, schema, terms};

/// What stands in the place of an error's text.
const ERASED: &str = "(erased)";
/// How many zeros are written at once.
const ZEROS: usize = 16 * 1024;

/// A row as it is to be.
struct Blank {
    row: u32,
    url: Option<String>,
    has_error: bool,
    had_bodies: bool,
    sends: u64,
    block: Vec<u8>,
    /// The terms that the row does not have any more, cut to what is kept of them.
    gone: Vec<u64>,
}

/// What is to be written, and where.
struct Rewrite<'a> {
    old: &'a Connection,
    new: &'a Connection,
    blanks: Vec<Blank>,
}

/// Writes the new self of a file, and zeros where bodies stood that no row of it names; `None` when the file is gone, or has
/// nothing of the kind any more. The new self is on the disk when this returns, under a name of its own.
pub(crate) fn rewrite(
    folder: &Folder,
    number: u32,
    rows: &BTreeSet<u32>,
    whose: &Whose,
) -> Result<Option<LogErased>, LogError> {
    let file = folder.file(number);
    if !file.exists() {
        return Ok(None);
    }
    let wrong = |error| LogError::database("written anew", &file, error);
    let blocks = || blocks::look(&file);
    let old = schema::open_writer(&file, folder.page_bytes()).map_err(wrong)?;
    blocks::teach(&old, blocks()).map_err(wrong)?;
    // All of it must stand in the database itself: the new one gets its name, and must not find the log of the old one.
    let busy: bool = old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(wrong)?;
    if busy {
        return Err(LogError::file(&file, io::ErrorKind::ResourceBusy.into()));
    }
    let blanks = blanks(&old, rows, whose).map_err(wrong)?;
    if blanks.is_empty() {
        return Ok(None);
    }
    let mut erased = LogErased { entries: blanks.len() as u64, files: 1, ..LogErased::default() };
    for blank in &blanks {
        erased.sends += blank.sends;
        erased.bodies += u64::from(blank.had_bodies);
    }
    let path = folder.unfinished(number);
    let broken = |error| LogError::file(&path, error);
    Folder::gone(std::fs::remove_file(&path)).map_err(broken)?;
    Folder::make_private(&path).map_err(broken)?;
    let page_bytes: u32 = old.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(wrong)?;
    let mut new = open_new(&path, page_bytes).map_err(wrong)?;
    schema::make(&mut new, 0).and_then(|()| schema::lower(&new)).map_err(wrong)?;
    blocks::teach(&new, blocks()).map_err(wrong)?;
    new.execute("ATTACH ?1 AS old", [&*file.to_string_lossy()]).map_err(wrong)?;
    let rewrite = Rewrite { old: &old, new: &new, blanks };
    rewrite.write().map_err(wrong)?;
    wipe(&new, &folder.bodies(number)).map_err(|error| match error {
        Wiped::Rows(error) => wrong(error),
        Wiped::Bodies(error) => LogError::file(&folder.bodies(number), error),
    })?;
    new.execute("DETACH old", []).map_err(wrong)?;
    drop(new);
    File::open(&path).and_then(|file| file.sync_all()).map_err(broken)?;
    Ok(Some(erased))
}

/// Nothing need survive a crash, so there is neither a journal nor a sync; it is synced once, when it is done.
fn open_new(path: &Path, page_bytes: u32) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.pragma_update(None, "page_size", page_bytes)?;
    db.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192")?;
    Ok(db)
}

/// The rows that change, as they are to be, in their order.
fn blanks(old: &Connection, rows: &BTreeSet<u32>, whose: &Whose) -> rusqlite::Result<Vec<Blank>> {
    let sql = format!("SELECT {} FROM entries e JOIN lanes l USING (lane) WHERE e.row = ?1", row::COLUMNS);
    let mut statement = old.prepare(&sql)?;
    let mut encoder = Encoder::new().map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let mut blanks = Vec::new();
    for number in rows {
        let mut found = statement.query([number])?;
        let Some(one) = found.next()? else { continue };
        let (meta, mut sends) = (row::meta(one)?, row::block(one)?);
        let answer = meta.attempt.as_ref().map(|attempt| (attempt.status, attempt.decision));
        let terms_of = |sends: &[SendRecord]| {
            let mut found = Vec::new();
            terms::of_entry(&meta.lane, answer, sends, &mut found);
            found.into_iter().map(|term| term & !u64::from(MOST_ROWS - 1)).collect::<BTreeSet<u64>>()
        };
        let before = terms_of(&sends);
        let mut changed = 0;
        for send in sends.iter_mut().filter(|send| (whose.matches)(&meta.lane, send)) {
            blank(send);
            changed += 1;
        }
        if changed == 0 {
            continue;
        }
        let after = terms_of(&sends);
        let mut block = Vec::new();
        encoder.encode(&sends, &mut block);
        blanks.push(Blank {
            row: *number,
            url: meta.attempt.as_ref().map(|attempt| without_query(&attempt.url)),
            has_error: meta.attempt.is_some_and(|attempt| attempt.error.is_some()),
            had_bodies: row::place(one)?.is_some(),
            sends: changed,
            block,
            gone: before.difference(&after).copied().collect(),
        });
    }
    Ok(blanks)
}

/// Takes from a send all that leads to somebody.
fn blank(send: &mut SendRecord) {
    send.message_id = Box::default();
    send.anonymous_id = None;
    send.user_id = None;
    send.visitor_code = None;
    send.nonce = None;
    send.lookups.clear();
    send.marks = send.marks.with(Marks::ERASED);
    if let Some(outcome) = &mut send.outcome {
        outcome.detail = None;
    }
}

fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

// === impl Rewrite ===

impl Rewrite<'_> {
    fn write(&self) -> rusqlite::Result<()> {
        let transaction = self.new.unchecked_transaction()?;
        self.new.execute_batch(
            "DELETE FROM main.file; INSERT INTO main.file SELECT * FROM old.file;
             INSERT INTO main.lanes SELECT * FROM old.lanes;
             INSERT INTO main.runs SELECT * FROM old.runs;",
        )?;
        self.entries()?;
        let runs = runs_before(self.old, u32::MAX)?;
        for run in &runs {
            self.pages(run)?;
            let inside = |blank: &&Blank| (run.first_row..=run.last_row).contains(&blank.row) && blank.had_bodies;
            let bodies = self.blanks.iter().filter(inside).count();
            let sql = "UPDATE main.runs SET bodies = bodies - ?1 WHERE first_row = ?2";
            self.new.execute(sql, params![i64::try_from(bodies).unwrap_or(0), run.first_row])?;
        }
        transaction.commit()
    }

    /// Rows between those that change are copied as they are, with their blocks within.
    fn entries(&self) -> rusqlite::Result<()> {
        let sql = "INSERT INTO main.entries
             SELECT row, id, lane, at, plan, sends, tally, decision, reached, status, duration_us, request_bytes,
               answer_bytes, method, url, error_source, error, body_at, body_bytes, body_checksum, whole(block)
             FROM old.entries WHERE row >= ?1 AND row < ?2 ORDER BY row";
        let mut copy = self.new.prepare(sql)?;
        let mut put = self.new.prepare(
            "INSERT INTO main.entries
             SELECT row, id, lane, at, plan, sends, tally, decision, reached, status, duration_us, request_bytes,
               answer_bytes, method, ?2, error_source, ?3, NULL, NULL, NULL, ?4
             FROM old.entries WHERE row = ?1",
        )?;
        let mut next = 0;
        for blank in &self.blanks {
            copy.execute(params![next, blank.row])?;
            put.execute(params![blank.row, blank.url, blank.has_error.then_some(ERASED), blank.block])?;
            next = i64::from(blank.row) + 1;
        }
        copy.execute(params![next, i64::MAX])?;
        Ok(())
    }

    /// The postings of a run, without those that are gone.
    fn pages(&self, run: &Run) -> rusqlite::Result<()> {
        let mut gone: BTreeMap<usize, HashSet<(u64, u32)>> = BTreeMap::new();
        for blank in self.blanks.iter().filter(|blank| (run.first_row..=run.last_row).contains(&blank.row)) {
            for term in &blank.gone {
                for page in run.fences.pages_of(*term) {
                    gone.entry(page).or_default().insert((kept(*term), blank.row - run.first_row));
                }
            }
        }
        let mut read = self.old.prepare_cached("SELECT postings FROM pages WHERE page = ?1")?;
        let mut put = self.new.prepare_cached("INSERT INTO main.pages VALUES (?1, ?2)")?;
        for page in 0..run.fences.len() {
            let number = run.first_page.saturating_add(i64::try_from(page).unwrap_or(i64::MAX));
            let mut found = read.query([number])?;
            let Some(row) = found.next()? else { continue };
            let bytes = row.get_ref(0)?.as_blob()?;
            match gone.get(&page) {
                None => put.execute(params![number, bytes])?,
                Some(gone) => {
                    let left = run.fences.without(page, bytes, gone).map_err(|what| row::foreign(0, what))?;
                    put.execute(params![number, left])?
                }
            };
        }
        Ok(())
    }
}

enum Wiped {
    Rows(rusqlite::Error),
    Bodies(io::Error),
}

/// Writes zeros where no row says that bodies stand: those that are erased, and what a crash has left behind.
fn wipe(rows: &Connection, bodies: &Path) -> Result<(), Wiped> {
    let file = match OpenOptions::new().write(true).open(bodies) {
        Ok(file) => file,
        // They were dropped before.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Wiped::Bodies(error)),
    };
    let length = file.metadata().map_err(Wiped::Bodies)?.len();
    let sql = "SELECT body_at, body_bytes FROM main.entries WHERE body_at IS NOT NULL ORDER BY body_at";
    let mut statement = rows.prepare(sql).map_err(Wiped::Rows)?;
    let mut places = statement.query([]).map_err(Wiped::Rows)?;
    let mut end = 0;
    while let Some(place) = places.next().map_err(Wiped::Rows)? {
        let at = place.get::<_, i64>(0).map_err(Wiped::Rows)?.cast_unsigned();
        let bytes: u32 = place.get(1).map_err(Wiped::Rows)?;
        zero(&file, end, at.min(length)).map_err(Wiped::Bodies)?;
        end = end.max(at.saturating_add(u64::from(bytes)));
    }
    zero(&file, end, length).map_err(Wiped::Bodies)?;
    file.sync_data().map_err(Wiped::Bodies)
}

fn zero(file: &File, mut from: u64, to: u64) -> io::Result<()> {
    let zeros = [0_u8; ZEROS];
    while from < to {
        let most = usize::try_from(to - from).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(&zeros[..most], from)?;
        from += most as u64;
    }
    Ok(())
}
