//! The collector's files: in pages of fakes, and against the sources that they are made of.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

/// Runs Node.js in a folder of this crate.
fn node(folder: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let run = Command::new("node").args(arguments).current_dir(folder).output().expect("node can be started");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(run.status.success(), "{}{}", said(&run.stdout), said(&run.stderr));
}

/// The packages that the sources need to be built and checked.
fn packages() {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("collector/node_modules");
    assert!(packages.is_dir(), "the collector's tools are not installed: run `cargo xtask test` once");
}

#[test]
#[ignore = "needs node: `cargo xtask test` runs it"]
fn the_collector_sends_what_a_page_says() {
    node("tests/collector", &["--no-warnings", "--experimental-vm-modules", "page.js"]);
}

#[test]
#[ignore = "needs node and packages: `cargo xtask test` installs and runs it"]
fn the_served_files_are_what_the_sources_make() {
    packages();
    node("collector", &["build.mjs", "--check"]);
}

#[test]
#[ignore = "needs node and packages: `cargo xtask test` installs and runs it"]
fn the_types_fit_a_page_written_in_typescript() {
    packages();
    node("collector", &["node_modules/typescript/bin/tsc", "--project", "tsconfig.json"]);
}
