//! The lane machine against vendors with bad days, by seed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

use anole_testkit::lanes;

#[test]
fn whatever_a_vendor_a_crash_or_a_reload_does_a_lane_keeps_its_promises() {
    let report = lanes::run(0..120);
    assert!(report.is_good(), "{report}\n{}", lanes::story(report.wrong[0].0));
    println!("{report}");
    assert!(report.micros > 100 * 3_600_000_000, "days are played: {report}");
    assert!(report.crashes > 50 && report.replaced > 20 && report.pauses > 50, "it disturbs: {report}");
    assert!(report.duplicates > 0 && report.parked > 0 && report.expired > 0, "{report}");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        assert_eq!(lanes::run(seed..seed + 1).to_string(), lanes::run(seed..seed + 1).to_string());
        assert_eq!(lanes::story(seed), lanes::story(seed));
    }
}
