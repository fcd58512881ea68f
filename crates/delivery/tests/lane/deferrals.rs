//! Sends that fail whenever they are sent, while others go through.

use std::time::Duration;

use anole_delivery::{Again, Answered, Command, Deferred, Input, LaneOptions, Machine, Outgoing, Replayed};
use anole_event::{Clock, LaneId, Marks, Mono, OrderKey, Position, Reason, State};
use anole_pipeline::Made;
use anole_state::{ParkedId, SendKey};

use crate::plan;
use crate::support::{Play, answered, no_answer};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn text(number: u64) -> String {
    format!("\"{number:03}\"")
}

fn holds(outgoing: &Outgoing, number: u64) -> bool {
    Play::items(outgoing).contains(&format!("{number:03}"))
}

/// A vendor that has a bug: it fails on one send.
fn fails_on(number: u64) -> impl FnMut(&Outgoing) -> Answered {
    move |outgoing| answered(if holds(outgoing, number) { 500 } else { 204 })
}

/// Those that come while the bad one is looked for.
const OTHERS: std::ops::Range<u64> = 800..900;

/// Sends of different visitors, one of which the vendor fails on; others come each two seconds.
fn isolated(limit: usize, bad: u64) -> Play {
    let mut play = Play::with(LaneOptions::default(), plan::limits(limit, 10_000, 100), 7);
    for number in 0..limit as u64 {
        play.send_to(0, number, &text(number), Some(6 * HOUR));
    }
    for number in OTHERS {
        play.send_to(0, number, &text(number), Some(6 * HOUR));
        play.run_until(play.clock.mono().after(2 * Duration::from_secs(1)), fails_on(bad));
    }
    play
}

#[test]
fn a_send_that_fails_alone_is_found_and_set_aside_and_progress_passes_it() {
    let play = isolated(64, 17);
    assert_eq!(play.count(State::Delivered), 63 + 100);
    let (key, aside) = play.deferred.first_key_value().expect("one is deferred");
    assert_eq!((play.deferred.len(), *key), (1, SendKey { position: Position::at(1_700), ordinal: 0 }));
    assert_eq!((aside.reason, aside.deferral.unwrap().times), (Reason::FailsAlone, 1));
    assert!(aside.detail.as_ref().unwrap().contains("the vendor answered 500"), "{aside:?}");
    assert_eq!(play.progress.as_ref().unwrap().watermark, play.machine.next_position());
    let asked = play.made.iter().filter(|outgoing| holds(outgoing, 17)).count();
    let whole = play.made.iter().filter(|outgoing| Play::items(outgoing).len() == 64).count();
    assert!(whole < 12 && asked - whole <= 6 + 1, "{whole} requests with all, and {asked} to find it among 64");
    assert_eq!(play.machine.status().deferred, 1);
}

#[test]
fn a_deferred_send_is_tried_alone_after_five_minutes_and_is_one_no_more_when_it_is_taken() {
    let mut play = isolated(8, 3);
    let due = play.deferred.values().next().unwrap().deferral.unwrap().due_at;
    let asked = play.made.len();
    let before = due.since(play.clock.wall()) - Duration::from_millis(1);
    play.run_until(play.clock.mono().after(before), |_| answered(204));
    assert_eq!(play.made.len(), asked, "not before its time");
    play.run(3, |_| answered(204));
    let last = play.made.last().unwrap();
    assert_eq!(Play::items(last), ["003"]);
    assert_eq!(play.count(State::Delivered), 8 + 100);
    assert!(play.deferred.is_empty());
    assert_eq!(play.machine.status().deferred, 0);
}

#[test]
fn it_waits_longer_each_time_and_expires_by_name() {
    let mut play = isolated(8, 3);
    let asked = play.made.len();
    play.run_until(play.clock.mono().after(7 * HOUR), fails_on(3));
    let tries = play.made.len() - asked;
    assert!((7..=9).contains(&tries), "5, 10, 20, 40 minutes and each hour until the sixth hour: {tries}");
    assert_eq!(play.ends()["\"003\""], (State::Expired, Reason::TooOld));
    assert!(play.deferred.is_empty());
}

#[test]
fn later_sends_of_its_order_key_go_on_and_are_marked() {
    let mut play = isolated(8, 3);
    play.send_to(0, 3, &text(700), None);
    play.send_to(0, 4, &text(701), None);
    play.run(6, fails_on(3));
    let marks = |id: &str| {
        let sends = play.entries.iter().flat_map(|entry| &entry.sends);
        sends.filter(|send| &*send.message_id == id).map(|send| send.marks.contains(Marks::REORDERED)).next_back()
    };
    assert_eq!(marks("\"700\""), Some(true), "of the visitor whose send is deferred");
    assert_eq!(marks("\"701\""), Some(false), "of another one");
}

#[test]
fn what_is_refused_in_the_end_is_parked_and_deferred_no_more() {
    let mut play = isolated(8, 3);
    play.run_until(play.clock.mono().after(6 * MINUTE), |_| answered(400));
    assert_eq!(play.ends()["\"003\""], (State::Parked, Reason::Refused));
    assert!(play.deferred.is_empty());
    assert_eq!(play.parked.len(), 1);
    assert_eq!(play.hints, Vec::<String>::new(), "one send is not the mapping");
}

#[test]
fn an_endpoint_that_fails_altogether_defers_nothing() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(4, 10_000, 100), 7);
    for number in 0..40 {
        play.send_to(0, number, &text(number), Some(48 * HOUR));
    }
    let mut count = 0_u32;
    play.run_until(play.clock.mono().after(24 * HOUR), |_| {
        count += 1;
        match count % 3 {
            0 => no_answer(),
            1 => answered(503),
            _ => answered(429),
        }
    });
    assert!(play.deferred.is_empty());
    play.run(1_000, |_| answered(204));
    assert_eq!(play.count(State::Delivered), 40);
}

#[test]
fn a_paused_lane_takes_no_deferred_send() {
    let mut play = isolated(8, 3);
    play.step(Input::Pause(anole_delivery::ASKED.into()));
    let asked = play.made.len();
    play.seconds(3_600);
    assert_eq!(play.made.len(), asked);
    assert_eq!(play.machine.wake_at(), None, "nor does it wake up for one");
    play.step(Input::Resume);
    assert_eq!(play.made.len(), asked + 1);
}

#[test]
fn s2_a_deferred_send_is_not_asked_for_before_all_of_its_event_has_ended() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 10_000, 0), 7);
    play.separate_endpoints();
    play.send_two(1, &text(1), &text(2));
    // The other send of the event waits for an endpoint that is down.
    let fails = |outgoing: &Outgoing| match outgoing.address.id {
        1 => no_answer(),
        _ => answered(if holds(outgoing, 1) { 500 } else { 204 }),
    };
    for number in OTHERS {
        play.send_to(0, number, &text(number), None);
        play.run_until(play.clock.mono().after(10 * Duration::from_secs(1)), fails);
    }
    assert_eq!((play.machine.status().deferred, play.deferred.len()), (1, 0), "the state does not have it yet");
    let alone = play.made.iter().filter(|outgoing| holds(outgoing, 1)).count();
    play.run_until(play.clock.mono().after(HOUR), fails);
    assert_eq!(play.made.iter().filter(|outgoing| holds(outgoing, 1)).count(), alone, "nor is it asked for");
    play.run(100, |_| answered(204));
    assert!(play.deferred.is_empty());
    assert_eq!((play.machine.status().deferred, play.machine.status().open), (0, 0));
    let sends = play.entries.iter().flat_map(|entry| &entry.sends);
    let delivered = sends.filter(|send| send.outcome.as_ref().is_some_and(|end| end.state == State::Delivered));
    assert_eq!(delivered.count(), 100 + 2);
}

#[test]
fn a_replay_that_fails_alone_is_parked_again() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 10_000, 0), 7);
    let row = play.send_to(0, 1, &text(1), None);
    play.answer(answered(400));
    let aside = play.parked.pop().unwrap();
    let again = play.send_again(row);
    let (of, subject, plan) = (Again::Parked(ParkedId(1)), aside.subject, play.plan.clone());
    play.step(Input::Replay(Replayed { of, ordinal: 0, subject, made: vec![Made::Send(again)], plan }));
    for number in 2..40 {
        play.send_to(0, number, &text(number), None);
        play.run_until(play.clock.mono().after(10 * Duration::from_secs(1)), fails_on(1));
    }
    let parked: Vec<_> = play.parked.iter().map(|aside| (aside.reason, aside.replayed)).collect();
    assert_eq!(parked, [(Reason::FailsAlone, Some(of))]);
    assert!(play.deferred.is_empty());
    assert_eq!(play.unparked, [], "it takes the place of its row");
}

#[test]
fn s2_a_lane_that_begins_anew_goes_on_with_what_the_state_has_deferred() {
    let key = SendKey { position: Position::at(100), ordinal: 1 };
    let known = Deferred { key, order_key: OrderKey(1), times: 2, due: Mono::from_micros(1).after(MINUTE) };
    let lane = LaneId::new("shop", "kameleoon");
    let play = Play::new();
    let mut machine = Machine::new(lane, LaneOptions::default(), 1, Position::at(900)).with_deferred(&[known]);
    assert_eq!(machine.wake_at(), Some(known.due));
    play.clock.advance(2 * MINUTE);
    let commands = machine.step(play.clock.now(), Input::Tick);
    assert!(matches!(commands[..], [Command::Undefer(asked)] if asked == key), "{commands:?}");
    assert!(machine.step(play.clock.now(), Input::Later(key)).is_empty());
    assert!(machine.wake_at().is_some_and(|at| at > play.clock.mono()), "it asks again, and not at once");
    machine.step(play.clock.now(), Input::Gone(key));
    assert_eq!(machine.status().deferred, 0);
}
