//! The folder with its files `history-N.db`, and what is done to them as a whole.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anole_event::Timestamp;

/// Where the files are.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

// === impl Folder ===

impl Folder {
    pub(crate) fn at(dir: &Path) -> Self {
        Self(dir.to_owned())
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

    /// Bytes on disk of a file and its write-ahead log.
    pub(crate) fn size(&self, number: u32) -> u64 {
        let file = self.file(number);
        BESIDE.iter().filter_map(|suffix| fs::metadata(beside(&file, suffix)).ok()).map(|metadata| metadata.len()).sum()
    }

    /// Makes a file 0600, when need be an empty one. SQLite gives its `-wal` and `-shm` the mode of the database, so this
    /// is done before SQLite first sees it.
    pub(crate) fn make_private(&self, number: u32) -> io::Result<()> {
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(self.file(number))?;
        if opened.metadata()?.permissions().mode() & 0o777 != 0o600 {
            opened.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self, number: u32) -> io::Result<()> {
        let file = self.file(number);
        for suffix in BESIDE {
            match fs::remove_file(beside(&file, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves a damaged file away, and says where it is now.
    pub(crate) fn set_aside(&self, number: u32, at: Timestamp) -> io::Result<PathBuf> {
        let file = self.file(number);
        let aside = beside(&file, &format!(".damaged-{}", at.to_string().replace([':', '.'], "-")));
        for suffix in BESIDE {
            match fs::rename(beside(&file, suffix), beside(&aside, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(aside)
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file.as_os_str());
    name.push(suffix);
    name.into()
}
