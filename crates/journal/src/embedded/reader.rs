//! The reader of the embedded journal: a cursor that waits at the tail and keeps the disk off the runtime's threads.
//!
//! What was written lately is read in place: it is in the operating system's memory, and a block of it takes less time
//! than handing the work to another thread and back. Anything else is read on a blocking thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anole_event::Position;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cursor::Cursor;
use super::log::{Log, Tail};
use crate::{Read, ReadError, Reader};

type Done = (Box<Cursor>, Result<Option<Read>, ReadError>);

/// Reads the embedded journal.
#[derive(Debug)]
pub(crate) struct EmbeddedReader {
    log: Arc<Log>,
    tail: watch::Receiver<Tail>,
    /// Not here while it is away reading, or when that went wrong.
    cursor: Option<Box<Cursor>>,
    /// A call of `next` that was dropped leaves it, and the following one takes what it brings.
    away: Option<JoinHandle<Done>>,
    /// Where the next block or gap begins: moves only when one is handed out.
    position: u64,
    block_bytes: usize,
}

// === impl EmbeddedReader ===

impl EmbeddedReader {
    /// A reader from this position on.
    pub(crate) fn new(log: Arc<Log>, from: u64, block_bytes: usize) -> Self {
        let cursor = Box::new(Cursor::new(Arc::clone(&log), from, block_bytes));
        let (tail, position) = (log.watch(), cursor.position());
        Self { log, tail, cursor: Some(cursor), away: None, position, block_bytes }
    }

    async fn read(&mut self) -> Result<Read, ReadError> {
        loop {
            if let Some(away) = &mut self.away {
                let done = away.await;
                self.away = None;
                // An error means that the runtime is going down, or that reading panicked: begin anew where we are.
                let done = done.map_err(|error| self.lost(&error))?;
                if let Some(read) = self.back(done)? {
                    return Ok(read);
                }
            }
            let tail = *self.tail.borrow_and_update();
            let mut cursor = self.take_cursor();
            if cursor.position() >= tail.end {
                self.cursor = Some(cursor);
                // A tail that nobody moves any more is looked at once more: it may have moved before it was left.
                if self.tail.changed().await.is_err() && self.position >= self.log.tail().end {
                    return Err(ReadError::Closed);
                }
            } else if cursor.is_warm(tail) {
                let read = cursor.read(tail);
                if let Some(read) = self.back((cursor, read))? {
                    return Ok(read);
                }
            } else {
                self.away = Some(tokio::task::spawn_blocking(move || {
                    let read = cursor.read(tail);
                    (cursor, read)
                }));
            }
        }
    }

    fn back(&mut self, (cursor, read): Done) -> Result<Option<Read>, ReadError> {
        self.position = cursor.position();
        self.cursor = Some(cursor);
        read
    }

    fn take_cursor(&mut self) -> Box<Cursor> {
        let anew = || Box::new(Cursor::new(Arc::clone(&self.log), self.position, self.block_bytes));
        self.cursor.take().unwrap_or_else(anew)
    }

    fn lost(&self, error: &tokio::task::JoinError) -> ReadError {
        ReadError::Io {
            file: self.log.dir.display().to_string().into(),
            source: Arc::new(std::io::Error::other(error.to_string())),
        }
    }
}

impl Reader for EmbeddedReader {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Result<Read, ReadError>> + Send + '_>> {
        Box::pin(self.read())
    }

    fn try_next(&mut self) -> Result<Option<Read>, ReadError> {
        // What a dropped `next` has sent off was not handed out, so it is read again.
        self.away = None;
        let mut cursor = self.take_cursor();
        let read = cursor.read(self.log.tail());
        self.back((cursor, read))
    }

    fn position(&self) -> Position {
        Position::at(self.position)
    }
}
