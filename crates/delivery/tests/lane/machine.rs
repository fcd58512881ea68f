//! The lane machine's contract, step by step.

use std::sync::Arc;
use std::time::Duration;

use crate::plan;
use crate::support::{Play, answered, no_answer};
use anole_delivery::{Answered, Input, LaneOptions, Outgoing, WindowLimits};
use anole_event::{Marks, Outcome, Position, Reason, State, Timestamp};
use anole_pipeline::{Ended, Made, Send};
use bytes::Bytes;

fn text(number: usize) -> String {
    format!("\"{number:03}\"")
}

#[test]
fn a_batch_is_closed_by_the_number_of_its_sends() {
    let mut play = Play::new();
    for number in 0..7 {
        play.send(number, &text(number as usize));
    }
    assert_eq!(play.made.iter().map(|made| made.sends).collect::<Vec<_>>(), [3, 3]);
    play.seconds(1);
    assert_eq!(play.made.len(), 3, "the seventh has waited long enough");
}

#[test]
fn a_batch_is_closed_by_the_exact_bytes_of_its_body() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(100, 19, 1_000), 7);
    for number in 0..4 {
        play.send(number, &text(number as usize));
    }
    play.seconds(1);
    // ["000","001","002"] has 19 bytes: three fit exactly, a fourth does not.
    assert_eq!(play.made.iter().map(|made| made.body.len()).collect::<Vec<_>>(), [19, 7]);
    play.send(9, "\"a send that is too large for any batch\"");
    play.seconds(1);
    assert_eq!(play.ends().len(), 1);
    assert_eq!(play.parked[0].reason, Reason::TooLarge);
}

#[test]
fn sends_of_one_order_key_are_never_in_two_requests_and_keep_their_order() {
    let mut play = Play::new();
    for number in 0..5 {
        play.send(1, &text(number));
    }
    play.send(2, &text(5));
    play.seconds(1);
    assert_eq!(play.open.iter().map(Play::items).collect::<Vec<_>>(), [vec!["000", "001", "002"], vec!["005"]]);
    play.answer(answered(500));
    play.answer(answered(200));
    play.run(100, |_| answered(200));
    let bodies: Vec<_> = play.made.iter().map(Play::items).collect();
    assert_eq!(bodies[2], ["000", "001", "002"], "the same batch comes again before anything of its key");
    assert_eq!(bodies[3], ["003", "004"]);
    assert_eq!(play.count(State::Delivered), 6);
}

#[test]
fn an_order_key_that_changes_its_address_waits_for_its_first_request() {
    let mut play = Play::new();
    play.send_to(0, 1, &text(0), None);
    play.send_to(1, 1, &text(1), None);
    play.send_to(0, 1, &text(2), None);
    play.seconds(1);
    assert_eq!(play.open.len(), 1);
    play.run(50, |_| answered(204));
    let bodies: Vec<_> = play.made.iter().map(Play::items).collect();
    assert_eq!(bodies, [["000"], ["001"], ["002"]]);
}

#[test]
fn a_failing_endpoint_is_asked_by_a_handful_of_batches_only() {
    let options = LaneOptions { inflight: 2, ..LaneOptions::default() };
    let mut play = Play::with(options, plan::limits(1, 1_000, 1_000), 7);
    for number in 0..10 {
        play.send(number, &text(number as usize));
    }
    assert_eq!(play.open.len(), 2);
    play.answer(answered(500));
    play.answer(no_answer());
    assert_eq!(play.open.len(), 0, "both wait for another try and keep their places");
    play.run(200, |_| answered(200));
    assert_eq!(play.count(State::Delivered), 10);
}

#[test]
fn retry_after_silences_the_endpoint_for_that_long_and_no_longer() {
    let mut play = Play::new();
    for number in 0..6 {
        play.send(number, &text(number as usize));
    }
    let mut busy = answered(429);
    busy.headers.push(("Retry-After".into(), "2".into()));
    play.answer(busy);
    play.answer(answered(200));
    for number in 6..9 {
        play.send(number, &text(number as usize));
    }
    play.advance(Duration::from_millis(1_999));
    assert_eq!(play.open.len(), 0, "nothing is sent before the time that the vendor named");
    play.advance(Duration::from_millis(1));
    assert_eq!(play.open.len(), 1, "then the first is sent");
    play.seconds(1);
    assert_eq!(
        play.open.len(),
        2,
        "and the next when the pace allows it: one a second, as long as nothing more is known"
    );
}

#[test]
fn one_poison_send_among_a_hundred_is_found_and_parked() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(100, 10_000, 1_000), 7);
    for number in 0..100 {
        play.send(number, &text(number as usize));
    }
    play.run(1_000, |made| answered(if Play::items(made).contains(&"037".to_owned()) { 400 } else { 204 }));
    assert_eq!(play.count(State::Delivered), 99);
    assert_eq!(play.parked.len(), 1);
    assert_eq!((&*play.parked[0].subject.message_id, play.parked[0].reason), ("\"037\"", Reason::Refused));
    assert!(play.parked[0].attempt.is_some(), "the answer that parked it can be looked up");
    assert!(play.made.len() <= 2 * 7 + 1, "{} requests", play.made.len());
    assert_eq!(play.progress.as_ref().map(|progress| progress.watermark), Some(Position::at(10_000)));
}

/// The answer of a vendor that says something of each item.
fn each(made: &Outgoing, status: impl Fn(&str) -> u16) -> Answered {
    let results: Vec<String> =
        Play::items(made).iter().map(|item| format!(r#"{{"status":{}}}"#, status(item))).collect();
    Answered { body: format!(r#"{{"results":[{}]}}"#, results.join(",")).into(), ..answered(207) }
}

#[test]
fn what_an_answer_says_of_each_item_holds_for_it() {
    let mut play = Play::with(LaneOptions::default(), plan::each(10), 7);
    for number in 0..10 {
        play.send(number, &text(number as usize));
    }
    let mut asked = 0;
    play.run(100, |made| {
        asked += 1;
        each(made, |item| match item {
            "003" => 422,
            "005" | "006" if asked == 1 => 503,
            _ => 200,
        })
    });
    assert_eq!(play.made.len(), 2, "what was taken or refused is not sent again");
    assert_eq!(Play::items(&play.made[1]), ["005", "006"]);
    assert_eq!((play.count(State::Delivered), play.count(State::Parked)), (9, 1));
    let detail =
        play.entries.iter().flat_map(|entry| &entry.sends).filter_map(|send| send.outcome.as_ref()?.detail.clone());
    assert_eq!(detail.collect::<Vec<_>>(), ["the vendor answered 207, and 422 for this send"]);
    assert_eq!(play.progress.as_ref().map(|progress| progress.watermark), Some(Position::at(1_000)));
}

#[test]
fn an_answer_that_does_not_speak_of_all_items_is_judged_as_a_whole() {
    let mut play = Play::with(LaneOptions::default(), plan::each(4), 7);
    for number in 0..4 {
        play.send(number, &text(number as usize));
    }
    play.run(100, |made| if Play::items(made).len() > 1 { answered(207) } else { each(made, |_| 200) });
    assert_eq!(play.count(State::Delivered), 4, "split until it says something");
}

#[test]
fn items_that_are_all_refused_are_a_mapping_as_well() {
    let mut play = Play::with(LaneOptions::default(), plan::each(4), 7);
    for number in 0..20 {
        play.send(number, &text(number as usize));
    }
    play.run(12, |made| each(made, |_| 400));
    assert!(play.hints.iter().any(|hint| hint.contains("it is the mapping")), "{:?}", play.hints);
    assert_eq!(play.count(State::Parked), 8, "the rest waits");
    play.run(2_000, |made| each(made, |_| 200));
    assert_eq!((play.count(State::Parked), play.count(State::Delivered)), (8, 12), "and goes on when it is mended");
}

#[test]
fn no_secret_is_kept_whether_it_was_sent_or_sent_back() {
    let mut play = Play::with(LaneOptions::default(), plan::with_key("hush-hush-1"), 7);
    play.send(1, "\"my key is hush-hush-1\"");
    play.run(10, |made| Answered {
        request_body: made.body.clone(),
        headers: vec![("x-echo".to_owned(), "Bearer hush-hush-1".to_owned())],
        body: "{\"error\":\"hush-hush-1 is wrong\"}".into(),
        ..answered(200)
    });
    let attempt = play.entries.iter().find_map(|entry| entry.attempt.as_ref()).expect("an attempt");
    assert_eq!(&attempt.request_body[..], b"[\"my key is ***\"]");
    assert_eq!(&attempt.answer_body[..], b"{\"error\":\"*** is wrong\"}");
    assert_eq!(attempt.answer_headers, [("x-echo".to_owned(), "Bearer ***".to_owned())]);
    assert!(play.made[0].body.ends_with(b"hush-hush-1\"]"), "the vendor got it");
}

#[test]
fn a_wrong_region_pauses_the_lane_and_a_small_probe_lets_it_go_on() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(100, 10_000, 1_000), 7);
    for number in 0..100 {
        play.send(number, &text(number as usize));
    }
    play.answer(answered(404));
    assert_eq!(play.hints, ["404: the data region is wrong"]);
    play.send(500, &text(100));
    play.seconds(59);
    assert_eq!(play.open.len(), 0, "no request while paused");
    play.seconds(1);
    assert_eq!(play.open[0].sends, 10, "the probe is small");
    play.answer(answered(404));
    play.seconds(59);
    assert_eq!((play.open.len(), play.hints.len()), (0, 1), "the hint is said once");
    play.seconds(1);
    play.answer(answered(200));
    assert_eq!(play.resumed, 1);
    play.run(100, |_| answered(200));
    assert_eq!(play.count(State::Delivered), 101);
    let order: Vec<_> = play.made.iter().skip(2).flat_map(Play::items).collect();
    assert_eq!(order.len(), 101);
}

#[test]
fn a_person_pauses_without_probes_and_resumes() {
    let mut play = Play::new();
    play.step(Input::Pause(anole_delivery::ASKED.into()));
    for number in 0..3 {
        play.send(number, &text(number as usize));
    }
    play.seconds(3_000);
    assert_eq!(play.made.len(), 0);
    assert_eq!(play.machine.status().paused.as_deref(), Some("a person paused the lane"));
    play.step(Input::Resume);
    assert_eq!(play.made.len(), 1);
}

#[test]
fn what_is_cut_off_a_probe_waits_for_the_probe() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(100, 10_000, 1_000), 7);
    for number in 0..30 {
        play.send(1, &text(number));
    }
    play.seconds(1);
    play.answer(answered(404));
    play.seconds(60);
    assert_eq!(play.open[0].sends, 10, "the probe is small");
    play.step(Input::Resume);
    assert_eq!(play.open.len(), 1, "the rest is of the same order key, and the probe is under way");
    play.answer(answered(404));
    play.seconds(60);
    play.answer(answered(500));
    play.seconds(600);
    assert_eq!(Play::items(&play.open[0])[0], "000", "a probe that failed comes before the rest");
    play.run(50, |_| answered(200));
    let taken: Vec<_> = play.made.iter().skip(3).flat_map(Play::items).collect();
    assert_eq!(taken, (0..30).map(|number| format!("{number:03}")).collect::<Vec<_>>());
}

#[test]
fn a_probe_does_not_let_a_lane_go_on_that_a_person_has_paused_meanwhile() {
    let mut play = Play::new();
    for number in 0..6 {
        play.send(number, &text(number as usize));
    }
    play.answer(answered(404));
    play.answer(answered(404));
    play.seconds(60);
    play.step(Input::Pause(anole_delivery::ASKED.into()));
    play.answer(answered(200));
    play.seconds(600);
    assert_eq!((play.resumed, play.open.len()), (0, 0));
    play.step(Input::Resume);
    assert_eq!((play.resumed, play.open.len()), (1, 1));
}

#[test]
fn a_mapping_that_poisons_everything_parks_eight_and_pauses() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1_000, 100_000, 1_000), 7);
    for number in 0..1_000 {
        play.send(number, &text(number as usize));
    }
    for _ in 0..200 {
        if play.open.is_empty() {
            break;
        }
        play.answer(answered(400));
    }
    assert_eq!(play.parked.len(), 8);
    assert!(play.made.len() <= 40, "{} requests", play.made.len());
    assert!(play.hints[0].contains("it is the mapping"), "{:?}", play.hints);
    let before = play.made.len();
    play.seconds(60);
    assert_eq!((play.made.len() - before, play.open[0].sends), (1, 1), "the probe is one send");
    play.answer(answered(400));
    assert_eq!(play.parked.len(), 8, "a refused probe is not parked: eight are enough to see what is wrong");
    play.seconds(60);
    play.answer(answered(200));
    play.run(5_000, |_| answered(200));
    assert_eq!((play.count(State::Delivered), play.count(State::Parked)), (992, 8));
}

#[test]
fn a_probe_of_a_lane_that_refusals_paused_is_not_parked_whatever_a_person_says_meanwhile() {
    for input in [Input::Pause(anole_delivery::ASKED.into()), Input::Resume] {
        let mut play = Play::with(LaneOptions::default(), plan::limits(1_000, 100_000, 1_000), 7);
        for number in 0..100 {
            play.send(number, &text(number as usize));
        }
        play.seconds(1);
        while !play.open.is_empty() {
            play.answer(answered(400));
        }
        assert_eq!(play.parked.len(), 8);
        play.seconds(60);
        play.step(input);
        play.answer(answered(400));
        assert_eq!(play.parked.len(), 8);
        play.step(Input::Resume);
        play.run(5_000, |_| answered(200));
        assert_eq!((play.count(State::Delivered), play.count(State::Parked)), (92, 8));
    }
}

#[test]
fn sends_expire_by_their_age_and_say_so() {
    let mut play = Play::new();
    play.send_to(0, 1, &text(0), Some(Duration::from_secs(60)));
    play.send_to(0, 2, &text(1), None);
    play.seconds(1);
    play.answer(answered(500));
    let mut hour = answered(503);
    hour.headers.push(("retry-after".into(), "600".into()));
    play.run(1, |_| answered(500));
    while play.open.is_empty() {
        play.seconds(1);
    }
    play.answer(hour);
    play.run(200, |_| answered(200));
    let ends = play.ends();
    assert_eq!(ends["\"000\""], (State::Expired, Reason::TooOld));
    assert_eq!(ends["\"001\""], (State::Delivered, Reason::Accepted));
}

#[test]
fn a_clock_that_jumps_ahead_expires_nothing() {
    let mut play = Play::new();
    play.send_to(0, 1, &text(0), Some(Duration::from_secs(60)));
    play.clock.jump_wall(Timestamp::parse("2027-11-22T10:00:00Z").unwrap());
    play.seconds(1);
    assert_eq!((play.open.len(), play.jumps), (1, 1), "a wrong clock throws nothing away, and it is said");
    play.answer(answered(200));
    assert_eq!(play.count(State::Delivered), 1);
}

#[test]
fn s2_progress_moves_only_after_the_log_has_what_ended() {
    let mut play = Play::new();
    play.records = false;
    for number in 0..3 {
        play.send(number, &text(number as usize));
    }
    play.answer(answered(200));
    assert_eq!(play.entries.len(), 1);
    assert_eq!(play.progress, None, "the log has not said that it is written");
    let number = play.unrecorded.pop_front().unwrap();
    play.step(Input::Recorded(number));
    assert_eq!(play.progress.as_ref().map(|progress| progress.watermark), Some(Position::at(300)));
}

#[test]
fn a_full_window_takes_no_more_until_something_is_finished() {
    let options = LaneOptions { window: WindowLimits { events: 4, bytes: 1 << 20 }, ..LaneOptions::default() };
    let mut play = Play::with(options, plan::limits(2, 1_000, 1_000), 7);
    for number in 0..4 {
        assert!(play.machine.wants_more());
        play.send(number, &text(number as usize));
    }
    assert!(!play.machine.wants_more());
    play.answer(answered(200));
    assert!(play.machine.wants_more());
}

#[test]
fn a_draining_lane_starts_nothing_and_ends_when_all_is_recorded() {
    let mut play = Play::new();
    for number in 0..5 {
        play.send(number, &text(number as usize));
    }
    play.step(Input::Drain);
    assert!(!play.drained, "a request is under way");
    assert!(!play.machine.wants_more());
    play.seconds(5);
    assert_eq!(play.made.len(), 1, "the two that were gathered wait for the next start");
    play.answer(answered(200));
    assert!(play.drained);
    assert_eq!(play.progress.as_ref().map(|progress| progress.watermark), Some(Position::at(300)));
}

#[test]
fn the_same_seed_makes_the_same_run() {
    let run = |seed| {
        let mut play = Play::with(LaneOptions::default(), plan::limits(3, 1_000, 100), seed);
        for number in 0..30 {
            play.send(number % 7, &text(number as usize));
        }
        let mut turn = 0;
        play.run(500, |_| {
            turn += 1;
            answered(if turn % 3 == 0 { 500 } else { 200 })
        });
        play.entries.iter().map(|entry| (entry.id, entry.at, entry.sends.len())).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn s2_a_parked_send_goes_to_the_state_with_the_commit_that_finishes_its_event() {
    let mut play = Play::with(LaneOptions::default(), plan::limits(1, 1_000, 0), 7);
    let refused = Made::Ended(Ended {
        ordinal: 0,
        rule: "first".into(),
        visitor_code: None,
        rung: None,
        outcome: Outcome::new(State::Parked, Reason::MissingField),
    });
    let sent = Made::Send(Send {
        ordinal: 1,
        rule: "second".into(),
        address: Arc::clone(&play.addresses[0]),
        item: Bytes::from_static(b"\"a\""),
        nonce: Some("a".into()),
        visitor_code: None,
        rung: None,
        marks: Marks::NONE,
        hint: None,
        expires: None,
    });
    play.offer(1, "m-1", vec![refused, sent]);
    play.seconds(2);
    assert_eq!(play.entries.len(), 1, "history knows that the first is parked");
    assert_eq!(play.parked.len(), 0, "the event is read again after a crash, and must not be parked as well");
    play.answer(answered(204));
    play.seconds(2);
    assert_eq!(play.parked.len(), 1);
    assert_eq!(play.progress.clone().map(|progress| progress.watermark), Some(Position::at(100)));
}
