//! The fault matrix ([`anole_testkit::faults`]) as a program: `cargo xtask faults` builds what this needs and runs it.
//!
//! ```text
//! faults PATH-OF-ANOLE [--only NAME] [--at-once N] [--write FILE]
//! ```
//!
//! It prints one line per cell and ends with exit code 1 when one is not green, and the command that plays that cell alone.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::disallowed_methods, reason = "a program that measures")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anole_testkit::faults::{self, CASES, Cell, Played};

const USAGE: &str = "usage: faults PATH-OF-ANOLE [--only NAME] [--at-once N] [--write FILE]

  --only NAME   only this fault; NAME+restart is its cell with a kill in the middle
  --at-once N   how many cells are played at the same time (4)
  --write FILE  writes the table";

struct Asked {
    binary: PathBuf,
    only: Option<String>,
    at_once: usize,
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let asked = match Asked::read(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("{what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let cells = Cell::named(asked.only.as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let played = runtime.block_on(faults::play(&asked.binary, &cells, asked.at_once, tell));
    let red: Vec<_> = played.iter().filter(|played| played.outcome.is_err()).collect();
    let took = started.elapsed().as_secs();
    println!("{} cells, {} green, {} red; {took} s", played.len(), played.len() - red.len(), red.len());
    for played in &red {
        println!("to play it again: cargo xtask faults --only {}", played.cell.name());
    }
    if let Some(file) = &asked.write {
        std::fs::write(file, faults::page(&played)).unwrap();
        println!("written: {}", file.display());
    }
    if red.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(played: &Played) {
    let name = played.cell.name();
    match &played.outcome {
        Ok(outcome) => println!(
            "green  {name:<24} {:>3} requests of at most {:>3}, {:>3} twice, {:>2} parked, all there {:>4.1} s after the healing  {}",
            outcome.requests,
            outcome.bound,
            outcome.twice,
            outcome.parked,
            outcome.recovered.as_secs_f64(),
            outcome.said
        ),
        Err(what) => println!("RED    {name}: {what}"),
    }
}

// === impl Asked ===

impl Asked {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let binary = arguments.next().ok_or("the path of anole is missing")?.into();
        let mut asked = Self { binary, only: None, at_once: 4, write: None };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} is unknown, or needs a value"))?;
            match name.as_str() {
                "--only" => asked.only = Some(value),
                "--at-once" => asked.at_once = value.parse().map_err(|_| format!("{name}: {value} is no number"))?,
                "--write" => asked.write = Some(value.into()),
                _ => return Err(format!("{name} is unknown")),
            }
        }
        if Cell::named(asked.only.as_deref()).is_empty() {
            let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
            return Err(format!("there is no such fault; there are {}", names.join(", ")));
        }
        if asked.write.is_some() && asked.only.is_some() {
            return Err("--write writes the whole table: leave --only out".to_owned());
        }
        Ok(asked)
    }
}
