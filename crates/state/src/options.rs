//! Where the embedded state is and how much it may remember.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the state is and how much it may remember.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// The database: `state.db` in the data folder. Its backup and what is set aside stand beside it.
    pub file: PathBuf,
    /// How many identities are kept at most. About 35 bytes of memory each.
    pub identities: usize,
    /// How long an identity is kept after it was last seen.
    pub identity_age: Duration,
}

// === impl StateOptions ===

impl StateOptions {
    /// The state of a data folder, with the defaults: a million identities, for as long as the identity cookie lives
    /// (400 days).
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self {
            file: data_dir.join("state.db"),
            identities: 1_000_000,
            identity_age: Duration::from_secs(400 * 24 * 3600),
        }
    }
}
