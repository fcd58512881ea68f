//! The real state under power cuts and on bad disks.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

use anole_testkit::sqlite;

#[test]
fn s2_what_was_acknowledged_survives_any_power_cut_whole() {
    let report = sqlite::run(0..4);
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert!(report.cuts > 80 && report.twice > 30 && report.failures > 20, "it means something: {report}");
}

/// Seeds that once lost acknowledged commits: the change to write-ahead mode failed unseen (the first), and what a failed sync
/// had left in memory was read by the next start and built upon (the second).
#[test]
fn s2_holds_where_a_bad_disk_broke_it_once() {
    for seed in [879_730_461, 879_730_495] {
        let report = sqlite::run(seed..seed + 1);
        assert!(report.is_good() && report.failures > 10, "{report}");
    }
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_found_out() {
    let report = sqlite::run_lying(0..1);
    println!("{report}");
    assert!(!report.is_good(), "without syncs acknowledged commits must be found missing: {report}");
}
