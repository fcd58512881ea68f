//! From when to when rows were decided, and how far their order is from the order of their times.
//!
//! Rows stand in the order in which they were written, which is nearly that of their times: lanes write side by side, and
//! clocks are set. By how much a row may be older than one before it is kept, so that a stretch of time is found by halving
//! and nothing in it is missed.

use anole_event::Timestamp;
use rusqlite::Connection;

/// The times of some rows that follow each other, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// The most by which a row is older than one before it.
    pub(crate) disorder: i64,
}

// === impl Span ===

impl Span {
    /// The span with one more row, which comes last.
    pub(crate) fn with(span: Option<Self>, at: i64) -> Self {
        match span {
            None => Self { first: at, last: at, disorder: 0 },
            Some(span) => Self {
                first: span.first.min(at),
                last: span.last.max(at),
                disorder: span.disorder.max(span.last.saturating_sub(at)),
            },
        }
    }

    /// Both spans, the other one behind this one.
    pub(crate) fn joined(span: Option<Self>, other: Self) -> Self {
        let Some(span) = span else { return other };
        Self {
            first: span.first.min(other.first),
            last: span.last.max(other.last),
            disorder: span.disorder.max(other.disorder).max(span.last.saturating_sub(other.first)),
        }
    }

    fn touches(&self, from: i64, until: i64) -> bool {
        self.last >= from && self.first < until
    }
}

/// The part of these rows outside of which nothing was decided from `from` on and before `until`.
///
/// Among the rows up to one whose time is before `from` by more than the disorder, none is of `from` or later: else that one
/// would be further out of order than any. The same holds, the other way round, behind one that is later than `until`.
pub(crate) fn narrow(
    db: &Connection,
    rows: std::ops::Range<u32>,
    span: Option<Span>,
    (from, until): (Option<Timestamp>, Option<Timestamp>),
) -> rusqlite::Result<std::ops::Range<u32>> {
    let from = from.map_or(i64::MIN, Timestamp::micros);
    let until = until.map_or(i64::MAX, Timestamp::micros);
    let Some(span) = span else { return Ok(rows) };
    if !span.touches(from, until) {
        return Ok(rows.start..rows.start);
    }
    let mut time = db.prepare_cached("SELECT at FROM entries WHERE row >= ?1 ORDER BY row LIMIT 1")?;
    // The first row for which `is_behind` holds, by halving.
    let mut first = |mut low: u32, mut high: u32, is_behind: &dyn Fn(i64) -> bool| {
        while low < high {
            let middle = low.midpoint(high);
            if is_behind(time.query_row([middle], |row| row.get(0))?) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok::<_, rusqlite::Error>(low)
    };
    let start = match span.first < from {
        true => first(rows.start, rows.end, &|at| at >= from.saturating_sub(span.disorder))?,
        false => rows.start,
    };
    let end = match span.last >= until {
        true => first(start, rows.end, &|at| at >= until.saturating_add(span.disorder))?,
        false => rows.end,
    };
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_row_of_the_time_is_outside_of_what_is_left(
            steps in prop::collection::vec(-30_i64..60, 1..200),
            from in prop::option::of(-100_i64..4000),
            length in 0_i64..2000,
        ) {
            let db = Connection::open_in_memory().expect("a database");
            db.execute_batch("CREATE TABLE entries (row INTEGER PRIMARY KEY, at INTEGER)").expect("a table");
            let (mut at, mut span, mut times) = (0, None, Vec::new());
            for (row, step) in (1_u32..).zip(&steps) {
                at += step;
                times.push(at);
                span = Some(Span::with(span, at));
                db.execute("INSERT INTO entries VALUES (?1, ?2)", (row, at)).expect("a row");
            }
            let until = from.map(|from| from + length);
            let rows = 1..times.len() as u32 + 1;
            let time = |at: Option<i64>| at.map(Timestamp::from_micros);
            let left = narrow(&db, rows.clone(), span, (time(from), time(until))).expect("a look");
            for (row, at) in rows.zip(&times) {
                let wanted = from.is_none_or(|from| *at >= from) && until.is_none_or(|until| *at < until);
                prop_assert!(!wanted || left.contains(&row), "{row} at {at} is not in {left:?}");
            }
            // Times in order are cut exactly.
            if steps.iter().all(|step| *step > 0) {
                prop_assert!(left.clone().all(|row| {
                    let at = times[row as usize - 1];
                    from.is_none_or(|from| at >= from) && until.is_none_or(|until| at < until)
                }), "{left:?}");
            }
        }
    }

    #[test]
    fn spans_join() {
        let all = [5, 3, 9, 4].into_iter().fold(None, |span, at| Some(Span::with(span, at)));
        assert_eq!(all, Some(Span { first: 3, last: 9, disorder: 5 }));
        let half = |times: [i64; 2]| times.into_iter().fold(None, |span, at| Some(Span::with(span, at))).expect("two");
        let joined = Span::joined(Some(half([5, 3])), half([9, 4]));
        assert_eq!((joined.first, joined.last), (3, 9));
        assert!(joined.disorder >= 2 && joined.disorder <= 5, "{joined:?}");
    }
}
