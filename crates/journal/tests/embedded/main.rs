//! The embedded journal, seen from outside: by its contract and by its files.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod appending;
mod damage;
mod erasure;
mod model;
mod power;
mod reading;
mod repair;
mod retention;
mod support;
mod tail;

use anole_journal::AckLevel;
use anole_journal::conformance;

#[test]
fn it_conforms_at_every_level() {
    for ack in [AckLevel::Fsync, AckLevel::Write, AckLevel::Memory] {
        conformance::all(|| support::Folder::new().at(ack));
    }
}

#[test]
fn it_conforms_with_segments_and_blocks_of_a_few_records() {
    conformance::all(|| {
        support::Folder::new().with(|options| (options.segment_bytes, options.block_bytes) = (2048, 300))
    });
}
