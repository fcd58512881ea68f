//! Which rows hold which term (L-2).
//!
//! A posting is one number: the upper 40 bits of a term, and in the lower 24 the row, counted from the first row of its
//! run. So a posting costs 8 bytes while it is in memory, where it is only pushed at the end of one of 64 lists, by the first bits of
//! its term: a look-up reads the whole list, which for a million postings takes some ten microseconds, and a look-up is rare
//! where a push is not. A hash map would cost a miss of the cache per push instead, and three times the memory.
//!
//! When the lists are full, or its file is sealed, they are sorted, each within the cache of a core, and written as a run: pages of a thousand postings, about 5
//! bytes each, and the first term of every page, which is kept in memory. A look-up then reads one page per run. So memory
//! and the time to open do not grow with the file, which the in-memory index of a whole open file would.
//!
//! Forty bits give a wrong row once in a million look-ups per run; each hit is checked against the full value anyway.

use std::collections::HashSet;

use crate::codec::{Cut, Read, put};

/// Bits of a posting that number the row.
const ROW_BITS: u32 = 24;
const ROW_MASK: u64 = (1 << ROW_BITS) - 1;
/// How many rows a run can have.
pub(crate) const MOST_ROWS: u32 = 1 << ROW_BITS;
/// Postings in a page.
const PAGE: usize = 1024;
/// Bits of a term that say in which part its postings are.
const PART_BITS: u32 = 6;

/// The postings of the rows that are in no run yet.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    /// The first row that is in no run.
    first_row: u32,
    /// By the first bits of the term. None of them before the first posting.
    parts: Vec<Vec<u64>>,
    len: usize,
}

/// A run as it is written.
pub(crate) struct Sorted {
    /// The first term of each page, as [`Fences`] reads it.
    pub(crate) fences: Vec<u8>,
    pub(crate) pages: Vec<Vec<u8>>,
}

/// The first term of each page of a run, cut to the bits that are kept.
#[derive(Debug)]
pub(crate) struct Fences(Vec<u64>);

// === impl Recent ===

impl Recent {
    pub(crate) fn starting_at(first_row: u32) -> Self {
        Self { first_row, ..Self::default() }
    }

    /// Forgets all postings: they are in a run. What they took is kept for those that follow.
    pub(crate) fn restart(&mut self, first_row: u32) {
        self.first_row = first_row;
        self.parts.iter_mut().for_each(Vec::clear);
        self.len = 0;
    }

    pub(crate) const fn first_row(&self) -> u32 {
        self.first_row
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Adds the terms of a row. Rows come in order, and at most [`MOST_ROWS`] of them.
    pub(crate) fn push(&mut self, row: u32, terms: &[u64]) {
        let row = u64::from(row.saturating_sub(self.first_row)) & ROW_MASK;
        self.parts.resize_with(1 << PART_BITS, Vec::new);
        for term in terms {
            self.parts[part(*term)].push(term & !ROW_MASK | row);
        }
        self.len += terms.len();
    }

    /// The rows that hold a term, increasing.
    pub(crate) fn rows(&self, term: u64) -> Vec<u32> {
        let wanted = term >> ROW_BITS;
        let hits = self.parts.get(part(term)).into_iter().flatten().filter(|posting| **posting >> ROW_BITS == wanted);
        let mut rows: Vec<u32> = hits.map(|posting| self.first_row + (posting & ROW_MASK) as u32).collect();
        rows.dedup();
        rows
    }

    /// The postings as a run.
    pub(crate) fn sort(&self) -> Sorted {
        let (mut postings, mut sorting, mut other) = (Vec::with_capacity(self.len), Vec::new(), Vec::new());
        for part in &self.parts {
            sorting.clone_from(part);
            radix_sort(&mut sorting, &mut other);
            sorting.dedup();
            postings.extend_from_slice(&sorting);
        }
        let mut sorted = Sorted { fences: Vec::new(), pages: Vec::new() };
        let mut before = 0;
        for page in postings.chunks(PAGE) {
            let first = page.first().map_or(0, |posting| posting >> ROW_BITS);
            put(&mut sorted.fences, first - before);
            before = first;
            sorted.pages.push(encode_page(first, page));
        }
        sorted
    }
}

/// Sorts a part by the term alone, from its lowest bits to its highest. Postings were pushed in the order of their rows, and each
/// pass keeps the order of equals, so the rows of a term end up increasing. Three passes over the list, no comparisons.
fn radix_sort(postings: &mut Vec<u64>, other: &mut Vec<u64>) {
    const DIGIT: u32 = 12;
    other.resize(postings.len(), 0);
    for shift in (ROW_BITS..u64::BITS - PART_BITS).step_by(DIGIT as usize) {
        let digit = |posting: u64| (posting >> shift & ((1 << DIGIT) - 1)) as usize;
        let mut starts = [0_u32; 1 << DIGIT];
        for posting in &*postings {
            starts[digit(*posting)] += 1;
        }
        let mut next = 0;
        for start in &mut starts {
            next += std::mem::replace(start, next);
        }
        for posting in &*postings {
            let place = &mut starts[digit(*posting)];
            other[*place as usize] = *posting;
            *place += 1;
        }
        std::mem::swap(postings, other);
    }
}

/// Two numbers per posting: how far its term is from the one before, and its row, or within a term how far its row is from
/// the one before.
fn encode_page(first: u64, page: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(page.len() * 6);
    let (mut term, mut row) = (first, 0);
    for posting in page {
        let next = posting >> ROW_BITS;
        put(&mut bytes, next - term);
        if next != term {
            (term, row) = (next, 0);
        }
        put(&mut bytes, (posting & ROW_MASK) - row);
        row = posting & ROW_MASK;
    }
    bytes
}

const fn part(term: u64) -> usize {
    (term >> (u64::BITS - PART_BITS)) as usize
}

/// What of a term is kept.
pub(crate) const fn kept(term: u64) -> u64 {
    term >> ROW_BITS
}

// === impl Fences ===

impl Fences {
    /// How many pages there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// A page without these postings: each what is kept of a term, and a row counted from the first of the run.
    pub(crate) fn without(&self, page: usize, bytes: &[u8], gone: &HashSet<(u64, u32)>) -> Read<Vec<u8>> {
        let first = self.0.get(page).copied().ok_or("a page is not in its run")?;
        let (mut term, mut row, mut left) = (first, 0_u64, Vec::new());
        let mut cut = Cut::new(bytes);
        while !cut.is_empty() {
            let step = cut.number()?;
            term = term.checked_add(step).ok_or("a term is too large")?;
            let number = cut.number()?;
            row = if step == 0 { row.checked_add(number).ok_or("a row is too large")? } else { number };
            if term >> (u64::BITS - ROW_BITS) != 0 || row > ROW_MASK {
                return Err("a posting is too large");
            }
            if !gone.contains(&(term, u32::try_from(row).unwrap_or(u32::MAX))) {
                left.push(term << ROW_BITS | row);
            }
        }
        // The fence stays: it may be lower than the first term that is left.
        Ok(encode_page(first, &left))
    }

    pub(crate) fn read(bytes: &[u8], pages: u32) -> Read<Self> {
        let mut cut = Cut::new(bytes);
        let mut fences = Vec::new();
        let mut before = 0_u64;
        for _ in 0..pages {
            before = before.checked_add(cut.number()?).ok_or("a fence is too large")?;
            fences.push(before);
        }
        if cut.is_empty() { Ok(Self(fences)) } else { Err("a run has more fences than pages") }
    }

    /// The pages that may hold a term.
    pub(crate) fn pages_of(&self, term: u64) -> std::ops::Range<usize> {
        let wanted = term >> ROW_BITS;
        let first_after = self.0.partition_point(|fence| *fence <= wanted);
        // A page that begins with the term may follow one that ends with it.
        let first_at = self.0.partition_point(|fence| *fence < wanted);
        first_at.saturating_sub(1)..first_after
    }

    /// Adds the rows of a term that stand in one page.
    pub(crate) fn rows_in(
        &self,
        page: usize,
        bytes: &[u8],
        term: u64,
        first_row: u32,
        rows: &mut Vec<u32>,
    ) -> Read<()> {
        let wanted = term >> ROW_BITS;
        let mut at = self.0.get(page).copied().ok_or("a page is not in its run")?;
        let mut row = 0_u64;
        let mut cut = Cut::new(bytes);
        while !cut.is_empty() {
            let step = cut.number()?;
            at = at.checked_add(step).ok_or("a term is too large")?;
            if at > wanted {
                break;
            }
            let number = cut.number()?;
            row = if step == 0 { row.checked_add(number).ok_or("a row is too large")? } else { number };
            if at == wanted {
                let row = u32::try_from(row).ok().and_then(|row| first_row.checked_add(row));
                rows.push(row.ok_or("a row is too large")?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(sorted: &Sorted, term: u64, first_row: u32) -> Vec<u32> {
        let fences = Fences::read(&sorted.fences, sorted.pages.len() as u32).expect("fences");
        let mut rows = Vec::new();
        for page in fences.pages_of(term) {
            fences.rows_in(page, &sorted.pages[page], term, first_row, &mut rows).expect("a page");
        }
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_run_finds_what_memory_found(
            first_row in 0_u32..1000,
            rows in prop::collection::vec(prop::collection::vec(0_u64..300, 0..20), 0..600),
        ) {
            let spread = |term: u64| term.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut recent = Recent::starting_at(first_row);
            for (row, terms) in (first_row..).zip(&rows) {
                recent.push(row, &terms.iter().map(|term| spread(*term)).collect::<Vec<_>>());
            }
            let sorted = recent.sort();
            for term in 0..305 {
                let expected: Vec<u32> =
                    (first_row..).zip(&rows).filter(|(_, terms)| terms.contains(&term)).map(|(row, _)| row).collect();
                prop_assert_eq!(&recent.rows(spread(term)), &expected);
                prop_assert_eq!(&found(&sorted, spread(term), first_row), &expected);
            }
        }

        #[test]
        fn a_foreign_page_never_panics(bytes: Vec<u8>, fences: Vec<u8>, pages in 0_u32..4, term: u64) {
            if let Ok(fences) = Fences::read(&fences, pages) {
                for page in fences.pages_of(term) {
                    let mut rows = Vec::new();
                    let read = fences.rows_in(page, &bytes, term, 1, &mut rows);
                    prop_assert!(read.is_ok() || rows.len() <= bytes.len());
                }
            }
        }
    }

    #[test]
    fn a_term_in_every_row_spans_pages() {
        let mut recent = Recent::starting_at(7);
        for row in 7..5007 {
            recent.push(row, &[u64::MAX, u64::from(row) << 40, 1 << 30]);
        }
        let sorted = recent.sort();
        assert!(sorted.pages.len() > 10);
        assert_eq!(found(&sorted, u64::MAX, 7), (7..5007).collect::<Vec<_>>());
        assert_eq!(found(&sorted, 1 << 30, 7), (7..5007).collect::<Vec<_>>());
        assert_eq!(found(&sorted, 100 << 40, 7), [100]);
        assert_eq!(found(&sorted, 3 << 30, 7), [0_u32; 0]);
    }
}
