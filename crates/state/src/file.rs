//! The files beside each other in the data folder, and what is done to them as a whole.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

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
        beside(&self.database, suffix)
    }

    /// SQLite's write-ahead log.
    pub(crate) fn log(&self) -> PathBuf {
        self.beside("-wal")
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

    /// Moves the database and its write-ahead log away, and says where it is now; `None` when there was nothing.
    ///
    /// The log must go too: SQLite would lay it over whatever stands in the database's place next. The database goes first:
    /// a crash in between must not leave one that looks sound and lacks what its log had.
    pub(crate) fn set_aside(&self, at: Timestamp) -> io::Result<Option<PathBuf>> {
        let stamp = at.to_string().replace([':', '.'], "-");
        let mut aside = self.beside(&format!(".damaged-{stamp}"));
        for number in 2_u32.. {
            if !aside.exists() && !beside(&aside, "-wal").exists() {
                break;
            }
            aside = self.beside(&format!(".damaged-{stamp}-{number}"));
        }
        let mut moved = None;
        for suffix in ["", "-wal", "-shm"] {
            let from = self.beside(suffix);
            if from.exists() {
                let to = beside(&aside, suffix);
                fs::rename(from, &to)?;
                moved.get_or_insert(to);
            }
        }
        sync_folder(&self.database)?;
        Ok(moved)
    }

    /// Removes what a crash left half done. It may hold what was erased since.
    pub(crate) fn remove_unfinished(&self) -> io::Result<()> {
        remove(&self.unfinished_backup())?;
        remove(&self.unfinished_restore())
    }

    fn unfinished_restore(&self) -> PathBuf {
        self.beside(".restored")
    }

    /// What nobody writes any more and holds what the state held once: damaged files that were set aside, and copies from
    /// before a migration.
    pub(crate) fn copies(&self) -> io::Result<Vec<PathBuf>> {
        let base = self.database.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_copy = |name: &str| {
            let rest = name.strip_prefix(&base).unwrap_or_default();
            rest.starts_with(".damaged-") || rest.starts_with(".backup.damaged-") || rest.starts_with(".format-")
        };
        let mut copies = Vec::new();
        for entry in fs::read_dir(folder_of(&self.database))? {
            let entry = entry?;
            if is_copy(&entry.file_name().to_string_lossy()) {
                copies.push(entry.path());
            }
        }
        copies.sort();
        Ok(copies)
    }

    /// Copies the backup into the database's place, in one step.
    pub(crate) fn restore(&self) -> io::Result<()> {
        let unfinished = self.unfinished_restore();
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

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file.as_os_str());
    name.push(suffix);
    name.into()
}

/// Makes the folder of a file, 0700, when it is not there.
pub(crate) fn make_folder_of(file: &Path) -> io::Result<()> {
    let folder = folder_of(file);
    if folder.exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Its own name must survive a power cut as well as what is in it.
    sync_folder(folder)
}

/// When a file was written last.
pub(crate) fn written_at(file: &Path) -> Option<Timestamp> {
    let modified = fs::metadata(file).ok()?.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
}

/// Syncs a file, if it is there.
pub(crate) fn sync(file: &Path) -> io::Result<()> {
    match File::open(file) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes what a file holds over itself, and syncs it, so that what is read of it is what a power cut would leave.
///
/// After a sync that failed the operating system may call what it could not write clean, and go on to show it: whoever reads
/// the file then, builds on what is nowhere but in memory. Written once more it goes to the disk, or fails again.
pub(crate) fn renew(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut piece = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        match file.read_at(&mut piece, at)? {
            0 => break,
            read => {
                file.write_all_at(&piece[..read], at)?;
                at += read as u64;
            }
        }
    }
    if at > 0 {
        file.sync_all()?;
        #[cfg(feature = "simulation")]
        crate::simulation::RENEWED.get().map_or(Ok(()), |renewed| renewed(path))?;
    }
    Ok(())
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

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}
