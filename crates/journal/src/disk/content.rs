//! The bytes of one simulated file: as programs see them, as they are on the disk, and what lies between.
//!
//! Everything that was done since the last sync is kept as a list of changes. A loss of power chooses, by chance, which of
//! them had reached the disk. A disk writes sectors of 512 bytes whole or not at all, in any order, and the system hands
//! them to it in any order too; so the choices are:
//!
//! - none, or all of them;
//! - the first ones, the next one torn at a sector, none behind it;
//! - each one or not, so that a later write is there and an earlier one is not;
//! - each sector, and the length, as of a moment of its own.
//!
//! New space whose bytes never came reads as zeros, or now and then as what some removed file held: file systems exist that
//! hand out blocks before they have been written over.

use anole_event::Random;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: u64 = 512;
/// With more changes than this the system writes the older half back by itself, as it does within some seconds.
const MOST_UNSYNCED: usize = 256;

/// The bytes of a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What programs see.
    memory: Vec<u8>,
    /// What is there without power.
    platter: Vec<u8>,
    /// What was done since, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Length(u64),
}

// === impl Content ===

impl Content {
    pub(super) fn memory(&self) -> &[u8] {
        &self.memory
    }

    /// The bytes from `at` on, as many as there are and fit. Gives how many.
    pub(super) fn read(&self, into: &mut [u8], at: u64) -> usize {
        let from = place(at).min(self.memory.len());
        let many = into.len().min(self.memory.len() - from);
        into[..many].copy_from_slice(&self.memory[from..from + many]);
        many
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: u64) {
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, length: u64) {
        self.change(Change::Length(length));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.memory);
        self.unsynced.push(change);
        if self.unsynced.len() > MOST_UNSYNCED {
            for change in self.unsynced.drain(..MOST_UNSYNCED / 2) {
                change.apply(&mut self.platter);
            }
        }
    }

    /// Everything reaches the disk.
    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.platter);
        }
    }

    /// A sync that failed, as Linux has it: some of the changes reached the disk, the others never will, and the next sync
    /// is a success all the same. Programs go on seeing what they wrote, or what is on the disk once the page was given up.
    /// The length is kept elsewhere, and is right after the next sync.
    pub(super) fn fail_sync(&mut self, random: &mut dyn Random) {
        let length = self.memory.len();
        self.lose(&[], random);
        let given_up = random.below(2) == 0;
        if given_up {
            self.memory.clone_from(&self.platter);
            self.memory.resize(length, 0);
        }
        self.unsynced = vec![Change::Length(length as u64)];
    }

    /// The power goes. `stale` is what new space may hold instead of zeros; empty for never.
    pub(super) fn cut(&mut self, stale: &[u8], random: &mut dyn Random) {
        self.lose(stale, random);
        self.memory.clone_from(&self.platter);
    }

    fn lose(&mut self, stale: &[u8], random: &mut dyn Random) {
        let changes = std::mem::take(&mut self.unsynced);
        let many = changes.len() as u64;
        if many == 0 {
            return;
        }
        let before = self.platter.len() as u64;
        match random.below(8) {
            0 => {}
            1 => keep_first(&mut self.platter, &changes, many),
            2 | 3 => {
                let whole = random.below(many + 1);
                keep_first(&mut self.platter, &changes, whole);
                if let Some(torn) = changes.get(place(whole)) {
                    torn.apply_torn(&mut self.platter, random);
                }
            }
            4 => changes.iter().filter(|_| random.below(2) == 0).for_each(|it| it.apply(&mut self.platter)),
            _ => self.keep_by_sector(&changes, before, stale, random),
        }
    }

    /// Each sector is as it was at a moment of its own, and so is the length.
    fn keep_by_sector(&mut self, changes: &[Change], before: u64, stale: &[u8], random: &mut dyn Random) {
        let many = changes.len() as u64;
        let longest = changes.iter().map(Change::end).max().unwrap_or(0).max(before);
        let sectors = longest.div_ceil(SECTOR);
        let moments = moments(sectors, many, random);
        let length_as_of = if random.below(2) == 0 { many } else { random.below(many + 1) };
        let mut length = before;
        let stale = if random.below(4) == 0 { stale } else { &[] };
        if !stale.is_empty() {
            let from = place(random.below(stale.len() as u64));
            let bytes = stale[from..].iter().chain(&stale[..from]).cycle();
            let new = place(longest).saturating_sub(self.platter.len());
            self.platter.extend(bytes.take(new));
        }
        for (number, change) in (0_u64..).zip(changes) {
            change.apply_where(&mut self.platter, |sector| {
                moments.get(place(sector)).is_some_and(|moment| number < *moment)
            });
            if number < length_as_of {
                length = change.length_after(length);
            }
        }
        self.platter.resize(place(length), 0);
    }
}

// === impl Change ===

impl Change {
    /// The length of a file that had `length`.
    fn length_after(&self, length: u64) -> u64 {
        match self {
            Self::Write { .. } => self.end().max(length),
            Self::Length(length) => *length,
        }
    }

    /// Up to where it reaches.
    fn end(&self) -> u64 {
        match self {
            Self::Write { at, bytes } => at + bytes.len() as u64,
            Self::Length(length) => *length,
        }
    }

    fn apply(&self, to: &mut Vec<u8>) {
        to.resize(to.len().max(place(self.end())), 0);
        match self {
            Self::Write { at, bytes } => to[place(*at)..place(self.end())].copy_from_slice(bytes),
            Self::Length(length) => to.truncate(place(*length)),
        }
    }

    /// Does it to the sectors that are let through. Of those that are not, nothing is cut away.
    fn apply_where(&self, to: &mut Vec<u8>, lets: impl Fn(u64) -> bool) {
        to.resize(to.len().max(place(self.end())), 0);
        match self {
            Self::Write { at, bytes } => {
                for (from, end) in pieces(*at, self.end()).filter(|(from, _)| lets(from / SECTOR)) {
                    to[place(from)..place(end)].copy_from_slice(&bytes[place(from - at)..place(end - at)]);
                }
            }
            Self::Length(length) => {
                let mut kept = place(*length);
                for (from, end) in pieces(*length, to.len() as u64) {
                    if lets(from / SECTOR) {
                        to[place(from)..place(end)].fill(0);
                    } else {
                        kept = place(end);
                    }
                }
                to.truncate(kept);
            }
        }
    }

    /// A write of which only the first sectors reached the disk.
    fn apply_torn(&self, platter: &mut Vec<u8>, random: &mut dyn Random) {
        let Self::Write { at, bytes } = self else { return };
        let sectors = pieces(*at, self.end()).count() as u64;
        let whole = random.below(sectors);
        if whole > 0 {
            let end = (at / SECTOR + whole) * SECTOR;
            let bytes = bytes[..place(end - at)].to_vec();
            Self::Write { at: *at, bytes }.apply(platter);
        }
    }
}

fn keep_first(platter: &mut Vec<u8>, changes: &[Change], many: u64) {
    changes.iter().take(place(many)).for_each(|change| change.apply(platter));
}

/// As of which change each sector is: one by one; or nearly all as of the last one, with some holes; or nearly all as of
/// the first, with some islands. The last two are what a long write looks like that was cut off early or late.
fn moments(sectors: u64, many: u64, random: &mut dyn Random) -> Vec<u64> {
    let (ground, others) = match random.below(3) {
        0 => return (0..sectors).map(|_| random.below(many + 1)).collect(),
        1 => (many, 0),
        _ => (0, many),
    };
    let mut moments = vec![ground; place(sectors)];
    for _ in 0..=random.below(3) {
        let from = random.below(sectors + 1);
        let most = [2, 16, sectors + 1][place(random.below(3))];
        let length = random.below(most) + 1;
        let moment = if random.below(2) == 0 { others } else { random.below(many + 1) };
        moments[place(from)..place((from + length).min(sectors).max(from))].fill(moment);
    }
    moments
}

/// A stretch, divided where sectors meet.
fn pieces(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let start = at;
        at = ((at / SECTOR + 1) * SECTOR).min(to);
        (start < to).then_some((start, at))
    })
}

/// A place in memory. Simulated files are small.
fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
