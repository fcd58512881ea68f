//! Files that are damaged, gone, foreign or older than they should be: the state starts all the same, with its backup.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anole_event::{Position, Random, Seeded, Timestamp};
use anole_telemetry::Telemetry;
use tempfile::TempDir;

use super::{at, checkpoint, clock, crashed, lane, open, options, said, set_aside, try_open, watermark};
use crate::file::{self, Files};
use crate::recover::{self, Found};
use crate::{OpenError, Sqlite, State};

/// The crashed state (5 in its backup, 9 in its database), without a write-ahead log.
async fn settled(dir: &Path) -> PathBuf {
    crashed(dir).await;
    checkpoint(dir);
    let log = dir.join("state.db-wal");
    if log.exists() {
        fs::remove_file(log).expect("an empty log");
    }
    dir.join("state.db")
}

/// Opens what is there, which must be as it was or as of the backup, and take commits.
async fn opens(dir: &Path) -> u64 {
    let state = try_open(&options(dir)).0.expect("it starts anyway");
    let found = watermark(&*state).await.expect("the lane");
    assert!(found == 9 || found == 5, "{found}");
    state.commit(vec![at(10)]).await.expect("it can be written");
    found
}

#[tokio::test]
async fn s3_a_truncated_state_is_replaced_by_its_backup() {
    let whole = TempDir::new().expect("a folder");
    let length = fs::metadata(settled(whole.path()).await).expect("a file").len();
    for cut in [1, 15, 100, 512, 4_095, 4_096, 8_192, length / 2, length - 4_096, length - 1] {
        let dir = TempDir::new().expect("a folder");
        let file = settled(dir.path()).await;
        fs::OpenOptions::new().write(true).open(file).and_then(|file| file.set_len(cut)).expect("a cut");
        assert_eq!(opens(dir.path()).await, 5, "cut at {cut} of {length}");
        assert_eq!(set_aside(dir.path()).len(), 1, "what is left of it is kept for a look");
    }
}

#[tokio::test]
async fn s3_a_state_of_zeros_is_replaced_by_its_backup() {
    for (from, to) in [(0, usize::MAX), (0, 4_096), (4_096, usize::MAX)] {
        let dir = TempDir::new().expect("a folder");
        let file = settled(dir.path()).await;
        let mut bytes = fs::read(&file).expect("the database");
        let to = to.min(bytes.len());
        bytes[from..to].fill(0);
        fs::write(file, bytes).expect("damage");
        assert_eq!(opens(dir.path()).await, 5, "zeros from {from}");
    }
}

#[tokio::test]
async fn s3_whatever_bytes_change_the_state_starts_as_it_was_or_as_of_its_backup() {
    let whole = TempDir::new().expect("a folder");
    let good = fs::read(settled(whole.path()).await).expect("the database");
    let backup = fs::read(whole.path().join("state.db.backup")).expect("the backup");
    let mut restored = 0;
    for seed in 0..60 {
        let mut random = Seeded::new(seed);
        let dir = TempDir::new().expect("a folder");
        let mut bytes = good.clone();
        for _ in 0..=random.below(30) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        fs::write(dir.path().join("state.db"), bytes).expect("damage");
        fs::write(dir.path().join("state.db.backup"), &backup).expect("the backup");
        restored += u32::from(opens(dir.path()).await == 5);
    }
    assert!(restored > 5, "some of it must be found: {restored}");
}

#[tokio::test]
async fn s3_a_damaged_backup_beside_a_good_state_holds_retention_until_the_next_one() {
    let dir = TempDir::new().expect("a folder");
    settled(dir.path()).await;
    let file = dir.path().join("state.db.backup");
    let mut bytes = fs::read(&file).expect("the backup");
    for page in bytes.chunks_mut(4_096).skip(1) {
        page[..100].fill(0xee);
    }
    fs::write(&file, bytes).expect("damage");
    let state = open(dir.path());
    assert_eq!(watermark(&*state).await, Some(9));
    assert_eq!(state.last_backup(), None, "the journal lets nothing go by it");
    let made = state.backup().await.expect("a backup");
    assert_eq!(made.lanes[0].progress[0].watermark, Position::at(9));
    assert_eq!(set_aside(dir.path()), [""; 0]);
}

#[tokio::test]
async fn s3_a_log_that_belongs_to_another_state_does_no_harm() {
    let other = TempDir::new().expect("a folder");
    let stranger = open(other.path());
    for number in 0..40 {
        let lane = anole_event::LaneId::new("other", &number.to_string());
        stranger.register(lane, vec![Position::at(number)], Timestamp::from_millis(1)).await.expect("a lane");
    }
    let dir = TempDir::new().expect("a folder");
    settled(dir.path()).await;
    fs::copy(other.path().join("state.db-wal"), dir.path().join("state.db-wal")).expect("a wrong log");
    let state = try_open(&options(dir.path())).0.expect("it starts anyway");
    let names: Vec<_> = state.lanes().await.expect("lanes").into_iter().map(|row| row.lane).collect();
    // SQLite lays a sound log over whatever it finds, and this one holds every page: what it makes is the stranger.
    assert_eq!(names, [lane()]);
    assert_eq!(watermark(&*state).await, Some(5));
}

#[tokio::test]
async fn s3_a_state_that_is_older_than_its_backup_is_set_aside() {
    let dir = TempDir::new().expect("a folder");
    let state = open(dir.path());
    state.register(lane(), vec![Position::at(1)], Timestamp::from_millis(1)).await.expect("a lane");
    state.close().await.expect("closed");
    let old = fs::read(dir.path().join("state.db")).expect("the database");
    let state = open(dir.path());
    state.commit(vec![at(5)]).await.expect("a commit");
    state.close().await.expect("closed");
    // A copy that somebody kept, or what is left when the write-ahead log is removed.
    fs::write(dir.path().join("state.db"), old).expect("an old copy");
    let (state, telemetry) = try_open(&options(dir.path()));
    assert_eq!(watermark(&*state.expect("a state")).await, Some(5), "the journal may have let go of what came before");
    assert!(said(&telemetry, "anole_state_restored_total 1"));
    assert_eq!(set_aside(dir.path()).len(), 1);
}

#[tokio::test]
async fn s3_a_log_whose_database_was_deleted_is_not_laid_over_the_backup() {
    let dir = TempDir::new().expect("a folder");
    crashed(dir.path()).await;
    fs::remove_file(dir.path().join("state.db")).expect("a file less");
    assert_eq!(opens(dir.path()).await, 5);
    assert!(set_aside(dir.path()).iter().any(|name| name.ends_with("-wal")));
}

#[tokio::test]
async fn s3_another_programs_database_is_set_aside() {
    for format in [0, 1, 99] {
        let dir = TempDir::new().expect("a folder");
        let file = settled(dir.path()).await;
        fs::remove_file(&file).expect("a file less");
        let foreign = rusqlite::Connection::open(&file).expect("a database");
        foreign.execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('a')").expect("a table");
        foreign.pragma_update(None, "user_version", format).expect("a format");
        drop(foreign);
        assert_eq!(opens(dir.path()).await, 5, "format {format}");
        let aside = set_aside(dir.path());
        let kept = rusqlite::Connection::open(dir.path().join(&aside[0])).expect("it is kept");
        let title: String = kept.query_row("SELECT title FROM songs", [], |row| row.get(0)).expect("as it was");
        assert_eq!(title, "a");
    }
}

#[tokio::test]
async fn s3_it_is_told_what_was_set_aside_and_from_when_the_backup_is() {
    let dir = TempDir::new().expect("a folder");
    let file = settled(dir.path()).await;
    fs::write(&file, b"nothing that anybody could read as a database, at all").expect("damage");
    let files = Files::of(&file);
    let Ok(Found::Replaced { set_aside: Some(aside), backup: Some(backup) }) =
        recover::prepare(&files, Timestamp::from_millis(1_000))
    else {
        panic!("it was replaced by its backup")
    };
    assert_eq!(fs::read(&aside).expect("the file").len(), 53);
    assert!(aside.to_string_lossy().contains("state.db.damaged-1970-01-01T00-00-01"), "{}", aside.display());
    assert_eq!(Some(backup), file::written_at(&files.backup()));
    assert!(matches!(recover::prepare(&files, Timestamp::from_millis(1_000)), Ok(Found::Good)), "once is enough");
}

#[tokio::test]
async fn what_a_crash_left_half_done_is_removed() {
    let dir = TempDir::new().expect("a folder");
    settled(dir.path()).await;
    for name in ["state.db.backup.new", "state.db.restored"] {
        fs::write(dir.path().join(name), b"half a file").expect("a file");
    }
    assert_eq!(opens(dir.path()).await, 9);
    for name in ["state.db.backup.new", "state.db.restored"] {
        assert!(!dir.path().join(name).exists(), "{name}");
    }
}

fn refused(dir: &Path) -> String {
    let opened: Result<_, OpenError> = Sqlite::open(&options(dir), Telemetry::new(clock()), clock());
    opened.expect_err("it cannot be opened").to_string()
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let dir = TempDir::new().expect("a folder");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).expect("a mode");
    // Who may do everything may write here too; nobody may in this one.
    let is_root = fs::write(dir.path().join("probe"), b"").is_ok();
    let folder = if is_root { Path::new("/proc") } else { dir.path() };
    let error = refused(folder);
    assert!(error.contains("state.db"), "{error}");
}

#[test]
fn a_folder_in_the_place_of_the_state_is_an_error_and_left_alone() {
    let dir = TempDir::new().expect("a folder");
    fs::create_dir(dir.path().join("state.db")).expect("a folder");
    let error = refused(dir.path());
    assert!(error.contains("state.db"), "{error}");
    assert!(dir.path().join("state.db").is_dir());
}
