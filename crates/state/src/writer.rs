//! The one thread that writes.
//!
//! Requests that wait are written in one transaction, so that many lanes share one sync of the disk: the state is synced
//! with each transaction (`synchronous = FULL`), because a power cut that took the progress of the last hours back would
//! send those hours again. The identity map rides along: once a second at most it is written with whatever else there is,
//! or alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anole_event::{Clock, Now};
use anole_telemetry::{StateWriteFailed, Telemetry};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::StateError;
use crate::erase::{self, Erase, Gone as Erased};
use crate::file::{self, Files};
use crate::identities::{Batch, Identities};
use crate::queue::{Gone, Jobs};
use crate::read;
use crate::write::{Write, Wrote};

/// How many requests share a transaction at most.
const GROUP: usize = 256;
/// How long identities wait to be written.
const BEHIND: Duration = Duration::from_secs(1);
/// How often the identity map is searched for what is too old.
const EXPIRE: Duration = Duration::from_secs(3600);
/// By how much the wall clock may differ from the monotonic one within that time before it counts as a jump.
const JUMP: Duration = Duration::from_secs(5 * 60);

/// What the thread is asked.
pub(crate) enum Job {
    Write {
        write: Write,
        reply: oneshot::Sender<Result<Wrote, StateError>>,
    },
    /// Write everything that is only remembered.
    Flush {
        reply: oneshot::Sender<Result<(), StateError>>,
    },
    /// Erase this, and empty the write-ahead log.
    Erase {
        erase: Erase,
        reply: oneshot::Sender<Result<Erased, StateError>>,
    },
    /// Write everything that is only remembered, and end.
    Close {
        reply: oneshot::Sender<Result<(), StateError>>,
    },
}

/// The thread's belongings.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) epoch: u64,
    pub(crate) files: Files,
    pub(crate) identities: Arc<Identities>,
    /// Counts transactions: whether a backup would differ from the last one.
    pub(crate) writes: Arc<AtomicU64>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) telemetry: Arc<Telemetry>,
}

type Pending = (Write, oneshot::Sender<Result<Wrote, StateError>>);

// === impl Writer ===

impl Writer {
    pub(crate) fn run(mut self, jobs: &Jobs<Job>) {
        let mut flushed = self.clock.mono();
        let mut expired = self.clock.now();
        loop {
            let mut group: Vec<Pending> = Vec::new();
            let mut last = None;
            match jobs.next_within(BEHIND) {
                Ok(Some(job)) => last = sort(job, &mut group),
                Ok(None) => {}
                Err(Gone) => {
                    // Dropped without a close: what is remembered is still worth writing, and nobody waits for it.
                    self.flush_and_tell();
                    return;
                }
            }
            while last.is_none() && group.len() < GROUP {
                let Some(job) = jobs.next_now() else { break };
                last = sort(job, &mut group);
            }
            let now = self.clock.mono();
            self.expire(&mut expired);
            if !group.is_empty() {
                let identities = if now.since(flushed) >= BEHIND { self.identities.take() } else { None };
                flushed = if identities.is_some() { now } else { flushed };
                self.write_group(group, identities.as_deref());
            } else if last.is_none() {
                flushed = now;
                self.flush_and_tell();
            }
            match last {
                None => {}
                Some(Last::Flush(reply)) => {
                    flushed = now;
                    // Who asked may have gone.
                    let _gone = reply.send(self.flush().and_then(|()| fence(&self.connection, self.epoch)));
                }
                Some(Last::Erase(erase, reply)) => {
                    let _gone = reply.send(self.erase(&erase));
                }
                Some(Last::Close(reply)) => {
                    let done = self.flush().and(self.end());
                    let _gone = reply.send(done);
                    return;
                }
            }
        }
    }

    /// Forgets identities that are too old, once an hour; not in an hour in which the wall clock jumped, as then nobody
    /// knows yet what is old.
    fn expire(&self, expired: &mut Now) {
        let now = self.clock.now();
        let passed = now.mono.since(expired.mono);
        if passed < EXPIRE {
            return;
        }
        let shown = now.wall.since(expired.wall);
        *expired = now;
        if shown.abs_diff(passed) <= JUMP {
            self.identities.expire(now.wall);
        }
    }

    /// Writes a group in one transaction; should that fail, each request in its own, so that what is wrong with one does
    /// not fail the others.
    fn write_group(&mut self, group: Vec<Pending>, identities: Option<&Batch>) {
        let writes: Vec<&Write> = group.iter().map(|(write, _)| write).collect();
        let mut results = self.transact(&writes, identities);
        if identities.is_some() {
            self.identities.written(results.is_ok());
        }
        if results.is_err() && writes.len() > 1 {
            let alone =
                |write: &Write| self.transact(&[write], None).and_then(|mut all| all.pop().unwrap_or(Ok(Wrote::Done)));
            results = Ok(group.iter().map(|(write, _)| write).map(alone).collect());
        }
        match results {
            Ok(results) => {
                for ((_, reply), result) in group.into_iter().zip(results) {
                    let _gone = reply.send(result);
                }
            }
            Err(error) => {
                for (_, reply) in group {
                    let _gone = reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn transact(
        &mut self,
        writes: &[&Write],
        identities: Option<&Batch>,
    ) -> Result<Vec<Result<Wrote, StateError>>, StateError> {
        let done = self.try_transact(writes, identities);
        self.note_damage(done.as_ref().err());
        done
    }

    /// The next opening looks at every page then. If even this cannot be written, it looks at the small tables.
    fn note_damage(&self, error: Option<&StateError>) {
        if matches!(error, Some(StateError::Damaged { .. }))
            && let Err(error) = file::make_private(&self.files.suspect())
        {
            self.telemetry.emit(StateWriteFailed { error });
        }
    }

    fn try_transact(
        &mut self,
        writes: &[&Write],
        identities: Option<&Batch>,
    ) -> Result<Vec<Result<Wrote, StateError>>, StateError> {
        let wrong = |error| StateError::database("written", error);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
        fence(&transaction, self.epoch)?;
        let mut results = Vec::with_capacity(writes.len());
        for write in writes {
            match write.run(&transaction) {
                Err(error @ (StateError::Database { .. } | StateError::Damaged { .. })) => return Err(error),
                result => results.push(result),
            }
        }
        if let Some(batch) = identities {
            write_identities(&transaction, batch).map_err(wrong)?;
        }
        count(&transaction)?;
        transaction.commit().map_err(wrong)?;
        self.writes.fetch_add(1, Ordering::AcqRel);
        Ok(results)
    }

    fn flush(&mut self) -> Result<(), StateError> {
        let Some(batch) = self.identities.take() else { return Ok(()) };
        let done = self.transact(&[], Some(&batch)).map(|_| ());
        self.identities.written(done.is_ok());
        done
    }

    fn flush_and_tell(&mut self) {
        if let Err(error) = self.flush() {
            self.telemetry.emit(StateWriteFailed { error });
        }
    }

    /// Erases in one transaction, then from the bytes of both files.
    ///
    /// The log is cut to nothing also when nothing was removed: an erasure before this one may have been cut off there. It
    /// is synced too, which SQLite leaves out, as old frames would do no harm to anything but this.
    fn erase(&mut self, erase: &Erase) -> Result<Erased, StateError> {
        let done = self.try_erase(erase);
        self.note_damage(done.as_ref().err());
        done
    }

    fn try_erase(&mut self, erase: &Erase) -> Result<Erased, StateError> {
        let wrong = |error| StateError::database("erased", error);
        self.identities.forget(&erase.identities, &erase.values);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
        fence(&transaction, self.epoch)?;
        let gone = erase::remove(&transaction, erase)?;
        count(&transaction)?;
        transaction.commit().map_err(wrong)?;
        self.writes.fetch_add(1, Ordering::AcqRel);
        self.identities.forgotten(&gone.identities);
        if !erase::empty_log(&self.connection)? {
            return Err(StateError::HeldOpen);
        }
        let log = self.files.log();
        file::sync(&log).map_err(|error| StateError::File { file: log, error: Arc::new(error) })?;
        Ok(gone)
    }

    /// Puts the write-ahead log into the database, so that the file is whole by itself.
    fn end(&mut self) -> Result<(), StateError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| StateError::database("written", error))
    }
}

enum Last {
    Flush(oneshot::Sender<Result<(), StateError>>),
    Erase(Erase, oneshot::Sender<Result<Erased, StateError>>),
    Close(oneshot::Sender<Result<(), StateError>>),
}

/// Adds a write to the group; anything else ends the group.
fn sort(job: Job, group: &mut Vec<Pending>) -> Option<Last> {
    match job {
        Job::Write { write, reply } => {
            group.push((write, reply));
            None
        }
        Job::Flush { reply } => Some(Last::Flush(reply)),
        Job::Erase { erase, reply } => Some(Last::Erase(erase, reply)),
        Job::Close { reply } => Some(Last::Close(reply)),
    }
}

/// Refuses to go on when somebody opened the state after us. A transaction that asks this holds the lock by then, so nobody
/// can between this look and the commit.
fn fence(db: &Connection, ours: u64) -> Result<(), StateError> {
    let theirs: i64 = db
        .prepare_cached("SELECT epoch FROM epoch")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(|error| StateError::database("written", error))?;
    let theirs = theirs.cast_unsigned();
    if theirs == ours { Ok(()) } else { Err(StateError::Fenced { ours, theirs }) }
}

/// Counts a transaction, so that a database which lost some can be told from its backup.
fn count(transaction: &Transaction<'_>) -> Result<(), StateError> {
    let counted = transaction
        .prepare_cached("UPDATE epoch SET writes = writes + 1")
        .and_then(|mut statement| statement.execute([]));
    counted.map(|_| ()).map_err(|error| StateError::database("written", error))
}

fn write_identities(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let mut remove = transaction.prepare_cached("DELETE FROM identities WHERE fingerprint = ?1")?;
    for fingerprint in &batch.removed {
        remove.execute([fingerprint.cast_signed()])?;
    }
    let mut put = transaction.prepare_cached(
        "INSERT INTO identities (fingerprint, pipeline, name, kind, id, value, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (fingerprint) DO UPDATE SET pipeline = excluded.pipeline, name = excluded.name,
           kind = excluded.kind, id = excluded.id, value = excluded.value, received_at = excluded.received_at
         WHERE excluded.received_at >= received_at",
    )?;
    for (fingerprint, identity) in &batch.entries {
        let (kind, id) = read::stored_id(&identity.key.id);
        put.execute(params![
            fingerprint.cast_signed(),
            &*identity.key.pipeline,
            &*identity.key.name,
            kind,
            id,
            &*identity.value,
            identity.received_at.micros(),
        ])?;
    }
    Ok(())
}
