//! Everything that may happen to a machine, for as long as one likes: `cargo xtask torture` builds what this needs and runs
//! it.
//!
//! ```text
//! torture PATH-OF-ANOLE [--minutes N] [--seed S] [--kills N] [--cuts N] [--seeds N] [--only KIND]
//!         [--without-sync]
//! ```
//!
//! | kind | what |
//! |---|---|
//! | `kill` | `kill -9` of the release binary under load ([`anole_testkit::kill`]) |
//! | `power` | power cuts on the real journal, on a simulated disk ([`anole_testkit::power`]) |
//! | `sqlite` | power cuts on the real state, on a disk that knows what was synced ([`anole_testkit::sqlite`]) |
//! | `order` | the order of writing by model, cut at any step ([`anole_testkit::order`]) |
//! | `history` | `kill -9` of a process that appends to the delivery log ([`anole_testkit::history::kill`]) |
//! | `lanes` | the real lane machine against vendors, crashes and changes of plan ([`anole_testkit::lanes`]) |
//!
//! It prints one line per kind, and ends with exit code 1 and the command that repeats it when something was lost.
//!
//! With `--without-sync` it does the opposite: the syncs of journal and state do nothing, and state is told before history
//! is written. Then losses *must* be found, and exit code 0 says that they were: the method sees what it is for.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::disallowed_methods, reason = "a program that measures")]

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anole_journal::simulation::Syncs;
use anole_testkit::kill::{self, KillOptions};
use anole_testkit::{history, lanes, order, power, sqlite};
use fastrand::Rng;

const USAGE: &str =
    "usage: torture PATH-OF-ANOLE [--minutes N] [--seed S] [--kills N] [--cuts N] [--seeds N] [--only KIND]
       [--without-sync]

  --minutes N     how long all of it takes, instead of how many
  --seed S        repeats a run
  --kills N       processes that are killed (1,000; of those that write history at most 500)
  --cuts N        simulated power cuts of each kind (10,000)
  --seeds N       simulated lanes (10,000)
  --only KIND     only this kind: kill, power, sqlite, order, history or lanes
  --without-sync  syncs do nothing: losses must be found";

/// The kinds, and which part of the minutes each gets.
const KINDS: [(&str, f64); 6] =
    [("kill", 0.45), ("power", 0.25), ("sqlite", 0.15), ("order", 0.05), ("history", 0.05), ("lanes", 0.05)];
/// How many processes are killed that write history, unless somebody says.
const HISTORY_KILLS: u64 = 500;
/// How many seeds are played without syncs. Far fewer are enough to find losses.
const WITHOUT_SYNC: u64 = 40;

/// The first argument of the process that writes history and is killed.
const HISTORY_WRITER: &str = "history-writer";

/// What is asked for.
struct Asked {
    binary: PathBuf,
    minutes: Option<u64>,
    seed: u64,
    kills: u64,
    cuts: u64,
    seeds: u64,
    only: Option<String>,
    without_sync: bool,
}

/// How a kind of torture ended.
struct Ended {
    line: String,
    /// The seed of the first failure, and the rest of the command that repeats it.
    failed: Option<(u64, &'static str)>,
}

/// What came of some seeds.
trait Found: Default + Display {
    fn add(&mut self, other: &Self);
    /// How much of what is counted it has: cuts, or seeds.
    fn cuts(&self) -> u64;
    fn failed(&self) -> Option<u64>;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder, seed, from] = &*arguments
        && word == HISTORY_WRITER
    {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(history::kill::write(folder.as_ref(), seed.parse().unwrap(), from.parse().unwrap()));
        return ExitCode::SUCCESS;
    }
    let asked = match Asked::read(arguments.into_iter()) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("{what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", asked.seed);
    if asked.without_sync {
        return without_sync(&asked);
    }
    let mut clean = true;
    for (kind, _) in KINDS.into_iter().filter(|(kind, _)| asked.wants(kind)) {
        let ended = match kind {
            "kill" => kills(&asked),
            "power" => seeds(&asked, kind, 25, |seeds| power::run(seeds, &power::Options::default())),
            "sqlite" => seeds(&asked, kind, 5, sqlite::run),
            "order" => seeds(&asked, kind, 100, order::run),
            "history" => seeds(&asked, kind, 2, histories),
            _ => seeds(&asked, kind, 50, lanes::run),
        };
        println!("{}", ended.line);
        if let Some((seed, how)) = ended.failed {
            println!("{kind}: FAILED; to repeat it: cargo xtask torture --only {kind} --seed {seed} {how}");
            clean = false;
        }
    }
    println!("{}", if clean { "nothing was lost" } else { "something was lost" });
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Kills this program, which appends to a delivery log.
fn histories(seeds: Range<u64>) -> history::kill::Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(history::kill::run(seeds, &|folder, seed, from| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(HISTORY_WRITER).arg(folder).arg(seed.to_string()).arg(from.to_string());
        command
    }))
}

fn kills(asked: &Asked) -> Ended {
    let mut options = KillOptions::new(&asked.binary, asked.seed, asked.kills);
    if let Some(time) = asked.time("kill") {
        (options.cycles, options.time) = (u64::MAX, Some(time));
    }
    let progress = Progress::new("kill");
    options.progress = Some(Arc::new(move |report| {
        progress.tell(report.took, || {
            format!("{} kills, {} events acknowledged, {} lost", report.cycles, report.acknowledged, report.lost)
        });
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(kill::run(options));
    let failed = (!report.is_clean()).then(|| (report.failed_seed.unwrap_or(report.seed), "--kills 60"));
    Ended { line: format!("kills: {report}"), failed }
}

/// Plays seeds until there were enough cuts, the time is up, or something was wrong.
fn seeds<F: Found>(asked: &Asked, kind: &'static str, at_once: u64, play: impl Fn(Range<u64>) -> F) -> Ended {
    let (progress, started, time) = (Progress::new(kind), Instant::now(), asked.time(kind));
    let (mut found, mut seed) = (F::default(), asked.seed);
    let (wanted, at_once, again) = match kind {
        "lanes" => (asked.seeds, at_once.min(asked.seeds), "--seeds 1"),
        "history" => (asked.kills.min(HISTORY_KILLS), at_once, "--kills 1"),
        _ => (asked.cuts, at_once, "--cuts 1"),
    };
    loop {
        let is_done = time.map_or(found.cuts() >= wanted, |time| started.elapsed() >= time);
        if is_done || found.failed().is_some() {
            break;
        }
        found.add(&play(seed..seed + at_once));
        seed += at_once;
        progress.tell(started.elapsed(), || format!("{} cuts, {} seeds", found.cuts(), seed - asked.seed));
    }
    if let (Some(seed), "lanes") = (found.failed(), kind) {
        println!("{}", lanes::story(seed));
    }
    // What went wrong comes in lines of its own.
    let text = found.to_string();
    let (first, rest) = text.split_once('\n').map_or((text.as_str(), String::new()), |(a, b)| (a, format!("\n{b}")));
    let line = format!("{first}; {:.0} s{rest}", started.elapsed().as_secs_f64());
    Ended { line, failed: found.failed().map(|seed| (seed, again)) }
}

/// Takes away what everything rests on. Each kind must find what that costs.
fn without_sync(asked: &Asked) -> ExitCode {
    let seeds = asked.seed..asked.seed + WITHOUT_SYNC;
    let ignored = power::Options { syncs: Syncs::Ignored, ..power::Options::default() };
    let mut seen = true;
    for (kind, _) in KINDS.into_iter().filter(|(kind, _)| asked.wants(kind)) {
        let (what, line, is_good) = match kind {
            "power" => {
                let report = power::run(seeds.clone(), &ignored);
                ("the journal's syncs do nothing", report.to_string(), report.is_good())
            }
            "sqlite" => {
                let report = sqlite::run_lying(seeds.clone());
                ("the state's syncs do nothing", report.to_string(), report.is_good())
            }
            "order" => {
                let report = order::run_variant(seeds.clone(), order::Variant::StateFirst);
                ("state is told before history is written", report.to_string(), report.is_good())
            }
            // A kill of the process takes nothing from the operating system, synced or not; simulated lanes have no disk.
            _ => continue,
        };
        let told: Vec<_> = line.lines().take(8).collect();
        println!("{kind}, {what}: {}", told.join("\n"));
        if is_good {
            println!("{kind}: NOTHING was found, so this method cannot be trusted");
            seen = false;
        } else {
            println!("{kind}: the losses were found, as they must be");
        }
    }
    if seen { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Found for power::Report {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn cuts(&self) -> u64 {
        self.cuts
    }

    fn failed(&self) -> Option<u64> {
        self.failures.iter().map(|failure| failure.seed).min()
    }
}

impl Found for sqlite::Report {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn cuts(&self) -> u64 {
        self.cuts
    }

    fn failed(&self) -> Option<u64> {
        self.wrong.iter().map(|(seed, _)| *seed).min()
    }
}

impl Found for order::Report {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn cuts(&self) -> u64 {
        self.cuts
    }

    fn failed(&self) -> Option<u64> {
        self.wrong.iter().map(|(seed, _)| *seed).min()
    }
}

impl Found for history::kill::Report {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn cuts(&self) -> u64 {
        self.kills
    }

    fn failed(&self) -> Option<u64> {
        self.wrong.iter().map(|(seed, _)| *seed).min()
    }
}

impl Found for lanes::Report {
    fn add(&mut self, other: &Self) {
        Self::add(self, other);
    }

    fn cuts(&self) -> u64 {
        self.seeds
    }

    fn failed(&self) -> Option<u64> {
        self.wrong.iter().map(|(seed, _)| *seed).min()
    }
}

/// A line that is written over on a terminal, or one every minute.
struct Progress {
    kind: &'static str,
    is_terminal: bool,
    /// When the next one is due, in milliseconds.
    next: AtomicU64,
}

// === impl Progress ===

impl Progress {
    fn new(kind: &'static str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { kind, is_terminal, next: AtomicU64::new(if is_terminal { 0 } else { 60_000 }) }
    }

    fn tell(&self, at: Duration, line: impl FnOnce() -> String) {
        let every = if self.is_terminal { 2_000 } else { 60_000 };
        let now = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        if now < self.next.load(Ordering::Relaxed) {
            return;
        }
        self.next.store(now + every, Ordering::Relaxed);
        let (before, after) = if self.is_terminal { ("\r", "  ") } else { ("", "\n") };
        eprint!("{before}{}: {:>5} s: {}{after}", self.kind, at.as_secs(), line());
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
        // Short enough to be typed again.
        let seed = Rng::new().u64(..1 << 32);
        let mut asked = Self {
            binary,
            minutes: None,
            seed,
            kills: 1_000,
            cuts: 10_000,
            seeds: 10_000,
            only: None,
            without_sync: false,
        };
        while let Some(name) = arguments.next() {
            if name == "--without-sync" {
                asked.without_sync = true;
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} is unknown, or needs a value"))?;
            let number = || value.parse().map_err(|_| format!("{name}: {value} is no whole number"));
            match name.as_str() {
                "--minutes" => asked.minutes = Some(number()?),
                "--seed" => asked.seed = number()?,
                "--kills" => asked.kills = number()?,
                "--cuts" => asked.cuts = number()?,
                "--seeds" => asked.seeds = number()?,
                "--only" if KINDS.iter().any(|(kind, _)| *kind == value) => asked.only = Some(value),
                "--only" => {
                    return Err(format!("--only {value}: the kinds are kill, power, sqlite, order, history and lanes"));
                }
                _ => return Err(format!("{name} is unknown")),
            }
        }
        Ok(asked)
    }

    fn wants(&self, kind: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == kind)
    }

    /// The kind's part of the minutes.
    fn time(&self, kind: &str) -> Option<Duration> {
        let all = Duration::from_secs(self.minutes? * 60);
        let part = KINDS.iter().find(|(name, _)| *name == kind).map_or(0.0, |(_, part)| *part);
        Some(if self.only.is_some() { all } else { all.mul_f64(part) })
    }
}
