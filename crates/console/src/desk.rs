//! What the console asks of the daemon's files: blueprints, merged rules, and a dry run.

use std::sync::Arc;

use anole_config::BlueprintFile;
use anole_event::Record;
use anole_pipeline::PipelinePlan;

use crate::reload::BoxFuture;

/// Whoever reads the files of a daemon for people, and plays the way of an event up to the journal. Nothing of it changes what
/// is in force.
pub trait Desk: Send + Sync + 'static {
    /// All blueprints that a pipeline can use.
    ///
    /// # Errors
    /// In words, what is wrong with the files.
    fn blueprints(&self) -> BoxFuture<'_, Result<Vec<BlueprintFile>, String>>;

    /// The rules of a destination as they hold, as YAML with the place of each.
    ///
    /// # Errors
    /// In words, what is wrong with the files.
    fn merged(&self, pipeline: String, destination: String) -> BoxFuture<'_, Result<String, String>>;

    /// Checks the text of a pipeline file as `anole check` would.
    ///
    /// # Errors
    /// What is wrong, with lines and carets.
    fn check(&self, text: String) -> BoxFuture<'_, Result<(), String>>;

    /// What would become of an event at the door, as `anole test` plays it.
    ///
    /// # Errors
    /// In words, why it could not be played.
    fn come(&self, plan: Arc<PipelinePlan>, event: String) -> BoxFuture<'_, Result<Came, String>>;
}

/// What becomes of an event at the door.
#[derive(Clone, Debug)]
pub enum Came {
    /// It is kept.
    Kept(Record),
    /// An event of that message id came before: it is accepted, and not kept twice.
    Again,
    /// It is refused, and why.
    Refused(String),
}
