//! `cargo xtask check`: everything that is not a test.

use crate::house;
use crate::run::{Result, call, exists, root};

/// The version of cargo-deny that is installed when there is none.
const DENY: &str = "0.20.2";

pub(crate) fn run() -> Result {
    let root = root();
    house::run()?;
    run_in(&root, &["fmt", "--all", "--check"])?;
    run_in(&root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    docs(&root)?;
    deny(&root)
}

fn run_in(root: &std::path::Path, arguments: &[&str]) -> Result {
    call(root, "cargo", arguments)
}

fn docs(root: &std::path::Path) -> Result {
    println!("xtask: cargo doc with warnings denied");
    let status = std::process::Command::new("cargo")
        .args(["doc", "--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo doc cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err("the documentation has warnings".to_owned()) }
}

/// Licences, bans and sources always; advisories where their database can be reached.
fn deny(root: &std::path::Path) -> Result {
    if !exists("cargo-deny") {
        run_in(root, &["install", "--locked", "--quiet", "cargo-deny", "--version", DENY])?;
    }
    run_in(root, &["deny", "--workspace", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])?;
    if let Err(error) = run_in(root, &["deny", "--workspace", "check", "--hide-inclusion-graph", "advisories"]) {
        let reachable = exists("git")
            && std::process::Command::new("git")
                .args(["ls-remote", "--exit-code", "https://github.com/RustSec/advisory-db", "HEAD"])
                .env("GIT_TERMINAL_PROMPT", "0")
                .output()
                .is_ok_and(|output| output.status.success());
        if reachable {
            return Err(error);
        }
        println!("xtask: the advisory database cannot be reached from here; advisories were not checked");
    }
    Ok(())
}
