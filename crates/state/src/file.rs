//! The files beside each other in the data folder, and what is done to them as a whole.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anole_event::Timestamp;

/// The names that belong to one `state.db`.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) database: PathBuf,
}

// === impl Files ===

impl Files {
    pub(crate) fn of(database: &Path) -> Self {
        Self { database: database.to_owned() }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.database.as_os_str());
        name.push(suffix);
        name.into()
    }

    pub(crate) fn backup(&self) -> PathBuf {
        self.beside(".backup")
    }

    /// Where a backup is written before it takes the place of the one before it.
    pub(crate) fn unfinished_backup(&self) -> PathBuf {
        self.beside(".backup.new")
    }

    /// The copy that is made before a migration from this format.
    pub(crate) fn before_migration(&self, format: u32) -> PathBuf {
        self.beside(&format!(".format-{format}"))
    }

    /// It is there when the database was found damaged while it was open: the next opening looks at every page.
    pub(crate) fn suspect(&self) -> PathBuf {
        self.beside(".suspect")
    }

    /// Moves the database and its write-ahead log away, and says where it is now.
    ///
    /// The log must go too: SQLite would lay it over whatever stands in the database's place next.
    pub(crate) fn set_aside(&self, at: Timestamp) -> io::Result<PathBuf> {
        let stamp = at.to_string().replace([':', '.'], "-");
        let mut aside = self.beside(&format!(".damaged-{stamp}"));
        for number in 2_u32.. {
            if !aside.exists() {
                break;
            }
            aside = self.beside(&format!(".damaged-{stamp}-{number}"));
        }
        for suffix in ["-wal", "-shm", ""] {
            let from = self.beside(suffix);
            if from.exists() {
                let mut to = OsString::from(aside.as_os_str());
                to.push(suffix);
                fs::rename(from, PathBuf::from(to))?;
            }
        }
        sync_folder(&self.database)?;
        Ok(aside)
    }

    /// Copies the backup into the database's place, in one step.
    pub(crate) fn restore(&self) -> io::Result<()> {
        let unfinished = self.beside(".restored");
        remove(&unfinished)?;
        make_private(&unfinished)?;
        let mut from = File::open(self.backup())?;
        let mut to = OpenOptions::new().write(true).truncate(true).open(&unfinished)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
        fs::rename(&unfinished, &self.database)?;
        sync_folder(&self.database)
    }
}

/// Makes the folder of a file, 0700, when it is not there.
pub(crate) fn make_folder_of(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        _ => Ok(()),
    }
}

/// Makes a file 0600, when need be an empty one. SQLite gives its `-wal` and `-shm` the mode of the database, so this is
/// done before SQLite first sees it.
pub(crate) fn make_private(file: &Path) -> io::Result<()> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    if opened.metadata()?.permissions().mode() & 0o777 != 0o600 {
        opened.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// Puts a finished file in the place of another, so that a power cut leaves one or the other.
pub(crate) fn replace(finished: &Path, place: &Path) -> io::Result<()> {
    File::open(finished)?.sync_all()?;
    fs::rename(finished, place)?;
    sync_folder(place)
}

/// Removes a file that may not be there.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
