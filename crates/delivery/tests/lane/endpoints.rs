//! Breakers, paces and silences: what a lane learns of each endpoint.

use std::time::Duration;

use anole_delivery::LaneOptions;
use anole_event::{Clock, State};

use crate::plan;
use crate::support::{Play, answered, no_answer};

fn text(number: usize) -> String {
    format!("\"{number}\"")
}

const HOUR: Duration = Duration::from_secs(3_600);

/// A lane whose two addresses belong to different endpoints; one send is one request.
fn two_endpoints() -> Play {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 1_000, 0), 7);
    play.separate_endpoints();
    play
}

#[test]
fn an_endpoint_that_is_down_for_a_day_is_asked_once_a_minute_and_served_within_a_minute_when_it_is_well() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 1_000, 0), 7);
    for number in 0..200 {
        play.send_to(0, number, &text(number as usize), Some(48 * HOUR));
    }
    let well = play.clock.mono().after(24 * HOUR);
    play.run_until(well, |_| no_answer());
    let asked = play.made.len();
    assert!((1_440..3_000).contains(&asked), "{asked} requests in a day");
    assert_eq!(play.breakers, [true]);
    play.run_until(well.after(Duration::from_secs(61)), |_| answered(204));
    assert_eq!(play.count(State::Delivered), 200, "all of it within the breaker's last wait");
    assert_eq!(play.made.len() - asked, 200);
    assert_eq!(play.breakers, [true, false]);
}

#[test]
fn an_endpoint_that_never_answers_takes_no_place_of_another() {
    let mut play = two_endpoints();
    for number in 0..40 {
        play.send_to((number % 2) as usize, number, &text(number as usize), None);
    }
    assert_eq!(play.open.len(), 16, "eight requests to each");
    let hangs: Vec<_> = play.open.iter().filter(|outgoing| outgoing.address.id == 0).cloned().collect();
    play.open.retain(|outgoing| outgoing.address.id == 1);
    while !play.open.is_empty() {
        play.answer(answered(204));
    }
    assert_eq!((play.count(State::Delivered), hangs.len()), (20, 8));
}

#[test]
fn a_silence_is_the_endpoints_and_not_the_lanes() {
    let mut play = two_endpoints();
    play.send_to(0, 1, "a", None);
    let mut busy = answered(503);
    busy.headers.push(("Retry-After".into(), "60".into()));
    play.answer(busy);
    play.send_to(0, 2, "b", None);
    play.send_to(1, 3, "c", None);
    assert_eq!(play.open.len(), 1);
    assert_eq!(play.open[0].address.id, 1);
}

#[test]
fn one_send_that_always_fails_does_not_keep_a_breaker_open() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 1_000, 0), 7);
    let fails = |outgoing: &anole_delivery::Outgoing| {
        if Play::items(outgoing).contains(&"0".to_owned()) { answered(500) } else { answered(204) }
    };
    play.send_to(0, 0, &text(0), Some(48 * HOUR));
    play.run_until(play.clock.mono().after(HOUR), fails);
    assert_eq!(play.breakers, [true], "it is all that the endpoint was asked");
    for number in 1..20 {
        play.send_to(0, number, &text(number as usize), Some(48 * HOUR));
    }
    play.run_until(play.clock.mono().after(Duration::from_secs(61)), fails);
    assert_eq!(play.count(State::Delivered), 19, "the first of the others proved the endpoint well");
}

#[test]
fn a_vendor_that_takes_five_a_second_gets_nearly_that() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 1_000, 0), 7);
    for number in 0..3_000 {
        play.send_to(0, number, &text(number as usize), None);
    }
    let (mut window, mut there) = (0, 0);
    let limited = |play: &mut Play, seconds: u64| {
        let made = play.made.len();
        let clock = play.clock.clone();
        play.run_until(play.clock.mono().after(Duration::from_secs(seconds)), |_| {
            let second = clock.mono().micros() / 1_000_000;
            (window, there) = if second == window { (window, there + 1) } else { (second, 1) };
            if there > 5 { answered(429) } else { answered(204) }
        });
        (play.count(State::Delivered), play.made.len() - made)
    };
    let mut limited = limited;
    let (before, _) = limited(&mut play, 60);
    let (after, requests) = limited(&mut play, 300);
    let taken = after - before;
    assert!((1_200..=1_500).contains(&taken), "{taken} in five minutes");
    assert!((requests - taken) * 20 < requests, "{} of {requests} were refused", requests - taken);
}

#[test]
fn a_vendor_that_fails_one_of_fourteen_requests_gets_everything_with_few_more() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(10, 10_000, 5_000), 7);
    let mut number = 0;
    let mut fails = |_: &anole_delivery::Outgoing| {
        number += 1;
        if number % 14 == 0 { answered(500) } else { answered(204) }
    };
    for key in 0..20_000 {
        play.send_to(0, key, &text(key as usize), None);
        if key % 100 == 99 {
            play.run_until(play.clock.mono().after(Duration::from_millis(200)), &mut fails);
        }
    }
    play.run(100_000, fails);
    assert_eq!(play.count(State::Delivered), 20_000);
    assert!(play.made.len() < 2_200, "{} requests for 2,000 batches", play.made.len());
    assert!(play.breakers.is_empty(), "{:?}", play.breakers);
}
