//! Power cuts on the real journal, on a simulated disk. The long form is `cargo xtask torture`.

use anole_journal::simulation::Syncs;
use anole_testkit::power::{self, Options};

#[test]
fn what_was_acknowledged_survives_power_cuts() {
    let report = power::run(0..60, &Options::default());
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert!(report.cuts > 300 && report.acknowledged > 10_000, "{report}");
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_found_out() {
    let report = power::run(0..10, &Options { syncs: Syncs::Ignored, ..Options::default() });
    println!("{report}");
    assert!(!report.is_good(), "nothing was lost without syncs, so the method sees nothing: {report}");
}
