//! `cargo xtask test`: what the tests need beyond Rust, then every test.
//!
//! Real clients are npm packages, pinned by the lock file in `crates/anole/tests/clients`. They are installed with the
//! machine's npm; where there is none, Debian's is installed if that can be done. When neither works the run says so and
//! fails, as a test that did not run has shown nothing; `SKIP_REAL_CLIENTS=1` leaves those tests out on purpose.

use crate::run::{Result, call, exists, root};

pub(crate) fn run(arguments: &[String]) -> Result {
    let has_clients = std::env::var_os("SKIP_REAL_CLIENTS").is_none();
    if has_clients {
        install_clients()?;
    }
    let mut cargo = vec!["test", "--workspace"];
    cargo.extend(arguments.iter().map(String::as_str));
    call(&root(), "cargo", &cargo)?;
    crate::alerts::play()?;
    if has_clients {
        // The collector runs in node, so plain `cargo test` leaves it out.
        call(&root(), "cargo", &["test", "--package", "anole-ingest", "--test", "collector", "--", "--ignored"])?;
    }
    Ok(())
}

fn install_clients() -> Result {
    let clients = root().join("crates/anole/tests/clients");
    if !exists("npm") {
        println!("xtask: npm is not here; trying to install it with apt-get");
        let installed = call(&clients, "apt-get", &["update", "-q"])
            .and_then(|()| call(&clients, "apt-get", &["install", "-y", "-q", "nodejs", "npm"]));
        installed.map_err(|error| {
            format!(
                "the tests of real clients need Node.js 20 with npm, and it could not be installed ({error}). \
                 Install it, or set SKIP_REAL_CLIENTS=1 to leave those tests out"
            )
        })?;
    }
    call(&clients, "npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
}
