//! A vendor's bad days ([`anole_testkit::badday`]) as a program: `cargo xtask badday` builds what this needs and runs it.
//!
//! ```text
//! badday PATH-OF-ANOLE [RUN …]
//! ```
//!
//! Without names it makes every run. It ends with exit code 1 when one falls short of its goal.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::ExitCode;

use anole_testkit::badday::{self, RUNS};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(binary) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: badday PATH-OF-ANOLE [RUN …], of {}", RUNS.join(", "));
        return ExitCode::from(2);
    };
    let asked: Vec<String> = arguments.collect();
    if let Some(unknown) = asked.iter().find(|name| !RUNS.contains(&name.as_str())) {
        eprintln!("there is no run {unknown}; there are {}", RUNS.join(", "));
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut all_met = true;
    for name in RUNS.into_iter().filter(|name| asked.is_empty() || asked.iter().any(|asked| asked == name)) {
        match runtime.block_on(badday::run(name, &binary)) {
            Ok(figures) => {
                for line in &figures.lines {
                    println!("{name}: {line}");
                }
                for goal in &figures.short {
                    println!("{name}: FELL SHORT: {goal}");
                }
                all_met &= figures.short.is_empty();
            }
            Err(what) => {
                println!("{name}: FAILED: {what}");
                all_met = false;
            }
        }
    }
    if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
