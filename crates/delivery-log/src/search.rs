//! How a question is answered: from the newest row to the oldest, through the rows that hold all its terms.
//!
//! Per file, the rows that are in no run come first, then the runs from the last to the first. Of the terms, the one with
//! the fewest rows decides: the others only strike rows out. Every row that is left is read and checked against the full
//! values; that bounds what a wrong fingerprint can do. A question without a term (all, or all of a time) reads rows as
//! they stand.
//!
//! The work of one call is bounded. A combination whose parts are frequent and which itself is rare would open block
//! after block; instead the page ends early, with the place where to go on.

use std::ops::Range;

use anole_event::Timestamp;
use rusqlite::{Connection, Row};

use crate::postings::Fences;
use crate::query::Cursor;
use crate::row;
use crate::span::{Span, narrow};

/// What one call may cost: a row costs one and a sixteenth for each of its sends, about 3 µs a point.
const BUDGET: u32 = 20_000;
/// Rows that are asked for at once when there is no term.
const CHUNK: u32 = 256;

/// The part of a question that picks rows.
#[derive(Debug, Default)]
pub(crate) struct Pick {
    pub(crate) terms: Vec<u64>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) after: Option<Cursor>,
}

/// Takes rows, newest first, until it has enough.
pub(crate) trait Sift {
    /// Takes what the row holds for the question, and says where the next page begins when this one is full.
    fn take(&mut self, file: u32, number: u32, row: &Row<'_>) -> rusqlite::Result<Option<Cursor>>;
}

/// A run of a file, as it is read.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) first_row: u32,
    pub(crate) last_row: u32,
    pub(crate) span: Span,
    pub(crate) first_page: i64,
    pub(crate) fences: Fences,
}

/// The rows of a file that are in no run.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) first_row: u32,
    pub(crate) next_row: u32,
    pub(crate) span: Option<Span>,
    /// The rows of each term of the question, in the same order.
    pub(crate) rows: Vec<Vec<u32>>,
}

/// A search that goes through one file after the other.
pub(crate) struct Search<'a> {
    pub(crate) pick: &'a Pick,
    pub(crate) sift: &'a mut dyn Sift,
    left: u32,
}

// === impl Pick ===

impl Pick {
    /// The part of these rows in which the time of the question lies.
    pub(crate) fn narrow(&self, db: &Connection, rows: Range<u32>, span: Option<Span>) -> rusqlite::Result<Range<u32>> {
        if rows.is_empty() || (self.from.is_none() && self.until.is_none()) {
            return Ok(rows);
        }
        narrow(db, rows, span, (self.from, self.until))
    }

    /// The rows of a run that hold each term.
    pub(crate) fn rows_of(&self, db: &Connection, run: &Run) -> rusqlite::Result<Vec<Vec<u32>>> {
        self.terms.iter().map(|term| rows_of_term(db, run, *term)).collect()
    }

    pub(crate) fn is_in_time(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until)
    }
}

// === impl Search ===

impl<'a> Search<'a> {
    pub(crate) fn new(pick: &'a Pick, sift: &'a mut dyn Sift) -> Self {
        Self { pick, sift, left: BUDGET }
    }

    #[cfg(test)]
    fn with_budget(pick: &'a Pick, sift: &'a mut dyn Sift, left: u32) -> Self {
        Self { left, ..Self::new(pick, sift) }
    }

    /// Searches a file; `Some` says where the next page begins.
    pub(crate) fn file(
        &mut self,
        db: &Connection,
        number: u32,
        tail: &Tail,
        runs: &[Run],
    ) -> rusqlite::Result<Option<Cursor>> {
        let end = self.end_of(number, tail.next_row);
        let range = self.pick.narrow(db, tail.first_row..end, tail.span)?;
        let next = self.part(db, number, range, || Ok(tail.rows.clone()))?;
        if next.is_some() {
            return Ok(next);
        }
        for run in runs.iter().rev() {
            let end = self.end_of(number, run.last_row + 1);
            if run.first_row >= end {
                continue;
            }
            let pick = self.pick;
            let range = pick.narrow(db, run.first_row..end, Some(run.span))?;
            let next = self.part(db, number, range, || pick.rows_of(db, run))?;
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
    }

    /// The first row that is not asked for any more.
    fn end_of(&self, number: u32, end: u32) -> u32 {
        match self.pick.after {
            // The row of the place itself may have more sends before it.
            Some(after) if after.file == number => end.min(after.row.saturating_add(u32::from(after.send > 0))),
            _ => end,
        }
    }

    fn part(
        &mut self,
        db: &Connection,
        number: u32,
        range: Range<u32>,
        rows: impl FnOnce() -> rusqlite::Result<Vec<Vec<u32>>>,
    ) -> rusqlite::Result<Option<Cursor>> {
        if range.is_empty() {
            return Ok(None);
        }
        if self.pick.terms.is_empty() {
            return self.all(db, number, range);
        }
        let mut rows = intersection(rows()?);
        rows.retain(|row| range.contains(row));
        rows.reverse();
        self.rows(db, number, &rows)
    }

    /// Rows as they stand, a chunk at a time: numbers of rows have no gaps.
    fn all(&mut self, db: &Connection, number: u32, range: Range<u32>) -> rusqlite::Result<Option<Cursor>> {
        let mut end = range.end;
        while end > range.start {
            let start = end.saturating_sub(CHUNK).max(range.start);
            let chunk: Vec<u32> = (start..end).rev().collect();
            let next = self.rows(db, number, &chunk)?;
            if next.is_some() {
                return Ok(next);
            }
            end = start;
        }
        Ok(None)
    }

    fn rows(&mut self, db: &Connection, number: u32, rows: &[u32]) -> rusqlite::Result<Option<Cursor>> {
        let sql = format!("SELECT {} FROM entries e JOIN lanes l USING (lane) WHERE e.row = ?1", row::COLUMNS);
        let mut statement = db.prepare_cached(&sql)?;
        for one in rows {
            let mut found = statement.query([one])?;
            let Some(row) = found.next()? else { continue };
            if self.left == 0 {
                return Ok(Some(Cursor { file: number, row: one.saturating_add(1), send: 0 }));
            }
            self.left = self.left.saturating_sub(1);
            if self.pick.is_in_time(row::at(row)?) {
                self.left = self.left.saturating_sub(row::sends(row)? / 16);
                let next = self.sift.take(number, *one, row)?;
                if next.is_some() {
                    return Ok(next);
                }
            }
        }
        Ok(None)
    }
}

/// The rows that are in all lists, each of which is increasing.
pub(crate) fn intersection(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    lists.sort_by_key(Vec::len);
    let mut lists = lists.into_iter();
    let mut rows = lists.next().unwrap_or_default();
    for list in lists {
        let mut at = 0;
        rows.retain(|row| {
            at += list[at..].partition_point(|other| other < row);
            list.get(at) == Some(row)
        });
    }
    rows
}

fn rows_of_term(db: &Connection, run: &Run, term: u64) -> rusqlite::Result<Vec<u32>> {
    let mut rows = Vec::new();
    let mut statement = db.prepare_cached("SELECT postings FROM pages WHERE page = ?1")?;
    for page in run.fences.pages_of(term) {
        let number = run.first_page.saturating_add(i64::try_from(page).unwrap_or(i64::MAX));
        let mut found = statement.query([number])?;
        if let Some(row) = found.next()? {
            let bytes = row.get_ref(0)?.as_blob()?;
            let read = run.fences.rows_in(page, bytes, term, run.first_row, &mut rows);
            read.map_err(|what| row::foreign(0, what))?;
        }
    }
    Ok(rows)
}

/// The runs of a file that end before a row.
pub(crate) fn runs_before(db: &Connection, end: u32) -> rusqlite::Result<Vec<Run>> {
    let mut statement = db.prepare_cached(
        "SELECT first_row, last_row, min_at, max_at, disorder, first_page, pages, fences FROM runs
         WHERE first_row < ?1 ORDER BY run",
    )?;
    let runs = statement.query_map([end], |row| {
        let fences = Fences::read(row.get_ref(7)?.as_blob()?, row.get(6)?).map_err(|what| row::foreign(7, what))?;
        Ok(Run {
            first_row: row.get(0)?,
            last_row: row.get(1)?,
            span: Span { first: row.get(2)?, last: row.get(3)?, disorder: row.get(4)? },
            first_page: row.get(5)?,
            fences,
        })
    })?;
    runs.collect()
}

#[cfg(test)]
mod tests {
    use anole_event::{AttemptId, Entry, LaneId, Seeded, uuid_v7};

    use super::*;
    use crate::folder::Folder;
    use crate::postings::Recent;
    use crate::ready::Maker;
    use crate::segment::{Segment, Written};

    /// Takes the rows whose number is a multiple of ten.
    struct Tenths(Vec<u32>);

    impl Sift for Tenths {
        fn take(&mut self, _: u32, number: u32, _: &Row<'_>) -> rusqlite::Result<Option<Cursor>> {
            if number.is_multiple_of(10) {
                self.0.push(number);
            }
            Ok(None)
        }
    }

    #[test]
    fn a_search_that_finds_little_ends_early_and_goes_on_where_it_ended() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let folder = Folder::at(dir.path());
        let lane = LaneId::new("shop", "lane");
        let entry = |number: u64| Entry {
            id: AttemptId(uuid_v7(Timestamp::from_millis(1), &mut Seeded::new(number))),
            at: Timestamp::from_millis(1),
            lane: lane.clone(),
            plan: 0,
            attempt: None,
            sends: Vec::new(),
        };
        let Ok((mut segment, mut recent)) = Segment::open(&folder, 1, Timestamp::default()) else { panic!("a file") };
        let mut maker = Maker::new(true).expect("a maker");
        let entries: Vec<_> = (0..700).map(|number| maker.make(&entry(number))).collect();
        let mut written = Written::default();
        // Three hundred rows in a run, the others in memory.
        segment.append(entries[..300].iter().enumerate(), &mut written).expect("an append");
        (1..).zip(&entries[..300]).for_each(|(row, entry)| recent.push(row, &entry.terms));
        segment.write_run(&recent, false).expect("a run");
        let mut recent = Recent::starting_at(301);
        segment.append(entries[300..].iter().enumerate(), &mut written).expect("an append");
        (301..).zip(&entries[300..]).for_each(|(row, entry)| recent.push(row, &entry.terms));
        segment.settle().expect("rows in the database");
        let db = crate::schema::open_reader(&segment.file).expect("a reader");
        let runs = runs_before(&db, 301).expect("runs");
        for terms in [vec![crate::terms::lane(&lane)], Vec::new()] {
            let rows = terms.iter().map(|term| recent.rows(*term)).collect();
            let tail = Tail { first_row: 301, next_row: 701, span: None, rows };
            let mut pick = Pick { terms, ..Pick::default() };
            let mut found = Tenths(Vec::new());
            let mut calls = 1;
            while let Some(next) =
                Search::with_budget(&pick, &mut found, 64).file(&db, 1, &tail, &runs).expect("a search")
            {
                pick.after = Some(next);
                calls += 1;
            }
            assert_eq!(found.0, (1..=70).rev().map(|tenth| tenth * 10).collect::<Vec<_>>());
            assert_eq!(calls, 700 / 64 + 1);
        }
    }

    #[test]
    fn an_intersection_has_what_all_lists_have() {
        assert_eq!(intersection(vec![vec![1, 3, 5, 7, 9], vec![3, 4, 9], vec![0, 3, 9, 10]]), [3, 9]);
        assert_eq!(intersection(vec![vec![1, 2], vec![]]), [0_u32; 0]);
        assert_eq!(intersection(vec![vec![4, 6]]), [4, 6]);
    }
}
