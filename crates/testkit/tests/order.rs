//! The order of writing against history, state and journal, by model.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must say so and stop")]

use anole_testkit::order::{self, Variant};

#[test]
fn s2_after_any_cut_an_event_is_in_exactly_one_place_and_nothing_is_lost() {
    let report = order::run(0..300);
    assert!(report.is_good(), "{report}");
    assert!(report.cuts > 3_000 && report.restored > 150, "it cuts often enough to mean something: {report}");
    assert!(report.duplicates > 0 && report.parked > 0, "{report}");
    println!("{report}");
}

#[test]
fn wrong_orders_are_found() {
    for variant in [Variant::StateFirst, Variant::TwoTransactions, Variant::TrimByProgress] {
        let report = order::run_variant(0..100, variant);
        assert!(!report.is_good(), "{variant:?} was not found: {report}");
        println!("{variant:?}: {report}");
    }
}
