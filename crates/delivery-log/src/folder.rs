//! The folder with its files `history-N.db`, each with its `history-N.bodies`, and what is done to them as a whole.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anole_event::Timestamp;

use crate::blocks;

/// Where the files are, and the size of a page of a new one.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf, u32);

/// SQLite writes page by page, so large ones take fewer writes: a row with its block has about half of such a page.
const PAGE: u32 = 16 * 1024;
/// A file of few pages would be mostly empty with large ones.
const SMALL_PAGE: u32 = 4 * 1024;
/// From this size on a file has large pages.
const LARGE_FILE: u64 = 1024 * PAGE as u64;

/// What belongs to a database. The intake goes last: what it holds is in the database or is in none.
const BESIDE: [&str; 5] = ["", "-wal", "-shm", "-blocks", "-intake"];

// === impl Folder ===

impl Folder {
    pub(crate) fn at(dir: &Path) -> Self {
        Self(dir.to_owned(), SMALL_PAGE)
    }

    /// The folder of a log that begins the next file at so many bytes.
    pub(crate) fn with_files_of(dir: &Path, file_bytes: u64) -> Self {
        Self(dir.to_owned(), if file_bytes >= LARGE_FILE { PAGE } else { SMALL_PAGE })
    }

    /// Bytes of a page of a new file.
    pub(crate) const fn page_bytes(&self) -> u32 {
        self.1
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    pub(crate) fn file(&self, number: u32) -> PathBuf {
        self.0.join(format!("history-{number}.db"))
    }

    /// The numbers of the files, oldest first.
    pub(crate) fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("history-")?.strip_suffix(".db"));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The file of bodies beside a file of rows.
    pub(crate) fn bodies(&self, number: u32) -> PathBuf {
        self.0.join(format!("history-{number}.bodies"))
    }

    /// The file of statistics.
    pub(crate) fn statistics(&self) -> PathBuf {
        self.0.join("statistics.db")
    }

    /// Bytes on disk of a file's bodies.
    pub(crate) fn body_size(&self, number: u32) -> u64 {
        fs::metadata(self.bodies(number)).map_or(0, |metadata| metadata.len())
    }

    /// Bytes on disk of a file and its write-ahead log, without its bodies.
    pub(crate) fn size(&self, number: u32) -> u64 {
        let file = self.file(number);
        BESIDE.iter().filter_map(|suffix| fs::metadata(beside(&file, suffix)).ok()).map(|metadata| metadata.len()).sum()
    }

    /// Makes a file 0600, when need be an empty one. SQLite gives its `-wal` and `-shm` the mode of the database, so this
    /// is done before SQLite first sees it.
    pub(crate) fn make_private(file: &Path) -> io::Result<()> {
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
        if opened.metadata()?.permissions().mode() & 0o777 != 0o600 {
            opened.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    /// Removes a file with its bodies. These go first: what is left of a crash in between is a file without bodies.
    pub(crate) fn remove(&self, number: u32) -> io::Result<()> {
        self.remove_bodies(number)?;
        let file = self.file(number);
        BESIDE.iter().try_for_each(|suffix| gone(fs::remove_file(beside(&file, suffix))))
    }

    pub(crate) fn remove_bodies(&self, number: u32) -> io::Result<()> {
        gone(fs::remove_file(self.bodies(number)))
    }

    /// Where the new self of a file is written.
    pub(crate) fn unfinished(&self, number: u32) -> PathBuf {
        self.0.join(format!("history-{number}.unfinished"))
    }

    pub(crate) fn remove_unfinished(&self, number: u32) -> io::Result<()> {
        Self::gone(fs::remove_file(self.unfinished(number)))
    }

    /// Removes what a crash has left of files that were written anew.
    pub(crate) fn remove_all_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("history-") && name.ends_with(".unfinished")) {
                Self::gone(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    /// Gives the new self of a file its name. The write-ahead log of the old one is empty and goes first: the new one must not
    /// find it. Its blocks go last: the new one has them within.
    pub(crate) fn put_in_place(&self, number: u32) -> io::Result<()> {
        let file = self.file(number);
        for suffix in ["-wal", "-shm", "-intake"] {
            Self::gone(fs::remove_file(beside(&file, suffix)))?;
        }
        fs::rename(self.unfinished(number), &file)?;
        fs::File::open(&self.0)?.sync_all()?;
        self.remove_blocks(number)?;
        fs::File::open(&self.0)?.sync_all()
    }

    /// Removes the blocks of a file that has them within.
    pub(crate) fn remove_blocks(&self, number: u32) -> io::Result<()> {
        gone(fs::remove_file(blocks::beside(&self.file(number))))
    }

    /// What is not there needs not be removed.
    pub(crate) fn gone(done: io::Result<()>) -> io::Result<()> {
        gone(done)
    }

    /// Moves a damaged file away with its bodies, and says where it is now.
    pub(crate) fn set_aside(&self, number: u32, at: Timestamp) -> io::Result<PathBuf> {
        let aside = move_away(&self.file(number), at)?;
        gone(fs::rename(self.bodies(number), beside(&aside, ".bodies")))?;
        Ok(aside)
    }
}

/// Moves a database that cannot be used away, and says where it is now.
pub(crate) fn move_away(file: &Path, at: Timestamp) -> io::Result<PathBuf> {
    let aside = beside(file, &format!(".damaged-{}", at.to_string().replace([':', '.'], "-")));
    BESIDE.iter().try_for_each(|suffix| gone(fs::rename(beside(file, suffix), beside(&aside, suffix))))?;
    Ok(aside)
}

/// What is not there needs not be moved.
fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file.as_os_str());
    name.push(suffix);
    name.into()
}
