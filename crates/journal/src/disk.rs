//! Every call that the journal makes to the file system, and nothing else.
//!
//! It is one module so that a test can put another disk underneath and cut the power at any step: with the feature
//! `simulation`, what lies under the root of a [`simulated`] disk is served by that, and everything else by the system as
//! without it. So nothing here is clever, and no other file of this crate names `std::fs`. Reserving space is Linux only;
//! elsewhere, and where the file system cannot, files simply grow.

#[cfg(feature = "simulation")]
mod content;
#[cfg(feature = "simulation")]
mod folder;
#[cfg(feature = "simulation")]
mod machine;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What an unreadable stretch of a disk costs at least. A sector that cannot be read spoils the page around it.
const PAGE: usize = 4096;
/// `EIO`: the disk could not read or write.
const EIO: i32 = 5;

/// How much room a file system has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// What may still be written by somebody who is not root.
    pub(crate) free: u64,
    /// All of it, used or not.
    pub(crate) total: u64,
}

/// An open file. Reads and writes name their place, so that it can be shared.
#[derive(Debug)]
pub(crate) struct File {
    inner: Inner,
    #[cfg(test)]
    path: PathBuf,
}

#[derive(Debug)]
enum Inner {
    Real(fs::File),
    #[cfg(feature = "simulation")]
    Simulated(simulated::Handle),
}

// === impl File ===

impl File {
    /// A new, empty file for writing and reading, readable by its owner only. What stood under the name is replaced.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        #[cfg(test)]
        faults::check(path, faults::Op::Create)?;
        #[cfg(feature = "simulation")]
        if let Some(disk) = simulated::at(path) {
            return disk.create(path).map(|handle| Self::new(Inner::Simulated(handle), path));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Self::open(path, &options)
    }

    /// A file that is there, for reading.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        Self::open(path, OpenOptions::new().read(true))
    }

    /// A file that is there, for reading and writing.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        Self::open(path, OpenOptions::new().read(true).write(true))
    }

    fn open(path: &Path, options: &OpenOptions) -> io::Result<Self> {
        #[cfg(feature = "simulation")]
        if let Some(disk) = simulated::at(path) {
            return disk.open(path).map(|handle| Self::new(Inner::Simulated(handle), path));
        }
        Ok(Self::new(Inner::Real(options.open(path)?), path))
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "only tests name what fails by its path"))]
    fn new(inner: Inner, path: &Path) -> Self {
        Self {
            inner,
            #[cfg(test)]
            path: path.to_owned(),
        }
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> io::Result<u64> {
        match &self.inner {
            Inner::Real(file) => Ok(file.metadata()?.len()),
            #[cfg(feature = "simulation")]
            Inner::Simulated(file) => file.len(),
        }
    }

    /// Up to `most` bytes from `at` on; fewer only where the file ends.
    ///
    /// Pages that the disk cannot read come back as zeros: their checksums will not match, so they count as damage that
    /// can be stepped over, where an error would stop every lane at that place for ever.
    pub(crate) fn read_at(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let length = match self.fill(&mut bytes, at) {
            Err(error) if error.raw_os_error() == Some(EIO) => self.fill_by_page(&mut bytes, at)?,
            done => done?,
        };
        bytes.truncate(length);
        Ok(bytes)
    }

    fn fill(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < bytes.len() {
            #[cfg(test)]
            faults::check_read(&self.path, at + done as u64, bytes.len() - done)?;
            let read = match &self.inner {
                Inner::Real(file) => file.read_at(&mut bytes[done..], at + done as u64),
                #[cfg(feature = "simulation")]
                Inner::Simulated(file) => file.read_at(&mut bytes[done..], at + done as u64),
            };
            match read {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn fill_by_page(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let there = usize::try_from(self.len()?.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        let mut done = 0;
        while done < there {
            // Up to the next boundary of a page, so that one bad page spoils no other.
            let into = usize::try_from((at + done as u64) % PAGE as u64).unwrap_or(0);
            let end = there.min(done + PAGE - into);
            match self.fill(&mut bytes[done..end], at + done as u64) {
                Err(error) if error.raw_os_error() == Some(EIO) => bytes[done..end].fill(0),
                filled => drop(filled?),
            }
            done = end;
        }
        Ok(there)
    }

    /// Writes all bytes at `at`.
    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        #[cfg(test)]
        faults::check(&self.path, faults::Op::Write)?;
        let mut done = 0;
        while done < bytes.len() {
            let written = match &self.inner {
                Inner::Real(file) => file.write_at(&bytes[done..], at + done as u64),
                #[cfg(feature = "simulation")]
                Inner::Simulated(file) => file.write_at(&bytes[done..], at + done as u64),
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Brings the data, and what is needed to find it, to the disk.
    pub(crate) fn sync_data(&self) -> io::Result<()> {
        #[cfg(test)]
        faults::check(&self.path, faults::Op::Sync)?;
        match &self.inner {
            Inner::Real(file) => file.sync_data(),
            #[cfg(feature = "simulation")]
            Inner::Simulated(file) => file.sync(),
        }
    }

    /// Brings data and all metadata to the disk.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        #[cfg(test)]
        faults::check(&self.path, faults::Op::Sync)?;
        match &self.inner {
            Inner::Real(file) => file.sync_all(),
            #[cfg(feature = "simulation")]
            Inner::Simulated(file) => file.sync(),
        }
    }

    /// Cuts the file, or lengthens it with zeros.
    pub(crate) fn set_len(&self, length: u64) -> io::Result<()> {
        match &self.inner {
            Inner::Real(file) => file.set_len(length),
            #[cfg(feature = "simulation")]
            Inner::Simulated(file) => file.set_len(length),
        }
    }

    /// Asks for space up to this length, so that appends need not ask for it one by one: measured, a third more appends per
    /// second where each is synced alone. What is reserved reads as zeros. A hint: where it fails, the file grows.
    pub(crate) fn reserve(&self, length: u64) {
        let _hint = match &self.inner {
            Inner::Real(file) => reserve(file, length),
            #[cfg(feature = "simulation")]
            Inner::Simulated(file) => file.reserve(length),
        };
    }
}

#[cfg(target_os = "linux")]
fn reserve(file: &fs::File, length: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, length)?)
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &fs::File, _length: u64) -> io::Result<()> {
    Ok(())
}

/// Makes a folder that only its owner may enter, and the folders above it.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    #[cfg(feature = "simulation")]
    if let Some(disk) = simulated::at(dir) {
        return disk.create_dir(dir);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The names in a folder, in their order.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<String>> {
    #[cfg(feature = "simulation")]
    if let Some(disk) = simulated::at(dir) {
        return disk.list(dir);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Gives a file another name, replacing what had it.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(feature = "simulation")]
    if let Some(disk) = simulated::at(from) {
        return disk.rename(from, to);
    }
    fs::rename(from, to)
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    #[cfg(feature = "simulation")]
    if let Some(disk) = simulated::at(path) {
        return disk.remove(path);
    }
    fs::remove_file(path)
}

/// Brings the entries of a folder to the disk: without it a new file may be gone after a loss of power, data and all.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(feature = "simulation")]
    if let Some(disk) = simulated::at(dir) {
        return disk.sync_dir(dir);
    }
    fs::File::open(dir)?.sync_all()
}

/// The room on the file system that holds a folder.
///
/// # Errors
/// When the folder is not there, or its file system cannot tell.
pub(crate) fn space(dir: &Path) -> io::Result<Space> {
    #[cfg(feature = "simulation")]
    if let Some(disk) = simulated::at(dir) {
        return disk.space(dir);
    }
    let room = rustix::fs::statvfs(dir)?;
    Ok(Space { free: room.f_bavail.saturating_mul(room.f_frsize), total: room.f_blocks.saturating_mul(room.f_frsize) })
}

/// The name of a file under which it is worked on until it is whole.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Errors that tests ask for, by folder.
#[cfg(test)]
pub(crate) mod faults {
    use std::collections::HashMap;
    use std::io;
    use std::ops::Range;
    use std::path::{Path, PathBuf};
    use std::sync::{LazyLock, Mutex};

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(crate) enum Op {
        Create,
        Write,
        Sync,
    }

    #[derive(Default)]
    struct Plan {
        errors: HashMap<Op, Vec<Option<i32>>>,
        unreadable: Vec<(PathBuf, Range<u64>)>,
    }

    static PLANS: LazyLock<Mutex<HashMap<PathBuf, Plan>>> = LazyLock::new(Mutex::default);

    /// The next calls of this kind in this folder end so, in turn: with that error number, or well.
    pub(crate) fn plan(dir: &Path, op: Op, mut ends: Vec<Option<i32>>) {
        ends.reverse();
        PLANS.lock().unwrap().entry(dir.to_owned()).or_default().errors.insert(op, ends);
    }

    /// From now on these bytes of the file cannot be read.
    pub(crate) fn unreadable(file: &Path, bytes: Range<u64>) {
        let dir = file.parent().unwrap().to_owned();
        PLANS.lock().unwrap().entry(dir).or_default().unreadable.push((file.to_owned(), bytes));
    }

    pub(super) fn check(path: &Path, op: Op) -> io::Result<()> {
        let mut plans = PLANS.lock().unwrap();
        let plan = path.parent().and_then(|dir| plans.get_mut(dir));
        match plan.and_then(|plan| plan.errors.get_mut(&op)).and_then(Vec::pop).flatten() {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None => Ok(()),
        }
    }

    pub(super) fn check_read(path: &Path, at: u64, length: usize) -> io::Result<()> {
        let plans = PLANS.lock().unwrap();
        let plan = path.parent().and_then(|dir| plans.get(dir));
        let hit =
            |(file, bytes): &(PathBuf, Range<u64>)| file == path && bytes.start < at + length as u64 && at < bytes.end;
        if plan.is_some_and(|plan| plan.unreadable.iter().any(hit)) {
            return Err(io::Error::from_raw_os_error(super::EIO));
        }
        Ok(())
    }
}
