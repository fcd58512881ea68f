//! The log as a whole: what goes in is found, whatever happens to files in between.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anole_event::{
    Attempt, AttemptId, Decision, DeliveryError, Entry, ErrorSource, LaneId, ManualClock, Marks, Outcome, Position,
    Reached, Reason, Seeded, SendRecord, State, Timestamp, uuid_v7,
};
use anole_telemetry::Telemetry;
use bytes::Bytes;
use tempfile::TempDir;

use crate::{
    Bodies, Cursor, DeliveryLog, EntryQuery, FoundSend, LogError, LogOptions, OpenError, SendQuery, Sqlite, WholeEntry,
};

mod arriving;
mod erasure;
mod keeping;

const START: i64 = 1_795_341_605_120;

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(START + i64::try_from(second).expect("small") * 1000)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(at(0)))
}

/// Small files and few postings in memory, so that a test sees every turn.
fn small(dir: &Path) -> LogOptions {
    LogOptions { file_bytes: 80_000, total_bytes: 100_000_000, postings_in_memory: 500, ..LogOptions::in_folder(dir) }
}

fn try_open(options: &LogOptions) -> (Result<Arc<Sqlite>, OpenError>, Arc<Telemetry>) {
    let telemetry = Telemetry::new(clock());
    (Sqlite::open(options, Arc::clone(&telemetry), clock()), telemetry)
}

fn open(options: &LogOptions) -> Arc<Sqlite> {
    try_open(options).0.expect("a log")
}

fn send(number: u64) -> SendRecord {
    let page = !number.is_multiple_of(5);
    SendRecord {
        message_id: format!("m-{number}").into(),
        event: if page { "page" } else { "Order Completed" }.into(),
        anonymous_id: Some(format!("a-{}", number % 50).into()),
        user_id: (!page).then(|| format!("u-{}", number % 7).into()),
        lookups: if page { Vec::new() } else { vec![("order_id".into(), format!("ORD-{number}").into())] },
        position: Position::at(number * 10),
        received_at: at(number),
        ordinal: 0,
        rule: "page".into(),
        visitor_code: Some(format!("v-{}", number % 50).into()),
        rung: Some("anonymous_id".into()),
        nonce: Some(format!("m-{number}").into()),
        marks: Marks::NONE,
        outcome: Some(Outcome::new(State::Delivered, Reason::Accepted)),
    }
}

fn attempt(status: u16, body: &[u8]) -> Attempt {
    Attempt {
        url: "https://eu-data.kameleoon.io/visit/events?siteCode=f17c21u1ag".into(),
        method: "POST".into(),
        reached: Reached::Body,
        status: Some(status),
        duration_us: 12_345,
        request_body: Bytes::copy_from_slice(body),
        answer_headers: vec![("content-type".into(), "application/json".into()), ("x".into(), String::new())],
        answer_body: Bytes::from_static(b"{}"),
        answer_bytes: 2,
        error: None,
        decision: Decision::Delivered,
    }
}

/// An entry of these sends, decided in the second of its number.
fn entry(number: u64, sends: Vec<SendRecord>) -> Entry {
    Entry {
        id: AttemptId(uuid_v7(at(number), &mut Seeded::new(number))),
        at: at(number),
        lane: LaneId::new("shop", if number.is_multiple_of(2) { "even" } else { "odd" }),
        plan: u64::MAX - number,
        attempt: Some(attempt(if number.is_multiple_of(10) { 429 } else { 200 }, b"[{\"nonce\":1}]")),
        sends,
    }
}

/// Entries with these numbers, of `size` sends each.
fn batches(numbers: std::ops::Range<u64>, size: u64) -> Arc<Vec<Entry>> {
    Arc::new(numbers.map(|number| entry(number, (number * size..(number + 1) * size).map(send).collect())).collect())
}

async fn fill(log: &dyn DeliveryLog, numbers: std::ops::Range<u64>, size: u64) {
    for number in numbers {
        log.append(batches(number..number + 1, size)).await.expect("an append");
    }
}

fn found(sends: &[FoundSend]) -> Vec<&str> {
    sends.iter().map(|found| &*found.send.message_id).collect()
}

/// All pages of a question, three sends each.
async fn all(log: &dyn DeliveryLog, query: SendQuery) -> Vec<FoundSend> {
    let mut sends = Vec::new();
    let mut query = SendQuery { limit: 3, ..query };
    loop {
        let page = log.sends(query.clone()).await.expect("a page");
        sends.extend(page.items);
        let Some(next) = page.next else { return sends };
        assert_eq!(next.to_string().parse::<Cursor>(), Ok(next));
        query.after = Some(next);
    }
}

async fn one(log: &dyn DeliveryLog, any: &str) -> Vec<String> {
    let sends = all(log, SendQuery { any: Some(any.to_owned()), ..SendQuery::default() }).await;
    sends.into_iter().map(|found| found.send.message_id.into()).collect()
}

#[tokio::test]
async fn an_entry_is_given_back_whole() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    let mut full = entry(3, vec![send(1), SendRecord { outcome: None, ..send(2) }]);
    let error = DeliveryError { source_of: ErrorSource::Vendor, message: "400".into() };
    full.attempt = Some(Attempt { error: Some(error), ..attempt(400, &[b'x'; 5000]) });
    let bare = Entry { attempt: None, ..entry(4, vec![send(3)]) };
    log.append(Arc::new(vec![full.clone(), bare.clone()])).await.expect("an append");
    let whole = |entry: Entry, bodies, request_bytes| Some(WholeEntry { entry, bodies, request_bytes });
    assert_eq!(log.entry(full.id).await.expect("a look"), whole(full, Bodies::Kept, 5000));
    assert_eq!(log.entry(bare.id).await.expect("a look"), whole(bare, Bodies::None, 0));
    assert_eq!(log.entry(entry(5, Vec::new()).id).await.expect("a look"), None);
}

#[tokio::test]
async fn an_answer_is_kept_up_to_its_bound() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    let mut long = entry(1, vec![send(1)]);
    long.attempt = Some(Attempt { answer_body: Bytes::from(vec![b'y'; 100_000]), ..attempt(500, b"") });
    log.append(Arc::new(vec![long.clone()])).await.expect("an append");
    let kept = log.entry(long.id).await.expect("a look").expect("the entry").entry.attempt.expect("the attempt");
    assert_eq!(kept.answer_body.len(), anole_event::MAX_ANSWER_BODY);
}

#[tokio::test]
async fn sends_are_found_in_every_file_and_after_reopening() {
    let dir = TempDir::new().expect("a folder");
    let options = small(dir.path());
    let log = open(&options);
    fill(&*log, 0..400, 10).await;
    let files = log.stat().await.expect("a stat").files;
    assert!(files > 2, "{files} files");
    for reopened in [false, true] {
        let log = if reopened {
            log.close().await.expect("closed");
            open(&options)
        } else {
            Arc::clone(&log)
        };
        for number in [0, 5, 1234, 2500, 3995, 3999] {
            let name = format!("m-{number}");
            assert_eq!(one(&*log, &name).await, [&*name], "reopened: {reopened}");
            let by_id = SendQuery { message_id: Some(name.clone()), ..SendQuery::default() };
            assert_eq!(found(&all(&*log, by_id).await), [&*name]);
        }
        assert_eq!(one(&*log, "ORD-2500").await, ["m-2500"]);
        assert_eq!(one(&*log, "ORD-2501").await, [""; 0]);
        let visitor = SendQuery { visitor_code: Some("v-7".into()), ..SendQuery::default() };
        let expected: Vec<_> = (0..4000).rev().filter(|number| number % 50 == 7).map(|n| format!("m-{n}")).collect();
        assert_eq!(found(&all(&*log, visitor).await), expected);
    }
}

#[tokio::test]
async fn filters_hold_together_newest_first_over_pages() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    fill(&*log, 0..121, 10).await;
    let parked = Entry {
        sends: (2000..2010)
            .map(|n| SendRecord { outcome: Some(Outcome::new(State::Parked, Reason::MissingField)), ..send(n) })
            .collect(),
        attempt: None,
        ..entry(121, Vec::new())
    };
    log.append(Arc::new(vec![parked])).await.expect("an append");
    fill(&*log, 122..130, 10).await;
    let ask = SendQuery::default;
    let numbers = |sends: Vec<FoundSend>| -> Vec<u64> {
        sends.iter().map(|found| found.send.message_id[2..].parse().expect("a number")).collect()
    };
    let state = SendQuery { state: Some(State::Parked), ..ask() };
    assert_eq!(numbers(all(&*log, state.clone()).await), (2000..2010).rev().collect::<Vec<_>>());
    let orders = SendQuery { event: Some("Order Completed".into()), ..state };
    assert_eq!(numbers(all(&*log, orders).await), [2005, 2000]);
    let reason = SendQuery { reason: Some(Reason::MissingField), event: Some("page".into()), ..ask() };
    assert_eq!(all(&*log, reason).await.len(), 8);
    assert_eq!(all(&*log, SendQuery { reason: Some(Reason::Refused), ..ask() }).await, []);
    let lane = SendQuery { lane: Some(LaneId::new("shop", "even")), status: Some(429), ..ask() };
    let expected: Vec<u64> = (0..130).rev().filter(|n| n % 10 == 0).flat_map(|n| (n * 10..n * 10 + 10).rev()).collect();
    assert_eq!(numbers(all(&*log, lane).await), expected);
    let none = SendQuery { lane: Some(LaneId::new("shop", "odd")), status: Some(429), ..ask() };
    assert_eq!(all(&*log, none).await, []);
    let time = SendQuery { from: Some(at(50)), until: Some(at(52)), ..ask() };
    assert_eq!(numbers(all(&*log, time.clone()).await), (500..520).rev().collect::<Vec<_>>());
    let both = SendQuery { user_id: Some("u-3".into()), ..time };
    let expected: Vec<u64> = (500..520).rev().filter(|n| n % 5 == 0 && n % 7 == 3).collect();
    assert_eq!(numbers(all(&*log, both).await), expected);
    assert_eq!(all(&*log, ask()).await.len(), 129 * 10 + 10);
}

#[tokio::test]
async fn entries_are_listed_newest_first_and_filtered() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    fill(&*log, 0..60, 3).await;
    let sends = vec![send(1), SendRecord { outcome: None, ..send(2) }];
    let bare = Entry { attempt: None, ..entry(60, sends) };
    log.append(Arc::new(vec![bare.clone()])).await.expect("an append");
    let list = |query: EntryQuery| {
        let log = Arc::clone(&log);
        async move {
            let page = log.entries(query).await.expect("a page");
            let ids: Vec<_> = page.items.iter().map(|found| found.entry.id).collect();
            (page, ids)
        }
    };
    let (page, ids) = list(EntryQuery { limit: 2, ..EntryQuery::default() }).await;
    assert_eq!(ids, [bare.id, entry(59, Vec::new()).id]);
    assert_eq!(page.items[0].tally, [(None, 1), (Some(State::Delivered), 1)]);
    assert_eq!((page.items[0].sends, page.items[1].sends), (2, 3));
    let met = page.items[1].entry.attempt.as_ref().expect("an attempt");
    assert_eq!((met.status, met.request_bytes, met.duration_us), (Some(200), 13, 12_345));
    let (_, ids) = list(EntryQuery { after: page.next, limit: 1, ..EntryQuery::default() }).await;
    assert_eq!(ids, [entry(58, Vec::new()).id]);
    let (_, ids) = list(EntryQuery { requested: Some(false), ..EntryQuery::default() }).await;
    assert_eq!(ids, [bare.id]);
    let (page, _) = list(EntryQuery { status: Some(429), ..EntryQuery::default() }).await;
    assert_eq!((page.items.len(), page.next), (6, None));
    let (page, _) = list(EntryQuery { decision: Some(Decision::Retry), ..EntryQuery::default() }).await;
    assert_eq!(page.items, []);
    let odd = EntryQuery { lane: Some(LaneId::new("shop", "odd")), until: Some(at(4)), ..EntryQuery::default() };
    assert_eq!(list(odd).await.1, [entry(3, Vec::new()).id, entry(1, Vec::new()).id]);
}

#[tokio::test]
async fn an_entry_that_is_appended_again_stays_one_also_in_the_next_file() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&LogOptions { file_bytes: 1, ..small(dir.path()) });
    log.append(batches(0..3, 2)).await.expect("an append");
    log.append(batches(0..3, 2)).await.expect("the same again");
    log.append(Arc::new(Vec::new())).await.expect("nothing at all");
    let stat = log.stat().await.expect("a stat");
    assert_eq!((stat.files, stat.entries), (2, 3), "a new file was begun, with nothing in it");
    let other = Entry { lane: LaneId::new("blog", "other"), ..entry(1, vec![send(1)]) };
    log.append(Arc::new(vec![other])).await.expect("an append");
    assert_eq!(log.stat().await.expect("a stat").entries, 4, "ids belong to their lane");
}

#[tokio::test]
async fn the_oldest_file_goes_whole_when_space_runs_out() {
    let dir = TempDir::new().expect("a folder");
    let options = LogOptions { total_bytes: 400_000, ..small(dir.path()) };
    let (log, telemetry) = try_open(&options);
    let log = log.expect("a log");
    fill(&*log, 0..900, 10).await;
    let stat = log.stat().await.expect("a stat");
    let sealed =
        |number: u64| fs::metadata(dir.path().join(format!("history-{number}.db"))).map_or(0, |file| file.len());
    let bytes: u64 = (1..100).map(sealed).sum();
    assert!(stat.files >= 3 && bytes < 400_000, "{bytes} bytes, {stat:?}");
    assert!(stat.oldest > Some(at(0)) && stat.newest == Some(at(899)), "{stat:?}");
    assert_eq!(one(&*log, "m-0").await, [""; 0], "the oldest are gone");
    assert_eq!(one(&*log, "m-8999").await, ["m-8999"]);
    assert!(!dir.path().join("history-1.db").exists());
    let text = telemetry.render();
    let dropped = text.lines().find_map(|line| line.strip_prefix("anole_history_dropped_files_total{why=\"space\"} "));
    assert!(dropped.is_some_and(|count| count.parse::<u32>().expect("a count") > 0), "what was dropped is counted");
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_the_others_still_answer() {
    let dir = TempDir::new().expect("a folder");
    let options = small(dir.path());
    let log = open(&options);
    fill(&*log, 0..400, 10).await;
    log.close().await.expect("closed");
    assert!(dir.path().join("history-3.db").exists(), "one more than will be damaged");
    fs::write(dir.path().join("history-1.db"), b"this is no database at all, and never was").expect("damage");
    let (log, telemetry) = try_open(&options);
    let log = log.expect("it starts anyway");
    let aside = |dir: &Path| {
        let names = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let named = |name: &str| name.contains("damaged") && !name.ends_with(".bodies") && !name.ends_with("-blocks");
        names.filter(|name| named(&name.to_string_lossy())).count()
    };
    assert_eq!(aside(dir.path()), 1);
    // Damage that only a look into the file finds, while the log is open.
    let second = dir.path().join("history-2.db");
    let mut bytes = fs::read(&second).expect("a sealed file");
    for page in bytes.chunks_mut(8192).skip(1) {
        page.fill(0xff);
    }
    fs::write(&second, bytes).expect("damage");
    assert_eq!(one(&*log, "m-0").await, [""; 0]);
    assert_eq!(one(&*log, "m-3999").await, ["m-3999"]);
    assert!(!second.exists(), "it is out of the way");
    assert!(telemetry.render().contains("anole_history_damaged_files_total 2"), "{}", telemetry.render());
}

#[tokio::test]
async fn a_damaged_last_file_does_not_stop_the_log() {
    let dir = TempDir::new().expect("a folder");
    let options = LogOptions { file_bytes: u64::MAX, ..small(dir.path()) };
    let log = open(&options);
    fill(&*log, 0..5, 10).await;
    log.close().await.expect("closed");
    fs::write(dir.path().join("history-1.db"), b"this is no database at all, and never was").expect("damage");
    let log = open(&options);
    fill(&*log, 5..6, 10).await;
    assert_eq!(one(&*log, "m-55").await, ["m-55"]);
    assert!(dir.path().join("history-2.db").exists(), "the number of a damaged file is not used again");
}

#[tokio::test]
async fn a_newer_format_is_refused_with_a_code() {
    let dir = TempDir::new().expect("a folder");
    let options = small(dir.path());
    let log = open(&options);
    fill(&*log, 0..1, 1).await;
    log.close().await.expect("closed");
    rusqlite::Connection::open(dir.path().join("history-1.db"))
        .and_then(|db| db.pragma_update(None, "user_version", 9))
        .expect("a newer format");
    for error in [
        try_open(&options).0.expect_err("refused"),
        Sqlite::open_read_only(&options, Telemetry::new(clock()), clock()).expect_err("refused"),
    ] {
        assert_eq!(error.code().as_str(), "history_newer");
        assert!(error.to_string().contains("format 9"), "{error}");
    }
}

#[tokio::test]
async fn a_look_at_the_files_finds_everything_and_changes_nothing() {
    let dir = TempDir::new().expect("a folder");
    let options = small(dir.path());
    let look = || Sqlite::open_read_only(&options, Telemetry::new(clock()), clock());
    assert_eq!(look().expect_err("nothing there").code().as_str(), "history_missing");
    let log = open(&options);
    fill(&*log, 0..300, 10).await;
    log.close().await.expect("closed");
    let log = look().expect("a look");
    for name in ["m-0", "m-1500", "m-2999"] {
        assert_eq!(one(&*log, name).await, [name]);
    }
    assert!(matches!(log.append(batches(0..1, 1)).await, Err(LogError::ReadOnly)));
    log.close().await.expect("closed");
    assert!(matches!(log.stat().await, Err(LogError::Closed)));
}

#[tokio::test]
async fn appends_of_many_callers_all_arrive() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { fill(&*log, task * 20..(task + 1) * 20, 3).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task that ends well");
    }
    assert_eq!(log.stat().await.expect("a stat").entries, 400);
    assert_eq!(all(&*log, SendQuery::default()).await.len(), 1200);
    log.close().await.expect("closed");
    assert!(matches!(log.append(batches(0..1, 1)).await, Err(LogError::Closed)));
}

#[tokio::test]
async fn files_are_for_the_owner_only() {
    let dir = TempDir::new().expect("a folder");
    let data = dir.path().join("data");
    let log = open(&small(&data));
    fill(&*log, 0..1, 1).await;
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["history-1.db", "history-1.db-wal", "history-1.db-shm", "history-1.db-intake", "history-1.db-blocks"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_text_that_is_no_cursor_is_refused() {
    for text in ["", "1", "1-2", "1-2-x", "-1-2-3", "1-2-3-4"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}
