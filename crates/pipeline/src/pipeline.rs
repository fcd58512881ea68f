//! The plan of a pipeline.

use std::borrow::Cow;
use std::sync::Arc;

use anole_event::Lookup;
use bytes::Bytes;

use crate::read::{Trie, scalar};
use crate::{Intake, LanePlan, Path, Paths, ReadError, Slot, Values};

/// The longest value by which an event can be looked up, in bytes. Longer ones are no order ids, and each is kept.
const MAX_LOOKUP: usize = 256;

/// What a pipeline compiles to. Immutable; shared by `Arc`, and swapped whole when its files change.
#[derive(Clone, Debug)]
pub struct PipelinePlan {
    /// Its name.
    pub name: Arc<str>,
    /// What ingest needs.
    pub intake: Intake,
    /// A plan per destination.
    pub lanes: Vec<Arc<LanePlan>>,
    lookups: Vec<(Arc<str>, Slot)>,
    trie: Trie,
}

// === impl PipelinePlan ===

impl PipelinePlan {
    /// Puts a plan together. `paths` are those that the lanes' slots came from; `lookups` are the values by which people
    /// ask for an event, each known by its path without the root (`order_id` for `properties.order_id`).
    #[must_use]
    pub fn new(intake: Intake, lanes: Vec<Arc<LanePlan>>, lookups: &[Path], mut paths: Paths) -> Self {
        let name_of = |path: &Path| match path.rest() {
            [] => path.root().into(),
            rest => rest.join(".").into(),
        };
        let lookups = lookups.iter().map(|path| (name_of(path), paths.slot(path))).collect();
        Self { name: Arc::clone(&intake.pipeline), intake, lanes, lookups, trie: paths.trie() }
    }

    /// Reads an event: one pass over its canonical JSON for all lanes.
    ///
    /// # Errors
    /// When the body is no event in the canonical form.
    pub fn read(&self, body: Bytes) -> Result<Values, ReadError> {
        self.trie.read(body)
    }

    /// Whether both take the same events and make the same of them: intake, lanes and look-ups are equal. In
    /// which order its destinations stand, and which slots their paths have, makes no difference.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let lanes = |plan: &Self| {
            let lanes = plan.lanes.iter().map(|lane| (lane.lane.clone(), lane.hash));
            lanes.collect::<std::collections::BTreeMap<_, _>>()
        };
        self.intake == other.intake && lanes(self) == lanes(other) && self.lookups == other.lookups
    }

    /// The values by which people ask for the event. Only texts and numbers of at most 256 bytes count.
    pub(crate) fn lookups(&self, values: &Values) -> Vec<Lookup> {
        let text = |slot| values.get(slot).and_then(scalar).filter(|text| !text.is_empty() && text.len() <= MAX_LOOKUP);
        let found = self.lookups.iter().filter_map(|(name, slot)| Some((Arc::clone(name), text(slot)?)));
        found.map(|(name, text): (_, Cow<'_, str>)| (name, text.into())).collect()
    }
}

impl Values {
    /// The values by which people ask for the event, as its pipeline names them.
    #[must_use]
    pub fn lookups(&self, plan: &PipelinePlan) -> Vec<Lookup> {
        plan.lookups(self)
    }
}
