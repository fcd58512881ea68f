//! Rows on their way into the database: they are part of the log from the append on, whatever happens.

use super::*;

/// The files as they are, as a kill of the process leaves them.
fn killed(dir: &Path) -> TempDir {
    let copy = TempDir::new().expect("a folder");
    for entry in fs::read_dir(dir).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("a copy");
    }
    copy
}

fn intake(dir: &Path) -> std::path::PathBuf {
    dir.join("history-1.db-intake")
}

fn rows(dir: &Path) -> u32 {
    let db = rusqlite::Connection::open(dir.join("history-1.db")).expect("a database");
    db.query_row("SELECT count(*) FROM entries", [], |row| row.get(0)).expect("a count")
}

/// Few enough appends, and enough room, that nothing comes into the database unless it must.
fn roomy(dir: &Path) -> LogOptions {
    LogOptions { file_bytes: u64::MAX, postings_in_memory: 1_000_000, ..small(dir) }
}

#[tokio::test]
async fn s2_what_was_appended_survives_a_kill_before_and_after_it_came_into_the_database() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&roomy(dir.path()));
    fill(&*log, 0..60, 5).await;
    assert_eq!(one(&*log, "m-299").await, ["m-299"], "a question finds what was appended before");
    assert_eq!(rows(dir.path()), 60);
    fill(&*log, 60..120, 5).await;
    assert_eq!(rows(dir.path()), 60, "these are on their way");
    let copy = killed(dir.path());
    for _ in 0..2 {
        let after = open(&roomy(copy.path()));
        for name in ["m-0", "m-299", "m-300", "m-599"] {
            assert_eq!(one(&*after, name).await, [name]);
        }
        assert!(whole_bodies(&*after, 119).await, "with its bodies");
        after.append(batches(50..125, 5)).await.expect("an append");
        assert_eq!(after.stat().await.expect("a stat").entries, 125, "those that were there are not there twice");
        assert_eq!(one(&*after, "m-620").await, ["m-620"]);
        assert_eq!(all(&*after, SendQuery::default()).await.len(), 625);
        after.close().await.expect("closed");
    }
}

async fn whole_bodies(log: &dyn DeliveryLog, number: u64) -> bool {
    let whole = log.entry(entry(number, Vec::new()).id).await.expect("a look").expect("the entry");
    whole.bodies == Bodies::Kept && whole.entry == *batches(number..number + 1, 5).first().expect("one")
}

#[tokio::test]
async fn an_append_that_was_cut_off_is_not_there_and_those_before_are() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&roomy(dir.path()));
    fill(&*log, 0..3, 2).await;
    log.append(batches(3..6, 2)).await.expect("an append of three entries");
    let length = fs::metadata(intake(dir.path())).expect("the intake").len();
    for (cut, damage) in [(1, None), (200, None), (0, Some(length as usize - 30))] {
        let copy = killed(dir.path());
        let mut bytes = fs::read(intake(copy.path())).expect("the intake");
        bytes.truncate(bytes.len() - cut);
        if let Some(at) = damage {
            bytes[at] ^= 1;
        }
        fs::write(intake(copy.path()), bytes).expect("damage");
        let after = open(&roomy(copy.path()));
        assert_eq!(one(&*after, "m-5").await, ["m-5"]);
        assert_eq!(one(&*after, "m-6").await, [""; 0], "an append is there whole or not at all");
        after.append(batches(3..6, 2)).await.expect("it is appended again");
        assert_eq!(one(&*after, "m-6").await, ["m-6"]);
        assert_eq!(after.stat().await.expect("a stat").entries, 6);
    }
}

#[tokio::test]
async fn a_look_at_the_files_sees_what_is_on_its_way_and_changes_nothing() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&roomy(dir.path()));
    fill(&*log, 0..4, 3).await;
    log.stat().await.expect("a question");
    let other = Entry { lane: LaneId::new("blog", "other"), ..entry(7, vec![send(70)]) };
    fill(&*log, 4..6, 3).await;
    log.append(Arc::new(vec![other])).await.expect("an append");
    let copy = killed(dir.path());
    let before = fs::read(intake(copy.path())).expect("the intake");
    let looked = Sqlite::open_read_only(&roomy(copy.path()), Telemetry::new(clock()), clock()).expect("a look");
    for name in ["m-0", "m-17", "m-70"] {
        assert_eq!(one(&*looked, name).await, [name]);
    }
    let of_lane = SendQuery { lane: Some(LaneId::new("blog", "other")), ..SendQuery::default() };
    assert_eq!(found(&all(&*looked, of_lane).await), ["m-70"]);
    let in_time = SendQuery { from: Some(at(5)), ..SendQuery::default() };
    assert_eq!(found(&all(&*looked, in_time).await), ["m-70", "m-17", "m-16", "m-15"]);
    assert_eq!(looked.stat().await.expect("a stat").entries, 7);
    looked.close().await.expect("closed");
    assert_eq!(fs::read(intake(copy.path())).expect("the intake"), before);
    assert_eq!(rows(copy.path()), 4);
}

#[tokio::test]
async fn a_file_of_the_format_before_is_read_and_raised() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&roomy(dir.path()));
    fill(&*log, 0..4, 3).await;
    log.close().await.expect("closed");
    fs::remove_file(intake(dir.path())).expect("format 2 had none");
    blocks_within(dir.path());
    let format = |set: Option<u32>| {
        let db = rusqlite::Connection::open(dir.path().join("history-1.db")).expect("a database");
        set.map(|format| db.pragma_update(None, "user_version", format)).transpose().expect("a format");
        db.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0)).expect("a format")
    };
    assert_eq!(format(Some(2)), 2);
    let looked = Sqlite::open_read_only(&roomy(dir.path()), Telemetry::new(clock()), clock()).expect("a look");
    assert_eq!(one(&*looked, "m-11").await, ["m-11"]);
    drop(looked);
    let log = open(&roomy(dir.path()));
    fill(&*log, 4..6, 3).await;
    assert_eq!(one(&*log, "m-17").await, ["m-17"]);
    assert_eq!(one(&*log, "m-0").await, ["m-0"]);
    log.close().await.expect("closed");
    assert_eq!(format(None), 4, "an anole that knows neither intake nor blocks refuses it");
}

/// Makes of a file one as it was before blocks stood beside it.
fn blocks_within(dir: &Path) {
    let (file, bytes) = (dir.join("history-1.db"), fs::read(dir.join("history-1.db-blocks")).expect("the blocks"));
    let db = rusqlite::Connection::open(file).expect("a database");
    let mut rows = db.prepare("SELECT row, block FROM entries ORDER BY row").expect("a statement");
    let places = rows.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?))).expect("rows");
    for (row, place) in places.map(|row| row.expect("a row")).collect::<Vec<_>>() {
        let (at, length) = stands(&place);
        db.execute("UPDATE entries SET block = ?2 WHERE row = ?1", (row, &bytes[at..at + length])).expect("a block");
    }
    fs::remove_file(dir.join("history-1.db-blocks")).expect("it had none");
}

/// Where a block stands: two of the numbers behind the mark, LEB128.
fn stands(place: &[u8]) -> (usize, usize) {
    let mut numbers = place[1..]
        .split_inclusive(|byte| byte & 0x80 == 0)
        .map(|number| number.iter().rev().fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f)));
    (numbers.next().expect("a place"), numbers.next().expect("a length"))
}

#[tokio::test]
async fn a_power_cut_that_took_blocks_takes_the_last_rows_and_no_other() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&roomy(dir.path()));
    fill(&*log, 0..6, 3).await;
    assert_eq!(all(&*log, SendQuery::default()).await.len(), 18);
    let copy = killed(dir.path());
    let blocks = copy.path().join("history-1.db-blocks");
    let length = fs::metadata(&blocks).expect("metadata").len();
    fs::OpenOptions::new().write(true).open(&blocks).and_then(|file| file.set_len(length - 1)).expect("a cut");
    fs::remove_file(intake(copy.path())).expect("the intake, which was not synced either");
    let log = open(&roomy(copy.path()));
    assert_eq!(one(&*log, "m-14").await, ["m-14"]);
    assert_eq!(one(&*log, "m-15").await, [""; 0]);
    fill(&*log, 5..7, 3).await;
    assert_eq!(all(&*log, SendQuery::default()).await.len(), 21, "what was lost is appended again");
    assert_eq!(one(&*log, "m-15").await, ["m-15"]);
}

#[tokio::test]
async fn s2_an_append_of_what_is_there_already_leaves_those_after_it_readable() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&roomy(dir.path()));
    fill(&*log, 0..3, 2).await;
    fill(&*log, 1..3, 2).await;
    fill(&*log, 3..6, 2).await;
    let copy = killed(dir.path());
    for log in [log, open(&roomy(copy.path()))] {
        assert_eq!(log.stat().await.expect("a stat").entries, 6);
        assert_eq!(all(&*log, SendQuery::default()).await.len(), 12);
    }
}

#[tokio::test]
async fn a_sealed_file_has_nothing_on_its_way() {
    let dir = TempDir::new().expect("a folder");
    let log = open(&LogOptions { file_bytes: 1, ..small(dir.path()) });
    fill(&*log, 0..3, 2).await;
    assert_eq!(log.stat().await.expect("a stat").entries, 3);
    assert!(!intake(dir.path()).exists(), "its rows are in the database");
    assert_eq!(rows(dir.path()), 1);
}
