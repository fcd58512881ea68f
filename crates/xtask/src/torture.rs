//! `cargo xtask torture`: kills, power cuts and torn files, for as long as one likes. See `examples/torture.rs` of testkit.

use crate::release;
use crate::run::Result;

pub(crate) fn run(arguments: &[String]) -> Result {
    let only = arguments.iter().position(|word| word == "--only").and_then(|at| arguments.get(at + 1));
    let kills = only.is_none_or(|only| only == "kill") && !arguments.iter().any(|word| word == "--without-sync");
    let anole = if kills { release::anole()?.display().to_string() } else { "anole".to_owned() };
    let mut all = vec![anole];
    all.extend_from_slice(arguments);
    release::run("torture", &all)
}
