//! A daemon with one lane for each vendor, by the blueprint that ships.

use std::path::Path;
use std::time::Duration;

use crate::api::{Api, KEY};
use crate::vendor::Vendor;
use crate::{Daemon, Folder};

const BLUEPRINT: &str = include_str!("../../../../blueprints/kameleoon.yaml");
const BATCH: &str = "batch: { events: 1000, bytes: 1MiB, wait: 1s }";

/// The parts of a run.
pub(super) struct Rig {
    folder: Folder,
    pub(super) daemon: Daemon,
    pub(super) api: Api,
}

// === impl Rig ===

impl Rig {
    /// Lanes of these names, with batches as they ship or so small.
    pub(super) async fn start(binary: &Path, lanes: &[(&str, &Vendor)], batch: Option<u64>) -> Result<Self, String> {
        let lanes = lanes.iter().map(|(name, vendor)| {
            format!(
                "  - blueprint: kameleoon\n    name: {name}\n    settings: {{ site_code: f17c21u1ag, region: eu, base_url: \
                 \"http://{}\" }}\n    events: {{ Order Completed: {{ set: {{ goalId: 36151 }} }} }}\n",
                vendor.address()
            )
        });
        let lanes: String = lanes.collect();
        let pipeline = format!("pipeline: shop\nkeys: [{{ key: {KEY} }}]\ndestinations:\n{lanes}");
        let folder = Folder::with_settings(&pipeline, "delivery: { allow_private_addresses: true }");
        if let Some(events) = batch {
            if !BLUEPRINT.contains(BATCH) {
                return Err("the blueprint's batches are written otherwise".to_owned());
            }
            let small = format!("batch: {{ events: {events}, bytes: 1MiB, wait: 1s }}");
            folder.write("blueprints/kameleoon.yaml", &BLUEPRINT.replace(BATCH, &small));
        }
        let daemon = Daemon::start(binary, &folder.config()).await?;
        Ok(Self { api: Api::of(&daemon), daemon, folder })
    }

    /// Stops the daemon in order, and starts it on what is there.
    pub(super) async fn again(self, binary: &Path) -> Result<Self, String> {
        let Self { folder, daemon, .. } = self;
        end(daemon).await?;
        let daemon = Daemon::start(binary, &folder.config()).await?;
        Ok(Self { api: Api::of(&daemon), daemon, folder })
    }

    pub(super) async fn stop(self) -> Result<(), String> {
        end(self.daemon).await
    }
}

async fn end(daemon: Daemon) -> Result<(), String> {
    match daemon.stop().await? {
        0 => Ok(()),
        code => Err(format!("the daemon ended with {code}")),
    }
}

/// Waits until the vendor has taken in so many different events.
pub(super) async fn arrived(vendor: &Vendor, events: u64, patience: Duration) -> Result<(), String> {
    if vendor.wait_for(patience, |counts| counts.distinct >= events).await {
        return Ok(());
    }
    Err(format!("{} of {events} events arrived within {} s", vendor.counts().distinct, patience.as_secs()))
}
