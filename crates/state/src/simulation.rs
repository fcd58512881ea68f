//! What a simulated disk is told, as SQLite's file system does not see it.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// Called when a file was written anew and synced; its answer stands for that of the sync.
pub static RENEWED: OnceLock<fn(&Path) -> io::Result<()>> = OnceLock::new();
