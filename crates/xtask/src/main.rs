//! Development tasks, run as `cargo xtask TASK`. CI and people run the same ones.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a development tool talks to its terminal")]

mod alerts;
mod badday;
mod bench;
mod check;
mod faults;
mod fuzz;
mod house;
mod release;
mod run;
mod test;
mod torture;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  test     installs what the tests need beyond Rust, then runs every test
  check    formatting, lints, licences and bans, docs, house rules, generated files
  house    only the house rules: dependency arrows, file lengths
  bench    measures: spine, journal, open, mapping, backlog, history; `bench` alone says more
  torture  kills the release binary under load, cuts the power of journal and state, and says what was lost
           [--minutes N] [--seed S] [--kills N] [--cuts N] [--seeds N] [--only kill|power|sqlite|order|history|lanes]
           [--without-sync]
  faults   every fault of a vendor, with and without a kill in the middle, against the release binary
           [--only NAME] [--at-once N] [--write]: the last writes docs/faults.md
  fuzz     strangers' bytes on everything that reads them: [TARGET ...] [--seconds N]; ten minutes a target
  badday   measures a vendor's bad days against the release binary: isolation, random, limited, poison, mapping,
           odd
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("test") => test::run(&arguments[1..]),
        Some("check") => check::run(),
        Some("house") => house::run(),
        Some("bench") => bench::run(&arguments[1..]),
        Some("torture") => torture::run(&arguments[1..]),
        Some("faults") => faults::run(&arguments[1..]),
        Some("fuzz") => fuzz::run(&arguments[1..]),
        Some("badday") => badday::run(&arguments[1..]),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
