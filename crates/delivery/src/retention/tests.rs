use anole_state::LaneRow;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const KEEP: Duration = Duration::from_secs(7 * 86_400);
const ENDS: [Position; 1] = [Position::at(1_000)];

fn day(day: u64) -> Timestamp {
    Timestamp::from_millis(0).after(DAY * u32::try_from(day).unwrap())
}

fn lane(name: &str, watermark: u64) -> BackedUpLane {
    let row = LaneRow {
        lane: LaneId::new("shop", name),
        status: LaneStatus::Active,
        registered_at: day(0),
        start: vec![Position::at(0)],
        paused_since: None,
    };
    let finished = std::iter::once(watermark + 50..watermark + 60).collect();
    BackedUpLane { row, progress: vec![Progress { watermark: Position::at(watermark), finished }] }
}

fn orphan(name: &str, watermark: u64, since: u64) -> BackedUpLane {
    let mut lane = lane(name, watermark);
    lane.row.status = LaneStatus::Orphaned { since: day(since) };
    lane
}

fn backup(lanes: Vec<BackedUpLane>) -> BackedUp {
    BackedUp { at: day(1), lanes }
}

/// From where on is kept, and who holds it.
fn kept(backup: Option<&BackedUp>, lanes: &[BackedUpLane], now: Option<Timestamp>) -> (u64, Vec<String>) {
    let retention = Registry { backup, lanes, ends: &ENDS }.retention(now, KEEP);
    let holders = retention.holders(&ENDS).map(|hold| hold.lane.destination().to_owned()).collect();
    (retention.keep_from[0].offset, holders)
}

#[test]
fn the_lane_that_is_furthest_behind_in_the_backup_holds_the_journal() {
    let then = backup(vec![lane("a", 300), lane("b", 200)]);
    let now = [lane("a", 900), lane("b", 800)];
    assert_eq!(kept(Some(&then), &now, Some(day(2))), (200, vec!["b".to_owned()]));
}

#[test]
fn a_lane_that_no_backup_knows_holds_everything() {
    let then = backup(vec![lane("a", 300)]);
    let now = [lane("a", 300), lane("b", 800)];
    assert_eq!(kept(Some(&then), &now, Some(day(2))), (0, vec!["b".to_owned()]));
    assert_eq!(kept(None, &now, Some(day(2))), (0, vec!["a".to_owned(), "b".to_owned()]), "there is none");
}

#[test]
fn nobody_holds_what_every_lane_has_finished() {
    let then = backup(vec![lane("a", 1_000)]);
    assert_eq!(kept(Some(&then), &[lane("a", 1_000)], Some(day(2))), (1_000, vec![]));
    assert_eq!(kept(None, &[], Some(day(2))), (1_000, vec![]), "without lanes nothing waits");
    let ahead = backup(vec![lane("a", 5_000)]);
    assert_eq!(kept(Some(&ahead), &[lane("a", 5_000)], Some(day(2))).0, 1_000, "never beyond the journal's end");
}

#[test]
fn an_orphan_holds_for_as_long_as_is_kept_and_not_a_moment_longer() {
    let then = backup(vec![lane("a", 300), orphan("old", 100, 10)]);
    let now = [lane("a", 300), orphan("old", 100, 10)];
    let last = day(17).micros() - 1;
    assert_eq!(kept(Some(&then), &now, Some(Timestamp::from_micros(last))), (100, vec!["old".to_owned()]));
    assert_eq!(kept(Some(&then), &now, Some(day(17))), (300, vec!["a".to_owned()]));
    assert_eq!(kept(Some(&then), &now, None), (100, vec!["old".to_owned()]), "the clock is not to be trusted");
}

#[test]
fn what_the_state_says_now_of_an_orphan_counts_and_not_what_the_backup_says() {
    let then = backup(vec![lane("a", 300), lane("old", 100)]);
    assert_eq!(kept(Some(&then), &[lane("a", 300), orphan("old", 100, 1)], Some(day(9))).0, 300, "it is one now");
    let then = backup(vec![lane("a", 300), orphan("back", 100, 1)]);
    assert_eq!(kept(Some(&then), &[lane("a", 300), lane("back", 100)], Some(day(9))).0, 100, "it came back");
}

#[test]
fn a_released_lane_holds_nothing_though_the_backup_still_knows_it() {
    let then = backup(vec![lane("a", 300), orphan("old", 100, 1)]);
    assert_eq!(kept(Some(&then), &[lane("a", 300)], Some(day(2))), (300, vec!["a".to_owned()]));
}

#[test]
fn a_lane_that_took_over_an_orphan_since_the_backup_holds_what_the_orphan_held() {
    let then = backup(vec![lane("new", 700), orphan("old", 100, 1)]);
    assert_eq!(kept(Some(&then), &[lane("new", 100)], Some(day(30))), (100, vec!["new".to_owned()]));
}

#[test]
fn each_partition_is_held_for_itself_and_one_without_progress_whole() {
    let ends = [Position { partition: 0, offset: 50 }, Position { partition: 1, offset: 70 }];
    let mut both = lane("a", 30);
    both.progress.push(Progress { watermark: Position { partition: 1, offset: 60 }, finished: Vec::new() });
    let then = backup(vec![both.clone()]);
    let lanes = [both];
    let retention = Registry { backup: Some(&then), lanes: &lanes, ends: &ends }.retention(None, KEEP);
    assert_eq!(retention.keep_from, [Position::at(30), Position { partition: 1, offset: 60 }]);
    let then = backup(vec![lane("a", 30)]);
    let lanes = [lane("a", 30)];
    let retention = Registry { backup: Some(&then), lanes: &lanes, ends: &ends }.retention(None, KEEP);
    assert_eq!(retention.keep_from, [Position::at(30), Position::start_of(1)]);
}
