//! What every store of state must pass: the promises of [`State`] as tests.
//!
//! [`all`] runs the whole suite; each part can be run alone and panics with what was wrong. The parts need nothing of any
//! one store: a place is a number, and what a place holds is the store's affair. Names begin with the promise they check.

#![expect(clippy::expect_used, reason = "this is test code, though other crates run it too")]

mod again;
mod people;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use anole_event::{LaneId, Position, Reason, Timestamp};
use bytes::Bytes;

pub use again::{
    a_writer_that_was_overtaken_is_fenced, s1_a_full_window_is_kept, s2_what_was_committed_survives_a_crash,
    s3_a_backup_is_known_to_the_next_opening, s5_the_registry_survives_a_crash,
};
pub use people::{identities_are_seen_at_once_and_the_newest_wins, j8_an_erasure_finds_removes_and_may_be_repeated};

use crate::{
    Deferred, DeferredFilter, LaneCommit, LaneStatus, Parked, ParkedFilter, Progress, SendKey, State, StateError,
};

/// Runs the whole suite.
///
/// `open` opens the store at the place of this number: an empty one the first time, and after that the same one again. It
/// is opened again while the opening before is still there, as after a crash, or by another process.
pub async fn all<S, F>(open: impl Fn(u32) -> F)
where
    S: State,
    F: Future<Output = Arc<S>>,
{
    s5_a_lane_starts_where_it_is_told_and_keeps_its_progress(&*open(1).await).await;
    s5_an_orphan_comes_back_and_a_released_lane_starts_anew(&*open(2).await).await;
    s5_renaming_keeps_everything_and_mixes_nothing(&*open(3).await).await;
    s5_a_lane_takes_over_what_an_orphan_left(&*open(4).await).await;
    s2_a_commit_is_whole_or_nothing(&*open(5).await).await;
    s2_a_repeated_commit_changes_nothing(&*open(6).await).await;
    s4_parked_sends_are_listed_newest_first_and_filtered(&*open(7).await).await;
    s4_deferred_sends_come_in_the_order_in_which_they_are_due(&*open(8).await).await;
    identities_are_seen_at_once_and_the_newest_wins(&*open(9).await).await;
    s3_a_backup_tells_the_progress_that_it_holds(&*open(10).await).await;
    nothing_is_written_after_closing(&*open(11).await).await;
    j8_an_erasure_finds_removes_and_may_be_repeated(&*open(12).await).await;
    s1_a_full_window_is_kept(|| open(13)).await;
    s2_what_was_committed_survives_a_crash(|| open(14)).await;
    s3_a_backup_is_known_to_the_next_opening(|| open(15)).await;
    s5_the_registry_survives_a_crash(|| open(16)).await;
    a_writer_that_was_overtaken_is_fenced(|| open(17)).await;
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn lane(name: &str) -> LaneId {
    LaneId::new("shop", name)
}

fn here(offset: u64) -> Progress {
    Progress { watermark: Position::at(offset), finished: Vec::new() }
}

/// A parked send for tests.
#[must_use]
pub fn parked(offset: u64, event: &str, reason: Reason) -> Parked {
    Parked {
        position: Position::at(offset),
        ordinal: 0,
        rule: event.to_owned(),
        event: event.to_owned(),
        message_id: format!("m-{offset}"),
        received_at: at(1),
        parked_at: at(i64::try_from(offset).unwrap_or(0)),
        reason,
        detail: Some("the goalId is missing".to_owned()),
        plan: u64::MAX,
        attempt: None,
        record: Bytes::from(vec![7; 10]),
    }
}

/// A deferred send for tests.
#[must_use]
pub fn deferred(offset: u64, due: i64) -> Deferred {
    Deferred {
        position: Position::at(offset),
        ordinal: 1,
        rule: "page".to_owned(),
        event: "page".to_owned(),
        message_id: format!("m-{offset}"),
        received_at: at(1),
        deferred_at: at(2),
        due_at: at(due),
        tries: 5,
        reason: Reason::FailsAlone,
        detail: None,
        plan: 1,
        attempt: None,
        record: Bytes::from(vec![8; 20]),
    }
}

async fn parked_of(state: &dyn State, filter: ParkedFilter) -> Vec<u64> {
    let rows = state.parked(filter).await.expect("parked sends");
    rows.iter().map(|row| row.parked.position.offset).collect()
}

/// S-5, the first half.
pub async fn s5_a_lane_starts_where_it_is_told_and_keeps_its_progress(state: &dyn State) {
    let start = vec![Position { partition: 0, offset: 10 }, Position { partition: 1, offset: 20 }];
    let row = state.register(lane("a"), start.clone(), at(1)).await.expect("a registered lane");
    assert_eq!((row.start.clone(), row.status, row.registered_at), (start.clone(), LaneStatus::Active, at(1)));
    let progress = state.progress(lane("a")).await.expect("progress");
    assert_eq!(progress.iter().map(|one| one.watermark).collect::<Vec<_>>(), start);
    let moved = Progress { watermark: Position { partition: 1, offset: u64::MAX - 9 }, finished: Vec::new() };
    let commit = LaneCommit { progress: vec![moved.clone()], ..LaneCommit::new(lane("a")) };
    state.commit(vec![commit]).await.expect("a commit");
    let again = vec![Position { partition: 1, offset: 5 }, Position { partition: 2, offset: 30 }];
    let row = state.register(lane("a"), again, at(9)).await.expect("a known lane");
    assert_eq!((row.registered_at, row.start.len()), (at(1), 3), "only the partition that is new was added");
    let progress = state.progress(lane("a")).await.expect("progress");
    assert_eq!(progress.len(), 3);
    assert_eq!(progress[1], moved);
    assert_eq!(state.progress(lane("b")).await.expect("no progress"), []);
    state.register(lane("B"), Vec::new(), at(2)).await.expect("another lane");
    let names: Vec<_> = state.lanes().await.expect("lanes").into_iter().map(|row| row.lane).collect();
    assert_eq!(names, [lane("B"), lane("a")]);
}

/// S-5, the second half.
pub async fn s5_an_orphan_comes_back_and_a_released_lane_starts_anew(state: &dyn State) {
    state.register(lane("a"), vec![Position::at(1)], at(1)).await.expect("a lane");
    let commit = LaneCommit {
        progress: vec![here(50)],
        parked: vec![parked(40, "page", Reason::Refused)],
        ..LaneCommit::new(lane("a"))
    };
    state.commit(vec![commit.clone()]).await.expect("a commit");
    assert!(matches!(state.release(lane("a")).await, Err(StateError::LaneActive(_))));
    assert!(matches!(state.orphan(lane("x"), at(5)).await, Err(StateError::UnknownLane(_))));
    state.orphan(lane("a"), at(5)).await.expect("an orphan");
    state.orphan(lane("a"), at(6)).await.expect("still an orphan");
    let row = state.lanes().await.expect("lanes").remove(0);
    assert_eq!(row.status, LaneStatus::Orphaned { since: at(5) });
    let row = state.register(lane("a"), vec![Position::at(99)], at(7)).await.expect("it came back");
    assert_eq!(row.status, LaneStatus::Active);
    assert_eq!(state.progress(lane("a")).await.expect("progress"), [here(50)]);

    state.orphan(lane("a"), at(8)).await.expect("an orphan again");
    state.release(lane("a")).await.expect("released");
    assert_eq!(state.lanes().await.expect("lanes"), []);
    assert!(matches!(state.release(lane("a")).await, Err(StateError::UnknownLane(_))));
    assert!(matches!(state.commit(vec![commit]).await, Err(StateError::UnknownLane(_))));
    let of = ParkedFilter { lane: Some(lane("a")), ..ParkedFilter::default() };
    let row = state.parked(of.clone()).await.expect("parked").remove(0);
    assert_eq!(row.parked.position.offset, 40, "nothing parked is dropped but by a person");
    let given_up = LaneCommit { unparked: vec![row.id], ..LaneCommit::new(lane("a")) };
    state.commit(vec![given_up]).await.expect("a person gives up what a released lane has parked");
    assert_eq!(parked_of(state, of).await, [0_u64; 0]);
    state.register(lane("a"), vec![Position::at(99)], at(9)).await.expect("a new start");
    assert_eq!(state.progress(lane("a")).await.expect("progress"), [here(99)]);
}

/// `rename` and `pause`.
pub async fn s5_renaming_keeps_everything_and_mixes_nothing(state: &dyn State) {
    for name in ["old", "other"] {
        state.register(lane(name), vec![Position::at(1)], at(1)).await.expect("a lane");
    }
    let commit = LaneCommit {
        progress: vec![here(7)],
        parked: vec![parked(3, "page", Reason::Refused)],
        deferred: vec![deferred(4, 10)],
        ..LaneCommit::new(lane("old"))
    };
    state.commit(vec![commit]).await.expect("a commit");
    assert!(matches!(state.rename(lane("old"), lane("other")).await, Err(StateError::LaneExists(_))));
    assert!(matches!(state.rename(lane("none"), lane("new")).await, Err(StateError::UnknownLane(_))));
    state.pause(lane("old"), Some(at(3))).await.expect("paused");
    state.rename(lane("old"), lane("new")).await.expect("renamed");
    assert_eq!(state.progress(lane("new")).await.expect("progress"), [here(7)]);
    assert_eq!(state.parked(ParkedFilter::default()).await.expect("parked")[0].lane, lane("new"));
    assert_eq!(state.deferred(DeferredFilter::default()).await.expect("deferred")[0].lane, lane("new"));
    let row = state.lanes().await.expect("lanes").remove(0);
    assert_eq!((row.lane, row.paused_since), (lane("new"), Some(at(3))));
    state.pause(lane("new"), None).await.expect("resumed");
    assert_eq!(state.lanes().await.expect("lanes")[0].paused_since, None);
}

/// `take_over`.
pub async fn s5_a_lane_takes_over_what_an_orphan_left(state: &dyn State) {
    for (name, start) in [("old", 1), ("new", 100)] {
        state.register(lane(name), vec![Position::at(start)], at(1)).await.expect("a lane");
    }
    let old = LaneCommit {
        progress: vec![here(40)],
        parked: vec![parked(3, "page", Reason::Refused), parked(105, "old", Reason::Refused)],
        deferred: vec![deferred(4, 10)],
        ..LaneCommit::new(lane("old"))
    };
    let new = LaneCommit {
        progress: vec![here(150)],
        parked: vec![parked(105, "new", Reason::Refused)],
        ..LaneCommit::new(lane("new"))
    };
    state.commit(vec![old, new]).await.expect("a commit");
    assert!(matches!(state.take_over(lane("old"), lane("new")).await, Err(StateError::LaneActive(_))));
    state.orphan(lane("old"), at(5)).await.expect("an orphan");
    assert!(matches!(state.take_over(lane("old"), lane("none")).await, Err(StateError::UnknownLane(_))));
    state.take_over(lane("old"), lane("new")).await.expect("taken over");
    let rows = state.lanes().await.expect("lanes");
    let rows: Vec<_> = rows.into_iter().map(|row| (row.lane, row.status, row.start)).collect();
    assert_eq!(rows, [(lane("new"), LaneStatus::Active, vec![Position::at(1)])]);
    let both = Progress { watermark: Position::at(40), finished: Vec::from([Range { start: 100, end: 150 }]) };
    assert_eq!(state.progress(lane("new")).await.expect("progress"), [both]);
    let rows = state.parked(ParkedFilter::default()).await.expect("parked");
    let rows: Vec<_> = rows.into_iter().map(|row| (row.lane, row.parked.event)).collect();
    assert_eq!(rows, [(lane("new"), "new".to_owned()), (lane("new"), "page".to_owned())]);
    assert_eq!(state.parked_counts().await.expect("counts").iter().map(|count| count.count).sum::<u64>(), 2);
    assert_eq!(state.deferred(DeferredFilter::default()).await.expect("deferred")[0].lane, lane("new"));
    assert!(matches!(state.take_over(lane("old"), lane("new")).await, Err(StateError::UnknownLane(_))));
}

/// S-2.
pub async fn s2_a_commit_is_whole_or_nothing(state: &dyn State) {
    state.register(lane("a"), vec![Position::at(0)], at(1)).await.expect("a lane");
    let moved = |name: &str| LaneCommit {
        progress: vec![Progress { watermark: Position::at(8), finished: vec![10..12, 20..21] }],
        parked: vec![parked(7, "page", Reason::Refused)],
        deferred: vec![deferred(6, 5)],
        ..LaneCommit::new(lane(name))
    };
    let unknown = state.commit(vec![moved("a"), moved("nobody")]).await;
    assert!(matches!(unknown, Err(StateError::UnknownLane(name)) if name == lane("nobody")));
    assert_eq!(state.progress(lane("a")).await.expect("progress"), [here(0)]);
    assert_eq!(parked_of(state, ParkedFilter::default()).await, [0_u64; 0]);
    state.commit(vec![moved("a")]).await.expect("a commit");
    assert_eq!(state.progress(lane("a")).await.expect("progress"), moved("a").progress);
    let row = state.parked(ParkedFilter::default()).await.expect("parked").remove(0);
    assert_eq!(row.parked, parked(7, "page", Reason::Refused));
    let back = LaneCommit {
        unparked: vec![row.id],
        undeferred: vec![SendKey { position: Position::at(6), ordinal: 1 }],
        ..LaneCommit::new(lane("a"))
    };
    state.commit(vec![back]).await.expect("taken back");
    assert_eq!(parked_of(state, ParkedFilter::default()).await, [0_u64; 0]);
    assert_eq!(state.deferred(DeferredFilter::default()).await.expect("deferred"), []);
    assert_eq!(state.parked_counts().await.expect("counts"), []);
}

/// S-2: what is tried again, or comes again after a crash.
pub async fn s2_a_repeated_commit_changes_nothing(state: &dyn State) {
    state.register(lane("a"), vec![Position::at(0)], at(1)).await.expect("a lane");
    let commit = LaneCommit {
        progress: vec![here(3)],
        parked: vec![parked(1, "page", Reason::Refused), parked(2, "page", Reason::Refused)],
        deferred: vec![deferred(2, 5)],
        ..LaneCommit::new(lane("a"))
    };
    state.commit(vec![commit.clone()]).await.expect("a commit");
    let before = state.parked(ParkedFilter::default()).await.expect("parked");
    state.commit(vec![commit.clone(), commit]).await.expect("the same commit");
    assert_eq!(state.parked(ParkedFilter::default()).await.expect("parked"), before);
    assert_eq!(state.deferred(DeferredFilter::default()).await.expect("deferred").len(), 1);
    let count = state.parked_counts().await.expect("counts").remove(0);
    assert_eq!((count.lane, count.reason, count.count, count.bytes), (lane("a"), Reason::Refused, 2, 20));
    let gone = LaneCommit { unparked: vec![before[0].id], ..LaneCommit::new(lane("a")) };
    state.commit(vec![gone.clone()]).await.expect("taken back");
    let again = LaneCommit { parked: vec![parked(2, "page", Reason::Refused)], ..LaneCommit::new(lane("a")) };
    state.commit(vec![again]).await.expect("parked again");
    state.commit(vec![gone]).await.expect("the old id again");
    assert_eq!(parked_of(state, ParkedFilter::default()).await, [2, 1], "an id is never given twice");
}

/// The lists of the console.
pub async fn s4_parked_sends_are_listed_newest_first_and_filtered(state: &dyn State) {
    for name in ["a", "b"] {
        state.register(lane(name), vec![Position::at(0)], at(1)).await.expect("a lane");
    }
    let of_a = vec![
        parked(1, "page", Reason::Refused),
        parked(2, "Order Completed", Reason::MissingField),
        parked(3, "Order Completed", Reason::MissingField),
    ];
    let commits = vec![
        LaneCommit { parked: of_a, ..LaneCommit::new(lane("a")) },
        LaneCommit { parked: vec![parked(4, "page", Reason::MissingField)], ..LaneCommit::new(lane("b")) },
    ];
    state.commit(commits).await.expect("commits");
    let all = ParkedFilter::default;
    assert_eq!(parked_of(state, all()).await, [4, 3, 2, 1]);
    let page = state.parked(ParkedFilter { limit: 2, ..all() }).await.expect("a page");
    assert_eq!(parked_of(state, ParkedFilter { before: Some(page[1].id), ..all() }).await, [2, 1]);
    assert_eq!(parked_of(state, ParkedFilter { id: Some(page[1].id), ..all() }).await, [3]);
    let on = ParkedFilter { after: Some(page[1].id), oldest_first: true, ..all() };
    assert_eq!(parked_of(state, on).await, [4]);
    assert_eq!(parked_of(state, ParkedFilter { oldest_first: true, limit: 2, ..all() }).await, [1, 2]);
    assert_eq!(parked_of(state, ParkedFilter { lane: Some(lane("a")), ..all() }).await, [3, 2, 1]);
    assert_eq!(parked_of(state, ParkedFilter { lane: Some(lane("no")), ..all() }).await, [0_u64; 0]);
    let missing = ParkedFilter { reason: Some(Reason::MissingField), ..all() };
    assert_eq!(parked_of(state, missing.clone()).await, [4, 3, 2]);
    assert_eq!(parked_of(state, ParkedFilter { event: Some("page".to_owned()), ..missing }).await, [4]);
    assert_eq!(parked_of(state, ParkedFilter { message_id: Some("m-2".to_owned()), ..all() }).await, [2]);
    assert_eq!(parked_of(state, ParkedFilter { from: Some(at(2)), until: Some(at(4)), ..all() }).await, [3, 2]);
    let groups = state.parked_groups(ParkedFilter { lane: Some(lane("a")), limit: 1, ..all() }).await.expect("groups");
    let groups: Vec<_> = groups.iter().map(|group| (group.event.as_str(), group.reason, group.count)).collect();
    assert_eq!(groups.len(), 2, "counted without the limit: {groups:?}");
    assert!(groups.contains(&("Order Completed", Reason::MissingField, 2)), "{groups:?}");
    let problems = state.parked_problems(2).await.expect("problems");
    assert_eq!(problems.len(), 2);
    let first = &problems[0];
    assert_eq!((&first.lane, first.reason, &*first.event), (&lane("a"), Reason::MissingField, "Order Completed"));
    assert_eq!((first.count, first.bytes, first.first_at, first.last_at), (2, 20, at(2), at(3)));
    assert_eq!(first.example, page[1].id);
}

/// The queue of a lane's deferred sends.
pub async fn s4_deferred_sends_come_in_the_order_in_which_they_are_due(state: &dyn State) {
    state.register(lane("a"), vec![Position::at(0)], at(1)).await.expect("a lane");
    let commit =
        LaneCommit { deferred: vec![deferred(1, 30), deferred(2, 10), deferred(3, 20)], ..LaneCommit::new(lane("a")) };
    state.commit(vec![commit]).await.expect("a commit");
    let later = LaneCommit { deferred: vec![deferred(2, 40)], ..LaneCommit::new(lane("a")) };
    state.commit(vec![later]).await.expect("a later time for one of them");
    let rows = state.deferred(DeferredFilter::default()).await.expect("deferred");
    let order: Vec<_> = rows.iter().map(|row| row.deferred.position.offset).collect();
    assert_eq!(order, [3, 1, 2]);
    assert_eq!(rows[0].deferred, deferred(3, 20));
    let due = DeferredFilter { lane: Some(lane("a")), due_by: Some(at(30)), ..DeferredFilter::default() };
    assert_eq!(state.deferred(due).await.expect("due ones").len(), 2);
    let key = SendKey { position: Position::at(2), ordinal: 1 };
    let one = DeferredFilter { key: Some(key), ..DeferredFilter::default() };
    let one = state.deferred(one).await.expect("one");
    assert_eq!(one.iter().map(|row| row.deferred.position.offset).collect::<Vec<_>>(), [2]);
    let count = state.deferred_counts().await.expect("counts").remove(0);
    assert_eq!((count.lane, count.count, count.bytes, count.next_due), (lane("a"), 3, 60, at(20)));
}

/// S-3.
pub async fn s3_a_backup_tells_the_progress_that_it_holds(state: &dyn State) {
    state.register(lane("a"), vec![Position::at(1)], at(1)).await.expect("a lane");
    let backup = state.backup().await.expect("a backup");
    assert_eq!(backup.lanes.len(), 1);
    assert_eq!(backup.lanes[0].progress, [here(1)]);
    state.commit(vec![LaneCommit { progress: vec![here(9)], ..LaneCommit::new(lane("a")) }]).await.expect("a commit");
    assert_eq!(state.last_backup().expect("the backup").lanes[0].progress, [here(1)]);
    assert_eq!(state.backup().await.expect("a backup").lanes[0].progress, [here(9)]);
    assert_eq!(state.last_backup().expect("the backup").lanes[0].progress, [here(9)]);
}

/// `close`.
pub async fn nothing_is_written_after_closing(state: &dyn State) {
    state.register(lane("a"), vec![Position::at(1)], at(1)).await.expect("a lane");
    state.close().await.expect("closed");
    let refused = state.commit(vec![LaneCommit::new(lane("a"))]).await;
    assert!(matches!(refused, Err(StateError::Closed)), "{refused:?}");
    state.close().await.expect("closing twice does nothing");
    assert_eq!(state.last_backup().expect("closing backs up").lanes.len(), 1);
}
