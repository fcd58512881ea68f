//! `cargo xtask torture`: kills, power cuts and torn files, for as long as one likes. See `examples/torture.rs` of testkit.

use crate::release;
use crate::run::Result;

pub(crate) fn run(arguments: &[String]) -> Result {
    let anole = release::anole()?;
    let mut all = vec![anole.display().to_string()];
    all.extend_from_slice(arguments);
    release::run("torture", &all)
}
