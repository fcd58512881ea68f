//! The embedded store: one SQLite file, one thread that writes, two that read.
//!
//! The reads of the identity map have a thread of their own, because ingest waits for them and must not stand behind a
//! person's look through a gigabyte of parked events.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anole_event::{Clock, LaneId, Position, Timestamp};
use anole_telemetry::{IdentitiesNotKept, StateBackupDamaged, StateErased, StateRestored, Telemetry};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::oneshot;

use crate::backup::Backups;
use crate::erase::{Erasable, Erase, Erased, Matches};
use crate::file::Files;
use crate::identities::{Answer, Bounds, Identities};
use crate::queue::{Jobs, Queue, queue};
use crate::row::{
    BackedUp, DeferredCount, DeferredFilter, DeferredRow, Identity, IdentityKey, LaneCommit, LaneRow, ParkedCount,
    ParkedFilter, ParkedGroup, ParkedProblem, ParkedRow, Progress,
};
use crate::write::{Write, Wrote};
use crate::writer::{Job, Writer};
use crate::{BoxFuture, OpenError, State, StateError, StateOptions, backup, erase, file, read, recover, schema};

/// Requests that may wait for the writer.
const WRITES: usize = 1024;
/// Questions that may wait for a reader.
const READS: usize = 256;

/// State in one SQLite file.
pub struct Sqlite {
    epoch: u64,
    writer: Mutex<Option<Queue<Job>>>,
    queries: Mutex<Option<Queue<Query>>>,
    lookups: Mutex<Option<Queue<Query>>>,
    read_only: bool,
    identities: Arc<Identities>,
    backups: Arc<Backups>,
    telemetry: Arc<Telemetry>,
    clock: Arc<dyn Clock>,
}

/// A question to a reading thread. It answers by a channel of its own.
type Query = Box<dyn FnOnce(&Connection) + Send>;

// === impl Sqlite ===

impl Sqlite {
    /// Opens the state for work, makes it when there is none, and raises its epoch.
    ///
    /// A damaged state is set aside and its backup taken (S-3); an older format is copied to `state.db.format-N` and
    /// migrated. This blocks: it is meant for the start of the process.
    ///
    /// # Errors
    /// [`OpenError::Newer`] when a newer anole wrote it; otherwise when files or SQLite fail.
    pub fn open(
        options: &StateOptions,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let files = Files::of(&options.file);
        match recover::prepare(&files, clock.wall())? {
            recover::Found::Good => {}
            recover::Found::Replaced { set_aside, backup } => {
                telemetry.emit(StateRestored { set_aside: set_aside.as_deref(), backup });
            }
        }
        let (connection, epoch) = open_for_work(&files, schema::STEPS)?;
        let this = Self::start(&files, options, epoch, Arc::clone(&telemetry), Arc::clone(&clock))?;
        if this.backups.last().is_none() && files.backup().exists() {
            telemetry.emit(StateBackupDamaged { file: &files.backup() });
        }
        let (writes, jobs) = queue(WRITES);
        let writer = Writer {
            connection,
            epoch,
            files,
            identities: Arc::clone(&this.identities),
            writes: Arc::clone(&this.backups.writes),
            clock,
            telemetry,
        };
        spawn("state-writer", &options.file, move || writer.run(&jobs))?;
        Ok(Arc::new(Self { writer: Mutex::new(Some(writes)), ..this }))
    }

    /// Opens the state for a look while no daemon runs. Nothing is made, restored or migrated; calls that write give
    /// [`StateError::ReadOnly`].
    ///
    /// # Errors
    /// [`OpenError::Missing`], [`OpenError::Newer`], or when files or SQLite fail, damage included.
    pub fn open_read_only(
        options: &StateOptions,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OpenError> {
        let files = Files::of(&options.file);
        if !options.file.exists() {
            return Err(OpenError::Missing { file: options.file.clone() });
        }
        let state = |error| OpenError::State { file: options.file.clone(), error };
        let connection = backup::open_reader(&options.file).map_err(|error| state(opened(error)))?;
        let found = schema::format_of(&connection).map_err(|error| state(opened(error)))?;
        if found > schema::FORMAT {
            return Err(OpenError::Newer { file: options.file.clone(), found, known: schema::FORMAT });
        }
        if found == 0 {
            return Err(OpenError::Missing { file: options.file.clone() });
        }
        let sql = "SELECT epoch FROM epoch";
        let epoch: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(|error| state(opened(error)))?;
        drop(connection);
        let this = Self::start(&files, options, epoch.cast_unsigned(), telemetry, clock)?;
        Ok(Arc::new(Self { read_only: true, ..this }))
    }

    /// Starts the readers over a database that is good.
    fn start(
        files: &Files,
        options: &StateOptions,
        epoch: u64,
        telemetry: Arc<Telemetry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let state = |error| OpenError::State { file: options.file.clone(), error };
        let reader = || backup::open_reader(&files.database).map_err(|error| state(opened(error)));
        let (for_queries, for_lookups) = (reader()?, reader()?);
        let stored = read::stored_identities(&for_lookups).map_err(|error| state(opened(error)))?;
        let bounds = Bounds { most: options.identities, age: options.identity_age };
        let (queries, jobs) = queue(READS);
        spawn("state-reader", &options.file, move || answer(&for_queries, &jobs))?;
        let (lookups, jobs) = queue(READS);
        spawn("state-lookups", &options.file, move || answer(&for_lookups, &jobs))?;
        Ok(Self {
            epoch,
            writer: Mutex::new(None),
            queries: Mutex::new(Some(queries)),
            lookups: Mutex::new(Some(lookups)),
            read_only: false,
            identities: Arc::new(Identities::new(bounds, stored)),
            backups: Arc::new(Backups::of(files)),
            telemetry,
            clock,
        })
    }

    fn writer(&self) -> Result<Queue<Job>, StateError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.clone().ok_or(if self.read_only { StateError::ReadOnly } else { StateError::Closed })
    }

    fn write(&self, write: Write) -> BoxFuture<'_, Result<Wrote, StateError>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            self.writer()?.put(Job::Write { write, reply }).await.map_err(|_| StateError::Closed)?;
            answer.await.map_err(|_| StateError::Closed)?
        })
    }

    fn write_done(&self, write: Write) -> BoxFuture<'_, Result<(), StateError>> {
        let written = self.write(write);
        Box::pin(async move { written.await.map(|_| ()) })
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StateError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StateError>> {
        Box::pin(ask(&self.queries, read))
    }

    async fn resolve(&self, keys: Vec<IdentityKey>) -> Result<Vec<Option<String>>, StateError> {
        let answers = self.identities.answer(&keys, self.clock.wall());
        let asked: Vec<u64> = answers
            .iter()
            .filter_map(|answer| if let Answer::Ask(fingerprint) = answer { Some(*fingerprint) } else { None })
            .collect();
        let mut stored = Vec::new();
        if !asked.is_empty() {
            stored = ask(&self.lookups, move |db| {
                asked
                    .into_iter()
                    .map(|fingerprint| read::stored_identity(db, fingerprint))
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        }
        let mut stored = stored.into_iter();
        let values = answers.into_iter().zip(&keys).map(|(answer, key)| match answer {
            Answer::Known(value) => Some(value),
            Answer::Unknown => None,
            Answer::Ask(fingerprint) => self.identities.learn(fingerprint, stored.next().flatten(), key),
        });
        Ok(values.collect())
    }

    async fn make_backup(&self) -> Result<Arc<BackedUp>, StateError> {
        let turn = self.backups.turn().await;
        // A request to flush first: a backup without the identities of the last second would be worth as much, but tests
        // and people expect to find in it what they have just seen.
        self.flush().await?;
        self.backups.make(turn, &self.telemetry, self.clock.wall()).await
    }

    async fn flush(&self) -> Result<(), StateError> {
        let (reply, flushed) = oneshot::channel();
        self.writer()?.put(Job::Flush { reply }).await.map_err(|_| StateError::Closed)?;
        flushed.await.map_err(|_| StateError::Closed)?
    }

    async fn erase_now(&self, erase: Erase) -> Result<Erased, StateError> {
        let turn = self.backups.turn().await;
        let (reply, answer) = oneshot::channel();
        self.writer()?.put(Job::Erase { erase, reply }).await.map_err(|_| StateError::Closed)?;
        let gone = answer.await.map_err(|_| StateError::Closed)??;
        self.backups.renew(turn, &self.telemetry, self.clock.wall()).await?;
        let files = &self.backups.files;
        let left =
            files.copies().map_err(|error| StateError::File { file: files.database.clone(), error: error.into() })?;
        let erased = Erased { sends: gone.sends, identities: gone.identities.len(), left };
        let (sends, identities) = (erased.sends.len(), erased.identities);
        self.telemetry.emit(StateErased { sends, identities, left: &erased.left });
        Ok(erased)
    }

    async fn end(&self) -> Result<(), StateError> {
        let turn = self.backups.turn().await;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut done = Ok(());
        if let Some(writer) = writer {
            let (reply, closed) = oneshot::channel();
            writer.put(Job::Close { reply }).await.map_err(|_| StateError::Closed)?;
            done = closed.await.map_err(|_| StateError::Closed)?;
            let backed_up = self.backups.make(turn, &self.telemetry, self.clock.wall()).await;
            done = done.and(backed_up.map(|_| ()));
        }
        for reader in [&self.queries, &self.lookups] {
            let closed = ask(reader, |_| Ok(())).await;
            reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            done = done.and(match closed {
                Err(StateError::Closed) => Ok(()),
                other => other,
            });
        }
        done
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").field("file", &self.backups.files.database).field("epoch", &self.epoch).finish()
    }
}

impl State for Sqlite {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn lanes(&self) -> BoxFuture<'_, Result<Vec<LaneRow>, StateError>> {
        self.read(read::lanes)
    }

    fn register(
        &self,
        lane: LaneId,
        start: Vec<Position>,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<LaneRow, StateError>> {
        let name = lane.clone();
        let written = self.write(Write::Register { lane, start, at });
        Box::pin(async move {
            match written.await? {
                Wrote::Lane(row) => Ok(row),
                Wrote::Done => Err(StateError::UnknownLane(name)),
            }
        })
    }

    fn orphan(&self, lane: LaneId, at: Timestamp) -> BoxFuture<'_, Result<(), StateError>> {
        self.write_done(Write::Orphan { lane, at })
    }

    fn release(&self, lane: LaneId) -> BoxFuture<'_, Result<(), StateError>> {
        self.write_done(Write::Release { lane })
    }

    fn rename(&self, from: LaneId, to: LaneId) -> BoxFuture<'_, Result<(), StateError>> {
        self.write_done(Write::Rename { from, to })
    }

    fn take_over(&self, orphan: LaneId, by: LaneId) -> BoxFuture<'_, Result<(), StateError>> {
        self.write_done(Write::TakeOver { orphan, by })
    }

    fn pause(&self, lane: LaneId, since: Option<Timestamp>) -> BoxFuture<'_, Result<(), StateError>> {
        self.write_done(Write::Pause { lane, since })
    }

    fn progress(&self, lane: LaneId) -> BoxFuture<'_, Result<Vec<Progress>, StateError>> {
        self.read(move |db| read::progress(db, &lane))
    }

    fn commit(&self, commits: Vec<LaneCommit>) -> BoxFuture<'_, Result<(), StateError>> {
        self.write_done(Write::Commit(commits))
    }

    fn parked(&self, filter: ParkedFilter) -> BoxFuture<'_, Result<Vec<ParkedRow>, StateError>> {
        self.read(move |db| read::parked(db, &filter))
    }

    fn parked_groups(&self, filter: ParkedFilter) -> BoxFuture<'_, Result<Vec<ParkedGroup>, StateError>> {
        self.read(move |db| read::parked_groups(db, &filter))
    }

    fn parked_counts(&self) -> BoxFuture<'_, Result<Vec<ParkedCount>, StateError>> {
        self.read(read::parked_counts)
    }

    fn parked_problems(&self, limit: usize) -> BoxFuture<'_, Result<Vec<ParkedProblem>, StateError>> {
        self.read(move |db| read::parked_problems(db, limit))
    }

    fn deferred(&self, filter: DeferredFilter) -> BoxFuture<'_, Result<Vec<DeferredRow>, StateError>> {
        self.read(move |db| read::deferred(db, &filter))
    }

    fn deferred_counts(&self) -> BoxFuture<'_, Result<Vec<DeferredCount>, StateError>> {
        self.read(read::deferred_counts)
    }

    fn identities(&self, keys: Vec<IdentityKey>) -> BoxFuture<'_, Result<Vec<Option<String>>, StateError>> {
        Box::pin(self.resolve(keys))
    }

    fn remember(&self, entries: Vec<Identity>) {
        let left_out = self.identities.remember(entries);
        if left_out > 0 {
            self.telemetry.emit(IdentitiesNotKept { identities: left_out });
        }
    }

    fn linked(&self, text: String) -> BoxFuture<'_, Result<Vec<Identity>, StateError>> {
        Box::pin(async move {
            if !self.read_only {
                self.flush().await?;
            }
            self.read(move |db| read::linked(db, &text)).await
        })
    }

    fn erasable(&self, matches: Matches, limit: usize) -> BoxFuture<'_, Result<Vec<Erasable>, StateError>> {
        self.read(move |db| erase::find(db, &matches, limit))
    }

    fn erase(&self, erase: Erase) -> BoxFuture<'_, Result<Erased, StateError>> {
        Box::pin(self.erase_now(erase))
    }

    fn backup(&self) -> BoxFuture<'_, Result<Arc<BackedUp>, StateError>> {
        Box::pin(self.make_backup())
    }

    fn last_backup(&self) -> Option<Arc<BackedUp>> {
        self.backups.last()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StateError>> {
        Box::pin(self.end())
    }
}

fn opened(error: rusqlite::Error) -> StateError {
    StateError::database("opened", error)
}

/// Opens the one connection that writes: migrated, and with an epoch of its own.
fn open_for_work(files: &Files, steps: &[&str]) -> Result<(Connection, u64), OpenError> {
    let database = &files.database;
    let broken = |error| OpenError::File { file: database.clone(), error };
    let state = |error| OpenError::State { file: database.clone(), error: opened(error) };
    file::make_private(database).map_err(broken)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(database, flags).map_err(state)?;
    connection.busy_timeout(backup::BUSY).map_err(state)?;
    write_ahead(&connection).map_err(state)?;
    // FULL: a commit that was acknowledged survives a power cut (S-2). What is deleted is overwritten, and what SQLite
    // needs on the side stays in memory: no copy of a person's data outlives its erasure in a free page or in /tmp.
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384",
        )
        .map_err(state)?;
    connection.set_prepared_statement_cache_capacity(64);
    let format = schema::format_of(&connection).map_err(state)?;
    if format > 0 && (format as usize) < steps.len() {
        let kept = files.before_migration(format);
        file::make_private(&kept).map_err(broken)?;
        backup::copy(database, &kept).map_err(|error| OpenError::State { file: kept.clone(), error })?;
    }
    schema::migrate(&mut connection, steps).map_err(state)?;
    let epoch = raise_epoch(&mut connection).map_err(state)?;
    Ok((connection, epoch.cast_unsigned()))
}

/// SQLite gives the new mode as a row before it commits the change, so the statement is stepped to its end: on a disk that
/// fails just then, `query_row` would drop the error and the database stay in its old mode. In that mode a power cut may take
/// an acknowledged commit back, as the removal of the rollback journal is not synced.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let modes: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if modes == ["wal"] {
        return Ok(());
    }
    let why = format!("it cannot be written ahead: its journal mode stays {}", modes.join(" "));
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR), Some(why)))
}

/// In a transaction that is committed by itself: an `UPDATE … RETURNING` gives its row before it commits, and on a full disk
/// that commit fails when nobody looks any more. Every later write would be fenced by an epoch that was never stored.
fn raise_epoch(connection: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("UPDATE epoch SET epoch = epoch + 1, writes = writes + 1", [])?;
    let epoch = transaction.query_row("SELECT epoch FROM epoch", [], |row| row.get(0))?;
    transaction.commit()?;
    Ok(epoch)
}

/// The life of a reading thread.
fn answer(connection: &Connection, jobs: &Jobs<Query>) {
    while let Some(query) = jobs.next() {
        query(connection);
    }
}

async fn ask<T: Send + 'static>(
    queue: &Mutex<Option<Queue<Query>>>,
    read: impl FnOnce(&Connection) -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StateError::Closed)?;
    let (reply, answer) = oneshot::channel();
    let query: Query = Box::new(move |db| {
        // Who asked may have gone.
        let _gone = reply.send(read(db));
    });
    queue.put(query).await.map_err(|_| StateError::Closed)?;
    answer.await.map_err(|_| StateError::Closed)?
}

fn spawn(name: &str, file: &Path, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    started.map(|_| ()).map_err(|error| OpenError::File { file: file.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_format_is_migrated_after_a_copy_was_made() {
        let dir = tempfile::TempDir::new().expect("a folder");
        let files = Files::of(&dir.path().join("state.db"));
        let Ok((older, epoch)) = open_for_work(&files, schema::STEPS) else { panic!("a new state") };
        older
            .execute("INSERT INTO lanes (name, status, registered_at) VALUES ('shop/a', 1, 0)", [])
            .expect("a lane of the older format");
        drop(older);
        let mut steps = schema::STEPS.to_vec();
        steps.push("ALTER TABLE lanes ADD COLUMN note TEXT NOT NULL DEFAULT 'none'");
        let Ok((newer, next)) = open_for_work(&files, &steps) else { panic!("a migrated state") };
        assert_eq!(next, epoch + 1);
        let note: String = newer.query_row("SELECT note FROM lanes", [], |row| row.get(0)).expect("the new column");
        assert_eq!(note, "none");
        let kept = backup::open_reader(&files.before_migration(schema::FORMAT)).expect("the copy");
        assert_eq!(schema::format_of(&kept), Ok(schema::FORMAT));
        let lane: String = kept.query_row("SELECT name FROM lanes", [], |row| row.get(0)).expect("the lane");
        assert_eq!(lane, "shop/a");
    }
}
