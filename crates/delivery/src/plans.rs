//! The plans in force, and what becomes other when they are replaced.
//!
//! An event's values are slots of the pipeline's plan that read it, and a lane's plan names its values by those slots: the
//! two belong together, and another version's plan would take one field for another. So no lane keeps a plan. What the tail
//! reads carries the [`Plans`] by which it was read, and a lane asks those, and no others, what it is to do with it.
//! Rejected: to tell each lane its new plan, with a rule that says from which event on it holds; nothing would enforce it.

use std::collections::HashMap;
use std::sync::Arc;

use anole_event::LaneId;
use anole_pipeline::{LanePlan, PipelinePlan};

/// All plans of one version of the files. Immutable; a reload makes new ones.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// Rises with each replacement.
    pub(crate) version: u64,
    pipelines: HashMap<Box<str>, Arc<PipelinePlan>>,
    lanes: HashMap<LaneId, Arc<LanePlan>>,
}

/// What a replacement of the plans makes other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Pipelines that were not there before, by name.
    pub pipelines_added: Vec<String>,
    /// Pipelines that take other events, or make something else of them.
    pub pipelines_changed: Vec<String>,
    /// Pipelines that are no longer there.
    pub pipelines_removed: Vec<String>,
    /// Every lane, by name, those that stay as they are too.
    pub lanes: Vec<LaneChange>,
}

/// What a replacement of the plans means for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneChange {
    /// The lane.
    pub lane: LaneId,
    /// What happens to it.
    pub change: Change,
    /// The hash of its plan before.
    pub was: Option<u64>,
    /// The hash of its plan from now on.
    pub plan: Option<u64>,
}

/// What happens to a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new, and begins with what is accepted from now on.
    Added,
    /// It was an orphan, and goes on where it was.
    Returned,
    /// It has another plan: what was not sent yet is mapped anew.
    Changed,
    /// No pipeline has it any more.
    Removed,
    /// Its plan is the same, and it was not disturbed.
    Unchanged,
}

// === impl Plans ===

impl Plans {
    pub(crate) fn of(pipelines: &[Arc<PipelinePlan>], version: u64) -> Arc<Self> {
        let lanes = pipelines.iter().flat_map(|pipeline| &pipeline.lanes);
        let by_name = pipelines.iter().map(|plan| (Box::from(&*plan.name), Arc::clone(plan)));
        Arc::new(Self {
            version,
            pipelines: by_name.collect(),
            lanes: lanes.map(|plan| (plan.lane.clone(), Arc::clone(plan))).collect(),
        })
    }

    pub(crate) fn pipeline(&self, name: &str) -> Option<&Arc<PipelinePlan>> {
        self.pipelines.get(name)
    }

    /// All of them, by name.
    pub(crate) fn pipelines(&self) -> Vec<Arc<PipelinePlan>> {
        let mut all: Vec<_> = self.pipelines.values().cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    pub(crate) fn lane(&self, lane: &LaneId) -> Option<&Arc<LanePlan>> {
        self.lanes.get(lane)
    }

    /// The lanes, by name.
    pub(crate) fn lanes(&self) -> Vec<LaneId> {
        let mut lanes: Vec<_> = self.lanes.keys().cloned().collect();
        lanes.sort();
        lanes
    }

    /// What becomes other when these take the place of `before`. Which of the added ones were orphans the registry knows.
    pub(crate) fn changes_from(&self, before: &Self) -> Changes {
        let mut changes = Changes::default();
        for (name, plan) in &self.pipelines {
            match before.pipelines.get(name) {
                None => changes.pipelines_added.push(name.to_string()),
                Some(was) if !was.is_same(plan) => changes.pipelines_changed.push(name.to_string()),
                Some(_) => {}
            }
        }
        let removed = before.pipelines.keys().filter(|name| !self.pipelines.contains_key(*name));
        changes.pipelines_removed = removed.map(ToString::to_string).collect();
        for names in [&mut changes.pipelines_added, &mut changes.pipelines_changed, &mut changes.pipelines_removed] {
            names.sort();
        }
        let mut lanes = self.lanes();
        lanes.extend(before.lanes().into_iter().filter(|lane| !self.lanes.contains_key(lane)));
        lanes.sort();
        changes.lanes = lanes.into_iter().map(|lane| self.lane_change(before, lane)).collect();
        changes
    }

    fn lane_change(&self, before: &Self, lane: LaneId) -> LaneChange {
        let hash = |plans: &Self| plans.lane(&lane).map(|plan| plan.hash);
        let (was, plan) = (hash(before), hash(self));
        let change = match (was, plan) {
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(was), Some(plan)) if was == plan => Change::Unchanged,
            (Some(_), Some(_)) => Change::Changed,
        };
        LaneChange { lane, change, was, plan }
    }
}

// === impl Changes ===

impl Changes {
    /// Whether nothing becomes other.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pipelines_added.is_empty()
            && self.pipelines_changed.is_empty()
            && self.pipelines_removed.is_empty()
            && self.lanes.iter().all(|lane| lane.change == Change::Unchanged)
    }

    /// The lanes to which this happens.
    pub fn lanes_that(&self, change: Change) -> impl Iterator<Item = &LaneChange> {
        self.lanes.iter().filter(move |lane| lane.change == change)
    }
}

// === impl Change ===

impl Change {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Returned => "returned",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Unchanged => "unchanged",
        }
    }
}

#[cfg(test)]
mod tests {
    use anole_pipeline::{Intake, LaneParts, Paths};

    use super::*;

    fn pipeline(name: &str, lanes: &[(&str, bool)]) -> Arc<PipelinePlan> {
        let lanes = lanes.iter().map(|(lane, enabled)| {
            let mut parts = LaneParts::new(LaneId::new(name, lane));
            parts.enabled = *enabled;
            Arc::new(LanePlan::new(parts).unwrap())
        });
        Arc::new(PipelinePlan::new(Intake::new(name), lanes.collect(), &[], Paths::new()))
    }

    #[test]
    fn what_becomes_other_is_named_and_what_stays_too() {
        let before = [pipeline("blog", &[("a", true)]), pipeline("shop", &[("a", true), ("b", true), ("c", true)])];
        let after = [pipeline("app", &[("a", true)]), pipeline("shop", &[("a", true), ("b", false), ("d", true)])];
        let changes = Plans::of(&after, 2).changes_from(&Plans::of(&before, 1));
        assert_eq!(changes.pipelines_added, ["app"]);
        assert_eq!(changes.pipelines_changed, ["shop"]);
        assert_eq!(changes.pipelines_removed, ["blog"]);
        let lanes: Vec<_> = changes.lanes.iter().map(|lane| (lane.lane.to_string(), lane.change.as_str())).collect();
        let expected = [
            ("app/a", "added"),
            ("blog/a", "removed"),
            ("shop/a", "unchanged"),
            ("shop/b", "changed"),
            ("shop/c", "removed"),
            ("shop/d", "added"),
        ];
        assert_eq!(lanes, expected.map(|(lane, change)| (lane.to_owned(), change)));
        assert!(!changes.is_empty());
        assert!(changes.lanes.iter().all(|lane| lane.was.is_some() || lane.plan.is_some()));
    }

    #[test]
    fn the_same_files_change_nothing() {
        let of = |version| Plans::of(&[pipeline("shop", &[("a", true)])], version);
        let changes = of(2).changes_from(&of(1));
        assert!(changes.is_empty(), "{changes:?}");
        assert_eq!(changes.lanes_that(Change::Unchanged).count(), 1);
    }
}
