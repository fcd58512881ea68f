//! Files that people write.

use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

pub(crate) fn pipeline(input: &[u8]) {
    // A folder per process: the fuzzer runs one input at a time, tests run the inputs of a target in a row.
    let file: PathBuf = FOLDER.path().join("shop.yaml");
    std::fs::write(&file, input).expect("a file");
    match anole_config::load(FOLDER.path(), None, &|_| None) {
        Ok(loaded) => assert!(loaded.pipelines.len() <= 1, "one file, one pipeline"),
        Err(errors) => assert!(!errors.to_string().is_empty(), "an error says something"),
    }
}

pub(crate) fn blueprint(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(errors) = anole_config::check_blueprint("acme.yaml", text) {
        assert!(!errors.to_string().is_empty(), "an error says something");
    }
}
