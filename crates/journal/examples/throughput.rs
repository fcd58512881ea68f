//! How many records per second the embedded journal takes and gives back, and what CPU that costs.
//!
//! `cargo run --release -p anole-journal --example throughput -- [FOLDER] [SECONDS]`. Appenders are tokio tasks that each
//! append one record of 1 KiB and wait; a reader follows at the tail, as the delivery does. CPU is that of the whole
//! process: appenders, committer and reader.
#![expect(clippy::print_stdout, reason = "a program that measures")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anole_event::{
    Clock, EventType, Fingerprint, Head, Kind, OrderKey, Position, Record, Seeded, SystemClock, Timestamp,
};
use anole_journal::{AckLevel, Embedded, EmbeddedOptions, Journal, Read};
use anole_telemetry::Telemetry;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from).join("anole-throughput");
    let seconds = arguments.next().map_or(Ok(2), |text| text.parse())?;
    println!(
        "{:8} {:>9} {:>11} {:>9} {:>9} {:>9} {:>8}",
        "level", "appenders", "records/s", "us CPU", "p50 ms", "p99 ms", "syncs/s"
    );
    for ack in [AckLevel::Fsync, AckLevel::Write, AckLevel::Memory] {
        for appenders in [1, 64, 512] {
            measure(dir.clone(), ack, appenders, Duration::from_secs(seconds)).await?;
        }
    }
    read_back(&dir)
}

async fn measure(dir: PathBuf, ack: AckLevel, appenders: usize, time: Duration) -> Outcome<()> {
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let telemetry = Telemetry::new(Arc::clone(&clock));
    let options = EmbeddedOptions { ack, ..EmbeddedOptions::new(dir) };
    let random = Box::new(Seeded::from_entropy());
    let journal = Embedded::open(options, Arc::clone(&telemetry), Arc::clone(&clock), random)?;
    let mut reader = journal.reader(Position::default());
    let follow = tokio::spawn(async move {
        let mut read = 0;
        while let Ok(Read::Block(block)) = reader.next().await {
            read += block.records.len();
        }
        read
    });
    let (stop, start, cpu) = (Arc::new(AtomicBool::new(false)), clock.mono(), cpu()?);
    let tasks: Vec<_> = (0..appenders)
        .map(|number| tokio::spawn(append(Arc::clone(&journal), Arc::clone(&clock), Arc::clone(&stop), number as u64)))
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await??);
    }
    let (took, used) = (clock.mono().since(start).as_secs_f64(), self::cpu()? - cpu);
    journal.close();
    let (count, read) = (waits.len(), follow.await?);
    if read != count {
        return Err(format!("{count} records were appended, {read} were read").into());
    }
    waits.sort_unstable();
    let at = |share: usize| f64::from(waits.get(count * share / 100).copied().unwrap_or_default()) / 1000.0;
    let syncs = metric(&telemetry, "anole_journal_sync_seconds_count") / took;
    let (rate, micros) = (count as f64 / took, used * 1e6 / count as f64);
    println!("{ack:8} {appenders:>9} {rate:>11.0} {micros:>9.2} {:>9.3} {:>9.3} {syncs:>8.0}", at(50), at(99));
    Ok(())
}

/// Appends until told to stop; gives the time of each append in microseconds.
async fn append(
    journal: Arc<Embedded>,
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
    number: u64,
) -> Outcome<Vec<u32>> {
    let record = record(number);
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start = clock.mono();
        journal.append(vec![record.clone()]).await?;
        waits.push(u32::try_from(clock.mono().since(start).as_micros()).unwrap_or(u32::MAX));
    }
    Ok(waits)
}

/// How fast what the last measurement left is read by who is far behind.
fn read_back(dir: &std::path::Path) -> Outcome<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let start = clock.mono();
    let journal = Embedded::open_read_only(dir, Telemetry::new(Arc::clone(&clock)))?;
    let opened = clock.mono().since(start);
    let (mut reader, mut records, used) = (journal.reader(Position::default()), 0, cpu()?);
    let start = clock.mono();
    while let Some(Read::Block(block)) = reader.try_next()? {
        records += block.records.len();
    }
    let (took, used) = (clock.mono().since(start).as_secs_f64(), cpu()? - used);
    let (rate, micros, segments) = (records as f64 / took, used * 1e6 / records as f64, journal.stat().segments.len());
    println!("read back: {rate:.0} records/s, {micros:.2} us CPU each; {segments} segments opened in {opened:?}");
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn record(number: u64) -> Record {
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
    Record::new(&head, &[b'x'; 940])
}

fn metric(telemetry: &Telemetry, name: &str) -> f64 {
    let text = telemetry.render();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// CPU seconds that this process has used, as Linux counts them: in hundredths.
fn cpu() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / 100.0)
}
