//! `cargo xtask badday`: a vendor's bad days, measured. See `examples/badday.rs` of testkit.

use crate::release;
use crate::run::Result;

pub(crate) fn run(arguments: &[String]) -> Result {
    let mut all = vec![release::anole()?.display().to_string()];
    all.extend_from_slice(arguments);
    release::run("badday", &all)
}
