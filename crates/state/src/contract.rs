//! What every store of state promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use anole_event::{LaneId, Position, Timestamp};

use crate::{
    BackedUp, DeferredCount, DeferredFilter, DeferredRow, Erasable, Erase, Erased, Identity, IdentityKey, LaneCommit,
    LaneRow, Matches, ParkedCount, ParkedFilter, ParkedGroup, ParkedProblem, ParkedRow, Progress, StateError,
};

/// A boxed future: what lets the contract be used as `dyn State`, so that a store can be chosen at start.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The store of what must never be lost beside the journal.
///
/// # What it promises
///
/// - **S-1** Progress of a lane is, per partition, a watermark and the finished ranges above it. Positions are opaque: the
///   store compares them and computes nothing from them. It keeps at least what a full window has: 65,536 positions of which
///   every second one is finished, and 8 MiB of records in one commit.
/// - **S-2** [`commit`](Self::commit) is one transaction over all the lanes that are given: progress moves, and what was
///   parked, deferred or taken back is stored with it, or nothing is. Callers write the delivery log first. When it returns
///   `Ok`, the commit survives a power cut. Commits are idempotent: progress is set and not added to, parked and deferred
///   sends are kept by (lane, position, ordinal) and replaced, what is taken back twice is passed over; so a commit that may
///   or may not have taken effect is simply made again. The id of a parked send is never given twice, and stays when the
///   send is parked again.
/// - **S-3** The state is backed up when [`backup`](Self::backup) is called (the caller's timer: at once after the lanes
///   were registered, then every ten minutes) and by [`close`](Self::close). A state that is damaged, gone, older than its
///   backup or not its own is set aside when it is opened, and its backup taken in its place: what came after the backup is
///   done again. [`last_backup`](Self::last_backup) tells what would be there then, and is `None` rather than more than that.
/// - **S-4** Parked and deferred sends hold the whole record and the rule's name, never a payload: a replay maps anew.
///   The store drops none of them by itself, also not of a lane that is released.
/// - **S-5** A new lane starts where [`register`](Self::register) is told to; a known one keeps its progress, also when
///   it comes back from being orphaned. A removed lane is orphaned, and gone only when it is released.
/// - **J-8**, the state's half: [`erasable`](Self::erasable) and [`erase`](Self::erase), by record and by identity.
/// - **Fencing** Each opening raises the epoch that stands in the store, and every transaction compares its own with it, under
///   the same lock that it writes under. A writer that was overtaken gets [`StateError::Fenced`] and can change nothing any
///   more, neither rows nor backup. Reading is not fenced.
///
/// Nothing here blocks the async runtime. A dropped future may or may not have taken effect.
///
/// # Refused and failed
///
/// [`StateError::UnknownLane`], [`StateError::LaneActive`], [`StateError::LaneExists`], [`StateError::Fenced`],
/// [`StateError::Closed`] and [`StateError::ReadOnly`] refuse: nothing was changed. All others are failures: what was asked
/// is there whole or not at all, and which of the two shows only later (a full disk may be met after the commit was
/// written). [`StateError::is_transient`] says whether to try the same again.
///
/// # Which test checks what
///
/// The suite in `conformance` (a feature of this crate) runs against every store; its tests are named for the promises: `s1_`,
/// `s2_`, `s3_`, `s4_`, `s5_`, `j8_` and `a_writer_that_was_overtaken_is_fenced`. What depends on the medium each store
/// shows for itself. For the embedded one: damage in `tests/damage.rs`, bytes that are gone in `tests/erasure.rs`, power cuts
/// and bad disks in `anole_testkit::sqlite`, the order of writing against history and journal in `anole_testkit::order`.
///
/// # What a store on a database server must do
///
/// - S-2 and fencing: one transaction at `READ COMMITTED` or above that begins with
///   `SELECT epoch FROM epoch FOR SHARE` and compares; opening does `UPDATE epoch SET epoch = epoch + 1` and so waits for
///   those that are under way. Synchronous commit must be on.
/// - S-1: the ranges as one value per (lane, partition), not a row each. Positions are unsigned 64-bit numbers.
/// - S-3: `backup` may take a logical copy, or tell of the server's own backup. Where that cannot be known, the progress that
///   is committed counts as backed up, and the server must be one that does not lose commits.
/// - Parked counts and problems are asked for after every park: kept by triggers, not counted.
/// - [`StateError::Database`] carries the client's error; [`StateError::Damaged`] is for what a restart would mend.
pub trait State: Send + Sync + 'static {
    /// The epoch of this opening: higher than that of each opening before it.
    fn epoch(&self) -> u64;

    /// The registered lanes, in the order of their names; released ones are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn lanes(&self) -> BoxFuture<'_, Result<Vec<LaneRow>, StateError>>;

    /// Registers a lane that starts at these positions, one per partition (S-5).
    ///
    /// A lane that is registered already is left as it is and keeps its progress, but for partitions it does not know
    /// yet, which start as told; an orphan becomes active again. A released lane starts anew.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn register(&self, lane: LaneId, start: Vec<Position>, at: Timestamp)
    -> BoxFuture<'_, Result<LaneRow, StateError>>;

    /// Marks a lane that no pipeline has any more. An orphan stays one, with its first time.
    ///
    /// # Errors
    /// [`StateError::UnknownLane`], or when the store cannot be written.
    fn orphan(&self, lane: LaneId, at: Timestamp) -> BoxFuture<'_, Result<(), StateError>>;

    /// Gives up an orphan: its progress goes, so that it holds no retention any more. What it has parked or deferred
    /// stays until a person discards it, and is the lane's again when the lane is registered anew.
    ///
    /// # Errors
    /// [`StateError::UnknownLane`], [`StateError::LaneActive`], or when the store cannot be written.
    fn release(&self, lane: LaneId) -> BoxFuture<'_, Result<(), StateError>>;

    /// Gives a lane another name, with its progress and all it has parked and deferred.
    ///
    /// # Errors
    /// [`StateError::UnknownLane`]; [`StateError::LaneExists`] when a lane of the new name has progress, or parked or
    /// deferred sends of its own: two histories are not mixed. Or when the store cannot be written.
    fn rename(&self, from: LaneId, to: LaneId) -> BoxFuture<'_, Result<(), StateError>>;

    /// Lets a lane take over what an orphan has not finished, and all that it has parked and deferred; the orphan is gone
    /// then. This is what a destination needs that was given a new name and began as a new lane.
    ///
    /// In each partition both are one afterwards: finished is what either had finished from its start on, and the lane
    /// goes on at the first position that neither had. A send that both have parked or deferred stays as the lane has it.
    /// Nobody may commit for the lane meanwhile: a commit of progress that does not know of this would undo it.
    ///
    /// # Errors
    /// [`StateError::UnknownLane`] of either; [`StateError::LaneActive`] when the one to be taken over is no orphan. Or when
    /// the store cannot be written.
    fn take_over(&self, orphan: LaneId, by: LaneId) -> BoxFuture<'_, Result<(), StateError>>;

    /// Notes that a person paused the lane at this time, or let it go on (`None`). A note only: delivery obeys it.
    ///
    /// # Errors
    /// [`StateError::UnknownLane`], or when the store cannot be written.
    fn pause(&self, lane: LaneId, since: Option<Timestamp>) -> BoxFuture<'_, Result<(), StateError>>;

    /// The lane's progress, one for each partition, in the order of partitions; empty for a lane that is not registered.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn progress(&self, lane: LaneId) -> BoxFuture<'_, Result<Vec<Progress>, StateError>>;

    /// Moves progress and stores what was parked and deferred, in one transaction (S-2).
    ///
    /// Within a lane's commit, rows are removed before rows are added.
    ///
    /// # Errors
    /// [`StateError::UnknownLane`] when one of the lanes is not registered (a released one may still take back what it has
    /// parked), [`StateError::Fenced`], or when the store
    /// cannot be written: then make the same commit again.
    fn commit(&self, commits: Vec<LaneCommit>) -> BoxFuture<'_, Result<(), StateError>>;

    /// Parked sends, newest first unless the filter says otherwise.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn parked(&self, filter: ParkedFilter) -> BoxFuture<'_, Result<Vec<ParkedRow>, StateError>>;

    /// What [`parked`](Self::parked) would find without its limit, counted by lane, reason and event name, in that order.
    /// It looks at every row that the filter's indexes leave, but at no record.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn parked_groups(&self, filter: ParkedFilter) -> BoxFuture<'_, Result<Vec<ParkedGroup>, StateError>>;

    /// How many sends are parked, and how many bytes their records have, per lane and reason. Costs no scan.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn parked_counts(&self) -> BoxFuture<'_, Result<Vec<ParkedCount>, StateError>>;

    /// Parked sends grouped into problems (lane, reason, event name), those with the most sends first, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn parked_problems(&self, limit: usize) -> BoxFuture<'_, Result<Vec<ParkedProblem>, StateError>>;

    /// Deferred sends, those due first at the front.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn deferred(&self, filter: DeferredFilter) -> BoxFuture<'_, Result<Vec<DeferredRow>, StateError>>;

    /// How many sends are deferred per lane, and when the first of them is due.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn deferred_counts(&self) -> BoxFuture<'_, Result<Vec<DeferredCount>, StateError>>;

    /// What the identity map knows for each key, in the order of the keys. It sees what was remembered a moment ago.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn identities(&self, keys: Vec<IdentityKey>) -> BoxFuture<'_, Result<Vec<Option<String>>, StateError>>;

    /// Remembers identities; for each key the newest by `received_at` wins.
    ///
    /// It is written behind: a crash may cost what was remembered in the last second, which costs a rung of a visitor
    /// code, never an event. The map is bounded by count and age; the oldest go first.
    fn remember(&self, entries: Vec<Identity>);

    /// All that the identity map holds of a text, in any pipeline: what is remembered of the visitor or user of this id, and who
    /// this is remembered of as a value. Ordered by pipeline, name and id.
    ///
    /// It looks at all of the map, which takes about a second for a million identities.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    fn linked(&self, text: String) -> BoxFuture<'_, Result<Vec<Identity>, StateError>>;

    /// Parked and deferred sends whose record matches, at most `limit`: what an erasure is about to remove, so that the caller
    /// can write the outcome `erased` to the delivery log before [`erase`](Self::erase) does (S-2). Asked again after that
    /// it finds the next ones; an erasure is done when it finds none.
    ///
    /// It looks at every parked and deferred record, which takes about a second for a gigabyte.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn erasable(&self, matches: Matches, limit: usize) -> BoxFuture<'_, Result<Vec<Erasable>, StateError>>;

    /// Erases sends and identities in one transaction, then from the bytes of the store's files, and renews the backup, which
    /// still had them. Sends that are not there are passed over. After a crash it is called again with what `erasable`
    /// still finds, which may be nothing: only a call that returned `Ok` promises that the bytes are gone.
    ///
    /// A store whose files are not its own (a database server's) promises the rows, and names in [`Erased::left`] nothing.
    ///
    /// # Errors
    /// [`StateError::Fenced`]; [`StateError::HeldOpen`]; or when a file or the backup cannot be written.
    fn erase(&self, erase: Erase) -> BoxFuture<'_, Result<Erased, StateError>>;

    /// Copies the state to its backup (S-3), and tells what that backup holds: the journal may let go only of what every
    /// lane of it has behind it. A backup that was made survives a power cut. When nothing was written since the last one,
    /// nothing is copied. Once begun it is finished, also when the future is dropped.
    ///
    /// # Errors
    /// When the copy cannot be written; the backup before it is kept then.
    fn backup(&self) -> BoxFuture<'_, Result<Arc<BackedUp>, StateError>>;

    /// What the last good backup holds; `None` when there is none. It is known from the opening on.
    fn last_backup(&self) -> Option<Arc<BackedUp>>;

    /// Writes what was only remembered, backs up, and ends. Later calls that write give [`StateError::Closed`].
    ///
    /// # Errors
    /// When something could not be written.
    fn close(&self) -> BoxFuture<'_, Result<(), StateError>>;
}
