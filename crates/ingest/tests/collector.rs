//! The collector script in a page of fakes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs node: cargo test -p anole-ingest -- --ignored"]
fn the_collector_sends_what_a_page_says() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/collector/page.js");
    let run = Command::new("node").arg(script).output().expect("node can be started");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
