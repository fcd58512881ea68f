//! Everything that may happen to a machine, for as long as one likes: `cargo xtask torture` builds what this needs and runs
//! it.
//!
//! ```text
//! torture PATH-OF-ANOLE [--minutes N] [--seed S] [--kills N] [--only kill]
//! ```
//!
//! It prints one line per kind, and ends with exit code 1 and the command that repeats it when something was lost.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anole_testkit::kill::{self, KillOptions};
use fastrand::Rng;

const USAGE: &str = "usage: torture PATH-OF-ANOLE [--minutes N] [--seed S] [--kills N] [--only KIND]

  --minutes N   how long, instead of how many
  --seed S      repeats a run
  --kills N     processes that are killed (1,000)
  --only KIND   only this kind: kill";

/// What is asked for.
struct Asked {
    binary: PathBuf,
    minutes: Option<u64>,
    seed: u64,
    kills: u64,
    only: Option<String>,
}

/// How a kind of torture ended.
struct Ended {
    clean: bool,
    line: String,
    /// What repeats it.
    again: String,
}

fn main() -> ExitCode {
    let asked = match Asked::read(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("{what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", asked.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut clean = true;
    if asked.wants("kill") {
        clean &= tell("kill", &runtime.block_on(kills(&asked)));
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn kills(asked: &Asked) -> Ended {
    let mut options = KillOptions::new(&asked.binary, asked.seed, asked.kills);
    if asked.minutes.is_some() {
        (options.cycles, options.time) = (u64::MAX, asked.time());
    }
    let progress = Progress::new();
    options.progress = Some(Arc::new(move |report| {
        progress.tell(report.took, || {
            format!("{} kills, {} events acknowledged, {} lost", report.cycles, report.acknowledged, report.lost)
        });
    }));
    let report = kill::run(options).await;
    let seed = report.failed_seed.unwrap_or(report.seed);
    let again = format!("cargo xtask torture --only kill --kills 60 --seed {seed}");
    Ended { clean: report.is_clean(), line: report.to_string(), again }
}

/// Prints how a kind ended.
fn tell(kind: &str, ended: &Ended) -> bool {
    println!("{kind}: {}", ended.line);
    if !ended.clean {
        println!("{kind}: FAILED; to repeat it: {}", ended.again);
    }
    ended.clean
}

/// A line that is written over on a terminal, or one every minute.
struct Progress {
    is_terminal: bool,
    next: AtomicU64,
}

// === impl Progress ===

impl Progress {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), next: AtomicU64::new(0) }
    }

    fn tell(&self, at: Duration, line: impl FnOnce() -> String) {
        let every = Duration::from_secs(if self.is_terminal { 2 } else { 60 });
        let at = at.as_millis() as u64;
        if at < self.next.load(Ordering::Relaxed) {
            return;
        }
        self.next.store(at + every.as_millis() as u64, Ordering::Relaxed);
        let (before, after) = if self.is_terminal { ("\r", "  ") } else { ("", "\n") };
        eprint!("{before}{:>5} s: {}{after}", at / 1000, line());
        // A terminal that has gone takes no progress.
        let _gone = std::io::stderr().flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            eprint!("\r{:100}\r", "");
        }
    }
}

// === impl Asked ===

impl Asked {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let binary = arguments.next().ok_or("the path of anole is missing")?.into();
        let seed = Rng::new().u64(..1 << 32);
        let mut asked = Self { binary, minutes: None, seed, kills: 1_000, only: None };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            let number = |value: String| value.parse().map_err(|_| format!("{name}: {value} is no whole number"));
            match name.as_str() {
                "--minutes" => asked.minutes = Some(number(value()?)?),
                "--seed" => asked.seed = number(value()?)?,
                "--kills" => asked.kills = number(value()?)?,
                "--only" => asked.only = Some(value()?),
                _ => return Err(format!("{name} is unknown")),
            }
        }
        match asked.only.as_deref() {
            None | Some("kill") => Ok(asked),
            Some(other) => Err(format!("--only {other}: there is only kill")),
        }
    }

    fn wants(&self, kind: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == kind)
    }

    fn time(&self) -> Option<Duration> {
        self.minutes.map(|minutes| Duration::from_secs(minutes * 60))
    }
}
