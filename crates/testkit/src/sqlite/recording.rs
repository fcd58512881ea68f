//! What happened to a few files since each was last synced, and what a power cut leaves of them.
//!
//! Certain is a file's content at its last sync. Of what was done to it since, in any order, each write is there, is not,
//! or is there in some of its 512-byte sectors; each new length and each removal has happened or not. A new file counts as
//! absent until it is synced or one of its writes is there. The first sync of a new log syncs the folder too, as SQLite's own
//! file system does it, and so makes certain what was removed before.
//!
//! A sync that fails is the end of what it should have kept: the operating system may have given up on each write and calls
//! it clean all the same, so a later sync that succeeds does not bring it back. What a reader sees until then is the file as it
//! was written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anole_event::{Random, Seeded};

use super::play::Marks;

const SECTOR: usize = 512;

/// How a disk behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    /// Syncs do nothing: a disk that lies, or `synchronous = OFF`.
    pub(crate) lies: bool,
    /// One write of so many finds the disk full after some of its bytes; 0 for none.
    pub(crate) full: u64,
    /// One sync of so many fails; 0 for none.
    pub(crate) bad_sync: u64,
    /// One call of so many is a moment at which the power may go; 0 for none.
    pub(crate) cut: u64,
}

/// What is recorded of a folder.
pub(crate) struct Recording(Mutex<Inner>);

struct Inner {
    random: Seeded,
    manners: Manners,
    files: BTreeMap<String, Recorded>,
    marks: Arc<Marks>,
    cuts: Vec<Cut>,
    syncs: u64,
    failures: u64,
    writes: u64,
    /// The write that finds the disk full, and no other: the first is 1.
    fails_at: u64,
}

#[derive(Clone, Default)]
struct Recorded {
    /// `None` while the file is not there for certain.
    certain: Option<Arc<Vec<u8>>>,
    since: Vec<Arc<Change>>,
    /// Whether it was made since the folder was synced.
    is_new: bool,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
    Removed,
}

/// A moment: the files, and what had been acknowledged and asked for.
#[derive(Clone)]
pub(crate) struct Cut {
    files: BTreeMap<String, Recorded>,
    /// By lane: commits acknowledged, commits asked for.
    pub(crate) commits: Vec<(usize, usize)>,
}

/// How much of what was not synced is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Luck {
    Nothing,
    Everything,
    /// Everything up to some change, which is torn.
    Prefix,
    /// Any of it.
    Mixed,
}

// === impl Recording ===

impl Recording {
    pub(crate) fn new(seed: u64, manners: Manners, marks: Arc<Marks>) -> Self {
        Self(Mutex::new(Inner {
            random: Seeded::new(seed),
            manners,
            files: BTreeMap::new(),
            marks,
            cuts: Vec::new(),
            syncs: 0,
            failures: 0,
            writes: 0,
            fails_at: 0,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut self.lock().cuts)
    }

    /// Syncs asked for, and calls that were made to fail.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.syncs, inner.failures)
    }

    /// Lets every write find the disk full.
    #[cfg(test)]
    pub(crate) fn be_full(&self) {
        self.lock().manners.full = 1;
    }

    /// Lets one write find the disk full: of those to come, the first is 1.
    #[cfg(test)]
    pub(crate) fn fail_at(&self, write: u64) {
        let mut inner = self.lock();
        inner.fails_at = inner.writes + write;
    }

    /// Lets nothing fail any more.
    pub(crate) fn be_well(&self) {
        let mut inner = self.lock();
        inner.manners.full = 0;
        inner.manners.bad_sync = 0;
    }

    /// A moment of now.
    pub(crate) fn cut_now(&self) -> Cut {
        let inner = self.lock();
        Cut { files: inner.files.clone(), commits: inner.marks.now() }
    }

    /// What a file holds for certain when the recording begins.
    pub(crate) fn is_there(&self, name: &str, bytes: Vec<u8>) {
        let there = Recorded { certain: Some(Arc::new(bytes)), ..Recorded::default() };
        self.lock().files.insert(name.to_owned(), there);
    }

    pub(crate) fn opened(&self, name: &str, mut file: &File) -> io::Result<()> {
        let mut inner = self.lock();
        // The store makes the database itself; an empty log was made just now.
        let is_new = name != "state.db" && file.metadata()?.len() == 0;
        if !inner.files.contains_key(name) {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let certain = (!is_new).then(|| Arc::new(bytes));
            inner.files.insert(name.to_owned(), Recorded { certain, ..Recorded::default() });
        }
        inner.files.entry(name.to_owned()).or_default().is_new |= is_new;
        Ok(())
    }

    /// Gives how many bytes were written, and what is said.
    pub(crate) fn written(&self, name: &str, at: u64, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut inner = self.lock();
        inner.moment();
        let one_of = inner.manners.full;
        inner.writes += 1;
        let full = inner.fails(one_of) || inner.writes == inner.fails_at;
        let length = if full { inner.random.below(bytes.len() as u64 + 1) as usize } else { bytes.len() };
        let change = Change::Write { at: usize::try_from(at).expect("small files"), bytes: bytes[..length].to_vec() };
        inner.change(name, change);
        (length, if full { Err(ErrorKind::WriteZero.into()) } else { Ok(()) })
    }

    pub(crate) fn resized(&self, name: &str, size: u64) {
        let mut inner = self.lock();
        inner.moment();
        inner.change(name, Change::Length(usize::try_from(size).expect("small files")));
    }

    pub(crate) fn removed(&self, name: &str) {
        let mut inner = self.lock();
        inner.moment();
        inner.change(name, Change::Removed);
    }

    /// All of a file was written once more, and synced.
    pub(crate) fn renewed(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.lock().change(name, Change::Write { at: 0, bytes });
        self.synced(name)
    }

    pub(crate) fn synced(&self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.syncs += 1;
        inner.moment();
        if inner.manners.lies {
            return Ok(());
        }
        let one_of = inner.manners.bad_sync;
        let fails = inner.fails(one_of);
        let Inner { files, random, .. } = &mut *inner;
        if let Some(file) = files.get_mut(name) {
            if fails {
                file.give_up_some(random);
            } else {
                file.certain = file.after(Luck::Everything, random).map(Arc::new);
                file.since.clear();
                if std::mem::take(&mut file.is_new) {
                    files.values_mut().for_each(Recorded::folder_synced);
                }
            }
        }
        if fails { Err(io::Error::other("the disk failed, says the test")) } else { Ok(()) }
    }
}

// === impl Inner ===

impl Inner {
    fn moment(&mut self) {
        if self.manners.cut > 0 && self.random.below(self.manners.cut) == 0 {
            self.cuts.push(Cut { files: self.files.clone(), commits: self.marks.now() });
        }
    }

    fn fails(&mut self, one_of: u64) -> bool {
        let fails = one_of > 0 && self.random.below(one_of) == 0;
        self.failures += u64::from(fails);
        fails
    }

    fn change(&mut self, name: &str, change: Change) {
        self.files.entry(name.to_owned()).or_default().since.push(Arc::new(change));
    }
}

// === impl Recorded ===

impl Recorded {
    fn folder_synced(&mut self) {
        if let Some(at) = self.since.iter().rposition(|change| matches!(**change, Change::Removed)) {
            self.certain = None;
            self.since.drain(..=at);
        }
    }

    /// A sync failed: some of what was written to the file of today will never be there.
    fn give_up_some(&mut self, random: &mut Seeded) {
        let kept = self.since.iter().rposition(|change| matches!(**change, Change::Removed)).map_or(0, |at| at + 1);
        let written = self.since.split_off(kept);
        self.since.extend(written.into_iter().filter(|_| random.below(2) == 0));
    }

    /// The file after a power cut; `None` when it is not there.
    fn after(&self, luck: Luck, random: &mut Seeded) -> Option<Vec<u8>> {
        let mut content = self.certain.as_deref().cloned();
        let last = random.below(self.since.len() as u64 + 1) as usize;
        for (number, change) in self.since.iter().enumerate() {
            let (there, torn) = match luck {
                Luck::Nothing => (false, false),
                Luck::Everything => (true, false),
                Luck::Prefix => (number <= last, number == last),
                Luck::Mixed => (random.below(3) > 0, random.below(3) == 0),
            };
            if !there && matches!(**change, Change::Removed) {
                // The old file is still there under its name, and what was done since was done to another one.
                break;
            }
            if there {
                change.apply(&mut content, torn, random);
            }
        }
        content
    }
}

// === impl Change ===

impl Change {
    fn apply(&self, content: &mut Option<Vec<u8>>, torn: bool, random: &mut Seeded) {
        match self {
            Self::Removed => *content = None,
            Self::Length(length) => content.get_or_insert_default().resize(*length, 0),
            Self::Write { at, bytes } => {
                let content = content.get_or_insert_default();
                let mut from = *at;
                let end = at + bytes.len();
                while from < end {
                    let to = end.min((from / SECTOR + 1) * SECTOR);
                    if !torn || random.below(2) == 0 {
                        if content.len() < to {
                            content.resize(to, 0);
                        }
                        content[from..to].copy_from_slice(&bytes[from - at..to - at]);
                    }
                    from = to;
                }
            }
        }
    }
}

// === impl Cut ===

impl Cut {
    /// The files that are there after this cut, with their content.
    pub(crate) fn image(&self, luck: Luck, random: &mut Seeded) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.iter();
        files.filter_map(|(name, file)| Some((name.clone(), file.after(luck, random)?))).collect()
    }
}
