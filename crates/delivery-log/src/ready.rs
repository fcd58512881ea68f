//! Entries as they are written, made by who appends them.
//!
//! Who appends has just made the entries: they are in the cache of its core, and their many small texts are its own to give
//! back. So what an entry becomes is made there, and the writing thread gets a few pieces of bytes of each. To hand over the
//! entries themselves would cost a miss of the cache for nearly every text, which is more than all of the work on them, and
//! it would leave to one thread what many lanes can do beside each other.
//!
//! What only the writing thread knows is added by it: the number of the row, and where its bodies stand.

use std::sync::{Mutex, PoisonError};

use anole_event::{AttemptId, Entry, LaneId, Timestamp};

use crate::block::Encoder;
use crate::bodies::{Packed, Pressed, has_bodies};
use crate::statistics::Sums;
use crate::{intake, row, terms};

/// So many entries are made ready before others have their turn on the thread: a lane that was behind may append thousands.
const AT_ONCE: usize = 8;

/// An entry, ready to be written.
pub(crate) struct Ready {
    pub(crate) id: AttemptId,
    pub(crate) lane: LaneId,
    pub(crate) at: Timestamp,
    pub(crate) sends: u64,
    /// The row up to the place of its bodies, see intake.rs.
    pub(crate) head: Vec<u8>,
    /// The sends, see block.rs.
    pub(crate) block: Vec<u8>,
    /// `None` when there are none, or none are kept.
    pub(crate) bodies: Option<Packed>,
    pub(crate) terms: Vec<u64>,
    pub(crate) sums: Sums,
}

/// Makes entries ready.
pub(crate) struct Maker {
    encoder: Encoder,
    /// `None` when no bodies are kept.
    bodies: Option<Pressed>,
    block: Vec<u8>,
    tally: Vec<u8>,
}

/// Makers that wait for work: as many as there once were appends at the same moment. Each has working memory of some hundred
/// KiB, which is why they are not made for each append.
pub(crate) struct Makers {
    waiting: Mutex<Vec<Maker>>,
    keeps_bodies: bool,
}

// === impl Makers ===

impl Makers {
    pub(crate) fn new(keeps_bodies: bool) -> Self {
        Self { waiting: Mutex::new(Vec::new()), keeps_bodies }
    }

    /// Makes the entries of an append ready.
    pub(crate) async fn make(&self, entries: &[Entry]) -> std::io::Result<Vec<Ready>> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut maker = waiting.map_or_else(|| Maker::new(self.keeps_bodies), Ok)?;
        let mut ready = Vec::with_capacity(entries.len());
        for (number, entries) in entries.chunks(AT_ONCE).enumerate() {
            if number > 0 {
                tokio::task::yield_now().await;
            }
            ready.extend(entries.iter().map(|entry| maker.make(entry)));
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(maker);
        Ok(ready)
    }
}

// === impl Maker ===

impl Maker {
    pub(crate) fn new(keeps_bodies: bool) -> std::io::Result<Self> {
        let bodies = if keeps_bodies { Some(Pressed::new()?) } else { None };
        Ok(Self { encoder: Encoder::new()?, bodies, block: Vec::new(), tally: Vec::new() })
    }

    pub(crate) fn make(&mut self, entry: &Entry) -> Ready {
        let Self { encoder, bodies, block, tally } = self;
        block.clear();
        encoder.encode(&entry.sends, block);
        tally.clear();
        row::encode_tally(&entry.sends, tally);
        let attempt = entry.attempt.as_ref();
        let kept = attempt.filter(|attempt| has_bodies(attempt));
        let bodies = kept.and_then(|attempt| bodies.as_mut().map(|bodies| bodies.pack(attempt)));
        let mut head = Vec::with_capacity(256);
        intake::encode_head(entry, tally, bodies.is_some(), &mut head);
        let mut found = Vec::with_capacity(entry.sends.len() * 6 + 32);
        terms::of_entry(&entry.lane, attempt.map(terms::answer_of), &entry.sends, &mut found);
        let mut sums = Sums::default();
        sums.count(entry.at, attempt.map(|attempt| (attempt.status, attempt.duration_us)), &entry.sends);
        Ready {
            id: entry.id,
            lane: entry.lane.clone(),
            at: entry.at,
            sends: entry.sends.len() as u64,
            head,
            block: block.as_slice().into(),
            bodies,
            terms: found,
            sums,
        }
    }
}
