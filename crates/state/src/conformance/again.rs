//! What must be there when a store is opened again: after a crash, or by the next process.
//!
//! A crash is an opening that is dropped without a close. What a power cut takes besides is for each store to show.

use std::future::Future;
use std::sync::Arc;

use anole_event::{Position, Reason};
use bytes::Bytes;

use super::{at, deferred, here, lane, parked};
use crate::{DeferredFilter, LaneCommit, LaneStatus, Parked, ParkedFilter, Progress, State, StateError};

/// S-1: the largest window that a lane may have, 65,536 positions of which every second one is finished, and 8 MiB of
/// records parked at once.
pub async fn s1_a_full_window_is_kept<S: State, F: Future<Output = Arc<S>>>(open: impl Fn() -> F) {
    let state = open().await;
    state.register(lane("a"), vec![Position::at(7)], at(1)).await.expect("a lane");
    let finished = (0..32_768).map(|number| 1_000 + 2 * number..1_001 + 2 * number).collect();
    let progress = vec![Progress { watermark: Position::at(999), finished }];
    let large = |offset| Parked { record: Bytes::from(vec![5; 64 * 1024]), ..parked(offset, "page", Reason::Refused) };
    let commit =
        LaneCommit { progress: progress.clone(), parked: (0..128).map(large).collect(), ..LaneCommit::new(lane("a")) };
    state.commit(vec![commit]).await.expect("a commit");
    assert_eq!(state.progress(lane("a")).await.expect("progress"), progress);
    drop(state);
    let state = open().await;
    assert_eq!(state.progress(lane("a")).await.expect("progress"), progress);
    let count = state.parked_counts().await.expect("counts").remove(0);
    assert_eq!((count.count, count.bytes), (128, 8 * 1024 * 1024));
}

/// S-2: a commit that was acknowledged is there, whole, and the ids of what is parked stay what they were.
pub async fn s2_what_was_committed_survives_a_crash<S: State, F: Future<Output = Arc<S>>>(open: impl Fn() -> F) {
    let state = open().await;
    for name in ["a", "b"] {
        state.register(lane(name), vec![Position::at(1)], at(1)).await.expect("a lane");
    }
    for offset in 2..40 {
        let commit = |name, offset| LaneCommit {
            progress: vec![here(offset)],
            parked: vec![parked(offset, "page", Reason::Refused)],
            deferred: vec![deferred(offset, 10)],
            ..LaneCommit::new(lane(name))
        };
        state.commit(vec![commit("a", offset), commit("b", 2 * offset)]).await.expect("a commit");
    }
    let all = || ParkedFilter { limit: 1_000, ..ParkedFilter::default() };
    let before = state.parked(all()).await.expect("parked");
    drop(state);
    let state = open().await;
    assert_eq!(state.progress(lane("a")).await.expect("progress"), [here(39)]);
    assert_eq!(state.progress(lane("b")).await.expect("progress"), [here(78)]);
    assert_eq!(state.parked(all()).await.expect("parked"), before);
    let filter = DeferredFilter { limit: 1_000, ..DeferredFilter::default() };
    assert_eq!(state.deferred(filter).await.expect("deferred").len(), 76);
    let gone = LaneCommit { unparked: vec![before[0].id], ..LaneCommit::new(before[0].lane.clone()) };
    state.commit(vec![gone]).await.expect("taken back");
    drop(state);
    let state = open().await;
    assert_eq!(state.parked(all()).await.expect("parked"), before[1..]);
    let again = LaneCommit { parked: vec![parked(1, "page", Reason::Refused)], ..LaneCommit::new(lane("a")) };
    state.commit(vec![again]).await.expect("parked anew");
    let newest = state.parked(all()).await.expect("parked")[0].id;
    assert!(newest > before[0].id, "an id is never given twice, also not that of one that is gone");
}

/// S-3: what the backup holds is known from the opening on, and is not more than what it holds.
pub async fn s3_a_backup_is_known_to_the_next_opening<S: State, F: Future<Output = Arc<S>>>(open: impl Fn() -> F) {
    let state = open().await;
    assert_eq!(state.last_backup(), None);
    state.register(lane("a"), vec![Position::at(1)], at(1)).await.expect("a lane");
    let first = state.backup().await.expect("a backup");
    assert_eq!(first.lanes.len(), 1, "the first one can be made as soon as the lanes are there");
    assert!(Arc::ptr_eq(&first, &state.backup().await.expect("a backup")), "nothing was written, so nothing is copied");
    state.commit(vec![LaneCommit { progress: vec![here(9)], ..LaneCommit::new(lane("a")) }]).await.expect("a commit");
    drop(state);
    let state = open().await;
    assert_eq!(state.last_backup().expect("the backup").lanes[0].progress, [here(1)]);
    assert_eq!(state.progress(lane("a")).await.expect("progress"), [here(9)]);
    state.close().await.expect("closed");
    let state = open().await;
    assert_eq!(state.last_backup().expect("the backup").lanes[0].progress, [here(9)], "closing backs up");
}

/// S-5: orphans, pauses, new names and releases are there after a crash.
pub async fn s5_the_registry_survives_a_crash<S: State, F: Future<Output = Arc<S>>>(open: impl Fn() -> F) {
    let state = open().await;
    for name in ["active", "orphan", "old", "released"] {
        state.register(lane(name), vec![Position::at(3)], at(1)).await.expect("a lane");
    }
    state.pause(lane("active"), Some(at(4))).await.expect("paused");
    for name in ["orphan", "released"] {
        state.orphan(lane(name), at(5)).await.expect("an orphan");
    }
    state.release(lane("released")).await.expect("released");
    state.rename(lane("old"), lane("new")).await.expect("renamed");
    drop(state);
    let state = open().await;
    let rows = state.lanes().await.expect("lanes");
    let rows: Vec<_> = rows.into_iter().map(|row| (row.lane, row.status, row.paused_since)).collect();
    let orphaned = LaneStatus::Orphaned { since: at(5) };
    let expected = [
        (lane("active"), LaneStatus::Active, Some(at(4))),
        (lane("new"), LaneStatus::Active, None),
        (lane("orphan"), orphaned, None),
    ];
    assert_eq!(rows, expected);
    assert_eq!(state.progress(lane("orphan")).await.expect("progress"), [here(3)], "it still holds retention");
    assert_eq!(state.progress(lane("released")).await.expect("progress"), []);
}

/// A second opening has a higher epoch, and the first one can change nothing any more.
pub async fn a_writer_that_was_overtaken_is_fenced<S: State, F: Future<Output = Arc<S>>>(open: impl Fn() -> F) {
    let first = open().await;
    first.register(lane("a"), vec![Position::at(1)], at(1)).await.expect("a lane");
    let second = open().await;
    assert!(second.epoch() > first.epoch());
    let commit = |offset| LaneCommit {
        progress: vec![here(offset)],
        parked: vec![parked(offset, "page", Reason::Refused)],
        ..LaneCommit::new(lane("a"))
    };
    let fenced = |done: Result<(), StateError>| {
        let error = done.expect_err("it is fenced");
        assert!(matches!(error, StateError::Fenced { .. }), "{error}");
        assert!(!error.is_transient(), "a fence never opens again");
    };
    fenced(first.commit(vec![commit(7)]).await);
    fenced(first.register(lane("b"), vec![Position::at(1)], at(1)).await.map(|_| ()));
    fenced(first.orphan(lane("a"), at(2)).await);
    fenced(first.erase(crate::Erase::default()).await.map(|_| ()));
    fenced(first.backup().await.map(|_| ()));
    assert_eq!(second.progress(lane("a")).await.expect("progress"), [here(1)]);
    assert_eq!(second.parked(ParkedFilter::default()).await.expect("parked"), []);
    second.commit(vec![commit(3)]).await.expect("the newer one may");
    assert_eq!(second.progress(lane("a")).await.expect("progress"), [here(3)]);
    assert_eq!(first.progress(lane("a")).await.expect("progress"), [here(3)], "reading is not fenced");
}
