//! The new self of a file takes the place of the old one: done by the thread that writes.

use std::sync::Arc;

use anole_telemetry::HistoryWriteFailed;

use crate::erase::EraseJob;
use crate::segment::{self, Segment};
use crate::writer::Writer;
use crate::{LogError, schema};

// === impl Writer ===

impl Writer {
    /// Does what an erasure needs of this thread.
    pub(crate) fn erase(&mut self, job: EraseJob) {
        // Who asked may have gone.
        match job {
            EraseJob::Seal { reply } => {
                let _gone = reply.send(self.seal());
            }
            EraseJob::Swap { number, reply } => {
                let _gone = reply.send(self.swap(number));
            }
        }
    }

    fn seal(&mut self) -> Result<(), LogError> {
        if self.open.next_row > 1 { self.rotate() } else { Ok(()) }
    }

    fn swap(&mut self, number: u32) -> Result<bool, LogError> {
        let folder = self.keeper.folder.clone();
        let file = folder.file(number);
        if !self.catalog.read().knows(number) {
            folder.remove_unfinished(number).map_err(|error| LogError::file(&file, error))?;
            return Ok(false);
        }
        let is_before = self.before.as_ref().is_some_and(|before| before.number == number);
        if is_before {
            self.before = None;
        }
        folder.put_in_place(number).map_err(|error| LogError::file(&file, error))?;
        let held = schema::open_reader(&file).and_then(|db| segment::in_runs(&db));
        let held = held.map_err(|error| LogError::database("read", &file, error))?;
        {
            let mut files = self.catalog.write();
            if let Some(known) = files.known.iter_mut().find(|known| known.number == number) {
                known.held = held;
                known.rewritten += 1;
            }
        }
        if is_before {
            // It is opened again, so that what is appended again is still known. That it cannot be costs a row that stands
            // twice at worst, and is told.
            match Segment::open(&folder, number, self.clock.wall()) {
                Ok((segment, _)) => self.before = Some(segment),
                Err(_) => {
                    let error = LogError::file(&file, std::io::ErrorKind::Other.into());
                    Arc::clone(&self.telemetry).emit(HistoryWriteFailed { error });
                }
            }
        }
        Ok(true)
    }
}
