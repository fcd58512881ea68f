//! `cargo xtask fuzz [TARGET …] [--seconds N]`: strangers' bytes, by libFuzzer, on everything that reads them.
//!
//! The targets are functions of the crate `fuzz`; what must hold is said there. They run one after the other, each for ten
//! minutes unless told otherwise, on the stable toolchain: what libFuzzer needs of the compiler is asked for by flags, so
//! neither nightly nor another tool is installed. There is no address sanitizer: the workspace forbids `unsafe`, and the sanitizer
//! would need nightly. A C++ compiler builds libFuzzer itself.
//!
//! What a target grows stays in `target/fuzz/corpus/TARGET`; what breaks it is written to `target/fuzz/found/` and belongs,
//! when it is mended, into `crates/fuzz/corpus/TARGET`, where `cargo test` plays it for good.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{Result, output, root};

/// Counters at each edge, tables of them, and comparisons: what libFuzzer reads. Overflow is an error while fuzzing.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=4 -Cdebug-assertions=on \
                     -Coverflow-checks=on";
const SECONDS: u32 = 600;
/// A body of more than this tells a fuzzer little that a smaller one would not.
const MAX_LEN: usize = 32 << 10;
/// What one input may make the process hold, and how long it may take.
const LIMITS: [&str; 3] = ["-rss_limit_mb=1024", "-malloc_limit_mb=256", "-timeout=10"];

pub(crate) fn run(arguments: &[String]) -> Result {
    let (names, seconds) = read(arguments)?;
    let host = output(&root(), "rustc", &["-vV"])?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not say its host")?;
    let program = build(host)?;
    let mut broken = Vec::new();
    for name in names {
        match play(&program, &name, seconds) {
            Ok(line) => println!("xtask: {name}: {line}"),
            Err(error) => {
                println!("xtask: {name}: {error}");
                broken.push(name);
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("broken: {}", broken.join(", "))) }
}

fn read(arguments: &[String]) -> Result<(Vec<String>, u32)> {
    let (mut names, mut seconds) = (Vec::new(), SECONDS);
    let mut rest = arguments.iter();
    let known = targets()?;
    while let Some(argument) = rest.next() {
        if argument == "--seconds" {
            seconds = rest.next().and_then(|text| text.parse().ok()).ok_or("--seconds wants a number")?;
        } else if known.contains(argument) {
            names.push(argument.clone());
        } else {
            return Err(format!("there is no target {argument}: the targets are {}", known.join(", ")));
        }
    }
    if names.is_empty() {
        names = known;
    }
    Ok((names, seconds))
}

/// The targets: each has a folder of seeds, which a test of the crate holds.
fn targets() -> Result<Vec<String>> {
    let folder = root().join("crates/fuzz/corpus");
    let read = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<_> =
        read.filter_map(|entry| entry.ok().map(|entry| entry.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

fn build(host: &str) -> Result<PathBuf> {
    let folder = root().join("target/fuzz");
    // The target is named so that the flags do not reach build scripts and macros, which are not linked to libFuzzer.
    let arguments =
        ["build", "--release", "--package", "anole-fuzz", "--features", "libfuzzer", "--bin", "fuzz", "--target", host];
    let status = Command::new("cargo")
        .args(arguments)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &folder)
        .current_dir(root())
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !status.success() {
        return Err("the fuzzer cannot be built: it needs a C++ compiler beside Rust".to_owned());
    }
    Ok(folder.join(host).join("release/fuzz"))
}

/// Runs one target; the last line that libFuzzer said of it.
fn play(program: &Path, name: &str, seconds: u32) -> Result<String> {
    let folder = root().join("target/fuzz");
    let (grown, found) = (folder.join("corpus").join(name), folder.join("found"));
    for made in [&grown, &found] {
        fs::create_dir_all(made).map_err(|error| format!("{}: {error}", made.display()))?;
    }
    let said = folder.join(format!("{name}.log"));
    let log = fs::File::create(&said).map_err(|error| format!("{}: {error}", said.display()))?;
    println!("xtask: {name} for {seconds} s; {}", said.display());
    let status = Command::new(program)
        .args([&grown, &root().join("crates/fuzz/corpus").join(name)])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={MAX_LEN}"))
        .arg(format!("-artifact_prefix={}/{name}-", found.display()))
        .args(LIMITS)
        .env("FUZZ_TARGET", name)
        .stdin(Stdio::null())
        .stderr(log)
        .status()
        .map_err(|error| format!("the fuzzer cannot be started: {error}"))?;
    let text = fs::read(&said).map_err(|error| format!("{}: {error}", said.display()))?;
    let text = String::from_utf8_lossy(&text);
    if !status.success() {
        let tail: Vec<&str> = text.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!("{status}\n{}", tail.join("\n")));
    }
    let last = text.lines().rev().find(|line| line.contains("cov:")).unwrap_or_default();
    let done = text.lines().rev().find(|line| line.starts_with("Done")).unwrap_or_default();
    Ok(format!("{done}; {last}"))
}
