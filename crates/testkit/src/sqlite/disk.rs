//! A disk under SQLite: real files, and a record of what a power cut would leave of them.
//!
//! It is a virtual file system, registered as SQLite's default one for the whole process, so that the state under test is
//! the real one to the last line. Files outside of recorded folders are read and written as they are (and never synced, as
//! they are test files). `sqlite-vfs` is old and has no keeper any more, but it is the one crate that lets a file system be
//! written without unsafe code and without libclang; it is used in tests only. Its shared memory is a copy per connection,
//! see [`super::index`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenOptions, Vfs};

use super::index::{Index, IndexHandle};
use super::recording::Recording;

/// What is recorded. The rollback journal is there only before the database is in WAL mode.
const STATE: [&str; 3] = ["state.db", "state.db-wal", "state.db-journal"];

/// The disk of this process.
#[derive(Default)]
pub(crate) struct Disk {
    recordings: Mutex<HashMap<PathBuf, Arc<Recording>>>,
    locks: Mutex<HashMap<PathBuf, Weak<Mutex<Locks>>>>,
    indexes: Mutex<HashMap<PathBuf, Weak<Index>>>,
    ids: AtomicU64,
}

/// Who holds which lock on a database.
#[derive(Default)]
pub(crate) struct Locks {
    levels: HashMap<u64, LockKind>,
}

/// An open file.
pub(crate) struct Handle {
    id: u64,
    file: File,
    path: PathBuf,
    locks: Arc<Mutex<Locks>>,
    recording: Option<(Arc<Recording>, String)>,
}

/// What is registered.
struct Driver;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registers it once, and gives it.
pub(crate) fn install() -> &'static Disk {
    static DISK: OnceLock<Disk> = OnceLock::new();
    static REGISTERED: OnceLock<()> = OnceLock::new();
    REGISTERED.get_or_init(|| {
        sqlite_vfs::register("anole-test-disk", Driver, true).expect("it can be registered");
        anole_state::simulation::RENEWED.set(renewed).expect("nobody else simulates a disk");
    });
    DISK.get_or_init(Disk::default)
}

/// The store wrote a file over itself: what is read of it is there for certain, if that could be synced.
fn renewed(path: &Path) -> io::Result<()> {
    match install().recording(path) {
        Some((recording, name)) => recording.renewed(&name, fs::read(path)?),
        None => Ok(()),
    }
}

/// Gives what is shared of a file, or makes it.
fn shared<T: Default>(all: &Mutex<HashMap<PathBuf, Weak<T>>>, path: &Path) -> Arc<T> {
    let mut all = lock(all);
    all.retain(|_, held| held.strong_count() > 0);
    let found = all.get(path).and_then(Weak::upgrade);
    let shared = found.unwrap_or_default();
    all.insert(path.to_owned(), Arc::downgrade(&shared));
    shared
}

// === impl Disk ===

impl Disk {
    /// Records what happens to `state.db` and its logs in this folder from now on. What is there counts as synced.
    pub(crate) fn record(&self, folder: &Path, recording: Recording) -> Arc<Recording> {
        for name in STATE {
            if let Ok(bytes) = fs::read(folder.join(name)) {
                recording.is_there(name, bytes);
            }
        }
        let recording = Arc::new(recording);
        lock(&self.recordings).insert(folder.to_owned(), Arc::clone(&recording));
        recording
    }

    /// Records no more.
    pub(crate) fn forget(&self, folder: &Path) {
        lock(&self.recordings).remove(folder);
    }

    fn recording(&self, path: &Path) -> Option<(Arc<Recording>, String)> {
        let name = path.file_name()?.to_str()?.to_owned();
        let recordings = lock(&self.recordings);
        let recording = recordings.get(path.parent()?).filter(|_| STATE.contains(&&*name))?;
        Some((Arc::clone(recording), name))
    }
}

// === impl Driver ===

impl Vfs for Driver {
    type Handle = Handle;

    fn open(&self, db: &str, opts: OpenOptions) -> Result<Handle, io::Error> {
        let disk = install();
        let path = PathBuf::from(db);
        let mut how = fs::OpenOptions::new();
        how.read(true).write(opts.access != OpenAccess::Read);
        match opts.access {
            OpenAccess::Create => how.create(true),
            OpenAccess::CreateNew => how.create_new(true),
            OpenAccess::Read | OpenAccess::Write => &mut how,
        };
        let file = how.open(&path)?;
        let recording = disk.recording(&path);
        if let Some((recording, name)) = &recording {
            recording.opened(name, &file)?;
        }
        let id = disk.ids.fetch_add(1, Ordering::Relaxed);
        let locks = shared(&disk.locks, &path);
        Ok(Handle { id, file, path, locks, recording })
    }

    fn delete(&self, db: &str) -> Result<(), io::Error> {
        let path = Path::new(db);
        if let Some((recording, name)) = install().recording(path) {
            recording.removed(&name);
        }
        fs::remove_file(path)
    }

    fn exists(&self, db: &str) -> Result<bool, io::Error> {
        Path::new(db).try_exists()
    }

    fn temporary_name(&self) -> String {
        let number = install().ids.fetch_add(1, Ordering::Relaxed);
        let name = format!("anole-sqlite-{}-{number}", std::process::id());
        std::env::temp_dir().join(name).to_string_lossy().into_owned()
    }

    fn random(&self, buffer: &mut [i8]) {
        for byte in buffer {
            *byte = fastrand::i8(..);
        }
    }

    fn sleep(&self, duration: Duration) -> Duration {
        std::thread::sleep(duration);
        duration
    }

    fn full_pathname<'a>(&self, db: &'a str) -> Result<Cow<'a, str>, io::Error> {
        Ok(std::path::absolute(db)?.to_string_lossy().into_owned().into())
    }
}

// === impl Handle ===

impl DatabaseHandle for Handle {
    type WalIndex = IndexHandle;

    fn size(&self) -> Result<u64, io::Error> {
        Ok(self.file.metadata()?.len())
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), io::Error> {
        let mut read = 0;
        while read < buffer.len() {
            match self.file.read_at(&mut buffer[read..], offset + read as u64)? {
                0 => {
                    // SQLite wants what is not there as zeros.
                    buffer[read..].fill(0);
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                some => read += some,
            }
        }
        Ok(())
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), io::Error> {
        let mut all = bytes;
        let mut failed = Ok(());
        if let Some((recording, name)) = &self.recording {
            let written;
            (written, failed) = recording.written(name, offset, bytes);
            all = &bytes[..written];
        }
        self.file.write_all_at(all, offset)?;
        failed
    }

    fn sync(&mut self, _: bool) -> Result<(), io::Error> {
        match &self.recording {
            Some((recording, name)) => recording.synced(name),
            None => Ok(()),
        }
    }

    fn set_len(&mut self, size: u64) -> Result<(), io::Error> {
        if let Some((recording, name)) = &self.recording {
            recording.resized(name, size);
        }
        self.file.set_len(size)
    }

    fn lock(&mut self, wanted: LockKind) -> Result<bool, io::Error> {
        Ok(lock(&self.locks).take(self.id, wanted))
    }

    fn reserved(&mut self) -> Result<bool, io::Error> {
        Ok(lock(&self.locks).levels.values().any(|level| *level >= LockKind::Reserved))
    }

    fn current_lock(&self) -> Result<LockKind, io::Error> {
        Ok(lock(&self.locks).levels.get(&self.id).copied().unwrap_or_default())
    }

    fn wal_index(&self, _: bool) -> Result<IndexHandle, io::Error> {
        Ok(IndexHandle::new(self.id, shared(&install().indexes, &self.path)))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.locks).levels.remove(&self.id);
    }
}

// === impl Locks ===

impl Locks {
    fn take(&mut self, id: u64, wanted: LockKind) -> bool {
        let others = || self.levels.iter().filter(|(other, _)| **other != id).map(|(_, level)| *level);
        let held = self.levels.get(&id).copied().unwrap_or_default();
        let may = match wanted {
            LockKind::None => true,
            LockKind::Shared => held >= LockKind::Shared || others().all(|level| level < LockKind::Pending),
            LockKind::Reserved | LockKind::Pending => others().all(|level| level < LockKind::Reserved),
            LockKind::Exclusive => others().all(|level| level == LockKind::None),
        };
        if may {
            self.levels.insert(id, wanted);
        }
        may
    }
}
