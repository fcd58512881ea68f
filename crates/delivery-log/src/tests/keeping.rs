//! What is kept and for how long, what outlives the rows, and counts over time.

use std::time::Duration;

use super::*;
use crate::{HistogramQuery, Statistics, StatisticsQuery};

const HOUR: Duration = Duration::from_secs(3600);

/// A log that goes by this clock.
fn open_at(options: &LogOptions, clock: &Arc<ManualClock>) -> (Arc<Sqlite>, Arc<Telemetry>) {
    let telemetry = Telemetry::new(Arc::clone(clock) as _);
    let log = Sqlite::open(options, Arc::clone(&telemetry), Arc::clone(clock) as _).expect("a log");
    (log, telemetry)
}

/// An entry whose bodies do not get smaller by compression.
fn bulky(number: u64) -> Entry {
    let mut random = Seeded::new(number);
    let body: Vec<u8> = (0..1000).map(|_| anole_event::Random::next(&mut random) as u8).collect();
    Entry { attempt: Some(attempt(200, &body)), ..entry(number, vec![send(number)]) }
}

async fn whole(log: &dyn DeliveryLog, number: u64) -> Option<WholeEntry> {
    log.entry(entry(number, Vec::new()).id).await.expect("a look")
}

async fn bodies(log: &dyn DeliveryLog, number: u64) -> Option<Bodies> {
    whole(log, number).await.map(|whole| whole.bodies)
}

fn metric(telemetry: &Telemetry, line: &str) -> u64 {
    let text = telemetry.render();
    let found = text.lines().find_map(|text| text.strip_prefix(line)).map(str::trim);
    found.map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test]
async fn l4_bodies_go_before_rows_and_what_went_is_counted() {
    let dir = TempDir::new().expect("a folder");
    let options = LogOptions { body_bytes: 200_000, ..small(dir.path()) };
    let clock = clock();
    let (log, telemetry) = open_at(&options, &clock);
    for number in 0..600 {
        log.append(Arc::new(vec![bulky(number)])).await.expect("an append");
    }
    let stat = log.stat().await.expect("a stat");
    assert!(stat.body_bytes <= 200_000, "{stat:?}");
    assert_eq!((stat.entries, stat.sends, stat.dropped.entries), (600, 600, 0), "every row is there");
    assert!(stat.dropped.bodies > 300 && stat.dropped.bytes > 300_000, "{stat:?}");
    assert!(stat.oldest_body > stat.oldest && stat.dropped.bodies_until < stat.oldest_body, "{stat:?}");
    assert_eq!(metric(&telemetry, "anole_history_dropped_bodies_total{why=\"space\"}"), stat.dropped.bodies);
    for reopened in [false, true] {
        let log = if reopened {
            log.close().await.expect("closed");
            open_at(&options, &clock).0
        } else {
            Arc::clone(&log)
        };
        let oldest = whole(&*log, 0).await.expect("the row");
        assert_eq!((oldest.bodies, oldest.request_bytes), (Bodies::Gone, 1000));
        assert_eq!(oldest.entry.attempt.expect("an attempt").request_body, Bytes::new());
        assert_eq!(whole(&*log, 599).await.map(|whole| whole.entry), Some(bulky(599)));
        assert_eq!(one(&*log, "m-0").await, ["m-0"], "it is still found");
        assert_eq!(log.stat().await.expect("a stat").dropped, stat.dropped, "reopened: {reopened}");
    }
}

#[tokio::test]
async fn l4_no_bodies_are_kept_when_there_may_be_none() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&LogOptions { body_bytes: 0, ..small(dir.path()) });
    log.append(Arc::new(vec![bulky(1)])).await.expect("an append");
    let kept = whole(&*log, 1).await.expect("the row");
    assert_eq!((kept.bodies, kept.request_bytes), (Bodies::None, 1000));
    assert_eq!(log.stat().await.expect("a stat").body_bytes, 0);
}

#[tokio::test]
async fn l4_what_is_too_old_goes_its_bodies_first() {
    let dir = TempDir::new().expect("a folder");
    let options = LogOptions { keep: 48 * HOUR, keep_bodies: 24 * HOUR, ..small(dir.path()) };
    let clock = clock();
    let (log, telemetry) = open_at(&options, &clock);
    let mut now = 0;
    let mut append = async |after: Duration| {
        clock.advance(after);
        now += after.as_secs();
        log.append(Arc::new(vec![bulky(now)])).await.expect("an append");
        // The look at ages follows the answer.
        log.append(Arc::new(Vec::from([bulky(now + 1)]))).await.expect("an append");
        now
    };
    let first = append(Duration::ZERO).await;
    // By now the first file has a row that is old enough to be sealed for.
    append(4 * HOUR).await;
    assert_eq!(bodies(&*log, first).await, Some(Bodies::Kept));
    append(25 * HOUR).await;
    assert_eq!(bodies(&*log, first).await, Some(Bodies::Gone));
    let last = append(24 * HOUR).await;
    assert_eq!(bodies(&*log, first).await, None);
    assert_eq!(bodies(&*log, last).await, Some(Bodies::Kept));
    let dropped = log.stat().await.expect("a stat").dropped;
    assert!(dropped.entries >= 2 && dropped.rows_until >= Some(at(first)), "{dropped:?}");
    assert_eq!(metric(&telemetry, "anole_history_dropped_entries_total{why=\"age\"}"), dropped.entries);
}

#[tokio::test]
async fn l4_a_clock_that_jumps_ahead_lets_nothing_go_for_ten_minutes() {
    let dir = TempDir::new().expect("a folder");
    let clock = clock();
    let (log, _) = open_at(&LogOptions { keep: HOUR, keep_bodies: HOUR, file_bytes: 1, ..small(dir.path()) }, &clock);
    fill(&*log, 0..3, 2).await;
    let year = 365 * 24 * 3600;
    clock.advance(Duration::from_secs(61));
    clock.jump_wall(at(year));
    fill(&*log, year..year + 2, 2).await;
    assert!(whole(&*log, 0).await.is_some(), "the clock may be set right again");
    clock.advance(Duration::from_secs(601));
    fill(&*log, year + 601..year + 603, 2).await;
    assert!(whole(&*log, 0).await.is_none(), "it was not: now it counts");
}

async fn statistics(log: &dyn DeliveryLog, step: Duration, lane: Option<LaneId>) -> Statistics {
    let query = StatisticsQuery { lane, from: at(0), until: at(86_400), step };
    log.statistics(query).await.expect("statistics")
}

#[tokio::test]
async fn l5_statistics_count_each_entry_once_and_outlive_the_rows() {
    let dir = TempDir::new().expect("a folder");
    let copy = TempDir::new().expect("a folder");
    let clock = clock();
    let options = LogOptions { total_bytes: 400_000, ..small(dir.path()) };
    let (log, _) = open_at(&options, &clock);
    fill(&*log, 0..900, 10).await;
    log.append(batches(890..900, 10)).await.expect("the same again");
    let stat = log.stat().await.expect("a stat");
    assert!(stat.dropped.entries > 0 && stat.entries + stat.dropped.entries == 900, "{stat:?}");
    for entry in fs::read_dir(dir.path()).expect("a folder") {
        let path = entry.expect("a file").path();
        fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("a copy of the files as they are");
    }
    let (killed, _) = open_at(&LogOptions { dir: copy.path().to_owned(), ..options.clone() }, &clock);
    log.close().await.expect("closed");
    let looked = Sqlite::open_read_only(&options, Telemetry::new(Arc::clone(&clock) as _), Arc::clone(&clock) as _);
    let (again, _) = open_at(&options, &clock);
    for log in [killed, looked.expect("a look"), again] {
        let minutes = statistics(&*log, Duration::from_secs(60), None).await;
        let hours = statistics(&*log, HOUR, None).await;
        assert_eq!((minutes.step, hours.step), (Duration::from_secs(300), HOUR), "a day by minutes is too much");
        let total = |statistics: &Statistics| {
            let mut all = crate::Sums::default();
            statistics.rows.iter().for_each(|row| all.add(&row.sums));
            all
        };
        let all = total(&hours);
        assert_eq!(total(&minutes), all);
        assert_eq!((all.ended(State::Delivered), all.took.total(), all.delay.total()), (9000, 900, 9000));
        assert_eq!(all.attempts, [(Some(200), 810), (Some(429), 90)]);
        let even = statistics(&*log, HOUR, Some(LaneId::new("shop", "even"))).await;
        assert_eq!(total(&even).ended(State::Delivered), 4500);
        assert_eq!(even.rows[0].at, Timestamp::from_millis(START / 3_600_000 * 3_600_000));
        assert_eq!(statistics(&*log, HOUR, Some(LaneId::new("no", "lane"))).await.rows, []);
    }
}

#[tokio::test]
async fn l5_damaged_statistics_are_set_aside_and_begun_anew() {
    let dir = TempDir::new().expect("a folder");
    let options = small(dir.path());
    let log = open(&options);
    fill(&*log, 0..10, 2).await;
    log.close().await.expect("closed");
    fs::write(dir.path().join("statistics.db"), b"this is no database at all, and never was").expect("damage");
    let (log, telemetry) = try_open(&options);
    let log = log.expect("it starts anyway");
    fill(&*log, 10..12, 2).await;
    let sums = statistics(&*log, HOUR, None).await.rows;
    let sends: u64 = sums.iter().map(|row| row.sums.ended(State::Delivered)).sum();
    assert_eq!(sends, 4, "what came after");
    assert_eq!(one(&*log, "m-0").await, ["m-0"]);
    assert_eq!(metric(&telemetry, "anole_history_damaged_files_total"), 1);
}

#[tokio::test]
async fn a_histogram_counts_what_the_list_has() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    fill(&*log, 0..300, 10).await;
    let tried = Entry {
        sends: vec![SendRecord { outcome: None, ..send(7) }, SendRecord { outcome: None, ..send(10) }],
        ..entry(300, Vec::new())
    };
    log.append(Arc::new(vec![tried])).await.expect("an append");
    let ask = SendQuery::default;
    let questions = [
        ask(),
        SendQuery { ended: true, ..ask() },
        SendQuery { event: Some("Order Completed".into()), ..ask() },
        SendQuery { state: Some(State::Delivered), status: Some(429), ..ask() },
        SendQuery { reason: Some(Reason::Accepted), lane: Some(LaneId::new("shop", "odd")), ..ask() },
        SendQuery { user_id: Some("u-3".into()), ..ask() },
        SendQuery { any: Some("m-7".into()), ..ask() },
        SendQuery { lookup: Some("ORD-10".into()), lookup_name: Some("order_id".into()), ..ask() },
        SendQuery { lookup: Some("ORD-10".into()), lookup_name: Some("cart_id".into()), ..ask() },
        SendQuery { from: Some(at(100)), until: Some(at(130)), event: Some("page".into()), ..ask() },
        SendQuery { state: Some(State::Parked), ..ask() },
    ];
    for query in questions {
        let listed = all(&*log, query.clone()).await;
        let histogram = log.histogram(HistogramQuery { sends: query.clone(), buckets: 40 }).await.expect("counts");
        assert_eq!(histogram.every, 1, "so few are counted exactly");
        assert!(histogram.buckets.len() <= 40, "{query:?}");
        let width = i64::try_from(histogram.width.as_micros()).expect("a width");
        for (bucket, start) in histogram.buckets.iter().zip((0..).map(|n| histogram.buckets[0].at.micros() + n * width))
        {
            assert_eq!(bucket.at.micros(), start, "without a gap");
            let within = listed.iter().filter(|found| (start..start + width).contains(&found.entry.at.micros()));
            let delivered = within.clone().filter(|found| found.send.outcome.is_some()).count() as u64;
            let count = |state| bucket.counts.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
            assert_eq!(count(Some(State::Delivered)), delivered, "{query:?}");
            assert_eq!(count(None), within.count() as u64 - delivered, "{query:?}");
        }
        let total: u64 = histogram.totals().iter().map(|(_, count)| count).sum();
        assert_eq!(total, listed.len() as u64, "{query:?}");
    }
    let empty = TempDir::new().expect("a folder");
    let none = open(&small(empty.path())).histogram(HistogramQuery::default()).await.expect("counts");
    assert_eq!((none.buckets, none.every), (Vec::new(), 1));
}

#[tokio::test]
async fn attempts_are_found_by_what_they_carried() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    fill(&*log, 0..60, 3).await;
    let refused = SendRecord { outcome: Some(Outcome::new(State::Parked, Reason::Refused)), ..send(1001) };
    let mixed = entry(60, vec![send(1000), refused]);
    log.append(Arc::new(vec![mixed.clone()])).await.expect("an append");
    let ids = async |query: EntryQuery| {
        let page = log.entries(query).await.expect("a page");
        page.items.iter().map(|found| found.entry.id).collect::<Vec<_>>()
    };
    let ask = EntryQuery::default;
    assert_eq!(ids(EntryQuery { reason: Some(Reason::Refused), ..ask() }).await, [mixed.id]);
    assert_eq!(ids(EntryQuery { any: Some("ORD-1000".into()), ..ask() }).await, [mixed.id]);
    let page = EntryQuery { event: Some("page".into()), reason: Some(Reason::Refused), ..ask() };
    assert_eq!(ids(page).await, [mixed.id]);
    let order = EntryQuery { event: Some("Order Completed".into()), reason: Some(Reason::Refused), ..ask() };
    assert_eq!(ids(order).await, [], "both are in the entry, but not of one send");
    assert_eq!(ids(EntryQuery { any: Some("m-4".into()), ..ask() }).await, [entry(1, Vec::new()).id]);
}

/// A small disk of its own, in memory; it goes with the value.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// Mounts one; `None` where the test may not.
    fn mount(at: std::path::PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).expect("a folder");
        let mut mount = std::process::Command::new("mount");
        let run = mount.args(["-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs"]).arg(&at).output();
        run.is_ok_and(|run| run.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a test that failed may still hold files.
        let _ended = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn l4_on_a_full_disk_the_oldest_goes_for_the_newest() {
    let dir = TempDir::new().expect("a folder");
    let Some(disk) = SmallDisk::mount(dir.path().join("small")) else { return };
    let clock = clock();
    // Few files: SQLite needs some room for each that is looked into.
    let options = LogOptions { file_bytes: 300_000, ..small(&disk.0) };
    let (log, telemetry) = open_at(&options, &clock);
    for number in 0..4000 {
        log.append(Arc::new(vec![bulky(number)])).await.expect("an append, whatever has to go for it");
    }
    assert!(metric(&telemetry, "anole_history_dropped_bodies_total{why=\"disk\"}") > 0, "{}", telemetry.render());
    let stat = log.stat().await.expect("a stat");
    assert_eq!(stat.entries + stat.dropped.entries, 4000, "{stat:?}");
    log.close().await.expect("closed");
    // Looking needs some room too; a person makes it.
    let files = (1..100).map(|number| disk.0.join(format!("history-{number}.db"))).filter(|file| file.exists());
    files.take(2).for_each(|file| fs::remove_file(file).expect("removed"));
    let (log, _) = open_at(&options, &clock);
    assert_eq!(one(&*log, "m-3999").await, ["m-3999"]);
    assert_eq!(bodies(&*log, 3999).await, Some(Bodies::Kept));
    log.close().await.expect("closed");
}
