//! `anole run`: the daemon in the foreground, until it is told to end.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anole_event::SystemClock;
use anole_telemetry::{LogFormat, Shutdown, Started, Telemetry, init_logging};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::certificates::{self, Certificates};
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
    let certificates = Certificates::open(&loaded.settings, &telemetry, &(Arc::clone(&clock) as _))?;
    let data = DataDir::lock(&loaded.settings.data_dir)?;
    let max_connections = connections(&loaded.settings, raise_files(), &telemetry);
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
        certificates: Arc::clone(&certificates),
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
    let renewing = tokio::spawn(certificates::watch(certificates));
    let asking = tokio::spawn(reload_on(hang_up, Arc::clone(&daemon.reloader)));
    ending.wait().await;
    watching.abort();
    renewing.abort();
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

/// Files that are kept for stores, lanes and the admin listener.
const OWN_FILES: u64 = 512 + ADMIN_CONNECTIONS as u64;
/// The most connections of the collection listener when nothing is said, however many files there may be.
const MOST_CONNECTIONS: u64 = 50_000;
/// The most connections of the admin listener when nothing is said.
pub(crate) const ADMIN_CONNECTIONS: u32 = 256;

/// Each connection is a file; the usual limit of 1,024 is a default of the shell and not of the machine. It is raised as far
/// as it may be. How many connections there is room for.
fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not be raised the cap follows the limit that is in force.
    let _refused = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(OWN_FILES).max(64)
}

/// The connection cap of the collection listener. One that is higher than the files allow would never be reached: accepting
/// would fail before, and with it everything else that needs a file. So it is lowered, and that is said.
fn connections(settings: &anole_config::Settings, room: u64, telemetry: &Telemetry) -> usize {
    let asked = settings.collect.connections.max.map(u64::from);
    if let Some(asked) = asked.filter(|asked| *asked > room) {
        let text = format!(
            "collect.connections.max is {asked}, and this process may have {} files, of which {OWN_FILES} are kept for stores \
             and deliveries: the cap is {room}. Raise the limit (LimitNOFILE= in systemd, --ulimit nofile= in containers)",
            room + OWN_FILES
        );
        telemetry.emit(anole_telemetry::Said(&text));
    }
    usize::try_from(asked.unwrap_or(MOST_CONNECTIONS).min(room)).unwrap_or(1024)
}
