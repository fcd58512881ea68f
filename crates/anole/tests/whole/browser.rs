//! The console in a real Chromium. What is looked at is in `tests/browser/console.mjs`; screenshots are kept in `target/console`.

use std::path::Path;

use crate::bench::{BINARY, stderr, stdout};

#[tokio::test]
#[ignore = "needs Node.js and Chromium: `cargo xtask test` installs them and runs it"]
async fn the_console_holds_in_a_real_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(folder.join("node_modules").is_dir(), "the driver is not installed: run `cargo xtask test` once");
    let shots = Path::new(BINARY).ancestors().nth(2).unwrap().join("console");
    let run = tokio::process::Command::new("node")
        .arg("console.mjs")
        .arg(BINARY)
        .arg(&shots)
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .expect("node can be started");
    assert!(run.status.success(), "{}{}", stdout(&run), stderr(&run));
    println!("{}", stdout(&run));
}
