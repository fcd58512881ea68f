//! What the journal takes per second, beside a bare loop that writes and syncs the same groups.
//!
//! ```text
//! journal [SECONDS] [FOLDER] [LEVEL] [APPENDERS]
//! ```
//!
//! `cargo xtask bench journal` builds and runs it. A number of tasks append one record of 700 bytes at a time and wait for
//! each. What is synced together is noted, group by group, and right after it the same sizes are written to a plain file
//! in the same folder, in one loop without anything else: at level `fsync` one `write` and one `fdatasync` per group, at
//! level `write` an `fdatasync` each 100 ms, at level `memory` none. There are two bare loops. The first lets its file
//! grow; the second asks for space ahead as the journal does, which makes a sync cheaper, and is what the ratio is taken
//! of. Each cell is measured in several rounds, one after the other; the table has medians.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anole_event::{Clock, EventType, Fingerprint, Head, Kind, OrderKey, Record, Seeded, SystemClock, Timestamp};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Journal};
use anole_telemetry::Telemetry;
use rustix::fs::{FallocateFlags, fallocate};
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Rounds of each cell.
const ROUNDS: usize = 5;
/// A record's bytes, head included.
const RECORD: usize = 700;
/// What the journal reserves ahead, and how large its segments are.
const RESERVE: u64 = 4 << 20;
const SEGMENT: u64 = 64 << 20;
const SYNC_EVERY: Duration = Duration::from_millis(100);

/// What the journal wrote at once.
#[derive(Clone, Copy, Default)]
struct Group {
    records: u64,
    bytes: u64,
}

type Groups = Arc<Mutex<Vec<Group>>>;

/// Notes the groups that the journal tells of.
struct Listener(Groups);

/// One measurement.
struct Round {
    rate: f64,
    group: f64,
    p50: f64,
    p99: f64,
    growing: f64,
    reserved: f64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let only = arguments.next().and_then(|level| AckLevel::from_code(&level));
    let many = arguments.next().and_then(|many| many.parse().ok());
    let groups = Groups::default();
    let listener = tracing_subscriber::registry().with(Listener(Arc::clone(&groups)));
    tracing::subscriber::set_global_default(listener).unwrap();
    println!("{ROUNDS} rounds of {seconds} s per cell in {}, records of {RECORD} bytes", folder.display());
    println!(
        "{:7} {:>9} {:>10} {:>9} {:>8} {:>8} | {:>10} {:>10} | {:>6}",
        "level", "appenders", "records/s", "per group", "p50 ms", "p99 ms", "bare", "reserved", "ratio"
    );
    for ack in [AckLevel::Fsync, AckLevel::Write, AckLevel::Memory] {
        for appenders in [1, 8, 64, 512] {
            if only.is_none_or(|only| only == ack) && many.is_none_or(|many: usize| many == appenders) {
                let time = Duration::from_secs_f64(seconds);
                let rounds: Vec<_> = (0..ROUNDS).map(|_| measure(&folder, &groups, ack, appenders, time)).collect();
                tell(ack, appenders, &rounds);
            }
        }
    }
}

fn tell(ack: AckLevel, appenders: usize, rounds: &[Round]) {
    let median = |of: fn(&Round) -> f64| {
        let mut all: Vec<_> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "{ack:7} {appenders:>9} {:>10.0} {:>9.1} {:>8.3} {:>8.3} | {:>10.0} {:>10.0} | {:>6.2}",
        median(|it| it.rate),
        median(|it| it.group),
        median(|it| it.p50),
        median(|it| it.p99),
        median(|it| it.growing),
        median(|it| it.reserved),
        median(|it| it.rate / it.reserved.max(it.growing)),
    );
}

fn measure(folder: &Path, groups: &Groups, ack: AckLevel, appenders: usize, time: Duration) -> Round {
    let dir = tempfile::tempdir_in(folder).unwrap();
    groups.lock().unwrap().clear();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (mut waits, took) = runtime.block_on(append_all(dir.path(), ack, appenders, time));
    drop(runtime);
    let groups = std::mem::take(&mut *groups.lock().unwrap());
    let [growing, reserved] = [false, true].map(|reserve| bare(dir.path(), &groups, ack, reserve));
    waits.sort_unstable();
    let at = |share: usize| f64::from(waits[waits.len() * share / 100]) / 1_000.0;
    let records: u64 = groups.iter().map(|group| group.records).sum();
    assert_eq!(records, waits.len() as u64, "each record was in a group");
    Round {
        rate: waits.len() as f64 / took.as_secs_f64(),
        group: records as f64 / groups.len() as f64,
        p50: at(50),
        p99: at(99),
        growing: records as f64 / growing.as_secs_f64(),
        reserved: records as f64 / reserved.as_secs_f64(),
    }
}

/// Appends for some time; gives the wait of each append in microseconds, and how long all of it took.
async fn append_all(dir: &Path, ack: AckLevel, appenders: usize, time: Duration) -> (Vec<u32>, Duration) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let options = EmbeddedOptions { ack, ..EmbeddedOptions::new(dir.join("journal")) };
    let telemetry = Telemetry::new(Arc::clone(&clock));
    let journal = Embedded::open(options, telemetry, clock, Box::new(Seeded::new(1))).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let tasks: Vec<_> = (0..appenders)
        .map(|number| tokio::spawn(append(Arc::clone(&journal), Arc::clone(&stop), record(number))))
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    let took = started.elapsed();
    tokio::task::spawn_blocking(move || journal.close()).await.unwrap();
    (waits, took)
}

async fn append(journal: Arc<Embedded>, stop: Arc<AtomicBool>, record: Record) -> Vec<u32> {
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        journal.append(vec![record.clone()]).await.unwrap();
        waits.push(u32::try_from(started.elapsed().as_micros()).unwrap());
    }
    waits
}

/// Writes the groups to files as large as segments, and nothing else.
fn bare(dir: &Path, groups: &[Group], ack: AckLevel, reserve: bool) -> Duration {
    let largest = groups.iter().map(|group| group.bytes).max().unwrap_or(0);
    let bytes = vec![b'x'; usize::try_from(largest).unwrap()];
    let path = dir.join("bare");
    let mut file = std::fs::File::create(&path).unwrap();
    let (mut at, mut reserved) = (0, 0);
    let started = Instant::now();
    let mut synced = started;
    for group in groups {
        if at + group.bytes > SEGMENT {
            if ack != AckLevel::Memory {
                file.sync_all().unwrap();
            }
            std::fs::remove_file(&path).unwrap();
            file = std::fs::File::create(&path).unwrap();
            (at, reserved) = (0, 0);
        }
        if reserve && at + group.bytes > reserved {
            reserved = at + group.bytes + RESERVE;
            fallocate(&file, FallocateFlags::empty(), 0, reserved).unwrap();
        }
        file.write_all_at(&bytes[..usize::try_from(group.bytes).unwrap()], at).unwrap();
        at += group.bytes;
        match ack {
            AckLevel::Fsync => file.sync_data().unwrap(),
            AckLevel::Write if synced.elapsed() >= SYNC_EVERY => {
                file.sync_data().unwrap();
                synced = Instant::now();
            }
            AckLevel::Write | AckLevel::Memory => {}
        }
    }
    started.elapsed()
}

fn record(number: usize) -> Record {
    let id = format!("m-{number}");
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

// === impl Listener ===

impl<S: tracing::Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut group = Group::default();
        event.record(&mut group);
        if group.records > 0 && group.bytes > 0 {
            self.0.lock().unwrap().push(group);
        }
    }
}

impl Visit for Group {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "records" => self.records = value,
            "bytes" => self.bytes = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
