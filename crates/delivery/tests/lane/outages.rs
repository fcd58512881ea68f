//! A vendor that is away for long, and the lane beside it.

use std::collections::VecDeque;
use std::time::Duration;

use anole_delivery::{Input, LaneOptions, WindowLimits};
use anole_event::{Clock, Mono, Reason, State};

use crate::plan;
use crate::support::{Play, answered, no_answer};

const HOUR: Duration = Duration::from_secs(3_600);

fn text(number: u64) -> String {
    format!("\"{number:06}\"")
}

/// After what time an event is of no use any more: every other event after an hour, the others after two days.
fn expires(number: u64) -> Duration {
    if number.is_multiple_of(2) { HOUR } else { 48 * HOUR }
}

#[test]
fn a_day_of_outage_costs_no_memory_and_nothing_but_what_is_too_old_by_name() {
    let window = WindowLimits { events: 2_000, ..WindowLimits::default() };
    let mut play = Play::with(LaneOptions { window, ..LaneOptions::default() }, plan::limits(50, 10_000, 1_000), 7);
    play.forget_requests = true;
    let (mut waiting, mut sizes): (VecDeque<u64>, Vec<usize>) = (VecDeque::new(), Vec::new());
    let begin = play.clock.mono();
    let read = |play: &mut Play, waiting: &mut VecDeque<u64>| {
        while play.machine.wants_more()
            && let Some(number) = waiting.pop_front()
        {
            let received = play.clock.wall();
            let came = begin.after(Duration::from_secs(2 * number));
            play.received_at = Some(anole_event::Timestamp::from_micros(
                received.micros() - i64::try_from(play.clock.mono().since(came).as_micros()).unwrap(),
            ));
            play.send_to(0, number % 300, &text(number), Some(expires(number)));
        }
    };
    for number in 0..43_200_u64 {
        waiting.push_back(number);
        read(&mut play, &mut waiting);
        let next = begin.after(Duration::from_secs(2 * (number + 1)));
        play.run_until(next, |_| if number % 3 == 0 { answered(503) } else { no_answer() });
        if number % 1_800 == 1_799 {
            // Everything that a machine holds shows in this.
            sizes.push(format!("{:?}", play.machine).len());
        }
    }
    let (least, most) = (sizes[4..].iter().min().unwrap(), sizes[4..].iter().max().unwrap());
    assert!(*most < least + least / 20, "each hour, in bytes of its description: {sizes:?}");
    let probes = play.requests;
    assert!(probes < 3_000, "{probes} requests in a day");
    while play.machine.status().open > 0 || !waiting.is_empty() {
        let end = play.clock.mono().after(Duration::from_secs(1));
        play.run_until(end, |_| answered(204));
        read(&mut play, &mut waiting);
    }
    let ends = play.ends();
    assert_eq!(ends.len(), 43_200);
    for number in 0..43_200 {
        let (state, reason) = ends[&text(number)];
        let is_named = match state {
            State::Delivered => true,
            State::Expired => number % 2 == 0 && reason == Reason::TooOld,
            _ => false,
        };
        assert!(is_named, "{number} ended as {state}, {reason}");
    }
    let expired = ends.values().filter(|(state, _)| *state == State::Expired).count();
    assert!((20_000..=21_600).contains(&expired), "all of the first 23 hours that are of no use any more: {expired}");
}

/// Two lanes on one clock, each with its vendor. Gives back what the first one did, and when.
fn two_lanes(second_hangs: bool) -> Vec<(Mono, String)> {
    let mut healthy = Play::with(LaneOptions::default(), plan::limits(10, 10_000, 500), 7);
    let mut other = Play::with(LaneOptions::default(), plan::limits(10, 10_000, 500), 8);
    other.clock = healthy.clock.clone();
    healthy.tells = true;
    for number in 0..2_000 {
        for lane in [&mut healthy, &mut other] {
            if lane.machine.wants_more() {
                lane.send_to(0, number % 37, &text(number), Some(HOUR));
            }
        }
        healthy.clock.advance(Duration::from_millis(20));
        for lane in [&mut healthy, &mut other] {
            lane.step(Input::Tick);
        }
        // Each hundredth request of the healthy lane fails, so that it has something to wait for.
        while !healthy.open.is_empty() {
            let status = if healthy.made.len().is_multiple_of(100) { 500 } else { 204 };
            healthy.answer(answered(status));
        }
        while !second_hangs && !other.open.is_empty() {
            other.answer(answered(204));
        }
    }
    assert_eq!(other.open.len(), if second_hangs { 4 } else { 0 }, "37 visitors fill four requests that hang");
    healthy.told
}

#[test]
fn a_lane_does_the_same_at_the_same_times_whether_its_neighbour_hangs_or_not() {
    let (beside, alone) = (two_lanes(true), two_lanes(false));
    assert!(alone.len() > 500, "{}", alone.len());
    assert_eq!(beside, alone);
}
