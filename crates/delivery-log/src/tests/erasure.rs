//! J-8, the log's half: what leads to a person goes from rows, postings and bytes, and the rest stays as it was.

use super::*;
use crate::{LogErased, StatisticsQuery, Whose};

/// Whoever has this anonymous id.
fn of(anonymous: &str) -> Whose {
    let id: Box<str> = anonymous.into();
    let values = [id.clone()].into();
    Whose { values, matches: Arc::new(move |_, send| send.anonymous_id.as_deref() == Some(&*id)) }
}

/// A visitor whose ids are nobody else's, found again in the bytes of files.
fn person(number: u64, name: &str) -> Entry {
    let mut send = send(number);
    send.message_id = format!("message-of-{name}-{number}").into();
    send.anonymous_id = Some(format!("anonymous-{name}").into());
    send.user_id = Some(format!("user-{name}").into());
    send.visitor_code = Some(format!("code-{name}").into());
    send.nonce = Some(format!("nonce-{name}-{number}").into());
    send.lookups = vec![("order_id".into(), format!("ORDER-{name}-{number}").into())];
    send.outcome = Some(Outcome::new(State::Parked, Reason::Refused).with_detail(format!("says {name}")));
    let mut attempt = attempt(400, format!("[{{\"code\":\"code-{name}\"}}]").as_bytes());
    attempt.url = format!("https://vendor.test/collect?visitor=code-{name}");
    attempt.answer_body = format!("no such visitor: code-{name}").into_bytes().into();
    attempt.error = Some(DeliveryError { source_of: ErrorSource::Vendor, message: format!("code-{name} is unknown") });
    let others = (number * 3..number * 3 + 2).map(super::send);
    Entry { attempt: Some(attempt), ..entry(number, others.chain([send]).collect()) }
}

/// How many files of the folder hold this text.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for one in fs::read_dir(dir).expect("a folder") {
        let one = one.expect("an entry");
        let bytes = fs::read(one.path()).expect("a file");
        if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(one.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

/// Everybody's sends as they are told, but for what an erasure takes.
async fn told(log: &dyn DeliveryLog) -> Vec<String> {
    let sends = all(log, SendQuery::default()).await;
    let tell = |found: &FoundSend| {
        let send = &found.send;
        let ended = send.outcome.as_ref().map(|outcome| (outcome.state, outcome.reason));
        format!("{:?} {} {:?} {:?} {}", found.entry.id, send.event, send.position, ended, send.rule)
    };
    sends.iter().map(tell).collect()
}

async fn sums(log: &dyn DeliveryLog) -> String {
    let step = std::time::Duration::from_secs(3600);
    let query = StatisticsQuery { lane: None, from: at(0), until: at(10_000), step };
    format!("{:?}", log.statistics(query).await.expect("statistics"))
}

#[tokio::test]
async fn j8_a_person_goes_from_every_byte_and_the_rows_still_add_up() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    for number in 0..400 {
        let name = match number % 40 {
            7 => "ada",
            9 => "grace",
            _ => {
                log.append(batches(number..number + 1, 3)).await.expect("an append");
                continue;
            }
        };
        log.append(Arc::new(vec![person(number, name)])).await.expect("an append");
    }
    let (before, summed, stat) = (told(&*log).await, sums(&*log).await, log.stat().await.expect("a stat"));
    assert!(stat.files > 3, "several files: {stat:?}");
    assert!(!holding(dir.path(), "code-ada").is_empty());
    let theirs = LogErased { sends: 10, entries: 10, bodies: 10, files: 0 };
    assert_eq!(log.erasable(of("anonymous-ada")).await.expect("a look"), theirs);
    let erased = log.erase(of("anonymous-ada")).await.expect("an erasure");
    assert_eq!(LogErased { files: 0, ..erased }, theirs);
    assert!(erased.files > 1, "{erased:?}");
    for text in ["code-ada", "anonymous-ada", "user-ada", "message-of-ada", "nonce-ada", "ORDER-ada", "says ada"] {
        assert_eq!(holding(dir.path(), text), [""; 0], "{text}");
    }
    assert_eq!(told(&*log).await, before, "no row and no end has gone");
    assert_eq!(sums(&*log).await, summed);
    let now = log.stat().await.expect("a stat");
    assert_eq!((now.entries, now.sends), (stat.entries, stat.sends));
    for value in ["anonymous-ada", "user-ada", "code-ada", "ORDER-ada-7", "message-of-ada-7"] {
        assert_eq!(one(&*log, value).await, [""; 0], "{value}");
    }
    assert_eq!(one(&*log, "ORDER-grace-9").await.len(), 1, "others are found as before");
    assert_eq!(one(&*log, "m-21").await.len(), 1, "also those that shared a request");
    let row = log.entry(person(7, "ada").id).await.expect("a look").expect("the row");
    let blank = &row.entry.sends[2];
    assert_eq!((&*blank.message_id, blank.marks, row.bodies), ("", Marks::ERASED, Bodies::None));
    let attempt = row.entry.attempt.as_ref().expect("an attempt");
    assert_eq!((attempt.url.as_str(), attempt.status), ("https://vendor.test/collect", Some(400)));
    let other = log.entry(person(9, "grace").id).await.expect("a look").expect("the row");
    assert_eq!((other.bodies, &*other.entry.sends[2].message_id), (Bodies::Kept, "message-of-grace-9"));
    // Again: there is nothing.
    assert_eq!(log.erase(of("anonymous-ada")).await.expect("an erasure"), LogErased::default());
    log.close().await.expect("a close");
    let log = open(&small(dir.path()));
    assert_eq!((told(&*log).await, sums(&*log).await), (before, summed), "and after a start");
    assert_eq!(holding(dir.path(), "ada"), [""; 0]);
}

#[tokio::test]
async fn j8_an_entry_that_is_appended_again_behind_an_erasure_stays_one() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&LogOptions::in_folder(dir.path()));
    fill(&*log, 0..20, 1).await;
    log.append(Arc::new(vec![person(20, "ada")])).await.expect("an append");
    log.erase(of("anonymous-ada")).await.expect("an erasure");
    fill(&*log, 0..21, 1).await;
    log.append(Arc::new(vec![person(20, "ada")])).await.expect("an append");
    let stat = log.stat().await.expect("a stat");
    assert_eq!((stat.files, stat.entries), (2, 21), "the file that was sealed for it still knows its entries");
    assert_eq!(holding(dir.path(), "ada"), [""; 0]);
}

#[tokio::test]
async fn j8_nobody_costs_no_file_and_what_a_crash_has_left_is_removed_at_the_next_opening() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&LogOptions::in_folder(dir.path()));
    fill(&*log, 0..20, 1).await;
    assert_eq!(log.erase(of("nobody")).await.expect("an erasure"), LogErased::default());
    assert_eq!(log.stat().await.expect("a stat").files, 1, "nothing was sealed");
    log.close().await.expect("a close");
    assert!(matches!(log.erase(of("nobody")).await, Err(LogError::Closed)));
    fs::write(dir.path().join("history-1.unfinished"), b"half of it").expect("a file");
    let log = open(&LogOptions::in_folder(dir.path()));
    assert!(!dir.path().join("history-1.unfinished").exists());
    assert_eq!(log.erase(of("a-3")).await.expect("an erasure").sends, 1);
}

#[tokio::test]
async fn j8_questions_and_appends_go_on_while_files_are_written_anew() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&small(dir.path()));
    fill(&*log, 0..200, 3).await;
    let erasing = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.erase(of("a-7")).await })
    };
    for number in 200..300 {
        log.append(batches(number..number + 1, 3)).await.expect("an append");
        assert_eq!(one(&*log, &format!("m-{}", number * 3)).await.len(), 1);
        assert_eq!(one(&*log, "m-1").await.len(), 1);
    }
    assert!(erasing.await.expect("a task").expect("an erasure").sends >= 12);
    // What came meanwhile is erased by the repetition.
    while log.erasable(of("a-7")).await.expect("a look").sends > 0 {
        log.erase(of("a-7")).await.expect("an erasure");
    }
    let sends = all(&*log, SendQuery::default()).await;
    let blank = sends.iter().filter(|found| found.send.message_id.is_empty()).count();
    assert_eq!((sends.len(), blank), (900, 18));
}
