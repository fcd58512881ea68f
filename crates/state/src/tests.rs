//! What is the SQLite store's own: fences, damage, backups, formats, files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anole_event::{LaneId, ManualClock, Position, Reason, Timestamp};
use anole_telemetry::Telemetry;
use tempfile::TempDir;

use crate::conformance::{self, parked};
mod damage;
mod erasure;

use crate::{
    Identity, IdentityKey, IdentityOf, LaneCommit, OpenError, ParkedFilter, Progress, Sqlite, State, StateError,
    StateOptions,
};

fn options(dir: &Path) -> StateOptions {
    StateOptions::in_folder(dir)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_000)))
}

fn try_open(options: &StateOptions) -> (Result<Arc<Sqlite>, OpenError>, Arc<Telemetry>) {
    let telemetry = Telemetry::new(clock());
    (Sqlite::open(options, Arc::clone(&telemetry), clock()), telemetry)
}

fn open(dir: &Path) -> Arc<Sqlite> {
    try_open(&options(dir)).0.expect("a state")
}

fn lane() -> LaneId {
    LaneId::new("shop", "kameleoon")
}

fn at(offset: u64) -> LaneCommit {
    let progress = vec![Progress { watermark: Position::at(offset), finished: Vec::new() }];
    LaneCommit { progress, ..LaneCommit::new(lane()) }
}

async fn watermark(state: &dyn State) -> Option<u64> {
    state.progress(lane()).await.expect("progress").first().map(|progress| progress.watermark.offset)
}

fn said(telemetry: &Telemetry, line: &str) -> bool {
    telemetry.render().lines().any(|said| said == line)
}

/// A state with progress 5 in its backup and 9 in the database, its files copied as a crash would leave them.
async fn crashed(dir: &Path) {
    let live = TempDir::new().expect("a folder");
    let state = open(live.path());
    state.register(lane(), vec![Position::at(1)], Timestamp::from_millis(1)).await.expect("a lane");
    state.commit(vec![at(5)]).await.expect("a commit");
    state.backup().await.expect("a backup");
    let commit = LaneCommit { parked: vec![parked(6, "page", Reason::Refused)], ..at(9) };
    state.commit(vec![commit]).await.expect("a commit");
    for name in ["state.db", "state.db-wal", "state.db.backup"] {
        fs::copy(live.path().join(name), dir.join(name)).expect("a copy");
    }
}

/// Moves what is in the write-ahead log into the database: damage there would be healed from the log otherwise.
fn checkpoint(dir: &Path) {
    let connection = rusqlite::Connection::open(dir.join("state.db")).expect("the database");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
}

fn set_aside(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.contains("damaged")).collect()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let dir = TempDir::new().expect("a folder");
    conformance::all(|place| {
        let state = open(&dir.path().join(place.to_string()));
        async move { state }
    })
    .await;
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash() {
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    let state = open(dir.path());
    assert_eq!(watermark(&*state).await, Some(9));
    assert_eq!(state.parked(ParkedFilter::default()).await.expect("parked").len(), 1);
    let backup = state.last_backup().expect("the backup");
    assert_eq!(backup.lanes[0].progress[0].watermark, Position::at(5), "retention goes by what the backup holds");
}

#[tokio::test]
async fn commits_of_many_callers_all_arrive() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    let lanes: Vec<_> = (0..40).map(|number| LaneId::new("shop", &number.to_string())).collect();
    for lane in &lanes {
        state.register(lane.clone(), vec![Position::at(0)], Timestamp::from_millis(1)).await.expect("a lane");
    }
    let tasks: Vec<_> = lanes
        .iter()
        .cloned()
        .map(|lane| {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                for offset in 1..=20 {
                    state.commit(vec![LaneCommit { lane: lane.clone(), ..at(offset) }]).await.expect("a commit");
                    let unknown = LaneCommit::new(LaneId::new("no", "lane"));
                    assert!(state.commit(vec![unknown]).await.is_err(), "another's refusal stays with the other");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task that ends well");
    }
    for lane in lanes {
        assert_eq!(state.progress(lane).await.expect("progress")[0].watermark.offset, 20);
    }
}

#[tokio::test]
async fn a_damaged_state_is_replaced_by_its_backup() {
    for damage in [&b"this is no database at all, whatever it was before"[..], &[0xab; 40_000]] {
        let dir = TempDir::new().expect("a folder");
        crashed(dir.path()).await;
        checkpoint(dir.path());
        // Its write-ahead log must not be laid over the backup.
        fs::write(dir.path().join("state.db"), damage).expect("damage");
        let (state, telemetry) = try_open(&options(dir.path()));
        let state = state.expect("it starts anyway");
        assert_eq!(watermark(&*state).await, Some(5), "lanes go on from the backup");
        assert_eq!(state.parked(ParkedFilter::default()).await.expect("parked"), []);
        assert!(said(&telemetry, "anole_state_restored_total 1"));
        assert!(!set_aside(dir.path()).is_empty(), "the damaged file is kept for a look");
        state.commit(vec![at(6)]).await.expect("it can be written");
    }
}

#[tokio::test]
async fn a_page_in_the_middle_that_is_damaged_is_found() {
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    let file = dir.path().join("state.db");
    checkpoint(dir.path());
    let mut bytes = fs::read(&file).expect("the database");
    for page in bytes.chunks_mut(4096).skip(2) {
        page[..200].fill(0xff);
    }
    fs::write(&file, bytes).expect("damage");
    let (state, telemetry) = try_open(&options(dir.path()));
    assert_eq!(watermark(&*state.expect("it starts anyway")).await, Some(5));
    assert!(said(&telemetry, "anole_state_restored_total 1"));
}

#[tokio::test]
async fn a_state_that_is_gone_comes_back_from_its_backup() {
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    for name in ["state.db", "state.db-wal"] {
        fs::remove_file(dir.path().join(name)).expect("a file less");
    }
    assert_eq!(watermark(&*open(dir.path())).await, Some(5));
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    checkpoint(dir.path());
    fs::write(dir.path().join("state.db"), b"").expect("an empty file");
    assert_eq!(watermark(&*open(dir.path())).await, Some(5));
}

#[tokio::test]
async fn without_a_good_backup_it_starts_empty_and_says_so() {
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    checkpoint(dir.path());
    fs::write(dir.path().join("state.db"), b"no database, that is for sure").expect("damage");
    fs::write(dir.path().join("state.db.backup"), b"nor is this one, it never was").expect("damage");
    let (state, telemetry) = try_open(&options(dir.path()));
    let state = state.expect("it starts anyway");
    assert_eq!(state.lanes().await.expect("lanes"), []);
    assert!(said(&telemetry, "anole_state_restored_total 1"));
    assert!(set_aside(dir.path()).iter().any(|name| name.starts_with("state.db.backup.damaged")));
}

#[tokio::test]
async fn a_damaged_state_does_not_overwrite_its_backup() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    state.register(lane(), vec![Position::at(1)], Timestamp::from_millis(1)).await.expect("a lane");
    state.commit(vec![at(5)]).await.expect("a commit");
    state.backup().await.expect("a backup");
    let good = fs::read(dir.path().join("state.db.backup")).expect("the backup");
    {
        let connection = rusqlite::Connection::open(dir.path().join("state.db")).expect("the database");
        // What damage may look like that only reading finds: ranges that nobody wrote.
        connection.execute("UPDATE progress SET finished = x'ff'", []).expect("damage");
    }
    state.pause(lane(), Some(Timestamp::from_millis(2))).await.expect("a change, so that there is something to copy");
    let refused = state.backup().await;
    assert!(matches!(refused, Err(StateError::Damaged { .. })), "{refused:?}");
    assert_eq!(fs::read(dir.path().join("state.db.backup")).expect("the backup"), good);
    assert!(dir.path().join("state.db.suspect").exists(), "the next opening looks at every page");
    drop(state);
    assert_eq!(watermark(&*open(dir.path())).await, Some(5));
    assert!(!dir.path().join("state.db.suspect").exists());
}

#[tokio::test]
async fn a_newer_format_is_refused_with_a_code_and_left_alone() {
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    let file = dir.path().join("state.db");
    rusqlite::Connection::open(&file)
        .and_then(|db| db.pragma_update(None, "user_version", 99))
        .expect("a newer format");
    for read_only in [false, true] {
        let opened = if read_only {
            Sqlite::open_read_only(&options(dir.path()), Telemetry::new(clock()), clock())
        } else {
            try_open(&options(dir.path())).0
        };
        let error = opened.expect_err("refused");
        assert_eq!(error.code().as_str(), "state_newer");
        assert!(error.to_string().contains("format 99"), "{error}");
    }
    assert_eq!(set_aside(dir.path()), [""; 0]);
}

#[tokio::test]
async fn files_are_for_the_owner_only() {
    let dir = TempDir::new().expect("a folder");
    let data = dir.path().join("data");
    let state = open(&data);
    state.backup().await.expect("a backup");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["state.db", "state.db-wal", "state.db-shm", "state.db.backup"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_look_at_the_files_changes_nothing() {
    let dir = TempDir::new().expect("a folder");
    let look = || Sqlite::open_read_only(&options(dir.path()), Telemetry::new(clock()), clock());
    assert_eq!(look().expect_err("nothing there").code().as_str(), "state_missing");
    crashed(dir.path()).await;
    let state = look().expect("a look");
    assert_eq!(watermark(&*state).await, Some(9));
    assert!(matches!(state.commit(vec![at(1)]).await, Err(StateError::ReadOnly)));
    assert!(matches!(state.backup().await, Err(StateError::ReadOnly)));
    state.close().await.expect("closed");
}

fn key(id: usize) -> IdentityKey {
    IdentityKey { pipeline: "shop".into(), name: "code".into(), id: IdentityOf::User(id.to_string().into()) }
}

fn identity(id: usize, received: i64) -> Identity {
    Identity { key: key(id), value: format!("code-{id}").into(), received_at: Timestamp::from_millis(received) }
}

#[tokio::test]
async fn identities_are_there_after_a_restart_and_bounded_by_count() {
    let dir = TempDir::new().expect("a folder");
    let bounded = StateOptions { identities: 640, ..options(dir.path()) };
    let state = try_open(&bounded).0.expect("a state");
    state.remember((0..640).map(|id| identity(id, i64::try_from(id).expect("small"))).collect());
    state.remember(vec![identity(640, 640)]);
    state.close().await.expect("closed");
    let state = try_open(&bounded).0.expect("a state");
    let answers = state.identities((0..=641).map(key).collect()).await.expect("answers");
    assert_eq!(answers[640].as_deref(), Some("code-640"));
    assert_eq!(answers[641], None);
    assert_eq!(answers.iter().flatten().count(), 630, "the oldest are gone");
    assert!(answers[..11].iter().all(Option::is_none));
    let connection = rusqlite::Connection::open(dir.path().join("state.db")).expect("the database");
    let rows: i64 = connection.query_row("SELECT count(*) FROM identities", [], |row| row.get(0)).expect("a count");
    assert_eq!(rows, 630);
}

#[tokio::test]
async fn an_older_identity_does_not_win_after_a_restart() {
    let dir = TempDir::new().expect("a folder");
    let ages = options(dir.path());
    let state = try_open(&ages).0.expect("a state");
    state.remember(vec![Identity { value: "new".into(), ..identity(1, 20) }]);
    state.close().await.expect("closed");
    let state = try_open(&ages).0.expect("a state");
    state.remember(vec![Identity { value: "late".into(), ..identity(1, 10) }]);
    assert_eq!(state.identities(vec![key(1)]).await.expect("answers"), [Some("new".to_owned())]);
}
