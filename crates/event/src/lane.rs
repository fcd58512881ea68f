//! The name of a lane.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A lane's id, `pipeline/destination`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneId(Arc<str>);

// === impl LaneId ===

impl LaneId {
    /// The lane of a pipeline's destination.
    #[must_use]
    pub fn new(pipeline: &str, destination: &str) -> Self {
        Self(format!("{pipeline}/{destination}").into())
    }

    /// A lane from its written form, as a user typed it or as a store kept it.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The written form, `pipeline/destination`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pipeline's name.
    #[must_use]
    pub fn pipeline(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(pipeline, _)| pipeline)
    }

    /// The destination's name.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, destination)| destination)
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_named_for_its_pipeline_and_destination() {
        let lane = LaneId::new("shop", "kameleoon-eu");
        assert_eq!(lane.to_string(), "shop/kameleoon-eu");
        assert_eq!((lane.pipeline(), lane.destination()), ("shop", "kameleoon-eu"));
        assert_eq!(LaneId::from_text("shop/kameleoon-eu"), lane);
    }
}
