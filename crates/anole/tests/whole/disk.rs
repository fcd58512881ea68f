//! A full disk and a full journal: said, answered, and over without a restart when there is room again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anole_sandbox::{Options, Sandbox};
use anole_testkit::{Daemon, Folder, client};
use serde_json::Value;

use crate::bench::{BINARY, Bench, GOAL, KEY, PATIENCE, pipeline, read};
use crate::filled::{BATCH, batch, paused};

/// A small disk of its own, in memory; it goes with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one; `None` where the test may not.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let run = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=700"), "tmpfs"])
            .arg(at)
            .output();
        run.is_ok_and(|run| run.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the daemon may still hold files when a test has failed.
        let _ended = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Sends batches until one is refused. Gives back how many events were accepted before, and the refusal.
async fn send_until_refused(bench: &Bench, most: usize) -> (usize, reqwest::Response) {
    for number in 0..most {
        let request = bench.http.post(bench.daemon.collect_url("/v1/batch")).header("x-write-key", KEY);
        let response = request.body(batch(number * BATCH)).send().await.unwrap();
        if response.status() != 200 {
            return (number * BATCH, response);
        }
    }
    panic!("{most} batches were accepted\n{}", bench.daemon.log());
}

/// Asserts what a client and a load balancer see while nothing can be kept.
async fn assert_refused(bench: &Bench, mut response: reqwest::Response, reason: &str) {
    assert_eq!(response.status(), 503);
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(after > 0);
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        text.extend_from_slice(&chunk);
    }
    let body: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&body["code"], &body["reason"]), (&"journal_full".into(), &reason.into()), "{body}");
    let (status, said) = read(bench.http.get(bench.daemon.collect_url("/readyz"))).await;
    assert_eq!(status, 503, "{said}");
}

/// Sends a batch again until it is taken.
async fn accept_again(bench: &Bench, first: usize) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, text) = bench.post("/v1/batch", &batch(first), None).await;
        if status == 200 {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{status} {text}\n{}", bench.daemon.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_what_it_cannot_keep_and_recovers_without_a_restart() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let pipeline = pipeline(&sandbox.url(), "", GOAL);
    let folder = Folder::with_settings(&pipeline, "delivery: { allow_private_addresses: true }");
    let Some(disk) = SmallDisk::mount(&folder.path("data"), "48m") else {
        println!("NOT RUN: a disk of its own cannot be mounted here (that needs root); the full disk stays untested");
        return;
    };
    let daemon = Daemon::start(Path::new(BINARY), &folder.config()).await.unwrap();
    let bench = Bench { sandbox, folder, daemon, http: client() };
    let ballast = bench.folder.path("data/ballast");
    std::fs::write(&ballast, vec![1; 40 << 20]).unwrap();
    let (accepted, refusal) = send_until_refused(&bench, 4_000).await;
    assert_refused(&bench, refusal, "disk_full").await;
    assert!(accepted > 0, "there was some room");
    std::fs::remove_file(&ballast).unwrap();
    accept_again(&bench, accepted).await;
    assert_eq!(read(bench.http.get(bench.daemon.collect_url("/readyz"))).await.0, 200);
    let all = accepted + BATCH;
    assert_eq!(bench.settled(all, "journal_damage").await.len(), all, "all that was acknowledged arrives");
    assert_eq!(bench.lost("journal_damage").await, 0);
    let Bench { daemon, folder, .. } = bench;
    assert_eq!(daemon.stop().await, Ok(0));
    drop((disk, folder));
}

#[tokio::test]
async fn j5_a_full_journal_refuses_until_the_lanes_are_done_and_the_backup_knows_it() {
    let bench = paused("journal: { max_bytes: 512KiB, keep: 1s }\nstate: { backup_every: 1s }").await;
    let (accepted, refusal) = send_until_refused(&bench, 400).await;
    assert_refused(&bench, refusal, "full").await;
    let held = crate::bench::stdout(&bench.anole(&["journal", "stat"]).await);
    assert!(held.contains("by shop/kameleoon"), "{held}");
    bench.resume().await;
    accept_again(&bench, accepted).await;
    let all = accepted + BATCH;
    assert_eq!(bench.settled(all, "journal_damage").await.len(), all);
    // Nothing that a lane had not finished went: what is lost would be counted.
    assert_eq!((bench.lost("journal_damage").await, bench.lost("drop_oldest").await), (0, 0));
}

#[tokio::test]
async fn j5_drop_oldest_takes_what_is_new_and_counts_what_it_drops() {
    let mut bench = paused("journal: { max_bytes: 1MiB, on_full: drop_oldest }").await;
    let batches = 80;
    for number in 0..batches {
        accept_again(&bench, number * BATCH).await;
    }
    // A lane has what it has read in its hands; only one that has yet to read it loses it.
    bench.stop().await;
    bench.begin().await;
    bench.resume().await;
    let arrived = bench.settled(batches * BATCH, "drop_oldest").await;
    let lost = bench.lost("drop_oldest").await;
    assert!(lost > 0, "the journal holds less than was sent");
    assert!((lost..batches * BATCH).all(|number| arrived.contains(&number)), "the oldest went, and only they");
}
