//! Opening a folder of segments: one header is read per segment, and only the last segment is read whole.
//!
//! Damage never keeps the journal from opening. A header that is damaged is made up for from the file's name and its
//! first good group; a file from which nothing can be made is set aside under another name; what is missing shows as a
//! gap to readers. Only a segment of a later version stops it: an older anole must not write behind a newer one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anole_event::{Record, code_enum};
use anole_telemetry::{JournalDamaged, Said, TailCut, Telemetry};

use super::dropped::{self, Dropped};
use super::format::{HEADER, Header, NoHeader};
use super::index::{About, Entry, Index};
use super::log::Tail;
use super::mark::{self, EndMark};
use super::segment::{Extent, MAX_BASE, Segment, SegmentFile};
use crate::AckLevel;
use crate::disk::{self, File};

code_enum! {
    /// The stable codes of journals that cannot be opened.
    pub enum OpenCode {
        /// A file cannot be read or written.
        File "journal_file",
        /// A newer anole wrote it.
        Newer "journal_newer",
        /// The operating system gives no thread.
        Thread "journal_thread",
    }
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder, or a file in it, could not be read or written.
    #[error("cannot open the journal in {path}: {source}")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A segment was written by a later version.
    #[error(
        "{path} has journal format {version}, this anole reads format 1: run the anole that wrote it, or a later one"
    )]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its format.
        version: u16,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the journal's thread: {0}")]
    Thread(io::Error),
}

// === impl OpenError ===

impl OpenError {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> OpenCode {
        match self {
            Self::Io { .. } => OpenCode::File,
            Self::Version { .. } => OpenCode::Newer,
            Self::Thread(_) => OpenCode::Thread,
        }
    }
}

/// A folder as it was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Oldest first.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Segments without records whose place another one has taken.
    pub(crate) replaced: Vec<Arc<Segment>>,
    /// How far the last one goes.
    pub(crate) tail: Tail,
    /// Where damage begins that was said already.
    pub(crate) said: Vec<u64>,
    /// The position behind everything that files which were set aside may have held: it is never given again.
    pub(crate) behind: u64,
    /// How far the journal had been acknowledged, where that is further than it goes: the newest records are missing.
    pub(crate) acknowledged: Option<Tail>,
    /// What is known of the records of the last segment.
    pub(crate) entries: Vec<Entry>,
    /// The indexes that can be read.
    pub(crate) indexes: Vec<About>,
    /// What was dropped for want of room.
    pub(crate) dropped: Dropped,
}

/// Whether files may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadOnly,
    ReadWrite,
}

/// Reads what is in a folder. With write access unfinished files are removed and useless ones set aside, but segments are
/// not touched.
pub(crate) fn find(dir: &Path, access: Access, telemetry: &Telemetry) -> Result<Found, OpenError> {
    let io = |source| OpenError::Io { path: dir.to_owned(), source };
    let mut found = Found { dropped: Dropped::read(dir), ..Found::default() };
    for name in disk::list(dir).map_err(io)? {
        let path = dir.join(&name);
        if Index::base_of(&name).is_some() {
            // One that cannot be read is made anew.
            found.indexes.extend(Index::open(&path).ok().flatten().map(|index| index.about));
            continue;
        }
        let Some(base) = Segment::base_of(&name) else {
            other_file(&path, access, telemetry);
            continue;
        };
        match read_segment(&path, base, telemetry)? {
            Some(segment) => found.segments.push(Arc::new(segment)),
            None => found.behind = found.behind.max(set_aside(&path, base, access, telemetry)),
        }
    }
    found.leave_out_replaced();
    say_short(&found.segments, telemetry);
    let mark = EndMark::read(dir);
    if let Some(last) = found.segments.last() {
        let mut entries = Vec::new();
        let note = |at, record: &Record| entries.push(Entry::of(record.bytes(), at - last.base));
        let acknowledged = (last.ack == Some(AckLevel::Fsync)).then(|| mark.map_or(0, |mark| mark.end));
        let extent = last.open().and_then(|file| file.extent(last.running, acknowledged, note));
        let extent = extent.map_err(|source| OpenError::Io { path: last.path.clone(), source })?;
        entries.retain(|entry| last.base + u64::from(entry.place) < extent.end);
        say_extent(last, &extent, access, telemetry);
        found.tail = Tail { end: extent.end, running: extent.running.unwrap_or(0) };
        found.entries = entries;
        found.said = extent.damage.iter().map(|damage| damage.from).collect();
    }
    // Who only looks may see the mark of a daemon that has written on since.
    if access == Access::ReadWrite
        && let Some(mark) = mark.filter(|mark| mark.end > found.tail.end && mark.end <= MAX_BASE)
    {
        say_missing(dir, &found, mark, telemetry);
        found.said.push(found.tail.end);
        found.acknowledged = Some(mark);
    }
    Ok(found)
}

/// Says that the newest records are gone.
fn say_missing(dir: &Path, found: &Found, mark: Tail, telemetry: &Telemetry) {
    let records = mark.running.saturating_sub(found.tail.running);
    let file = found.segments.last().map_or(dir, |last| &last.path);
    let what = "the newest records, which had been acknowledged, are missing: a file was cut short or removed";
    telemetry.emit(JournalDamaged { file, what, records });
}

// === impl Found ===

impl Found {
    /// Takes segments out that never held a record and whose place another one has taken: its header passes over them.
    /// They are to be removed before that one is, for nothing else tells them from segments that have lost their records.
    fn leave_out_replaced(&mut self) {
        let mut kept: Vec<Arc<Segment>> = Vec::with_capacity(self.segments.len());
        for segment in std::mem::take(&mut self.segments).into_iter().rev() {
            if kept.last().is_some_and(|next| is_replaced(&segment, next)) {
                self.replaced.push(segment);
            } else {
                kept.push(segment);
            }
        }
        kept.reverse();
        self.segments = kept;
    }

    /// The indexes whose segments are not there.
    pub(crate) fn orphans(&self) -> BTreeMap<u64, About> {
        let is_there = |about: &&About| self.segments.iter().any(|segment| segment.base == about.base);
        self.indexes.iter().filter(|about| !is_there(about)).map(|about| (about.base, *about)).collect()
    }
}

/// Whether nothing was accepted in a segment before `next` was begun in its place. A segment in which a group stands is
/// never said to be so: what its neighbour says of it may be another journal's.
fn is_replaced(segment: &Segment, next: &Segment) -> bool {
    let passed_over = next.previous_end <= segment.base && next.running.is_some() && next.running == segment.running;
    passed_over && segment.open().and_then(|file| file.head(segment.first())).is_ok_and(|head| head.is_none())
}

/// A file that is none of ours, or one that was never finished.
fn other_file(path: &Path, access: Access, telemetry: &Telemetry) {
    let ours = |end: &str| path.to_string_lossy().ends_with(end);
    if ours(".segment.tmp") || ours(".index.tmp") || ours(".tally.tmp") {
        // It was never renamed, so nothing in it was accepted. A file that cannot be removed does no harm.
        if access == Access::ReadWrite {
            let _harmless = disk::remove(path);
        }
    } else if !ours(".segment.aside") && !ours(mark::NAME) && !ours(dropped::NAME) {
        let what = format!("{} is not a segment of the journal; it is left alone", path.display());
        telemetry.emit(Said(&what));
    }
}

/// The segment in this file; `None` when nothing can be made of it.
fn read_segment(path: &Path, base: u64, telemetry: &Telemetry) -> Result<Option<Segment>, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let file = File::read(path).map_err(io)?;
    let bytes = file.read_at(0, HEADER as usize).map_err(io)?;
    match Header::decode(&bytes) {
        Ok(header) if header.base == base => Ok(Some(Segment::new(&header, path.to_owned()))),
        // A whole segment under another's name: somebody renamed or copied it.
        Ok(_) => Ok(None),
        Err(NoHeader::Version(version)) => Err(OpenError::Version { path: path.to_owned(), version }),
        Err(NoHeader::Damaged) => rebuild(file, path, base, telemetry).map_err(io),
    }
}

/// Makes up for a damaged header from the file's name and its first good group.
fn rebuild(file: File, path: &Path, base: u64, telemetry: &Telemetry) -> io::Result<Option<Segment>> {
    let file = SegmentFile::new(file, base, None);
    let Some(head) = file.find(base + HEADER, file.end()?)? else { return Ok(None) };
    let what = "the header of the segment is damaged; it was made up for from the groups";
    telemetry.emit(JournalDamaged { file: path, what, records: 0 });
    Ok(Some(Segment {
        base,
        file_id: head.file_id,
        running: (head.position == base + HEADER).then_some(head.running),
        // Nearly always so: only behind a segment that failed are positions left out.
        previous_end: base,
        created: None,
        ack: None,
        path: path.to_owned(),
    }))
}

/// Moves a file out of the way, so that its name is free and a person can look at it. Gives the position behind it.
fn set_aside(path: &Path, base: u64, access: Access, telemetry: &Telemetry) -> u64 {
    let length = File::read(path).and_then(|file| file.len()).unwrap_or(0);
    let mut aside = path.as_os_str().to_owned();
    aside.push(".aside");
    let moved = access == Access::ReadWrite && disk::rename(path, Path::new(&aside)).is_ok();
    let what = if moved { "nothing in it can be read; it was renamed to .aside" } else { "nothing in it can be read" };
    telemetry.emit(JournalDamaged { file: path, what, records: 0 });
    base.saturating_add(length)
}

/// Says which files end before the segment behind them says they should. Readers say how many records that costs.
fn say_short(segments: &[Arc<Segment>], telemetry: &Telemetry) {
    for pair in segments.windows(2) {
        let [segment, next] = pair else { continue };
        let end = segment.open().and_then(|file| file.end());
        if end.is_ok_and(|end| end < next.previous_end) {
            let what = "the segment is shorter than it was, or the one behind it is missing";
            telemetry.emit(JournalDamaged { file: &segment.path, what, records: 0 });
        }
    }
}

/// Says what is wrong with the last segment.
fn say_extent(last: &Segment, extent: &Extent, access: Access, telemetry: &Telemetry) {
    for damage in &extent.damage {
        let what = "bytes in the segment are not what was written";
        telemetry.emit(JournalDamaged { file: &last.path, what, records: damage.records.unwrap_or(0) });
    }
    // Who only looks may see a daemon in the middle of a write, and cuts nothing.
    if extent.torn > 0 && access == Access::ReadWrite {
        telemetry.emit(TailCut { file: &last.path, bytes: extent.torn });
    }
}
