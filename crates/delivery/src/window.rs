//! A lane's progress: which of the events that it has read are finished.
//!
//! Positions are opaque and not dense, so nothing is computed from them. The window keeps what was read in the order of
//! reading, one entry per event that concerns the lane, and counts down what is still open of each. What is finished at
//! the front leaves the window and moves the *watermark*, the position from which a restarted lane reads on. What is
//! finished behind an unfinished event is told as *ranges* above the watermark, so that a restart does not send it again.
//!
//! The window is bounded by the number of entries and by the bytes of the records in it, finished or not: the records
//! are slices of blocks, and a block stays in memory as long as one of its records does. A full window stops reading.

use std::collections::VecDeque;
use std::ops::Range;

use anole_event::Position;

/// What a window may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Events read and not passed by the watermark. Default 65,536.
    pub events: usize,
    /// Bytes of their records. Default 8 MiB.
    pub bytes: usize,
}

/// How far a lane is in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowProgress {
    /// Where a restarted lane reads on.
    pub watermark: Position,
    /// Offsets above the watermark that are finished, as half-open ranges in rising order.
    pub finished: Vec<Range<u64>>,
}

/// The number of an entry in reading order. Never given twice within a run.
pub(crate) type Seq = u64;

/// What was read and is not passed by the watermark.
#[derive(Debug)]
pub(crate) struct Window {
    limits: WindowLimits,
    entries: VecDeque<Slot>,
    first: Seq,
    /// What was finished above the watermark before a restart: its events are not read into the window again, and must
    /// stay finished in what is told.
    earlier: Vec<Range<u64>>,
    /// The position after the last one that was read.
    next: Position,
    bytes: usize,
    open: usize,
}

#[derive(Debug)]
struct Slot {
    position: Position,
    bytes: usize,
    open: u32,
    received_micros: i64,
}

// === impl WindowLimits ===

impl Default for WindowLimits {
    fn default() -> Self {
        Self { events: 65_536, bytes: 8 * 1024 * 1024 }
    }
}

// === impl Window ===

impl Window {
    /// A window of a lane that reads on from here.
    #[must_use]
    pub(crate) const fn new(limits: WindowLimits, from: Position) -> Self {
        Self { limits, entries: VecDeque::new(), first: 0, earlier: Vec::new(), next: from, bytes: 0, open: 0 }
    }

    /// What was finished before a restart.
    pub(crate) fn finished_earlier(&mut self, ranges: Vec<Range<u64>>) {
        self.earlier = ranges;
    }

    /// Takes an event that was read: where it stands, where reading goes on, its record's bytes and how many things must
    /// be finished before it is.
    pub(crate) fn push(
        &mut self,
        position: Position,
        next: Position,
        bytes: usize,
        open: u32,
        received_micros: i64,
    ) -> Seq {
        let seq = self.first + self.entries.len() as u64;
        self.entries.push_back(Slot { position, bytes, open, received_micros });
        self.bytes += bytes;
        self.open += usize::from(open > 0);
        self.next = next;
        if open == 0 {
            self.pass();
        }
        seq
    }

    /// Nothing up to here concerns the lane.
    pub(crate) fn advance(&mut self, to: Position) {
        if to > self.next {
            self.next = to;
        }
    }

    /// One thing of an event is finished.
    pub(crate) fn finish(&mut self, seq: Seq) {
        let Some(slot) = seq.checked_sub(self.first).and_then(|at| self.entries.get_mut(usize::try_from(at).ok()?))
        else {
            return;
        };
        if slot.open > 0 {
            slot.open -= 1;
            if slot.open == 0 {
                self.open -= 1;
                self.pass();
            }
        }
    }

    /// Whether all of an event that was read is finished.
    #[must_use]
    pub(crate) fn is_finished(&self, position: Position) -> bool {
        let at = self.entries.partition_point(|slot| slot.position < position);
        self.entries.get(at).is_none_or(|slot| slot.position != position || slot.open == 0)
    }

    /// Whether reading must stop until something is finished.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.entries.len() >= self.limits.events || self.bytes >= self.limits.bytes
    }

    /// Events that were read and are not finished.
    #[must_use]
    pub(crate) const fn open(&self) -> usize {
        self.open
    }

    /// When the oldest unfinished event came in, in microseconds since the epoch.
    #[must_use]
    pub(crate) fn oldest_micros(&self) -> Option<i64> {
        self.entries.front().map(|slot| slot.received_micros)
    }

    /// Where reading goes on.
    #[must_use]
    pub(crate) const fn next(&self) -> Position {
        self.next
    }

    /// How far the lane is.
    #[must_use]
    pub(crate) fn progress(&self) -> WindowProgress {
        let watermark = self.entries.front().map_or(self.next, |slot| slot.position);
        let mut finished = Vec::new();
        let mut run: Option<u64> = None;
        for slot in &self.entries {
            match (slot.open == 0, run) {
                (true, None) => run = Some(slot.position.offset),
                (false, Some(from)) => {
                    finished.push(from..slot.position.offset);
                    run = None;
                }
                _ => {}
            }
        }
        if let Some(from) = run {
            finished.push(from..self.next.offset);
        }
        if !self.earlier.is_empty() {
            finished = join(watermark.offset, finished, &self.earlier);
        }
        WindowProgress { watermark, finished }
    }

    fn pass(&mut self) {
        while self.entries.front().is_some_and(|slot| slot.open == 0) {
            if let Some(slot) = self.entries.pop_front() {
                self.bytes -= slot.bytes;
                self.first += 1;
            }
        }
        let watermark = self.entries.front().map_or(self.next, |slot| slot.position).offset;
        self.earlier.retain(|range| range.end > watermark);
    }
}

/// All of these ranges above the watermark, in rising order and not touching each other.
fn join(watermark: u64, mut ranges: Vec<Range<u64>>, more: &[Range<u64>]) -> Vec<Range<u64>> {
    ranges.extend_from_slice(more);
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges.into_iter().map(|range| range.start.max(watermark)..range.end).filter(|range| !range.is_empty())
    {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "finished stretches are ranges, and one is often all there is")]
mod tests {
    use super::*;

    fn window() -> Window {
        Window::new(WindowLimits { events: 4, bytes: 100 }, Position::at(10))
    }

    fn push(window: &mut Window, at: u64, open: u32) -> Seq {
        window.push(Position::at(at), Position::at(at + 10), 10, open, 0)
    }

    #[test]
    fn s1_the_watermark_stops_at_the_first_unfinished_event_and_ranges_tell_the_rest() {
        let mut window = window();
        let one = push(&mut window, 10, 1);
        let two = push(&mut window, 20, 2);
        let three = push(&mut window, 30, 1);
        window.finish(three);
        assert_eq!(window.progress(), WindowProgress { watermark: Position::at(10), finished: vec![30..40] });
        window.finish(two);
        assert_eq!(window.open(), 2, "an event with two sends is finished with the second");
        window.finish(two);
        assert_eq!(window.progress(), WindowProgress { watermark: Position::at(10), finished: vec![20..40] });
        window.finish(one);
        assert_eq!(window.progress(), WindowProgress { watermark: Position::at(40), finished: vec![] });
        window.finish(one);
        assert_eq!(window.open(), 0, "what has left the window is not finished twice");
    }

    #[test]
    fn s1_what_was_finished_before_a_restart_stays_finished_whether_read_past_or_not() {
        let mut window = window();
        window.finished_earlier(vec![20..30, 40..60]);
        let one = push(&mut window, 10, 1);
        window.advance(Position::at(30));
        let three = push(&mut window, 30, 1);
        assert_eq!(window.progress(), WindowProgress { watermark: Position::at(10), finished: vec![20..30, 40..60] });
        window.finish(three);
        assert_eq!(window.progress(), WindowProgress { watermark: Position::at(10), finished: vec![20..60] });
        window.finish(one);
        assert_eq!(window.progress(), WindowProgress { watermark: Position::at(40), finished: vec![40..60] });
        window.advance(Position::at(60));
        assert_eq!(window.progress(), WindowProgress { watermark: Position::at(60), finished: vec![] });
    }

    #[test]
    fn what_does_not_concern_the_lane_is_passed_with_what_is_finished() {
        let mut window = window();
        let one = push(&mut window, 10, 1);
        window.advance(Position::at(500));
        assert_eq!(window.progress().watermark, Position::at(10));
        window.finish(one);
        assert_eq!(window.progress().watermark, Position::at(500));
        window.advance(Position::at(400));
        assert_eq!(window.next(), Position::at(500), "reading never goes back");
    }

    #[test]
    fn s1_a_full_window_stops_reading_until_its_front_is_finished() {
        let mut window = window();
        let first = push(&mut window, 10, 1);
        let rest: Vec<_> = (2..5).map(|n| push(&mut window, n * 10, 1)).collect();
        assert!(window.is_full());
        for seq in rest {
            window.finish(seq);
        }
        assert!(window.is_full(), "finished events behind an unfinished one still hold their memory");
        window.finish(first);
        assert!(!window.is_full());
        window.push(Position::at(60), Position::at(400), 100, 1, 0);
        assert!(window.is_full(), "by bytes");
    }
}
