//! What the delivery log costs to ask and to write.
//!
//! ```text
//! history [OUTCOMES] [FOLDER]
//! ```
//!
//! `cargo xtask bench history` builds and runs it. It writes ten million outcomes (unless told otherwise) of five lanes over seven
//! days, in entries of 100, into a temporary folder, about 2 GB, which it removes. Then it asks everything that people
//! ask: by each kind of id, by event, lane, state, reason, status and time, alone and together, for values that occur often,
//! once and never, first pages and pages far behind. It prints how long each answer took and ends with exit code 1 when one
//! took over 200 ms.
//!
//! Last it measures the CPU time that writing takes, of the whole process: turns in which batches are recorded and then
//! committed to the state, as delivery does, between turns that only commit. Making the events is left out of both. Turns are
//! short, so that whatever else the machine does is in all of them; the verdict is on their sum, because some of the work is done
//! only every few turns.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anole_delivery_log::{DeliveryLog, LogOptions, Sqlite};
use anole_event::{Clock, Entry, LaneId, Outcome, Position, Reason, State, SystemClock, Timestamp};
use anole_state::{LaneCommit, Progress, State as _, StateOptions};
use anole_telemetry::Telemetry;
use anole_testkit::history::Source;

#[path = "history/questions.rs"]
mod questions;

/// Sends of an entry.
const SENDS: usize = 100;
/// Entries of an append while the log is filled.
const TOGETHER: u64 = 20;
/// The days over which the outcomes are spread.
const DAYS: u64 = 7;
/// Bytes on the disk for each send, at most.
const ON_DISK: u64 = 250;
/// No question may take longer.
const LIMIT: Duration = Duration::from_millis(200);
/// What writing a send may cost.
const TARGET_US: f64 = 1.2;
/// Turns of each kind, and batches of a turn.
const TURNS: usize = 40;
const BATCHES: u64 = 500;

/// What was written that is asked for later.
struct Filled {
    from: Timestamp,
    until: Timestamp,
    /// The first entry, one in the middle that holds what occurs once, and the last.
    entries: [Entry; 3],
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcomes: u64 = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
    let folder = arguments.get(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let room = rustix::fs::statvfs(&folder).unwrap();
    let (free, needed) = (room.f_bavail * room.f_frsize, outcomes * ON_DISK + (1 << 30));
    assert!(free > needed, "{} has {free} bytes free, {needed} are needed", folder.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let dir = tempfile::Builder::new().prefix("anole-history-").tempdir_in(&folder).unwrap();
        let filled = fill(dir.path(), outcomes).await;
        let slow = questions::ask(&open(dir.path()), &filled).await;
        drop(dir);
        cost(&folder).await;
        if slow == 0 {
            return ExitCode::SUCCESS;
        }
        println!("{slow} questions took over {LIMIT:?}");
        ExitCode::FAILURE
    })
}

fn open(dir: &Path) -> Arc<Sqlite> {
    let clock = Arc::new(SystemClock::new());
    let options = LogOptions {
        // All of it is to be there: this asks, and drops nothing.
        total_bytes: 1 << 40,
        body_bytes: 1 << 40,
        keep: Duration::from_secs(36_500 * 86_400),
        keep_bodies: Duration::from_secs(36_500 * 86_400),
        ..LogOptions::in_folder(dir)
    };
    Sqlite::open(&options, Telemetry::new(Arc::clone(&clock) as _), clock).unwrap()
}

/// Writes the log that is asked.
async fn fill(dir: &Path, outcomes: u64) -> Filled {
    let started = Instant::now();
    let log = open(dir);
    let from = Timestamp::from_micros(1_795_341_605_000_000);
    let mut source = Source::new(7, from);
    let entries = (outcomes / SENDS as u64).max(TOGETHER * 3);
    let every = i64::try_from(DAYS * 86_400_000_000 / entries).unwrap();
    let mut kept: [Option<Entry>; 3] = [None, None, None];
    let mut last = from;
    for append in 0..entries / TOGETHER {
        let mut made = Vec::new();
        for number in 0..TOGETHER {
            source.pass(every);
            let mut entry = source.entry(SENDS);
            let at = append * TOGETHER + number;
            let middle = entries / 2;
            if at == middle {
                once(&mut entry);
            }
            if let Some(place) = [0, middle, entries / TOGETHER * TOGETHER - 1].iter().position(|wanted| *wanted == at)
            {
                kept[place] = Some(entry.clone());
            }
            last = entry.at;
            made.push(entry);
        }
        log.append(Arc::new(made)).await.unwrap();
    }
    let stat = log.stat().await.unwrap();
    println!(
        "{} outcomes in {} entries and {} files, {} MB of rows and look-ups, {} MB of bodies; written in {:.0} s",
        stat.sends,
        stat.entries,
        stat.files,
        (stat.bytes - stat.body_bytes) / 1_000_000,
        stat.body_bytes / 1_000_000,
        started.elapsed().as_secs_f64()
    );
    log.close().await.unwrap();
    let started = Instant::now();
    drop(open(dir));
    println!("opened again in {:.0} ms", started.elapsed().as_secs_f64() * 1000.0);
    let until = Timestamp::from_micros(last.micros() + 1);
    Filled { from, until, entries: kept.map(|entry| entry.expect("enough entries")) }
}

/// Puts into an entry what occurs nowhere else.
fn once(entry: &mut Entry) {
    entry.lane = LaneId::from_text("once/lane");
    let attempt = Source::new(1, entry.at).entry(1).attempt;
    let attempt = entry.attempt.get_or_insert_with(|| attempt.expect("an attempt"));
    attempt.status = Some(418);
    let send = &mut entry.sends[SENDS / 2];
    send.event = "Happened Once".into();
    send.user_id = Some("u-once".into());
    send.anonymous_id = Some("a-once".into());
    send.visitor_code = Some("v-once".into());
    send.lookups = vec![("order_id".into(), "ORD-once".into())];
    send.outcome = Some(Outcome::new(State::Discarded, Reason::TooLarge));
}

/// CPU time of the process, or of this thread alone, in nanoseconds.
fn cpu(of: rustix::time::ClockId) -> u64 {
    let used = rustix::time::clock_gettime(of);
    u64::try_from(used.tv_sec * 1_000_000_000 + used.tv_nsec).unwrap()
}

/// What is recorded beside committing to the state.
#[derive(Clone, Copy, PartialEq)]
enum Records {
    Nothing,
    Rows,
    All,
}

/// State and log that are written to by turns.
struct Bench {
    records: Records,
    state: Arc<anole_state::Sqlite>,
    log: Option<Arc<Sqlite>>,
    source: Source,
    lane: LaneId,
    batches: u64,
    /// CPU time of each turn.
    turns: Vec<u64>,
}

/// Measures what writing costs.
async fn cost(folder: &Path) {
    let dir = tempfile::Builder::new().prefix("anole-history-").tempdir_in(folder).unwrap();
    let mut benches = Vec::new();
    for (number, records) in [Records::Nothing, Records::Rows, Records::All].into_iter().enumerate() {
        let dir = dir.path().join(number.to_string());
        std::fs::create_dir(&dir).unwrap();
        benches.push(Bench::open(&dir, records).await);
    }
    for turn in 0..TURNS {
        for kind in 0..benches.len() {
            // None always follows the same one.
            let kind = if turn % 2 == 0 { kind } else { benches.len() - 1 - kind };
            benches[kind].turn().await;
        }
    }
    let per_send = |used: f64| used / 1000.0 / (BATCHES * SENDS as u64) as f64;
    println!(
        "\nCPU time of the process for each send, batches of {SENDS}, in us: mean, and least, median and most of {TURNS} turns"
    );
    let show = |name: &str, mut turns: Vec<f64>, last: f64| {
        let mean = per_send((turns.iter().sum::<f64>() + last) / TURNS as f64);
        turns.sort_unstable_by(f64::total_cmp);
        let [least, median, most] = [turns[0], turns[TURNS / 2], turns[TURNS - 1]].map(per_send);
        println!("  {name:34} {mean:7.3} {least:7.3} {median:7.3} {most:7.3}");
        mean
    };
    let names = ["state alone", "state and history without bodies", "state and history with bodies"];
    let (mut turns, mut last) = (Vec::new(), Vec::new());
    for (bench, name) in benches.into_iter().zip(names) {
        let (of, close) = bench.close().await;
        show(name, of.clone(), close);
        turns.push(of);
        last.push(close);
    }
    let less = |kind: usize, than: usize| turns[kind].iter().zip(&turns[than]).map(|(on, off)| on - off).collect();
    show("of that bodies", less(2, 1), last[2] - last[1]);
    let mean = show("history, bodies included", less(2, 0), last[2]);
    let verdict = if mean <= TARGET_US { "within" } else { "OVER" };
    println!("history costs {mean:.2} us of CPU a send, {verdict} the target of {TARGET_US}");
}

// === impl Bench ===

impl Bench {
    async fn open(dir: &Path, records: Records) -> Self {
        let clock = Arc::new(SystemClock::new());
        let telemetry = Telemetry::new(Arc::clone(&clock) as _);
        let state = anole_state::Sqlite::open(&StateOptions::in_folder(dir), telemetry, Arc::clone(&clock) as _);
        let state = state.unwrap();
        let lane = LaneId::from_text("shop/kameleoon-eu");
        state.register(lane.clone(), vec![Position::at(0)], clock.wall()).await.unwrap();
        let log = (records != Records::Nothing).then(|| open(dir));
        let source = Source::new(7, clock.wall());
        Self { records, state, log, source, lane, batches: 0, turns: Vec::new() }
    }

    /// One turn, without the making of the entries.
    async fn turn(&mut self) {
        let (mut made, start) = (0, cpu(rustix::time::ClockId::ProcessCPUTime));
        for _ in 0..BATCHES {
            let making = cpu(rustix::time::ClockId::ThreadCPUTime);
            self.source.pass(1000);
            let mut entry = self.source.entry(SENDS);
            if let (Records::Rows, Some(attempt)) = (self.records, &mut entry.attempt) {
                attempt.request_body = bytes::Bytes::new();
                attempt.answer_body = bytes::Bytes::new();
                attempt.answer_headers = Vec::new();
            }
            made += cpu(rustix::time::ClockId::ThreadCPUTime) - making;
            if let Some(log) = &self.log {
                log.append(Arc::new(vec![entry])).await.unwrap();
            }
            self.batches += 1;
            let watermark = Position::at(self.batches * SENDS as u64 * 1300);
            let commit = LaneCommit {
                lane: self.lane.clone(),
                progress: vec![Progress { watermark, finished: Vec::new() }],
                parked: Vec::new(),
                deferred: Vec::new(),
                unparked: Vec::new(),
                undeferred: Vec::new(),
            };
            self.state.commit(vec![commit]).await.unwrap();
        }
        self.turns.push(cpu(rustix::time::ClockId::ProcessCPUTime) - start - made);
    }

    /// The turns, and what was left to be written, which belongs to them.
    async fn close(self) -> (Vec<f64>, f64) {
        let start = cpu(rustix::time::ClockId::ProcessCPUTime);
        if let Some(log) = &self.log {
            log.close().await.unwrap();
        }
        let last = cpu(rustix::time::ClockId::ProcessCPUTime) - start;
        self.state.close().await.unwrap();
        (self.turns.into_iter().map(|turn| turn as f64).collect(), last as f64)
    }
}
