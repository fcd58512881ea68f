//! `anole init`: a starter folder.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anole_event::{Clock, Seeded, SystemClock, uuid_v7};

use crate::cli::Init;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(init: &Init, output: Output) -> Result<(), Failure> {
    let key = write_key();
    let starter = anole_config::starter(&key, init.site_code.as_deref(), init.region.as_deref());
    let files = [("anole.yaml", &starter.settings), ("pipelines/shop.yaml", &starter.pipeline)];
    if !init.force
        && let Some((name, _)) = files.iter().find(|(name, _)| init.folder.join(name).exists())
    {
        let path = init.folder.join(name);
        return Err(Failure::Failed(format!("{} is there already: --force replaces it", path.display())));
    }
    for (name, text) in files {
        let path = init.folder.join(name);
        write(&path, text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
        output.talk(&format!("wrote {}", path.display()));
    }
    for path in crate::schemas::write(&init.folder).map_err(Failure::Failed)? {
        output.talk(&format!("wrote {}", path.display()));
    }
    if output.json {
        output.value(&serde_json::json!({ "write_key": key, "files": files.map(|(name, _)| name) }));
    } else {
        output.line(&format!("write key: {key}"));
    }
    let is_filled = init.site_code.is_some() && init.region.is_some();
    let fill_in = if is_filled { "" } else { "fill in site_code and region in pipelines/shop.yaml, then " };
    output.talk(&format!("next: {fill_in}`anole check` and `anole run`"));
    Ok(())
}

/// A pipeline holds a key: the owner alone may read it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        match std::fs::create_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// A fresh write key. Browsers show it to everybody, so it need not be a secret; it must only be nobody else's.
fn write_key() -> String {
    let mut random = Seeded::from_entropy();
    let id = uuid_v7(SystemClock::new().wall(), &mut random);
    format!("dk_{}", id.simple())
}
