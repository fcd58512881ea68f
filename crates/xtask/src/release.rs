//! Release builds of the daemon and of the programs that measure and torture it.

use std::path::PathBuf;

use crate::run::{Result, call, root};

/// Builds `anole`; where it is.
///
/// It is built by itself: together with the programs of testkit it would get the features that those ask for.
pub(crate) fn anole() -> Result<PathBuf> {
    call(&root(), "cargo", &["build", "--release", "--package", "anole"])?;
    Ok(target().join("anole"))
}

/// Builds a program of testkit and runs it.
pub(crate) fn run(name: &str, arguments: &[String]) -> Result {
    let root = root();
    call(&root, "cargo", &["build", "--release", "--package", "anole-testkit", "--example", name])?;
    let program = target().join("examples").join(name);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    call(&root, &program.display().to_string(), &arguments)
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    root().join(target).join("release")
}
