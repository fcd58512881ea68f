//! anole: a server-side event forwarder. This crate is the command line and the wiring; what happens is in the others.

mod blueprint;
mod certificates;
mod cli;
mod client;
mod completion;
mod daemon;
mod demo;
mod desk;
mod dry;
mod explain;
mod failure;
mod files;
mod forget;
mod init;
mod journal;
mod known;
mod lanes;
mod lock;
mod looking;
mod offline;
mod output;
mod parked;
mod pinned;
mod reload;
mod remote;
mod replay;
mod run;
mod sandbox;
mod schemas;
mod send;
mod show;
mod tail;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb};
use crate::failure::Failure;
use crate::output::Output;

/// The version, with the commit.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_COMMIT"), ")");

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.talk(&format!("anole: the runtime could not be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(act(cli, output));
    // Blocking tasks that still read a file must not hold up the end.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.talk(&failure.to_string());
            failure.code()
        }
    }
}

async fn act(cli: Cli, output: Output) -> Result<(), Failure> {
    let config = cli.config.as_deref();
    match cli.verb {
        Verb::Demo(arguments) => demo::run(&arguments, output).await,
        Verb::Init(arguments) => init::run(&arguments, output),
        Verb::Run => run::run(config).await,
        Verb::Reload => reload::run(config, output).await,
        Verb::Sandbox(arguments) => sandbox::run(arguments, output).await,
        Verb::Check(arguments) => files::check(config, &arguments, output).await,
        Verb::Blueprint { what } => blueprint::run(config, &what, output),
        Verb::Test(arguments) => dry::run(config, &arguments, output).await,
        Verb::Send(arguments) => send::run(config, &arguments, output).await,
        Verb::Tail(arguments) => tail::run(config, &arguments, output).await,
        Verb::Events { what } => looking::events(config, &what, output).await,
        Verb::Deliveries { what } => looking::deliveries(config, &what, output).await,
        Verb::Parked { what } => parked::run(config, &what, output).await,
        Verb::Replay(arguments) => replay::run(config, &arguments, output).await,
        Verb::Forget(arguments) => forget::run(config, &arguments, output).await,
        Verb::Journal { what } => journal::run(config, &what, output).await,
        Verb::Lanes { what } => lanes::run(config, &what, output).await,
        Verb::Explain(arguments) => explain::run(&arguments, output),
        Verb::Completion(arguments) => completion::run(&arguments, output),
    }
}
