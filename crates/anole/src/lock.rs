//! One daemon per data folder, and how others find it.
//!
//! The lock is the operating system's on `anole.lock`, so it goes with the process however that ends. The file names the
//! process, for the message that a second daemon gives. Beside it `anole.run.json` says where the daemon listens, so that
//! the other verbs find it even when a port was chosen by the system.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anole_event::code_enum;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

const LOCK: &str = "anole.lock";
const RUN: &str = "anole.run.json";

/// The data folder, locked for this process.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Where a daemon runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Its process.
    pub(crate) pid: u32,
    /// Where it collects.
    pub(crate) collect: SocketAddr,
    /// Where its admin API is.
    pub(crate) admin: SocketAddr,
    /// The fingerprint of the certificate with which it collects; `None`: plain http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) collect_certificate: Option<String>,
    /// The same of its admin API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admin_certificate: Option<String>,
}

code_enum! {
    /// The stable codes of a data folder that cannot be used.
    pub(crate) enum LockCode {
        /// Another daemon has it.
        Taken "data_dir_taken",
        /// The operating system refused.
        Io "data_dir_unusable",
    }
}

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another daemon has it.
    #[error(
        "another anole runs on {dir} (process {pid}): one daemon per data_dir. Stop it, or give this one another data_dir"
    )]
    Taken { dir: PathBuf, pid: String },
    /// The operating system refused.
    #[error("the data folder {dir} cannot be used: {error}")]
    Io { dir: PathBuf, error: std::io::Error },
}

// === impl LockError ===

impl LockError {
    pub(crate) const fn code(&self) -> LockCode {
        match self {
            Self::Taken { .. } => LockCode::Taken,
            Self::Io { .. } => LockCode::Io,
        }
    }
}

// === impl DataDir ===

impl DataDir {
    /// Makes the folder when it is not there (0700) and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, LockError> {
        let io = |error| LockError::Io { dir: path.to_owned(), error };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let mode = std::fs::metadata(path).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(io)?;
        }
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(io)?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            lock.read_to_string(&mut pid).map_err(io)?;
            return Err(LockError::Taken { dir: path.to_owned(), pid: pid.trim().to_owned() });
        }
        lock.set_len(0).and_then(|()| lock.seek(SeekFrom::Start(0)).map(drop)).map_err(io)?;
        writeln!(lock, "{}", std::process::id()).map_err(io)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Says where this daemon listens.
    pub(crate) fn announce(&self, running: &Running) -> std::io::Result<()> {
        announce(&self.path, running)
    }

    /// Takes the announcement back.
    pub(crate) fn withdraw(&self) {
        // A file that stays behind is harmless: whoever reads it also looks at the lock.
        let _gone = std::fs::remove_file(self.path.join(RUN));
    }
}

/// Says in a data folder that this process has locked where its daemon listens.
pub(crate) fn announce(folder: &Path, running: &Running) -> std::io::Result<()> {
    let text = serde_json::to_vec(running)?;
    let fresh = folder.join(format!("{RUN}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&text)?;
    std::fs::rename(fresh, folder.join(RUN))
}

/// The daemon that runs on a data folder, if one does.
pub(crate) fn running(data_dir: &Path) -> Option<Running> {
    let lock = File::open(data_dir.join(LOCK)).ok()?;
    // Whoever gets the shared lock proves that no daemon holds the exclusive one.
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let text = std::fs::read(data_dir.join(RUN)).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_the_first_ones_process() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let held = DataDir::lock(&data).unwrap();
        let error = DataDir::lock(&data).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        DataDir::lock(&data).unwrap();
    }

    #[test]
    fn the_folder_is_the_owners_alone_and_a_daemon_is_found_only_while_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        assert!(running(&data).is_none());
        let held = DataDir::lock(&data).unwrap();
        assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
        let here = Running {
            pid: 7,
            collect: "127.0.0.1:1".parse().unwrap(),
            admin: "127.0.0.1:2".parse().unwrap(),
            collect_certificate: None,
            admin_certificate: Some("5eed".to_owned()),
        };
        held.announce(&here).unwrap();
        assert_eq!(running(&data), Some(here));
        assert_eq!(std::fs::metadata(data.join(RUN)).unwrap().permissions().mode() & 0o777, 0o600);
        drop(held);
        assert!(running(&data).is_none(), "an announcement that was left behind is not believed");
    }
}
