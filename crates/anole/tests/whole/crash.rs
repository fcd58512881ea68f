//! `kill -9` under load: everything that was answered with 200 is delivered. `cargo xtask torture` is the long form.

use std::time::Duration;

use anole_testkit::kill::{KillOptions, run};

use crate::bench::BINARY;

/// The seed of a run that is to be repeated.
const SEED: &str = "ANOLE_TORTURE_SEED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_twenty_kills_under_load() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 1_000);
    println!("{SEED}={seed}");
    let report = run(KillOptions::new(BINARY, seed, 20)).await;
    println!("{report}");
    assert!(report.is_clean(), "{SEED}={seed}\n{report}");
    assert!(report.acknowledged > 200, "the load was no load: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_harness_sees_what_a_vendor_swallowed() {
    let options = KillOptions { loses: true, patience: Duration::from_secs(5), ..KillOptions::new(BINARY, 2, 3) };
    let report = run(options).await;
    assert!(!report.is_clean() && report.lost > 0, "{report}");
    assert_eq!(report.failed_seed, Some(2));
}
