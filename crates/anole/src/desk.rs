//! What the console asks of the files, and its dry runs.

use std::path::PathBuf;
use std::sync::Arc;

use anole_config::{BlueprintFile, ConfigErrors, Merging, Settings, blueprints, merged};
use anole_console::{BoxFuture, Came, Desk};
use anole_pipeline::PipelinePlan;

use crate::dry;

/// Reads the files of a daemon, under the settings that it started with.
pub(crate) struct Files {
    pub(crate) pipelines: PathBuf,
    pub(crate) blueprints: Option<PathBuf>,
}

// === impl Files ===

impl Files {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { pipelines: settings.pipelines.clone(), blueprints: settings.blueprints.clone() }
    }
}

impl Desk for Files {
    fn blueprints(&self) -> BoxFuture<'_, Result<Vec<BlueprintFile>, String>> {
        let folder = self.blueprints.clone();
        Box::pin(apart(move || blueprints(folder.as_deref()).map_err(|errors| told(&errors))))
    }

    fn merged(&self, pipeline: String, destination: String) -> BoxFuture<'_, Result<String, String>> {
        let (pipelines, blueprints) = (self.pipelines.clone(), self.blueprints.clone());
        let what = Merging { destination: Some((pipeline, destination)), ..Merging::default() };
        let read = move || merged(&pipelines, blueprints.as_deref(), &what, &env).map_err(|error| error.to_string());
        Box::pin(apart(read))
    }

    fn check(&self, text: String) -> BoxFuture<'_, Result<(), String>> {
        let blueprints = self.blueprints.clone();
        Box::pin(apart(move || {
            let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
            let file = folder.path().join("pipeline.yaml");
            std::fs::write(file, text).map_err(|error| error.to_string())?;
            // A secret is named and not given: whoever fills in the form sets the variable where anole runs.
            let any = |_: &str| Some("given".to_owned());
            anole_config::load(folder.path(), blueprints.as_deref(), &any).map(drop).map_err(|errors| {
                let shown = format!("{}/", folder.path().display());
                told(&errors).replace(&shown, "")
            })
        }))
    }

    fn come(&self, plan: Arc<PipelinePlan>, event: String) -> BoxFuture<'_, Result<Came, String>> {
        Box::pin(async move { dry::come(&plan, &event).await.map_err(|failure| failure.to_string()) })
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn told(errors: &ConfigErrors) -> String {
    errors.render(false)
}

/// Reading files blocks.
async fn apart<T: Send + 'static>(read: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()))
}
