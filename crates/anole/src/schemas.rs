//! The JSON Schemas beside a user's files, so that editors complete and check what is written there.
//!
//! They lie under `.anole/schemas` of the folder of `anole.yaml`, and files name them by a relative path: that works without
//! a network, in a container and for a version that was never released, and the schemas are those of the program that will
//! read the files. A URL would have to be of exactly that version to be right.

use std::path::{Path, PathBuf};

use anole_config::{FileKind, schema};

/// Where they are, from the folder of `anole.yaml`.
pub(crate) const FOLDER: &str = ".anole/schemas";

/// Writes those that are not there or are of another version; gives the files that were written.
///
/// # Errors
/// When a file cannot be written, with its name.
pub(crate) fn write(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = folder.join(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut written = Vec::new();
    for kind in FileKind::ALL {
        let path = folder.join(kind.schema_file());
        let text = text(kind);
        if std::fs::read_to_string(&path).is_ok_and(|known| known == text) {
            continue;
        }
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}

/// The text of a schema's file.
pub(crate) fn text(kind: FileKind) -> String {
    format!("{:#}\n", schema(kind))
}
