//! A part of the fault matrix. `cargo xtask faults` plays all of it, and docs/faults.md is what came of that.

use std::path::Path;

use anole_testkit::faults::{Cell, play};

use crate::bench::BINARY;

/// One of each kind of answer and of each way to have none; half of them with a kill in the middle.
const CELLS: [&str; 9] = [
    "poison-400+restart",
    "status-404",
    "status-418+restart",
    "429-seconds",
    "status-500+restart",
    "refused",
    "reset-header+restart",
    "hang-header",
    "tls-expired",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nine_faults_of_a_vendor_lose_nothing_and_are_named() {
    let cells: Vec<_> =
        CELLS.iter().flat_map(|name| Cell::named(Some(name)).into_iter().find(|cell| cell.name() == *name)).collect();
    assert_eq!(cells.len(), CELLS.len(), "a name is not in the matrix");
    let played = play(Path::new(BINARY), &cells, CELLS.len(), |_| {}).await;
    let red =
        played.iter().filter_map(|played| Some(format!("{}: {}", played.cell.name(), played.outcome.as_ref().err()?)));
    let red: Vec<_> = red.collect();
    assert!(red.is_empty(), "{}", red.join("\n"));
}
