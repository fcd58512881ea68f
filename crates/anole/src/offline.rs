//! Changing the registry of lanes while no daemon runs: on the state itself, under the data folder's lock.

use std::path::Path;
use std::sync::Arc;

use anole_delivery_log::DeliveryLog;
use anole_event::{Clock, LaneId, Seeded, SystemClock, Timestamp};
use anole_journal::{Embedded, EmbeddedOptions};
use anole_state::{Sqlite, State};
use anole_telemetry::Telemetry;

use crate::daemon::{furthest, journal_options, open_log, state_options};
use crate::failure::Failure;
use crate::files::load;
use crate::lock::DataDir;

/// A data folder that no daemon uses, held for as long as this lives.
pub(crate) struct Offline {
    pub(crate) state: Arc<Sqlite>,
    /// The lanes of the pipelines as they stand in the files.
    pub(crate) in_use: Vec<LaneId>,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) telemetry: Arc<Telemetry>,
    settings: anole_config::Settings,
    data: DataDir,
}

// === impl Offline ===

impl Offline {
    pub(crate) fn open(config: Option<&Path>) -> Result<Self, Failure> {
        let loaded = load(config)?;
        let folder = &loaded.settings.data_dir;
        if !folder.join("state.db").exists() && !folder.join("state.db.backup").exists() {
            return Err(Failure::Failed(format!("{} holds no state: has anole run with it?", folder.display())));
        }
        let data = DataDir::lock(folder)?;
        let clock = Arc::new(SystemClock::new());
        let telemetry = Telemetry::new(Arc::clone(&clock) as _);
        let options = state_options(&loaded.settings, data.path());
        let state = Sqlite::open(&options, Arc::clone(&telemetry), Arc::clone(&clock) as _)?;
        let in_use = loaded.pipelines.iter().flat_map(|plan| &plan.lanes).map(|lane| lane.lane.clone()).collect();
        let settings = loaded.settings;
        Ok(Self { state, in_use, clock, telemetry, settings, data })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The delivery log, to be written.
    pub(crate) fn log(&self) -> Result<Arc<dyn DeliveryLog>, Failure> {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        open_log(&self.settings, self.data.path(), &self.telemetry, &clock)
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.data.path()
    }

    /// The journal, to be written.
    pub(crate) async fn journal(&self) -> Result<Arc<Embedded>, Failure> {
        let options = EmbeddedOptions {
            not_before: furthest(&*self.state).await?,
            ..journal_options(&self.settings.journal, self.data.join("journal"))
        };
        let (clock, random) = (Arc::clone(&self.clock) as _, Box::new(Seeded::from_entropy()));
        Embedded::open(options, Arc::clone(&self.telemetry), clock, random).map_err(Failure::of)
    }

    /// Writes everything, and a backup: the journal lets go by it.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.state.close().await?)
    }
}
