//! `anole completion`: scripts for shells, made from the definition of the command line.

use clap::CommandFactory;

use crate::cli::{Cli, Completion};
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(completion: &Completion, output: Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(completion.shell, &mut Cli::command(), "anole", &mut script);
    let script = String::from_utf8(script).map_err(Failure::of)?;
    if output.json {
        output.value(&serde_json::json!({ "shell": completion.shell.to_string(), "script": script }));
    } else {
        script.lines().for_each(|line| output.line(line));
    }
    Ok(())
}
