//! Reading everything to see whether it is whole: `anole journal verify`.
//!
//! It changes nothing. A daemon may be writing meanwhile; what it appends after the start is not looked at.

use std::io;
use std::path::Path;

use anole_event::{Position, code_enum};
use anole_telemetry::Telemetry;

use super::dropped;
use super::format::{HEADER, Header, NoHeader};
use super::index::Index;
use super::mark::{self, EndMark};
use super::open::{self, Access, OpenError};
use super::segment::{Segment, SegmentFile};
use crate::disk::{self, File};

/// How many bytes are read at once.
const CHUNK: usize = 1024 * 1024;

/// What was found in a journal's folder.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// How many segments there are.
    pub segments: u64,
    /// How many bytes of them were read.
    pub bytes: u64,
    /// How many groups are whole.
    pub groups: u64,
    /// How many records can be read.
    pub records: u64,
    /// How many of them were erased.
    pub erased: u64,
    /// What is not as it should be, in the order of the files.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, by its name in the folder.
    pub file: String,
    /// Where it begins.
    pub at: Option<Position>,
    /// What it is.
    pub flaw: Flaw,
    /// How many records cannot be read because of it, where that is known.
    pub records: Option<u64>,
}

code_enum! {
    /// What can be wrong with a journal's folder.
    pub enum Flaw {
        /// Bytes are not what was written: the groups that they belong to cannot be read.
        DamagedGroup "damaged_group",
        /// A segment ends before it should, or the one behind it is not there.
        MissingEnd "missing_end",
        /// The newest records, which had been acknowledged, are not there.
        MissingNewest "missing_newest",
        /// A segment's header is damaged; it is made up for at each start.
        DamagedHeader "damaged_header",
        /// A file was set aside, or will be at the next start: as it stands nothing in it can be read.
        Unreadable "unreadable",
        /// A whole segment stands under another's name.
        Misnamed "misnamed",
        /// What was being written when the process ended; it was never acknowledged and is cut or removed at the next start.
        Unfinished "unfinished",
        /// A sealed segment has no index, or one that cannot be read: searches read the segment until the next start.
        NoIndex "no_index",
        /// The file is none of the journal's.
        Foreign "foreign",
    }
}

// === impl Flaw ===

impl Flaw {
    /// Whether records are or may be lost by it. The others are told for tidiness.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        match self {
            Self::DamagedGroup | Self::MissingEnd | Self::MissingNewest | Self::Unreadable | Self::Misnamed => true,
            Self::DamagedHeader | Self::Unfinished | Self::NoIndex | Self::Foreign => false,
        }
    }

    /// What it means, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::DamagedGroup => "bytes are not what was written; the events in this stretch are lost",
            Self::MissingEnd => "the segment ends before it should, or the one behind it is missing",
            Self::MissingNewest => "the newest events, which had been acknowledged, are missing",
            Self::DamagedHeader => "the header is damaged; it is made up for from the events at each start",
            Self::Unreadable => "nothing in this file can be read as it stands",
            Self::Misnamed => "a whole segment under another segment's name",
            Self::Unfinished => "left by a process that was cut off; never acknowledged, and removed at the next start",
            Self::NoIndex => "the index is missing or damaged; it is made anew at the next start",
            Self::Foreign => "not a file of the journal; it is left alone",
        }
    }
}

// === impl Verified ===

impl Verified {
    /// Whether nothing is lost.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.findings.iter().any(|finding| finding.flaw.is_damage())
    }

    fn add(&mut self, file: &str, at: Option<u64>, flaw: Flaw, records: Option<u64>) {
        self.findings.push(Finding { file: file.to_owned(), at: at.map(Position::at), flaw, records });
    }
}

/// Reads everything in a journal's folder, and says after each piece how many bytes of how many have been read.
///
/// # Errors
/// When the folder or a file cannot be read, or a segment is of a later version.
pub fn verify(dir: &Path, telemetry: &Telemetry, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, OpenError> {
    let io = |source| OpenError::Io { path: dir.to_owned(), source };
    let found = open::find(dir, Access::ReadOnly, telemetry)?;
    let mut verified = Verified { segments: found.segments.len() as u64, ..Verified::default() };
    files(dir, &mut verified).map_err(io)?;
    let ends = found.segments.iter().skip(1).map(|next| (next.previous_end, next.running));
    let ends: Vec<_> = ends.chain([(found.tail.end, Some(found.tail.running))]).collect();
    let total = found.segments.iter().zip(&ends).map(|(segment, (end, _))| end.saturating_sub(segment.base)).sum();
    let last = found.segments.len().saturating_sub(1);
    for (at, (segment, (end, running))) in found.segments.iter().zip(ends).enumerate() {
        let name = name_of(&segment.path);
        read(segment, &name, end, running, &mut verified, &mut |done| progress(done, total))
            .map_err(|source| OpenError::Io { path: segment.path.clone(), source })?;
        let has_index =
            Index::of(dir, segment).map_err(io)?.is_some_and(|index| index.entries().is_ok_and(|it| it.is_some()));
        if at < last && !has_index {
            verified.add(&name, None, Flaw::NoIndex, None);
        }
    }
    if let Some(mark) = EndMark::read(dir).filter(|mark| mark.end > found.tail.end) {
        let records = mark.running.checked_sub(found.tail.running);
        verified.add(mark::NAME, Some(found.tail.end), Flaw::MissingNewest, records);
    }
    Ok(verified)
}

pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What can be said of the files without reading them whole.
fn files(dir: &Path, verified: &mut Verified) -> io::Result<()> {
    for name in disk::list(dir)? {
        if let Some(base) = Segment::base_of(&name) {
            let header = Header::decode(&File::read(&dir.join(&name))?.read_at(0, HEADER as usize)?);
            match header {
                Ok(header) if header.base != base => verified.add(&name, None, Flaw::Misnamed, None),
                Ok(_) | Err(NoHeader::Version(_)) => {}
                Err(NoHeader::Damaged) if is_rebuilt(&dir.join(&name), base)? => {
                    verified.add(&name, None, Flaw::DamagedHeader, None);
                }
                Err(NoHeader::Damaged) => verified.add(&name, None, Flaw::Unreadable, None),
            }
        } else if name.ends_with(".tmp")
            && [".segment.tmp", ".index.tmp", ".tally.tmp"].iter().any(|end| name.ends_with(end))
        {
            verified.add(&name, None, Flaw::Unfinished, None);
        } else if name.ends_with(".segment.aside") {
            verified.add(&name, None, Flaw::Unreadable, None);
        } else if Index::base_of(&name).is_none() && name != mark::NAME && name != dropped::NAME {
            verified.add(&name, None, Flaw::Foreign, None);
        }
    }
    Ok(())
}

fn is_rebuilt(path: &Path, base: u64) -> io::Result<bool> {
    let file = SegmentFile::new(File::read(path)?, base, None);
    Ok(file.find(base + HEADER, file.end()?)?.is_some())
}

/// Reads one segment. `end` is where it should end, `running` how many records were accepted up to there.
fn read(
    segment: &Segment,
    name: &str,
    end: u64,
    running: Option<u64>,
    verified: &mut Verified,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let file = segment.open()?;
    let (mut at, mut before) = (segment.first(), segment.running);
    while at < end {
        if let Some(groups) = file.groups(at, end, CHUNK, 0)? {
            let erased =
                |record: &anole_event::Record| record.head().is_ok_and(|head| head.kind == anole_event::Kind::Erased);
            verified.groups += groups.count;
            verified.records += groups.records.len() as u64;
            verified.erased += groups.records.iter().filter(|(_, record)| erased(record)).count() as u64;
            verified.bytes += groups.end - at;
            (at, before) = (groups.end, Some(groups.running));
            progress(verified.bytes);
            continue;
        }
        let flaw = if at >= file.end()? { Flaw::MissingEnd } else { Flaw::DamagedGroup };
        let (to, after) = match file.find(at + 1, end)? {
            Some(head) => (head.position, Some(head.running)),
            None => (end, running),
        };
        let lost = after.zip(before).map(|(after, before)| after.saturating_sub(before));
        if lost != Some(0) {
            verified.add(name, Some(at), flaw, lost);
        }
        verified.bytes += to - at;
        (at, before) = (to, after);
        progress(verified.bytes);
    }
    // Bytes behind the end were never accepted: a sync failed there, or the process was cut off.
    Ok(())
}
