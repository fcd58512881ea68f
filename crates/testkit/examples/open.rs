//! How long a large journal takes to open, and what memory it takes.
//!
//! ```text
//! open [EVENTS] [FOLDER] [--keep]
//! ```
//!
//! `cargo xtask bench open` builds and runs it. A journal of 700-byte events is made, first a tenth of it and then all (ten
//! million unless told otherwise: 7.5 GB). Each is opened by a process of its own, once with the system's cache as it is
//! and once after the cache was dropped, which needs root. That process says how long opening took, how long the first
//! block took at twenty random positions, how fast everything is read, and what memory it had when.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anole_event::{
    Clock, EventType, Fingerprint, Head, Kind, OrderKey, Position, Record, Seeded, SystemClock, Timestamp,
};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Journal, Read};
use anole_telemetry::Telemetry;
use fastrand::Rng;

/// A record's bytes, head included.
const RECORD: usize = 700;
/// What one of them takes on the disk, at most.
const ON_DISK: u64 = 760;
/// Records of one append, and appends under way.
const BATCH: u64 = 500;
const UNDER_WAY: usize = 16;
/// How many positions are looked up.
const LOOKS: usize = 20;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "measure") {
        return measure(Path::new(&arguments[1]), &arguments[2..]);
    }
    let keep = arguments.iter().position(|word| word == "--keep").map(|at| arguments.remove(at)).is_some();
    let events: u64 = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let folder = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let room = rustix::fs::statvfs(&folder).unwrap();
    let (free, needed) = (room.f_bavail * room.f_frsize, events * ON_DISK + (1 << 30));
    assert!(free > needed, "{} has {free} bytes free, {needed} are needed", folder.display());
    let mut dir = tempfile::Builder::new().prefix("anole-open-").tempdir_in(folder).unwrap();
    dir.disable_cleanup(keep);
    println!("a journal of {events} events of {RECORD} bytes in {}", dir.path().display());
    let mut rng = Rng::with_seed(events);
    let mut positions = Vec::new();
    for (from, to) in [(0, events / 10), (events / 10, events)] {
        positions.extend(fill(&dir.path().join("journal"), from, to, &mut rng));
        rng.shuffle(&mut positions);
        positions.truncate(LOOKS);
        println!("{to} events:");
        for cold in [false, true] {
            if cold && !drop_caches() {
                println!("  the cache could not be dropped (that needs root): no cold figures");
                continue;
            }
            println!("  {}", if cold { "after the cache was dropped:" } else { "with a warm cache:" });
            let looks = positions.iter().map(|position: &Position| position.offset.to_string());
            let mut command = Command::new(std::env::current_exe().unwrap());
            let done = command.arg("measure").arg(dir.path()).args(looks).status().unwrap();
            assert!(done.success(), "the measuring process failed");
        }
    }
}

/// Appends the events of these numbers; gives back some of their positions.
fn fill(dir: &Path, from: u64, to: u64, rng: &mut Rng) -> Vec<Position> {
    let journal = open(dir, AckLevel::Write);
    let started = Instant::now();
    let mut under_way = VecDeque::new();
    let mut positions = Vec::new();
    let every = (to - from).div_ceil(BATCH).div_ceil(10 * LOOKS as u64);
    let mut done = |append: anole_journal::Append, number: u64| {
        let given = append.wait().unwrap();
        if (number / BATCH).is_multiple_of(every) {
            positions.push(given[rng.usize(..given.len())]);
        }
    };
    let mut number = from;
    while number < to {
        let end = (number + BATCH).min(to);
        under_way.push_back((journal.append((number..end).map(record).collect()), number));
        if under_way.len() > UNDER_WAY
            && let Some((append, number)) = under_way.pop_front()
        {
            done(append, number);
        }
        number = end;
    }
    for (append, number) in under_way {
        done(append, number);
    }
    journal.close();
    println!("{} events appended at level write in {:.1} s", to - from, started.elapsed().as_secs_f64());
    positions
}

/// What the process does that opens it.
fn measure(dir: &Path, looks: &[String]) {
    let before = memory("VmRSS");
    let started = Instant::now();
    let journal = open(&dir.join("journal"), AckLevel::Fsync);
    let opened = started.elapsed();
    let after = memory("VmRSS");
    let mut waits: Vec<_> = looks
        .iter()
        .map(|look| {
            let position = Position::at(look.parse().unwrap());
            let started = Instant::now();
            let read = journal.reader(position).try_next().unwrap();
            let took = started.elapsed();
            let Some(Read::Block(block)) = read else { panic!("no block at {position}: {read:?}") };
            assert_eq!(block.records[0].0, position, "the block begins where it was asked for");
            took
        })
        .collect();
    waits.sort_unstable();
    let looked = memory("VmRSS");
    let started = Instant::now();
    let (mut records, mut most, mut blocks) = (0_u64, 0, 0_u64);
    let mut reader = journal.reader(journal.starts()[0]);
    while let Some(read) = reader.try_next().unwrap() {
        let Read::Block(block) = read else { panic!("{read:?}") };
        records += block.records.len() as u64;
        blocks += 1;
        if blocks % 100 == 1 {
            most = memory("VmRSS").max(most);
        }
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "    opened in {:.1} ms ({} segments); memory {before} KiB before, {after} KiB after",
        opened.as_secs_f64() * 1_000.0,
        journal.stat().segments.len()
    );
    println!(
        "    first block at {} random positions: median {:.2} ms, longest {:.2} ms; memory {looked} KiB",
        waits.len(),
        waits[waits.len() / 2].as_secs_f64() * 1_000.0,
        waits.last().unwrap().as_secs_f64() * 1_000.0
    );
    println!(
        "    all {records} events read in {took:.1} s ({:.0} a second); memory at most {most} KiB, peak of the process {} KiB",
        records as f64 / took,
        memory("VmHWM")
    );
}

fn open(dir: &Path, ack: AckLevel) -> Arc<Embedded> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = EmbeddedOptions { ack, ..EmbeddedOptions::new(dir) };
    Embedded::open(options, Telemetry::new(Arc::clone(&clock)), clock, Box::new(Seeded::from_entropy())).unwrap()
}

fn record(number: u64) -> Record {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let head = Head {
        kind: Kind::Event,
        event_type: EventType::Track,
        protocol: "segment",
        received_at: Timestamp::default(),
        order_key: OrderKey::of(None, None, &id),
        fingerprint: Fingerprint::of("shop", &id),
        pipeline: "shop",
        name: "Order Completed",
        source_name: "Order Completed",
    };
    let bare = Record::new(&head, b"").bytes().len();
    Record::new(&head, &vec![b'x'; RECORD - bare])
}

/// Writes everything to the disk and lets the system forget what it keeps of files.
fn drop_caches() -> bool {
    let synced = Command::new("sync").status().is_ok_and(|status| status.success());
    synced && std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// A line of Linux' account of this process' memory, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
