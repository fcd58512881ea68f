//! Reading pipelines and blueprints again while the daemon runs.
//!
//! Everything is loaded and checked first; when anything is wrong nothing changes, and it is said in the log, in the metrics
//! and to whoever asked. When all is well the lanes get the new plans and then, at the same moment, ingest gets the new
//! pipelines: in this order, so that no event is accepted for a pipeline that the lanes do not know yet.
//!
//! A reload never takes the last pipeline away. An empty folder is what a deployment looks like that deletes before it
//! writes, or a volume that is not mounted, and every client would be refused meanwhile. Who means it restarts anole.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anole_config::{Code, Settings};
use anole_console::{BoxFuture, ReloadRefused, Reloaded, Reloads};
use anole_delivery::{Delivery, ReplaceError};
use anole_ingest::Ingest;
use anole_pipeline::Intake;
use anole_telemetry::{ConfigRefused, ConfigReloaded, Said, Telemetry};
use serde_json::Value;

use crate::certificates::Certificates;
use crate::client::Client;
use crate::failure::Failure;
use crate::files::{Fresh, Wrong, read_again, settings};
use crate::lock::running;
use crate::output::{Output, tame};
use crate::watch::{Seen, Watched};

/// What requests under way have to end before a lane goes on with its new plan.
const GRACE: Duration = Duration::from_secs(10);
/// The most bytes of problems in a line of the log.
const MOST_LOGGED: usize = 8 * 1024;

/// Who asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// SIGHUP.
    Signal,
    /// A change of the files.
    Files,
    /// The admin API.
    Api,
}

/// Reloads the files of a daemon.
pub(crate) struct Reloader {
    config: Option<PathBuf>,
    /// As they were at the start; what has changed since takes a restart.
    settings: Settings,
    watched: Watched,
    delivery: Arc<Delivery>,
    ingest: Arc<Ingest>,
    telemetry: Arc<Telemetry>,
    certificates: Arc<Certificates>,
    /// One reload at a time. Holds whether there is a pipeline.
    current: tokio::sync::Mutex<bool>,
    /// What the files were when they were last read.
    seen: Mutex<Seen>,
    /// The first error, when they were refused then.
    refused: Mutex<Option<String>>,
}

/// What the admin API has of a reloader.
pub(crate) struct ForApi(pub(crate) Arc<Reloader>);

/// What a reloader works on.
pub(crate) struct Running {
    pub(crate) config: Option<PathBuf>,
    pub(crate) settings: Settings,
    /// What the files were when the daemon's configuration was read.
    pub(crate) seen: Seen,
    pub(crate) has_pipelines: bool,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) certificates: Arc<Certificates>,
}

// === impl By ===

impl By {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Files => "files",
            Self::Api => "api",
        }
    }
}

// === impl Reloader ===

impl Reloader {
    pub(crate) fn new(running: Running) -> Arc<Self> {
        let Running { config, settings, seen, has_pipelines, delivery, ingest, telemetry, certificates } = running;
        Arc::new(Self {
            watched: Watched::new(config.as_deref(), &settings),
            config,
            settings,
            delivery,
            ingest,
            telemetry,
            certificates,
            current: tokio::sync::Mutex::new(has_pipelines),
            seen: Mutex::new(seen),
            refused: Mutex::new(None),
        })
    }

    pub(crate) const fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Whether the files were like this when they were last read.
    pub(crate) fn has_seen(&self, seen: &Seen) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == *seen
    }

    /// Reads the files and puts them in force, and tells how it went. A call that is dropped goes on by itself.
    pub(crate) async fn reload(self: &Arc<Self>, by: By) -> Result<Reloaded, ReloadRefused> {
        let this = Arc::clone(self);
        let done = tokio::spawn(async move {
            let done = this.reloaded().await;
            this.tell(by, &done);
            match this.certified(by).await {
                Some(wrong) => with(done, &wrong),
                None => done,
            }
        });
        done.await.unwrap_or_else(|error| Err(ReloadRefused::Failed(error.to_string())))
    }

    async fn reloaded(&self) -> Result<Reloaded, ReloadRefused> {
        let mut has_pipelines = self.current.lock().await;
        let (config, settings, watched) = (self.config.clone(), self.settings.clone(), self.watched.clone());
        let read = tokio::task::spawn_blocking(move || {
            // Looked at first: what is written while the files are read is then a change that is still to be read.
            let seen = watched.look();
            (seen, read_again(config.as_deref(), &settings))
        });
        let (seen, read) = read.await.map_err(|error| ReloadRefused::Failed(error.to_string()))?;
        let before = self.note_seen(seen);
        let Fresh { pipelines, warnings, restart } = read.map_err(|wrong| refused(&wrong))?;
        if pipelines.is_empty() && *has_pipelines {
            return Err(refused(&Wrong::one(Code::NoPipelines, &no_pipelines(&self.settings.pipelines))));
        }
        let intakes: Vec<_> = pipelines.iter().map(|plan| Arc::new(plan.intake.clone())).collect();
        let any = !pipelines.is_empty();
        let in_force = {
            let ingest = Arc::clone(&self.ingest);
            move || ingest.replace(intakes as Vec<Arc<Intake>>)
        };
        let changes = self.delivery.replace(pipelines, GRACE, in_force).await.map_err(|error| match error {
            ReplaceError::Ending => ReloadRefused::Ending(error.to_string()),
            ReplaceError::State(_) | ReplaceError::Sender(_) => {
                // The files are right: the watcher finds them changed still, and tries again.
                self.note_seen(before);
                ReloadRefused::Failed(format!("nothing has changed: {error}"))
            }
        })?;
        *has_pipelines = any;
        Ok(Reloaded { changes, warnings, restart })
    }

    /// Reads the certificates again; what is wrong with them. They have a watch of their own, so a change of other files is
    /// none of their business.
    async fn certified(&self, by: By) -> Option<Wrong> {
        if by == By::Files {
            return None;
        }
        let certificates = Arc::clone(&self.certificates);
        let read = tokio::task::spawn_blocking(move || certificates.reload()).await;
        read.ok()?.err().map(|errors| Wrong::of(&errors))
    }

    /// Gives back what was seen before.
    fn note_seen(&self, seen: Seen) -> Seen {
        std::mem::replace(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner), seen)
    }

    fn note(&self, refused: Option<String>) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    }

    fn tell(&self, by: By, done: &Result<Reloaded, ReloadRefused>) {
        let by = by.as_str();
        match done {
            Ok(_) => self.note(None),
            Err(ReloadRefused::Files { problems, .. }) => {
                // Warnings are among them.
                let first = problems.iter().find(|problem| problem["severity"] == "error");
                self.note(first.map(in_a_line));
            }
            // The files are not at fault, or have not been read yet.
            Err(ReloadRefused::Ending(_) | ReloadRefused::Failed(_) | ReloadRefused::Certificates { .. }) => {}
        }
        match done {
            Ok(reloaded) => {
                if let Some(restart) = &reloaded.restart {
                    self.telemetry.emit(Said(restart));
                }
                self.telemetry.emit(ConfigReloaded { by, changes: reloaded.words().as_deref() });
            }
            Err(ReloadRefused::Files { text, .. }) => {
                let error = &text[..text.floor_char_boundary(MOST_LOGGED)];
                self.telemetry.emit(ConfigRefused { by, files: true, error });
            }
            Err(ReloadRefused::Ending(error) | ReloadRefused::Failed(error)) => {
                self.telemetry.emit(ConfigRefused { by, files: false, error });
            }
            // They tell it themselves.
            Err(ReloadRefused::Certificates { .. }) => {}
        }
    }
}

// === impl ForApi ===

impl Reloads for ForApi {
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, ReloadRefused>> {
        Box::pin(self.0.reload(By::Api))
    }

    fn refused(&self) -> Option<String> {
        let files = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        files.or_else(|| self.0.certificates.refused())
    }
}

/// A problem with its place.
fn in_a_line(problem: &Value) -> String {
    let message = problem["message"].as_str().unwrap_or_default();
    match (problem["file"].as_str(), problem["line"].as_u64(), problem["column"].as_u64()) {
        (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: {message}"),
        _ => message.to_owned(),
    }
}

/// What came of the files, and that certificates are wrong.
fn with(done: Result<Reloaded, ReloadRefused>, wrong: &Wrong) -> Result<Reloaded, ReloadRefused> {
    match done {
        Ok(_) => Err(ReloadRefused::Certificates { problems: wrong.problems.clone(), text: wrong.text.clone() }),
        Err(ReloadRefused::Files { mut problems, text }) => {
            problems.extend(wrong.problems.iter().cloned());
            Err(ReloadRefused::Files { problems, text: format!("{}\n\n{}", text.trim_end(), wrong.text) })
        }
        Err(other) => Err(other),
    }
}

fn refused(wrong: &Wrong) -> ReloadRefused {
    ReloadRefused::Files { problems: wrong.problems.clone(), text: wrong.text.clone() }
}

fn no_pipelines(folder: &Path) -> String {
    format!(
        "there is no pipeline in {} any more: every client would be refused. A reload never takes the last one away; restart \
         anole if you mean it",
        folder.display()
    )
}

/// `anole reload`: tells the running daemon to read its files again.
pub(crate) async fn run(config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let settings = settings(config)?;
    let Some(here) = running(&settings.data_dir) else {
        return Err(Failure::Failed("no daemon runs here: `anole run` reads the files when it starts".into()));
    };
    let token = settings.admin.token.as_ref().map(|token| token.reveal().to_owned());
    let answer = Client::new(&here, token)?.try_post("/api/reload").await?;
    let body = &answer.body;
    match answer.status {
        200 => {
            if output.json {
                output.value(body);
            } else {
                show(body, output);
            }
            Ok(())
        }
        422 => {
            if output.json {
                output.value(&serde_json::json!({ "problems": body["problems"] }));
                let count = body["problems"].as_array().map_or(0, Vec::len);
                return Err(Failure::Wrong(format!("{count} problems; the running configuration stays in force")));
            }
            let text = body["text"].as_str().unwrap_or_default();
            Err(Failure::Wrong(format!("{}\n{}", text.trim_end(), body["message"].as_str().unwrap_or_default())))
        }
        status => {
            let message = body["message"].as_str().map_or_else(|| format!("the daemon answered {status}"), tame);
            Err(Failure::Failed(message))
        }
    }
}

fn show(body: &Value, output: Output) {
    for warning in body["warnings"].as_array().into_iter().flatten() {
        output.talk(&format!("warning: {}", tame(&in_a_line(warning))));
    }
    if let Some(restart) = body["restart"].as_str() {
        output.talk(restart);
    }
    let mut said = false;
    for change in ["added", "changed", "removed"] {
        for pipeline in body["pipelines"][change].as_array().into_iter().flatten() {
            output.line(&format!("pipeline {}: {change}", tame(pipeline.as_str().unwrap_or_default())));
            said = true;
        }
    }
    for lane in body["lanes"].as_array().into_iter().flatten().filter(|lane| lane["change"] != "unchanged") {
        let text = |key: &str| lane[key].as_str().map(tame);
        let plan = match (text("was"), text("plan")) {
            (Some(was), Some(plan)) => format!(", plan {was} is now {plan}"),
            (None, Some(plan)) => format!(", plan {plan}"),
            _ => String::new(),
        };
        let (name, change) = (text("lane").unwrap_or_default(), text("change").unwrap_or_default());
        output.line(&format!("lane {name}: {change}{plan}"));
        said = true;
    }
    if !said {
        output.line("nothing has changed");
    }
}
