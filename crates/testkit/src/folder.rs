//! A user's folder: `anole.yaml` and pipelines, in a temporary place.

use std::path::{Path, PathBuf};

/// A temporary folder with configuration files; it goes with the value.
#[derive(Debug)]
pub struct Folder {
    dir: tempfile::TempDir,
}

// === impl Folder ===

impl Folder {
    /// A folder with this `anole.yaml`, completed by free ports on loopback and leave to send to private addresses.
    #[must_use]
    pub fn new(pipeline: &str) -> Self {
        Self::with_settings(pipeline, "")
    }

    /// The same with further lines for `anole.yaml`.
    #[must_use]
    pub fn with_settings(pipeline: &str, settings: &str) -> Self {
        let folder = Self::empty(settings);
        folder.write("pipelines/shop.yaml", pipeline);
        folder
    }

    /// The same without a pipeline.
    #[must_use]
    pub fn empty(settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let folder = Self { dir };
        folder.write(
            "anole.yaml",
            &format!(
                "data_dir: ./data\npipelines: ./pipelines\ncollect: {{ listen: \"127.0.0.1:0\" }}\n\
                 admin: {{ listen: \"127.0.0.1:0\" }}\n{settings}\n"
            ),
        );
        folder
    }

    /// Leaves it where it is when the value goes, for a person to look at.
    pub fn keep(&mut self) -> &Path {
        self.dir.disable_cleanup(true);
        self.dir.path()
    }

    /// Writes a file, making the folders on its way.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }

    /// A file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its `anole.yaml`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("anole.yaml")
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}
