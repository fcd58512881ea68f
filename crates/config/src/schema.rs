//! JSON Schemas of the three kinds of files, for editors and for people. Made from the descriptions by which files are
//! checked, so that they cannot say something else.

use serde_json::Value;

use crate::{blueprint, pipeline, settings, table};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// anole.yaml.
    Settings,
    /// A file of the pipelines folder.
    Pipeline,
    /// A file of the blueprints folder.
    Blueprint,
}

// === impl FileKind ===

impl FileKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Settings, Self::Pipeline, Self::Blueprint];

    /// The name under which its schema is kept: `pipeline.schema.json`.
    #[must_use]
    pub const fn schema_file(self) -> &'static str {
        match self {
            Self::Settings => "anole.schema.json",
            Self::Pipeline => "pipeline.schema.json",
            Self::Blueprint => "blueprint.schema.json",
        }
    }
}

/// The JSON Schema (draft 2020-12) of a kind of file.
#[must_use]
pub fn schema(kind: FileKind) -> Value {
    match kind {
        FileKind::Settings => table::schema("anole.yaml", &settings::tables::SETTINGS_TABLE),
        FileKind::Pipeline => table::schema("A pipeline of anole", &pipeline::tables::PIPELINE_TABLE),
        FileKind::Blueprint => table::schema("A blueprint of anole", &blueprint::tables::BLUEPRINT_TABLE),
    }
}
