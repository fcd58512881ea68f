//! What is erased is gone from the tables and from the bytes of the files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anole_event::{Position, Random, Reason, Record, Seeded, Timestamp};
use bytes::Bytes;
use tempfile::TempDir;

use super::{at, crashed, identity, key, lane, open, options, try_open};
use crate::conformance::{deferred, parked};
use crate::{
    Deferred, DeferredFilter, Erase, IdentitiesOf, Identity, IdentityKey, IdentityOf, IdentityValue, LaneCommit,
    Matches, Parked, ParkedFilter, SendKey, Sqlite, State, StateError,
};

/// So many rows that indexes have inner pages.
const OFFSETS: u64 = 1_000;
const MARK: &str = "person-8f3a-of-the-test";

fn marked() -> Matches {
    Arc::new(|record: &Record| contains(record.bytes(), MARK.as_bytes()))
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    // By the first byte, as comparing every window is slow in a test build.
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == text[0]) {
        if rest[at..].starts_with(text) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The files in which the mark stands.
fn files_with_mark(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if contains(&fs::read(&path).expect("a file"), MARK.as_bytes()) {
            found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    found
}

/// A record of this many bytes, the person's or somebody else's. Other fields say who it is as well.
fn record(random: &mut Seeded, is_theirs: bool) -> Bytes {
    let most = if random.below(10) == 0 { 20_000 } else { 400 };
    let mut bytes: Vec<u8> = (0..40 + random.below(most)).map(|_| b'a' + random.below(26) as u8).collect();
    if is_theirs {
        let at = random.below((bytes.len() - MARK.len()) as u64) as usize;
        bytes[at..at + MARK.len()].copy_from_slice(MARK.as_bytes());
    }
    bytes.into()
}

fn park(random: &mut Seeded, offset: u64, is_theirs: bool) -> Parked {
    let who = if is_theirs { MARK } else { "somebody" };
    Parked {
        message_id: format!("{who}-{offset}"),
        detail: Some(format!("{who} {}", "x".repeat(random.below(300) as usize))),
        record: record(random, is_theirs),
        ..parked(offset, "page", Reason::Refused)
    }
}

fn defer(random: &mut Seeded, offset: u64, is_theirs: bool) -> Deferred {
    let who = if is_theirs { MARK } else { "somebody" };
    Deferred {
        message_id: format!("{who}-{offset}"),
        record: record(random, is_theirs),
        ..deferred(offset, offset.cast_signed())
    }
}

/// Parks, defers, replaces and takes back at random; an offset is the person's for good or never.
async fn busy(state: &Sqlite, random: &mut Seeded, commits: u64) {
    for _ in 0..commits {
        let mut commit = LaneCommit::new(lane());
        for _ in 0..random.below(40) {
            let offset = random.below(OFFSETS);
            let is_theirs = offset.is_multiple_of(5);
            if random.below(2) == 0 {
                commit.parked.push(park(random, offset, is_theirs));
            } else {
                commit.deferred.push(defer(random, offset, is_theirs));
            }
        }
        let key = SendKey { position: Position::at(random.below(OFFSETS)), ordinal: 1 };
        commit.undeferred.push(key);
        if let Some(row) = state.parked(ParkedFilter { limit: 3, ..ParkedFilter::default() }).await.expect("rows").pop()
        {
            commit.unparked.push(row.id);
        }
        state.commit(vec![commit]).await.expect("a commit");
        if random.below(20) == 0 {
            state.backup().await.expect("a backup");
        }
    }
}

/// As the verb does it: find, tell the log (here nobody), erase, until nothing is found.
async fn erase_all(state: &Sqlite, identities: Vec<IdentitiesOf>) -> usize {
    let mut erased = 0;
    loop {
        let found = state.erasable(marked(), 50).await.expect("what is to be erased");
        let sends: Vec<_> = found.iter().map(|one| (one.lane.clone(), one.key)).collect();
        let done = state
            .erase(Erase { sends: sends.clone(), identities: identities.clone(), values: Vec::new() })
            .await
            .expect("erased");
        assert_eq!(done.sends.len(), sends.len());
        erased += done.sends.len();
        if sends.is_empty() {
            return erased;
        }
    }
}

#[tokio::test]
async fn j8_the_bytes_of_a_person_are_in_no_file_after_erase_returned() {
    for seed in 0..4 {
        let dir = TempDir::new().expect("a folder");
        let state = open(dir.path());
        let mut random = Seeded::new(seed);
        state.register(lane(), vec![Position::at(0)], Timestamp::from_millis(1)).await.expect("a lane");
        let user = IdentityOf::User(MARK.into());
        let theirs = IdentityKey { id: user.clone(), ..key(0) };
        state.remember(vec![
            Identity {
                key: theirs.clone(),
                value: format!("code {MARK}").into(),
                received_at: Timestamp::from_millis(1),
            },
            identity(3, 1),
        ]);
        busy(&state, &mut random, 60).await;
        state.backup().await.expect("a backup");
        let before = files_with_mark(dir.path());
        assert!(before.contains(&"state.db.backup".to_owned()), "seed {seed}: {before:?}");
        let whose = IdentitiesOf { pipeline: "shop".into(), id: user };
        let erased = erase_all(&state, vec![whose]).await;
        assert!(erased > 100, "seed {seed}: {erased}");
        assert_eq!(files_with_mark(dir.path()), [""; 0], "seed {seed}");
        assert_eq!(state.identities(vec![theirs, key(3)]).await.expect("answers"), [None, Some("code-3".to_owned())]);
        let left = state.parked(ParkedFilter { limit: 5_000, ..ParkedFilter::default() }).await.expect("parked").len();
        let counted: u64 = state.parked_counts().await.expect("counts").iter().map(|count| count.count).sum();
        assert!(left > 100 && counted == left as u64, "seed {seed}: counts go with the rows: {counted} of {left}");
        busy(&state, &mut random, 5).await;
        state.commit(vec![at(9)]).await.expect("it goes on");
        state.close().await.expect("closed");
    }
}

#[tokio::test]
async fn j8_what_is_only_remembered_or_just_read_is_forgotten_too() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    state.remember(vec![identity(1, 1)]);
    state.backup().await.expect("written");
    state.close().await.expect("closed");
    let state = open(dir.path());
    assert_eq!(state.identities(vec![key(1)]).await.expect("answers"), [Some("code-1".to_owned())]);
    state.remember(vec![identity(2, 1)]);
    let whose = |id: usize| IdentitiesOf { pipeline: "shop".into(), id: IdentityOf::User(id.to_string().into()) };
    let elsewhere = IdentitiesOf { pipeline: "blog".into(), ..whose(1) };
    let kept = state.erase(Erase { identities: vec![elsewhere], ..Erase::default() }).await.expect("erased");
    assert_eq!(kept.identities, 0, "pipelines share nothing");
    let erase = Erase { identities: vec![whose(1), whose(2), whose(9)], ..Erase::default() };
    assert_eq!(state.erase(erase).await.expect("erased").identities, 1, "the other was not written yet");
    assert_eq!(state.identities(vec![key(1), key(2)]).await.expect("answers"), [None, None]);
    state.remember(vec![identity(1, 0)]);
    assert_eq!(
        state.identities(vec![key(1)]).await.expect("answers"),
        [Some("code-1".to_owned())],
        "what comes in anew is remembered anew"
    );
    state.close().await.expect("closed");
    let state = open(dir.path());
    assert_eq!(state.identities(vec![key(2)]).await.expect("answers"), [None]);
}

#[tokio::test]
async fn j8_a_value_is_found_and_forgotten_whosever_it_is() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    state.remember(vec![identity(1, 1), identity(2, 1)]);
    state.backup().await.expect("written");
    state.remember(vec![Identity { value: "code-1".into(), ..identity(3, 1) }]);
    let linked = state.linked("code-1".to_owned()).await.expect("a look");
    assert_eq!(
        linked.iter().map(|one| &one.key).collect::<Vec<_>>(),
        [&key(1), &key(3)],
        "also what was just remembered"
    );
    let linked = state.linked("2".to_owned()).await.expect("a look");
    assert_eq!(linked.iter().map(|one| &*one.value).collect::<Vec<_>>(), ["code-2"], "by the id too");
    let value = |pipeline: &str| IdentityValue { pipeline: pipeline.into(), value: "code-1".into() };
    let erase = |pipeline| Erase { values: vec![value(pipeline)], ..Erase::default() };
    assert_eq!(state.erase(erase("blog")).await.expect("erased").identities, 0, "pipelines share nothing");
    assert_eq!(state.erase(erase("shop")).await.expect("erased").identities, 2);
    let answers = state.identities(vec![key(1), key(2), key(3)]).await.expect("answers");
    assert_eq!(answers, [None, Some("code-2".to_owned()), None]);
    assert!(state.linked("code-1".to_owned()).await.expect("a look").is_empty());
}

#[tokio::test]
async fn j8_an_erasure_that_was_cut_off_is_completed_by_the_next_one() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    state.register(lane(), vec![Position::at(0)], Timestamp::from_millis(1)).await.expect("a lane");
    let mut random = Seeded::new(1);
    let commit = LaneCommit { parked: vec![park(&mut random, 5, true)], ..LaneCommit::new(lane()) };
    state.commit(vec![commit]).await.expect("a commit");
    state.backup().await.expect("a backup");
    let found = state.erasable(marked(), 10).await.expect("found");
    assert_eq!((found.len(), &*found[0].event, &*found[0].rule), (1, "page", "page"));
    let erase = Erase { sends: vec![(found[0].lane.clone(), found[0].key)], ..Erase::default() };
    {
        let shell = rusqlite::Connection::open(dir.path().join("state.db")).expect("a shell");
        shell.execute_batch("BEGIN").expect("begun");
        let rows: i64 = shell.query_row("SELECT count(*) FROM parked", [], |row| row.get(0)).expect("a look");
        assert_eq!(rows, 1);
        let held = state.erase(erase.clone()).await.expect_err("somebody reads");
        assert!(matches!(held, StateError::HeldOpen) && held.is_transient(), "{held}");
        assert!(held.to_string().contains("sqlite3"), "{held}");
    }
    assert_eq!(state.parked(ParkedFilter::default()).await.expect("parked"), [], "the rows are gone all the same");
    assert!(!files_with_mark(dir.path()).is_empty());
    let erased = state.erase(erase).await.expect("erased");
    assert_eq!(erased.sends, [], "there was nothing left in the tables");
    assert_eq!(files_with_mark(dir.path()), [""; 0]);
}

#[tokio::test]
async fn j8_what_moved_between_the_two_steps_is_erased_where_it_is() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    state.register(lane(), vec![Position::at(0)], Timestamp::from_millis(1)).await.expect("a lane");
    let mut random = Seeded::new(2);
    let (first, second) = (defer(&mut random, 5, true), defer(&mut random, 6, true));
    let commit = LaneCommit { deferred: vec![first.clone(), second], ..LaneCommit::new(lane()) };
    state.commit(vec![commit]).await.expect("a commit");
    let found = state.erasable(marked(), 10).await.expect("found");
    let moved = Parked { ordinal: first.ordinal, ..park(&mut random, 5, true) };
    let gone = SendKey { position: Position::at(6), ordinal: 1 };
    let commit = LaneCommit { parked: vec![moved], undeferred: vec![first.key(), gone], ..LaneCommit::new(lane()) };
    state.commit(vec![commit]).await.expect("a commit");
    let sends = found.iter().map(|one| (one.lane.clone(), one.key)).collect();
    let erased = state.erase(Erase { sends, ..Erase::default() }).await.expect("erased");
    assert_eq!(erased.sends, [(lane(), first.key())]);
    assert_eq!(state.parked(ParkedFilter::default()).await.expect("parked"), []);
    assert_eq!(state.deferred(DeferredFilter::default()).await.expect("deferred"), []);
    assert_eq!(files_with_mark(dir.path()), [""; 0]);
}

#[tokio::test]
async fn tables_that_were_built_anew_are_what_they_were() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    state.register(lane(), vec![Position::at(0)], Timestamp::from_millis(1)).await.expect("a lane");
    let shape = || {
        let db = rusqlite::Connection::open(dir.path().join("state.db")).expect("the database");
        let mut statement = db
            .prepare("SELECT type, name, tbl_name, replace(sql, '\"', '') FROM sqlite_schema ORDER BY type, name")
            .expect("a statement");
        let row = |row: &rusqlite::Row<'_>| {
            Ok(format!("{:?}", (0..4).map(|at| row.get::<_, Option<String>>(at)).collect::<Result<Vec<_>, _>>()?))
        };
        statement.query_map([], row).expect("rows").collect::<Result<Vec<_>, _>>().expect("rows")
    };
    let before = shape();
    let commit = LaneCommit {
        parked: vec![parked(1, "page", Reason::Refused), parked(2, "page", Reason::Refused)],
        ..LaneCommit::new(lane())
    };
    state.commit(vec![commit]).await.expect("a commit");
    let newest = state.parked(ParkedFilter::default()).await.expect("parked")[0].id;
    let key = |offset| (lane(), SendKey { position: Position::at(offset), ordinal: 0 });
    for _ in 0..3 {
        state.erase(Erase { sends: vec![key(2)], ..Erase::default() }).await.expect("erased");
    }
    assert_eq!(shape(), before);
    let commit = LaneCommit { parked: vec![parked(3, "page", Reason::Refused)], ..LaneCommit::new(lane()) };
    state.commit(vec![commit]).await.expect("a commit");
    let rows = state.parked(ParkedFilter::default()).await.expect("parked");
    assert_eq!(rows.len(), 2);
    assert!(rows[0].id > newest, "an id is never given twice");
    state.erase(Erase { sends: vec![key(1), key(3)], ..Erase::default() }).await.expect("erased");
    assert_eq!(state.parked_counts().await.expect("counts"), []);
}

#[tokio::test]
async fn j8_copies_that_are_not_touched_are_named() {
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    fs::remove_file(dir.path().join("state.db-wal")).expect("its log is lost");
    fs::write(dir.path().join("state.db.format-1"), b"an old copy").expect("a file");
    let state = try_open(&options(dir.path())).0.expect("a state");
    let erased = state.erase(Erase::default()).await.expect("erased");
    let names: Vec<_> =
        erased.left.iter().map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("state.db.damaged-") && names[1] == "state.db.format-1", "{names:?}");
}

#[tokio::test]
async fn who_may_not_write_may_not_erase() {
    let dir = TempDir::new().expect("a folder");
    let first = open(dir.path());
    first.register(lane(), vec![Position::at(0)], Timestamp::from_millis(1)).await.expect("a lane");
    first
        .commit(vec![LaneCommit { parked: vec![parked(5, "page", Reason::Refused)], ..at(3) }])
        .await
        .expect("a commit");
    let second = open(dir.path());
    let key = SendKey { position: Position::at(5), ordinal: 0 };
    let erase = Erase { sends: vec![(lane(), key)], ..Erase::default() };
    assert!(matches!(first.erase(erase.clone()).await, Err(StateError::Fenced { .. })));
    assert!(matches!(first.backup().await, Err(StateError::Fenced { .. })), "nor replace the other's backup");
    assert_eq!(second.parked(ParkedFilter::default()).await.expect("parked").len(), 1);
    assert_eq!(second.erase(erase.clone()).await.expect("erased").sends, [(lane(), key)]);
    second.close().await.expect("closed");
    assert!(matches!(second.erase(erase).await, Err(StateError::Closed)));
}
