//! How many sends ended when: what a list looks like from afar.
//!
//! The rows that hold all terms of the question are found as for a list, and each is counted in the bucket of its time. Of
//! too many rows only each second, fourth, eighth … is looked at, and what it holds counts so many times: the shape is
//! right and the work is bounded, which a count up to some row and then nothing would not give. [`Histogram::every`] says
//! so; a question with fewer rows than are looked at is counted exactly.

use std::ops::Range;
use std::time::Duration;

use anole_event::{State, Timestamp};
use rusqlite::{Connection, Row};

use crate::search::{Pick, Run, Tail, intersection};
use crate::sieve::Sends;
use crate::{SendQuery, row};

/// A question for counts over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramQuery {
    /// The filter, as for a list. Its `after` and `limit` are not looked at. Without `from` it begins with the oldest
    /// entry, without `until` it ends with the newest.
    pub sends: SendQuery,
    /// At most so many buckets; 1 to 1,000. The default is 60.
    pub buckets: usize,
}

/// Counts over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The width of a bucket: a round number of seconds, minutes, hours or days.
    pub width: Duration,
    /// Buckets without a gap from the first to the last, oldest first; empty when there is nothing to count over. The
    /// first may begin before `from`, as buckets begin at round times (UTC).
    pub buckets: Vec<Bucket>,
    /// Of how many rows one was looked at: 1 when the counts are exact, else they are estimates.
    pub every: u32,
}

/// What ended within one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its beginning.
    pub at: Timestamp,
    /// Sends by state, in the order of the states' numbers; `None` are tries after which it was tried again.
    pub counts: Vec<(Option<State>, u64)>,
}

/// What one histogram may cost, in rows that are looked at, about 10 µs each on a core of its own.
const BUDGET: u64 = 1_500;
/// Buckets of an answer at most.
const MOST_BUCKETS: usize = 1_000;
const SECOND: i64 = 1_000_000;
/// The widths there are, in seconds. Longer ones are whole days.
const WIDTHS: [i64; 13] = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400];

/// Rows of the question, of which every n-th is kept.
pub(crate) struct Sample {
    most: usize,
    every: u32,
    seen: u64,
    /// File and row.
    kept: Vec<(u32, u32)>,
}

/// Counts rows.
pub(crate) struct Counter {
    of_send: Sends,
    pick: Pick,
    start: i64,
    width: i64,
    counts: Vec<[u64; State::ALL.len() + 1]>,
}

// === impl Default for HistogramQuery ===

impl Default for HistogramQuery {
    fn default() -> Self {
        Self { sends: SendQuery::default(), buckets: 60 }
    }
}

// === impl Histogram ===

impl Histogram {
    /// How many sends there are in all, by state.
    #[must_use]
    pub fn totals(&self) -> Vec<(Option<State>, u64)> {
        let mut totals: Vec<(Option<State>, u64)> = Vec::new();
        for (state, count) in self.buckets.iter().flat_map(|bucket| &bucket.counts) {
            match totals.iter_mut().find(|(known, _)| known == state) {
                Some((_, total)) => *total += count,
                None => totals.push((*state, *count)),
            }
        }
        totals.sort_unstable_by_key(|(state, _)| state.map_or(0, State::number));
        totals
    }
}

// === impl Sample ===

impl Sample {
    /// A sample of rows like those that are there.
    pub(crate) fn of(counter: &Counter, entries: u64, sends: u64) -> Self {
        let per_row = sends / entries.max(1);
        let cost = match (counter.of_send.asks_states_only(), counter.of_send.asks_ids()) {
            (true, _) => 1,
            (false, false) => 1 + per_row / 40,
            (false, true) => 1 + per_row / 12,
        };
        Self { most: usize::try_from(BUDGET / cost).unwrap_or(usize::MAX), every: 1, seen: 0, kept: Vec::new() }
    }

    /// Adds rows, which must be given in one direction.
    pub(crate) fn add(&mut self, file: u32, rows: impl Iterator<Item = u32>) {
        for row in rows {
            if self.seen.is_multiple_of(self.every.into()) {
                self.kept.push((file, row));
                if self.kept.len() > self.most {
                    // What is kept has the ordinals 0, n, 2n …: every other one has 0, 2n, 4n.
                    let mut keep = false;
                    self.kept.retain(|_| {
                        keep = !keep;
                        keep
                    });
                    self.every = self.every.saturating_mul(2);
                }
            }
            self.seen += 1;
        }
    }

    /// Adds the rows of a file that belong to the question.
    pub(crate) fn file(
        &mut self,
        pick: &Pick,
        db: &Connection,
        number: u32,
        tail: &Tail,
        runs: &[Run],
    ) -> rusqlite::Result<()> {
        let mut part = |range: Range<u32>, rows: &dyn Fn() -> rusqlite::Result<Vec<Vec<u32>>>| {
            if pick.terms.is_empty() {
                self.add(number, range.rev());
            } else if !range.is_empty() {
                let rows = intersection(rows()?);
                self.add(number, rows.into_iter().rev().filter(|row| range.contains(row)));
            }
            Ok::<_, rusqlite::Error>(())
        };
        part(pick.narrow(db, tail.first_row..tail.next_row, tail.span)?, &|| Ok(tail.rows.clone()))?;
        for run in runs.iter().rev() {
            part(pick.narrow(db, run.first_row..run.last_row + 1, Some(run.span))?, &|| pick.rows_of(db, run))?;
        }
        Ok(())
    }

    /// What is kept, by file.
    pub(crate) fn by_file(&self) -> impl Iterator<Item = (u32, &[(u32, u32)])> {
        self.kept.chunk_by(|one, other| one.0 == other.0).map(|rows| (rows[0].0, rows))
    }

    pub(crate) const fn every(&self) -> u32 {
        self.every
    }
}

// === impl Counter ===

impl Counter {
    /// Counts for a question over the time from `first` to `last`, unless it says another one. `None` when there is no such
    /// time.
    pub(crate) fn of(query: HistogramQuery, first: Option<i64>, last: Option<i64>) -> Option<Self> {
        let from = query.sends.from.map(Timestamp::micros).or(first)?;
        let until = query.sends.until.map(Timestamp::micros).or_else(|| last.map(|last| last.saturating_add(1)))?;
        if until <= from {
            return None;
        }
        let buckets = i64::try_from(query.buckets.clamp(1, MOST_BUCKETS)).unwrap_or(1);
        let (start, width, count) = layout(from, until, buckets);
        let sends = SendQuery { after: None, limit: 1, ..query.sends };
        let (pick, of_send) = Sends::of(sends);
        Some(Self { of_send, pick, start, width, counts: vec![[0; State::ALL.len() + 1]; count] })
    }

    pub(crate) const fn pick(&self) -> &Pick {
        &self.pick
    }

    /// Counts rows of a file.
    pub(crate) fn count(&mut self, db: &Connection, rows: &[(u32, u32)]) -> rusqlite::Result<()> {
        let light = self.of_send.asks_states_only();
        // SQLite reads what is selected: without the block it is a third of the work.
        let columns = if light { row::COLUMNS.replace("whole(e.block)", "NULL") } else { row::COLUMNS.to_owned() };
        let sql = format!("SELECT {columns} FROM entries e JOIN lanes l USING (lane) WHERE e.row = ?1");
        let mut statement = db.prepare_cached(&sql)?;
        for (_, number) in rows {
            let mut found = statement.query([number])?;
            let Some(row) = found.next()? else { continue };
            if self.pick.is_in_time(row::at(row)?)
                && self.of_send.may_hold(row)?
                && self.of_send.wants_entry(&row::meta(row)?)
            {
                self.count_row(row, light)?;
            }
        }
        Ok(())
    }

    fn count_row(&mut self, row: &Row<'_>, light: bool) -> rusqlite::Result<()> {
        let Self { of_send, start, width, counts, .. } = self;
        let bucket = usize::try_from((row::at(row)?.micros() - *start) / *width).unwrap_or(usize::MAX);
        let Some(counts) = counts.get_mut(bucket) else { return Ok(()) };
        let mut add = |state: Option<State>, count: u64| counts[usize::from(state.map_or(0, State::number))] += count;
        if light {
            for (state, count) in row::tally(row)? {
                if of_send.wants_state(state) {
                    add(state, count.into());
                }
            }
        } else if of_send.asks_ids() {
            for send in row::block(row)?.iter().filter(|send| of_send.wants(send)) {
                add(send.outcome.as_ref().map(|outcome| outcome.state), 1);
            }
        } else {
            row::ends(row, |event, ended| {
                if of_send.wants_end(event, ended) {
                    add(ended.map(|(state, _)| state), 1);
                }
            })?;
        }
        Ok(())
    }

    /// The answer, each count standing for so many.
    pub(crate) fn done(self, every: u32) -> Histogram {
        let states = || std::iter::once(None).chain(State::ALL.iter().copied().map(Some));
        let bucket = |(number, counts): (i64, &[u64; State::ALL.len() + 1])| Bucket {
            at: Timestamp::from_micros(self.start + number * self.width),
            counts: states()
                .map(|state| (state, counts[usize::from(state.map_or(0, State::number))] * u64::from(every)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        };
        let buckets = (0..).zip(&self.counts).map(bucket).collect();
        Histogram { width: Duration::from_micros(self.width.unsigned_abs()), buckets, every }
    }
}

/// Where the first bucket begins, how wide each is, and how many there are.
fn layout(from: i64, until: i64, most: i64) -> (i64, i64, usize) {
    let span = until.saturating_sub(from);
    let days = |count: i64| count.saturating_mul(86_400 * SECOND);
    let widths = WIDTHS.into_iter().map(|seconds| seconds * SECOND).chain((2..).map(days));
    let start = |width: i64| from - from.rem_euclid(width);
    let count = |width: i64| (until - 1 - start(width)) / width + 1;
    let fits = |width: &i64| span / width <= most && count(*width) <= most;
    // Days end: at the latest one bucket holds everything, where it begins with a whole one.
    let width = widths.take(100_000).find(fits).unwrap_or(i64::MAX / 2);
    (start(width), width, usize::try_from(count(width).max(1)).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn buckets_are_round_few_and_hold_the_whole_time(from in 0_i64..1 << 52, span in 1_i64..1 << 50, most in 1_i64..500) {
            let (start, width, count) = layout(from, from + span, most);
            prop_assert!(start <= from && from < start + width);
            let end = start + width * count as i64;
            prop_assert!(from + span <= end && end - width < from + span);
            prop_assert!(count as i64 <= most.max(2) , "{count} of {most}");
        }

        #[test]
        fn a_sample_is_evenly_spread(rows in 1_u32..5000, most in 1_usize..200) {
            let mut sample = Sample { most, every: 1, seen: 0, kept: Vec::new() };
            sample.add(1, 0..rows / 2);
            sample.add(1, rows / 2..rows);
            let every = sample.every();
            prop_assert!(sample.kept.len() <= most);
            let expected: Vec<_> = (0..rows).filter(|row| row % every == 0).map(|row| (1, row)).collect();
            prop_assert_eq!(sample.kept, expected);
        }
    }
}
