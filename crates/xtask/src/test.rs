//! `cargo xtask test`: what the tests need beyond Rust, then every test.
//!
//! Real clients are npm packages, pinned by the lock file in `crates/anole/tests/clients`, and Python packages, pinned in
//! `requirements.txt` beside it; one is a Rust crate with a lock file of its own. They are installed with the machine's npm and Python (into an environment of their own); where
//! there is none, Debian's is installed if that can be done. When neither works the run says so and
//! fails, as a test that did not run has shown nothing; `SKIP_REAL_CLIENTS=1` leaves those tests out on purpose. The collector
//! that anole serves to pages is held against its sources and its types with the packages of `crates/ingest/collector`.
//!
//! The console, and pages with our collector and with others' clients, are looked at in a real Chromium, driven by a package
//! that is pinned likewise in `crates/anole/tests/browser`: the machine's own, or that of the variable `CHROMIUM`, else
//! Debian's; `SKIP_BROWSER=1` leaves it out. Screenshots are kept in `target/console`.

use std::path::Path;

use crate::run::{Result, call, call_with, exists, path_of, root};

pub(crate) fn run(arguments: &[String]) -> Result {
    let has_clients = std::env::var_os("SKIP_REAL_CLIENTS").is_none();
    if has_clients {
        let clients = root().join("crates/anole/tests/clients");
        install_packages(&clients)?;
        install_python(&clients)?;
        // A workspace of its own with its own lock file.
        call(&clients.join("segment-rust"), "cargo", &["build", "--locked", "--quiet", "--target-dir", "target"])?;
        install_packages(&root().join("crates/ingest/collector"))?;
    }
    let browser = match std::env::var_os("SKIP_BROWSER") {
        Some(_) => None,
        None => Some(install_browser()?),
    };
    let mut cargo = vec!["test", "--workspace"];
    cargo.extend(arguments.iter().map(String::as_str));
    call(&root(), "cargo", &cargo)?;
    crate::alerts::play()?;
    if has_clients {
        // The collector runs in node, so plain `cargo test` leaves it out.
        call(&root(), "cargo", &["test", "--package", "anole-ingest", "--test", "collector", "--", "--ignored"])?;
    }
    if let Some(browser) = browser {
        let test =
            ["test", "--package", "anole", "--test", "whole", "--", "browser::", "pages::", "--ignored", "--nocapture"];
        call_with(&root(), "cargo", &test, ("CHROMIUM", &browser))?;
    }
    Ok(())
}

/// The driver and a Chromium; gives back the path of the latter.
fn install_browser() -> Result<String> {
    install_packages(&root().join("crates/anole/tests/browser"))?;
    // Clients that run in pages are among the others.
    install_packages(&root().join("crates/anole/tests/clients"))?;
    if let Ok(named) = std::env::var("CHROMIUM") {
        return Ok(named);
    }
    let found = || ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(path_of);
    if let Some(found) = found() {
        return Ok(found);
    }
    println!("xtask: Chromium is not here; trying to install it with apt-get");
    let installed = call(&root(), "apt-get", &["update", "-q"])
        .and_then(|()| call(&root(), "apt-get", &["install", "-y", "-q", "--no-install-recommends", "chromium"]));
    installed.ok().and_then(|()| found()).ok_or_else(|| {
        "the tests of the console and of pages need Chromium, and it could not be installed. Install it, name one by CHROMIUM, or set \
         SKIP_BROWSER=1 to leave those tests out"
            .to_owned()
    })
}

/// The npm packages of a folder, as its lock file has them.
fn install_packages(clients: &Path) -> Result {
    if !exists("npm") {
        println!("xtask: npm is not here; trying to install it with apt-get");
        let installed = call(clients, "apt-get", &["update", "-q"])
            .and_then(|()| call(clients, "apt-get", &["install", "-y", "-q", "nodejs", "npm"]));
        installed.map_err(|error| {
            format!(
                "the tests of real clients and of the console need Node.js 20 with npm, and it could not be installed ({error}). \
                 Install it, or set SKIP_REAL_CLIENTS=1 and SKIP_BROWSER=1 to leave those tests out"
            )
        })?;
    }
    call(clients, "npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
}

/// The Python packages of a folder, as its `requirements.txt` has them, in the folder's own environment.
fn install_python(clients: &Path) -> Result {
    let wanted = clients.join("requirements.txt");
    let installed = clients.join("venv/requirements.txt");
    let text = std::fs::read_to_string(&wanted).map_err(|error| format!("{}: {error}", wanted.display()))?;
    if std::fs::read_to_string(&installed).is_ok_and(|has| has == text) {
        return Ok(());
    }
    let make = || call(clients, "python3", &["-m", "venv", "--clear", "venv"]);
    if !exists("python3") || make().is_err() {
        println!("xtask: Python with venv is not here; trying to install it with apt-get");
        let packages = ["install", "-y", "-q", "--no-install-recommends", "python3", "python3-venv", "python3-pip"];
        let done = call(clients, "apt-get", &["update", "-q"])
            .and_then(|()| call(clients, "apt-get", &packages))
            .and_then(|()| make());
        done.map_err(|error| {
            format!(
                "the tests of real clients need Python 3 with venv, and it could not be installed ({error}). Install it, or set \
                 SKIP_REAL_CLIENTS=1 to leave those tests out"
            )
        })?;
    }
    let python = clients.join("venv/bin/python");
    call(
        clients,
        &python.display().to_string(),
        &["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", "requirements.txt"],
    )?;
    std::fs::write(&installed, text).map_err(|error| format!("{}: {error}", installed.display()))
}
