//! `cargo xtask faults`: the fault matrix, and `docs/faults.md` of it. See `examples/faults.rs` of testkit.

use crate::release;
use crate::run::{Result, root};

/// The page that it writes.
const PAGE: &str = "docs/faults.md";

pub(crate) fn run(arguments: &[String]) -> Result {
    let mut all = vec![release::anole()?.display().to_string()];
    for word in arguments {
        all.push(word.clone());
        if word == "--write" {
            all.push(root().join(PAGE).display().to_string());
        }
    }
    release::run("faults", &all)
}
