//! A simulated disk, so that a test can cut the power at any step of the real code and see what is left.
//!
//! A [`Disk`] takes the place of the real file system under its root for the whole crate; everything else goes on being
//! real. It keeps what programs see and what is on the disk apart (`content`, `folder`), and when the power goes, its seed
//! decides what of the rest is there. The same seed and the same calls give the same disk.
//!
//! Why our own and not `turmoil-fs`, which was made for this: it files what is not yet synced under the path, so that a
//! write through a handle that was opened before a rename goes to the wrong file, and that is how every segment here comes
//! to its name; of what was not synced it keeps nothing but the first sectors of each write, never a later write without
//! an earlier one; a name, a rename, a removal and a length that were not synced are always lost, where the other outcome
//! is as dangerous; and it cannot fail one chosen call, or stop before a chosen one.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use super::Space;
use super::folder::Number;
use super::machine::Machine;

/// A simulated disk. Under its root it takes the place of the file system until it is dropped.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
}

/// What a disk is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskOptions {
    /// How many bytes all files together may have before writes fail with `ENOSPC`. Default: any number.
    pub capacity: Option<u64>,
    /// Whether a write may take fewer bytes than it was given. Default: no.
    pub short_writes: bool,
    /// What syncs do. Default: what they should.
    pub syncs: Syncs,
}

/// What syncs do. All but the first are there to show that a test sees what it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syncs {
    /// They bring everything to the disk.
    #[default]
    Kept,
    /// Those of files do nothing, and say that they did.
    FilesIgnored,
    /// Those of folders do nothing, and say that they did.
    FoldersIgnored,
    /// None does anything, and all say that they did.
    Ignored,
}

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The power: what was not synced is there or not.
    Power,
    /// The process: what it handed to the operating system is there.
    Process,
}

/// A kind of call. Each changes the disk; reads are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// Making a file or folder.
    Create,
    /// Writing to a file.
    Write,
    /// Syncing a file.
    Sync,
    /// Syncing a folder.
    SyncFolder,
    /// Cutting or lengthening a file.
    SetLen,
    /// Asking for space ahead.
    Reserve,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
}

#[derive(Debug)]
pub(super) struct Shared {
    root: PathBuf,
    machine: Mutex<Machine>,
}

/// An open file of a simulated disk.
#[derive(Debug)]
pub(super) struct Handle {
    shared: Arc<Shared>,
    number: Number,
    life: u64,
}

/// All disks there are.
static DISKS: RwLock<Vec<Weak<Shared>>> = RwLock::new(Vec::new());
/// How many: so that programs without a simulated disk take no lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

// === impl Disk ===

impl Disk {
    /// An empty disk whose one folder is `root`. The path need not be on the real file system, and should not.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, seed: u64, options: DiskOptions) -> Self {
        let shared = Arc::new(Shared { root: root.into(), machine: Mutex::new(Machine::new(seed, options)) });
        DISKS.write().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&shared));
        COUNT.fetch_add(1, Ordering::Release);
        Self { shared }
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// What it is like.
    #[must_use]
    pub fn options(&self) -> DiskOptions {
        self.shared.lock().options
    }

    /// Changes what it is like, for calls from now on.
    pub fn set_options(&self, options: DiskOptions) {
        self.shared.lock().options = options;
    }

    /// How many calls that change something it has been given.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.lock().operations()
    }

    /// How many calls it has failed because it was told to. A disk that is full or off is not counted.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.shared.lock().errors()
    }

    /// How many bytes all files together have.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.shared.lock().used()
    }

    /// Cuts the power, or kills the process, now: every call fails until [`Disk::switch_on`].
    pub fn switch_off(&self, cut: Cut) {
        self.shared.lock().switch_off(cut);
    }

    /// The same in the middle of a call that changes something: the so-many-th from now on, counted from 1. That call is
    /// done, done in part, or not done, and fails.
    pub fn switch_off_at(&self, operation: u64, cut: Cut) {
        self.shared.lock().cut_after(operation, cut);
    }

    /// Whether it has power, and the process lives.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.lock().is_on()
    }

    /// Switches the machine on again. After a loss of power what was not synced is now there or not, for good. Files that
    /// were open stay useless. Does nothing to a machine that is on.
    pub fn switch_on(&self) {
        self.shared.lock().switch_on();
    }

    /// The next calls of this kind end so, in turn: with that error number, or well. A write that fails may have written
    /// some of its bytes; a sync of a file that fails has lost some of what it should have brought to the disk, for good,
    /// and the next one will say that all is well, as Linux does it.
    pub fn fail(&self, call: Call, ends: impl IntoIterator<Item = Option<i32>>) {
        self.shared.lock().plan(call, ends.into_iter());
    }

    /// From now on these bytes of a file cannot be read.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn spoil(&self, file: impl AsRef<Path>, bytes: Range<u64>) -> io::Result<()> {
        let path = self.shared.inside(file.as_ref());
        self.shared.lock().spoil(&path, bytes)
    }

    /// Takes back everything that was to go wrong and has not yet.
    pub fn heal(&self) {
        self.shared.lock().heal();
    }

    /// The names in a folder, in their order, as programs see them.
    ///
    /// # Errors
    /// When there is no such folder, or the machine is off.
    pub fn names(&self, dir: impl AsRef<Path>) -> io::Result<Vec<String>> {
        self.shared.list(dir.as_ref())
    }

    /// All bytes of a file, as programs see them.
    ///
    /// # Errors
    /// When there is no such file, or the machine is off.
    pub fn bytes(&self, file: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let handle = self.shared.open(file.as_ref())?;
        let mut bytes = vec![0; usize::try_from(handle.len()?).unwrap_or(usize::MAX)];
        handle.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Puts these bytes in a file, and brings them and its name to the disk: somebody has been at it.
    ///
    /// # Errors
    /// When there is no such folder, or the machine is off.
    pub fn put(&self, file: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let path = self.shared.inside(file.as_ref());
        self.shared.lock().put(&path, bytes)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut disks = DISKS.write().unwrap_or_else(PoisonError::into_inner);
        disks.retain(|disk| disk.upgrade().is_some_and(|disk| !Arc::ptr_eq(&disk, &self.shared)));
        COUNT.fetch_sub(1, Ordering::Release);
    }
}

/// The simulated disk that holds this path, if one does.
pub(super) fn at(path: &Path) -> Option<Arc<Shared>> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let disks = DISKS.read().unwrap_or_else(PoisonError::into_inner);
    disks.iter().filter_map(Weak::upgrade).find(|disk| path.starts_with(&disk.root))
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path within this disk.
    fn inside(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }

    pub(super) fn create(self: &Arc<Self>, path: &Path) -> io::Result<Handle> {
        let mut machine = self.lock();
        let number = machine.create(&self.inside(path))?;
        Ok(Handle { shared: Arc::clone(self), number, life: machine.life() })
    }

    pub(super) fn open(self: &Arc<Self>, path: &Path) -> io::Result<Handle> {
        let mut machine = self.lock();
        let number = machine.open(&self.inside(path))?;
        Ok(Handle { shared: Arc::clone(self), number, life: machine.life() })
    }

    pub(super) fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.lock().create_dir(&self.inside(dir))
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.lock().list(&self.inside(dir))
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock().rename(&self.inside(from), &self.inside(to))
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock().remove(&self.inside(path))
    }

    pub(super) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.lock().sync_dir(&self.inside(dir))
    }

    pub(super) fn space(&self, dir: &Path) -> io::Result<Space> {
        self.lock().space(&self.inside(dir))
    }
}

// === impl Handle ===

impl Handle {
    fn machine(&self) -> io::Result<MutexGuard<'_, Machine>> {
        let machine = self.shared.lock();
        machine.check_life(self.life)?;
        Ok(machine)
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        self.machine()?.len(self.number)
    }

    pub(super) fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.machine()?.read_at(self.number, into, at)
    }

    pub(super) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.machine()?.write_at(self.number, bytes, at)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.machine()?.sync(self.number)
    }

    pub(super) fn set_len(&self, length: u64) -> io::Result<()> {
        self.machine()?.set_len(self.number, length)
    }

    pub(super) fn reserve(&self, length: u64) -> io::Result<()> {
        self.machine()?.reserve(self.number, length)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().close(self.number, self.life);
    }
}
