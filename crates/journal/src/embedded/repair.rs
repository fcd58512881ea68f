//! Putting in order what can be: `anole journal repair`.
//!
//! The journal starts with any damage, and steps over it; nothing here is needed for that. What a repair adds: a whole
//! segment that stands under a wrong name, or was set aside by mistake, comes back; damaged headers and indexes are
//! written anew, so that they need not be made up for again; what was left unfinished goes. What was lost stays lost, and
//! a damaged group stays where it is: cutting it out would move what stands behind it, and positions never move.
//!
//! A repair is a list of steps, so that it can be shown before it is done. Each step is safe by itself and may be done
//! again. Nobody may have the journal open meanwhile.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anole_event::Timestamp;
use anole_telemetry::Telemetry;

use super::format::{HEADER, Header};
use super::index::{About, Index};
use super::keeper::entries;
use super::open::{self, Access, OpenError};
use super::segment::Segment;
use super::verify::name_of;
use crate::AckLevel;
use crate::disk::{self, File};

/// One thing that a repair does. It displays as what it would do.
#[derive(Clone, Debug)]
pub struct Step(Act);

#[derive(Clone, Debug)]
enum Act {
    /// Removes what a process that was cut off has left; it was never acknowledged.
    RemoveUnfinished { file: PathBuf },
    /// Gives a whole segment its own name back.
    Rename { from: PathBuf, to: PathBuf },
    /// Writes a header anew from what the groups and the segment before tell.
    WriteHeader { file: PathBuf, header: Box<[u8]> },
    /// Cuts off what was being appended to the last segment when the process was cut off.
    CutTail { file: PathBuf, length: u64, bytes: u64 },
    /// Makes the index of a segment anew.
    WriteIndex { segment: Arc<Segment>, end: u64 },
}

/// What a repair of this folder would do, in the order in which it must be done.
///
/// # Errors
/// When the folder or a file cannot be read, or a segment is of a later version.
pub fn plan_repair(dir: &Path, telemetry: &Telemetry) -> Result<Vec<Step>, OpenError> {
    let io = |source| OpenError::Io { path: dir.to_owned(), source };
    let mut steps = names(dir).map_err(io)?;
    if steps.iter().any(|step| matches!(step.0, Act::Rename { .. })) {
        // What else is to be done shows only with the segment in its place.
        return Ok(steps);
    }
    let found = open::find(dir, Access::ReadOnly, telemetry)?;
    let mut before: Option<&Segment> = None;
    for (at, segment) in found.segments.iter().enumerate() {
        let next = found.segments.get(at + 1);
        let failed = |source| OpenError::Io { path: segment.path.clone(), source };
        if segment.created.is_none()
            && let Some(header) = header_of(segment, before).map_err(failed)?
        {
            steps.push(Step(Act::WriteHeader { file: segment.path.clone(), header: header.encode().into() }));
        }
        if let Some(next) = next {
            let index = Index::of(dir, segment).map_err(failed)?;
            if !index.is_some_and(|index| index.entries().is_ok_and(|entries| entries.is_some())) {
                steps.push(Step(Act::WriteIndex { segment: Arc::clone(segment), end: next.previous_end }));
            }
        } else {
            let bytes = segment.open().and_then(|file| file.end()).map_err(failed)?.saturating_sub(found.tail.end);
            if bytes > 0 {
                let length = found.tail.end - segment.base;
                steps.push(Step(Act::CutTail { file: segment.path.clone(), length, bytes }));
            }
        }
        before = Some(segment);
    }
    Ok(steps)
}

/// Steps that the names of files ask for.
fn names(dir: &Path) -> io::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for name in disk::list(dir)? {
        let path = dir.join(&name);
        if [".segment.tmp", ".index.tmp", ".tally.tmp"].iter().any(|end| name.ends_with(end)) {
            steps.push(Step(Act::RemoveUnfinished { file: path }));
        } else if name.ends_with(".segment.aside") || Segment::base_of(&name).is_some() {
            let Ok(header) = Header::decode(&File::read(&path)?.read_at(0, HEADER as usize)?) else { continue };
            let own = Segment::path_in(dir, header.base);
            let is_free = matches!(File::read(&own), Err(error) if error.kind() == io::ErrorKind::NotFound);
            if own != path && is_free {
                steps.push(Step(Act::Rename { from: path, to: own }));
            }
        }
    }
    Ok(steps)
}

/// The header that a segment must have had; nothing where its first group cannot tell how many records came before.
fn header_of(segment: &Segment, before: Option<&Segment>) -> io::Result<Option<Header>> {
    let Some(running) = segment.running else { return Ok(None) };
    let previous_end = match before {
        Some(before) => before.open()?.extent(before.running, None, |_, _| {})?.end.min(segment.base),
        None => segment.base,
    };
    Ok(Some(Header {
        ack: AckLevel::Fsync,
        base: segment.base,
        file_id: segment.file_id,
        running,
        previous_end,
        created: first_arrival(segment)?,
    }))
}

/// When a segment was begun, as near as its first event tells. Where it tells nothing the time is never, as retention goes
/// by it for the segment before: what is kept too long does less harm than what goes too early.
fn first_arrival(segment: &Segment) -> io::Result<Timestamp> {
    let file = segment.open()?;
    let groups = file.groups(segment.first(), file.end()?, 1, 0)?;
    let first = groups.and_then(|groups| groups.records.into_iter().next());
    let arrived = first.and_then(|(_, record)| record.head().ok().map(|head| head.received_at));
    Ok(arrived.unwrap_or(Timestamp::from_micros(i64::MAX)))
}

// === impl Step ===

impl Step {
    /// Does it.
    ///
    /// # Errors
    /// When a file cannot be read or written; the step may be done again.
    pub fn run(&self) -> io::Result<()> {
        match &self.0 {
            Act::RemoveUnfinished { file } => disk::remove(file),
            Act::Rename { from, to } => disk::rename(from, to),
            Act::WriteHeader { file, header } => {
                let file = File::write(file)?;
                file.write_all_at(header, 0)?;
                file.sync_all()
            }
            Act::CutTail { file, length, .. } => {
                let file = File::write(file)?;
                file.set_len(*length)?;
                file.sync_all()
            }
            Act::WriteIndex { segment, end } => write_index(segment, *end),
        }?;
        disk::sync_dir(self.file().parent().unwrap_or(Path::new(".")))
    }

    /// The stable code of what it does.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match &self.0 {
            Act::RemoveUnfinished { .. } => "remove_unfinished",
            Act::Rename { .. } => "rename",
            Act::WriteHeader { .. } => "write_header",
            Act::CutTail { .. } => "cut_tail",
            Act::WriteIndex { .. } => "write_index",
        }
    }

    /// The file that it works on.
    #[must_use]
    pub fn file(&self) -> &Path {
        match &self.0 {
            Act::RemoveUnfinished { file } | Act::Rename { from: file, .. } => file,
            Act::WriteHeader { file, .. } | Act::CutTail { file, .. } => file,
            Act::WriteIndex { segment, .. } => &segment.path,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = name_of(self.file());
        match &self.0 {
            Act::RemoveUnfinished { .. } => {
                write!(f, "remove {name}, which was never finished and holds nothing acknowledged")
            }
            Act::Rename { to, .. } => {
                write!(f, "rename {name} to {}, the name of the segment that it holds", name_of(to))
            }
            Act::WriteHeader { .. } => write!(f, "write the header of {name} anew from its events"),
            Act::CutTail { bytes, .. } => {
                write!(f, "cut {bytes} bytes off the end of {name}, which were never acknowledged")
            }
            Act::WriteIndex { .. } => write!(f, "make the index of {name} anew"),
        }
    }
}

fn write_index(segment: &Segment, end: u64) -> io::Result<()> {
    let dir = segment.path.parent().unwrap_or(Path::new("."));
    let about = About { base: segment.base, file_id: segment.file_id, end, count: 0 };
    Index::write(&Index::path_in(dir, segment.base), about, entries(segment, end)?).map(drop)
}
