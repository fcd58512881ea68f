//! A real `anole run` as a child process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

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
    log: Arc<Mutex<Vec<String>>>,
}

// === impl Daemon ===

impl Daemon {
    /// Starts `binary run --config FILE` and waits until it says that it runs.
    ///
    /// # Errors
    /// What it wrote, when it ended or said nothing in time.
    pub async fn start(binary: &Path, config: &Path) -> Result<Self, String> {
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
        let log = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&log);
        let started = tokio::time::timeout(START, async {
            while let Ok(Some(line)) = lines.next_line().await {
                let found = addresses(&line);
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                if found.is_some() {
                    return found;
                }
            }
            None
        })
        .await;
        let Ok(Some((collect, admin))) = started else {
            return Err(format!("the daemon did not start; it wrote:\n{}", joined(&log)));
        };
        let keep = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Ok(Self { child, collect, admin, log })
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

    /// `kill -9`: no code of the daemon runs any more.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("the daemon can be killed");
    }

    /// SIGTERM; the exit code.
    ///
    /// # Errors
    /// What it wrote, when it does not end in time.
    pub async fn stop(mut self) -> Result<i32, String> {
        let id = self.child.id().ok_or("the daemon has ended already")?;
        let told = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        told.map_err(|error| error.to_string())?;
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

fn joined(log: &Mutex<Vec<String>>) -> String {
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
