//! Damaged files: the daemon starts, says what was set aside, counts exactly what is lost, and delivers the rest.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::bench::Bench;
use crate::filled::{BATCH, stopped_with};

/// So many batches make at least four segments.
const BATCHES: usize = 30;
const SENT: usize = BATCHES * BATCH;

/// Flips a bit.
fn flip(path: &std::path::Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at).unwrap();
}

/// Begins on what is there, lets the lane go on, and gives back the orders that arrived when all are accounted for: those
/// accepted before, and some that are accepted now.
async fn delivered(bench: &mut Bench) -> BTreeSet<usize> {
    bench.begin().await;
    bench.assert_ready(SENT).await;
    bench.resume().await;
    let arrived = bench.settled(SENT + BATCH, "journal_damage").await;
    assert!((SENT..SENT + BATCH).all(|number| arrived.contains(&number)), "what is new is delivered too");
    arrived
}

/// Whole batches are missing, and these.
fn missing(arrived: &BTreeSet<usize>) -> Vec<usize> {
    let missing: Vec<_> = (0..SENT).filter(|number| !arrived.contains(number)).collect();
    let batches: Vec<_> = missing.iter().map(|number| number / BATCH).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(missing.len(), batches.len() * BATCH, "a batch is lost whole: {missing:?}");
    batches
}

#[tokio::test]
async fn a_flipped_byte_in_the_middle_costs_its_batch_and_nothing_else() {
    let mut bench = stopped_with(BATCHES).await;
    let middle = bench.segments()[1].clone();
    flip(&middle, std::fs::metadata(&middle).unwrap().len() / 2);
    let arrived = delivered(&mut bench).await;
    assert_eq!(missing(&arrived).len(), 1);
    bench.said("the journal is damaged").await;
    assert!(bench.daemon.log().contains(middle.file_name().unwrap().to_str().unwrap()), "{}", bench.daemon.log());
}

#[tokio::test]
async fn a_damaged_header_costs_nothing() {
    let mut bench = stopped_with(BATCHES).await;
    flip(&bench.segments()[1], 20);
    assert_eq!(delivered(&mut bench).await.len(), SENT + BATCH);
    bench.said("the header of the segment is damaged").await;
}

#[tokio::test]
async fn a_truncated_last_segment_costs_what_was_cut_off() {
    let mut bench = stopped_with(BATCHES).await;
    let last = bench.segments().pop().unwrap();
    let file = OpenOptions::new().write(true).open(&last).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let missing = missing(&delivered(&mut bench).await);
    assert!(!missing.is_empty() && missing.len() < BATCHES / 2, "{missing:?}");
    assert_eq!(missing.last(), Some(&(BATCHES - 1)), "the newest are gone");
}

#[tokio::test]
async fn a_deleted_last_segment_costs_what_it_held() {
    let mut bench = stopped_with(BATCHES).await;
    let last = bench.segments().pop().unwrap();
    std::fs::remove_file(last).unwrap();
    let missing = missing(&delivered(&mut bench).await);
    assert_eq!(missing.last(), Some(&(BATCHES - 1)), "the newest are gone");
}

#[tokio::test]
async fn a_deleted_middle_segment_costs_what_it_held() {
    let mut bench = stopped_with(BATCHES).await;
    let segments = bench.segments();
    assert!(segments.len() >= 4, "{segments:?}");
    std::fs::remove_file(&segments[1]).unwrap();
    let missing = missing(&delivered(&mut bench).await);
    assert!((2..BATCHES / 2).contains(&missing.len()), "{missing:?}");
    assert!(missing.windows(2).all(|pair| pair[0] + 1 == pair[1]), "one stretch: {missing:?}");
    bench.said("is missing").await;
}

#[tokio::test]
async fn a_deleted_first_segment_costs_what_it_held() {
    let mut bench = stopped_with(BATCHES).await;
    std::fs::remove_file(&bench.segments()[0]).unwrap();
    bench.begin().await;
    bench.resume().await;
    // Retention removes the oldest too, but nothing that a lane needs without a note of what it held.
    let missing = missing(&bench.settled(SENT, "journal_damage").await);
    assert_eq!(missing.first(), Some(&0), "the oldest are gone: {missing:?}");
}

#[tokio::test]
async fn an_emptied_segment_is_set_aside_and_costs_what_it_held() {
    let mut bench = stopped_with(BATCHES).await;
    let emptied = bench.segments()[1].clone();
    File::create(&emptied).unwrap();
    let missing = missing(&delivered(&mut bench).await);
    assert!((2..BATCHES / 2).contains(&missing.len()), "{missing:?}");
    bench.said("it was renamed to .aside").await;
    assert!(emptied.with_extension("segment.aside").exists());
}

#[tokio::test]
async fn a_foreign_file_is_left_alone() {
    let mut bench = stopped_with(BATCHES).await;
    bench.folder.write("data/journal/notes.txt", "a person's notes");
    bench.folder.write("data/journal/00000000000000000777.segment.bak", "a person's copy");
    assert_eq!(delivered(&mut bench).await.len(), SENT + BATCH);
    bench.said("notes.txt is not a segment of the journal").await;
    assert_eq!(std::fs::read(bench.folder.path("data/journal/notes.txt")).unwrap(), b"a person's notes");
}

/// Writes over the middle of the database.
fn spoil(bench: &Bench) {
    let path = bench.folder.path("data/state.db");
    let length = std::fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xA5; usize::try_from(length).unwrap() / 2], length / 4).unwrap();
}

#[tokio::test]
async fn s3_a_damaged_state_is_set_aside_and_its_backup_taken() {
    let mut bench = stopped_with(BATCHES).await;
    spoil(&bench);
    assert_eq!(delivered(&mut bench).await.len(), SENT + BATCH);
    bench.said("the backup is taken").await;
    let aside = std::fs::read_dir(bench.folder.path("data")).unwrap();
    let aside = aside.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
    assert!(aside.count() > 0, "the damaged file is kept for a person to look at");
}

#[tokio::test]
async fn s3_a_state_that_is_damaged_after_a_kill_loses_nothing() {
    let mut bench = crate::filled::paused("journal: { max_bytes: 1MiB }").await;
    for number in 0..BATCHES {
        bench.accept("/v1/batch", &crate::filled::batch(number * BATCH), None).await;
    }
    bench.resume().await;
    bench.arrived(BATCH as u64).await;
    bench.daemon.kill().await;
    spoil(&bench);
    bench.begin().await;
    bench.assert_ready(SENT).await;
    assert_eq!(bench.settled(SENT + BATCH, "journal_damage").await.len(), SENT + BATCH);
}

#[tokio::test]
async fn s3_a_deleted_state_is_taken_from_its_backup() {
    let mut bench = stopped_with(BATCHES).await;
    std::fs::remove_file(bench.folder.path("data/state.db")).unwrap();
    assert_eq!(delivered(&mut bench).await.len(), SENT + BATCH);
    bench.said("the backup is taken").await;
}
