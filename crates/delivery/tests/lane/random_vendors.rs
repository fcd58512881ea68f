//! Lanes against vendors that behave at random, by seed: whatever they do, nothing is lost and order holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan;
use crate::support::{Play, answered, no_answer};
use anole_delivery::{LaneOptions, Outgoing};
use anole_event::{Random, Seeded, State};

const KEYS: u64 = 9;

/// The key that is written into an item, and its number within the key.
fn item(key: u64, number: usize, poison: bool) -> String {
    format!("\"{key}/{number:04}{}\"", if poison { "!" } else { "" })
}

fn key_of(item: &str) -> String {
    item.split('/').next().unwrap_or_default().to_owned()
}

struct Vendor {
    random: Seeded,
    /// Percent of requests that fail in passing.
    flaky: u64,
    arrived: Vec<String>,
}

impl Vendor {
    fn answer(&mut self, outgoing: &Outgoing) -> anole_delivery::Answered {
        let items = Play::items(outgoing);
        if items.iter().any(|item| item.ends_with('!')) {
            return answered(400);
        }
        if self.random.below(100) < self.flaky {
            return match self.random.below(6) {
                0 => no_answer(),
                1 => {
                    // It took them, and the answer was lost on the way.
                    self.arrived.extend(items);
                    no_answer()
                }
                2 => answered(503),
                3 => answered(404),
                4 => {
                    let mut busy = answered(429);
                    busy.headers.push(("retry-after".into(), self.random.below(5).to_string()));
                    busy
                }
                _ => answered(500),
            };
        }
        self.arrived.extend(items);
        answered(204)
    }
}

fn play(seed: u64) {
    let mut random = Seeded::new(seed);
    let flaky = random.below(60);
    let poisonous = random.below(3) == 0;
    let options = LaneOptions { inflight: 1 + random.below(5) as usize, ..LaneOptions::default() };
    let limits = plan::limits(1 + random.below(20) as usize, 60 + random.below(200) as usize, random.below(2_000));
    let mut play = Play::with(options, limits, random.next());
    let mut vendor = Vendor { random: Seeded::new(random.next()), flaky, arrived: Vec::new() };
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut poison = 0;
    for number in 0..150 {
        let key = random.below(KEYS);
        let is_poison = poisonous && random.below(40) == 0;
        let text = item(key, number, is_poison);
        if is_poison {
            poison += 1;
        } else {
            expected.entry(key.to_string()).or_default().push(text.trim_matches('"').to_owned());
        }
        play.send_to(random.below(2) as usize, key, &text, None);
        check_open(&play, seed);
        play.run(random.below(4) as usize, |made| vendor.answer(made));
    }
    for _ in 0..40_000 {
        let status = play.machine.status();
        if status.open + status.deferred == 0 {
            break;
        }
        check_open(&play, seed);
        play.run(1, |made| vendor.answer(made));
    }
    let status = play.machine.status();
    assert_eq!(status.open + status.deferred, 0, "seed {seed}: something never ended");
    assert_eq!(play.count(State::Parked), poison, "seed {seed}");
    assert_eq!(play.count(State::Delivered), 150 - poison, "seed {seed}");
    let mut seen = BTreeSet::new();
    let mut order: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in vendor.arrived {
        if seen.insert(item.clone()) {
            order.entry(key_of(&item)).or_default().push(item);
        }
    }
    // What was set aside may have been overtaken by later ones of its key.
    let deferred = |send: &&anole_event::SendRecord| send.outcome.as_ref().is_some_and(|o| o.state == State::Deferred);
    for send in play.entries.iter().flat_map(|entry| &entry.sends).filter(deferred) {
        let key = key_of(send.message_id.trim_matches('"'));
        order.entry(key).or_default().sort_by_key(|item| item[item.find('/').unwrap()..].to_owned());
    }
    assert_eq!(order, expected, "seed {seed}: lost, or out of order");
}

/// No order key may be in two open requests.
fn check_open(play: &Play, seed: u64) {
    let mut keys = BTreeSet::new();
    for outgoing in &play.open {
        let in_request: BTreeSet<_> = Play::items(outgoing).iter().map(|item| key_of(item)).collect();
        for key in in_request {
            assert!(keys.insert(key.clone()), "seed {seed}: key {key} is in two requests");
        }
    }
}

#[test]
fn whatever_a_vendor_does_nothing_is_lost_and_order_holds() {
    for seed in 0..400 {
        play(seed);
    }
}
