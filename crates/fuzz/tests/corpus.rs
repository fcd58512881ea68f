//! Every input that was kept, played on its target: seeds, and what a fuzzer once found.
//!
//! A test per target, so that one that breaks names itself, and they run at once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on must say so"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anole_event::{EventType, Fingerprint, Head, Kind, ManualClock, OrderKey, Record, Seeded, Timestamp};
use anole_fuzz::TARGETS;
use anole_journal::{Embedded, EmbeddedOptions, Journal};
use anole_telemetry::Telemetry;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

fn play(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let mut played = 0;
    for entry in std::fs::read_dir(folder(name)).expect("a folder of the corpus") {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        // Shown when the input breaks something.
        println!("{}", path.display());
        (target.run)(&input);
        played += 1;
    }
    assert!(played > 2, "{name}: {played} inputs");
}

macro_rules! each {
    ($($target:ident)*) => {
        $(#[test] fn $target() { play(stringify!($target)); })*

        #[test]
        fn every_target_is_played() {
            let played = [$(stringify!($target)),*];
            let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(targets, played);
        }
    };
}

each! { segment web measurement signed pixel head body answer journal record pipeline blueprint }

const EVENT: &str = r#"{"type":"track","event":"Order Completed","message_id":"m-1","anonymous_id":"a","user_id":"u-42","properties":{"order_id":"ORD-1","revenue":23.50},"context":{"page":{"url":"https://shop.test/"}},"cookies":{"kameleoonVisitorCode":"245fc8a1b9"},"timestamp":"2026-11-22T10:00:00Z","received_at":"2026-11-22T10:00:00Z","source":{"pipeline":"shop","protocol":"segment","name":"purchase"}}"#;

fn stored(number: u64) -> Record {
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Track,
        protocol: "segment",
        received_at: Timestamp::from_millis(1_795_341_600_000),
        order_key: OrderKey(number),
        fingerprint: Fingerprint(u128::from(number)),
        pipeline: "shop",
        name: "Order Completed",
        source_name: "purchase",
    };
    Record::new(&head, EVENT.replace("m-1", &format!("m-{number}")).as_bytes())
}

/// Writes the seeds that only the program itself can write: `UPDATE_CORPUS=1 cargo test -p anole-fuzz`. Without the variable:
/// that they are still what it reads.
#[test]
fn the_seeds_of_the_journal_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        write_seeds(dir.path());
    }
    let segment = std::fs::read(folder("journal").join("whole")).expect("UPDATE_CORPUS=1 writes it");
    std::fs::create_dir(dir.path().join("journal")).unwrap();
    std::fs::write(dir.path().join("journal").join(format!("{:020}.segment", 0)), segment).unwrap();
    let telemetry = Telemetry::new(Arc::new(ManualClock::at(Timestamp::from_millis(0))));
    let journal = Embedded::open_read_only(dir.path().join("journal"), telemetry).unwrap();
    assert_eq!(journal.stat().records, Some(6), "records of the seed");
    let bytes = std::fs::read(folder("record").join("order")).expect("UPDATE_CORPUS=1 writes it");
    assert_eq!(bytes, *stored(0).bytes(), "the seed of a record");
}

fn write_seeds(dir: &Path) {
    let clock = ManualClock::at(Timestamp::from_millis(1_795_341_600_000));
    let telemetry = Telemetry::new(Arc::new(clock.clone()));
    let made = dir.join("made");
    let options = EmbeddedOptions { reserve: 0, ..EmbeddedOptions::new(&made) };
    let journal = Embedded::open_stepped(options, telemetry, Arc::new(clock), Box::new(Seeded::new(7))).unwrap();
    for group in 0..3 {
        drop(journal.append(vec![stored(group * 2), stored(group * 2 + 1)]));
        journal.step();
    }
    journal.close();
    let segment = std::fs::read_dir(&made)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "segment"))
        .expect("a segment");
    println!("{}", segment.display());
    let bytes = std::fs::read(&segment).unwrap();
    let keep = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(folder(target)).unwrap();
        std::fs::write(folder(target).join(name), bytes).unwrap();
    };
    keep("journal", "whole", &bytes);
    keep("journal", "cut", &bytes[..bytes.len() - bytes.len() / 3]);
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 9].fill(0x5a);
    keep("journal", "damaged", &damaged);
    keep("record", "order", stored(0).bytes());
    keep("record", "cut", &stored(1).bytes()[..40]);
    keep("record", "empty", b"");
}
