//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// The top folder of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Runs a program in a folder and says what it runs; an error when it does not end well.
pub(crate) fn call(dir: &Path, program: &str, arguments: &[&str]) -> Result {
    run(Command::new(program).current_dir(dir), program, arguments)
}

/// The same with a variable in its environment.
pub(crate) fn call_with(dir: &Path, program: &str, arguments: &[&str], (name, value): (&str, &str)) -> Result {
    run(Command::new(program).current_dir(dir).env(name, value), program, arguments)
}

fn run(command: &mut Command, program: &str, arguments: &[&str]) -> Result {
    println!("xtask: {program} {}", arguments.join(" "));
    let status = command.args(arguments).status().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{program} {}` failed: {status}", arguments.join(" "))) }
}

/// Whether a program is there.
pub(crate) fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Where a program is, when it is on the search path.
pub(crate) fn path_of(program: &str) -> Option<String> {
    let folders = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file());
    found.map(|path| path.display().to_string())
}

/// What a program prints.
pub(crate) fn output(dir: &Path, program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{program} {}` failed: {}", arguments.join(" "), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
