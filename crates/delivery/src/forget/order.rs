//! What was asked for, made safe: a file in the data folder that is there from the request until all is done.
//!
//! It holds the id, as somebody must, and goes with the last step. It is written beside itself, synced and renamed, so that a crash
//! leaves it whole or not there. A row of the state was not chosen: the state's own erasure empties its tables and logs, and would
//! have to spare this one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anole_event::Timestamp;
use serde::{Deserialize, Serialize};

use crate::forget::ForgetOrder;
use crate::forget::whose::{Found, Person};

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Who.
    pub(crate) people: Vec<Person>,
    pub(crate) pipeline: Option<String>,
    /// Whether those are to be added that stand beside them. Not any more once they are.
    pub(crate) linked: bool,
    pub(crate) asked_at: Timestamp,
    /// What was found of them by now.
    #[serde(default)]
    pub(crate) found: Found,
}

/// The file.
#[derive(Debug)]
pub(crate) struct OrderFile(PathBuf);

// === impl Asked ===

impl Asked {
    pub(crate) fn of(person: Person, order: &ForgetOrder, now: Timestamp) -> Self {
        let (pipeline, linked) = (order.pipeline.clone(), order.linked);
        Self { people: vec![person], pipeline, linked, asked_at: now, found: Found::default() }
    }
}

// === impl OrderFile ===

impl OrderFile {
    pub(crate) fn in_folder(data_dir: &Path) -> Self {
        Self(data_dir.join("forget.json"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What is to be completed, if anything is.
    pub(crate) fn read(&self) -> io::Result<Option<Asked>> {
        // Half of one was never answered for.
        gone(fs::remove_file(self.unfinished()))?;
        match fs::read(&self.0) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write(&self, asked: &Asked) -> io::Result<()> {
        let unfinished = self.unfinished();
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(asked)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.0)?;
        self.sync_folder()
    }

    /// All is done.
    pub(crate) fn remove(&self) -> io::Result<()> {
        gone(fs::remove_file(&self.0))?;
        self.sync_folder()
    }

    fn unfinished(&self) -> PathBuf {
        self.0.with_extension("json.new")
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(self.0.parent().unwrap_or(&self.0))?.sync_all()
    }
}

fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_there_whole_until_all_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let file = OrderFile::in_folder(dir.path());
        assert!(file.read().unwrap().is_none());
        let order = ForgetOrder { linked: true, ..ForgetOrder::default() };
        let mut asked = Asked::of(Person::Visitor("ada".to_owned()), &order, Timestamp::from_micros(7));
        file.write(&asked).unwrap();
        asked.found.messages.entry("shop".to_owned()).or_default().insert("m".to_owned());
        file.write(&asked).unwrap();
        fs::write(file.unfinished(), b"{\"people\":[").unwrap();
        let read = OrderFile::in_folder(dir.path()).read().unwrap().unwrap();
        assert_eq!((&read.people, &read.found, read.linked), (&asked.people, &asked.found, true));
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing of it is left");
        fs::write(file.path(), b"no order").unwrap();
        assert!(file.read().is_err());
    }
}
