//! `anole run`: the daemon in the foreground, until it is told to end.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anole_event::SystemClock;
use anole_telemetry::{LogFormat, Shutdown, Started, Telemetry, init_logging};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::daemon::{Daemon, Parts};
use crate::failure::Failure;
use crate::files::load;
use crate::lock::DataDir;
use crate::reload::{By, Reloader};
use crate::watch::watch;

/// SIGTERM and SIGINT.
pub(crate) struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

pub(crate) async fn run(config: Option<&Path>) -> Result<(), Failure> {
    let loaded = load(config)?;
    let format = if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    init_logging(format, "info");
    let clock: Arc<SystemClock> = Arc::new(SystemClock::new());
    let telemetry = Telemetry::new(Arc::clone(&clock) as _);
    for warning in &loaded.warnings {
        telemetry.emit(anole_telemetry::Said(warning));
    }
    let data = DataDir::lock(&loaded.settings.data_dir)?;
    let max_connections = raise_files();
    let mut ending = Ending::listen()?;
    let hang_up = signal(SignalKind::hangup()).map_err(Failure::of)?;
    let (pipelines, lanes) =
        (loaded.pipelines.len(), loaded.pipelines.iter().map(|pipeline| pipeline.lanes.len()).sum());
    let data_dir = loaded.settings.data_dir.clone();
    let parts = Parts {
        config: config.map(Path::to_owned),
        seen: loaded.seen,
        settings: loaded.settings,
        pipelines: loaded.pipelines,
        data,
        telemetry: Arc::clone(&telemetry),
        clock,
        front: None,
        max_connections,
    };
    let daemon = Daemon::start(parts).await?;
    telemetry.emit(Started {
        version: crate::VERSION,
        data_dir: &data_dir,
        collect: daemon.collect,
        admin: daemon.admin,
        pipelines,
        lanes,
    });
    let watching = tokio::spawn(watch(Arc::clone(&daemon.reloader)));
    let asking = tokio::spawn(reload_on(hang_up, Arc::clone(&daemon.reloader)));
    ending.wait().await;
    watching.abort();
    asking.abort();
    telemetry.emit(Shutdown { stage: "asked" });
    tokio::select! {
        () = daemon.stop() => {
            telemetry.emit(Shutdown { stage: "done" });
            Ok(())
        }
        () = ending.wait() => {
            telemetry.emit(Shutdown { stage: "at once" });
            Err(Failure::Failed("ended at once by a second signal; what was not finished is done after the next start".into()))
        }
    }
}

/// Reloads on SIGHUP, for as long as the daemon runs. So a terminal that closes does not end it any more; systemd and
/// containers send SIGTERM.
async fn reload_on(mut hang_up: Signal, reloader: Arc<Reloader>) {
    while hang_up.recv().await.is_some() {
        // Whoever sent it reads the log.
        let _told = reloader.reload(By::Signal).await;
    }
}

// === impl Ending ===

impl Ending {
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Failure::of)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::of)?,
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Files that are kept for stores, lanes and listeners.
const OWN_FILES: u64 = 512;
/// The most connections, however many files there may be.
const MOST_CONNECTIONS: u64 = 50_000;

/// Each connection is a file; the usual limit of 1,024 is a default of the shell and not of the machine. It is raised as far
/// as it may be, and the connection cap follows it.
fn raise_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not be raised the cap follows the limit that is in force.
    let _refused = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OWN_FILES).clamp(64, MOST_CONNECTIONS)).unwrap_or(1024)
}
