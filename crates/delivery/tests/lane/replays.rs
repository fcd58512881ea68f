//! Parked sends that are sent again.

use std::sync::Arc;

use anole_delivery::{Again, Input, LaneOptions, Outgoing, Replayed, SetAside};
use anole_event::{Marks, Outcome, Reason, State};
use anole_pipeline::{Ended, Made, Send};
use anole_state::ParkedId;
use bytes::Bytes;

use crate::plan;
use crate::support::{Play, answered};

fn text(number: usize) -> String {
    format!("\"{number:03}\"")
}

/// Parks these sends, each alone in its request, eight refusals in a row being avoided by live sends between.
fn parked(count: usize) -> Play {
    let mut play = Play::with(LaneOptions::default(), plan::limits(3, 1_000, 1_000), 7);
    for number in 0..count {
        play.send(number as u64, &text(number));
    }
    play.run(1_000, |outgoing| answered(if is_good(outgoing) { 200 } else { 400 }));
    assert_eq!(play.parked.len(), count, "all are poison");
    play.step(Input::Resume);
    play
}

fn is_good(outgoing: &Outgoing) -> bool {
    Play::items(outgoing).iter().all(|item| item.starts_with("live"))
}

/// A row as the plan makes it of the event that was parked.
fn row(play: &Play, id: u64, park: &SetAside, ordinals: &[u16]) -> Replayed {
    let send = |ordinal: &u16| {
        Made::Send(Send {
            ordinal: *ordinal,
            rule: "Order Completed".into(),
            address: Arc::clone(&play.addresses[0]),
            item: Bytes::copy_from_slice(
                format!("\"{}-{ordinal}\"", park.subject.message_id.trim_matches('"')).as_bytes(),
            ),
            nonce: Some(park.subject.message_id.clone()),
            visitor_code: None,
            rung: None,
            marks: Marks::NONE,
            hint: None,
            expires: None,
        })
    };
    Replayed {
        of: Again::Parked(ParkedId(id)),
        ordinal: park.ordinal,
        subject: Arc::clone(&park.subject),
        made: ordinals.iter().map(send).collect(),
        plan: Arc::clone(&play.plan),
    }
}

/// Gives all that is parked to the machine again.
fn replay_all(play: &mut Play) {
    let parked = std::mem::take(&mut play.parked);
    for (id, park) in parked.iter().enumerate() {
        let row = row(play, id as u64, park, &[0]);
        play.step(Input::Replay(row));
    }
}

/// How replayed sends ended, and whether each is marked.
fn replayed_ends(play: &Play) -> Vec<(State, bool)> {
    let sends = play.entries.iter().flat_map(|entry| &entry.sends);
    sends.filter_map(|send| Some((send.outcome.as_ref()?.state, send.marks.contains(Marks::REPLAYED)))).collect()
}

#[test]
fn s2_a_replayed_send_leaves_parked_only_when_the_log_has_its_end() {
    let mut play = parked(2);
    play.entries.clear();
    play.records = false;
    let before = play.progress.clone();
    replay_all(&mut play);
    play.run(10, |_| answered(200));
    assert_eq!((play.unparked.len(), play.machine.replaying()), (0, 2), "the log does not have it yet");
    let number = *play.unrecorded.back().expect("a settlement");
    play.step(Input::Recorded(number));
    play.unparked.sort();
    assert_eq!(play.unparked, [ParkedId(0), ParkedId(1)]);
    assert_eq!((play.machine.replaying(), play.parked.len()), (0, 0));
    assert_eq!(replayed_ends(&play), [(State::Delivered, true); 2]);
    assert_eq!(play.progress, before, "progress has nothing to say of it");
}

#[test]
fn s2_what_is_refused_again_is_parked_again_in_its_place() {
    let mut play = parked(2);
    replay_all(&mut play);
    play.run(100, |_| answered(400));
    assert_eq!((play.unparked.len(), play.parked.len()), (0, 2), "the rows are replaced and not taken away");
    assert!(play.parked.iter().all(|park| park.replayed.is_some() && park.attempt.is_some()));
    assert!(replayed_ends(&play).ends_with(&[(State::Parked, true); 2]));
}

#[test]
fn a_row_that_became_several_sends_goes_with_the_last_of_them() {
    let mut play = parked(1);
    play.entries.clear();
    let park = play.parked.pop().expect("a parked send");
    let row = row(&play, 7, &park, &[0, 1]);
    play.step(Input::Replay(row));
    play.run(100, |outgoing| {
        answered(if Play::items(outgoing).iter().any(|item| item.ends_with("-1")) { 400 } else { 200 })
    });
    assert_eq!(play.unparked, [ParkedId(7)], "the first was delivered");
    assert_eq!(play.parked.iter().map(|park| park.ordinal).collect::<Vec<_>>(), [1], "the other waits as its own row");
    assert_eq!(play.machine.replaying(), 0);
}

#[test]
fn s2_what_the_plan_keeps_back_now_ends_so_and_leaves() {
    let mut play = parked(1);
    play.entries.clear();
    let park = play.parked.pop().expect("a parked send");
    let outcome = Outcome::new(State::Filtered, Reason::Off);
    let ended = Ended { ordinal: 0, rule: "".into(), visitor_code: None, rung: None, outcome };
    let row = Replayed { made: vec![Made::Ended(ended)], ..row(&play, 3, &park, &[0]) };
    play.step(Input::Replay(row));
    play.seconds(1);
    assert_eq!(play.unparked, [ParkedId(3)]);
    assert_eq!(replayed_ends(&play), [(State::Filtered, true)]);
    assert!(play.open.is_empty());
}

#[test]
fn replayed_sends_share_no_request_with_live_ones_and_keep_their_order_key() {
    let mut play = parked(1);
    let first = play.made.len();
    play.send(0, "\"live-0\"");
    play.send(1, "\"live-1\"");
    replay_all(&mut play);
    play.seconds(1);
    assert_eq!(play.open.iter().map(Play::items).collect::<Vec<_>>(), [["live-0", "live-1"]], "its key is held");
    play.run(10, |_| answered(200));
    let bodies: Vec<_> = play.made[first..].iter().map(Play::items).collect();
    assert_eq!(bodies, [vec!["live-0", "live-1"], vec!["000-0"]]);
}

#[test]
fn eight_replays_refused_in_a_row_stop_the_replay_and_not_the_lane() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 1_000, 1_000), 7);
    for number in 0..9 {
        play.send(number, &text(number as usize));
        play.run(10, |outgoing| answered(if is_good(outgoing) { 200 } else { 400 }));
        play.send(100, "\"live-between\"");
        play.run(10, |_| answered(200));
    }
    assert_eq!((play.parked.len(), play.hints.len()), (9, 0));
    replay_all(&mut play);
    play.run(100, |_| answered(400));
    assert!(play.machine.replay_is_refused());
    assert_eq!((play.hints.len(), play.parked.len()), (0, 9), "the lane goes on");
    play.machine.begin_replay();
    assert!(!play.machine.replay_is_refused());
    assert_eq!(play.machine.status().paused, None);
    let before = play.made.len();
    play.send(7, "\"live-after\"");
    play.run(10, |_| answered(200));
    assert_eq!(play.made.len(), before + 1);
}

#[test]
fn a_row_in_hand_is_not_taken_twice_and_a_paused_lane_takes_none() {
    let mut play = parked(1);
    let park = play.parked.pop().expect("a parked send");
    for _ in 0..2 {
        let row = row(&play, 5, &park, &[0]);
        play.step(Input::Replay(row));
    }
    let before = play.made.len();
    play.run(10, |_| answered(200));
    assert_eq!(play.made.len(), before + 1);
    assert!(play.machine.takes_replays());
    play.step(Input::Pause("why".into()));
    assert!(!play.machine.takes_replays());
}
