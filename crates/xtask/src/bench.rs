//! `cargo xtask bench NAME`: figures that anybody can measure again. They are never part of a test.

use crate::run::{Result, call, root};

pub(crate) fn run(arguments: &[String]) -> Result {
    match arguments.first().map(String::as_str) {
        Some("spine") => spine(arguments.get(1).map_or("10", String::as_str)),
        _ => Err("there is one bench: cargo xtask bench spine [SECONDS]".to_owned()),
    }
}

fn spine(seconds: &str) -> Result {
    let root = root();
    call(&root, "cargo", &["build", "--release", "--package", "anole"])?;
    call(&root, "cargo", &["build", "--release", "--package", "anole-testkit", "--example", "spine"])?;
    let anole = root.join("target/release/anole");
    call(&root, "target/release/examples/spine", &[&anole.display().to_string(), seconds])
}
