//! A real `anole run` as a child process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// A start that takes longer has failed.
const START: Duration = Duration::from_secs(30);
/// A stop that takes longer has failed.
const STOP: Duration = Duration::from_secs(40);

/// A running daemon. It is killed when the value goes.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// Where it collects.
    pub collect: SocketAddr,
    /// Where its admin API is.
    pub admin: SocketAddr,
    log: Log,
}

/// How a start ended that was cut off after some time.
#[derive(Debug)]
pub enum Started {
    /// It was up before that.
    Up(Box<Daemon>),
    /// It was killed; what it wrote.
    Killed(String),
}

type Log = Arc<Mutex<Vec<String>>>;

// === impl Daemon ===

impl Daemon {
    /// Starts `binary run --config FILE` and waits until it says that it runs.
    ///
    /// # Errors
    /// What it wrote, when it ended or said nothing in time.
    pub async fn start(binary: &Path, config: &Path) -> Result<Self, String> {
        match Self::start_within(binary, config, START).await? {
            Started::Up(daemon) => Ok(*daemon),
            Started::Killed(log) => Err(format!("the daemon did not start in time; it wrote:\n{log}")),
        }
    }

    /// The same, but `kill -9` strikes when it does not run after this time.
    ///
    /// # Errors
    /// What it wrote, when it ended by itself.
    pub async fn start_within(binary: &Path, config: &Path, time: Duration) -> Result<Started, String> {
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(config)
            .env("ANOLE_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", binary.display()))?;
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let log = Log::default();
        match tokio::time::timeout(time, wait_until_up(&mut lines, &log)).await {
            Ok(Some((collect, admin))) => {
                let keep = Arc::clone(&log);
                tokio::spawn(async move {
                    while let Ok(Some(line)) = lines.next_line().await {
                        note(&keep, line);
                    }
                });
                Ok(Started::Up(Box::new(Self { child, collect, admin, log })))
            }
            Ok(None) => Err(format!("the daemon did not start; it wrote:\n{}", joined(&log))),
            Err(_) => {
                child.kill().await.map_err(|error| error.to_string())?;
                Ok(Started::Killed(joined(&log)))
            }
        }
    }

    /// An address of its collection endpoint.
    #[must_use]
    pub fn collect_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.collect)
    }

    /// An address of its admin API.
    #[must_use]
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// Its process id; none when it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// `kill -9`: no code of the daemon runs any more.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the daemon can be killed");
    }

    /// SIGTERM, without waiting for its end.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn terminate(&self) -> Result<(), String> {
        self.signal(Signal::TERM)
    }

    /// SIGHUP.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn hang_up(&self) -> Result<(), String> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or("the daemon has ended already")?;
        kill_process(id, signal).map_err(|error| error.to_string())
    }

    /// SIGTERM; the exit code.
    ///
    /// # Errors
    /// What it wrote, when it does not end in time.
    pub async fn stop(mut self) -> Result<i32, String> {
        self.end().await
    }

    /// As [`Self::stop`], for who keeps the value: its log can still be read.
    ///
    /// # Errors
    /// As [`Self::stop`].
    pub async fn end(&mut self) -> Result<i32, String> {
        self.terminate()?;
        match tokio::time::timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) => Ok(status.code().unwrap_or(-1)),
            _ => Err(format!("the daemon did not stop; it wrote:\n{}", self.log())),
        }
    }

    /// What it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        joined(&self.log)
    }
}

async fn wait_until_up(lines: &mut Lines<BufReader<ChildStderr>>, log: &Log) -> Option<(SocketAddr, SocketAddr)> {
    while let Ok(Some(line)) = lines.next_line().await {
        let found = addresses(&line);
        note(log, line);
        if found.is_some() {
            return found;
        }
    }
    None
}

fn note(log: &Log, line: String) {
    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

fn joined(log: &Log) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
}

/// The addresses in the line by which the daemon says that it runs.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    if line["message"] != "anole runs" {
        return None;
    }
    Some((line["collect"].as_str()?.parse().ok()?, line["admin"].as_str()?.parse().ok()?))
}
