//! `kill -9` of a process that appends to the delivery log, at random moments, and what is left.
//!
//! The process ([`write()`]) appends entries made from a seed and prints the number of each append once it was acknowledged.
//! It is killed, the log is opened again, and must hold exactly: every entry that was acknowledged, whole and with its
//! bodies, once; at most those of the append after that; nothing else. Ids of what is checked are looked up. The statistics
//! must have counted each entry once, and where the log is kept small, what is there and what is said to be dropped must add
//! up. Then the process goes on where it was, with the append again that was not acknowledged, as delivery does.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anole_delivery_log::{Bodies, DeliveryLog, LogOptions, LogStat, SendQuery, Sqlite, StatisticsQuery};
use anole_event::{Clock, Entry, SystemClock, Timestamp};
use anole_telemetry::Telemetry;
use fastrand::Rng;

use super::Source;

/// Entries of one append, and sends of an entry.
const TOGETHER: u64 = 3;
const SENDS: usize = 20;
/// How often a process is killed before the next seed begins with an empty folder.
const LIVES: u64 = 8;
/// Appends that are looked at closely after each kill.
const LOOKS: u64 = 12;
/// When the first entries were decided.
const START: i64 = 1_795_341_605_000_000;
/// Longer than the entries are old, whenever this runs.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Processes that were killed.
    pub kills: u64,
    /// Appends that were acknowledged.
    pub appends: u64,
    /// Files that were dropped to make room.
    pub files_dropped: u64,
    /// Attempts that lost their bodies to make room.
    pub bodies_dropped: u64,
    /// What was wrong, with its seed.
    pub wrong: Vec<(u64, String)>,
}

// === impl Report ===

impl Report {
    /// Adds what came of other seeds.
    pub fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.appends += other.appends;
        self.files_dropped += other.files_dropped;
        self.bodies_dropped += other.bodies_dropped;
        self.wrong.extend(other.wrong.iter().cloned());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, appends, files_dropped, bodies_dropped, wrong } = self;
        write!(
            f,
            "history: {kills} kills, {appends} appends acknowledged, {files_dropped} files and the bodies of \
             {bodies_dropped} attempts dropped to make room, {} wrong",
            wrong.len()
        )?;
        wrong.iter().take(10).try_for_each(|(seed, what)| write!(f, "\n  seed {seed}: {what}"))
    }
}

/// Whether nothing is dropped with this seed.
fn has_room(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

/// The options of a seed: small files and few postings, so that files, runs and statistics turn over all the time. Every
/// other seed has so little room that files and bodies are dropped.
fn options(dir: &Path, seed: u64) -> LogOptions {
    let (total_bytes, body_bytes) = if has_room(seed) { (1 << 40, 1 << 40) } else { (2_000_000, 400_000) };
    LogOptions {
        file_bytes: 200_000,
        total_bytes,
        body_bytes,
        keep: FOREVER,
        keep_bodies: FOREVER,
        keep_statistics: FOREVER,
        postings_in_memory: 3_000,
        ..LogOptions::in_folder(dir)
    }
}

fn open(dir: &Path, seed: u64) -> Arc<Sqlite> {
    let clock = Arc::new(SystemClock::new());
    let telemetry = Telemetry::new(Arc::clone(&clock) as Arc<dyn Clock>);
    Sqlite::open(&options(dir, seed), telemetry, clock).expect("the log opens")
}

/// The entries of an append.
fn entries(seed: u64, append: u64) -> Vec<Entry> {
    let start = Timestamp::from_micros(START + append.cast_signed() * 700_000);
    let mut source = Source::new(seed << 32 ^ append, start);
    let next = |_| {
        source.pass(1000);
        source.entry(SENDS)
    };
    (0..TOGETHER).map(next).collect()
}

/// The process that is killed: appends from a number on and prints each that was acknowledged.
///
/// # Panics
/// When the log fails.
pub async fn write(dir: &Path, seed: u64, from: u64) {
    let log = open(dir, seed);
    for append in from.. {
        log.append(Arc::new(entries(seed, append))).await.expect("an append");
        let mut out = std::io::stdout();
        if writeln!(out, "{append}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

/// Plays seeds: `writer` gives the command that runs [`write()`] with a folder, a seed and a number.
///
/// # Panics
/// When a process or a folder cannot be had.
pub async fn run(seeds: Range<u64>, writer: &(dyn Fn(&Path, u64, u64) -> Command + Sync)) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let dir = tempfile::Builder::new().prefix("anole-history-").tempdir().expect("a folder");
        let (mut rng, mut next) = (Rng::with_seed(seed), 0);
        let mut dropped = (0, 0);
        for _ in 0..LIVES {
            let patience = Duration::from_micros(rng.u64(500..250_000));
            next = live(writer(dir.path(), seed, next), next, patience);
            report.kills += 1;
            match check(dir.path(), seed, next, &mut rng).await {
                Ok(stat) => dropped = (stat.dropped.files, stat.dropped.bodies),
                Err(what) => {
                    report.wrong.push((seed, what));
                    break;
                }
            }
        }
        report.appends += next;
        report.files_dropped += dropped.0;
        report.bodies_dropped += dropped.1;
    }
    report
}

/// Runs the process for so long and kills it; the number after the last that was acknowledged.
fn live(mut command: Command, from: u64, patience: Duration) -> u64 {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the writer starts");
    let out = child.stdout.take().expect("its output");
    let killer = std::thread::spawn(move || {
        std::thread::sleep(patience);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    });
    // What is torn in the middle of a line was not acknowledged.
    let mut next = from;
    let mut reader = BufReader::new(out);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some(number) = line.strip_suffix('\n') {
            next = number.parse::<u64>().expect("a number") + 1;
        }
        line.clear();
    }
    killer.join().expect("it was killed");
    next
}

/// Opens the log that is left and compares it with what was acknowledged.
async fn check(dir: &Path, seed: u64, next: u64, rng: &mut Rng) -> Result<LogStat, String> {
    let log = open(dir, seed);
    let stat = log.stat().await.map_err(|error| error.to_string())?;
    let had = stat.entries + stat.dropped.entries;
    if had != next * TOGETHER && had != (next + 1) * TOGETHER {
        return Err(format!("{next} appends of {TOGETHER} were acknowledged, {had} entries are there or dropped"));
    }
    let sends = stat.sends + stat.dropped.sends;
    if sends != had * SENDS as u64 {
        return Err(format!("{sends} sends of {had} entries are there or dropped"));
    }
    counted(&*log, had).await?;
    // The oldest that is kept may be one that was not acknowledged with all of its append.
    let kept = (stat.entries / TOGETHER).saturating_sub(1).min(next);
    for _ in 0..LOOKS.min(kept) {
        let append = next - 1 - rng.u64(..kept);
        for entry in entries(seed, append) {
            found(&*log, &entry, rng, has_room(seed)).await?;
        }
    }
    log.close().await.map_err(|error| error.to_string())?;
    Ok(stat)
}

/// Each entry stands in the statistics once.
async fn counted(log: &dyn DeliveryLog, entries: u64) -> Result<(), String> {
    let days = |count: i64| count * 86_400_000_000;
    let query = StatisticsQuery {
        lane: None,
        from: Timestamp::from_micros(START - days(1)),
        until: Timestamp::from_micros(START + days(30)),
        step: Duration::from_secs(3600),
    };
    let rows = log.statistics(query).await.map_err(|error| error.to_string())?.rows;
    let sends: u64 = rows.iter().flat_map(|row| &row.sums.sends).map(|(_, count)| count).sum();
    let wanted = entries * SENDS as u64;
    if sends == wanted { Ok(()) } else { Err(format!("the statistics have {sends} sends instead of {wanted}")) }
}

/// The entry is there as it was, its bodies too unless they may have been dropped, and is found by the ids of its sends.
async fn found(log: &dyn DeliveryLog, entry: &Entry, rng: &mut Rng, has_room: bool) -> Result<(), String> {
    let id = entry.id;
    let wrong = |what: &str| format!("entry {id} {what}");
    let whole = log.entry(id).await.map_err(|error| error.to_string())?.ok_or_else(|| wrong("is not there"))?;
    let mut wanted = entry.clone();
    if whole.bodies == Bodies::Gone {
        if has_room {
            return Err(wrong("has lost its bodies"));
        }
        if let Some(attempt) = &mut wanted.attempt {
            attempt.request_body = bytes::Bytes::new();
            attempt.answer_body = bytes::Bytes::new();
            attempt.answer_headers.clear();
        }
    }
    if whole.entry != wanted {
        return Err(wrong("is not what was appended"));
    }
    let send = &entry.sends[rng.usize(..entry.sends.len())];
    let lookup = send.lookups.first().map(|(_, value)| &**value);
    let ids = [Some(&*send.message_id), send.anonymous_id.as_deref(), send.visitor_code.as_deref(), lookup];
    for value in ids.into_iter().flatten() {
        let query = SendQuery { any: Some(value.to_owned()), limit: 500, ..SendQuery::default() };
        let page = log.sends(query).await.map_err(|error| error.to_string())?;
        let here = page.items.iter().filter(|found| found.entry.id == id && found.send == *send).count();
        if here != 1 {
            return Err(wrong(&format!("is found {here} times by `{value}`")));
        }
    }
    Ok(())
}
